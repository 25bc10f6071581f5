//! One body on its way from a source to a sink.
//!
//! What is left of a long body moves inside the kernel once it has proven to come in bulk, if both
//! sides carry it as it is: a length was announced, and no chunks are made of it.

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use net::BulkWatch;
use reactor::SpliceError;

use super::port::{BodyPart, BulkSink, BulkSource, SourceError};

/// A body is spliced only while this much of it is left: less is not worth stopping both halves.
const SPLICE_BYTES_MIN: u64 = 512 * 1024;

/// Told what a body's pump does.
pub(crate) trait BodyObserver {
    /// The sink takes no more: reading is paused.
    fn paused(&self);
    /// Reading goes on.
    fn resumed(&self);
    /// A map of METADATA was dropped, because the sink's protocol has none.
    fn metadata_dropped(&self);
}

/// Which end of a pump failed, and how.
#[derive(Debug)]
pub(crate) enum BodyFailure {
    /// The message will not come to its end.
    Source(SourceError),
    /// The connection that it goes to failed.
    Sink,
}

/// How far a body has come.
pub(crate) struct BodyPump<'s> {
    state: State,
    had_trailers: bool,
    paused: bool,
    bytes: u64,
    maps: u64,
    bulk: BulkWatch,
    /// The rest moves, or as much of it as comes in bulk.
    splicing: Option<Splicing<'s>>,
}

/// A part of a body that moves inside the kernel.
struct Splicing<'s> {
    /// Apart, so that an exchange without bulk does not keep room for it.
    splice: Pin<Box<dyn Future<Output = Result<bool, SpliceError>> + 's>>,
    /// Passed on since it was looked at last.
    passed: Rc<Cell<u64>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Flowing,
    /// The trailers were seen and wait for the end.
    Trailers,
    Ended,
}

impl<'s> BodyPump<'s> {
    /// A body of which nothing has come yet.
    pub(crate) fn new() -> Self {
        Self {
            state: State::Flowing,
            had_trailers: false,
            paused: false,
            bytes: 0,
            maps: 0,
            bulk: BulkWatch::default(),
            splicing: None,
        }
    }

    /// A message without a body.
    pub(crate) fn ended() -> Self {
        Self { state: State::Ended, ..Self::new() }
    }

    pub(crate) fn is_ended(&self) -> bool {
        self.state == State::Ended
    }

    /// Whether it has ended with trailers.
    pub(crate) fn had_trailers(&self) -> bool {
        self.had_trailers
    }

    /// Body bytes passed on.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// A number that changes whenever something was passed on.
    pub(crate) fn progress(&self) -> u64 {
        self.bytes.wrapping_add(self.maps)
    }

    /// Passes on what there is; ready once the end was passed on.
    pub(crate) fn poll<S, K>(
        &mut self,
        context: &mut Context<'_>,
        source: &mut S,
        sink: &mut K,
        observer: &impl BodyObserver,
    ) -> Poll<Result<(), BodyFailure>>
    where
        S: BulkSource<Receiver: 's>,
        K: BulkSink<Outbox: 's>,
    {
        let polled = self.pass_on(context, source, sink, observer);
        // What came of a body that breaks off goes on, too. The end of one has left by itself.
        if !matches!(polled, Poll::Ready(Ok(()))) {
            sink.flush();
        }
        polled
    }

    fn pass_on<S, K>(
        &mut self,
        context: &mut Context<'_>,
        source: &mut S,
        sink: &mut K,
        observer: &impl BodyObserver,
    ) -> Poll<Result<(), BodyFailure>>
    where
        S: BulkSource<Receiver: 's>,
        K: BulkSink<Outbox: 's>,
    {
        while self.state != State::Ended {
            if let Some(splicing) = &mut self.splicing {
                let polled = splicing.splice.as_mut().poll(context);
                let passed = splicing.passed.take();
                self.bytes += passed;
                source.skip(passed);
                match polled {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(result) => {
                        self.splicing = None;
                        // The end of the stream comes again to who reads on.
                        result.map_err(|failure| match failure {
                            SpliceError::Reading(_) => BodyFailure::Source(SourceError::Failed),
                            SpliceError::Writing(_) => BodyFailure::Sink,
                        })?;
                    }
                }
            }
            let paused = sink.is_paused();
            if paused != self.paused {
                self.paused = paused;
                if paused { observer.paused() } else { observer.resumed() }
            }
            let room = match sink.poll_room(context) {
                Poll::Ready(Ok(room)) => room,
                Poll::Ready(Err(_)) => return Poll::Ready(Err(BodyFailure::Sink)),
                Poll::Pending => return Poll::Pending,
            };
            match source.poll_part(context, room) {
                Poll::Ready(Ok(BodyPart::Data(span))) => {
                    self.bytes += span.len() as u64;
                    let is_bulk = source
                        .rest()
                        .is_some_and(|(receiver, _)| self.bulk.is_bulk(span.len(), &receiver));
                    sink.send(span);
                    if is_bulk {
                        self.begin_splice(source, sink);
                    }
                }
                Poll::Ready(Ok(BodyPart::Metadata(map))) => {
                    self.maps += 1;
                    if !sink.send_metadata(&map) {
                        observer.metadata_dropped();
                    }
                }
                Poll::Ready(Ok(BodyPart::Trailers)) => self.state = State::Trailers,
                Poll::Ready(Ok(BodyPart::End)) => {
                    self.had_trailers = self.state == State::Trailers;
                    sink.end(self.had_trailers.then(|| source.trailers()));
                    self.state = State::Ended;
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(BodyFailure::Source(error))),
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Lets the rest of the body move inside the kernel, if it is long and both sides take it as
    /// it is.
    fn begin_splice<S, K>(&mut self, source: &S, sink: &K)
    where
        S: BulkSource<Receiver: 's>,
        K: BulkSink<Outbox: 's>,
    {
        let rest = source.rest().filter(|(_, left)| *left >= SPLICE_BYTES_MIN);
        let (Some((receiver, left)), Some(outbox)) = (rest, sink.outbox()) else { return };
        let passed = Rc::new(Cell::new(0));
        let counter = Rc::clone(&passed);
        let count = move |bytes| counter.set(counter.get() + bytes);
        let splice = Box::pin(async move { net::splice(&receiver, &outbox, left, count).await });
        self.splicing = Some(Splicing { splice, passed });
    }
}
