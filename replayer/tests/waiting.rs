//! What waits in a heap: books that balance whatever is replayed, pages that wait, and how far is searched.
#![expect(clippy::unwrap_used, reason = "in a test, to panic is to say that it failed")]

#[path = "common/imported.rs"]
mod imported;
#[path = "common/samples.rs"]
mod samples;

use imported::imported;
use malloscope_replayer::outcome::Outcome;
use malloscope_replayer::run::{Job, run};
use malloscope_replayer::trial::{MemoryKind, Trial, WordWidth};
use std::path::Path;

fn replayed(trace: &Path, trial: Trial) -> Outcome {
    run(&Job::of(trace, trial), &mut std::io::sink(), &mut |_| {}).unwrap()
}

fn of(release: &str, settings: &[(&str, u64)]) -> Trial {
    let settings = settings.iter().map(|&(name, value)| (name.to_owned(), value)).collect();
    Trial { release: Some(release.to_owned()), memory: MemoryKind::Simulated, settings, ..Trial::default() }
}

/// Everything from the kernel is somebody's, at the end and wherever else it was looked at.
fn check(trace: &Path, trial: Trial) -> Outcome {
    let name = format!("{} {}", trace.display(), trial.name());
    let outcome = replayed(trace, trial);
    let measured = &outcome.measured;
    let books = &measured.books;
    assert_eq!(books.wrong, None, "{name}");
    assert!(books.looked > 0 && books.samples >= measured.series.len() as u64, "{name}: {books:?}");
    let all = measured.held + books.free.total() + books.own + books.others;
    assert_eq!(all, measured.system, "{name}: {books:?}");
    assert!(books.free.resident <= measured.resident.max(books.free.total()), "{name}: {books:?}");
    outcome
}

#[test]
fn the_books_balance_whatever_is_replayed() {
    let settings: [&[(&str, u64)]; 5] = [
        &[],
        &[("mmap_max", 0)],
        &[("tcache_count", 0)],
        &[("top_pad", 1 << 20)],
        &[("mmap_threshold", 4096)],
    ];
    for trace in samples::samples() {
        for (place, release) in ["2.23", "2.26", "2.31", "2.36", "2.42", "2.43"].into_iter().enumerate() {
            check(&trace, of(release, &[]));
            check(&trace, of(release, settings[place % settings.len()]));
        }
        check(&trace, Trial { words: WordWidth::Bits32, ..of("2.36", &[]) });
        check(&trace, Trial { malloc_trim: Some("after:100".parse().unwrap()), ..of("2.36", &[]) });
    }
}

#[test]
fn threads_and_others_who_move_the_break_are_in_the_books() {
    let mut script = "0 spawn 1\n".to_owned();
    for call in 0..3000_u64 {
        let (thread, size) = (call % 2, call * 7919 % 30_000);
        script.push_str(&format!("{thread} malloc {call} {size}\n"));
        if call % 3 > 0 {
            script.push_str(&format!("{} free {}\n", 1 - thread, call * 2 / 3));
        }
    }
    let quiet = check(imported(&format!("{script}0 join 1\n")).path(), of("2.36", &[]));
    assert!(quiet.arenas.len() > 1 && quiet.measured.books.own > 0);
    // What the C library asked for itself: the new thread's DTV.
    assert_eq!(quiet.measured.books.others, 288);
    let shared = format!("0 sbrk 8192\n{script}0 sbrk 4096\n0 malloc 9999 200000\n");
    check(imported(&shared).path(), of("2.36", &[("mmap_max", 0)]));
}

#[test]
fn a_search_looks_at_every_chunk_on_its_way() {
    // Ten chunks of ten sizes of one large bin, each apart from the next, come to the unsorted bin. A request that none
    // of them fits looks at all, and sorts them.
    let mut script = String::new();
    for number in 0..10 {
        script.push_str(&format!(
            "0 malloc {number} {}\n0 malloc {} 24\n",
            10_800 + 16 * number,
            100 + number
        ));
    }
    (0..10).for_each(|number| script.push_str(&format!("0 free {number}\n")));
    script.push_str("0 malloc 50 100000\n");
    let outcome = check(imported(&script).path(), of("2.36", &[]));
    let row = |kind: &str| outcome.searches.rows.iter().find(|row| row.kind == kind && row.number.is_none());
    let unsorted = row("unsorted").unwrap();
    assert_eq!((unsorted.searches, unsorted.chunks, unsorted.longest), (1, 10, 10));
    let all = row("all").unwrap();
    assert_eq!(outcome.searches.longest_at, outcome.records - 1);
    for kind in ["small", "large"] {
        let of_bins = outcome.searches.rows.iter().filter(|row| row.kind == kind && row.number.is_some());
        assert_eq!(
            of_bins.map(|row| row.chunks).sum::<u64>(),
            row(kind).map_or(0, |row| row.chunks),
            "{kind}"
        );
    }
    let kinds = ["unsorted", "small", "large"].map(|kind| row(kind).map_or(0, |row| row.chunks));
    assert_eq!(kinds.iter().sum::<u64>(), all.chunks);
    // The first finds its large bin empty; each of the others is compared with the smallest and the largest there.
    assert_eq!(kinds, [10, 0, 18]);
}

#[test]
fn pages_wait_until_they_are_used_again_or_go_back() {
    // 64 pages and more, in small pieces, which nothing pins: they are freed from the lowest to the highest, and used again.
    let calls = |what: &dyn Fn(u64) -> String| (0..700).map(what).collect::<String>();
    let made = calls(&|number| format!("0 malloc {number} 1000\n"));
    let freed = calls(&|number| format!("0 free {number}\n"));
    let kept = of("2.36", &[("tcache_count", 0), ("trim_threshold", 1 << 30)]);
    let again = check(imported(&format!("{made}{freed}{made}")).path(), kept.clone());
    let waits = again.measured.waits.unwrap();
    assert_eq!((waits.returned.pages, waits.waiting), (0, 0), "{waits:?}");
    assert!((170..180).contains(&waits.reused.pages), "{waits:?}");
    let left = check(imported(&format!("{made}{freed}")).path(), kept).measured.waits.unwrap();
    assert_eq!(
        (left.returned.pages, left.reused.pages, left.waiting),
        (0, 0, waits.reused.pages),
        "{left:?}"
    );
    let trimmed = of("2.36", &[("tcache_count", 0), ("trim_threshold", 0), ("top_pad", 0)]);
    let gone = check(imported(&format!("{made}{freed}")).path(), trimmed).measured.waits.unwrap();
    assert_eq!(gone.returned.pages + gone.waiting, waits.reused.pages, "{gone:?}");
    assert!(gone.waiting <= 1, "{gone:?}");
}
