//! Outlier detection: hosts that fail are left out for a while.
//!
//! Workers only count. What came of a connect or a request is told to the host's [`Monitor`]; once
//! failures in a row reach what is configured, the monitor raises the alarm. Control's thread
//! decides: its [`Detector`] ejects the host, and looks at all hosts at each interval, to let them
//! back in and to compare their rates of success. As in Envoy one thread decides about all
//! ejections, so `max_ejection_percent` is exact; until it has, the host gets connections as ever.
//!
//! ```text
//! worker: report --in a row--> alarm -> control: attend --eject--> flag -> worker: next pick
//!                                       control: look   --eject, let back--^
//! ```
//! **Invariant:** nobody waits for another thread here, and a success writes to no memory that
//! workers share unless it ends a row of failures.
//!
//! <https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/upstream/outlier>

mod detector;
mod event;
mod monitor;
mod rates;
mod watched;

pub use detector::{Detector, Situation};
pub use event::{Cause, Event, EventKind};
pub use monitor::{Monitor, Outcome};
pub use rates::{Comparison, Origin};

pub(crate) use watched::Watched;
