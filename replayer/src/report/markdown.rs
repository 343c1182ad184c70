//! A report as Markdown.

use super::{Line, Section, Table};
use std::io::{self, Write};

/// Writes the sections.
///
/// # Errors
///
/// When `out` takes no more.
pub fn write(sections: &[Section], out: &mut dyn Write) -> io::Result<()> {
    for section in sections {
        if !section.title.is_empty() {
            writeln!(out, "## {}\n", section.title)?;
        }
        for line in &section.lines {
            match line {
                Line::Text(text) => writeln!(out, "{}\n", escaped(text))?,
                Line::Warning(text) => writeln!(out, "**{}**\n", escaped(text))?,
                Line::Chart(rows) => writeln!(out, "```text\n{}\n```\n", rows.join("\n"))?,
            }
        }
        if let Some(table) = &section.table {
            write_table(table, out)?;
        }
        for note in &section.notes {
            writeln!(out, "{}\n", escaped(note))?;
        }
    }
    Ok(())
}

fn write_table(table: &Table, out: &mut dyn Write) -> io::Result<()> {
    let names: Vec<String> = table.columns.iter().map(|column| escaped(&column.name)).collect();
    writeln!(out, "| {} |", names.join(" | "))?;
    let rules: Vec<&str> =
        table.columns.iter().map(|column| if column.is_number { "--:" } else { "---" }).collect();
    writeln!(out, "|{}|", rules.join("|"))?;
    for row in &table.rows {
        let cells: Vec<String> = row.iter().map(|cell| escaped(cell)).collect();
        writeln!(out, "| {} |", cells.join(" | "))?;
    }
    writeln!(out)
}

/// What Markdown would take for its own is kept from it.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        if matches!(character, '|' | '*' | '_' | '`' | '<' | '[' | '\\') {
            safe.push('\\');
        }
        safe.push(if character.is_control() { ' ' } else { character });
    }
    safe
}
