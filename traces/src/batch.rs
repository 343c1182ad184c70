//! The body of a batch: its opening, and its columns, each compressed on its own.

use serde::{Deserialize, Serialize};

use crate::columns::{Column, Columns, Opening};
use crate::damage::Fault;
use crate::encoding;

/// How many records a full batch has.
pub(crate) const RECORDS: u32 = 1 << 15;

/// How hard zstd tries.
const LEVEL: i32 = 1;

/// A column shorter than this is not worth compressing: zstd's own frame takes some twelve bytes.
const SHORT: usize = 32;

#[derive(Serialize, Deserialize)]
struct Body<'bytes> {
    opening: Opening,
    #[serde(borrow)]
    columns: [Packed<'bytes>; Column::ALL.len()],
}

/// A column in the file: as it is if `bytes` has its length, else compressed.
#[derive(Clone, Copy, Default, Serialize, Deserialize)]
struct Packed<'bytes> {
    length: u32,
    #[serde(with = "serde_bytes")]
    bytes: &'bytes [u8],
}

/// Compresses columns.
pub(crate) struct Packer {
    zstd: zstd::bulk::Compressor<'static>,
    packed: Columns,
}

impl std::fmt::Debug for Packer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Packer")
    }
}

impl Packer {
    pub fn new() -> std::io::Result<Packer> {
        Ok(Packer { zstd: zstd::bulk::Compressor::new(LEVEL)?, packed: Columns::default() })
    }

    /// Writes the body of a batch. Returns how long it is when unpacked.
    pub fn pack(
        &mut self,
        opening: &Opening,
        columns: &Columns,
        into: &mut Vec<u8>,
    ) -> std::io::Result<usize> {
        for column in Column::ALL {
            self.pack_column(&columns[column], column)?;
        }
        let packed = |column| Packed { length: short(columns[column].len()), bytes: &self.packed[column] };
        encoding::encode(&Body { opening: *opening, columns: Column::ALL.map(packed) }, into);
        Ok(Column::ALL.iter().map(|column| columns[*column].len()).sum())
    }

    fn pack_column(&mut self, bytes: &[u8], column: Column) -> std::io::Result<()> {
        let packed = &mut self.packed[column];
        packed.clear();
        if bytes.len() >= SHORT {
            packed.reserve(zstd::zstd_safe::compress_bound(bytes.len()));
            self.zstd.compress_to_buffer(bytes, packed)?;
        }
        // What is as long as the original is the original.
        if bytes.len() < SHORT || packed.len() >= bytes.len() {
            packed.clear();
            packed.extend_from_slice(bytes);
        }
        Ok(())
    }
}

fn short(length: usize) -> u32 {
    u32::try_from(length).expect("a batch has too few records for a column of four gigabytes")
}

/// Unpacks columns.
pub(crate) struct Unpacker {
    zstd: zstd::bulk::Decompressor<'static>,
}

impl std::fmt::Debug for Unpacker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Unpacker")
    }
}

impl Unpacker {
    pub fn new() -> std::io::Result<Unpacker> {
        Ok(Unpacker { zstd: zstd::bulk::Decompressor::new()? })
    }

    /// Reads the body of a batch, which must be `unpacked` bytes long when unpacked.
    pub fn unpack(&mut self, body: &[u8], unpacked: u32, into: &mut Columns) -> Result<Opening, Fault> {
        let body: Body<'_> = encoding::decode(body)?;
        let total: u64 = body.columns.iter().map(|packed| u64::from(packed.length)).sum();
        if total != u64::from(unpacked) {
            return Err(Fault::TooLong { length: total, limit: unpacked.into() });
        }
        for (column, packed) in Column::ALL.into_iter().zip(body.columns) {
            self.unpack_column(packed, column, &mut into[column])?;
        }
        Ok(body.opening)
    }

    fn unpack_column(&mut self, packed: Packed<'_>, column: Column, into: &mut Vec<u8>) -> Result<(), Fault> {
        let length = packed.length as usize;
        into.clear();
        if packed.bytes.len() == length {
            into.extend_from_slice(packed.bytes);
            return Ok(());
        }
        into.reserve_exact(length);
        let done = self.zstd.decompress_to_buffer(packed.bytes, into);
        if done.is_ok_and(|done| done == length) { Ok(()) } else { Err(Fault::Packing(column)) }
    }
}
