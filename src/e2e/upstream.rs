//! The server side of a scenario: a listening socket whose accepted connections the test plays.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use socket2::SockRef;

use crate::patience::PATIENCE;
use crate::peer::Peer;

/// An upstream that listens on a port of its own.
#[derive(Debug)]
pub(crate) struct Upstream {
    listener: TcpListener,
}

impl Upstream {
    pub(crate) fn listen() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        // On Linux SO_RCVTIMEO bounds accept(2) too.
        SockRef::from(&listener).set_read_timeout(Some(PATIENCE)).unwrap();
        Self { listener }
    }

    /// Listens with small socket buffers, which accepted connections inherit: what a stalled
    /// proxy does not take then shows soon, and thousands of connections cost little.
    pub(crate) fn listen_with_buffers(bytes: usize) -> Self {
        let upstream = Self::listen();
        let socket = SockRef::from(&upstream.listener);
        socket.set_recv_buffer_size(bytes).unwrap();
        socket.set_send_buffer_size(bytes).unwrap();
        upstream
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.listener.local_addr().unwrap()
    }

    /// Waits for the proxy's next connection.
    pub(crate) fn accept(&self) -> Peer {
        let (stream, _) = self
            .listener
            .accept()
            .unwrap_or_else(|error| panic!("no connection from the proxy: {error}"));
        Peer::over(stream)
    }

    /// The proxy's next connection, if there is one already.
    pub(crate) fn waiting(&self) -> Option<Peer> {
        self.listener.set_nonblocking(true).unwrap();
        let accepted = self.listener.accept();
        self.listener.set_nonblocking(false).unwrap();
        accepted.ok().map(|(stream, _)| Peer::over(stream))
    }
}
