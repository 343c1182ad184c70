//! The twin with words of 32 bits beside real glibc built for i386.
//!
//! The same scripts, and the same goldens as hashes: `RELEASE-i386.hashes`, which `BLESS=1 cargo test --test
//! oracle i386` writes anew where a C compiler for i386 and its library are, for these and those in
//! MALLOSCOPE_LIBCS_I386.

use super::driver::{Driver, I386};
use super::{check_golden_hashes, check_hashes, check_live};

#[test]
fn i386_chunks_land_where_that_glibc_put_them() {
    check_hashes(&I386, "simulated", |_| true);
}

#[test]
fn i386_hashes_are_of_what_glibc_does() {
    check_golden_hashes(Driver::all_for_i386());
}

#[test]
fn i386_other_scripts_land_where_glibc_puts_them_here_and_now() {
    for driver in Driver::all_for_i386() {
        for seed in 0..60 {
            check_live(driver, seed);
        }
    }
}
