//! How workers hear that a host was ejected: each drains its pools of the host then.
//!
//! A worker picks an ejected host no more once the host's flag is set. This is for its idle
//! connections, about which nobody asks.

use std::io;
use std::rc::Rc;
use std::sync::Arc;

use cluster::{Cluster, Shared};
use reactor::{Inbox, InboxParts, Sender};

/// Where a worker hears of ejections.
pub(crate) type Ejections = InboxParts<()>;

/// The ways to the workers that are to hear of ejections: to none if no host can be ejected.
#[derive(Debug)]
pub(crate) struct Herald(Vec<Sender<()>>);

impl Herald {
    /// Tells every worker.
    pub(crate) fn tell(&self) {
        for worker in &self.0 {
            // Full: it has been told, and has not looked yet. Closed: it has ended.
            let _ = worker.send(());
        }
    }
}

/// The herald, and each worker's part.
///
/// # Errors
/// The kernel gave no mailbox.
pub(crate) fn parts(
    clusters: &[Arc<Shared>],
    workers: usize,
) -> io::Result<(Herald, Vec<Option<Ejections>>)> {
    if clusters.iter().all(|cluster| cluster.config().outlier_detection.is_none()) {
        return Ok((Herald(Vec::new()), (0..workers).map(|_| None).collect()));
    }
    let mailboxes: io::Result<Vec<_>> = (0..workers).map(|_| reactor::channel(1)).collect();
    let (senders, inboxes): (Vec<_>, Vec<_>) = mailboxes?.into_iter().unzip();
    Ok((Herald(senders), inboxes.into_iter().map(Some).collect()))
}

/// Drains what is to be drained whenever the worker is told, until the future is dropped.
pub(crate) async fn drain(clusters: Vec<Rc<Cluster>>, mut told: Inbox<()>) {
    while told.recv().await.is_ok() {
        clusters.iter().for_each(|cluster| cluster.drain_ejected());
    }
}
