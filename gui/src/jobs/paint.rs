//! Draws pictures of a heap in a thread of its own, so that a large one costs a frame nothing.

use crate::model::colouring::{Colouring, Key};
use crate::model::heap::Moment;
use crate::model::picture::{Canvas, Picture};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;

/// Draws one picture after the other. Dropping it ends it.
#[derive(Debug)]
pub struct Painter {
    canvases: Sender<Canvas>,
    /// Each with how many canvases had been wanted until then.
    pictures: Receiver<(u64, Picture)>,
    wanted: u64,
    painted: u64,
}

impl Painter {
    /// A painter; `wake` is called whenever there is a picture.
    pub fn start(wake: impl Fn() + Send + 'static) -> Painter {
        let (canvases, wanted) = mpsc::channel::<Canvas>();
        let (sender, pictures) = mpsc::channel();
        thread::spawn(move || {
            let mut known: Option<(Arc<Moment>, Colouring, Arc<Key>)> = None;
            let mut number = 0;
            while let Ok(mut canvas) = wanted.recv() {
                number += 1;
                // Only the last that was asked for is still wanted.
                for later in wanted.try_iter() {
                    number += 1;
                    canvas = later;
                }
                let key = match &known {
                    Some((moment, colouring, key))
                        if Arc::ptr_eq(moment, &canvas.moment) && *colouring == canvas.colouring =>
                    {
                        Arc::clone(key)
                    }
                    _ => {
                        let key = Arc::new(Key::of(&canvas.moment.heap, canvas.colouring));
                        known = Some((Arc::clone(&canvas.moment), canvas.colouring, Arc::clone(&key)));
                        key
                    }
                };
                if sender.send((number, Picture::draw(canvas, key))).is_err() {
                    return;
                }
                wake();
            }
        });
        Painter { canvases, pictures, wanted: 0, painted: 0 }
    }

    /// Wants a picture, in place of those that are not drawn yet.
    pub fn want(&mut self, canvas: Canvas) {
        self.wanted += 1;
        // The thread ends only with us.
        let _ = self.canvases.send(canvas);
    }

    /// Whether the picture that was wanted last is still to come.
    pub fn is_painting(&self) -> bool {
        self.painted < self.wanted
    }

    /// The latest picture since this was asked last.
    pub fn latest(&mut self) -> Option<Picture> {
        let (number, picture) = self.pictures.try_iter().last()?;
        self.painted = number;
        Some(picture)
    }
}
