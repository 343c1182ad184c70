//! The flamegraph and the table of sites, without a screen: found by their words, and pressed.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod allocations;
#[path = "../common/watched.rs"]
mod watched;

use egui::accesskit::Role;
use egui_kittest::kittest::{NodeT, Queryable};
use malloscope_gui::app::App;
use malloscope_gui::app::command::Command;
use malloscope_gui::jobs::WORK;
use malloscope_gui::model::flame::picture::Picture;
use malloscope_gui::model::flame::{Direction, FlameCommand};
use malloscope_gui::model::sites::SitesCommand;
use malloscope_gui::model::stacks::sources;
use malloscope_gui::model::view::View;
use malloscope_replayer::blame::{Unit, What, recorded};
use malloscope_replayer::run::{Job, run};
use malloscope_replayer::sites::Column;
use malloscope_replayer::trial::Trial;
use malloscope_replayer::worker::Launcher;
use malloscope_traces::stacks::{Capture, Frame, Module, ModuleId, Sampling};
use malloscope_traces::symbols::{Builder, Function};
use malloscope_traces::{
    Call, Ending, Header, Nanos, Placed, Pointer, Reader, Record, Stack, Thread, Writer, embed,
};
use std::io::Cursor;
use std::path::{Path, PathBuf};
use watched::Window;

impl Window {
    fn open(launcher: Launcher, trace: &Path, view: View) -> Window {
        let trace = trace.to_owned();
        let show = move |ui: &mut egui::Ui, app: &mut Option<App>| {
            let open = || App::new(ui.ctx(), launcher.clone(), Some(trace.clone()));
            app.get_or_insert_with(open).ui(ui);
        };
        let mut window = Window::of([1600.0, 1000.0], show);
        window.wait(|app| app.model().recorded().is_loading());
        window.send(Command::Look(view));
        window
    }

    fn app(&self) -> &App {
        self.harness.state().as_ref().unwrap()
    }

    fn wait(&mut self, is_busy: impl Fn(&App) -> bool) {
        self.harness.step();
        while is_busy(self.app()) {
            self.woken.recv().unwrap();
            self.harness.step();
        }
        self.harness.run_steps(3);
    }

    /// Waits for all that was asked to be there.
    fn settle(&mut self) {
        self.harness.run_steps(2);
        self.wait(|app| {
            let model = app.model();
            let (flame, sites) = (&model.flame, &model.sites);
            let by = sources(flame.recipe.what, flame.recipe.compares);
            let failed =
                |source: &_| matches!(model.stacks.by(*source), malloscope_gui::model::Tile::Failed(_));
            let is_drawn = flame.picture.as_ref().is_some_and(|picture| picture.recipe == flame.recipe)
                || by.iter().any(failed);
            let is_sorted = sites.sorted.as_ref().is_some_and(|sorted| {
                sorted.order == sites.order
                    && sites.table.ready().is_some_and(|table| std::sync::Arc::ptr_eq(table, &sorted.table))
            });
            let has_pinned = sites.table.ready().is_some_and(|table| table.pinned.is_some());
            let is_named = model.stacks.legend.ready().is_some();
            let is_served = model.stacks.servings.is_loading();
            let is_listed = !model.allocations.state.is_loading();
            model.runs.is_any_loading()
                || is_served
                || !is_listed
                || model.stacks.legend.is_loading()
                || flame.is_wanted && is_named && !is_drawn
                || sites.is_wanted && is_named && (!is_sorted || sites.wants_pinned && !has_pinned)
        });
    }

    fn send(&mut self, command: Command) {
        self.harness.state_mut().as_mut().unwrap().apply(command);
        self.settle();
    }

    fn flame(&mut self, command: FlameCommand) {
        self.send(Command::Flame(command));
    }

    fn picture(&self) -> &Picture {
        self.app().model().flame.picture.as_ref().unwrap()
    }

    /// Presses what has this label.
    fn press(&mut self, name: &str) {
        self.harness.get_by_label(name).click();
        self.settle();
    }

    /// Presses the first bar or row whose label begins so.
    fn press_role(&mut self, role: Role, begin: &str) {
        let found = self
            .harness
            .query_all_by_role(role)
            .find(|node| node.accesskit_node().label().is_some_and(|label| label.starts_with(begin)));
        found.unwrap_or_else(|| panic!("{begin:?} is not in\n{:?}", self.harness.root())).click();
        self.settle();
    }

