//! The table of single allocations, and the one that is looked at.

use super::filter::FilterBar;
use super::loading;
use super::sites;
use crate::app::command::{Command, Commands};
use crate::model::allocations::{AllocationsCommand, Listed, Sorting};
use crate::model::flame::{options, quoted};
use crate::model::view::View;
use crate::model::{Model, Tile};
use crate::theme;
use crate::widgets::long_table::{self, Cell, Clicked, LongTable};
use crate::widgets::message;
use egui::{Panel, RichText, Ui};
use malloscope_replayer::allocations::{Allocation, Listing, Order};
use malloscope_replayer::blame::legend::Legend;
use malloscope_replayer::filter::Filter;
use malloscope_replayer::report::units::{bytes, count, nanos};
use std::path::Path;

/// The least width of the column with stacks.
const STACK: f32 = 200.0;

/// What the table remembers that is nobody else's business.
#[derive(Clone, Debug, Default)]
pub struct AllocationsView {
    filter: FilterBar,
}

impl AllocationsView {
    /// Shows the table, or why there is none.
    pub fn ui(&mut self, ui: &mut Ui, model: &Model, commands: &mut Commands) {
        let allocations = &model.allocations;
        let mut ask = |command| commands.push(Command::Allocations(command));
        if allocations.is_stopped {
            super::stopped(ui, || ask(AllocationsCommand::Want));
            return;
        }
        if !allocations.is_wanted {
            ask(AllocationsCommand::Want);
        }
        self.filter.ui(ui, model, View::Allocations, commands);
        if let Tile::Failed(failure) = &allocations.state {
            message::show(ui, &failure.what, &failure.next);
        }
        under_way(ui, model, commands);
        if let Some(listed) = &allocations.listed {
            table(ui, model, listed, commands);
        }
    }
}

/// What is being done for it, if anything is.
fn under_way(ui: &mut Ui, model: &Model, commands: &mut Commands) {
    let waits = model.allocations.wants_places || model.filter.needs_servings();
    let (what, progress) = match (&model.allocations.state, &model.stacks.servings) {
        (_, Tile::Failed(failure)) if waits => return message::show(ui, &failure.what, &failure.next),
        (_, Tile::Loading(progress)) if waits => ("Replaying to know who served them", *progress),
        (Tile::Loading(progress), _) => ("Reading", *progress),
        _ => return,
    };
    loading::ui(ui, what, progress, || commands.push(Command::Allocations(AllocationsCommand::Cancel)));
}

fn table(ui: &mut Ui, model: &Model, listed: &Listed, commands: &mut Commands) {
    let listing = &*listed.listing;
    said(ui, model, listed, commands);
    for damage in &listing.damage {
        message::show(ui, damage, "What could be read is shown.");
    }
    let legend = model.stacks.legend.ready().map(|legend| &**legend);
    let chosen = model.allocations.chosen;
    if let Some(chosen) = chosen {
        let height = ui.available_height();
        let frame = egui::Frame::new().inner_margin(theme::GAP / 2.0);
        let panel = Panel::bottom("allocation").default_size(height * 0.35).size_range(40.0..=height * 0.8);
        panel.resizable(true).frame(frame).show(ui, |ui| one(ui, model, &chosen, legend, commands));
    }
    let orders: Vec<Order> = orders(listing, legend.is_some()).collect();
    let columns: Vec<long_table::Column> =
        orders.iter().map(|order| column(*order, listed.of.sorting)).collect();
    let row = |number: usize| listing.rows.get(number);
    let long = LongTable {
        name: "Allocations",
        columns: &columns,
        rows: listing.rows.len(),
        is_chosen: &|number| chosen.zip(row(number)).is_some_and(|(chosen, one)| chosen.made == one.made),
        scroll_to: None,
        is_sortable: true,
    };
    let cell = |number: usize, place: usize| match (row(number), orders.get(place)) {
        (Some(one), Some(order)) => cell(listing, &one, *order, legend),
        _ => Cell::default(),
    };
    let across = egui::ScrollArea::horizontal().id_salt("allocations across").auto_shrink(false);
    match across.show(ui, |ui| long.show(ui, cell)).inner {
        Some(Clicked::Title(place)) => {
            let sort = |order: &Order| Command::Allocations(AllocationsCommand::Sort(*order));
            commands.extend(orders.get(place).map(sort));
        }
        Some(Clicked::RowTwice(number)) => {
            commands.extend(row(number).into_iter().flat_map(|one| to_the_map(&one)));
        }
        Some(Clicked::Row(number) | Clicked::Triangle(number)) => {
            commands.extend(row(number).map(AllocationsCommand::Choose).map(Command::Allocations));
        }
        None => {}
    }
}

/// What it is of, and how many are shown.
fn said(ui: &mut Ui, model: &Model, listed: &Listed, commands: &mut Commands) {
    let listing = &*listed.listing;
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing.x = theme::GAP;
        ui.label(RichText::new(listing.said()).strong()).on_hover_text(
            "Counted one by one: those that the filter lets through, out of all that were made in these records.",
        );
        if let Some((first, end)) = listed.of.range {
            let text = format!("made in records {} to {}", count(first), count(end.saturating_sub(1)));
            ui.label(text).on_hover_text("What frees them later counts.");
        }
        let rows = listing.rows.len() as u64;
        if rows < listing.matching {
            let text = format!("the first {} of them in this order", count(rows));
            ui.label(RichText::new(text).color(ui.visuals().warn_fg_color)).on_hover_text(
                "The table has no more rows than that; another order or a filter shows others. The sums are of all.",
            );
        }
        if !listing.has_places && !model.stacks.servings.is_loading() {
            let meaning = "Replays the trace, to know which place in malloc served each of them.";
            if ui.button("Find out who served them").on_hover_text(meaning).clicked() {
                commands.push(Command::Allocations(AllocationsCommand::Places));
            }
        }
        if let Some(trace) = &model.trace {
            let line = command(trace, listed);
            let meaning = format!("Copies the command that prints the same:\n{line}");
            if ui.button("Copy command").on_hover_text(meaning).clicked() {
                ui.ctx().copy_text(line);
            }
        }
        let help = "Click an allocation to see its stack, twice to see it in the heap map";
        ui.label(RichText::new(help).small().weak());
    });
}

