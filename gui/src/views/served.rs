//! Where requests were served from and where freed chunks went, by their sizes; and the way of a request, stop by
//! stop. Each as a picture and as a table.

mod searches;
mod way;

use super::filter;
use crate::app::command::{Command, Commands};
use crate::model::flows::{Flows, Side, Unit, meaning};
use crate::model::runs::RunId;
use crate::model::served::ServedLine;
use crate::model::view::View;
use crate::model::{Model, Replayed};
use crate::theme;
use crate::widgets::sankey::{self, Chosen, Sankey};
use crate::widgets::table::{Cell, Column, Table};
use egui::{Color32, ScrollArea, Ui, Visuals};
use malloscope_replayer::filter::Filter;
use malloscope_replayer::report::units::percent;

/// Room for the labels at the left and at the right of flows.
const LABELS: (f32, f32) = (104.0, 196.0);
/// The picture is no lower than this: then it is scrolled to.
const LEAST_HEIGHT: f32 = 220.0;

/// What is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Subject {
    /// Where requests were served from.
    #[default]
    Requests,
    /// Where freed chunks went.
    Frees,
    /// The way of requests, stop by stop.
    Way,
}

/// What the view of places remembers.
#[derive(Clone, Debug, Default)]
pub struct ServedView {
    subject: Subject,
    unit: Unit,
    as_table: bool,
    /// What is lit where nothing can be filtered.
    chosen: Option<Chosen>,
}

impl ServedView {
    /// Shows the flows of the run that was chosen.
    pub fn ui(&mut self, ui: &mut Ui, model: &Model, commands: &mut Commands) {
        let Some(replayed) = model.shown() else { return };
        ui.horizontal_wrapped(|ui| self.bar(ui));
        let (flows, side) = match self.subject {
            Subject::Requests => (&replayed.requests, Side::Requests),
            Subject::Frees => (&replayed.frees, Side::Frees),
            Subject::Way => {
                let area = ScrollArea::both().id_salt("way").auto_shrink(false);
                let can_go = model.runs.shown().id == RunId::RECORDED;
                area.show(ui, |ui| {
                    way::ui(ui, &replayed.stops, self.as_table);
                    ui.add_space(theme::WIDE_GAP);
                    searches::ui(ui, &replayed.report.outcome.searches, self.as_table, can_go, commands);
                });
                return;
            }
        };
        let can_filter = model.runs.shown().id == RunId::RECORDED;
        if can_filter && !model.filter.is_all() {
            ui.horizontal_wrapped(|ui| {
                filter::chips(ui, model, commands);
                filter::links(ui, model, View::Served, commands);
            });
        }
        if flows.flows.is_empty() {
            ui.label(match side {
                Side::Requests => "No request was served.",
                Side::Frees => "Nothing was freed.",
            });
        } else if self.as_table {
            let area = ScrollArea::both().id_salt("flows").auto_shrink(false);
            area.show(ui, |ui| self.tables(ui, replayed, flows, side));
        } else {
            let area = ScrollArea::vertical().id_salt("picture").auto_shrink(false);
            let room = ui.available_height();
            area.show(ui, |ui| {
                ui.set_height(room.max(LEAST_HEIGHT) - 2.0);
                let picture = picture(ui.visuals(), flows, self.unit);
                let filtered = filtered(flows, &model.filter).filter(|_| can_filter);
                let chosen = filtered.or(self.chosen);
                let Some(clicked) = picture.show(ui, "flows", LABELS, chosen) else { return };
                let other = (chosen != Some(clicked)).then_some(clicked);
                let filter = other.map_or(Some(Filter::default()), |one| of(flows, one));
                match filter.filter(|_| can_filter && (other.is_some() || filtered.is_some())) {
                    Some(filter) => {
                        self.chosen = None;
                        commands.push(Command::Filter(on_side(side, &model.filter, &filter)));
                    }
                    None => self.chosen = other,
                }
            });
        }
    }

    fn bar(&mut self, ui: &mut Ui) {
        let before = self.subject;
        for (subject, name, meaning) in [
            (Subject::Requests, "Requests", "From the sizes asked for to the places that served them."),
            (Subject::Frees, "Frees", "From the sizes of freed chunks to the places where they went."),
            (
                Subject::Way,
                "Decisions",
                "How many requests came to each stop of malloc, and how many went no farther.",
            ),
        ] {
            ui.selectable_value(&mut self.subject, subject, name).on_hover_text(meaning);
        }
        if self.subject != before {
            self.chosen = None;
        }
        ui.separator();
        ui.selectable_value(&mut self.as_table, false, "Picture");
        ui.selectable_value(&mut self.as_table, true, "As table")
            .on_hover_text("The same numbers in rows and columns.");
        if self.subject != Subject::Way {
            ui.separator();
            ui.selectable_value(&mut self.unit, Unit::Count, "Count").on_hover_text("How many.");
            ui.selectable_value(&mut self.unit, Unit::Bytes, "Chunk bytes")
                .on_hover_text("How many bytes of chunks.");
        }
    }

    fn tables(&self, ui: &mut Ui, replayed: &Replayed, flows: &Flows, side: Side) {
        if side == Side::Requests {
            places(ui, replayed);
            ui.add_space(theme::WIDE_GAP);
        }
        matrix(flows, self.unit, side).show(ui);
    }
}

