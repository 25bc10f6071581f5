//! Moving bytes both ways between a stream and another, or what stands for one, until both
//! directions have ended.
//!
//! Each direction is a pump; the end of one is passed on as a half close, and the other goes on.
//! One timer entry covers the idle timeout: activity only leaves its time behind, and the timer
//! looks at it when it fires.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use reactor::{Reactor, Receiver, Sleep};

use crate::pump::{PumpFailure, PumpObserver, PumpSink, PumpSource, pump};
use crate::stream::Stream;

/// What a stream may be relayed to: another one, or a message in each direction of a protocol
/// whose bodies are the bytes.
pub trait RelayPeer: PumpSource + PumpSink {
    /// When bytes last moved, if it matters: what goes to a message in frames leaves with others,
    /// and who asks looks at the stream on the other side.
    fn last_activity(&self) -> Option<Instant>;
}

impl RelayPeer for Stream {
    fn last_activity(&self) -> Option<Instant> {
        Some(self.last_activity())
    }
}

/// One of the two ends of a relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The connection that was accepted.
    Downstream,
    /// The connection that was made for it.
    Upstream,
}

/// How a relay ended.
#[derive(Debug)]
pub enum RelayEnd {
    /// Both sides ended their streams, and downstream has everything. What upstream has not taken
    /// yet waits in its outbox: see [`flush`]. Or one side ended its own, which was enough, and
    /// the other has everything that came from it.
    Finished {
        /// Whose end came last.
        last: Side,
    },
    /// A side failed: it was reset, or could not be written to.
    Failed {
        /// Which side.
        side: Side,
        /// What the kernel said.
        error: io::Error,
    },
    /// Nothing moved for the idle timeout.
    Idle,
    /// Downstream's bytes were not to be passed on.
    Refused,
}

impl RelayEnd {
    /// With what the receiver of a side that failed was told. A socket says once that it was reset,
    /// and `EPIPE` to whoever comes later: which of the two looked first must not matter.
    fn told_by(self, downstream: &Receiver, upstream: Option<&Receiver>) -> Self {
        let Self::Failed { side, error } = self else { return self };
        let told = match side {
            Side::Downstream => downstream.failure(),
            Side::Upstream => upstream.and_then(Receiver::failure),
        };
        Self::Failed { side, error: told.unwrap_or(error) }
    }
}

/// What the end of one direction means for the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HalfClose {
    /// It is passed on, and the other direction goes on.
    PassedOn,
    /// It ends both: what runs over the streams knows no half close.
    EndsBoth,
}

/// What holds for a relay.
#[derive(Debug, Clone, Copy)]
pub struct RelayRules {
    /// How long nothing may move; `None` waits for ever.
    pub idle_timeout: Option<Duration>,
    /// What the end of one direction means.
    pub half_close: HalfClose,
}

/// Relays until an end. `downstream_observer` is told about what is read from downstream,
/// `upstream_observer` about what is read from upstream. Nothing is read from downstream before
/// `begins` has said yes; what comes from upstream is passed on meanwhile.
// No `async fn`: its future keeps the arguments twice.
pub fn relay<'a>(
    reactor: &'a Reactor,
    downstream: &'a Stream,
    upstream: &'a impl RelayPeer,
    downstream_observer: &'a impl PumpObserver,
    upstream_observer: &'a impl PumpObserver,
    rules: &RelayRules,
    begins: impl Future<Output = bool> + 'a,
) -> impl Future<Output = RelayEnd> + 'a {
    // Whose ends have been read, in order. The second end needs no half close of its own: the
    // connections are closed after it.
    let ends =
        Ends { half_close: rules.half_close, first: Cell::new(None), second: Cell::new(None) };
    // Made here, so that the timeout need not be kept beside it.
    let last_activity = || {
        let last = downstream.last_activity();
        upstream.last_activity().map_or(last, |activity| activity.max(last))
    };
    let mut idle = idle_for(reactor, rules.idle_timeout, last_activity);
    async move {
        let up_ends = || ends.note(Side::Downstream);
        let up = pump(downstream, upstream, downstream_observer, up_ends);
        let down_ends = || ends.note(Side::Upstream);
        let down = pump(upstream, downstream, upstream_observer, down_ends);
        let (mut up, mut down, mut begins) = (pin!(up), pin!(down), pin!(begins));
        let (mut up_begun, mut up_open, mut down_open) = (false, true, true);
        // A message touches one direction; the memory of the other parts is better left alone.
        let branches = reactor.branches();
        // By `move`, so that it is the only one to keep what it needs.
        let (ends, idle) = (&ends, &mut idle);
        poll_fn(move |context| {
            let woken = branches.woken(context);
            if !up_begun && let Poll::Ready(may_begin) = woken.poll(context, UP, begins.as_mut()) {
                if !may_begin {
                    return Poll::Ready(RelayEnd::Refused);
                }
                up_begun = true;
            }
            // In the same branch, so what woke the one polls the other.
            if up_begun
                && up_open
                && let Poll::Ready(result) = woken.poll(context, UP, up.as_mut())
            {
                if let Err(failure) = result {
                    return Poll::Ready(failed(failure, Side::Downstream, Side::Upstream));
                }
                up_open = false;
                if ends.half_close == HalfClose::EndsBoth {
                    return Poll::Ready(RelayEnd::Finished { last: Side::Downstream });
                }
            }
            if down_open && let Poll::Ready(result) = woken.poll(context, DOWN, down.as_mut()) {
                if let Err(failure) = result {
                    return Poll::Ready(failed(failure, Side::Upstream, Side::Downstream));
                }
                down_open = false;
                if ends.half_close == HalfClose::EndsBoth {
                    return Poll::Ready(RelayEnd::Finished { last: Side::Upstream });
                }
            }
            if !down_open && let Some(last) = ends.last() {
                return Poll::Ready(RelayEnd::Finished { last });
            }
            let Some(idle) = idle.as_mut() else { return Poll::Pending };
            woken.poll(context, IDLE, Pin::new(idle)).map(|()| RelayEnd::Idle)
        })
        .await
        .told_by(downstream.receiver(), upstream.receiver())
    }
}

