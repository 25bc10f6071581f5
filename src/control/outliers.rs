//! The detectors of outliers: each cluster's is attended to when workers raise the alarm, and looks
//! at its hosts at each interval.
//!
//! What they decide on is in `cluster`; here are the clock, the randomness and the tasks. A line of
//! JSON for each event goes to whoever keeps the log of them.
//!
//! **Invariant:** a detector is borrowed within one turn of the loop only.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use cluster::{Detector, Event, EventKind, Shared, Situation};
use observe::Shard;
use serde_json::{Map, Value, json};
use tokio::sync::Notify;
use tokio::task::spawn_local;
use tokio::time::sleep;

use crate::clock;
use crate::runtime::Runtime;

/// Where the events of outlier detection go.
pub struct EventLog(Box<dyn Fn(String)>);

impl EventLog {
    /// `write` takes each event as a line of JSON, without the line's end. It must not block.
    pub fn new(write: impl Fn(String) + 'static) -> Self {
        Self(Box::new(write))
    }
}

impl fmt::Debug for EventLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EventLog")
    }
}

/// However short an interval the runtime says, the loop has time for others.
const INTERVAL_MIN: Duration = Duration::from_millis(1);

/// The detectors of all clusters that have one.
pub(crate) struct Outliers {
    by_cluster: HashMap<String, Rc<Guard>>,
    /// Rung when a host was ejected.
    pub(crate) ejected: Notify,
    runtime: Rc<Runtime>,
    log: Option<EventLog>,
    random: RandomState,
    drawn: Cell<u64>,
}

impl fmt::Debug for Outliers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outliers").field("clusters", &self.by_cluster.len()).finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct Guard {
    detector: RefCell<Detector>,
    /// Rung by workers.
    alarm: Arc<Notify>,
}

impl Outliers {
    pub(crate) fn new(
        clusters: &[Arc<Shared>],
        shard: &Shard,
        runtime: &Rc<Runtime>,
        log: Option<EventLog>,
    ) -> Rc<Self> {
        let guard = |cluster: &Arc<Shared>| {
            let detector = cluster.detector(shard)?;
            let alarm = Arc::new(Notify::new());
            let rung = Arc::clone(&alarm);
            detector.set_alarm(move || rung.notify_one());
            let guard = Guard { detector: RefCell::new(detector), alarm };
            Some((cluster.config().name.clone(), Rc::new(guard)))
        };
        Rc::new(Self {
            by_cluster: clusters.iter().filter_map(guard).collect(),
            ejected: Notify::new(),
            runtime: Rc::clone(runtime),
            log,
            random: RandomState::new(),
            drawn: Cell::new(0),
        })
    }

    /// Calls `show` with the detector of the cluster called `name`, if it has one.
    pub(crate) fn of<T>(&self, name: &str, show: impl FnOnce(&Detector) -> T) -> Option<T> {
        self.by_cluster.get(name).map(|guard| show(&guard.detector.borrow()))
    }

    /// Starts a task for each detector, in the set that the caller runs in.
    pub(crate) fn start(self: &Rc<Self>) {
        for guard in self.by_cluster.values() {
            let (this, guard) = (Rc::clone(self), Rc::clone(guard));
            spawn_local(async move { this.watch(&guard).await });
        }
    }

    async fn watch(&self, guard: &Guard) {
        loop {
            let interval = guard.detector.borrow().interval(&self.runtime.snapshot());
            let mut over = pin!(sleep(interval.max(INTERVAL_MIN)));
            loop {
                tokio::select! {
                    () = guard.alarm.notified() => self.decide(guard, Detector::attend),
                    () = &mut over => break,
                }
            }
            self.decide(guard, Detector::look);
        }
    }

