//! Work off the frame thread. Each job answers through a channel and can be stopped.

pub mod dialog;
pub mod leash;
pub mod queue;
pub mod record;
pub mod replay;

/// The word that makes the window's executable a worker.
pub const WORK: &str = "work-for-malloscope";
