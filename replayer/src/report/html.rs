//! A comparison as one HTML file, which needs nothing else: the same table as in a terminal, and charts drawn as SVG.
//! It is read without scripts, in light and in dark, and every bar says its number.

use super::comparison::{MEASURES, Measure};
use super::units::{bytes, count, nanos};
use super::{Comparison, Line, Section, Table};
use crate::outcome::Outcome;
use std::fmt::Write as _;
use std::io::{self, Write};

/// The measures that have bars: those that every sweep is made for.
const BARS: [&str; 4] = ["resident, peak", "resident, mean over time", "minor faults", "kernel calls"];
/// Curves over the run: of the first so many runs, in colours of their own.
const CURVES: usize = 6;
/// Sizes of the charts, in the units of the picture.
const WIDTH: f64 = 920.0;
const CURVE_HEIGHT: f64 = 220.0;
const ROW: f64 = 22.0;
const NAMES: f64 = 300.0;
const NUMBERS: f64 = 180.0;

/// Writes the page.
///
/// # Errors
///
/// When `out` takes no more.
pub fn write(comparison: &Comparison, out: &mut dyn Write) -> io::Result<()> {
    let title = escaped(&comparison.trace.command());
    write!(out, "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">")?;
    write!(out, "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">")?;
    write!(out, "<title>malloscope: {title}</title><style>{STYLE}</style></head><body><main>")?;
    for (number, section) in comparison.sections().iter().enumerate() {
        write_section(section, number == 0, out)?;
    }
    writeln!(out, "<h2>Resident memory over the run</h2>")?;
    out.write_all(curves(comparison).as_bytes())?;
    for name in BARS {
        if let Some(measure) = MEASURES.iter().find(|measure| measure.name == name) {
            writeln!(out, "<h2>{}</h2><p>{}</p>", escaped(measure.name), escaped(measure.meaning))?;
            out.write_all(bars(comparison, measure).as_bytes())?;
        }
    }
    writeln!(out, "<h2>All numbers</h2>")?;
    write_table(&all(comparison), out)?;
    writeln!(out, "</main></body></html>")
}

const STYLE: &str = "\
:root{color-scheme:light dark;--ground:#fff;--ink:#1c1f23;--faint:#6a7178;--line:#d9dde1;--bar:#3b75af;--base:#8a939b;\
--c0:#8a939b;--c1:#3b75af;--c2:#d9822b;--c3:#3f9142;--c4:#b8433f;--c5:#7d5ba6}\
@media(prefers-color-scheme:dark){:root{--ground:#16191c;--ink:#e4e7ea;--faint:#98a1a9;--line:#343a40;--bar:#6ba3db;\
--base:#7a838b;--c0:#98a1a9;--c1:#6ba3db;--c2:#e8a35c;--c3:#72c076;--c4:#e07a76;--c5:#b094d6}}\
body{background:var(--ground);color:var(--ink);font:15px/1.5 system-ui,sans-serif;margin:0}\
main{max-width:1180px;margin:0 auto;padding:1.5rem}h1{font-size:1.3rem;word-break:break-all}\
h2{font-size:1.05rem;margin:2rem 0 .3rem}p{color:var(--faint);margin:.2rem 0}p.warning{color:var(--c4)}\
.scroll{overflow-x:auto}table{border-collapse:collapse;font-variant-numeric:tabular-nums;margin:.8rem 0}\
th,td{padding:.15rem .7rem;text-align:left;border-bottom:1px solid var(--line);white-space:nowrap}\
th.number,td.number{text-align:right}svg{display:block;width:100%;max-width:920px;height:auto}\
text{fill:var(--ink);font:13px system-ui,sans-serif}text.faint{fill:var(--faint)}\
.legend{color:var(--faint);margin:.2rem 0}.legend span{margin-right:1.2rem;white-space:nowrap}\
.legend i{display:inline-block;width:1.2em;height:.25em;vertical-align:middle;margin-right:.4em}";

/// Text between tags, or in an attribute.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn write_section(section: &Section, is_first: bool, out: &mut dyn Write) -> io::Result<()> {
    if !section.title.is_empty() {
        writeln!(out, "<h2>{}</h2>", escaped(&section.title))?;
    }
    for (number, line) in section.lines.iter().enumerate() {
        match line {
            Line::Text(text) if is_first && number == 0 => writeln!(out, "<h1>{}</h1>", escaped(text))?,
            Line::Text(text) => writeln!(out, "<p>{}</p>", escaped(text))?,
            Line::Warning(text) => writeln!(out, "<p class=\"warning\">{}</p>", escaped(text))?,
            Line::Chart(rows) => writeln!(out, "<pre>{}</pre>", escaped(&rows.join("\n")))?,
        }
    }
    if let Some(table) = &section.table {
        write_table(table, out)?;
    }
    section.notes.iter().try_for_each(|note| writeln!(out, "<p>{}</p>", escaped(note)))
}

fn write_table(table: &Table, out: &mut dyn Write) -> io::Result<()> {
    let class = |column: usize| match table.columns.get(column) {
        Some(column) if column.is_number => " class=\"number\"",
        _ => "",
    };
    write!(out, "<div class=\"scroll\"><table><thead><tr>")?;
    for (number, column) in table.columns.iter().enumerate() {
        write!(out, "<th{}>{}</th>", class(number), escaped(&column.name))?;
    }
    write!(out, "</tr></thead><tbody>")?;
    for row in &table.rows {
        write!(out, "<tr>")?;
        for (number, cell) in row.iter().enumerate() {
            write!(out, "<td{}>{}</td>", class(number), escaped(cell))?;
        }
        writeln!(out, "</tr>")?;
    }
    writeln!(out, "</tbody></table></div>")
}

/// Every number of every run.
fn all(comparison: &Comparison) -> Table {
    let names = MEASURES.map(|measure| format!("#{}", measure.name));
    let mut columns = vec!["run"];
    columns.extend(names.iter().map(String::as_str));
    let mut table = Table::with_columns(&columns);
    for run in &comparison.runs {
        let cells = MEASURES.iter().map(|measure| measure.shown(measure.of(&run.outcome)));
        table.push(std::iter::once(run.name.clone()).chain(cells));
    }
    table
}

/// A bar for each run, with its number and what it has more than the first.
fn bars(comparison: &Comparison, measure: &Measure) -> String {
    let values: Vec<u64> = comparison.runs.iter().map(|run| measure.of(&run.outcome)).collect();
    let base = values.first().copied().unwrap_or(0);
    let most = values.iter().copied().max().unwrap_or(0).max(1);
    let height = ROW * values.len() as f64;
    let room = WIDTH - NAMES - NUMBERS;
    let mut svg = format!(
        "<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"{}\">",
        escaped(measure.name)
    );
    for (place, (run, &value)) in comparison.runs.iter().zip(&values).enumerate() {
        let top = ROW * place as f64;
        let length = room * value as f64 / most as f64;
        let colour = if place == 0 { "base" } else { "bar" };
        let difference =
            if place == 0 { String::new() } else { format!(" ({})", measure.difference(value, base)) };
        let shown = format!("{}{difference}", measure.shown(value));
        let _ = write!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>\
             <rect x=\"{NAMES}\" y=\"{:.1}\" width=\"{length:.1}\" height=\"{:.1}\" fill=\"var(--{colour})\"/>\
             <text class=\"faint\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            NAMES - 8.0,
            top + 15.0,
            escaped(&shortened(&run.name)),
            top + 4.0,
            ROW - 8.0,
            NAMES + length + 6.0,
            top + 15.0,
            escaped(&shown),
        );
    }
    svg.push_str("</svg>\n");
    svg
}

