//! A table of any length: only the rows in view are asked for. Columns have the widths they are given.
//!
//! A row can be chosen, and can be a branch that opens and closes.

use super::bars;
use crate::theme;
use egui::{
    Align, Align2, Button, Layout, Rect, Response, RichText, ScrollArea, Sense, Stroke, TextStyle, Ui,
    UiBuilder, Vec2, WidgetInfo, accesskit::Role, pos2, vec2,
};

/// A column.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    /// Its title; with a mark if the table is sorted by it.
    pub title: String,
    /// What it means, for those who wait over the title.
    pub meaning: &'static str,
    /// How wide it is at least: the first that holds no numbers takes what is left.
    pub width: f32,
    /// Whether it holds numbers, which stand to the right.
    pub is_number: bool,
}

/// A cell.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Cell {
    /// The text.
    pub text: String,
    /// A bar behind it, this much of the cell: between 0 and 1.
    pub share: Option<f64>,
    /// Whether it stands back behind the others.
    pub is_weak: bool,
    /// How far it is from the column's left.
    pub indent: f32,
    /// A triangle before it, if something is below it; whether that is open.
    pub is_open: Option<bool>,
    /// A square of this colour before it.
    pub colour: Option<egui::Color32>,
}

/// A table.
#[derive(Clone, Copy)]
pub struct LongTable<'a> {
    /// What it is called by those who cannot see it, and what tells it from others.
    pub name: &'a str,
    /// The columns.
    pub columns: &'a [Column],
    /// How many rows there are.
    pub rows: usize,
    /// Whether a row is the one that is looked at: it is asked of those in view.
    pub is_chosen: &'a dyn Fn(usize) -> bool,
    /// The one that should be in view.
    pub scroll_to: Option<usize>,
    /// Whether titles can be clicked.
    pub is_sortable: bool,
}

/// What was clicked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clicked {
    /// The title of this column.
    Title(usize),
    /// This row.
    Row(usize),
    /// This row, twice.
    RowTwice(usize),
    /// The triangle of this row.
    Triangle(usize),
}

/// Between two columns.
const BETWEEN: f32 = 10.0;
/// How wide a triangle or a square is, with what is beside it.
const MARK: f32 = 14.0;

