//! One body on its way from a source to a sink.

use std::task::{Context, Poll};

use super::port::{BodyPart, BodySink, BodySource, SourceError};

/// Told what a body's pump does.
pub(crate) trait BodyObserver {
    /// The sink takes no more: reading is paused.
    fn paused(&self);
    /// Reading goes on.
    fn resumed(&self);
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
#[derive(Debug)]
pub(crate) struct BodyPump {
    state: State,
    paused: bool,
    bytes: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Flowing,
    /// The trailers were seen and wait for the end.
    Trailers,
    Ended,
}

impl BodyPump {
    /// A body of which nothing has come yet.
    pub(crate) fn new() -> Self {
        Self { state: State::Flowing, paused: false, bytes: 0 }
    }

    /// A message without a body.
    pub(crate) fn ended() -> Self {
        Self { state: State::Ended, paused: false, bytes: 0 }
    }

    pub(crate) fn is_ended(&self) -> bool {
        self.state == State::Ended
    }

    /// Body bytes passed on.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Passes on what there is; ready once the end was passed on.
    pub(crate) fn poll(
        &mut self,
        context: &Context<'_>,
        source: &mut impl BodySource,
        sink: &mut impl BodySink,
        observer: &impl BodyObserver,
    ) -> Poll<Result<(), BodyFailure>> {
        while self.state != State::Ended {
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
                    sink.send(span);
                }
                Poll::Ready(Ok(BodyPart::Trailers)) => self.state = State::Trailers,
                Poll::Ready(Ok(BodyPart::End)) => {
                    let trailers = (self.state == State::Trailers).then(|| source.trailers());
                    sink.end(trailers);
                    self.state = State::Ended;
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(BodyFailure::Source(error))),
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(Ok(()))
    }
}
