//! What malloc decided in the latest call, in words.

use crate::app::command::{Command, Commands};
use crate::model::Model;
use crate::model::heap::Moment;
use egui::{RichText, ScrollArea, Ui};
use malloscope_replayer::report::units::{count, nanos};

/// Shows the latest call, what was decided, and what comes next.
pub fn ui(ui: &mut Ui, model: &Model, moment: &Moment, commands: &mut Commands) {
    ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
        ui.spacing_mut().item_spacing.y = 2.0;
        match &moment.latest {
            Some(step) => {
                let answer = step.answer.as_ref().map(|answer| format!(" = {answer}")).unwrap_or_default();
                ui.horizontal_wrapped(|ui| {
                    ui.label(RichText::new(format!("{}{answer}", step.call)).strong().monospace());
                    let at = format!("thread {}, at {}", step.thread, nanos(step.time.0));
                    ui.label(RichText::new(at).weak());
                    if step.number != step.record {
                        let number = format!("number {} in the file", count(step.number));
                        ui.label(RichText::new(number).weak()).on_hover_text(
                            "Calls of several threads overlap: the replay found that they were made in another order than they were recorded.",
                        );
                    }
                    if let Some(chunk) = step.chunk
                        && ui.link("show its chunk").clicked()
                    {
                        commands.push(Command::Choose(Some(chunk)));
                    }
                });
                for (number, clause) in (1..).zip(&step.decision) {
                    ui.label(format!("{number}. {clause}"));
                }
                super::side::stack(ui, model, step.stack.0, commands);
            }
            None => {
                ui.label("No call has been made yet.");
            }
        }
        let next = match &moment.coming {
            Some(call) => format!("Next: {call}"),
            None => "This is the end of the trace.".to_owned(),
        };
        ui.label(RichText::new(next).weak());
    });
}
