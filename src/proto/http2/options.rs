//! What may be tolerated, and how much.

use std::time::Duration;

use crate::http1::UnderscoreAction;

/// Envoy's `Http2ProtocolOptions` and the limits of its connection manager or cluster, with the
/// defaults of Envoy 1.40.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// Our `SETTINGS_HEADER_TABLE_SIZE`, and the most that our encoder takes of what the peer
    /// allows. Envoy: `hpack_table_size`, 4096.
    pub hpack_table_size: u32,
    /// Streams that the peer may have open at once, and that a client opens at most.
    /// Envoy: `max_concurrent_streams`, 1024.
    pub concurrent_streams_max: u32,
    /// Bytes of a stream that may be unread. At least 65,535. Envoy: `initial_stream_window_size`,
    /// 16 MiB.
    pub stream_window: u32,
    /// Bytes of all streams together that may be unread. At least 65,535.
    /// Envoy: `initial_connection_window_size`, 24 MiB.
    pub connection_window: u32,
    /// Whether extended CONNECT (RFC 8441) is announced and accepted. Envoy: `allow_connect`.
    pub allow_connect: bool,
    /// Whether METADATA frames are read and may be sent. Envoy: `allow_metadata`.
    pub allow_metadata: bool,
    /// Bytes of METADATA that the peer may send on a stream, all maps together.
    /// Envoy: `max_metadata_size`, 1 MiB.
    pub metadata_bytes_max: usize,
    /// Frames of any type that may wait to be sent. Envoy: `max_outbound_frames`, 10,000.
    pub outbound_frames_max: u32,
    /// Answers to PING and SETTINGS and resets that may wait to be sent.
    /// Envoy: `max_outbound_control_frames`, 1000.
    pub outbound_control_frames_max: u32,
    /// HEADERS, CONTINUATION and DATA without payload and END_STREAM that may follow each other.
    /// Envoy: `max_consecutive_inbound_frames_with_empty_payload`, 1.
    pub consecutive_empty_frames_max: u32,
    /// PRIORITY frames for each stream that was opened, and as many more.
    /// Envoy: `max_inbound_priority_frames_per_stream`, 100.
    pub priority_frames_per_stream_max: u32,
    /// WINDOW_UPDATE frames for each DATA frame that was sent; two for each stream and five more
    /// are free. Envoy: `max_inbound_window_update_frames_per_data_frame_sent`, 10.
    pub window_updates_per_data_frame_max: u32,
    /// Whether a malformed message ends its stream only.
    /// Envoy: `override_stream_error_on_invalid_http_message`, false.
    pub stream_error_on_invalid_message: bool,
    /// More settings to send, in this order, before the others.
    /// Envoy: `custom_settings_parameters`.
    pub custom_settings: Vec<(u16, u32)>,
    /// Whether PING frames look after the connection. Envoy: `connection_keepalive`.
    pub keepalive: Option<KeepaliveOptions>,
    /// Whether strings are sent in the Huffman code where that is shorter.
    /// Envoy: `enable_huffman_encoding`, true.
    pub huffman_encoding: bool,
    /// Bytes on the wire of a name or value. Envoy: `max_header_field_size_kb`, 64 KiB.
    pub field_bytes_max: usize,
    /// Resets by the peer that may come at once. Envoy: `stream_reset_burst`, 1000.
    pub stream_reset_burst: u64,
    /// Resets by the peer that may come each second. Envoy: `stream_reset_rate`, 33.
    pub stream_reset_rate: u64,
    /// How long a header block may be under way. Nothing else can come meanwhile (RFC 9113 section
    /// 4.3), so that it ends the connection. Without end unless it is set.
    pub header_block_timeout: Option<Duration>,
    /// Bytes of the names and values of a head, pseudo-header fields included; trailers have the
    /// same limit. Envoy: `max_request_headers_kb`, 60 KiB (responses: `max_response_headers_kb`,
    /// 80 KiB).
    pub head_bytes_max: usize,
    /// Fields of a head, pseudo-header fields included. Envoy: `max_headers_count`, 100.
    pub headers_max: usize,
    /// What happens to a request field whose name contains an underscore.
    /// Envoy: `headers_with_underscores_action`, `ALLOW`.
    pub underscores: UnderscoreAction,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            hpack_table_size: 4096,
            concurrent_streams_max: 1024,
            stream_window: 16 * 1024 * 1024,
            connection_window: 24 * 1024 * 1024,
            allow_connect: false,
            allow_metadata: false,
            metadata_bytes_max: 1024 * 1024,
            outbound_frames_max: 10_000,
            outbound_control_frames_max: 1000,
            consecutive_empty_frames_max: 1,
            priority_frames_per_stream_max: 100,
            window_updates_per_data_frame_max: 10,
            stream_error_on_invalid_message: false,
            custom_settings: Vec::new(),
            keepalive: None,
            huffman_encoding: true,
            field_bytes_max: 64 * 1024,
            stream_reset_burst: 1000,
            stream_reset_rate: 33,
            header_block_timeout: None,
            head_bytes_max: 60 * 1024,
            headers_max: 100,
            underscores: UnderscoreAction::Allow,
        }
    }
}

/// Envoy's `KeepaliveSettings`.
#[derive(Debug, Clone, PartialEq)]
pub struct KeepaliveOptions {
    /// Between an answer and the next PING; `None` for no such PING. Envoy: `interval`.
    pub interval: Option<Duration>,
    /// How long an answer, or any other frame, may take. Envoy: `timeout`.
    pub timeout: Duration,
    /// How much of the interval is added to it at most, by chance, in percent.
    /// Envoy: `interval_jitter`, 15.
    pub jitter_percent: f64,
    /// A new request on a connection that was silent for so long is preceded by a PING.
    /// Envoy: `connection_idle_interval`.
    pub idle_interval: Option<Duration>,
}
