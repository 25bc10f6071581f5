//! Binding listening sockets: one per worker, all on one address by `SO_REUSEPORT`. A Unix-domain
//! socket has no such option, and a listener may be told not to use it: then all workers accept
//! from one.
//!
//! This runs on the control side before a worker starts, in worker order, so that the kernel's
//! choice of socket for a connection follows the workers' numbers, and so that an address that
//! cannot be bound stops the start instead of half of it.

use std::fmt;
use std::fs::{self, Permissions};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;

use base::Address;
use config::model::{self, ConnectionBalance, SocketState};
use socket2::{Domain, Protocol, Socket, Type};

use crate::socket_options;

/// The sockets of one listener, listening.
#[derive(Debug)]
pub struct BoundListener {
    /// In the order of the configuration; never empty.
    pub addresses: Vec<BoundAddress>,
}

/// One address of a listener.
#[derive(Debug)]
pub struct BoundAddress {
    /// Where the sockets listen; the port is the real one where the configuration says 0.
    pub address: Address,
    /// One listening socket per worker, in worker order; none if the listener binds none.
    pub sockets: Vec<OwnedFd>,
}

/// Why a listener's address could not be bound. Display gives the likely cause and the cure.
#[derive(Debug)]
pub struct BindError {
    listener: String,
    address: Address,
    /// The address' place among the additional ones.
    additional: Option<usize>,
    step: String,
    source: io::Error,
}

impl BindError {
    /// The field of the listener that has the address.
    #[must_use]
    pub fn field(&self) -> String {
        match self.additional {
            None => "address".to_owned(),
            Some(index) => format!("additional_addresses[{index}].address"),
        }
    }
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { listener, address, step, source, .. } = self;
        write!(f, "listener '{listener}': cannot {step} {address}: {source}")?;
        match source.kind() {
            io::ErrorKind::AddrInUse => {
                write!(f, "; another process listens there: 'ss -ltnp' shows which")
            }
            io::ErrorKind::PermissionDenied if address.is_pipe() => Ok(()),
            io::ErrorKind::PermissionDenied => write!(
                f,
                "; ports below net.ipv4.ip_unprivileged_port_start need CAP_NET_BIND_SERVICE"
            ),
            io::ErrorKind::AddrNotAvailable => write!(
                f,
                "; no interface of this host has that address: 'ip addr' shows them; freebind \
                 binds it nevertheless"
            ),
            _ => Ok(()),
        }
    }
}

impl std::error::Error for BindError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

/// Binds and listens on the listener's addresses, with `workers` sockets each. `cores` are the CPUs
/// that the workers are pinned to, if they are.
///
/// # Errors
/// [`BindError`]; nothing stays bound then.
pub fn bind(
    listener: &model::Listener,
    workers: usize,
    cores: Option<&[u32]>,
) -> Result<BoundListener, BindError> {
    let places = std::iter::once(None).chain((0..).map(Some));
    let mut addresses = Vec::new();
    for (place, address) in places.zip(listener.sockets.addresses()) {
        let bound = bind_address(&listener.sockets, address, workers, cores);
        addresses.push(bound.map_err(|(step, source)| BindError {
            listener: listener.name.clone(),
            address: address.address.clone(),
            additional: place,
            step,
            source,
        })?);
    }
    Ok(BoundListener { addresses })
}

/// Binds and listens on an address that no listener of the configuration is about. `ipv4_compat`
/// lets a socket of IPv6 take connections of IPv4 too.
///
/// # Errors
/// When the kernel refuses.
pub fn bind_alone(address: SocketAddr, ipv4_compat: bool) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(!ipv4_compat)?;
    }
    socket.bind(&address.into())?;
    // As many as the kernel lets wait.
    socket.listen(i32::MAX)?;
    Ok(socket.into())
}

/// What could not be done to an address, and why.
type Step = (String, io::Error);

fn during(step: &str) -> impl FnOnce(io::Error) -> Step {
    let step = step.to_owned();
    move |error| (step, error)
}

