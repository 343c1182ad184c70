//! The processes that may be attached to, of which one is chosen.

use crate::app::command::{Command, Commands};
use crate::model::processes::{Process, Processes};
use crate::model::recording::RecordingForm;
use crate::model::{Model, Tile};
use crate::theme;
use crate::widgets::long_table::{Cell, Clicked, Column, LongTable};
use crate::widgets::message;
use egui::{Spinner, TextEdit, Ui, vec2};
use malloscope_replayer::report::units::{bytes, count};

/// How many rows are seen at a time.
const ROWS: f32 = 9.0;

/// What the list remembers that is nobody else's business.
#[derive(Clone, Debug, Default)]
pub struct ProcessList {
    typed: String,
    with_refused: bool,
}

impl ProcessList {
    /// Shows them, and puts the one that is clicked into the form.
    pub fn ui(&mut self, ui: &mut Ui, model: &Model, form: &mut RecordingForm, commands: &mut Commands) {
        match &model.processes {
            Tile::Missing => commands.push(Command::ListProcesses),
            Tile::Loading(_) => {
                ui.add(Spinner::new());
            }
            Tile::Failed(failure) => {
                message::show(ui, &failure.what, &failure.next);
                look_again(ui, commands);
            }
            Tile::Ready(listed) => {
                self.tools(ui, listed, commands);
                self.table(ui, listed, form);
            }
        }
    }

    fn tools(&mut self, ui: &mut Ui, listed: &Processes, commands: &mut Commands) {
        ui.horizontal(|ui| {
            let label = ui.label("Filter");
            let field = TextEdit::singleline(&mut self.typed).hint_text("name, number or user");
            ui.add(field.desired_width(150.0)).labelled_by(label.id);
            look_again(ui, commands);
            let refused = listed.refused();
            if refused > 0 {
                let text = format!("With {} that cannot be attached to", count(refused as u64));
                ui.checkbox(&mut self.with_refused, text)
                    .on_hover_text("In place of its command each says why.");
            }
        });
    }

    fn table(&self, ui: &mut Ui, listed: &Processes, form: &mut RecordingForm) {
        let meant = listed.meant(&self.typed, self.with_refused);
        if meant.is_empty() {
            ui.label("No process is meant by that.");
            return;
        }
        let column = |title: &str, meaning, width, is_number| Column {
            title: title.to_owned(),
            meaning,
            width,
            is_number,
        };
        let columns = [
            column("Process", "Its number.", 64.0, true),
            column("Resident", "How much of it is in memory, of whatever kind.", 80.0, true),
            column(
                "Command",
                "Its program and the arguments of it; or why it cannot be attached to.",
                200.0,
                false,
            ),
            column("User", "Whose it is.", 80.0, false),
        ];
        let chosen = form.process.as_ref().map(|(pid, _)| *pid);
        let table = LongTable {
            name: "Processes",
            columns: &columns,
            rows: meant.len(),
            is_chosen: &|row| meant.get(row).is_some_and(|process| Some(process.pid) == chosen),
            scroll_to: None,
            is_sortable: false,
        };
        let cell =
            |row: usize, column: usize| meant.get(row).map_or_else(Cell::default, |one| cell(one, column));
        let size = vec2(ui.available_width(), theme::ROW * ROWS);
        let clicked = ui.allocate_ui(size, |ui| {
            ui.set_max_height(size.y);
            table.show(ui, cell)
        });
        if let Some(Clicked::Row(row) | Clicked::RowTwice(row)) = clicked.inner
            && let Some(process) = meant.get(row).filter(|process| process.refused.is_none())
        {
            form.process = Some((process.pid, process.name.clone()));
        }
    }
}

fn look_again(ui: &mut Ui, commands: &mut Commands) {
    if ui.button("Look again").on_hover_text("Asks which processes there are now.").clicked() {
        commands.push(Command::ListProcesses);
    }
}

fn cell(process: &Process, column: usize) -> Cell {
    let text = match column {
        0 => process.pid.to_string(),
        1 => bytes(process.resident_bytes),
        2 => {
            process.refused.as_ref().map_or_else(|| process.line(), |why| format!("{}: {why}", process.name))
        }
        _ => process.user.clone(),
    };
    Cell { text, is_weak: process.refused.is_some(), ..Cell::default() }
}

/// By what the calls of a process come to the recorder, where there is a choice.
pub fn engines(ui: &mut Ui, model: &Model, form: &mut RecordingForm) {
    let engines = model.processes.ready().map_or(&[][..], |listed| &listed.engines);
    let [usual, _, ..] = engines else { return };
    ui.label("Engine").on_hover_text(
        "By what calls come to the recorder: got changes the words through which modules call malloc, gum its functions.",
    );
    ui.horizontal(|ui| {
        for engine in engines {
            let is_chosen = *engine == form.engine || (form.engine.is_empty() && engine == usual);
            if ui.radio(is_chosen, engine).clicked() {
                form.engine.clone_from(engine);
            }
        }
    });
    ui.end_row();
}
