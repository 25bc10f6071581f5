//! A head (or trailer section) that comes in several pieces: kept until its end is there.
//!
//! Only heads that a piece of input did not hold whole come here, and all that are wrong: what is
//! reported about a broken head must not depend on how it was cut into pieces, so it is judged
//! here, line by line and once it is complete.
//!
//! **Invariant:** at most the limit and one byte is kept.

use crate::http1::error::{Error, ErrorKind};
use crate::http1::options::BareLineFeeds;

/// The bytes so far.
#[derive(Debug, Default)]
pub(crate) struct HeadBuffer {
    bytes: Vec<u8>,
    /// What is before this was looked at: there is no end of a head in it.
    scanned: usize,
}

impl HeadBuffer {
    pub(crate) const fn new() -> Self {
        Self { bytes: Vec::new(), scanned: 0 }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The complete head, after [`fill`](Self::fill) said that it is complete.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Forgets the head and keeps the memory, up to [`RETAINED_BYTES_MAX`].
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(RETAINED_BYTES_MAX);
        self.scanned = 0;
    }

    /// Takes bytes up to the end of the head. Returns how many bytes of `input` belong to the
    /// head, or `None` when all do and the end is still to come.
    ///
    /// The head may be empty: then its first line is the empty line that ends it. Otherwise the
    /// first line, without its end, is shown to `judge_first_line` as soon as it is complete.
    ///
    /// # Errors
    ///
    /// A head that is longer than `bytes_max`; a bare line feed, unless accepted; what
    /// `judge_first_line` says.
    pub(crate) fn fill(
        &mut self,
        input: &[u8],
        bytes_max: usize,
        bare: BareLineFeeds,
        judge_first_line: impl Fn(&[u8]) -> Result<(), Error>,
    ) -> Result<Option<usize>, Error> {
        let before = self.bytes.len();
        let room = (bytes_max + 1).saturating_sub(before);
        self.bytes.extend_from_slice(&input[..input.len().min(room)]);
        while let Some(found) = memchr::memchr(b'\n', &self.bytes[self.scanned..]) {
            let line_feed = self.scanned + found;
            if line_feed >= bytes_max {
                break;
            }
            let line = self.line_before(line_feed);
            if bare == BareLineFeeds::Refuse && line.last() != Some(&b'\r') {
                return Err(ErrorKind::BareLineFeed.into());
            }
            let is_last = matches!(line, b"" | b"\r");
            if self.scanned == 0 && !is_last {
                judge_first_line(line.strip_suffix(b"\r").unwrap_or(line))?;
            }
            self.scanned = line_feed + 1;
            if is_last {
                self.bytes.truncate(self.scanned);
                return Ok(Some(self.scanned - before));
            }
        }
        if self.bytes.len() > bytes_max {
            return Err(ErrorKind::HeadersTooLarge.into());
        }
        Ok(None)
    }

    /// The line that ends at `line_feed`, without it.
    fn line_before(&self, line_feed: usize) -> &[u8] {
        let start = memchr::memrchr(b'\n', &self.bytes[..line_feed]).map_or(0, |at| at + 1);
        &self.bytes[start..line_feed]
    }
}

/// Memory that is kept for the next head that comes in pieces.
const RETAINED_BYTES_MAX: usize = 4 * 1024;
