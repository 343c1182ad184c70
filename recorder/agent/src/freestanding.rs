//! What the compiler expects of the world and we bring along, so that we ask it of nobody.

/// In every agent that could panic, and in no other: `recorder/tests/agent_file.rs` looks for it.
static CAN_PANIC: [u8; 32] = *b"malloscope's agent might panic. ";

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    core::hint::black_box(&CAN_PANIC);
    crate::system::abort()
}
