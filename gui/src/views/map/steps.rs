//! The buttons that go on and back, and how far it is.

use crate::app::command::{Command, Commands};
use crate::model::Model;
use crate::model::heap::Ask;
use crate::theme;
use egui::{Button, DragValue, ProgressBar, Response, RichText, Ui};
use malloscope_replayer::explore::Next;
use malloscope_replayer::report::units::count;
use std::time::Duration;

/// How often it goes on while it plays, in seconds.
const TICK: f64 = 0.1;
/// How many calls it may go on by at a time.
const PACES: [u64; 6] = [1, 10, 100, 1_000, 10_000, 100_000];

/// The buttons.
#[derive(Clone, Copy, Debug)]
pub struct Steps {
    /// Calls at a time while it plays.
    pace: u64,
    /// When it went on last.
    latest: f64,
}

impl Default for Steps {
    fn default() -> Steps {
        Steps { pace: 1, latest: 0.0 }
    }
}

impl Steps {
    /// Shows them, and goes on if it plays.
    pub fn ui(&mut self, ui: &mut Ui, model: &Model, commands: &mut Commands) {
        ui.horizontal_wrapped(|ui| {
            self.record(ui, model, commands);
            self.steps(ui, model, commands);
            ui.separator();
            ui.label(RichText::new("On to the next").weak());
            for what in Next::ALL {
                let (name, meaning) = said(what);
                if enabled(ui, can_go_on(model), name).on_hover_text(meaning).clicked() {
                    commands.push(Command::Explore(Ask::Next(what)));
                }
            }
            under_way(ui, model, commands);
        });
        self.play(ui, model, commands);
    }

    fn record(&self, ui: &mut Ui, model: &Model, commands: &mut Commands) {
        let Some(moment) = &model.exploring.moment else { return };
        let Some(record) = moment.record() else {
            ui.label(RichText::new("Before the first record").strong());
            return;
        };
        ui.label(RichText::new("Record").strong());
        let mut wanted = model.exploring.at.unwrap_or(record);
        let last = moment.total.unwrap_or(u64::MAX).saturating_sub(1);
        let field = DragValue::new(&mut wanted)
            .range(0..=last)
            .speed(1.0)
            .custom_formatter(|value, _| count(whole(value)))
            .custom_parser(|text| text.replace(',', "").trim().parse().ok());
        let field = ui.add(field);
        if field.on_hover_text("The record after whose call the heap is shown: drag, or type").changed() {
            commands.push(Command::Point(Some(wanted)));
        }
        if let Some(total) = moment.total {
            ui.label(RichText::new(format!("of {}", count(total))).weak());
        }
        ui.separator();
    }

    fn steps(&mut self, ui: &mut Ui, model: &Model, commands: &mut Commands) {
        let back = enabled(ui, can_go_back(model), "◀ Back");
        if back.on_hover_text("Take the latest call back").clicked() {
            commands.push(Command::Explore(Ask::Back));
        }
        let on = enabled(ui, can_go_on(model), "Step ▶");
        if on.on_hover_text("Make the next call").clicked() {
            commands.push(Command::Explore(Ask::On(1)));
        }
        let plays = model.exploring.playing.is_some();
        let name = if plays { "Pause" } else { "Play" };
        let play = enabled(ui, plays || can_go_on(model), name);
        if play.on_hover_text("Let one call follow the other").clicked() {
            commands.push(Command::Play(if plays { None } else { Some(self.pace) }));
        }
        let paces = egui::ComboBox::from_id_salt("pace").width(72.0);
        let chosen = paces.selected_text(format!("× {}", count(self.pace))).show_ui(ui, |ui| {
            for pace in PACES {
                ui.selectable_value(&mut self.pace, pace, format!("× {}", count(pace)));
            }
        });
        chosen.response.on_hover_text("How many calls at a time, ten times a second");
        if model.exploring.playing.is_some_and(|pace| pace != self.pace) {
            commands.push(Command::Play(Some(self.pace)));
        }
    }

    fn play(&mut self, ui: &Ui, model: &Model, commands: &mut Commands) {
        let Some(calls) = model.exploring.playing else { return };
        let now = ui.input(|input| input.time);
        let since = now - self.latest;
        if since >= TICK && model.exploring.under_way.is_none() {
            self.latest = now;
            commands.push(Command::Explore(Ask::On(calls)));
        }
        ui.ctx().request_repaint_after(Duration::from_secs_f64((TICK - since).clamp(0.01, TICK)));
    }
}

/// How far it is, and how to stay.
fn under_way(ui: &mut Ui, model: &Model, commands: &mut Commands) {
    let Some((_, Some(progress))) = model.exploring.under_way else { return };
    let text = format!("at record {}", count(progress.done));
    match progress.total {
        Some(total) if total > 0 => {
            ui.add(ProgressBar::new(progress.done as f32 / total as f32).desired_width(140.0).text(text));
        }
        _ => {
            ui.label(text);
        }
    }
    let here = model.exploring.moment.as_ref().and_then(|moment| moment.record()).unwrap_or(0);
    if ui.button("Stop").on_hover_text("Stay at the record that is shown").clicked() {
        commands.push(Command::Explore(Ask::To(here)));
        commands.push(Command::Point(Some(here)));
    }
    ui.add_space(theme::GAP);
}

/// A record as the field has it.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "there are fewer than 2⁵³ records"
)]
fn whole(value: f64) -> u64 {
    value.max(0.0) as u64
}

fn enabled(ui: &mut Ui, is_enabled: bool, name: &str) -> Response {
    ui.add_enabled(is_enabled, Button::new(name))
}

fn can_go_back(model: &Model) -> bool {
    let exploring = &model.exploring;
    exploring.under_way.is_none() && exploring.moment.as_ref().is_some_and(|moment| moment.heap.made > 0)
}

fn can_go_on(model: &Model) -> bool {
    let exploring = &model.exploring;
    exploring.under_way.is_none() && exploring.moment.as_ref().is_some_and(|moment| moment.coming.is_some())
}

/// A button's name, and what it does.
fn said(what: Next) -> (&'static str, &'static str) {
    match what {
        Next::Miss => ("Miss", "Go on to the next request that the thread’s tcache does not serve"),
        Next::Growth => {
            ("Growth", "Go on until an arena is given memory: the program break moves up, or a segment grows")
        }
        Next::Trim => ("Trim", "Go on until an arena gives memory back to the kernel"),
        Next::Map => ("Mapping", "Go on until memory is mapped, for one chunk or for an arena"),
    }
}
