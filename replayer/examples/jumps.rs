//! How long it takes to go through a trace to its end, and then to places far back, as the heap map does.
//!
//!     jumps TRACE [JUMPS]
//!
//! Places are at even distances, in an order that never goes on from where it stands. Times are those of the processor, of
//! all threads; memory is the most there was.

use malloscope_replayer::explore::{Explorer, Watched};
use malloscope_replayer::report::units::{count, nanos};
use malloscope_replayer::trial::Trial;
use rustix::time::{ClockId, clock_gettime};
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let trace = PathBuf::from(arguments.next().ok_or("jumps TRACE [JUMPS]")?);
    let jumps: u64 = arguments.next().map_or(Ok(16), |jumps| jumps.parse())?;
    let mut explorer = Explorer::open(&trace, &Trial::default())?;
    let stop = AtomicBool::new(false);
    let go_to = |explorer: &mut Explorer, made: u64| {
        let began = clock_gettime(ClockId::ProcessCPUTime);
        explorer.go_to(made, &mut Watched { progress: &mut |_| {}, stop: &stop })?;
        let took = clock_gettime(ClockId::ProcessCPUTime) - began;
        Ok::<u64, Box<dyn std::error::Error>>(
            u64::try_from(took.tv_sec)? * 1_000_000_000 + u64::try_from(took.tv_nsec)?,
        )
    };
    let there = go_to(&mut explorer, u64::MAX)?;
    let records = explorer.made();
    println!("{} records to the end: {}", count(records), nanos(there));
    let mut times = Vec::new();
    for number in 0..jumps {
        // From the last part to the first, and from there to the last but one.
        let part = if number % 2 == 0 { jumps - 1 - number / 2 } else { number / 2 };
        let place = records / jumps * part + records / jumps / 2;
        let time = go_to(&mut explorer, place)?;
        println!("to record {:>13}: {}", count(place), nanos(time));
        times.push(time);
    }
    times.sort_unstable();
    println!(
        "median {}, longest {}",
        nanos(times[times.len() / 2]),
        nanos(times.last().copied().unwrap_or(0))
    );
    let status = std::fs::read_to_string("/proc/self/status")?;
    println!("{}", status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or_default());
    Ok(())
}
