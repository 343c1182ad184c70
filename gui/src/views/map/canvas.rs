//! The memory itself, cell by cell: zoomed with the wheel, moved by dragging.

use crate::app::command::{Command, Commands};
use crate::model::Model;
use crate::model::heap::{Moment, described};
use crate::model::picture::{self, Band, LARGEST_CELL, Picture, Plan, SMALLEST_CELL};
use crate::theme;
use egui::{
    Align2, Color32, ColorImage, Context, FontId, Id, Key, Mesh, Painter, Pos2, Rect, Response, RichText,
    Sense, Stroke, StrokeKind, TextStyle, TextureHandle, TextureOptions, Ui, WidgetInfo, accesskit::Role,
    pos2, vec2,
};
use malloscope_replayer::explore::map::{HeapMap, Piece};
use malloscope_replayer::report::units::{bytes, count};
use std::fmt;
use std::sync::Arc;

/// How wide a cell is in points, where it is more than the smallest number of bytes.
const CELL: f32 = 4.0;
/// How wide they may be where all of the heap is to be seen, and there is room.
const WIDER: [f32; 4] = [5.0, 6.0, 7.0, 8.0];
/// How wide the smallest cells are, the closer one looks.
const CLOSER: [f32; 5] = [4.0, 6.0, 9.0, 14.0, 20.0];
/// From this width on, chunks have borders and letters.
const BORDERED: f32 = 9.0;
/// The height of a band's title.
const TITLE: f32 = 20.0;
/// So much of the wheel is a step of zoom, in points.
const WHEEL: f32 = 40.0;
/// Chunks that are named to those who cannot see them, at most.
const NAMED: usize = 200;
/// Chunks that pin something and are marked, at most.
const PINS: usize = 100;
/// Chunks of a cell that are compared to find its largest.
const LOOKED_AT: usize = 4096;

/// How close one looks.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Zoom {
    /// As close as all of it is to be seen.
    #[default]
    All,
    /// At cells of so many bytes.
    Cells(u64),
    /// At the smallest cells, so much closer.
    Closer(usize),
}

impl Zoom {
    /// One step closer than cells of this length, or this much closer.
    fn closer(self, cell: u64) -> Zoom {
        match self {
            Zoom::Closer(step) => Zoom::Closer((step + 1).min(CLOSER.len() - 1)),
            _ if cell <= SMALLEST_CELL => Zoom::Closer(1),
            _ => Zoom::Cells(cell / 2),
        }
    }

    fn farther(self, cell: u64) -> Zoom {
        match self {
            Zoom::All => Zoom::All,
            Zoom::Closer(step) if step > 1 => Zoom::Closer(step - 1),
            Zoom::Closer(_) => Zoom::Cells(SMALLEST_CELL),
            Zoom::Cells(_) => Zoom::Cells((cell * 2).min(LARGEST_CELL)),
        }
    }

    /// How wide a cell is, in points.
    fn width(self) -> f32 {
        match self {
            Zoom::Closer(step) => CLOSER[step.min(CLOSER.len() - 1)],
            _ => CELL,
        }
    }
}

/// The map of a heap, and which part of it is looked at.
#[derive(Clone, Default)]
pub struct Canvas {
    zoom: Zoom,
    /// The first row that is to be seen, and how much of it is not.
    top: f64,
    /// Of the wheel, what is not a whole step yet.
    wheel: f32,
    plan: Option<Planned>,
    wanted: Option<picture::Canvas>,
    texture: Option<Textured>,
    /// The chunk that was brought into view because it was chosen.
    shown: Option<u64>,
}

impl fmt::Debug for Canvas {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Canvas").field("zoom", &self.zoom).field("top", &self.top).finish_non_exhaustive()
    }
}

/// A plan, and what it is of.
#[derive(Clone)]
struct Planned {
    moment: Arc<Moment>,
    zoom: Zoom,
    /// The place it is laid out for, in points.
    size: egui::Vec2,
    /// How wide a cell is, in points.
    width: f32,
    plan: Arc<Plan>,
}

/// A picture on the graphics card.
#[derive(Clone)]
struct Textured {
    picture: Arc<Picture>,
    is_dark: bool,
    handle: TextureHandle,
}

