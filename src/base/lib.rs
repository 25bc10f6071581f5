//! Floor 0: the words every floor shares.
//!
//! **Invariant:** base imports nothing of ours, does no I/O, reads no clock and draws no
//! randomness.
#![forbid(unsafe_code)]

mod address;
mod cidr;
mod ids;
mod limit;
mod slab;
mod uuid;

pub use address::Address;
pub use cidr::Cidr;
pub use ids::{ConnectionIds, WorkerId};
pub use limit::{Level, Limit};
pub use slab::{Key, Slab};
pub use uuid::Uuid;
