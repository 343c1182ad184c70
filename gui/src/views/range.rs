//! Which records the numbers are of, if not of all; and the button that makes it all again.

use crate::app::command::{Command, Commands};
use crate::model::{Model, Replayed, Tile};
use crate::theme;
use crate::widgets::message;
use egui::{Frame, RichText, Spinner, Ui};
use malloscope_replayer::report::units::{count, nanos};

/// Shows which records were selected, and how far the replay is that counts them alone.
pub fn ui(ui: &mut Ui, model: &Model, recorded: &Replayed, commands: &mut Commands) {
    let Some((first, end)) = model.range else { return };
    if let Tile::Failed(failure) = &model.ranged {
        message::show(ui, &failure.what, &failure.next);
    }
    ui.horizontal(|ui| {
        let timeline = &recorded.timeline;
        let time = timeline.time_of(end).saturating_sub(timeline.time_of(first));
        let chip = format!("Records {}–{}", count(first), count(end - 1));
        let frame = Frame::new().inner_margin(egui::Margin::symmetric(8, 2)).corner_radius(8);
        frame.fill(theme::selected(ui.visuals())).show(ui, |ui| {
            ui.label(RichText::new(chip).strong());
        });
        ui.label(format!("{} records, {}", count(end - first), nanos(time)));
        if ui.button("Clear range").on_hover_text("Count all records again (Esc)").clicked() {
            commands.push(Command::Select(None));
        }
        match &model.ranged {
            Tile::Loading(progress) => {
                ui.add(Spinner::new().size(14.0));
                let far = progress.and_then(|progress| Some((progress.done, progress.total.filter(|total| *total > 0)?)));
                let far = far.map(|(done, total)| format!(" {} %", 100 * done.min(total) / total));
                let said = format!("Counting them{}… All numbers are still of all records.", far.unwrap_or_default());
                ui.label(RichText::new(said).weak());
            }
            Tile::Ready(_) => {
                let said = "All tables speak of these records. Those before were replayed too, and made the heap what it was.";
                ui.label(RichText::new(said).weak());
            }
            Tile::Missing | Tile::Failed(_) => {}
        }
    });
}
