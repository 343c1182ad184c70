//! The way of a request through malloc: at each stop, how many arrived, and how many went no farther.

use crate::theme;
use crate::widgets::scale::narrow;
use crate::widgets::table::{Cell, Column, Table};
use egui::{Align2, Mesh, Rect, RichText, Sense, TextStyle, Ui, WidgetInfo, accesskit::Role, pos2, vec2};
use malloscope_replayer::funnel::Stop;
use malloscope_replayer::report::units::{count, percent};

/// Left of the bars: the names of stops.
const BEFORE: f32 = 112.0;
/// Right of them: their numbers.
const BEHIND: f32 = 232.0;
/// The height of a stop.
const STOP: f32 = 27.0;
/// Of that, its bar.
const BAR: f32 = 20.0;

/// Shows the stops as a funnel or as a table.
pub(super) fn ui(ui: &mut Ui, stops: &[Stop], as_table: bool) {
    let Some(first) = stops.first().filter(|stop| stop.arrived > 0) else {
        ui.label("Nothing was asked for.");
        return;
    };
    if as_table {
        return table(stops).show(ui);
    }
    let help = "What a stop does not serve arrives at the next. ■ served here  ▒ goes on  ┃ how many asked here at all";
    ui.label(RichText::new(help).small().weak());
    for stop in stops.iter().filter(|stop| stop.arrived > 0) {
        show(ui, stop, first.arrived);
    }
    let refused = stops.last().map_or(0, Stop::went_on);
    if refused > 0 {
        ui.label(format!("{} requests were refused.", count(refused)));
    }
    for (sorted, asked) in
        stops.iter().filter_map(|stop| Some((stop.sorted?, stop.asked.filter(|asked| *asked > 0)?)))
    {
        let each = sorted as f64 / asked as f64;
        let said = format!(
            "The unsorted bin was searched {} times; {} chunks were sorted into their bins on the way, {each:.2} a search.",
            count(asked),
            count(sorted)
        );
        ui.label(RichText::new(said).weak());
    }
}

fn show(ui: &mut Ui, stop: &Stop, all: u64) {
    let (row, response) =
        ui.allocate_exact_size(vec2(ui.available_width().max(BEFORE + BEHIND + 80.0), STOP), Sense::hover());
    let visuals = ui.visuals();
    let bars =
        Rect::from_min_max(pos2(row.left() + BEFORE, row.top()), pos2(row.right() - BEHIND, row.top() + BAR));
    let wide = |part: u64| narrow(part as f64 / all.max(1) as f64) * bars.width();
    let painter = ui.painter();
    let mut mesh = Mesh::default();
    let bar =
        |part: u64| Rect::from_x_y_ranges(bars.left()..=bars.left() + wide(part).max(1.0), bars.y_range());
    mesh.add_colored_rect(bar(stop.arrived), theme::bar_ground(visuals));
    if stop.served > 0 {
        mesh.add_colored_rect(bar(stop.served), theme::accent(visuals));
    }
    painter.add(mesh);
    if let Some(asked) = stop.asked {
        let x = bars.left() + wide(asked.min(stop.arrived));
        painter.vline(x, bars.y_range(), (2.0, visuals.text_color()));
    }
    let font = TextStyle::Body.resolve(ui.style());
    let small = TextStyle::Small.resolve(ui.style());
    let y = bars.center().y;
    painter.text(pos2(bars.left() - 8.0, y), Align2::RIGHT_CENTER, stop.name, font, visuals.text_color());
    let said = format!(
        "{} of {} served, {}",
        count(stop.served),
        count(stop.arrived),
        percent(stop.served, stop.arrived)
    );
    painter.text(pos2(bars.right() + 8.0, y), Align2::LEFT_CENTER, &said, small, visuals.text_color());
    response.widget_info(|| WidgetInfo::labeled(Role::Row, true, format!("{}: {said}", stop.name)));
    response.on_hover_ui(|ui| {
        ui.strong(stop.name);
        ui.label(stop.meaning);
        ui.label(format!("{} requests arrived, {} went on.", count(stop.arrived), count(stop.went_on())));
        match stop.asked {
            Some(asked) => ui.label(format!("It was asked {} times.", count(asked))),
            None => ui.weak("How often it was asked is not counted."),
        };
    });
}

fn table(stops: &[Stop]) -> Table {
    let column = |title: &str, meaning, is_number| Column { title: title.to_owned(), meaning, is_number };
    let columns = vec![
        column("Stop", "A place where malloc looks, in the order in which it does.", false),
        column("Arrived", "Requests that no stop before had served.", true),
        column(
            "Asked",
            "How often it was looked into: not all that arrive ask it, and some ask twice.",
            true,
        ),
        column("Served", "Requests that went no farther.", true),
        column("Of arrived", "Served, of those that arrived.", true),
        column("Went on", "Requests that arrive at the next stop.", true),
    ];
    let plain = |text: String| Cell { text, ..Cell::default() };
    let row = |stop: &Stop| {
        let share = if stop.arrived == 0 { 0.0 } else { stop.served as f64 / stop.arrived as f64 };
        vec![
            plain(stop.name.to_owned()),
            plain(count(stop.arrived)),
            plain(stop.asked.map_or_else(|| "–".to_owned(), count)),
            plain(count(stop.served)),
            Cell { share: Some(share), ..plain(percent(stop.served, stop.arrived)) },
            plain(count(stop.went_on())),
        ]
    };
    Table { name: "Decisions", columns, rows: stops.iter().map(row).collect() }
}
