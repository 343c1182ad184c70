//! What the kernel says of the recorded processes, asked for on a clock, in a thread of its own: who reads rings has no time
//! to wait for it.
//!
//! How much of a process is in memory, and how often it touched a page for the first time, costs some microseconds to ask. To
//! add up its mappings the kernel looks at every page, and the process cannot map memory meanwhile: that is asked
//! for only as often as it takes up a hundredth of the time.

use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use malloscope_traces::readings::{Mappings, Reading};
use malloscope_wire::Clock;

use crate::attach::target;
use crate::clock;
use crate::heap::SEGMENT;
use crate::heap::maps::{self, Mapped};

/// How much of the time may be spent on mappings: one part of so many.
const SHARE: u32 = 100;

/// A process whose readings are taken.
#[derive(Clone, Copy, Debug)]
struct Process {
    serial: u64,
    pid: u32,
    /// When its mappings may be asked for again.
    mappings: Instant,
}

/// A reading, the process it is of, and when it was taken, in ticks.
#[derive(Clone, Copy, Debug)]
pub struct Taken {
    /// The process's serial.
    pub serial: u64,
    /// When.
    pub ticks: u64,
    /// What was said, without its time.
    pub reading: Reading,
}

/// A change of what is asked for.
#[derive(Clone, Copy, Debug)]
enum Order {
    Begin { serial: u64, pid: u32 },
    End { serial: u64 },
}

/// Takes readings until it is dropped.
#[derive(Debug)]
pub struct Readings {
    orders: Option<Sender<Order>>,
    taken: Receiver<Taken>,
    worker: Option<JoinHandle<()>>,
}

impl Readings {
    /// Takes them of every process so often. Nothing if there can be no thread for it.
    pub fn begin(period: Duration, clock: Clock) -> Option<Readings> {
        let (orders, ordered) = mpsc::channel();
        let (send, taken) = mpsc::channel();
        let work = move || work(period, clock, &ordered, &send);
        let worker = thread::Builder::new().name("readings".to_owned()).spawn(work).ok()?;
        Some(Readings { orders: Some(orders), taken, worker: Some(worker) })
    }

    /// From now on of this process too.
    pub fn follow(&self, serial: u64, pid: u32) {
        self.order(Order::Begin { serial, pid });
    }

    /// No longer of this one.
    pub fn leave(&self, serial: u64) {
        self.order(Order::End { serial });
    }

    fn order(&self, order: Order) {
        // If the thread is gone, nothing is taken.
        let _ = self.orders.iter().try_for_each(|orders| orders.send(order));
    }

    /// Those that were taken since the last time.
    pub fn taken(&self) -> impl Iterator<Item = Taken> + '_ {
        self.taken.try_iter()
    }
}

impl Drop for Readings {
    fn drop(&mut self) {
        drop(self.orders.take());
        if let Some(worker) = self.worker.take() {
            let _ = worker.join();
        }
    }
}

fn work(period: Duration, clock: Clock, orders: &Receiver<Order>, send: &Sender<Taken>) {
    let mut processes: Vec<Process> = Vec::new();
    let mut next = Instant::now() + period;
    loop {
        match orders.recv_timeout(next.saturating_duration_since(Instant::now())) {
            Ok(Order::Begin { serial, pid }) => {
                let mut process = Process { serial, pid, mappings: Instant::now() };
                if !process.take(clock, send) {
                    return;
                }
                processes.push(process);
            }
            Ok(Order::End { serial }) => processes.retain(|process| process.serial != serial),
            Err(RecvTimeoutError::Disconnected) => return,
            Err(RecvTimeoutError::Timeout) => {
                if !processes.iter_mut().all(|process| process.take(clock, send)) {
                    return;
                }
                // Not from when it should have been: what took long would be followed by many at once.
                next = Instant::now() + period;
            }
        }
    }
}

impl Process {
    /// Takes a reading. Returns whether anybody still wants them.
    fn take(&mut self, clock: Clock, send: &Sender<Taken>) -> bool {
        let ticks = clock::now(clock);
        let Some(mut reading) = counted(self.pid) else { return true };
        let began = Instant::now();
        if began >= self.mappings {
            reading.mappings = mappings(&target::told(self.pid, "smaps"));
            self.mappings = Instant::now() + SHARE * began.elapsed();
        }
        send.send(Taken { serial: self.serial, ticks, reading }).is_ok()
    }
}

/// What the kernel counts of a process all the while; `None` if that is gone.
pub fn counted(pid: u32) -> Option<Reading> {
    let status = target::told(pid, "status");
    let kilobytes = |name: &str| {
        Some(
            target::value_in(&status, name)?
                .strip_suffix(" kB")?
                .parse::<u64>()
                .ok()?
                .saturating_mul(1 << 10),
        )
    };
    let stat = target::told(pid, "stat");
    // The fields follow the name, which is in parentheses and may hold any character: the state is the third.
    let mut fields = stat.rsplit_once(") ")?.1.split(' ');
    let mut field = |skipped: usize| fields.nth(skipped)?.parse::<u64>().ok();
    Some(Reading {
        resident: kilobytes("VmRSS")?,
        most_resident: kilobytes("VmHWM")?,
        minor_faults: field(7)?,
        major_faults: field(1)?,
        ..Reading::default()
    })
}

