//! `compare`: what can be compared, what is warned of, and what is kept.

use super::formats::rows;
use super::run::{answer, folder, imported, malloscope, said, trace};
use malloscope_replayer::detail::Detail;
use malloscope_replayer::sweep::Sweep;
use malloscope_replayer::trial::Trial;
use malloscope_replayer::worker::Launcher;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

/// The names of the runs in a comparison as CSV.
fn runs(table: &str) -> BTreeSet<String> {
    rows(table).into_iter().skip(1).map(|mut row| row.swap_remove(0)).collect()
}

/// A number of a run.
fn number(table: &str, run: &str, section: &str, measure: &str) -> u64 {
    let rows = rows(table);
    let row = rows.iter().find(|row| row[0] == run && row[1] == section && row[3] == measure);
    row.unwrap_or_else(|| panic!("no {section} {measure} of {run}: {table}"))[4].parse().unwrap()
}

#[test]
fn the_regime_of_the_thresholds_is_a_dimension() {
    let options = ["compare", "--thresholds=dynamic,static", "--tcache-count=0", "--format=csv"];
    let table = answer(options.iter().chain(&[trace()]));
    let expected = ["as recorded", "thresholds dynamic, tcache_count 0", "thresholds static, tcache_count 0"];
    assert_eq!(runs(&table), expected.map(str::to_owned).into());
    let contradiction = said(malloscope(options).args(["--set", "top_pad=0", trace()]));
    assert!(contradiction.err.contains("thresholds dynamic, tcache_count 0"), "{}", contradiction.err);
    assert_eq!(runs(&contradiction.out).len(), 2);
}

#[test]
fn who_sets_a_default_is_warned_in_every_format() {
    for format in ["terminal", "json", "csv", "markdown", "differences"] {
        for (values, is_warned) in [("128K", true), ("64K", false)] {
            let options = ["compare", "--top-pad", values, "--format", format, trace()];
            let text = answer(options).replace("\\_", "_");
            assert_eq!(text.contains("top_pad=128K is the default, but"), is_warned, "{format}: {text}");
        }
    }
    for format in ["terminal", "json", "csv", "markdown"] {
        let options = ["replay", "--set", "MALLOC_MMAP_MAX_=65536", "--format", format, trace()];
        let text = answer(options).replace("\\_", "_");
        assert!(text.contains("mmap_max=64K is the default, but"), "{format}: {text}");
    }
}

#[test]
fn what_the_environment_sets_can_be_left_unset() {
    let trace = folder().join("set.mscope").display().to_string();
    let mut command = malloscope(["record", "-o", &trace, "--"]);
    command.arg(super::run::program()).env("MALLOC_TOP_PAD_", "1048576");
    assert_eq!(said(&mut command).code, Some(0));
    let table =
        answer(["compare", "--recipe", "stock", "--thresholds", "dynamic", "--format", "csv", &trace]);
    let fixed = |run: &str| {
        rows(&table).iter().any(|row| row[0] == run && row[3] == "dynamic_thresholds" && row[4] == "false")
    };
    assert_eq!(["as recorded", "thresholds dynamic", "recipe stock"].map(fixed), [true, false, false]);
    let report = answer(["replay", "--unset", "top_pad", &trace]);
    assert!(!report.contains("top_pad=1048576"), "{report}");
    let error = said(&mut malloscope(["replay", "--unset", "toppad", &trace])).err;
    assert!(error.contains("there is no malloc tunable `toppad`"), "{error}");
}

#[test]
fn recipes_and_the_usual_sweep_are_run() {
    let table = answer(["compare", "--recipe", "ruby,hpc", "--format", "csv", trace()]);
    assert_eq!(runs(&table), ["as recorded", "recipe hpc", "recipe ruby"].map(str::to_owned).into());
    let table = answer(["compare", "--sweep", "default", trace()]);
    for expected in ["thresholds static", "trim_threshold -1", "recipe hpc", "glibc 2.43", "at a time"] {
        assert!(table.contains(expected), "{expected}: {table}");
    }
}

