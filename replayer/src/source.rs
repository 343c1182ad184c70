//! Batches of records from a trace file, decoded on a thread of their own.
//!
//! The thread that replays must do nothing else: its page faults are taken for the heap's. Where
//! several threads were recorded, another one stands between the two, and finds the order in which
//! their calls were made.

use crate::order::{Numbered, Orderer, Reordering, Twin};
use crate::turn::Turn;
use malloscope_traces::untouched::Spared;
use malloscope_traces::{Error, Header, Reader, Record, Stack, Thread};
use std::cell::RefCell;
use std::fs::File;
use std::panic;
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Batches that are decoded ahead.
const AHEAD: usize = 3;
/// How long a trace that is being written is left alone when there was nothing new in it. What is recorded
/// reaches the file at least once a second.
const PATIENCE: Duration = Duration::from_millis(100);

/// A part of a trace.
#[derive(Debug)]
pub(crate) struct Batch {
    /// The number of the first record.
    pub(crate) first: u64,
    pub(crate) records: Vec<Record>,
    /// Their stacks; none, if no record has one.
    pub(crate) stacks: Vec<Stack>,
    /// What they are, where they are not in order.
    pub(crate) order: Option<Vec<Turn>>,
}

impl Batch {
    /// The records, which they are, and their stacks.
    pub(crate) fn turns(&self) -> impl Iterator<Item = (Turn, &Record, Stack)> {
        self.records.iter().enumerate().map(|(place, record)| {
            let in_order = Turn::whole(self.first + place as u64);
            let turn = self.order.as_ref().map_or(in_order, |order| order[place]);
            (turn, record, self.stacks.get(place).copied().unwrap_or_default())
        })
    }
}

/// Batches, in order. A damaged one is an error, and others may follow.
#[derive(Debug)]
pub(crate) struct Source {
    batches: Receiver<Result<Batch, Error>>,
    /// Where to send what has been used, to be filled again.
    used: SyncSender<Vec<Record>>,
    /// Who sends them, until it has ended.
    worker: RefCell<Option<JoinHandle<()>>>,
    /// What was found about the order, if it was looked for.
    reordering: Option<Arc<Mutex<Reordering>>>,
    /// Which memory was seen not to be touched.
    pub(crate) untouched: Option<Arc<Spared>>,
}

impl Source {
    /// Opens a trace, and begins to decode it. Where it `follows`, the trace ends when nobody writes it any more,
    /// and a batch without records says that there are none yet.
    pub(crate) fn open(path: &Path, follows: bool) -> Result<(Header, Option<u64>, Source), Error> {
        let mut reader = Reader::open_file(path)?;
        // Nobody has seen the end of a trace that is still being written, and without it nothing is known.
        let untouched = if reader.ending().is_some() {
            reader.untouched()?.map(|untouched| Arc::new(Spared::of(untouched)))
        } else {
            None
        };
        let header = reader.header().clone();
        let records = reader.totals().map(|totals| totals.records);
        let (sender, batches) = sync_channel(AHEAD);
        let (used, unused) = sync_channel(AHEAD + 2);
        let worker = thread::spawn(move || decode(reader, follows, &sender, &unused));
        let worker = RefCell::new(Some(worker));
        Ok((header, records, Source { batches, used, worker, reordering: None, untouched }))
    }

    /// The same records in the order their calls were made in, as far as `twin`, a malloc like the
    /// recorded one, can tell. `path` is where they come from.
    pub(crate) fn ordered(self, path: &Path, twin: Twin, recorded_break: u64) -> Source {
        let (sender, batches) = sync_channel(AHEAD);
        let reordering = Arc::new(Mutex::new(Reordering::default()));
        let found = Arc::clone(&reordering);
        let used = self.used.clone();
        let path = path.to_path_buf();
        let untouched = self.untouched.clone();
        let worker = thread::spawn(move || {
            let Some(threaded) = pass_on_while_alone(&self, &sender) else { return };
            let mut orderer = Orderer::new(twin, recorded_break, threaded.first);
            match catch_up(&path, &mut orderer, threaded.first) {
                Ok(()) => order(&self, orderer, threaded, &sender, &found),
                // If nobody listens any more, nobody needs to know.
                Err(error) => drop(sender.send(Err(error))),
            }
        });
        let worker = RefCell::new(Some(worker));
        Source { batches, used, worker, reordering: Some(reordering), untouched }
    }

    /// What was found about the order, once all batches have been taken.
    pub(crate) fn reordering(&self) -> Option<Reordering> {
        let found = self.reordering.as_ref()?;
        Some(*found.lock().unwrap_or_else(|poisoned| poisoned.into_inner()))
    }

    /// The next batch; `None` at the end. Panics if who sends them has panicked: that is no end.
    fn next(&self) -> Option<Result<Batch, Error>> {
        let batch = self.batches.recv().ok();
        if batch.is_none()
            && let Some(worker) = self.worker.take()
            && let Err(panic) = worker.join()
        {
            panic::resume_unwind(panic);
        }
        batch
    }

    /// The next batch that is sound; what of the trace is not is added to `damage`.
    ///
    /// # Errors
    ///
    /// When nothing more can be read.
    pub(crate) fn next_sound(&self, damage: &mut Vec<String>) -> Result<Option<Batch>, Error> {
        loop {
            match self.next().transpose() {
                Err(error @ Error::Damaged { .. }) => damage.push(error.to_string()),
                batch => return batch,
            }
        }
    }

