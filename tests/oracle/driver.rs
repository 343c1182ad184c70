//! The C library of this machine, asked through `allocator/tests/oracle/driver.c`.

use super::{Settings, folder};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use tempfile::TempDir;

/// The release the goldens are of.
pub const RELEASE: &str = "2.36";

/// The driver, built.
pub struct Driver {
    folder: TempDir,
}

impl Driver {
    /// Builds the driver, once; `None`, and a word about why, where it would be no judge.
    pub fn get() -> Option<&'static Driver> {
        static DRIVER: OnceLock<Result<Driver, String>> = OnceLock::new();
        match DRIVER.get_or_init(Driver::build) {
            Ok(driver) => Some(driver),
            Err(why) => {
                eprintln!("skipped: {why}");
                None
            }
        }
    }

    fn build() -> Result<Driver, String> {
        let driver = Driver { folder: TempDir::new().expect("there is a folder for temporary files") };
        let status = Command::new("cc")
            .args(["-O1", "-fno-builtin", "-pthread", "-o"])
            .arg(driver.path())
            .arg(folder().join("driver.c"))
            .status();
        match status {
            Err(error) => return Err(format!("there is no C compiler: {error}")),
            Ok(status) => assert!(status.success(), "driver.c does not compile"),
        }
        let version = Command::new(driver.path()).arg("-v").output().expect("the driver runs");
        let version = String::from_utf8_lossy(&version.stdout).trim().to_owned();
        if version == RELEASE {
            Ok(driver)
        } else {
            Err(format!("this is glibc {version}, and the twin is compared with {RELEASE}"))
        }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("driver")
    }

    /// Where the C library puts every chunk of a script.
    pub fn placements(&self, script: &Path, settings: &Settings) -> String {
        let mut command = Command::new(self.path());
        run(command.args(arguments(settings)).arg(script).envs(environment(settings)))
    }

    /// What it asks of the kernel, as `strace` sees it; `None` where there is no strace.
    pub fn strace(&self, script: &Path, settings: &Settings) -> Option<String> {
        Command::new("strace").arg("-V").output().ok()?;
        let log = tempfile::NamedTempFile::new().expect("there is a folder for temporary files");
        let mut command = Command::new("strace");
        command
            .args(["-f", "-e", "trace=brk,mmap,munmap,mremap,mprotect,madvise,write", "-o"])
            .arg(log.path())
            .arg(self.path())
            .arg("-k")
            .args(arguments(settings))
            .arg(script)
            .envs(environment(settings));
        run(&mut command);
        Some(std::fs::read_to_string(log.path()).expect("strace has written its log"))
    }
}

fn arguments(settings: &Settings) -> Vec<String> {
    let given = [("-b", settings.break_offset), ("-w", settings.break_limit)];
    let given = given.into_iter().filter(|&(_, value)| value != 0);
    given.flat_map(|(option, value)| [option.to_owned(), value.to_string()]).collect()
}

fn environment(settings: &Settings) -> Option<(&'static str, String)> {
    let each = |(name, value): &(&str, u64)| format!("glibc.malloc.{name}={value}");
    let tunables: Vec<String> = settings.tunables.iter().map(each).collect();
    (!tunables.is_empty()).then(|| ("GLIBC_TUNABLES", tunables.join(":")))
}

fn run(command: &mut Command) -> String {
    let output = command.output().expect("the program runs");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("the lines are text")
}
