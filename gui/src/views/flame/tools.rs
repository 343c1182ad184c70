//! What can be asked of the flamegraph, and what it says of itself.

use crate::app::command::{Command, Commands};
use crate::model::Model;
use crate::model::flame::picture::{Picture, unnamed};
use crate::model::flame::{FlameCommand, command, quoted};
use crate::theme;
use egui::{
    ComboBox, Label, Rect, RichText, Sense, TextEdit, TextStyle, Ui, Vec2, WidgetInfo, accesskit::Role, pos2,
    vec2,
};
use malloscope_replayer::blame::What;
use malloscope_replayer::report::units::count;

/// The width of the field for a search.
const SEARCH: f32 = 130.0;

/// The fields, as they are being typed.
#[derive(Clone, Debug, Default)]
pub struct Tools {
    search: String,
}

impl Tools {
    /// What can be asked of it.
    pub fn ui(&mut self, ui: &mut Ui, model: &Model, commands: &mut Commands) {
        let recipe = &model.flame.recipe;
        let mut ask = |command| commands.push(Command::Flame(command));
        ui.spacing_mut().item_spacing.x = theme::GAP / 2.0;
        what(ui, recipe.what, &mut ask);
        ui.add_space(theme::GAP);
        let shape = &recipe.shape;
        toggle(
            ui,
            shape.is_inverted,
            "Callers",
            "Put the functions that ask for memory themselves at the root, and their callers above them.",
        )
        .then(|| ask(FlameCommand::Invert(!shape.is_inverted)));
        toggle(ui, shape.merges_recursion, "Merge recursion", "Show a function that calls itself once.")
            .then(|| ask(FlameCommand::MergeRecursion(!shape.merges_recursion)));
        let upward = model.flame.grows_upward;
        toggle(
            ui,
            upward,
            "Flames",
            "Put the root below and let what it calls grow upward, instead of hanging down like icicles.",
        )
        .then(|| ask(FlameCommand::GrowUpward(!upward)));
        let shows = model.flame.shows_source;
        toggle(
            ui,
            shows,
            "Source",
            "Show the source of the function that is looked at, where the file is at hand.",
        )
        .then(|| ask(FlameCommand::Source(!shows)));
        self.compare(ui, model, &mut ask);
        ui.add_space(theme::GAP);
        let label = ui.label("Search").on_hover_text(
            "Marks functions that have this text in their name or their module, in capitals or not.",
        );
        let field = TextEdit::singleline(&mut self.search).desired_width(SEARCH).hint_text("a name");
        if ui.add(field).labelled_by(label.id).changed() {
            ask(FlameCommand::Search(self.search.clone()));
        }
        if let Some(picture) = model.flame.picture.as_ref().filter(|picture| picture.is_searched()) {
            found(ui, picture);
            if ui.button("×").on_hover_text("Search for nothing").clicked() {
                self.search.clear();
                ask(FlameCommand::Search(String::new()));
            }
        }
    }

    fn compare(&self, ui: &mut Ui, model: &Model, ask: &mut impl FnMut(FlameCommand)) {
        let Some(other) = model.compared() else { return };
        let recipe = &model.flame.recipe;
        let can = recipe.what.needs_replay();
        let meaning = if can {
            "Show what is different under the other settings: blue with ▼ is less, orange with ▲ is more. A function is as wide as the greater of the two."
        } else {
            "This is what the program did, whatever the settings: choose one of those that come from a replay."
        };
        let name = format!("Compare with {}", other.name);
        let is_on = recipe.compares && can;
        let button = ui.add_enabled_ui(can, |ui| ui.selectable_label(is_on, name)).inner;
        if button.on_hover_text(meaning).on_disabled_hover_text(meaning).clicked() {
            ask(FlameCommand::Compare(!is_on));
        }
    }
}

