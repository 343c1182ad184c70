//! The real window, on a screen that nobody sees: it is driven with a mouse and a keyboard, and what it
//! shows is compared with what the same window shows here, without a screen.
//!
//! The one here says where things are, by their names, so that the mouse finds them. Pictures of the
//! two differ by how a graphics processor rounds, and by no more.

use super::shell::{key_event, open_sample};
use super::*;
use egui::{Color32, Event, Key, Modifiers, PointerButton, Pos2, Vec2};
use malloscope_gui::picture::camera::Camera;
use malloscope_gui::picture::raster::Picture;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command as Program, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// What the test is made of; all of it is in `.ci/run`.
const PROGRAMS: [&str; 5] = ["Xvfb", "openbox", "xdotool", "import", "xclip"];
/// Long after this nothing will come any more, on the slowest machine.
const PATIENCE: Duration = Duration::from_secs(120);
/// A channel may differ by this much: the graphics processor rounds edges differently.
const LEAST_DIFFERENCE: u8 = 8;
/// This many pixels of a thousand may differ by more. Where it was measured, none did.
const MOST_DIFFERENT: usize = 1;

/// A child that ends with us.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A screen that nobody sees, with somebody who manages windows: without one, no window has the keyboard.
struct Screen {
    _manager: Process,
    _server: Process,
    display: String,
    home: tempfile::TempDir,
}

impl Screen {
    fn start() -> Option<Screen> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let is_there = |name: &&str| std::env::split_paths(&path).any(|folder| folder.join(name).is_file());
        let missing: Vec<&str> = PROGRAMS.into_iter().filter(|name| !is_there(name)).collect();
        if !missing.is_empty() {
            eprintln!("left out: there is no {}", missing.join(", no "));
            return None;
        }
        let mut server = Program::new("Xvfb");
        // Without `-noreset` it starts anew whenever nobody is connected, under the feet of whoever comes then.
        server.args(["-displayfd", "1", "-screen", "0", "1600x1000x24", "-nolisten", "tcp", "-noreset"]);
        let mut server = Process(server.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap());
        let mut number = String::new();
        BufReader::new(server.0.stdout.take().unwrap()).read_line(&mut number).unwrap();
        let display = format!(":{}", number.trim());
        let home = tempfile::tempdir().unwrap();
        let manager = Program::new("openbox")
            .envs([("DISPLAY", display.as_str()), ("HOME", home.path().to_str().unwrap())])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let screen = Screen { _manager: Process(manager), _server: server, display, home };
        until("a window manager", || screen.ask("xdotool", &["get_num_desktops"]));
        Some(screen)
    }

    /// What a program answers, if it is content.
    fn ask(&self, program: &str, arguments: &[&str]) -> Option<String> {
        let output = Program::new(program)
            .args(arguments)
            .env("DISPLAY", &self.display)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        output.status.success().then_some(text)
    }
}

/// Waits for an answer, and says what for if there is none.
#[track_caller]
fn until<T>(what: &str, ask: impl Fn() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(began.elapsed() < PATIENCE, "there is no {what}");
        thread::sleep(Duration::from_millis(50));
    }
}

/// The real window and the one without a screen, to which the same is done.
struct Pair {
    twin: Window,
    real: Process,
    window: String,
    screen: Screen,
}

impl Pair {
    fn open(screen: Screen) -> Pair {
        let twin = open_sample(egui::Theme::Dark);
        let real = Program::new(env!("CARGO_BIN_EXE_malloscope-gui"))
            .args(["--theme", "dark", "--window-size", "1280x800", "--no-persist"])
            .arg(sample())
            .env("DISPLAY", &screen.display)
            .env("HOME", screen.home.path())
            .env("XDG_RUNTIME_DIR", screen.home.path())
            .env("LIBGL_ALWAYS_SOFTWARE", "1")
            .env("WINIT_X11_SCALE_FACTOR", "1")
            .env_remove("WAYLAND_DISPLAY")
            .env_remove("WAYLAND_SOCKET")
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let real = Process(real);
        let visible = ["search", "--onlyvisible", "--class", "malloscope"];
        let windows = until("window", || screen.ask("xdotool", &visible).filter(|found| !found.is_empty()));
        let window = windows.lines().next().unwrap().to_owned();
        screen.ask("xdotool", &["windowfocus", "--sync", &window]).expect("the window takes the keyboard");
        Pair { twin, real, window, screen }
    }

