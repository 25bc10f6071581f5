//! Frames to send, as bytes; what stands in them is the caller's business.

/// ACK of SETTINGS and PING.
pub(crate) const ACK: u8 = 0x1;
/// Of HEADERS and DATA.
pub(crate) const END_STREAM: u8 = 0x1;
/// Of HEADERS and CONTINUATION.
pub(crate) const END_HEADERS: u8 = 0x4;

/// `END_STREAM` if `end`.
fn flag(end: bool) -> u8 {
    if end { END_STREAM } else { 0 }
}

/// Any frame.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut bytes = length[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// A header block of these fields, none of them compressed or indexed: RFC 7541 section 6.2.2.
pub(crate) fn fields(list: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in list {
        block.push(0);
        for text in [name, value] {
            length(&mut block, text.len());
            block.extend(text.as_bytes());
        }
    }
    block
}

/// A length in the seven low bits of an octet, and more octets where it needs them: RFC 7541
/// section 5.1.
fn length(block: &mut Vec<u8>, length: usize) {
    let Some(mut rest) = length.checked_sub(127) else {
        return block.push(u8::try_from(length).unwrap());
    };
    block.push(127);
    while rest >= 128 {
        block.push(u8::try_from(rest % 128).unwrap() | 128);
        rest /= 128;
    }
    block.push(u8::try_from(rest).unwrap());
}

/// One whole header block.
pub(crate) fn headers(stream: u32, list: &[(&str, &str)], end: bool) -> Vec<u8> {
    frame(1, END_HEADERS | flag(end), stream, &fields(list))
}

/// A request of `a.test` over http with this method, path and further fields.
pub(crate) fn message(
    stream: u32,
    (method, path): (&str, &str),
    further: &[(&str, &str)],
    end: bool,
) -> Vec<u8> {
    let usual =
        [(":method", method), (":scheme", "http"), (":path", path), (":authority", "a.test")];
    headers(stream, &[&usual, further].concat(), end)
}

pub(crate) fn trailers(stream: u32, list: &[(&str, &str)]) -> Vec<u8> {
    headers(stream, list, true)
}

pub(crate) fn continuation(stream: u32, block: &[u8], flags: u8) -> Vec<u8> {
    frame(9, flags, stream, block)
}

pub(crate) fn data(stream: u32, bytes: &[u8], end: bool) -> Vec<u8> {
    frame(0, flag(end), stream, bytes)
}

pub(crate) fn priority(stream: u32) -> Vec<u8> {
    frame(2, 0, stream, &[0, 0, 0, 0, 15])
}

pub(crate) fn reset(stream: u32, code: u32) -> Vec<u8> {
    frame(3, 0, stream, &code.to_be_bytes())
}

pub(crate) fn settings(list: &[(u16, u32)]) -> Vec<u8> {
    let pair = |(id, value): &(u16, u32)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat();
    frame(4, 0, 0, &list.iter().flat_map(pair).collect::<Vec<u8>>())
}

pub(crate) fn ping(payload: [u8; 8]) -> Vec<u8> {
    frame(6, 0, 0, &payload)
}

pub(crate) fn goaway(last: u32, code: u32) -> Vec<u8> {
    frame(7, 0, 0, &[last.to_be_bytes(), code.to_be_bytes()].concat())
}

pub(crate) fn window_update(stream: u32, bytes: u32) -> Vec<u8> {
    frame(8, 0, stream, &bytes.to_be_bytes())
}
