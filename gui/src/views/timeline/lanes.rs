//! A lane for each thread and each arena, where there are several.

use crate::model::timeline::{Lane, Timeline};
use crate::theme;
use crate::widgets::grid;
use crate::widgets::layer::Layer;
use crate::widgets::scale::{Scale, narrow};
use egui::{
    Align2, Color32, Rect, ScrollArea, Sense, TextStyle, Ui, WidgetInfo, accesskit::Role, pos2, vec2,
};
use malloscope_replayer::report::units::{bytes, count};

/// The height of a lane.
const LANE: f32 = 17.0;
/// The greatest part of the height that lanes take.
const SHARE: f32 = 0.38;

/// Whether there are any.
pub(super) fn are_some(timeline: &Timeline) -> bool {
    !timeline.threads.is_empty() || !timeline.arenas.is_empty()
}

/// How much height they take of what there is.
pub(super) fn height(timeline: &Timeline, available: f32) -> f32 {
    let lanes = timeline.threads.iter().chain(&timeline.arenas);
    let needed: f32 = lanes.map(|_| LANE).sum();
    needed.min(available * SHARE)
}

/// Shows them, as many as there is room for, and lets the others be scrolled to.
pub(super) fn ui(ui: &mut Ui, height: f32, across: Scale, timeline: &Timeline) {
    let greatest = |lanes: &[Lane]| lanes.iter().map(|lane| lane.greatest).max().unwrap_or(0);
    let (threads, arenas) = (greatest(&timeline.threads), greatest(&timeline.arenas));
    let visuals = ui.visuals();
    let (first, second) = (theme::quiet_line(visuals), theme::category(visuals, 2));
    let sum = |lane: &Lane| format!("{} calls", count(lane.values.iter().sum()));
    let last = |lane: &Lane| {
        format!("{}, at most {}", bytes(lane.values.last().copied().unwrap_or(0)), bytes(lane.greatest))
    };
    let threads = timeline.threads.iter().map(|lane| (lane, threads, first, sum(lane)));
    let arenas = timeline.arenas.iter().map(|lane| (lane, arenas, second, last(lane)));
    let lanes: Vec<(&Lane, u64, Color32, String)> = threads.chain(arenas).collect();
    ui.scope(|ui| {
        ui.spacing_mut().item_spacing.y = 0.0;
        let area = ScrollArea::vertical().id_salt("lanes").max_height(height).min_scrolled_height(height);
        area.auto_shrink([false, true]).show_rows(ui, LANE, lanes.len(), |ui, rows| {
            let seen = vec2(ui.available_width(), LANE * rows.len() as f32);
            let mut layer = Layer::over(ui, Rect::from_min_size(ui.cursor().min, seen));
            for (lane, most, colour, said) in &lanes[rows] {
                let place = row(ui, across, &lane.name, said);
                bars(&mut layer, place, across, timeline, lane, *most, *colour);
            }
            layer.show(ui, &ui.painter().clone(), "lanes");
        });
    });
}

/// A lane's row, without its bars: they belong where this says.
fn row(ui: &mut Ui, across: Scale, name: &str, said: &str) -> Rect {
    let (row, response) = ui.allocate_exact_size(vec2(ui.available_width(), LANE), Sense::hover());
    let font = TextStyle::Small.resolve(ui.style());
    let place = Rect::from_x_y_ranges(across.first..=across.last, row.top() + 2.0..=row.bottom());
    let painter = ui.painter_at(row);
    let at = pos2(place.left() - 8.0, place.center().y);
    painter.text(at, Align2::RIGHT_CENTER, name, font, ui.visuals().weak_text_color());
    grid::level(ui, &painter, place.x_range(), place.bottom());
    let said = format!("{name}: {said}");
    response.widget_info(|| WidgetInfo::labeled(Role::Row, true, said.clone()));
    response.on_hover_text(said);
    place
}

/// What happened slice by slice.
fn bars(
    layer: &mut Layer,
    place: Rect,
    across: Scale,
    timeline: &Timeline,
    lane: &Lane,
    most: u64,
    colour: Color32,
) {
    let seen = timeline.slices_between(across.seen.from, across.seen.to);
    for (slice, value) in timeline.slices[seen.clone()].iter().zip(lane.values.get(seen).unwrap_or_default())
    {
        if *value == 0 {
            continue;
        }
        let share = narrow(*value as f64 / most.max(1) as f64).max(0.08);
        let (left, right) = (across.place(slice.first as f64), across.place(slice.end as f64));
        let top = place.bottom() - share * place.height();
        let right = right.max(left + 1.0).min(place.right());
        layer.fill(Rect::from_x_y_ranges(left.max(place.left())..=right, top..=place.bottom()), colour);
    }
}
