//! Being served first by the processors while others stand still because of us.

use rustix::process::{getpriority_process, setpriority_process};

/// The priority that comes before all others.
const FIRST: i32 = -20;

/// We are served first as long as this lives, if we may be: it takes CAP_SYS_NICE.
#[derive(Debug)]
pub struct Hurry {
    before: Option<i32>,
}

impl Hurry {
    /// From now on.
    pub fn begin() -> Hurry {
        let before = getpriority_process(None).ok();
        Hurry { before: before.filter(|_| setpriority_process(None, FIRST).is_ok()) }
    }
}

impl Drop for Hurry {
    fn drop(&mut self) {
        if let Some(before) = self.before {
            // To be served later is always allowed.
            let _ = setpriority_process(None, before);
        }
    }
}