    fn key(&mut self, key: egui::Key) {
        self.harness.key_press(key);
        self.settle();
    }

    fn type_into(&mut self, name: &str, text: &str) {
        let field = self.harness.get_by_role_and_label(Role::TextInput, name);
        field.focus();
        field.type_text(text);
        self.settle();
    }
}

fn launcher() -> Launcher {
    Launcher { program: env!("CARGO_BIN_EXE_malloscope-gui").into(), arguments: vec![WORK.into()] }
}

/// A program whose functions are known: main calls parse and draw, which asks for large pieces.
///
/// ```text
/// main ─┬─ parse ── read_line   60 × 20,000 bytes, of which ten are not freed
///       └─ draw                 20 × 100,000 bytes, half of them freed
/// ```
fn trace(directory: &Path) -> PathBuf {
    trace_of(directory, "/src/made/up.c")
}

/// The same, with its functions in this file.
fn trace_of(directory: &Path, file: &str) -> PathBuf {
    let mut header = Header::default();
    header.program.path = "/usr/bin/made-up".to_owned();
    let mut writer = Writer::new(Vec::new(), &header).unwrap();
    writer.capture(Capture { sampling: Sampling::All, depth: 64 });
    let module = writer.module(Module { path: "/usr/bin/made-up".to_owned(), ..Module::default() });
    let mut frame = |caller, address| writer.frame(Frame { caller, module: Some(module), address });
    let main = frame(Stack::NONE, 0x10);
    let parse = frame(main, 0x20);
    let read_line = frame(parse, 0x30);
    let draw = frame(main, 0x40);
    let mut time = 0;
    let mut record = |call, stack| {
        time += 1000;
        let record = Record { time: Nanos(time), thread: Thread(0), program_break: 0, call };
        writer.record_from(&record, stack).unwrap();
    };
    let malloc =
        |address, request| Call::Malloc { request, to: Placed { pointer: Pointer::seen(address), head: 0 } };
    let free = |address| Call::Free { pointer: Pointer::seen(address) };
    for number in 0..60 {
        record(malloc(0x1000_0000 + 0x10000 * number, 20_000), read_line);
        if number < 20 {
            record(malloc(0x4000_0000 + 0x20000 * number, 100_000), draw);
        }
    }
    for number in 0..50 {
        record(free(0x1000_0000 + 0x10000 * number), Stack::NONE);
    }
    for number in 0..10 {
        record(free(0x4000_0000 + 0x20000 * number), Stack::NONE);
    }
    let bytes = writer.finish(&Ending::default()).unwrap();
    let mut symbols = Builder::default();
    for (address, name, line) in
        [(0x10, "main", 7), (0x20, "parse", 17), (0x30, "read_line", 27), (0x40, "draw", 37)]
    {
        let function = Function { name, file: Some(file), line: Some(line) };
        symbols.put(ModuleId(0), address, [function]);
    }
    let bytes = embed(Cursor::new(bytes), &symbols.finish(), Vec::new()).unwrap();
    let path = directory.join("made-up.mscope");
    std::fs::write(&path, bytes).unwrap();
    path
}

/// A trace of one call, from a function of ours, that carries no symbols: they are in this program's file.
fn trace_of_ours(directory: &Path) -> PathBuf {
    let own = std::env::current_exe().unwrap();
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let first = maps.lines().find(|line| line.ends_with(own.to_str().unwrap())).unwrap();
    let bias = u64::from_str_radix(first.split_once('-').unwrap().0, 16).unwrap();
    // A note of four and of twenty bytes of the third kind, which comes before all that we might have in common with it.
    let note = b"\x04\0\0\0\x14\0\0\0\x03\0\0\0GNU\0";
    let file = std::fs::read(&own).unwrap();
    let id = file.windows(note.len()).position(|bytes| bytes == note).unwrap() + note.len();
    let mut writer = Writer::new(Vec::new(), &Header::default()).unwrap();
    writer.capture(Capture { sampling: Sampling::All, depth: 64 });
    let module = writer.module(Module {
        path: own.to_str().unwrap().to_owned(),
        build_id: file[id..id + 20].to_vec(),
        bias,
        ..Module::default()
    });
    let address = trace_of_ours as fn(&Path) -> PathBuf as usize as u64 - bias + 1;
    let stack = writer.frame(Frame { caller: Stack::NONE, module: Some(module), address });
    let placed = Placed { pointer: Pointer::seen(0x1000_0000), head: 0 };
    let call = Call::Malloc { request: 100, to: placed };
    let record = Record { time: Nanos(0), thread: Thread(0), program_break: 0, call };
    writer.record_from(&record, stack).unwrap();
    let path = directory.join("ours.mscope");
    std::fs::write(&path, writer.finish(&Ending::default()).unwrap()).unwrap();
    path
}