/// A filter with what another asks for of one side.
fn on_side(side: Side, filter: &Filter, other: &Filter) -> Filter {
    match side {
        Side::Requests => Filter { sizes: other.sizes, places: other.places, ..*filter },
        Side::Frees => Filter { freed_to: other.freed_to, ..*filter },
    }
}

/// The filter that lets through what was clicked, if one does.
fn of(flows: &Flows, chosen: Chosen) -> Option<Filter> {
    match chosen {
        Chosen::Left(class) => flows.filter(Some(class), None),
        Chosen::Right(place) => flows.filter(None, Some(place)),
        Chosen::Flow(flow) => {
            let flow = flows.flows.get(flow);
            flows.filter(flow.map(|flow| flow.class), flow.map(|flow| flow.place))
        }
    }
}

/// What a filter lets through, if that is one of the nodes or flows.
fn filtered(flows: &Flows, filter: &Filter) -> Option<Chosen> {
    let wanted = on_side(flows.side, &Filter::default(), filter);
    let classes = (0..flows.classes.len()).map(Chosen::Left);
    let places = (0..flows.places.len()).map(Chosen::Right);
    let mut all = classes.chain(places).chain((0..flows.flows.len()).map(Chosen::Flow));
    all.find(|&chosen| !wanted.is_all() && of(flows, chosen) == Some(wanted))
}

/// The colour of a place: one each for those that matter most, shared by those that are alike.
fn colour(visuals: &Visuals, place: &str) -> Color32 {
    theme::category(
        visuals,
        match place {
            "tcache" => 1,
            "fastbin" => 0,
            "small bin" => 6,
            "unsorted bin" | "last remainder" => 5,
            "large bin" | "split of a larger chunk" => 2,
            "top" | "grown top" | "top, then trimmed" => 3,
            "mapped" | "unmapped" => 4,
            _ => 7,
        },
    )
}

fn picture(visuals: &Visuals, flows: &Flows, unit: Unit) -> Sankey {
    let quiet = theme::quiet_line(visuals);
    let left = flows.classes.iter().map(|class| sankey::Node {
        label: class.name.clone(),
        said: flows.said_of(class, unit),
        meaning: "",
        amount: class.amount.of(unit),
        colour: quiet,
    });
    let right = flows.places.iter().map(|place| sankey::Node {
        label: format!("{}  {}", place.name, percent(place.amount.of(unit), flows.total.of(unit))),
        said: flows.said_of(place, unit),
        meaning: meaning(&place.name),
        amount: place.amount.of(unit),
        colour: colour(visuals, &place.name),
    });
    let between = flows.flows.iter().map(|flow| sankey::Flow {
        from: flow.class,
        to: flow.place,
        amount: flow.amount.of(unit),
        said: flows.said(flow, unit),
    });
    Sankey { left: left.collect(), right: right.collect(), flows: between.collect() }
}

/// All flows as a table: classes of sizes in rows, places in columns.
fn matrix(flows: &Flows, unit: Unit, side: Side) -> Table {
    let column = |title: &str, meaning, is_number| Column { title: title.to_owned(), meaning, is_number };
    let sizes = match side {
        Side::Requests => column("Asked for", "The size that the program asked for.", false),
        Side::Frees => column("Chunk", "The size of the chunk that was freed.", false),
    };
    let places = flows.places.iter().map(|place| column(&place.name, meaning(&place.name), true));
    let columns = std::iter::once(sizes).chain(places).chain([column("all", "All of these sizes.", true)]);
    let plain = |text: String| Cell { text, ..Cell::default() };
    let row = |(number, class): (usize, &crate::model::flows::Node)| {
        let cells = (0..flows.places.len()).map(|place| match flows.amount(number, place) {
            amount if amount.times == 0 => Cell::default(),
            amount => plain(amount.said(unit)),
        });
        let all = Cell { is_weak: true, ..plain(class.amount.said(unit)) };
        std::iter::once(plain(class.name.clone())).chain(cells).chain([all]).collect()
    };
    let all = |text: String| Cell { text, share: None, is_weak: true };
    let sums = flows.places.iter().map(|place| all(place.amount.said(unit)));
    let last = std::iter::once(all("all".to_owned())).chain(sums).chain([all(flows.total.said(unit))]);
    let rows = flows.classes.iter().enumerate().map(row).chain([last.collect()]);
    Table { name: "Flows", columns: columns.collect(), rows: rows.collect() }
}

/// The places alone, with their shares.
fn places(ui: &mut Ui, replayed: &Replayed) {
    let column = |title: &str, meaning, is_number| Column { title: title.to_owned(), meaning, is_number };
    let columns = vec![
        column("From", "The place in malloc that served the request.", false),
        column("Requests", "Requests it served.", true),
        column("Share", "Of all requests that were served.", true),
        column("Served", "The bytes of the chunks it served.", true),
    ];
    let plain = |text: &str| Cell { text: text.to_owned(), ..Cell::default() };
    let row = |line: &ServedLine| {
        let share = Cell { share: Some(line.share), ..plain(&line.percent) };
        vec![plain(&line.from), plain(&line.requests), share, plain(&line.bytes)]
    };
    Table { name: "Served from", columns, rows: replayed.served.iter().map(row).collect() }.show(ui);
}
