//! The window without a screen: what it says, found by its words, and what its buttons do.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod attach;
mod screen;
mod shell;
#[path = "../common/watched.rs"]
mod watched;

use egui_kittest::kittest::Queryable;
use malloscope_gui::app::App;
use malloscope_gui::app::command::Command;
use malloscope_gui::jobs::WORK;
use malloscope_gui::jobs::dialog::Chosen;
use malloscope_gui::model::Tile;
use malloscope_gui::model::timeline::Slice;
use malloscope_gui::model::view::View;
use malloscope_replayer::trial::Trial;
use malloscope_replayer::worker::Launcher;
use malloscope_traces::{Call, Ending, Header, Nanos, Placed, Pointer, Record, Thread, Writer};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use watched::Window;

impl Window {
    fn open(launcher: Launcher, trace: Option<&Path>) -> Window {
        Window::open_at(launcher, trace, [1280.0, 800.0], |_| {})
    }

    /// A window to which something is done before it is seen.
    fn prepared(launcher: Launcher, trace: Option<&Path>, prepare: impl Fn(&mut App) + 'static) -> Window {
        Window::open_at(launcher, trace, [1280.0, 800.0], prepare)
    }

    /// A window so high that nothing needs scrolling.
    fn open_high(trace: &Path) -> Window {
        let mut window = Window::open_at(launcher(), Some(trace), [1600.0, 3200.0], |_| {});
        window.settle();
        window
    }

    fn open_at(
        launcher: Launcher,
        trace: Option<&Path>,
        size: [f32; 2],
        prepare: impl Fn(&mut App) + 'static,
    ) -> Window {
        let trace = trace.map(Path::to_owned);
        let show = move |ui: &mut egui::Ui, app: &mut Option<App>| {
            let new = || {
                let mut app = App::new(ui.ctx(), launcher.clone(), trace.clone());
                prepare(&mut app);
                app
            };
            let app = app.get_or_insert_with(new);
            // The harness leaves a margin; a window has none.
            let all = ui.ctx().content_rect();
            ui.scope_builder(egui::UiBuilder::new().max_rect(all), |ui| {
                ui.set_clip_rect(all);
                app.ui(ui);
            });
        };
        Window::of(size, show)
    }

    fn app(&self) -> &App {
        self.harness.state().as_ref().unwrap()
    }

    fn app_mut(&mut self) -> &mut App {
        self.harness.state_mut().as_mut().unwrap()
    }

    /// Waits until nothing is on its way any more.
    fn settle(&mut self) {
        self.harness.step();
        while self.app().is_busy() {
            self.woken.recv().unwrap();
            self.harness.step();
        }
        self.harness.run_steps(3);
    }

    /// Presses the button of this name.
    fn press(&mut self, name: &str) {
        self.harness.get_by_label(name).click();
        self.harness.run_steps(3);
    }

    /// Presses the button of this name, and stops at the frame in which that was heard.
    fn press_once(&mut self, name: &str) {
        self.harness.get_by_label(name).click();
        for _ in 0..4 {
            if self.harness.output().platform_output.commands.is_empty() {
                self.harness.step();
            }
        }
    }

    /// Types into the field of this name.
    fn type_into(&mut self, name: &str, text: &str) {
        let field = self.harness.get_by_role_and_label(egui::accesskit::Role::TextInput, name);
        field.focus();
        field.type_text(text);
        self.harness.run_steps(3);
    }
}

/// The real thing.
fn launcher() -> Launcher {
    Launcher { program: env!("CARGO_BIN_EXE_malloscope-gui").into(), arguments: vec![WORK.into()] }
}

/// A worker that says nothing and ends when its leash is let go: it reads the leash.
fn idler() -> Launcher {
    Launcher { program: "cat".into(), arguments: Vec::new() }
}

fn sample() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../traces/samples/xz.mscope")
}

/// A trace of so many requests of 100,000 bytes, all freed in the end.
fn trace(directory: &Path, requests: u64) -> PathBuf {
    trace_after(directory, requests, Header::default())
}

