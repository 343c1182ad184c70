//! pprof's `profile.proto`, gzipped: what each stack allocated, and what of that was live at the end.
//!
//! The field numbers are those of <https://github.com/google/pprof/blob/main/proto/profile.proto>. A table
//! of strings comes last here, and whoever reads it looks there first; numbers of tables begin at 1, and 0
//! is nothing.

use super::Profile;
use super::code::{Code, Place};
use super::protobuf::Message;
use super::sites::whole;
use flate2::Compression;
use flate2::write::GzEncoder;
use malloscope_traces::stacks::Sampling;
use std::collections::HashMap;
use std::io::{self, Write};

/// Fields of `Profile`.
mod field {
    pub(super) const SAMPLE_TYPE: u32 = 1;
    pub(super) const SAMPLE: u32 = 2;
    pub(super) const MAPPING: u32 = 3;
    pub(super) const LOCATION: u32 = 4;
    pub(super) const FUNCTION: u32 = 5;
    pub(super) const STRING_TABLE: u32 = 6;
    pub(super) const TIME_NANOS: u32 = 9;
    pub(super) const DURATION_NANOS: u32 = 10;
    pub(super) const PERIOD_TYPE: u32 = 11;
    pub(super) const PERIOD: u32 = 12;
    pub(super) const COMMENT: u32 = 13;
    pub(super) const DEFAULT_SAMPLE_TYPE: u32 = 14;
}

/// What every sample has a value for, as Go's heap profiles name them.
const SAMPLE_TYPES: [(&str, &str); 4] = [
    ("alloc_objects", "count"),
    ("alloc_space", "bytes"),
    ("inuse_objects", "count"),
    ("inuse_space", "bytes"),
];

/// Text by number.
#[derive(Default)]
struct Strings<'a> {
    texts: Vec<String>,
    numbers: HashMap<std::borrow::Cow<'a, str>, u64>,
}

impl<'a> Strings<'a> {
    fn number(&mut self, text: impl Into<std::borrow::Cow<'a, str>>) -> u64 {
        let text = text.into();
        if let Some(number) = self.numbers.get(&text) {
            return *number;
        }
        let number = self.texts.len() as u64;
        self.texts.push(text.to_string());
        self.numbers.insert(text, number);
        number
    }
}

/// Writes a profile.
///
/// # Errors
///
/// When `out` takes no more.
pub fn write(profile: &Profile, code: &Code, out: &mut dyn Write) -> io::Result<()> {
    let mut out = GzEncoder::new(out, Compression::default());
    let mut strings = Strings::default();
    // The first string is empty: that is what tells a number from none.
    strings.number("");
    write_head(profile, &mut strings, &mut out)?;
    for site in &profile.sites {
        let [all, live] = [site.allocated, site.live()];
        let values = [all.blocks, all.bytes, live.blocks, live.bytes].map(whole);
        let places = code.places_of(code.node_of(site.stack)).map(|place| u64::from(place) + 1);
        let mut sample = Message::new();
        sample.message(field::SAMPLE, |sample| {
            sample.packed(1, places).packed(2, values);
        });
        out.write_all(sample.as_bytes())?;
    }
    write_mappings(profile, code, &mut strings, &mut out)?;
    for (number, place) in (1..).zip(&code.places) {
        out.write_all(location(profile, number, place).as_bytes())?;
    }
    for (number, function) in (1..).zip(&code.functions) {
        let name = strings.number(function.name.as_str());
        let file = function.file.as_deref().map(|file| strings.number(file));
        let mut message = Message::new();
        message.message(field::FUNCTION, |message| {
            message.number(1, number).number(2, name).number(3, name);
            if let Some(file) = file {
                message.number(4, file);
            }
        });
        out.write_all(message.as_bytes())?;
    }
    for text in &strings.texts {
        out.write_all(Message::new().text(field::STRING_TABLE, text).as_bytes())?;
    }
    out.finish()?.flush()
}

/// What the profile is of, and what its values mean.
fn write_head(profile: &Profile, strings: &mut Strings<'_>, out: &mut dyn Write) -> io::Result<()> {
    let mut head = Message::new();
    for (kind, unit) in SAMPLE_TYPES {
        let [kind, unit] = [kind, unit].map(|text| strings.number(text));
        head.message(field::SAMPLE_TYPE, |sample_type| {
            sample_type.number(1, kind).number(2, unit);
        });
    }
    // A profile of everything has a sample for every byte.
    let period = match profile.sampling() {
        Sampling::All => 1,
        Sampling::Bytes { mean } => mean.min(i64::MAX as u64),
    };
    let [kind, unit] = ["space", "bytes"].map(|text| strings.number(text));
    head.message(field::PERIOD_TYPE, |period_type| {
        period_type.number(1, kind).number(2, unit);
    });
    head.number(field::PERIOD, period);
    let began = profile.header.clock.began.min(i64::MAX as u64);
    head.number(field::TIME_NANOS, began).number(field::DURATION_NANOS, profile.duration);
    head.number(field::DEFAULT_SAMPLE_TYPE, strings.number("alloc_space"));
    let recorder = profile.header.recorder.clone();
    for comment in [profile.command(), recorder].into_iter().chain(profile.remarks()) {
        head.number(field::COMMENT, strings.number(comment));
    }
    out.write_all(head.as_bytes())
}

fn write_mappings<'a>(
    profile: &'a Profile,
    code: &Code,
    strings: &mut Strings<'a>,
    out: &mut dyn Write,
) -> io::Result<()> {
    // Who reads it looks for names itself where a mapping says that it has none.
    let mut has = vec![(false, false, false, false); profile.stacks.modules.len()];
    for place in &code.places {
        let Some(has) = place.module.and_then(|module| has.get_mut(module)) else { continue };
        let functions = || place.lines.iter().map(|line| code.function(*line));
        has.0 |= functions().any(|function| function.is_named);
        has.1 |= functions().any(|function| function.file.is_some());
        has.2 |= place.lines.iter().any(|line| line.line.is_some());
        has.3 |= place.lines.len() > 1;
    }
    for ((number, module), has) in (1..).zip(&profile.stacks.modules).zip(has) {
        let path = strings.number(module.path.as_str());
        let build_id = strings.number(hexadecimal(&module.build_id));
        let mut message = Message::new();
        message.message(field::MAPPING, |message| {
            message.number(1, number).number(2, module.start).number(3, module.end);
            message.number(5, path).number(6, build_id);
            message.number(7, has.0.into()).number(8, has.1.into());
            message.number(9, has.2.into()).number(10, has.3.into());
        });
        out.write_all(message.as_bytes())?;
    }
    Ok(())
}

fn location(profile: &Profile, number: u64, place: &Place) -> Message {
    let module = place.module.and_then(|module| Some((module, profile.stacks.modules.get(module)?)));
    let bias = module.map_or(0, |(_, module)| module.bias);
    let mut message = Message::new();
    message.message(field::LOCATION, |message| {
        message.number(1, number);
        if let Some((module, _)) = module {
            message.number(2, module as u64 + 1);
        }
        message.number(3, place.address.wrapping_add(bias));
        for line in &place.lines {
            message.message(4, |message| {
                message.number(1, u64::from(line.function) + 1);
                if let Some(line) = line.line {
                    message.number(2, line.into());
                }
            });
        }
    });
    message
}

/// Bytes as lower-case digits, as build ids are written.
pub(super) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