/// The choice of what it is of.
fn what(ui: &mut Ui, chosen: What, ask: &mut impl FnMut(FlameCommand)) {
    let combo = ComboBox::from_id_salt("flame of").selected_text(chosen.title()).width(200.0).height(460.0);
    let shown = combo.show_ui(ui, |ui| {
        for what in What::ALL {
            if what == What::Bytes {
                ui.label(RichText::new("What the program did").small().weak());
            } else if what == What::Pinned {
                ui.separator();
                ui.label(RichText::new("What malloc did: a replay finds out").small().weak());
            }
            let title = match what {
                What::TemporaryBytes | What::Temporary10Bytes => format!("{}, in bytes", what.title()),
                _ => what.title().to_owned(),
            };
            if ui.selectable_label(what == chosen, title).on_hover_text(sentence(what.help())).clicked() {
                ask(FlameCommand::Of(what));
            }
        }
    });
    shown.response.on_hover_text(sentence(chosen.help()));
}

fn sentence(help: &str) -> String {
    format!("{}.", help.trim_end_matches(" (from a replay, as all below)"))
}

fn toggle(ui: &mut Ui, is_on: bool, name: &str, meaning: &str) -> bool {
    ui.selectable_label(is_on, name).on_hover_text(meaning).clicked()
}

fn found(ui: &mut Ui, picture: &Picture) {
    let functions = picture.functions_found();
    let amounts = picture.found();
    let text = format!("{} of {}", picture.percent(amounts), picture.unit().name());
    ui.label(RichText::new(text).strong()).on_hover_text(format!(
        "{} in stacks in view that have what is searched for ({functions} functions); each stack counts once, however many of its functions are found.",
        picture.shown(amounts)
    ));
}

/// What it says of itself: how much in all, what is left out, and whose colours are whose.
pub fn said(ui: &mut Ui, picture: &Picture, model: &Model, commands: &mut Commands) {
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing.x = theme::GAP;
        total(ui, picture);
        records(ui, picture);
        left_out(ui, picture, commands);
        if picture.zoom() != 0 {
            let text = format!("in view {}", picture.said(picture.zoom()));
            ui.add(Label::new(RichText::new(text)).truncate());
            if ui.button("Back").on_hover_text("Back to where it was before (Escape)").clicked() {
                commands.push(Command::Flame(FlameCommand::Back));
            }
            if ui.button("All").on_hover_text("The whole width for everything").clicked() {
                commands.push(Command::Flame(FlameCommand::Zoom(0)));
            }
        }
        if picture.tree.is_difference {
            swatch(
                ui,
                theme::difference(ui.visuals(), -0.6),
                "▼ less",
                "It is less under the other settings.",
            );
            swatch(
                ui,
                theme::difference(ui.visuals(), 0.6),
                "▲ more",
                "It is more under the other settings.",
            );
        } else {
            for (number, module) in picture.modules().enumerate() {
                let meaning = format!("Bars of this colour are functions of {module}.");
                swatch(ui, theme::frame(ui.visuals(), number, 1), module, &meaning);
            }
            if picture.has_other_modules() {
                let meaning = "Bars of this colour are functions of modules that take less room.";
                swatch(ui, theme::frame(ui.visuals(), usize::MAX, 1), "other modules", meaning);
            }
        }
        if let Some(trace) = &model.trace {
            copy(ui, picture, model, trace);
            unknown(ui, picture, trace);
        }
    });
}

fn total(ui: &mut Ui, picture: &Picture) {
    let unit = picture.unit();
    let totals = picture.totals;
    let text = match totals.second {
        Some(second) => format!(
            "{} → {} ({})",
            unit.shown(totals.counted),
            unit.shown(second),
            unit.shown_signed(second - totals.counted)
        ),
        None => unit.shown(totals.counted),
    };
    let filter = &picture.recipe.filter;
    let text = match filter.is_all() {
        true => text,
        false => format!("{text} of {} ({})", unit.shown(totals.counted + totals.left_out), filter.said()),
    };
    let meaning = format!(
        "All {} there were, whoever caused them, counted: the same number as in the report. The root of the picture is {}.",
        unit.name(),
        unit.shown(picture.tree.root().total.first),
    );
    ui.label(RichText::new(format!("Total {text}")).strong()).on_hover_text(meaning);
    if let Some(error) = totals.error {
        let estimated = unit.shown(picture.tree.root().total.first);
        ui.label(RichText::new(format!("estimated {estimated} ± {}", unit.shown(error))).weak()).on_hover_text(
            "Stacks were sampled: a call that has one stands for others like it. Behind ± is the standard error of the sum.",
        );
    }
}

