//! The network filters before the one that ends a chain.
//!
//! A connection passes them twice: when it is new ([`NetworkFilters::let_in`]), each filter in
//! turn, and once more when its first bytes or its end have come ([`NetworkFilters::let_through`]),
//! those that wait for that. After that they are out of the data path.
//!
//! <https://www.envoyproxy.io/docs/envoy/latest/configuration/listeners/network_filters/network_filters>

mod connection_limit;
mod local_ratelimit;
mod rbac;
mod shared;
mod switch;
mod token_bucket;

use std::time::Duration;

use observe::{Registry, ResponseFlag, Shard};
use reactor::Reactor;

pub use connection_limit::ConnectionToken;
pub use shared::{BucketsByKey, SharedFilters};

use crate::ends::Ends;
use crate::filter_state::{StateFormats, StateHolder, StateSetter};
use connection_limit::ConnectionLimit;
use local_ratelimit::LocalRateLimit;
use rbac::Rbac;
use shared::SharedFilter;

/// What a filter says about a connection.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// The next filter is asked.
    Continue,
    /// The connection is closed, after it was held for so long. No filter behind this one sees it.
    Close(Option<Duration>, Close),
}

/// Why a filter closes a connection, for its access log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Close {
    /// The response flag, if it sets one.
    pub flag: Option<ResponseFlag>,
    /// `%DOWNSTREAM_LOCAL_CLOSE_REASON%`.
    pub reason: &'static str,
    /// `%CONNECTION_TERMINATION_DETAILS%`.
    pub details: Option<String>,
}

/// The filters of one filter chain on one worker, but for the last.
#[derive(Debug)]
pub struct NetworkFilters {
    filters: Box<[Filter]>,
}

#[derive(Debug)]
enum Filter {
    ConnectionLimit(ConnectionLimit),
    LocalRateLimit(LocalRateLimit),
    Rbac(Rbac),
    SetFilterState { on_new_connection: StateSetter, on_downstream_data: StateSetter },
}

/// The connection that filters are asked about.
pub trait Subject {
    /// A filter will close the connection, now or later.
    fn refusing(&self, close: &Close);

    /// What filters leave on it.
    fn state(&self) -> impl StateHolder;
}

impl NetworkFilters {
    /// The filters of the chain at the place `index` of [`config::model::Listener::chains`]. Their
    /// stats are those of `shard`.
    #[must_use]
    pub fn new(
        index: usize,
        shared: &SharedFilters,
        formats: StateFormats<'_>,
        registry: &Registry,
        shard: &Shard,
    ) -> Self {
        let filter = |filter: &SharedFilter| match filter {
            SharedFilter::ConnectionLimit(config, switch, limit) => {
                let shared = (switch, limit);
                Filter::ConnectionLimit(ConnectionLimit::new(config, shared, registry, shard))
            }
            SharedFilter::LocalRateLimit(config, switch, bucket) => {
                let shared = (switch, bucket);
                Filter::LocalRateLimit(LocalRateLimit::new(config, shared, registry, shard))
            }
            SharedFilter::Rbac(config) => Filter::Rbac(Rbac::new(config, registry, shard)),
            SharedFilter::SetFilterState(config) => Filter::SetFilterState {
                on_new_connection: StateSetter::new(&config.on_new_connection, formats),
                on_downstream_data: StateSetter::new(&config.on_downstream_data, formats),
            },
        };
        Self { filters: shared.of_chain(index).iter().map(filter).collect() }
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.filters.is_empty()
    }

    /// Whether one of them waits for the first bytes.
    #[must_use]
    pub fn awaits_data(&self) -> bool {
        self.filters.iter().any(|filter| match filter {
            Filter::Rbac(_) => true,
            Filter::SetFilterState { on_downstream_data, .. } => !on_downstream_data.is_empty(),
            Filter::ConnectionLimit(_) | Filter::LocalRateLimit(_) => false,
        })
    }

    /// Whether one of them leaves something on connections.
    #[must_use]
    pub fn leaves_state(&self) -> bool {
        self.filters.iter().any(|filter| matches!(filter, Filter::SetFilterState { .. }))
    }

    /// Shows a new connection to each filter in turn. Returns when all have let it in, or when it
    /// is to be closed. `held` gets what the connection takes out of limits; it is to live as long
    /// as the connection. `subject` is told at once when a filter will close it.
    ///
    /// # Errors
    /// [`Close`], once the time has passed for which the filter holds the connection.
    pub async fn let_in(
        &self,
        reactor: &Reactor,
        held: &mut Vec<ConnectionToken>,
        subject: &impl Subject,
    ) -> Result<(), Close> {
        for filter in &self.filters {
            let verdict = match filter {
                Filter::ConnectionLimit(filter) => filter.on_new_connection(held),
                Filter::LocalRateLimit(filter) => filter.on_new_connection(reactor.now()),
                Filter::Rbac(_) => Verdict::Continue,
                Filter::SetFilterState { on_new_connection, .. } => {
                    on_new_connection.apply(&mut subject.state());
                    Verdict::Continue
                }
            };
            carried_out(verdict, reactor, subject).await?;
        }
        Ok(())
    }

    /// Asks the filters that waited for the first bytes, now that they have come.
    ///
    /// # Errors
    /// As [`NetworkFilters::let_in`].
    pub async fn let_through(
        &self,
        reactor: &Reactor,
        ends: &Ends,
        subject: &impl Subject,
    ) -> Result<(), Close> {
        for filter in &self.filters {
            match filter {
                Filter::Rbac(filter) => {
                    carried_out(filter.on_first_data(ends), reactor, subject).await?;
                }
                Filter::SetFilterState { on_downstream_data, .. } => {
                    on_downstream_data.apply(&mut subject.state());
                }
                Filter::ConnectionLimit(_) | Filter::LocalRateLimit(_) => {}
            }
        }
        Ok(())
    }
}

async fn carried_out(
    verdict: Verdict,
    reactor: &Reactor,
    subject: &impl Subject,
) -> Result<(), Close> {
    let Verdict::Close(delay, close) = verdict else { return Ok(()) };
    subject.refusing(&close);
    if let Some(delay) = delay {
        reactor.sleep(delay).await;
    }
    Err(close)
}