impl Canvas {
    /// Shows the part of the heap that is looked at.
    pub fn ui(&mut self, ui: &mut Ui, model: &Model, moment: &Arc<Moment>, commands: &mut Commands) {
        self.buttons(ui, moment);
        let place = ui.available_rect_before_wrap();
        if place.width() < CELL || place.height() < TITLE {
            return;
        }
        let response = ui.allocate_rect(place, Sense::click_and_drag());
        if moment.heap.regions.is_empty() {
            ui.painter().text(
                place.center(),
                Align2::CENTER_CENTER,
                "There is no heap yet: nothing was asked for.",
                TextStyle::Body.resolve(ui.style()),
                ui.visuals().weak_text_color(),
            );
            return;
        }
        let said = || {
            let heap = &moment.heap;
            let pieces = count(heap.pieces.len() as u64);
            format!("Heap map: {pieces} pieces in {} regions", count(heap.regions.len() as u64))
        };
        response.widget_info(|| WidgetInfo::labeled(Role::Image, true, said()));
        self.plan(moment, place);
        self.move_about(ui, &response, moment, place);
        let Some(planned) = &self.plan else { return };
        let plan = Arc::clone(&planned.plan);
        if model.exploring.chosen != self.shown {
            self.shown = model.exploring.chosen;
            self.bring_into_view(&plan, &moment.heap, place);
        }
        self.want(model, moment, &plan, place, commands);
        let painter = ui.painter_at(place);
        let view = View { plan: &plan, heap: &moment.heap, place, top: self.top, width: self.width() };
        self.paint(ui.ctx(), &painter, model, &view, ui.visuals().dark_mode);
        view.titles(&painter, ui);
        if view.width >= BORDERED
            && let Some(picture) = &model.exploring.picture
        {
            view.borders(&painter, ui, picture, commands);
        }
        view.pins(&painter, ui);
        if let Some(number) = model.exploring.chosen.and_then(|address| moment.heap.piece_at(address)) {
            view.outline(&painter, number, Stroke::new(2.0, ui.visuals().strong_text_color()));
        }
        let hovered = response.hover_pos().and_then(|at| view.piece_under(at));
        if let Some(number) = hovered {
            view.outline(&painter, number, Stroke::new(1.0, ui.visuals().strong_text_color()));
            let lines = described(moment, number);
            if response.clicked() {
                let address = moment.heap.pieces[number].address;
                self.shown = Some(address);
                commands.push(Command::Choose(Some(address)));
            }
            response.on_hover_ui_at_pointer(|ui| {
                for (name, value) in lines {
                    ui.label(format!("{name}: {value}"));
                }
            });
        }
    }

    /// How close one looks, in words, and the buttons that change it.
    fn buttons(&mut self, ui: &mut Ui, moment: &Moment) {
        ui.horizontal(|ui| {
            let cell = self.plan.as_ref().map_or(SMALLEST_CELL, |planned| planned.plan.cell);
            let all = ui.add_enabled(self.zoom != Zoom::All, egui::Button::new("Whole heap"));
            if all.on_hover_text("Show all of it (Home)").clicked() {
                self.zoom = Zoom::All;
            }
            if ui.button("Closer").on_hover_text("Zoom in (+, or the wheel)").clicked() {
                self.zoom = self.zoom.closer(cell);
            }
            let farther = ui.add_enabled(self.zoom != Zoom::All, egui::Button::new("Farther"));
            if farther.on_hover_text("Zoom out (-, or the wheel)").clicked() {
                self.farther(cell, &moment.heap);
            }
            let help = format!("A cell is {}; wheel to zoom, drag to move", bytes(cell));
            ui.label(RichText::new(help).small().weak());
        });
    }

    /// Zooms out, if that is not all of it already.
    fn farther(&mut self, cell: u64, heap: &HeapMap) {
        let most: u64 = heap.regions.iter().map(|region| region.length()).sum();
        self.zoom = if cell > most { Zoom::All } else { self.zoom.farther(cell) };
    }

