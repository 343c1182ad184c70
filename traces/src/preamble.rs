//! The first twelve bytes of a trace: what it is, and in which version.

/// A byte that no text begins with, a name, and a line's end that a transfer as text would change.
const MAGIC: [u8; 8] = *b"\x8aMTRACE\n";

/// The version that is written; the only one there is.
pub(crate) const VERSION: u32 = 1;

/// How long magic and version are: where the first frame begins.
pub(crate) const LENGTH: u64 = 12;

/// What a trace begins with.
pub(crate) fn bytes() -> Vec<u8> {
    [MAGIC.as_slice(), &VERSION.to_le_bytes()].concat()
}

/// The version of what begins with `bytes`; `None` if it is no trace.
pub(crate) fn version(bytes: &[u8]) -> Option<u32> {
    bytes.strip_prefix(&MAGIC)?.first_chunk().copied().map(u32::from_le_bytes)
}
