//! Starting a program with one more variable in its environment.
//!
//! The standard library does that too, but hands on a sorted environment; programs that copy theirs
//! at start would then ask malloc for the same sizes in another order.
//!
//! # Unsafe code
//!
//! What could go wrong: `posix_spawn` is given lists that do not end, or strings that are gone. Who
//! promises what: this file, that it is not.
#![expect(unsafe_code, reason = "see above")]

use std::ffi::{CString, OsStr, OsString, c_char};
use std::io;
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;
use std::ptr;

use rustix::process::Pid;

/// Starts the program in that file with these arguments, its own name first, and this environment.
pub fn spawn(
    file: &Path,
    arguments: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
) -> io::Result<Pid> {
    let file = c_string(file.as_os_str())?;
    let arguments = arguments.iter().map(|argument| c_string(argument)).collect::<io::Result<Vec<_>>>()?;
    let environment = environment.into_iter().map(variable).collect::<io::Result<Vec<_>>>()?;
    let attributes = Attributes::new()?;
    let mut pid = 0;
    // SAFETY: both lists end with a null pointer, and they and all strings live until the call returns.
    let error = unsafe {
        libc::posix_spawn(
            &raw mut pid,
            file.as_ptr(),
            ptr::null(),
            attributes.0.as_ptr(),
            pointers(&arguments).as_ptr(),
            pointers(&environment).as_ptr(),
        )
    };
    if error != 0 {
        return Err(io::Error::from_raw_os_error(error));
    }
    Pid::from_raw(pid).ok_or_else(|| io::ErrorKind::Other.into())
}

pub fn c_string(text: &OsStr) -> io::Result<CString> {
    Ok(CString::new(text.to_owned().into_vec())?)
}

pub fn variable((mut name, value): (OsString, OsString)) -> io::Result<CString> {
    name.push("=");
    name.push(value);
    c_string(&name)
}

/// Pointers to strings, and the null pointer that ends them.
fn pointers(strings: &[CString]) -> Vec<*mut c_char> {
    let strings = strings.iter().map(|string| string.as_ptr().cast_mut());
    strings.chain([ptr::null_mut()]).collect()
}

/// What is to be different in the new process: a broken pipe ends it, as it would without us. The
/// standard library has switched that off in ours.
struct Attributes(Box<MaybeUninit<libc::posix_spawnattr_t>>);

impl Attributes {
    fn new() -> io::Result<Self> {
        let mut attributes = Box::<libc::posix_spawnattr_t>::new_uninit();
        // SAFETY: writes the attributes. It fails only where there is no memory for them.
        check(unsafe { libc::posix_spawnattr_init(attributes.as_mut_ptr()) })?;
        let mut attributes = Attributes(attributes);
        let mut defaults = MaybeUninit::uninit();
        // SAFETY: writes the set.
        unsafe { libc::sigemptyset(defaults.as_mut_ptr()) };
        // SAFETY: the set has been written.
        unsafe { libc::sigaddset(defaults.as_mut_ptr(), libc::SIGPIPE) };
        // SAFETY: both have been written.
        check(unsafe { libc::posix_spawnattr_setsigdefault(attributes.0.as_mut_ptr(), defaults.as_ptr()) })?;
        // SAFETY: the attributes have been written.
        check(unsafe { libc::posix_spawnattr_setflags(attributes.0.as_mut_ptr(), FLAGS) })?;
        Ok(attributes)
    }
}

/// Which attributes count.
#[expect(clippy::cast_possible_truncation, reason = "C has the flags in a short")]
const FLAGS: i16 = libc::POSIX_SPAWN_SETSIGDEF as i16;

impl Drop for Attributes {
    fn drop(&mut self) {
        // SAFETY: they were initialized, and are not used again.
        unsafe { libc::posix_spawnattr_destroy(self.0.as_mut_ptr()) };
    }
}

fn check(error: i32) -> io::Result<()> {
    if error == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(error)) }
}
