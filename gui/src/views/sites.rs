//! The table of allocation sites, and the stack that is looked at.

use super::filter::FilterBar;
use super::loading;
use crate::app::command::{Command, Commands};
use crate::model::flame::{FlameCommand, options, quoted};
use crate::model::sites::{Order, SitesCommand, Sorted};
use crate::model::view::View;
use crate::model::{Model, Tile};
use crate::theme;
use crate::widgets::long_table::{self, Cell, Clicked, LongTable};
use crate::widgets::message;
use egui::{Panel, RichText, TextEdit, Ui};
use malloscope_replayer::blame::legend::{Legend, Line};
use malloscope_replayer::filter::Filter;
use malloscope_replayer::report::units::{bytes, count, nanos};
use malloscope_replayer::run::Progress;
use malloscope_replayer::sites::{Column, SiteRow, SiteTable};
use malloscope_traces::Stack;
use malloscope_traces::stacks::Sampling;

/// How many of a stack's own frames stand in its row.
const FRAMES: usize = 4;
/// The least width of the column with stacks.
const STACK: f32 = 250.0;
/// The width of the field for a filter.
const FILTER: f32 = 160.0;

/// What the table remembers that is nobody else's business.
#[derive(Clone, Debug, Default)]
pub struct SitesView {
    filter: String,
    only: FilterBar,
}

impl SitesView {
    /// Shows the table, or why there is none.
    pub fn ui(&mut self, ui: &mut Ui, model: &Model, commands: &mut Commands) {
        if model.sites.is_stopped {
            super::stopped(ui, || commands.push(Command::Sites(SitesCommand::Want)));
            return;
        }
        if !model.sites.is_wanted {
            commands.push(Command::Sites(SitesCommand::Want));
        }
        self.only.ui(ui, model, View::Sites, commands);
        if let Some((what, progress)) = waiting(model) {
            loading::ui(ui, what, progress, || commands.push(Command::Sites(SitesCommand::Cancel)));
        }
        match (&model.stacks.legend, &model.sites.table, &model.sites.sorted) {
            (Tile::Failed(failure), ..) | (_, Tile::Failed(failure), _) => {
                message::show(ui, &failure.what, &failure.next);
            }
            (Tile::Ready(legend), _, Some(sorted)) => self.table(ui, model, legend, sorted, commands),
            (_, Tile::Loading(progress), _) => loading::ui(ui, "Reading", *progress, || {
                commands.push(Command::Sites(SitesCommand::Cancel));
            }),
            (Tile::Loading(_), Tile::Ready(_), _) => {
                loading::ui(ui, &format!("Finding names: {}", model.stacks.looking), None, || {
                    commands.push(Command::Sites(SitesCommand::Cancel));
                });
            }
            _ => {}
        }
    }

    fn table(
        &mut self,
        ui: &mut Ui,
        model: &Model,
        legend: &Legend,
        sorted: &Sorted,
        commands: &mut Commands,
    ) {
        let table = &*sorted.table;
        self.tools(ui, model, table, commands);
        if let Some(stack) = model.sites.chosen {
            let height = ui.available_height();
            let frame = egui::Frame::new().inner_margin(theme::GAP / 2.0);
            let panel = Panel::bottom("stack").default_size(height * 0.35).size_range(40.0..=height * 0.8);
            panel.resizable(true).frame(frame).show(ui, |ui| {
                its_allocations(ui, model, stack, commands);
                whole_stack(ui, legend, stack, commands);
            });
        }
        total(ui, table, sorted, model.range);
        let columns: Vec<Column> = table.columns().collect();
        let stack = long_table::Column {
            title: "Stack".to_owned(),
            meaning: "The innermost of its functions that are the program's own, and who called them.",
            width: STACK,
            is_number: false,
        };
        let numbers = columns.iter().map(|column| title(*column, &sorted.order));
        let titles: Vec<long_table::Column> = std::iter::once(stack).chain(numbers).collect();
        let column_at = |place: usize| place.checked_sub(1).and_then(|place| columns.get(place)).copied();
        let row = |number: usize| {
            sorted.rows.get(number).and_then(|&row| table.rows.get(row as usize)).copied().unwrap_or_default()
        };
        let chosen = model.sites.chosen;
        let long = LongTable {
            name: "Allocation sites",
            columns: &titles,
            rows: sorted.rows.len(),
            is_chosen: &|number| chosen == Some(row(number).stack),
            scroll_to: None,
            is_sortable: true,
        };
        let cell = |number: usize, place: usize| match column_at(place) {
            Some(column) => number_cell(table, column, &row(number)),
            None => Cell { text: own(legend, row(number).stack), ..Cell::default() },
        };
        let clicked = egui::ScrollArea::horizontal()
            .id_salt("sites across")
            .auto_shrink(false)
            .show(ui, |ui| long.show(ui, cell))
            .inner;
        let asked = match clicked {
            Some(Clicked::Title(place)) => column_at(place).map(SitesCommand::Sort),
            Some(Clicked::Row(number) | Clicked::RowTwice(number) | Clicked::Triangle(number)) => {
                Some(SitesCommand::Choose(row(number).stack))
            }
            None => None,
        };
        commands.extend(asked.map(Command::Sites));
        if matches!(clicked, Some(Clicked::RowTwice(_))) {
            commands.push(Command::Look(View::Flame));
        }
    }

