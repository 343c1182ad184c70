//! What can be set of a release, for people and as CSV.

use super::csv::write_row;
use super::{Line, Section, Table};
use crate::tunables::{FieldRow, TunableRow};
use std::io::{self, Write};

/// What is said of a tunable that a release does not read.
const NOT_READ: &str = "not read";

/// The table of the tunables of this release.
pub fn section(release: &str, rows: &[TunableRow]) -> Section {
    let mut table = Table::with_columns(&["glibc.malloc.", "variable", "values", "meaning"]);
    for row in rows {
        table.push([
            row.name.to_owned(),
            row.variable.unwrap_or_default().to_owned(),
            row.values.as_deref().unwrap_or(NOT_READ).to_owned(),
            row.meaning.to_owned(),
        ]);
    }
    let lines = vec![Line::Text(format!("What glibc {release} lets one set of its malloc"))];
    let notes = vec![
        "Setting any of mmap_threshold, trim_threshold, top_pad, mmap_max ends the moving of the thresholds."
            .to_owned(),
    ];
    Section { title: String::new(), lines, table: Some(table), notes }
}

/// The table of what distributions may have changed about this release.
pub fn changes(release: &str, rows: &[FieldRow]) -> Section {
    let mut table = Table::with_columns(&["field", "can be", "is"]);
    for row in rows {
        table.push([row.name.to_owned(), row.values.clone(), row.value.clone()]);
    }
    let title = format!("What --release-set can change about {release}");
    Section { title, lines: Vec::new(), table: Some(table), notes: Vec::new() }
}

/// Writes the tunables as CSV, one a line.
///
/// # Errors
///
/// When `out` takes no more.
pub fn write_csv(rows: &[TunableRow], out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "name,variable,values,unit,meaning")?;
    for row in rows {
        let unit = if row.is_bytes { "bytes" } else { "number" };
        let values = row.values.as_deref().unwrap_or(NOT_READ);
        write_row([row.name, row.variable.unwrap_or_default(), values, unit, row.meaning], out)?;
    }
    Ok(())
}
