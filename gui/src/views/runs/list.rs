//! The runs there are, with the numbers that are asked for first.

use crate::app::command::{Command, Commands};
use crate::model::runs::{MOST, Run, RunId};
use crate::model::{Model, Replayed, Tile};
use crate::theme;
use crate::widgets::{message, swatch};
use egui::{
    Align, Button, Grid, Layout, ProgressBar, RadioButton, Response, RichText, Ui, WidgetInfo, WidgetText,
    accesskit::Role, vec2,
};
use malloscope_replayer::report::units::{bytes, count};

/// How wide a run's progress is drawn.
const PROGRESS: f32 = 150.0;
/// How wide a run's name is at most; those who wait over it are told all of it.
const NAME: f32 = 190.0;

/// What stands above the columns, and what it means.
const TITLES: [(&str, &str); 9] = [
    ("", "Whether the run is drawn over the timeline and compared below."),
    ("", "How the run is drawn: its colour, its pattern and its mark."),
    ("Run", "What distinguishes the run; click on it to see it in all tables."),
    ("", "Forget the run, or stop it."),
    ("Against", "The run that the others are measured against."),
    ("Resident, peak", "The most pages in memory at any time."),
    ("Minor faults", "First touches of pages, each a fault."),
    ("System calls", "All that malloc asked of the kernel."),
    ("Fidelity", "The share of placements that are the recorded ones."),
];

/// From this column on, there are numbers, which stand to the right.
const FIRST_NUMBER: usize = 5;
/// How wide a column of numbers is.
const NUMBER: f32 = 84.0;

/// Shows them, one a line.
pub fn ui(ui: &mut Ui, model: &Model, commands: &mut Commands) {
    let grid = Grid::new("runs").num_columns(TITLES.len()).min_col_width(0.0);
    grid.spacing([theme::GAP * 1.25, 4.0]).show(ui, |ui| {
        titles(ui);
        for run in model.runs.all() {
            line(ui, model, run, commands);
            ui.end_row();
        }
    });
    if model.runs.all().len() >= MOST {
        let full = format!("There are {MOST} runs, and that is all there can be: forget some to try others.");
        ui.label(RichText::new(full).color(ui.visuals().warn_fg_color));
    }
    for run in model.runs.all() {
        if let Tile::Failed(failure) = &run.replay {
            message::show(ui, &format!("{}: {}", run.name, failure.what), &failure.next);
        }
    }
}

fn titles(ui: &mut Ui) {
    for (place, (title, meaning)) in TITLES.into_iter().enumerate() {
        let title = RichText::new(title).weak();
        let title = if place < FIRST_NUMBER { ui.label(title) } else { to_the_right(ui, title) };
        title.on_hover_text(meaning);
    }
    ui.end_row();
}

fn to_the_right(ui: &mut Ui, text: impl Into<WidgetText>) -> Response {
    let layout = Layout::right_to_left(Align::Center);
    ui.allocate_ui_with_layout(vec2(NUMBER, theme::ROW), layout, |ui| ui.label(text)).inner
}

fn line(ui: &mut Ui, model: &Model, run: &Run, commands: &mut Commands) {
    let mut is_drawn = run.is_drawn;
    let tick = ui.checkbox(&mut is_drawn, "");
    tick.widget_info(|| WidgetInfo::selected(Role::CheckBox, true, is_drawn, format!("Draw {}", run.name)));
    if tick.on_hover_text(TITLES[0].1).changed() {
        commands.push(Command::Draw(run.id, is_drawn));
    }
    swatch::show(ui, run.id.number());
    let name = ui
        .scope(|ui| {
            ui.set_max_width(NAME);
            let name = Button::selectable(model.runs.shown().id == run.id, &run.name).truncate();
            ui.add(name)
        })
        .inner;
    let is_shown = model.runs.shown().id == run.id;
    name.widget_info(|| WidgetInfo::selected(Role::Button, true, is_shown, format!("Show {}", run.name)));
    let name = name.on_hover_text(format!(
        "{}\nClick to see it in all tables.\nIn a terminal: {}",
        run.name,
        command(model, run)
    ));
    if name.clicked() {
        commands.push(Command::Show(run.id));
    }
    buttons(ui, run, commands);
    let against = ui.add(RadioButton::new(model.runs.baseline().id == run.id, ""));
    let said = || {
        WidgetInfo::selected(
            Role::RadioButton,
            true,
            model.runs.baseline().id == run.id,
            format!("Measure against {}", run.name),
        )
    };
    against.widget_info(said);
    if against.on_hover_text(TITLES[4].1).clicked() {
        commands.push(Command::MeasureAgainst(run.id));
    }
    match &run.replay {
        Tile::Ready(replayed) => numbers(ui, replayed),
        Tile::Loading(progress) => {
            let share =
                progress.and_then(|at| Some(at.done as f32 / at.total.filter(|&total| total > 0)? as f32));
            let text = match progress {
                Some(at) => format!("{} records", count(at.done)),
                None => "waiting…".to_owned(),
            };
            ui.add(ProgressBar::new(share.unwrap_or(0.0)).desired_width(PROGRESS).text(text));
            (0..3).for_each(|_| {
                ui.label("");
            });
        }
        Tile::Failed(_) => {
            ui.label(RichText::new("failed").color(ui.visuals().warn_fg_color));
            (0..3).for_each(|_| {
                ui.label("");
            });
        }
        Tile::Missing => {}
    }
}

fn numbers(ui: &mut Ui, replayed: &Replayed) {
    let outcome = &replayed.report.outcome;
    let fidelity = outcome.fidelity.as_ref().filter(|fidelity| fidelity.placements > 0);
    let fidelity = fidelity
        .map_or_else(|| "–".to_owned(), |fidelity| format!("{:.4} %", fidelity.percent_rounded_down()));
    let numbers = [
        bytes(outcome.measured.peaks.resident.bytes),
        count(outcome.measured.faults),
        count(outcome.kernel.total()),
        fidelity,
    ];
    for number in numbers {
        to_the_right(ui, number);
    }
}

fn buttons(ui: &mut Ui, run: &Run, commands: &mut Commands) {
    if run.id == RunId::RECORDED {
        ui.label("");
        return;
    }
    let named = |what: &str| format!("{what} {}", run.name);
    ui.horizontal(|ui| {
        let mut button = |what: &str, sign: &str, command: Command| {
            let button = ui.small_button(sign);
            button.widget_info(|| WidgetInfo::labeled(Role::Button, true, named(what)));
            if button.on_hover_text(named(what)).clicked() {
                commands.push(command);
            }
        };
        match &run.replay {
            Tile::Loading(_) => button("Cancel", "×", Command::Cancel(run.id)),
            Tile::Failed(_) => {
                button("Retry", "retry", Command::Retry(run.id));
                button("Remove", "×", Command::Forget(run.id));
            }
            _ => button("Remove", "×", Command::Forget(run.id)),
        }
    });
}

/// What would print the same in a terminal.
fn command(model: &Model, run: &Run) -> String {
    let trace = model.trace.as_deref().map(|trace| trace.display().to_string()).unwrap_or_default();
    let words = ["malloscope".to_owned(), "replay".to_owned(), trace].into_iter().chain(run.trial.options());
    words.map(|word| quoted(&word)).collect::<Vec<_>>().join(" ")
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let is_plain = |char: char| char.is_ascii_alphanumeric() || "-_=./:,+".contains(char);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}