impl LongTable<'_> {
    /// Shows it in the room there is; `cell` says what is in a row's column.
    pub fn show(&self, ui: &mut Ui, mut cell: impl FnMut(usize, usize) -> Cell) -> Option<Clicked> {
        let widths = self.widths(ui);
        let mut clicked = self.header(ui, &widths);
        ui.spacing_mut().item_spacing.y = 0.0;
        let mut area = ScrollArea::vertical().id_salt(self.name).auto_shrink(false);
        if let Some(row) = self.scroll_to {
            // A table of a million rows is as high as digits allow; what is lost is less than a row.
            let above = ui.available_height() / 2.0;
            area = area.vertical_scroll_offset((row as f32 * theme::ROW - above).max(0.0));
        }
        area.show_rows(ui, theme::ROW, self.rows, |ui, range| {
            for number in range {
                clicked = self.row(ui, &widths, number, &mut cell).or(clicked);
            }
        });
        clicked
    }

    fn widths(&self, ui: &Ui) -> Vec<f32> {
        let bar = ui.spacing().scroll.bar_width + ui.spacing().scroll.bar_inner_margin;
        let mut widths: Vec<f32> = self.columns.iter().map(|column| column.width).collect();
        let left = ui.available_width() - bar - widths.iter().sum::<f32>();
        let text = self.columns.iter().position(|column| !column.is_number);
        if let Some(width) = text.and_then(|text| widths.get_mut(text)) {
            *width += left.max(0.0);
        }
        widths
    }

    fn header(&self, ui: &mut Ui, widths: &[f32]) -> Option<Clicked> {
        let (rect, _) = ui.allocate_exact_size(vec2(widths.iter().sum(), theme::ROW), Sense::hover());
        let mut clicked = None;
        for (place, (column, rect)) in self.columns.iter().zip(cells(rect, widths)).enumerate() {
            let title = RichText::new(&column.title).color(ui.visuals().weak_text_color());
            let layout = if column.is_number {
                Layout::right_to_left(Align::Center)
            } else {
                Layout::left_to_right(Align::Center)
            };
            let inside = ui.scope_builder(UiBuilder::new().max_rect(rect).layout(layout), |ui| {
                ui.spacing_mut().button_padding.x = 0.0;
                let sense = if self.is_sortable { Sense::click() } else { Sense::hover() };
                ui.add(Button::new(title).frame(false).small().sense(sense))
            });
            if inside.inner.on_hover_text(column.meaning).clicked() {
                clicked = Some(Clicked::Title(place));
            }
        }
        let line = ui.visuals().widgets.noninteractive.bg_stroke;
        ui.painter().hline(rect.x_range(), rect.bottom(), line);
        clicked
    }

    fn row(
        &self,
        ui: &mut Ui,
        widths: &[f32],
        number: usize,
        cell: &mut impl FnMut(usize, usize) -> Cell,
    ) -> Option<Clicked> {
        let size = Vec2::new(widths.iter().sum(), theme::ROW);
        let (rect, response) = ui.allocate_exact_size(size, Sense::click());
        let is_chosen = (self.is_chosen)(number);
        if is_chosen {
            ui.painter().rect_filled(rect, 0.0, ui.visuals().selection.bg_fill);
        } else if response.hovered() {
            ui.painter().rect_filled(rect, 0.0, ui.visuals().faint_bg_color);
        }
        let shown: Vec<Cell> = (0..self.columns.len()).map(|column| cell(number, column)).collect();
        response.widget_info(|| {
            let texts: Vec<&str> = shown.iter().map(|cell| cell.text.as_str()).collect();
            WidgetInfo::selected(Role::Row, true, is_chosen, texts.join(", "))
        });
        let mut clicked = self.on_row(&response, number);
        for ((column, cell), rect) in self.columns.iter().zip(&shown).zip(cells(rect, widths)) {
            if paint_cell(ui, rect, column, cell, &response) {
                clicked = Some(Clicked::Triangle(number));
            }
        }
        clicked
    }

    fn on_row(&self, response: &Response, number: usize) -> Option<Clicked> {
        if response.double_clicked() {
            Some(Clicked::RowTwice(number))
        } else if response.clicked() {
            Some(Clicked::Row(number))
        } else {
            None
        }
    }
}

/// Where the cells of a row are.
fn cells(row: Rect, widths: &[f32]) -> impl Iterator<Item = Rect> {
    widths.iter().scan(row.left(), move |left, &width| {
        let min = pos2(*left, row.top());
        *left += width;
        Some(Rect::from_min_size(min, vec2((width - BETWEEN).max(0.0), row.height())))
    })
}

/// Paints a cell; says whether its triangle was clicked.
fn paint_cell(ui: &Ui, rect: Rect, column: &Column, cell: &Cell, row: &Response) -> bool {
    if let Some(share) = cell.share {
        draw_bar(ui, rect, share);
    }
    let visuals = ui.visuals();
    let ink = if cell.is_weak { visuals.weak_text_color() } else { visuals.text_color() };
    let font = TextStyle::Body.resolve(ui.style());
    if column.is_number {
        // Half a number lies: it is painted whole.
        let at = pos2(rect.right() - 3.0, rect.center().y);
        ui.painter().text(at, Align2::RIGHT_CENTER, &cell.text, font, ink);
        return false;
    }
    let mut rect = rect.with_min_x((rect.left() + cell.indent).min(rect.right()));
    let mut is_clicked = false;
    if let Some(is_open) = cell.is_open {
        let place = Rect::from_min_size(rect.min, vec2(MARK, rect.height()));
        triangle(ui, place, is_open);
        is_clicked = row.clicked() && row.interact_pointer_pos().is_some_and(|at| place.contains(at));
    }
    if cell.is_open.is_some() || cell.indent > 0.0 {
        rect.min.x = (rect.min.x + MARK).min(rect.max.x);
    }
    if let Some(colour) = cell.colour {
        let place = Rect::from_center_size(pos2(rect.left() + 4.0, rect.center().y), Vec2::splat(8.0));
        ui.painter().rect_filled(place, 1.0, colour);
        rect.min.x = (rect.min.x + MARK).min(rect.max.x);
    }
    bars::text(ui.painter(), rect, &cell.text, &font, ink);
    is_clicked
}

