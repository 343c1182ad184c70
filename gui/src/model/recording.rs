//! A recording that is made from the window: what is asked for, and how far it is.

use super::failure::Failure;
use std::path::PathBuf;

/// Which calls are recorded with their stacks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stacks {
    /// Those of all calls that ask for memory.
    #[default]
    All,
    /// Those of a sample.
    Sample,
    /// Of none.
    None,
}

impl Stacks {
    /// Every choice.
    pub const ALL: [Stacks; 3] = [Stacks::All, Stacks::Sample, Stacks::None];

    /// How the command has it.
    pub fn word(self) -> &'static str {
        match self {
            Stacks::All => "all",
            Stacks::Sample => "sample:512K",
            Stacks::None => "none",
        }
    }

    /// What it means.
    pub fn meaning(self) -> &'static str {
        match self {
            Stacks::All => "The stack of every call that asks for memory: flamegraphs are exact.",
            Stacks::Sample => "The stack of one call in 512 KiB asked for: for programs that must stay fast.",
            Stacks::None => "No stacks: replays are as exact, but there are no flamegraphs.",
        }
    }
}

/// How a program comes to be recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Way {
    /// It is run for that.
    #[default]
    Run,
    /// It runs, and is attached to.
    Attach,
}

/// A form, as it is filled in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecordingForm {
    /// What is done.
    pub way: Way,
    /// The process that is attached to, and its name.
    pub process: Option<(u32, String)>,
    /// How long it is recorded, as the command has it; empty for as long as it runs.
    pub time: String,
    /// By what its calls come to the recorder, as the command has it; empty for the usual.
    pub engine: String,
    /// The program, and its arguments as a shell would take them.
    pub command: String,
    /// The folder it is started in; empty for the window's own.
    pub folder: String,
    /// Where the trace goes; empty for a name made from the program's.
    pub output: String,
    /// Which calls are recorded with their stacks.
    pub stacks: Stacks,
}

/// What is recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A program and its arguments.
    Program(Vec<String>),
    /// A process that runs.
    Process {
        /// Its id.
        pid: u32,
        /// Its name.
        name: String,
        /// How long it is recorded, if not as long as it runs.
        time: Option<String>,
        /// By what its calls come to the recorder, if not by the usual.
        engine: Option<String>,
    },
}

/// A recording to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordingJob {
    /// What is recorded.
    pub subject: Subject,
    /// The folder the recorder is started in, and the program with it, if not the window's own.
    pub folder: Option<PathBuf>,
    /// Where the trace goes; a path that is not absolute begins in that folder.
    pub output: PathBuf,
    /// Which calls are recorded with their stacks.
    pub stacks: Stacks,
}

impl RecordingForm {
    /// The recording that is asked for.
    ///
    /// # Errors
    ///
    /// What to type instead.
    pub fn job(&self) -> Result<RecordingJob, String> {
        let filled = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
        let (subject, name) = match self.way {
            Way::Run => {
                let words = words(&self.command)?;
                let program = words.first().ok_or("Type a program, for example: python3 script.py")?;
                let name = program.rsplit('/').next().unwrap_or(program).to_owned();
                (Subject::Program(words), name)
            }
            Way::Attach => {
                let (pid, name) = self.process.clone().ok_or("Choose a process.")?;
                let file = format!("{}-{pid}", name.replace('/', "-"));
                let (time, engine) = (filled(&self.time), filled(&self.engine));
                (Subject::Process { pid, name, time, engine }, file)
            }
        };
        let output = filled(&self.output).unwrap_or_else(|| format!("{name}.mscope"));
        let folder = filled(&self.folder).map(PathBuf::from);
        Ok(RecordingJob { subject, folder, output: PathBuf::from(output), stacks: self.stacks })
    }
}

impl Subject {
    /// What is recorded, in few words.
    pub fn said(&self) -> String {
        match self {
            Subject::Program(words) => words.join(" "),
            Subject::Process { pid, name, .. } => format!("{name} (process {pid})"),
        }
    }
}

impl RecordingJob {
    /// Where the trace will be.
    pub fn path(&self) -> PathBuf {
        self.folder.as_ref().map_or_else(|| self.output.clone(), |folder| folder.join(&self.output))
    }
}

