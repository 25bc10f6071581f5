//! What a connection that carries HTTP/2 is told, on either side.

use std::time::Duration;

/// Envoy's `config.core.v3.Http2ProtocolOptions`, with the defaults of Envoy 1.40.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Http2Options {
    /// `hpack_table_size`: bytes of the dynamic table that the peer may use, 4096 unless set.
    pub hpack_table_size: u32,
    /// `max_concurrent_streams`: 1 to 2^31-1, 1024 unless set. Downstream what a client may open
    /// at once; upstream how many requests a connection carries at most.
    pub max_concurrent_streams: u32,
    /// `initial_stream_window_size`: 65,535 to 2^31-1 bytes, 16 MiB unless set.
    pub initial_stream_window_size: u32,
    /// `initial_connection_window_size`: 65,535 to 2^31-1 bytes, 24 MiB unless set.
    pub initial_connection_window_size: u32,
    /// `allow_connect`: extended CONNECT (RFC 8441), false unless set.
    pub allow_connect: bool,
    /// `allow_metadata`: METADATA frames are read and passed on, false unless set.
    pub allow_metadata: bool,
    /// `max_metadata_size`: bytes of METADATA that a stream receives in all, 1 MiB unless set.
    pub max_metadata_size: u64,
    /// `max_outbound_frames`: frames that wait to be sent, at least 1, 10,000 unless set.
    pub max_outbound_frames: u32,
    /// `max_outbound_control_frames`: answers to PING and SETTINGS and resets among them, at least
    /// 1, 1000 unless set.
    pub max_outbound_control_frames: u32,
    /// `max_consecutive_inbound_frames_with_empty_payload`: 1 unless set.
    pub max_consecutive_inbound_frames_with_empty_payload: u32,
    /// `max_inbound_priority_frames_per_stream`: 100 unless set.
    pub max_inbound_priority_frames_per_stream: u32,
    /// `max_inbound_window_update_frames_per_data_frame_sent`: at least 1, 10 unless set.
    pub max_inbound_window_update_frames_per_data_frame_sent: u32,
    /// `override_stream_error_on_invalid_http_message`, or where that is not set its older
    /// spellings: a malformed message ends its stream and not the connection; false unless set.
    pub stream_error_on_invalid_http_message: bool,
    /// `custom_settings_parameters`: identifier and value, in file order, each identifier once.
    pub custom_settings: Vec<(u16, u32)>,
    /// `connection_keepalive`.
    pub keepalive: Option<Http2Keepalive>,
    /// `enable_huffman_encoding`: true unless set.
    pub enable_huffman_encoding: bool,
    /// `max_header_field_size_kb`: KiB on the wire of a name or value, 64 to 256, 64 unless set.
    pub max_header_field_size_kb: u32,
    /// `stream_reset_burst`: resets by the peer that may come at once, 1000 unless set.
    pub stream_reset_burst: u64,
    /// `stream_reset_rate`: resets by the peer that may come each second, 33 unless set.
    pub stream_reset_rate: u64,
}

impl Default for Http2Options {
    fn default() -> Self {
        Self {
            hpack_table_size: 4096,
            max_concurrent_streams: 1024,
            initial_stream_window_size: 16 * 1024 * 1024,
            initial_connection_window_size: 24 * 1024 * 1024,
            allow_connect: false,
            allow_metadata: false,
            max_metadata_size: 1024 * 1024,
            max_outbound_frames: 10_000,
            max_outbound_control_frames: 1000,
            max_consecutive_inbound_frames_with_empty_payload: 1,
            max_inbound_priority_frames_per_stream: 100,
            max_inbound_window_update_frames_per_data_frame_sent: 10,
            stream_error_on_invalid_http_message: false,
            custom_settings: Vec::new(),
            keepalive: None,
            enable_huffman_encoding: true,
            max_header_field_size_kb: 64,
            stream_reset_burst: 1000,
            stream_reset_rate: 33,
        }
    }
}

/// Envoy's `config.core.v3.KeepaliveSettings`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Http2Keepalive {
    /// `interval`: between PING frames; `None` for no such PING.
    pub interval: Option<Duration>,
    /// `timeout`: how long an answer, or any other frame, may take before the connection ends.
    pub timeout: Duration,
    /// `interval_jitter`: how much of the interval is added to it at most, by chance, in whole
    /// percent as Envoy rounds it; 15 unless set.
    pub interval_jitter_percent: u32,
    /// `connection_idle_interval`: a request on a connection that was silent for so long is
    /// preceded by a PING; `None` for no such PING.
    pub connection_idle_interval: Option<Duration>,
}

/// What the runtime calls its limits on connections of clients.
///
/// <https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_conn_man/runtime>
#[derive(Debug, Clone, Copy)]
pub struct HttpRuntimeKeys;

impl HttpRuntimeKeys {
    /// A connection ends when half of so many streams were reset prematurely.
    pub const PREMATURE_RESET_STREAMS: &str = "overload.premature_reset_total_stream_count";
    /// A stream that is reset before it has so many seconds was reset prematurely.
    pub const PREMATURE_RESET_LIFETIME_S: &str =
        "overload.premature_reset_min_stream_lifetime_seconds";
    /// How many requests of one connection begin in one turn of the worker; the others wait for
    /// the next.
    pub const REQUESTS_PER_CYCLE: &str = "http.max_requests_per_io_cycle";

    pub(crate) const ALL: [&str; 3] =
        [Self::PREMATURE_RESET_STREAMS, Self::PREMATURE_RESET_LIFETIME_S, Self::REQUESTS_PER_CYCLE];
}
