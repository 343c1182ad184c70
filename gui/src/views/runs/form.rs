//! A form in which everything can be set, and what malloc would make of it.

use crate::app::command::{Command, Commands};
use crate::model::draft::{Draft, Effect};
use crate::theme;
use egui::{Button, ComboBox, Grid, Label, RichText, TextEdit, Ui};
use malloscope_replayer::report::TraceInfo;
use malloscope_replayer::trial::{MemoryKind, ThpMode, Touch, Trial, WordWidth};
use malloscope_replayer::tunables::{self, TunableRow};

/// How wide the field for changes of the release is.
const CHANGES: f32 = 150.0;

/// The form, as it is being filled in.
#[derive(Clone, Debug, Default)]
pub struct Form {
    draft: Draft,
    seen: Option<Seen>,
}

/// What a draft came to when it was looked at last.
#[derive(Clone, Debug)]
struct Seen {
    draft: Draft,
    come_to: Result<(Trial, Effect), String>,
}

impl Form {
    /// Shows the form, and below it what the settings come to.
    pub fn ui(&mut self, ui: &mut Ui, trace: &TraceInfo, commands: &mut Commands) {
        let release = match &self.seen {
            Some(Seen { come_to: Ok((_, effect)), .. }) => effect.release.clone(),
            _ => self.draft.release.clone().unwrap_or_else(|| tunables::newest().to_owned()),
        };
        Grid::new("settings").num_columns(3).spacing([theme::GAP, 4.0]).show(ui, |ui| {
            self.release(ui);
            self.release_changes(ui, &release);
            for row in tunables::of(&release).unwrap_or_default() {
                self.tunable(ui, &row);
            }
            self.machine(ui);
        });
        let label = ui.label("Pasted settings").on_hover_text(
            "Settings as they stand in a shell, a unit file or a Dockerfile; they are read as glibc reads them.",
        );
        let hint = "GLIBC_TUNABLES=glibc.malloc.arena_max=2  MALLOC_ARENA_MAX=2  mmap_threshold=64K";
        let pasted = TextEdit::multiline(&mut self.draft.pasted).hint_text(hint).desired_rows(2);
        ui.add(pasted.desired_width(theme::READING_WIDTH.min(ui.available_width()))).labelled_by(label.id);
        self.look(trace);
        self.outcome(ui, commands);
    }

    /// Finds out what the draft comes to, if it is another than before.
    fn look(&mut self, trace: &TraceInfo) {
        if self.seen.as_ref().is_none_or(|seen| seen.draft != self.draft) {
            let come_to = self.draft.trial().and_then(|trial| {
                let effect = Effect::of(&trial, trace)?;
                Ok((trial, effect))
            });
            self.seen = Some(Seen { draft: self.draft.clone(), come_to });
        }
    }

    fn outcome(&mut self, ui: &mut Ui, commands: &mut Commands) {
        let Some(Seen { come_to, .. }) = &self.seen else { return };
        let warning = ui.visuals().warn_fg_color;
        match come_to {
            Ok((_, effect)) => {
                let taken = if effect.taken.is_empty() {
                    "nothing is set".to_owned()
                } else {
                    effect.taken.join(", ")
                };
                ui.add(Label::new(RichText::new(format!("glibc {}: {taken}", effect.release)).weak()).wrap());
                for ignored in &effect.ignored {
                    ui.add(Label::new(RichText::new(ignored).color(warning)).wrap());
                }
            }
            Err(what) => {
                ui.add(Label::new(RichText::new(what).color(warning)).wrap());
            }
        }
        let trial = come_to.as_ref().ok().map(|(trial, _)| trial.clone());
        let is_other = trial.as_ref().is_some_and(|trial| *trial != Trial::default());
        ui.horizontal(|ui| {
            let button = ui.add_enabled(is_other, Button::new("Replay with this"));
            let button = button.on_disabled_hover_text("Set something first.");
            if button.clicked() {
                commands.extend(trial.map(|trial| Command::Try(vec![trial])));
            }
            if ui.add_enabled(!self.draft.is_empty(), Button::new("Clear")).clicked() {
                self.draft = Draft::default();
            }
        });
    }

    fn release(&mut self, ui: &mut Ui) {
        let meaning = "The release of glibc whose malloc is replayed.";
        let label = ui.label("glibc release").on_hover_text(meaning);
        let shown = self.draft.release.clone().unwrap_or_else(|| "as recorded".to_owned());
        let combo = ComboBox::from_id_salt("release").selected_text(shown).show_ui(ui, |ui| {
            ui.selectable_value(&mut self.draft.release, None, "as recorded");
            for release in tunables::releases().into_iter().rev() {
                ui.selectable_value(&mut self.draft.release, Some(release.to_owned()), release);
            }
        });
        combo.response.labelled_by(label.id).on_hover_text(meaning);
        ui.end_row();
    }

