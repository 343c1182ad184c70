//! The heat map: a row for each bin, in bands by kind, and the records from left to right.

use super::{BinsView, Chosen, Painted, weak};
use crate::app::command::{Command, Commands};
use crate::model::heat::{Heat, Measure, Shade};
use crate::model::{Model, Replayed};
use crate::theme;
use crate::widgets::hatch;
use crate::widgets::scale::{Scale, Seen, narrow, whole};
use egui::{
    Align2, Color32, Mesh, Painter, Rangef, Rect, Response, ScrollArea, Sense, Stroke, TextStyle, Ui,
    WidgetInfo, accesskit::Role, pos2, vec2,
};
use malloscope_replayer::report::units::count;
use std::ops::Range;
use std::sync::Arc;

/// Left of the cells: the kinds of bins, and the sizes of their chunks.
const BEFORE: f32 = 116.0;
/// Right of them: how many requests each bin had.
const BEHIND: f32 = 92.0;
/// The height of a row: what it must have, and what is enough.
const ROW: Rangef = Rangef { min: 2.0, max: 18.0 };
/// A band is as high as its name at least.
const LEAST_BAND: f32 = 14.0;
/// Between two bands.
const BETWEEN: f32 = 4.0;
/// A column is at least so many points wide.
const COLUMN: f32 = 2.0;
/// What the colours are shown beside.
const LEGEND: f32 = 90.0;

/// The colours, and what they mean at both ends.
pub(super) fn legend(ui: &mut Ui, measure: Measure) {
    let (least, most) = if measure == Measure::HitRate { ("0 %", "100 %") } else { ("few", "most") };
    ui.label(weak(least).small());
    let (place, response) = ui.allocate_exact_size(vec2(LEGEND, 12.0), Sense::hover());
    let mut mesh = Mesh::default();
    for step in 0_u8..30 {
        let share = f32::from(step) / 30.0;
        let left = place.left() + share * place.width();
        let cell = Rect::from_x_y_ranges(left..=left + place.width() / 30.0, place.y_range());
        mesh.add_colored_rect(cell, theme::sequence(f64::from(share) + 1.0 / 60.0));
    }
    ui.painter().add(mesh);
    response.on_hover_text(measure.meaning());
    ui.label(weak(most).small());
    let (place, response) = ui.allocate_exact_size(vec2(18.0, 12.0), Sense::hover());
    hatch::paint(ui, ui.painter(), [place], theme::nothing(ui.visuals()));
    response.on_hover_text("In these records no request looked into the bin.");
    ui.label(weak("not asked").small());
}

/// Bins of one kind, and where they are shown.
struct Band {
    rows: Range<usize>,
    top: f32,
    row: f32,
}

impl Band {
    fn bottom(&self) -> f32 {
        self.top + self.row * self.rows.len() as f32
    }

    fn place(&self, row: usize) -> Rangef {
        let top = self.top + self.row * (row - self.rows.start) as f32;
        Rangef::new(top, top + self.row)
    }
}

/// The bands one below the other: as high as there is room, within reason.
fn bands(heat: &Heat, height: f32) -> Vec<Band> {
    let mut bands: Vec<Range<usize>> = Vec::new();
    for (number, row) in heat.rows.iter().enumerate() {
        match bands.last_mut() {
            Some(band) if heat.rows[band.start].kind == row.kind => band.end = number + 1,
            _ => bands.push(number..number + 1),
        }
    }
    let between = BETWEEN * (bands.len() as f32 + 0.5);
    let row = ROW.clamp((height - between) / heat.rows.len().max(1) as f32);
    // Half a line of the first row's name.
    let mut top = BETWEEN * 1.5;
    bands
        .into_iter()
        .map(|rows| {
            let row = row.max(LEAST_BAND / rows.len() as f32);
            let band = Band { rows, top, row };
            top = band.bottom() + BETWEEN;
            band
        })
        .collect()
}

