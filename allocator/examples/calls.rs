//! Makes the calls of a script on a heap over this process's own memory, with every counter `on` or with
//! nobody listening, and prints what it took of the processor: the least nanoseconds a call of so many
//! times. The script is what `malloscope dump --format ops` prints, of one thread. For
//! `benches/replaying.sh` and `benches/allocator.sh`, beside glibc.

use malloscope_allocator::address::{Address, Request};
use malloscope_allocator::heap::Heap;
use malloscope_allocator::memory::process::Process;
use malloscope_allocator::memory::{Kernel, Processors};
use malloscope_allocator::observe::Observer;
use malloscope_allocator::observe::counters::Counters;
use malloscope_allocator::release::V2_36;
use malloscope_allocator::thread::ThreadId;
use malloscope_allocator::tunables::Tunables;
use rustix::time::{ClockId, clock_gettime};
use std::error::Error;
use std::time::Duration;

/// A call, and the slot of the pointer it takes or gives.
#[derive(Clone, Copy)]
enum Call {
    Malloc { slot: u32, request: u64 },
    Calloc { slot: u32, request: u64 },
    Realloc { slot: u32, request: u64 },
    Free { slot: u32 },
    Memalign { slot: u32, alignment: u64, request: u64 },
}

impl Call {
    fn slot(self) -> usize {
        let (Call::Malloc { slot, .. }
        | Call::Calloc { slot, .. }
        | Call::Realloc { slot, .. }
        | Call::Free { slot }
        | Call::Memalign { slot, .. }) = self;
        slot as usize
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let usage = "calls SCRIPT [TIMES [on|off]]";
    let text = std::fs::read_to_string(arguments.next().ok_or(usage)?)?;
    let times: u32 = arguments.next().map_or(Ok(1), |times| times.parse())?;
    let counts = arguments.next().is_none_or(|word| word == "on");
    let calls = text.lines().filter_map(parse).collect::<Result<Vec<Call>, _>>()?;
    drop(text);
    let mut least = f64::INFINITY;
    for _ in 0..times {
        let took = if counts { run(&calls, Counters::default())? } else { run(&calls, ())? };
        least = least.min(took.as_secs_f64() * 1e9 / f64::from(u32::try_from(calls.len())?));
    }
    println!("{least:.2}");
    Ok(())
}

/// What the calls take on a new heap, which then gives the program break back.
fn run<O: Observer>(calls: &[Call], observer: O) -> Result<Duration, Box<dyn Error>> {
    let mut slots = vec![Address::NULL; calls.iter().map(|call| call.slot() + 1).max().unwrap_or(0)];
    // Written, so that they are there before the clock runs.
    slots.fill(Address(1));
    slots.fill(Address::NULL);
    let memory = Process::new(Processors { online: 1, allowed: 1 }, false).ok_or("no memory at all")?;
    let initial_break = memory.program_break();
    let mut heap = Heap::new(memory, observer, V2_36, &Tunables::default());
    let started = processor();
    for &call in calls {
        make(&mut heap, &mut slots, call)?;
    }
    let took = processor().saturating_sub(started);
    let grown = heap.memory().program_break() - initial_break;
    heap.memory_mut().move_break(-i64::try_from(grown)?);
    Ok(took)
}

#[inline]
fn make<O: Observer>(
    heap: &mut Heap<Process, O>,
    slots: &mut [Address],
    call: Call,
) -> Result<(), Box<dyn Error>> {
    let thread = ThreadId::MAIN;
    let slot = &mut slots[call.slot()];
    *slot = match call {
        Call::Malloc { request, .. } => heap.malloc(thread, Request(request))?,
        Call::Calloc { request, .. } => heap.calloc(thread, 1, request)?,
        Call::Realloc { request, .. } => heap.realloc(thread, *slot, Request(request))?,
        Call::Memalign { alignment, request, .. } => heap.memalign(thread, alignment, Request(request))?,
        Call::Free { .. } => {
            heap.free(thread, *slot)?;
            Address::NULL
        }
    };
    Ok(())
}

/// What this thread has had of the processor.
fn processor() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default()
}

/// A line of a script: `0 malloc SLOT SIZE`, and so on; comments are nothing.
fn parse(line: &str) -> Option<Result<Call, Box<dyn Error>>> {
    let mut words = line.split_ascii_whitespace().skip(1);
    let name = words.next().filter(|_| !line.starts_with('#'))?;
    let numbers: Result<Vec<u64>, _> = words.map(str::parse).collect();
    Some(numbers.map_err(Into::into).and_then(|numbers| {
        let number = |place: usize| numbers.get(place).copied().unwrap_or(1);
        let (slot, request) = (u32::try_from(number(0))?, number(1));
        Ok(match name {
            "malloc" => Call::Malloc { slot, request },
            "calloc" => Call::Calloc { slot, request: request * number(2) },
            "realloc" => Call::Realloc { slot, request },
            "free" => Call::Free { slot },
            "memalign" | "posix_memalign" | "aligned_alloc" => {
                Call::Memalign { slot, alignment: request, request: number(2) }
            }
            other => return Err(format!("{other} is not timed").into()),
        })
    }))
}
