//! The flamegraph: what it is of, what is searched for, the picture, and the same as a tree of rows.

mod chart;
mod rows;
mod source;
mod tools;

use super::filter::FilterBar;
use super::loading;
use crate::app::command::{Command, Commands};
use crate::model::failure::Failure;
use crate::model::flame::FlameCommand;
use crate::model::stacks::sources;
use crate::model::view::View;
use crate::model::{Model, Tile};
use crate::widgets::message;
use egui::{Panel, Ui};
use malloscope_replayer::run::Progress;

/// From this width on, the rows are beside the picture, and not below it.
const WIDE: f32 = 760.0;

/// Below this height there is no room for both.
const HIGH: f32 = 180.0;

/// What the flamegraph remembers that is nobody else's business.
#[derive(Clone, Debug, Default)]
pub struct FlameView {
    tools: tools::Tools,
    filter: FilterBar,
    chart: chart::Chart,
    rows: rows::Rows,
    source: source::SourceView,
}

impl FlameView {
    /// Shows the flamegraph, or why there is none.
    pub fn ui(&mut self, ui: &mut Ui, model: &Model, commands: &mut Commands) {
        let state = State::of(model);
        if model.flame.is_stopped {
            super::stopped(ui, || commands.push(Command::Flame(FlameCommand::Want)));
            return;
        }
        if wants_work(model, &state) {
            commands.push(Command::Flame(FlameCommand::Want));
        }
        if let State::Failed(failure) = state
            && model.stacks.legend.ready().is_none()
        {
            message::show(ui, &failure.what, &failure.next);
            return;
        }
        ui.horizontal_wrapped(|ui| {
            self.tools.ui(ui, model, commands);
            if let (State::Loading(what, progress), Some(_)) = (&state, &model.flame.picture) {
                loading::small(ui, what, *progress, || commands.push(Command::Flame(FlameCommand::Cancel)));
            }
        });
        self.filter.ui(ui, model, View::Flame, commands);
        if let State::Failed(failure) = state {
            message::show(ui, &failure.what, &failure.next);
        }
        let Some(picture) = &model.flame.picture else {
            if let State::Loading(what, progress) = state {
                loading::ui(ui, &what, progress, || commands.push(Command::Flame(FlameCommand::Cancel)));
            }
            return;
        };
        tools::said(ui, picture, model, commands);
        if picture.tree.root().width <= 0.0 {
            let unit = picture.unit().name();
            ui.label(format!("There is nothing to draw: no stack has caused any {unit} here."));
            return;
        }
        let (width, height) = (ui.available_width(), ui.available_height());
        let rows = if width >= WIDE {
            Panel::right("flame rows").default_size(width * 0.4).size_range(240.0..=width * 0.8)
        } else {
            Panel::bottom("flame rows below").default_size(height * 0.4).size_range(60.0..=height * 0.8)
        };
        let frame = egui::Frame::new().inner_margin(crate::theme::GAP / 2.0);
        if width >= WIDE || height >= HIGH {
            rows.resizable(true).frame(frame).show(ui, |ui| self.rows.ui(ui, picture, commands));
        }
        if model.flame.shows_source && height >= HIGH {
            let panel =
                Panel::bottom("flame source").default_size(height * 0.35).size_range(60.0..=height * 0.8);
            panel
                .resizable(true)
                .frame(frame)
                .show(ui, |ui| self.source.ui(ui, picture, &model.flame.source));
        }
        self.chart.ui(ui, picture, model.flame.grows_upward, commands);
    }
}

/// How it is with what was asked for.
enum State<'a> {
    /// It is being made.
    Loading(String, Option<Progress>),
    /// It came to nothing.
    Failed(&'a Failure),
    /// There is all for it.
    Ready,
}

impl State<'_> {
    fn of(model: &Model) -> State<'_> {
        match &model.stacks.legend {
            Tile::Failed(failure) => return State::Failed(failure),
            Tile::Loading(_) => {
                let place = &model.stacks.looking;
                let what = if place.is_empty() {
                    "Reading stacks".to_owned()
                } else {
                    format!("Finding names: {place}")
                };
                return State::Loading(what, None);
            }
            Tile::Missing | Tile::Ready(_) => {}
        }
        let recipe = &model.flame.recipe;
        let waits = recipe.filter.needs_servings() && !recipe.what.needs_replay();
        match &model.stacks.servings {
            Tile::Failed(failure) if waits => return State::Failed(failure),
            Tile::Loading(progress) if waits => {
                return State::Loading("Replaying to know who served them".to_owned(), *progress);
            }
            _ => {}
        }
        for &source in sources(recipe.what, recipe.compares) {
            match model.stacks.by(source) {
                Tile::Failed(failure) => return State::Failed(failure),
                Tile::Loading(progress) => {
                    let what =
                        if recipe.what.needs_replay() { "Replaying for the flamegraph" } else { "Reading" };
                    return State::Loading(what.to_owned(), *progress);
                }
                Tile::Missing | Tile::Ready(_) => {}
            }
        }
        State::Ready
    }
}

/// Whether there is something to be begun: once, and not in every frame until it is done.
fn wants_work(model: &Model, state: &State<'_>) -> bool {
    let flame = &model.flame;
    matches!(state, State::Ready) && (!flame.is_wanted || flame.asked.as_ref() != Some(&flame.recipe))
}
