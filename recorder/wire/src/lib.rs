//! The memory the recorder and its agent share.
#![no_std]