    fn tools(&mut self, ui: &mut Ui, model: &Model, table: &SiteTable, commands: &mut Commands) {
        ui.horizontal_wrapped(|ui| {
            let label = ui.label("Only with").on_hover_text(
                "Shows only stacks that have this text in a function or a module, in capitals or not.",
            );
            let field = TextEdit::singleline(&mut self.filter).desired_width(FILTER).hint_text("a name");
            if ui.add(field).labelled_by(label.id).changed() {
                commands.push(Command::Sites(SitesCommand::Filter(self.filter.clone())));
            }
            if table.pinned.is_none() && model.range.is_none() {
                pinned(ui, model, commands);
            }
            if let Some(trace) = &model.trace {
                let line = command(trace, &model.sites.order, model.range, &model.filter, table);
                let meaning = format!("Copies the command that prints the same:\n{line}");
                if ui.button("Copy command").on_hover_text(meaning).clicked() {
                    ui.ctx().copy_text(line);
                }
            }
            ui.label(
                RichText::new("Click a stack to see it whole, twice to see it in the flamegraph")
                    .small()
                    .weak(),
            );
        });
        for damage in &table.damage {
            message::show(ui, damage, "What could be read is shown.");
        }
    }
}

/// What has to be there before sites can be listed, and how far it is.
fn waiting(model: &Model) -> Option<(&'static str, Option<Progress>)> {
    model.filter.needs_servings().then_some(())?;
    match &model.stacks.servings {
        Tile::Loading(progress) => Some(("Replaying to know who served them", *progress)),
        _ => None,
    }
}

/// The button that has a replay made for what stacks pinned, or how far that is.
fn pinned(ui: &mut Ui, model: &Model, commands: &mut Commands) {
    match &model.stacks.by_recorded {
        Tile::Failed(failure) => {
            ui.colored_label(ui.visuals().warn_fg_color, &failure.what).on_hover_text(&failure.next);
        }
        Tile::Loading(progress) => {
            let done =
                progress.map_or_else(String::new, |progress| format!(": {} records", count(progress.done)));
            ui.spinner();
            ui.label(format!("Replaying{done}"));
        }
        Tile::Missing | Tile::Ready(_) => {
            let meaning = format!("Replays the trace. {}", Column::Pinned.meaning());
            if ui.button("Find out what is pinned").on_hover_text(meaning).clicked() {
                commands.push(Command::Sites(SitesCommand::Pin));
            }
        }
    }
}

/// How much all stacks together did, and those that are shown.
fn total(ui: &mut Ui, table: &SiteTable, sorted: &Sorted, range: Option<(u64, u64)>) {
    ui.horizontal_wrapped(|ui| {
        let said = |row: &SiteRow| {
            format!(
                "{} allocations, {}, live at peak {}, live at end {}, {} temporary",
                table.shown(Column::Allocations, row),
                table.shown(Column::Bytes, row),
                table.shown(Column::Peak, row),
                table.shown(Column::End, row),
                table.shown(Column::Temporary, row)
            )
        };
        let stacks = |number: usize| count(number as u64);
        let all = format!("All {} stacks: {}", stacks(table.rows.len()), said(&table.total));
        let when = if table.has_clock { format!(" after {}", nanos(table.peak.time)) } else { String::new() };
        if let Some((first, end)) = range {
            let text = format!("In records {} to {}:", count(first), count(end.saturating_sub(1)));
            ui.label(text).on_hover_text(
                "As if the trace were these records alone: what was allocated before them does not count.",
            );
        }
        let left_out = table.left_out.out_of(table.counted);
        ui.label(RichText::new(all + &left_out).strong()).on_hover_text(format!(
            "The sum of all rows. Counted one by one there are {} allocations of {}; {} lived at the peak{when}, {} at the end: the same numbers as in the report.",
            count(table.counted.allocations),
            bytes(table.counted.bytes),
            bytes(table.peak.live),
            bytes(table.end.live),
        ));
        if sorted.rows.len() < table.rows.len() {
            ui.label(format!("shown {}: {}", stacks(sorted.rows.len()), said(&sorted.sum)));
        }
        if let Sampling::Bytes { mean } = table.sampling {
            let colour = ui.visuals().warn_fg_color;
            let text = format!("estimated from one in {}", bytes(mean));
            ui.label(RichText::new(text).color(colour)).on_hover_text(
                "Stacks were sampled: a call that has one stands for others like it, and all numbers are estimates.",
            );
        }
    });
}