    /// Gives back a batch that has been used.
    pub(crate) fn recycle(&self, batch: Batch) {
        // If the decoder has finished, nobody wants it.
        let _ = self.used.try_send(batch.records);
    }
}

/// Decodes until the trace ends or nobody listens any more.
fn decode(
    mut reader: Reader<File>,
    follows: bool,
    sender: &SyncSender<Result<Batch, Error>>,
    unused: &Receiver<Vec<Record>>,
) {
    let mut is_written = follows;
    loop {
        let mut records = unused.try_recv().unwrap_or_default();
        // First, so that nothing can be written between the two and be missed.
        is_written &= reader.is_being_written();
        let yet = if follows { reader.next_batch_yet(&mut records) } else { Ok(None) };
        let read = match yet {
            Ok(None) if !is_written => reader.next_batch(&mut records),
            yet => yet,
        };
        let batch = match read {
            Ok(Some(first)) => {
                let stacks = reader.batch_stacks().to_vec();
                Ok(Batch { first, records, stacks, order: None })
            }
            Ok(None) if is_written => {
                thread::sleep(PATIENCE);
                Ok(Batch { first: 0, records, stacks: Vec::new(), order: None })
            }
            Ok(None) => return,
            Err(error) => Err(error),
        };
        let goes_on = matches!(batch, Ok(_) | Err(Error::Damaged { .. }));
        if sender.send(batch).is_err() || !goes_on {
            return;
        }
    }
}

/// Batches in which the calls of several threads begin.
struct Threaded {
    batches: Vec<Batch>,
    /// The number of their first record.
    first: u64,
}

/// Passes on batches for as long as there is one thread, whose calls need no ordering. The last such
/// batch stays behind: its end may overlap with what other threads do. None if that was all.
fn pass_on_while_alone(source: &Source, sender: &SyncSender<Result<Batch, Error>>) -> Option<Threaded> {
    let mut thread = None;
    let mut behind: Option<Batch> = None;
    while let Some(batch) = source.next() {
        let batch = match batch {
            Ok(batch) => batch,
            Err(error) => {
                sender.send(Err(error)).ok()?;
                continue;
            }
        };
        if batch.records.is_empty() {
            // There is nothing more yet.
            sender.send(Ok(batch)).ok()?;
            continue;
        }
        let alone = *thread.get_or_insert(batch.records.first().map_or(Thread(0), |record| record.thread));
        if batch.records.iter().any(|record| record.thread != alone) {
            let batches: Vec<Batch> = behind.into_iter().chain([batch]).collect();
            let first = batches[0].first;
            return Some(Threaded { batches, first });
        }
        if let Some(earlier) = behind.replace(batch) {
            sender.send(Ok(earlier)).ok()?;
        }
    }
    let _ = behind.map(|last| sender.send(Ok(last)));
    None
}

/// Gives the orderer the records before the first that it is to order, from the trace's beginning.
fn catch_up(path: &Path, orderer: &mut Orderer, first: u64) -> Result<(), Error> {
    let mut reader = Reader::open_file(path)?;
    let mut records = Vec::new();
    if first == 0 {
        return Ok(());
    }
    loop {
        match reader.next_batch(&mut records) {
            Ok(Some(number)) if number < first => {
                for (index, &record) in (number..).zip(&records) {
                    orderer.push(Numbered { turn: Turn::whole(index), record, stack: Stack::NONE });
                }
            }
            // The damage has been told before.
            Err(Error::Damaged { .. }) => {}
            Ok(_) => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}

/// Orders until the trace ends or nobody listens any more.
fn order(
    source: &Source,
    mut orderer: Orderer,
    threaded: Threaded,
    sender: &SyncSender<Result<Batch, Error>>,
    found: &Mutex<Reordering>,
) {
    let mut batches = threaded.batches.into_iter().map(Ok);
    while let Some(batch) = batches.next().or_else(|| source.next()) {
        let sent = match batch {
            Ok(batch) => {
                for (turn, &record, stack) in batch.turns() {
                    orderer.push(Numbered { turn, record, stack });
                }
                source.recycle(batch);
                sender.send(Ok(collect(orderer.take())))
            }
            Err(error) => sender.send(Err(error)),
        };
        if sent.is_err() {
            return;
        }
    }
    orderer.finish();
    *found.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = orderer.result();
    // Nobody may be listening any more.
    let _ = sender.send(Ok(collect(orderer.take())));
}

fn collect(numbered: Vec<Numbered>) -> Batch {
    let order = numbered.iter().map(|numbered| numbered.turn).collect();
    let records = numbered.iter().map(|numbered| numbered.record).collect();
    let stacks = numbered.iter().map(|numbered| numbered.stack).collect();
    Batch { first: 0, records, stacks, order: Some(order) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "a fault in the search")]
    fn a_worker_that_panics_is_not_taken_for_the_end_of_the_trace() {
        let (sender, batches) = sync_channel(AHEAD);
        let (used, _) = sync_channel(AHEAD);
        let worker = thread::spawn(move || {
            let _still_open = sender;
            panic!("a fault in the search");
        });
        let source =
            Source { batches, used, worker: RefCell::new(Some(worker)), reordering: None, untouched: None };
        source.next();
    }
}
