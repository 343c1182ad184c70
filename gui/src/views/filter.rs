//! Which allocations count: what is set as chips that can be taken away, and fields to set more.
//!
//! There is one filter for all panels that speak of allocations, as there is one range.

use crate::app::command::{Command, Commands};
use crate::model::Model;
use crate::model::view::View;
use crate::theme;
use egui::{Button, ComboBox, Frame, Margin, RichText, TextEdit, Ui};
use malloscope_replayer::filter::{Filter, Places};
use malloscope_replayer::flows::SOURCES;

/// The width of a field.
const WIDTH: f32 = 84.0;
/// The panels that speak of allocations.
const PANELS: [View; 3] = [View::Flame, View::Sites, View::Allocations];

/// A field that is typed into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Thread,
    Size,
    Lifetime,
}

impl Field {
    const ALL: [Field; 3] = [Field::Thread, Field::Size, Field::Lifetime];

    fn name(self) -> &'static str {
        match self {
            Field::Thread => "Thread",
            Field::Size => "Size",
            Field::Lifetime => "Lifetime",
        }
    }

    fn hint(self) -> &'static str {
        match self {
            Field::Thread => "0",
            Field::Size => "64..1K",
            Field::Lifetime => "..11",
        }
    }

    fn meaning(self) -> &'static str {
        match self {
            Field::Thread => "Only what this thread allocated, by its number in the trace.",
            Field::Size => {
                "Only allocations of so many bytes: 64..1K, 17..=32, 4K.. for more, ..64 for less, or 24."
            }
            Field::Lifetime => {
                "Only allocations that lived for so many records: ..11 was freed within 10, 1000.. lived longer, never-freed lives at the end."
            }
        }
    }

    /// What stands in the field.
    fn typed(self, filter: &Filter) -> String {
        let typed = match self {
            Field::Thread => filter.thread.map(|thread| thread.to_string()),
            Field::Size => filter.sizes.map(|sizes| sizes.to_string()),
            Field::Lifetime => filter.lifetime.map(|lifetime| lifetime.to_string()),
        };
        typed.unwrap_or_default()
    }

    /// The filter with what was typed, or what is wrong with that. Nothing typed asks for nothing.
    fn read(self, filter: Filter, text: &str) -> Result<Filter, String> {
        let text = Some(text.trim()).filter(|text| !text.is_empty());
        let number =
            |text: &str| text.parse().map_err(|_| format!("“{text}” is not the number of a thread: type 0."));
        Ok(match self {
            Field::Thread => Filter { thread: text.map(number).transpose()?, ..filter },
            Field::Size => Filter { sizes: text.map(str::parse).transpose()?, ..filter },
            Field::Lifetime => Filter { lifetime: text.map(str::parse).transpose()?, ..filter },
        })
    }
}

/// The row with chips and fields.
#[derive(Clone, Debug, Default)]
pub struct FilterBar {
    is_open: bool,
    texts: [String; Field::ALL.len()],
    /// What the fields were filled with.
    of: Option<Filter>,
    wrong: Option<String>,
}

impl FilterBar {
    /// Shows it in a panel.
    pub fn ui(&mut self, ui: &mut Ui, model: &Model, panel: View, commands: &mut Commands) {
        ui.horizontal_wrapped(|ui| {
            ui.spacing_mut().item_spacing.x = theme::GAP / 2.0;
            let meaning = "Count only some allocations, in the flamegraph, the sites and the single ones: by thread, size, lifetime, or the place that served them.";
            if ui.selectable_label(self.is_open, "Filter").on_hover_text(meaning).clicked() {
                self.is_open = !self.is_open;
            }
            chips(ui, model, commands);
            if self.is_open {
                self.fields(ui, model, commands);
            }
            links(ui, model, panel, commands);
        });
        if let Some(wrong) = self.wrong.as_ref().filter(|_| self.is_open) {
            ui.colored_label(ui.visuals().warn_fg_color, wrong);
        }
    }