/// The same, after this header.
fn trace_after(directory: &Path, requests: u64, mut header: Header) -> PathBuf {
    header.program.path = "/usr/bin/made-up".to_owned();
    let mut writer = Writer::new(Vec::new(), &header).unwrap();
    let mut time = 0;
    let mut record = |call| {
        time += 1000;
        writer.record(&Record { time: Nanos(time), thread: Thread(0), program_break: 0, call }).unwrap();
    };
    let address = |number| 0x5000_0000 + number * 0x20000 + 0x10;
    for number in 0..requests {
        let to = Placed { pointer: Pointer::seen(address(number)), head: 0 };
        record(Call::Malloc { request: 100_000, to });
    }
    for number in (0..requests).rev() {
        record(Call::Free { pointer: Pointer::seen(address(number)) });
    }
    let bytes = writer.finish(&Ending::default()).unwrap();
    let path = directory.join("made-up.mscope");
    std::fs::write(&path, bytes).unwrap();
    path
}

/// A file under the pointer.
#[derive(Debug)]
struct Dropped(PathBuf);

impl egui::DroppedFile for Dropped {
    fn path(&self) -> &Path {
        &self.0
    }

    fn bytes(&self) -> Result<Vec<u8>, String> {
        Err("nobody asks".to_owned())
    }
}

#[test]
fn the_opening_screen_says_what_to_do() {
    let mut window = Window::open(launcher(), None);
    window.harness.run_steps(3);
    window.must_say(&[
        "Open a trace",
        "Drop a trace on this window",
        "malloscope record -o app.mscope -- app",
    ]);
}

#[test]
fn a_trace_can_be_dropped_on_the_window() {
    let mut window = Window::open(launcher(), None);
    window.harness.run_steps(3);
    window.harness.input_mut().dropped_files.push(Arc::new(Dropped(sample())));
    window.settle();
    window.must_say(&["xz.mscope", "Fidelity"]);
}

#[test]
fn a_path_that_leads_nowhere_says_what_to_do() {
    let mut window = Window::open(launcher(), None);
    window.harness.run_steps(2);
    window.type_into("Drop a trace on this window, or type its path:", "/nowhere.mscope");
    window.press("Open");
    window.settle();
    window.must_say(&["/nowhere.mscope: No such file", "Check the path", "Open a trace"]);
}

#[test]
fn a_file_that_is_no_trace_says_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("notes.txt");
    std::fs::write(&path, "x".repeat(5000)).unwrap();
    let mut window = Window::open(launcher(), Some(&path));
    window.settle();
    window.must_say(&["is not a trace", "Record one with"]);
}

#[test]
fn a_trace_is_replayed_and_its_bins_are_sorted_by_a_click() {
    let mut window = Window::open(launcher(), Some(&sample()));
    window.settle();
    window.must_say(&[
        "Calls",
        "Fidelity",
        "Resident, peak",
        "Minor faults",
        "xz -T2 -1",
        "KiB",
        "tcache",
        "Served from",
    ]);
    window.press("Table");
    window.must_say(&["Requests ▼"]);
    window.press("Hits");
    window.must_say(&["Hits ▼"]);
    window.press("Hits ▼");
    window.must_say(&["Hits ▲"]);
    window.press("Close");
    window.must_say(&["Open a trace"]);
}

#[test]
fn a_panel_comes_to_the_front_when_its_tab_is_pressed_or_it_is_asked_for() {
    let mut window = Window::open(launcher(), Some(&sample()));
    window.settle();
    assert!(window.says("not asked") && !window.says("last remainder"));
    window.press("Served from");
    assert!(window.says("last remainder") && !window.says("not asked"));
    window.harness.state_mut().as_mut().unwrap().apply(Command::Look(View::Bins));
    window.harness.run_steps(3);
    assert!(window.says("not asked") && !window.says("last remainder"));
}