/// Frees a thousand blocks of 4 KiB below one that lives, and asks for them again.
fn pinned() -> String {
    let blocks = |call: &str| -> String {
        (1..=1000)
            .map(|block| format!("0 {call} {block}{}\n", if call == "free" { "" } else { " 4000" }))
            .collect()
    };
    let script = format!("{}0 malloc 2000 100\n{}{}", blocks("malloc"), blocks("free"), blocks("malloc"));
    imported("pinned", &script)
}

#[test]
fn malloc_trim_gives_back_what_is_pinned_and_has_a_price() {
    let trace = pinned();
    // After the last of the frees.
    let table = answer([
        "compare",
        "--malloc-trim",
        "never,after:2001",
        "--format",
        "csv",
        "--tcache-count",
        "0",
        &trace,
    ]);
    let (never, once) = ("tcache_count 0, malloc_trim never", "tcache_count 0, malloc_trim after:2001");
    let returned = number(&table, once, "trims", "returned");
    assert!(returned > 900 * 4096, "{returned}");
    assert_eq!(number(&table, never, "trims", "calls") + 1, number(&table, once, "trims", "calls"));
    // Every page that went back is touched again.
    let faults = |run: &str| number(&table, run, "measured", "faults");
    assert_eq!((faults(once) - faults(never)) * 4096, returned);
    // The heap that is explored is the same.
    let at = |options: &[&str]| answer(["explain", "--at", "2001", &trace].iter().chain(options));
    assert!(at(&["--malloc-trim", "after:2001"]).contains("malloc_trim is called"));
    assert!(!at(&[]).contains("malloc_trim"));
}

