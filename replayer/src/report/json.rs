//! A report as JSON: every number there is, under names that stay. `REPORT.md` documents them.

use super::gate::Gate;
use super::proof::Proof;
use super::{Comparison, Report, TraceInfo};
use crate::explore::Step;
use crate::fidelity::Fidelity;
use crate::tunables::{FieldRow, TunableRow};
use serde::Serialize;
use std::io::{self, Write};

/// Names the schema and its version. The version changes when a name goes or changes its meaning;
/// a new name does not change it.
#[derive(Serialize)]
struct Document<'a, T> {
    schema: &'static str,
    version: u32,
    #[serde(flatten)]
    content: &'a T,
}

/// Writes a report.
///
/// # Errors
///
/// When `out` takes no more.
pub fn write_report(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    write("malloscope.report", report, out)
}

/// Writes a comparison.
///
/// # Errors
///
/// When `out` takes no more.
pub fn write_comparison(comparison: &Comparison, out: &mut dyn Write) -> io::Result<()> {
    write("malloscope.comparison", comparison, out)
}

/// Writes predictions beside real runs.
///
/// # Errors
///
/// When `out` takes no more.
pub fn write_proof(proof: &Proof, out: &mut dyn Write) -> io::Result<()> {
    write("malloscope.proof", proof, out)
}

/// Writes how one trace was held against another.
///
/// # Errors
///
/// When `out` takes no more.
pub fn write_gate(gate: &Gate, out: &mut dyn Write) -> io::Result<()> {
    write("malloscope.check", gate, out)
}

/// Writes calls and what was decided.
///
/// # Errors
///
/// When `out` takes no more.
pub fn write_steps(steps: &[Step], out: &mut dyn Write) -> io::Result<()> {
    #[derive(Serialize)]
    struct Steps<'a> {
        steps: &'a [Step],
    }
    write("malloscope.steps", &Steps { steps }, out)
}

/// Writes what is known about a trace.
///
/// # Errors
///
/// When `out` takes no more.
pub fn write_info(info: &TraceInfo, out: &mut dyn Write) -> io::Result<()> {
    write("malloscope.info", info, out)
}

/// Writes how faithful a replay was.
///
/// # Errors
///
/// When `out` takes no more.
pub fn write_fidelity(fidelity: &Fidelity, out: &mut dyn Write) -> io::Result<()> {
    write("malloscope.fidelity", fidelity, out)
}

/// Writes what can be set.
///
/// # Errors
///
/// When `out` takes no more.
pub fn write_tunables(
    release: &str,
    rows: &[TunableRow],
    fields: &[FieldRow],
    out: &mut dyn Write,
) -> io::Result<()> {
    #[derive(Serialize)]
    struct Tunables<'a> {
        release: &'a str,
        tunables: &'a [TunableRow],
        fields: &'a [FieldRow],
    }
    write("malloscope.tunables", &Tunables { release, tunables: rows, fields }, out)
}

/// Writes something as a document of this schema.
///
/// # Errors
///
/// When `out` takes no more.
pub fn write<T: Serialize>(schema: &'static str, content: &T, out: &mut dyn Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, &Document { schema, version: 1, content })?;
    writeln!(out)
}
