//! How a recording goes, for whoever asks meanwhile: on a page of memory without a name, which the recorder has open and writes now
//! and then. Nobody listens for questions: who asks looks for the page among the files that processes have open, and the
//! kernel shows those to their owner alone.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use rustix::time::ClockId;

use crate::{clock, readings};

/// What the page is called, and how the kernel shows it.
const NAME: &str = "malloscope-status";
/// See there.
const SHOWN: &str = "/memfd:malloscope-status (deleted)";

/// How many numbers there are on it: those of [`Numbers`], and how often it was written in front and behind.
const WORDS: usize = 10;

/// Over how long a rate is taken.
const RATE: Duration = Duration::from_secs(1);

/// How a recording goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// The recorder's process.
    pub recorder: u32,
    /// What it says of itself.
    pub numbers: Numbers,
    /// Bytes of it that are in memory, with what it shares with the recorded processes.
    pub resident: u64,
}

/// What a recorder says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Numbers {
    /// The process that was launched, or attached to.
    pub process: u64,
    /// How many are recorded now.
    pub processes: u64,
    /// For how long it has been recorded, in nanoseconds.
    pub elapsed: u64,
    /// Calls recorded.
    pub calls: u64,
    /// Calls a second, of late.
    pub rate: u64,
    /// Calls that were lost.
    pub lost: u64,
    /// How often a thread waited for the recorder.
    pub waits: u64,
    /// Processor time of the recorder since it began, in nanoseconds.
    pub recorder_time: u64,
}

impl Numbers {
    fn to_words(self, times: u64) -> [u64; WORDS] {
        let Numbers { process, processes, elapsed, calls, rate, lost, waits, recorder_time } = self;
        [times, process, processes, elapsed, calls, rate, lost, waits, recorder_time, times]
    }

    /// Nothing if somebody was just writing them.
    fn from_words(words: [u64; WORDS]) -> Option<Numbers> {
        let [times, process, processes, elapsed, calls, rate, lost, waits, recorder_time, again] = words;
        let numbers = Numbers { process, processes, elapsed, calls, rate, lost, waits, recorder_time };
        (times == again && times != 0).then_some(numbers)
    }
}

/// The page of a recording.
#[derive(Debug)]
pub struct Board {
    page: File,
    process: u32,
    began: Instant,
    times: u64,
    /// When the rate was taken last, how many calls there were then, and what it was.
    rated: (Instant, u64, u64),
}

impl Board {
    /// Of the recording of this process. Nothing if there can be no page: then nobody can ask.
    pub fn new(process: u32) -> Option<Board> {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let page = File::from(memfd_create(NAME, flags).ok()?);
        page.set_len((WORDS * size_of::<u64>()) as u64).ok()?;
        fcntl_add_seals(&page, SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL).ok()?;
        let now = Instant::now();
        Some(Board { page, process, began: now, times: 0, rated: (now, 0, 0) })
    }

    /// Says how it goes now. What only we know is filled in.
    pub fn write(&mut self, known: Numbers) {
        let (since, before, _) = self.rated;
        if since.elapsed() >= RATE {
            let nanoseconds = since.elapsed().as_nanos().max(1);
            let rate = u128::from(known.calls.saturating_sub(before)) * 1_000_000_000 / nanoseconds;
            self.rated = (Instant::now(), known.calls, u64::try_from(rate).unwrap_or(u64::MAX));
        }
        self.times += 1;
        let numbers = Numbers {
            process: self.process.into(),
            elapsed: u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX),
            rate: self.rated.2,
            recorder_time: clock::nanoseconds(ClockId::ProcessCPUTime),
            ..known
        };
        let bytes = numbers.to_words(self.times).map(u64::to_le_bytes).concat();
        // Without it, nobody is told; the recording goes on.
        let _ = self.page.write_all_at(&bytes, 0);
    }
}

/// How the recording of a process goes, or the one by this recorder; `None` if there is none that we may see.
pub fn of(pid: u32) -> Option<Status> {
    let processes = fs::read_dir("/proc").ok()?;
    let ids = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    ids.filter_map(by).find(|status| status.recorder == pid || status.numbers.process == u64::from(pid))
}

/// What a process says of its recording, if it is a recorder that has begun.
fn by(recorder: u32) -> Option<Status> {
    let open = fs::read_dir(format!("/proc/{recorder}/fd")).ok()?;
    let mut paths = open.filter_map(|entry| Some(entry.ok()?.path()));
    let page = paths.find(|path| fs::read_link(path).is_ok_and(|name| name.as_os_str() == SHOWN))?;
    let numbers = read(&File::open(page).ok()?)?;
    let resident = readings::counted(recorder)?.resident;
    Some(Status { recorder, numbers, resident })
}

/// Reads a page, at a moment when nobody writes it.
fn read(page: &File) -> Option<Numbers> {
    const TRIES: u32 = 100;
    let once = || -> io::Result<Option<Numbers>> {
        let mut bytes = [0; WORDS * size_of::<u64>()];
        page.read_exact_at(&mut bytes, 0)?;
        let mut words = [0; WORDS];
        for (word, bytes) in words.iter_mut().zip(bytes.as_chunks().0) {
            *word = u64::from_le_bytes(*bytes);
        }
        Ok(Numbers::from_words(words))
    };
    (0..TRIES).find_map(|_| once().ok().flatten())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_found_by_the_process_and_by_its_recorder() {
        let mut board = Board::new(u32::MAX).expect("there is memory");
        assert_eq!(read(&board.page), None, "nothing was said yet");
        let known = Numbers { calls: 7, lost: 2, waits: 3, processes: 1, ..Numbers::default() };
        board.write(known);
        let found = of(u32::MAX).expect("it is being recorded");
        assert_eq!(found.recorder, std::process::id());
        let Numbers { elapsed, recorder_time, .. } = found.numbers;
        let expected = Numbers { process: u32::MAX.into(), elapsed, recorder_time, ..known };
        assert_eq!(found.numbers, expected);
        assert!(elapsed > 0 && recorder_time > 0 && found.resident > 0);
        // A page that is just being written is not believed.
        let torn = Numbers::from_words([1, 0, 0, 0, 0, 0, 0, 0, 0, 2]);
        assert_eq!(torn, None);
        drop(board);
        assert_eq!(of(u32::MAX), None);
    }
}
