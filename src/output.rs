//! Where answers go, and in which format.

use crate::parquet;
use anyhow::Context;
use clap::ValueEnum;
use malloscope_replayer::detail::Detail;
use malloscope_replayer::report::allocations::Allocations;
use malloscope_replayer::report::gate::Gate;
use malloscope_replayer::report::proof::Proof;
use malloscope_replayer::report::sites::Sites;
use malloscope_replayer::report::terminal::Colour;
use malloscope_replayer::report::{
    Comparison, Report, Section, comparison, csv, html, json, markdown, terminal, tunables,
};
use malloscope_replayer::tunables::{FieldRow, TunableRow};
use std::env;
use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::Path;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people, with colour where it is wanted
    Terminal,
    /// Everything, under names that stay
    Json,
    /// Everything, a number a line
    Csv,
    /// For people, to put into a text
    Markdown,
}

/// How a page is printed that has no table of numbers to calculate with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PageFormat {
    /// For people, with colour where it is wanted
    Terminal,
    /// Everything, under names that stay
    Json,
    /// For people, to put into a text
    Markdown,
}

impl PageFormat {
    /// How much of each run has to be measured, where so much is shown to people.
    pub fn detail(self, for_people: Detail) -> Detail {
        match self {
            PageFormat::Json => Detail::Whole,
            PageFormat::Terminal | PageFormat::Markdown => for_people,
        }
    }
}

/// Prints a page.
pub fn print_page(
    format: PageFormat,
    sections: impl FnOnce() -> Vec<Section>,
    json: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> anyhow::Result<()> {
    let mut out = open(None)?;
    match format {
        PageFormat::Terminal => write_sections(&sections(), Format::Terminal, &mut out)?,
        PageFormat::Markdown => write_sections(&sections(), Format::Markdown, &mut out)?,
        PageFormat::Json => json(&mut out)?,
    }
    Ok(out.flush()?)
}

/// Opens a file to write into, or standard output.
pub fn open(path: Option<&Path>) -> anyhow::Result<Box<dyn Write>> {
    match path {
        Some(path) if path != Path::new("-") => {
            let file = File::create(path).with_context(|| format!("while creating {}", path.display()))?;
            Ok(Box::new(BufWriter::new(file)))
        }
        _ => Ok(Box::new(BufWriter::new(io::stdout().lock()))),
    }
}

/// Prints in one of the formats, into a file or to standard output.
pub fn print(
    path: Option<&Path>,
    format: Format,
    sections: impl FnOnce() -> Vec<Section>,
    json: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    csv: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> anyhow::Result<()> {
    let mut out = open(path)?;
    match format {
        Format::Terminal | Format::Markdown => write_sections(&sections(), format, &mut out)?,
        Format::Json => json(&mut out)?,
        Format::Csv => csv(&mut out)?,
    }
    Ok(out.flush()?)
}

/// Prints a report.
pub fn print_report(report: &Report, format: Format) -> anyhow::Result<()> {
    print(
        None,
        format,
        || report.sections(),
        |out| json::write_report(report, out),
        |out| csv::write_report(report, out),
    )
}

/// Prints a comparison.
pub fn print_comparison(comparison: &Comparison, format: Format) -> anyhow::Result<()> {
    print(
        None,
        format,
        || comparison.sections(),
        |out| json::write_comparison(comparison, out),
        |out| csv::write(&comparison.runs, out),
    )
}

/// Prints a comparison as a page for a browser.
pub fn print_html(comparison: &Comparison) -> anyhow::Result<()> {
    let mut out = open(None)?;
    html::write(comparison, &mut out)?;
    Ok(out.flush()?)
}

/// Prints a comparison as Parquet.
pub fn print_parquet(comparison: &Comparison) -> anyhow::Result<()> {
    let mut out = open(None)?;
    out.write_all(&parquet::file(comparison).context("while making a Parquet file")?)?;
    Ok(out.flush()?)
}

/// Prints what runs are compared by, each number with its difference from the first run's.
pub fn print_differences(compared: &Comparison) -> anyhow::Result<()> {
    let runs: Vec<_> = compared.runs.iter().map(|run| (run.name.as_str(), &run.outcome)).collect();
    let mut out = open(None)?;
    comparison::write_csv(&runs, &mut out)?;
    Ok(out.flush()?)
}

/// Prints what can be set of a release.
pub fn print_tunables(
    release: &str,
    rows: &[TunableRow],
    fields: &[FieldRow],
    format: Format,
) -> anyhow::Result<()> {
    let sections = || vec![tunables::section(release, rows), tunables::changes(release, fields)];
    let json = |out: &mut dyn Write| json::write_tunables(release, rows, fields, out);
    print(None, format, sections, json, |out| tunables::write_csv(rows, out))
}

/// Prints how one trace was held against another.
pub fn print_gate(gate: &Gate, format: Format) -> anyhow::Result<()> {
    print(None, format, || gate.sections(), |out| json::write_gate(gate, out), |out| gate.write_csv(out))
}

/// Prints predictions beside real runs.
pub fn print_proof(proof: &Proof, format: Format) -> anyhow::Result<()> {
    print(None, format, || proof.sections(), |out| json::write_proof(proof, out), |out| proof.write_csv(out))
}

/// Prints a list of single allocations.
pub fn print_allocations(allocations: &Allocations<'_>, format: Format) -> anyhow::Result<()> {
    print(
        None,
        format,
        || vec![allocations.section()],
        |out| allocations.write_json(out),
        |out| allocations.write_csv(out),
    )
}

/// Prints a table of allocation sites.
pub fn print_sites(sites: &Sites<'_>, format: Format) -> anyhow::Result<()> {
    print(None, format, || vec![sites.section()], |out| sites.write_json(out), |out| sites.write_csv(out))
}

/// Prints sections that are only for people.
pub fn print_for_people(sections: &[Section]) -> anyhow::Result<()> {
    print_for_people_into(sections, None)
}

/// Prints sections that are only for people, into a file if there is one.
pub fn print_for_people_into(sections: &[Section], path: Option<&Path>) -> anyhow::Result<()> {
    let mut out = open(path)?;
    write_sections(sections, Format::Terminal, &mut out)?;
    Ok(out.flush()?)
}

/// Writes sections for people.
pub fn write_sections(sections: &[Section], format: Format, out: &mut dyn Write) -> io::Result<()> {
    match format {
        Format::Markdown => markdown::write(sections, out),
        _ => terminal::write(sections, colour(), out),
    }
}

/// Whether colour is wanted: on a terminal, unless the user says otherwise (no-color.org).
fn colour() -> Colour {
    let refused = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
        || env::var_os("TERM").is_some_and(|term| term == "dumb");
    if io::stdout().is_terminal() && !refused { Colour::On } else { Colour::Off }
}