/// Branches of a relay that are woken apart.
const UP: u8 = 0;
const DOWN: u8 = 1;
const IDLE: u8 = 2;

/// Whose ends have been read, in order.
#[derive(Debug)]
struct Ends {
    half_close: HalfClose,
    first: Cell<Option<Side>>,
    second: Cell<Option<Side>>,
}

impl Ends {
    /// The end of `side` has been read. Whether it is to be passed on: the second one needs no
    /// half close of its own, for the connections are closed after it.
    fn note(&self, side: Side) -> bool {
        let end = if self.first.get().is_none() { &self.first } else { &self.second };
        end.set(Some(side));
        self.half_close == HalfClose::PassedOn && self.second.get().is_none()
    }

    /// Whose end came last, once both have come.
    fn last(&self) -> Option<Side> {
        self.second.get()
    }
}

/// How a [`flush`] ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flushed {
    /// Everything was sent.
    Sent,
    /// The peer failed first.
    Failed,
    /// Nothing moved for the idle timeout.
    Idle,
}

/// Waits until everything queued on a stream was sent. A peer that takes nothing for
/// `idle_timeout` ends the wait; `None` waits for as long as the peer stays.
pub async fn flush(reactor: &Reactor, stream: &Stream, idle_timeout: Option<Duration>) -> Flushed {
    let mut idle = idle_for(reactor, idle_timeout, || stream.last_activity());
    poll_fn(|context| {
        if let Poll::Ready(result) = stream.outbox().poll_drained(context) {
            return Poll::Ready(if result.is_ok() { Flushed::Sent } else { Flushed::Failed });
        }
        let Some(idle) = &mut idle else { return Poll::Pending };
        Pin::new(idle).poll(context).map(|()| Flushed::Idle)
    })
    .await
}

fn failed(failure: PumpFailure, from: Side, to: Side) -> RelayEnd {
    match failure {
        PumpFailure::Reading(error) => RelayEnd::Failed { side: from, error },
        PumpFailure::Writing(error) => RelayEnd::Failed { side: to, error },
    }
}

/// Ready once nothing has moved for the timeout; never if there is none.
fn idle_for<F>(reactor: &Reactor, timeout: Option<Duration>, last_activity: F) -> Option<Idle<F>>
where
    F: Fn() -> Instant,
{
    let timeout = timeout?;
    Some(Idle { timeout, sleep: reactor.sleep_until(last_activity() + timeout), last_activity })
}

/// Ready once nothing has moved for `timeout`. A type, as it is a part of every idle connection
/// and the future of a function would be half as large again.
struct Idle<F> {
    timeout: Duration,
    /// Until nothing would have moved for so long since it was last looked at.
    sleep: Sleep,
    last_activity: F,
}

impl<F: Fn() -> Instant + Unpin> Future for Idle<F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        loop {
            ready!(Pin::new(&mut self.sleep).poll(context));
            let deadline = (self.last_activity)() + self.timeout;
            if deadline <= self.sleep.deadline() {
                return Poll::Ready(());
            }
            self.sleep.put_off(deadline);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpStream;
    use std::rc::Rc;
    use std::thread;

