//! What the environment says: the release to be, its tunables, and where to report.
//!
//! - `MALLOSCOPE_GLIBC`: the release to be a twin of, such as `2.31`; by default that of the C
//!   library the process runs.
//! - `MALLOSCOPE_STATS`: where to [`report`](crate::report) at exit.
//! - `GLIBC_TUNABLES` and the `MALLOC_…` variables, which glibc itself obeys.

use crate::system;
use alloc::vec::Vec;
use core::ffi::{CStr, c_char};
use core::{ptr, str};
use malloscope_allocator::memory::Processors;
use malloscope_allocator::release::Release;
use malloscope_allocator::tunables::{Tunables, environment};

/// What was set.
#[derive(Debug)]
pub struct Settings {
    /// The release to be a twin of.
    pub release: Release,
    /// What the user set for malloc.
    pub tunables: Tunables,
    /// A path to report to, with `%p` for the process's number.
    pub report: Option<Vec<u8>>,
}

impl Settings {
    /// Reads the environment. The process ends if that names a release we do not know.
    pub fn read() -> Settings {
        // Before libc has been initialized its variable is null; the kernel's copy is there already.
        let mut from_kernel = Vec::new();
        let mut variables = from_libc();
        if variables.is_empty() {
            from_kernel = system::read(c"/proc/self/environ");
            variables = from_kernel.split(|&byte| byte == 0).filter_map(variable).collect();
        }
        let release = release(get(&variables, "MALLOSCOPE_GLIBC"));
        let (tunables, _) = environment::read(&release, variables.iter().copied());
        let settings = Settings {
            release,
            tunables,
            report: get(&variables, "MALLOSCOPE_STATS").map(|path| path.as_bytes().to_vec()),
        };
        drop(from_kernel);
        settings
    }
}

fn get<'a>(variables: &[(&str, &'a str)], name: &str) -> Option<&'a str> {
    let (_, value) = variables.iter().find(|variable| variable.0 == name)?;
    (!value.is_empty()).then_some(value)
}

fn release(asked: Option<&str>) -> Release {
    let running = running();
    match asked {
        None => Release::of(running).unwrap_or(Release::ALL[0]),
        Some(asked) => Release::of(asked).unwrap_or_else(|| {
            system::say("malloscope: MALLOSCOPE_GLIBC names no release of glibc that we know\n");
            system::exit(2)
        }),
    }
}

/// The version of the C library the process runs.
fn running() -> &'static str {
    // SAFETY: it only answers, with a C string.
    let version = unsafe { libc::gnu_get_libc_version() };
    // SAFETY: the string is libc's, and constant.
    let version = unsafe { CStr::from_ptr(version) };
    version.to_str().unwrap_or_default()
}

unsafe extern "C" {
    static environ: *const *const c_char;
}

/// The variables that concern us, in their order.
fn from_libc() -> Vec<(&'static str, &'static str)> {
    let mut variables = Vec::new();
    // SAFETY: libc's variable; nobody changes it while the process makes its first call of malloc.
    let mut at = unsafe { ptr::read(&raw const environ) };
    while !at.is_null() {
        // SAFETY: within the array, which ends with a null.
        let text = unsafe { *at };
        if text.is_null() {
            break;
        }
        // SAFETY: an element of the environment is a C string.
        let text = unsafe { CStr::from_ptr(text) };
        variables.extend(variable(text.to_bytes()));
        at = at.wrapping_add(1);
    }
    variables
}

/// A variable and its value, if it concerns us and is text.
fn variable(text: &[u8]) -> Option<(&str, &str)> {
    let variable = str::from_utf8(text).ok()?.split_once('=')?;
    (environment::concerns_malloc(variable.0) || variable.0.starts_with("MALLOSCOPE_")).then_some(variable)
}

/// The processors that bound the number of arenas. The C library's own count might call malloc.
pub fn processors() -> Processors {
    let online = system::read(c"/sys/devices/system/cpu/online");
    let online = str::from_utf8(&online).unwrap_or_default().trim();
    let count = |range: &str| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let last = last.parse::<u32>().ok()?;
        Some(last.checked_sub(first.parse().ok()?)? + 1)
    };
    Processors { online: online.split(',').filter_map(count).sum(), allowed: system::allowed_processors() }
}

/// Whether every page handed out is charged for.
pub fn charges_for_every_page() -> bool {
    system::read(c"/proc/sys/vm/overcommit_memory").starts_with(b"2")
}
