//! What stands in the source of the function that is looked at.

use crate::model::Tile;
use crate::model::flame::Source;
use crate::model::flame::picture::Picture;
use crate::theme;
use egui::{Label, RichText, ScrollArea, Ui};

/// What it remembers that is nobody else's business.
#[derive(Clone, Debug, Default)]
pub struct SourceView {
    /// What was scrolled to already.
    seen: Option<(String, u32)>,
}

impl SourceView {
    /// Shows it, or why there is nothing to show.
    pub fn ui(&mut self, ui: &mut Ui, picture: &Picture, source: &Source) {
        let is_new = self.seen != source.of;
        if show(ui, picture, source, is_new) {
            self.seen.clone_from(&source.of);
        }
    }
}

/// Whether the text was there to be shown.
fn show(ui: &mut Ui, picture: &Picture, source: &Source, is_new: bool) -> bool {
    let Some((file, line)) = &source.of else {
        let why = match picture.chosen() {
            0 => "Click a function to see its source.".to_owned(),
            node => format!("Where {} is in the source is not known.", picture.name(node)),
        };
        ui.label(RichText::new(why).weak());
        return false;
    };
    ui.label(RichText::new(format!("{file}:{line}")).strong());
    let text = match &source.text {
        Tile::Ready(Some(text)) => text,
        Tile::Ready(None) => {
            ui.label(RichText::new("This file is not at hand, or has no such line.").weak());
            return false;
        }
        _ => return false,
    };
    let area = ScrollArea::both().id_salt((file, line)).auto_shrink(false);
    area.show(ui, |ui| {
        ui.spacing_mut().item_spacing.y = 0.0;
        for (number, text) in text.numbered() {
            let shown = RichText::new(format!("{number:5}  {text}")).monospace();
            let is_it = number == *line;
            let shown = if is_it { shown.background_color(theme::selected(ui.visuals())) } else { shown };
            let label = ui.add(Label::new(shown).extend());
            if is_it && is_new {
                label.scroll_to_me(Some(egui::Align::Center));
            }
        }
    });
    true
}