    /// What a distribution's glibc has other than the release.
    fn release_changes(&mut self, ui: &mut Ui, release: &str) {
        let label = ui.label("release changes").on_hover_text(
            "What a distribution changed about the release, by field; `malloscope tunables` lists all.",
        );
        let hint = "field=value";
        let field = TextEdit::singleline(&mut self.draft.release_changes).hint_text(hint);
        let field = ui.add(field.desired_width(CHANGES)).labelled_by(label.id);
        field.on_hover_ui(|ui| {
            for field in tunables::fields(release).unwrap_or_default() {
                ui.label(format!("{}={} ({})", field.name, field.value, field.values));
            }
        });
        ui.end_row();
    }

    fn tunable(&mut self, ui: &mut Ui, row: &TunableRow) {
        let mut meaning = row.meaning.to_owned();
        if let Some(variable) = row.variable {
            meaning.push_str(&format!("\nIts variable is {variable}."));
        }
        let text = self.draft.tunables.entry(row.name).or_default();
        let (values, unit) = (row.values.as_deref(), if row.is_bytes { " bytes" } else { "" });
        let values =
            values.map_or_else(|| "not read by this release".to_owned(), |values| format!("{values}{unit}"));
        field(ui, row.name, &meaning, text);
        ui.label(RichText::new(values).small().weak());
        ui.end_row();
    }

    /// What is not malloc's but the machine's, or assumed about the program.
    fn machine(&mut self, ui: &mut Ui) {
        let draft = &mut self.draft;
        choice(ui, "memory", draft.memory.meaning(), draft.memory.name(), |ui| {
            for kind in MemoryKind::ALL {
                ui.selectable_value(&mut draft.memory, kind, kind.name()).on_hover_text(kind.meaning());
            }
        });
        choice(ui, "touch policy", draft.touch.meaning(), draft.touch.name(), |ui| {
            for touch in Touch::ALL {
                ui.selectable_value(&mut draft.touch, touch, touch.name()).on_hover_text(touch.meaning());
            }
        });
        let bits = |words: WordWidth| if words == WordWidth::Bits64 { "64 bits" } else { "32 bits" };
        choice(
            ui,
            "words",
            "How wide the machine's words are; 32 bits, as on i386, are only simulated.",
            bits(draft.words),
            |ui| {
                for words in [WordWidth::Bits64, WordWidth::Bits32] {
                    ui.selectable_value(&mut draft.words, words, bits(words));
                }
            },
        );
        let mode = draft.transparent_huge_pages;
        let (name, meaning) = mode
            .map_or(("as recorded", "The kernel uses huge pages as on the recorded machine."), |mode| {
                (mode.name(), mode.meaning())
            });
        choice(ui, "transparent huge pages", meaning, name, |ui| {
            ui.selectable_value(&mut draft.transparent_huge_pages, None, "as recorded");
            for mode in ThpMode::ALL {
                ui.selectable_value(&mut draft.transparent_huge_pages, Some(mode), mode.name())
                    .on_hover_text(mode.meaning());
            }
        });
        let fields = [
            (
                "huge pages",
                "Huge pages that are free in the kernel's pool, for hugetlb=2.",
                &mut draft.huge_pages,
            ),
            ("processors", "Processors, which bound the number of arenas.", &mut draft.processors),
            (
                "break offset",
                "The initial program break's place in its page, in bytes.",
                &mut draft.break_offset,
            ),
            (
                "break limit",
                "A wall across the program break's way, this many bytes above its beginning.",
                &mut draft.break_limit,
            ),
        ];
        for (name, meaning, text) in fields {
            field(ui, name, meaning, text);
            ui.end_row();
        }
    }
}

/// A field for a number.
fn field(ui: &mut Ui, name: &str, meaning: &str, text: &mut String) {
    let label = ui.label(name).on_hover_text(meaning);
    let field = TextEdit::singleline(text).hint_text("as is").desired_width(theme::FIELD);
    ui.add(field).labelled_by(label.id).on_hover_text("A number: 65536, 64K, 1M; -1 is never");
}

/// A choice among words.
fn choice(ui: &mut Ui, name: &str, meaning: &str, chosen: &str, add: impl FnOnce(&mut Ui)) {
    let label = ui.label(name).on_hover_text(meaning);
    let combo = ComboBox::from_id_salt(name).selected_text(chosen).show_ui(ui, add);
    combo.response.labelled_by(label.id).on_hover_text(meaning);
    ui.end_row();
}
