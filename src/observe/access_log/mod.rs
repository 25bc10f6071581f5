//! Access logs: what a line says, not where it is written.
//!
//! [`Format`] is a line's template, compiled from Envoy's format strings; [`Record`] is what is
//! known of one connection or request; [`Filter`] says whether a line is written at all.
//! `Format::write_line` appends one line to a buffer that the caller keeps, so that a line costs
//! no allocation.
//!
//! A record borrows everything and reads headers through [`HttpMessages`], so that this floor
//! needs to know neither the codecs nor the proxy.
//!
//! Checked against Envoy 1.40: which operators there are, what arguments each takes, which lines
//! come out (see the tests), and what is refused.
//!
//! <https://www.envoyproxy.io/docs/envoy/latest/configuration/advanced/substitution_formatter>

mod digits;
mod duration;
mod error;
mod filter;
mod filter_state;
mod format;
mod found_text;
mod http_value;
mod json;
mod metadata;
mod operator;
mod record;
#[cfg(test)]
mod tests;
mod text;
mod time_format;
mod tunnel_state;
mod value;

pub use error::{FormatError, FormatErrorKind};
pub use filter::{Comparison, Filter, FilterOperator, Share};
pub use filter_state::{FilterObject, FilterState, Sharing};
pub use format::{DEFAULT_FORMAT, Format};
pub use json::JsonTemplate;
pub use metadata::Metadata;
pub use operator::Surroundings;
pub use record::{
    AccessLogType, CloseType, HttpMessages, Protocol, Record, TimePoint, Timing, UpstreamRecord,
};
pub use tunnel_state::tunnel_fields;
