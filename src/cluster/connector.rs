//! Sockets to hosts: where they are bound and what they are set to.
//!
//! Of Envoy's moments for socket options only the one before bind(2) comes for these sockets: it
//! sets no others on a connection of its own.
//!
//! <https://www.envoyproxy.io/docs/envoy/latest/api-v3/config/core/v3/address.proto#config-core-v3-bindconfig>

use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use base::Address;
use config::model::{self, SocketState};
use net::socket_options::{self, TimedOption};
use reactor::{Reactor, Socket, SocketOption};

/// How the connections of one cluster begin on one worker.
#[derive(Debug)]
pub(crate) struct Connector {
    reactor: Reactor,
    cluster: String,
    timeout: Duration,
    /// Without a source address, and for Unix-domain sockets.
    unbound: Vec<TimedOption>,
    /// At most one for each version of IP; the first one is for hosts of a version without.
    sources: Vec<(SocketAddr, Vec<TimedOption>)>,
    freebind: Option<bool>,
    keepalive: Option<model::TcpKeepalive>,
}

/// Why there is no connection.
#[derive(Debug)]
pub(crate) enum ConnectError {
    /// The source address could not be bound.
    Bind(SocketAddr, io::Error),
    /// A socket option could not be set.
    SocketOption,
    /// No socket was to be had, or the host cannot be connected to.
    Connect(io::Error),
    /// The host did not answer in time.
    Timeout,
}

impl Connector {
    pub(crate) fn new(reactor: &Reactor, config: &model::Cluster) -> Self {
        let sockets = &config.sockets;
        let source = |source: &model::SourceAddress| {
            let mut options = Vec::new();
            if source.address.port() == 0 {
                options.push(TimedOption::prebind(SocketOption::bind_address_no_port()));
            }
            let own = source.socket_options.as_ref().unwrap_or(&sockets.socket_options);
            options.extend(socket_options::literal(own));
            (source.address, options)
        };
        Self {
            reactor: reactor.clone(),
            cluster: config.name.clone(),
            timeout: config.connect_timeout,
            unbound: socket_options::literal(&sockets.socket_options).collect(),
            sources: sockets.sources.iter().map(source).collect(),
            freebind: sockets.freebind,
            keepalive: sockets.tcp_keepalive,
        }
    }

    /// A socket that is connected to `host`, within the cluster's `connect_timeout`.
    pub(crate) async fn connect(&self, host: &Address) -> Result<Socket, ConnectError> {
        let mut connecting = pin!(self.dial(host));
        let mut expiry = pin!(self.reactor.sleep(self.timeout));
        poll_fn(|context| {
            if let Poll::Ready(result) = connecting.as_mut().poll(context) {
                return Poll::Ready(result);
            }
            expiry.as_mut().poll(context).map(|()| Err(ConnectError::Timeout))
        })
        .await
    }

    async fn dial(&self, host: &Address) -> Result<Socket, ConnectError> {
        let socket = self.reactor.open_socket(host).map_err(ConnectError::Connect)?;
        self.prepare(&socket, host)?;
        self.reactor.connect_socket(&socket, host).await.map_err(ConnectError::Connect)?;
        Ok(socket)
    }

    fn prepare(&self, socket: &Socket, host: &Address) -> Result<(), ConnectError> {
        let source = self.source_for(host);
        let options = source.map_or(&self.unbound, |(_, options)| options);
        let mut own = socket_options::keepalive(self.keepalive, host);
        if let (Some(on), Some(host)) = (self.freebind, host.ip()) {
            own.push(TimedOption::prebind(SocketOption::freebind(host.is_ipv6(), on)));
        }
        for options in [&own, options] {
            let set = socket_options::set(socket, options, SocketState::Prebind, host);
            set.map_err(|(option, error)| {
                let cluster = &self.cluster;
                tracing::warn!(%host, cluster, "Setting {option} option on socket failed: {error}");
                ConnectError::SocketOption
            })?;
        }
        let Some((address, _)) = source else { return Ok(()) };
        socket.bind(&Address::Ip(*address)).map_err(|error| ConnectError::Bind(*address, error))
    }

    fn source_for(&self, host: &Address) -> Option<&(SocketAddr, Vec<TimedOption>)> {
        let host = host.ip()?;
        let fits = |source: &&(SocketAddr, _)| source.0.is_ipv6() == host.is_ipv6();
        self.sources.iter().find(fits).or(self.sources.first())
    }
}
