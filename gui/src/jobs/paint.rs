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
    pictures: Receiver<Picture>,
}

impl Painter {
    /// A painter; `wake` is called whenever there is a picture.
    pub fn start(wake: impl Fn() + Send + 'static) -> Painter {
        let (canvases, wanted) = mpsc::channel::<Canvas>();
        let (sender, pictures) = mpsc::channel();
        thread::spawn(move || {
            let mut known: Option<(Arc<Moment>, Colouring, Arc<Key>)> = None;
            while let Ok(first) = wanted.recv() {
                // Only the last that was asked for is still wanted.
                let canvas = wanted.try_iter().last().unwrap_or(first);
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
                if sender.send(Picture::draw(canvas, key)).is_err() {
                    return;
                }
                wake();
            }
        });
        Painter { canvases, pictures }
    }

    /// Wants a picture, in place of those that are not drawn yet.
    pub fn want(&self, canvas: Canvas) {
        // The thread ends only with us.
        let _ = self.canvases.send(canvas);
    }

    /// The latest picture since this was asked last.
    pub fn latest(&self) -> Option<Picture> {
        self.pictures.try_iter().last()
    }
}
