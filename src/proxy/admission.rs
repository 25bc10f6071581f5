//! Who may come in: the limits of connections, one count each for the whole process, exact.
//!
//! **Invariant:** no more connections hold a place than there are, whatever the workers do; only
//! those that another listener hands off are let in beyond, as in Envoy.

use std::sync::Arc;

use base::Limit;
use config::{RuntimeSnapshot, model};
use filter::{BucketsByKey, SharedFilters};
use observe::Scope;
use observe::names::ListenerStat;

use crate::balance::{Balance, Seat};
use crate::http::Prepared;

/// One of a limit's places, given back on drop.
#[derive(Debug)]
struct Place(Arc<Limit>);

impl Place {
    fn take(limit: &Arc<Limit>) -> Option<Self> {
        limit.try_take().map(|_| Self(Arc::clone(limit)))
    }

    /// Even where the limit is reached.
    fn take_beyond(limit: &Arc<Limit>) -> Self {
        limit.take();
        Self(Arc::clone(limit))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.give_back();
    }
}

/// What all workers share of one listener.
#[derive(Debug)]
pub struct ListenerShared {
    global: Option<Arc<Limit>>,
    /// If the runtime has a value for it, or may get one.
    own: Option<(String, Arc<Limit>)>,
    pub(crate) filters: SharedFilters,
    /// By filter chain: what every worker reads of its connection manager, if it has one.
    pub(crate) managers: Box<[Option<Arc<Prepared>>]>,
    /// One for each address, if the listener balances exactly.
    pub(crate) balances: Box<[Arc<Balance>]>,
}

impl ListenerShared {
    /// For a listener on `workers` workers; `global` limits all listeners together, and `buckets`
    /// are what their rate limits share. Limits of `runtime` count from the first
    /// [`ListenerShared::follow_runtime`] on.
    #[must_use]
    pub fn new(
        config: &model::Listener,
        runtime: &model::Runtime,
        global: Option<&Arc<Limit>>,
        buckets: &mut BucketsByKey,
        workers: usize,
    ) -> Arc<Self> {
        let addresses = match config.sockets.balance {
            model::ConnectionBalance::Exact => config.sockets.addresses().count(),
            model::ConnectionBalance::Kernel | model::ConnectionBalance::CpuLocality => 0,
        };
        let key = model::Listener::connections_key(&config.name);
        Arc::new(Self {
            global: global.filter(|_| !config.ignore_global_connection_limit).cloned(),
            own: runtime.may_have(&key).then(|| (key, Arc::new(Limit::new(Limit::HIGHEST)))),
            filters: SharedFilters::new(config, buckets),
            managers: config.chains().map(Prepared::of_chain).collect(),
            balances: (0..addresses).map(|_| Balance::new(workers)).collect(),
        })
    }

    /// Takes over what `runtime` says of the listener and its filters.
    pub fn follow_runtime(&self, runtime: &RuntimeSnapshot) {
        self.filters.follow_runtime(runtime);
        self.managers.iter().flatten().for_each(|manager| manager.limits.follow_runtime(runtime));
        if let Some((key, limit)) = &self.own {
            limit.set_max(runtime.integer(key, Limit::HIGHEST));
        }
    }

    /// Admits one more connection, or counts why not.
    pub(crate) fn admit(&self, stats: &Scope<ListenerStat>) -> Result<Admission, Refused> {
        let take = |limit: Option<&Arc<Limit>>, overflow| match limit {
            None => Ok(None),
            Some(limit) => Place::take(limit).map(Some).ok_or_else(|| {
                stats.inc(overflow);
                Refused
            }),
        };
        // In Envoy's order.
        let global = take(self.global.as_ref(), ListenerStat::DownstreamGlobalCxOverflow)?;
        let own =
            take(self.own.as_ref().map(|(_, limit)| limit), ListenerStat::DownstreamCxOverflow)?;
        if global.is_none() && own.is_none() {
            return Ok(Admission(None));
        }
        Ok(Admission(Some(Box::new(Held { global, _own: own, seat: None }))))
    }
}

/// There is no room for another connection. It has been counted.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refused;

/// What a connection holds as long as it is there; nothing, as a rule.
#[derive(Debug)]
pub(crate) struct Admission(Option<Box<Held>>);

#[derive(Debug, Default)]
struct Held {
    global: Option<Place>,
    _own: Option<Place>,
    seat: Option<Seat>,
}

impl Admission {
    /// The connection goes to another listener, `to`, on the worker `seat` counts it for, if that
    /// counts. As in Envoy, the limit of that listener is not asked, and counts it.
    pub(crate) fn handed_off(self, to: &ListenerShared, seat: Option<Seat>) -> Self {
        let global = self.0.and_then(|held| held.global);
        let own = to.own.as_ref().map(|(_, limit)| Place::take_beyond(limit));
        if global.is_none() && own.is_none() && seat.is_none() {
            return Self(None);
        }
        Self(Some(Box::new(Held { global, _own: own, seat })))
    }

    /// The connection belongs to the worker that `seat` counts it for.
    pub(crate) fn seated(mut self, seat: Seat) -> Self {
        self.0.get_or_insert_default().seat = Some(seat);
        self
    }
}

#[cfg(test)]
mod tests {
    use config::model::RuntimeValue;
    use config::{RuntimeEntry, RuntimeValues};
    use observe::{Registry, ShardIndex};

    use super::*;
    use crate::tests::listener_config;

    fn shared(global: Option<&Arc<Limit>>, own: Option<u64>) -> Arc<ListenerShared> {
        let config = listener_config(model::TerminalFilter::Echo);
        let key = model::Listener::connections_key(&config.name);
        let max = own.map(|max| (key, RuntimeEntry::parse(&max.to_string())));
        let value = |(key, _): &(String, RuntimeEntry)| (key.clone(), RuntimeValue::Number(0.0));
        let source = model::RuntimeSource::Static(max.iter().map(value).collect());
        let layer = model::RuntimeLayer { name: String::new(), source };
        let runtime = model::Runtime { layers: vec![layer] };
        let mut buckets = BucketsByKey::default();
        let shared = ListenerShared::new(&config, &runtime, global, &mut buckets, 1);
        let values = RuntimeValues { name: String::new(), values: max.into_iter().collect() };
        shared.follow_runtime(&RuntimeSnapshot::new(vec![values]));
        shared
    }

    #[test]
    fn a_connection_over_a_limit_is_refused_and_counted_by_the_limit_it_met() {
        let registry = Registry::new(1);
        let scope = registry.scope::<ListenerStat>("listener.l");
        let stats = scope.on(&registry.shard(ShardIndex::Worker(0)).unwrap());
        let global = Arc::new(Limit::new(2));
        let (one, other) = (shared(Some(&global), Some(1)), shared(Some(&global), None));
        let first = one.admit(&stats).unwrap();
        assert!(one.admit(&stats).is_err());
        // The place that the refused one had of the global limit is free again.
        let second = other.admit(&stats).unwrap();
        assert!(other.admit(&stats).is_err() && one.admit(&stats).is_err());
        assert_eq!(scope.total(ListenerStat::DownstreamCxOverflow), 1);
        assert_eq!(scope.total(ListenerStat::DownstreamGlobalCxOverflow), 2);
        drop(first);
        drop((one.admit(&stats).unwrap(), second));
        assert_eq!(global.used(), 0);
        assert!(shared(None, None).admit(&stats).unwrap().0.is_none(), "nothing is allocated");
        assert!(shared(None, Some(0)).admit(&stats).is_err());
    }
}
