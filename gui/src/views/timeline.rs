//! The program break over the records of the trace, and what lives in it.

use crate::app::command::{Command, Commands};
use crate::model::runs::RunId;
use crate::model::timeline::{Point, Timeline, readout};
use crate::model::{Model, Replayed};
use crate::theme;
use crate::widgets::swatch::{self, Dash};
use egui::{RichText, Ui, Visuals, WidgetInfo, accesskit::Role};
use egui_plot::{
    GridInput, HoverPosition, Line, LineStyle, MarkerShape, Plot, PlotPoints, Points, VLine,
    uniform_grid_spacer,
};
use malloscope_replayer::report::units::{bytes, count};

/// With more marks than this they become small.
const MANY_MARKS: usize = 80;
/// No more runs than this are read out beside the pointer.
const MOST_IN_TOOLTIP: usize = 8;
/// The help on zooming is shown where there is this much room for it.
const LEAST_FOR_HELP: f32 = 360.0;

/// Shows the timeline of the recorded settings, and over it that of the others.
pub fn ui(ui: &mut Ui, model: &Model, recorded: &Replayed, commands: &mut Commands) {
    let timeline = &recorded.timeline;
    let others: Vec<Other<'_>> = others(model).collect();
    ui.horizontal_wrapped(|ui| legend(ui, timeline, &others));
    if timeline.is_empty() {
        ui.label("There is nothing to draw: no call of the trace asked for memory.");
        return;
    }
    let height = ui.available_height() - theme::ROW - ui.spacing().item_spacing.y;
    let grid = theme::grid(ui.visuals());
    let shown = plot(height.max(80.0), timeline, &others).grid_color(grid).show(ui, |plot| {
        let visuals = plot.ctx().global_style().visuals.clone();
        let (accent, quiet) = (theme::accent(&visuals), theme::quiet_line(&visuals));
        plot.line(line("live bytes", &timeline.live).color(quiet).width(1.0).fill(0.0).fill_alpha(0.18));
        plot.line(line("held bytes", &timeline.held).color(quiet).width(1.5));
        plot.line(line("program break", &timeline.program_break).color(accent).width(2.0));
        plot.points(marks("grown", &timeline.grown, MarkerShape::Up).color(accent));
        plot.points(marks("trimmed", &timeline.trimmed, MarkerShape::Down).color(accent));
        if let Some(record) = model.cursor {
            plot.vline(VLine::new("cursor", record as f64).color(theme::second_line(&visuals)));
        }
        for other in &others {
            plot.line(other.line(&visuals));
        }
    });
    let said = || format!("Program break: {}; {}", timeline.grown_in_all, timeline.trimmed_in_all);
    shown.response.widget_info(|| WidgetInfo::labeled(Role::Image, true, said()));
    let over = shown.response.hover_pos().map(|at| shown.transform.value_from_position(at).x);
    if shown.response.clicked() {
        commands.push(Command::Point(over.map(whole)));
    }
    let cursor = model.cursor.map(|record| record as f64);
    values(ui, timeline, over.or(cursor));
}

/// A run drawn over the recorded one.
struct Other<'a> {
    name: &'a str,
    timeline: &'a Timeline,
    /// The number of its colour and pattern.
    series: usize,
}

/// The runs that are drawn over the recorded one.
fn others(model: &Model) -> impl Iterator<Item = Other<'_>> {
    let drawn = model.runs.drawn().filter(|(run, _)| run.id != RunId::RECORDED);
    drawn.map(|(run, replayed)| Other {
        name: &run.name,
        timeline: &replayed.timeline,
        series: run.id.number(),
    })
}

impl Other<'_> {
    fn line(&self, visuals: &Visuals) -> Line<'static> {
        let style = match Dash::of(self.series) {
            Dash::Solid => LineStyle::Solid,
            Dash::Dashed => LineStyle::dashed_dense(),
            Dash::Dotted => LineStyle::dotted_dense(),
            Dash::Long => LineStyle::dashed_loose(),
        };
        let line = line(&format!("program break, {}", self.name), &self.timeline.program_break);
        line.color(theme::series(visuals, self.series)).width(1.5).style(style)
    }
}

