//! Real C libraries, asked through `allocator/tests/oracle/driver.c`.
//!
//! The machine's own; and any others that lie unpacked in folders named for their release, their loader
//! among their files, listed in `MALLOSCOPE_LIBCS` like the folders in `PATH`:
//! `MALLOSCOPE_LIBCS=libcs/2.31:libcs/2.42-branch`. Those built for i386 in `MALLOSCOPE_LIBCS_I386`.

use super::replay::{DIES, MEMORIES};
use super::{Settings, folder, golden};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;
use tempfile::TempDir;

/// What C libraries are built for.
pub struct Architecture {
    /// Bits in a word.
    pub bits: u32,
    /// Bytes of an arena's segment.
    pub segment: u64,
    /// What it adds to a release's name where its goldens are.
    pub suffix: &'static str,
    /// The memories its chunks can lie in.
    pub memories: &'static [&'static str],
    /// The variable that lists folders with other C libraries.
    others: &'static str,
    /// Their loader.
    loader: &'static str,
    /// What the compiler is told.
    option: &'static str,
}

/// What we are built for.
pub static X86_64: Architecture = Architecture {
    bits: 64,
    segment: 64 << 20,
    suffix: "",
    memories: &MEMORIES,
    others: "MALLOSCOPE_LIBCS",
    loader: "ld-linux-x86-64.so.2",
    option: "-m64",
};

/// What the same machine runs besides, if its compiler and libraries are there.
pub static I386: Architecture = Architecture {
    bits: 32,
    segment: 1 << 20,
    suffix: "-i386",
    memories: &["simulated"],
    others: "MALLOSCOPE_LIBCS_I386",
    loader: "ld-linux.so.2",
    option: "-m32",
};

/// A C library to be asked.
pub struct Driver {
    /// What it is built for.
    pub architecture: &'static Architecture,
    program: PathBuf,
    /// Where it lies, unless it is the machine's own.
    libc: Option<PathBuf>,
    /// The release it should behave as.
    pub release: String,
    /// The words it says about itself.
    pub banner: String,
}

