//! The heap map without a screen: a heap laid out, coloured, stepped through, and found by its words.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

#[path = "common/watched.rs"]
mod watched;

use egui_kittest::kittest::Queryable;
use malloscope_gui::app::App;
use malloscope_gui::app::command::Command;
use malloscope_gui::jobs::WORK;
use malloscope_gui::model::colouring::{Colouring, Key};
use malloscope_gui::model::heap::Moment;
use malloscope_gui::model::picture::{Canvas, Picture, Plan};
use malloscope_gui::model::view::View;
use malloscope_replayer::explore::cells::{Class, NOTHING};
use malloscope_replayer::explore::map::{HeapMap, State};
use malloscope_replayer::explore::{Explorer, Watched};
use malloscope_replayer::trial::Trial;
use malloscope_replayer::worker::Launcher;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use watched::Window;

fn sample(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../traces/samples").join(name)
}

fn heap(name: &str, made: u64) -> HeapMap {
    let mut explorer = Explorer::open(&sample(name), &Trial::default()).unwrap();
    let stop = AtomicBool::new(false);
    explorer.go_to(made, &mut Watched { progress: &mut |_| {}, stop: &stop }).unwrap();
    explorer.heap().unwrap()
}

#[test]
fn every_byte_has_one_place_and_every_place_its_address() {
    for (name, made) in [("sqlite.mscope", 3000), ("threads.mscope", 9000), ("mappings.mscope", 2000)] {
        let map = heap(name, made);
        for (cell, columns) in [(16, 100), (256, 33), (4096, 7), (1 << 20, 50)] {
            let plan = Plan::of(&map, cell, columns, 3);
            let mut found = 0;
            for row in 0..plan.rows {
                for column in 0..columns {
                    let Some(address) = plan.address_at(row, column) else { continue };
                    found += 1;
                    let span = plan.span_at(row, column).unwrap();
                    assert!(span.from <= address && address < span.from + span.cells * cell);
                    assert_eq!(plan.place_of(span.region, address), Some((row, column)), "{name} {cell}");
                }
            }
            assert_eq!(found, plan.spans.iter().map(|span| span.cells).sum::<u64>(), "{name} {cell}");
            assert_eq!(plan.address_at(plan.rows + 1, 0), None);
        }
        let fitting = Plan::fitting(&map, 120, 5, 60);
        assert!(fitting.rows <= 60 && Plan::of(&map, fitting.cell / 2, 120, 5).rows > 60, "{fitting:?}");
    }
}

#[test]
fn a_picture_is_the_same_in_parts_and_adds_up_in_every_colouring() {
    let map = heap("threads.mscope", 9000);
    let all = map.totals.all();
    let moment = Arc::new(Moment { heap: map, latest: None, coming: None, total: None, notice: None });
    let plan = Arc::new(Plan::of(&moment.heap, 64, 40, 2));
    for colouring in Colouring::ALL {
        let key = Arc::new(Key::of(&moment.heap, colouring));
        let shares = |part: fn(&malloscope_replayer::explore::cells::Share) -> u64| -> u64 {
            key.entries.iter().map(|entry| part(&entry.share)).sum()
        };
        assert_eq!((shares(|one| one.pieces), shares(|one| one.bytes)), (all.pieces, all.bytes));
        let draw = |first, rows| {
            let (moment, plan) = (Arc::clone(&moment), Arc::clone(&plan));
            Picture::draw(Canvas { moment, colouring, plan, first, rows }, Arc::clone(&key)).cells
        };
        let whole = draw(0, plan.rows);
        let parts: Vec<Class> = (0..plan.rows).flat_map(|row| draw(row, 1)).collect();
        assert!(whole == parts, "{colouring:?}");
        assert!(whole.iter().all(|&class| class == NOTHING || key.entry(class).is_some()));
        let drawn = whole.iter().filter(|&&class| class != NOTHING).count() as u64;
        assert_eq!(drawn, plan.spans.iter().map(|span| span.cells).sum::<u64>());
    }
}

impl Window {
    fn open(trace: PathBuf) -> Window {
        let program = env!("CARGO_BIN_EXE_malloscope-gui").into();
        let launcher = Launcher { program, arguments: vec![WORK.into()] };
        let show = move |ui: &mut egui::Ui, app: &mut Option<App>| {
            app.get_or_insert_with(|| App::new(ui.ctx(), launcher.clone(), Some(trace.clone()))).ui(ui);
        };
        let mut window = Window::of([1600.0, 1000.0], show);
        window.until(|app| app.model().recorded().ready().is_some());
        window.apply(Command::Look(View::Map));
        window.until(|app| app.model().exploring.picture.is_some());
        window
    }

