//! How long an exchange may take by its route, and by what a gRPC client says.

use std::time::Duration;

use config::model::ForwardAction;

use super::super::carrier::Carrier;
use super::super::grpc;
use super::Exchange;

impl<C: Carrier> Exchange<'_, C> {
    /// Sets when the exchange ends whatever happens, now that its route is known. A route with a
    /// `max_stream_duration` tells the upstream of a call how long it has.
    pub(super) fn limit_duration(&mut self, config: &ForwardAction) {
        let Some(limits) = &config.max_stream_duration else { return };
        let is_call = grpc::is_call(&self.heads.request);
        let of_client = grpc::timeout(&self.heads.request);
        let longest = match (of_client, limits.grpc_timeout_header) {
            (Some(of_client), Some(limits)) => Some(grpc::stream_duration(limits, of_client)),
            _ => match limits.max_stream_duration {
                Some(longest) => Some(longest).filter(|longest| !longest.is_zero()),
                None => self.manager.prepared.config.common.max_stream_duration,
            },
        };
        self.deadlines.duration = longest.map(|longest| self.journal.started() + longest);
        if let Some(longest) = longest.filter(|_| is_call) {
            grpc::tell_timeout(&mut self.heads.request, longest);
        }
    }

    /// Sets for how long nothing may move, now that the route is known.
    pub(super) fn limit_idleness(&mut self, config: &ForwardAction) {
        if let Some(timeout) = config.idle_timeout {
            self.deadlines.idle_timeout = Some(timeout).filter(|timeout| !timeout.is_zero());
        }
    }

    /// How long the response may take, from the end of the request on.
    pub(super) fn response_timeout(&self, config: &ForwardAction) -> Option<Duration> {
        if config.max_stream_duration.is_some() {
            // As Envoy, where the newer timeouts replace the older ones.
            return None;
        }
        match self.call_limits(config) {
            Some(limits) => {
                let timeout = grpc::response_timeout(limits, grpc::timeout(&self.heads.request));
                Some(timeout).filter(|timeout| !timeout.is_zero())
            }
            None => config.timeout,
        }
    }

    /// Tells the upstream of a call with `max_grpc_timeout` how long the response may take.
    pub(super) fn tell_grpc_timeout(&mut self, config: &ForwardAction, timeout: Option<Duration>) {
        if let Some(timeout) = timeout.filter(|_| self.call_limits(config).is_some()) {
            grpc::tell_timeout(&mut self.heads.request, timeout);
        }
    }

    /// `max_grpc_timeout`, if this is a call and nothing newer replaces it.
    fn call_limits(&self, config: &ForwardAction) -> Option<config::model::GrpcTimeout> {
        let limits = config.max_grpc_timeout.filter(|_| config.max_stream_duration.is_none());
        limits.filter(|_| grpc::is_call(&self.heads.request))
    }
}
