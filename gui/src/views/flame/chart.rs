//! The picture: bars as wide as what they caused, each below its caller or above it.

use crate::app::command::{Command, Commands};
use crate::model::flame::layout::{self, Layout};
use crate::model::flame::picture::Picture;
use crate::model::flame::{Direction, FlameCommand};
use crate::theme;
use crate::widgets::bars::{self, Bar};
use egui::{
    Align, Color32, EventFilter, FontFamily, FontId, Key, Rect, Response, RichText, ScrollArea, Sense,
    Stroke, StrokeKind, Ui, WidgetInfo, accesskit::Role, pos2, vec2,
};
use malloscope_replayer::blame::tree::Amounts;

/// The height of a bar, in points.
const LEVEL: f32 = 18.0;
/// The size of its label.
const LABEL: f32 = 12.0;
/// Bars that those who cannot see them are told of, the widest.
const MOST_TOLD: usize = 300;
/// Levels that stay in view above the first one that branches.
const ABOVE: usize = 2;
/// A function that is less of its caller than this is a branch.
const NEARLY_ALL: f64 = 0.9;

/// What the picture remembers that is nobody else's business.
#[derive(Clone, Debug, Default)]
pub struct Chart {
    /// What was in view in the frame before: where nothing new is, the user's scrolling counts.
    seen: Option<Seen>,
    /// What the menu is about.
    asked_about: u32,
}

/// What is in view.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Seen {
    tree: usize,
    zoom: u32,
    chosen: u32,
    upward: bool,
}

/// The picture in this frame.
struct Drawing<'a> {
    picture: &'a Picture,
    layout: Layout<'a>,
    /// Where everything is, also what is out of view.
    area: Rect,
    upward: bool,
}

impl Chart {
    /// Shows the picture.
    pub fn ui(&mut self, ui: &mut Ui, picture: &Picture, upward: bool, commands: &mut Commands) {
        let seen = Seen {
            tree: std::sync::Arc::as_ptr(&picture.tree) as usize,
            zoom: picture.zoom(),
            chosen: picture.chosen(),
            upward,
        };
        let scroll = self.scroll(picture, seen);
        self.seen = Some(seen);
        let levels = deepest(picture) + 1;
        ScrollArea::vertical().id_salt("flame").auto_shrink(false).show_viewport(ui, |ui, viewport| {
            let height = (levels as f32 * LEVEL).max(viewport.height());
            let (_, rect) = ui.allocate_space(vec2(ui.available_width(), height));
            let layout =
                Layout { tree: &picture.tree, zoom: picture.zoom(), pixels: f64::from(rect.width()) };
            let drawing = Drawing { picture, layout, area: rect, upward };
            if let Some((level, align)) = scroll {
                ui.scroll_to_rect(drawing.row(level), align);
            }
            let view = viewport.translate(rect.min.to_vec2());
            drawing.paint(ui, view);
            self.listen(ui, &drawing, commands);
        });
    }

    /// The level to scroll to, if something new is to be seen, and where to.
    fn scroll(&self, picture: &Picture, seen: Seen) -> Option<(usize, Option<Align>)> {
        let same_picture = |before: &Seen| Seen { chosen: seen.chosen, ..*before } == seen;
        match self.seen {
            Some(before) if before == seen => None,
            Some(before) if same_picture(&before) => {
                Some((picture.tree.node(seen.chosen).depth as usize, None))
            }
            _ => {
                let align = if seen.upward { Align::Max } else { Align::Min };
                Some((first_branch(picture), Some(align)))
            }
        }
    }

    /// What the pointer and the keys do.
    fn listen(&mut self, ui: &mut Ui, drawing: &Drawing<'_>, commands: &mut Commands) {
        let picture = drawing.picture;
        let area = ui.interact(drawing.area, ui.scope_id().with("bars"), Sense::click());
        let said = format!(
            "Flamegraph of {}, {}: arrows move, Enter zooms, Escape goes back",
            picture.recipe.what.title(),
            picture.shown(picture.tree.root().total)
        );
        area.widget_info(|| WidgetInfo::labeled(Role::Tree, true, &said));
        let hovered = area.hover_pos().and_then(|at| drawing.node_at(at));
        if area.clicked() {
            area.request_focus();
            let at = area.interact_pointer_pos().and_then(|at| drawing.node_at(at));
            commands.extend(at.map(|node| Command::Flame(FlameCommand::Zoom(node))));
        }
        if area.secondary_clicked() {
            self.asked_about = hovered.unwrap_or(0);
        }
        keys(ui, &area, drawing, commands);
        let about = self.asked_about;
        if about != 0 && (about as usize) < picture.tree.nodes().len() {
            area.context_menu(|ui| menu(ui, picture, about, commands));
        }
        if let Some(node) = hovered {
            drawing.outline(ui, node, ui.visuals().strong_text_color());
            area.on_hover_ui_at_pointer(|ui| tooltip(ui, picture, node));
        }
    }
}

