//! A first encoding, until the columns are in place: every record as text.

use crate::record::Record;

pub(crate) fn write(record: &Record, into: &mut Vec<u8>) {
    into.extend_from_slice(format!("{record:?}\n").as_bytes());
}
