//! Records are looked at: pointed at and selected in the window, and counted alone in every table.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

#[path = "common/watched.rs"]
mod watched;

use egui::{Key, Pos2, pos2};
use egui_kittest::kittest::{NodeT, Queryable};
use malloscope_gui::app::App;
use malloscope_gui::app::command::Command;
use malloscope_gui::jobs::WORK;
use malloscope_gui::model::bins::Column;
use malloscope_gui::model::flows::Unit;
use malloscope_gui::model::view::View;
use malloscope_gui::model::{Model, Tile};
use malloscope_replayer::metrics::searches::SearchRow;
use malloscope_replayer::report::units;
use malloscope_replayer::worker::Launcher;
use std::path::Path;
use watched::Window;

impl Window {
    fn open(sample: &str) -> Window {
        let launcher =
            Launcher { program: env!("CARGO_BIN_EXE_malloscope-gui").into(), arguments: vec![WORK.into()] };
        let trace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../traces/samples").join(sample);
        let show = move |ui: &mut egui::Ui, app: &mut Option<App>| {
            app.get_or_insert_with(|| App::new(ui.ctx(), launcher.clone(), Some(trace.clone()))).ui(ui);
        };
        let mut window = Window::of([1400.0, 900.0], show);
        window.settle();
        window
    }

    fn model(&self) -> &Model {
        self.harness.state().as_ref().unwrap().model()
    }

    fn apply(&mut self, command: Command) {
        self.harness.state_mut().as_mut().unwrap().apply(command);
        self.harness.run_steps(3);
    }

    /// Waits for every replay to end.
    fn settle(&mut self) {
        self.harness.step();
        while self.model().recorded().is_loading() || self.model().ranged.is_loading() {
            self.woken.recv().unwrap();
            self.harness.step();
        }
        self.harness.run_steps(3);
    }

    fn press(&mut self, name: &str) {
        self.harness.get_by_label(name).click();
        self.harness.run_steps(3);
    }

    /// Presses the switch of this name; others may bear it too.
    fn switch(&mut self, name: &str) {
        self.harness.get_by_role_and_label(egui::accesskit::Role::CheckBox, name).click();
        self.harness.run_steps(3);
    }

    /// A place in the timeline: a share of the way across it.
    fn in_timeline(&self, share: f32) -> Pos2 {
        let timeline = self.harness.get_by_label_contains("Timeline of ").rect();
        // The names of what is drawn stand beside the records.
        let (left, right) = (timeline.left() + 80.0, timeline.right() - 70.0);
        pos2(left + share * (right - left), timeline.top() + 40.0)
    }

    fn drag(&mut self, from: Pos2, to: Pos2) {
        self.harness.hover_at(from);
        self.harness.run_steps(1);
        self.harness.drag_at(from);
        self.harness.run_steps(1);
        self.harness.hover_at(from + (to - from) / 2.0);
        self.harness.run_steps(1);
        self.harness.hover_at(to);
        self.harness.run_steps(2);
        self.harness.drop_at(to);
        self.harness.run_steps(2);
    }
}

#[test]
fn what_is_dragged_over_is_counted_alone_everywhere() {
    let mut window = Window::open("oscillation.mscope");
    let (from, to) = (window.in_timeline(0.25), window.in_timeline(0.5));
    window.drag(from, to);
    let (first, end) = window.model().range.unwrap();
    let records = window.model().recorded().ready().unwrap().report.outcome.records;
    assert!(
        first > records / 5 && end < records * 11 / 20 && end - first > records / 5,
        "{first} {end} {records}"
    );
    window.settle();
    let ranged = window.model().ranged.ready().unwrap();
    assert_eq!(ranged.report.outcome.records, end - first);
    let shown = window.model().shown().unwrap();
    assert_eq!(shown.heat.extent(), (first, end), "the tables speak of the range");
    window.must_say(&["Records ", "All tables speak of these records", "Zoom to range"]);
    window.press("Zoom to range");
    window.press("Show all");
    window.press("Clear range");
    assert_eq!((window.model().range, &window.model().ranged), (None, &Tile::Missing));
    assert!(!window.says("All tables speak"));
    assert_eq!(window.model().shown().unwrap().report.outcome.records, records);
}