    /// Lays the heap out, if it is not yet.
    fn plan(&mut self, moment: &Arc<Moment>, place: Rect) {
        let is_it = |planned: &Planned| {
            Arc::ptr_eq(&planned.moment, moment) && planned.zoom == self.zoom && planned.size == place.size()
        };
        if self.plan.as_ref().is_some_and(is_it) {
            return;
        }
        let heap = &moment.heap;
        let columns = |width: f32| columns(place.width() / width);
        let rows = |width: f32| whole(place.height() / width).max(1);
        let mut width = self.zoom.width();
        let plan = match self.zoom {
            Zoom::All => {
                let mut plan = Plan::fitting(heap, columns(width), title_rows(width), rows(width));
                // Where there is room for larger cells, they are seen better.
                for wider in WIDER {
                    let other = Plan::of(heap, plan.cell, columns(wider), title_rows(wider));
                    if other.rows <= rows(wider) {
                        (plan, width) = (other, wider);
                    }
                }
                plan
            }
            Zoom::Cells(cell) => Plan::of(heap, cell, columns(width), title_rows(width)),
            Zoom::Closer(_) => Plan::of(heap, SMALLEST_CELL, columns(width), title_rows(width)),
        };
        let (moment, zoom, size) = (Arc::clone(moment), self.zoom, place.size());
        self.plan = Some(Planned { moment, zoom, size, width, plan: Arc::new(plan) });
    }

    /// How wide a cell is, in points.
    fn width(&self) -> f32 {
        self.plan.as_ref().map_or(CELL, |planned| planned.width)
    }

    /// Zooms and moves, as the pointer and the keys say.
    fn move_about(&mut self, ui: &Ui, response: &Response, moment: &Arc<Moment>, place: Rect) {
        let Some(planned) = &self.plan else { return };
        let plan = Arc::clone(&planned.plan);
        if response.clicked() || response.dragged() {
            response.request_focus();
        }
        let width = f64::from(self.width());
        self.top -= f64::from(response.drag_delta().y) / width;
        let mut steps = 0;
        if response.hovered() {
            self.wheel += ui.input(|input| input.smooth_scroll_delta().y);
            steps = rounded(self.wheel / WHEEL);
            self.wheel -= steps as f32 * WHEEL;
        }
        if response.has_focus() {
            let page = f64::from(place.height()) / width * 0.8;
            ui.input(|input| {
                let pressed = |key| input.key_pressed(key);
                steps += i32::from(pressed(Key::Plus) || pressed(Key::Equals));
                steps -= i32::from(pressed(Key::Minus));
                let moves = [
                    (Key::ArrowUp, -4.0),
                    (Key::ArrowDown, 4.0),
                    (Key::PageUp, -page),
                    (Key::PageDown, page),
                ];
                self.top += moves.iter().filter(|(key, _)| pressed(*key)).map(|(_, by)| by).sum::<f64>();
                if pressed(Key::Home) {
                    self.zoom = Zoom::All;
                }
            });
            // The arrows are ours while the map has the focus.
            ui.memory_mut(|memory| {
                let filter = egui::EventFilter { vertical_arrows: true, ..egui::EventFilter::default() };
                memory.set_focus_lock_filter(response.id, filter);
            });
        }
        if steps != 0 {
            self.zoom_at(steps, response.hover_pos().unwrap_or(place.center()), moment, &plan, place);
        } else if self.plan.as_ref().is_some_and(|planned| planned.zoom != self.zoom) {
            self.plan(moment, place);
        }
        let rows = self.plan.as_ref().map_or(0, |planned| planned.plan.rows) as f64;
        let visible = f64::from(place.height() / self.width());
        self.top = self.top.clamp(0.0, (rows - visible).max(0.0));
    }

    /// Zooms, and keeps what is below the pointer there.
    fn zoom_at(&mut self, steps: i32, at: Pos2, moment: &Arc<Moment>, plan: &Plan, place: Rect) {
        let heap = &moment.heap;
        let view = View { plan, heap, place, top: self.top, width: self.width() };
        let below = view.cell_under(at).and_then(|(row, column)| plan.address_at(row, column));
        for _ in 0..steps.unsigned_abs().min(8) {
            match steps > 0 {
                true => {
                    self.zoom = self.zoom.closer(self.plan.as_ref().map_or(plan.cell, |one| one.plan.cell))
                }
                false => self.farther(self.plan.as_ref().map_or(plan.cell, |one| one.plan.cell), heap),
            }
            self.plan(moment, place);
        }
        let Some(planned) = &self.plan else { return };
        let Some((row, _)) = below.and_then(|address| place_of(&planned.plan, heap, address)) else { return };
        self.top = row as f64 - f64::from((at.y - place.top()) / self.width());
    }

    /// Moves so that the chosen chunk can be seen, if it cannot.
    fn bring_into_view(&mut self, plan: &Plan, heap: &HeapMap, place: Rect) {
        let Some((row, _)) = self.shown.and_then(|address| place_of(plan, heap, address)) else { return };
        let visible = f64::from(place.height() / self.width());
        let row = row as f64;
        if row < self.top || row + 1.0 > self.top + visible {
            self.top = (row - visible / 2.0).clamp(0.0, (plan.rows as f64 - visible).max(0.0));
        }
    }

