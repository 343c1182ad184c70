//! The window as such: keys, the palette, undo, pictures, and what survives a restart.

use super::*;
use egui::{Event, Key, Modifiers};
use malloscope_gui::app::persist::Kept;
use malloscope_gui::arguments::Arguments;
use malloscope_gui::jobs::keeper::Keeper;

const CTRL: Modifiers = Modifiers::COMMAND;
const CTRL_SHIFT: Modifiers = Modifiers::COMMAND.plus(Modifiers::SHIFT);

impl Window {
    fn key(&mut self, modifiers: Modifiers, key: Key) {
        self.harness.key_press_modifiers(modifiers, key);
        self.harness.run_steps(3);
    }

    fn write(&mut self, text: &str) {
        self.harness.event(Event::Text(text.to_owned()));
        self.harness.run_steps(3);
    }

    /// What is on the clipboard after a key was pressed.
    fn copied(&mut self, modifiers: Modifiers, key: Key) -> String {
        self.harness.input_mut().events.push(key_event(modifiers, key, true));
        self.harness.step();
        self.clipboard().expect("something was copied")
    }

    /// What the last frame put on the clipboard.
    fn clipboard(&self) -> Option<String> {
        let mut commands = self.harness.output().platform_output.commands.iter();
        commands.find_map(|command| match command {
            egui::OutputCommand::CopyText(text) => Some(text.clone()),
            _ => None,
        })
    }
}

/// A key, pressed or let go.
pub fn key_event(modifiers: Modifiers, key: Key, pressed: bool) -> Event {
    Event::Key { key, physical_key: None, pressed, repeat: false, modifiers }
}

/// A window with the sample in it, in these colours.
pub fn open_sample(theme: egui::Theme) -> Window {
    let mut window = Window::open(launcher(), Some(&sample()));
    window.settle();
    window.harness.ctx.set_theme(theme);
    window.harness.run_steps(3);
    window
}

/// A window with the sample in it.
fn open() -> Window {
    let mut window = Window::open(launcher(), Some(&sample()));
    window.settle();
    window
}

/// What a command line says.
fn arguments(line: &str) -> Arguments {
    use clap::Parser;
    Arguments::try_parse_from(line.split(' ')).unwrap()
}

#[test]
fn digits_bring_panels_to_the_front() {
    let mut window = open();
    for (view, key) in [(View::Report, Key::Num8), (View::Served, Key::Num3), (View::Bins, Key::Num2)] {
        window.key(Modifiers::NONE, key);
        assert_eq!(window.app().model().front, view);
        assert!(window.app().place(view).is_some(), "{view:?} can be seen");
    }
    assert_eq!(window.app().place(View::Served), None);
}

#[test]
fn a_digit_that_is_typed_is_a_digit() {
    let mut window = open();
    window.key(Modifiers::NONE, Key::Num7);
    window.press("Any setting…");
    window.harness.get_by_role_and_label(egui::accesskit::Role::TextInput, "mxfast").focus();
    window.harness.run_steps(2);
    window.key(Modifiers::NONE, Key::Num3);
    assert_eq!(window.app().model().front, View::Runs);
}

#[test]
fn a_click_on_a_tab_is_a_look_at_its_panel() {
    let mut window = open();
    window.press("Served from");
    assert_eq!(window.app().model().front, View::Served);
    window.key(CTRL, Key::Z);
    assert_eq!(window.app().model().front, View::Timeline);
}

#[test]
fn the_palette_finds_commands_by_letters_and_records_by_numbers() {
    let mut window = open();
    window.key(CTRL, Key::P);
    window.must_say(&["Open a trace…", "Show Bins", "Commands"]);
    window.write("shbi");
    window.key(Modifiers::NONE, Key::Enter);
    assert_eq!(window.app().model().front, View::Bins);
    assert!(!window.says("Open a trace…"), "it is gone");
    window.key(CTRL_SHIFT, Key::P);
    window.write("1,0");
    window.write("0");
    window.must_say(&["Look at record 100"]);
    window.key(Modifiers::NONE, Key::Enter);
    assert_eq!(window.app().model().cursor, Some(100));
    window.key(CTRL, Key::P);
    window.write("10..20");
    window.key(Modifiers::NONE, Key::Enter);
    assert_eq!(window.app().model().range, Some((10, 20)));
    window.key(CTRL, Key::P);
    window.write("no such thing");
    window.must_say(&["Nothing has such a name."]);
    window.key(Modifiers::NONE, Key::Escape);
    assert!(!window.says("Nothing has such a name."));
}

