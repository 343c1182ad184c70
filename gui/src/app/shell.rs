//! What a user can ask of the window as such, whatever it shows.

use crate::model::view::View;
use std::path::PathBuf;

/// Something asked of the window as such.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shell {
    /// Take back the last change of what is looked at.
    Undo,
    /// Make it again.
    Redo,
    /// Ask for something.
    Ask(Question),
    /// Switch to the other colours.
    Theme,
    /// Put the command line that leads here on the clipboard.
    CopyCommandLine,
    /// Write a picture of a panel, or of the whole window, to a file: SVG if it is named so, else PNG.
    Save(Option<View>, PathBuf),
    /// Put all panels where they were at first.
    ResetLayout,
    /// Everything larger or smaller.
    Zoom(Zoom),
    /// The whole screen, or a window.
    FullScreen,
    /// End.
    Quit,
}

/// What the window may ask in a little window of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// Which action?
    Palette,
    /// None: it shows all keys.
    Keys,
    /// Which trace?
    Trace,
    /// Which record?
    Record,
    /// Which records?
    Range,
    /// A picture of what, and where to?
    Picture,
}

/// A step of the zoom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Zoom {
    /// Larger.
    In,
    /// Smaller.
    Out,
    /// As it was at first.
    Normal,
}