    /// Asks for a picture of what is to be seen, if there is none.
    fn want(
        &mut self,
        model: &Model,
        moment: &Arc<Moment>,
        plan: &Arc<Plan>,
        place: Rect,
        commands: &mut Commands,
    ) {
        let first = top_row(self.top);
        let rows = (whole((place.height() / self.width()).ceil()) + 1).min(plan.rows.saturating_sub(first));
        let wanted = picture::Canvas {
            moment: Arc::clone(moment),
            colouring: model.exploring.colouring,
            plan: Arc::clone(plan),
            first,
            rows,
        };
        let is_there = model.exploring.picture.as_ref().is_some_and(|picture| picture.canvas == wanted);
        if !is_there && self.wanted.as_ref() != Some(&wanted) {
            commands.push(Command::Paint(Box::new(wanted.clone())));
            self.wanted = Some(wanted);
        }
    }

    /// Paints the latest picture, if it is one of this plan.
    fn paint(&mut self, context: &Context, painter: &Painter, model: &Model, view: &View<'_>, is_dark: bool) {
        let Some(picture) = &model.exploring.picture else { return };
        let is_of_plan =
            (picture.canvas.plan.cell, picture.canvas.plan.columns) == (view.plan.cell, view.plan.columns);
        if !is_of_plan || picture.cells.is_empty() {
            return;
        }
        let is_current = |one: &Textured| Arc::ptr_eq(&one.picture, picture) && one.is_dark == is_dark;
        if !self.texture.as_ref().is_some_and(is_current) {
            let handle = match self.texture.take() {
                Some(Textured { mut handle, .. }) => {
                    handle.set(image(context, picture), TextureOptions::NEAREST);
                    handle
                }
                None => context.load_texture("heap map", image(context, picture), TextureOptions::NEAREST),
            };
            self.texture = Some(Textured { picture: Arc::clone(picture), is_dark, handle });
        }
        let Some(Textured { handle, .. }) = &self.texture else { return };
        let top = view.row_at(picture.canvas.first);
        let size = vec2(view.plan.columns as f32, picture.canvas.rows as f32) * view.width;
        let whole = Rect::from_min_max(pos2(0.0, 0.0), pos2(1.0, 1.0));
        painter.image(
            handle.id(),
            Rect::from_min_size(pos2(view.place.left(), top), size),
            whole,
            Color32::WHITE,
        );
    }
}

/// The colours of a picture's cells.
fn image(context: &Context, picture: &Picture) -> ColorImage {
    let visuals = context.global_style().visuals.clone();
    let colours: Vec<Color32> =
        picture.key.entries.iter().map(|entry| theme::tone(&visuals, entry.tone)).collect();
    let colour = |&class: &u8| colours.get(usize::from(class)).copied().unwrap_or(Color32::TRANSPARENT);
    let columns = usize::try_from(picture.canvas.plan.columns).unwrap_or(1).max(1);
    let size = [columns, picture.cells.len() / columns];
    ColorImage::new(size, picture.cells.iter().map(colour).collect())
}

/// What is to be seen of a heap.
struct View<'a> {
    plan: &'a Plan,
    heap: &'a HeapMap,
    place: Rect,
    /// The first row.
    top: f64,
    /// Of a cell.
    width: f32,
}

