//! How much of the machine the recorder takes for itself: which processors, and before whom.
//!
//! What a recorded program inherits is not changed: it is started before.

use std::io;

use rustix::process::{getpriority_process, setpriority_process};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// What the recorder keeps to.
#[derive(Clone, Debug, Default)]
pub struct Manners {
    /// How readily it stands back: from −20, before all others, to 19; as before if nothing is said.
    pub nice: Option<i32>,
    /// The processors it runs on, by number; as before if there are none.
    pub processors: Vec<usize>,
}

impl Manners {
    /// Whether it can keep to them; everything is as before then.
    pub fn rehearse(&self) -> io::Result<()> {
        let before = getpriority_process(None)?;
        // To stand back more is always allowed, and cannot always be taken back.
        if let Some(nice) = self.nice.filter(|nice| *nice < before) {
            setpriority_process(None, nice)?;
            setpriority_process(None, before)?;
        }
        let before = sched_getaffinity(None)?;
        if let Some(set) = self.set()? {
            sched_setaffinity(None, &set)?;
            sched_setaffinity(None, &before)?;
        }
        Ok(())
    }

    /// This thread keeps to them from now on, and those that it makes.
    pub fn keep(&self) -> io::Result<()> {
        if let Some(nice) = self.nice {
            setpriority_process(None, nice)?;
        }
        self.set()?.map_or(Ok(()), |set| Ok(sched_setaffinity(None, &set)?))
    }

    fn set(&self) -> io::Result<Option<CpuSet>> {
        let mut set = CpuSet::new();
        for &processor in &self.processors {
            if processor >= CpuSet::MAX_CPU {
                return Err(io::ErrorKind::InvalidInput.into());
            }
            set.set(processor);
        }
        Ok((!self.processors.is_empty()).then_some(set))
    }
}
