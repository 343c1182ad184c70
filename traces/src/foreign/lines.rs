//! The lines of a text.

use super::ImportError;
use super::words::Problem;
use crate::error::Error;
use std::io::{BufRead, Read};

/// The longest line of any format, in bytes: a file that has none is not one of text. Names of C++ are long.
const LONGEST: u64 = 1 << 20;

/// Hands each line to `read`, which says in which column of it what is wrong, from 1.
pub(crate) fn lines(
    mut text: impl BufRead,
    mut read: impl FnMut(&str) -> Result<(), Trouble>,
) -> Result<(), ImportError> {
    let mut bytes = Vec::new();
    for line in 1.. {
        bytes.clear();
        if text.by_ref().take(LONGEST).read_until(b'\n', &mut bytes)? == 0 {
            break;
        }
        let wrong = |(column, problem)| ImportError::Line { line, column, problem };
        let text =
            str::from_utf8(&bytes).map_err(|error| wrong((error.valid_up_to() + 1, Problem::NotText)))?;
        read(text).map_err(|trouble| match trouble {
            Trouble::Text(column, problem) => wrong((column, problem)),
            Trouble::Import(error) => error,
        })?;
    }
    Ok(())
}

/// Why a line is the last that is read.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// Something is wrong in this column of it.
    Text(usize, Problem),
    /// The trace cannot be written.
    Import(ImportError),
}

impl From<(usize, Problem)> for Trouble {
    fn from((column, problem): (usize, Problem)) -> Trouble {
        Trouble::Text(column, problem)
    }
}

impl From<ImportError> for Trouble {
    fn from(error: ImportError) -> Trouble {
        Trouble::Import(error)
    }
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Trouble {
        Trouble::Import(error.into())
    }
}
