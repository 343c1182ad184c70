//! The window: a trace replayed, its program break and its bins looked at.
//!
//! Each frame the [`app`] polls the [`jobs`], shows the `views`, and then applies what they asked.
//! Views only read the [`model`]; what a user can do is a list of [`app::command::Command`]s, and
//! `app::apply` is the only code that changes the model, with `app::stacks` for what is about call stacks.
//!
//! Nothing is computed here that `malloscope replay`, `compare`, `flame` and `sites` could not print: the
//! numbers and their definitions are the replayer's, replays run in a process of their own, and what
//! is drawn is drawn from its outcome.
//!
//! | where | what |
//! |---|---|
//! | `app/` | a frame; the commands; what they change |
//! | `model/` | what is true; it has never heard of egui |
//! | `jobs/` | work off the frame thread, which can be stopped |
//! | `views/` | one panel each |
//! | `picture/` | what a frame painted, as a file, without a screen |
//! | `screen.rs` | how it is drawn on a screen |
//! | `headless.rs` | the window without one |
//! | `arguments.rs` | what is looked at as a command line, and back |
//! | `widgets/` | drawing that has never heard of heaps |
//! | `theme.rs` | every colour, gap and font size |
#![forbid(unsafe_code)]

pub mod app;
pub mod arguments;
pub mod headless;
pub mod jobs;
pub mod model;
pub mod picture;
pub mod screen;
pub mod theme;
mod views;
mod widgets;
