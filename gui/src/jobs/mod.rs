//! Work off the frame thread. Each job answers through a channel and can be stopped.

pub mod background;
pub mod dialog;
pub mod explore;
pub mod keeper;
pub mod leash;
pub mod paint;
pub mod processes;
pub mod queue;
pub mod record;
pub mod replay;
pub mod saving;
pub mod stacks;

/// The word that makes the window's executable a worker.
pub const WORK: &str = "work-for-malloscope";
