//! A page as the body of an HTTP response, each part made when the one before has been taken.
//!
//! A client that reads as fast as parts are made would keep the thread for itself, so after each
//! chunk it is the others' turn.

use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use hyper::body::{Body, Bytes, Frame, SizeHint};
use tokio::task::yield_now;

use super::page::Parts;

/// Parts are collected up to this size before they are sent: one chunk, one write.
const CHUNK_BYTES: usize = 32 * 1024;

/// The body of an answer.
pub(crate) struct PageBody {
    begin: Bytes,
    parts: Option<Parts>,
    /// After a chunk: until the event loop has looked at its sockets.
    pause: Option<Pin<Box<dyn Future<Output = ()>>>>,
}

impl PageBody {
    pub(crate) fn new(begin: String, parts: Option<Parts>) -> Self {
        Self { begin: Bytes::from(begin), parts, pause: None }
    }
}

impl Body for PageBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let begin = std::mem::take(&mut self.begin);
        if !begin.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(begin))));
        }
        if let Some(pause) = &mut self.pause {
            ready!(pause.as_mut().poll(context));
            self.pause = None;
        }
        let mut chunk = String::new();
        if let Some(parts) = &mut self.parts {
            while chunk.len() < CHUNK_BYTES
                && let Some(part) = parts.next()
            {
                chunk.push_str(&part);
            }
        }
        if chunk.is_empty() {
            self.parts = None;
            return Poll::Ready(None);
        }
        // Not a wake-up of our own, which would be served before any socket.
        self.pause = Some(Box::pin(yield_now()));
        Poll::Ready(Some(Ok(Frame::data(Bytes::from(chunk)))))
    }

    fn is_end_stream(&self) -> bool {
        self.begin.is_empty() && self.parts.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        let begin = u64::try_from(self.begin.len()).unwrap_or(u64::MAX);
        match self.parts {
            None => SizeHint::with_exact(begin),
            Some(_) => SizeHint::new(),
        }
    }
}

impl fmt::Debug for PageBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PageBody").field("begin", &self.begin.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    #[test]
    fn a_long_body_comes_in_chunks_with_a_pause_after_each() {
        let parts = (0..10).map(|_| "x".repeat(CHUNK_BYTES / 3));
        let mut body = PageBody::new("begin".to_owned(), Some(Box::new(parts)));
        let mut poll =
            || match Pin::new(&mut body).poll_frame(&mut Context::from_waker(Waker::noop())) {
                Poll::Pending => "pause".to_owned(),
                Poll::Ready(None) => "end".to_owned(),
                Poll::Ready(Some(Ok(frame))) => frame.into_data().unwrap().len().to_string(),
                Poll::Ready(Some(Err(never))) => match never {},
            };
        let part = CHUNK_BYTES / 3;
        let (full, rest) = ((part * 4).to_string(), (part * 2).to_string());
        let expected = ["5", &full, "pause", &full, "pause", &rest, "pause", "end"];
        assert_eq!(expected.map(|_| poll()), expected);
    }
}
