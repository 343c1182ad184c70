//! Speedscope's own format: JSON, with one profile for each thing that is counted.
//!
//! The layout is that of its `file-format-schema.json`: a table of frames that all profiles share, and in
//! each profile the stacks, outermost frame first, and their weights.

use super::Profile;
use super::code::Code;
use super::sequence::Sequence;
use super::sites::{Site, whole};
use serde::Serialize;
use std::io::{self, Write};

#[derive(Serialize)]
struct File<'a, Frames: Serialize, Profiles: Serialize> {
    #[serde(rename = "$schema")]
    schema: &'static str,
    exporter: String,
    name: &'a str,
    #[serde(rename = "activeProfileIndex")]
    active_profile: usize,
    shared: Shared<Frames>,
    profiles: Profiles,
}

#[derive(Serialize)]
struct Shared<Frames: Serialize> {
    frames: Frames,
}

/// One for each function, not for each line of it: frames with different numbers are not drawn as one.
#[derive(Serialize)]
struct Frame<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<&'a str>,
}

#[derive(Serialize)]
struct Sampled<Samples: Serialize, Weights: Serialize> {
    #[serde(rename = "type")]
    kind: &'static str,
    name: &'static str,
    unit: &'static str,
    #[serde(rename = "startValue")]
    start: u64,
    #[serde(rename = "endValue")]
    end: u64,
    samples: Samples,
    weights: Weights,
}

/// What is counted: its name, its unit, and how much of it a site has.
struct What {
    name: &'static str,
    unit: &'static str,
    amount: fn(&Site) -> f64,
}

const WHATS: [What; 4] = [
    What { name: "bytes allocated", unit: "bytes", amount: |site| site.allocated.bytes },
    What { name: "calls", unit: "none", amount: |site| site.allocated.blocks },
    What { name: "bytes live at the peak", unit: "bytes", amount: |site| site.at_peak.bytes },
    What { name: "bytes live at the end", unit: "bytes", amount: |site| site.live().bytes },
];

/// Writes a profile.
///
/// # Errors
///
/// When `out` takes no more.
pub fn write(profile: &Profile, code: &Code, out: &mut dyn Write) -> io::Result<()> {
    let frames = || {
        code.functions.iter().map(|function| Frame { name: &function.name, file: function.file.as_deref() })
    };
    let command = profile.command();
    let file = File {
        schema: "https://www.speedscope.app/file-format-schema.json",
        exporter: profile.header.recorder.clone(),
        name: &command,
        active_profile: 0,
        shared: Shared { frames: Sequence(frames) },
        profiles: Sequence(|| WHATS.iter().map(|what| sampled(profile, code, what))),
    };
    serde_json::to_writer(&mut *out, &file)?;
    writeln!(out)
}

fn sampled<'a>(profile: &'a Profile, code: &'a Code, what: &'a What) -> impl Serialize + 'a {
    let weights =
        move || profile.sites.iter().map(|site| whole((what.amount)(site))).filter(|weight| *weight > 0);
    let samples = move || {
        let sites = profile.sites.iter().filter(|site| whole((what.amount)(site)) > 0);
        sites.map(|site| {
            let lines = code.lines_from_outermost(code.node_of(site.stack));
            lines.into_iter().map(|line| line.function).collect::<Vec<_>>()
        })
    };
    Sampled {
        kind: "sampled",
        name: what.name,
        unit: what.unit,
        start: 0,
        end: weights().fold(0, u64::saturating_add),
        samples: Sequence(samples),
        weights: Sequence(weights),
    }
}
