//! Why there is nothing to show, and what to do next.

use malloscope_replayer::worker::WorkerError;
use malloscope_traces::Error;
use std::path::Path;

/// Why there is nothing to show, and what to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What went wrong.
    pub what: String,
    /// What can be done about it.
    pub next: String,
}

impl Failure {
    /// The trace cannot be opened.
    pub fn of_trace(error: &Error) -> Failure {
        let next = match error {
            Error::NotATrace { .. } => {
                "Record one with `malloscope record -o app.mscope -- app`, and open app.mscope.".to_owned()
            }
            Error::Reading { .. } => "Check the path, and that you may read the file.".to_owned(),
            Error::Version { .. } => {
                "Open it with the malloscope that recorded it, or a newer one.".to_owned()
            }
            _ => "Record it again: what is left of this file cannot be understood.".to_owned(),
        };
        Failure { what: error.to_string(), next }
    }

    /// The replay came to nothing.
    pub fn of_replay(error: &WorkerError, trace: &Path) -> Failure {
        let trace = trace.display();
        let next = match error {
            WorkerError::Failed(_) => format!(
                "Other settings may do: `malloscope replay {trace} --help` lists them. \
                 Without settings, `malloscope info {trace}` says what is known of the trace."
            ),
            WorkerError::Process(_) | WorkerError::Silent { .. } | WorkerError::Lines(_) => {
                format!(
                    "Try again. If it happens again, `malloscope replay {trace}` in a terminal says more."
                )
            }
        };
        Failure { what: error.to_string(), next }
    }
}
