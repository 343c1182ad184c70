//! A trace that was cut short or damaged is still one: how a reader who lost his place finds the next frame.

use std::io::{self, Read, Seek, SeekFrom};

use crate::frame::{self, Frame, MARK};

/// How much is searched at a time.
const STRETCH: usize = 1 << 16;

/// The first intact frame that begins at `from` or behind it, and where it begins.
pub(crate) fn next_frame<R: Read + Seek>(input: &mut R, from: u64) -> io::Result<Option<(u64, Frame)>> {
    let mut at = from;
    let mut stretch = Vec::with_capacity(STRETCH);
    loop {
        input.seek(SeekFrom::Start(at))?;
        stretch.clear();
        input.by_ref().take(STRETCH as u64).read_to_end(&mut stretch)?;
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

fn first_frame(bytes: &[u8]) -> Option<(usize, Frame)> {
    let begins = bytes.windows(frame::LENGTH).enumerate();
    begins
        .filter(|(_, window)| window[0] == MARK[0] && window.starts_with(&MARK))
        .find_map(|(offset, window)| Some((offset, Frame::from_bytes(window.first_chunk()?).ok()?)))
}
