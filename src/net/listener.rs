//! Binding listening sockets: one per worker, all on one address by `SO_REUSEPORT`. A Unix-domain
//! socket has no such option: all workers accept from one.
//!
//! This runs on the control side before a worker starts, in worker order, so that the kernel's
//! choice of socket for a connection follows the workers' numbers, and so that an address that
//! cannot be bound stops the start instead of half of it.

use std::fmt;
use std::fs::{self, Permissions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;

use base::Address;
use config::model;
use socket2::{Domain, Protocol, Socket, Type};
use std::net::SocketAddr;

/// The sockets of one listener, listening; one per worker, in worker order.
#[derive(Debug)]
pub struct BoundListener {
    /// The address they listen on; the port is the real one where the configuration says 0.
    pub address: Address,
    /// One listening socket per worker.
    pub sockets: Vec<OwnedFd>,
}

/// Why a listener's address could not be bound. Display gives the likely cause and the cure.
#[derive(Debug)]
pub struct BindError {
    listener: String,
    address: Address,
    step: &'static str,
    source: io::Error,
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { listener, address, step, source } = self;
        write!(f, "listener '{listener}': cannot {step} {address}: {source}")?;
        match source.kind() {
            io::ErrorKind::AddrInUse => {
                write!(f, "; another process listens there: 'ss -ltnp' shows which")
            }
            io::ErrorKind::PermissionDenied => write!(
                f,
                "; ports below net.ipv4.ip_unprivileged_port_start need CAP_NET_BIND_SERVICE"
            ),
            io::ErrorKind::AddrNotAvailable => {
                write!(f, "; no interface of this host has that address: 'ip addr' shows them")
            }
            _ => Ok(()),
        }
    }
}

impl std::error::Error for BindError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

/// Binds and listens `workers` sockets on the listener's address.
///
/// # Errors
/// [`BindError`]; nothing stays bound then.
pub fn bind(listener: &model::Listener, workers: usize) -> Result<BoundListener, BindError> {
    let mut address = listener.address.clone();
    let backlog = listener
        .tcp_backlog_size
        .map_or(i32::MAX, |backlog| i32::try_from(backlog).unwrap_or(i32::MAX));
    let mut sockets: Vec<OwnedFd> = Vec::with_capacity(workers);
    for _ in 0..workers {
        let socket = match (&address, sockets.first()) {
            (Address::Ip(ip), _) => listen_on_ip(*ip, backlog),
            (Address::Pipe(_), None) => listen_on_pipe(&address, listener.pipe_mode, backlog),
            (Address::Pipe(_), Some(first)) => first
                .try_clone()
                .map(Socket::from)
                .map_err(|error| ("copy the descriptor of", error)),
        };
        let socket = socket.map_err(|(step, source)| BindError {
            listener: listener.name.clone(),
            address: address.clone(),
            step,
            source,
        })?;
        // With port 0 the first socket gets a port, and the others must have the same.
        if let Some(bound) = socket.local_addr().ok().and_then(|bound| bound.as_socket()) {
            address = Address::Ip(bound);
        }
        sockets.push(socket.into());
    }
    Ok(BoundListener { address, sockets })
}

type Step = (&'static str, io::Error);

fn listen_on_ip(address: SocketAddr, backlog: i32) -> Result<Socket, Step> {
    let during = |step: &'static str| move |error: io::Error| (step, error);
    let kind = Type::STREAM.nonblocking().cloexec();
    let socket = Socket::new_raw(Domain::for_address(address), kind, Some(Protocol::TCP))
        .map_err(during("open a socket for"))?;
    prepare(&socket, address).map_err(during("set socket options for"))?;
    socket.bind(&address.into()).map_err(during("bind"))?;
    // The kernel cuts the backlog to net.core.somaxconn.
    socket.listen(backlog).map_err(during("listen on"))?;
    Ok(socket)
}

fn listen_on_pipe(address: &Address, mode: Option<u32>, backlog: i32) -> Result<Socket, Step> {
    let during = |step: &'static str| move |error: io::Error| (step, error);
    let name = reactor::to_kernel(address).map_err(during("name"))?;
    let kind = Type::STREAM.nonblocking().cloexec();
    let socket = Socket::new_raw(Domain::UNIX, kind, None).map_err(during("open a socket for"))?;
    if let Some(path) = name.as_pathname() {
        remove_socket_of_before(path).map_err(during("remove the file at"))?;
    }
    socket.bind(&name).map_err(during("bind"))?;
    if let (Some(path), Some(mode)) = (name.as_pathname(), mode) {
        fs::set_permissions(path, Permissions::from_mode(mode))
            .map_err(during("set the mode of"))?;
    }
    socket.listen(backlog).map_err(during("listen on"))?;
    Ok(socket)
}

/// The file of a Unix-domain socket outlives its process, so Envoy takes over whatever is there.
/// Here only a socket is: anything else was not left by a proxy.
fn remove_socket_of_before(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.file_type().is_socket() => fs::remove_file(path),
        Ok(_) => Err(io::Error::new(io::ErrorKind::AlreadyExists, "it is not a socket")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

fn prepare(socket: &Socket, address: SocketAddr) -> io::Result<()> {
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    // Accepted sockets inherit it; Envoy sets it on every connection.
    socket.set_tcp_nodelay(true)?;
    if address.is_ipv6() {
        // As Envoy without ipv4_compat: `::` does not take IPv4 connections.
        socket.set_only_v6(true)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    fn listener(address: SocketAddr) -> model::Listener {
        model::Listener {
            name: "edge".to_owned(),
            stat_prefix: None,
            address: Address::Ip(address),
            pipe_mode: None,
            inbound: false,
            per_connection_buffer_limit_bytes: 1 << 20,
            tcp_backlog_size: Some(16),
            access_logs: Vec::new(),
            filter_chains: vec![model::FilterChain {
                name: String::new(),
                matches: model::FilterChainMatch::default(),
                terminal: model::TerminalFilter::Echo,
            }],
            default_filter_chain: None,
        }
    }

    #[test]
    fn every_worker_gets_a_socket_on_the_one_port_that_was_chosen() {
        for any in ["127.0.0.1:0", "[::1]:0"] {
            let bound = bind(&listener(any.parse().unwrap()), 3).unwrap();
            let address = bound.address.ip().unwrap();
            assert_ne!(address.port(), 0);
            assert_eq!(bound.sockets.len(), 3);
            TcpStream::connect(address).unwrap();
        }
    }

    #[test]
    fn an_address_in_use_is_named_with_the_listener_and_a_cure() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let error = bind(&listener(address), 2).unwrap_err().to_string();
        let expected = format!("listener 'edge': cannot bind {address}: ");
        assert!(error.starts_with(&expected) && error.contains("ss -ltnp"), "{error}");
    }

    #[test]
    fn an_address_of_another_host_is_explained() {
        let error = bind(&listener("192.0.2.1:0".parse().unwrap()), 1).unwrap_err().to_string();
        assert!(error.contains("no interface of this host"), "{error}");
    }
}