#[test]
fn grows_and_trims_are_counted_beside_the_timeline() {
    let directory = tempfile::tempdir().unwrap();
    let path = trace(directory.path(), 20);
    let mut window = Window::open(launcher(), Some(&path));
    window.settle();
    window.must_say(&["/usr/bin/made-up", "▲ grown", "▼ trimmed", "Record", "40"]);
    let timeline = &window.app().model().recorded().ready().unwrap().timeline;
    let sum = |times: fn(&Slice) -> u64| timeline.slices.iter().map(times).sum::<u64>();
    assert!(sum(|slice| slice.grown) > 0 && sum(|slice| slice.trimmed) > 0);
    // Each of them is marked, those too near to each other together.
    window.must_say(&["Break grown ", "Break trimmed "]);
    assert_eq!(timeline.end().unwrap().live, 0);
}

#[test]
fn other_thresholds_are_three_clicks_away() {
    let directory = tempfile::tempdir().unwrap();
    let path = trace(directory.path(), 20);
    let mut window = Window::open_high(&path);
    window.press("What if");
    window.press("mmap threshold ▾");
    window.press("All of them");
    window.settle();
    window.must_say(&["mmap_threshold 64K", "mmap_threshold 32M", "Differences", "fixes all thresholds"]);
    window.must_say(&["served mapped, mmap_threshold 64K: 19, +19", "break grown, mmap_threshold 32M: "]);
    let runs = &window.app().model().runs;
    assert_eq!(runs.drawn().count(), 5);
    let other = runs.all().iter().find(|run| run.name == "mmap_threshold 64K").unwrap();
    let id = other.id;
    // The first still fits into what the heap began with.
    assert_eq!(other.replay.ready().unwrap().report.outcome.kernel.mmap, 19);
    window.press_once("Copy as CSV");
    let copied = window.harness.output().platform_output.commands.iter().find_map(|command| match command {
        egui::OutputCommand::CopyText(text) => Some(text.clone()),
        _ => None,
    });
    let copied = copied.unwrap();
    assert!(copied.starts_with("measure,unit,run,value,difference\n"), "{copied}");
    assert!(copied.contains("\nserved mapped,number,mmap_threshold 64K,19,19\n"), "{copied}");
    window.press("Measure against mmap_threshold 64K");
    window.must_say(&["served mapped, as recorded: 0, −19"]);
    window.press("Remove mmap_threshold 64K");
    assert!(window.app().model().runs.get(id).is_none());
    window.must_say(&["served mapped, mmap_threshold 32M: 0"]);
    // What is ticked is there; to tick it off forgets it.
    window.press("mmap threshold ▾");
    window.press("mmap threshold 32M");
    assert!(!window.says("served mapped, mmap_threshold 32M"));
}

#[test]
fn a_run_can_be_hidden_and_shown_in_the_tables() {
    let directory = tempfile::tempdir().unwrap();
    let path = trace(directory.path(), 20);
    let mut window = Window::open_high(&path);
    window.press("mmap threshold ▾");
    window.press("mmap threshold 64K");
    window.harness.key_press(egui::Key::Escape);
    window.harness.run_steps(3);
    window.press("arena max ▾");
    window.press("arena max 1");
    window.harness.key_press(egui::Key::Escape);
    window.settle();
    assert_eq!(window.app().model().runs.drawn().count(), 3);
    window.press("Draw arena_max 1");
    assert_eq!(window.app().model().runs.drawn().count(), 2);
    let id = window.app().model().runs.all()[1].id;
    window.press("Show mmap_threshold 64K");
    assert_eq!(window.app().model().runs.shown().id, id);
    window.press("Served from");
    window.must_say(&["mapped"]);
}

