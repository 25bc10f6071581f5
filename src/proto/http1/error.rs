//! What can be wrong with a message, and what the peer gets for it.
//!
//! The table in [`ErrorKind`] is the only place that knows status and words of a codec error.

use std::fmt;

/// Why a message was refused.
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
        write!(f, "http/1.1 protocol error: {}", self.kind.message())
    }
}

impl std::error::Error for Error {}

macro_rules! error_kinds {
    ($(
        $(#[$doc:meta])* $variant:ident = $status:literal, $details:literal, $message:literal;
    )*) => {
        /// What was wrong with a message.
        ///
        /// A client whose request was refused gets a local reply with [`status`](Self::status),
        /// the reason phrase of that status as a `text/plain` body, and `connection: close`; unless
        /// a response was started, when the connection just closes. It counts
        /// `downstream_cx_protocol_error` and the response flag is `DPE`. A response that was
        /// refused is a reset of the upstream stream for a protocol error (`UPE`, 502 as long as no
        /// response was started) and counts `upstream_cx_protocol_error`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum ErrorKind {
            $($(#[$doc])* $variant,)*
        }

        impl ErrorKind {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The status of the local reply that answers such a request.
            #[must_use]
            pub const fn status(self) -> u16 {
                match self { $(Self::$variant => $status,)* }
            }

            /// Envoy's words for the access log (`%RESPONSE_CODE_DETAILS%`).
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
    /// The method is no token, or one that Envoy does not know while custom ones are not allowed.
    InvalidMethod = 400, "http1.codec_error", "invalid method";
    /// The request line is not method, target and version with one space between.
    InvalidRequestLine = 400, "http1.codec_error", "invalid request line";
    /// The target has a byte that is not visible ASCII, or none of the four forms.
    InvalidTarget = 400, "http1.codec_error", "invalid request target";
    /// The target is of absolute or authority form, and its host or port is invalid; or `*`
    /// without OPTIONS.
    InvalidUrl = 400, "http1.invalid_url", "invalid url in request line";
    /// The scheme of the target is neither http nor https.
    InvalidScheme = 400, "http1.invalid_scheme", "invalid scheme";
    /// The scheme of the target is https, the connection has no TLS, and the option asks for both
    /// to agree.
    SchemeMismatch =
        403, "http1.https_url_on_plaintext_connection", "https on a connection without TLS";
    /// The request says another version than HTTP/1.1, or none (HTTP/0.9), or HTTP/1.0 where that
    /// is not accepted.
    UnsupportedVersion = 426, "low_version", "upgrade required for HTTP/1.0 or HTTP/0.9";
    /// The status line is not version, three digits from 100 on and a reason.
    InvalidStatusLine = 400, "http1.codec_error", "invalid status line";
    /// A line of a head or trailer ends with a line feed alone.
    BareLineFeed = 400, "http1.codec_error", "line feed without carriage return";
    /// A field line has no colon, or what is before it is not a token. Also: a folded line, and
    /// white space before the colon.
    InvalidHeaderName = 400, "http1.codec_error", "invalid header name";
    /// A field value has a carriage return.
    InvalidHeaderValue = 400, "http1.codec_error", "invalid header value";
    /// A head or trailer has a control character.
    InvalidCharacters = 400, "http1.invalid_characters", "header contains invalid characters";
    /// A head is longer than the limit.
    HeadersTooLarge = 431, "http1.headers_too_large", "headers size exceeds limit";
    /// A head has more fields than the limit.
    TooManyHeaders = 431, "http1.too_many_headers", "headers count exceeds limit";
    /// A field name has an underscore and the option refuses it. Counts
    /// `http1.requests_rejected_with_underscores_in_headers`.
    UnexpectedUnderscore = 400, "http1.unexpected_underscore", "header name contains underscores";
    /// `content-length` is not a number of 64 bits, or is there twice.
    InvalidContentLength = 400, "http1.codec_error", "invalid content-length";
    /// Both `content-length` and `transfer-encoding` are there.
    ContentLengthAndChunked =
        400, "http1.content_length_and_chunked_not_allowed",
        "both content-length and transfer-encoding are set";
    /// `transfer-encoding` is something else than `chunked`, is there twice, or comes with CONNECT.
    InvalidTransferEncoding =
        501, "http1.invalid_transfer_encoding", "unsupported transfer encoding";
    /// A response that has no body (1xx, 204) says `transfer-encoding`.
    TransferEncodingNotAllowed =
        400, "http1.transfer_encoding_not_allowed", "transfer encoding not allowed in 1xx or 204";
    /// A response that has no body (1xx, 204) says a `content-length` other than 0.
    ContentLengthNotAllowed =
        400, "http1.content_length_not_allowed", "content length not allowed in 1xx or 204";
    /// CONNECT with a `content-length`.
    BodyDisallowed = 400, "http1.body_disallowed", "unsupported content length";
    /// `connection` names a field that must not be removed, or ten or more.
    ConnectionHeaderRejected =
        400, "http1.connection_header_rejected", "invalid nominated headers in connection";
    /// `host` has a byte that no authority has.
    InvalidAuthority = 400, "http.invalid_authority", "invalid host";
    /// `host` is there twice: RFC 9112 section 3.2.
    DuplicateHost = 400, "http.invalid_authority", "more than one host";
    /// A response switches protocols that nobody asked it to switch.
    UnexpectedUpgrade = 400, "http1.codec_error", "unexpected 101";
    /// The size of a chunk is not a hexadecimal number of 64 bits.
    InvalidChunkSize = 400, "http1.codec_error", "invalid chunk size";
    /// A chunk extension has a control character, or does not start with a semicolon.
    InvalidChunkExtension = 400, "http1.codec_error", "invalid chunk extension";
    /// The chunk extensions of a message are too long for the data they come with.
    ChunkExtensionsTooLong = 400, "http1.codec_error", "chunk extensions exceed limit";
    /// The data of a chunk is not followed by a carriage return and a line feed.
    InvalidChunkEnd = 400, "http1.codec_error", "invalid end of chunk";
    /// The connection ended before the message.
    PrematureEnd = 400, "http1.codec_error", "connection closed within a message";
    /// A response came that nobody is waiting for.
    UnexpectedResponse = 400, "http1.codec_error", "data without a request";
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http1::reason_phrase;

    #[test]
    fn every_kind_has_a_status_words_and_a_message() {
        for &kind in ErrorKind::ALL {
            assert!([400, 403, 426, 431, 501].contains(&kind.status()), "{kind:?}");
            assert_ne!(reason_phrase(kind.status()), "Unknown", "{kind:?}");
            assert!(!kind.details().contains(' '), "{kind:?}");
            assert!(Error::from(kind).to_string().starts_with("http/1.1 protocol error: "));
        }
    }
}
