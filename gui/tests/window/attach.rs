//! Attaching to a process from the window: to one that a script plays, and to a real one.

use super::*;
use egui::accesskit::Role;
use egui_kittest::kittest::NodeT;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command as Program, Stdio};

impl Window {
    /// The form for a process, with the list there is.
    fn attaching(recorder: PathBuf) -> Window {
        let mut window = Window::open(launcher(), None);
        window.harness.run_steps(3);
        window.app_mut().record_with(recorder);
        window.press("Attach to a process");
        window
            .wait_until(|window| !matches!(window.app().model().processes, Tile::Missing | Tile::Loading(_)));
        assert_eq!(window.app().model().processes.failure(), None);
        window
    }

    fn wait_until(&mut self, is_so: impl Fn(&Window) -> bool) {
        while !is_so(self) {
            self.woken.recv().unwrap();
            self.harness.step();
        }
        self.harness.run_steps(3);
    }
}

#[test]
fn a_process_is_found_chosen_and_attached_to() {
    let folder = tempfile::tempdir().unwrap();
    let recorder = folder.path().join("recorder");
    let list = r#"{"engines": ["got", "gum"], "processes": [
        {"pid": 41, "user": "ada", "name": "server", "command": ["server", "--port", "80"], "resident_bytes": 2097152, "refused": null},
        {"pid": 40, "user": "root", "name": "worker", "command": ["worker"], "resident_bytes": 1048576, "refused": null},
        {"pid": 7, "user": "root", "name": "static", "command": ["static"], "resident_bytes": 4096, "refused": "its malloc is inside it"}]}"#;
    // It says what it is called with, and has a trace to give when it is stopped.
    let script = format!(
        "#!/bin/sh\nif [ \"$2\" = --list ]; then cat <<'END'\n{list}\nEND\nexit; fi\n\
         trap 'cp {} \"$6\"; exit 0' TERM\necho \"called $*\" >&2\nwhile :; do sleep 0.01; done\n",
        sample().display()
    );
    fs::write(&recorder, script).unwrap();
    fs::set_permissions(&recorder, fs::Permissions::from_mode(0o755)).unwrap();
    let mut window = Window::attaching(recorder);
    let (server, refused) =
        ("41, 2.00 MiB, server --port 80, ada", "7, 4.00 KiB, static: its malloc is inside it, root");
    window.must_say(&[server, "40, 1.00 MiB, worker, root", "With 1 that cannot be attached to"]);
    assert!(!window.says(refused), "it is shown when it is wanted");
    window.press("With 1 that cannot be attached to");
    window.press(refused);
    window.press("Attach");
    assert!(window.app().model().recording.is_none(), "nothing is chosen that cannot be attached to");
    window.type_into("Filter", "ADA");
    assert!(window.says(server) && !window.says("worker, root"));
    window.press(server);
    window.type_into("For", "90s");
    window.type_into("Folder", &folder.path().display().to_string());
    window.press("gum");
    window.press("Attach");
    let called = "called record --progress --stacks all -o server-41.mscope --pid 41 --for 90s --engine gum";
    window.wait_until(|window| window.says(called));
    window.must_say(&["Recording server (process 41)"]);
    window.press("Stop");
    window.wait_until(|window| window.app().model().trace.is_some());
    window.settle();
    window.must_say(&["server-41.mscope", "xz -T2 -1"]);
}

#[test]
fn a_command_that_lists_no_processes_is_told_of() {
    let window = &mut Window::open(launcher(), None);
    window.harness.run_steps(3);
    window.app_mut().record_with("/bin/false".into());
    window.press("Attach to a process");
    window.wait_until(|window| window.app().model().processes.failure().is_some());
    window.must_say(&["The processes are not known (exit status: 1)", "malloscope record --list"]);
    window.app_mut().record_with("/nowhere/malloscope".into());
    window.press("Look again");
    window.wait_until(|window| window.says("/nowhere/malloscope cannot be started"));
}

/// A process that calls malloc and free for each character it is given.
fn asked(folder: &Path) -> Child {
    let path = folder.join("asked");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/window/asked.c");
    let mut compiler = Program::new("cc");
    compiler.args(["-O1", "-fno-builtin", "-o"]).arg(&path).arg(source);
    assert!(compiler.status().unwrap().success());
    let mut asked = Program::new(path).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut ready = [0; 6];
    asked.stdout.as_mut().unwrap().read_exact(&mut ready).unwrap();
    assert_eq!(&ready, b"ready\n");
    asked
}

/// Whether a process shares memory with a recorder.
fn is_attached_to(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/maps")).unwrap().contains("/memfd:malloscope (")
}

#[test]
fn a_real_process_is_watched_left_and_unharmed() {
    let recorder = Path::new(env!("CARGO_BIN_EXE_malloscope-gui")).with_file_name("malloscope");
    if !recorder.is_file() {
        eprintln!("left out: the command is not built beside the window");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut process = asked(folder.path());
    let mut window = Window::attaching(recorder);
    let pid = process.id();
    let listed = window.app().model().processes.ready().unwrap();
    assert!(listed.processes.iter().all(|process| process.pid != std::process::id()), "not this window");
    window.type_into("Filter", &format!("{pid} asked"));
    let is_its = |label: Option<String>| label.is_some_and(|label| label.starts_with(&format!("{pid}, ")));
    let rows: Vec<_> = window.harness.get_all_by_role(Role::Row).collect();
    rows.into_iter().find(|node| is_its(node.accesskit_node().label())).unwrap().click();
    window.harness.run_steps(3);
    window.type_into("Folder", &folder.path().display().to_string());
    window.press("Attach");
    while !is_attached_to(pid) {
        assert!(window.app().model().recording.as_ref().unwrap().failure.is_none());
        window.harness.step();
    }
    // The heap is drawn while the process runs.
    process.stdin.as_mut().unwrap().write_all(&[b'.'; 1000]).unwrap();
    let records = |window: &Window| window.app().model().seen().map_or(0, |seen| seen.report.outcome.records);
    window.wait_until(|window| records(window) >= 2000);
    assert!(window.app().model().is_growing());
    window.press("Stop");
    window.wait_until(|window| window.app().model().whole().is_some());
    let whole = window.app().model().whole().unwrap();
    assert_eq!(whole.report.trace.records, Some(whole.report.outcome.records));
    assert!(!is_attached_to(pid));
    process.stdin.as_mut().unwrap().write_all(&[b'.'; 10]).unwrap();
    drop(process.stdin.take());
    let mut said = String::new();
    process.stdout.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(process.wait().unwrap().success() && said == "1010 times\n", "{said}");
}
