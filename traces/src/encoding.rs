//! How the structures of a trace become bytes: bincode, whose settings are here and nowhere else.
//!
//! bincode's author has retired it; what it writes is frozen, and `wincode` reads and writes the
//! same bytes. A change of bytes fails `tests/golden.rs`.

use serde::Serialize;
use serde::de::Deserialize;

use crate::damage::Fault;

/// Small numbers take one byte, larger ones three, five or nine, little end first; a sequence is its
/// length and then its elements. The limit is what a reader will believe of a stranger's lengths.
const ENCODING: bincode::config::Configuration<
    bincode::config::LittleEndian,
    bincode::config::Varint,
    bincode::config::Limit<{ crate::frame::LONGEST }>,
> = bincode::config::standard().with_limit::<{ crate::frame::LONGEST }>();

/// Appends `value` to `into`.
pub(crate) fn encode(value: &impl Serialize, into: &mut Vec<u8>) {
    bincode::serde::encode_into_std_write(value, into, ENCODING)
        .expect("memory takes every byte, and our own types have a length and no untagged parts");
}

/// Reads a value that fills `bytes` to the last; it may borrow from them.
pub(crate) fn decode<'bytes, T: Deserialize<'bytes>>(bytes: &'bytes [u8]) -> Result<T, Fault> {
    let (value, length) =
        bincode::serde::borrow_decode_from_slice(bytes, ENCODING).map_err(|_| Fault::Encoding)?;
    if length == bytes.len() { Ok(value) } else { Err(Fault::Encoding) }
}
