//! Everything a user can do by name: the one table that the palette, the list of keys and the menu are
//! made of.

use super::command::Command;
use super::shell::{Question, Shell, Zoom};
use crate::model::Model;
use crate::model::runs::RunId;
use crate::model::view::View;
use egui::{InputState, Key, KeyboardShortcut, ModifierNames, Modifiers};

/// Something a user can do.
#[derive(Clone, Debug)]
pub struct Action {
    /// Its name, as on a button: with `…` if it asks for more.
    pub name: String,
    /// What it does, in one sentence.
    pub meaning: &'static str,
    /// Where it belongs.
    pub group: Group,
    /// The keys that do it; the first is shown in menus.
    pub keys: Vec<KeyboardShortcut>,
    deed: Deed,
}

/// Where actions belong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// Traces and files.
    File,
    /// Records.
    Records,
    /// Replays.
    Runs,
    /// Panels, and how everything looks.
    View,
    /// Help.
    Help,
}

impl Group {
    /// All, in the order of the menu.
    pub const ALL: [Group; 5] = [Group::File, Group::Records, Group::Runs, Group::View, Group::Help];

    /// What stands above its actions.
    pub fn title(self) -> &'static str {
        match self {
            Group::File => "File",
            Group::Records => "Records",
            Group::Runs => "Replays",
            Group::View => "Panels and looks",
            Group::Help => "Help",
        }
    }
}

/// What an action is made of; none if it cannot be done now.
#[derive(Clone, Debug)]
enum Deed {
    Always(Command),
    Sometimes(fn(&Model) -> Option<Command>),
}

impl Action {
    /// The command; none if it cannot be done now.
    pub fn command(&self, model: &Model) -> Option<Command> {
        match &self.deed {
            Deed::Always(command) => Some(command.clone()),
            Deed::Sometimes(of) => of(model),
        }
    }

    /// The first of its keys, as they are written on keyboards; empty if it has none.
    pub fn shown_keys(&self) -> String {
        self.keys.first().map_or_else(String::new, written)
    }

    /// All its keys, as they are written on keyboards.
    pub fn all_keys(&self) -> String {
        self.keys.iter().map(written).collect::<Vec<_>>().join("  ")
    }
}

fn written(keys: &KeyboardShortcut) -> String {
    let key = match keys.logical_key {
        Key::Period => ".",
        Key::Comma => ",",
        key => key.symbol_or_name(),
    };
    let modifiers = ModifierNames::NAMES.format(&keys.modifiers, false);
    if modifiers.is_empty() {
        key.to_owned()
    } else {
        format!("{modifiers}{}{key}", ModifierNames::NAMES.concat)
    }
}

const PLAIN: Modifiers = Modifiers::NONE;
const CTRL: Modifiers = Modifiers::COMMAND;
const CTRL_SHIFT: Modifiers = Modifiers::COMMAND.plus(Modifiers::SHIFT);

/// The keys that bring panels to the front, in the order of [`View::ALL`].
const DIGITS: [Key; 9] =
    [Key::Num1, Key::Num2, Key::Num3, Key::Num4, Key::Num5, Key::Num6, Key::Num7, Key::Num8, Key::Num9];

/// All actions.
pub fn all() -> Vec<Action> {
    let mut actions = Vec::new();
    actions.extend(files());
    actions.extend(records());
    actions.extend(runs());
    actions.extend(panels());
    actions.extend(looks());
    actions.extend(help());
    actions
}

/// An action without keys.
fn action(group: Group, name: &str, meaning: &'static str, deed: Deed) -> Action {
    Action { name: name.to_owned(), meaning, group, keys: Vec::new(), deed }
}

impl Action {
    fn by(mut self, modifiers: Modifiers, key: Key) -> Action {
        self.keys.push(KeyboardShortcut::new(modifiers, key));
        self
    }
}

fn shell(shell: Shell) -> Deed {
    Deed::Always(Command::Shell(shell))
}

