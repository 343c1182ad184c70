//! Flows between two columns of nodes: as wide as they are much, the widths of a node's flows side by side.

use crate::widgets::layer::{Layer, Section};
use crate::widgets::scale::narrow;
use egui::{
    Align2, Color32, Mesh, Painter, Pos2, Rangef, Rect, Sense, TextStyle, Ui, WidgetInfo, accesskit::Role,
    pos2, vec2,
};

/// A node.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// What stands beside it.
    pub label: String,
    /// What is said of it, and what it is called by those who cannot see it.
    pub said: String,
    /// What it is, if that needs to be said.
    pub meaning: &'static str,
    /// All that flows through it.
    pub amount: u64,
    /// Its colour.
    pub colour: Color32,
}

/// A flow.
#[derive(Clone, Debug, PartialEq)]
pub struct Flow {
    /// The number of the node at the left.
    pub from: usize,
    /// The number of the node at the right.
    pub to: usize,
    /// How much.
    pub amount: u64,
    /// What is said of it.
    pub said: String,
}

/// Flows between two columns of nodes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sankey {
    /// The nodes at the left, from the top.
    pub left: Vec<Node>,
    /// Those at the right.
    pub right: Vec<Node>,
    /// What flows from the left to the right; coloured as what it comes to.
    pub flows: Vec<Flow>,
}

/// A node or a flow: what is pointed at, or was clicked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chosen {
    /// A node at the left.
    Left(usize),
    /// A node at the right.
    Right(usize),
    /// A flow.
    Flow(usize),
}

/// The width of a node.
const NODE: f32 = 14.0;
/// Between two nodes, where there is room.
const BETWEEN: f32 = 4.0;
/// The scale is found by halving so often: to less than a thousandth of a point.
const HALVINGS: usize = 24;
/// Whatever there is is seen.
const LEAST: f32 = 1.0;
/// A flow is bent in so many steps.
const STEPS: u16 = 24;

/// Where the nodes of a column are.
struct Column {
    tops: Vec<f32>,
    /// Points for each unit of amount.
    each: f64,
}

impl Column {
    /// Nodes as high as they are much, each with room for its label: what that takes from the others, they all
    /// give up in the same measure.
    fn new(nodes: &[Node], place: Rect, label: f32) -> Column {
        let label = label.min(place.height() / nodes.len().max(1) as f32);
        let total: u64 = nodes.iter().map(|node| node.amount).sum();
        let column = |each: f64| Column { tops: Vec::new(), each };
        let high = |each: f64| nodes.iter().map(|node| column(each).room(node.amount, label)).sum::<f32>();
        let (mut least, mut most) = (0.0, f64::from(place.height()) / total.max(1) as f64);
        for _ in 0..HALVINGS {
            let middle = f64::midpoint(least, most);
            if high(middle) > place.height() { most = middle } else { least = middle }
        }
        let mut column = column(least);
        let mut top = place.top();
        for node in nodes {
            let room = column.room(node.amount, label);
            column.tops.push(top + (room - column.height(node.amount)) / 2.0);
            top += room;
        }
        column
    }

    fn height(&self, amount: u64) -> f32 {
        LEAST + narrow(amount as f64 * self.each)
    }

    fn room(&self, amount: u64, label: f32) -> f32 {
        (self.height(amount) + BETWEEN.min(label * 0.3)).max(label)
    }
}

