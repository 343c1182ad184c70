//! What a heap had over the records of a trace, what happened to it, and which records are looked at.
//!
//! From the top: the legend, whose entries switch curves on and off; the curves; strips of what is counted slice
//! by slice; the records; a lane for each thread and each arena, where there are several; and the numbers of one
//! moment. A run has a bounded number of samples and slices, and the shapes are as many, however long the trace.

mod curves;
mod lanes;
mod strips;

use crate::app::command::{Command, Commands};
use crate::model::runs::{Run, RunId};
use crate::model::timeline::{Curve, Strip, Timeline, readout};
use crate::model::{Model, Replayed};
use crate::theme;
use crate::widgets::grid;
use crate::widgets::scale::{Scale, Seen, whole};
use crate::widgets::swatch;
use egui::{
    Align2, Button, Color32, EventFilter, Grid, Key, Painter, Popup, Pos2, Rangef, Rect, Response, RichText,
    Sense, Stroke, TextStyle, Ui, WidgetInfo, accesskit::Role, pos2, vec2,
};
use malloscope_replayer::report::units::{count, nanos};

/// Left of the curves: what the marks of their axis mean.
const BEFORE: f32 = 74.0;
/// Right of them: their names.
const BEHIND: f32 = 66.0;
/// Records are written so far apart.
const APART: f32 = 150.0;
/// The height of a strip.
const STRIP: f32 = 22.0;
/// Below this height there are fewer strips, so that there is something left of the curves.
const LEAST_CURVES: f32 = 90.0;
/// No more runs than this are read out beside the pointer.
const MOST_IN_TOOLTIP: usize = 8;
/// The help is shown where there is this much room for it.
const LEAST_FOR_HELP: f32 = 420.0;
/// How far a key moves what is seen, as a share of it.
const STEP: f64 = 0.1;
/// How much nearer a step of the wheel comes, for each point it scrolls.
const NEARER: f64 = 1.004;

const HELP: &str =
    "drag: select · Shift-drag: move · wheel: zoom · double click: all · click: point · Esc: clear";

/// What the timeline remembers.
#[derive(Clone, Debug)]
pub struct TimelineView {
    curves: Vec<Curve>,
    strips: Vec<Strip>,
    has_lanes: bool,
    has_threshold: bool,
    /// What is seen, if not all is.
    seen: Option<Seen>,
    /// Where a selection was begun.
    dragged_from: Option<f64>,
}

impl Default for TimelineView {
    fn default() -> TimelineView {
        let curves = Curve::ALL.into_iter().filter(|curve| *curve != Curve::System).collect();
        TimelineView {
            curves,
            strips: Strip::ALL.into(),
            has_lanes: true,
            has_threshold: true,
            seen: None,
            dragged_from: None,
        }
    }
}

/// A run, and the records of which it is drawn.
#[derive(Clone, Copy)]
struct Part<'a> {
    timeline: &'a Timeline,
    from: f64,
    to: f64,
}

/// What is drawn: the parts of the run, and the breaks of others beside it.
struct Drawn<'a> {
    parts: Vec<Part<'a>>,
    others: Vec<Other<'a>>,
}

/// A run whose break is drawn beside that of the recorded settings.
struct Other<'a> {
    name: &'a str,
    timeline: &'a Timeline,
    /// The number of its colour and pattern.
    series: usize,
}

impl<'a> Drawn<'a> {
    /// All records from one run, but those of the range from the finer one, if there is that.
    fn of(model: &'a Model, recorded: &'a Replayed) -> Drawn<'a> {
        let base = &recorded.timeline;
        let (from, to) = (f64::NEG_INFINITY, f64::INFINITY);
        let finer = model
            .ranged
            .ready()
            .filter(|_| model.runs.shown().id == RunId::RECORDED)
            .map(|finer| &finer.timeline);
        let parts = match finer.map(|finer| (finer, finer.extent())) {
            Some((finer, (first, end))) if first < end => {
                let (first, end) = (first as f64, end as f64);
                let before = Part { timeline: base, from, to: first };
                let behind = Part { timeline: base, from: end, to };
                vec![before, Part { timeline: finer, from: first, to: end }, behind]
            }
            _ => vec![Part { timeline: base, from, to }],
        };
        let others = model.runs.drawn().filter(|(run, _)| run.id != RunId::RECORDED);
        let other = |(run, replayed): (&'a Run, &'a Replayed)| Other {
            name: &run.name,
            timeline: &replayed.timeline,
            series: run.id.number(),
        };
        Drawn { parts, others: others.map(other).collect() }
    }

    /// The run that knows most of a record.
    fn at(&self, record: f64) -> Option<&'a Timeline> {
        self.parts.iter().find(|part| part.from <= record && record <= part.to).map(|part| part.timeline)
    }
}