/// Divides text into words as a shell does, at spaces that are not quoted. Nothing is expanded.
fn words(text: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match (quote, character) {
            (Some(end), _) if character == end => quote = None,
            (None, '\'' | '"') => {
                quote = Some(character);
                word.get_or_insert_default();
            }
            (None | Some('"'), '\\') => word.get_or_insert_default().extend(characters.next()),
            (None, _) if character.is_whitespace() => words.extend(word.take()),
            _ => word.get_or_insert_default().push(character),
        }
    }
    if let Some(quote) = quote {
        return Err(format!("A {quote} is not closed."));
    }
    words.extend(word);
    Ok(words)
}

/// A recording under way, or that came to nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recording {
    /// What is recorded, in few words.
    pub what: String,
    /// Whether it ran before, and goes on afterwards.
    pub is_attached: bool,
    /// What was said meanwhile, the latest last.
    pub lines: Vec<String>,
    /// Whether it was asked to end.
    pub is_stopping: bool,
    /// The trace, as soon as something can be read of it.
    pub growing: Option<PathBuf>,
    /// The trace, if it is whole and could not be opened at once, since another one was looked at.
    pub trace: Option<PathBuf>,
    /// Why it came to nothing, if it did.
    pub failure: Option<Failure>,
}

impl Recording {
    /// The most lines that are kept.
    const MOST_LINES: usize = 200;

    /// Whether the program still runs.
    pub fn is_under_way(&self) -> bool {
        self.trace.is_none() && self.failure.is_none()
    }

    /// Hears a line.
    pub fn hear(&mut self, line: String) {
        if self.lines.len() >= Recording::MOST_LINES {
            self.lines.remove(0);
        }
        self.lines.push(line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_divided_as_a_shell_does() {
        for (text, expected) in [
            ("", vec![]),
            (" ls  -l ", vec!["ls", "-l"]),
            ("python3 -c 'print(1); print(\"a\")'", vec!["python3", "-c", "print(1); print(\"a\")"]),
            ("a\"b c\"d ''", vec!["ab cd", ""]),
            (r#"a\ b "c\"d" 'e\f'"#, vec!["a b", "c\"d", "e\\f"]),
        ] {
            assert_eq!(words(text).unwrap(), expected, "{text}");
        }
        assert!(words("echo 'a").unwrap_err().contains("not closed"));
    }

    #[test]
    fn a_form_becomes_a_job() {
        let mut form = RecordingForm { command: "/usr/bin/env true".to_owned(), ..RecordingForm::default() };
        assert_eq!(form.job().unwrap().path(), PathBuf::from("env.mscope"));
        form.folder = "/tmp".to_owned();
        assert_eq!(form.job().unwrap().path(), PathBuf::from("/tmp/env.mscope"));
        form.output = "/var/a.mscope".to_owned();
        assert_eq!(form.job().unwrap().path(), PathBuf::from("/var/a.mscope"));
        form.command = " ".to_owned();
        assert!(form.job().unwrap_err().starts_with("Type a program"));
    }

    #[test]
    fn a_form_for_a_process_becomes_a_job() {
        let mut form = RecordingForm { way: Way::Attach, ..RecordingForm::default() };
        assert_eq!(form.job().unwrap_err(), "Choose a process.");
        form.process = Some((12, "kworker/u8:0".to_owned()));
        form.time = " 60s ".to_owned();
        let job = form.job().unwrap();
        assert_eq!(job.path(), PathBuf::from("kworker-u8:0-12.mscope"));
        let (name, time) = ("kworker/u8:0".to_owned(), Some("60s".to_owned()));
        assert_eq!(job.subject, Subject::Process { pid: 12, name, time, engine: None });
        assert_eq!(job.subject.said(), "kworker/u8:0 (process 12)");
    }

    #[test]
    fn a_program_that_talks_for_ever_fills_no_memory() {
        let mut recording = Recording::default();
        (0..1000).for_each(|number| recording.hear(number.to_string()));
        assert_eq!((recording.lines.len(), recording.lines[0].as_str()), (200, "800"));
    }
}
