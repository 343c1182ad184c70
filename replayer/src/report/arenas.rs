//! What each arena has at one moment, and what of it lives.

use super::units::{bytes, count, percent};
use super::{Line, Section, Table, json, pins};
use crate::explore::map::{HeapMap, RegionKind, State};
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::{self, Write};

/// What one arena has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Arena {
    /// Stretches of memory.
    pub regions: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Chunks that live in them.
    pub live_chunks: u64,
    /// Their bytes.
    pub live_bytes: u64,
    /// Chunks of it that wait in threads' caches.
    pub cached_bytes: u64,
    /// What is free in its bins: fast, unsorted, small and large ones.
    pub free_bytes: u64,
    /// Its top chunk.
    pub top_bytes: u64,
}

/// Every arena at one moment.
#[derive(Clone, Debug, Serialize)]
pub struct Arenas {
    /// Records replayed.
    pub record: u64,
    /// Each arena by its number, 0 being the main one.
    pub arenas: BTreeMap<u32, Arena>,
    /// Mappings of chunks that have one of their own, which belong to no arena.
    pub mappings: u64,
    /// Their bytes.
    pub mapped_bytes: u64,
}

impl Arenas {
    /// Those of a heap.
    pub fn of(map: &HeapMap) -> Arenas {
        let mut arenas = Arenas { record: map.made, arenas: BTreeMap::new(), mappings: 0, mapped_bytes: 0 };
        for region in &map.regions {
            if region.kind == RegionKind::Mapping {
                arenas.mappings += 1;
                arenas.mapped_bytes += region.length();
                continue;
            }
            let arena = arenas.arenas.entry(region.arena).or_default();
            let of = |state: State| region.totals.of(state);
            arena.regions += 1;
            arena.bytes += region.length();
            arena.live_chunks += of(State::Live).pieces;
            arena.live_bytes += of(State::Live).bytes;
            arena.cached_bytes += of(State::Cached).bytes;
            let bins = [State::Fast, State::Unsorted, State::Small, State::Large];
            arena.free_bytes += bins.into_iter().map(|state| of(state).bytes).sum::<u64>();
            arena.top_bytes += of(State::Top).bytes;
        }
        arenas
    }

    /// The greatest free memory of an arena, by the mean of all; nothing if none is free.
    fn imbalance(&self) -> Option<f64> {
        let free = || self.arenas.values().map(|arena| arena.free_bytes + arena.top_bytes);
        let sum: u64 = free().sum();
        (sum > 0).then(|| free().max().unwrap_or(0) as f64 * self.arenas.len() as f64 / sum as f64)
    }

    /// For people.
    pub fn sections(&self) -> Vec<Section> {
        let mut lines = vec![Line::Text(format!("After {} records", count(self.record)))];
        if self.mappings > 0 {
            let mappings =
                format!("{} in {} mappings of their own", bytes(self.mapped_bytes), count(self.mappings));
            lines.push(Line::Text(format!("Beside the arenas: {mappings}")));
        }
        let names = [
            "arena",
            "#regions",
            "#bytes",
            "#live chunks",
            "#live bytes",
            "#of it",
            "#cached",
            "#free in bins",
            "#top",
        ];
        let mut table = Table::with_columns(&names);
        for (&number, arena) in &self.arenas {
            table.push([
                pins::name(number),
                count(arena.regions),
                bytes(arena.bytes),
                count(arena.live_chunks),
                bytes(arena.live_bytes),
                percent(arena.live_bytes, arena.bytes),
                bytes(arena.cached_bytes),
                bytes(arena.free_bytes),
                bytes(arena.top_bytes),
            ]);
        }
        let mut notes = Vec::new();
        if self.arenas.len() > 1
            && let Some(imbalance) = self.imbalance()
        {
            notes.push(format!(
                "The arena with the most free memory has {imbalance:.1} times the mean of all: what is free in one serves no \
                 thread of another."
            ));
        }
        vec![Section { title: String::new(), lines, table: Some(table), notes }]
    }

    /// As JSON.
    ///
    /// # Errors
    ///
    /// When `out` takes no more.
    pub fn write_json(&self, out: &mut dyn Write) -> io::Result<()> {
        json::write("malloscope.arenas", self, out)
    }
}
