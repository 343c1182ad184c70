//! The threads of another tool's file: their names there, and their numbers in the trace.

use super::{ImportError, record};
use crate::record::{Call, Thread};
use crate::write::Writer;
use std::collections::HashMap;
use std::io::Write;

/// The threads that run, by the kernel's names for them. The first to make a call is the first one.
#[derive(Debug, Default)]
pub(super) struct Threads {
    running: HashMap<u32, Thread>,
    begun: u32,
}

impl Threads {
    /// The number of a thread; one that was not there yet begins.
    pub fn of<W: Write>(&mut self, id: u32, time: u64, trace: &mut Writer<W>) -> Result<Thread, ImportError> {
        if let Some(thread) = self.running.get(&id) {
            return Ok(*thread);
        }
        let thread = Thread(self.begun);
        self.begun += 1;
        self.running.insert(id, thread);
        trace.record(&record(time, thread, Call::ThreadStart { id }))?;
        Ok(thread)
    }

    /// A thread is gone, and the next of its name is another one.
    pub fn end<W: Write>(&mut self, id: u32, time: u64, trace: &mut Writer<W>) -> Result<(), ImportError> {
        match self.running.remove(&id) {
            Some(thread) => Ok(trace.record(&record(time, thread, Call::ThreadExit))?),
            // It made no call.
            None => Ok(()),
        }
    }
}
