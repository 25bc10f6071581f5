//! SETTINGS: RFC 9113 section 6.5.

use crate::http2::error::ErrorKind;
use crate::http2::flow::INITIAL_WINDOW;
use crate::http2::frame::{self, MAX_FRAME_SIZE, MAX_FRAME_SIZE_LIMIT};
use crate::http2::options::Options;

/// What the peer has announced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerSettings {
    /// Bytes of the table that our encoder may keep. 4096 at first.
    pub header_table_size: u32,
    /// Streams that we may have open at once. `None`, as at first, is no limit.
    pub concurrent_streams_max: Option<u32>,
    /// The window of each stream. 65,535 at first.
    pub initial_window_size: u32,
    /// Octets of a payload. 16,384 at first.
    pub max_frame_size: u32,
    /// Bytes of a head that the peer will read, with 32 for each field; only advice.
    pub header_list_bytes_max: Option<u32>,
    /// Whether extended CONNECT may be sent: RFC 8441 section 3.
    pub enable_connect_protocol: bool,
}

impl PeerSettings {
    pub(crate) const fn new() -> Self {
        Self {
            header_table_size: 4096,
            concurrent_streams_max: None,
            initial_window_size: INITIAL_WINDOW,
            max_frame_size: MAX_FRAME_SIZE,
            header_list_bytes_max: None,
            enable_connect_protocol: false,
        }
    }

    /// Takes over what a payload says. `from_server` says who sent it.
    ///
    /// # Errors
    ///
    /// A value that section 6.5.2 forbids, or more settings than anybody has.
    pub(crate) fn apply(&mut self, payload: &[u8], from_server: bool) -> Result<(), ErrorKind> {
        if payload.len() / frame::SETTING_BYTES > SETTINGS_MAX {
            return Err(ErrorKind::TooManySettings);
        }
        for (identifier, value) in frame::settings(payload) {
            match (identifier, value) {
                (id::HEADER_TABLE_SIZE, _) => self.header_table_size = value,
                // A server must not enable push at a client: section 8.4.
                (id::ENABLE_PUSH, 0) => {}
                (id::ENABLE_PUSH, 1) if !from_server => {}
                (id::ENABLE_PUSH, _) => return Err(ErrorKind::InvalidSetting),
                (id::MAX_CONCURRENT_STREAMS, _) => self.concurrent_streams_max = Some(value),
                (id::INITIAL_WINDOW_SIZE, 0..=0x7fff_ffff) => self.initial_window_size = value,
                (id::INITIAL_WINDOW_SIZE, _) => return Err(ErrorKind::InvalidWindowSetting),
                (id::MAX_FRAME_SIZE, MAX_FRAME_SIZE..=MAX_FRAME_SIZE_LIMIT) => {
                    self.max_frame_size = value;
                }
                (id::MAX_FRAME_SIZE, _) => return Err(ErrorKind::InvalidSetting),
                (id::MAX_HEADER_LIST_SIZE, _) => self.header_list_bytes_max = Some(value),
                // RFC 8441 section 3: not back to 0.
                (id::ENABLE_CONNECT_PROTOCOL, 1) => self.enable_connect_protocol = true,
                (id::ENABLE_CONNECT_PROTOCOL, 0) if !self.enable_connect_protocol => {}
                (id::ENABLE_CONNECT_PROTOCOL, _) => return Err(ErrorKind::InvalidSetting),
                // Section 6.5.2: unknown ones are ignored.
                _ => {}
            }
        }
        Ok(())
    }
}

/// Appends the payload of our first SETTINGS, in Envoy's order.
pub(crate) fn encode_initial(options: &Options, is_server: bool, payload: &mut Vec<u8>) {
    let mut push = |identifier: u16, value: u32| {
        payload.extend_from_slice(&identifier.to_be_bytes());
        payload.extend_from_slice(&value.to_be_bytes());
    };
    for &(identifier, value) in &options.custom_settings {
        push(identifier, value);
    }
    if !is_server {
        push(id::ENABLE_PUSH, 0);
    }
    push(id::HEADER_TABLE_SIZE, options.hpack_table_size);
    push(id::ENABLE_CONNECT_PROTOCOL, u32::from(options.allow_connect));
    push(id::MAX_CONCURRENT_STREAMS, options.concurrent_streams_max);
    push(id::INITIAL_WINDOW_SIZE, options.stream_window);
}

/// The longest payload that we let the peer send.
pub(crate) fn frame_size_max(options: &Options) -> u32 {
    let custom = options.custom_settings.iter().rfind(|&&(it, _)| it == id::MAX_FRAME_SIZE);
    custom.map_or(MAX_FRAME_SIZE, |&(_, size)| size.clamp(MAX_FRAME_SIZE, MAX_FRAME_SIZE_LIMIT))
}

/// Identifiers: section 6.5.2 and RFC 8441 section 3.
mod id {
    pub(super) const HEADER_TABLE_SIZE: u16 = 0x1;
    pub(super) const ENABLE_PUSH: u16 = 0x2;
    pub(super) const MAX_CONCURRENT_STREAMS: u16 = 0x3;
    pub(super) const INITIAL_WINDOW_SIZE: u16 = 0x4;
    pub(super) const MAX_FRAME_SIZE: u16 = 0x5;
    pub(super) const MAX_HEADER_LIST_SIZE: u16 = 0x6;
    pub(super) const ENABLE_CONNECT_PROTOCOL: u16 = 0x8;
}

/// Settings of one frame. There are a dozen in the registry; nghttp2 draws the line here too.
const SETTINGS_MAX: usize = 32;