impl Drawing<'_> {
    /// Where the bars of a level are.
    fn row(&self, level: usize) -> Rect {
        let from_root = level as f32 * LEVEL;
        let top =
            if self.upward { self.area.bottom() - from_root - LEVEL } else { self.area.top() + from_root };
        Rect::from_min_size(pos2(self.area.left(), top), vec2(self.area.width(), LEVEL))
    }

    /// The level at a height.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a level on a screen")]
    fn level_at(&self, y: f32) -> usize {
        let from_root = if self.upward { self.area.bottom() - y } else { y - self.area.top() };
        (from_root / LEVEL).max(0.0) as usize
    }

    fn node_at(&self, at: egui::Pos2) -> Option<u32> {
        self.layout.node_at(self.level_at(at.y), f64::from(at.x - self.area.left()))
    }

    fn rect(&self, bar: &layout::Bar) -> Rect {
        let row = self.row(bar.depth);
        #[expect(clippy::cast_possible_truncation, reason = "pixels of a screen")]
        let (left, right) = (bar.left as f32, bar.right as f32);
        Rect::from_x_y_ranges(row.left() + left..=row.left() + right.max(left + 0.5), row.y_range())
    }

    fn paint(&self, ui: &Ui, view: Rect) {
        let (one, other) = (self.level_at(view.top()), self.level_at(view.bottom()));
        let visible = self.layout.bars(one.min(other)..one.max(other) + 1);
        let dim = self.picture.tree.node(self.picture.zoom()).depth as usize;
        let painted: Vec<Bar> = visible.iter().map(|bar| self.bar(ui, bar, dim)).collect();
        let font = FontId::new(LABEL, FontFamily::Proportional);
        bars::paint(ui.painter(), &painted, &font);
        let chosen = self.picture.chosen();
        if chosen != 0 {
            self.outline(ui, chosen, theme::accent(ui.visuals()));
        }
        // Those who cannot see the bars are told of them, and tests find them.
        let mut told: Vec<(&layout::Bar, &Bar)> =
            visible.iter().zip(&painted).filter(|(_, bar)| !bar.label.is_empty()).collect();
        if told.len() > MOST_TOLD {
            told.sort_by(|a, b| b.1.rect.width().total_cmp(&a.1.rect.width()));
            told.truncate(MOST_TOLD);
        }
        for (place, bar) in told {
            let response = ui.interact(bar.rect, ui.scope_id().with(("bar", place.node)), Sense::hover());
            response.widget_info(|| WidgetInfo::labeled(Role::TreeItem, true, self.picture.said(place.node)));
        }
    }

    fn bar(&self, ui: &Ui, bar: &layout::Bar, dim: usize) -> Bar {
        let (visuals, picture) = (ui.visuals(), self.picture);
        let rect = self.rect(bar);
        let mut fill = self.fill(ui, bar);
        if picture.is_searched() {
            fill = if picture.is_found(bar.node, bar.end) {
                theme::found(visuals)
            } else {
                theme::stand_back(visuals, fill)
            };
        } else if bar.depth < dim {
            fill = theme::stand_back(visuals, fill);
        }
        let has_label = !bar.is_several() && Bar::has_label(rect.width());
        let label = if has_label { self.label(bar.node) } else { String::new() };
        Bar { rect, fill, ink: theme::ink_on(visuals, fill), label }
    }

    fn fill(&self, ui: &Ui, bar: &layout::Bar) -> Color32 {
        let (visuals, picture) = (ui.visuals(), self.picture);
        if picture.tree.is_difference {
            let total = picture.tree.node(bar.node).total;
            let greater = total.first.max(total.second);
            let change = if greater > 0.0 { total.difference() / greater } else { 0.0 };
            return theme::difference(visuals, change);
        }
        match (bar.node, picture.colour(bar.node)) {
            (0, _) | (_, None) => theme::no_frame(visuals),
            (node, Some(colour)) => theme::frame(visuals, colour, picture.function(node).0),
        }
    }

    fn label(&self, node: u32) -> String {
        let picture = self.picture;
        let total = picture.tree.node(node).total;
        match (node, picture.tree.is_difference) {
            (0, _) => format!("all: {}", picture.shown(total)),
            (_, false) => picture.name(node).to_owned(),
            (_, true) => {
                let mark = match total.difference() {
                    change if change > 0.0 => "▲",
                    change if change < 0.0 => "▼",
                    _ => "=",
                };
                // The number first: it is what is looked for, and a name may have to be shortened.
                format!("{mark} {} {}", picture.shown(total), picture.name(node))
            }
        }
    }

    fn outline(&self, ui: &Ui, node: u32, colour: Color32) {
        let tree = &self.picture.tree;
        let (of, zoom) = (tree.node(node), tree.node(self.layout.zoom));
        let scale = if zoom.width > 0.0 { self.layout.pixels / zoom.width } else { 0.0 };
        let left = ((of.start - zoom.start) * scale).clamp(0.0, self.layout.pixels);
        let right = ((of.end() - zoom.start) * scale).clamp(0.0, self.layout.pixels);
        if right > left {
            let bar = layout::Bar { node, end: node + 1, depth: of.depth as usize, left, right };
            let stroke = Stroke::new(2.0, colour);
            ui.painter().rect_stroke(self.rect(&bar), 0.0, stroke, StrokeKind::Inside);
        }
    }
}

