//! A page as the body of an HTTP response, each part made when the one before has been taken.

use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::body::{Body, Bytes, Frame, SizeHint};

use super::page::Parts;

/// Parts are collected up to this size before they are sent: one chunk, one write.
const CHUNK_BYTES: usize = 32 * 1024;

/// The body of an answer.
pub(crate) struct PageBody {
    begin: Bytes,
    parts: Option<Parts>,
}

impl PageBody {
    pub(crate) fn new(begin: String, parts: Option<Parts>) -> Self {
        Self { begin: Bytes::from(begin), parts }
    }
}

impl Body for PageBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let begin = std::mem::take(&mut self.begin);
        if !begin.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(begin))));
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
