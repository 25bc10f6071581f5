//! What listener filters found out about a connection.
//!
//! **Invariant:** what a filter found out, the next one builds upon; of the headers of the PROXY
//! protocol the first one is what an upstream is told, as in Envoy.

use base::Address;
use observe::access_log::{FilterState, Metadata};

use crate::ends::Ends;

/// Where a connection comes from, and what else its beginning said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    ends: Ends,
    is_local_restored: bool,
    introduction: Option<Introduction>,
    /// `%DYNAMIC_METADATA%`.
    pub dynamic_metadata: Metadata,
    /// `%FILTER_STATE%`.
    pub filter_state: FilterState,
}

/// What an upstream is told of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Introduction {
    /// Who the client is.
    pub remote: Address,
    /// What it connected to.
    pub local: Address,
    /// Extensions (TLVs): types and values, as they were sent.
    pub tlvs: Vec<(u8, Vec<u8>)>,
}

impl Origin {
    /// Of a socket between these addresses, before any filter.
    #[must_use]
    pub fn new(remote: Address, local: Address) -> Self {
        Self {
            ends: Ends {
                direct_remote: remote.clone(),
                direct_local: local.clone(),
                remote,
                local,
            },
            is_local_restored: false,
            introduction: None,
            dynamic_metadata: Metadata::default(),
            filter_state: FilterState::default(),
        }
    }

    /// The connection's addresses, as far as they are known now.
    #[must_use]
    pub fn ends(&self) -> &Ends {
        &self.ends
    }

    /// Whether a filter put another local address in the place of the socket's.
    #[must_use]
    pub fn is_local_restored(&self) -> bool {
        self.is_local_restored
    }

    /// What a header said that an upstream is to be told again, if there was a header.
    #[must_use]
    pub fn introduction(&self) -> Option<&Introduction> {
        self.introduction.as_ref()
    }

    /// The client connected to this address.
    pub fn restore_local(&mut self, local: Address) {
        self.ends.local = local;
        self.is_local_restored = true;
    }

    /// The same connection for another listener: its addresses are known, and nothing else.
    #[must_use]
    pub fn addresses_only(self) -> Self {
        Self {
            introduction: None,
            dynamic_metadata: Metadata::default(),
            filter_state: FilterState::default(),
            ..self
        }
    }

    /// The client is at this address.
    pub(crate) fn set_remote(&mut self, remote: Address) {
        self.ends.remote = remote;
    }

    /// A header came, with these addresses or with none of its own, and with these extensions.
    pub(crate) fn introduce(
        &mut self,
        addresses: Option<(Address, Address)>,
        tlvs: Vec<(u8, Vec<u8>)>,
    ) {
        if self.introduction.is_some() {
            return;
        }
        let own = || (self.ends.remote.clone(), self.ends.local.clone());
        let (remote, local) = addresses.unwrap_or_else(own);
        self.introduction = Some(Introduction { remote, local, tlvs });
    }
}
