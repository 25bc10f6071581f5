//! Who decides about the hosts of one cluster. It reads no clock and draws no randomness: the time
//! and the numbers are arguments.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use config::RuntimeSnapshot;
use config::model::{Cluster, OutlierDetection};
use observe::names::{ClusterStat, OutlierDetectionStat as Stat};
use observe::{Scope, ScopeId, Shard};

use super::event::{Cause, Event, EventKind};
use super::rates::{Comparison, Origin, Tracked};
use super::watched::{Streak, Watched};

/// What a decision depends on, and where it is told.
pub struct Situation<'a> {
    /// The time.
    pub now: Instant,
    /// What the runtime says.
    pub runtime: &'a RuntimeSnapshot,
    /// A new number each time, evenly distributed.
    pub random: &'a mut dyn FnMut() -> u64,
    /// Where what has happened is put.
    pub events: &'a mut Vec<Event>,
}

impl fmt::Debug for Situation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Situation").field("now", &self.now).finish_non_exhaustive()
    }
}

/// The detector of one cluster, on control's thread.
#[derive(Debug)]
pub struct Detector {
    config: Arc<Cluster>,
    watched: Arc<Watched>,
    hosts: Vec<Host>,
    /// How many are ejected.
    ejected: usize,
    external: Option<Comparison>,
    local: Option<Comparison>,
    stats: Scope<Stat>,
    cluster_stats: Scope<ClusterStat>,
}

/// What is known of one host.
#[derive(Debug, Default)]
struct Host {
    ejections: u32,
    ejected_at: Option<Instant>,
    unejected_at: Option<Instant>,
    jitter: Duration,
    /// For how many times `base_ejection_time` it is ejected.
    backoff: u32,
    external: Tracked,
    local: Tracked,
}

impl Host {
    fn tracked(&self, origin: Origin) -> &Tracked {
        match origin {
            Origin::External => &self.external,
            Origin::Local => &self.local,
        }
    }

    fn tracked_mut(&mut self, origin: Origin) -> &mut Tracked {
        match origin {
            Origin::External => &mut self.external,
            Origin::Local => &mut self.local,
        }
    }
}

impl Detector {
    pub(crate) fn new(
        config: &Arc<Cluster>,
        watched: &Arc<Watched>,
        (stats, cluster_stats): (&ScopeId<Stat>, &ScopeId<ClusterStat>),
        control: &Shard,
    ) -> Self {
        Self {
            hosts: config.endpoints.iter().map(|_| Host::default()).collect(),
            config: Arc::clone(config),
            watched: Arc::clone(watched),
            ejected: 0,
            external: None,
            local: None,
            stats: stats.on(control),
            cluster_stats: cluster_stats.on(control),
        }
    }

    /// Sets what workers call once there is something to [`attend`](Self::attend) to, which they
    /// do not wait for. To be called once, before the first `attend`.
    pub fn set_alarm(&self, alarm: impl Fn() + Send + Sync + 'static) {
        self.watched.set_alarm(alarm);
    }

    /// How long until the next [`look`](Self::look).
    #[must_use]
    pub fn interval(&self, runtime: &RuntimeSnapshot) -> Duration {
        self.settings().map_or(Duration::MAX, |settings| {
            milliseconds(runtime, "interval_ms", settings.interval)
        })
    }

    /// How the hosts compared at the last look.
    #[must_use]
    pub fn comparison(&self, origin: Origin) -> Option<Comparison> {
        match origin {
            Origin::External => self.external,
            Origin::Local => self.local,
        }
    }

    /// What part of its requests a host had answered in the interval before the last look, in
    /// percent; `None` if they were too few.
    #[must_use]
    pub fn success_rate(&self, host: usize, origin: Origin) -> Option<f64> {
        self.hosts.get(host)?.tracked(origin).shown
    }

    /// Decides about the hosts that workers have raised the alarm for.
    pub fn attend(&mut self, situation: &mut Situation<'_>) {
        for index in 0..self.hosts.len() {
            for streak in self.watched.take_reached(index) {
                // What an ejected host does counts for nothing.
                if self.watched.is_ejected(index) {
                    continue;
                }
                let cause = match streak {
                    Streak::GatewayFailure => Cause::ConsecutiveGatewayFailure,
                    Streak::Error5xx => Cause::Consecutive5xx,
                    Streak::LocalOriginFailure => Cause::ConsecutiveLocalOriginFailure,
                };
                self.detected(index, cause, situation);
                if cause == Cause::Consecutive5xx {
                    self.stats.inc(Stat::EjectionsConsecutive5xx);
                }
                // The next row of failures is to be noticed even if nothing ends this one.
                self.watched.end(index, streak);
            }
        }
    }

