//! What both roles' targets do with bytes that are cut anywhere: read them to their end or to the
//! first error, check each step, and remember what was told and answered.

mod told;

use proto::http2::{Connection, Error, ErrorKind, Event, Options, Step};
use told::Told;

/// What does not depend on how the bytes were cut.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Reading {
    pub told: Told,
    /// What was written.
    pub answers: Vec<u8>,
    pub error: Option<ErrorKind>,
}

/// The options that the bits of `switches` choose.
pub fn options(switches: u8) -> Options {
    let mut options = Options {
        stream_error_on_invalid_message: switches & 2 != 0,
        allow_connect: switches & 4 != 0,
        allow_metadata: switches & 4 != 0,
        ..Options::default()
    };
    if has_small_limits(switches) {
        options.headers_max = 6;
        options.head_bytes_max = 100;
        options.field_bytes_max = 120;
        options.stream_reset_burst = 4;
        options.outbound_control_frames_max = 8;
        options.metadata_bytes_max = 40;
        options.hpack_table_size = 64;
    }
    options
}

/// Whether the options are to be met by short inputs.
pub fn has_small_limits(switches: u8) -> bool {
    switches & 8 != 0
}

impl Reading {
    /// Reads `pieces`, of which `receive` takes a part at a time; it also says a head as text.
    pub fn read(
        &mut self,
        connection: &mut Connection,
        options: &Options,
        switches: u8,
        pieces: &[&[u8]],
        mut receive: impl FnMut(&mut Connection, &[u8]) -> Result<(Step, String), Error>,
    ) {
        for piece in pieces {
            let mut at = 0;
            loop {
                let input = &piece[at..];
                let (step, head) = match receive(connection, input) {
                    Ok(received) => received,
                    Err(error) => {
                        self.error = Some(error.kind());
                        self.write(connection);
                        return;
                    }
                };
                assert!(step.consumed <= input.len());
                at += step.consumed;
                self.told.event(connection, &step.event, input, &head);
                match step.event {
                    Event::NeedMore => {
                        assert_eq!(at, piece.len(), "the rest must be consumed");
                        break;
                    }
                    Event::Body { stream, range } if switches & 16 == 0 => {
                        connection.consumed(stream, range.len());
                    }
                    _ => {}
                }
                assert!(connection.streams_active() <= options.concurrent_streams_max as usize);
            }
        }
    }

    /// Takes what the connection has to say.
    pub fn write(&mut self, connection: &mut Connection) {
        let out = &mut self.answers;
        let before = out.len();
        while let Ok(Some(span)) = connection.write(out) {
            out.resize(out.len() + span.length, b'.');
        }
        if before == out.len() {
            return;
        }
        connection.sent(out.len() - before);
    }

    /// What was written, but for its first bytes, are whole frames.
    pub fn check_answers(&self, first: usize) {
        let frames = crate::http2::frames(&self.answers[first..]);
        let lengths: usize = frames.iter().map(|frame| 9 + frame.payload.len()).sum();
        assert_eq!(first + lengths, self.answers.len(), "whole frames");
    }
}
