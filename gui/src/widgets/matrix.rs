//! Numbers in rows and columns, each with what it has more or less than the first of its row: as text with
//! a sign, as a bar to the left or right, and all of a row as marks on one line.

use super::swatch;
use crate::theme;
use egui::text::LayoutJob;
use egui::{
    Align, Align2, FontId, Id, Pos2, Rect, Sense, Stroke, TextStyle, TextWrapMode, Ui, Vec2, WidgetInfo,
    WidgetText, accesskit::Role, pos2, vec2,
};

/// The head of a column.
#[derive(Clone, Copy, Debug)]
pub struct Head<'a> {
    /// Its title.
    pub title: &'a str,
    /// The number of its line and mark.
    pub series: usize,
}

/// A row.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    /// Its name.
    pub name: &'a str,
    /// What it means.
    pub meaning: &'a str,
    /// Whether there is no difference in it.
    pub is_same: bool,
}

/// A cell.
#[derive(Clone, Copy, Debug)]
pub struct Cell<'a> {
    /// The number.
    pub value: &'a str,
    /// What it has more than the first, with its sign; empty for the first.
    pub difference: &'a str,
    /// How long the bar is: from −1, to the left, to 1, to the right.
    pub share: f64,
    /// Where its mark is: from 0 to 1.
    pub place: f64,
}

/// The width of the names of rows.
const NAMES: f32 = 132.0;
/// The least width of a column.
const COLUMN: f32 = 104.0;
/// The width of the line with marks.
const MARKS: f32 = 108.0;
/// Around what is in a cell.
const INSIDE: f32 = 6.0;
/// How much of a cell's width its bar has.
const BAR: f32 = 0.28;
/// The height of the heads, and the size of the piece of line in each.
const HEADER: f32 = 46.0;
const SWATCH: Vec2 = vec2(30.0, 14.0);
/// The height of a row with differences; without, it is as high as that of any table.
const ROW: f32 = 36.0;

/// Shows a matrix; `cell` is asked for what is in a row and a column.
pub fn show<'a>(
    ui: &mut Ui,
    name: &str,
    heads: &[Head<'_>],
    rows: &[Row<'_>],
    cell: &dyn Fn(usize, usize) -> Cell<'a>,
) {
    let room = ui.available_width() - NAMES - MARKS;
    let width = (room / heads.len().max(1) as f32).clamp(COLUMN, 2.0 * COLUMN);
    let matrix = Matrix { name, heads, width, cell };
    ui.scope(|ui| {
        ui.spacing_mut().item_spacing.y = 0.0;
        matrix.header(ui);
        for (number, row) in rows.iter().enumerate() {
            matrix.row(ui, number, row);
        }
    });
}

struct Matrix<'a, 'cell> {
    name: &'a str,
    heads: &'a [Head<'a>],
    width: f32,
    cell: &'a dyn Fn(usize, usize) -> Cell<'cell>,
}

impl Matrix<'_, '_> {
    /// From the left: names, marks, and a column for each head.
    fn column(&self, row: Rect, number: usize) -> Rect {
        let min = pos2(row.left() + NAMES + MARKS + self.width * number as f32, row.top());
        Rect::from_min_size(min, vec2(self.width, row.height())).shrink2(vec2(INSIDE, 0.0))
    }

    fn marks(&self, row: Rect) -> Rect {
        let min = pos2(row.left() + NAMES, row.top());
        Rect::from_min_size(min, vec2(MARKS, row.height())).shrink2(vec2(2.0 * INSIDE, 0.0))
    }

    fn size(&self, height: f32) -> Vec2 {
        vec2(NAMES + MARKS + self.width * self.heads.len() as f32, height)
    }

    fn header(&self, ui: &mut Ui) {
        let (rect, _) = ui.allocate_exact_size(self.size(HEADER), Sense::hover());
        for (number, head) in self.heads.iter().enumerate() {
            let column = self.column(rect, number);
            let (above, below) = column.split_top_bottom_at_y(column.top() + SWATCH.y);
            swatch::paint(ui, Align2::RIGHT_CENTER.align_size_within_rect(SWATCH, above), head.series);
            title(ui, below, head.title);
            let response = ui.interact(column, self.id(ui, "head", number, 0), Sense::hover());
            response.widget_info(|| WidgetInfo::labeled(Role::ColumnHeader, true, head.title));
            response.on_hover_text(head.title);
        }
        let line = ui.visuals().widgets.noninteractive.bg_stroke;
        ui.painter().hline(rect.x_range(), rect.bottom(), line);
    }

