//! What is left out of a run does not change the rest of it.
#![expect(clippy::unwrap_used, reason = "in a test, to panic is to say that it failed")]

#[path = "common/samples.rs"]
mod samples;

use malloscope_replayer::detail::Detail;
use malloscope_replayer::metrics::Measured;
use malloscope_replayer::metrics::books::Books;
use malloscope_replayer::metrics::pages::Waits;
use malloscope_replayer::metrics::searches::Searches;
use malloscope_replayer::outcome::{Cost, Outcome};
use malloscope_replayer::range::Range;
use malloscope_replayer::report::comparison::MEASURES;
use malloscope_replayer::run::{Job, run};
use malloscope_replayer::trial::Trial;
use std::io;

fn replayed(job: &Job, detail: Detail) -> Outcome {
    run(&Job { detail, ..job.clone() }, &mut io::sink(), &mut |_| {}).unwrap()
}

/// What is measured of every run.
fn common(outcome: &Outcome) -> Outcome {
    let rows = outcome.searches.all().into_iter().cloned().collect();
    let books = Books { free: outcome.measured.books.free, ..Books::default() };
    Outcome {
        detail: Detail::default(),
        request_flows: Vec::new(),
        free_flows: Vec::new(),
        searches: Searches { rows, ..outcome.searches },
        measured: Measured { waits: None, books, ..outcome.measured.clone() },
        cost: Cost::default(),
        ..outcome.clone()
    }
}

#[test]
fn what_is_measured_does_not_depend_on_what_else_is() {
    let settings = [vec![], vec![("tcache_count".to_owned(), 0)], vec![("trim_threshold".to_owned(), 8192)]];
    let mut waited = 0;
    for trace in samples::samples() {
        for (settings, range) in settings.iter().zip([None, Range::new(1000, 5000).ok(), None]) {
            let trial = Trial { settings: settings.clone(), ..Trial::default() };
            let job = Job { range, ..Job::of(&trace, trial) };
            let whole = replayed(&job, Detail::Whole);
            waited += whole.measured.waits.as_ref().map_or(0, Waits::all);
            for detail in [Detail::Compared, Detail::Weighed] {
                let less = replayed(&job, detail);
                let name = format!("{} {settings:?} {detail:?}", trace.display());
                assert_eq!(common(&less), common(&whole), "{name}");
                for measure in MEASURES {
                    assert_eq!(measure.of(&less), measure.of(&whole), "{name}: {}", measure.name);
                }
                let weighs = detail == Detail::Weighed;
                assert_eq!(
                    less.free_flows == whole.free_flows,
                    weighs || whole.free_flows.is_empty(),
                    "{name}"
                );
                assert_eq!(less.measured.waits, None, "{name}");
            }
        }
    }
    assert!(waited > 0, "no page of any sample ever waited");
}