    fn xdotool(&self, arguments: &[&str]) {
        self.screen.ask("xdotool", arguments).expect("xdotool is content");
    }

    fn events(&mut self, events: impl IntoIterator<Item = Event>) {
        for event in events {
            self.twin.harness.event(event);
        }
        self.twin.harness.run_steps(8);
    }

    fn key(&mut self, name: &str, modifiers: Modifiers, key: Key) {
        self.xdotool(&["key", name]);
        self.events([key_event(modifiers, key, true), key_event(modifiers, key, false)]);
    }

    fn point(&mut self, at: Pos2) {
        let at = at.round();
        let [x, y] = [at.x, at.y].map(|side| side.to_string());
        self.xdotool(&["mousemove", "--window", &self.window.clone(), &x, &y]);
        self.events([Event::PointerMoved(at)]);
    }

    fn click(&mut self, at: Pos2) {
        self.clicks(at, 1);
    }

    /// So many clicks, one right after the other.
    fn clicks(&mut self, at: Pos2, times: usize) {
        let at = at.round();
        self.point(at);
        self.xdotool(&["click", "--repeat", &times.to_string(), "--delay", "60", "1"]);
        let button = |pressed| Event::PointerButton {
            pos: at,
            button: PointerButton::Primary,
            pressed,
            modifiers: Modifiers::NONE,
        };
        for _ in 0..times {
            self.twin.harness.input_mut().events.extend([button(true), button(false)]);
            self.twin.harness.step();
        }
        self.twin.harness.run_steps(8);
    }

    /// Drags from one place to another.
    fn drag(&mut self, from: Pos2, to: Pos2) {
        let (from, to) = (from.round(), to.round());
        self.point(from);
        let button = |pos, pressed| Event::PointerButton {
            pos,
            button: PointerButton::Primary,
            pressed,
            modifiers: Modifiers::NONE,
        };
        self.xdotool(&["mousedown", "1"]);
        self.events([button(from, true)]);
        let middle = (from + (to - from) / 2.0).round();
        for place in [middle, to] {
            self.point(place);
        }
        self.xdotool(&["mouseup", "1"]);
        self.events([button(to, false)]);
        // When the button is let go, the server now and then says that the pointer left.
        self.point(to + Vec2::Y);
    }

    /// Turns the wheel with Ctrl held, in the real window only: how far one step of a wheel goes is between
    /// the server and the library. The picture is what is seen then.
    fn zoom(&mut self, at: Pos2, before: &Picture) -> Picture {
        self.point(at);
        self.xdotool(&["keydown", "ctrl", "click", "--repeat", "3", "4", "keyup", "ctrl"]);
        until("zoom", || Some(self.picture_there()).filter(|there| changed(before, there) > 1000))
    }

    fn centre_of(&self, name: &str) -> Pos2 {
        self.twin.harness.get_by_label(name).rect().center()
    }

    fn picture_here(&mut self) -> Picture {
        let context = self.twin.harness.ctx.clone();
        context.with_plugin(Camera::make_ready);
        self.twin.harness.run_steps(2);
        let shot = context.with_plugin(Camera::take).flatten().expect("a frame was shown");
        shot.develop(&context, None)
    }

    fn picture_there(&self) -> Picture {
        let path = self.screen.home.path().join("screen.png");
        // Four channels, even if all is grey.
        let to = format!("png32:{}", path.display());
        let arguments = ["-window", &self.window, "-depth", "8", &to];
        // While the window is being moved about there may be no picture of it.
        until("picture of the screen", || self.screen.ask("import", &arguments));
        read(&path)
    }

    /// Waits until both show the same.
    #[track_caller]
    fn must_agree(&mut self, when: &str) -> Picture {
        self.twin.settle();
        let here = self.picture_here();
        let began = Instant::now();
        loop {
            let there = self.picture_there();
            assert_eq!((there.width, there.height), (here.width, here.height), "{when}");
            let different = here.pixels.iter().zip(&there.pixels).filter(|(a, b)| differ(**a, **b)).count();
            if different * 1000 <= MOST_DIFFERENT * here.pixels.len() {
                return there;
            }
            if began.elapsed() > PATIENCE {
                let folder = std::env::temp_dir();
                for (name, picture) in [("here", &here), ("there", &there)] {
                    let file = std::fs::File::create(folder.join(format!("malloscope-{name}.png")));
                    picture.write_png(file.unwrap()).unwrap();
                }
                panic!("{when}: {different} pixels differ; see malloscope-*.png in {}", folder.display());
            }
            thread::sleep(Duration::from_millis(100));
        }
    }
}

