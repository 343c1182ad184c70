//! What a frame costs in the real window, panel by panel: at rest, while the mouse drags over it, and while
//! the wheel turns. `benches/window.sh` gives it a screen and a long trace.
//!
//!     frames TRACE [WIDTHxHEIGHT [PANEL]]
//!
//! Every panel, or the one that is named, is shown alone, and frames are asked for one after the other. The time of the
//! processor counts what drawing without a graphics processor costs, on all threads; waiting for a
//! screen's next picture is switched off. At last it says how many frames are shown while nothing
//! happens: there should be none.

use egui::{Event, Modifiers, MouseWheelSource, MouseWheelUnit, PointerButton, Pos2, TouchPhase, Vec2};
use malloscope_gui::app::App;
use malloscope_gui::app::command::Command;
use malloscope_gui::app::persist::{Colours, Kept};
use malloscope_gui::jobs::{WORK, leash};
use malloscope_gui::model::view::View;
use malloscope_gui::screen;
use malloscope_replayer::report::units::count;
use malloscope_replayer::worker::{self, Launcher};
use rustix::time::{ClockId, clock_gettime};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Frames of each kind.
const FRAMES: usize = 240;
/// Frames that are not measured, before those that are: what is made at the first sight of a panel is
/// not made again.
const BEFORE: usize = 12;
/// How long nothing happens at last.
const REST: Duration = Duration::from_secs(3);
/// And how long what was done last may have consequences before: a tooltip fades in.
const SETTLING: Duration = Duration::from_secs(1);

/// What is done to a panel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deed {
    Rest,
    Drag,
    Wheel,
}

impl Deed {
    const ALL: [Deed; 3] = [Deed::Rest, Deed::Drag, Deed::Wheel];

    fn name(self) -> &'static str {
        match self {
            Deed::Rest => "at rest",
            Deed::Drag => "dragging",
            Deed::Wheel => "wheel",
        }
    }
}

/// What the clocks say.
#[derive(Clone, Copy)]
struct Clocks {
    wall: Instant,
    process: Duration,
    thread: Duration,
}

impl Clocks {
    fn now() -> Clocks {
        let read = |clock| {
            let time = clock_gettime(clock);
            let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
            Duration::from_secs(seconds) + Duration::from_nanos(u64::try_from(time.tv_nsec).unwrap_or(0))
        };
        Clocks {
            wall: Instant::now(),
            process: read(ClockId::ProcessCPUTime),
            thread: read(ClockId::ThreadCPUTime),
        }
    }
}

/// What the frames of one kind cost.
#[derive(Default)]
struct Costs {
    wall: Vec<Duration>,
    process: Vec<Duration>,
    thread: Vec<Duration>,
}

impl Costs {
    fn add(&mut self, from: Clocks, to: Clocks) {
        self.wall.push(to.wall - from.wall);
        self.process.push(to.process - from.process);
        self.thread.push(to.thread - from.thread);
    }
}

/// The median and the 99th percentile, in milliseconds.
fn median_and_worst(times: &mut [Duration]) -> [f64; 2] {
    times.sort();
    let at = |share: usize| times.get((times.len() * share / 100).min(times.len().saturating_sub(1)));
    [50, 99].map(|share| at(share).map_or(f64::NAN, |time| time.as_secs_f64() * 1000.0))
}

/// What is being done.
enum Stage {
    /// The trace is being replayed.
    Opening,
    /// Frames of a panel are counted down.
    Frames { view: usize, deed: usize, left: usize },
    /// Nothing happens, since then.
    Resting { since: Instant, frames: usize },
}

struct Bench {
    app: App,
    began: Instant,
    first_frame: Option<Instant>,
    /// When curves of so many records had been painted first.
    first_curves: Option<(Instant, u64)>,
    stage: Stage,
    last: Option<Clocks>,
    costs: Costs,
    size: Vec2,
    panels: Vec<View>,
}

