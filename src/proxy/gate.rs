//! The filters of a chain before its last one, on one connection.
//!
//! ```text
//! new --all let it in--> served --first bytes--> let through --> the filters are out of the way
//!   \--refused, held--> closed              \--refused, held--> closed
//! ```
//! Whoever calls this boxes it: a chain without such filters, as nearly all are, keeps no room for
//! it and asks nobody.

use std::future::{Future, poll_fn};
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::task::{Context, Poll};

use base::Address;
use cluster::Client;
use filter::{Close, ConnectionToken, Ends, NetworkFilters, Origin};
use reactor::{RECV_CREDIT_MAX, Reactor, Received, Receiver, Socket};

use crate::connection_log::ConnectionLog;

/// What a connection holds as long as it is there; nothing, as a rule.
#[derive(Debug, Default)]
pub(crate) struct Held {
    _tokens: Option<Box<Tokens>>,
}

#[derive(Debug)]
struct Tokens {
    _tokens: Vec<ConnectionToken>,
}

impl From<Vec<ConnectionToken>> for Held {
    fn from(tokens: Vec<ConnectionToken>) -> Self {
        let tokens = (!tokens.is_empty()).then(|| Box::new(Tokens { _tokens: tokens }));
        Self { _tokens: tokens }
    }
}

/// How a connection came through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Passage {
    /// It goes on.
    Open,
    /// A filter closes it, and its log knows why.
    Refused,
    /// The client has left meanwhile.
    Left,
}

/// Shows a new connection to the filters. Nothing is read, however long they hold it. None if it
/// is to be closed.
pub(crate) async fn enter(
    filters: &NetworkFilters,
    reactor: &Reactor,
    log: &ConnectionLog<'_>,
) -> Option<Held> {
    let mut held = Vec::new();
    let let_in = filters.let_in(reactor, &mut held, log).await;
    let_in.inspect_err(|close| log.closed_by_filter(close)).ok()?;
    Some(held.into())
}

/// As [`enter`], for a filter that reads from the start: what comes while the connection is held
/// is told to `received` and thrown away, and the end of a client that leaves is noticed.
pub(crate) async fn enter_reading(
    filters: &NetworkFilters,
    reactor: &Reactor,
    receiver: &Receiver,
    log: &ConnectionLog<'_>,
    received: impl Fn(usize),
) -> (Passage, Held) {
    let mut held = Vec::new();
    let let_in = filters.let_in(reactor, &mut held, log);
    let passage = while_discarding(let_in, receiver, log, received).await;
    (passage, held.into())
}

/// Waits for the first bytes, or the end, and asks the filters that wait for them. Nothing is taken
/// from `receiver` unless the connection is refused: that is told to `received` and thrown away.
/// Where the end is passed on, `asks_at_end`, it is asked about too.
pub(crate) async fn first_data(
    filters: &NetworkFilters,
    reactor: &Reactor,
    (socket, receiver, origin): (&Socket, &Receiver, Option<&Origin>),
    log: &ConnectionLog<'_>,
    received: impl Fn(usize),
    asks_at_end: bool,
) -> Passage {
    poll_fn(|context| receiver.poll_readable(context, RECV_CREDIT_MAX as usize)).await;
    if receiver.is_ended() {
        let end = poll_fn(|context| receiver.poll_end(context)).await;
        // Whoever reads next learns of a failure.
        if !asks_at_end || end.is_err() {
            return Passage::Open;
        }
    }
    let ends = ends_of(socket, origin);
    let let_through = filters.let_through(reactor, &ends, log);
    while_discarding(let_through, receiver, log, received).await
}

/// Waits for the filters' answer. Bytes are thrown away from the moment on at which it is clear
/// that the connection will not go on: filters hold only what they refuse.
async fn while_discarding(
    answer: impl Future<Output = Result<(), Close>>,
    receiver: &Receiver,
    log: &ConnectionLog<'_>,
    received: impl Fn(usize),
) -> Passage {
    let mut answer = pin!(answer);
    poll_fn(|context| match answer.as_mut().poll(context) {
        Poll::Ready(Ok(())) => Poll::Ready(Passage::Open),
        Poll::Ready(Err(close)) => {
            // A connection that is closed with bytes unread is reset.
            let _ = poll_discard(receiver, context, &received);
            log.closed_by_filter(&close);
            Poll::Ready(Passage::Refused)
        }
        Poll::Pending => poll_discard(receiver, context, &received).map(|()| Passage::Left),
    })
    .await
}

/// Ready when the client has ended its side, or failed.
fn poll_discard(receiver: &Receiver, context: &Context<'_>, received: &impl Fn(usize)) -> Poll<()> {
    while let Poll::Ready(taken) = receiver.poll_recv(context, RECV_CREDIT_MAX as usize) {
        match taken {
            Ok(Received::Data(span)) => received(span.len()),
            Ok(Received::End) | Err(_) => return Poll::Ready(()),
        }
    }
    Poll::Pending
}

/// Whose connection it is, for an upstream that is told.
pub(crate) fn client_of<'a>(socket: &Socket, origin: Option<&'a Origin>) -> Client<'a> {
    let Some(origin) = origin else {
        let (remote, local) = (socket.peer_address().ok(), socket.local_address().ok());
        return Client { remote, local, tlvs: &[] };
    };
    let (remote, local, tlvs): (_, _, &[_]) = match origin.introduction() {
        Some(told) => (&told.remote, &told.local, &told.tlvs),
        None => (&origin.ends().remote, &origin.ends().local, &[]),
    };
    Client { remote: Some(remote.clone()), local: Some(local.clone()), tlvs }
}

/// Where the ends of a connection are; `origin` is what listener filters found out.
pub(crate) fn ends_of(socket: &Socket, origin: Option<&Origin>) -> Ends {
    if let Some(origin) = origin {
        return origin.ends().clone();
    }
    // Where a peer that has reset its connection was cannot be told any more.
    let nowhere = |_| Address::Ip(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0));
    let remote = socket.peer_address().unwrap_or_else(nowhere);
    let local = socket.local_address().unwrap_or_else(nowhere);
    Ends { direct_remote: remote.clone(), remote, direct_local: local.clone(), local }
}