impl Sankey {
    /// Shows the flows in the room there is, which should leave some for the labels at both sides. The answer is
    /// the node or the flow that was clicked.
    pub fn show(
        &self,
        ui: &mut Ui,
        name: &str,
        labels: (f32, f32),
        chosen: Option<Chosen>,
    ) -> Option<Chosen> {
        let (area, ground) = ui.allocate_exact_size(ui.available_size(), Sense::click());
        let place = area.shrink2(vec2(0.0, 8.0));
        let label = ui.text_style_height(&TextStyle::Small);
        let (left, right) = (Column::new(&self.left, place, label), Column::new(&self.right, place, label));
        let x = (area.left() + labels.0, area.right() - labels.1);
        let mut clicked = None;
        let mut pointed = None;
        for (side, nodes, column) in [(true, &self.left, &left), (false, &self.right, &right)] {
            for (number, node) in nodes.iter().enumerate() {
                let at = if side { x.0 } else { x.1 - NODE };
                let bar = Rect::from_min_size(
                    pos2(at, column.tops[number]),
                    vec2(NODE, column.height(node.amount)),
                );
                let label = if side { bar.with_min_x(area.left()) } else { bar.with_max_x(area.right()) };
                let which = if side { Chosen::Left(number) } else { Chosen::Right(number) };
                // A thin node is no less to be pointed at.
                let target = label.expand2(vec2(0.0, ((10.0 - label.height()) / 2.0).max(0.0)));
                let response = ui.interact(target, ui.scope_id().with((name, side, number)), Sense::click());
                response.widget_info(|| WidgetInfo::labeled(Role::Button, true, &node.said));
                if response.hovered() {
                    pointed = Some(which);
                }
                if response.clicked() {
                    clicked = Some(which);
                }
                response.on_hover_ui(|ui| {
                    ui.label(&node.said);
                    ui.weak(node.meaning);
                });
            }
        }
        let flows = self.placed(&left, &right, x);
        let over =
            ui.ctx().pointer_hover_pos().filter(|at| area.contains(*at) && ui.rect_contains_pointer(area));
        let flow = over
            .filter(|_| pointed.is_none())
            .and_then(|at| flows.iter().rposition(|flow| flow.contains(at)));
        let shown = pointed.or(chosen);
        let painter = ui.painter_at(area);
        let mut layer = Layer::over(ui, area);
        for (number, placed) in flows.iter().enumerate() {
            let is_lit = match (flow, shown) {
                (Some(flow), _) => flow == number,
                (None, Some(Chosen::Left(from))) => self.flows[number].from == from,
                (None, Some(Chosen::Right(to))) => self.flows[number].to == to,
                (None, Some(Chosen::Flow(flow))) => flow == number,
                (None, None) => false,
            };
            let dimmed = flow.is_some() || shown.is_some();
            // What is thinner than a line is a paler line.
            let strength = match (is_lit, dimmed) {
                (true, _) => 0.85,
                (false, true) => 0.14,
                (false, false) => 0.45 * placed.thickness.clamp(0.3, 1.0),
            };
            let colour = self.right[self.flows[number].to].colour;
            layer.ribbon(placed.sections(), colour.gamma_multiply(strength));
        }
        layer.show(ui, &painter, name);
        self.nodes(ui, &painter, &left, &right, x);
        if let Some(flow) = flow.filter(|_| clicked.is_none() && ground.clicked()) {
            clicked = Some(Chosen::Flow(flow));
        }
        if let Some(flow) = flow {
            let said = self.flows[flow].said.clone();
            egui::Tooltip::always_open(
                ui.ctx().clone(),
                ui.layer_id(),
                ui.scope_id().with(name),
                egui::PopupAnchor::Pointer,
            )
            .show(|ui| ui.label(said));
        }
        clicked
    }

    fn placed(&self, left: &Column, right: &Column, x: (f32, f32)) -> Vec<Placed> {
        let mut from = left.tops.clone();
        let mut to = right.tops.clone();
        self.flows
            .iter()
            .map(|flow| {
                let high = (narrow(flow.amount as f64 * left.each), narrow(flow.amount as f64 * right.each));
                let placed = Placed {
                    x: (x.0 + NODE, x.1 - NODE),
                    top: (from[flow.from], to[flow.to]),
                    thickness: high.0.min(high.1),
                    high: (high.0.max(LEAST), high.1.max(LEAST)),
                };
                from[flow.from] += high.0;
                to[flow.to] += high.1;
                placed
            })
            .collect()
    }

    fn nodes(&self, ui: &Ui, painter: &Painter, left: &Column, right: &Column, x: (f32, f32)) {
        let font = TextStyle::Small.resolve(ui.style());
        let mut mesh = Mesh::default();
        let text = ui.visuals().text_color();
        for (nodes, column, at, label, align) in [
            (&self.left, left, x.0, x.0 - 6.0, Align2::RIGHT_CENTER),
            (&self.right, right, x.1 - NODE, x.1 + 6.0, Align2::LEFT_CENTER),
        ] {
            for (node, top) in nodes.iter().zip(&column.tops) {
                let bar = Rect::from_min_size(pos2(at, *top), vec2(NODE, column.height(node.amount)));
                mesh.add_colored_rect(bar, node.colour);
                painter.text(pos2(label, bar.center().y), align, &node.label, font.clone(), text);
            }
        }
        painter.add(mesh);
    }
}