/// Of which records it is, if not of all.
fn records(ui: &mut Ui, picture: &Picture) {
    let Some((first, end)) = picture.recipe.range else { return };
    if picture.recipe.range_in_use().is_some() {
        let text = format!("in records {} to {}", count(first), count(end.saturating_sub(1)));
        ui.label(text).on_hover_text(
            "As if the trace were these records alone: what was allocated before them does not count.",
        );
    } else {
        ui.label("in the whole trace").on_hover_text(
            "What malloc did is found out by a replay, which is of the whole trace: the range does not change it.",
        );
    }
}

fn left_out(ui: &mut Ui, picture: &Picture, commands: &mut Commands) {
    let shape = &picture.recipe.shape;
    if shape.focus.is_none() && shape.hidden.is_empty() {
        return;
    }
    let mut parts = Vec::new();
    if let Some(focus) = shape.focus {
        parts.push(format!("only stacks with {}", picture.legend.get(focus).name));
    }
    if !shape.hidden.is_empty() {
        let names: Vec<&str> =
            shape.hidden.iter().map(|&function| picture.legend.get(function).name.as_str()).collect();
        parts.push(format!("without {}", names.join(", ")));
    }
    let text = format!("{} ({} left out)", parts.join(", "), picture.shown(picture.tree.left_out));
    ui.add(Label::new(text).truncate());
    if ui.button("Show all").on_hover_text("Leave no stack out").clicked() {
        commands.push(Command::Flame(FlameCommand::ShowAll));
    }
}

/// What a colour stands for: in one piece, which goes to the next line where there is no room.
fn swatch(ui: &mut Ui, colour: egui::Color32, name: &str, meaning: &str) {
    const SQUARE: f32 = 10.0;
    let font = TextStyle::Small.resolve(ui.style());
    let galley = ui.painter().layout_no_wrap(shortened(name), font, ui.visuals().text_color());
    let size = vec2(SQUARE + theme::GAP / 2.0 + galley.size().x, ui.spacing().interact_size.y);
    let (rect, response) = ui.allocate_exact_size(size, Sense::hover());
    let square =
        Rect::from_center_size(pos2(rect.left() + SQUARE / 2.0, rect.center().y), Vec2::splat(SQUARE));
    ui.painter().rect_filled(square, 1.0, colour);
    let at = pos2(rect.right() - galley.size().x, rect.center().y - galley.size().y / 2.0);
    ui.painter().galley(at, galley, ui.visuals().text_color());
    response.widget_info(|| WidgetInfo::labeled(Role::Label, true, name));
    response.on_hover_text(meaning);
}

/// A name that is not in the way of others.
fn shortened(name: &str) -> String {
    const LONGEST: usize = 28;
    match name.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &name[..end]),
        None => name.to_owned(),
    }
}

fn copy(ui: &mut Ui, picture: &Picture, model: &Model, trace: &std::path::Path) {
    let recipe = &picture.recipe;
    let compares = recipe.compares && recipe.what.needs_replay();
    let other = model.compared().filter(|_| compares).map(|run| &run.trial);
    let Some(line) = command(trace, recipe, &picture.legend, other) else { return };
    let meaning = format!("Copies the command that draws the same:\n{line}");
    if ui.button("Copy command").on_hover_text(meaning).clicked() {
        ui.ctx().copy_text(line);
    }
}

fn unknown(ui: &mut Ui, picture: &Picture, trace: &std::path::Path) {
    let Some(share) = unnamed(&picture.legend) else { return };
    let command = format!("malloscope symbolize {}", quoted(&trace.to_string_lossy()));
    let text = format!("{share} of functions have no name");
    let colour = ui.visuals().warn_fg_color;
    ui.label(RichText::new(text).small().color(colour)).on_hover_text(format!(
        "They are shown as module+offset: their programs' symbols were not found. This says what is missing, and where to get it:\n{command}"
    ));
}