/// What keys do while the picture has the focus.
fn keys(ui: &Ui, area: &Response, drawing: &Drawing<'_>, commands: &mut Commands) {
    if !area.has_focus() {
        return;
    }
    let filter = EventFilter { horizontal_arrows: true, vertical_arrows: true, escape: true, tab: false };
    ui.memory_mut(|memory| memory.set_focus_lock_filter(area.id, filter));
    let (to_root, from_root) =
        if drawing.upward { (Key::ArrowDown, Key::ArrowUp) } else { (Key::ArrowUp, Key::ArrowDown) };
    let moves = [
        (to_root, FlameCommand::Move(Direction::ToRoot)),
        (from_root, FlameCommand::Move(Direction::FromRoot)),
        (Key::ArrowLeft, FlameCommand::Move(Direction::Left)),
        (Key::ArrowRight, FlameCommand::Move(Direction::Right)),
        (Key::Enter, FlameCommand::Zoom(drawing.picture.chosen())),
        (Key::Escape, FlameCommand::Back),
        (Key::Backspace, FlameCommand::Back),
        (Key::Home, FlameCommand::Zoom(0)),
    ];
    for (key, command) in moves {
        if ui.input(|input| input.key_pressed(key)) {
            commands.push(Command::Flame(command));
        }
    }
}

/// The deepest level below what is in view.
fn deepest(picture: &Picture) -> usize {
    let mut level = picture.zoom()..picture.zoom() + 1;
    let mut depth = picture.tree.node(picture.zoom()).depth as usize;
    loop {
        level = picture.tree.below(&level);
        if level.is_empty() {
            return depth;
        }
        depth += 1;
    }
}

/// The first level worth a look: what is above it is one function that called one function that called
/// one function.
fn first_branch(picture: &Picture) -> usize {
    let mut at = picture.zoom();
    loop {
        let node = picture.tree.node(at);
        let widest = node.children.clone().next();
        match widest.filter(|&child| picture.tree.node(child).width >= node.width * NEARLY_ALL) {
            Some(child) => at = child,
            None => return (node.depth as usize).saturating_sub(ABOVE),
        }
    }
}

fn tooltip(ui: &mut Ui, picture: &Picture, node: u32) {
    ui.set_max_width(theme::READING_WIDTH);
    ui.label(RichText::new(picture.name(node)).strong());
    if let Some(module) = picture.legend.module(picture.function(node)).filter(|_| node != 0) {
        ui.label(RichText::new(module).weak());
    }
    if let Some(source) = picture.source(node).filter(|_| node != 0) {
        ui.label(RichText::new(source).monospace());
    }
    let of = picture.tree.node(node);
    let unit = picture.unit();
    let line = |what: &str, amounts: Amounts| {
        let (shown, percent) = (picture.shown(amounts), picture.percent(amounts));
        if picture.tree.is_difference {
            let (first, second) = (unit.shown(amounts.first), unit.shown(amounts.second));
            format!("{what} {first} → {second}: {shown}, {percent} of all")
        } else {
            format!("{what} {shown}, {percent} of all")
        }
    };
    let mut lines = vec![line("total", of.total)];
    if !picture.tree.is_inverted {
        lines.push(line("self", of.own));
    }
    for line in lines {
        ui.label(line);
    }
    ui.label(RichText::new("Click to zoom, right click for more").small().weak());
}

fn menu(ui: &mut Ui, picture: &Picture, node: u32, commands: &mut Commands) {
    let function = picture.function(node);
    let mut ask = |command| commands.push(Command::Flame(command));
    if ui.button("Zoom to it").clicked() {
        ask(FlameCommand::Zoom(node));
    }
    if ui.button("Only stacks with this function").clicked() {
        ask(FlameCommand::Focus(Some(function)));
    }
    if ui.button("Leave stacks with it out").clicked() {
        ask(FlameCommand::Hide(function));
    }
    if ui.button("Show in the rows").clicked() {
        ask(FlameCommand::Choose(node));
    }
    if ui.button("Copy its name").clicked() {
        ui.ctx().copy_text(picture.name(node).to_owned());
    }
}
