//! The functions of a C library that gum calls on the way that we take: for one thread, without the kernel.
//!
//! Which those are was seen by having them bound one after the other (`LD_DEBUG=bindings`). Any other that it names ends
//! it: see [`malloscope_absent`](crate::bench::malloscope_absent).

use core::ffi::{c_char, c_int, c_long, c_void};
use core::ptr;
use core::sync::atomic::{AtomicI32, AtomicPtr, AtomicU32, Ordering};

use malloscope_wire::PAGE;
use malloscope_wire::bench::Ending;

use crate::bench::{MALLOSCOPE_BENCH, end, take};

/// Defines C functions, which have their names only where this is the patcher.
macro_rules! c {
    ($(fn $name:ident($($argument:ident: $type:ty),*) -> $returned:ty $body:block)*) => {
        $(
            #[doc = concat!("`", stringify!($name), "`, as far as gum goes.")]
            ///
            /// # Safety
            ///
            /// As the C function, and of one thread.
            #[cfg_attr(panic = "abort", unsafe(no_mangle))]
            pub unsafe extern "C" fn $name($($argument: $type),*) -> $returned $body
        )*
    };
}

/// Defines C functions that have nothing to do where there is one thread, and return 0 for that.
macro_rules! nothing_to_do {
    ($($name:ident)*) => { c! { $(fn $name() -> c_int { 0 })* } };
}

nothing_to_do! {
    pthread_mutexattr_init pthread_mutexattr_settype pthread_mutexattr_destroy
    pthread_mutex_init pthread_mutex_destroy pthread_mutex_lock pthread_mutex_trylock pthread_mutex_unlock
    pthread_rwlock_init pthread_rwlock_destroy pthread_rwlock_rdlock pthread_rwlock_wrlock pthread_rwlock_unlock
    pthread_cond_init pthread_cond_destroy pthread_cond_signal pthread_cond_broadcast
    pthread_condattr_init pthread_condattr_destroy pthread_condattr_setclock
    // What is wanted is writable and runs for as long as we are here: the recorder sees to it.
    mprotect
    // All goes at once.
    munmap
}

/// Defines C functions that are the end.
macro_rules! ends {
    ($($name:ident)*) => { c! { $(fn $name() -> c_int { end(Ending::GaveUp) })* } };
}

ends! { abort exit _exit __assert_fail __stack_chk_fail }

/// The error number that nobody reads.
static ERROR: AtomicI32 = AtomicI32::new(0);

/// How many keys of thread-specific data there may be.
const KEYS: usize = 64;

/// The values of the one thread's.
static VALUES: [AtomicPtr<c_void>; KEYS] = [const { AtomicPtr::new(ptr::null_mut()) }; KEYS];

/// How many there are.
static KEYS_MADE: AtomicU32 = AtomicU32::new(0);

fn value(key: u32) -> Option<&'static AtomicPtr<c_void>> {
    VALUES.get(usize::try_from(key).ok()?)
}

