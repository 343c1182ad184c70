//! Where the panels are: beside and above each other, or behind one another as tabs.

use crate::model::layout::Layout;
use crate::model::view::View;
use crate::theme;
use egui::{Id, Rect, Response, Ui, WidgetText};
use egui_tiles::{
    Behavior, Container, Linear, LinearDir, SimplificationOptions, Tabs, Tile, TileId, Tiles, Tree,
    UiResponse,
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
        let left = tabs(&[View::Bins, View::Served, View::Map, View::Flame, View::Sites, View::Allocations]);
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
    /// The arrangement of a layout.
    pub fn of(layout: &Layout) -> Panels {
        let mut tiles = Tiles::default();
        let root = insert(&mut tiles, layout);
        Panels { tree: Tree::new(Id::unique("panels"), root, tiles) }
    }

    /// The layout of the arrangement.
    pub fn layout(&self) -> Option<Layout> {
        extract(&self.tree.tiles, self.tree.root()?)
    }

    /// Shows all panels; what is in one is shown by `show`. The answer is the panel whose tab the user
    /// has clicked.
    pub fn ui(&mut self, ui: &mut Ui, show: &mut dyn FnMut(&mut Ui, View)) -> Option<View> {
        let before = self.fronts();
        self.tree.ui(&mut Arrangement { show }, ui);
        let mut new = self.fronts();
        new.retain(|tile| !before.contains(tile));
        // Whatever else changes who is in front changes more than one.
        match new[..] {
            [tile] if !before.is_empty() => self.tree.tiles.get_pane(&tile).copied(),
            _ => None,
        }
    }

    /// The panels that can be seen.
    fn fronts(&self) -> Vec<TileId> {
        let tiles = self.tree.active_tiles().into_iter();
        tiles.filter(|tile| self.tree.tiles.get_pane(tile).is_some()).collect()
    }

    /// Where a panel is, in points, when all were shown last.
    pub fn place(&self, view: View) -> Option<Rect> {
        self.tree.tiles.rect(self.tree.tiles.find_pane(&view)?)
    }

    /// Brings a panel to the front.
    pub fn look(&mut self, view: View) {
        self.tree.make_active(|_, tile| matches!(tile, Tile::Pane(pane) if *pane == view));
    }
}

/// Nested no deeper than the file it was read from may be.
fn insert(tiles: &mut Tiles<View>, layout: &Layout) -> TileId {
    let (direction, parts) = match layout {
        Layout::Panel(view) => return tiles.insert_pane(*view),
        Layout::Tabs(tabs, front) => {
            let tabs: Vec<TileId> = tabs.iter().map(|tab| insert(tiles, tab)).collect();
            let active = tabs.get(*front).copied();
            return tiles.insert_container(Container::Tabs(Tabs { children: tabs, active }));
        }
        Layout::Beside(parts) => (LinearDir::Horizontal, parts),
        Layout::Below(parts) => (LinearDir::Vertical, parts),
    };
    let children: Vec<TileId> = parts.iter().map(|(_, part)| insert(tiles, part)).collect();
    let mut linear = Linear::new(direction, children.clone());
    for (child, (share, _)) in children.into_iter().zip(parts) {
        linear.shares.set_share(child, *share);
    }
    tiles.insert_container(Container::Linear(linear))
}

fn extract(tiles: &Tiles<View>, tile: TileId) -> Option<Layout> {
    Some(match tiles.get(tile)? {
        Tile::Pane(view) => Layout::Panel(*view),
        Tile::Container(Container::Linear(linear)) => {
            let part = |child: &TileId| Some((linear.shares[*child], extract(tiles, *child)?));
            let parts = linear.children.iter().filter_map(part).collect();
            match linear.dir {
                LinearDir::Horizontal => Layout::Beside(parts),
                LinearDir::Vertical => Layout::Below(parts),
            }
        }
        Tile::Container(container) => {
            let active = match container {
                Container::Tabs(tabs) => tabs.active,
                _ => None,
            };
            let children: Vec<TileId> = container.children().copied().collect();
            let front = children.iter().position(|child| Some(*child) == active).unwrap_or(0);
            Layout::Tabs(children.iter().filter_map(|child| extract(tiles, *child)).collect(), front)
        }
    })
}

/// What the library asks of us.
struct Arrangement<'a> {
    show: &'a mut dyn FnMut(&mut Ui, View),
}

impl Behavior<View> for Arrangement<'_> {
    fn pane_ui(&mut self, ui: &mut Ui, _: TileId, view: &mut View) -> UiResponse {
        super::panel().show(ui, |ui| {
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