fn kept(directory: &Path) -> Vec<PathBuf> {
    fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn what_is_kept_is_not_run_again() {
    let directory = folder().join("kept");
    let keep = ["--keep", directory.to_str().unwrap(), "--jobs", "1", "--format", "csv"];
    let compare = |trace: &str| answer(["compare", "--top-pad", "0,1M", trace].iter().chain(&keep));
    let first = compare(trace());
    assert_eq!(kept(&directory).len(), 3);
    // What is printed now can only come from there.
    for file in kept(&directory) {
        let text = fs::read_to_string(&file).unwrap();
        fs::write(&file, text.replace("\"records\":", "\"records\":77")).unwrap();
    }
    let second = compare(trace());
    let records = |table: &str| number(table, "top_pad 1M", "records", "");
    assert_eq!(records(&second).to_string(), format!("77{}", records(&first)));
    // What is damaged is run anew, as is what was not run yet, and a trace that has changed.
    let damaged = &kept(&directory)[0];
    fs::write(damaged, "{\"trial\":").unwrap();
    let third = compare(trace());
    assert_ne!(second, third);
    answer(["compare", "--top-pad", "0,2M", trace()].iter().chain(&keep));
    assert_eq!(kept(&directory).len(), 4);
    let other = imported("kept", "0 malloc 1 100\n0 free 1\n");
    assert_eq!(records(&compare(&other)), 2);
    assert_eq!(kept(&directory).len(), 7);
}

#[test]
fn parquet_has_a_row_for_each_run() {
    use parquet::file::reader::{FileReader, SerializedFileReader};
    use parquet::record::RowAccessor;
    let file = folder().join("compared.parquet");
    let mut command = malloscope(["compare", "--top-pad", "0,128K", "--format", "parquet", trace()]);
    let status = command.stdout(fs::File::create(&file).unwrap()).status().unwrap();
    assert!(status.success());
    let reader = SerializedFileReader::new(fs::File::open(&file).unwrap()).unwrap();
    let rows: Vec<_> = reader.get_row_iter(None).unwrap().map(Result::unwrap).collect();
    let column = |name: &str| {
        let columns = reader.metadata().file_metadata().schema_descr().columns();
        columns.iter().position(|column| column.name() == name).unwrap()
    };
    let text = |row: usize, name: &str| rows[row].get_string(column(name)).unwrap().clone();
    assert_eq!([0, 1, 2].map(|row| text(row, "run")), ["as recorded", "top_pad 0", "top_pad 128K"]);
    assert_eq!([0, 2].map(|row| text(row, "thresholds")), ["dynamic", "static"]);
    assert!(text(2, "warnings").contains("is the default, but") && text(1, "warnings").is_empty());
    let table = answer(["compare", "--top-pad", "0,128K", "--format", "csv", trace()]);
    for (row, run) in ["as recorded", "top_pad 0", "top_pad 128K"].into_iter().enumerate() {
        let faults = rows[row].get_long(column("minor_faults")).unwrap();
        assert_eq!(faults.cast_unsigned(), number(&table, run, "measured", "faults"));
    }
}

#[test]
fn a_page_for_a_browser_has_the_numbers_of_the_table_and_needs_nothing_else() {
    let compare = ["compare", "--top-pad", "0,1M", "--format", "html", trace()];
    let page = answer(compare);
    assert!(page.starts_with("<!doctype html>") && page.trim_end().ends_with("</html>"), "{page}");
    for outside in ["<script", "http://", "https://", "url(", "<link", "<img"] {
        assert!(!page.contains(outside), "{outside}: {page}");
    }
    assert_eq!(page.matches("<svg").count(), page.matches("</svg>").count());
    assert!(page.matches("<svg").count() >= 4 && page.contains("prefers-color-scheme:dark"), "{page}");
    // Every number that the terminal shows is in it.
    let table = answer(["compare", "--top-pad", "0,1M", trace()]);
    let faults = table.lines().find(|line| line.trim_start().starts_with("minor faults")).unwrap();
    for number in faults.split_whitespace().skip(2) {
        assert!(page.contains(&format!(">{number}")), "{number}: {page}");
    }
    // What a stranger's program is called is text.
    let hostile = imported("<b>&\"x\"", "0 malloc 1 100\n");
    let page = answer(["compare", "--top-pad", "0", "--format", "html", &hostile]);
    assert!(!page.contains("<b>") && page.contains("&lt;b&gt;&amp;&quot;x&quot;"), "{page}");
}

#[test]
fn however_many_runs_are_made_side_by_side_the_comparison_is_the_same() {
    let compare = |side_by_side: &str| {
        let options = ["--top-pad=0,64K,1M", "--tcache-count=0,7", "--jobs=2", "--format=differences"];
        answer(["compare", "--side-by-side", side_by_side].iter().chain(&options).chain(&[trace()]))
    };
    let alone = compare("1");
    for side_by_side in ["2", "3", "8"] {
        assert_eq!(compare(side_by_side), alone);
    }
}

/// Workers that are killed if they are asked for several trials, or for a top pad of 12288 bytes.
fn weak_workers(asked: &Path) -> Launcher {
    let script = r#"job=$(cat); echo "$job" >>"$1"
        case $job in *'"others":[]'*) ;; *) kill -9 $$ ;; esac
        case $job in *'["top_pad",12288]'*) kill -9 $$ ;; esac
        printf %s "$job" | exec "$0" work-for-malloscope"#;
    let [shell, script] = ["sh", script].map(OsString::from);
    let arguments = vec!["-c".into(), script, env!("CARGO_BIN_EXE_malloscope").into(), asked.into()];
    Launcher { program: shell.into(), arguments }
}

#[test]
fn a_run_that_ends_its_process_takes_no_other_with_it() {
    let asked = folder().join("asked");
    let launcher = weak_workers(&asked);
    let sweep = Sweep {
        launcher: &launcher,
        trace: Path::new(trace()),
        range: None,
        detail: Detail::Whole,
        workers: Some(1),
        side_by_side: Some(4),
        kept: None,
    };
    let trial = |pad: u64| Trial { settings: vec![("top_pad".to_owned(), pad)], ..Trial::default() };
    let sound = [0, 4096, 8192].map(trial);
    let outcomes = sweep.run(&sound, &|_| {}).unwrap();
    assert_eq!(outcomes.iter().map(|outcome| outcome.trial.clone()).collect::<Vec<_>>(), sound);
    assert_eq!(fs::read_to_string(&asked).unwrap().lines().count(), 4, "all at once, and each by itself");
    let error = sweep.run(&[0, 12288].map(trial), &|_| {}).unwrap_err().to_string();
    assert!(error.contains("ended without a result"), "{error}");
}