c! {
    fn __errno_location() -> *mut c_int {
        ERROR.as_ptr()
    }

    fn pthread_key_create(key: *mut u32, _destructor: *const c_void) -> c_int {
        let number = KEYS_MADE.fetch_add(1, Ordering::Relaxed);
        if value(number).is_none() {
            return libc::EAGAIN;
        }
        // SAFETY: as the caller promises.
        unsafe { key.write(number) };
        0
    }

    fn pthread_key_delete(_key: u32) -> c_int {
        0
    }

    fn pthread_getspecific(key: u32) -> *mut c_void {
        value(key).map_or(ptr::null_mut(), |value| value.load(Ordering::Relaxed))
    }

    fn pthread_setspecific(key: u32, to: *mut c_void) -> c_int {
        let Some(value) = value(key) else { return libc::EINVAL };
        value.store(to, Ordering::Relaxed);
        0
    }

    fn pthread_self() -> usize {
        1
    }

    fn sysconf(name: c_int) -> c_long {
        match name {
            libc::_SC_PAGESIZE => PAGE as c_long,
            libc::_SC_NPROCESSORS_CONF | libc::_SC_NPROCESSORS_ONLN => 1,
            _ => -1,
        }
    }

    fn mmap64(_at: *mut c_void, length: usize, access: c_int, flags: c_int, _file: c_int, _offset: i64) -> *mut c_void {
        let bench = &MALLOSCOPE_BENCH;
        let room = if access & libc::PROT_EXEC != 0 { &bench.code } else { &bench.work };
        let is_fixed = flags & (libc::MAP_FIXED | libc::MAP_FIXED_NOREPLACE) != 0;
        let length = length.checked_next_multiple_of(PAGE).filter(|_| !is_fixed);
        let taken = length.map_or(ptr::null_mut(), |length| take(room, length, PAGE));
        if taken.is_null() { libc::MAP_FAILED } else { taken.cast() }
    }

    fn mmap(at: *mut c_void, length: usize, access: c_int, flags: c_int, file: c_int, offset: i64) -> *mut c_void {
        // SAFETY: as the caller promises.
        unsafe { mmap64(at, length, access, flags, file, offset) }
    }

    // Threads are woken by it that wait for a lock, of which there are none, and it says which thread this is.
    fn syscall(number: c_long) -> c_long {
        match number {
            libc::SYS_futex => 0,
            libc::SYS_gettid => 1,
            _ => end(Ending::Absent),
        }
    }

    fn getpid() -> c_int {
        1
    }

    fn getenv(_name: *const c_char) -> *mut c_char {
        ptr::null_mut()
    }

    // Whatever time it is.
    fn time(to: *mut i64) -> i64 {
        if !to.is_null() {
            // SAFETY: as the caller promises.
            unsafe { to.write(0) };
        }
        0
    }

    fn gettimeofday(to: *mut [i64; 2], _zone: *mut c_void) -> c_int {
        // SAFETY: as the caller promises: seconds and microseconds.
        unsafe { to.write([0, 0]) };
        0
    }

    fn clock_gettime(_clock: c_int, to: *mut [i64; 2]) -> c_int {
        // SAFETY: as the caller promises: seconds and nanoseconds.
        unsafe { to.write([0, 0]) };
        0
    }

    fn strcmp(one: *const u8, other: *const u8) -> c_int {
        // SAFETY: as the caller promises.
        unsafe { strncmp(one, other, usize::MAX) }
    }

    fn strncmp(one: *const u8, other: *const u8, most: usize) -> c_int {
        for i in 0..most {
            // SAFETY: neither has ended before.
            let one = unsafe { one.wrapping_add(i).read() };
            // SAFETY: as above.
            let other = unsafe { other.wrapping_add(i).read() };
            if one != other || one == 0 {
                return c_int::from(one) - c_int::from(other);
            }
        }
        0
    }

    fn strchr(text: *const u8, wanted: c_int) -> *mut u8 {
        let mut at = text;
        loop {
            // SAFETY: it has not ended before.
            let found = unsafe { at.read() };
            if c_int::from(found) == wanted & 0xff {
                return at.cast_mut();
            }
            if found == 0 {
                return ptr::null_mut();
            }
            at = at.wrapping_add(1);
        }
    }

    fn strcpy(to: *mut u8, from: *const u8) -> *mut u8 {
        for i in 0.. {
            // SAFETY: it has not ended before.
            let byte = unsafe { from.wrapping_add(i).read() };
            // SAFETY: there is room for all of it.
            unsafe { to.wrapping_add(i).write(byte) };
            if byte == 0 {
                break;
            }
        }
        to
    }

    fn strcat(to: *mut u8, from: *const u8) -> *mut u8 {
        // SAFETY: as the caller promises.
        let end = unsafe { strchr(to, 0) };
        // SAFETY: as the caller promises.
        unsafe { strcpy(end, from) };
        to
    }

    fn strncpy(to: *mut u8, from: *const u8, length: usize) -> *mut u8 {
        let mut has_ended = false;
        for i in 0..length {
            // SAFETY: it has not ended before.
            let byte = if has_ended { 0 } else { unsafe { from.wrapping_add(i).read() } };
            has_ended |= byte == 0;
            // SAFETY: there is so much room.
            unsafe { to.wrapping_add(i).write(byte) };
        }
        to
    }
}