impl Bench {
    /// Where the mouse is in the so-manieth frame: it goes round in the middle of the panel.
    fn place(&self, frame: usize) -> Pos2 {
        let turn = frame as f32 / 40.0 * std::f32::consts::TAU;
        let middle = self.size * Vec2::new(0.5, 0.55);
        (middle + Vec2::new(turn.cos() * self.size.x * 0.2, turn.sin() * self.size.y * 0.1)).to_pos2()
    }

    fn events(&self) -> Vec<Event> {
        let Stage::Frames { deed, left, .. } = self.stage else { return Vec::new() };
        let place = self.place(left);
        let button = |pressed| Event::PointerButton {
            pos: place,
            button: PointerButton::Primary,
            pressed,
            modifiers: Modifiers::NONE,
        };
        match Deed::ALL[deed] {
            Deed::Rest => Vec::new(),
            Deed::Drag if left == FRAMES + BEFORE => vec![Event::PointerMoved(place), button(true)],
            Deed::Drag if left == 1 => vec![button(false)],
            Deed::Drag => vec![Event::PointerMoved(place)],
            Deed::Wheel => {
                let up = if left / 10 % 2 == 0 { 1.0 } else { -1.0 };
                let wheel = Event::MouseWheel {
                    unit: MouseWheelUnit::Line,
                    delta: Vec2::new(0.0, up),
                    phase: TouchPhase::Move,
                    source: MouseWheelSource::Unknown,
                    modifiers: Modifiers::NONE,
                };
                vec![Event::PointerMoved(place), wheel]
            }
        }
    }

    /// Goes on to what is done next, when a frame begins.
    fn step(&mut self, context: &egui::Context) {
        let now = Clocks::now();
        let last = self.last.replace(now);
        match &mut self.stage {
            Stage::Opening => {
                let first = *self.first_frame.get_or_insert(now.wall);
                // What is seen now was painted in the frame before.
                let seen = self.app.model().seen().map(|seen| (now.wall, seen.report.outcome.records));
                let is_first = self.first_curves.is_none();
                self.first_curves = self.first_curves.or(seen);
                if let (true, Some((at, records))) = (is_first, seen) {
                    let seconds = (at - self.began).as_secs_f64();
                    println!("first curves after {seconds:.2} s, of {} records", count(records));
                }
                if !self.app.is_busy() {
                    let seconds = |to: Instant| (to - self.began).as_secs_f64();
                    println!(
                        "first frame after {:.2} s; all replayed after {:.1} s",
                        seconds(first),
                        seconds(now.wall)
                    );
                    println!("{:32}{:>18}{:>18}{:>18}", "", "wall ms", "processor ms", "frame thread ms");
                    println!(
                        "{:32}{:>9}{:>9}{:>9}{:>9}{:>9}{:>9}",
                        "panel", "median", "99 %", "median", "99 %", "median", "99 %"
                    );
                    self.app.apply(Command::Alone(true));
                    self.app.apply(Command::Look(self.panels[0]));
                    self.stage = Stage::Frames { view: 0, deed: 0, left: FRAMES + BEFORE };
                } else {
                    // Whoever works says when there is news.
                    return;
                }
            }
            Stage::Frames { view, deed, left } => {
                let (view, deed) = (*view, *deed);
                // What a panel had to work out first is not a frame's cost.
                if self.app.is_busy() && *left > FRAMES {
                    return context.request_repaint();
                }
                if let Some(last) = last.filter(|_| *left <= FRAMES) {
                    self.costs.add(last, now);
                }
                *left -= 1;
                if *left == 0 {
                    self.print(view, deed);
                    self.next(view, deed);
                }
            }
            Stage::Resting { since, frames } => {
                if self.app.is_busy() {
                    // What was selected is still being replayed, and says how far that is.
                    *since = Instant::now() + SETTLING;
                    return;
                }
                if now.wall < *since {
                    return;
                }
                *frames += 1;
                if since.elapsed() >= REST {
                    // The last is ours.
                    println!(
                        "{} frames in {} s in which nothing happened",
                        frames.saturating_sub(1),
                        REST.as_secs()
                    );
                    print_memory();
                    context.send_viewport_cmd(egui::ViewportCommand::Close);
                }
                return;
            }
        }
        context.request_repaint();
    }