#[test]
fn stacks_beside_the_heap_map_have_the_names_that_are_found_on_this_machine() {
    let directory = tempfile::tempdir().unwrap();
    let mut window = Window::open(launcher(), &trace_of_ours(directory.path()), View::Map);
    window.send(Command::Point(Some(0)));
    window.wait(|app| app.model().exploring.moment.is_none());
    window.wait(|app| app.model().stacks.legend.ready().is_none());
    window.must_say(&["malloc(100)", "Stack 1", "trace_of_ours (main.rs:"]);
}

fn flame() -> (Window, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let mut window = Window::open(launcher(), &trace(directory.path()), View::Flame);
    window.settle();
    (window, directory)
}

#[test]
fn a_flamegraph_is_drawn_and_its_total_is_the_report_s() {
    let (window, directory) = flame();
    window.must_say(&["Total 3.05 MiB", "main, 3.05 MiB, 100.0 %", "read_line, 1.14 MiB, 37.5 %", "made-up"]);
    let mut reader = Reader::open_file(&trace(directory.path())).unwrap();
    let blames = recorded(&mut reader, &What::ALL, &mut |_| {}).unwrap().blames;
    let bytes = blames.iter().find(|blame| blame.what == What::Bytes).unwrap();
    assert_eq!((window.picture().totals.counted, bytes.total), (3_200_000.0, 3_200_000.0));
    assert_eq!(window.picture().tree.root().total.first, bytes.total);
}

#[test]
fn what_a_replay_finds_out_is_what_the_report_says() {
    let (mut window, directory) = flame();
    let replayed = |blame| {
        let trace = trace(directory.path());
        let job = Job { blame, ..Job::of(trace, Trial::default()) };
        run(&job, &mut std::io::sink(), &mut |_| {}).unwrap()
    };
    let whats: Vec<What> = What::ALL.into_iter().filter(|what| what.needs_replay()).collect();
    for blame in replayed(whats).blame {
        window.flame(FlameCommand::Of(blame.what));
        let picture = window.picture();
        assert_eq!(picture.totals.counted, blame.total, "{:?}", blame.what);
        assert!((picture.tree.root().total.first - blame.total).abs() <= blame.total * 1e-9);
    }
    window.flame(FlameCommand::Of(What::Peak));
    let live = window.app().model().recorded().ready().unwrap().report.outcome.measured.peaks.live.bytes;
    assert_eq!(window.picture().totals.counted, live as f64);
}

#[test]
fn a_click_zooms_and_escape_goes_back() {
    let (mut window, _directory) = flame();
    window.press_role(Role::TreeItem, "draw,");
    assert_eq!(window.picture().name(window.picture().zoom()), "draw");
    window.must_say(&["in view draw, 1.91 MiB, 62.5 %"]);
    window.key(egui::Key::Escape);
    assert_eq!(window.picture().zoom(), 0);
    window.press_role(Role::TreeItem, "read_line,");
    window.press("Back");
    assert_eq!(window.picture().zoom(), 0);
}

#[test]
fn arrows_lead_through_the_picture() {
    let (mut window, _directory) = flame();
    window.press_role(Role::TreeItem, "all,");
    let mut at = |key| {
        window.key(key);
        window.picture().name(window.picture().chosen()).to_owned()
    };
    use egui::Key::{ArrowDown, ArrowLeft, ArrowRight, ArrowUp};
    let way = [
        (ArrowDown, "main"),
        (ArrowDown, "draw"),
        (ArrowRight, "parse"),
        (ArrowDown, "read_line"),
        (ArrowUp, "parse"),
        (ArrowLeft, "draw"),
    ];
    for (key, name) in way {
        assert_eq!(at(key), name, "{key:?}");
    }
    window.key(egui::Key::Enter);
    window.must_say(&["in view draw"]);
}

