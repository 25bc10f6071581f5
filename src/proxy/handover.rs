//! Connections that change workers: accepted on one, served by another.
//!
//! A connection goes through the mailbox of its new worker as a descriptor, together with what it
//! holds of the limits. A worker that takes none leaves it where it is.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use reactor::{SendError, Sender};

use crate::admission::Admission;
use crate::balance::Balance;

/// A connection on its way to another worker.
#[derive(Debug)]
pub struct Handover {
    /// The listener's place on each worker.
    pub(crate) listener: usize,
    pub(crate) fd: OwnedFd,
    pub(crate) admission: Admission,
}

/// Connections on their way to one worker at a time. Beyond, they stay where they were accepted.
pub const HANDOVERS_MAX: usize = 1024;

/// The workers that connections can be handed to.
#[derive(Debug, Clone)]
pub struct Peers {
    /// The number of the worker that has this.
    pub me: usize,
    /// The way to each worker, by its number.
    pub senders: Arc<[Sender<Handover>]>,
}

impl Peers {
    /// Gives the connection to the worker that has the fewest of `balance`. Returns it if that is
    /// this worker, or if the other one takes none.
    pub(crate) fn place(
        &self,
        balance: &Arc<Balance>,
        listener: usize,
        fd: OwnedFd,
        admission: Admission,
    ) -> Option<(OwnedFd, Admission)> {
        let Some(seat) = balance.seat() else { return Some((fd, admission)) };
        let worker = seat.worker();
        if worker == self.me {
            return Some((fd, admission.seated(seat)));
        }
        let handover = Handover { listener, fd, admission: admission.seated(seat) };
        let Some(peer) = self.senders.get(worker) else {
            return Some((handover.fd, handover.admission));
        };
        match peer.send(handover) {
            Ok(()) => None,
            // It is behind, or has ended: the connection is served here, and counted here.
            Err(SendError::Full(back) | SendError::Closed(back)) => {
                let Handover { fd, admission, .. } = back;
                let admission = match balance.seat_at(self.me) {
                    Some(seat) => admission.seated(seat),
                    None => admission,
                };
                Some((fd, admission))
            }
        }
    }
}