#[test]
fn arrows_choose_in_the_palette() {
    let mut window = open();
    window.key(CTRL, Key::P);
    window.write("show");
    window.key(Modifiers::NONE, Key::ArrowDown);
    window.key(Modifiers::NONE, Key::ArrowDown);
    window.key(Modifiers::NONE, Key::ArrowUp);
    window.key(Modifiers::NONE, Key::Enter);
    assert_eq!(window.app().model().front, View::Bins, "the second of those with “show”");
}

#[test]
fn the_list_of_keys_names_them_all() {
    let mut window = open();
    window.key(Modifiers::NONE, Key::F1);
    for action in malloscope_gui::app::actions::all().iter().filter(|action| !action.keys.is_empty()) {
        window.must_say(&[&action.name]);
    }
    window.must_say(&["Ctrl+Shift+Z", "Drag its tab"]);
    window.key(Modifiers::NONE, Key::Escape);
    assert!(!window.says("Drag its tab"));
}

#[test]
fn the_menu_has_the_commands_too() {
    let mut window = open();
    window.press("Menu");
    window.press("Records");
    // Its keys are part of its label.
    window.harness.get_by_label_contains("Last record").click();
    window.harness.run_steps(3);
    let end = window.app().model().records();
    assert!(end.is_some() && window.app().model().cursor == end);
}

#[test]
fn records_are_walked_and_the_walk_is_undone() {
    let mut window = open();
    for _ in 0..3 {
        window.key(Modifiers::NONE, Key::Period);
    }
    window.key(Modifiers::NONE, Key::Comma);
    assert_eq!(window.app().model().cursor, Some(2));
    window.key(CTRL, Key::Z);
    assert_eq!(window.app().model().cursor, None);
    window.key(CTRL_SHIFT, Key::Z);
    assert_eq!(window.app().model().cursor, Some(2));
    window.key(CTRL, Key::Z);
    window.key(CTRL, Key::Z);
    window.must_say(&["There is nothing to undo"]);
}

#[test]
fn a_record_and_a_range_are_asked_for_until_they_make_sense() {
    let mut window = open();
    window.key(CTRL, Key::G);
    window.write("many");
    window.press("Look");
    window.must_say(&["“many” is not the number of a record"]);
    window.press("Cancel");
    window.key(CTRL_SHIFT, Key::G);
    window.write("5..7");
    window.press("Look");
    assert_eq!(window.app().model().range, Some((5, 7)));
}

#[test]
fn a_panel_is_shown_alone_and_all_are_shown_again() {
    let mut window = open();
    window.key(Modifiers::NONE, Key::Num2);
    window.key(Modifiers::NONE, Key::M);
    assert!(window.app().model().is_alone && !window.says("Served from"));
    window.must_say(&["Hit rate"]);
    window.press("All panels");
    window.must_say(&["Served from"]);
}

#[test]
fn a_command_line_leads_where_it_was_copied() {
    let mut window = open();
    window.key(CTRL, Key::P);
    window.write("10..200");
    window.key(Modifiers::NONE, Key::Enter);
    window.key(Modifiers::NONE, Key::Period);
    window.key(Modifiers::NONE, Key::Num8);
    let line = window.copied(CTRL, Key::L);
    assert!(line.starts_with("malloscope-gui --at 1 --range 10..200 --view report --theme "), "{line}");
    assert!(line.ends_with("/xz.mscope"), "{line}");
    let arguments = arguments(&line);
    let looks = arguments.looks.clone();
    let mut again = Window::prepared(launcher(), arguments.trace.as_deref(), move |app| app.look_at(&looks));
    again.settle();
    let model = again.app().model();
    assert_eq!((model.cursor, model.range, model.front), (Some(1), Some((10, 200)), View::Report));
    assert!(again.app().place(View::Report).is_some());
    assert_eq!(again.copied(CTRL, Key::L), line);
}

#[test]
fn other_settings_on_the_command_line_are_replayed() {
    let looks = arguments("malloscope-gui --compare mmap_threshold=64K --view runs").looks;
    let mut window = Window::prepared(launcher(), Some(&sample()), move |app| app.look_at(&looks));
    window.settle();
    window.must_say(&["Differences"]);
    assert!(window.copied(CTRL, Key::L).contains("--compare mmap_threshold=64K"));
}

