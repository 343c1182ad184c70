//! The heap at one record: every chunk in its place, and the calls before and after it, one by one.

mod canvas;
mod decision;
mod side;
mod steps;

use crate::app::command::{Command, Commands};
use crate::model::Model;
use crate::model::heap::Ask;
use crate::theme;
use crate::widgets::message;
use egui::{CentralPanel, Frame, Panel, Ui};

/// How wide the legend and what is known of a chunk are at first.
const SIDE: f32 = 300.0;
/// The map has at least this much of the width.
const LEAST_MAP: f32 = 280.0;
/// How high the decision is at first.
const DECISION: f32 = 128.0;

/// The heap map.
#[derive(Clone, Debug, Default)]
pub struct Map {
    canvas: canvas::Canvas,
    steps: steps::Steps,
}

impl Map {
    /// Shows it.
    pub fn ui(&mut self, ui: &mut Ui, model: &Model, commands: &mut Commands) {
        follow(model, commands);
        self.steps.ui(ui, model, commands);
        let exploring = &model.exploring;
        if let Some(failure) = &exploring.failure {
            message::show(ui, &failure.what, &failure.next);
        }
        let Some(moment) = &exploring.moment else {
            if exploring.failure.is_none() {
                ui.label("Replaying up to the record…");
            }
            return;
        };
        if let Some(notice) = &moment.notice {
            ui.colored_label(ui.visuals().warn_fg_color, notice);
        }
        let inner = Frame::new().inner_margin(theme::GAP / 2.0);
        let height = ui.available_height();
        Panel::bottom("decision")
            .frame(inner)
            .resizable(true)
            .default_size(DECISION.min(height * 0.3))
            .show(ui, |ui| decision::ui(ui, model, moment, commands));
        let width = ui.available_width();
        if width > LEAST_MAP + SIDE {
            Panel::right("side")
                .frame(inner)
                .resizable(true)
                .default_size(SIDE)
                .show(ui, |ui| side::ui(ui, model, moment, commands));
        }
        CentralPanel::default().frame(inner).show(ui, |ui| self.canvas.ui(ui, model, moment, commands));
    }
}

/// Goes to the record that all views look at, or to the end.
fn follow(model: &Model, commands: &mut Commands) {
    let Some(last) = model.records().map(|records| records.saturating_sub(1)) else { return };
    let wanted = model.cursor.unwrap_or(last).min(last);
    let is_other = model.exploring.of.as_ref() != Some(&model.runs.shown().trial);
    if is_other || (model.exploring.at != Some(wanted) && !is_stepping(model)) {
        commands.push(Command::Explore(Ask::To(wanted)));
    }
}

/// Whether it is about to come to another record by itself.
fn is_stepping(model: &Model) -> bool {
    matches!(model.exploring.under_way, Some((Ask::On(_) | Ask::Back | Ask::Next(_), _)))
}
