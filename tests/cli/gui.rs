//! The window's executable is found beside the command's or in PATH; where it is not, we say how to get it.

use super::run::said;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

/// A window that says what it was called with, and ends with 7.
fn put_window(folder: &Path, name: &str) {
    let window = folder.join("malloscope-gui");
    fs::write(&window, format!("#!/bin/sh\necho {name} \"$@\"\nexit 7\n")).unwrap();
    fs::set_permissions(window, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn the_window_is_started_with_what_follows() {
    let folder = tempfile::tempdir().unwrap();
    let (here, elsewhere) = (folder.path().join("bin"), folder.path().join("path"));
    fs::create_dir_all(&here).unwrap();
    fs::create_dir_all(&elsewhere).unwrap();
    let command = here.join("malloscope");
    fs::copy(env!("CARGO_BIN_EXE_malloscope"), &command).unwrap();
    let gui = |arguments: &[&str]| {
        said(
            Command::new(&command)
                .arg("gui")
                .args(arguments)
                .env("PATH", format!("{}:/usr/bin:/bin", elsewhere.display())),
        )
    };
    let missing = gui(&["app.mscope"]);
    assert_eq!(missing.code, Some(1));
    assert!(missing.err.contains("cargo build --release -p malloscope-gui"), "{}", missing.err);
    put_window(&elsewhere, "path");
    assert_eq!(gui(&["app.mscope", "--at", "5"]).out, "path app.mscope --at 5\n");
    put_window(&here, "beside");
    let started = gui(&["--view", "bins", "app.mscope"]);
    assert_eq!((started.code, started.out.as_str()), (Some(7), "beside --view bins app.mscope\n"));
    assert_eq!(gui(&["--", "--help"]).out, "beside --help\n");
}
