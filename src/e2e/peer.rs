//! One end of a TCP connection to the proxy: a client, or an upstream's accepted connection.
//!
//! Scripts read top to bottom: each call waits for what it names and panics at the deadline.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use socket2::{Domain, SockRef, Socket, Type};

use crate::patience::PATIENCE;

/// How a connection ended, as the socket told it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// An orderly end: the other side sent FIN.
    Fin,
    /// An abrupt end: the other side sent RST.
    Reset,
}

impl fmt::Display for Ending {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Fin => "FIN",
            Self::Reset => "RST",
        })
    }
}

/// One end of a connection. Dropping it closes the socket the ordinary way.
#[derive(Debug)]
pub(crate) struct Peer {
    stream: TcpStream,
}

impl Peer {
    /// Connects to `address`.
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect_timeout(&address, PATIENCE)
            .unwrap_or_else(|error| panic!("connecting to {address}: {error}"));
        Self::over(stream)
    }

    /// Connects with a small receive buffer, so that little fits in it once nobody reads.
    pub(crate) fn connect_with_receive_buffer(address: SocketAddr, bytes: usize) -> Self {
        // The buffer must be set before the handshake, which announces the window scale.
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).unwrap();
        socket.set_recv_buffer_size(bytes).unwrap();
        socket
            .connect_timeout(&address.into(), PATIENCE)
            .unwrap_or_else(|error| panic!("connecting to {address}: {error}"));
        Self::over(socket.into())
    }

    /// Takes over an accepted connection.
    pub(crate) fn over(stream: TcpStream) -> Self {
        stream.set_nonblocking(false).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Self { stream }
    }

    /// The socket itself, for transfers that `payload` drives.
    pub(crate) fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Sends all of `bytes`.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.stream
            .write_all(bytes)
            .unwrap_or_else(|error| panic!("sending {} bytes: {error}", bytes.len()));
    }

    /// Sends `bytes` on a connection that the proxy may have closed already.
    pub(crate) fn send_even_if_closed(&mut self, bytes: &[u8]) {
        if let Err(error) = self.stream.write_all(bytes) {
            let closed = [io::ErrorKind::ConnectionReset, io::ErrorKind::BrokenPipe];
            assert!(closed.contains(&error.kind()), "sending {} bytes: {error}", bytes.len());
        }
    }

    /// Sends copies of `block` until the connection takes nothing for `stall` or `bytes_max` are
    /// on their way; answers how many bytes it took.
    pub(crate) fn send_until_stalled(
        &mut self,
        block: &[u8],
        bytes_max: usize,
        stall: Duration,
    ) -> usize {
        self.stream.set_write_timeout(Some(stall)).unwrap();
        let mut sent = 0;
        while sent < bytes_max {
            let rest = &block[sent % block.len()..];
            match self.stream.write(&rest[..rest.len().min(bytes_max - sent)]) {
                Ok(count) => sent += count,
                Err(error) if is_timeout(&error) => break,
                Err(error) => panic!("sending after {sent} bytes: {error}"),
            }
        }
        self.stream.set_write_timeout(Some(PATIENCE)).unwrap();
        sent
    }

    /// Sends copies of `block` until the other side resets the connection; answers how many bytes
    /// it took.
    pub(crate) fn send_until_reset(&mut self, block: &[u8]) -> usize {
        let mut sent = 0;
        loop {
            match self.stream.write(&block[sent % block.len()..]) {
                Ok(count) => sent += count,
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return sent,
                Err(error) => panic!("sending after {sent} bytes: {error}"),
            }
        }
    }

    /// Receives exactly `count` bytes.
    pub(crate) fn receive(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.stream
            .read_exact(&mut bytes)
            .unwrap_or_else(|error| panic!("receiving {count} bytes: {error}"));
        bytes
    }

    /// Receives what comes next, at least one byte; or how the connection ended.
    pub(crate) fn receive_some(&mut self) -> Result<Vec<u8>, Ending> {
        let mut bytes = vec![0; 16 * 1024];
        match self.stream.read(&mut bytes) {
            Ok(0) => Err(Ending::Fin),
            Ok(count) => {
                bytes.truncate(count);
                Ok(bytes)
            }
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Err(Ending::Reset),
            Err(error) => panic!("waiting for more: {error}"),
        }
    }

    /// Receives until the other side ends the connection.
    pub(crate) fn receive_to_end(&mut self) -> (Vec<u8>, Ending) {
        let mut bytes = Vec::new();
        match self.stream.read_to_end(&mut bytes) {
            Ok(_) => (bytes, Ending::Fin),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => (bytes, Ending::Reset),
            Err(error) => panic!("waiting for the end after {} bytes: {error}", bytes.len()),
        }
    }

    /// Waits for the end of a connection that must bring no more bytes.
    pub(crate) fn ending(&mut self) -> Ending {
        let (bytes, ending) = self.receive_to_end();
        assert!(bytes.is_empty(), "{} bytes before the end, expected none", bytes.len());
        ending
    }

    /// Whether the connection is open now, with nothing left to receive. To be asked after an event
    /// that would have ended it: nobody can wait for what does not happen.
    pub(crate) fn is_open_and_quiet(&self) -> bool {
        self.stream.set_nonblocking(true).unwrap();
        let peeked = self.stream.peek(&mut [0]);
        self.stream.set_nonblocking(false).unwrap();
        matches!(peeked, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }

    /// Whether bytes are there to be received.
    pub(crate) fn has_bytes(&self) -> bool {
        self.stream.set_nonblocking(true).unwrap();
        let peeked = self.stream.peek(&mut [0]);
        self.stream.set_nonblocking(false).unwrap();
        matches!(peeked, Ok(1..))
    }

    /// Waits for bytes or the end. Whether bytes are there.
    pub(crate) fn answers(&self) -> bool {
        match self.stream.peek(&mut [0]) {
            Ok(count) => count > 0,
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => false,
            Err(error) => panic!("waiting for an answer: {error}"),
        }
    }

    /// Sends FIN; receiving goes on.
    pub(crate) fn finish_sending(&mut self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }

    /// Closes with RST: a zero linger discards what is unsent and resets.
    pub(crate) fn reset(self) {
        SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)).unwrap();
    }
}

/// A socket timeout shows as EAGAIN on Linux.
fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}
