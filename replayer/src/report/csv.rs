//! A report as CSV: a number a line, in four columns.
//!
//! ```text
//! run,section,item,measure,value
//! as recorded,memory,resident,peak_bytes,137363456
//! as recorded,bin,tcache 5,hits,1500
//! ```
//!
//! The names are those of the JSON document, flattened.

use super::{Report, Run};
use serde_json::Value;
use std::io::{self, Write};

/// Writes the numbers of a report: those of its run, and the stacks that matter most.
///
/// # Errors
///
/// When `out` takes no more.
pub fn write_report(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    let run = Run { name: "replay".to_owned(), outcome: report.outcome.clone() };
    write(std::slice::from_ref(&run), out)?;
    for blamed in &report.stacks {
        let what = blamed.what.name();
        write_values(&run.name, "stacks", what, "total", &blamed.total.into(), out)?;
        for (number, stack) in blamed.stacks.iter().enumerate() {
            let item = format!("{what} {}", number + 1);
            write_values(&run.name, "stacks", &item, "", &serde_json::to_value(stack)?, out)?;
        }
    }
    Ok(())
}

/// Writes the numbers of several runs.
///
/// # Errors
///
/// When `out` takes no more.
pub fn write(runs: &[Run], out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "run,section,item,measure,value")?;
    for run in runs {
        let outcome = serde_json::to_value(&run.outcome)?;
        let Value::Object(sections) = outcome else { continue };
        for (section, content) in &sections {
            write_section(&run.name, section, content, out)?;
        }
    }
    Ok(())
}

fn write_section(run: &str, section: &str, content: &Value, out: &mut dyn Write) -> io::Result<()> {
    match content {
        Value::Array(rows) => {
            for (number, row) in rows.iter().enumerate() {
                write_values(run, section, &item(number, row), "", row, out)?;
            }
            Ok(())
        }
        other => write_values(run, section, "", "", other, out),
    }
}

/// What a row of a table is about: its name, if it has one, or its place.
fn item(number: usize, row: &Value) -> String {
    let text = |name: &str| row.get(name).and_then(Value::as_str).map(str::to_owned);
    let kind = text("kind").or_else(|| text("from")).or_else(|| text("name"));
    match (kind, row.get("number").and_then(Value::as_u64)) {
        (Some(kind), Some(number)) => format!("{kind} {number}"),
        (Some(kind), None) => kind,
        (None, _) => row.get("arena").map_or_else(|| number.to_string(), Value::to_string),
    }
}

fn write_values(
    run: &str,
    section: &str,
    item: &str,
    measure: &str,
    value: &Value,
    out: &mut dyn Write,
) -> io::Result<()> {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let measure = if measure.is_empty() { name.clone() } else { format!("{measure}.{name}") };
                write_values(run, section, item, &measure, value, out)?;
            }
            Ok(())
        }
        Value::Array(values) => {
            for (number, value) in values.iter().enumerate() {
                write_values(run, section, item, &format!("{measure}.{number}"), value, out)?;
            }
            Ok(())
        }
        Value::Null => Ok(()),
        Value::String(text) => write_row([run, section, item, measure, text], out),
        other => write_row([run, section, item, measure, &other.to_string()], out),
    }
}

pub(super) fn write_row<const N: usize>(fields: [&str; N], out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{}", fields.map(quoted).join(","))
}

/// A field with a comma, a quote or a line break is quoted (RFC 4180).
fn quoted(field: &str) -> String {
    if field.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", field.replace('"', "\"\""))
    } else {
        field.to_owned()
    }
}