impl TimelineView {
    /// Shows the timeline of the recorded settings, and over it the break of the others.
    pub fn ui(&mut self, ui: &mut Ui, model: &Model, recorded: &Replayed, commands: &mut Commands) {
        let timeline = &recorded.timeline;
        ui.horizontal_wrapped(|ui| self.legend(ui, model, timeline));
        if timeline.is_empty() {
            ui.label(match recorded.report.outcome.so_far {
                Some(_) => "There is nothing to draw yet: no call so far asked for memory.",
                None => "There is nothing to draw: no call of the trace asked for memory.",
            });
            return;
        }
        let (first, end) = timeline.extent();
        let bounds = Seen::all(first, end);
        let seen = self.seen.map_or(bounds, |seen| seen.within(bounds));
        let drawn = Drawn::of(model, recorded);
        let lanes = if self.has_lanes { lanes::height(timeline, ui.available_height()) } else { 0.0 };
        let height = ui.available_height() - lanes - theme::ROW - ui.spacing().item_spacing.y;
        let size = vec2(ui.available_width(), height.max(LEAST_CURVES));
        let (area, _) = ui.allocate_exact_size(size, Sense::hover());
        let across = Scale::across(seen, Rangef::new(area.left() + BEFORE, area.right() - BEHIND));
        let response = ui.interact(area, ui.scope_id().with("records"), Sense::click_and_drag());
        self.show(ui, area, across, &drawn, model);
        self.input(ui, &response, across, bounds, model, commands);
        let said = || {
            let (grown, trimmed) = (&timeline.grown_in_all, &timeline.trimmed_in_all);
            let of = timeline.awaited.map(|all| format!(" of {}", count(all))).unwrap_or_default();
            let drawn = timeline.end().map_or(end, |sample| sample.record);
            format!("Timeline of {}{of} records. Program break: {grown}; {trimmed}", count(drawn - first))
        };
        response.widget_info(|| WidgetInfo::labeled(Role::Image, true, said()));
        let over = response.hover_pos().map(|at| across.value(at.x).clamp(seen.from, seen.to));
        if let Some(record) = over.filter(|_| self.dragged_from.is_none()) {
            response.on_hover_ui_at_pointer(|ui| tooltip(ui, record, &drawn));
        }
        if lanes > 0.0 {
            lanes::ui(ui, lanes, across, timeline);
        }
        let record = over.or(model.cursor.map(|record| record as f64));
        let at = record.and_then(|record| drawn.at(record).and_then(|timeline| timeline.at(record)));
        if let Some(sample) = at.or(timeline.end()) {
            ui.horizontal(|ui| {
                ui.spacing_mut().item_spacing.x = theme::GAP / 2.0;
                for (name, value) in readout(sample) {
                    ui.label(RichText::new(name).weak());
                    ui.label(value);
                    ui.add_space(theme::GAP);
                }
            });
        }
    }

    /// What is drawn, in its own colours: each a switch.
    fn legend(&mut self, ui: &mut Ui, model: &Model, timeline: &Timeline) {
        ui.spacing_mut().item_spacing.x = theme::GAP;
        for curve in Curve::ALL {
            let colour = curves::colour(ui.visuals(), curve);
            switch(ui, curve.name(), colour, curve.meaning(), &mut self.curves, curve);
        }
        if !timeline.thresholds.is_empty() {
            let colour = ui.visuals().weak_text_color();
            let meaning = "Requests of this size and more get a mapping of their own, if no bin serves them.";
            toggle(ui, "mmap threshold", colour, meaning, &mut self.has_threshold);
        }
        ui.separator();
        for strip in Strip::ALL {
            let colour = strips::colour(ui.visuals(), strip);
            switch(ui, strip.name(), colour, strip.meaning(), &mut self.strips, strip);
        }
        if lanes::are_some(timeline) {
            let meaning = "The calls of each thread, and the bytes of each arena, slice by slice.";
            let colour = theme::quiet_line(ui.visuals());
            toggle(ui, "Threads and arenas", colour, meaning, &mut self.has_lanes);
        }
        ui.separator();
        for (run, _) in model.runs.drawn().filter(|(run, _)| run.id != RunId::RECORDED) {
            let number = run.id.number();
            swatch::show(ui, number);
            ui.label(RichText::new(&run.name).color(theme::series(ui.visuals(), number)))
                .on_hover_text("The program break under these settings.");
        }
        let weak = |text: &str| RichText::new(text).small().weak();
        ui.label(weak(&format!("▲ {} · ▼ {}", timeline.grown_in_all, timeline.trimmed_in_all)));
        let zoom = |ui: &mut Ui| {
            ui.small_button("Zoom to range").on_hover_text("Show the selected records, and no others")
        };
        if let Some((first, end)) = model.range
            && zoom(ui).clicked()
        {
            self.seen = Some(Seen::all(first, end));
        }
        if self.seen.is_some()
            && ui.small_button("Show all").on_hover_text("Show all records again").clicked()
        {
            self.seen = None;
        }
        if ui.available_size_before_wrap().x > LEAST_FOR_HELP {
            ui.label(weak(HELP));
        }
    }