    fn next(&mut self, view: usize, deed: usize) {
        let (view, deed) = if deed + 1 < Deed::ALL.len() { (view, deed + 1) } else { (view + 1, 0) };
        match self.panels.get(view) {
            Some(&next) => {
                // What dragging has selected is not the next one's business.
                self.app.apply(Command::Select(None));
                self.app.apply(Command::Look(next));
                self.stage = Stage::Frames { view, deed, left: FRAMES + BEFORE };
            }
            None => {
                self.app.apply(Command::Select(None));
                self.stage = Stage::Resting { since: Instant::now() + SETTLING, frames: 0 };
            }
        }
    }

    fn print(&mut self, view: usize, deed: usize) {
        let costs = std::mem::take(&mut self.costs);
        let Costs { mut wall, mut process, mut thread } = costs;
        let name = format!("{}, {}", self.panels[view].title(), Deed::ALL[deed].name());
        let [a, b] = median_and_worst(&mut wall);
        let [c, d] = median_and_worst(&mut process);
        let [e, f] = median_and_worst(&mut thread);
        println!("{name:32}{a:9.2}{b:9.2}{c:9.2}{d:9.2}{e:9.2}{f:9.2}");
    }
}

/// What the window takes, as the kernel counts it.
fn print_memory() {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    for line in status.lines().filter(|line| line.starts_with("VmRSS") || line.starts_with("VmHWM")) {
        println!("{line}");
    }
}

impl eframe::App for Bench {
    fn clear_color(&self, visuals: &egui::Visuals) -> [f32; 4] {
        visuals.panel_fill.to_normalized_gamma_f32()
    }

    fn raw_input_hook(&mut self, context: &egui::Context, input: &mut egui::RawInput) {
        self.step(context);
        input.events.extend(self.events());
    }

    fn ui(&mut self, ui: &mut egui::Ui, _: &mut eframe::Frame) {
        self.app.ui(ui);
        if let Stage::Resting { since, .. } = self.stage {
            ui.ctx().request_repaint_after((since + REST).saturating_duration_since(Instant::now()));
        }
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut words = std::env::args_os().skip(1);
    let trace = words.next().ok_or("say which trace")?;
    if trace == WORK {
        if let Some(leash) = words.next() {
            leash::end_with(PathBuf::from(leash));
        }
        return Ok(worker::work()?);
    }
    let size =
        words.next().and_then(|size| size.into_string().ok()).unwrap_or_else(|| "1600x1000".to_owned());
    let (width, height) = size.split_once('x').ok_or("a size is WIDTHxHEIGHT")?;
    let size = Vec2::new(width.parse()?, height.parse()?);
    let panel = words.next().and_then(|panel| panel.into_string().ok());
    let is_wanted = |view: &View| panel.as_deref().is_none_or(|panel| panel == view.word());
    let panels: Vec<View> = View::ALL.into_iter().filter(is_wanted).collect();
    if panels.is_empty() {
        return Err("there is no such panel".into());
    }
    let launcher = Launcher { program: "/proc/self/exe".into(), arguments: vec![WORK.into()] };
    let viewport = egui::ViewportBuilder::default().with_inner_size(size).with_decorations(false);
    let mut options = screen::options(viewport);
    options.glow_options.vsync = false;
    let began = Instant::now();
    let start = move |cx: &eframe::CreationContext<'_>| {
        let mut app = App::new(&cx.egui_ctx, launcher, Some(trace.into()));
        app.restore(Kept { colours: Colours::Dark, ..Kept::default() });
        let costs = Costs::default();
        let bench = Bench {
            app,
            began,
            first_frame: None,
            first_curves: None,
            stage: Stage::Opening,
            last: None,
            costs,
            size,
            panels,
        };
        Ok(Box::new(bench) as Box<dyn eframe::App>)
    };
    eframe::run_native("malloscope", options, Box::new(start))?;
    Ok(())
}
