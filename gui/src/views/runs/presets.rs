//! A menu for each knob that is asked about most: a tick makes a run, and taking it away forgets the run.

use crate::app::command::{Command, Commands};
use crate::model::Model;
use crate::model::presets::{self, Choice, Preset};
use crate::theme;
use egui::containers::menu::{MenuButton, MenuConfig};
use egui::{PopupCloseBehavior, RichText, ScrollArea, Ui, WidgetInfo, accesskit::Role};
use malloscope_replayer::trial::Trial;

/// How high a menu is at most, in points.
const HIGHEST: f32 = 320.0;

/// The menus.
#[derive(Clone, Debug)]
pub struct Presets {
    all: Vec<Preset>,
}

impl Default for Presets {
    fn default() -> Presets {
        Presets { all: presets::all() }
    }
}

impl Presets {
    /// Shows them in a row.
    pub fn ui(&self, ui: &mut Ui, model: &Model, commands: &mut Commands) {
        ui.horizontal_wrapped(|ui| {
            ui.label("Try another");
            for preset in &self.all {
                let config = MenuConfig::new().close_behavior(PopupCloseBehavior::CloseOnClickOutside);
                let button = MenuButton::new(format!("{} ▾", preset.title)).config(config);
                let (button, _) = button.ui(ui, |ui| menu(ui, preset, model, commands));
                button.on_hover_text(preset.meaning);
            }
        });
    }
}

fn menu(ui: &mut Ui, preset: &Preset, model: &Model, commands: &mut Commands) {
    ui.set_max_width(theme::READING_WIDTH / 2.0);
    ui.label(RichText::new(preset.meaning).small().weak());
    ScrollArea::vertical().max_height(HIGHEST).show(ui, |ui| {
        for choice in &preset.choices {
            tick(ui, &preset.title, choice, model, commands);
        }
    });
    if preset.is_short && ui.button("All of them").clicked() {
        let trials: Vec<Trial> = preset.choices.iter().map(|choice| choice.trial.clone()).collect();
        commands.push(Command::Try(trials));
        ui.close();
    }
}

fn tick(ui: &mut Ui, title: &str, choice: &Choice, model: &Model, commands: &mut Commands) {
    let run = model.runs.of(&choice.trial);
    let mut is_there = run.is_some();
    let tick = ui.checkbox(&mut is_there, &choice.label);
    // A number alone says nothing to those who do not see what it stands under.
    let said = || WidgetInfo::selected(Role::CheckBox, true, is_there, format!("{title} {}", choice.label));
    tick.widget_info(said);
    if tick.changed() {
        commands.push(match run {
            Some(run) => Command::Forget(run.id),
            None => Command::Try(vec![choice.trial.clone()]),
        });
    }
}