    /// Draws everything that shares the axis of records.
    fn show(&self, ui: &Ui, area: Rect, across: Scale, drawn: &Drawn<'_>, model: &Model) {
        let font = TextStyle::Small.resolve(ui.style());
        let axis = font.size + 6.0;
        let room = ((area.height() - LEAST_CURVES - axis) / STRIP).floor().max(0.0);
        // A place among a handful.
        let strips: Vec<Strip> = (0_u8..)
            .zip(&self.strips)
            .take_while(|(number, _)| f32::from(*number) < room)
            .map(|(_, strip)| *strip)
            .collect();
        let mut bottom = area.bottom() - axis;
        let across_range = Rangef::new(across.first, across.last);
        let mut places: Vec<(Strip, Rect)> = Vec::new();
        for strip in strips.into_iter().rev() {
            let place = Rect::from_x_y_ranges(across_range, bottom - STRIP + 3.0..=bottom);
            places.push((strip, place));
            bottom -= STRIP;
        }
        let plot = Rect::from_x_y_ranges(across_range, area.top() + 4.0..=bottom - 3.0);
        let all = Rect::from_x_y_ranges(across_range, plot.top()..=area.bottom() - axis);
        let painter = ui.painter_at(area);
        let visuals = ui.visuals();
        records_axis(&painter, ui, across, all, axis, drawn);
        if let Some((first, end)) = self.selection(ui, across).or(model.range) {
            selection(&painter, ui, across, all, first, end, drawn);
        }
        curves::show(ui, &painter, plot, across, drawn, &self.curves, self.has_threshold);
        for (strip, place) in places {
            strips::show(ui, &painter, place, across, drawn, strip);
        }
        let upright = |record: f64, stroke: Stroke| {
            let x = across.place(record);
            if across_range.contains(x) {
                painter.vline(x, all.y_range(), stroke);
            }
        };
        if let Some(record) = model.cursor {
            upright(record as f64, Stroke::new(1.5, theme::second_line(visuals)));
        }
        if let Some(at) = ui.ctx().pointer_hover_pos().filter(|at| area.contains(*at)) {
            upright(across.value(at.x), Stroke::new(1.0, visuals.weak_text_color()));
        }
    }

    /// What is being selected now.
    fn selection(&self, ui: &Ui, across: Scale) -> Option<(u64, u64)> {
        let from = self.dragged_from?;
        let to = ui.ctx().pointer_latest_pos().map(|at| across.value(at.x))?;
        records(from, to, across.seen)
    }