/// A name that fits beside its bar.
fn shortened(name: &str) -> String {
    const FITS: usize = 40;
    match name.char_indices().nth(FITS) {
        Some((at, _)) => format!("{}…", &name[..at]),
        None => name.to_owned(),
    }
}

/// Resident memory over the run: of the first, and of those that differ most from it.
fn curves(comparison: &Comparison) -> String {
    let chosen = most_different(comparison);
    let has_times = comparison.runs.first().is_some_and(|run| run.outcome.traced_nanos > 0);
    let end = |outcome: &Outcome| if has_times { outcome.traced_nanos } else { outcome.records };
    let last = chosen.iter().map(|&place| end(&comparison.runs[place].outcome)).max().unwrap_or(0).max(1);
    let resident = |place: &usize| comparison.runs[*place].outcome.measured.peaks.resident.bytes;
    let most = chosen.iter().map(resident).max().unwrap_or(0).max(1);
    let below = CURVE_HEIGHT + 24.0;
    let mut svg = format!(
        "<svg viewBox=\"0 0 {WIDTH} {below}\" role=\"img\" aria-label=\"Resident memory over the run\">"
    );
    for quarter in 0..=4u64 {
        let y = CURVE_HEIGHT * (1.0 - quarter as f64 / 4.0);
        let _ = write!(
            svg,
            "<line x1=\"0\" x2=\"{WIDTH}\" y1=\"{y:.1}\" y2=\"{y:.1}\" stroke=\"var(--line)\"/>\
             <text class=\"faint\" x=\"4\" y=\"{:.1}\">{}</text>",
            if quarter == 4 { y + 14.0 } else { y - 4.0 },
            if quarter == 0 { String::new() } else { bytes(most * quarter / 4) },
        );
    }
    for (number, &place) in chosen.iter().enumerate() {
        let points = comparison.runs[place].outcome.measured.series.iter().map(|sample| {
            let at = if has_times { sample.time } else { sample.record };
            let x = WIDTH * at as f64 / last as f64;
            let y = CURVE_HEIGHT * (1.0 - sample.greatest_resident as f64 / most as f64);
            format!("{x:.1},{y:.1}")
        });
        let points = points.collect::<Vec<_>>().join(" ");
        let _ = write!(
            svg,
            "<polyline points=\"{points}\" fill=\"none\" stroke=\"var(--c{number})\" stroke-width=\"1.5\"/>"
        );
    }
    let reach = if has_times { nanos(last) } else { format!("{} records", count(last)) };
    let _ = write!(
        svg,
        "<text class=\"faint\" x=\"{WIDTH}\" y=\"{:.1}\" text-anchor=\"end\">{reach}</text></svg>\n<p class=\"legend\">",
        CURVE_HEIGHT + 18.0
    );
    for (number, &place) in chosen.iter().enumerate() {
        let name = escaped(&comparison.runs[place].name);
        let _ = write!(svg, "<span><i style=\"background:var(--c{number})\"></i>{name}</span>");
    }
    svg.push_str("</p>\n");
    if chosen.len() < comparison.runs.len() {
        let _ = writeln!(
            svg,
            "<p>The first run, and the {} whose mean differs most from it.</p>",
            chosen.len() - 1
        );
    }
    svg
}

/// The first run, and those whose mean of resident memory differs most from its, each mean once.
fn most_different(comparison: &Comparison) -> Vec<usize> {
    let mean = |place: usize| comparison.runs[place].outcome.measured.mean_resident;
    let mut places: Vec<usize> = (1..comparison.runs.len()).collect();
    if comparison.runs.len() > CURVES {
        places.sort_by_key(|&place| std::cmp::Reverse(mean(place).abs_diff(mean(0))));
        places.dedup_by_key(|place| mean(*place));
        places.truncate(CURVES - 1);
    }
    std::iter::once(0).chain(places).take(comparison.runs.len()).collect()
}
