//! Rules of numbers, durations and timestamps.

use std::fmt;

use prost_reflect::DynamicMessage;

use super::check_membership;

/// The rules that all numeric types share.
pub(super) struct Number<'a, T> {
    pub(super) constant: Option<T>,
    pub(super) lt: Option<T>,
    pub(super) lte: Option<T>,
    pub(super) gt: Option<T>,
    pub(super) gte: Option<T>,
    pub(super) r#in: &'a [T],
    pub(super) not_in: &'a [T],
}

impl<T: PartialOrd + Copy + Default + fmt::Display> Number<'_, T> {
    /// Why `value` breaks the rules.
    pub(super) fn check(&self, value: T, ignore_empty: bool) -> Option<String> {
        if ignore_empty && value == T::default() {
            return None;
        }
        if let Some(wanted) = self.constant.filter(|wanted| *wanted != value) {
            return Some(format!("value {value} must be {wanted}"));
        }
        let upper = match (self.lt, self.lte) {
            (Some(bound), _) => Some((value < bound, format!("less than {bound}"), bound)),
            (None, Some(bound)) => Some((value <= bound, format!("at most {bound}"), bound)),
            (None, None) => None,
        };
        let lower = match (self.gt, self.gte) {
            (Some(bound), _) => Some((value > bound, format!("greater than {bound}"), bound)),
            (None, Some(bound)) => Some((value >= bound, format!("at least {bound}"), bound)),
            (None, None) => None,
        };
        let broken = match (lower, upper) {
            // A lower bound above the upper one means: outside of the range between them.
            (Some((above, low, low_bound)), Some((below, high, high_bound)))
                if low_bound >= high_bound =>
            {
                (!above && !below).then(|| format!("{low} or {high}"))
            }
            (Some((false, text, _)), _) | (_, Some((false, text, _))) => Some(text),
            _ => None,
        };
        match broken {
            Some(text) => Some(format!("value {value} must be {text}")),
            None => check_membership(&value, self.r#in, self.not_in),
        }
    }
}

/// A duration, or a timestamp since 1970, in nanoseconds; shown in seconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, PartialOrd)]
pub(super) struct Seconds(i128);

impl Seconds {
    fn new(seconds: i64, nanos: i32) -> Self {
        Self(i128::from(seconds) * 1_000_000_000 + i128::from(nanos))
    }

    /// Reads the two fields that both messages have.
    pub(super) fn of(message: &DynamicMessage) -> Option<Self> {
        let seconds = message.get_field_by_number(1)?.as_i64()?;
        Some(Self::new(seconds, message.get_field_by_number(2)?.as_i32()?))
    }
}

impl From<prost_types::Duration> for Seconds {
    fn from(duration: prost_types::Duration) -> Self {
        Self::new(duration.seconds, duration.nanos)
    }
}

impl From<prost_types::Timestamp> for Seconds {
    fn from(timestamp: prost_types::Timestamp) -> Self {
        Self::new(timestamp.seconds, timestamp.nanos)
    }
}

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let nanos = self.0.unsigned_abs();
        let fraction = format!("{:09}", nanos % 1_000_000_000);
        let fraction = fraction.trim_end_matches('0');
        let dot = if fraction.is_empty() { "" } else { "." };
        write!(f, "{sign}{}{dot}{fraction}s", nanos / 1_000_000_000)
    }
}
