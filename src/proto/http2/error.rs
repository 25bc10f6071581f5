//! What can be wrong with a connection or a stream, and what the peer gets for it.
//!
//! The table in [`ErrorKind`] is the only place that knows scope, code and words of a codec error.

use std::fmt;

/// Why a connection ended: [`ErrorKind::scope`] of its kind is [`Scope::Connection`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Error {
    kind: ErrorKind,
}

impl Error {
    /// What was wrong.
    #[must_use]
    pub const fn kind(self) -> ErrorKind {
        self.kind
    }
}

impl From<ErrorKind> for Error {
    fn from(kind: ErrorKind) -> Self {
        Self { kind }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http/2 error: {}", self.kind.message())
    }
}

impl std::error::Error for Error {}

/// The error codes of RFC 9113 section 7. Codes without a name are kept as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ErrorCode(pub u32);

#[expect(missing_docs, reason = "the names are those of RFC 9113 section 7")]
impl ErrorCode {
    pub const NO_ERROR: Self = Self(0x0);
    pub const PROTOCOL_ERROR: Self = Self(0x1);
    pub const INTERNAL_ERROR: Self = Self(0x2);
    pub const FLOW_CONTROL_ERROR: Self = Self(0x3);
    pub const SETTINGS_TIMEOUT: Self = Self(0x4);
    pub const STREAM_CLOSED: Self = Self(0x5);
    pub const FRAME_SIZE_ERROR: Self = Self(0x6);
    pub const REFUSED_STREAM: Self = Self(0x7);
    pub const CANCEL: Self = Self(0x8);
    pub const COMPRESSION_ERROR: Self = Self(0x9);
    pub const CONNECT_ERROR: Self = Self(0xa);
    pub const ENHANCE_YOUR_CALM: Self = Self(0xb);
    pub const INADEQUATE_SECURITY: Self = Self(0xc);
    pub const HTTP_1_1_REQUIRED: Self = Self(0xd);
}

/// How much an error ends: RFC 9113 section 5.4.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// The connection, after a GOAWAY with the code.
    Connection,
    /// The connection, without a GOAWAY: the peer does not read, or sends faster than it should.
    /// Does not count as a protocol error.
    Flood,
    /// The stream, by RST_STREAM with the code.
    Stream,
    /// The stream where `stream_error_on_invalid_message` is set, the connection where not.
    Message,
}

macro_rules! error_kinds {
    ($(
        $(#[$doc:meta])*
        $variant:ident = $scope:ident $code:ident, $details:literal, $message:literal;
    )*) => {
        /// What was wrong.
        ///
        /// An error of the connection is given out as [`Error`]; its GOAWAY waits among the frames
        /// to send, and all streams are over. It counts `downstream_cx_protocol_error` or
        /// `upstream_cx_protocol_error`, unless it is a flood, and the response flag is `DPE` or
        /// `UPE`. An error of a stream is an event.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum ErrorKind {
            $($(#[$doc])* $variant,)*
        }

        impl ErrorKind {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// How much it ends.
            #[must_use]
            pub const fn scope(self) -> Scope {
                match self { $(Self::$variant => Scope::$scope,)* }
            }

            /// What the peer is told.
            #[must_use]
            pub const fn code(self) -> ErrorCode {
                match self { $(Self::$variant => ErrorCode::$code,)* }
            }

            /// Words for the access log (`%RESPONSE_CODE_DETAILS%`): Envoy's, where it has some.
            #[must_use]
            pub const fn details(self) -> &'static str {
                match self { $(Self::$variant => $details,)* }
            }

            /// What was wrong, for a person.
            #[must_use]
            pub const fn message(self) -> &'static str {
                match self { $(Self::$variant => $message,)* }
            }
        }
    };
}

