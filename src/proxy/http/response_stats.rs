//! `cluster.<name>.upstream_rq_*` of responses: classes, codes and times, in Envoy's double books.

use std::cell::OnceCell;
use std::time::Duration;

use cluster::Cluster;
use observe::names::{
    ClusterStat, Code1xx, Code2xx, Code3xx, Code4xx, Code5xx, ResponseClassStat,
    ResponseOriginStat, cluster_prefix,
};
use observe::{Registry, Scope, Shard};

use crate::worker_context::WorkerContext;

/// The responses of one cluster on one worker: all of them, and those to requests from outside.
/// (Nothing is internal as long as no address is configured to be.)
#[derive(Debug)]
pub(crate) struct ResponseStats {
    completed: Scope<ClusterStat>,
    all: Book,
    external_completed: Scope<ResponseOriginStat>,
    external: Book,
}

impl ResponseStats {
    pub(crate) fn new(cluster: &Cluster, context: WorkerContext<'_>) -> Self {
        let prefix = cluster_prefix(&cluster.config().stat_name);
        let external = format!("{prefix}.external");
        Self {
            completed: cluster.stats().clone(),
            all: Book::new(prefix, context),
            external_completed: context.registry.scope(&external).on(context.shard),
            external: Book::new(external, context),
        }
    }

    /// Counts a response, or a reply of ours in place of one.
    pub(crate) fn count(&self, status: u16) {
        self.completed.inc(ClusterStat::UpstreamRqCompleted);
        self.external_completed.inc(ResponseOriginStat::Completed);
        self.all.count(status);
        self.external.count(status);
    }

    /// Records how long a response took.
    pub(crate) fn time(&self, duration: Duration) {
        for book in [&self.all, &self.external] {
            book.classes.record_duration(ResponseClassStat::Time, duration);
        }
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
    fn new(prefix: String, context: WorkerContext<'_>) -> Self {
        Self {
            classes: context.registry.scope(&prefix).on(context.shard),
            prefix,
            registry: context.registry.clone(),
            shard: context.shard.clone(),
            codes_1xx: OnceCell::new(),
            codes_2xx: OnceCell::new(),
            codes_3xx: OnceCell::new(),
            codes_4xx: OnceCell::new(),
            codes_5xx: OnceCell::new(),
        }
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
