//! Descriptors that close only when nothing is in flight on them.
//!
//! Every source holds its descriptor by `Rc`, and the op table holds the source until the last
//! completion, so the last `Rc` goes when nothing is in flight: no late operation can hit another
//! connection that was given the same number.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::rc::Rc;
use std::time::Duration;

use base::Address;
use socket2::{SockRef, Type};

use crate::address;
use crate::core::Core;

/// A descriptor that a reactor owns.
#[derive(Debug)]
pub(crate) struct Fd {
    core: Rc<Core>,
    raw: RawFd,
}

impl Fd {
    pub(crate) fn new(core: Rc<Core>, fd: OwnedFd) -> Rc<Self> {
        let open = &core.counters.open_descriptors;
        open.set(open.get() + 1);
        Rc::new(Self { core, raw: fd.into_raw_fd() })
    }

    pub(crate) fn raw(&self) -> RawFd {
        self.raw
    }

    fn socket(&self) -> SockRef<'_> {
        SockRef::from(self)
    }
}

impl AsFd for Fd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the descriptor is open until this value is dropped.
        unsafe { BorrowedFd::borrow_raw(self.raw) }
    }
}

impl Drop for Fd {
    fn drop(&mut self) {
        let open = &self.core.counters.open_descriptors;
        open.set(open.get() - 1);
        if self.core.is_closed() {
            // SAFETY: the descriptor is owned by this value, and the driver will run no more.
            drop(unsafe { OwnedFd::from_raw_fd(self.raw) });
        } else {
            self.core.close(self.raw);
        }
    }
}

/// Takes ownership of a descriptor that a completion reported.
pub(crate) fn adopt(raw: RawFd) -> OwnedFd {
    // SAFETY: an accept completion gives a new descriptor that nobody else owns.
    unsafe { OwnedFd::from_raw_fd(raw) }
}

/// A connected stream socket of a reactor, non-blocking.
#[derive(Debug, Clone)]
pub struct Socket {
    fd: Rc<Fd>,
}

impl Socket {
    pub(crate) fn new(core: Rc<Core>, fd: OwnedFd) -> Self {
        Self { fd: Fd::new(core, fd) }
    }

    /// A new socket for connecting to an address of this kind. On TCP `TCP_NODELAY` is set, as
    /// Envoy sets it on every connection.
    pub(crate) fn for_connecting(core: Rc<Core>, to: &Address) -> io::Result<Self> {
        let (domain, protocol) = address::family(to);
        let kind = Type::STREAM.nonblocking().cloexec();
        let socket = socket2::Socket::new_raw(domain, kind, protocol)?;
        if !to.is_pipe() {
            socket.set_tcp_nodelay(true)?;
        }
        Ok(Self::new(core, socket.into()))
    }

    pub(crate) fn fd(&self) -> &Rc<Fd> {
        &self.fd
    }

    /// The address of the other end. The client of a Unix-domain socket has a name only if it took
    /// one; otherwise the listener's stands for it, as in Envoy.
    ///
    /// # Errors
    /// What `getpeername(2)` said; `ENOTCONN` once the peer has reset the connection.
    pub fn peer_address(&self) -> io::Result<Address> {
        match address::of(&self.fd.socket().peer_addr()?)? {
            Address::Pipe(name) if name.is_empty() => self.local_address(),
            address => Ok(address),
        }
    }

    /// The address of our end.
    ///
    /// # Errors
    /// What `getsockname(2)` said.
    pub fn local_address(&self) -> io::Result<Address> {
        address::of(&self.fd.socket().local_addr()?)
    }

    /// What the peer connected to before netfilter redirected it to this socket
    /// (`SO_ORIGINAL_DST`); of a transparent socket, its own address. `None` if nothing says so.
    pub fn original_destination(&self) -> Option<Address> {
        let socket = self.fd.socket();
        let Ok(Address::Ip(local)) = self.local_address() else { return None };
        // An IPv4 connection on a socket of both versions is one of IPv4 to netfilter too.
        let original = match local.is_ipv4() {
            true => socket.original_dst_v4(),
            false => socket.original_dst_v6(),
        };
        if let Ok(original) = original {
            return address::of(&original).ok();
        }
        // One bit of the socket for both versions of IP.
        let is_transparent = socket.ip_transparent_v4().unwrap_or(false);
        is_transparent.then_some(Address::Ip(local))
    }

    /// Gives the socket an address of its own, before it connects.
    ///
    /// # Errors
    /// What `bind(2)` said.
    pub fn bind(&self, address: &Address) -> io::Result<()> {
        self.fd.socket().bind(&address::to_kernel(address)?)
    }

    /// Makes the close of this socket a reset: unsent bytes are thrown away and the peer gets RST.
    ///
    /// # Errors
    /// What `setsockopt(2)` said.
    pub fn reset_on_close(&self) -> io::Result<()> {
        self.fd.socket().set_linger(Some(Duration::ZERO))
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Accepts one connection that is already queued on a non-blocking listening descriptor, if there
/// is one.
pub(crate) fn accept_queued(listener: &Fd) -> io::Result<Option<OwnedFd>> {
    loop {
        return match listener.socket().accept_raw() {
            Ok((socket, _)) => {
                socket.set_cloexec(true)?;
                socket.set_nonblocking(true)?;
                Ok(Some(socket.into()))
            }
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock => Ok(None),
                // The connection died in the queue: the next one may live.
                io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted => continue,
                _ => Err(error),
            },
        };
    }
}