    /// Does what is due at each interval: lets hosts back in, and compares those that are in.
    pub fn look(&mut self, situation: &mut Situation<'_>) {
        for index in 0..self.hosts.len() {
            self.let_back(index, situation);
            let (Some(host), Some(counts)) =
                (self.hosts.get_mut(index), self.watched.counts(index))
            else {
                continue;
            };
            for origin in [Origin::External, Origin::Local] {
                host.tracked_mut(origin).advance(counts, origin);
            }
        }
        self.compare(Origin::External, situation);
        self.compare(Origin::Local, situation);
        let interval = self.interval(situation.runtime);
        for (index, host) in self.hosts.iter_mut().enumerate() {
            let well_since = host.unejected_at.filter(|_| !self.watched.is_ejected(index));
            if well_since.is_some_and(|since| situation.now - since >= interval) {
                host.backoff = host.backoff.saturating_sub(1);
            }
        }
    }

    /// None without a detector in the configuration, where nobody makes one.
    fn settings(&self) -> Option<&OutlierDetection> {
        self.config.outlier_detection.as_ref()
    }

    fn let_back(&mut self, index: usize, situation: &mut Situation<'_>) {
        let (Some(settings), Some(host)) =
            (&self.config.outlier_detection, self.hosts.get_mut(index))
        else {
            return;
        };
        let Some(ejected_at) = host.ejected_at.filter(|_| self.watched.is_ejected(index)) else {
            return;
        };
        let runtime = situation.runtime;
        let (base, longest) = ejection_times(settings, runtime);
        let time = base.saturating_mul(host.backoff).min(longest).saturating_add(host.jitter);
        let since = situation.now.saturating_duration_since(ejected_at);
        if since < time {
            return;
        }
        host.unejected_at = Some(situation.now);
        self.ejected -= 1;
        self.watched.set_ejected(index, false);
        for streak in Streak::ALL {
            self.watched.end(index, streak);
        }
        self.publish();
        self.tell(index, EventKind::Uneject, Some(since), situation);
    }

    /// Compares the hosts by the requests of the interval that is over.
    fn compare(&mut self, origin: Origin, situation: &mut Situation<'_>) {
        let Some(settings) = self.settings() else { return };
        let value = |key, default| integer(situation.runtime, key, default);
        let rate_hosts = value("success_rate_minimum_hosts", settings.success_rate_minimum_hosts);
        let rate_volume =
            value("success_rate_request_volume", settings.success_rate_request_volume);
        let factor = value("success_rate_stdev_factor", settings.success_rate_stdev_factor);
        let failure_hosts =
            value("failure_percentage_minimum_hosts", settings.failure_percentage_minimum_hosts);
        let failure_volume =
            value("failure_percentage_request_volume", settings.failure_percentage_request_volume);
        let failure_threshold =
            value("failure_percentage_threshold", settings.failure_percentage_threshold);
        self.set_comparison(origin, None);
        let is_enough = |hosts: usize, needed: u64| u64::try_from(hosts).is_ok_and(|n| n >= needed);
        let hosts = self.hosts.len();
        if !is_enough(hosts, rate_hosts) && !is_enough(hosts, failure_hosts) {
            return;
        }
        let mut measured = Vec::with_capacity(hosts);
        for (index, host) in self.hosts.iter_mut().enumerate() {
            let tracked = host.tracked_mut(origin);
            let Some(found) = tracked.measured.filter(|_| !self.watched.is_ejected(index)) else {
                continue;
            };
            if found.volume >= rate_volume.min(failure_volume) {
                tracked.shown = Some(found.rate);
            }
            measured.push((index, found));
        }
        let enough = |volume: u64| {
            let of_enough = measured.iter().filter(move |(_, found)| found.volume >= volume);
            of_enough.map(|&(index, found)| (index, found.rate)).collect::<Vec<_>>()
        };
        let (by_rate, by_failures) = (enough(rate_volume), enough(failure_volume));
        if is_enough(by_rate.len(), rate_hosts) {
            let rates: Vec<f64> = by_rate.iter().map(|&(_, rate)| rate).collect();
            let comparison = Comparison::of(&rates, thousandths(factor));
            self.set_comparison(origin, comparison);
            let threshold = comparison.map_or(f64::NEG_INFINITY, |it| it.ejection_threshold);
            for (index, _) in by_rate.into_iter().filter(|&(_, rate)| rate < threshold) {
                self.stats.inc(Stat::EjectionsSuccessRate);
                let cause = match origin {
                    Origin::External => Cause::SuccessRate,
                    Origin::Local => Cause::SuccessRateLocalOrigin,
                };
                self.detected(index, cause, situation);
            }
        }
        if is_enough(by_failures.len(), failure_hosts) {
            let too_many = percent(failure_threshold);
            for (index, _) in by_failures.into_iter().filter(|&(_, rate)| 100.0 - rate >= too_many)
            {
                let cause = match origin {
                    Origin::External => Cause::FailurePercentage,
                    Origin::Local => Cause::FailurePercentageLocalOrigin,
                };
                self.detected(index, cause, situation);
            }
        }
    }