impl Driver {
    /// All there are; none, and a word about why, where none would be a judge.
    pub fn all() -> &'static [Driver] {
        static ALL: OnceLock<(Option<TempDir>, Vec<Driver>)> = OnceLock::new();
        Driver::all_of(&X86_64, &ALL)
    }

    /// All for i386; none, and a word about why, where they cannot be asked.
    pub fn all_for_i386() -> &'static [Driver] {
        static ALL: OnceLock<(Option<TempDir>, Vec<Driver>)> = OnceLock::new();
        Driver::all_of(&I386, &ALL)
    }

    fn all_of(
        architecture: &'static Architecture,
        all: &'static OnceLock<(Option<TempDir>, Vec<Driver>)>,
    ) -> &'static [Driver] {
        &all.get_or_init(|| match build(architecture) {
            Ok(folder) => {
                let drivers = Driver::found(architecture, &folder.path().join("driver"));
                (Some(folder), drivers)
            }
            Err(why) => {
                eprintln!("skipped: {why}");
                (None, Vec::new())
            }
        })
        .1
    }

    fn found(architecture: &'static Architecture, program: &Path) -> Vec<Driver> {
        let others = std::env::var_os(architecture.others).unwrap_or_default();
        let folders = std::env::split_paths(&others).filter(|path| !path.as_os_str().is_empty()).map(Some);
        let driver = |libc: Option<PathBuf>| {
            let found = Driver::new(architecture, program, libc.clone());
            if let Err(why) = &found {
                assert!(libc.is_none(), "{}: {why}", architecture.others);
                eprintln!("skipped: {why}");
            }
            found.ok()
        };
        std::iter::once(None).chain(folders).filter_map(driver).collect()
    }

    fn new(
        architecture: &'static Architecture,
        program: &Path,
        libc: Option<PathBuf>,
    ) -> Result<Driver, String> {
        let (program, release, banner) = (program.to_owned(), String::new(), String::new());
        let mut driver = Driver { architecture, program, libc, release, banner };
        let version = run(driver.command().arg("-v")).trim().to_owned();
        // A branch gives the version of its release; only the folder's name tells them apart.
        let name = match &driver.libc {
            Some(folder) => folder.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            None => version.clone(),
        };
        if name.trim_end_matches("-branch") != version {
            return Err(format!("what lies in {name} is glibc {version}"));
        }
        if driver.libc.is_none() && !golden(&format!("{name}{}.hashes", architecture.suffix)).exists() {
            return Err(format!("nothing is known of this machine's glibc {name}"));
        }
        driver.release = name;
        let text = match &driver.libc {
            Some(folder) => run(Command::new(folder.join(architecture.loader))
                .arg("--library-path")
                .arg(folder)
                .arg(folder.join("libc.so.6"))),
            None => run(&mut Command::new(own_libc(&driver.program)?)),
        };
        driver.banner = text.lines().next().unwrap_or_default().to_owned();
        Ok(driver)
    }

    /// The driver with this C library under it.
    fn command(&self) -> Command {
        let Some(folder) = &self.libc else { return Command::new(&self.program) };
        let mut command = Command::new(folder.join(self.architecture.loader));
        command.arg("--library-path").arg(folder).arg(&self.program);
        command
    }

    /// The variables for settings. Before 2.26 there is no `GLIBC_TUNABLES`, only a variable for each of the
    /// settings there were.
    fn environment(&self, settings: &Settings) -> Vec<(String, String)> {
        let has_tunables = !matches!(self.release.as_str(), "2.23" | "2.24" | "2.25");
        let tunable = |(name, value): &(&str, u64)| format!("glibc.malloc.{name}={value}");
        let string = settings.tunables.iter().map(tunable).collect::<Vec<_>>().join(":");
        let string = (has_tunables && !string.is_empty()).then(|| ("GLIBC_TUNABLES".to_owned(), string));
        let variable = |(name, value): &(&str, u64)| {
            let end = if name.starts_with("arena") { "" } else { "_" };
            (!has_tunables).then(|| (format!("MALLOC_{}{end}", name.to_uppercase()), value.to_string()))
        };
        let variables = settings.tunables.iter().filter_map(variable);
        // Older ones would look for a terminal to complain on, and leave their errno.
        let complains_on_2 = ("LIBC_FATAL_STDERR_".to_owned(), "1".to_owned());
        settings.variables.iter().cloned().chain([complains_on_2]).chain(string).chain(variables).collect()
    }

    /// Where the C library puts every chunk of a script, and the settings with which it did.
    pub fn placements(&self, script: &Path, settings: &Settings) -> (String, Settings) {
        self.play(&[], script, settings)
    }

    /// What the C library says of its heap after the last call of a script, and the settings with which
    /// that was.
    pub fn introspection(&self, script: &Path, settings: &Settings) -> (String, Settings) {
        self.play(&["-i"], script, settings)
    }

    fn play(&self, options: &[&str], script: &Path, settings: &Settings) -> (String, Settings) {
        let mut command = self.command();
        command.args(options).args(arguments(settings)).arg(script).envs(self.environment(settings));
        let output = command.output().expect("the program runs");
        let text = lines(&output).unwrap_or_else(|| panic!("{command:?}: {}", output.status));
        let (text, as_it_was) = told(&text, settings);
        (text, Settings { bits: self.architecture.bits, ..as_it_was })
    }

    /// The same, unless the C library crashes over the script, or takes many seconds.
    pub fn placements_unless_it_crashes(&self, script: &Path, settings: &Settings) -> Option<String> {
        let driver = self.command();
        let mut command = Command::new("timeout");
        command.arg("10").arg(driver.get_program()).args(driver.get_args());
        let output = command.args(arguments(settings)).arg(script).envs(self.environment(settings)).output();
        let output = output.expect("there is a timeout command");
        lines(&output).map(|text| told(&text, settings).0)
    }

    /// What it asks of the kernel, as `strace` sees it; `None` where there is no strace.
    pub fn strace(&self, script: &Path, settings: &Settings) -> Option<String> {
        Command::new("strace").arg("-V").output().ok()?;
        let log = tempfile::NamedTempFile::new().expect("there is a folder for temporary files");
        let driver = self.command();
        let mut command = Command::new("strace");
        command
            .args(["-f", "-e", "trace=brk,?mmap,?mmap2,munmap,mremap,mprotect,madvise,write", "-o"])
            .arg(log.path())
            .arg(driver.get_program())
            .args(driver.get_args())
            .arg("-k")
            .args(arguments(settings))
            .arg(script)
            .envs(self.environment(settings));
        run(&mut command);
        Some(std::fs::read_to_string(log.path()).expect("strace has written its log"))
    }
}

