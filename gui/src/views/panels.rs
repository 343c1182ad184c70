//! Where the panels are: beside and above each other, or behind one another as tabs.

use crate::model::view::View;
use crate::theme;
use egui::{Id, Response, Ui, WidgetText};
use egui_tiles::{
    Behavior, Container, Linear, LinearDir, SimplificationOptions, Tabs, TileId, Tiles, Tree, UiResponse,
};

/// How much of the height the timeline has at first.
const TIMELINE: f32 = 0.42;
/// How much of the width the panels at the left have at first.
const LEFT: f32 = 0.6;

/// The arrangement of panels.
#[derive(Clone, Debug)]
pub struct Panels {
    tree: Tree<View>,
}

impl Default for Panels {
    /// The timeline above, the bins and what is like them below, and beside them what is read.
    fn default() -> Panels {
        let mut tiles = Tiles::default();
        let mut tabs = |views: &[View]| {
            let panes = views.iter().map(|view| tiles.insert_pane(*view)).collect();
            tiles.insert_container(Container::Tabs(Tabs::new(panes)))
        };
        let timeline = tabs(&[View::Timeline]);
        let left = tabs(&[View::Bins, View::Served, View::Map]);
        let right = tabs(&[View::Runs, View::Report]);
        let below = tiles.insert_container(shared(LinearDir::Horizontal, left, right, LEFT));
        let root = tiles.insert_container(shared(LinearDir::Vertical, timeline, below, TIMELINE));
        Panels { tree: Tree::new(Id::unique("panels"), root, tiles) }
    }
}

/// Two beside each other; `share` is the first one's.
fn shared(direction: LinearDir, first: TileId, second: TileId, share: f32) -> Container {
    let mut linear = Linear::new(direction, vec![first, second]);
    linear.shares.set_share(first, share);
    linear.shares.set_share(second, 1.0 - share);
    Container::Linear(linear)
}

impl Panels {
    /// Shows all panels; what is in one is shown by `show`.
    pub fn ui(&mut self, ui: &mut Ui, show: &mut dyn FnMut(&mut Ui, View)) {
        self.tree.ui(&mut Arrangement { show }, ui);
    }

    /// Brings a panel to the front.
    pub fn look(&mut self, view: View) {
        self.tree.make_active(|_, tile| matches!(tile, egui_tiles::Tile::Pane(pane) if *pane == view));
    }
}

/// What the library asks of us.
struct Arrangement<'a> {
    show: &'a mut dyn FnMut(&mut Ui, View),
}

impl Behavior<View> for Arrangement<'_> {
    fn pane_ui(&mut self, ui: &mut Ui, _: TileId, view: &mut View) -> UiResponse {
        super::panel(ui).show(ui, |ui| {
            ui.set_min_size(ui.available_size());
            (self.show)(ui, *view);
        });
        UiResponse::None
    }

    fn tab_title_for_pane(&mut self, view: &View) -> WidgetText {
        view.title().into()
    }

    fn on_tab_button(&mut self, tiles: &mut Tiles<View>, tile: TileId, button: Response) -> Response {
        match tiles.get_pane(&tile) {
            Some(view) => button.on_hover_text(view.meaning()),
            None => button,
        }
    }

    fn simplification_options(&self) -> SimplificationOptions {
        // A panel alone keeps its tab: it is the handle to drag it by, and says what it is.
        SimplificationOptions { all_panes_must_have_tabs: true, ..SimplificationOptions::default() }
    }

    fn gap_width(&self, _: &egui::Style) -> f32 {
        theme::DIVIDER
    }
}
