//! Attaching to a process from the command line, and what is left when somebody kills one of the two, or both.

use super::run::{answer, compiled, folder, malloscope, said};
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::thread::yield_now;
use std::time::{Duration, Instant};

/// A program that calls malloc until its standard input ends, and then says how often.
pub fn steps() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let path = folder().join("steps");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("recorder/tests/programs/steps.c");
        let mut compiler = Command::new("cc");
        compiler.args(["-O1", "-fno-builtin", "-pthread", "-o"]).arg(&path).arg(source);
        assert!(compiler.status().unwrap().success());
        path
    })
}

/// A process that makes steps.
pub fn target() -> Child {
    let mut program = Command::new(steps());
    let mut target = program.arg("2").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(target.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
    target
}

/// The engines that are built in.
const ENGINES: &[&str] = if cfg!(feature = "gum") { &["got", "gum"] } else { &["got"] };

/// A process that is attached to, and the recorder that is.
struct Pair {
    target: Child,
    recorder: Child,
    trace: PathBuf,
}

impl Pair {
    /// Starts both, and waits until calls are recorded.
    fn start(name: &str) -> Pair {
        Pair::by("got", name)
    }

    /// The same, by this engine.
    fn by(engine: &str, name: &str) -> Pair {
        let target = target();
        assert!(is_as_in_its_file(target.id()));
        let trace = folder().join(name);
        let pid = target.id().to_string();
        let mut recorder = malloscope(["record", "--pid", &pid, "--engine", engine, "-o"]);
        let recorder = recorder.arg(&trace).stderr(Stdio::piped()).spawn();
        let pair = Pair { target, recorder: recorder.unwrap(), trace };
        until(|| fs::metadata(&pair.trace).is_ok_and(|about| about.len() > 20_000));
        assert!(is_hooked(pair.target.id()));
        assert_eq!(is_as_in_its_file(pair.target.id()), engine == "got");
        pair
    }

    /// Ends the program, which must be unharmed.
    fn end(mut self) {
        drop(self.target.stdin.take());
        let mut said = String::new();
        self.target.stdout.take().unwrap().read_to_string(&mut said).unwrap();
        assert!(self.target.wait().unwrap().success(), "{said}");
        assert!(said.ends_with(" steps\n"), "{said}");
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        for child in [&mut self.recorder, &mut self.target] {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Waits for something that comes soon, or never.
pub fn until(is_so: impl Fn() -> bool) {
    const SOON: Duration = Duration::from_secs(30);
    let since = Instant::now();
    while !is_so() {
        assert!(since.elapsed() < SOON, "it does not come");
        yield_now();
    }
}

/// Whether the memory that a recorder shares with it is in a process: it is taken away after the hooks.
pub fn is_hooked(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/maps")).unwrap_or_default().contains("/memfd:malloscope (")
}

/// Whether the C library's code is in a process what it is in its file.
fn is_as_in_its_file(pid: u32) -> bool {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    let memory = fs::File::open(format!("/proc/{pid}/mem")).unwrap();
    let mut looked = 0;
    for line in maps.lines().filter(|line| line.contains(" r-xp ") && line.ends_with("/libc.so.6")) {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let (start, end) = words[0].split_once('-').unwrap();
        let [start, end, offset] = [start, end, words[2]].map(|text| u64::from_str_radix(text, 16).unwrap());
        let length = usize::try_from(end - start).unwrap();
        let (mut here, mut there) = (vec![0; length], vec![0; length]);
        memory.read_exact_at(&mut here, start).unwrap();
        fs::File::open(words[5]).unwrap().read_exact_at(&mut there, offset).unwrap();
        if here != there {
            return false;
        }
        looked += length;
    }
    assert!(looked > 1 << 20, "{maps}");
    true
}

fn signal(pid: u32, signal: Signal) {
    kill_process(Pid::from_raw(i32::try_from(pid).unwrap()).unwrap(), signal).unwrap();
}

#[test]
fn a_signal_ends_the_recording_and_not_the_process() {
    let mut pair = Pair::start("interrupted.mscope");
    signal(pair.recorder.id(), Signal::INT);
    let mut err = String::new();
    pair.recorder.stderr.take().unwrap().read_to_string(&mut err).unwrap();
    assert_eq!(pair.recorder.wait().unwrap().code(), Some(0), "{err}");
    assert!(err.contains(" calls of steps ("), "{err}");
    assert!(err.contains("the process stood still for ") && err.contains(" when it was left"), "{err}");
    assert!(!is_hooked(pair.target.id()));
    let trace = pair.trace.display().to_string();
    pair.end();
    let info = answer(["info", &trace]);
    assert!(info.contains("\norigin      attached to when it had run for "), "{info}");
    assert!(info.contains("\nbeginning   The recording began in the middle"), "{info}");
    assert!(info.contains("\nlost        0 calls\n") && info.contains("\nending      Stopped\n"), "{info}");
    let report = answer(["replay", &trace]);
    assert!(report.contains("The recording began in the middle"), "{report}");
    let verified = said(&mut malloscope(["verify", &trace]));
    assert!(verified.err.contains("The recording began in the middle"), "{}", verified.err);
}

#[test]
fn what_the_kernel_said_is_shown_beside_what_the_replay_finds_unless_it_was_not_asked() {
    for (asked, is_shown) in [("10ms", true), ("0", false)] {
        let trace = folder().join(format!("readings-{asked}.mscope"));
        let mut target = target();
        let pid = target.id().to_string();
        let mut record =
            malloscope(["record", "-q", "--for", "50ms", "--sample-system", asked, "--pid", &pid]);
        assert_eq!(said(record.arg("-o").arg(&trace)).code, Some(0));
        drop(target.stdin.take());
        target.wait().unwrap();
        let trace = trace.display().to_string();
        let info = answer(["info", &trace]);
        assert_eq!(info.contains("\nkernel      ") && info.contains(" readings over "), is_shown, "{info}");
        assert_eq!(info.contains("heap and arenas "), is_shown, "{info}");
        let report = answer(["replay", &trace]);
        assert_eq!(report.contains("when it was recorded: the process had "), is_shown, "{report}");
        let json = answer(["info", "--format", "json", &trace]);
        assert_eq!(json.contains("\"kernel_said\": {"), is_shown, "{json}");
    }
}

#[test]
fn a_recorder_that_is_killed_leaves_no_hooks() {
    for engine in ENGINES {
        let mut pair = Pair::by(engine, &format!("killed-{engine}.mscope"));
        pair.recorder.kill().unwrap();
        pair.recorder.wait().unwrap();
        let pid = pair.target.id();
        until(|| !is_hooked(pid));
        assert!(is_as_in_its_file(pid));
        let trace = pair.trace.display().to_string();
        let info = answer(["info", &trace]);
        assert!(info.contains("the recording was cut short"), "{info}");
        assert!(answer(["dump", &trace]).lines().count() > 1000);
        // Nothing is in the way of the next.
        is_recorded_again(pair, engine);
    }
}

/// Records the process of a pair once more, whose recorder is no more, and ends it.
fn is_recorded_again(pair: Pair, engine: &str) {
    let pid = pair.target.id();
    let again = folder().join(format!("again-{pid}.mscope"));
    let mut next = malloscope(["record", "--quiet", "--for", "50ms", "--engine", engine, "--pid"]);
    let said = said(next.arg(pid.to_string()).arg("-o").arg(&again));
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""));
    assert!(!is_hooked(pid) && is_as_in_its_file(pid));
    pair.end();
}

#[test]
fn a_process_whose_recorder_and_its_guard_are_killed_goes_on_and_can_be_recorded_again() {
    for engine in ENGINES {
        let mut pair = Pair::by(engine, &format!("orphan-{engine}.mscope"));
        let recorder = pair.recorder.id();
        let children = fs::read_to_string(format!("/proc/{recorder}/task/{recorder}/children")).unwrap();
        let guard: u32 = children.trim().parse().unwrap();
        signal(guard, Signal::KILL);
        pair.recorder.kill().unwrap();
        pair.recorder.wait().unwrap();
        assert!(is_hooked(pair.target.id()));
        is_recorded_again(pair, engine);
    }
}

#[test]
fn what_was_recorded_of_both_when_both_are_killed_can_be_read() {
    let mut pair = Pair::start("both.mscope");
    pair.target.kill().unwrap();
    pair.recorder.kill().unwrap();
    let trace = pair.trace.display().to_string();
    pair.recorder.wait().unwrap();
    assert!(answer(["dump", &trace]).lines().count() > 1000);
}

#[test]
fn the_process_of_another_user_is_not_attached_to() {
    if !rustix::process::getuid().is_root() {
        eprintln!("left out: only root can be somebody else");
        return;
    }
    // Somebody else may not read the folder of this build, hence a copy.
    let copy = folder().join("malloscope-of-another");
    fs::copy(env!("CARGO_BIN_EXE_malloscope"), &copy).unwrap();
    let open = |path: &Path| fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o755));
    open(&copy).and_then(|()| open(folder())).unwrap();
    let mut program = Command::new(steps());
    let mut target = program.arg("1").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let pid = target.id().to_string();
    let mut other = Command::new("setpriv");
    other.args(["--reuid=65534", "--clear-groups"]).arg(&copy).args(["record", "--pid", &pid]);
    let said = said(other.current_dir("/"));
    assert_eq!(said.code, Some(1));
    assert!(said.err.contains(&format!("process {pid} is of user 0, and we are 65534")), "{}", said.err);
    drop(target.stdin.take());
    assert!(target.wait().unwrap().success());
}

#[test]
fn processes_are_listed_that_can_be_attached_to_and_none_is_touched() {
    let mut pair = Pair::start("listed.mscope");
    let mut free = target();
    let (recorded, free_pid) = (pair.target.id(), free.id());
    let listed = answer(["record", "--list", "--format", "json"]);
    let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
    assert_eq!((&listed["schema"], &listed["version"]), (&"malloscope.processes".into(), &1.into()));
    let engines: Vec<&str> =
        listed["engines"].as_array().unwrap().iter().flat_map(|one| one.as_str()).collect();
    assert_eq!(engines, ENGINES);
    let processes = listed["processes"].as_array().unwrap();
    let of = |pid: u32| processes.iter().find(|process| process["pid"] == pid);
    let open = of(free_pid).unwrap();
    assert!(open["refused"].is_null(), "{open}");
    assert_eq!((&open["name"], &open["command"][1]), (&"steps".into(), &"2".into()));
    let status = fs::read_to_string(format!("/proc/{free_pid}/status")).unwrap();
    let user = status.lines().find_map(|line| line.strip_prefix("Uid:\t")?.split('\t').next()).unwrap();
    let names = fs::read_to_string("/etc/passwd").unwrap();
    let name = names.lines().find(|line| line.split(':').nth(2) == Some(user));
    assert_eq!(open["user"], name.map_or(user, |line| line.split(':').next().unwrap()));
    assert!(open["resident_bytes"].as_u64().unwrap() > 100_000, "{open}");
    let why = of(recorded).unwrap()["refused"].as_str().unwrap();
    assert!(why.contains(&format!("is being recorded already by process {}", pair.recorder.id())), "{why}");
    // What has its own malloc is no use, nor is the kernel's.
    assert!(of(std::process::id()).is_some() && of(2).is_none_or(|two| two["name"] != "kthreadd"));
    let page = answer(["record", "--list"]);
    let (can, cannot) = page.split_once("Cannot be attached to: ").unwrap();
    assert!(can.starts_with("Can be attached to: ") && can.contains(&format!(" {free_pid}  ")), "{page}");
    assert!(cannot.contains(&format!(" {recorded}  ")) && cannot.contains(" steps "), "{page}");
    assert!(!is_hooked(free_pid));
    drop(free.stdin.take());
    assert!(free.wait().unwrap().success());
    signal(pair.recorder.id(), Signal::INT);
    assert!(pair.recorder.wait().unwrap().success());
    pair.end();
}

#[test]
fn what_attaching_lacks_is_said() {
    for (arguments, words) in [
        (&["record", "--pid", "1", "--", "true"][..], "cannot be used with"),
        (&["record", "--for", "1s", "--", "true"], "cannot be used with"),
        (&["record", "--engine", "gum", "--", "true"], "cannot be used with"),
        (&["record", "--engine", "got", "--", "true"], "cannot be used with"),
        (&["record", "--engine", "plt", "--pid", "1"], "[possible values: got, gum]"),
        (&["record", "--until-bytes", "1G", "--", "true"], "cannot be used with"),
        (&["record", "--pid", "1", "--for", "soon"], "is no time such as 500ms, 60s or 5m"),
        (&["record", "--list", "--pid", "1"], "cannot be used with"),
        (&["record", "--list", "--", "true"], "cannot be used with"),
        (&["record", "--format", "json", "--", "true"], "required"),
        (&["record"], "required"),
    ] {
        let said = said(&mut malloscope(arguments));
        assert_eq!(said.code, Some(2), "{arguments:?}");
        assert!(said.err.contains(words), "{arguments:?}: {}", said.err);
    }
}

#[cfg(not(feature = "gum"))]
#[test]
fn an_engine_that_is_not_built_in_is_said_how_to_come_by() {
    let mut target = target();
    let said = said(malloscope(["record", "--engine", "gum", "--pid"]).arg(target.id().to_string()));
    drop(target.stdin.take());
    assert!(target.wait().unwrap().success());
    assert_eq!((said.code, said.out.as_str()), (Some(1), ""));
    for words in
        ["--features gum", "FRIDA_GUM_DEVKIT_DIR", "--features gum-download", "`--engine got` needs nothing"]
    {
        assert!(said.err.contains(words), "{}", said.err);
    }
}

#[test]
fn what_a_process_does_is_replayed_exactly_from_the_heap_as_it_stood() {
    for engine in ENGINES {
        is_replayed_exactly(engine);
    }
}

/// Records a process of one thread by this engine, and replays it from the heap as it stood.
fn is_replayed_exactly(engine: &str) {
    let mut program = Command::new(compiled("alone.c", "alone", &[]));
    let mut target = program.stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(target.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
    let trace = folder().join(format!("alone-{engine}.mscope")).display().to_string();
    let pid = target.id().to_string();
    let mut recorder = malloscope(["record", "--pid", &pid, "--until-bytes", "500K", "-o", &trace]);
    let recorded = said(recorder.args(["--engine", engine]));
    target.kill().unwrap();
    target.wait().unwrap();
    assert_eq!(recorded.code, Some(0), "{}", recorded.err);
    let verified = said(&mut malloscope(["verify", &trace])).out;
    assert!(verified.starts_with("placements  100.0000 %"), "{verified}");
    assert!(verified.contains("0 differ in size or flags"), "{verified}");
    let breaks = verified.lines().find_map(|line| line.strip_prefix("break       the same after ")).unwrap();
    let (same, all) = breaks.trim_end_matches(" calls").split_once(" of ").unwrap();
    assert_eq!(same, all);
    let info = answer(["info", &trace]);
    assert!(info.contains("begins with a heap that stood already"), "{info}");
    assert!(info.contains("The replay begins with the heap as it stood then"), "{info}");
}