/// The lines of a driver that came to its end, or to that of the C library, which is then told in one more.
fn lines(output: &Output) -> Option<String> {
    const ABORTED: i32 = 128 + 6;
    let mut text = String::from_utf8(output.stdout.clone()).expect("the lines are text");
    match output.status.code()? {
        0 => Some(text),
        ABORTED => {
            text.push_str(DIES);
            Some(text)
        }
        _ => None,
    }
}

/// The lines that the driver has told, and the settings as they were.
fn told(text: &str, settings: &Settings) -> (String, Settings) {
    let (first, lines) = text.split_once('\n').expect("the driver says where the break was");
    let offset = first.strip_prefix("# ").and_then(|number| number.parse().ok());
    // Some releases move the break themselves to keep a copy of the tunables.
    let break_offset = offset.expect("it is a number");
    (lines.to_owned(), Settings { break_offset, ..settings.clone() })
}

/// The file of the machine's C library, which says what it is when it is run.
fn own_libc(program: &Path) -> Result<PathBuf, String> {
    let text = run(Command::new("ldd").arg(program));
    let line = text.lines().find_map(|line| line.trim().strip_prefix("libc.so.6 => "));
    let path = line.and_then(|line| line.split(' ').next());
    path.map(PathBuf::from).ok_or_else(|| format!("ldd says {text}"))
}

/// Builds the driver.
fn build(architecture: &Architecture) -> Result<TempDir, String> {
    if cfg!(not(target_arch = "x86_64")) {
        return Err("the twin is compared with glibc on x86-64".to_owned());
    }
    let built = TempDir::new().expect("there is a folder for temporary files");
    let status = Command::new("cc")
        .args([architecture.option, "-O1", "-fno-builtin", "-fPIE", "-pie", "-nostartfiles", "-o"])
        .arg(built.path().join("driver"))
        .arg(folder().join("driver.c"))
        // Where threads and dlsym are in libraries of their own, these must be loaded.
        .arg("-Wl,--no-as-needed,-l:libpthread.so.0,-l:libdl.so.2,--as-needed")
        .status();
    match status {
        Err(error) => Err(format!("there is no C compiler: {error}")),
        Ok(status) => {
            if architecture.bits == 32 && !status.success() {
                return Err("the C compiler knows no i386".to_owned());
            }
            assert!(status.success(), "driver.c does not compile");
            Ok(built)
        }
    }
}

fn arguments(settings: &Settings) -> Vec<String> {
    let given = [("-b", settings.break_offset), ("-w", settings.break_limit), ("-s", settings.segment)];
    let given = given.into_iter().filter(|&(_, value)| value != 0);
    let aligned = settings.begins_with_a_huge_page.then(|| "-h".to_owned());
    given.flat_map(|(option, value)| [option.to_owned(), value.to_string()]).chain(aligned).collect()
}

fn run(command: &mut Command) -> String {
    let output = command.output().expect("the program runs");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("the lines are text")
}
