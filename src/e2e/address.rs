//! Loopback addresses that a test can write into a configuration before the proxy runs.
//!
//! Each kind stays reserved for as long as its value lives, so nothing else on the machine can be
//! given the same port.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use socket2::{Domain, Socket, Type};

/// A port for the proxy to listen on. The holder is bound with SO_REUSEPORT and never listens:
/// Envoy and Nuncio bind beside it, nobody else can, and it is given no connections.
#[derive(Debug)]
pub(crate) struct ListenerAddress {
    pub(crate) address: SocketAddr,
    _holder: Socket,
}

impl ListenerAddress {
    pub(crate) fn reserve() -> Self {
        let holder = bound(|socket| socket.set_reuse_port(true).unwrap());
        Self { address: address_of(&holder), _holder: holder }
    }
}

/// An address where connecting is refused: bound, not listening.
#[derive(Debug)]
pub(crate) struct RefusingAddress {
    pub(crate) address: SocketAddr,
    _holder: Socket,
}

impl RefusingAddress {
    pub(crate) fn reserve() -> Self {
        let holder = bound(|_| ());
        Self { address: address_of(&holder), _holder: holder }
    }
}

/// An address where connecting gets no answer: a listener whose accept queue is full, so that the
/// kernel drops every further SYN.
#[derive(Debug)]
pub(crate) struct SilentAddress {
    pub(crate) address: SocketAddr,
    _listener: Socket,
    _queued: Vec<Socket>,
}

impl SilentAddress {
    pub(crate) fn reserve() -> Self {
        let listener = bound(|_| ());
        listener.listen(0).unwrap();
        let address = address_of(&listener);
        let mut queued = Vec::new();
        // A backlog of 0 holds one connection on Linux; the loop does not rely on it.
        for _ in 0..8 {
            let client = tcp_socket();
            match client.connect_timeout(&address.into(), Duration::from_millis(250)) {
                Ok(()) => queued.push(client),
                Err(_) => {
                    return Self { address, _listener: listener, _queued: queued };
                }
            }
        }
        panic!("the accept queue of {address} never filled up");
    }
}

fn bound(prepare: impl FnOnce(&Socket)) -> Socket {
    let socket = tcp_socket();
    prepare(&socket);
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
    socket
}

fn tcp_socket() -> Socket {
    Socket::new(Domain::IPV4, Type::STREAM, None).unwrap()
}

fn address_of(socket: &Socket) -> SocketAddr {
    socket.local_addr().unwrap().as_socket().unwrap()
}
