//! The body of a batch: what it begins from, and its columns, each compressed on its own.

use std::fmt;
use std::io;

use serde::{Deserialize, Serialize};

use crate::columns::{Column, Columns, Opening};
use crate::damage::Fault;
use crate::encoding;
use crate::frame;

/// How many records a full batch has.
///
/// Half as many would make a trace up to 7 % longer, twice as many up to 3 % shorter
/// (`MEASURED.md`), and what is not yet in the file is what a killed recorder loses.
pub(crate) const RECORDS: u32 = 1 << 15;

/// How hard zstd tries. Level 3 saves 1 to 4 % and takes a tenth longer, level −1 takes a quarter more
/// room and saves nothing that could be measured.
const LEVEL: i32 = 1;

/// A column shorter than this is not worth compressing: zstd's own frame takes some ten bytes.
const SHORT: usize = 32;

#[derive(Serialize, Deserialize)]
struct Body<'bytes> {
    opening: Opening,
    /// Those that have any bytes. A reader steps over columns it does not know.
    #[serde(borrow)]
    columns: Vec<Packed<'bytes>>,
}

/// A column in the file.
#[derive(Serialize, Deserialize)]
struct Packed<'bytes> {
    /// Which: its place in [`Column::ALL`].
    column: u8,
    /// How long it is when unpacked.
    length: u32,
    /// The column itself if they are as many, otherwise a zstd frame.
    #[serde(with = "serde_bytes")]
    bytes: &'bytes [u8],
}

/// Compresses columns.
pub(crate) struct Packer {
    zstd: zstd::bulk::Compressor<'static>,
    packed: Columns,
}

impl fmt::Debug for Packer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Packer")
    }
}

impl Packer {
    pub fn new() -> io::Result<Packer> {
        Ok(Packer { zstd: zstd::bulk::Compressor::new(LEVEL)?, packed: Columns::default() })
    }

    /// Appends the body of a batch. Returns how long its columns are when unpacked.
    pub fn pack(&mut self, opening: Opening, columns: &Columns, into: &mut Vec<u8>) -> io::Result<u32> {
        let mut unpacked = 0;
        for column in Column::ALL {
            unpacked += length(columns[column].len());
            self.pack_column(&columns[column], column)?;
        }
        let filled = Column::ALL.into_iter().filter(|column| !columns[*column].is_empty());
        let packed = filled.map(|column| Packed {
            column: column as u8,
            length: length(columns[column].len()),
            bytes: &self.packed[column],
        });
        encoding::encode(&Body { opening, columns: packed.collect() }, into);
        Ok(unpacked)
    }

    fn pack_column(&mut self, bytes: &[u8], column: Column) -> io::Result<()> {
        let mut packed = std::mem::take(&mut self.packed[column]);
        let done = self.squeeze(bytes, &mut packed);
        self.packed[column] = packed;
        done
    }

    /// Replaces what is in `packed` by these bytes: compressed, if that makes them fewer.
    pub fn squeeze(&mut self, bytes: &[u8], packed: &mut Vec<u8>) -> io::Result<()> {
        packed.clear();
        if bytes.len() >= SHORT {
            packed.reserve(zstd::zstd_safe::compress_bound(bytes.len()));
            self.zstd.compress_to_buffer(bytes, packed)?;
        }
        if bytes.len() < SHORT || packed.len() >= bytes.len() {
            packed.clear();
            packed.extend_from_slice(bytes);
        }
        Ok(())
    }
}

fn length(bytes: usize) -> u32 {
    u32::try_from(bytes).expect("a batch has too few records for a column of four gigabytes")
}

/// How many bytes a column takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ColumnSize {
    /// In the file.
    pub stored: u64,
    /// When unpacked.
    pub unpacked: u64,
}

/// Unpacks columns.
pub(crate) struct Unpacker {
    zstd: zstd::bulk::Decompressor<'static>,
    sizes: [ColumnSize; Column::ALL.len()],
}

impl fmt::Debug for Unpacker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Unpacker")
    }
}

impl Unpacker {
    pub fn new() -> io::Result<Unpacker> {
        Ok(Unpacker { zstd: zstd::bulk::Decompressor::new()?, sizes: Default::default() })
    }

    /// How many bytes everything unpacked so far takes.
    pub fn size(&self, column: Column) -> ColumnSize {
        self.sizes[column as usize]
    }

    /// Reads the body of a batch, whose columns must be `unpacked` bytes long when unpacked.
    pub fn unpack(&mut self, body: &[u8], unpacked: u32, into: &mut Columns) -> Result<Opening, Fault> {
        let body: Body<'_> = encoding::decode(body)?;
        let total = body.columns.iter().map(|packed| u64::from(packed.length)).sum();
        if total != u64::from(unpacked) {
            return Err(Fault::Lengths { expected: unpacked.into(), found: total });
        }
        into.clear();
        for packed in body.columns {
            if let Some(&column) = Column::ALL.get(usize::from(packed.column)) {
                self.sizes[column as usize].stored += packed.bytes.len() as u64;
                self.sizes[column as usize].unpacked += u64::from(packed.length);
                self.unpack_column(&packed, column, &mut into[column])?;
            }
        }
        Ok(body.opening)
    }

    fn unpack_column(
        &mut self,
        packed: &Packed<'_>,
        column: Column,
        into: &mut Vec<u8>,
    ) -> Result<(), Fault> {
        // If a column comes twice, the second counts.
        if self.unsqueeze(packed.bytes, packed.length, into) { Ok(()) } else { Err(Fault::Packing(column)) }
    }

    /// Replaces what is in `into` by what [`Packer::squeeze`] was given, so many bytes. False if it was not.
    pub fn unsqueeze(&mut self, packed: &[u8], length: u32, into: &mut Vec<u8>) -> bool {
        let length = length as usize;
        into.clear();
        if packed.len() == length {
            into.extend_from_slice(packed);
            return true;
        }
        if length > frame::LONGEST {
            return false;
        }
        into.reserve_exact(length);
        self.zstd.decompress_to_buffer(packed, into).is_ok_and(|done| done == length)
    }
}
