//! The opening screen: what to do.

use crate::app::command::{Command, Commands};
use egui::{Button, Key, RichText, TextEdit, Ui};

/// The opening screen.
#[derive(Clone, Debug, Default)]
pub struct Opening {
    path: String,
}

impl Opening {
    /// Shows how to open a trace, and how to get one.
    pub fn ui(&mut self, ui: &mut Ui, commands: &mut Commands) {
        ui.label(RichText::new("Open a trace").heading().strong());
        let label = ui.label("Drop a trace on this window, or type its path:");
        ui.horizontal(|ui| {
            let width = ui.available_width() - 72.0;
            let field = TextEdit::singleline(&mut self.path).hint_text("app.mscope").desired_width(width);
            let field = ui.add(field).labelled_by(label.id);
            let entered = field.lost_focus() && ui.input(|input| input.key_pressed(Key::Enter));
            let path = self.path.trim();
            let open = ui.add_enabled(!path.is_empty(), Button::new("Open")).clicked();
            if (open || entered) && !path.is_empty() {
                commands.push(Command::Open(path.into()));
            }
        });
        ui.add_space(crate::theme::WIDE_GAP);
        ui.label("A trace is what a program asked of malloc. To record one:");
        ui.label(RichText::new("malloscope record -o app.mscope -- app").monospace());
    }
}