error_kinds! {
    /// The first bytes of a client are not the preface: RFC 9113 section 3.4.
    InvalidPreface =
        Connection PROTOCOL_ERROR, "codec_error:invalid_preface", "invalid connection preface";
    /// The first frame is not SETTINGS: section 3.4.
    SettingsExpected =
        Connection PROTOCOL_ERROR, "codec_error:settings_expected",
        "the first frame is no SETTINGS";
    /// A frame is longer than `SETTINGS_MAX_FRAME_SIZE`: section 4.2.
    FrameTooLarge =
        Connection FRAME_SIZE_ERROR, "codec_error:frame_too_large", "frame size exceeds limit";
    /// A frame of fixed length has another: sections 6.3 to 6.9.
    InvalidFrameSize =
        Connection FRAME_SIZE_ERROR, "codec_error:invalid_frame_size", "invalid frame size";
    /// A frame is on stream 0 that must not be, or the other way round; or on an identifier that
    /// its sender must not use: sections 5.1.1 and 6.
    InvalidStreamId =
        Connection PROTOCOL_ERROR, "codec_error:invalid_stream_id", "invalid stream identifier";
    /// A frame on a stream that nobody has opened: section 5.1.
    IdleStream =
        Connection PROTOCOL_ERROR, "codec_error:idle_stream", "frame on an idle stream";
    /// A frame behind the end of its stream: section 5.1.
    ClosedStream =
        Connection STREAM_CLOSED, "codec_error:stream_closed", "frame on a closed stream";
    /// DATA or HEADERS behind END_STREAM, while the other direction is open: section 5.1. No peer
    /// does that by chance, so it ends the connection, as section 5.4.1 allows: CVE-2025-8671.
    HalfClosedStream =
        Connection STREAM_CLOSED, "http2.violation.of.messaging.rule", "frame behind END_STREAM";
    /// Padding is as long as the frame or longer: section 6.1.
    InvalidPadding =
        Connection PROTOCOL_ERROR, "codec_error:invalid_padding", "invalid padding";
    /// A header block is interrupted, or goes on where none began: sections 4.3 and 6.10.
    UnexpectedContinuation =
        Connection PROTOCOL_ERROR, "codec_error:unexpected_continuation",
        "CONTINUATION expected, or not expected";
    /// A peer promises a stream, which it was told not to do: section 8.4.
    PushPromise =
        Connection PROTOCOL_ERROR, "codec_error:push_promise", "PUSH_PROMISE is not accepted";
    /// A setting has a value that is not allowed: section 6.5.2.
    InvalidSetting =
        Connection PROTOCOL_ERROR, "codec_error:invalid_setting", "invalid value of a setting";
    /// `SETTINGS_INITIAL_WINDOW_SIZE` above 2^31-1, or a window above that for it: section 6.5.2.
    InvalidWindowSetting =
        Connection FLOW_CONTROL_ERROR, "codec_error:invalid_window_setting",
        "invalid initial window size";
    /// An acknowledgement of SETTINGS that were not sent.
    UnexpectedSettingsAck =
        Connection PROTOCOL_ERROR, "codec_error:unexpected_settings_ack", "unexpected SETTINGS ACK";
    /// More than 32 settings in one frame.
    TooManySettings =
        Connection ENHANCE_YOUR_CALM, "codec_error:too_many_settings",
        "too many settings in a frame";
    /// A GOAWAY whose last stream is above that of the one before, or is none of ours: section 6.8.
    InvalidGoAway =
        Connection PROTOCOL_ERROR, "codec_error:invalid_goaway", "invalid last stream of GOAWAY";
    /// More GOAWAY frames than anybody needs.
    TooManyGoAways =
        Connection ENHANCE_YOUR_CALM, "codec_error:too_many_goaways", "too many GOAWAY frames";
    /// The window of the connection was exceeded, or made larger than 2^31-1: section 6.9.
    ConnectionFlowControl =
        Connection FLOW_CONTROL_ERROR, "codec_error:flow_control", "flow control of the connection";
    /// WINDOW_UPDATE of 0 for the connection: section 6.9.
    ZeroWindowUpdate =
        Connection PROTOCOL_ERROR, "codec_error:zero_window_update", "WINDOW_UPDATE of zero";
    /// A header block is none: section 4.3.
    InvalidHeaderBlock =
        Connection COMPRESSION_ERROR, "codec_error:invalid_header_block", "invalid header block";
    /// A header block is longer than any message within the limits could be.
    HeaderBlockTooLarge =
        Connection ENHANCE_YOUR_CALM, "codec_error:header_block_too_large",
        "header block exceeds what is read to its end";
    /// All streams together have more METADATA waiting than
    /// [`metadata_held_max`](crate::http2::Connection::metadata_held_max).
    TooMuchMetadata =
        Stream ENHANCE_YOUR_CALM, "codec_error:too_much_metadata", "too much METADATA waits";
    /// A header block took longer than `header_block_timeout`.
    HeaderBlockTimeout =
        Connection ENHANCE_YOUR_CALM, "codec_error:header_block_timeout",
        "the rest of a header block did not come in time";
    /// METADATA that is no header block, or more of it on a stream than `metadata_bytes_max`.
    InvalidMetadata =
        Connection PROTOCOL_ERROR, "codec_error:invalid_metadata", "invalid METADATA";
    /// More resets by the peer, or provoked by it, than `stream_reset_burst` and
    /// `stream_reset_rate` allow: CVE-2023-44487 and CVE-2025-8671.
    TooManyResets =
        Connection INTERNAL_ERROR, "codec_error:too_many_resets", "too many reset streams";
    /// Frames to send exceed `outbound_frames_max`. Counts `outbound_flood`.
    OutboundFlood =
        Flood ENHANCE_YOUR_CALM, "http2.outbound_frames_flood",
        "too many frames in the outbound queue";
    /// Control frames to send exceed `outbound_control_frames_max`. Counts
    /// `outbound_control_flood`.
    OutboundControlFlood =
        Flood ENHANCE_YOUR_CALM, "http2.outbound_frames_flood",
        "too many control frames in the outbound queue";
    /// Frames without payload exceed `consecutive_empty_frames_max`. Counts
    /// `inbound_empty_frames_flood`.
    InboundEmptyFramesFlood =
        Flood ENHANCE_YOUR_CALM, "http2.inbound_empty_frames_flood",
        "too many consecutive frames with an empty payload";
    /// PRIORITY frames exceed `priority_frames_per_stream_max`. Counts
    /// `inbound_priority_frames_flood`.
    InboundPriorityFramesFlood =
        Flood ENHANCE_YOUR_CALM, "codec_error:Too_many_PRIORITY_frames", "too many PRIORITY frames";
    /// WINDOW_UPDATE frames exceed `window_updates_per_data_frame_max`. Counts
    /// `inbound_window_update_frames_flood`.
    InboundWindowUpdateFramesFlood =
        Flood ENHANCE_YOUR_CALM, "codec_error:Too_many_WINDOW_UPDATE_frames",
        "too many WINDOW_UPDATE frames";
    /// No answer to a keepalive PING. Counts `keepalive_timeout`.
    KeepaliveTimeout =
        Flood NO_ERROR, "downstream_local_disconnect(http2_ping_timeout)",
        "no answer to a keepalive PING";
    /// More streams than `concurrent_streams_max`: section 5.1.2. Counts `stream_refused_errors`.
    RefusedStream =
        Stream REFUSED_STREAM, "http2.remote_refuse", "too many concurrent streams";
    /// The window of a stream was exceeded, or made larger than 2^31-1: section 6.9. Ends the
    /// connection as [`HalfClosedStream`](Self::HalfClosedStream) does.
    StreamFlowControl =
        Connection FLOW_CONTROL_ERROR, "http2.violation.of.messaging.rule", "stream flow control";
    /// WINDOW_UPDATE of 0 for a stream: section 6.9. Ends the connection, too.
    ZeroStreamWindowUpdate =
        Connection PROTOCOL_ERROR, "http2.violation.of.messaging.rule", "WINDOW_UPDATE of zero";
    /// A field has a name or value that RFC 9113 section 8.2 or 8.3 forbids. Counts
    /// `rx_messaging_error`.
    InvalidHeaderField =
        Message PROTOCOL_ERROR, "http2.invalid.header.field", "invalid header field";
    /// The message is malformed otherwise: section 8.1.1. Counts `rx_messaging_error`.
    InvalidMessage =
        Message PROTOCOL_ERROR, "http2.violation.of.messaging.rule", "malformed message";
    /// The body is not as long as `content-length` says: section 8.1.1.
    ContentLengthMismatch =
        Stream PROTOCOL_ERROR, "http2.remote_reset", "content-length does not fit the body";
    /// More fields than `headers_max`. Counts `header_overflow`.
    TooManyHeaders =
        Stream INTERNAL_ERROR, "http2.too_many_headers", "headers count exceeds limit";
    /// More bytes than `head_bytes_max`. Counts `header_list_size_too_large`.
    HeadersTooLarge =
        Stream INTERNAL_ERROR, "http2.header_list_size_too_large", "headers size exceeds limit";
    /// A field name has an underscore and the option refuses it. Counts
    /// `requests_rejected_with_underscores_in_headers`.
    UnexpectedUnderscore =
        Stream INTERNAL_ERROR, "http2.unexpected_underscore", "header name contains underscores";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_words_and_a_code_that_fits_its_scope() {
        for &kind in ErrorKind::ALL {
            assert!(!kind.details().contains(' '), "{kind:?}");
            assert!(Error::from(kind).to_string().starts_with("http/2 error: "));
            if !matches!(kind, ErrorKind::KeepaliveTimeout) {
                assert_ne!(kind.code(), ErrorCode::NO_ERROR, "{kind:?}");
            }
        }
    }
}