#[test]
fn what_is_searched_for_has_a_share() {
    let (mut window, _directory) = flame();
    window.type_into("Search", "READ");
    window.must_say(&["37.5 % of bytes"]);
    window.press("×");
    assert!(!window.says("% of bytes"));
    assert!(!window.picture().is_searched());
}

#[test]
fn the_source_of_a_function_is_shown_where_the_file_is_at_hand() {
    let directory = tempfile::tempdir().unwrap();
    let source = directory.path().join("up.c");
    let text: String = (1..=40).map(|line| format!("line {line} of it\n")).collect();
    std::fs::write(&source, text).unwrap();
    let trace = trace_of(directory.path(), source.to_str().unwrap());
    let mut window = Window::open(launcher(), &trace, View::Flame);
    window.settle();
    window.press("Source");
    window.must_say(&["Click a function to see its source."]);
    window.press_role(Role::TreeItem, "draw,");
    window.must_say(&["up.c:37", "   37  line 37 of it", "line 40 of it"]);
    std::fs::remove_file(&source).unwrap();
    window.key(egui::Key::Escape);
    window.press_role(Role::TreeItem, "read_line,");
    window.must_say(&["up.c:27", "This file is not at hand"]);
}

#[test]
fn callers_focus_and_what_is_hidden_change_the_tree() {
    let (mut window, _directory) = flame();
    window.press("Callers");
    window.must_say(&["draw, 1.91 MiB, 62.5 %", "read_line, 1.14 MiB, 37.5 %"]);
    let level = window.picture().tree.level(1);
    assert_eq!(level.map(|node| window.picture().name(node)).collect::<Vec<_>>(), ["draw", "read_line"]);
    window.press("Callers");
    let draw = window.picture().function(2);
    assert_eq!(window.picture().name(2), "draw");
    window.flame(FlameCommand::Hide(draw));
    window.must_say(&["without draw (1.91 MiB left out)", "read_line, 1.14 MiB, 100.0 %"]);
    window.press("Show all");
    window.flame(FlameCommand::Focus(Some(draw)));
    window.must_say(&["only stacks with draw (1.14 MiB left out)", "draw, 1.91 MiB, 100.0 %"]);
    window.flame(FlameCommand::ShowAll);
    window.press("Flames");
    assert!(window.app().model().flame.grows_upward);
    window.press_role(Role::TreeItem, "draw,");
    assert_eq!(window.picture().name(window.picture().zoom()), "draw", "what is above is hit there");
    window.flame(FlameCommand::Move(Direction::ToRoot));
    assert_eq!(window.picture().name(window.picture().chosen()), "main");
}

#[test]
fn rows_say_the_same_and_open() {
    let (mut window, _directory) = flame();
    window.must_say(&["1.91 MiB, 62.5 %, 1.91 MiB, draw"]);
    window.press_role(Role::Row, "1.14 MiB, 37.5 %, 0 B, parse");
    assert_eq!(window.picture().name(window.picture().chosen()), "parse");
    let parse = window.picture().chosen();
    window.flame(FlameCommand::Toggle(parse));
    window.must_say(&["1.14 MiB, 37.5 %, 1.14 MiB, read_line"]);
}

#[test]
fn two_runs_are_compared_with_signs() {
    let (mut window, _directory) = flame();
    let trial = Trial { settings: vec![("mmap_threshold".to_owned(), 64 << 10)], ..Trial::default() };
    window.send(Command::Try(vec![trial.clone()]));
    window.flame(FlameCommand::Of(What::BreakGrown));
    window.press("Compare with mmap_threshold 64K");
    assert!(window.picture().tree.is_difference);
    window.must_say(&["▼ less", "▲ more", "draw, −", "Change"]);
    let picture = window.picture();
    let second = picture.totals.second.unwrap();
    assert!(second < picture.totals.counted, "{:?}", picture.totals);
    let other = window.app().model().runs.of(&trial).unwrap().id;
    window.send(Command::Forget(other));
    assert!(!window.picture().tree.is_difference);
}

#[test]
fn a_trace_without_stacks_says_how_to_record_them() {
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("../traces/samples/xz.mscope");
    for view in [View::Flame, View::Sites] {
        let mut window = Window::open(launcher(), &sample, view);
        window.settle();
        window.must_say(&["The trace has no stacks", "malloscope record --stacks all"]);
    }
}

