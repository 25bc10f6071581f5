//! Small requests and their fixed answer.

use std::sync::atomic::Ordering;

use rustix::net::{SendFlags, send};

use super::{Peer, Shared, Then, end_of_head, keep_head, receive};

/// Length of the body of every small answer.
pub const BODY: usize = 64;

/// The whole answer to a small request, without `Connection: close`.
pub(crate) fn small_answer() -> Vec<u8> {
    Responses::new().keep
}

/// The body of it.
pub(crate) fn small_body() -> Vec<u8> {
    vec![b'x'; BODY]
}

/// The answers, ready to be sent.
pub(super) struct Responses {
    pub(super) keep: Vec<u8>,
    close: Vec<u8>,
}

impl Responses {
    pub(super) fn new() -> Self {
        let build = |connection: &str| {
            let mut bytes = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {BODY}\r\n\
                 {connection}\r\n"
            )
            .into_bytes();
            bytes.extend(small_body());
            bytes
        };
        Self { keep: build(""), close: build("Connection: close\r\n") }
    }
}

/// Reads once and answers every head that is complete.
pub(super) fn answer(
    peer: &mut Peer,
    room: &mut [u8],
    responses: &Responses,
    shared: &Shared,
) -> Then {
    let mut input = match receive(peer, room) {
        Ok(input) => input,
        Err(then) => return then,
    };
    while let Some(end) = end_of_head(input) {
        let (head, rest) = input.split_at(end);
        let close = wants_close(head);
        let response = if close { &responses.close } else { &responses.keep };
        let sent = send(&peer.socket, response, SendFlags::NOSIGNAL);
        if sent != Ok(response.len()) {
            return Then::Close;
        }
        shared.answers.fetch_add(1, Ordering::Relaxed);
        if close {
            return Then::Close;
        }
        input = rest;
    }
    keep_head(peer, input)
}

fn wants_close(head: &[u8]) -> bool {
    const LINE: &[u8] = b"connection: close";
    head.split(|byte| *byte == b'\n')
        .any(|line| line.get(..LINE.len()).is_some_and(|start| start.eq_ignore_ascii_case(LINE)))
}