/// A flow on the screen: at its left and at its right end.
struct Placed {
    x: (f32, f32),
    top: (f32, f32),
    high: (f32, f32),
    /// How thick it would be if what there is was not seen whatever its size.
    thickness: f32,
}

impl Placed {
    /// Its top and bottom, a share of the way across.
    fn at(&self, share: f32) -> (f32, f32) {
        // Level at both ends.
        let bent = share * share * (3.0 - 2.0 * share);
        let top = self.top.0 + (self.top.1 - self.top.0) * bent;
        (top, top + self.high.0 + (self.high.1 - self.high.0) * bent)
    }

    fn contains(&self, at: Pos2) -> bool {
        let share = (at.x - self.x.0) / (self.x.1 - self.x.0).max(1.0);
        let (top, bottom) = self.at(share.clamp(0.0, 1.0));
        (0.0..=1.0).contains(&share) && (top - 1.0..=bottom + 1.0).contains(&at.y)
    }

    fn sections(&self) -> Vec<Section> {
        let section = |step: u16| {
            let share = f32::from(step) / f32::from(STEPS);
            let (top, bottom) = self.at(share);
            Section { x: self.x.0 + (self.x.1 - self.x.0) * share, y: Rangef::new(top, bottom) }
        };
        (0..=STEPS).map(section).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(amount: u64) -> Node {
        let label = amount.to_string();
        Node { said: label.clone(), label, meaning: "", amount, colour: Color32::WHITE }
    }

    #[test]
    fn flows_fill_their_nodes_and_nodes_the_column() {
        let flow = |from, to, amount| Flow { from, to, amount, said: String::new() };
        let sankey = Sankey {
            left: vec![node(30), node(70)],
            right: vec![node(60), node(40)],
            flows: vec![flow(0, 0, 30), flow(1, 0, 30), flow(1, 1, 40)],
        };
        let place = Rect::from_min_max(pos2(0.0, 0.0), pos2(300.0, 200.0));
        let (left, right) = (Column::new(&sankey.left, place, 12.0), Column::new(&sankey.right, place, 12.0));
        let flows = sankey.placed(&left, &right, (50.0, 250.0));
        let bottom = |flow: &Placed| flow.at(0.0).1;
        assert!((bottom(&flows[0]) - left.tops[0] - left.height(30)).abs() <= LEAST + 1e-3);
        assert!((bottom(&flows[2]) - left.tops[1] - left.height(70)).abs() <= LEAST + 1e-3);
        assert!((bottom(&flows[2]) - 200.0).abs() <= LEAST + BETWEEN, "the last ends where the column does");
        assert!(flows[2].contains(pos2(65.0, bottom(&flows[2]) - 2.0)));
        assert!(!flows[0].contains(pos2(65.0, 199.0)) && !flows[0].contains(pos2(10.0, 5.0)));
    }

    #[test]
    fn small_nodes_keep_room_for_their_labels() {
        let nodes: Vec<Node> = [1_000_000, 1, 0, 2, 500].map(node).into();
        let place = Rect::from_min_max(pos2(0.0, 10.0), pos2(300.0, 210.0));
        let column = Column::new(&nodes, place, 12.0);
        let middle = |number: usize| column.tops[number] + column.height(nodes[number].amount) / 2.0;
        for number in 1..nodes.len() - 1 {
            assert!(middle(number + 1) - middle(number) >= 11.9, "{:?}", column.tops);
        }
        assert!(column.height(1_000_000) > 120.0, "what is much has the rest");
        let crowded: Vec<Node> = (0..100).map(|_| node(5)).collect();
        let column = Column::new(&crowded, place, 12.0);
        assert!(column.tops.iter().all(|top| (10.0..=210.0).contains(top)), "no more than there is");
    }
}
