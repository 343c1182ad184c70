//! Where the bars of a flamegraph are: those that can be seen, and no more of them than there are pixels.
//!
//! A level of the tree is in order from left to right, so what is in view is found by bisection. Bars
//! narrower than a pixel are put together with their neighbours: a frame costs as much as it has pixels,
//! however many nodes there are.

use malloscope_replayer::blame::tree::Tree;
use std::ops::Range;

/// A bar: a node, or several that are too narrow to be told apart.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bar {
    /// The node; of several, the first.
    pub node: u32,
    /// The node after the last.
    pub end: u32,
    /// How many levels below the root.
    pub depth: usize,
    /// From where, in pixels from the left.
    pub left: f64,
    /// To where.
    pub right: f64,
}

impl Bar {
    /// Whether it stands for several nodes.
    pub fn is_several(&self) -> bool {
        self.end - self.node > 1
    }
}

/// A picture of a tree: from left to right, this node fills this many pixels.
#[derive(Clone, Copy, Debug)]
pub struct Layout<'a> {
    /// The tree.
    pub tree: &'a Tree,
    /// The node that fills the width.
    pub zoom: u32,
    /// The width.
    pub pixels: f64,
}

/// Narrower bars are put together.
const PIXEL: f64 = 1.0;

impl Layout<'_> {
    fn pixels_per_unit(&self) -> f64 {
        let width = self.tree.node(self.zoom).width;
        if width > 0.0 { self.pixels / width } else { 0.0 }
    }

    /// The bars of some levels.
    pub fn bars(&self, levels: Range<usize>) -> Vec<Bar> {
        let mut bars = Vec::new();
        let zoomed = self.tree.node(self.zoom).depth as usize;
        for &node in std::iter::once(&0).chain(&self.tree.path(self.zoom)) {
            let depth = self.tree.node(node).depth as usize;
            if depth < zoomed && levels.contains(&depth) {
                bars.push(Bar { node, end: node + 1, depth, left: 0.0, right: self.pixels });
            }
        }
        let mut level = self.zoom..self.zoom + 1;
        for depth in zoomed..levels.end {
            if level.is_empty() {
                break;
            }
            if levels.contains(&depth) {
                self.level(depth, level.clone(), &mut bars);
            }
            level = self.tree.below(&level);
        }
        bars
    }

    fn level(&self, depth: usize, level: Range<u32>, bars: &mut Vec<Bar>) {
        let scale = self.pixels_per_unit();
        let origin = self.tree.node(self.zoom).start;
        let nodes = self.tree.nodes();
        let mut next = level.start;
        while next < level.end {
            let node = &nodes[next as usize];
            let left = (node.start - origin) * scale;
            let mut end = next + 1;
            if node.width * scale < PIXEL {
                // All that begin in this pixel; the last of them may go on beyond it, and is a bar then.
                let rest = &nodes[next as usize..level.end as usize];
                let same = rest.partition_point(|node| (node.start - origin) * scale < left + PIXEL);
                end = next + u32::try_from(same).unwrap_or(u32::MAX).max(1);
                if end - next > 1 && nodes[end as usize - 1].width * scale >= PIXEL {
                    end -= 1;
                }
            }
            let right = (nodes[end as usize - 1].end() - origin) * scale;
            bars.push(Bar { node: next, end, depth, left, right });
            next = end;
        }
    }

    /// The node at a place, in pixels from the left, of a level.
    pub fn node_at(&self, depth: usize, pixel: f64) -> Option<u32> {
        let zoomed = self.tree.node(self.zoom).depth as usize;
        if depth < zoomed {
            let above = std::iter::once(0).chain(self.tree.path(self.zoom));
            return above.into_iter().find(|&node| self.tree.node(node).depth as usize == depth);
        }
        let scale = self.pixels_per_unit();
        if scale <= 0.0 || pixel < 0.0 {
            return None;
        }
        let at = self.tree.node(self.zoom).start + pixel / scale;
        let level = self.tree.level(depth);
        let nodes = &self.tree.nodes()[level.start as usize..level.end as usize];
        let behind = nodes.partition_point(|node| node.start <= at);
        let place = behind.checked_sub(1)?;
        let found = level.start + u32::try_from(place).ok()?;
        let is_there = self.tree.node(found).end() > at && self.tree.is_within(found, self.zoom);
        is_there.then_some(found)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use malloscope_replayer::blame::legend::Legend;
    use malloscope_replayer::blame::tree::Shape;
    use malloscope_replayer::blame::{Blame, Row, Unit, What};
    use malloscope_replayer::export::names::{Function, Names};
    use malloscope_traces::stacks::Frame;
    use malloscope_traces::{Stack, Stacks};

    /// Names frames by their addresses.
    struct Numbers;

    impl Names for Numbers {
        fn functions(&mut self, _: &Stacks, frame: Frame) -> Vec<Function> {
            let name = format!("f{}", frame.address);
            vec![Function { name, file: None, line: None, is_named: true }]
        }
    }

    /// A tree of these frames (caller and address) and amounts.
    pub fn tree(frames: &[(u32, u64)], rows: &[(u32, f64)]) -> (Legend, Tree) {
        let frame =
            |&(caller, address): &(u32, u64)| Some(Frame { caller: Stack(caller), module: None, address });
        let frames = std::iter::once(None).chain(frames.iter().map(frame)).collect();
        let legend = Legend::of(&Stacks { frames, ..Stacks::default() }, Numbers);
        let row =
            |&(stack, weight): &(u32, f64)| Row { stack: Stack(stack), place: None, weight, error: 0.0 };
        let total = rows.iter().map(|row| row.1).sum();
        let rows = rows.iter().map(row).collect();
        let blame =
            Blame { what: What::Bytes, unit: Unit::Bytes, total, left_out: 0.0, standard_error: None, rows };
        let tree = Tree::of(&legend, &blame, None, &Shape::default());
        (legend, tree)
    }

    fn shown(layout: Layout<'_>, levels: Range<usize>) -> Vec<(u32, u32, usize, f64, f64)> {
        let bars = layout.bars(levels);
        bars.iter().map(|bar| (bar.node, bar.end, bar.depth, bar.left, bar.right)).collect()
    }

    #[test]
    fn bars_fill_what_is_zoomed_into_and_what_is_above_it_stays() {
        // 1 calls 2 and 3; 4 stands beside 1.
        let (_, tree) =
            tree(&[(0, 1), (1, 2), (1, 3), (0, 4)], &[(1, 10.0), (2, 50.0), (3, 20.0), (4, 20.0)]);
        let layout = |zoom| Layout { tree: &tree, zoom, pixels: 100.0 };
        let expected = [
            (0, 1, 0, 0.0, 100.0),
            (1, 2, 1, 0.0, 80.0),
            (2, 3, 1, 80.0, 100.0),
            (3, 4, 2, 0.0, 50.0),
            (4, 5, 2, 50.0, 70.0),
        ];
        assert_eq!(shown(layout(0), 0..9), expected);
        assert_eq!(shown(layout(0), 1..2), expected[1..3]);
        let zoomed =
            [(0, 1, 0, 0.0, 100.0), (1, 2, 1, 0.0, 100.0), (3, 4, 2, 0.0, 62.5), (4, 5, 2, 62.5, 87.5)];
        assert_eq!(shown(layout(1), 0..9), zoomed);
        assert_eq!(layout(0).node_at(2, 60.0), Some(4));
        assert_eq!(layout(0).node_at(2, 75.0), None);
        assert_eq!(layout(4).node_at(1, 3.0), Some(1));
        assert_eq!(layout(4).node_at(2, 99.0), Some(4));
        assert_eq!(layout(2).node_at(2, 3.0), None, "what is not in view is not there");
    }

    #[test]
    fn there_are_no_more_bars_than_pixels_and_all_nodes_are_in_one() {
        let frames: Vec<(u32, u64)> = (0..5000).map(|number| (0, number)).collect();
        let mut rows: Vec<(u32, f64)> = (1..=5000).map(|stack| (stack, f64::from(1 + stack % 7))).collect();
        rows[100].1 = 9000.0;
        rows.sort_by(|a, b| b.1.total_cmp(&a.1));
        let (_, tree) = tree(&frames, &rows);
        let bars = Layout { tree: &tree, zoom: 0, pixels: 300.0 }.bars(1..2);
        assert!(bars.len() <= 600, "{}", bars.len());
        assert_eq!((bars[0].node, bars[0].is_several()), (1, false));
        let mut next = 1;
        let mut right = 0.0;
        for bar in &bars {
            assert_eq!(bar.node, next);
            assert!(bar.left >= right - 1e-6 && bar.right <= 300.0 + 1e-6, "{bar:?}");
            assert!(!bar.is_several() || bar.right - bar.left < 2.0 * PIXEL + 1e-6, "{bar:?}");
            (next, right) = (bar.end, bar.right);
        }
        assert_eq!(next, 5001);
    }
}
