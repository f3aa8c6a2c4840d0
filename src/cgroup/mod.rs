//! Control groups, by hand: where this process may make some, what is written into them, and what they tell.
//!
//! There are two versions of them, and a host may have both at once, with each controller in one of them only. So it is
//! the controller that is looked for, not the mount: version 2 where it is there and may be given to children, else
//! version 1. A group is made below the caller's own, never at the root of the hierarchy: whatever limits the caller
//! limits its apps.
//!
//! - [`layout`]: from the text of mountinfo and /proc/self/cgroup to the caller's own group in each hierarchy. Pure.
//! - [`place`]: where groups can be made for a controller, or why they cannot. It looks, and changes nothing.
//! - [`group`]: one group as it is written down: its limits, its members, its counters, its end.

pub mod group;
pub mod layout;
pub mod place;

pub use group::{Group, Limit};
pub use layout::{Controller, Version};
pub use place::{Place, Usable};