#[test]
fn a_click_points_and_escape_clears_first_the_range_and_then_the_record() {
    let mut window = Window::open("json.mscope");
    let at = window.in_timeline(0.5);
    window.harness.hover_at(at);
    window.harness.run_steps(1);
    window.harness.drag_at(at);
    window.harness.drop_at(at);
    window.harness.run_steps(3);
    let records = window.model().recorded().ready().unwrap().report.outcome.records;
    let cursor = window.model().cursor.unwrap();
    assert!((records * 2 / 5..records * 3 / 5).contains(&cursor), "{cursor} of {records}");
    window.apply(Command::Select(Some((10, 500))));
    window.settle();
    window.harness.key_press(Key::Escape);
    window.harness.run_steps(3);
    assert_eq!((window.model().range, window.model().cursor), (None, Some(cursor)));
    window.harness.key_press(Key::Escape);
    window.harness.run_steps(3);
    assert_eq!(window.model().cursor, None);
}

#[test]
fn curves_and_strips_are_switched_by_their_names() {
    let mut window = Window::open("threads.mscope");
    let is_on = |window: &Window, name: &str| {
        let node = window.harness.get_by_role_and_label(egui::accesskit::Role::CheckBox, name);
        node.accesskit_node().toggled()
    };
    for name in ["Break", "Pinned", "Calls/s", "Threads and arenas"] {
        let before = is_on(&window, name);
        window.switch(name);
        assert_ne!(is_on(&window, name), before, "{name}");
    }
    assert!(!window.says("thread 1: "));
    window.switch("Threads and arenas");
    window.must_say(&["main thread: ", "thread 1: "]);
}

#[test]
fn a_bin_is_chosen_by_a_click_and_says_what_it_did() {
    let mut window = Window::open("json.mscope");
    window.must_say(&["not asked"]);
    let row = window.model().shown().unwrap().heat.rows[1].clone();
    let label = format!("{}: {}", row.name, row.total.said());
    window.press(&label);
    window.must_say(&[
        "Chunks of 48 bytes: requests of 25 to 40 bytes.",
        "Share of bins",
        "Hit rate",
        "In records ",
    ]);
    assert!(window.model().cursor.is_some(), "the records are pointed at");
    // What it served is what counts now, and what waits in it is listed.
    assert_eq!(window.model().filter.places.unwrap().said(), row.name);
    window.press("Show its free list");
    while window.model().exploring.under_way.is_some() {
        window.woken.recv().unwrap();
        window.harness.step();
    }
    window.harness.run_steps(3);
    let heap = &window.model().exploring.moment.as_ref().unwrap().heap;
    let waiting = heap.pieces.iter().filter(|piece| piece.bin_name() == row.name.replace(' ', " bin "));
    let (chunks, bytes) = waiting.fold((0, 0), |(chunks, bytes), piece| (chunks + 1, bytes + piece.size));
    let said = format!(": {} chunks, {}", units::count(chunks), units::bytes(bytes));
    let when = format!("Free list after record {}", units::count(window.model().cursor.unwrap()));
    window.must_say(&[&(when + &said)]);
    window.press("Only these records");
    window.settle();
    assert!(window.model().ranged.ready().is_some());
    window.must_say(&["Clear range"]);
    window.press("Close bin");
    assert!(!window.says("Share of bins") && window.model().filter.is_all());
    for measure in ["Requests", "Misses", "Bytes", "Hit rate"] {
        window.harness.get_all_by_label(measure).next().unwrap().click();
        window.harness.run_steps(2);
    }
}

#[test]
fn a_row_of_the_table_of_bins_is_a_filter_and_a_click_on_it_takes_it_back() {
    let mut window = Window::open("json.mscope");
    window.apply(Command::Look(View::Bins));
    window.apply(Command::Alone(true));
    window.press("Table");
    let line = window.model().shown().unwrap().bins[1].clone();
    let row = [Column::Bin, Column::Sizes, Column::Requests].map(|column| line.cell(column)).join(", ");
    let press = |window: &mut Window| {
        window.harness.get_by(|node| node.label().is_some_and(|label| label.starts_with(&row))).click();
        window.harness.run_steps(3);
    };
    press(&mut window);
    assert_eq!(window.model().filter.places.unwrap().said(), line.name());
    window.must_say(&["Share of bins", "Its single allocations", "Its sites", "Show its free list"]);
    press(&mut window);
    assert!(window.model().filter.is_all() && !window.says("Share of bins"));
}

