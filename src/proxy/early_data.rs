//! What a client sends before its upstream connection is there (`max_early_data_bytes`).
//!
//! It is read up to the limit and kept in memory of the connection, so that the client's end and
//! its resets are heard meanwhile. The end is passed on later, with all else.
//!
//! **Invariant:** no more is read than the limit says, but always one byte: to see whether there is
//! any.

use std::io;
use std::task::{Context, Poll};

use observe::Scope;
use observe::names::TcpProxyStat;
use reactor::{Received, Receiver};

use crate::connection_log::ConnectionLog;

/// What has been read of one client so far.
#[derive(Debug)]
pub(crate) struct EarlyData<'a> {
    receiver: &'a Receiver,
    stats: &'a Scope<TcpProxyStat>,
    log: &'a ConnectionLog<'a>,
    bytes: Vec<u8>,
    max: usize,
    has_ended: bool,
}

impl<'a> EarlyData<'a> {
    pub(crate) fn new(
        receiver: &'a Receiver,
        stats: &'a Scope<TcpProxyStat>,
        log: &'a ConnectionLog<'a>,
        max: u32,
    ) -> Self {
        let max = usize::try_from(max).unwrap_or(usize::MAX).max(1);
        Self { receiver, stats, log, bytes: Vec::new(), max, has_ended: false }
    }

    /// Reads on. Ready when there are bytes, or when the client has ended its side: then with
    /// nothing, unless it sent some before.
    pub(crate) fn poll_first(&mut self, context: &Context<'_>) -> Poll<io::Result<bool>> {
        self.read(context)?;
        if self.bytes.is_empty() && !self.has_ended {
            return Poll::Pending;
        }
        Poll::Ready(Ok(!self.bytes.is_empty()))
    }

    /// Reads on. Ready only when the client's connection has failed.
    pub(crate) fn poll_failure(&mut self, context: &Context<'_>) -> Poll<io::Error> {
        match self.read(context) {
            Ok(()) => Poll::Pending,
            Err(error) => Poll::Ready(error),
        }
    }

    fn read(&mut self, context: &Context<'_>) -> io::Result<()> {
        let (before, had_ended) = (self.bytes.len(), self.has_ended);
        let mut outcome = Ok(());
        while self.bytes.len() < self.max && !self.has_ended {
            match self.receiver.poll_recv(context, self.max - self.bytes.len()) {
                Poll::Ready(Ok(Received::Data(span))) => self.bytes.extend_from_slice(&span),
                Poll::Ready(Ok(Received::End)) => self.has_ended = true,
                Poll::Ready(Err(error)) => {
                    outcome = Err(error);
                    break;
                }
                Poll::Pending => break,
            }
        }
        let received = self.bytes.len() - before;
        if received > 0 {
            count(self.stats, self.log, received);
        }
        if received > 0 || self.has_ended != had_ended {
            self.stats.inc(TcpProxyStat::EarlyDataReceivedCountTotal);
        }
        outcome
    }

    /// What was read.
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

/// Counts bytes of a client that has no upstream connection yet.
pub(crate) fn count(stats: &Scope<TcpProxyStat>, log: &ConnectionLog<'_>, bytes: usize) {
    stats.add(TcpProxyStat::DownstreamCxRxBytesTotal, bytes as u64);
    log.received(bytes);
}
