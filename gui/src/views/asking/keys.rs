//! All keys, and what they do.

use super::Answered;
use crate::app::actions::{Action, Group};
use crate::theme;
use egui::{Grid, RichText, ScrollArea, Ui};

/// Things that are done with the mouse, and how.
const MOUSE: [(&str, &str); 3] = [
    ("Put a panel elsewhere", "Drag its tab"),
    ("Divide the room differently", "Drag between two panels"),
    ("Open a trace", "Drop it on the window"),
];

/// The width of the name of an action, and of its keys, in points.
const COLUMN: f32 = 210.0;

/// Shows all keys, in groups: two columns of them.
pub fn ui(ui: &mut Ui, actions: &[Action]) -> Answered {
    ui.set_width(4.0 * (COLUMN + theme::GAP));
    ui.label(RichText::new("Keys").heading().strong());
    let height = (ui.ctx().content_rect().height() - 140.0).max(120.0);
    let scrolled = ScrollArea::vertical().max_height(height).min_scrolled_height(height);
    scrolled.auto_shrink([false, true]).show(ui, |ui| {
        ui.columns(2, |columns| {
            for group in Group::ALL {
                let column = &mut columns[usize::from(matches!(group, Group::View))];
                let actions =
                    actions.iter().filter(|action| action.group == group && !action.keys.is_empty());
                let lines = actions.map(|action| (action.name.as_str(), action.all_keys(), action.meaning));
                table(column, group.title(), lines);
            }
            let mouse = MOUSE.into_iter().map(|(name, how)| (name, how.to_owned(), ""));
            table(&mut columns[0], "With the mouse", mouse);
        });
    });
    if ui.button("Close").clicked() { Answered::Done } else { Answered::NotYet }
}

fn table<'a>(ui: &mut Ui, title: &str, lines: impl Iterator<Item = (&'a str, String, &'a str)>) {
    ui.add_space(theme::GAP);
    ui.label(RichText::new(title).strong());
    Grid::new(title).num_columns(2).min_col_width(COLUMN).show(ui, |ui| {
        for (name, keys, meaning) in lines {
            let name = ui.label(name);
            if !meaning.is_empty() {
                name.on_hover_text(meaning);
            }
            ui.label(RichText::new(keys).monospace());
            ui.end_row();
        }
    });
}
