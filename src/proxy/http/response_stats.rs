//! `cluster.<name>.upstream_rq_*` of responses: classes, codes and times, in Envoy's double books.

use std::cell::OnceCell;
use std::time::Duration;

use cluster::Cluster;
use observe::names::{
    ClusterStat, Code1xx, Code2xx, Code3xx, Code4xx, Code5xx, ResponseClassStat,
    ResponseOriginStat, cluster_prefix,
};
use observe::{Registry, Scope, Shard};
use proto::{KnownName, ResponseHead};

use crate::worker_context::WorkerContext;

/// The responses of one cluster on one worker: all of them, those to requests from outside, and
/// those of canaries. (Nothing is internal as long as no address is configured to be.)
#[derive(Debug)]
pub(crate) struct ResponseStats {
    completed: Scope<ClusterStat>,
    all: Book,
    external: Part,
    /// Few clusters have any.
    canary: OnceCell<Box<Part>>,
}

impl ResponseStats {
    pub(crate) fn new(cluster: &Cluster, context: WorkerContext<'_>) -> Self {
        let prefix = cluster_prefix(&cluster.config().stat_name);
        let (registry, shard) = (context.registry, context.shard);
        Self {
            completed: cluster.stats().clone(),
            external: Part::new(format!("{prefix}.external"), registry, shard),
            all: Book::new(prefix, registry, shard),
            canary: OnceCell::new(),
        }
    }

    /// Counts a response, or a reply of ours in place of one.
    pub(crate) fn count(&self, status: u16, of: Origin) {
        self.completed.inc(ClusterStat::UpstreamRqCompleted);
        self.all.count(status);
        self.external.count(status);
        if of == Origin::Canary {
            self.canary().count(status);
        }
    }

    /// Records how long a response took.
    pub(crate) fn time(&self, duration: Duration, of: Origin) {
        self.all.time(duration);
        self.external.book.time(duration);
        if of == Origin::Canary {
            self.canary().book.time(duration);
        }
    }

    fn canary(&self) -> &Part {
        self.canary.get_or_init(|| {
            let Book { prefix, registry, shard, .. } = &self.all;
            Box::new(Part::new(format!("{prefix}.canary"), registry, shard))
        })
    }
}

/// Which kind of host a response is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    Usual,
    /// One that runs a new version on trial; it says so in `x-envoy-upstream-canary`.
    Canary,
}

impl Origin {
    pub(crate) fn of(response: &ResponseHead) -> Self {
        match response.headers.get(KnownName::XEnvoyUpstreamCanary) {
            Some(b"true") => Self::Canary,
            _ => Self::Usual,
        }
    }
}

/// A part of a cluster's responses.
#[derive(Debug)]
struct Part {
    completed: Scope<ResponseOriginStat>,
    book: Book,
}

impl Part {
    fn new(prefix: String, registry: &Registry, shard: &Shard) -> Self {
        let completed = registry.scope(&prefix).on(shard);
        Self { completed, book: Book::new(prefix, registry, shard) }
    }

    fn count(&self, status: u16) {
        self.completed.inc(ResponseOriginStat::Completed);
        self.book.count(status);
    }
}

/// One set of counts. A class of codes takes memory once one of them has come.
#[derive(Debug)]
struct Book {
    prefix: String,
    registry: Registry,
    shard: Shard,
    classes: Scope<ResponseClassStat>,
    codes_1xx: OnceCell<Scope<Code1xx>>,
    codes_2xx: OnceCell<Scope<Code2xx>>,
    codes_3xx: OnceCell<Scope<Code3xx>>,
    codes_4xx: OnceCell<Scope<Code4xx>>,
    codes_5xx: OnceCell<Scope<Code5xx>>,
}

impl Book {
    fn new(prefix: String, registry: &Registry, shard: &Shard) -> Self {
        Self {
            classes: registry.scope(&prefix).on(shard),
            prefix,
            registry: registry.clone(),
            shard: shard.clone(),
            codes_1xx: OnceCell::new(),
            codes_2xx: OnceCell::new(),
            codes_3xx: OnceCell::new(),
            codes_4xx: OnceCell::new(),
            codes_5xx: OnceCell::new(),
        }
    }

    fn time(&self, duration: Duration) {
        self.classes.record_duration(ResponseClassStat::Time, duration);
    }

    fn count(&self, status: u16) {
        let code = u8::try_from(status % 100).unwrap_or(0);
        match status / 100 {
            1 => {
                self.classes.inc(ResponseClassStat::Rq1xx);
                self.scope(&self.codes_1xx).inc(Code1xx(code));
            }
            2 => {
                self.classes.inc(ResponseClassStat::Rq2xx);
                self.scope(&self.codes_2xx).inc(Code2xx(code));
            }
            3 => {
                self.classes.inc(ResponseClassStat::Rq3xx);
                self.scope(&self.codes_3xx).inc(Code3xx(code));
            }
            4 => {
                self.classes.inc(ResponseClassStat::Rq4xx);
                self.scope(&self.codes_4xx).inc(Code4xx(code));
            }
            5 => {
                self.classes.inc(ResponseClassStat::Rq5xx);
                self.scope(&self.codes_5xx).inc(Code5xx(code));
            }
            // Envoy counts a code above 599 as completed only.
            _ => {}
        }
    }

    fn scope<'a, S: observe::Stat>(&self, cell: &'a OnceCell<Scope<S>>) -> &'a Scope<S> {
        cell.get_or_init(|| self.registry.scope(&self.prefix).on(&self.shard))
    }
}
