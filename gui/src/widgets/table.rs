//! A table: a header that stays, rows that scroll, numbers to the right, shares as bars.
//!
//! Columns are as wide as their widest cell, and share what is left over.

use super::csv;
use crate::theme;
use egui::{
    Align, Align2, Button, Label, Layout, Rect, Response, RichText, ScrollArea, Sense, TextStyle, Ui,
    UiBuilder, Vec2, WidgetInfo, accesskit::Role, vec2,
};

/// A column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its title; with a mark if the table is sorted by it.
    pub title: String,
    /// What it means, for those who wait over the title.
    pub meaning: &'static str,
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
}

/// What was clicked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clicked {
    /// The title of this column.
    Title(usize),
    /// This row.
    Row(usize),
}

/// A table.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    /// What it is called by those who cannot see it.
    pub name: &'static str,
    /// The columns.
    pub columns: Vec<Column>,
    /// Cells in rows.
    pub rows: Vec<Vec<Cell>>,
}

/// Between two columns.
const BETWEEN: f32 = 8.0;
/// The room for the button in the first title that copies the table.
const COPY: f32 = 40.0;
/// A bar is at least this wide.
const LEAST_BAR: f32 = 64.0;
/// Numbers keep this much from the end of their cell, and of the bar in it.
const BEFORE_END: f32 = 3.0;

impl Table {
    /// Shows the whole table, in as much height as it needs.
    pub fn show(&self, ui: &mut Ui) {
        ui.scope(|ui| {
            ui.spacing_mut().item_spacing.y = 0.0;
            let widths = self.widths(ui, ui.available_width());
            self.header(ui, &widths, Sense::hover());
            for number in 0..self.rows.len() {
                self.row(ui, &widths, number, Sense::hover(), false);
            }
        });
    }

    /// Shows the table in the height there is; rows can be chosen.
    pub fn show_scrolled(&self, ui: &mut Ui, chosen: Option<usize>) -> Option<Clicked> {
        let room =
            ui.available_width() - ui.spacing().scroll.bar_width - ui.spacing().scroll.bar_inner_margin;
        let widths = self.widths(ui, room);
        let mut clicked = self.header(ui, &widths, Sense::click()).map(Clicked::Title);
        ui.spacing_mut().item_spacing.y = 0.0;
        ScrollArea::vertical().id_salt(self.name).auto_shrink(false).show_rows(
            ui,
            theme::ROW,
            self.rows.len(),
            |ui, range| {
                for number in range {
                    if self.row(ui, &widths, number, Sense::click(), chosen == Some(number)) {
                        clicked = Some(Clicked::Row(number));
                    }
                }
            },
        );
        clicked
    }

    fn widths(&self, ui: &Ui, room: f32) -> Vec<f32> {
        let font = TextStyle::Body.resolve(ui.style());
        let wide = |text: &str| {
            ui.painter().layout_no_wrap(text.to_owned(), font.clone(), egui::Color32::PLACEHOLDER).size().x
        };
        let column = |(place, column): (usize, &Column)| {
            let cells = self.rows.iter().filter_map(|row| row.get(place));
            let cell = |cell: &Cell| match cell.share {
                Some(_) => wide(&cell.text).max(LEAST_BAR),
                None => wide(&cell.text),
            };
            let title = wide(&column.title) + if place == 0 { COPY } else { 0.0 };
            cells.map(cell).fold(title, f32::max) + BETWEEN + BEFORE_END
        };
        let mut widths: Vec<f32> = self.columns.iter().enumerate().map(column).collect();
        let left = room - widths.iter().sum::<f32>();
        if left > 0.0 {
            let each = left / widths.len().max(1) as f32;
            widths.iter_mut().for_each(|width| *width += each);
        }
        widths
    }

    fn header(&self, ui: &mut Ui, widths: &[f32], sense: Sense) -> Option<usize> {
        let mut clicked = None;
        let (rect, _) = ui.allocate_exact_size(vec2(widths.iter().sum(), theme::ROW), Sense::hover());
        for (place, (column, cell)) in self.columns.iter().zip(cells(rect, widths)).enumerate() {
            let title = RichText::new(&column.title).color(ui.visuals().weak_text_color());
            let response = inside(ui, cell, column.is_number, |ui| {
                let title = if sense.senses_click() {
                    ui.add(Button::new(title).frame(false).small())
                } else {
                    ui.add(Label::new(title).extend())
                };
                if place == 0 {
                    self.copy_button(ui);
                }
                title
            });
            if response.clicked() {
                clicked = Some(place);
            }
            if !column.meaning.is_empty() {
                response.on_hover_text(column.meaning);
            }
        }
        let line = ui.visuals().widgets.noninteractive.bg_stroke;
        ui.painter().hline(rect.x_range(), rect.bottom(), line);
        clicked
    }

