//! What is loaded into the target.
#![no_std]