#[test]
fn where_chunks_were_freed_to_is_a_filter_that_adds_up_in_every_view() {
    let mut window = Window::open("json.mscope");
    window.apply(Command::Look(View::Served));
    window.apply(Command::Alone(true));
    window.press("Frees");
    let frees = window.model().shown().unwrap().frees.clone();
    let place = frees.places.iter().min_by_key(|place| place.amount.times).unwrap();
    window.press(&frees.said_of(place, Unit::Count));
    assert_eq!(window.model().filter.freed_to.unwrap().said(), place.name);
    let chip = format!("freed to {}", place.name);
    window.must_say(&[&chip, "Its sites", "Its flamegraph"]);
    // The requests do not speak of it, and keep their own.
    window.press("Requests");
    let requests = window.model().shown().unwrap().requests.clone();
    window.press(&requests.said_of(&requests.places[0], Unit::Count));
    assert!(window.model().filter.freed_to.is_some() && window.model().filter.places.is_some());
    window.press(&requests.said_of(&requests.places[0], Unit::Count));
    window.press("Its single allocations");
    while window.model().allocations.listed.is_none() || window.model().allocations.state.is_loading() {
        window.woken.recv().unwrap();
        window.harness.step();
    }
    let listed = window.model().allocations.listed.as_ref().unwrap();
    assert_eq!(listed.listing.matching, place.amount.times);
    assert!(listed.listing.all > listed.listing.matching);
    // Sizes of chunks are none that were asked for: they are lit, and nothing is filtered.
    window.apply(Command::Look(View::Served));
    window.press(&format!("Take away: {chip}"));
    window.press("Frees");
    window.press(&frees.said_of(&frees.classes[0], Unit::Count));
    assert!(window.model().filter.is_all());
}

#[test]
fn flows_and_decisions_have_pictures_and_tables() {
    let mut window = Window::open("json.mscope");
    window.apply(Command::Look(View::Served));
    let model = window.model().shown().unwrap();
    let (class, place) = (model.requests.classes[1].clone(), model.requests.places[0].clone());
    let said = model.requests.said_of(&class, Unit::Count);
    let frees: u64 = model.frees.flows.iter().map(|flow| flow.amount.times).sum();
    assert!(frees > 1000);
    window.must_say(&[&said, &format!("{}: ", place.name)]);
    window.press(&said);
    window.press("Chunk bytes");
    window.press("As table");
    window.must_say(&["Asked for", "all"]);
    window.press("Frees");
    window.must_say(&["Chunk", "unsorted bin"]);
    window.press("Picture");
    window.must_say(&["tcache: "]);
    window.press("Decisions");
    window.must_say(&[
        "tcache: ",
        "grown top: ",
        "The unsorted bin was searched",
        "How far requests searched",
    ]);
    let searches = window.model().shown().unwrap().report.outcome.searches.clone();
    let said = |row: &SearchRow, name: &str| {
        let (searches, chunks) = (units::count(row.searches), units::count(row.chunks));
        format!("{name}, {searches}, {chunks}, {:.1}, {}, {}", row.mean(), row.p99, units::count(row.longest))
    };
    let of_one = searches.rows.iter().find(|row| row.number.is_some()).unwrap();
    let one = said(of_one, &format!("{} {}", of_one.kind, of_one.number.unwrap()));
    window.must_say(&[&said(searches.all().unwrap(), "all")]);
    assert!(!window.says(&one), "of single bins the table has more");
    window.press("As table");
    window.must_say(&["Arrived", "Went on", &one]);
    window.press(&format!("Show the longest, record {}", units::count(searches.longest_at)));
    while !window.model().is_explored() {
        window.woken.recv().unwrap();
        window.harness.step();
    }
    let moment = window.model().exploring.moment.clone().unwrap();
    assert_eq!(moment.record(), Some(searches.longest_at));
}

#[test]
fn what_closes_a_question_does_not_forget_the_cursor() {
    let mut window = Window::open("json.mscope");
    window.apply(Command::Point(Some(500)));
    for key in [Key::P, Key::G] {
        window.harness.key_press_modifiers(egui::Modifiers::COMMAND, key);
        window.harness.run_steps(3);
        window.harness.key_press(Key::Escape);
        window.harness.run_steps(3);
        assert_eq!(window.model().cursor, Some(500), "{key:?}");
    }
    window.harness.key_press(Key::Escape);
    window.harness.run_steps(3);
    assert_eq!(window.model().cursor, None);
}
