//! A sentence that is seen for some seconds, at the bottom.

use crate::theme;
use egui::{Align2, Area, Context, Frame, Id, Order, Vec2};
use std::time::Duration;

/// How long it is seen, in seconds.
const SECONDS: f64 = 4.0;

/// A sentence that is seen for some seconds.
#[derive(Clone, Debug, Default)]
pub struct Toast {
    text: String,
    until: Option<f64>,
}

impl Toast {
    /// Says something from now on, in place of what was said.
    pub fn say(&mut self, text: impl Into<String>, context: &Context) {
        self.text = text.into();
        self.until = Some(context.input(|input| input.time) + SECONDS);
    }

    /// Shows it, as long as it is to be seen.
    pub fn ui(&mut self, context: &Context) {
        let Some(until) = self.until else { return };
        let left = until - context.input(|input| input.time);
        if left <= 0.0 {
            self.until = None;
            return;
        }
        context.request_repaint_after(Duration::from_secs_f64(left + 0.02));
        Area::new(Id::unique("toast"))
            .order(Order::Foreground)
            .interactable(false)
            .anchor(Align2::CENTER_BOTTOM, Vec2::new(0.0, -theme::WIDE_GAP))
            .show(context, |ui| {
                Frame::popup(ui.style()).show(ui, |ui| ui.label(&self.text));
            });
    }
}