    use reactor::{OutboxMeter, Settings};
    use socket2::SockRef;

    use super::*;
    use crate::pump::tests::pair;

    struct Uncounted;

    impl OutboxMeter for Uncounted {
        fn queued(&self, _bytes: usize) {}
        fn sent(&self, _bytes: usize) {}
        fn dropped(&self, _bytes: usize) {}
    }

    impl PumpObserver for Uncounted {
        fn received(&self, _bytes: usize) {}
        fn paused(&self) {}
        fn resumed(&self) {}
    }

    /// More than the sockets of both ends hold.
    const MORE_THAN_FITS: usize = 32 << 20;

    /// A connection whose ends keep little.
    fn connection(reactor: &Reactor) -> (Stream, TcpStream) {
        let (near, far) = pair();
        SockRef::from(&near).set_send_buffer_size(4096).unwrap();
        SockRef::from(&far).set_recv_buffer_size(4096).unwrap();
        let socket = reactor.socket(near.into());
        (Stream::new(reactor, socket, 1 << 20, Rc::new(Uncounted)), far)
    }

    /// Where bytes wait both ways a reset ends the receive in flight and the send, which learns
    /// only that nobody is there any more: which of them is looked at first must not matter.
    // Rows: A16
    #[test]
    fn a_reset_is_seen_as_one_though_bytes_wait_both_ways() {
        let reactor = Reactor::new(Settings::new(reactor::probe().unwrap())).unwrap();
        let ((downstream, client), (upstream, host)) = (connection(&reactor), connection(&reactor));
        // Less than an outbox holds: both sides are still read from.
        let [client, host] = [client, host].map(|mut peer| {
            thread::spawn(move || {
                peer.write_all(&[1; 100_000]).unwrap();
                peer
            })
        });
        let mut host = Some(host);
        let end = reactor.run(async {
            let rules = RelayRules { idle_timeout: None, half_close: HalfClose::PassedOn };
            let begins = std::future::ready(true);
            let (down, up) = (&downstream, &upstream);
            let mut relay = pin!(relay(&reactor, down, up, &Uncounted, &Uncounted, &rules, begins));
            poll_fn(|context| {
                if let Poll::Ready(end) = relay.as_mut().poll(context) {
                    return Poll::Ready(end);
                }
                let received =
                    [down, up].map(|one| one.receiver().bytes_received()) == [100_000; 2];
                let clogged = [down, up].iter().all(|one| one.outbox().bytes_buffered() > 0);
                if received
                    && clogged
                    && let Some(host) = host.take()
                {
                    let host = host.join().unwrap();
                    SockRef::from(&host).set_linger(Some(Duration::ZERO)).unwrap();
                }
                reactor.wake_next_turn(context.waker());
                Poll::Pending
            })
            .await
        });
        drop(client.join().unwrap());
        let RelayEnd::Failed { side: Side::Upstream, error } = end else { panic!("{end:?}") };
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    }

    /// Flushes a stream with much queued, whose peer does as `peer` says.
    fn flush_to(idle: Duration, peer: impl FnOnce(TcpStream) + Send + 'static) -> Flushed {
        let reactor = Reactor::new(Settings::new(reactor::probe().unwrap())).unwrap();
        let (near, far) = pair();
        let peer = thread::spawn(move || peer(far));
        let flushed = reactor.run(async {
            let socket = reactor.socket(near.into());
            let stream = Stream::new(&reactor, socket, 1 << 20, Rc::new(Uncounted));
            stream.outbox().push(vec![7; MORE_THAN_FITS].into());
            flush(&reactor, &stream, Some(idle)).await
        });
        // Closes the stream, which a peer that stalls waits for.
        drop(reactor);
        peer.join().unwrap();
        flushed
    }

    // Rows: A13
    /// A peer that takes nothing must not hold its connection for ever.
    #[test]
    fn a_flush_ends_when_the_peer_has_everything_or_fails_or_stalls() {
        let reads_all = |mut peer: TcpStream| {
            peer.read_exact(&mut vec![0; MORE_THAN_FITS]).unwrap();
        };
        let never = Duration::from_secs(600);
        assert_eq!(flush_to(never, reads_all), Flushed::Sent);
        let resets = |peer: TcpStream| {
            SockRef::from(&peer).set_linger(Some(Duration::ZERO)).unwrap();
        };
        assert_eq!(flush_to(never, resets), Flushed::Failed);
        let (keep, kept) = std::sync::mpsc::channel();
        let stalls = move |peer: TcpStream| keep.send(peer).unwrap();
        assert_eq!(flush_to(Duration::from_millis(50), stalls), Flushed::Idle);
        drop(kept.recv().unwrap());
    }
}