/// What the lines and marks are, in their own shapes and colours.
fn legend(ui: &mut Ui, timeline: &Timeline, others: &[Other<'_>]) {
    let visuals = ui.visuals();
    let (accent, quiet) = (theme::accent(visuals), theme::quiet_line(visuals));
    ui.label(RichText::new("Program break").strong());
    ui.label(RichText::new("━ recorded settings").color(accent));
    ui.label(RichText::new(format!("▲ {}", timeline.grown_in_all)).color(accent));
    ui.label(RichText::new(format!("▼ {}", timeline.trimmed_in_all)).color(accent));
    for other in others {
        ui.horizontal(|ui| {
            swatch::show(ui, other.series);
            ui.label(RichText::new(other.name).color(theme::series(ui.visuals(), other.series)));
        });
    }
    ui.label(RichText::new("━ held bytes").color(quiet));
    ui.label(RichText::new("▒ live bytes").color(quiet));
    if ui.available_size_before_wrap().x > LEAST_FOR_HELP {
        ui.label(
            RichText::new("Click to point, drag to move, Ctrl and wheel to zoom, double click for all")
                .small()
                .weak(),
        );
    }
}

fn plot<'a>(height: f32, timeline: &'a Timeline, others: &'a [Other<'a>]) -> Plot<'a> {
    Plot::new("program break")
        .height(height)
        .allow_scroll(false)
        .allow_zoom([true, false])
        .allow_drag([true, false])
        .show_crosshair(true)
        .include_y(0.0)
        .y_grid_spacer(uniform_grid_spacer(powers_of_two))
        .y_axis_formatter(|mark, _| bytes(whole(mark.value)))
        .x_axis_formatter(|mark, _| count(whole(mark.value)))
        .y_axis_min_width(64.0)
        .label_formatter(move |hover| {
            let (HoverPosition::NearDataPoint { position, .. } | HoverPosition::Elsewhere { position }) =
                hover;
            Some(tooltip(position.x, timeline, others))
        })
}

/// What is said beside the pointer.
fn tooltip(record: f64, timeline: &Timeline, others: &[Other<'_>]) -> String {
    let Some(sample) = timeline.at(record) else { return String::new() };
    let mut lines: Vec<String> =
        readout(sample).into_iter().take(5).map(|(name, value)| format!("{name}: {value}")).collect();
    for other in others.iter().take(MOST_IN_TOOLTIP) {
        let sample = other.timeline.at(record);
        lines.extend(sample.map(|sample| format!("Break, {}: {}", other.name, bytes(sample.program_break))));
    }
    lines.join("\n")
}

/// All numbers of the moment below the pointer, or of the end.
fn values(ui: &mut Ui, timeline: &Timeline, record: Option<f64>) {
    let Some(sample) = record.and_then(|record| timeline.at(record)).or(timeline.end()) else { return };
    ui.horizontal(|ui| {
        ui.spacing_mut().item_spacing.x = theme::GAP / 2.0;
        for (name, value) in readout(sample) {
            ui.label(RichText::new(name).weak());
            ui.label(value);
            ui.add_space(theme::GAP);
        }
    });
}

fn line<'a>(name: &str, points: &[Point]) -> Line<'a> {
    Line::new(name, PlotPoints::from(points.to_vec())).allow_hover(false)
}

fn marks<'a>(name: &str, points: &[Point], shape: MarkerShape) -> Points<'a> {
    let radius = if points.len() > MANY_MARKS { 2.5 } else { 4.5 };
    Points::new(name, PlotPoints::from(points.to_vec()))
        .shape(shape)
        .filled(true)
        .radius(radius)
        .allow_hover(false)
}

/// Bytes are divided where their units are.
fn powers_of_two(input: GridInput) -> [f64; 3] {
    let step = input.base_step_size.max(1.0).log2().ceil().exp2();
    [step * 16.0, step * 4.0, step]
}

/// A place on an axis as a number to print; what lies before zero is zero.
#[expect(clippy::cast_possible_truncation, reason = "a mark on an axis is printed to three digits")]
fn whole(value: f64) -> u64 {
    value.round().max(0.0) as u64
}