    fn set_comparison(&mut self, origin: Origin, comparison: Option<Comparison>) {
        match origin {
            Origin::External => self.external = comparison,
            Origin::Local => self.local = comparison,
        }
    }

    /// A host was found to be an outlier: it is ejected, if as many may be and a percentage says
    /// so.
    fn detected(&mut self, index: usize, cause: Cause, situation: &mut Situation<'_>) {
        self.stats.inc(cause.detected());
        let Some(settings) = self.settings() else { return };
        let runtime = situation.runtime;
        let most = integer(runtime, "max_ejection_percent", settings.max_ejection_percent).min(100);
        let may_eject = (wide(self.ejected) + 1) * 100 <= most * wide(self.hosts.len())
            || settings.always_eject_one_host && self.ejected == 0;
        if !may_eject {
            self.stats.inc(Stat::EjectionsOverflow);
            return;
        }
        if matches!(cause, Cause::Consecutive5xx | Cause::SuccessRate) {
            self.stats.inc(Stat::EjectionsTotal);
        }
        let (key, default) = cause.enforcing(settings);
        let enforced = (situation.random)() % 100 < integer(runtime, key, default).min(100);
        if enforced {
            // By the other cause of two that one look has found. Envoy counts another ejection, of
            // which it never takes back more than one.
            if self.watched.is_ejected(index) {
                return;
            }
            self.stats.inc(Stat::EnforcedTotal);
            self.stats.inc(cause.enforced());
            self.eject(index, situation);
        }
        let origin = cause.origin();
        let compares = matches!(cause, Cause::SuccessRate | Cause::SuccessRateLocalOrigin);
        let kind = EventKind::Eject {
            cause,
            enforced,
            success_rate: origin.and_then(|origin| self.success_rate(index, origin)),
            comparison: origin.filter(|_| compares).and_then(|origin| self.comparison(origin)),
        };
        let unejected_at = self.hosts.get(index).and_then(|host| host.unejected_at);
        let since = unejected_at.map(|at| situation.now.saturating_duration_since(at));
        self.tell(index, kind, since, situation);
    }

    fn eject(&mut self, index: usize, situation: &mut Situation<'_>) {
        let (Some(settings), Some(host)) =
            (&self.config.outlier_detection, self.hosts.get_mut(index))
        else {
            return;
        };
        let runtime = situation.runtime;
        let (base, longest) = ejection_times(settings, runtime);
        let jitter =
            milliseconds(runtime, "max_ejection_time_jitter_ms", settings.max_ejection_time_jitter);
        let jitter = u64::try_from(jitter.as_millis()).unwrap_or(u64::MAX - 1);
        host.jitter = Duration::from_millis((situation.random)() % jitter.saturating_add(1));
        host.ejections += 1;
        host.ejected_at = Some(situation.now);
        if base.saturating_mul(host.backoff) < longest.saturating_add(base) {
            host.backoff += 1;
        }
        self.ejected += 1;
        self.watched.set_ejected(index, true);
        self.publish();
    }

    fn publish(&self) {
        self.stats.gauge_set(Stat::EjectionsActive, wide(self.ejected));
        let healthy = wide(self.hosts.len() - self.ejected);
        self.cluster_stats.gauge_set(ClusterStat::MembershipHealthy, healthy);
    }

    fn tell(
        &self,
        index: usize,
        kind: EventKind,
        since_last: Option<Duration>,
        situation: &mut Situation<'_>,
    ) {
        let (Some(host), Some(endpoint)) =
            (self.hosts.get(index), self.config.endpoints.get(index))
        else {
            return;
        };
        situation.events.push(Event {
            cluster: self.config.name.clone(),
            host: endpoint.address.clone(),
            ejections: host.ejections,
            since_last,
            kind,
        });
    }
}

