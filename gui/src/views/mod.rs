//! One panel each: they read the model and send commands.

mod bins;
mod head;
mod loading;
mod opening;
mod panels;
mod recording;
mod runs;
mod sections;
mod served;
mod timeline;

use crate::app::command::{Command, Commands};
use crate::model::runs::RunId;
use crate::model::view::View;
use crate::model::{Model, Replayed, Tile};
use crate::theme;
use crate::widgets::message;
use egui::{CentralPanel, Frame, Panel, ScrollArea, Ui};
use panels::Panels;

/// What the views remember that is nobody else's business.
#[derive(Clone, Debug, Default)]
pub struct Views {
    opening: opening::Opening,
    runs: runs::RunsView,
    panels: Panels,
}

impl Views {
    /// Shows all there is.
    pub fn ui(&mut self, ui: &mut Ui, model: &Model, commands: &mut Commands) {
        Panel::top("bar").frame(panel(ui)).show(ui, |ui| head::bar(ui, model, commands));
        match model.recorded() {
            Tile::Missing => centre(ui, |ui| self.opening.ui(ui, model, commands)),
            Tile::Loading(progress) => centre(ui, |ui| {
                loading::ui(ui, "Replaying", *progress, || commands.push(Command::Cancel(RunId::RECORDED)));
            }),
            Tile::Failed(failure) => centre(ui, |ui| {
                message::show(ui, &failure.what, &failure.next);
                ui.add_space(theme::WIDE_GAP);
                self.opening.ui(ui, model, commands);
            }),
            Tile::Ready(recorded) => self.replayed(ui, model, recorded, commands),
        }
    }

    fn replayed(&mut self, ui: &mut Ui, model: &Model, recorded: &Replayed, commands: &mut Commands) {
        Panel::top("figures").frame(panel(ui)).show(ui, |ui| head::figures(ui, recorded));
        CentralPanel::default().frame(Frame::NONE).show(ui, |ui| {
            let Views { panels, runs, .. } = self;
            panels.ui(ui, &mut |ui, view| match view {
                View::Timeline => timeline::ui(ui, model, recorded, commands),
                View::Bins => bins::ui(ui, model, commands),
                View::Served => scrolled(ui, |ui| served::ui(ui, model)),
                View::Runs => scrolled(ui, |ui| runs.ui(ui, model, recorded, commands)),
                View::Report => scrolled(ui, |ui| sections::ui(ui, model)),
            });
        });
    }

    /// Brings a panel to the front.
    pub fn look(&mut self, view: View) {
        self.panels.look(view);
    }
}

fn scrolled(ui: &mut Ui, add: impl FnOnce(&mut Ui)) {
    ScrollArea::both().auto_shrink(false).show(ui, add);
}

fn panel(ui: &Ui) -> Frame {
    Frame::new().inner_margin(theme::MARGIN).fill(ui.visuals().panel_fill)
}

/// In the middle, as wide as is good to read.
fn centre(ui: &mut Ui, add: impl FnOnce(&mut Ui)) {
    CentralPanel::default().frame(panel(ui)).show(ui, |ui| {
        let above = ui.available_height() * 0.1;
        let side = ((ui.available_width() - theme::READING_WIDTH) / 2.0).max(0.0);
        ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
            ui.add_space(above);
            ui.horizontal(|ui| {
                ui.add_space(side);
                ui.vertical(|ui| {
                    ui.set_max_width(theme::READING_WIDTH);
                    add(ui);
                });
            });
        });
    });
}
