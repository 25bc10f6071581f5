//! The codec's options, from the configuration of either side.

use config::model;
use proto::http1::UnderscoreAction;
use proto::http2::{KeepaliveOptions, Options};

/// What one side's `http2_protocol_options` mean to the codec. `head_kb_max` bounds the head of a
/// received message, as the fields of `common` do.
#[must_use]
pub fn codec_options(
    http2: &model::Http2Options,
    common: &model::HttpOptions,
    head_kb_max: u32,
) -> Options {
    let bytes = |kilobytes: u32| wide(kilobytes).saturating_mul(1024);
    Options {
        hpack_table_size: http2.hpack_table_size,
        concurrent_streams_max: http2.max_concurrent_streams,
        stream_window: http2.initial_stream_window_size,
        connection_window: http2.initial_connection_window_size,
        allow_connect: http2.allow_connect,
        allow_metadata: http2.allow_metadata,
        metadata_bytes_max: usize::try_from(http2.max_metadata_size).unwrap_or(usize::MAX),
        outbound_frames_max: http2.max_outbound_frames,
        outbound_control_frames_max: http2.max_outbound_control_frames,
        consecutive_empty_frames_max: http2.max_consecutive_inbound_frames_with_empty_payload,
        priority_frames_per_stream_max: http2.max_inbound_priority_frames_per_stream,
        window_updates_per_data_frame_max: http2
            .max_inbound_window_update_frames_per_data_frame_sent,
        stream_error_on_invalid_message: http2.stream_error_on_invalid_http_message,
        custom_settings: http2.custom_settings.clone(),
        keepalive: http2.keepalive.map(|keepalive| KeepaliveOptions {
            interval: keepalive.interval,
            timeout: keepalive.timeout,
            jitter_percent: f64::from(keepalive.interval_jitter_percent),
            idle_interval: keepalive.connection_idle_interval,
        }),
        huffman_encoding: http2.enable_huffman_encoding,
        field_bytes_max: bytes(http2.max_header_field_size_kb),
        stream_reset_burst: http2.stream_reset_burst,
        stream_reset_rate: http2.stream_reset_rate,
        header_block_timeout: None,
        head_bytes_max: bytes(head_kb_max),
        headers_max: wide(common.max_headers_count),
        underscores: match common.headers_with_underscores {
            model::HeadersWithUnderscores::Allow => UnderscoreAction::Allow,
            model::HeadersWithUnderscores::RejectRequest => UnderscoreAction::Reject,
            model::HeadersWithUnderscores::DropHeader => UnderscoreAction::Drop,
        },
    }
}

fn wide(count: u32) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}
