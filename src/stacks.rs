//! The arguments that say which calls are recorded with their stacks.

use malloscope_recorder::{Capture, Sampling};
use malloscope_replayer::sizes;
use std::str::FromStr;

/// Which calls are recorded with their stacks.
#[derive(Debug, clap::Args)]
pub struct StackArgs {
    /// Record the stacks of all calls that ask for memory, of one in so many bytes, or none: all, sample:512K
    /// or none. `profile` takes all, if nothing is said, and `record` none
    ///
    /// A sample is drawn by a Poisson process over the bytes asked for, so totals scaled back are unbiased.
    /// The calls themselves are recorded all the same, and replay is exact.
    #[arg(long, value_name = "WHICH")]
    stacks: Option<Which>,
    /// How many frames a stack has at most, the innermost
    #[arg(long, value_name = "N", default_value_t = 128, value_parser = clap::value_parser!(u32).range(1..=256))]
    stack_depth: u32,
}

impl StackArgs {
    /// What they come to; `otherwise` is what is recorded if nothing is said.
    pub fn capture(&self, otherwise: Option<Sampling>) -> Option<Capture> {
        self.stacks
            .map_or(otherwise, |which| which.0)
            .map(|sampling| Capture { sampling, depth: self.stack_depth })
    }
}

/// `all`, `sample:BYTES` or `none`.
#[derive(Clone, Copy, Debug)]
struct Which(Option<Sampling>);

impl FromStr for Which {
    type Err = String;

    fn from_str(text: &str) -> Result<Which, String> {
        match (text, text.strip_prefix("sample:")) {
            ("none", _) => Ok(Which(None)),
            ("all", _) => Ok(Which(Some(Sampling::All))),
            (_, Some(bytes)) => match sizes::parse(bytes)? {
                0 => Err("one sample in 0 bytes would be all calls: say `all`".to_owned()),
                mean => Ok(Which(Some(Sampling::Bytes { mean }))),
            },
            _ => {
                Err("it is `all`, `none`, or a number of bytes behind `sample:`, like sample:512K".to_owned())
            }
        }
    }
}