    fn fields(&mut self, ui: &mut Ui, model: &Model, commands: &mut Commands) {
        let filter = model.filter;
        if self.of != Some(filter) {
            self.texts = Field::ALL.map(|field| field.typed(&filter));
            (self.of, self.wrong) = (Some(filter), None);
        }
        for (field, text) in Field::ALL.into_iter().zip(&mut self.texts) {
            let label = ui.label(field.name()).on_hover_text(field.meaning());
            let edit = TextEdit::singleline(text).desired_width(WIDTH).hint_text(field.hint());
            if ui.add(edit).labelled_by(label.id).lost_focus() {
                match field.read(filter, text) {
                    Ok(wanted) if wanted == filter => self.wrong = None,
                    Ok(wanted) => commands.push(Command::Filter(wanted)),
                    Err(wrong) => self.wrong = Some(wrong),
                }
            }
        }
        let label = ui.label("Served from").on_hover_text(
            "Only what this place in malloc served, under the recorded settings: a replay finds out.",
        );
        let name = filter.places.map_or_else(|| "any place".to_owned(), Places::said);
        let choice = ComboBox::from_id_salt("served from").selected_text(name).width(WIDTH).height(320.0);
        let shown = choice.show_ui(ui, |ui| {
            let any = Filter { places: None, ..filter };
            let kinds = SOURCES.map(|name| (name, Filter { places: Places::of_kind(name), ..filter }));
            for (name, wanted) in std::iter::once(("any place", any)).chain(kinds) {
                if ui.selectable_label(wanted == filter, name).clicked() {
                    commands.push(Command::Filter(wanted));
                }
            }
        });
        shown.response.labelled_by(label.id);
    }
}

/// What is set, each with a button that takes it away.
pub fn chips(ui: &mut Ui, model: &Model, commands: &mut Commands) {
    for (said, without) in model.filter.parts() {
        let frame = Frame::new().inner_margin(Margin::symmetric(6, 1)).corner_radius(8);
        frame.fill(theme::selected(ui.visuals())).show(ui, |ui| {
            ui.horizontal(|ui| {
                ui.spacing_mut().item_spacing.x = theme::GAP / 2.0;
                ui.label(RichText::new(&said).strong());
                let button = ui.add(Button::new("×").frame(false).small());
                let name = format!("Take away: {said}");
                button.widget_info(|| egui::WidgetInfo::labeled(egui::accesskit::Role::Button, true, &name));
                if button.on_hover_text("Count others again too").clicked() {
                    commands.push(Command::Filter(without));
                }
            });
        });
    }
    if model.filter.parts().len() > 1 && ui.button("Clear filter").clicked() {
        commands.push(Command::Filter(Filter::default()));
    }
}

/// The other panels that speak of what is let through.
pub fn links(ui: &mut Ui, model: &Model, panel: View, commands: &mut Commands) {
    if model.filter.is_all() {
        return;
    }
    for view in PANELS.into_iter().filter(|view| *view != panel) {
        // In one piece: the words of a link would be parted at the end of a line.
        let name = format!("Its {}", view.title().to_lowercase());
        let name = RichText::new(name).color(ui.visuals().hyperlink_color);
        if ui.add(Button::new(name).frame(false)).on_hover_text(view.meaning()).clicked() {
            commands.push(Command::Look(view));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_typed_is_a_filter_and_back() {
        let all = Filter::default();
        for (field, text) in [(Field::Thread, "3"), (Field::Size, "64..1K"), (Field::Lifetime, "..11")] {
            let filter = field.read(all, &format!(" {text} ")).unwrap();
            assert_eq!(field.typed(&filter), text);
            assert_eq!(field.read(filter, " "), Ok(all), "nothing asks for nothing");
            assert!(field.read(all, "nonsense").is_err());
        }
    }
}
