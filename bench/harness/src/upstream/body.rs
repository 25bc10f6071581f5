//! Bodies without end: sent as bare bytes, sent as a response, and taken as a request.

use std::sync::atomic::Ordering;

use rustix::net::{RecvFlags, SendFlags, recv, send};

use super::answer::Responses;
use super::{ENDLESS, Peer, Shared, Then, end_of_head, keep_head, receive};
use crate::pattern::{BULK_CHECK, Pattern, first_wrong};

/// Most bytes taken with one call.
const CHUNK: usize = 1 << 20;
/// Calls on one connection before the next one has its turn.
const TAKES_PER_TURN: usize = 4;

/// A request body on its way in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Taking {
    /// Bytes that have come.
    position: u64,
    /// Bytes that are to come in all.
    length: u64,
}

/// Sends bulk bytes.
pub(super) fn pour(peer: &mut Peer, pattern: &Pattern) -> Then {
    if pattern.pour(&peer.socket, &mut peer.sent) { Then::Keep } else { Then::Close }
}

/// Waits for a request head, answers with a head of its own, and sends bulk bytes from then on.
pub(super) fn answer_and_pour(peer: &mut Peer, room: &mut [u8], pattern: &Pattern) -> Then {
    if peer.pours {
        return pour(peer, pattern);
    }
    let input = match receive(peer, room) {
        Ok(input) => input,
        Err(then) => return then,
    };
    if end_of_head(input).is_none() {
        return keep_head(peer, input);
    }
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\n\
         Content-Length: {ENDLESS}\r\n\r\n"
    );
    if send(&peer.socket, head.as_bytes(), SendFlags::NOSIGNAL) != Ok(head.len()) {
        return Then::Close;
    }
    peer.pours = true;
    Then::Pour
}

/// Room for what [`take`] reads.
pub(super) fn room() -> Vec<u8> {
    vec![0; CHUNK]
}

/// Takes bodies and answers at the end of each. The first [`BULK_CHECK`] bytes are compared, the
/// rest is dropped by the kernel without being copied.
pub(super) fn take(
    peer: &mut Peer,
    room: &mut [u8],
    responses: &Responses,
    shared: &Shared,
) -> Then {
    for _ in 0..TAKES_PER_TURN {
        let taken = match peer.body {
            None => take_head(peer, room, shared),
            Some(body) => take_body(peer, body, room, shared),
        };
        if let Err(then) = taken {
            return then;
        }
        if peer.body.is_some_and(|body| body.position == body.length) {
            peer.body = None;
            if send(&peer.socket, &responses.keep, SendFlags::NOSIGNAL) != Ok(responses.keep.len())
            {
                return Then::Close;
            }
        }
    }
    Then::Keep
}

/// Takes a head and the bytes of the body that came with it. `Err` is how to go on without one.
fn take_head(peer: &mut Peer, room: &mut [u8], shared: &Shared) -> Result<(), Then> {
    let input = receive_head(peer, room)?;
    let Some(end) = end_of_head(input) else {
        return Err(keep_head(peer, input));
    };
    let (head, rest) = input.split_at(end);
    let length = content_length(head).ok_or(Then::Close)?;
    let here = usize::try_from(length).map_or(rest.len(), |length| length.min(rest.len()));
    let (start, behind) = rest.split_at(here);
    peer.body = Some(Taking { position: 0, length });
    count(peer, start, start.len(), shared)?;
    // The next head, if its sender did not wait for the answer.
    peer.head.clear();
    peer.head.extend_from_slice(behind);
    Ok(())
}

/// A whole head may be there already, behind the body before it.
fn receive_head<'a>(peer: &Peer, room: &'a mut [u8]) -> Result<&'a [u8], Then> {
    if end_of_head(&peer.head).is_none() {
        return receive(peer, room);
    }
    let here = &mut room[..peer.head.len()];
    here.copy_from_slice(&peer.head);
    Ok(here)
}

fn take_body(peer: &mut Peer, body: Taking, room: &mut [u8], shared: &Shared) -> Result<(), Then> {
    let left = usize::try_from(body.length - body.position).unwrap_or(usize::MAX);
    let room_for = left.min(room.len());
    let compares = body.position < BULK_CHECK as u64;
    // With MSG_TRUNC a TCP socket drops the bytes; the buffer is only a length.
    let flags = if compares { RecvFlags::empty() } else { RecvFlags::TRUNC };
    match recv(&peer.socket, &mut room[..room_for], flags) {
        Ok((_, 0)) => Err(Then::Close),
        Ok((_, length)) if compares => count(peer, &room[..length], length, shared),
        Ok((_, length)) => count(peer, &[], length, shared),
        Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => Err(Then::Keep),
        Err(_) => Err(Then::Close),
    }
}

/// Counts `length` bytes of the body, of which `bytes` are there to be compared.
fn count(peer: &mut Peer, bytes: &[u8], length: usize, shared: &Shared) -> Result<(), Then> {
    let Some(body) = &mut peer.body else { return Err(Then::Close) };
    let position = usize::try_from(body.position).map_err(|_| Then::Close)?;
    if let Some(wrong) = first_wrong(bytes, position) {
        eprintln!("upstream: the byte at position {} of a body is wrong", position + wrong);
        return Err(Then::Close);
    }
    body.position += length as u64;
    shared.taken.fetch_add(length as u64, Ordering::Relaxed);
    Ok(())
}

fn content_length(head: &[u8]) -> Option<u64> {
    let head = std::str::from_utf8(head).ok()?;
    head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
    })
}
