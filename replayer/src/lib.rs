//! Replays traces through the twin of glibc's malloc.
#![forbid(unsafe_code)]

pub mod allocations;
pub mod blame;
pub mod engine;
pub mod excerpt;
pub mod explore;
pub mod export;
pub mod fidelity;
pub mod filter;
pub mod flows;
pub mod funnel;
pub mod introspection;
pub mod machine;
pub mod metrics;
mod nptl;
pub mod order;
pub mod outcome;
mod own;
mod pace;
pub mod placements;
mod places;
pub mod range;
pub mod recognition;
pub mod report;
pub mod run;
pub mod selection;
pub mod served;
pub mod setting;
pub mod sites;
pub mod sizes;
mod source;
pub mod sweep;
pub mod trial;
pub mod tunables;
mod turn;
pub mod watch;
pub mod worker;