impl Cause {
    /// Which rate it judges by, if by one.
    fn origin(self) -> Option<Origin> {
        match self {
            Self::SuccessRate | Self::FailurePercentage => Some(Origin::External),
            Self::SuccessRateLocalOrigin | Self::FailurePercentageLocalOrigin => {
                Some(Origin::Local)
            }
            Self::Consecutive5xx
            | Self::ConsecutiveGatewayFailure
            | Self::ConsecutiveLocalOriginFailure => None,
        }
    }

    fn detected(self) -> Stat {
        match self {
            Self::Consecutive5xx => Stat::DetectedConsecutive5xx,
            Self::ConsecutiveGatewayFailure => Stat::DetectedConsecutiveGatewayFailure,
            Self::SuccessRate => Stat::DetectedSuccessRate,
            Self::ConsecutiveLocalOriginFailure => Stat::DetectedConsecutiveLocalOriginFailure,
            Self::SuccessRateLocalOrigin => Stat::DetectedLocalOriginSuccessRate,
            Self::FailurePercentage => Stat::DetectedFailurePercentage,
            Self::FailurePercentageLocalOrigin => Stat::DetectedLocalOriginFailurePercentage,
        }
    }

    fn enforced(self) -> Stat {
        match self {
            Self::Consecutive5xx => Stat::EnforcedConsecutive5xx,
            Self::ConsecutiveGatewayFailure => Stat::EnforcedConsecutiveGatewayFailure,
            Self::SuccessRate => Stat::EnforcedSuccessRate,
            Self::ConsecutiveLocalOriginFailure => Stat::EnforcedConsecutiveLocalOriginFailure,
            Self::SuccessRateLocalOrigin => Stat::EnforcedLocalOriginSuccessRate,
            Self::FailurePercentage => Stat::EnforcedFailurePercentage,
            Self::FailurePercentageLocalOrigin => Stat::EnforcedLocalOriginFailurePercentage,
        }
    }

    /// The percentage of cases in which it leads to an ejection, and its name in the runtime.
    fn enforcing(self, settings: &OutlierDetection) -> (&'static str, u32) {
        let of = &settings.enforcing;
        match self {
            Self::Consecutive5xx => ("enforcing_consecutive_5xx", of.consecutive_5xx),
            Self::ConsecutiveGatewayFailure => {
                ("enforcing_consecutive_gateway_failure", of.consecutive_gateway_failure)
            }
            Self::SuccessRate => ("enforcing_success_rate", of.success_rate),
            Self::ConsecutiveLocalOriginFailure => {
                ("enforcing_consecutive_local_origin_failure", of.consecutive_local_origin_failure)
            }
            Self::SuccessRateLocalOrigin => {
                ("enforcing_local_origin_success_rate", of.local_origin_success_rate)
            }
            Self::FailurePercentage => ("enforcing_failure_percentage", of.failure_percentage),
            Self::FailurePercentageLocalOrigin => {
                ("enforcing_failure_percentage_local_origin", of.failure_percentage_local_origin)
            }
        }
    }
}

fn integer(runtime: &RuntimeSnapshot, key: &str, default: u32) -> u64 {
    runtime.integer(&format!("{}{key}", OutlierDetection::RUNTIME_PREFIX), default.into())
}

fn milliseconds(runtime: &RuntimeSnapshot, key: &str, default: Duration) -> Duration {
    let default = u64::try_from(default.as_millis()).unwrap_or(u64::MAX);
    let key = format!("{}{key}", OutlierDetection::RUNTIME_PREFIX);
    Duration::from_millis(runtime.integer(&key, default))
}

/// `base_ejection_time` and `max_ejection_time`.
fn ejection_times(settings: &OutlierDetection, runtime: &RuntimeSnapshot) -> (Duration, Duration) {
    let base = milliseconds(runtime, "base_ejection_time_ms", settings.base_ejection_time);
    (base, milliseconds(runtime, "max_ejection_time_ms", settings.max_ejection_time))
}

fn wide(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

#[expect(clippy::cast_precision_loss, reason = "a factor, whose last digits do not matter")]
fn thousandths(value: u64) -> f64 {
    value as f64 / 1000.0
}

#[expect(clippy::cast_precision_loss, reason = "beyond a hundred it is never reached")]
fn percent(value: u64) -> f64 {
    value as f64
}

#[cfg(test)]
mod tests;
