//! Where panels are, as plain data: what survives a restart.

use super::view::View;
use serde::{Deserialize, Serialize};

/// Panels beside, below and behind each other.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layout {
    /// One panel.
    Panel(View),
    /// One behind the other; this many are before the one in front.
    Tabs(Vec<Layout>, usize),
    /// Beside each other, each with its share of the width.
    Beside(Vec<(f32, Layout)>),
    /// Below each other, each with its share of the height.
    Below(Vec<(f32, Layout)>),
}

impl Layout {
    /// The layout with every panel in it once, whatever was in it: a file may have been written by hand, or
    /// by a window that had fewer panels. None if nothing is left of it.
    pub fn made_sound(self) -> Option<Layout> {
        let mut missing = View::ALL.to_vec();
        let mut layout = self.pruned(&mut missing)?;
        if !missing.is_empty() {
            let rest = missing.into_iter().map(Layout::Panel);
            layout = match layout {
                Layout::Tabs(tabs, front) => Layout::Tabs(tabs.into_iter().chain(rest).collect(), front),
                other => Layout::Beside(vec![(0.7, other), (0.3, Layout::Tabs(rest.collect(), 0))]),
            };
        }
        Some(layout)
    }

    /// Without panels that are not missing, or no more, and without what is empty then.
    fn pruned(self, missing: &mut Vec<View>) -> Option<Layout> {
        match self {
            Layout::Panel(view) => {
                let place = missing.iter().position(|other| *other == view)?;
                missing.remove(place);
                Some(Layout::Panel(view))
            }
            Layout::Tabs(tabs, front) => {
                let tabs: Vec<Layout> = tabs.into_iter().filter_map(|tab| tab.pruned(missing)).collect();
                let last = tabs.len().checked_sub(1)?;
                Some(Layout::Tabs(tabs, front.min(last)))
            }
            Layout::Beside(parts) => shares(parts, missing).map(Layout::Beside),
            Layout::Below(parts) => shares(parts, missing).map(Layout::Below),
        }
    }
}

fn shares(parts: Vec<(f32, Layout)>, missing: &mut Vec<View>) -> Option<Vec<(f32, Layout)>> {
    let part = |(share, part): (f32, Layout)| {
        // Neither nothing nor everything: one could not take hold of it again.
        let share = if share.is_finite() { share.clamp(0.02, 50.0) } else { 1.0 };
        Some((share, part.pruned(missing)?))
    };
    let parts: Vec<(f32, Layout)> = parts.into_iter().filter_map(part).collect();
    (!parts.is_empty()).then_some(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn panels(layout: &Layout) -> Vec<View> {
        match layout {
            Layout::Panel(view) => vec![*view],
            Layout::Tabs(tabs, _) => tabs.iter().flat_map(panels).collect(),
            Layout::Beside(parts) | Layout::Below(parts) => {
                parts.iter().flat_map(|(_, part)| panels(part)).collect()
            }
        }
    }

    #[test]
    fn every_panel_is_there_once_whatever_a_file_said() {
        let bins = || Layout::Panel(View::Bins);
        let all = Layout::Tabs(View::ALL.map(Layout::Panel).into(), 1);
        assert_eq!(all.clone().made_sound(), Some(all), "what is sound stays as it is");
        let odd = [
            bins(),
            Layout::Tabs(vec![bins(), bins(), Layout::Tabs(vec![], 3)], 99),
            Layout::Beside(vec![(f32::NAN, bins()), (-3.0, Layout::Below(vec![(0.0, bins())]))]),
            Layout::Below(vec![(1.0, Layout::Panel(View::Timeline)), (1e30, bins())]),
        ];
        for layout in odd {
            let sound = layout.made_sound().unwrap();
            let mut there = panels(&sound);
            assert_eq!(there.len(), View::ALL.len(), "{sound:?}");
            there.retain(|view| View::ALL.contains(view));
            there.sort_by_key(|view| view.word());
            there.dedup();
            assert_eq!(there.len(), View::ALL.len(), "{sound:?}");
            assert_eq!(sound.clone().made_sound(), Some(sound));
        }
        assert_eq!(Layout::Tabs(vec![], 0).made_sound(), None);
        assert_eq!(Layout::Beside(vec![(1.0, Layout::Tabs(vec![], 0))]).made_sound(), None);
    }

    #[test]
    fn a_layout_is_written_and_read() {
        let tabs = Layout::Tabs(vec![Layout::Panel(View::Bins), Layout::Panel(View::Report)], 1);
        let layout = Layout::Below(vec![(0.25, Layout::Panel(View::Timeline)), (0.75, tabs)]);
        let text = serde_json::to_string(&layout).unwrap();
        assert_eq!(
            text,
            r#"{"below":[[0.25,{"panel":"timeline"}],[0.75,{"tabs":[[{"panel":"bins"},{"panel":"report"}],1]}]]}"#
        );
        assert_eq!(serde_json::from_str::<Layout>(&text).unwrap(), layout);
        // Depth is the reader's to bound.
        let deep = format!("{}{}", r#"{"tabs":[["#.repeat(100_000), "],0]}".repeat(100_000));
        assert!(serde_json::from_str::<Layout>(&deep).is_err());
    }
}