    fn row(&self, ui: &mut Ui, number: usize, row: &Row<'_>) {
        let height = if row.is_same { theme::ROW } else { ROW };
        let (rect, response) = ui.allocate_exact_size(self.size(height), Sense::hover());
        if !ui.is_rect_visible(rect) {
            return;
        }
        if response.hovered() {
            ui.painter().rect_filled(rect, 0.0, ui.visuals().faint_bg_color);
        }
        let colour = if row.is_same { ui.visuals().weak_text_color() } else { ui.visuals().text_color() };
        let names = rect.with_max_x(rect.left() + NAMES);
        let font = TextStyle::Body.resolve(ui.style());
        ui.painter().text(names.left_center(), Align2::LEFT_CENTER, row.name, font, colour);
        let response = ui.interact(names, self.id(ui, "name", number, 0), Sense::hover());
        response.widget_info(|| WidgetInfo::labeled(Role::RowHeader, true, row.name));
        response.on_hover_text(row.meaning);
        for (column, head) in self.heads.iter().enumerate() {
            let cell = (self.cell)(number, column);
            let place = self.column(rect, column);
            paint_cell(ui, place, row, &cell);
            let said = match cell.difference {
                "" => format!("{}, {}: {}", row.name, head.title, cell.value),
                difference => format!("{}, {}: {}, {difference}", row.name, head.title, cell.value),
            };
            let response = ui.interact(place, self.id(ui, "cell", number, column), Sense::hover());
            response.widget_info(|| WidgetInfo::labeled(Role::Cell, true, said.as_str()));
            response.on_hover_text(&said);
        }
        if !row.is_same {
            self.paint_marks(ui, self.marks(rect), number);
        }
    }

    /// The cells of a row on one line from nothing to the greatest; the first one's mark is below the others.
    fn paint_marks(&self, ui: &Ui, rect: Rect, number: usize) {
        let at = |place: f64| -> Pos2 { pos2(lerp(rect, place), rect.center().y) };
        let quiet = theme::grid(ui.visuals());
        ui.painter().hline(rect.x_range(), rect.center().y, Stroke::new(1.0, quiet));
        let first = (self.cell)(number, 0).place;
        for (column, head) in self.heads.iter().enumerate().skip(1) {
            let place = (self.cell)(number, column).place;
            let colour = theme::series(ui.visuals(), head.series).gamma_multiply(0.6);
            ui.painter().line_segment([at(first), at(place)], Stroke::new(2.0, colour));
        }
        for (column, head) in self.heads.iter().enumerate() {
            swatch::mark(ui, at((self.cell)(number, column).place), head.series);
        }
    }

    fn id(&self, ui: &Ui, what: &str, row: usize, column: usize) -> Id {
        ui.scope_id().with((self.name, what, row, column))
    }
}

fn paint_cell(ui: &Ui, rect: Rect, row: &Row<'_>, cell: &Cell<'_>) {
    if row.is_same {
        return text(ui, rect, cell.value, TextStyle::Body, ui.visuals().weak_text_color());
    }
    let (above, below) = rect.split_top_bottom_at_fraction(0.52);
    text(ui, above, cell.value, TextStyle::Body, ui.visuals().text_color());
    if cell.difference.is_empty() {
        return;
    }
    let colour = match cell.share {
        share if share > 0.0 => theme::more(ui.visuals()),
        share if share < 0.0 => theme::less(ui.visuals()),
        _ => ui.visuals().weak_text_color(),
    };
    let ground = below.with_max_x(below.left() + below.width() * BAR).shrink2(vec2(0.0, 3.0));
    ui.painter().rect_filled(ground, 0.0, theme::bar_ground(ui.visuals()).gamma_multiply(0.6));
    let (middle, end) = (lerp(ground, 0.5), lerp(ground, 0.5 + cell.share / 2.0));
    let bar = Rect::from_min_max(pos2(middle.min(end), ground.top()), pos2(middle.max(end), ground.bottom()));
    ui.painter().rect_filled(bar, 0.0, colour);
    ui.painter().vline(middle, ground.y_range(), Stroke::new(1.0, theme::quiet_line(ui.visuals())));
    text(ui, below.with_min_x(ground.right() + INSIDE / 2.0), cell.difference, TextStyle::Small, colour);
}

/// A title to the right of a rectangle, in two lines where one is too short.
fn title(ui: &Ui, rect: Rect, title: &str) {
    let mut job = LayoutJob::simple(
        title.to_owned(),
        TextStyle::Small.resolve(ui.style()),
        ui.visuals().text_color(),
        rect.width(),
    );
    job.wrap.max_rows = 2;
    job.halign = Align::RIGHT;
    let galley = ui.painter().layout_job(job);
    ui.painter().galley(rect.right_top(), galley, ui.visuals().text_color());
}

/// Text to the right of a rectangle, cut where there is no room.
fn text(ui: &Ui, rect: Rect, text: &str, style: TextStyle, colour: egui::Color32) {
    let font: FontId = style.resolve(ui.style());
    let text = WidgetText::from(egui::RichText::new(text).font(font).color(colour));
    let galley = text.into_galley(ui, Some(TextWrapMode::Truncate), rect.width(), TextStyle::Body);
    let at = Align2::RIGHT_CENTER.align_size_within_rect(galley.size(), rect).min;
    ui.painter().galley(at, galley, colour);
}

/// This far between the left and the right of a rectangle.
#[expect(clippy::cast_possible_truncation, reason = "a place among some hundred pixels needs no more digits")]
fn lerp(rect: Rect, place: f64) -> f32 {
    rect.left() + rect.width() * (place as f32).clamp(0.0, 1.0)
}
