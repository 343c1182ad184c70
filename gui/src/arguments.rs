//! The command line of the window: which trace, and what is looked at. What is looked at can be written as a
//! command line again.

use crate::app::command::{Command, Commands};
use crate::app::persist::Colours;
use crate::model::runs::RunId;
use crate::model::view::View;
use crate::model::{Model, span, trial};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, ValueEnum};
use egui::Theme;
use malloscope_replayer::filter::Filter;
use malloscope_replayer::trial::Trial;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// Look at what malloc did: replay a trace and show its program break and its bins in a window
#[derive(Clone, Debug, Parser)]
#[command(name = "malloscope-gui", version)]
#[command(after_help = "\
Example:\n  malloscope record -o app.mscope -- app\n  malloscope-gui app.mscope\n  \
malloscope-gui --screenshot timeline.png --view timeline app.mscope")]
pub struct Arguments {
    /// The trace; without one, the window asks for it
    pub trace: Option<PathBuf>,
    /// What to look at.
    #[command(flatten)]
    pub looks: Looks,
    /// The window's width and height [default: as it was left, or 1280x800]
    #[arg(long, value_name = "WxH", value_parser = size)]
    pub window_size: Option<[f32; 2]>,
    /// Neither read nor keep where panels are, and how large the window is
    #[arg(long)]
    pub no_persist: bool,
    /// Write a picture instead of opening a window, as PNG or, if FILE ends so, as SVG
    ///
    /// Needs no display and no graphics processor. With --view it is of that panel alone, else of the
    /// whole window.
    #[arg(long, value_name = "FILE")]
    pub screenshot: Option<PathBuf>,
    /// Pixels a point of a picture
    #[arg(long, value_name = "FACTOR", default_value = "1", value_parser = scale, requires = "screenshot")]
    pub scale: f32,
}

/// What to look at.
#[derive(Clone, Debug, Default, PartialEq, Eq, Args)]
#[command(next_help_heading = "What to look at")]
pub struct Looks {
    /// Put the cursor at this record
    #[arg(long, value_name = "RECORD", value_parser = span::record)]
    pub at: Option<u64>,
    /// Look at these records only: the first, and the first after them
    #[arg(long, value_name = "A..B", value_parser = span::range)]
    pub range: Option<(u64, u64)>,
    /// Bring this panel to the front
    #[arg(long, value_name = "PANEL", value_parser = view_parser())]
    pub view: Option<View>,
    /// Show that panel alone
    #[arg(long, requires = "view")]
    pub alone: bool,
    /// Count only some allocations: `size=64..1K`, `lifetime=..11`, `place=tcache-3,top`, `freed-to=top`, `thread=2` or `stack=17`
    ///
    /// As the options of `malloscope flame` spell them; more than once for all of them together.
    #[arg(long, value_name = "WHAT=WHICH", value_parser = Filter::part)]
    pub only: Vec<Filter>,
    /// Replay with these settings too, as `--set` of `malloscope replay` spells them
    ///
    /// Also `glibc=2.31`, `memory=real` and `touch=all`. More than once for more than one replay.
    #[arg(long, value_name = "NAME=VALUE,…", value_parser = trial::parse)]
    pub compare: Vec<Trial>,
    /// Dark or light colours [default: as they were left, or as the desktop's]
    #[arg(long, value_name = "COLOURS")]
    pub theme: Option<ThemeArg>,
}

/// Dark or light.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ThemeArg {
    /// Light on dark
    Dark,
    /// Dark on light
    Light,
}

impl Looks {
    /// What is looked at in the window.
    pub fn of(model: &Model, theme: Option<Theme>) -> Looks {
        let others = model.runs.all().iter().filter(|run| run.id != RunId::RECORDED);
        Looks {
            at: model.cursor,
            range: model.range,
            view: Some(model.front),
            alone: model.is_alone,
            only: model.filter.apart(),
            compare: others.map(|run| run.trial.clone()).collect(),
            theme: theme.map(|theme| match theme {
                Theme::Dark => ThemeArg::Dark,
                Theme::Light => ThemeArg::Light,
            }),
        }
    }

    /// What leads there, once the trace is there.
    pub fn commands(&self) -> Commands {
        let mut commands = Commands::new();
        if !self.compare.is_empty() {
            commands.push(Command::Try(self.compare.clone()));
        }
        commands.extend(self.range.map(|range| Command::Select(Some(range))));
        if !self.only.is_empty() {
            let all = self.only.iter().fold(Filter::default(), |all, part| all.and(part));
            commands.push(Command::Filter(all));
        }
        commands.extend(self.at.map(|record| Command::Point(Some(record))));
        commands.extend(self.view.map(Command::Look));
        if self.alone {
            commands.push(Command::Alone(true));
        }
        commands
    }

    /// The colours that were asked for.
    pub fn colours(&self) -> Option<Colours> {
        self.theme.map(|theme| match theme {
            ThemeArg::Dark => Colours::Dark,
            ThemeArg::Light => Colours::Light,
        })
    }

