//! The ways by which connections change workers, for listeners that balance exactly.

use std::io;
use std::sync::Arc;

use config::model::ConnectionBalance;
use proxy::{HANDOVERS_MAX, Handover, Peers};
use reactor::InboxParts;

use crate::listen::WorkerListener;

/// A worker's part: where connections come in, and the ways to all workers.
#[derive(Debug)]
pub(crate) struct Handovers {
    pub(crate) inbox: InboxParts<Handover>,
    pub(crate) peers: Peers,
}

/// Each worker's part, if a listener needs them.
///
/// # Errors
/// The kernel gave no mailbox.
pub(crate) fn parts(hands: &[Vec<WorkerListener>]) -> io::Result<Vec<Option<Handovers>>> {
    let is_exact = |one: &WorkerListener| one.config.sockets.balance == ConnectionBalance::Exact;
    if !hands.iter().flatten().any(is_exact) {
        return Ok(hands.iter().map(|_| None).collect());
    }
    let mailboxes: io::Result<Vec<_>> =
        hands.iter().map(|_| reactor::channel(HANDOVERS_MAX)).collect();
    let (senders, inboxes): (Vec<_>, Vec<_>) = mailboxes?.into_iter().unzip();
    let senders: Arc<[_]> = senders.into();
    let part =
        |(me, inbox)| Some(Handovers { inbox, peers: Peers { me, senders: Arc::clone(&senders) } });
    Ok(inboxes.into_iter().enumerate().map(part).collect())
}
