//! A picture of what, and where to.

use super::Answered;
use crate::app::command::{Command, Commands};
use crate::app::shell::Shell;
use crate::model::Model;
use crate::model::view::View;
use crate::theme;
use egui::{Button, Key, RichText, TextEdit, Ui};

/// The form, as it is being filled in.
#[derive(Clone, Debug)]
pub struct PictureForm {
    view: Option<View>,
    path: String,
    trace: String,
    was_typed: bool,
}

impl PictureForm {
    /// A picture of the panel that was brought to the front last.
    pub fn of(model: &Model) -> PictureForm {
        let trace = model.trace.as_deref().and_then(|trace| trace.file_stem());
        let trace = trace.map_or_else(|| "malloscope".to_owned(), |stem| stem.to_string_lossy().into_owned());
        let view = model.seen().map(|_| model.front);
        PictureForm { view, path: path(&trace, view), trace, was_typed: false }
    }

    /// Asks for a panel and a path.
    pub fn ui(&mut self, ui: &mut Ui, commands: &mut Commands) -> Answered {
        ui.set_width(theme::READING_WIDTH);
        ui.label(RichText::new("Save a picture of").strong());
        let before = self.view;
        ui.horizontal_wrapped(|ui| {
            ui.selectable_value(&mut self.view, None, "the window");
            for view in View::ALL {
                ui.selectable_value(&mut self.view, Some(view), view.title());
            }
        });
        if self.view != before && !self.was_typed {
            self.path = path(&self.trace, self.view);
        }
        let label = ui.label("to the file (.png: pixels, .svg: lines and letters)");
        let field = ui.add(TextEdit::singleline(&mut self.path).desired_width(f32::INFINITY));
        let field = field.labelled_by(label.id);
        self.was_typed |= field.changed();
        let entered = ui.input(|input| input.key_pressed(Key::Enter));
        let path = self.path.trim();
        let (mut pressed, mut cancelled) = (false, false);
        ui.horizontal(|ui| {
            pressed = ui.add_enabled(!path.is_empty(), Button::new("Save")).clicked();
            cancelled = ui.button("Cancel").clicked();
        });
        if pressed || (entered && !path.is_empty()) {
            commands.push(Command::Shell(Shell::Save(self.view, path.into())));
            return Answered::Done;
        }
        if cancelled { Answered::Done } else { Answered::NotYet }
    }
}

fn path(trace: &str, view: Option<View>) -> String {
    format!("{trace}-{}.png", view.map_or("window", View::word))
}
