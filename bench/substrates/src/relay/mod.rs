//! The relay, once per substrate, and what all of them share.
//!
//! Each does the same: accept, connect to the one upstream, copy both ways through one buffer of
//! [`BUFFER`] bytes per direction, pass an end of stream on as a half close, and close both sockets
//! when both directions have ended or one has failed.

mod epoll;
mod monoio;
mod reactor;
mod tokio;
mod tokio_uring;

use std::io::Write as _;
use std::net::{SocketAddr, TcpListener};

use ::anyhow::{Context, Result};
use clap::ValueEnum;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, listen, socket_with, sockopt};

/// Bytes of one direction's buffer. With the one chunk in flight it is also the most that a relay
/// holds for a receiver that does not read.
const BUFFER: usize = 16 * 1024;
/// Pending connections of the listener.
const BACKLOG: i32 = 4096;
/// Submission entries of the ring arms.
const RING_ENTRIES: u32 = 2048;

/// What a relay is built on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Substrate {
    /// Nuncio's own reactor
    Reactor,
    /// Hand-written epoll loop, edge-triggered
    Epoll,
    /// tokio's current-thread runtime
    Tokio,
    /// monoio as it comes
    Monoio,
    /// monoio on a ring with deferred task work
    MonoioDefer,
    /// tokio-uring with registered buffers
    TokioUring,
}

impl Substrate {
    /// Every substrate, in the order of a report.
    pub(crate) const ALL: &[Self] = &[
        Self::Reactor,
        Self::Epoll,
        Self::Tokio,
        Self::Monoio,
        Self::MonoioDefer,
        Self::TokioUring,
    ];

    /// As on the command line.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Reactor => "reactor",
            Self::Epoll => "epoll",
            Self::Tokio => "tokio",
            Self::Monoio => "monoio",
            Self::MonoioDefer => "monoio-defer",
            Self::TokioUring => "tokio-uring",
        }
    }
}

/// Listens, prints the address and relays until the process is ended.
///
/// # Errors
/// When the address cannot be bound or the substrate cannot start.
pub(crate) fn run(substrate: Substrate, address: SocketAddr, upstream: SocketAddr) -> Result<()> {
    let listener = open_listener(address).with_context(|| format!("listen on {address}"))?;
    let bound = listener.local_addr().context("read the listening address")?;
    println!("listening on {bound}");
    std::io::stdout().flush().context("print the address")?;
    match substrate {
        Substrate::Reactor => reactor::run(listener, upstream),
        Substrate::Epoll => epoll::run(&listener, upstream),
        Substrate::Tokio => tokio::run(listener, upstream),
        Substrate::Monoio => monoio::run(listener, upstream, monoio::Ring::Plain),
        Substrate::MonoioDefer => monoio::run(listener, upstream, monoio::Ring::Deferred),
        Substrate::TokioUring => tokio_uring::run(listener, upstream),
    }
    .with_context(|| format!("the {} relay stopped", substrate.name()))
}

/// A blocking listener with a long queue; accepted sockets inherit TCP_NODELAY.
fn open_listener(address: SocketAddr) -> std::io::Result<TcpListener> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    sockopt::set_tcp_nodelay(&socket, true)?;
    bind(&socket, &address)?;
    listen(&socket, BACKLOG)?;
    Ok(TcpListener::from(socket))
}
