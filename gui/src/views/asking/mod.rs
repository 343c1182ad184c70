//! What the window asks in a little window of its own, over everything else: one thing at a time.

mod entry;
mod keys;
mod palette;
mod picture;

use crate::app::actions::Action;
use crate::app::command::Commands;
use crate::app::shell::Question;
use crate::model::Model;
use egui::{Context, Id, Modal, Ui};

/// What is being asked.
#[derive(Clone, Debug, Default)]
pub enum Asking {
    /// Nothing.
    #[default]
    Nothing,
    /// Which action?
    Palette(palette::Palette),
    /// None: it shows all keys.
    Keys,
    /// A trace, a record or a range, in a line of text.
    Entry(entry::Entry),
    /// A picture of what, and where to?
    Picture(picture::PictureForm),
}

/// Whether there is more to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answered {
    NotYet,
    Done,
}

impl Asking {
    /// Asks a question.
    pub fn ask(question: Question, model: &Model) -> Asking {
        match question {
            Question::Palette => Asking::Palette(palette::Palette::default()),
            Question::Keys => Asking::Keys,
            Question::Trace => Asking::Entry(entry::Entry::of(entry::What::Trace)),
            Question::Record => Asking::Entry(entry::Entry::of(entry::What::Record)),
            Question::Range => Asking::Entry(entry::Entry::of(entry::What::Range)),
            Question::Picture => Asking::Picture(picture::PictureForm::of(model)),
        }
    }

    /// Whether something is being asked, so that keys are for the answer.
    pub fn is_asking(&self) -> bool {
        !matches!(self, Asking::Nothing)
    }

    /// Shows the question, if there is one.
    pub fn ui(&mut self, context: &Context, model: &Model, actions: &[Action], commands: &mut Commands) {
        if !self.is_asking() {
            return;
        }
        let shown =
            Modal::new(Id::unique("asking")).show(context, |ui| self.inside(ui, model, actions, commands));
        if shown.inner == Answered::Done || shown.should_close() {
            *self = Asking::Nothing;
        }
    }

    fn inside(
        &mut self,
        ui: &mut Ui,
        model: &Model,
        actions: &[Action],
        commands: &mut Commands,
    ) -> Answered {
        match self {
            Asking::Nothing => Answered::Done,
            Asking::Palette(palette) => palette.ui(ui, model, actions, commands),
            Asking::Keys => keys::ui(ui, actions),
            Asking::Entry(entry) => entry.ui(ui, model, commands),
            Asking::Picture(form) => form.ui(ui, commands),
        }
    }
}
