//! `%COMMON_DURATION(from:to:precision)%`: the time between two moments of a request.

use std::time::Duration;

use super::record::{Record, TimePoint};
use super::value::Value;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct CommonDuration {
    /// `None`: a name that only a filter could have set a time for, which none does.
    from: Option<Moment>,
    to: Option<Moment>,
    precision: Precision,
}

/// What a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moment {
    /// `DS_CX_BEG`: the connection was accepted.
    ConnectionBegin,
    /// `DS_CX_END`: the connection was over.
    ConnectionEnd,
    Point(TimePoint),
}

impl Moment {
    fn from_name(name: &str) -> Option<Self> {
        match name {
            "DS_CX_BEG" => Some(Self::ConnectionBegin),
            "DS_CX_END" => Some(Self::ConnectionEnd),
            _ => TimePoint::from_name(name).map(Self::Point),
        }
    }

    /// Measured from the record's start.
    fn of(self, record: &Record<'_>) -> Option<Duration> {
        match self {
            Self::ConnectionBegin => record.connection_begin,
            Self::ConnectionEnd => record.connection_end,
            Self::Point(point) => record.timing.get(point),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Precision {
    Milliseconds,
    Microseconds,
    Nanoseconds,
}

impl CommonDuration {
    pub(super) fn parse(argument: &str) -> Result<Self, String> {
        let parts: Vec<&str> = argument.split(':').collect();
        let (from, to, precision) = match parts.as_slice() {
            [from, to] => (from, to, &"ms"),
            [from, to, precision] => (from, to, precision),
            _ => return Err(format!("Invalid common duration configuration: {argument}.")),
        };
        let precision = match *precision {
            "ms" => Precision::Milliseconds,
            "us" => Precision::Microseconds,
            "ns" => Precision::Nanoseconds,
            _ => return Err(format!("Invalid common duration precision: {precision}.")),
        };
        Ok(Self { from: Moment::from_name(from), to: Moment::from_name(to), precision })
    }

    pub(super) fn value(&self, record: &Record<'_>) -> Value<'static> {
        let from = self.from.and_then(|moment| moment.of(record));
        let to = self.to.and_then(|moment| moment.of(record));
        // Moments in the wrong order have no time between them.
        let between = from.zip(to).and_then(|(from, to)| to.checked_sub(from));
        between.map_or(Value::Missing, |between| Value::Number(self.precision.of(between)))
    }
}

impl Precision {
    fn of(self, duration: Duration) -> u64 {
        let count = match self {
            Self::Milliseconds => duration.as_millis(),
            Self::Microseconds => duration.as_micros(),
            Self::Nanoseconds => duration.as_nanos(),
        };
        u64::try_from(count).unwrap_or(u64::MAX)
    }
}