fn triangle(ui: &Ui, place: Rect, is_open: bool) {
    let centre = place.center();
    let points = if is_open {
        vec![centre + vec2(-4.0, -2.5), centre + vec2(4.0, -2.5), centre + vec2(0.0, 3.5)]
    } else {
        vec![centre + vec2(-2.5, -4.0), centre + vec2(3.5, 0.0), centre + vec2(-2.5, 4.0)]
    };
    let fill = ui.visuals().weak_text_color();
    ui.painter().add(egui::Shape::convex_polygon(points, fill, Stroke::NONE));
}

fn draw_bar(ui: &Ui, rect: Rect, share: f64) {
    let ground = rect.shrink2(vec2(0.0, 3.0));
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a share of a few hundred pixels needs no more digits"
    )]
    let width = ground.width() * (share as f32).clamp(0.0, 1.0);
    let bar = Align2::LEFT_TOP.align_size_within_rect(vec2(width, ground.height()), ground);
    ui.painter().rect_filled(bar, 2.0, theme::bar(ui.visuals()));
}

#[cfg(test)]
mod tests {
    use super::*;
    use egui_kittest::Harness;
    use egui_kittest::kittest::Queryable;
    use std::cell::RefCell;
    use std::rc::Rc;

    /// What was asked for and clicked in a frame of a table of so many rows.
    #[derive(Default)]
    struct Seen {
        asked: Vec<usize>,
        clicked: Option<Clicked>,
    }

    fn table(rows: usize, scroll_to: Option<usize>) -> (Harness<'static>, Rc<RefCell<Seen>>) {
        let seen = Rc::new(RefCell::new(Seen::default()));
        let told = Rc::clone(&seen);
        let column = |title: &str, is_number| Column {
            title: title.to_owned(),
            meaning: "What it means.",
            width: 80.0,
            is_number,
        };
        let columns = [column("Name", false), column("Size", true)];
        let mut scroll_to = scroll_to;
        let harness = Harness::builder().with_size([400.0, 300.0]).build_ui(move |ui| {
            let table = LongTable {
                name: "rows",
                columns: &columns,
                rows,
                is_chosen: &|row| row == 1,
                scroll_to: scroll_to.take(),
                is_sortable: true,
            };
            let mut asked = Vec::new();
            let clicked = table.show(ui, |row, column| {
                asked.push(row);
                let text = if column == 0 { format!("row {row}") } else { row.to_string() };
                Cell { text, is_open: (column == 0).then_some(false), ..Cell::default() }
            });
            let mut seen = told.borrow_mut();
            seen.asked = asked;
            seen.clicked = clicked.or(seen.clicked);
        });
        (harness, seen)
    }

    #[test]
    fn a_million_rows_are_asked_for_no_more_than_a_hundred() {
        let asked = |rows| {
            let (mut harness, seen) = table(rows, None);
            harness.run();
            seen.borrow().asked.len()
        };
        assert_eq!(asked(1_000_000), asked(100));
        assert!(asked(100) < 100, "{}", asked(100));
        let (mut harness, seen) = table(1_000_000, Some(700_000));
        harness.run();
        assert!(seen.borrow().asked.contains(&700_000), "{:?}", seen.borrow().asked);
    }

    #[test]
    fn titles_and_rows_are_clicked() {
        let (mut harness, seen) = table(100, None);
        harness.run();
        harness.get_by_label("Size").click();
        harness.run();
        assert_eq!(seen.borrow().clicked, Some(Clicked::Title(1)));
        harness.get_by_label("row 3, 3").click();
        harness.run();
        assert_eq!(seen.borrow().clicked, Some(Clicked::Row(3)));
    }
}
