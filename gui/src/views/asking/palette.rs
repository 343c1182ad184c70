//! All commands, found by some letters of their names.

use super::Answered;
use crate::app::actions::Action;
use crate::app::command::{Command, Commands};
use crate::model::{Model, matching, span};
use crate::theme;
use egui::{Button, Key, Modifiers, RichText, ScrollArea, TextEdit, Ui};
use malloscope_replayer::report::units::count;
use std::cmp::Reverse;

/// How many are seen at once, in points.
const HEIGHT: f32 = 320.0;

/// The palette.
#[derive(Clone, Debug, Default)]
pub struct Palette {
    typed: String,
    chosen: usize,
}

/// A line of the palette.
struct Line<'a> {
    name: String,
    meaning: &'a str,
    keys: String,
    command: Option<Command>,
}

impl Palette {
    /// Shows the field and what its letters name, the best first.
    pub fn ui(
        &mut self,
        ui: &mut Ui,
        model: &Model,
        actions: &[Action],
        commands: &mut Commands,
    ) -> Answered {
        ui.set_width(theme::READING_WIDTH);
        let moved = ui.input_mut(|input| {
            let down = input.count_and_consume_key(Modifiers::NONE, Key::ArrowDown);
            let up = input.count_and_consume_key(Modifiers::NONE, Key::ArrowUp);
            (down, up)
        });
        let label = ui.label(RichText::new("Commands").strong());
        let field = TextEdit::singleline(&mut self.typed)
            .hint_text("Letters of a name, a record, or records as 100..200")
            .desired_width(f32::INFINITY);
        let field = ui.add(field).labelled_by(label.id);
        field.request_focus();
        if field.changed() {
            self.chosen = 0;
        }
        let mut lines = lines(&self.typed, model, actions);
        self.chosen = (self.chosen + moved.0).min(lines.len().saturating_sub(1)).saturating_sub(moved.1);
        let entered = ui.input(|input| input.key_pressed(Key::Enter));
        let mut taken = entered.then_some(self.chosen);
        ScrollArea::vertical()
            .max_height(HEIGHT)
            .min_scrolled_height(HEIGHT)
            .auto_shrink([false, true])
            .show(ui, |ui| {
                for (number, line) in lines.iter().enumerate() {
                    let button = Button::selectable(number == self.chosen, line.name.as_str())
                        .shortcut_text(line.keys.as_str())
                        .min_size(egui::vec2(ui.available_width(), theme::ROW));
                    let shown = ui.add_enabled(line.command.is_some(), button).on_hover_text(line.meaning);
                    if number == self.chosen && moved != (0, 0) {
                        shown.scroll_to_me(None);
                    }
                    if shown.clicked() {
                        taken = Some(number);
                    }
                }
            });
        let said = lines.get(self.chosen).map_or("Nothing has such a name.", |line| line.meaning);
        ui.label(RichText::new(said).weak());
        match taken.filter(|&number| number < lines.len()).map(|number| lines.swap_remove(number).command) {
            Some(Some(command)) => {
                commands.push(command);
                Answered::Done
            }
            _ => Answered::NotYet,
        }
    }
}

fn lines<'a>(typed: &str, model: &Model, actions: &'a [Action]) -> Vec<Line<'a>> {
    let mut lines = Vec::new();
    lines.extend(number(typed, model));
    let found = actions.iter().filter_map(|action| {
        let score = matching::score(typed, &action.name)?;
        Some((action.command(model), score, action))
    });
    let mut found: Vec<(Option<Command>, u32, &Action)> = found.collect();
    // What cannot be done now comes last; equals stay in the order of the table.
    found.sort_by_key(|(command, score, _)| (command.is_none(), Reverse(*score)));
    lines.extend(found.into_iter().map(|(command, _, action)| Line {
        name: action.name.clone(),
        meaning: action.meaning,
        keys: action.shown_keys(),
        command,
    }));
    lines
}

/// Where numbers lead.
fn number(typed: &str, model: &Model) -> Option<Line<'static>> {
    let end = model.records()?;
    let line = |name, meaning, command| Line { name, meaning, keys: String::new(), command: Some(command) };
    if let Ok((first, after)) = span::range(typed) {
        let name = format!("Look at records {} to {} only", count(first), count(after));
        let meaning = "The first of them, and the first that does not belong to them.";
        return Some(line(name, meaning, Command::Select(Some((first, after.min(end))))));
    }
    let record = span::record(typed).ok()?.min(end);
    let name = format!("Look at record {}", count(record));
    Some(line(name, "Moves the cursor there.", Command::Point(Some(record))))
}
