//! How faithful the run in the tables is, where it parted from the recording and why, and what to do about
//! all that should be noticed.

use crate::app::command::{Command, Commands};
use crate::model::Model;
use crate::model::view::View;
use crate::widgets::message;
use egui::{Label, RichText, Ui};

/// Shows them.
pub fn ui(ui: &mut Ui, model: &Model, commands: &mut Commands) {
    let Some(replayed) = model.shown() else { return };
    let account = &replayed.account;
    ui.label(RichText::new(&model.runs.shown().name).strong());
    for sentence in &account.sentences {
        ui.add(Label::new(sentence).wrap());
    }
    for part in &account.parted {
        let link = ui.link(&part.what).on_hover_text("Click to point there in all panels.");
        if link.clicked() {
            commands.push(Command::Point(Some(part.record)));
            commands.push(Command::Look(View::Timeline));
        }
        ui.add(Label::new(RichText::new(&part.why).weak()).wrap());
    }
    for notice in &replayed.notices {
        message::show(ui, &notice.what, &notice.next);
    }
    if replayed.notices.is_empty() {
        ui.label("Nothing else is to be noticed about this run.");
    }
}
