//! The far end of a socket, as the kernel sees it.

use std::io;
use std::ops::Range;
use std::rc::Rc;

use super::Scale;
use super::random::Random;
use crate::driver::OpKey;
use crate::driver::scripted::Answer;

/// What a peer does.
#[derive(Debug)]
pub struct Plan {
    /// All that it sends before it ends its stream: this part of `text`, which peers may share.
    pub says: Range<usize>,
    /// Holds what it says.
    pub text: Rc<[u8]>,
    /// At which byte of that it resets the connection instead.
    pub doomed_at: Option<usize>,
}

impl Plan {
    pub(super) fn says(&self) -> &[u8] {
        &self.text[self.says.clone()]
    }
}

#[derive(Debug)]
pub(super) struct Peer {
    pub(super) plan: Plan,
    /// How much of what it says was received.
    pub(super) said: usize,
    pub(super) hears: Vec<u8>,
    /// Bytes its socket buffer takes now.
    pub(super) room: usize,
    mood: Mood,
    pub(super) recv: Option<OpKey>,
    pub(super) parked: Option<OpKey>,
    pub(super) shutdown: Option<OpKey>,
    pub(super) shut: bool,
    pub(super) reset: bool,
}

#[derive(Debug, Clone, Copy)]
enum Mood {
    Eager,
    /// Small pieces only.
    Slow,
    /// Neither says nor takes anything.
    Stalled,
}

impl Peer {
    pub(super) fn new(plan: Plan) -> Self {
        Self {
            plan,
            said: 0,
            hears: Vec::new(),
            room: 0,
            mood: Mood::Eager,
            recv: None,
            parked: None,
            shutdown: None,
            shut: false,
            reset: false,
        }
    }

    /// How the kernel answers a send that does not wait.
    pub(super) fn answer(&mut self, bytes: &[u8], random: &mut Random) -> Answer {
        assert!(!self.shut, "bytes after the end of stream");
        if self.reset {
            return Answer::Fails(libc::EPIPE);
        }
        if random.one_in(50) {
            return Answer::Fails(libc::EINTR);
        }
        let count = bytes.len().min(self.room);
        if count == 0 {
            return Answer::Fails(libc::EAGAIN);
        }
        self.hear(&bytes[..count]);
        if count < bytes.len() && random.one_in(4) {
            return Answer::Overflows(i32::try_from(count).unwrap());
        }
        Answer::Takes(count)
    }

    /// What a splice of up to `len` bytes from its socket brings; nothing is the end.
    pub(super) fn spliced(
        &mut self,
        len: usize,
        random: &mut Random,
        scale: Scale,
    ) -> io::Result<Vec<u8>> {
        if self.reset {
            return Err(io::Error::from_raw_os_error(libc::ECONNRESET));
        }
        if self.is_done() {
            return Ok(Vec::new());
        }
        let piece = self.next_piece(scale.piece_max.min(len), random).filter(|_| !random.one_in(3));
        let bytes = piece.ok_or(io::ErrorKind::WouldBlock)?;
        self.said += bytes.len();
        Ok(bytes)
    }

    pub(super) fn hear(&mut self, bytes: &[u8]) {
        self.room -= bytes.len();
        self.hears.extend(bytes);
    }

    /// It has said everything.
    pub(super) fn is_done(&self) -> bool {
        self.said == self.plan.says().len()
    }

    /// What it says next, `most` bytes at most; `None` if nothing now.
    pub(super) fn next_piece(&self, most: usize, random: &mut Random) -> Option<Vec<u8>> {
        let most = match self.mood {
            Mood::Eager => most,
            Mood::Slow => most.min(100),
            Mood::Stalled => return None,
        };
        let rest = &self.plan.says()[self.said..];
        let end = self.plan.doomed_at.map_or(rest.len(), |at| at - self.said);
        let len = (1 + random.below(most)).min(end);
        (len > 0).then(|| rest[..len].to_vec())
    }

    pub(super) fn make_room(&mut self, most: usize, random: &mut Random) {
        let more = match self.mood {
            Mood::Eager => most,
            Mood::Slow => most.min(100),
            Mood::Stalled => 0,
        };
        self.room = (self.room + random.below(more)).min(most);
    }

    pub(super) fn change_mood(&mut self, random: &mut Random) {
        if self.plan.doomed_at == Some(self.said) {
            self.reset = true;
        }
        self.mood = match self.mood {
            Mood::Stalled | Mood::Slow if random.one_in(30) => Mood::Eager,
            Mood::Eager if random.one_in(150) => Mood::Stalled,
            Mood::Eager if random.one_in(150) => Mood::Slow,
            mood => mood,
        };
    }

    pub(super) fn is_writable(&self) -> bool {
        self.room > 0 || self.reset
    }

    pub(super) fn is_readable(&self) -> bool {
        self.reset || self.is_done() || !matches!(self.mood, Mood::Stalled)
    }
}
