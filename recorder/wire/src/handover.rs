//! What the recorder tells the agent before there is any shared memory: where to find it.
//!
//! The agent's file is written anew for every recording, so the message travels inside it: the
//! recorder looks for [`MARK`] in the bytes and writes the path behind it. So the program's
//! environment carries nothing of ours but `LD_PRELOAD`.

use core::array;
use core::sync::atomic::AtomicU8;

/// Bytes of a path, with the zero behind it.
pub const PATH_BYTES: usize = 64;

/// Begins the message in the agent's file.
pub const MARK: [u8; 32] = *b"malloscope's memory is found at:";

/// The message. The agent has one, in a section that is written to the file.
#[repr(C)]
pub struct Handover {
    mark: [AtomicU8; MARK.len()],
    /// The path of the shared memory, ended by a zero; empty until the recorder has written it.
    pub path: [AtomicU8; PATH_BYTES],
}

impl Handover {
    /// The message before anybody wrote it.
    ///
    /// Its bytes are atomics because a compiler may not assume it knows what those hold.
    pub const fn blank() -> Handover {
        let mut mark = [const { AtomicU8::new(0) }; MARK.len()];
        let mut i = 0;
        while i < MARK.len() {
            mark[i] = AtomicU8::new(MARK[i]);
            i += 1;
        }
        Handover { mark, path: [const { AtomicU8::new(0) }; PATH_BYTES] }
    }

    /// The path as bytes, the zero included.
    pub fn path(&self) -> [u8; PATH_BYTES] {
        array::from_fn(|i| self.path[i].load(core::sync::atomic::Ordering::Relaxed))
    }
}
