//! Work off the frame thread. Each job answers through a channel and can be stopped.

pub mod leash;
pub mod replay;
