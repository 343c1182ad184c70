//! The table of single allocations, and the filter that it has in common with the flamegraph and the sites.

use super::{Window, launcher, trace};
use egui::accesskit::Role;
use egui::{Key, Modifiers};
use malloscope_gui::app::command::Command;
use malloscope_gui::app::shell::Shell;
use malloscope_gui::model::flows::Unit;
use malloscope_gui::model::view::View;
use malloscope_replayer::allocations::{Allocation, Listing};
use malloscope_replayer::blame::What;
use malloscope_replayer::filter::Filter;

fn open(view: View) -> (Window, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let mut window = Window::open(launcher(), &trace(directory.path()), view);
    window.settle();
    (window, directory)
}

impl Window {
    fn listing(&self) -> &Listing {
        &self.app().model().allocations.listed.as_ref().unwrap().listing
    }

    fn made(&self) -> Vec<u64> {
        self.listing().rows.iter().map(|one: Allocation| one.made.record).collect()
    }

    fn filter(&mut self, name: &str, text: &str) {
        let of = |filter: Filter| filter.options().len();
        let before = of(self.app().model().filter);
        self.type_into(name, text);
        self.key(Key::Enter);
        assert_eq!(of(self.app().model().filter), before + 1, "{name} {text}");
    }
}

#[test]
fn every_allocation_has_a_row_that_says_all_of_it_and_leads_to_the_map() {
    let (mut window, _directory) = open(View::Allocations);
    window.must_say(&["80 allocations of 3.05 MiB", "Size ▼", "Lived, records"]);
    assert_eq!(window.listing().rows.len(), 80);
    window.press_role(Role::Row, "97.7 KiB, –, –, 0, 3, 131, 128");
    window.must_say(&["100,000 bytes, made at record 3", "The whole stack, 2 functions", "draw ← main"]);
    window.press("Show in the heap map");
    let model = window.app().model();
    assert_eq!((model.cursor, model.front), (Some(3), View::Map));
    window.must_say(&["malloc(100000)"]);
}

#[test]
fn titles_sort_and_a_second_click_turns_round() {
    let (mut window, _directory) = open(View::Allocations);
    window.press("Made at");
    assert_eq!(window.made(), (0..80).collect::<Vec<u64>>());
    window.press("Made at ▲");
    assert_eq!(window.made(), (0..80).rev().collect::<Vec<u64>>());
    window.press("Lived, records");
    let first = window.listing().rows.get(0).unwrap();
    assert_eq!((first.made.record, first.freed.unwrap().record), (1, 130));
}

#[test]
fn a_filter_is_one_for_all_panels_and_each_says_what_its_total_is_of() {
    let (mut window, _directory) = open(View::Allocations);
    window.press("Filter");
    window.filter("Size", "50K..");
    window.must_say(&["20 allocations of 1.91 MiB, out of 80 allocations of 3.05 MiB", "50.0 KiB or more"]);
    window.filter("Lifetime", "never-freed");
    window.must_say(&["10 allocations of 977 KiB, out of 80 allocations of 3.05 MiB", "never freed"]);
    window.press("Its flamegraph");
    window.must_say(&["Total 977 KiB of 3.05 MiB (50.0 KiB or more, never freed)", "draw, 977 KiB, 100.0 %"]);
    assert!(!window.says("read_line"));
    let totals = window.picture().totals;
    assert_eq!((totals.counted, totals.left_out), (1_000_000.0, 2_200_000.0));
    // What a replay finds out is filtered as well.
    window.flame(malloscope_gui::model::flame::FlameCommand::Of(What::PeakContribution));
    let chunks = window.picture().totals.counted;
    assert!(chunks > 1_000_000.0 && chunks < 1_000_500.0, "{chunks}");
    window.press("Its sites");
    window.must_say(&["All 1 stacks: 10 allocations, 977 KiB", "out of 80 allocations of 3.05 MiB"]);
    window.send(Command::Shell(Shell::CopyCommandLine));
    window.press("Take away: never freed");
    window.must_say(&["All 1 stacks: 20 allocations, 1.91 MiB"]);
    window.harness.key_press_modifiers(Modifiers::COMMAND, Key::Z);
    window.settle();
    window.must_say(&["All 1 stacks: 10 allocations, 977 KiB"]);
    window.press("Clear filter");
    assert!(window.app().model().filter.is_all());
    window.must_say(&["All 2 stacks: 80 allocations, 3.05 MiB"]);
}

#[test]
fn what_cannot_be_read_is_said_and_changes_nothing() {
    let (mut window, _directory) = open(View::Allocations);
    window.press("Filter");
    window.type_into("Size", "64..9");
    window.key(Key::Enter);
    window.must_say(&["no size is in `64..9`"]);
    assert!(window.app().model().filter.is_all());
}

#[test]
fn a_flow_that_is_clicked_shows_its_allocations_sites_and_flamegraph() {
    let (mut window, _directory) = open(View::Served);
    let requests = window.app().model().shown().unwrap().requests.clone();
    let place = requests.places.iter().max_by_key(|place| place.amount.times).unwrap();
    let said = requests.said_of(place, Unit::Count);
    window.press(&said);
    let places = window.app().model().filter.places.unwrap();
    assert_eq!(places.said(), place.name);
    window.press("Its single allocations");
    assert_eq!(window.listing().matching, place.amount.times);
    window.must_say(&["Served from"]);
    let from = |one: Allocation| one.served_from.unwrap().kind().unwrap().name();
    assert!(window.listing().rows.iter().map(from).all(|name| name == place.name));
    let bytes = window.listing().matching_bytes;
    window.press("Its flamegraph");
    assert_eq!(window.picture().totals.counted, bytes as f64);
    window.send(Command::Look(View::Served));
    window.press(&said);
    assert!(window.app().model().filter.is_all(), "a second click takes it away");
}

#[test]
fn the_allocations_of_a_site_are_a_click_away() {
    let (mut window, _directory) = open(View::Sites);
    window.press_role(Role::Row, "draw ← main");
    window.press("Its single allocations");
    window.must_say(&["20 allocations of 1.91 MiB, out of 80"]);
    assert_eq!(window.app().model().front, View::Allocations);
}
