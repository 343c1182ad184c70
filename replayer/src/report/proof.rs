//! Predictions beside what real runs did.

use super::csv::write_row;
use super::units::{bytes, count};
use super::{Line, Section, Table, TraceInfo};
use crate::proof::{Held, Kind, PREDICTED, Proved};
use serde::Serialize;
use std::io::{self, Write};

/// What was predicted from one trace, under several settings, and what real runs did.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Proof {
    /// The trace.
    pub trace: TraceInfo,
    /// The settings, the recorded one first.
    pub settings: Vec<Proved>,
}

impl Proof {
    /// For people.
    pub fn sections(&self) -> Vec<Section> {
        let opening = Section {
            title: String::new(),
            lines: vec![Line::Text(self.trace.command())],
            table: None,
            notes: Vec::new(),
        };
        let mut sections = vec![opening];
        sections.extend(self.settings.iter().map(section));
        if let Some(last) = sections.last_mut() {
            last.notes.push(
                "Actual is malloc's memory alone, seen from outside in real runs with nothing loaded into them: \
                 the kernel's calls that malloc made, and the pages behind them."
                    .to_owned(),
            );
        }
        sections
    }

    /// As CSV: a line for each number of each setting.
    ///
    /// # Errors
    ///
    /// When `out` takes no more.
    pub fn write_csv(&self, out: &mut dyn Write) -> io::Result<()> {
        write_row(["setting", "measure", "predicted", "actual_least", "actual_most"], out)?;
        for proved in &self.settings {
            for what in &PREDICTED {
                let Held { predicted, least, most } = proved.held(what);
                let numbers = [predicted, least, most].map(|number| number.to_string());
                let [predicted, least, most] = numbers.each_ref().map(String::as_str);
                write_row([&proved.name, what.name, predicted, least, most], out)?;
            }
        }
        Ok(())
    }
}

fn section(proved: &Proved) -> Section {
    let mut table = Table::with_columns(&["", "#predicted", "#actual", "#off by"]);
    for what in &PREDICTED {
        let held = proved.held(what);
        if held.predicted == 0 && held.most == 0 {
            continue;
        }
        let shown = |value| if what.kind == Kind::Bytes { bytes(value) } else { count(value) };
        let actual = match (held.least, held.most) {
            (least, most) if least == most => shown(most),
            (least, most) => format!("{} to {}", shown(least), shown(most)),
        };
        table.push([what.name.to_owned(), shown(held.predicted), actual, off(held)]);
    }
    let variables: Vec<String> =
        proved.variables.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let set =
        if variables.is_empty() { "nothing of malloc's is set".to_owned() } else { variables.join(" ") };
    let runs = match proved.actual.len() {
        1 => "one real run".to_owned(),
        many => format!("{many} real runs"),
    };
    Section {
        title: proved.name.clone(),
        lines: vec![Line::Text(format!("{set}; {runs}"))],
        table: Some(table),
        notes: vec![verdict(proved)],
    }
}

fn off(held: Held) -> String {
    match held.off() {
        0.0 => "=".to_owned(),
        off if off.is_infinite() => "∞".to_owned(),
        off if off < 0.0001 => "< 0.01 %".to_owned(),
        off => format!("{:.2} %", off * 100.0),
    }
}

fn verdict(proved: &Proved) -> String {
    let calls = PREDICTED.iter().filter(|what| what.kind == Kind::Calls);
    let wrong = calls.filter(|what| proved.held(what).off() > 0.0).map(|what| what.name);
    let wrong = wrong.collect::<Vec<_>>().join(", ");
    let calls = if wrong.is_empty() {
        "Every number of calls is as predicted".to_owned()
    } else {
        format!("Not as predicted: {wrong}")
    };
    let others = match proved.worst(|kind| kind != Kind::Calls) {
        0.0 => "faults and resident bytes too.".to_owned(),
        off if off.is_infinite() => "faults or resident bytes neither.".to_owned(),
        off => format!("faults and resident bytes within {:.2} %.", off * 100.0),
    };
    format!("{calls}; {others}")
}
