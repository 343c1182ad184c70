//! What should be noticed about a replay, and what to do about it.

use malloscope_replayer::outcome::Outcome;
use malloscope_replayer::recognition::Recognition;
use malloscope_replayer::report::units::count;
use malloscope_replayer::report::{Report, TraceInfo};

/// Something that should be noticed, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// What is the matter.
    pub what: String,
    /// What it means for the numbers, or what can be done.
    pub next: String,
}

fn notice(what: impl Into<String>, next: impl Into<String>) -> Notice {
    Notice { what: what.into(), next: next.into() }
}

/// Everything that should be noticed, the gravest first.
pub fn of(report: &Report) -> Vec<Notice> {
    let mut notices = Vec::new();
    notices.extend(corruption(&report.outcome));
    notices.extend(damage(&report.outcome));
    notices.extend(cut_short(report));
    notices.extend(lost(&report.trace));
    notices.extend(differs(report));
    notices.extend(oddities(&report.outcome));
    notices.extend(settings(&report.outcome));
    notices
}

fn corruption(outcome: &Outcome) -> Option<Notice> {
    let corrupted = outcome.corruption.as_ref()?;
    Some(notice(
        format!(
            "The heap is corrupted at record {}; glibc says: {}",
            count(corrupted.record),
            corrupted.message
        ),
        "The replay ends there. The program wrote where it should not: look for it with AddressSanitizer.",
    ))
}

fn damage(outcome: &Outcome) -> Option<Notice> {
    let first = outcome.damage.first()?;
    let more = match outcome.damage.len() {
        1 => String::new(),
        number => format!(" (and {} more)", number - 1),
    };
    Some(notice(
        format!("The trace is damaged: {first}{more}"),
        "What could be read is shown. Copy the file again, or record again, before trusting the numbers.",
    ))
}

fn cut_short(report: &Report) -> Option<Notice> {
    // How a trace ends that is still being written is not known yet.
    (report.trace.ending.is_none() && report.outcome.so_far.is_none()).then(|| {
        notice(
            "The recording was cut short; this is what could be saved of it.",
            "The numbers hold up to there. Record again if the end matters.",
        )
    })
}

fn lost(trace: &TraceInfo) -> Option<Notice> {
    let lost = trace.ending.as_ref()?.lost;
    (lost > 0).then(|| {
        notice(
            format!("{} calls were lost while recording: what follows is not exact", count(lost)),
            "Record again on a less busy machine.",
        )
    })
}

fn differs(report: &Report) -> Option<Notice> {
    let first = report.outcome.fidelity.as_ref()?.first_mismatches.first()?;
    Some(notice(
        format!(
            "The replay first differs at record {}, {}: recorded {}, replayed {}. {}",
            count(first.record),
            first.call,
            first.recorded,
            first.replayed,
            first.why
        ),
        format!("`malloscope verify {}` lists more of them.", report.trace.file),
    ))
}

/// That the release is another than it seems, or that glibc would ignore a setting.
fn settings(outcome: &Outcome) -> Vec<Notice> {
    let settings = &outcome.settings;
    let mut notices = Vec::new();
    if settings.recognition == Recognition::Unlike && outcome.trial.release.is_none() {
        notices.push(notice(
            format!(
                "The recorded libc answered as no release known; it was replayed as glibc {}.",
                settings.release
            ),
            "Replay with other releases, or with what your distribution changed, until fidelity is 100 %.",
        ));
    }
    notices.extend(settings.unknown_version.iter().map(|version| {
        notice(
            format!(
                "glibc {version} is newer than any release known; it was replayed as {}.",
                settings.release
            ),
            "What has changed since is not in the numbers.",
        )
    }));
    let ignored = settings.ignored.iter();
    notices.extend(ignored.map(|ignored| {
        notice(format!("{ignored}."), "It changes nothing: take it away, or give it a value that counts.")
    }));
    notices
}

fn oddities(outcome: &Outcome) -> Vec<Notice> {
    let odd = &outcome.oddities;
    let unknown = "Record from the program's beginning to have them too.";
    let notices = [
        (odd.unknown_freed, "frees of memory whose allocation was not recorded were left out", unknown),
        (odd.unknown_reallocated, "reallocations of such memory were replayed as allocations", unknown),
        (
            odd.refused,
            "requests that had been granted were refused in the replay",
            "The settings leave too little memory: replay with others.",
        ),
    ];
    let some = notices.into_iter().filter(|(number, ..)| *number > 0);
    some.map(|(number, what, next)| notice(format!("{} {what}.", count(number)), next)).collect()
}