/// The columns there are, as what they are sorted by.
fn orders(listing: &Listing, has_stacks: bool) -> impl Iterator<Item = Order> + use<> {
    let (has_clock, has_places) = (listing.has_clock, listing.has_places);
    Order::ALL.into_iter().filter(move |order| match order {
        Order::Time => has_clock,
        Order::Place => has_places,
        Order::Stack => has_stacks,
        _ => true,
    })
}

fn column(order: Order, sorting: Sorting) -> long_table::Column {
    let (title, meaning, width) = match order {
        Order::Size => ("Size", "Bytes that the program asked for.", 86.0),
        Order::Chunk => {
            ("Chunk", "Bytes of its chunk when it was recorded: head, payload and padding.", 86.0)
        }
        Order::Address => ("Address", "Where it was placed when it was recorded.", 124.0),
        Order::Thread => ("Thread", "The thread that made it, by its number in the trace.", 64.0),
        Order::Made => ("Made at", "The record that made it.", 92.0),
        Order::Freed => ("Freed at", "The record that freed it; nothing if it lives at the end.", 92.0),
        Order::Lifetime => ("Lived, records", "How many records later that was; or the end.", 108.0),
        Order::Time => ("Lived", "How long that is.", 86.0),
        Order::Place => {
            ("Served from", "The place in malloc that served it, under the recorded settings.", 150.0)
        }
        Order::Stack => (
            "Stack",
            "The innermost of its functions that are the program's own, and who called them.",
            STACK,
        ),
    };
    let mark = match sorting.by == order {
        true if order.is_descending() != sorting.is_reversed => " ▼",
        true => " ▲",
        false => "",
    };
    let is_number = !matches!(order, Order::Place | Order::Stack);
    long_table::Column { title: format!("{title}{mark}"), meaning, width, is_number }
}

fn cell(listing: &Listing, one: &Allocation, order: Order, legend: Option<&Legend>) -> Cell {
    let lived = one.lifetime(listing.end);
    let known = |text: Option<String>| Cell {
        is_weak: text.is_none(),
        text: text.unwrap_or_else(|| "–".to_owned()),
        ..Cell::default()
    };
    known(match order {
        Order::Size => Some(bytes(one.request)),
        Order::Chunk => one.chunk.map(bytes),
        Order::Address => one.address.map(|address| format!("{address:#x}")),
        Order::Thread => Some(one.thread.to_string()),
        Order::Made => Some(count(one.made.record)),
        Order::Freed => one.freed.map(|freed| count(freed.record)),
        Order::Lifetime => Some(count(lived.record)),
        Order::Time => Some(nanos(lived.time)),
        Order::Place => one.served_from.map(|from| from.name()),
        Order::Stack => legend.map(|legend| sites::own(legend, one.stack)),
    })
}

/// The allocation that is looked at: what can be done with it, and its stack.
fn one(ui: &mut Ui, model: &Model, one: &Allocation, legend: Option<&Legend>, commands: &mut Commands) {
    ui.horizontal_wrapped(|ui| {
        let text = format!("{} bytes, made at record {}", count(one.request), count(one.made.record));
        ui.label(RichText::new(text).strong());
        if ui
            .button("Show in the heap map")
            .on_hover_text("The heap just after the call that made it")
            .clicked()
        {
            commands.extend(to_the_map(one));
        }
        if let Some(freed) = one.freed
            && ui.button("Go to where it was freed").clicked()
        {
            commands.extend([Command::Point(Some(freed.record)), Command::Look(View::Map)]);
        }
        let here = Filter { stack: Some(one.stack.0), ..model.filter };
        if legend.is_some() && here != model.filter && ui.button("Only this site").clicked() {
            commands.push(Command::Filter(here));
        }
    });
    if let Some(legend) = legend {
        sites::whole_stack(ui, legend, one.stack, commands);
    }
}

/// What leads to an allocation in the heap map.
fn to_the_map(one: &Allocation) -> [Command; 2] {
    [Command::Point(Some(one.made.record)), Command::Look(View::Map)]
}

/// The command that prints the same.
fn command(trace: &Path, listed: &Listed) -> String {
    let sorting = listed.of.sorting;
    let mut words = vec![
        "malloscope allocations".to_owned(),
        quoted(&trace.to_string_lossy()),
        format!("--sort {}", sorting.by.name()),
    ];
    words.extend(sorting.is_reversed.then(|| "--reverse".to_owned()));
    words.extend(options(&listed.of.filter));
    words.extend(listed.of.range.map(|(first, end)| format!("--range {first}..{end}")));
    words.extend(listed.of.shows_places.then(|| "--replay".to_owned()));
    words.push("--top 100".to_owned());
    words.join(" ")
}