fn bind_address(
    config: &model::ListenerSockets,
    at: &model::ListenAddress,
    workers: usize,
    cores: Option<&[u32]>,
) -> Result<BoundAddress, Step> {
    let mut address = at.address.clone();
    if !config.bind_to_port {
        return Ok(BoundAddress { address, sockets: Vec::new() });
    }
    let shared = address.is_pipe() || !config.reuse_port;
    let mut sockets: Vec<OwnedFd> = Vec::with_capacity(workers);
    for _ in 0..workers {
        if let (true, Some(first)) = (shared, sockets.first()) {
            sockets.push(first.try_clone().map_err(during("copy the descriptor of"))?);
            continue;
        }
        let socket = listen_on(config, at, &address)?;
        // With port 0 the first socket gets a port, and the others must have the same.
        if let Some(bound) = socket.local_addr().ok().and_then(|bound| bound.as_socket()) {
            address = Address::Ip(bound);
        }
        sockets.push(socket.into());
    }
    if let (ConnectionBalance::CpuLocality, false, Some(cores), Some(first)) =
        (config.balance, shared, cores, sockets.first())
    {
        reactor::steer_by_cpu(first, cores).map_err(during("steer connections by CPU on"))?;
    }
    Ok(BoundAddress { address, sockets })
}

fn listen_on(
    config: &model::ListenerSockets,
    at: &model::ListenAddress,
    address: &Address,
) -> Result<Socket, Step> {
    let options = socket_options::of_listener(config, at);
    let set = |socket: &Socket, state| {
        socket_options::set(socket, &options, state, address)
            .map_err(|(option, error)| (format!("set socket option {option} for"), error))
    };
    let name = reactor::to_kernel(address).map_err(during("name"))?;
    let (domain, protocol) = match address {
        Address::Ip(ip) => (Domain::for_address(*ip), Some(Protocol::TCP)),
        Address::Pipe(_) => (Domain::UNIX, None),
    };
    let kind = Type::STREAM.nonblocking().cloexec();
    let socket = Socket::new_raw(domain, kind, protocol).map_err(during("open a socket for"))?;
    prepare(&socket, config, at).map_err(during("set socket options for"))?;
    set(&socket, SocketState::Prebind)?;
    if let Some(path) = name.as_pathname() {
        remove_socket_of_before(path).map_err(during("remove the file at"))?;
    }
    socket.bind(&name).map_err(during("bind"))?;
    if let (Some(path), Some(mode)) = (name.as_pathname(), at.pipe_mode) {
        fs::set_permissions(path, Permissions::from_mode(mode))
            .map_err(during("set the mode of"))?;
    }
    set(&socket, SocketState::Bound)?;
    // The kernel cuts the backlog to net.core.somaxconn.
    let backlog = config
        .tcp_backlog_size
        .map_or(i32::MAX, |backlog| i32::try_from(backlog).unwrap_or(i32::MAX));
    socket.listen(backlog).map_err(during("listen on"))?;
    set(&socket, SocketState::Listening)?;
    Ok(socket)
}