impl View<'_> {
    /// Where a row begins, in points.
    fn row_at(&self, row: u64) -> f32 {
        self.place.top() + narrow((row as f64 - self.top) * f64::from(self.width))
    }

    /// The cells of some rows that are to be seen.
    fn visible(&self) -> (u64, u64) {
        let rows = whole((self.place.height() / self.width).ceil()) + 1;
        (top_row(self.top), top_row(self.top) + rows)
    }

    fn cell_under(&self, at: Pos2) -> Option<(u64, u64)> {
        if !self.place.contains(at) {
            return None;
        }
        let row = self.top + f64::from((at.y - self.place.top()) / self.width);
        Some((top_row(row), whole((at.x - self.place.left()) / self.width)))
    }

    /// The piece that most of the cell below the pointer is.
    fn piece_under(&self, at: Pos2) -> Option<usize> {
        let (row, column) = self.cell_under(at)?;
        let from = self.plan.address_at(row, column)?;
        let end = from + self.plan.cell;
        let region = self.heap.regions.get(self.plan.span_at(row, column)?.region)?;
        let pieces = &self.heap.pieces[region.pieces.clone()];
        let first = pieces.partition_point(|piece| piece.address + piece.size <= from);
        let overlap = |piece: &Piece| (piece.address + piece.size).min(end) - piece.address.max(from);
        let in_cell = pieces[first..].iter().take_while(|piece| piece.address < end).take(LOOKED_AT);
        let most = in_cell.enumerate().max_by_key(|(place, piece)| (overlap(piece), usize::MAX - place))?;
        Some(region.pieces.start + first + most.0)
    }

    /// Above each band what it is.
    fn titles(&self, painter: &Painter, ui: &Ui) {
        let (first, end) = self.visible();
        let font = TextStyle::Body.resolve(ui.style());
        for band in self.plan.bands.iter().filter(|band| band.row < end) {
            let top = self.row_at(band.row);
            if band.row + title_rows(self.width) < first {
                continue;
            }
            let at = pos2(self.place.left(), top + TITLE / 2.0);
            let place =
                painter.text(at, Align2::LEFT_CENTER, title(band), font.clone(), ui.visuals().text_color());
            let said = ui.interact(place, Id::unique("band").with(band.row), Sense::hover());
            said.widget_info(|| WidgetInfo::labeled(Role::Label, true, title(band)));
        }
    }

    /// Where chunks begin, and letters that say what they are.
    fn borders(&self, painter: &Painter, ui: &Ui, picture: &Picture, commands: &mut Commands) {
        let (first, end) = self.visible();
        let ground = ui.visuals().panel_fill;
        let font = FontId::proportional(self.width * 0.8);
        let mut lines = Mesh::default();
        let mut named = 0;
        for span in &self.plan.spans {
            let last_row = span.row + (span.column + span.cells) / self.plan.columns;
            if last_row < first || span.row >= end {
                continue;
            }
            let region = &self.heap.regions[span.region];
            let skipped = first.saturating_sub(span.row) * self.plan.columns;
            let from = span.from + skipped.saturating_sub(span.column) * self.plan.cell;
            let pieces = &self.heap.pieces[region.pieces.clone()];
            let begin = pieces.partition_point(|piece| piece.address + piece.size <= from);
            for piece in &pieces[begin..] {
                let Some((row, column)) = self.plan.place_of(span.region, piece.address.max(from)) else {
                    break;
                };
                if row >= end {
                    break;
                }
                let corner = pos2(self.place.left() + column as f32 * self.width, self.row_at(row));
                lines.add_colored_rect(Rect::from_min_size(corner, vec2(1.0, self.width)), ground);
                let Some(entry) = picture.key.entry(picture.key.class(self.heap, piece)) else { continue };
                let colour = theme::on(theme::tone(ui.visuals(), entry.tone));
                let cell = Rect::from_min_size(corner, vec2(self.width, self.width));
                if named < NAMED {
                    named += 1;
                    painter.text(cell.center(), Align2::CENTER_CENTER, entry.letter, font.clone(), colour);
                    self.name(ui, piece, cell, commands);
                }
            }
        }
        painter.add(lines);
    }

    /// A chunk, for those who cannot see it.
    fn name(&self, ui: &Ui, piece: &Piece, cell: Rect, commands: &mut Commands) {
        if !self.place.contains_rect(cell) {
            return;
        }
        let response = ui.interact(cell, Id::unique("piece").with(piece.address), Sense::click());
        response.widget_info(|| {
            let said = format!("{:#x} {} {:#x}", piece.address, piece.state.name(), piece.size);
            WidgetInfo::labeled(Role::GraphicsObject, true, said)
        });
        if response.clicked() {
            commands.push(Command::Choose(Some(piece.address)));
        }
    }

    /// Marks the chunks that keep free memory below them from going back.
    fn pins(&self, painter: &Painter, ui: &Ui) {
        let (colour, ground) = (ui.visuals().strong_text_color(), ui.visuals().panel_fill);
        let pinning = self.heap.regions.iter().enumerate().filter(|(_, region)| region.pinned > 0);
        for (number, pin) in pinning.filter_map(|(number, region)| Some((number, region.pin?))).take(PINS) {
            let Some((row, column)) = self.plan.place_of(number, self.heap.pieces[pin].address) else {
                continue;
            };
            let size = self.width.max(6.0);
            let corner = pos2(self.place.left() + column as f32 * self.width, self.row_at(row));
            let mark = Rect::from_min_size(corner, vec2(self.width, self.width)).expand(2.0);
            if !self.place.intersects(mark) {
                continue;
            }
            // A mark of two colours is seen on any ground.
            painter.rect_stroke(mark, 0.0, Stroke::new(4.0, ground), StrokeKind::Outside);
            painter.rect_stroke(mark, 0.0, Stroke::new(2.0, colour), StrokeKind::Outside);
            let tip = pos2(mark.center().x, mark.top() - 2.0);
            let (left, right) = (tip + vec2(-size, -size * 1.4), tip + vec2(size, -size * 1.4));
            painter.add(egui::Shape::convex_polygon(
                vec![tip, left, right],
                colour,
                Stroke::new(1.5, ground),
            ));
            let region = &self.heap.regions[number];
            let said = format!("pins {}", bytes(region.pinned));
            let response =
                ui.interact(mark.expand(4.0), Id::unique("pin").with(region.start), Sense::hover());
            response.widget_info(|| WidgetInfo::labeled(Role::Label, true, &said));
        }
    }

    /// Draws around a piece, which may go over several rows.
    fn outline(&self, painter: &Painter, number: usize, stroke: Stroke) {
        let Some(piece) = self.heap.pieces.get(number) else { return };
        let after = self.heap.regions.partition_point(|region| region.pieces.start <= number);
        let Some(region) = after.checked_sub(1) else { return };
        let last = piece.address + piece.size.max(1) - 1;
        let ends = (self.plan.place_of(region, piece.address), self.plan.place_of(region, last));
        let (Some(begin), Some(end)) = ends else { return };
        let strip = |row: u64, end_row: u64, from: u64, to: u64| {
            let min = pos2(self.place.left() + from as f32 * self.width, self.row_at(row));
            let max = pos2(self.place.left() + (to + 1) as f32 * self.width, self.row_at(end_row + 1));
            painter.rect_stroke(Rect::from_min_max(min, max), 0.0, stroke, StrokeKind::Outside);
        };
        let last_column = self.plan.columns - 1;
        if begin.0 == end.0 {
            strip(begin.0, begin.0, begin.1, end.1);
            return;
        }
        strip(begin.0, begin.0, begin.1, last_column);
        if end.0 > begin.0 + 1 {
            strip(begin.0 + 1, end.0 - 1, 0, last_column);
        }
        strip(end.0, end.0, 0, end.1);
    }
}

