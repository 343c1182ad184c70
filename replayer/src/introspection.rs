//! What the program would have learnt from malloc about its heap, had it asked after its last call.

use malloscope_allocator::corruption::Corruption;
use malloscope_allocator::heap::Heap;
use malloscope_allocator::memory::Memory;
use malloscope_allocator::observe::Observer;
use serde::{Deserialize, Serialize};
use std::fmt::Display;

/// A function by which a program asks malloc about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Question {
    /// `malloc_info(0, stream)`: XML.
    MallocInfo,
    /// `malloc_stats()`: text.
    MallocStats,
    /// `mallinfo()`: numbers.
    Mallinfo,
    /// `mallinfo2()`: the same in 64 bits.
    Mallinfo2,
}

impl Question {
    /// The function's name.
    pub fn name(self) -> &'static str {
        match self {
            Question::MallocInfo => "malloc_info",
            Question::MallocStats => "malloc_stats",
            Question::Mallinfo => "mallinfo",
            Question::Mallinfo2 => "mallinfo2",
        }
    }

    /// What the function prints, to the last byte; of one that returns numbers, a line for each.
    ///
    /// # Errors
    ///
    /// When the heap turns out corrupted.
    pub fn answer<M: Memory, O: Observer>(self, heap: &Heap<M, O>) -> Result<String, Corruption> {
        Ok(match self {
            Question::MallocInfo => heap.malloc_info()?,
            Question::MallocStats => heap.malloc_stats()?,
            Question::Mallinfo => lines(self.name(), &heap.mallinfo()?.fields()),
            Question::Mallinfo2 => lines(self.name(), &heap.mallinfo2()?.fields()),
        })
    }
}

fn lines<V: Display>(name: &str, fields: &[(&str, V)]) -> String {
    fields.iter().map(|(field, value)| format!("{name}.{field} = {value}\n")).collect()
}