/// What no field of the configuration is about.
fn prepare(
    socket: &Socket,
    config: &model::ListenerSockets,
    at: &model::ListenAddress,
) -> io::Result<()> {
    let Address::Ip(ip) = &at.address else { return Ok(()) };
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(config.reuse_port)?;
    // Accepted sockets inherit it; Envoy sets it on every connection.
    socket.set_tcp_nodelay(true)?;
    if ip.is_ipv6() {
        socket.set_only_v6(!at.ipv4_compat)?;
    }
    Ok(())
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

#[cfg(test)]
mod tests {
    use std::net::TcpStream;
    use std::os::unix::net::UnixStream;

    use super::*;

    fn listener(sockets: model::ListenerSockets) -> model::Listener {
        model::Listener {
            name: "edge".to_owned(),
            stat_prefix: None,
            sockets,
            inbound: false,
            per_connection_buffer_limit_bytes: 1 << 20,
            ignore_global_connection_limit: false,
            access_logs: Vec::new(),
            listener_filters: model::ListenerFilters::default(),
            filter_chains: vec![model::FilterChain {
                name: String::new(),
                matches: model::FilterChainMatch::default(),
                filters: Vec::new(),
                terminal: model::TerminalFilter::Echo,
            }],
            default_filter_chain: None,
        }
    }

    fn on(address: &str) -> model::ListenerSockets {
        model::ListenerSockets::on(address.parse::<SocketAddr>().unwrap().into())
    }

    fn bind(sockets: model::ListenerSockets, workers: usize) -> Result<BoundListener, BindError> {
        super::bind(&listener(sockets), workers, None)
    }

    #[test]
    fn every_worker_gets_a_socket_on_the_one_port_that_was_chosen() {
        for any in ["127.0.0.1:0", "[::1]:0"] {
            for reuse_port in [true, false] {
                let bound = bind(model::ListenerSockets { reuse_port, ..on(any) }, 3).unwrap();
                let [BoundAddress { address, sockets }] = &bound.addresses[..] else { panic!() };
                let address = address.ip().unwrap();
                assert_ne!(address.port(), 0);
                assert_eq!(sockets.len(), 3);
                TcpStream::connect(address).unwrap();
                // One queue or three: a connection waits at one socket or is seen at each.
                let waits = sockets.iter().filter(|socket| {
                    let socket = socket2::SockRef::from(*socket);
                    socket.accept().is_ok()
                });
                assert_eq!(waits.count(), 1);
            }
        }
    }

    #[test]
    fn an_address_in_use_is_named_with_the_listener_and_a_cure() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap().to_string();
        let mut sockets = on("127.0.0.1:0");
        sockets.additional_addresses = vec![on("127.0.0.1:0").address, on(&address).address];
        let error = bind(sockets, 2).unwrap_err();
        assert_eq!(error.field(), "additional_addresses[1].address");
        let expected = format!("listener 'edge': cannot bind {address}: ");
        let error = error.to_string();
        assert!(error.starts_with(&expected) && error.contains("ss -ltnp"), "{error}");
    }

    #[test]
    fn an_address_of_another_host_is_explained_and_can_be_bound_freely() {
        let error = bind(on("192.0.2.1:0"), 1).unwrap_err().to_string();
        assert!(error.contains("no interface of this host"), "{error}");
        bind(model::ListenerSockets { freebind: Some(true), ..on("192.0.2.1:0") }, 1).unwrap();
    }

    #[test]
    fn an_option_that_the_kernel_refuses_is_named() {
        for state in [SocketState::Prebind, SocketState::Bound, SocketState::Listening] {
            let mut sockets = on("127.0.0.1:0");
            let value = vec![0; 4];
            let option =
                model::SocketOption { state, level: 1, name: 99_999, value, ip_version: None };
            sockets.address.socket_options.push(option);
            let error = bind(sockets.clone(), 1).unwrap_err().to_string();
            let expected = "cannot set socket option 1/99999 for 127.0.0.1:0: Protocol not";
            assert!(error.contains(expected), "{error}");
            // It is not for this kind of socket.
            sockets.address.socket_options[0].ip_version = Some(model::IpVersion::V6);
            bind(sockets, 1).unwrap();
        }
    }

    #[test]
    fn a_pipe_is_one_socket_for_all_and_takes_over_what_a_process_left_but_no_other_file() {
        let folder = std::env::temp_dir().join(format!("nuncio-net-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("listen.sock");
        let pipe = || {
            let mut sockets =
                model::ListenerSockets::on(Address::Pipe(path.to_str().unwrap().into()));
            sockets.address.pipe_mode = Some(0o600);
            sockets
        };
        for _ in 0..2 {
            let bound = bind(pipe(), 2).unwrap();
            assert_eq!(bound.addresses[0].sockets.len(), 2);
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
            UnixStream::connect(&path).unwrap();
        }
        fs::remove_file(&path).unwrap();
        fs::write(&path, "a file").unwrap();
        let error = bind(pipe(), 2).unwrap_err().to_string();
        assert!(error.contains("cannot remove the file at") && error.contains("not a socket"));
        assert_eq!(fs::read_to_string(&path).unwrap(), "a file");
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_dual_stack_socket_takes_connections_of_both_kinds() {
        for (ipv4_compat, taken) in [(true, true), (false, false)] {
            let mut sockets = on("[::]:0");
            sockets.address.ipv4_compat = ipv4_compat;
            let bound = bind(sockets, 1).unwrap();
            let port = bound.addresses[0].address.ip().unwrap().port();
            TcpStream::connect(("::1", port)).unwrap();
            assert_eq!(TcpStream::connect(("127.0.0.1", port)).is_ok(), taken);
            let alone = bind_alone("[::]:0".parse().unwrap(), ipv4_compat).unwrap();
            let port = alone.local_addr().unwrap().port();
            TcpStream::connect(("::1", port)).unwrap();
            assert_eq!(TcpStream::connect(("127.0.0.1", port)).is_ok(), taken);
        }
    }

    #[test]
    fn a_listener_that_does_not_bind_has_no_sockets() {
        let sockets = model::ListenerSockets { bind_to_port: false, ..on("192.0.2.1:80") };
        let bound = bind(sockets, 2).unwrap();
        assert!(bound.addresses[0].sockets.is_empty());
    }
}
