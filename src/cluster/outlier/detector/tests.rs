//! Decisions about hosts, with a time that the tests make.

use std::net::SocketAddr;
use std::rc::Rc;

use config::{RuntimeEntry, RuntimeValues};
use observe::{Registry, ShardIndex};

use super::super::monitor::{Monitor, Outcome};
use super::*;
use crate::shared::Shared;
use crate::test_config;

const SECOND: Duration = Duration::from_secs(1);

/// A cluster that is watched, its workers' monitors, and the time.
struct Stage {
    shared: Arc<Shared>,
    detector: Detector,
    monitors: Vec<Rc<Monitor>>,
    now: Instant,
    runtime: RuntimeSnapshot,
    random: u64,
    registry: Registry,
}

impl Stage {
    fn new(hosts: u16, settings: OutlierDetection) -> Self {
        let hosts: Vec<SocketAddr> =
            (1..=hosts).map(|port| ([127, 0, 0, 1], port).into()).collect();
        let config = Cluster { outlier_detection: Some(settings), ..test_config::cluster(&hosts) };
        let registry = Registry::new(1);
        let shared = Shared::new(Arc::new(config), &registry);
        let control = registry.shard(ShardIndex::Control).unwrap();
        let worker = registry.shard(ShardIndex::Worker(0)).unwrap();
        shared.publish(&control);
        let monitor = |host| Monitor::new(shared.watched().unwrap(), host, &worker).unwrap();
        Self {
            detector: shared.detector(&control).unwrap(),
            monitors: (0..hosts.len()).map(monitor).collect(),
            shared,
            now: an_instant(),
            runtime: RuntimeSnapshot::default(),
            random: 0,
            registry,
        }
    }

    fn report(&self, host: usize, outcome: Outcome, times: usize) {
        (0..times).for_each(|_| self.monitors[host].report(outcome));
    }

    fn attend(&mut self) -> Vec<Event> {
        self.decide(Detector::attend)
    }

    fn look_after(&mut self, time: Duration) -> Vec<Event> {
        self.now += time;
        self.decide(Detector::look)
    }

