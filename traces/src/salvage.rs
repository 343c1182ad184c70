//! A trace that was cut short or damaged is still one: how a reader that has lost its place finds
//! the next frame, and an index where there is none.

use std::io::{Read, Seek};

use crate::error::Error;
use crate::frame::{self, Frame, Kind, MARK};
use crate::index::{Entry, Index};
use crate::preamble;
use crate::record::Nanos;
use crate::source::Source;

/// How much is searched at a time.
const STRETCH: usize = 1 << 16;

impl<R: Read + Seek> Source<R> {
    /// The first intact frame that begins at `from` or behind it, and where it begins.
    pub fn next_frame(&mut self, from: u64) -> Result<Option<(u64, Frame)>, Error> {
        let mut at = from;
        let mut stretch = Vec::with_capacity(STRETCH);
        loop {
            self.read(at, STRETCH as u64, &mut stretch)?;
            if let Some((offset, frame)) = first_frame(&stretch) {
                return Ok(Some((at + offset as u64, frame)));
            }
            if stretch.len() < STRETCH {
                return Ok(None);
            }
            // A frame may have begun that does not end in this stretch.
            at += (STRETCH - frame::LENGTH + 1) as u64;
        }
    }

    /// The next intact frame behind one that cannot be used, at best where that says it ends. `broken`
    /// is what begins at `at`, if that much is sure.
    pub fn frame_after(&mut self, at: u64, broken: Option<Frame>) -> Result<Option<(u64, Frame)>, Error> {
        if let Some(broken) = broken {
            let end = broken.end(at);
            if end == self.length() {
                return Ok(None);
            }
            if let Ok(next) = self.frame(end)? {
                return Ok(Some((end, next)));
            }
        }
        self.next_frame(at + 1)
    }

    /// An index made from the frames. Times are counted in so many nanoseconds.
    pub fn rebuild_index(&mut self, resolution: u64) -> Result<Index, Error> {
        let mut index = Index::default();
        let mut next = self.next_frame(preamble::LENGTH)?;
        while let Some((at, frame)) = next {
            if frame.kind == Kind::Records {
                let time = Nanos(frame.time.saturating_mul(resolution));
                index.batches.push(Entry { at, first: frame.first, time });
            }
            next = self.frame_after(at, Some(frame))?;
        }
        Ok(index)
    }
}

fn first_frame(bytes: &[u8]) -> Option<(usize, Frame)> {
    let begins = bytes.windows(frame::LENGTH).enumerate();
    begins
        .filter(|(_, window)| window[0] == MARK[0] && window.starts_with(&MARK))
        .find_map(|(offset, window)| Some((offset, Frame::from_bytes(window.first_chunk()?).ok()?)))
}
