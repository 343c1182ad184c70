//! What the compiler expects of the world and we bring along, so that we ask it of nobody.

use core::arch::global_asm;

// Copies and fills the compiler did not write out. Hidden: the program's own are none of our business.
global_asm!(
    ".globl memcpy, memmove, memset, memcmp, bcmp, strlen",
    ".hidden memcpy, memmove, memset, memcmp, bcmp, strlen",
    "memcpy:",
    "mov rax, rdi",
    "mov rcx, rdx",
    "rep movsb",
    "ret",
    "memmove:",
    "mov rax, rdi",
    "mov rcx, rdx",
    "cmp rdi, rsi",
    "jbe 1f",
    "lea rdi, [rdi + rdx - 1]",
    "lea rsi, [rsi + rdx - 1]",
    "std",
    "rep movsb",
    "cld",
    "ret",
    "1: rep movsb",
    "ret",
    "memset:",
    "mov r8, rdi",
    "mov eax, esi",
    "mov rcx, rdx",
    "rep stosb",
    "mov rax, r8",
    "ret",
    "bcmp:",
    "memcmp:",
    "xor eax, eax",
    "mov rcx, rdx",
    "test rcx, rcx",
    "je 3f",
    "2: movzx eax, byte ptr [rdi]",
    "movzx r8d, byte ptr [rsi]",
    "inc rdi",
    "inc rsi",
    "sub eax, r8d",
    "jne 3f",
    "dec rcx",
    "jne 2b",
    "3: ret",
    "strlen:",
    "mov rax, -1",
    "4: inc rax",
    "cmp byte ptr [rdi + rax], 0",
    "jne 4b",
    "ret",
);

/// In every agent that could panic, and in no other: `recorder/tests/agent_file.rs` looks for it.
static CAN_PANIC: [u8; 32] = *b"malloscope's agent might panic. ";

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    core::hint::black_box(&CAN_PANIC);
    crate::system::abort()
}
