//! HTTP/2 as a test peer speaks it: frame by frame, written by hand, so that a script can send what
//! no well-behaved library would, and sees each frame that the proxy sends.
//!
//! It shares nothing with the codec under test: frames are put together here, and header blocks are
//! read by another implementation of HPACK. It judges nothing but the frames' own form.

mod frames;

use std::collections::{BTreeMap, BTreeSet};

use loona_hpack::Decoder;

pub(crate) use self::frames::{
    ACK, END_HEADERS, END_STREAM, continuation, data, fields, frame, goaway, headers, message,
    ping, priority, reset, settings, trailers, window_update,
};
use crate::payload;
use crate::peer::{Ending, Peer};

/// What a client sends first: RFC 9113 section 3.4.
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Of a DATA frame, unless the proxy's settings say more: RFC 9113 section 4.2.
const FRAME_BYTES_MAX: usize = 16_384;
/// Of each stream and the connection, unless settings say more: RFC 9113 section 6.9.2.
const FIRST_WINDOW: usize = 65_535;
/// A setting: RFC 9113 section 6.5.2.
pub(crate) const INITIAL_WINDOW_SIZE: u16 = 4;

/// A frame that the proxy sent, header blocks put together and decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Seen {
    Headers {
        stream: u32,
        fields: String,
        end: bool,
    },
    Data {
        stream: u32,
        bytes: Vec<u8>,
        end: bool,
    },
    /// A map of Envoy's METADATA, sorted, and how many bytes of the body came before it.
    Metadata {
        stream: u32,
        fields: String,
        behind: usize,
    },
    Reset {
        stream: u32,
        code: u32,
    },
    Settings(Vec<(u16, u32)>),
    SettingsAck,
    Ping([u8; 8]),
    Pong([u8; 8]),
    GoAway {
        last: u32,
        code: u32,
        debug: Vec<u8>,
    },
    WindowUpdate {
        stream: u32,
        bytes: u32,
    },
    Other {
        kind: u8,
        flags: u8,
        stream: u32,
        payload: Vec<u8>,
    },
}

impl Seen {
    /// The stream that it ends, if it ends one.
    fn ended(&self) -> Option<u32> {
        match self {
            Self::Headers { stream, end: true, .. }
            | Self::Data { stream, end: true, .. }
            | Self::Reset { stream, .. } => Some(*stream),
            _ => None,
        }
    }
}

/// One end of an HTTP/2 connection.
pub(crate) struct Http2 {
    peer: Peer,
    decoder: Decoder<'static>,
    /// Bytes of a frame that is not complete.
    partial: Vec<u8>,
    /// A header block that goes on: stream, END_STREAM, and its bytes so far.
    block: Option<(u32, bool, Vec<u8>)>,
    /// Maps of METADATA that go on, by stream.
    maps: BTreeMap<u32, Vec<u8>>,
    /// All frames, in order.
    pub(crate) seen: Vec<Seen>,
    /// How the connection ended, if it did.
    pub(crate) ending: Option<Ending>,
    /// Bytes of bodies that were sent, by stream.
    sent: BTreeMap<u32, usize>,
    /// PINGs that were sent to learn what the windows are.
    looks: u64,
}

impl Http2 {
    /// The client's end: sends preface and settings, and acknowledges the proxy's.
    pub(crate) fn client(peer: Peer, own: &[(u16, u32)]) -> Self {
        let mut client = Self::over(peer);
        client.send(&[PREFACE, &settings(own)].concat());
        client.exchange_settings();
        client
    }

    /// The upstream's end: expects the preface and answers with settings.
    pub(crate) fn server(mut peer: Peer, own: &[(u16, u32)]) -> Self {
        assert_eq!(peer.receive(PREFACE.len()), PREFACE, "the proxy's first bytes");
        let mut server = Self::over(peer);
        server.send(&settings(own));
        server.exchange_settings();
        server
    }

    /// An end that has said nothing yet.
    pub(crate) fn over(peer: Peer) -> Self {
        Self {
            peer,
            decoder: Decoder::new(),
            partial: Vec::new(),
            block: None,
            maps: BTreeMap::new(),
            seen: Vec::new(),
            ending: None,
            sent: BTreeMap::new(),
            looks: 0,
        }
    }