fn title(column: Column, order: &Order) -> long_table::Column {
    let mark = match order.by == column {
        true if order.is_descending => " ▼",
        true => " ▲",
        false => "",
    };
    let width = match column {
        Column::MeanRecords => 128.0,
        Column::Peak | Column::End | Column::Allocations => 94.0,
        _ => 86.0,
    };
    long_table::Column {
        title: format!("{}{mark}", column.title()),
        meaning: column.meaning(),
        width,
        is_number: true,
    }
}

fn number_cell(table: &SiteTable, column: Column, row: &SiteRow) -> Cell {
    let all = column.value(&table.total);
    let value = column.value(row);
    let share = (column.is_sum() && all > 0.0).then(|| value / all);
    Cell { text: table.shown(column, row), share, is_weak: value <= 0.0, ..Cell::default() }
}

/// A stack in a line: its own innermost functions.
pub(super) fn own(legend: &Legend, stack: Stack) -> String {
    let names = legend.own(stack, FRAMES);
    names.iter().map(|line| legend.get(line.function).name.as_str()).collect::<Vec<_>>().join(" ← ")
}

/// What leads to the single allocations of a stack.
fn its_allocations(ui: &mut Ui, model: &Model, stack: Stack, commands: &mut Commands) {
    if ui.link("Its single allocations").on_hover_text(View::Allocations.meaning()).clicked() {
        commands.push(Command::Filter(Filter { stack: Some(stack.0), ..model.filter }));
        commands.push(Command::Look(View::Allocations));
    }
}

/// Every line of a stack, the innermost first.
pub(super) fn whole_stack(ui: &mut Ui, legend: &Legend, stack: Stack, commands: &mut Commands) {
    let lines = legend.stack(stack);
    ui.horizontal(|ui| {
        ui.label(RichText::new(format!("The whole stack, {} functions", lines.len())).strong());
        if ui.button("Show in the flamegraph").clicked() {
            commands.push(Command::Flame(FlameCommand::Reveal(stack)));
            commands.push(Command::Look(View::Flame));
        }
        if ui.button("Copy").on_hover_text("Copies these lines").clicked() {
            let text: Vec<String> = lines.iter().map(|line| in_a_line(legend, line)).collect();
            ui.ctx().copy_text(text.join("\n"));
        }
    });
    let columns = ["Function", "Source", "Module"].map(|title| long_table::Column {
        title: title.to_owned(),
        meaning: "",
        width: match title {
            "Function" => 220.0,
            "Source" => 300.0,
            _ => 160.0,
        },
        is_number: false,
    });
    let table = LongTable {
        name: "Whole stack",
        columns: &columns,
        rows: lines.len(),
        is_chosen: &|_| false,
        scroll_to: None,
        is_sortable: false,
    };
    table.show(ui, |row, column| {
        let text = lines.get(row).map(|line| match column {
            0 => legend.get(line.function).name.clone(),
            1 => legend.source(line).map(|source| end_of(&source)).unwrap_or_default(),
            _ => legend.module(line.function).unwrap_or_default().to_owned(),
        });
        Cell { text: text.unwrap_or_default(), is_weak: column > 0, ..Cell::default() }
    });
}

/// The end of a path, which tells files apart.
fn end_of(path: &str) -> String {
    const PARTS: usize = 3;
    let parts: Vec<&str> = path.split('/').collect();
    match parts.len().checked_sub(PARTS) {
        Some(before @ 1..) => format!("…/{}", parts[before..].join("/")),
        _ => path.to_owned(),
    }
}

fn in_a_line(legend: &Legend, line: &Line) -> String {
    let name = &legend.get(line.function).name;
    let place = legend.source(line).or_else(|| legend.module(line.function).map(str::to_owned));
    place.map_or_else(|| name.clone(), |place| format!("{name} ({place})"))
}

/// The command that prints the same table.
fn command(
    trace: &std::path::Path,
    order: &Order,
    range: Option<(u64, u64)>,
    filter: &Filter,
    table: &SiteTable,
) -> String {
    let mut line =
        format!("malloscope sites {} --sort {}", quoted(&trace.to_string_lossy()), order.by.name());
    if !order.is_descending {
        line.push_str(" --ascending");
    }
    if !order.filter.trim().is_empty() {
        line.push_str(&format!(" --filter {}", quoted(order.filter.trim())));
    }
    for option in options(filter) {
        line.push_str(&format!(" {option}"));
    }
    if let Some((first, end)) = range {
        line.push_str(&format!(" --range {first}..{end}"));
    }
    if table.pinned.is_some() {
        line.push_str(" --replay");
    }
    line
}