fn files() -> Vec<Action> {
    let file = |name, meaning, deed| action(Group::File, name, meaning, deed);
    vec![
        file(
            "Open a trace…",
            "Asks for a trace, replays it and shows it.",
            Deed::Sometimes(|model| {
                let asks_itself = model.has_no_dialog;
                Some(if asks_itself { Command::Shell(Shell::Ask(Question::Trace)) } else { Command::Browse })
            }),
        )
        .by(CTRL, Key::O),
        file(
            "Open a trace by its path…",
            "Asks for a path, replays the trace there and shows it.",
            shell(Shell::Ask(Question::Trace)),
        )
        .by(CTRL_SHIFT, Key::O),
        file(
            "Close the trace",
            "Goes back to the opening screen.",
            Deed::Sometimes(|model| model.trace.is_some().then_some(Command::Close)),
        )
        .by(CTRL, Key::W),
        file(
            "Save a picture…",
            "Writes a picture of a panel or of the window, as PNG or SVG.",
            shell(Shell::Ask(Question::Picture)),
        )
        .by(CTRL, Key::S),
        file(
            "Copy command line",
            "Puts the command on the clipboard that shows what is looked at now.",
            Deed::Sometimes(|model| model.trace.is_some().then_some(Command::Shell(Shell::CopyCommandLine))),
        )
        .by(CTRL, Key::L),
        file("Quit", "Closes the window.", shell(Shell::Quit)).by(CTRL, Key::Q),
    ]
}

fn records() -> Vec<Action> {
    let record = |name, meaning, deed| action(Group::Records, name, meaning, deed);
    vec![
        record(
            "Look at a record…",
            "Asks for a record's number and moves the cursor there.",
            Deed::Sometimes(|model| ask(model, Question::Record)),
        )
        .by(CTRL, Key::G),
        record(
            "Look at some records only…",
            "Asks for the first record and the first after the last.",
            Deed::Sometimes(|model| ask(model, Question::Range)),
        )
        .by(CTRL_SHIFT, Key::G),
        record(
            "Look at all records",
            "Forgets the range that was selected.",
            Deed::Sometimes(|model| model.range.map(|_| Command::Select(None))),
        ),
        record(
            "Forget the cursor",
            "Looks at no record in particular.",
            Deed::Sometimes(|model| model.cursor.map(|_| Command::Point(None))),
        ),
        record(
            "Next record",
            "Moves the cursor one record on.",
            Deed::Sometimes(|model| point(model, |at, end| (at < end).then_some(at + 1))),
        )
        .by(PLAIN, Key::Period),
        record(
            "Previous record",
            "Moves the cursor one record back.",
            Deed::Sometimes(|model| point(model, |at, _| at.checked_sub(1))),
        )
        .by(PLAIN, Key::Comma),
        record(
            "First record",
            "Moves the cursor to the beginning of the trace.",
            Deed::Sometimes(|model| point(model, |_, _| Some(0))),
        )
        .by(CTRL, Key::Home),
        record(
            "Last record",
            "Moves the cursor to the end of the trace.",
            Deed::Sometimes(|model| point(model, |_, end| Some(end))),
        )
        .by(CTRL, Key::End),
    ]
}

fn ask(model: &Model, question: Question) -> Option<Command> {
    model.records().map(|_| Command::Shell(Shell::Ask(question)))
}

/// The cursor moved by a function of where it is and of the last place it can be.
fn point(model: &Model, to: fn(u64, u64) -> Option<u64>) -> Option<Command> {
    let end = model.records()?;
    to(model.cursor.unwrap_or(0), end).map(|record| Command::Point(Some(record)))
}

fn runs() -> Vec<Action> {
    let run = |name, meaning, deed| action(Group::Runs, name, meaning, deed);
    vec![
        run(
            "Show the next replay",
            "Has the tables show the replay under the next settings, and after the last that under the recorded.",
            Deed::Sometimes(next_run),
        )
        .by(PLAIN, Key::R),
        run(
            "Forget the replay that is shown",
            "Removes it, and shows that under the recorded settings.",
            Deed::Sometimes(|model| {
                let shown = model.runs.shown().id;
                (shown != RunId::RECORDED).then_some(Command::Forget(shown))
            }),
        ),
        run(
            "Measure differences against the replay that is shown",
            "Has all others compared with it.",
            Deed::Sometimes(|model| {
                let shown = model.runs.shown().id;
                (shown != model.runs.baseline().id).then_some(Command::MeasureAgainst(shown))
            }),
        ),
    ]
}

/// Shows the next run that is ready, if there is another.
fn next_run(model: &Model) -> Option<Command> {
    let ready = || model.runs.all().iter().filter(|run| run.replay.ready().is_some());
    let place = ready().position(|run| run.id == model.runs.shown().id)?;
    let next = ready().cycle().nth(place + 1)?.id;
    (next != model.runs.shown().id).then_some(Command::Show(next))
}

fn panels() -> Vec<Action> {
    let panel = |(view, key): (View, Key)| {
        action(
            Group::View,
            &format!("Show {}", view.title()),
            view.meaning(),
            Deed::Always(Command::Look(view)),
        )
        .by(PLAIN, key)
    };
    View::ALL.into_iter().zip(DIGITS).map(panel).collect()
}