    fn exchange_settings(&mut self) {
        let both = |seen: &[Seen]| {
            let settings = seen.iter().any(|frame| matches!(frame, Seen::Settings(_)));
            settings && seen.contains(&Seen::SettingsAck)
        };
        self.receive_until(both);
        self.send(&frame(4, ACK, 0, b""));
    }

    /// Sends these bytes, also if the proxy has closed already.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.peer.send_even_if_closed(bytes);
    }

    pub(crate) fn peer(&mut self) -> &mut Peer {
        &mut self.peer
    }

    /// Receives until `is_enough` of all frames, or the connection ends.
    pub(crate) fn receive_until(&mut self, is_enough: impl Fn(&[Seen]) -> bool) {
        while self.ending.is_none() && !is_enough(&self.seen) {
            match self.peer.receive_some() {
                Ok(bytes) => self.take(&bytes),
                Err(ending) => self.ending = Some(ending),
            }
        }
    }

    /// Receives until these streams are over, or the connection ends.
    pub(crate) fn receive_streams(&mut self, streams: &[u32]) {
        self.receive_until(|seen| {
            let ended: BTreeSet<u32> = seen.iter().filter_map(Seen::ended).collect();
            streams.iter().all(|stream| ended.contains(stream))
        });
    }

    /// Receives the head of a stream, at an upstream that of a request.
    pub(crate) fn receive_head(&mut self, stream: u32) {
        let is_head =
            |seen: &Seen| matches!(seen, Seen::Headers { stream: id, .. } if *id == stream);
        self.receive_until(|seen| seen.iter().any(is_head));
    }

    /// Sends a PING and receives until its answer, or the connection ends: what the proxy had to
    /// say to what came before is there then.
    pub(crate) fn sync(&mut self, payload: [u8; 8]) {
        self.send(&ping(payload));
        self.receive_until(|seen| seen.contains(&Seen::Pong(payload)));
    }

    /// Sends `bytes` on a stream as far as the proxy's windows allow by now; answers how many it
    /// took.
    pub(crate) fn send_within_windows(&mut self, stream: u32, bytes: &[u8]) -> usize {
        let mut taken = 0;
        while taken < bytes.len() {
            let room = self.room(stream);
            if room > 0 {
                let piece = &bytes[taken..][..room.min(bytes.len() - taken).min(FRAME_BYTES_MAX)];
                self.send(&data(stream, piece, false));
                *self.sent.entry(stream).or_default() += piece.len();
                taken += piece.len();
                continue;
            }
            self.looks += 1;
            self.sync(self.looks.to_be_bytes());
            if self.room(stream) == 0 {
                break;
            }
        }
        taken
    }

    /// Sends `bytes` on a stream, and waits for the proxy's windows where it must.
    pub(crate) fn send_body(&mut self, stream: u32, bytes: &[u8]) {
        let mut rest = bytes;
        while !rest.is_empty() && self.ending.is_none() {
            rest = &rest[self.send_within_windows(stream, rest)..];
            let known = self.seen.len();
            if !rest.is_empty() && self.room(stream) == 0 {
                self.receive_until(|seen| seen.len() > known);
            }
        }
    }

    /// How many bytes the proxy's windows let a stream send: RFC 9113 section 6.9.
    fn room(&self, stream: u32) -> usize {
        let first = self.seen.iter().find_map(|seen| match seen {
            Seen::Settings(list) => list.iter().find(|(id, _)| *id == INITIAL_WINDOW_SIZE),
            _ => None,
        });
        let opened = |id: u32| -> usize {
            let of_id = self.seen.iter().filter_map(|seen| match seen {
                Seen::WindowUpdate { stream, bytes } if *stream == id => Some(*bytes as usize),
                _ => None,
            });
            of_id.sum()
        };
        let first = first.map_or(FIRST_WINDOW, |(_, bytes)| *bytes as usize);
        let of_stream = first + opened(stream) - self.sent.get(&stream).unwrap_or(&0);
        let of_all = FIRST_WINDOW + opened(0) - self.sent.values().sum::<usize>();
        of_stream.min(of_all)
    }

    /// Receives until the connection ends.
    pub(crate) fn receive_to_end(&mut self) -> Ending {
        self.receive_until(|_| false);
        self.ending.expect("the connection has ended")
    }

    /// The body bytes of a stream so far.
    pub(crate) fn body(&self, stream: u32) -> Vec<u8> {
        let of_stream = |seen: &Seen| match seen {
            Seen::Data { stream: id, bytes, .. } if *id == stream => Some(bytes.clone()),
            _ => None,
        };
        self.seen.iter().filter_map(of_stream).flatten().collect()
    }

    fn take(&mut self, bytes: &[u8]) {
        self.partial.extend_from_slice(bytes);
        loop {
            let Some(header) = self.partial.first_chunk::<9>() else { return };
            let length =
                usize::from(header[0]) << 16 | usize::from(header[1]) << 8 | usize::from(header[2]);
            let (kind, flags) = (header[3], header[4]);
            let stream = u32::from_be_bytes([header[5], header[6], header[7], header[8]]);
            if self.partial.len() < 9 + length {
                return;
            }
            let payload: Vec<u8> = self.partial.drain(..9 + length).skip(9).collect();
            self.take_frame(kind, flags, stream, payload);
        }
    }

    fn take_frame(&mut self, kind: u8, flags: u8, stream: u32, payload: Vec<u8>) {
        let number = |at: usize| u32::from_be_bytes(payload[at..at + 4].try_into().unwrap());
        let seen = match (kind, payload.len()) {
            (0, _) => Seen::Data { stream, end: flags & END_STREAM != 0, bytes: payload },
            (1, _) => {
                self.block = Some((stream, flags & END_STREAM != 0, payload));
                return self.take_block(flags);
            }
            (9, _) => {
                let block = self.block.as_mut().expect("CONTINUATION behind HEADERS");
                block.2.extend(payload);
                return self.take_block(flags);
            }
            (0x4d, _) => {
                self.maps.entry(stream).or_default().extend(payload);
                return self.take_map(stream, flags & END_HEADERS != 0);
            }
            (3, 4) => Seen::Reset { stream, code: number(0) },
            (4, 0) if flags == ACK => Seen::SettingsAck,
            (4, _) if flags == 0 => {
                let pair = |at: usize| {
                    (u16::from_be_bytes([payload[at], payload[at + 1]]), number(at + 2))
                };
                Seen::Settings((0..payload.len()).step_by(6).map(pair).collect())
            }
            (6, 8) => {
                let bytes = payload.try_into().unwrap();
                if flags == ACK { Seen::Pong(bytes) } else { Seen::Ping(bytes) }
            }
            (7, 8..) => {
                Seen::GoAway { last: number(0), code: number(4), debug: payload[8..].to_vec() }
            }
            (8, 4) => Seen::WindowUpdate { stream, bytes: number(0) },
            _ => Seen::Other { kind, flags, stream, payload },
        };
        self.seen.push(seen);
    }

    fn take_map(&mut self, stream: u32, is_complete: bool) {
        if !is_complete {
            return;
        }
        let block = self.maps.remove(&stream).unwrap_or_default();
        let fields = Decoder::new().decode(&block).expect("a map that is one");
        // Each sender has an order of its own.
        let line = |(name, value): &(Vec<u8>, Vec<u8>)| {
            format!("{}: {}", name.escape_ascii(), payload::summary(value))
        };
        let mut lines: Vec<String> = fields.iter().map(line).collect();
        lines.sort();
        let behind = self.body(stream).len();
        self.seen.push(Seen::Metadata { stream, fields: lines.join(", "), behind });
    }

    fn take_block(&mut self, flags: u8) {
        if flags & END_HEADERS == 0 {
            return;
        }
        let (stream, end, block) = self.block.take().expect("a header block");
        let fields = self.decoder.decode(&block).expect("a header block that is one");
        let line = |(name, value): &(Vec<u8>, Vec<u8>)| {
            format!("{}: {}\r\n", name.escape_ascii(), value.escape_ascii())
        };
        let mut lines: Vec<String> = fields.iter().map(line).collect();
        // The order of those that say what is asked for says nothing.
        let special = lines.iter().take_while(|line| line.starts_with(':')).count();
        lines[..special].sort();
        self.seen.push(Seen::Headers { stream, fields: lines.concat(), end });
    }
}
