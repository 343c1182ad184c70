//! A line of text that is asked for: a trace's path, a record's number, a range of records.

use super::Answered;
use crate::app::command::{Command, Commands};
use crate::model::{Model, span};
use crate::theme;
use egui::{Key, RichText, TextEdit, Ui};
use malloscope_replayer::report::units::count;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// A trace's path.
    Trace,
    /// A record's number.
    Record,
    /// The first record, and the first after the last.
    Range,
}

/// A line of text, as it is being typed.
#[derive(Clone, Debug)]
pub struct Entry {
    what: What,
    typed: String,
    wrong: Option<String>,
}

impl Entry {
    /// An empty line.
    pub fn of(what: What) -> Entry {
        Entry { what, typed: String::new(), wrong: None }
    }

    /// Asks, until what is typed makes sense.
    pub fn ui(&mut self, ui: &mut Ui, model: &Model, commands: &mut Commands) -> Answered {
        ui.set_width(theme::READING_WIDTH);
        let end = model.records().unwrap_or(0);
        let (title, hint, button) = match self.what {
            What::Trace => ("The trace’s path".to_owned(), "app.mscope", "Open"),
            What::Record => (format!("A record, from 0 to {}", count(end)), "1,500", "Look"),
            What::Range => (format!("Records, from 0 to before {}", count(end)), "100..200", "Look"),
        };
        let label = ui.label(RichText::new(title).strong());
        let field = TextEdit::singleline(&mut self.typed).hint_text(hint).desired_width(f32::INFINITY);
        let field = ui.add(field).labelled_by(label.id);
        field.request_focus();
        if field.changed() {
            self.wrong = None;
        }
        let entered = ui.input(|input| input.key_pressed(Key::Enter));
        let (mut pressed, mut cancelled) = (false, false);
        ui.horizontal(|ui| {
            pressed = ui.button(button).clicked();
            cancelled = ui.button("Cancel").clicked();
        });
        if let Some(wrong) = &self.wrong {
            ui.label(RichText::new(wrong).color(ui.visuals().warn_fg_color));
        }
        if cancelled {
            return Answered::Done;
        }
        if !(entered || pressed) {
            return Answered::NotYet;
        }
        match self.answer(end) {
            Ok(command) => {
                commands.push(command);
                Answered::Done
            }
            Err(wrong) => {
                self.wrong = Some(wrong);
                Answered::NotYet
            }
        }
    }

    fn answer(&self, end: u64) -> Result<Command, String> {
        match self.what {
            What::Trace if self.typed.trim().is_empty() => Err("Type where the trace lies.".to_owned()),
            What::Trace => Ok(Command::Open(self.typed.trim().into())),
            What::Record => Ok(Command::Point(Some(span::record(&self.typed)?.min(end)))),
            What::Range => {
                let (first, after) = span::range(&self.typed)?;
                if first >= end {
                    return Err(format!("The trace has {} records.", count(end)));
                }
                Ok(Command::Select(Some((first, after.min(end)))))
            }
        }
    }
}
