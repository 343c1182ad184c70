//! Other settings to replay with, beside the recorded ones.

use super::{loading, sections};
use crate::app::command::{Command, Commands};
use crate::model::settings::Settings;
use crate::model::{Model, Tile, Which};
use crate::theme;
use crate::widgets::message;
use egui::{Key, TextEdit, Ui};

/// The fields, as they are being typed.
#[derive(Clone, Debug, Default)]
pub struct SettingsView {
    draft: Settings,
}

impl SettingsView {
    /// Shows the fields and what became of them.
    pub fn ui(&mut self, ui: &mut Ui, model: &Model, commands: &mut Commands) {
        ui.horizontal_wrapped(|ui| {
            let mut entered = field(
                ui,
                "mmap threshold",
                "Requests of this size and more get a mapping of their own, if no bin serves them.",
                &mut self.draft.mmap_threshold,
            );
            entered |= field(
                ui,
                "trim threshold",
                "The program break is trimmed when the top chunk has grown to this.",
                &mut self.draft.trim_threshold,
            );
            let button = ui.button("Replay with this");
            let button =
                button.on_hover_text("Setting a threshold also stops both from moving by themselves.");
            if button.clicked() || entered {
                commands.push(Command::ReplayWith(self.draft.clone()));
            }
            if !matches!(model.other, Tile::Missing | Tile::Loading(_)) && ui.button("Remove").clicked() {
                commands.push(Command::Forget);
            }
        });
        match &model.other {
            Tile::Loading(progress) => {
                let what = format!("Replaying with {}", model.settings.name());
                loading::ui(ui, &what, *progress, || commands.push(Command::Cancel(Which::Other)));
            }
            Tile::Failed(failure) => message::show(ui, &failure.what, &failure.next),
            Tile::Missing | Tile::Ready(_) => {}
        }
        sections::differences(ui, model);
    }
}

/// A field for a number of bytes; whether it was entered.
fn field(ui: &mut Ui, name: &str, meaning: &str, text: &mut String) -> bool {
    let label = ui.label(name).on_hover_text(meaning);
    let field = TextEdit::singleline(text).hint_text("as is").desired_width(theme::FIELD);
    let field = ui.add(field).labelled_by(label.id).on_hover_text("Bytes: 65536, 64K, 1M; -1 is never");
    field.lost_focus() && ui.input(|input| input.key_pressed(Key::Enter))
}
