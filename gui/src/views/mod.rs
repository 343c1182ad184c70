//! One panel each: they read the model and send commands.

mod bins;
mod head;
mod loading;
mod opening;
mod sections;
mod settings;
mod timeline;

use crate::app::command::{Command, Commands};
use crate::model::{Model, Replayed, Tile, Which};
use crate::theme;
use crate::widgets::message;
use egui::{CentralPanel, Frame, Panel, ScrollArea, Ui};

/// What the views remember that is nobody else's business.
#[derive(Clone, Debug, Default)]
pub struct Views {
    opening: opening::Opening,
    settings: settings::SettingsView,
}

impl Views {
    /// Shows all there is.
    pub fn ui(&mut self, ui: &mut Ui, model: &Model, commands: &mut Commands) {
        Panel::top("bar").frame(panel(ui)).show(ui, |ui| head::bar(ui, model, commands));
        match &model.recorded {
            Tile::Missing => centre(ui, |ui| self.opening.ui(ui, commands)),
            Tile::Loading(progress) => centre(ui, |ui| {
                loading::ui(ui, "Replaying", *progress, || commands.push(Command::Cancel(Which::Recorded)));
            }),
            Tile::Failed(failure) => centre(ui, |ui| {
                message::show(ui, &failure.what, &failure.next);
                ui.add_space(theme::WIDE_GAP);
                self.opening.ui(ui, commands);
            }),
            Tile::Ready(recorded) => self.replayed(ui, model, recorded, commands),
        }
    }

    fn replayed(&mut self, ui: &mut Ui, model: &Model, recorded: &Replayed, commands: &mut Commands) {
        Panel::top("figures").frame(panel(ui)).show(ui, |ui| head::figures(ui, recorded));
        let height = ui.available_height();
        Panel::top("timeline").frame(panel(ui)).exact_size((height * 0.45).max(190.0)).show(ui, |ui| {
            timeline::ui(ui, model, recorded);
        });
        Panel::top("settings").frame(panel(ui)).show(ui, |ui| self.settings.ui(ui, model, commands));
        let width = ui.available_width();
        Panel::right("sections").frame(panel(ui)).exact_size((width * 0.38).max(366.0)).show(ui, |ui| {
            ScrollArea::both().auto_shrink(false).show(ui, |ui| sections::ui(ui, model));
        });
        CentralPanel::default().frame(panel(ui)).show(ui, |ui| bins::ui(ui, model, commands));
    }
}

fn panel(ui: &Ui) -> Frame {
    Frame::new().inner_margin(theme::MARGIN).fill(ui.visuals().panel_fill)
}

/// In the middle, as wide as is good to read.
fn centre(ui: &mut Ui, add: impl FnOnce(&mut Ui)) {
    CentralPanel::default().frame(panel(ui)).show(ui, |ui| {
        ui.add_space(ui.available_height() * 0.2);
        let side = ((ui.available_width() - theme::READING_WIDTH) / 2.0).max(0.0);
        ui.horizontal(|ui| {
            ui.add_space(side);
            ui.vertical(|ui| {
                ui.set_max_width(theme::READING_WIDTH);
                add(ui);
            });
        });
    });
}
