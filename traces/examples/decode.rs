//! Decodes a trace over and over, and prints the least time it took, in nanoseconds a record:
//! `cargo run --release -p malloscope-traces --example decode app.mscope`. For `benches/replaying.sh`.

use malloscope_traces::Reader;
use std::error::Error;
use std::path::Path;
use std::time::Instant;

/// How often it is decoded.
const TIMES: u32 = 15;

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args_os().nth(1).ok_or("which trace?")?;
    let mut least = f64::INFINITY;
    for _ in 0..TIMES {
        let started = Instant::now();
        let mut reader = Reader::open_file(Path::new(&path))?;
        let (mut records, mut count) = (Vec::new(), 0);
        while reader.next_batch(&mut records)?.is_some() {
            count += records.len();
        }
        let nanos = u32::try_from(started.elapsed().as_nanos())?;
        least = least.min(f64::from(nanos) / f64::from(u32::try_from(count)?));
    }
    println!("{least:.2}");
    Ok(())
}
