//! Which clock a recording runs on, and how many nanoseconds its ticks are.

use std::fs;
use std::thread;
use std::time::Duration;

use malloscope_wire::clock::{Clock, ticks};
use rustix::time::{ClockId, clock_gettime};

/// How far apart two readings must be to compare two clocks by them.
///
/// Reading both takes some 50 ns here, so 10 ms make an error of 5 in a million: 20 ms in an hour,
/// a tenth of what NTP may turn the other clock by.
const BASELINE: u64 = 10_000_000;

/// The processor's counter, if the kernel itself relies on it; else the kernel's clock.
pub fn choose() -> Clock {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let processors = read("/proc/cpuinfo");
    let flags = processors.lines().find(|line| line.starts_with("flags")).unwrap_or_default();
    let has = |flag| flags.split_ascii_whitespace().any(|word| word == flag);
    let source = read("/sys/devices/system/clocksource/clocksource0/current_clocksource");
    if has("constant_tsc") && has("nonstop_tsc") && source.trim() == "tsc" {
        Clock::Tsc
    } else {
        Clock::Monotonic
    }
}

/// The time, as the agents take it.
pub fn now(clock: Clock) -> u64 {
    match clock {
        Clock::Tsc => ticks(),
        Clock::Monotonic => nanoseconds(ClockId::Monotonic),
    }
}

/// This clock, in nanoseconds.
pub fn nanoseconds(clock: ClockId) -> u64 {
    let time = clock_gettime(clock);
    let [seconds, rest] = [time.tv_sec, time.tv_nsec].map(|part| u64::try_from(part).unwrap_or(0));
    seconds * 1_000_000_000 + rest
}

/// Both clocks at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    ticks: u64,
    nanoseconds: u64,
}

impl Moment {
    /// Now.
    ///
    /// The best of some tries: one that is interrupted is longer than one that is not.
    pub fn now() -> Moment {
        let attempt = || {
            let before = ticks();
            let nanoseconds = nanoseconds(ClockId::Monotonic);
            let after = ticks();
            let ticks = before + after.wrapping_sub(before) / 2;
            (after.wrapping_sub(before), Moment { ticks, nanoseconds })
        };
        let tries = [(); 8].map(|()| attempt());
        let best = tries.into_iter().min_by_key(|(took, _)| *took);
        best.map_or(Moment { ticks: 0, nanoseconds: 0 }, |(_, moment)| moment)
    }
}

/// How ticks become nanoseconds.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    /// Nanoseconds per tick, times 2³².
    factor: u64,
}

impl Scale {
    /// The scale of this clock, which was read at `since`. May wait some milliseconds.
    pub fn measured(clock: Clock, since: Moment) -> Scale {
        match clock {
            Clock::Monotonic => Scale { factor: 1 << 32 },
            Clock::Tsc => Scale::between(since, later(since)),
        }
    }

    fn between(first: Moment, second: Moment) -> Scale {
        let nanoseconds = u128::from(second.nanoseconds - first.nanoseconds) << 32;
        let ticks = u128::from(second.ticks.wrapping_sub(first.ticks)).max(1);
        Scale { factor: u64::try_from(nanoseconds / ticks).unwrap_or(u64::MAX) }
    }

    /// This many ticks in nanoseconds.
    #[inline]
    pub fn nanoseconds(self, ticks: u64) -> u64 {
        let product = u128::from(ticks) * u128::from(self.factor);
        u64::try_from(product >> 32).unwrap_or(u64::MAX)
    }

    /// This many nanoseconds in ticks.
    pub fn ticks(self, nanoseconds: u64) -> u64 {
        let product = u128::from(nanoseconds) << 32;
        u64::try_from(product / u128::from(self.factor.max(1))).unwrap_or(u64::MAX)
    }
}

/// A moment far enough from this one to compare clocks.
fn later(since: Moment) -> Moment {
    let now = Moment::now();
    let missing = BASELINE.saturating_sub(now.nanoseconds - since.nanoseconds);
    if missing == 0 {
        return now;
    }
    thread::sleep(Duration::from_nanos(missing));
    Moment::now()
}
