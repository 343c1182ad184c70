//! How much is measured of a run.
//!
//! Who replays a trace once wants to know all of it. Who replays it forty times looks at the numbers that runs are
//! compared by ([`MEASURES`](crate::report::comparison::MEASURES)), and how they went; what else is measured takes a
//! part of the time, and nobody looks at it. What is left out does not change what is not.
//!
//! | | compared | weighed | whole |
//! |---|---|---|---|
//! | what runs are compared by, the series, bins, arenas, thresholds, trims, slices | ✓ | ✓ | ✓ |
//! | which sizes were served and freed where | | ✓ | ✓ |
//! | searches by kind of bin and of each bin, and their percentiles | | | ✓ |
//! | how long free pages wait | | | ✓ |
//! | whether the books balance, chunk by chunk | at the end | at the end | at samples too |

use serde::{Deserialize, Serialize};

/// How much is measured of a run, the least first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Detail {
    /// What runs are compared by.
    Compared,
    /// And what they are weighed by, to choose one.
    Weighed,
    /// Everything.
    #[default]
    Whole,
}
