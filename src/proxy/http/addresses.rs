//! Where the two ends of a downstream connection are, as far as anybody wants to know.
//!
//! Of a connection that passed listener filters everything is known from the start; otherwise the
//! socket is asked, for our end only when somebody wants to know.

use std::cell::OnceCell;
use std::rc::Rc;

use base::Address;
use cluster::Client;
use filter::Origin;
use reactor::Socket;

/// The addresses of one connection.
#[derive(Debug)]
pub(super) enum ClientAddresses {
    Asked {
        /// The client's address, if anybody will want to know.
        peer: Option<Address>,
        local: OnceCell<Option<Address>>,
    },
    Known(Rc<Origin>),
}

impl ClientAddresses {
    /// `wants_peer`: somebody will ask for the client's address, who cannot be told any more once
    /// the client has reset the connection.
    pub(super) fn new(socket: &Socket, origin: Option<&Rc<Origin>>, wants_peer: bool) -> Self {
        match origin {
            Some(origin) => Self::Known(Rc::clone(origin)),
            None => Self::Asked {
                peer: if wants_peer { socket.peer_address().ok() } else { None },
                local: OnceCell::new(),
            },
        }
    }

    /// What listener filters found out, if there are any.
    pub(super) fn origin(&self) -> Option<&Origin> {
        match self {
            Self::Asked { .. } => None,
            Self::Known(origin) => Some(origin),
        }
    }

    /// Who the client is; unknown if nobody wants to know, or a reset was there before us.
    pub(super) fn peer(&self) -> Option<&Address> {
        match self {
            Self::Asked { peer, .. } => peer.as_ref(),
            Self::Known(origin) => Some(&origin.ends().remote),
        }
    }

    /// The peer of the socket.
    pub(super) fn direct_peer(&self) -> Option<&Address> {
        match self {
            Self::Asked { peer, .. } => peer.as_ref(),
            Self::Known(origin) => Some(&origin.ends().direct_remote),
        }
    }

    /// What the client connected to.
    pub(super) fn local(&self, socket: &Socket) -> Option<&Address> {
        match self {
            Self::Asked { local, .. } => local.get_or_init(|| socket.local_address().ok()).as_ref(),
            Self::Known(origin) => Some(&origin.ends().local),
        }
    }

    /// The socket's own end.
    pub(super) fn direct_local(&self, socket: &Socket) -> Option<&Address> {
        match self {
            Self::Asked { .. } => self.local(socket),
            Self::Known(origin) => Some(&origin.ends().direct_local),
        }
    }

    /// Whose connection it is, for an upstream that is told; the socket is asked if nobody wanted
    /// to know before.
    pub(super) fn client(&self, socket: &Socket) -> Client<'_> {
        match self {
            Self::Known(origin) => crate::gate::client_of(socket, Some(origin)),
            Self::Asked { peer, .. } => Client {
                remote: peer.clone().or_else(|| socket.peer_address().ok()),
                local: self.local(socket).cloned(),
                tlvs: &[],
            },
        }
    }
}
