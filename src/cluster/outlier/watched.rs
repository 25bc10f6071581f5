//! What workers and control share of the hosts of one cluster.

use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::Ordering::{self, Relaxed};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64};

use config::RuntimeSnapshot;
use config::model::OutlierDetection;
use observe::names::OutlierHostStat;
use observe::{Registry, ScopeId};

/// Failures of one kind in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Streak {
    /// 502, 503 and 504.
    GatewayFailure,
    /// Any 5xx.
    Error5xx,
    /// Failed connects, if they count apart.
    LocalOriginFailure,
}

impl Streak {
    /// In the order in which Envoy hears of those that one answer ends.
    pub(crate) const ALL: [Self; 3] =
        [Self::GatewayFailure, Self::Error5xx, Self::LocalOriginFailure];

    fn bit(self) -> u8 {
        1 << self as u8
    }

    /// What is configured, and what the runtime calls it.
    fn limit(self, config: &OutlierDetection) -> (u32, &'static str) {
        match self {
            Self::GatewayFailure => {
                (config.consecutive_gateway_failure, "consecutive_gateway_failure")
            }
            Self::Error5xx => (config.consecutive_5xx, "consecutive_5xx"),
            Self::LocalOriginFailure => {
                (config.consecutive_local_origin_failure, "consecutive_local_origin_failure")
            }
        }
    }
}

/// The hosts of one cluster.
// Relaxed wherever nothing is said: each count stands for itself.
#[derive(Debug)]
pub(crate) struct Watched {
    /// How many in a row are too many, in the order of `Streak`.
    limits: [AtomicU64; Streak::ALL.len()],
    /// Connects count apart.
    splits: bool,
    hosts: Box<[WatchedHost]>,
    /// How often the health of a host has changed.
    changes: AtomicU64,
    alarm: OnceLock<Alarm>,
}

/// Tells control that there is something to decide. Called on workers' threads.
struct Alarm(Box<dyn Fn() + Send + Sync>);

impl fmt::Debug for Alarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Alarm")
    }
}

#[derive(Debug)]
struct WatchedHost {
    in_a_row: [AtomicU64; Streak::ALL.len()],
    /// The streaks that control has not heard of yet.
    reached: AtomicU8,
    is_ejected: AtomicBool,
    ejections: AtomicU64,
    counts: ScopeId<OutlierHostStat>,
}

impl Watched {
    pub(crate) fn new(config: &OutlierDetection, hosts: usize, registry: &Registry) -> Self {
        let host = |_| WatchedHost {
            in_a_row: Default::default(),
            reached: AtomicU8::new(0),
            is_ejected: AtomicBool::new(false),
            ejections: AtomicU64::new(0),
            counts: registry.unlisted(),
        };
        Self {
            limits: Streak::ALL.map(|streak| AtomicU64::new(streak.limit(config).0.into())),
            splits: config.split_local_origin,
            hosts: (0..hosts).map(host).collect(),
            changes: AtomicU64::new(0),
            alarm: OnceLock::new(),
        }
    }

    /// Takes over how many in a row the runtime says are too many.
    pub(crate) fn follow_runtime(&self, runtime: &RuntimeSnapshot, config: &OutlierDetection) {
        for streak in Streak::ALL {
            let (limit, key) = streak.limit(config);
            let key = format!("{}{key}", OutlierDetection::RUNTIME_PREFIX);
            self.limits[streak as usize].store(runtime.integer(&key, limit.into()), Relaxed);
        }
    }

    /// Sets what workers call once a streak is reached. To be called once, and before anybody
    /// waits for the call: what was reached until then is there to be found.
    pub(crate) fn set_alarm(&self, alarm: impl Fn() + Send + Sync + 'static) {
        let _set_before = self.alarm.set(Alarm(Box::new(alarm)));
    }

    pub(crate) fn splits(&self) -> bool {
        self.splits
    }

    /// Where answers of the host are counted.
    pub(crate) fn counts(&self, host: usize) -> Option<&ScopeId<OutlierHostStat>> {
        Some(&self.hosts.get(host)?.counts)
    }

    /// One more failure in a row. The one that reaches the limit raises the alarm, and those behind
    /// it do not.
    pub(crate) fn failed(&self, host: usize, streak: Streak) {
        let Some(host) = self.hosts.get(host) else { return };
        let before = host.in_a_row[streak as usize].fetch_add(1, Relaxed);
        if before + 1 == self.limits[streak as usize].load(Relaxed) {
            host.reached.fetch_or(streak.bit(), Relaxed);
            if let Some(Alarm(alarm)) = self.alarm.get() {
                alarm();
            }
        }
    }

    /// A row of failures is over. Reads first: mostly there is none.
    pub(crate) fn end(&self, host: usize, streak: Streak) {
        let Some(host) = self.hosts.get(host) else { return };
        let in_a_row = &host.in_a_row[streak as usize];
        if in_a_row.load(Relaxed) != 0 {
            in_a_row.store(0, Relaxed);
        }
    }

    /// Takes what control has not heard of yet.
    pub(crate) fn take_reached(&self, host: usize) -> impl Iterator<Item = Streak> + use<> {
        let reached = self.hosts.get(host).map_or(0, |host| host.reached.swap(0, Relaxed));
        Streak::ALL.into_iter().filter(move |streak| reached & streak.bit() != 0)
    }

    /// Whether a host is left out now.
    pub(crate) fn is_ejected(&self, host: usize) -> bool {
        self.hosts.get(host).is_some_and(|host| host.is_ejected.load(Relaxed))
    }

    /// How often a host was left out.
    pub(crate) fn ejections(&self, host: usize) -> u64 {
        self.hosts.get(host).map_or(0, |host| host.ejections.load(Relaxed))
    }

    /// Leaves a host out, or lets it back in.
    pub(crate) fn set_ejected(&self, host: usize, is_ejected: bool) {
        let Some(host) = self.hosts.get(host) else { return };
        host.is_ejected.store(is_ejected, Relaxed);
        host.ejections.fetch_add(is_ejected.into(), Relaxed);
        // Release: who sees the change sees the flag.
        self.changes.fetch_add(1, Ordering::Release);
    }

    /// How often the health of a host has changed; what is read after it is as new as that.
    pub(crate) fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }
}