/// Where the heat map is, and what of it.
struct Map<'a> {
    heat: &'a Heat,
    columns: &'a [Range<usize>],
    bands: &'a [Band],
    /// The whole of it, names and numbers included.
    area: Rect,
    across: Scale,
}

impl Map<'_> {
    fn row(&self, band: &Band, row: usize) -> Rect {
        let place = band.place(row);
        Rect::from_x_y_ranges(self.cells(), self.area.top() + place.min..=self.area.top() + place.max)
    }

    fn cells(&self) -> Rangef {
        Rangef::new(self.across.first, self.across.last)
    }

    /// The slices below a place.
    fn column(&self, x: f32) -> Option<&Range<usize>> {
        let record = self.across.value(x);
        self.columns.iter().find(|slices| (self.heat.records(slices).1 as f64) > record)
    }
}

impl BinsView {
    pub(super) fn heat(&mut self, ui: &mut Ui, model: &Model, replayed: &Replayed, commands: &mut Commands) {
        let heat = &replayed.heat;
        let axis = ui.text_style_height(&TextStyle::Small) + 4.0;
        let height = (ui.available_height() - axis - ui.spacing().item_spacing.y).max(80.0);
        let width = ui.available_width() - BEFORE - BEHIND;
        if width < 60.0 || heat.slices() == 0 {
            ui.label("There is no room for the heat map: the table has the same numbers.");
            return;
        }
        let columns = heat.columns(usize::try_from(whole(f64::from(width / COLUMN))).unwrap_or(1));
        self.paint(ui, heat, &columns);
        let bands = bands(heat, height);
        let (first, end) = heat.extent();
        let left = ui.max_rect().left() + BEFORE;
        let across = Scale::across(Seen::all(first, end), Rangef::new(left, left + width));
        let scrolled =
            ScrollArea::vertical().id_salt("heat map").max_height(height).auto_shrink([false, true]);
        scrolled.show(ui, |ui| {
            let size = vec2(ui.available_width(), bands.last().map_or(0.0, Band::bottom));
            let (area, _) = ui.allocate_exact_size(size, Sense::hover());
            let map = Map { heat, columns: &columns, bands: &bands, area, across };
            self.show(ui, &map, model);
            self.rows(ui, &map, commands);
        });
        records_axis(ui, across, axis);
    }

    fn paint(&mut self, ui: &Ui, heat: &Arc<Heat>, columns: &[Range<usize>]) {
        let (measure, ground) = (self.measure, ui.visuals().panel_fill);
        let key = Painted { heat: heat.clone(), measure, columns: columns.len(), ground };
        self.cells.update(ui.ctx(), key, columns.len(), || {
            let colour = |shade: &Shade| match *shade {
                Shade::Nothing => Color32::TRANSPARENT,
                // Not over the hatching, which says that nobody looked.
                Shade::Some(share, certain) => {
                    ground.blend(theme::sequence(share).gamma_multiply(narrow(certain)))
                }
            };
            heat.shades(columns, measure).iter().map(colour).collect()
        });
    }

    fn show(&self, ui: &Ui, map: &Map<'_>, model: &Model) {
        let painter = ui.painter();
        let visuals = ui.visuals();
        let ground = |band: &Band| {
            let y = map.area.top() + band.top..=map.area.top() + band.bottom();
            Rect::from_x_y_ranges(map.cells(), y)
        };
        let bare = map.bands.iter().flat_map(|band| self.cells.ground(&band.rows, ground(band)));
        hatch::paint(ui, painter, bare, theme::nothing(visuals));
        self.cells.draw(painter, map.bands.iter().map(|band| (band.rows.clone(), ground(band))));
        names(ui, painter, map);
        totals(ui, painter, map);
        let y = map.area.y_range();
        let (first, end) = map.heat.extent();
        let upright = |record: u64, stroke: Stroke| {
            if (first..=end).contains(&record) {
                painter.vline(map.across.place(record as f64), y, stroke);
            }
        };
        if let Some(record) = model.cursor {
            upright(record, Stroke::new(1.5, theme::second_line(visuals)));
        }
        let dragged = self.dragged_from.zip(ui.ctx().pointer_latest_pos());
        let dragged = dragged.map(|(from, at)| (whole(from), whole(map.across.value(at.x))));
        if let Some((from, to)) = dragged.or(model.range).filter(|range| *range != (first, end)) {
            let edge = Stroke::new(1.5, theme::accent(visuals));
            upright(from, edge);
            upright(to, edge);
        }
    }