    fn app(&self) -> &App {
        self.harness.state().as_ref().unwrap()
    }

    fn apply(&mut self, command: Command) {
        self.harness.state_mut().as_mut().unwrap().apply(command);
        self.harness.run_steps(2);
    }

    /// Shows frames until it is so, and nothing is under way any more.
    fn until(&mut self, is_so: impl Fn(&App) -> bool) {
        self.harness.step();
        while !is_so(self.app()) || self.app().model().exploring.under_way.is_some() {
            self.woken.recv().unwrap();
            self.harness.step();
        }
        self.harness.run_steps(3);
    }

    /// Presses a button, and waits for the moment it leads to.
    fn press(&mut self, name: &str) {
        self.harness.get_by_label(name).click();
        self.harness.run_steps(2);
        self.until(|_| true);
    }

    fn record(&self) -> u64 {
        self.app().model().exploring.moment.as_ref().unwrap().record().unwrap()
    }
}

#[test]
fn calls_are_made_and_taken_back_and_told() {
    let mut window = Window::open(sample("sqlite.mscope"));
    assert_eq!(window.app().model().cursor, None);
    window.must_say(&["Main arena: 284 KiB", "This is the end of the trace.", "Heap map: "]);
    window.apply(Command::Point(Some(3000)));
    window.until(|app| app.model().exploring.at == Some(3000));
    window.must_say(&[
        "malloc(16) = 0x",
        "1. 16 bytes need a chunk of 0x20",
        "2. served from tcache bin 0",
        "Next: free(",
    ]);
    window.press("Step ▶");
    assert_eq!((window.record(), window.app().model().cursor), (3001, Some(3001)));
    window.must_say(&["goes to tcache bin 0"]);
    window.press("◀ Back");
    window.press("◀ Back");
    assert_eq!((window.record(), window.app().model().cursor), (2999, Some(2999)));
    window.apply(Command::Point(Some(0)));
    window.until(|app| app.model().exploring.at == Some(0));
    window.press("Growth");
    let first = window.record();
    window.must_say(&["the program break moves up by 132 KiB"]);
    window.press("Growth");
    assert!(window.record() > first);
    window.press("Growth");
    window.must_say(&["No call does that any more"]);
    assert_eq!(window.record() + 1, window.app().model().recorded().ready().unwrap().report.outcome.records);
}

#[test]
fn a_chunk_is_chosen_and_said_and_the_legend_adds_up() {
    let mut window = Window::open(sample("sqlite.mscope"));
    window.apply(Command::Point(Some(3000)));
    window.until(|app| app.model().exploring.at == Some(3000));
    window.until(|app| {
        let exploring = &app.model().exploring;
        exploring.picture.as_ref().unwrap().canvas.moment.record() == Some(3000)
    });
    window.must_say(&[
        "live",
        "cached",
        "336",
        "284 KiB",
        "100.0 %",
        "13.0 KiB pinned in the main arena",
        "pins 13.0 KiB",
    ]);
    let moment = Arc::clone(window.app().model().exploring.moment.as_ref().unwrap());
    let cached = moment.heap.pieces.iter().find(|piece| piece.state == State::Cached).unwrap().address;
    window.apply(Command::Choose(Some(cached)));
    window.must_say(&["free, number", "Taken before", "Taken after"]);
    let live = moment.heap.pieces.iter().find(|piece| piece.is_live()).unwrap();
    window.apply(Command::Choose(Some(live.address)));
    window.must_say(&["Request", "Payload", "Go to the call that made it"]);
    let made = moment.heap.allocation(live).unwrap().record.unwrap();
    window.press("Go to the call that made it");
    window.until(|app| app.model().exploring.at == Some(made));
    assert_eq!(window.record(), made);
    window.apply(Command::Colour(Colouring::Age));
    window.harness.run_steps(2);
    window.until(|app| !app.is_busy());
    let painted = window.app().model().exploring.picture.clone().unwrap();
    assert_eq!(painted.canvas.colouring, Colouring::Age, "who takes a picture waits for it");
    window.apply(Command::Colour(Colouring::Size));
    window.until(|app| app.model().exploring.picture.as_ref().unwrap().canvas.colouring == Colouring::Size);
    window.must_say(&["up to 64 B", "not the program’s"]);
    // The smallest cells are so large that chunks have names.
    for _ in 0..20 {
        window.harness.get_by_label("Closer").click();
        window.harness.run_steps(2);
    }
    window.until(|app| app.model().exploring.picture.as_ref().unwrap().canvas.plan.cell == 16);
    let name = format!("{:#x} malloc’s own", moment.heap.pieces[0].address);
    window.must_say(&[&name]);
}
