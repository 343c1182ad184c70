//! The program break over the records of the trace, and what lives in it.

use crate::app::command::{Command, Commands};
use crate::model::timeline::{Point, Timeline, readout};
use crate::model::{Model, Replayed};
use crate::theme;
use egui::{RichText, Ui, WidgetInfo, accesskit::Role};
use egui_plot::{
    GridInput, HoverPosition, Line, LineStyle, MarkerShape, Plot, PlotPoints, Points, VLine,
    uniform_grid_spacer,
};
use malloscope_replayer::report::units::{bytes, count};

/// With more marks than this they become small.
const MANY_MARKS: usize = 80;
/// The help on zooming is shown where there is this much room for it.
const LEAST_FOR_HELP: f32 = 360.0;

/// Shows the timeline of the recorded settings, and over it that of the others.
pub fn ui(ui: &mut Ui, model: &Model, recorded: &Replayed, commands: &mut Commands) {
    let timeline = &recorded.timeline;
    let other = model.other.ready().map(|other| (model.settings.name(), &other.timeline));
    let names = other.as_ref().map(|(name, timeline)| (name.as_str(), *timeline));
    ui.horizontal_wrapped(|ui| legend(ui, timeline, names.map(|(name, _)| name)));
    if timeline.is_empty() {
        ui.label("There is nothing to draw: no call of the trace asked for memory.");
        return;
    }
    let height = ui.available_height() - theme::ROW - ui.spacing().item_spacing.y;
    let grid = theme::grid(ui.visuals());
    let shown =
        plot(height.max(80.0), timeline, names.map(|(_, other)| other)).grid_color(grid).show(ui, |plot| {
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
            if let Some((name, timeline)) = names {
                let line = line(&format!("program break, {name}"), &timeline.program_break);
                plot.line(
                    line.color(theme::second_line(&visuals)).width(1.5).style(LineStyle::dashed_dense()),
                );
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

/// What the lines and marks are, in their own shapes and colours.
fn legend(ui: &mut Ui, timeline: &Timeline, other: Option<&str>) {
    let visuals = ui.visuals();
    let (accent, quiet, second) =
        (theme::accent(visuals), theme::quiet_line(visuals), theme::second_line(visuals));
    ui.label(RichText::new("Program break").strong());
    ui.label(RichText::new("━ recorded settings").color(accent));
    ui.label(RichText::new(format!("▲ {}", timeline.grown_in_all)).color(accent));
    ui.label(RichText::new(format!("▼ {}", timeline.trimmed_in_all)).color(accent));
    if let Some(name) = other {
        ui.label(RichText::new(format!("┅ {name}")).color(second));
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

fn plot<'a>(height: f32, timeline: &'a Timeline, other: Option<&'a Timeline>) -> Plot<'a> {
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
            Some(tooltip(position.x, timeline, other))
        })
}

/// What is said beside the pointer.
fn tooltip(record: f64, timeline: &Timeline, other: Option<&Timeline>) -> String {
    let Some(sample) = timeline.at(record) else { return String::new() };
    let mut lines: Vec<String> =
        readout(sample).into_iter().take(5).map(|(name, value)| format!("{name}: {value}")).collect();
    if let Some(timeline) = other
        && let Some(sample) = timeline.at(record)
    {
        lines.push(format!("Break, other settings: {}", bytes(sample.program_break)));
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