/// How many cells are in a row where there is room for so many: a multiple of 8, so that a point more or
/// less does not move everything.
fn columns(room: f32) -> u64 {
    let cells = whole(room);
    if cells < 8 { cells.max(1) } else { cells / 8 * 8 }
}

/// How many rows a title takes.
fn title_rows(width: f32) -> u64 {
    whole((TITLE / width).ceil())
}

/// The place of an address, wherever it is.
fn place_of(plan: &Plan, heap: &HeapMap, address: u64) -> Option<(u64, u64)> {
    let after = heap.regions.partition_point(|region| region.start <= address);
    plan.place_of(after.checked_sub(1)?, address)
}

/// What a band is, and how much.
fn title(band: &Band) -> String {
    let name = match band.arena {
        Some(0) => "Main arena".to_owned(),
        Some(arena) => format!("Arena {arena}"),
        None => format!("Mappings of single chunks: {}", count(band.spans.len() as u64)),
    };
    let pinned = match band.pinned {
        0 => String::new(),
        pinned => format!(", of which {} are free and pinned (▼ marks the chunk that pins)", bytes(pinned)),
    };
    format!("{name}: {}{pinned}", bytes(band.bytes))
}

/// A number of cells; less than none is none.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a window has some thousand points"
)]
fn whole(cells: f32) -> u64 {
    cells.max(0.0) as u64
}

/// The row that begins at or before this.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "there are fewer than 2⁵³ rows")]
fn top_row(row: f64) -> u64 {
    row.max(0.0) as u64
}

#[expect(clippy::cast_possible_truncation, reason = "what lies far outside is not drawn")]
fn narrow(points: f64) -> f32 {
    points as f32
}

#[expect(clippy::cast_possible_truncation, reason = "nobody turns a wheel so far")]
fn rounded(steps: f32) -> i32 {
    steps.trunc() as i32
}
