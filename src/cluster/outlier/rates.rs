//! Rates of success: what a host's is, and which is too low beside the others'.

use observe::ScopeId;
use observe::names::OutlierHostStat;

/// Which successes a rate is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Answers, and unless connects count apart, those too.
    External,
    /// Connects, if they count apart.
    Local,
}

/// How the hosts of a cluster compare, as of the last interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Comparison {
    /// The average of the hosts' rates, in percent.
    pub average: f64,
    /// A host below this is an outlier; may be below zero.
    pub ejection_threshold: f64,
}

impl Comparison {
    /// Of these rates: the threshold lies `stdev_factor` standard deviations below their average.
    /// `None` without any.
    pub(super) fn of(rates: &[f64], stdev_factor: f64) -> Option<Self> {
        #[expect(clippy::cast_precision_loss, reason = "so many hosts there are not")]
        let count = rates.len() as f64;
        let average = rates.iter().sum::<f64>() / count;
        let variance = rates.iter().map(|rate| (rate - average).powi(2)).sum::<f64>() / count;
        let ejection_threshold = average - stdev_factor * variance.sqrt();
        (!rates.is_empty()).then_some(Self { average, ejection_threshold })
    }
}

/// What a host was asked within an interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Measured {
    pub(super) volume: u64,
    /// In percent.
    pub(super) rate: f64,
}

/// The counts of a host, from interval to interval.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Tracked {
    total: u64,
    success: u64,
    /// Of the last interval; `None` without a request.
    pub(super) measured: Option<Measured>,
    /// What is shown: nothing if there were too few requests to judge.
    pub(super) shown: Option<f64>,
}

impl Tracked {
    /// Begins the next interval.
    pub(super) fn advance(&mut self, counts: &ScopeId<OutlierHostStat>, origin: Origin) {
        let (total, success) = match origin {
            Origin::External => (OutlierHostStat::ExternalTotal, OutlierHostStat::ExternalSuccess),
            Origin::Local => (OutlierHostStat::LocalTotal, OutlierHostStat::LocalSuccess),
        };
        // What comes between the two reads is a request of this interval, and its success one of
        // the next.
        let success = counts.total(success);
        self.advance_to(counts.total(total), success);
    }

    fn advance_to(&mut self, total: u64, success: u64) {
        let volume = total.saturating_sub(self.total);
        let succeeded = success.saturating_sub(self.success).min(volume);
        #[expect(clippy::cast_precision_loss, reason = "so many requests no interval sees")]
        let rate = || succeeded as f64 * 100.0 / volume as f64;
        self.measured = (volume > 0).then(|| Measured { volume, rate: rate() });
        self.shown = None;
        (self.total, self.success) = (total, success);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_far_below_the_others_is_below_the_threshold() {
        // Envoy's own example: the average is 90, the deviation 20.
        let rates = [50.0, 100.0, 100.0, 100.0, 100.0];
        let Comparison { average, ejection_threshold } = Comparison::of(&rates, 1.9).unwrap();
        assert!((average - 90.0).abs() < 1e-9 && (ejection_threshold - 52.0).abs() < 1e-9);
        let alike = Comparison::of(&[70.0; 6], 1.9).unwrap();
        assert!((alike.average - 70.0).abs() < 1e-9);
        assert!((alike.ejection_threshold - 70.0).abs() < 1e-9);
        assert_eq!(Comparison::of(&[], 1.9), None);
    }

    #[test]
    fn an_interval_has_what_was_counted_since_the_last() {
        let mut tracked = Tracked::default();
        tracked.advance_to(0, 0);
        assert_eq!(tracked.measured, None);
        tracked.advance_to(10, 9);
        assert_eq!(tracked.measured, Some(Measured { volume: 10, rate: 90.0 }));
        tracked.advance_to(14, 10);
        assert_eq!(tracked.measured, Some(Measured { volume: 4, rate: 25.0 }));
        // A success that was read before its request.
        tracked.advance_to(16, 13);
        assert_eq!(tracked.measured, Some(Measured { volume: 2, rate: 100.0 }));
        tracked.advance_to(16, 13);
        assert_eq!(tracked.measured, None);
    }
}
