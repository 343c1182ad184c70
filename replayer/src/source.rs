//! Batches of records from a trace file, decoded on a thread of their own.
//!
//! The thread that replays must do nothing else: its page faults are taken for the heap's. Where
//! several threads were recorded, another one stands between the two, and finds the order in which
//! their calls were made.

use crate::order::{Extent, Numbered, Orderer, Reordering, Twin};
use malloscope_traces::{Error, Header, Reader, Record};
use std::fs::File;
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread;

/// Batches that are decoded ahead.
const AHEAD: usize = 3;

/// A part of a trace.
#[derive(Debug)]
pub(crate) struct Batch {
    /// The number of the first record.
    pub(crate) first: u64,
    pub(crate) records: Vec<Record>,
    /// What they are, where they are not in order.
    pub(crate) order: Option<Vec<(u64, Extent)>>,
}

impl Batch {
    /// The records, their numbers, and how much of each is meant.
    pub(crate) fn numbered(&self) -> impl Iterator<Item = (u64, &Record, Extent)> {
        self.records.iter().enumerate().map(|(place, record)| {
            let in_order = (self.first + place as u64, Extent::Whole);
            let (number, extent) = self.order.as_ref().map_or(in_order, |order| order[place]);
            (number, record, extent)
        })
    }
}

/// Batches, in order. A damaged one is an error, and others may follow.
#[derive(Debug)]
pub(crate) struct Source {
    batches: Receiver<Result<Batch, Error>>,
    /// Where to send what has been used, to be filled again.
    used: SyncSender<Vec<Record>>,
    /// What was found about the order, if it was looked for.
    reordering: Option<Arc<Mutex<Reordering>>>,
}

impl Source {
    /// Opens a trace, and begins to decode it.
    pub(crate) fn open(path: &Path) -> Result<(Header, Option<u64>, Source), Error> {
        let reader = Reader::open_file(path)?;
        let header = reader.header().clone();
        let records = reader.totals().map(|totals| totals.records);
        let (sender, batches) = sync_channel(AHEAD);
        let (used, unused) = sync_channel(AHEAD + 2);
        thread::spawn(move || decode(reader, &sender, &unused));
        Ok((header, records, Source { batches, used, reordering: None }))
    }

    /// The same records in the order their calls were made in, as far as `twin`, a malloc like the
    /// recorded one, can tell.
    pub(crate) fn ordered(self, twin: Twin, recorded_break: u64) -> Source {
        let (sender, batches) = sync_channel(AHEAD);
        let reordering = Arc::new(Mutex::new(Reordering::default()));
        let found = Arc::clone(&reordering);
        let used = self.used.clone();
        thread::spawn(move || order(&self, Orderer::new(twin, recorded_break), &sender, &found));
        Source { batches, used, reordering: Some(reordering) }
    }

    /// What was found about the order, once all batches have been taken.
    pub(crate) fn reordering(&self) -> Option<Reordering> {
        let found = self.reordering.as_ref()?;
        Some(*found.lock().unwrap_or_else(|poisoned| poisoned.into_inner()))
    }

    /// The next batch; `None` at the end.
    pub(crate) fn next(&self) -> Option<Result<Batch, Error>> {
        self.batches.recv().ok()
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
    sender: &SyncSender<Result<Batch, Error>>,
    unused: &Receiver<Vec<Record>>,
) {
    loop {
        let mut records = unused.try_recv().unwrap_or_default();
        let batch = match reader.next_batch(&mut records) {
            Ok(Some(first)) => Ok(Batch { first, records, order: None }),
            Ok(None) => return,
            Err(error) => Err(error),
        };
        let goes_on = matches!(batch, Ok(_) | Err(Error::Damaged { .. }));
        if sender.send(batch).is_err() || !goes_on {
            return;
        }
    }
}

/// Orders until the trace ends or nobody listens any more.
fn order(
    source: &Source,
    mut orderer: Orderer,
    sender: &SyncSender<Result<Batch, Error>>,
    found: &Mutex<Reordering>,
) {
    while let Some(batch) = source.next() {
        let sent = match batch {
            Ok(batch) => {
                for (index, &record, extent) in batch.numbered() {
                    orderer.push(Numbered { index, record, extent });
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
    let order = numbered.iter().map(|numbered| (numbered.index, numbered.extent)).collect();
    let records = numbered.iter().map(|numbered| numbered.record).collect();
    Batch { first: 0, records, order: Some(order) }
}