    fn input(
        &mut self,
        ui: &Ui,
        response: &Response,
        across: Scale,
        bounds: Seen,
        model: &Model,
        commands: &mut Commands,
    ) {
        let at = |position: Pos2| across.value(position.x);
        let moves = ui.input(|input| input.modifiers.shift || !input.pointer.primary_down());
        if response.drag_started() && !moves {
            self.dragged_from = ui.ctx().input(|input| input.pointer.press_origin()).map(at);
        }
        if response.dragged() && self.dragged_from.is_none() {
            let by = -f64::from(response.drag_delta().x) * across.per_point();
            self.look_at(across.seen.moved(by, bounds), bounds);
        }
        if response.drag_stopped() {
            let selected = self.selection(ui, across);
            if self.dragged_from.take().is_some() {
                commands.extend(selected.map(|range| Command::Select(Some(range))));
            }
        }
        if response.double_clicked() {
            self.seen = None;
        } else if response.clicked() {
            response.request_focus();
            let record = response.interact_pointer_pos().map(at);
            commands
                .push(Command::Point(record.map(|record| whole(record.clamp(bounds.from, bounds.to - 1.0)))));
        }
        if let Some(position) = response.hover_pos() {
            let (nearer, by) = ui.input(|input| (input.zoom_delta(), input.smooth_scroll_delta()));
            let factor = f64::from(nearer) * NEARER.powf(f64::from(by.y));
            if factor != 1.0 {
                self.look_at(across.seen.zoomed(at(position), factor, bounds), bounds);
            } else if by.x != 0.0 {
                self.look_at(across.seen.moved(-f64::from(by.x) * across.per_point(), bounds), bounds);
            }
        }
        self.keys(ui, response, across, bounds, model, commands);
    }

    /// Esc clears, wherever nobody else has the keys; the arrows move, once the timeline was clicked.
    fn keys(
        &mut self,
        ui: &Ui,
        response: &Response,
        across: Scale,
        bounds: Seen,
        model: &Model,
        commands: &mut Commands,
    ) {
        let focused = ui.memory(|memory| memory.focused());
        // What is over everything else is closed by it first.
        let is_covered = !ui.memory(|memory| memory.allows_interaction(ui.layer_id()));
        if focused.is_none_or(|focused| focused == response.id)
            && !is_covered
            && !Popup::is_any_open(ui.ctx())
            && ui.input(|input| input.key_pressed(Key::Escape))
        {
            if self.dragged_from.take().is_some() {
                return;
            }
            commands.push(if model.range.is_some() { Command::Select(None) } else { Command::Point(None) });
        }
        if !response.has_focus() {
            return;
        }
        let filter = EventFilter { horizontal_arrows: true, escape: true, ..EventFilter::default() };
        ui.memory_mut(|memory| memory.set_focus_lock_filter(response.id, filter));
        let pressed = |key| ui.input(|input| input.key_pressed(key));
        let step = (across.seen.to - across.seen.from) * STEP;
        for (key, by) in [(Key::ArrowLeft, -step), (Key::ArrowRight, step)] {
            if pressed(key) {
                self.look_at(across.seen.moved(by, bounds), bounds);
            }
        }
        let middle = model.cursor.map_or((across.seen.from + across.seen.to) / 2.0, |record| record as f64);
        for (key, factor) in [(Key::Plus, 1.5), (Key::Minus, 1.0 / 1.5)] {
            if pressed(key) {
                self.look_at(across.seen.zoomed(middle, factor, bounds), bounds);
            }
        }
    }

    fn look_at(&mut self, seen: Seen, bounds: Seen) {
        self.seen = (seen != bounds).then_some(seen);
    }
}

/// A switch that keeps something in a list, or out of it.
fn switch<T: Copy + PartialEq>(
    ui: &mut Ui,
    name: &str,
    colour: Color32,
    meaning: &str,
    list: &mut Vec<T>,
    what: T,
) {
    let mut is_on = list.contains(&what);
    if toggle(ui, name, colour, meaning, &mut is_on) {
        if is_on { list.push(what) } else { list.retain(|other| *other != what) }
    }
}

/// A switch in a legend: a square of the colour, full or empty, and the name. Whether it was pressed.
fn toggle(ui: &mut Ui, name: &str, colour: Color32, meaning: &str, is_on: &mut bool) -> bool {
    let text = RichText::new(name);
    let text = if *is_on { text } else { text.weak() };
    let mark = RichText::new(if *is_on { "■" } else { "□" }).color(colour);
    let response = ui.add(Button::new((mark, text)).frame(false)).on_hover_text(meaning);
    response.widget_info(|| WidgetInfo::selected(Role::CheckBox, true, *is_on, name));
    let pressed = response.clicked();
    *is_on ^= pressed;
    pressed
}

/// The records between two places, if there are any: the first, and the one after the last.
fn records(from: f64, to: f64, seen: Seen) -> Option<(u64, u64)> {
    let (from, to) = (from.min(to).clamp(seen.from, seen.to), from.max(to).clamp(seen.from, seen.to));
    let (first, end) = (whole(from.floor()), whole(to.ceil()));
    (first < end).then_some((first, end))
}

