//! The end of a connection that we close: what is queued is sent first, and where the client may
//! still be sending, it gets the time to read that (acceptance rows A9 to A12).
//!
//! A socket that is closed with bytes in it that nobody has read is reset, and a reset may overtake
//! the last response. So what still comes is read and thrown away, and the last word is left to the
//! client, for `delayed_close_timeout` from when bytes moved last.
//!
//! <https://www.envoyproxy.io/docs/envoy/latest/faq/configuration/timeouts>

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::{Poll, ready};

use net::Progress;
use observe::names::HttpStat;
use reactor::{RECV_CREDIT_MAX, Received};

use super::connection::{EndedBy, HttpConnection};

/// How a connection is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Closing {
    /// Once everything is sent: the client knows of the end, and its last request was complete.
    Flush,
    /// Once everything is sent and the client has closed, too.
    FlushAndWait,
    /// As `FlushAndWait`, for a client that broke the protocol: hardly anything of what it
    /// still sends is read, so that a flood ends in its own socket and costs nothing here.
    Violation,
}

/// What is still read of a client that broke the protocol: one that was only wrong has sent no
/// more, and its own end is noticed.
const READ_AFTER_VIOLATION: usize = 64 * 1024;

/// Waits until the connection may be closed; says which side ended it.
pub(super) async fn delayed_close(connection: &HttpConnection, closing: Closing) -> EndedBy {
    let manager = &connection.manager;
    let timeout = manager.prepared.config.delayed_close_timeout;
    let waits = closing != Closing::Flush && timeout.is_some();
    let mut unread_left = match closing {
        Closing::Flush | Closing::FlushAndWait => usize::MAX,
        Closing::Violation => READ_AFTER_VIOLATION,
    };
    let (receiver, outbox) = (connection.stream.receiver(), connection.stream.outbox());
    let mut progress = Progress::new(outbox.bytes_sent(), manager.reactor.now());
    let mut is_flushing = true;
    let mut hung_up = pin!(connection.hung_up());
    poll_fn(|context| {
        while unread_left > 0
            && let Poll::Ready(received) = receiver.poll_recv(context, RECV_CREDIT_MAX as usize)
        {
            match received {
                Ok(Received::Data(span)) => unread_left = unread_left.saturating_sub(span.len()),
                // Half closed: what is queued may still be wanted.
                Ok(Received::End) if is_flushing => break,
                Ok(Received::End) | Err(_) => return Poll::Ready(EndedBy::Client),
            }
        }
        if is_flushing {
            match outbox.poll_drained(context) {
                Poll::Ready(Ok(())) if waits && !receiver.is_ended() => {
                    is_flushing = false;
                    progress.begin_anew(manager.reactor.now());
                }
                Poll::Ready(Ok(())) if receiver.is_ended() => {
                    return Poll::Ready(EndedBy::Client);
                }
                Poll::Ready(Ok(())) => return Poll::Ready(EndedBy::Us),
                Poll::Ready(Err(_)) => return Poll::Ready(EndedBy::Client),
                Poll::Pending => {}
            }
        }
        // Where nothing is read any more, nothing else says that the client has left.
        if unread_left == 0 && !is_flushing && hung_up.as_mut().poll(context).is_ready() {
            return Poll::Ready(EndedBy::Client);
        }
        let Some(timeout) = timeout else { return Poll::Pending };
        let timer = &mut *connection.timer.borrow_mut();
        ready!(progress.poll_stalled(context, timer, outbox.bytes_sent(), timeout));
        manager.stats.inc(HttpStat::DownstreamCxDelayedCloseTimeout);
        Poll::Ready(EndedBy::Us)
    })
    .await
}