fn looks() -> Vec<Action> {
    let look = |name, meaning, deed| action(Group::View, name, meaning, deed);
    vec![
        look(
            "Show one panel alone, or all",
            "Gives the panel in front all the room, or puts it back.",
            Deed::Sometimes(|model| model.seen().map(|_| Command::Alone(!model.is_alone))),
        )
        .by(PLAIN, Key::M),
        look(
            "Next panel",
            "Brings the next panel to the front.",
            Deed::Sometimes(|model| Some(Command::Look(neighbour(model.front, 1)))),
        )
        .by(CTRL, Key::Tab),
        look(
            "Previous panel",
            "Brings the panel before to the front.",
            Deed::Sometimes(|model| Some(Command::Look(neighbour(model.front, View::ALL.len() - 1)))),
        )
        .by(CTRL_SHIFT, Key::Tab),
        look("Undo", "Takes back the last change of what is looked at.", shell(Shell::Undo)).by(CTRL, Key::Z),
        look("Redo", "Makes the change again that was taken back.", shell(Shell::Redo))
            .by(CTRL_SHIFT, Key::Z)
            .by(CTRL, Key::Y),
        look("Reset layout", "Puts all panels where they were at first.", shell(Shell::ResetLayout)),
        look("Dark or light", "Switches to the other colours.", shell(Shell::Theme)).by(PLAIN, Key::T),
        look("Larger", "Makes everything larger.", shell(Shell::Zoom(Zoom::In)))
            .by(CTRL, Key::Plus)
            .by(CTRL, Key::Equals),
        look("Smaller", "Makes everything smaller.", shell(Shell::Zoom(Zoom::Out))).by(CTRL, Key::Minus),
        look("Normal size", "Makes everything as large as at first.", shell(Shell::Zoom(Zoom::Normal)))
            .by(CTRL, Key::Num0),
        look("Full screen", "Gives the window the whole screen, or takes it back.", shell(Shell::FullScreen))
            .by(PLAIN, Key::F11),
    ]
}

/// The view so many places after another.
fn neighbour(view: View, places: usize) -> View {
    let at = View::ALL.into_iter().position(|other| other == view).unwrap_or(0);
    View::ALL[(at + places) % View::ALL.len()]
}

fn help() -> Vec<Action> {
    let help = |name, meaning, deed| action(Group::Help, name, meaning, deed);
    vec![
        help(
            "Commands…",
            "Finds anything that can be done by some letters of its name.",
            shell(Shell::Ask(Question::Palette)),
        )
        .by(CTRL, Key::P)
        .by(CTRL_SHIFT, Key::P),
        help("Keys", "Lists all keys.", shell(Shell::Ask(Question::Keys)))
            .by(PLAIN, Key::F1)
            .by(PLAIN, Key::Questionmark),
    ]
}

/// What the keys pressed in this frame do. Without `plain` only keys count that write nothing: somebody
/// is typing.
pub fn pressed(input: &mut InputState, actions: &[Action], plain: bool, model: &Model) -> Vec<Command> {
    let writes =
        |keys: &KeyboardShortcut| keys.modifiers.is_none() && !matches!(keys.logical_key, Key::F1 | Key::F11);
    let mut all: Vec<(&KeyboardShortcut, &Action)> = Vec::new();
    for action in actions {
        let keys = action.keys.iter().filter(|keys| plain || !writes(keys));
        all.extend(keys.map(|keys| (keys, action)));
    }
    // Ctrl+Z would take Ctrl+Shift+Z, which therefore comes first.
    all.sort_by_key(|(keys, _)| std::cmp::Reverse(keys.modifiers.shift));
    let done = all.into_iter().filter(|(keys, _)| input.consume_shortcut(keys));
    done.filter_map(|(_, action)| action.command(model)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn names_and_keys_tell_actions_apart() {
        let (mut names, mut keys) = (HashSet::new(), HashSet::new());
        for action in all() {
            assert!(names.insert(action.name.clone()), "{} is there twice", action.name);
            assert!(action.meaning.ends_with('.'), "{}", action.name);
            for key in action.keys {
                assert!(keys.insert(key), "{} shares {key:?}", action.name);
            }
        }
    }

    #[test]
    fn every_panel_has_a_digit() {
        let looks = all().into_iter().filter(|action| matches!(action.deed, Deed::Always(Command::Look(_))));
        assert_eq!(looks.count(), View::ALL.len(), "there are more panels than digits");
    }

    #[test]
    fn next_and_previous_lead_around() {
        let mut view = View::Timeline;
        for _ in View::ALL {
            view = neighbour(view, 1);
        }
        assert_eq!(view, View::Timeline);
        assert_eq!(neighbour(neighbour(view, 1), View::ALL.len() - 1), view);
    }
}