#[test]
fn anything_can_be_set_and_what_glibc_ignores_is_said_before_the_replay() {
    let directory = tempfile::tempdir().unwrap();
    let path = trace(directory.path(), 20);
    let mut window = Window::open_high(&path);
    window.press("Any setting…");
    window.must_say(&["tcache_unsorted_limit", "processors"]);
    window.type_into("mxfast", "4K");
    window.must_say(&["ignores mxfast=4096: the value is not within 0 to 160."]);
    window.type_into("mmap_max", "some");
    window.must_say(&["mmap_max: “some” is not a number."]);
    window.press("Clear");
    let pasted =
        window.harness.get_by_role_and_label(egui::accesskit::Role::MultilineTextInput, "Pasted settings");
    pasted.focus();
    pasted.type_text("export GLIBC_TUNABLES=\"glibc.malloc.mmap_threshold=65536\"");
    window.harness.run_steps(3);
    window.must_say(&["mmap_threshold=64K"]);
    window.press("Replay with this");
    window.settle();
    window.must_say(&["served mapped, GLIBC_TUNABLES=glibc.malloc.mmap_threshold=65536: 19, +19"]);
}

#[test]
fn a_run_that_is_impossible_says_so_and_others_go_on() {
    let directory = tempfile::tempdir().unwrap();
    let path = trace(directory.path(), 20);
    let mut window = Window::open(launcher(), Some(&path));
    window.settle();
    let bad = Trial { settings: vec![("no_such_tunable".to_owned(), 1)], ..Trial::default() };
    let good = Trial { settings: vec![("top_pad".to_owned(), 0)], ..Trial::default() };
    window.harness.state_mut().as_mut().unwrap().apply(Command::Try(vec![bad, good]));
    window.settle();
    window.must_say(&["there is no malloc tunable `no_such_tunable`", "Retry no_such_tunable 1"]);
    assert_eq!(window.app().model().runs.drawn().count(), 2);
}

#[test]
fn a_trace_without_calls_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let path = trace(directory.path(), 0);
    let mut window = Window::open(launcher(), Some(&path));
    window.settle();
    window.must_say(&["There is nothing to draw", "No bin was looked into", "Calls"]);
}

#[test]
fn a_damaged_trace_shows_what_could_be_read() {
    let directory = tempfile::tempdir().unwrap();
    let path = trace(directory.path(), 500);
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    let mut window = Window::open(launcher(), Some(&path));
    window.settle();
    window.must_say(&["The trace is damaged", "What could be read is shown", "The recording was cut short"]);
}

#[test]
fn a_replay_can_be_cancelled() {
    let mut window = Window::open(idler(), Some(&sample()));
    window.harness.run_steps(3);
    window.must_say(&["Replaying…"]);
    window.press("Cancel");
    window.must_say(&["Open a trace"]);
    assert!(matches!(window.app().model().recorded(), Tile::Missing));
}

#[test]
fn a_worker_that_ends_without_a_word_is_reported() {
    let launcher = Launcher { program: "true".into(), arguments: Vec::new() };
    let mut window = Window::open(launcher, Some(&sample()));
    window.settle();
    window.must_say(&["the replay's process", "Try again"]);
}

#[test]
fn what_was_opened_is_offered_again_and_can_be_forgotten() {
    let state = tempfile::tempdir().unwrap();
    let folder = state.path().join("malloscope");
    let mut window = Window::open(launcher(), None);
    window.harness.run_steps(3);
    window.app_mut().remember_in(folder.clone());
    window.app_mut().apply(Command::Open(sample()));
    window.settle();
    window.press("Close");
    window.must_say(&["Opened last"]);
    window.press("xz.mscope");
    window.settle();
    window.must_say(&["xz -T2 -1"]);
    window.press("Close");
    let said = format!("Forget {}", window.app().model().recent.paths()[0].display());
    window.press(&said);
    assert!(!window.says("Opened last"));
}

#[test]
fn a_sample_is_there_without_any_file() {
    let state = tempfile::tempdir().unwrap();
    let mut window = Window::open(launcher(), None);
    window.harness.run_steps(3);
    window.app_mut().remember_in(state.path().to_owned());
    let built_in = malloscope_gui::model::samples::all(None).remove(0);
    window.app_mut().apply(Command::OpenSample(built_in));
    window.settle();
    window.must_say(&["mappings.mscope", "Fidelity"]);
    window.press("Close");
    window.must_say(&["buffers with mappings of their own"]);
    window.press("mappings");
    window.settle();
    window.must_say(&["mappings.mscope"]);
}

