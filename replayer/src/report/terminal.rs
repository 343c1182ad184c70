//! A report for a terminal: aligned columns, and colour where it is wanted.

use super::{Line, Section, Table};
use std::io::{self, Write};

/// Whether to use colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    /// Bold titles, dim rules, warnings in yellow.
    On,
    /// Plain text.
    Off,
}

const BOLD: &str = "1";
const DIM: &str = "2";
const YELLOW: &str = "33";
const CYAN: &str = "36";

impl Colour {
    fn paint(self, style: &str, text: &str) -> String {
        match self {
            Colour::On if !text.is_empty() => format!("\x1b[{style}m{text}\x1b[0m"),
            _ => text.to_owned(),
        }
    }
}

/// Writes the sections.
///
/// # Errors
///
/// When `out` takes no more.
pub fn write(sections: &[Section], colour: Colour, out: &mut dyn Write) -> io::Result<()> {
    for (number, section) in sections.iter().enumerate() {
        if number > 0 {
            writeln!(out)?;
        }
        write_section(section, colour, number == 0, out)?;
    }
    Ok(())
}

fn write_section(section: &Section, colour: Colour, is_first: bool, out: &mut dyn Write) -> io::Result<()> {
    if !section.title.is_empty() {
        writeln!(out, "{}", colour.paint(BOLD, &section.title))?;
    }
    for (number, line) in section.lines.iter().enumerate() {
        match line {
            Line::Text(text) if is_first && number == 0 => {
                writeln!(out, "{}", colour.paint(BOLD, &visible(text)))?
            }
            Line::Text(text) => writeln!(out, "  {}", visible(text))?,
            Line::Warning(text) => writeln!(out, "  {}", colour.paint(YELLOW, &visible(text)))?,
            Line::Chart(rows) => {
                for row in rows {
                    writeln!(out, "  {}", colour.paint(CYAN, row))?;
                }
            }
        }
    }
    if let Some(table) = &section.table {
        write_table(table, colour, out)?;
    }
    for note in &section.notes {
        writeln!(out, "  {}", colour.paint(DIM, &visible(note)))?;
    }
    Ok(())
}

fn write_table(table: &Table, colour: Colour, out: &mut dyn Write) -> io::Result<()> {
    let widths: Vec<usize> = table
        .columns
        .iter()
        .enumerate()
        .map(|(place, column)| {
            let cells = table.rows.iter().filter_map(|row| row.get(place)).map(|cell| width(cell));
            cells.chain([width(&column.name)]).max().unwrap_or(0)
        })
        .collect();
    let names: Vec<String> = table.columns.iter().map(|column| column.name.clone()).collect();
    writeln!(out, "  {}", colour.paint(DIM, &aligned(table, &widths, &names)))?;
    for row in &table.rows {
        writeln!(out, "  {}", aligned(table, &widths, row))?;
    }
    Ok(())
}

fn aligned(table: &Table, widths: &[usize], cells: &[String]) -> String {
    let mut line = String::new();
    for ((column, &wide), cell) in table.columns.iter().zip(widths).zip(cells) {
        let cell = visible(cell);
        let padding = " ".repeat(wide - width(&cell).min(wide));
        if column.is_number {
            line.push_str(&padding);
            line.push_str(&cell);
        } else {
            line.push_str(&cell);
            line.push_str(&padding);
        }
        line.push_str("  ");
    }
    line.truncate(line.trim_end().len());
    line
}

fn width(text: &str) -> usize {
    text.chars().count()
}

/// A program's name may hold anything; what would steer the terminal is made visible.
fn visible(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { '·' } else { character }).collect()
}