#[cfg(test)]
mod tests {
    use core::cmp::Ordering as Order;

    use super::*;

    #[test]
    fn strings_are_compared_as_in_c() {
        let cases: [(&[u8], &[u8], Order); 5] = [
            (b"one\0", b"one\0", Order::Equal),
            (b"one\0", b"only\0", Order::Less),
            (b"one\0more\0", b"one\0\0", Order::Equal),
            (b"ones\0", b"one\0", Order::Greater),
            (b"\xe9\0", b"e\0", Order::Greater),
        ];
        for (one, other, expected) in cases {
            // SAFETY: both end with a zero.
            let compared = unsafe { strcmp(one.as_ptr(), other.as_ptr()) };
            assert_eq!(compared.cmp(&0), expected, "{one:?} {other:?}");
            // SAFETY: as above.
            assert_eq!(unsafe { strncmp(one.as_ptr(), other.as_ptr(), 1) } == 0, one[0] == other[0]);
        }
    }

    #[test]
    fn strings_are_copied_and_searched_as_in_c() {
        let mut room = *b"################";
        let at = room.as_mut_ptr();
        // SAFETY: there is room for all of it.
        unsafe { strcpy(at, c"ab".as_ptr().cast()) };
        // SAFETY: as above.
        unsafe { strcat(at, c"cd".as_ptr().cast()) };
        // SAFETY: as above.
        unsafe { strncpy(at.wrapping_add(8), c"xy".as_ptr().cast(), 4) };
        assert_eq!(&room, b"abcd\0###xy\0\0####");
        // SAFETY: it ends with a zero.
        let found = [b'c', b'd', 0, b'#'].map(|byte| unsafe { strchr(room.as_ptr(), byte.into()) });
        let found =
            found.map(|at| if at.is_null() { None } else { Some(at as usize - room.as_ptr() as usize) });
        assert_eq!(found, [Some(2), Some(3), Some(4), None]);
    }

    #[test]
    fn each_key_has_a_value_of_its_own() {
        let mut keys = [0_u32; 2];
        for key in &mut keys {
            // SAFETY: it is written to.
            assert_eq!(unsafe { pthread_key_create(key, ptr::null()) }, 0);
        }
        for (key, value) in keys.into_iter().zip([0x10_usize, 0x20]) {
            // SAFETY: nobody else asks.
            assert_eq!(unsafe { pthread_setspecific(key, value as *mut c_void) }, 0);
        }
        // SAFETY: as above.
        let values = keys.map(|key| unsafe { pthread_getspecific(key) } as usize);
        assert_eq!(values, [0x10, 0x20]);
        // SAFETY: as above.
        assert!(unsafe { pthread_setspecific(u32::MAX, ptr::null_mut()) } != 0);
    }

    #[test]
    fn memory_is_taken_from_the_room_for_it_until_there_is_none() {
        let bench = &MALLOSCOPE_BENCH;
        for (room, start) in [(&bench.code, 0x10_0800), (&bench.work, 0x20_0000)] {
            room.next.store(start, Ordering::Relaxed);
            room.end.store(start + 4 * PAGE, Ordering::Relaxed);
        }
        let map = |length, access, flags| {
            // SAFETY: nothing is written there.
            unsafe { mmap64(ptr::null_mut(), length, access, flags, -1, 0) as usize }
        };
        let (data, code) = (libc::PROT_READ | libc::PROT_WRITE, libc::PROT_READ | libc::PROT_EXEC);
        let failed = libc::MAP_FAILED as usize;
        assert_eq!(map(1, code, 0), 0x10_1000);
        assert_eq!(map(PAGE + 1, data, 0), 0x20_0000);
        assert_eq!(map(PAGE, data, libc::MAP_FIXED), failed);
        assert_eq!(map(2 * PAGE, data, 0), 0x20_2000);
        assert_eq!(map(1, data, 0), failed);
        assert_eq!(map(usize::MAX, code, 0), failed);
    }
}