#[test]
fn pictures_are_saved_of_a_panel_and_of_the_window() {
    let folder = tempfile::tempdir().unwrap();
    let mut window = open();
    let mut sizes = Vec::new();
    for (chosen, name) in [("Bins", "a.png"), ("the window", "b.png"), ("the window", "c.svg")] {
        let path = folder.path().join(name);
        window.key(CTRL, Key::S);
        // The tab behind has the same name.
        window.harness.get_all_by_label(chosen).last().unwrap().click();
        window.harness.run_steps(3);
        let field = "to the file (.png: pixels, .svg: lines and letters)";
        window.harness.get_by_role_and_label(egui::accesskit::Role::TextInput, field).focus();
        window.harness.run_steps(2);
        window.key(CTRL, Key::A);
        window.write(path.to_str().unwrap());
        window.key(Modifiers::NONE, Key::Enter);
        window.settle();
        window.must_say(&["Saved "]);
        if name.ends_with("png") {
            let file = std::io::BufReader::new(std::fs::File::open(&path).unwrap());
            let info = png::Decoder::new(file).read_info().unwrap();
            sizes.push(info.info().size());
        } else {
            let text = std::fs::read_to_string(&path).unwrap();
            assert!(text.contains(">chunk\u{a0}bytes</text>") && text.ends_with("</svg>\n"));
            assert!(!text.contains("Save\u{a0}a\u{a0}picture"), "the question is not in the picture");
        }
    }
    assert_eq!(sizes[1], (1280, 800));
    assert!(sizes[0].0 < 1000 && sizes[0].1 < 600, "{sizes:?}");
}

#[test]
fn a_picture_that_cannot_be_written_says_so() {
    let mut window = open();
    window.key(CTRL, Key::S);
    let field = "to the file (.png: pixels, .svg: lines and letters)";
    window.harness.get_by_role_and_label(egui::accesskit::Role::TextInput, field).focus();
    window.harness.run_steps(2);
    window.key(CTRL, Key::A);
    window.write("/no/such/folder/a.png");
    window.key(Modifiers::NONE, Key::Enter);
    window.settle();
    window.must_say(&["/no/such/folder/a.png cannot be written: No such file"]);
}

#[test]
fn the_layout_the_colours_and_the_zoom_survive_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state/window.json");
    let kept_at = path.clone();
    let start = move || {
        let path = kept_at.clone();
        let mut window = Window::prepared(launcher(), Some(&sample()), move |app| {
            app.restore(Kept::read(&path));
            app.keep_with(Keeper::of(path.clone()));
        });
        window.settle();
        window
    };
    let mut window = start();
    let dark = window.harness.ctx.theme();
    window.key(Modifiers::NONE, Key::Num3);
    window.key(Modifiers::NONE, Key::T);
    window.key(CTRL, Key::Plus);
    // Its end is when it is written at the latest.
    drop(window);
    let mut window = start();
    assert!(window.app().place(View::Served).is_some() && window.app().place(View::Bins).is_none());
    assert_ne!(window.harness.ctx.theme(), dark);
    assert!((window.harness.ctx.zoom_factor() - 1.1).abs() < 1e-6);
    window.key(CTRL, Key::Num0);
    window.key(CTRL, Key::P);
    window.write("reset layout");
    window.key(Modifiers::NONE, Key::Enter);
    drop(window);
    let window = start();
    assert!(window.app().place(View::Served).is_none() && window.app().place(View::Bins).is_some());
    assert!((window.harness.ctx.zoom_factor() - 1.0).abs() < 1e-6);
    std::fs::write(&path, "}{").unwrap();
    drop(window);
}

#[test]
fn a_table_is_copied_for_a_spreadsheet() {
    let mut window = open();
    window.press("Table");
    let at = window.harness.get_by_label("Copy Bins as CSV").rect().center();
    let pressed = |pressed| Event::PointerButton {
        pos: at,
        button: egui::PointerButton::Primary,
        pressed,
        modifiers: Modifiers::NONE,
    };
    // In one frame each: what is copied is in the output of the last.
    window.harness.input_mut().events.extend([Event::PointerMoved(at), pressed(true)]);
    window.harness.step();
    window.harness.input_mut().events.push(pressed(false));
    window.harness.step();
    let csv = window.clipboard().expect("the table was copied");
    let mut lines = csv.lines();
    assert_eq!(lines.next(), Some("Bin,Chunk bytes,Requests,Hits,Misses,Hit rate,Served"));
    assert_eq!(lines.next(), Some("unsorted,any,182,65,117,35.7 %,3.89 KiB"));
    assert_eq!(lines.count() + 1, window.app().model().recorded().ready().unwrap().bins.len());
}
