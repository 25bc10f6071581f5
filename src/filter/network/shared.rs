//! What all workers share of network filters: made once, before any worker starts.

use std::collections::HashMap;
use std::sync::Arc;

use base::Limit;
use config::RuntimeSnapshot;
use config::model::{self, NetworkFilter};

use super::switch::Switch;
use super::token_bucket::TokenBucket;

/// The token buckets of the process that go by a `share_key`.
#[derive(Debug, Default)]
pub struct BucketsByKey(HashMap<(String, model::TokenBucket), Arc<TokenBucket>>);

/// What all workers share of the network filters of one listener.
#[derive(Debug)]
pub struct SharedFilters {
    /// For each chain in the order of [`model::Listener::chains`], for each of its filters.
    chains: Box<[Box<[SharedFilter]>]>,
}

/// The configuration of a filter, and what workers share of it.
#[derive(Debug)]
pub(super) enum SharedFilter {
    ConnectionLimit(model::ConnectionLimit, Arc<Switch>, Arc<Limit>),
    LocalRateLimit(model::LocalRateLimit, Arc<Switch>, Arc<TokenBucket>),
    Rbac(model::Rbac),
    SetFilterState(model::SetFilterState),
}

impl SharedFilters {
    /// For the filters of `listener`. `buckets` has those of the listeners before, and gets those
    /// of this one.
    #[must_use]
    pub fn new(listener: &model::Listener, buckets: &mut BucketsByKey) -> Self {
        let switch = |flag: &model::RuntimeFlag| Arc::new(Switch::new(flag.clone()));
        let mut filter = |filter: &NetworkFilter| match filter {
            NetworkFilter::ConnectionLimit(config) => {
                let limit = Arc::new(Limit::new(config.max_connections));
                SharedFilter::ConnectionLimit(config.clone(), switch(&config.enabled), limit)
            }
            NetworkFilter::LocalRateLimit(config) => {
                let bucket = buckets.bucket(config);
                SharedFilter::LocalRateLimit(config.clone(), switch(&config.enabled), bucket)
            }
            NetworkFilter::Rbac(config) => SharedFilter::Rbac(config.clone()),
            NetworkFilter::SetFilterState(config) => SharedFilter::SetFilterState(config.clone()),
        };
        let mut chain =
            |chain: &model::FilterChain| chain.filters.iter().map(&mut filter).collect();
        Self { chains: listener.chains().map(&mut chain).collect() }
    }

    /// Turns the filters on and off as `runtime` says.
    pub fn follow_runtime(&self, runtime: &RuntimeSnapshot) {
        for filter in self.chains.iter().flatten() {
            match filter {
                SharedFilter::ConnectionLimit(_, switch, _)
                | SharedFilter::LocalRateLimit(_, switch, _) => switch.follow_runtime(runtime),
                SharedFilter::Rbac(_) | SharedFilter::SetFilterState(_) => {}
            }
        }
    }

    pub(super) fn of_chain(&self, index: usize) -> &[SharedFilter] {
        self.chains.get(index).map_or(&[], |filters| filters)
    }
}

impl BucketsByKey {
    fn bucket(&mut self, config: &model::LocalRateLimit) -> Arc<TokenBucket> {
        let new = || Arc::new(TokenBucket::new(&config.bucket));
        match &config.share_key {
            None => new(),
            Some(key) => {
                let key = (key.clone(), config.bucket.clone());
                Arc::clone(self.0.entry(key).or_insert_with(new))
            }
        }
    }
}