#[test]
fn words_are_explained() {
    let mut window = Window::open(launcher(), None);
    window.harness.run_steps(3);
    window.press("What the words mean");
    window.must_say(&["pinned", "Free memory that cannot go back to the kernel"]);
}

#[test]
fn a_program_is_recorded_and_its_trace_is_opened() {
    let folder = tempfile::tempdir().unwrap();
    let recorder = folder.path().join("recorder");
    // A recorder that waits until it is stopped, and has a trace to give.
    let script = format!(
        "#!/bin/sh\ntrap 'cp {} \"$6\"; exit 0' TERM\necho \"malloscope: recording: 7 calls\" >&2\nwhile :; do sleep 0.01; done\n",
        sample().display()
    );
    std::fs::write(&recorder, script).unwrap();
    std::fs::set_permissions(&recorder, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let mut window = Window::open(launcher(), None);
    window.harness.run_steps(3);
    window.app_mut().record_with(recorder);
    window.type_into("Program", "app 'and more'");
    window.type_into("Folder", &folder.path().display().to_string());
    window.press("Record");
    window.must_say(&["Recording app and more"]);
    while !window.says("malloscope: recording: 7 calls") {
        window.woken.recv().unwrap();
        window.harness.step();
    }
    // Another trace that is looked at meanwhile stays.
    window.app_mut().apply(Command::Open(sample()));
    window.settle();
    window.must_say(&["malloscope: recording: 7 calls"]);
    window.press("Stop");
    while !window.says("Open app.mscope") {
        window.woken.recv().unwrap();
        window.harness.step();
    }
    assert_eq!(window.app().model().trace, Some(sample()));
    window.press("Open app.mscope");
    while window.app().model().trace == Some(sample()) {
        window.woken.recv().unwrap();
        window.harness.step();
    }
    window.settle();
    window.must_say(&["app.mscope", "xz -T2 -1"]);
}

#[test]
fn what_cannot_be_recorded_says_why() {
    let mut window = Window::open(launcher(), None);
    window.harness.run_steps(3);
    window.app_mut().record_with("/nowhere/malloscope".into());
    window.type_into("Program", "echo 'a");
    window.press("Record");
    window.must_say(&["is not closed"]);
    window.type_into("Program", "'");
    window.press("Record");
    window.harness.run_steps(3);
    window.must_say(&["/nowhere/malloscope cannot be started", "cargo build"]);
    window.press("Back");
    window.must_say(&["Open a trace"]);
}

#[test]
fn a_desktop_without_a_dialog_is_told() {
    let mut window = Window::open(launcher(), None);
    window.harness.run_steps(3);
    window.app_mut().apply(Command::Browsed(Chosen::NoDialog));
    window.harness.run_steps(3);
    window.must_say(&["There is no dialog for files on this desktop"]);
}

#[test]
fn more_runs_than_can_be_kept_are_refused() {
    let mut window = Window::open_high(&sample());
    let trials =
        (0..100).map(|pad| Trial { settings: vec![("top_pad".to_owned(), pad)], ..Trial::default() });
    window.app_mut().apply(Command::Try(trials.collect()));
    window.settle();
    window.must_say(&["There are 48 runs"]);
    assert_eq!(window.app().model().runs.drawn().count(), 48);
}

#[test]
fn where_a_replay_parts_from_the_recording_is_told_and_pointed_at() {
    let directory = tempfile::tempdir().unwrap();
    // Nobody's malloc would put its chunks where this trace says.
    let mut header = Header::default();
    header.heap.placements = true;
    header.heap.initial_break = 0x5000_0000;
    let path = trace_after(directory.path(), 20, header);
    let mut window = Window::open_high(&path);
    window.must_say(&["% of placements are the recorded ones", "it landed elsewhere", "Why: "]);
    let account = &window.app().model().shown().unwrap().account;
    let parted = account.parted.last().unwrap().clone();
    window.press(&parted.what);
    assert_eq!(window.app().model().cursor, Some(parted.record));
}