/// Adds up what `smaps` says; nothing if it says nothing.
fn mappings(smaps: &str) -> Option<Mappings> {
    let all = extents(smaps);
    let mut sums = Mappings::default();
    for (number, one) in all.iter().enumerate() {
        sums.proportional = sums.proportional.saturating_add(one.proportional);
        let sum = match &one.mapped {
            mapped if mapped.name == "[heap]" => &mut sums.heap,
            mapped if is_of_arena(mapped, all.get(number + 1).map(|next| &next.mapped)) => &mut sums.arenas,
            _ => continue,
        };
        sum.mapped = sum.mapped.saturating_add(one.mapped.range.length());
        sum.resident = sum.resident.saturating_add(one.resident);
    }
    (!all.is_empty()).then_some(sums)
}

/// A mapping, and how much of it is in memory.
struct Extents {
    mapped: Mapped,
    resident: u64,
    proportional: u64,
}

fn extents(smaps: &str) -> Vec<Extents> {
    let mut all: Vec<Extents> = Vec::new();
    for line in smaps.lines() {
        let bytes = |name: &str| {
            let value = line.strip_prefix(name)?.trim().strip_suffix(" kB")?;
            value.parse::<u64>().ok()?.checked_mul(1 << 10)
        };
        if let Some(resident) = bytes("Rss:") {
            all.iter_mut().next_back().into_iter().for_each(|last| last.resident = resident);
        } else if let Some(proportional) = bytes("Pss:") {
            all.iter_mut().next_back().into_iter().for_each(|last| last.proportional = proportional);
        } else if let Some(mapped) = maps::line(line) {
            all.push(Extents { mapped, resident: 0, proportional: 0 });
        }
    }
    all
}

/// Whether a mapping is what an arena has made accessible of a segment: that begins at a multiple of its
/// length, and what it may still grow by follows.
fn is_of_arena(one: &Mapped, next: Option<&Mapped>) -> bool {
    let end = one.range.start.saturating_add(SEGMENT);
    let is_whole = one.range.end >= end;
    let may_grow = next.is_some_and(|next| {
        next.range.start == one.range.end
            && next.range.end >= end
            && next.is_anonymous()
            && !next.is_accessible
    });
    one.is_private_and_writable
        && one.is_anonymous()
        && one.range.start.is_multiple_of(SEGMENT)
        && (is_whole || may_grow)
}

#[cfg(test)]
mod tests {
    use malloscope_traces::readings::Extent;

    use super::*;

    const SMAPS: &str = "\
55d0c0000000-55d0c0021000 rw-p 00000000 00:00 0                          [heap]
Size:                132 kB
Rss:                  12 kB
Pss:                  12 kB
Pss_Dirty:            12 kB
VmFlags: rd wr mr mw me ac sd
7f1000000000-7f1000030000 rw-p 00000000 00:00 0
Rss:                 100 kB
Pss:                 100 kB
7f1000030000-7f1004000000 ---p 00000000 00:00 0
Rss:                   0 kB
Pss:                   0 kB
7f1008000000-7f1008800000 rw-p 00000000 00:00 0
Rss:                  64 kB
Pss:                  64 kB
7f1010000000-7f1010026000 r--p 00000000 fe:00 326279                     /usr/lib/libc.so.6
Rss:                 152 kB
Pss:                   7 kB
";

    #[test]
    fn the_heap_and_the_arenas_are_told_from_other_memory() {
        let found = mappings(SMAPS).expect("it says something");
        // What begins at such a multiple and is followed by nothing is somebody else's.
        let expected = Mappings {
            proportional: (12 + 100 + 64 + 7) << 10,
            heap: Extent { mapped: 0x21000, resident: 12 << 10 },
            arenas: Extent { mapped: 0x30000, resident: 100 << 10 },
        };
        assert_eq!(found, expected);
        assert_eq!(mappings(""), None);
    }

    #[test]
    fn we_are_told_of_ourselves_what_we_did() {
        let us = std::process::id();
        let before = counted(us).expect("we are there");
        // What nobody can see, the compiler need not do.
        let touched = std::hint::black_box(vec![1_u8; 8 << 20]);
        let after = counted(us).expect("we are there");
        assert!(after.minor_faults >= before.minor_faults, "{before:?} {after:?}");
        assert!(after.most_resident >= after.resident && after.resident >= 8 << 20, "{after:?}");
        assert_eq!(touched[touched.len() - 1], 1);
        assert_eq!(counted(u32::MAX), None);
    }
}
