//! Whether a trace is still being written: its writer holds a lock on the file, which the kernel takes from
//! it when it ends, however it ends.
//!
//! The lock says no more than that, and keeps nobody from reading. Where a file system knows no locks, a trace
//! without an ending counts as one that was cut short.

use std::fs::{File, TryLockError};

/// Says that this file is being written, until it is closed.
pub fn hold(file: &File) {
    // Shared, so that writers never wait for each other. Without a lock the trace is as good.
    let _ = file.try_lock_shared();
}

/// Whether somebody holds this file.
pub(crate) fn is_held(file: &File) -> bool {
    match file.try_lock() {
        Ok(()) => {
            // It was taken only to see whether it can be.
            let _ = file.unlock();
            false
        }
        Err(TryLockError::WouldBlock) => true,
        Err(TryLockError::Error(_)) => false,
    }
}
