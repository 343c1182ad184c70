//! How far something is: on a terminal only, and only if it takes a while.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use malloscope_replayer::report::units::count;
use malloscope_replayer::run::Progress;
use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

/// Nothing is shown before this.
const PATIENCE: Duration = Duration::from_secs(1);

/// A line on standard error that says how far it is, how fast, and how long it will take.
pub struct Meter {
    bar: ProgressBar,
    started: Instant,
    shown: bool,
}

impl Meter {
    /// A meter for something whose work is counted in `unit`, called `what`.
    pub fn new(what: &'static str) -> Meter {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        bar.set_message(what);
        Meter { bar, started: Instant::now(), shown: !io::stderr().is_terminal() }
    }

    /// So much is done, of so much, if that is known.
    pub fn update(&mut self, progress: Progress) {
        if !self.shown && self.started.elapsed() > PATIENCE {
            self.shown = true;
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
            self.bar.set_style(style(progress.total.is_some()));
        }
        if let Some(total) = progress.total {
            self.bar.set_length(total);
        }
        self.bar.set_position(progress.done);
    }

    /// It is over; the line goes away.
    pub fn finish(self) {
        self.bar.finish_and_clear();
    }
}

/// A line on standard error every second, for whoever reads them: another program, or a log.
pub struct Lines {
    what: &'static str,
    last: Instant,
}

impl Lines {
    /// How far `what` is.
    pub fn new(what: &'static str) -> Lines {
        Lines { what, last: Instant::now() }
    }

    /// There are so many calls.
    pub fn update(&mut self, calls: u64) {
        if self.last.elapsed() >= PATIENCE {
            self.last = Instant::now();
            // Whoever read it may have gone; the work goes on.
            let _ = writeln!(io::stderr(), "malloscope: {}: {} calls", self.what, count(calls));
        }
    }
}

/// A line on standard error that says what is waited for, where nobody knows how long it takes.
pub struct Waiting {
    bar: ProgressBar,
    started: Instant,
}

impl Waiting {
    pub fn new() -> Waiting {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        bar.set_style(
            ProgressStyle::with_template("{wide_msg}").unwrap_or_else(|_| ProgressStyle::default_bar()),
        );
        Waiting { bar, started: Instant::now() }
    }

    /// It is this now.
    pub fn say(&mut self, what: &str) {
        if self.bar.is_hidden() && self.started.elapsed() > PATIENCE && io::stderr().is_terminal() {
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
        // A path of a stranger's could move the cursor.
        let shown = |char: char| if char.is_control() { char::REPLACEMENT_CHARACTER } else { char };
        self.bar.set_message(what.chars().map(shown).collect::<String>());
    }

    /// It is over; the line goes away.
    pub fn finish(self) {
        self.bar.finish_and_clear();
    }
}

fn style(has_total: bool) -> ProgressStyle {
    let template = if has_total {
        "{msg} {wide_bar} {human_pos} of {human_len} calls, {per_sec}, {eta} left"
    } else {
        "{msg} {spinner} {human_pos} calls, {per_sec}, {elapsed}"
    };
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