    fn decide(&mut self, decide: fn(&mut Detector, &mut Situation<'_>)) -> Vec<Event> {
        let mut events = Vec::new();
        let random = self.random;
        decide(
            &mut self.detector,
            &mut Situation {
                now: self.now,
                runtime: &self.runtime,
                random: &mut || random,
                events: &mut events,
            },
        );
        events
    }

    fn ejected(&self) -> Vec<usize> {
        (0..self.monitors.len()).filter(|&host| self.shared.is_ejected(host)).collect()
    }

    fn stat(&self, stat: Stat) -> u64 {
        self.registry.scope("cluster.back_end.outlier_detection").total(stat)
    }

    fn set_runtime(&mut self, values: &[(&str, &str)]) {
        let entry = |&(key, text): &(&str, &str)| (key.to_owned(), RuntimeEntry::parse(text));
        let values = values.iter().map(entry).collect();
        self.runtime = RuntimeSnapshot::new(vec![RuntimeValues { name: "l".into(), values }]);
        let config = self.shared.config().outlier_detection.clone().unwrap();
        self.shared.watched().unwrap().follow_runtime(&self.runtime, &config);
    }
}

#[expect(clippy::disallowed_methods, reason = "an instant to count from; no test looks at it")]
fn an_instant() -> Instant {
    Instant::now()
}

fn settings() -> OutlierDetection {
    OutlierDetection {
        consecutive_5xx: 3,
        consecutive_gateway_failure: 2,
        consecutive_local_origin_failure: 2,
        interval: SECOND,
        base_ejection_time: 2 * SECOND,
        max_ejection_time: 5 * SECOND,
        max_ejection_percent: 100,
        ..OutlierDetection::default()
    }
}

fn is_ejection(event: &Event, by: Cause) -> bool {
    matches!(event.kind, EventKind::Eject { cause, enforced: true, .. } if cause == by)
}

#[test]
fn so_many_5xx_in_a_row_eject_and_a_success_begins_the_row_anew() {
    let mut stage = Stage::new(2, settings());
    stage.report(0, Outcome::Response(500), 2);
    stage.report(0, Outcome::Response(404), 1);
    stage.report(0, Outcome::Response(500), 2);
    assert!(stage.attend().is_empty());
    stage.report(0, Outcome::Response(599), 1);
    let events = stage.attend();
    assert!(is_ejection(&events[0], Cause::Consecutive5xx), "{events:?}");
    assert_eq!((events[0].ejections, events[0].since_last), (1, None));
    assert_eq!(stage.ejected(), [0]);
    // What it does now counts for nothing.
    stage.report(0, Outcome::Response(500), 10);
    assert!(stage.attend().is_empty());
    let stats = [Stat::EjectionsActive, Stat::EnforcedTotal, Stat::DetectedConsecutive5xx];
    assert_eq!(stats.map(|stat| stage.stat(stat)), [1, 1, 1]);
    let old = [Stat::EjectionsTotal, Stat::EjectionsConsecutive5xx];
    assert_eq!(old.map(|stat| stage.stat(stat)), [1, 1]);
}

/// Gateway failures are told first, and are not enforced unless it is configured.
#[test]
fn gateway_failures_are_only_counted_by_default() {
    let mut stage = Stage::new(2, settings());
    stage.report(0, Outcome::Response(503), 1);
    stage.report(0, Outcome::Response(500), 1);
    stage.report(0, Outcome::Response(504), 1);
    let events = stage.attend();
    assert!(is_ejection(&events[0], Cause::Consecutive5xx), "{events:?}");
    stage.report(1, Outcome::Response(502), 2);
    let events = stage.attend();
    let cause = Cause::ConsecutiveGatewayFailure;
    assert!(
        matches!(events[0].kind, EventKind::Eject { cause: by, enforced: false, .. } if by == cause)
    );
    assert_eq!(stage.ejected(), [0]);
    assert_eq!(stage.stat(Stat::DetectedConsecutiveGatewayFailure), 1);
    assert_eq!(stage.stat(Stat::EnforcedConsecutiveGatewayFailure), 0);
}

#[test]
fn without_a_split_connects_count_as_answers() {
    let mut stage = Stage::new(2, settings());
    stage.report(0, Outcome::ConnectFailed, 1);
    stage.report(0, Outcome::Timeout, 1);
    stage.report(0, Outcome::Connected, 1);
    stage.report(0, Outcome::ConnectFailed, 1);
    assert!(is_ejection(&stage.attend()[1], Cause::Consecutive5xx));
    stage.report(1, Outcome::ConnectFailed, 2);
    stage.report(1, Outcome::ConnectedFinal, 1);
    stage.report(1, Outcome::ConnectFailed, 2);
    stage.attend();
    assert_eq!(stage.ejected(), [0]);
}

#[test]
fn with_a_split_connects_count_apart() {
    let mut stage = Stage::new(2, OutlierDetection { split_local_origin: true, ..settings() });
    stage.report(0, Outcome::ConnectFailed, 1);
    stage.report(0, Outcome::Connected, 1);
    stage.report(0, Outcome::Response(500), 2);
    stage.report(0, Outcome::Timeout, 1);
    assert!(stage.attend().is_empty());
    stage.report(0, Outcome::Timeout, 1);
    assert!(is_ejection(&stage.attend()[0], Cause::ConsecutiveLocalOriginFailure));
    assert_eq!(stage.stat(Stat::EnforcedConsecutiveLocalOriginFailure), 1);
    assert_eq!(stage.stat(Stat::EjectionsTotal), 0);
}

#[test]
fn each_ejection_lasts_longer_up_to_the_longest_and_good_times_count() {
    let mut stage = Stage::new(2, settings());
    for (number, seconds) in [(1, 2), (2, 4), (3, 5), (4, 5)] {
        stage.report(0, Outcome::Response(500), 3);
        let events = stage.attend();
        assert_eq!(events[0].ejections, number);
        assert!(stage.look_after((seconds - 1) * SECOND).is_empty());
        let events = stage.look_after(SECOND);
        assert_eq!(events[0].kind, EventKind::Uneject);
        assert_eq!(events[0].since_last, Some(seconds * SECOND));
        assert!(stage.ejected().is_empty());
    }
    // One interval less for each that goes well.
    for _ in 0..3 {
        stage.look_after(SECOND);
    }
    let well = stage.now;
    stage.report(0, Outcome::Response(500), 3);
    assert_eq!(stage.attend()[0].since_last, Some(3 * SECOND));
    while !stage.ejected().is_empty() {
        stage.look_after(SECOND);
    }
    assert_eq!(stage.now - well, 4 * SECOND);
    assert_eq!(stage.stat(Stat::EjectionsActive), 0);
}

#[test]
fn jitter_makes_an_ejection_longer() {
    let jitter = Duration::from_millis(1500);
    let mut stage =
        Stage::new(2, OutlierDetection { max_ejection_time_jitter: jitter, ..settings() });
    stage.random = 3 * 1501 + 1000;
    stage.report(0, Outcome::Response(500), 3);
    // The same number decides whether it is enforced: 3 of 100.
    assert_eq!(stage.attend().len(), 1);
    assert!(stage.look_after(Duration::from_millis(2999)).is_empty());
    assert_eq!(stage.look_after(Duration::from_millis(1)).len(), 1);
}

#[test]
fn no_more_are_ejected_than_the_percentage_allows() {
    let quarter = OutlierDetection { max_ejection_percent: 25, ..settings() };
    let mut stage = Stage::new(8, quarter.clone());
    (0..4).for_each(|host| stage.report(host, Outcome::Response(500), 3));
    stage.attend();
    assert_eq!(stage.ejected(), [0, 1]);
    assert_eq!(stage.stat(Stat::EjectionsOverflow), 2);
    // The row began anew.
    stage.look_after(2 * SECOND);
    stage.report(2, Outcome::Response(500), 2);
    assert!(stage.attend().is_empty());
    stage.report(2, Outcome::Response(500), 1);
    assert_eq!(stage.attend().len(), 1);

    let mut stage = Stage::new(3, quarter.clone());
    stage.report(0, Outcome::Response(500), 3);
    stage.attend();
    assert!(stage.ejected().is_empty());
    let mut stage = Stage::new(3, OutlierDetection { always_eject_one_host: true, ..quarter });
    (0..3).for_each(|host| stage.report(host, Outcome::Response(500), 3));
    stage.attend();
    assert_eq!(stage.ejected(), [0]);
}

#[test]
fn a_percentage_of_cases_is_enforced() {
    let mut half = settings();
    half.enforcing.consecutive_5xx = 50;
    let mut stage = Stage::new(2, half);
    stage.random = 150;
    stage.report(0, Outcome::Response(500), 3);
    assert!(matches!(stage.attend()[0].kind, EventKind::Eject { enforced: false, .. }));
    stage.random = 249;
    stage.report(0, Outcome::Response(500), 3);
    assert!(matches!(stage.attend()[0].kind, EventKind::Eject { enforced: true, .. }));
    assert_eq!(stage.stat(Stat::DetectedConsecutive5xx), 2);
}

fn load(stage: &Stage, host: usize, good: usize, bad: usize) {
    for _ in 0..bad {
        stage.report(host, Outcome::Response(500), 1);
        stage.report(host, Outcome::Response(200), 1);
    }
    stage.report(host, Outcome::Response(200), good - bad);
}

#[test]
fn a_rate_far_below_the_others_ejects() {
    let mut stage = Stage::new(6, settings());
    for host in 0..5 {
        load(&stage, host, 100, 0);
    }
    // Too few requests to be judged.
    load(&stage, 5, 20, 20);
    stage.look_after(SECOND);
    assert!(stage.ejected().is_empty());
    assert_eq!(stage.detector.success_rate(0, Origin::External), Some(100.0));
    assert_eq!(stage.detector.success_rate(5, Origin::External), None);
    for host in 0..4 {
        load(&stage, host, 100, 0);
    }
    load(&stage, 4, 100, 100);
    let events = stage.look_after(SECOND);
    assert!(is_ejection(&events[0], Cause::SuccessRate), "{events:?}");
    let EventKind::Eject { success_rate, comparison, .. } = events[0].kind else { panic!() };
    assert_eq!(success_rate, Some(50.0));
    let comparison = comparison.unwrap();
    assert_eq!(Some(comparison), stage.detector.comparison(Origin::External));
    assert!((comparison.average - 90.0).abs() < 1e-9);
    assert!((comparison.ejection_threshold - 52.0).abs() < 1e-9);
    assert_eq!(stage.ejected(), [4]);
    assert_eq!(stage.stat(Stat::EnforcedSuccessRate), 1);
    stage.look_after(SECOND);
    assert_eq!(stage.detector.comparison(Origin::External), None);
    assert_eq!(stage.detector.success_rate(0, Origin::External), None);
}

#[test]
fn too_many_failures_of_a_hundred_eject_if_that_is_enforced() {
    let mut enforced = OutlierDetection { failure_percentage_threshold: 30, ..settings() };
    enforced.enforcing.failure_percentage = 100;
    let mut stage = Stage::new(5, enforced);
    for host in 0..5 {
        load(&stage, host, 40, if host < 3 { 40 } else { 10 });
    }
    let events = stage.look_after(SECOND);
    let causes = events.iter().filter(|event| is_ejection(event, Cause::FailurePercentage));
    assert_eq!(causes.count(), 3, "{events:?}");
    assert_eq!(stage.ejected(), [0, 1, 2]);
    assert_eq!(stage.detector.comparison(Origin::External), None);
}

/// Envoy counts such a host as two ejections, of which it takes back one.
#[test]
fn a_host_that_is_found_twice_at_one_look_is_ejected_once() {
    let mut both = settings();
    both.enforcing.failure_percentage = 100;
    let both = OutlierDetection { failure_percentage_threshold: 40, ..both };
    let mut stage = Stage::new(5, both);
    for host in 0..5 {
        load(&stage, host, 100, if host == 2 { 100 } else { 0 });
    }
    assert_eq!(stage.look_after(SECOND).len(), 1);
    assert_eq!((stage.ejected(), stage.stat(Stat::EjectionsActive)), (vec![2], 1));
    let found = [Stat::DetectedSuccessRate, Stat::DetectedFailurePercentage];
    assert_eq!(found.map(|stat| stage.stat(stat)), [1, 1]);
}

#[test]
fn the_runtime_overrules_the_configuration() {
    let mut stage = Stage::new(2, settings());
    stage.set_runtime(&[
        ("outlier_detection.consecutive_5xx", "1"),
        ("outlier_detection.base_ejection_time_ms", "500"),
        ("outlier_detection.interval_ms", "250"),
        ("outlier_detection.max_ejection_percent", "50"),
    ]);
    assert_eq!(stage.detector.interval(&stage.runtime), Duration::from_millis(250));
    (0..2).for_each(|host| stage.report(host, Outcome::Response(500), 1));
    stage.attend();
    assert_eq!(stage.ejected(), [0]);
    assert_eq!(stage.look_after(Duration::from_millis(500)).len(), 1);
    stage.set_runtime(&[("outlier_detection.enforcing_consecutive_5xx", "0")]);
    stage.report(0, Outcome::Response(500), 3);
    stage.attend();
    assert!(stage.ejected().is_empty());
}
