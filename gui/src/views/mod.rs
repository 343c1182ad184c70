//! One panel each: they read the model and send commands.

mod allocations;
mod asking;
mod bins;
mod filter;
mod flame;
mod head;
mod loading;
mod map;
mod menu;
mod opening;
mod panels;
mod range;
mod recording;
mod runs;
mod sections;
mod served;
mod sites;
mod so_far;
mod timeline;

use crate::app::actions::Action;
use crate::app::command::{Command, Commands};
use crate::app::shell::Question;
use crate::model::layout::Layout;
use crate::model::runs::RunId;
use crate::model::view::View;
use crate::model::{Model, Replayed, Tile};
use crate::theme;
use crate::widgets::message;
use crate::widgets::toast::Toast;
use asking::Asking;
use egui::{CentralPanel, Context, Frame, Panel, Rect, RichText, ScrollArea, Ui};
use panels::Panels;

/// What the views remember that is nobody else's business.
#[derive(Clone, Debug, Default)]
pub struct Views {
    opening: opening::Opening,
    runs: runs::RunsView,
    timeline: timeline::TimelineView,
    bins: bins::BinsView,
    served: served::ServedView,
    map: map::Map,
    panels: Panels,
    /// Where a panel is that is shown alone.
    alone: Option<Rect>,
    asking: Asking,
    toast: Toast,
    flame: flame::FlameView,
    sites: sites::SitesView,
    allocations: allocations::AllocationsView,
}

impl Views {
    /// Shows all there is.
    pub fn ui(&mut self, ui: &mut Ui, model: &Model, actions: &[Action], commands: &mut Commands) {
        Panel::top("bar").frame(panel()).show(ui, |ui| head::bar(ui, model, actions, commands));
        match model.recorded() {
            Tile::Missing | Tile::Loading(_) if let Some(seen) = model.seen() => {
                self.replayed(ui, model, seen, commands);
            }
            Tile::Missing => centre(ui, |ui| self.opening.ui(ui, model, commands)),
            Tile::Loading(progress) => centre(ui, |ui| {
                loading::ui(ui, "Replaying", *progress, || commands.push(Command::Cancel(RunId::RECORDED)));
            }),
            Tile::Failed(failure) => centre(ui, |ui| {
                message::show(ui, &failure.what, &failure.next);
                ui.add_space(theme::WIDE_GAP);
                self.opening.ui(ui, model, commands);
            }),
            Tile::Ready(recorded) => self.replayed(ui, model, recorded, commands),
        }
        self.asking.ui(ui.ctx(), model, actions, commands);
        self.toast.ui(ui.ctx());
    }

    fn replayed(&mut self, ui: &mut Ui, model: &Model, recorded: &Replayed, commands: &mut Commands) {
        if recorded.report.outcome.so_far.is_some() {
            Panel::top("so far").frame(panel()).show(ui, |ui| so_far::ui(ui, model, commands));
        }
        let figures = model.ranged.ready().unwrap_or(recorded);
        Panel::top("figures").frame(panel()).show(ui, |ui| head::figures(ui, figures));
        if model.range.is_some() {
            Panel::top("range").frame(panel()).show(ui, |ui| range::ui(ui, model, recorded, commands));
        }
        let (mut clicked, mut back) = (None, false);
        CentralPanel::default().frame(Frame::NONE).show(ui, |ui| {
            let Views { panels, runs, timeline, bins, served, map, flame, sites, allocations, alone, .. } =
                self;
            let mut show = |ui: &mut Ui, view: View| match view {
                _ if model.is_awaited(view) => so_far::awaited(ui, model),
                View::Timeline => timeline.ui(ui, model, recorded, commands),
                View::Bins => bins.ui(ui, model, commands),
                View::Served => served.ui(ui, model, commands),
                View::Map => map.ui(ui, model, commands),
                View::Flame => flame.ui(ui, model, commands),
                View::Sites => sites.ui(ui, model, commands),
                View::Allocations => allocations.ui(ui, model, commands),
                View::Runs => scrolled(ui, |ui| runs.ui(ui, model, recorded, commands)),
                View::Report => scrolled(ui, |ui| sections::ui(ui, model)),
            };
            if model.is_alone {
                *alone = Some(ui.max_rect());
                back = alone_bar(ui, model.front);
                panel().show(ui, |ui| show(ui, model.front));
            } else {
                *alone = None;
                clicked = panels.ui(ui, &mut show);
            }
        });
        if back {
            commands.push(Command::Alone(false));
        }
        commands.extend(clicked.map(Command::Look));
    }

    /// Brings a panel to the front.
    pub fn look(&mut self, view: View) {
        self.panels.look(view);
    }

    /// Asks something, in place of what may have been asked.
    pub fn ask(&mut self, question: Question, model: &Model) {
        self.asking = Asking::ask(question, model);
    }

    /// Whether something is being asked, so that keys are for the answer.
    pub fn is_asking(&self) -> bool {
        self.asking.is_asking()
    }

    /// Says something for some seconds.
    pub fn say(&mut self, text: impl Into<String>, context: &Context) {
        self.toast.say(text, context);
    }

    /// Where the panels are.
    pub fn layout(&self) -> Option<Layout> {
        self.panels.layout()
    }

    /// Puts the panels as in a layout, or as at first.
    pub fn arrange(&mut self, layout: Option<&Layout>) {
        self.panels = layout.map_or_else(Panels::default, Panels::of);
    }

    /// Where a panel is, in points, if it can be seen.
    pub fn place(&self, view: View) -> Option<Rect> {
        self.alone.or_else(|| self.panels.place(view))
    }
}

/// What a panel is that is shown alone; whether all are wanted back.
fn alone_bar(ui: &mut Ui, view: View) -> bool {
    let bar = Panel::top("alone").frame(panel()).show(ui, |ui| {
        ui.horizontal(|ui| {
            ui.label(RichText::new(view.title()).strong()).on_hover_text(view.meaning());
            ui.button("All panels").on_hover_text("Show all panels again (M)").clicked()
        })
    });
    bar.inner.inner
}

/// What is shown where work was stopped, and how it goes on.
fn stopped(ui: &mut Ui, go_on: impl FnOnce()) {
    ui.label("You have stopped this.");
    if ui.button("Go on").clicked() {
        go_on();
    }
}

fn scrolled(ui: &mut Ui, add: impl FnOnce(&mut Ui)) {
    ScrollArea::both().auto_shrink(false).show(ui, add);
}

/// What a panel lies in. It is not filled: the ground is of its colour already, and to paint the window once
/// more is the most expensive part of a frame where there is no graphics processor.
fn panel() -> Frame {
    Frame::new().inner_margin(theme::MARGIN)
}

/// In the middle, as wide as is good to read.
fn centre(ui: &mut Ui, add: impl FnOnce(&mut Ui)) {
    CentralPanel::default().frame(panel()).show(ui, |ui| {
        let above = ui.available_height() * 0.1;
        let side = ((ui.available_width() - theme::READING_WIDTH) / 2.0).max(0.0);
        ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
            ui.add_space(above);
            ui.horizontal(|ui| {
                ui.add_space(side);
                ui.vertical(|ui| {
                    ui.set_max_width(theme::READING_WIDTH);
                    add(ui);
                });
            });
        });
    });
}