    /// What can be pointed at and clicked: each row, and in it the records.
    fn rows(&mut self, ui: &Ui, map: &Map<'_>, commands: &mut Commands) {
        let visible = ui.clip_rect();
        for band in map.bands {
            for number in band.rows.clone() {
                let place = map.row(band, number);
                if !visible.intersects(place) {
                    continue;
                }
                let row = &map.heat.rows[number];
                let id = ui.scope_id().with(("bin", &row.name));
                let response = ui.interact(place, id, Sense::click_and_drag());
                response.widget_info(|| {
                    WidgetInfo::labeled(Role::Row, true, format!("{}: {}", row.name, row.total.said()))
                });
                self.pointed_at(ui, map, number, place, &response, commands);
                if let Some(slices) = response.hover_pos().and_then(|at| map.column(at.x)) {
                    response.on_hover_ui_at_pointer(|ui| tooltip(ui, map.heat, number, slices));
                }
            }
        }
    }

    fn pointed_at(
        &mut self,
        ui: &Ui,
        map: &Map<'_>,
        number: usize,
        place: Rect,
        response: &Response,
        commands: &mut Commands,
    ) {
        let row = &map.heat.rows[number];
        let visuals = ui.visuals();
        let is_chosen = self.chosen.as_ref().is_some_and(|chosen| chosen.bin == row.name);
        if response.hovered() || is_chosen {
            let stroke =
                Stroke::new(1.0, if is_chosen { theme::accent(visuals) } else { visuals.text_color() });
            ui.painter().rect_stroke(place.expand(0.5), 0.0, stroke, egui::StrokeKind::Outside);
        }
        if response.clicked()
            && let Some(slices) = response.interact_pointer_pos().and_then(|at| map.column(at.x))
        {
            let records = map.heat.records(slices);
            self.chosen = Some(Chosen { bin: row.name.clone(), records });
            commands.push(Command::Point(Some(records.0)));
        }
        if response.drag_started() {
            let origin = ui.ctx().input(|input| input.pointer.press_origin());
            self.dragged_from = origin.map(|at| map.across.value(at.x));
        }
        if response.drag_stopped() {
            let to = ui.ctx().pointer_latest_pos().map(|at| map.across.value(at.x));
            if let Some((from, to)) = self.dragged_from.take().zip(to) {
                let (first, end) = map.heat.extent();
                let record = |at: f64| whole(at).clamp(first, end);
                commands.push(Command::Select(Some((record(from.min(to)), record(from.max(to))))));
            }
        }
    }
}

/// The kinds, and the sizes of the chunks as far as there is room for them.
fn names(ui: &Ui, painter: &Painter, map: &Map<'_>) {
    let font = TextStyle::Small.resolve(ui.style());
    let visuals = ui.visuals();
    for band in map.bands {
        let Some(first) = map.heat.rows.get(band.rows.start) else { continue };
        let top = map.area.top() + band.top;
        painter.text(
            pos2(map.area.left(), top),
            Align2::LEFT_TOP,
            &first.kind,
            font.clone(),
            visuals.text_color(),
        );
        let mut lowest = f32::NEG_INFINITY;
        for number in band.rows.clone() {
            let y = map.area.top() + band.place(number).center();
            let row = &map.heat.rows[number];
            let is_of_sizes = row.row.least_size.is_some();
            if y - font.size / 2.0 >= lowest && is_of_sizes {
                let at = pos2(map.across.first - 6.0, y);
                let size = row.row.least_size.map(count).unwrap_or_default();
                let is_range = row.row.least_size != row.row.greatest_size;
                let text = if is_range { format!("{size}…") } else { size };
                painter.text(at, Align2::RIGHT_CENTER, text, font.clone(), visuals.weak_text_color());
                lowest = y + font.size / 2.0 + 1.0;
            }
        }
    }
}

