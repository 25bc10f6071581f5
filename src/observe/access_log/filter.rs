//! Whether a line is written at all: Envoy's `AccessLogFilter`.
//!
//! <https://www.envoyproxy.io/docs/envoy/latest/api-v3/config/accesslog/v3/accesslog.proto>

use std::sync::atomic::{AtomicU64, Ordering};

use super::record::{AccessLogType, Record};
use crate::ResponseFlag;

/// A condition on a record. Its numbers may be changed while records are judged by it.
#[derive(Debug)]
pub enum Filter {
    /// `and_filter`: all of them hold.
    All(Vec<Self>),
    /// `or_filter`: one of them holds.
    Any(Vec<Self>),
    /// `status_code_filter`: the HTTP status, 0 if there was no response.
    StatusCode(Comparison),
    /// `duration_filter`: how long it lasted, in milliseconds.
    Duration(Comparison),
    /// `response_flag_filter`: one of these flags is set; with an empty list, any flag.
    ResponseFlag(Vec<ResponseFlag>),
    /// `log_type_filter`: the line is of one of these types, or of none of them.
    LogType {
        /// The types.
        types: Vec<AccessLogType>,
        /// Whether these are the types to leave out.
        exclude: bool,
    },
    /// `runtime_filter`: a share of all records.
    Sampled {
        /// Which share.
        share: Share,
        /// Whether the request id is left out of the decision.
        independent: bool,
    },
    /// `not_health_check_filter`: no health check. Nothing tells health checks apart yet, so every
    /// record passes, as in Envoy without its health check filter.
    NotHealthCheck,
}

/// `ComparisonFilter`: a value beside a number.
#[derive(Debug)]
pub struct Comparison {
    operator: FilterOperator,
    value: AtomicU64,
}

/// So many of so many.
#[derive(Debug)]
pub struct Share {
    /// The numerator in the upper half, so that nobody sees one without the other.
    both: AtomicU64,
}

/// How a value is to compare with a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FilterOperator {
    /// `EQ`.
    Equal,
    /// `GE`.
    GreaterOrEqual,
    /// `LE`.
    LessOrEqual,
    /// `NE`.
    NotEqual,
}

// Relaxed: neither number guards other memory.
impl Comparison {
    /// A value is to compare with `value` as `operator` says.
    #[must_use]
    pub fn new(operator: FilterOperator, value: u64) -> Self {
        Self { operator, value: AtomicU64::new(value) }
    }

    /// What it compares with from now on.
    pub fn set(&self, value: u64) {
        self.value.store(value, Ordering::Relaxed);
    }

    fn holds(&self, value: u64) -> bool {
        let other = self.value.load(Ordering::Relaxed);
        match self.operator {
            FilterOperator::Equal => value == other,
            FilterOperator::GreaterOrEqual => value >= other,
            FilterOperator::LessOrEqual => value <= other,
            FilterOperator::NotEqual => value != other,
        }
    }
}

impl Share {
    /// `numerator` of `denominator`, which is never 0. More than all are all.
    #[must_use]
    pub fn new(numerator: u64, denominator: u32) -> Self {
        Self { both: AtomicU64::new(Self::both(numerator, denominator)) }
    }

    /// The share from now on.
    pub fn set(&self, numerator: u64, denominator: u32) {
        self.both.store(Self::both(numerator, denominator), Ordering::Relaxed);
    }

    fn both(numerator: u64, denominator: u32) -> u64 {
        numerator.min(u64::from(denominator)) << 32 | u64::from(denominator.max(1))
    }

    /// Whether it takes the case of `random` in.
    fn takes(&self, random: u64) -> bool {
        let both = self.both.load(Ordering::Relaxed);
        random % (both & u64::from(u32::MAX)) < both >> 32
    }
}

impl Filter {
    /// Whether the record passes. `random` gives a number for sampling where no request id does.
    pub fn passes(&self, record: &Record<'_>, random: &mut dyn FnMut() -> u64) -> bool {
        match self {
            Self::All(filters) => filters.iter().all(|filter| filter.passes(record, random)),
            Self::Any(filters) => filters.iter().any(|filter| filter.passes(record, random)),
            Self::StatusCode(comparison) => comparison.holds(u64::from(record.response_code)),
            Self::Duration(comparison) => {
                let milliseconds = u64::try_from(record.duration.as_millis());
                comparison.holds(milliseconds.unwrap_or(u64::MAX))
            }
            Self::ResponseFlag(flags) if flags.is_empty() => !record.flags.is_empty(),
            Self::ResponseFlag(flags) => flags.iter().any(|flag| record.flags.contains(*flag)),
            Self::LogType { types, exclude } => types.contains(&record.log_type) != *exclude,
            Self::Sampled { share, independent } => {
                let stable = if *independent { None } else { number_of_request_id(record) };
                share.takes(stable.unwrap_or_else(random))
            }
            Self::NotHealthCheck => true,
        }
    }
}

/// The number that Envoy makes from a request id: its first eight hexadecimal digits. All parts of
/// a system that sample by it decide alike.
fn number_of_request_id(record: &Record<'_>) -> Option<u64> {
    let id = record.http?.request_header("x-request-id")?;
    let digits = std::str::from_utf8(id.get(..8)?).ok()?;
    u32::from_str_radix(digits, 16).ok().map(u64::from).filter(|_| id.len() >= 36)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn passes(filter: &Filter, record: &Record<'_>) -> bool {
        filter.passes(record, &mut || 55)
    }

    #[test]
    fn conditions_combine() {
        let record = Record {
            response_code: 503,
            duration: Duration::from_millis(20),
            flags: [ResponseFlag::NoRouteFound].into_iter().collect(),
            log_type: AccessLogType::TcpConnectionEnd,
            ..Record::default()
        };
        let code = |operator, value| Filter::StatusCode(Comparison::new(operator, value));
        let ge = || code(FilterOperator::GreaterOrEqual, 500);
        let ne = || code(FilterOperator::NotEqual, 503);
        let slow = Comparison::new(FilterOperator::LessOrEqual, 19);
        assert!(passes(&ge(), &record));
        assert!(!passes(&ne(), &record));
        assert!(!passes(&Filter::Duration(slow), &record));
        assert!(passes(&Filter::Any(vec![ne(), ge()]), &record));
        assert!(!passes(&Filter::All(vec![ge(), ne()]), &record));
        assert!(passes(&Filter::ResponseFlag(vec![]), &record));
        assert!(passes(&Filter::ResponseFlag(vec![ResponseFlag::NoRouteFound]), &record));
        assert!(!passes(&Filter::ResponseFlag(vec![ResponseFlag::UpstreamOverflow]), &record));
        assert!(!passes(&Filter::ResponseFlag(vec![]), &Record::default()));
        let types = vec![AccessLogType::TcpPeriodic];
        assert!(!passes(&Filter::LogType { types: types.clone(), exclude: false }, &record));
        assert!(passes(&Filter::LogType { types, exclude: true }, &record));
        assert!(passes(&Filter::NotHealthCheck, &record));
    }

    #[test]
    fn sampling_takes_the_share_it_was_given() {
        let sampled = |numerator| {
            let share = Share::new(numerator, 100);
            Filter::Sampled { share, independent: true }
        };
        assert!(passes(&sampled(56), &Record::default()));
        assert!(!passes(&sampled(55), &Record::default()));
        assert!(!passes(&sampled(0), &Record::default()));
        assert!(passes(&sampled(u64::MAX), &Record::default()));
    }
}
