//! The processes there are and whether they can be attached to, for `record --list`.

use crate::commands::record::StatusFormat;
use crate::output::{PageFormat, print_page};
use anyhow::{Context, Result};
use malloscope_recorder::attach::Engine;
use malloscope_recorder::attach::candidates::{self, Candidate};
use malloscope_replayer::report::units::{bytes, count};
use malloscope_replayer::report::{Column, Section, Table, json};
use serde::Serialize;

/// What is printed for programs, under names that stay.
#[derive(Debug, Serialize)]
struct List {
    /// The engines that are in this build.
    engines: Vec<&'static str>,
    processes: Vec<Process>,
}

#[derive(Debug, Serialize)]
struct Process {
    pid: u32,
    user: String,
    name: String,
    command: Vec<String>,
    resident_bytes: u64,
    /// Why it cannot be attached to, if it cannot.
    refused: Option<String>,
}

impl From<Candidate> for Process {
    fn from(Candidate { pid, user, name, command, resident, refusal }: Candidate) -> Process {
        let refused = refusal.map(|refusal| refusal.to_string());
        Process { pid, user, name, command, resident_bytes: resident, refused }
    }
}

/// Prints them.
pub fn list(format: StatusFormat) -> Result<()> {
    let processes = candidates::all().context("while looking which processes there are")?;
    let engines = [("got", Engine::Got), ("gum", Engine::Gum)];
    let engines = engines.into_iter().filter(|(_, engine)| engine.is_there().is_ok());
    let list = List {
        engines: engines.map(|(name, _)| name).collect(),
        processes: processes.into_iter().map(Process::from).collect(),
    };
    let format = match format {
        StatusFormat::Terminal => PageFormat::Terminal,
        StatusFormat::Json => PageFormat::Json,
    };
    print_page(format, || sections(&list), |out| json::write("malloscope.processes", &list, out))
}

fn sections(list: &List) -> Vec<Section> {
    let (refused, open): (Vec<&Process>, Vec<&Process>) =
        list.processes.iter().partition(|process| process.refused.is_some());
    let columns = [("Process", true), ("User", false), ("Resident", true), ("Name", false)];
    let section =
        |title: &str, last: &'static str, processes: &[&Process], said: &dyn Fn(&Process) -> String| {
            let column = |(name, is_number): (&str, bool)| Column { name: name.to_owned(), is_number };
            let row = |process: &&Process| {
                let Process { pid, user, resident_bytes, name, .. } = process;
                vec![pid.to_string(), user.clone(), bytes(*resident_bytes), name.clone(), said(process)]
            };
            Section {
                title: format!("{}: {}", title, count(processes.len() as u64)),
                table: (!processes.is_empty()).then(|| Table {
                    columns: columns.into_iter().chain([(last, false)]).map(column).collect(),
                    rows: processes.iter().map(row).collect(),
                }),
                ..Section::default()
            }
        };
    let command = |process: &Process| process.command.join(" ");
    let why = |process: &Process| process.refused.clone().unwrap_or_default();
    vec![
        section("Can be attached to", "Command", &open, &command),
        section("Cannot be attached to", "Why not", &refused, &why),
    ]
}