fn differ(a: Color32, b: Color32) -> bool {
    let (a, b) = (a.to_array(), b.to_array());
    a.iter().zip(b).any(|(a, b)| a.abs_diff(b) > LEAST_DIFFERENCE)
}

fn read(path: &Path) -> Picture {
    let file = BufReader::new(std::fs::File::open(path).unwrap());
    let mut reader = png::Decoder::new(file).read_info().unwrap();
    let mut bytes = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut bytes).unwrap();
    assert_eq!(info.color_type, png::ColorType::Rgba);
    let pixels = bytes.as_chunks().0.iter().map(|&[r, g, b, _]| Color32::from_rgb(r, g, b)).collect();
    Picture { width: info.width as usize, height: info.height as usize, pixels }
}

/// Pixels that differ between two pictures of one size.
fn changed(before: &Picture, after: &Picture) -> usize {
    before.pixels.iter().zip(&after.pixels).filter(|(a, b)| differ(**a, **b)).count()
}

#[test]
fn the_real_window_is_driven_and_shows_what_it_should() {
    let Some(screen) = Screen::start() else { return };
    let mut pair = Pair::open(screen);
    let opened = pair.must_agree("opened");
    assert!(opened.pixels.contains(&Color32::from_rgb(0x56, 0xb4, 0xe9)), "the program break is drawn");

    // Zoom into the timeline, and out of it again.
    let plot = pair.twin.harness.get_by_label_contains("Timeline of ").rect();
    let place = plot.center() + Vec2::new(plot.width() * 0.2, -plot.height() * 0.2);
    pair.point(place);
    let pointed = pair.must_agree("pointed at");
    pair.zoom(place, &pointed);
    pair.clicks(place, 2);
    let all = pair.must_agree("zoomed out again");

    // Select some records with the mouse: tables speak of them alone then.
    pair.drag(place - Vec2::new(plot.width() * 0.3, 0.0), place);
    let range = pair.twin.app().model().range.expect("records are selected");
    pair.twin.settle();
    pair.twin.must_say(&["Clear range", "All tables speak of these records."]);
    let selected = pair.must_agree("records are selected");
    assert!(changed(&all, &selected) > 1000, "what is selected is shown");

    // Replay with another threshold, and compare.
    for name in ["mmap threshold ▾", "mmap threshold 64K"] {
        let button = pair.centre_of(name);
        pair.click(button);
    }
    // Where nothing is: the menu closes.
    pair.click(Pos2::new(700.0, 20.0));
    pair.twin.settle();
    pair.twin.must_say(&["Differences", "mmap_threshold 64K"]);
    let compared = pair.must_agree("compared");
    assert!(changed(&selected, &compared) > 1000, "the differences are shown");

    // A key brings another panel to the front.
    pair.key("8", Modifiers::NONE, Key::Num8);
    assert_eq!(pair.twin.app().model().front, View::Report);
    pair.must_agree("the report is in front");

    // What is looked at is on the clipboard, as a command line.
    pair.xdotool(&["key", "ctrl+l"]);
    let line = until("command line on the clipboard", || {
        pair.screen
            .ask("xclip", &["-o", "-selection", "clipboard"])
            .filter(|line| line.contains("malloscope"))
    });
    assert!(line.contains(&format!("--range {}..{}", range.0, range.1)), "{line}");
    assert!(line.contains("--compare mmap_threshold=64K"), "{line}");
    assert!(line.ends_with("/xz.mscope"), "{line}");

    pair.xdotool(&["key", "ctrl+q"]);
    let began = Instant::now();
    let ended = loop {
        if let Some(status) = pair.real.0.try_wait().unwrap() {
            break status;
        }
        assert!(began.elapsed() < PATIENCE, "the window does not close");
        thread::sleep(Duration::from_millis(50));
    };
    assert!(ended.success(), "{ended}");
}
