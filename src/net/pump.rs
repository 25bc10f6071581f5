//! Moving bytes in one direction, by passing received spans on from where they landed.

use std::future::poll_fn;
use std::io;
use std::task::Poll;

use reactor::{Outbox, Received, Receiver};

/// Told what a pump does, as it does it.
pub trait PumpObserver {
    /// Bytes came in and were queued for the receiving side.
    fn received(&self, bytes: usize);
    /// The receiving side takes no more: reading is paused.
    fn paused(&self);
    /// Reading goes on.
    fn resumed(&self);
}

/// Which end of a pump failed, and how.
#[derive(Debug)]
pub enum PumpFailure {
    /// The side that is read from.
    Reading(io::Error),
    /// The side that is written to.
    Writing(io::Error),
}

/// Copies from `receiver` to `outbox` until the end of the stream, and until the last byte was
/// sent. Each receive is credited with the room the outbox has, so at most the outbox's limit is
/// ever held. `pass_on_end` says, when the end comes, whether the outbox is to be shut down after
/// its last byte: not if the connection will be closed next, which tells the peer as well.
///
/// # Errors
/// [`PumpFailure`] says which side failed. What was queued for the other side stays queued.
pub async fn pump(
    receiver: &Receiver,
    outbox: &Outbox,
    observer: &impl PumpObserver,
    pass_on_end: impl FnOnce() -> bool,
) -> Result<(), PumpFailure> {
    receiver.feeds(outbox);
    loop {
        let pause = outbox.is_paused().then(|| Pause::begin(observer));
        let room = outbox.room().await.map_err(PumpFailure::Writing)?;
        drop(pause);
        // A send that fails later must not go unnoticed until something else arrives.
        let received = poll_fn(|context| match outbox.poll_failure(context) {
            Poll::Ready(error) => Poll::Ready(Err(PumpFailure::Writing(error))),
            Poll::Pending => receiver.poll_recv(context, room).map_err(PumpFailure::Reading),
        });
        match received.await? {
            Received::Data(span) => {
                observer.received(span.len());
                outbox.push(span);
            }
            Received::End => {
                if pass_on_end() {
                    outbox.finish();
                }
                return outbox.drained().await.map_err(PumpFailure::Writing);
            }
        }
    }
}

/// A pause that is told to have ended however it ends.
struct Pause<'a, O: PumpObserver>(&'a O);

impl<'a, O: PumpObserver> Pause<'a, O> {
    fn begin(observer: &'a O) -> Self {
        observer.paused();
        Self(observer)
    }
}

impl<O: PumpObserver> Drop for Pause<'_, O> {
    fn drop(&mut self) {
        self.0.resumed();
    }
}
