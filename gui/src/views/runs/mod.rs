//! What if: the same trace under other settings, and what they change.

mod account;
mod differences;
mod form;
mod list;
mod presets;

use crate::app::command::Commands;
use crate::model::{Model, Replayed};
use crate::theme;
use egui::{CollapsingHeader, RichText, Ui};

/// The panel of runs.
#[derive(Clone, Debug, Default)]
pub struct RunsView {
    presets: presets::Presets,
    form: form::Form,
    differences: differences::DifferencesView,
}

impl RunsView {
    /// Shows what can be tried, the runs there are, and how they differ.
    pub fn ui(&mut self, ui: &mut Ui, model: &Model, recorded: &Replayed, commands: &mut Commands) {
        self.presets.ui(ui, model, commands);
        folding(ui, "Any setting…", false, |ui| self.form.ui(ui, recorded.trace(), commands));
        ui.add_space(theme::GAP);
        list::ui(ui, model, commands);
        ui.add_space(theme::GAP);
        self.differences.ui(ui, &model.runs);
        folding(ui, "Fidelity and advice", model.runs.all().len() == 1, |ui| {
            account::ui(ui, model, commands)
        });
    }
}

fn folding(ui: &mut Ui, title: &str, is_open: bool, add: impl FnOnce(&mut Ui)) {
    CollapsingHeader::new(RichText::new(title).strong()).default_open(is_open).show_unindented(ui, add);
}