#[test]
fn names_that_are_not_known_say_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let path = trace(directory.path());
    // The symbols lie behind the records: without them, and without the program, there are no names.
    let known = Reader::open_file(&path).unwrap().symbols().unwrap().unwrap();
    let bytes = std::fs::read(&path).unwrap();
    assert_eq!(known.len(), 4);
    let bytes = embed(Cursor::new(bytes), &Builder::default().finish(), Vec::new()).unwrap();
    std::fs::write(&path, bytes).unwrap();
    let mut window = Window::open(launcher(), &path, View::Flame);
    window.settle();
    window.must_say(&["100.0 % of functions have no name", "made-up+0x40, 1.91 MiB"]);
}

#[test]
fn a_range_is_all_that_is_spoken_of() {
    let (mut window, _directory) = flame();
    // The first ten records are five of each.
    window.send(Command::Select(Some((0, 10))));
    window.must_say(&["Total 586 KiB", "in records 0 to 9", "draw, 488 KiB, 83.3 %"]);
    window.send(Command::Look(View::Sites));
    window.must_say(&["In records 0 to 9:", "All 2 stacks: 10 allocations, 586 KiB"]);
    assert!(!window.says("Find out what is pinned"));
    window.send(Command::Look(View::Flame));
    window.flame(FlameCommand::Of(What::Faults));
    window.must_say(&["in the whole trace"]);
    window.send(Command::Select(None));
    window.flame(FlameCommand::Of(What::Bytes));
    window.must_say(&["Total 3.05 MiB"]);
    assert!(!window.says("in the whole trace") && !window.says("in records"));
}

#[test]
fn sites_are_listed_sorted_and_filtered_and_add_up() {
    let directory = tempfile::tempdir().unwrap();
    let mut window = Window::open(launcher(), &trace(directory.path()), View::Sites);
    window.settle();
    window.must_say(&[
        "All 2 stacks: 80 allocations, 3.05 MiB, live at peak 3.05 MiB, live at end 1.14 MiB, 0 temporary",
        "Bytes ▼",
        "draw ← main, 20, 1.91 MiB",
        "read_line ← parse ← main, 60, 1.14 MiB",
    ]);
    window.press("Allocations");
    window.must_say(&["Allocations ▼"]);
    let order = |window: &Window| {
        let sites = &window.app().model().sites;
        let table = sites.table.ready().unwrap();
        let rows = &sites.sorted.as_ref().unwrap().rows;
        rows.iter().map(|&row| Column::Allocations.value(&table.rows[row as usize])).collect::<Vec<_>>()
    };
    assert_eq!(order(&window), [60.0, 20.0]);
    window.press("Allocations ▼");
    assert_eq!(order(&window), [20.0, 60.0]);
    window.type_into("Only with", "parse");
    assert_eq!(order(&window), [60.0]);
    window.must_say(&["shown 1: 60 allocations"]);
}

#[test]
fn a_site_shows_its_whole_stack_and_leads_to_the_flamegraph() {
    let directory = tempfile::tempdir().unwrap();
    let mut window = Window::open(launcher(), &trace(directory.path()), View::Sites);
    window.settle();
    window.press_role(Role::Row, "read_line ←");
    window.must_say(&[
        "The whole stack, 3 functions",
        "read_line, …/src/made/up.c:27, made-up",
        "main, …/src/made/up.c:7",
    ]);
    window.press("Show in the flamegraph");
    assert_eq!(window.picture().name(window.picture().zoom()), "read_line");
    window.must_say(&["in view read_line"]);
}

#[test]
fn what_sites_pinned_is_found_out_by_a_replay() {
    let directory = tempfile::tempdir().unwrap();
    let mut window = Window::open(launcher(), &trace(directory.path()), View::Sites);
    window.settle();
    let pinned = |window: &Window| window.app().model().sites.table.ready().unwrap().pinned;
    assert_eq!(pinned(&window), None);
    window.press("Find out what is pinned");
    assert_eq!(pinned(&window), Some(Unit::ByteRecords));
    let table = window.app().model().sites.table.ready().unwrap();
    let sum: f64 = table.rows.iter().map(|row| row.pinned).sum();
    assert!(sum > 0.0 && (sum - table.total.pinned).abs() <= sum * 1e-9);
    window.send(Command::Sites(SitesCommand::Sort(Column::Pinned)));
    assert_eq!(window.app().model().sites.sorted.as_ref().unwrap().order.by, Column::Pinned);
}