/// How many requests each bin had, beside its row: bars are as long as they are among those of the kind.
fn totals(ui: &Ui, painter: &Painter, map: &Map<'_>) {
    let visuals = ui.visuals();
    let font = TextStyle::Small.resolve(ui.style());
    let left = map.across.last + 6.0;
    let mut mesh = Mesh::default();
    let room = BEHIND - 14.0;
    let below = painter.add(egui::Shape::Noop);
    for band in map.bands {
        let requests = map.heat.rows[band.rows.clone()].iter().map(|row| row.total.requests());
        let most = requests.max().unwrap_or(0).max(1);
        let mut lowest = f32::NEG_INFINITY;
        for number in band.rows.clone() {
            let total = map.heat.rows[number].total;
            let place = band.place(number);
            let (top, bottom) = (map.area.top() + place.min, map.area.top() + place.max);
            let wide = |part: u64| (narrow(part as f64 / most as f64) * room).max(1.0);
            let all = Rect::from_x_y_ranges(left..=left + wide(total.requests()), top + 0.5..=bottom - 0.5);
            mesh.add_colored_rect(all, theme::bar_ground(visuals));
            if total.hits > 0 {
                let hits = Rect::from_x_y_ranges(left..=left + wide(total.hits), top + 0.5..=bottom - 0.5);
                mesh.add_colored_rect(hits, theme::bar(visuals));
            }
            if place.span() >= font.size && top >= lowest {
                let at = pos2(left + 3.0, place.center() + map.area.top());
                painter.text(
                    at,
                    Align2::LEFT_CENTER,
                    count(total.requests()),
                    font.clone(),
                    visuals.text_color(),
                );
                lowest = bottom;
            }
        }
    }
    painter.set(below, mesh);
}

fn records_axis(ui: &mut Ui, across: Scale, height: f32) {
    let (place, response) = ui.allocate_exact_size(vec2(ui.available_width(), height), Sense::hover());
    response.on_hover_text(
        "From left to right the records; at the left the chunk sizes of a bin; at the right its requests, and of \
         those the hits: bars are as long as they are among the bins of the same kind.",
    );
    let font = TextStyle::Small.resolve(ui.style());
    let visuals = ui.visuals();
    let painter = ui.painter_at(place.expand(4.0));
    let weak = visuals.weak_text_color();
    for record in across.tens(96.0) {
        let x = across.place(record);
        painter.vline(x, place.top() - 3.0..=place.top(), Stroke::new(1.0, theme::grid(visuals)));
        let galley = painter.layout_no_wrap(count(whole(record)), font.clone(), weak);
        // The last stays clear of what stands behind it.
        let left = (x - galley.size().x / 2.0).min(across.last - galley.size().x);
        painter.galley(pos2(left, place.center().y - galley.size().y / 2.0), galley, weak);
    }
    let at = pos2(place.left(), place.center().y);
    painter.text(at, Align2::LEFT_CENTER, "chunk bytes", font.clone(), weak);
    let at = pos2(across.last + 8.0, place.center().y);
    painter.text(at, Align2::LEFT_CENTER, "requests, hits", font, weak);
}

fn tooltip(ui: &mut Ui, heat: &Heat, number: usize, slices: &Range<usize>) {
    let row = &heat.rows[number];
    ui.strong(&row.name);
    if row.row.least_size.is_some() {
        ui.label(format!("chunks of {} bytes", row.sizes));
    }
    let (first, end) = heat.records(slices);
    ui.label(weak(format!("records {}–{}", count(first), count(end.saturating_sub(1)))));
    let cell = heat.cell(number, slices);
    match cell.requests() {
        0 => ui.label("not asked"),
        _ => ui.label(cell.said()),
    };
    ui.label(weak(format!("all in all {}", row.total.said())));
}
