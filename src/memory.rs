//! Our own memory comes from mimalloc, also that of the C library's functions we call.
//!
//! A replay over real memory owns the program break of its process; an allocator that uses the break,
//! as glibc's does, would move it and live in the replayed heap. mimalloc only ever maps.

#[global_allocator]
static OURS: mimalloc::MiMalloc = mimalloc::MiMalloc;