    /// The words of a command line that leads here.
    fn words(&self) -> Vec<String> {
        let mut words = Vec::new();
        let mut option = |name: &str, value: Option<String>| {
            if let Some(value) = value {
                words.extend([name.to_owned(), value]);
            }
        };
        option("--at", self.at.map(|record| record.to_string()));
        option("--range", self.range.map(span::typed));
        for (name, value) in self.only.iter().flat_map(Filter::options) {
            option("--only", Some(format!("{}={value}", name.trim_start_matches('-'))));
        }
        option("--view", self.view.map(|view| view.word().to_owned()));
        self.compare.iter().for_each(|trial| option("--compare", Some(trial::typed(trial))));
        let theme = self.theme.and_then(|theme| theme.to_possible_value());
        option("--theme", theme.map(|theme| theme.get_name().to_owned()));
        if self.alone {
            words.push("--alone".to_owned());
        }
        words
    }

    /// A command line that leads here, for a shell.
    pub fn line(&self, trace: Option<&Path>) -> String {
        let mut line = "malloscope-gui".to_owned();
        for word in self.words() {
            line.push(' ');
            line.push_str(&quoted(word.as_ref()));
        }
        if let Some(trace) = trace {
            // After `--` nothing is taken for an option, however it begins.
            line.push_str(if trace.as_os_str().as_encoded_bytes().starts_with(b"-") { " -- " } else { " " });
            line.push_str(&quoted(trace.as_os_str()));
        }
        line
    }
}

/// A word as shells read it as one: bare where nothing in it means anything to them.
fn quoted(word: &OsStr) -> String {
    let text = word.to_string_lossy();
    let is_bare = |letter: char| letter.is_ascii_alphanumeric() || "-_./=,:+%@".contains(letter);
    if !text.is_empty() && text.chars().all(is_bare) {
        return text.into_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

fn view_parser() -> impl TypedValueParser<Value = View> {
    let words = View::ALL.map(|view| clap::builder::PossibleValue::new(view.word()).help(view.meaning()));
    PossibleValuesParser::new(words).map(|word| {
        View::ALL.into_iter().find(|view| view.word() == word).expect("only these words are let through")
    })
}

/// Reads `1600x1000`.
fn size(text: &str) -> Result<[f32; 2], String> {
    let side = |text: &str| {
        let side = text.trim().parse().ok().filter(|side: &f32| (100.0..=16_000.0).contains(side));
        side.ok_or_else(|| format!("`{text}` is not a side of a window: 100 to 16000"))
    };
    let (width, height) =
        text.split_once('x').ok_or_else(|| format!("`{text}` is not WIDTHxHEIGHT: 1600x1000"))?;
    Ok([side(width)?, side(height)?])
}

/// Reads a factor by which things are larger.
fn scale(text: &str) -> Result<f32, String> {
    let factor = text.parse().ok().filter(|factor: &f32| (0.25..=8.0).contains(factor));
    factor.ok_or_else(|| format!("`{text}` is not a factor from 0.25 to 8"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::apply::apply;

    fn read(words: &[&str]) -> Result<Arguments, clap::Error> {
        Arguments::try_parse_from(["malloscope-gui"].iter().chain(words))
    }

    #[test]
    fn what_is_looked_at_is_a_command_line_and_back() {
        let lines: [&[&str]; 6] = [
            &[
                "--only",
                "thread=2",
                "--only",
                "size=64..1K",
                "--only",
                "place=tcache-3,top",
                "--view",
                "flame",
            ],
            &["--view", "timeline"],
            &["--view", "bins", "--alone", "--theme", "light"],
            &["--at", "1500", "--view", "served"],
            &["--range", "100..200", "--view", "report", "--theme", "dark"],
            &[
                "--compare",
                "mmap_threshold=64K,trim_threshold=1M",
                "--at",
                "0",
                "--range",
                "0..9",
                "--view",
                "runs",
            ],
        ];
        for words in lines {
            let looks = read(words).unwrap().looks;
            let mut model = Model::default();
            apply(&mut model, Command::Open("a.mscope".into()));
            for command in looks.commands() {
                apply(&mut model, command);
            }
            let theme = looks.theme.map(|theme| match theme {
                ThemeArg::Dark => Theme::Dark,
                ThemeArg::Light => Theme::Light,
            });
            let again = Looks::of(&model, theme);
            assert_eq!(again, looks);
            let words = again.words();
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            assert_eq!(read(&words).unwrap().looks, looks, "{words:?}");
        }
    }

    #[test]
    fn a_line_is_read_by_a_shell_as_it_was_meant() {
        let line = |trace: &str| Looks::default().line(Some(Path::new(trace)));
        assert_eq!(line("a.mscope"), "malloscope-gui a.mscope");
        assert_eq!(line("-a"), "malloscope-gui -- -a");
        let odd = "it's $HOME;\n`x` \"y\" \\";
        let shell = std::process::Command::new("sh")
            .args(["-c", &line(odd).replacen("malloscope-gui", "printf %s", 1)])
            .output()
            .unwrap();
        assert_eq!(String::from_utf8(shell.stdout).unwrap(), odd);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let wrong: [&[&str]; 9] = [
            &["--at", "x"],
            &["--range", "9..7"],
            &["--view", "nothing"],
            &["--alone"],
            &["--window-size", "12"],
            &["--window-size", "1x1e9"],
            &["--scale", "2"],
            &["--scale", "99", "--screenshot", "a.png"],
            &["--compare", "mmap_threshold=lots"],
        ];
        for words in wrong {
            assert!(read(words).is_err(), "{words:?}");
        }
        assert_eq!(read(&["--window-size", "1600x1000"]).unwrap().window_size, Some([1600.0, 1000.0]));
    }
}
