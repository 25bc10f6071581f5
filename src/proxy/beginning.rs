//! How a connection began that had to pass listener filters.
//!
//! It goes with the connection in a box: one whose listener has no filters has no such box.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Instant, SystemTime};

use filter::Origin;
use reactor::Receiver;

use crate::connection_state::ConnectionState;

/// What is known of a connection before its filter chain gets it.
#[derive(Debug)]
pub(crate) struct Beginning {
    pub(crate) origin: Rc<Origin>,
    pub(crate) accepted: Accepted,
    /// What listener filters left on the connection, if they left something.
    pub(crate) state: Option<Rc<ConnectionState>>,
    receiver: RefCell<Option<Receiver>>,
}

/// When a connection was accepted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Accepted {
    pub(crate) wall: SystemTime,
    pub(crate) at: Instant,
}

impl Beginning {
    /// `receiver` is the connection's, if something was received on it.
    pub(crate) fn new(
        mut origin: Origin,
        accepted: Accepted,
        receiver: Option<Receiver>,
    ) -> Box<Self> {
        let state = std::mem::take(&mut origin.filter_state);
        let state = (!state.is_empty()).then(|| Rc::new(ConnectionState::new(state)));
        let (origin, receiver) = (Rc::new(origin), RefCell::new(receiver));
        Box::new(Self { origin, accepted, state, receiver })
    }

    /// The receiver, for who makes the connection's stream.
    pub(crate) fn take_receiver(&self) -> Option<Receiver> {
        self.receiver.take()
    }
}
