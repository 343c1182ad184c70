//! All commands in a menu.

use crate::app::actions::{Action, Group};
use crate::app::command::Commands;
use crate::model::Model;
use egui::{Button, Ui};

/// The button that opens the menu, and the menu.
pub fn ui(ui: &mut Ui, model: &Model, actions: &[Action], commands: &mut Commands) {
    ui.menu_button("Menu", |ui| {
        for group in Group::ALL {
            ui.menu_button(group.title(), |ui| {
                for action in actions.iter().filter(|action| action.group == group) {
                    let command = action.command(model);
                    let button = Button::new(action.name.as_str()).shortcut_text(action.shown_keys());
                    let shown = ui.add_enabled(command.is_some(), button).on_hover_text(action.meaning);
                    if shown.clicked() {
                        commands.extend(command);
                        ui.close();
                    }
                }
            });
        }
    })
    .response
    .on_hover_text("All commands; Ctrl+P finds them by name");
}