/// The records along the axis, with their times as far as there is room, and lines through everything above.
fn records_axis(painter: &Painter, ui: &Ui, across: Scale, all: Rect, height: f32, drawn: &Drawn<'_>) {
    let font = TextStyle::Small.resolve(ui.style());
    let visuals = ui.visuals();
    let y = all.bottom() + height / 2.0;
    let weak = visuals.weak_text_color();
    for record in across.tens(APART) {
        let x = across.place(record);
        grid::upright(ui, painter, x, all.y_range());
        let number = whole(record);
        // Nobody knows when records are made that are still awaited.
        let known = |timeline: &&Timeline| timeline.end().is_some_and(|end| number <= end.record);
        let at = drawn.at(record).filter(known);
        let time = at.map(|timeline| timeline.time_of(number)).filter(|time| *time > 0);
        let time = time.map(|time| format!(" · {}", nanos(time))).unwrap_or_default();
        let galley = painter.layout_no_wrap(format!("{}{time}", count(number)), font.clone(), weak);
        let half = galley.size().x / 2.0;
        // What stands at the edges stays within.
        let left = x.clamp(all.left() + half, (all.right() - half).max(all.left() + half)) - half;
        painter.galley(pos2(left, y - galley.size().y / 2.0), galley, weak);
    }
    painter.text(pos2(all.left() - 8.0, y), Align2::RIGHT_CENTER, "record · time", font, weak);
}

/// The ground of what is selected, with its length.
fn selection(painter: &Painter, ui: &Ui, across: Scale, all: Rect, first: u64, end: u64, drawn: &Drawn<'_>) {
    let clamp = |record: u64| across.place(record as f64).clamp(all.left(), all.right());
    let place = Rect::from_x_y_ranges(clamp(first)..=clamp(end), all.y_range());
    let visuals = ui.visuals();
    painter.rect_filled(place, 0.0, theme::selected(visuals));
    let edge = Stroke::new(1.0, theme::accent(visuals));
    painter.vline(place.left(), all.y_range(), edge);
    painter.vline(place.right(), all.y_range(), edge);
    let time = drawn
        .parts
        .first()
        .map_or(0, |part| part.timeline.time_of(end).saturating_sub(part.timeline.time_of(first)));
    let text = format!("{} records, {}", count(end - first), nanos(time));
    let font = TextStyle::Small.resolve(ui.style());
    let galley = painter.layout_no_wrap(text, font, visuals.strong_text_color());
    let left = (place.center().x - galley.size().x / 2.0)
        .clamp(all.left(), (all.right() - galley.size().x).max(all.left()));
    let at = pos2(left, all.top());
    let ground = Rect::from_min_size(at, galley.size()).expand2(vec2(4.0, 1.0));
    painter.rect_filled(ground, 3.0, visuals.panel_fill);
    painter.galley(at, galley, visuals.strong_text_color());
}

/// All that is known of a moment.
fn tooltip(ui: &mut Ui, record: f64, drawn: &Drawn<'_>) {
    let Some(timeline) = drawn.at(record) else { return };
    Grid::new("moment").num_columns(2).spacing(vec2(theme::GAP, 1.0)).show(ui, |ui| {
        let mut line = |name: &str, value: String| {
            ui.label(RichText::new(name).weak());
            ui.label(value);
            ui.end_row();
        };
        if let Some(sample) = timeline.at(record) {
            for (name, value) in readout(sample) {
                line(name, value);
            }
        }
        if let Some(slice) = timeline.slice_at(record) {
            for strip in Strip::ALL {
                line(strip.name(), strips::said(slice, strip));
            }
        }
        if let Some(&(_, bytes)) = timeline.thresholds.iter().rev().find(|(from, _)| *from as f64 <= record) {
            line("mmap threshold", malloscope_replayer::report::units::bytes(bytes));
        }
        for other in drawn.others.iter().take(MOST_IN_TOOLTIP) {
            if let Some(sample) = other.timeline.at(record) {
                let bytes = malloscope_replayer::report::units::bytes(sample.program_break);
                line(&format!("Break, {}", other.name), bytes);
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_dragged_over_is_whole_records_in_order() {
        let seen = Seen { from: 10.0, to: 100.0 };
        assert_eq!(records(20.4, 30.2, seen), Some((20, 31)));
        assert_eq!(records(30.2, 20.4, seen), Some((20, 31)));
        assert_eq!(records(-5.0, 1e9, seen), Some((10, 100)));
        assert_eq!(records(20.0, 20.0, seen), None);
    }
}