    fn decide(&self, guard: &Guard, decide: fn(&mut Detector, &mut Situation<'_>)) {
        let mut events = Vec::new();
        let mut random = || {
            self.drawn.set(self.drawn.get().wrapping_add(1));
            self.random.hash_one(self.drawn.get())
        };
        let mut situation = Situation {
            now: clock::now(),
            runtime: &self.runtime.snapshot(),
            random: &mut random,
            events: &mut events,
        };
        decide(&mut guard.detector.borrow_mut(), &mut situation);
        for event in &events {
            self.tell(event);
        }
    }

    fn tell(&self, event: &Event) {
        let Event { cluster, host, ejections, kind, .. } = event;
        match kind {
            EventKind::Eject { cause, enforced: true, .. } => {
                tracing::debug!(cluster, %host, ejections, cause = cause.name(), "ejected");
                self.ejected.notify_one();
            }
            EventKind::Eject { .. } => {}
            EventKind::Uneject => tracing::debug!(cluster, %host, ejections, "let back in"),
        }
        if let Some(EventLog(write)) = &self.log {
            write(line(event, &clock::wall_now()).to_string());
        }
    }
}

/// Envoy's `data.cluster.v3.OutlierDetectionEvent`, with every field that is no message.
fn line(event: &Event, time: &prost_types::Timestamp) -> Value {
    let mut line = Map::new();
    let (cause, action, is_enforced) = match event.kind {
        EventKind::Eject { cause, enforced, .. } => (cause.name(), "EJECT", enforced),
        // The first of the names stands for none.
        EventKind::Uneject => ("CONSECUTIVE_5XX", "UNEJECT", false),
    };
    line.insert("type".to_owned(), json!(cause));
    line.insert("timestamp".to_owned(), json!(time.to_string()));
    if let Some(since) = event.since_last {
        // A 64-bit number, which JSON renderings of protobuf write as a string.
        line.insert("secs_since_last_action".to_owned(), json!(since.as_secs().to_string()));
    }
    line.insert("cluster_name".to_owned(), json!(event.cluster));
    line.insert("upstream_url".to_owned(), json!(event.host.to_string()));
    line.insert("action".to_owned(), json!(action));
    line.insert("num_ejections".to_owned(), json!(event.ejections));
    line.insert("enforced".to_owned(), json!(is_enforced));
    let EventKind::Eject { success_rate, comparison, .. } = event.kind else {
        return Value::Object(line);
    };
    let (name, more) = match (success_rate, comparison) {
        (Some(rate), Some(others)) => {
            let more = json!({
                "host_success_rate": whole(rate),
                "cluster_average_success_rate": whole(others.average),
                "cluster_success_rate_ejection_threshold": whole(others.ejection_threshold),
            });
            ("eject_success_rate_event", more)
        }
        (Some(rate), None) => {
            ("eject_failure_percentage_event", json!({ "host_success_rate": whole(rate) }))
        }
        (None, _) => ("eject_consecutive_event", json!({})),
    };
    line.insert(name.to_owned(), more);
    Value::Object(line)
}

/// Without what is behind the point.
fn whole(percent: f64) -> u8 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the point is to drop the rest, and it is in the range"
    )]
    let whole = percent.clamp(0.0, 100.0) as u8;
    whole
}

#[cfg(test)]
mod tests {
    use base::Address;
    use cluster::{Cause, Comparison};

    use super::*;

    fn line_of(kind: EventKind, since_last: Option<Duration>) -> String {
        let host = Address::Ip(([127, 0, 0, 1], 80).into());
        let event = Event { cluster: "c".to_owned(), host, ejections: 2, since_last, kind };
        let time = prost_types::Timestamp { seconds: 1_800_000_000, nanos: 155_000_000 };
        line(&event, &time).to_string()
    }

    /// Each as Envoy 1.40 has written it.
    #[test]
    fn events_are_written_as_envoy_writes_them() {
        let eject = |cause, enforced, success_rate, comparison| EventKind::Eject {
            cause,
            enforced,
            success_rate,
            comparison,
        };
        assert_eq!(
            line_of(eject(Cause::Consecutive5xx, true, None, None), None),
            r#"{"type":"CONSECUTIVE_5XX","timestamp":"2027-01-15T08:00:00.155Z","#.to_owned()
                + r#""cluster_name":"c","upstream_url":"127.0.0.1:80","action":"EJECT","#
                + r#""num_ejections":2,"enforced":true,"eject_consecutive_event":{}}"#
        );
        assert_eq!(
            line_of(EventKind::Uneject, Some(Duration::from_millis(4999))),
            r#"{"type":"CONSECUTIVE_5XX","timestamp":"2027-01-15T08:00:00.155Z","#.to_owned()
                + r#""secs_since_last_action":"4","cluster_name":"c","#
                + r#""upstream_url":"127.0.0.1:80","action":"UNEJECT","num_ejections":2,"#
                + r#""enforced":false}"#
        );
        let others = Comparison { average: 66.667, ejection_threshold: -19.5 };
        let line = line_of(eject(Cause::SuccessRate, true, Some(0.0), Some(others)), None);
        let end = r#""enforced":true,"eject_success_rate_event":{"host_success_rate":0,"#
            .to_owned()
            + r#""cluster_average_success_rate":66,"cluster_success_rate_ejection_threshold":0}}"#;
        assert!(line.ends_with(&end), "{line}");
        let line = line_of(eject(Cause::FailurePercentage, false, Some(12.9), None), None);
        let end = r#""enforced":false,"eject_failure_percentage_event":{"host_success_rate":12}}"#;
        assert!(line.ends_with(end), "{line}");
    }
}