    fn copy_button(&self, ui: &mut Ui) {
        let text = RichText::new("CSV").size(9.0).color(ui.visuals().weak_text_color());
        let button = ui.add(Button::new(text).small());
        button.widget_info(|| WidgetInfo::labeled(Role::Button, true, format!("Copy {} as CSV", self.name)));
        if button.on_hover_text("Copy the table, for a spreadsheet").clicked() {
            ui.ctx().copy_text(self.csv());
        }
    }

    /// The whole table, as spreadsheets read it.
    pub fn csv(&self) -> String {
        let title = |column: &Column| column.title.trim_end_matches([' ', '▲', '▼']).len();
        let titles = self.columns.iter().map(|column| &column.title[..title(column)]);
        csv::of(titles, self.rows.iter().map(|row| row.iter().map(|cell| cell.text.as_str())))
    }

    /// Shows a row; whether it was clicked.
    fn row(&self, ui: &mut Ui, widths: &[f32], number: usize, sense: Sense, is_chosen: bool) -> bool {
        let size = Vec2::new(widths.iter().sum(), theme::ROW);
        let (rect, response) = ui.allocate_exact_size(size, sense);
        if is_chosen {
            ui.painter().rect_filled(rect, 0.0, theme::selected(ui.visuals()));
        } else if response.hovered() {
            ui.painter().rect_filled(rect, 0.0, ui.visuals().faint_bg_color);
        }
        response.widget_info(|| {
            let texts: Vec<&str> = self.rows[number].iter().map(|cell| cell.text.as_str()).collect();
            WidgetInfo::selected(Role::Row, true, is_chosen, texts.join(", "))
        });
        // What lies in it must not take its clicks.
        ui.style_mut().interaction.selectable_labels &= !sense.senses_click();
        for ((column, cell), rect) in self.columns.iter().zip(&self.rows[number]).zip(cells(rect, widths)) {
            show_cell(ui, rect, column, cell);
        }
        response.clicked()
    }
}

/// Where the cells of a row are.
fn cells(row: Rect, widths: &[f32]) -> impl Iterator<Item = Rect> {
    widths.iter().scan(row.left(), move |left, &width| {
        let min = egui::pos2(*left, row.top());
        *left += width;
        Some(Rect::from_min_size(min, vec2(width - BETWEEN, row.height())))
    })
}

fn show_cell(ui: &mut Ui, rect: Rect, column: &Column, cell: &Cell) {
    if let Some(share) = cell.share {
        draw_bar(ui, rect, share);
    }
    let colour = if cell.is_weak { ui.visuals().weak_text_color() } else { ui.visuals().text_color() };
    let text = RichText::new(&cell.text).color(colour);
    // Half a name says something; half a number lies.
    let label = if column.is_number { Label::new(text).extend() } else { Label::new(text).truncate() };
    inside(ui, rect, column.is_number, |ui| ui.add(label));
}

fn draw_bar(ui: &Ui, rect: Rect, share: f64) {
    let ground = rect.shrink2(vec2(0.0, 3.0));
    // A share is no more than all; what is lost of its digits is less than a pixel.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a share of a few hundred pixels needs no more digits"
    )]
    let width = ground.width() * (share as f32).clamp(0.0, 1.0);
    let bar = Align2::LEFT_TOP.align_size_within_rect(vec2(width, ground.height()), ground);
    ui.painter().rect_filled(ground, 2.0, theme::bar_ground(ui.visuals()));
    ui.painter().rect_filled(bar, 2.0, theme::bar(ui.visuals()));
}

fn inside(ui: &mut Ui, rect: Rect, is_number: bool, add: impl FnOnce(&mut Ui) -> Response) -> Response {
    let layout =
        if is_number { Layout::right_to_left(Align::Center) } else { Layout::left_to_right(Align::Center) };
    let rect = if is_number { rect.with_max_x(rect.right() - BEFORE_END) } else { rect };
    ui.scope_builder(UiBuilder::new().max_rect(rect).layout(layout), add).inner
}
