//! The names that the proxy itself looks at or treats in a way of their own, by a small number.
//!
//! A name is recognised once, when it is copied into a list; after that it is compared by its
//! number. The table also says for which messages Envoy joins repeated lines into one: those are
//! its "inline" headers, found by sending each name twice through Envoy 1.40 in both directions.
//!
//! **Invariant:** names here are lower-case, and no two share a place in the hash table (checked
//! while compiling).

use crate::headers::letters;

/// In which messages Envoy joins the lines of a repeated name with a comma, as RFC 9110 section
/// 5.3 allows. Other names keep their lines apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Joins {
    /// Lines stay apart.
    Never,
    /// Joined in requests.
    Request,
    /// Joined in responses.
    Response,
    /// Joined in both.
    Both,
}

macro_rules! known_names {
    ($($variant:ident = $text:literal, $joins:ident;)*) => {
        /// A field name with a number of its own.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum KnownName {
            $(#[doc = concat!("`", $text, "`")] $variant,)*
        }

        impl KnownName {
            /// All of them, in the order of their numbers.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// How many there are.
            pub const COUNT: usize = Self::ALL.len();

            /// The name as it is written, in lower case.
            #[must_use]
            #[inline]
            pub const fn as_str(self) -> &'static str {
                Self::TEXTS[self as usize]
            }

            const TEXTS: &'static [&'static str] = &[$($text,)*];

            /// In which messages its lines are joined.
            #[must_use]
            #[inline]
            pub const fn joins(self) -> Joins {
                match self {
                    $(Self::$variant => Joins::$joins,)*
                }
            }
        }
    };
}

known_names! {
    Accept = "accept", Request;
    AcceptEncoding = "accept-encoding", Request;
    AcceptLanguage = "accept-language", Never;
    AccessControlAllowCredentials = "access-control-allow-credentials", Response;
    AccessControlAllowHeaders = "access-control-allow-headers", Response;
    AccessControlAllowMethods = "access-control-allow-methods", Response;
    AccessControlAllowOrigin = "access-control-allow-origin", Response;
    AccessControlAllowPrivateNetwork = "access-control-allow-private-network", Response;
    AccessControlExposeHeaders = "access-control-expose-headers", Response;
    AccessControlMaxAge = "access-control-max-age", Response;
    AccessControlRequestHeaders = "access-control-request-headers", Request;
    AccessControlRequestMethod = "access-control-request-method", Request;
    AccessControlRequestPrivateNetwork = "access-control-request-private-network", Request;
    Age = "age", Response;
    Authorization = "authorization", Request;
    CacheControl = "cache-control", Both;
    CdnLoop = "cdn-loop", Request;
    Connection = "connection", Both;
    ContentEncoding = "content-encoding", Both;
    ContentLength = "content-length", Both;
    ContentRange = "content-range", Never;
    ContentType = "content-type", Both;
    Cookie = "cookie", Never;
    Date = "date", Response;
    Etag = "etag", Response;
    Expect = "expect", Request;
    Expires = "expires", Response;
    GrpcAcceptEncoding = "grpc-accept-encoding", Request;
    GrpcMessage = "grpc-message", Response;
    GrpcStatus = "grpc-status", Response;
    GrpcTimeout = "grpc-timeout", Request;
    Host = "host", Request;
    Http2Settings = "http2-settings", Never;
    IfMatch = "if-match", Request;
    IfModifiedSince = "if-modified-since", Request;
    IfNoneMatch = "if-none-match", Request;
    IfRange = "if-range", Request;
    IfUnmodifiedSince = "if-unmodified-since", Request;
    KeepAlive = "keep-alive", Both;
    LastModified = "last-modified", Response;
    Location = "location", Response;
    Origin = "origin", Request;
    Pragma = "pragma", Request;
    ProxyConnection = "proxy-connection", Both;
    ProxyStatus = "proxy-status", Both;
    Range = "range", Never;
    Referer = "referer", Request;
    Server = "server", Response;
    SetCookie = "set-cookie", Never;
    Te = "te", Request;
    Traceparent = "traceparent", Never;
    Tracestate = "tracestate", Never;
    Trailer = "trailer", Never;
    TransferEncoding = "transfer-encoding", Both;
    Upgrade = "upgrade", Both;
    UserAgent = "user-agent", Request;
    Vary = "vary", Response;
    Via = "via", Both;
    XClientTraceId = "x-client-trace-id", Request;
    XEnvoyAttemptCount = "x-envoy-attempt-count", Both;
    XEnvoyDecoratorOperation = "x-envoy-decorator-operation", Both;
    XEnvoyDegraded = "x-envoy-degraded", Response;
    XEnvoyDownstreamServiceCluster = "x-envoy-downstream-service-cluster", Request;
    XEnvoyDownstreamServiceNode = "x-envoy-downstream-service-node", Request;
    XEnvoyExpectedRqTimeoutMs = "x-envoy-expected-rq-timeout-ms", Request;
    XEnvoyExternalAddress = "x-envoy-external-address", Request;
    XEnvoyForceTrace = "x-envoy-force-trace", Request;
    XEnvoyHedgeOnPerTryTimeout = "x-envoy-hedge-on-per-try-timeout", Request;
    XEnvoyImmediateHealthCheckFail = "x-envoy-immediate-health-check-fail", Response;
    XEnvoyInternal = "x-envoy-internal", Request;
    XEnvoyIpTags = "x-envoy-ip-tags", Request;
    XEnvoyMaxRetries = "x-envoy-max-retries", Request;
    XEnvoyOriginalHost = "x-envoy-original-host", Request;
    XEnvoyOriginalPath = "x-envoy-original-path", Request;
    XEnvoyOriginalUrl = "x-envoy-original-url", Request;
    XEnvoyOverloaded = "x-envoy-overloaded", Never;
    XEnvoyRatelimited = "x-envoy-ratelimited", Response;
    XEnvoyRetriableHeaderNames = "x-envoy-retriable-header-names", Request;
    XEnvoyRetriableStatusCodes = "x-envoy-retriable-status-codes", Request;
    XEnvoyRetryGrpcOn = "x-envoy-retry-grpc-on", Request;
    XEnvoyRetryOn = "x-envoy-retry-on", Request;
    XEnvoyUpstreamAltStatName = "x-envoy-upstream-alt-stat-name", Request;
    XEnvoyUpstreamCanary = "x-envoy-upstream-canary", Response;
    XEnvoyUpstreamHealthcheckedCluster = "x-envoy-upstream-healthchecked-cluster", Response;
    XEnvoyUpstreamRqPerTryTimeoutMs = "x-envoy-upstream-rq-per-try-timeout-ms", Request;
    XEnvoyUpstreamRqTimeoutAltResponse = "x-envoy-upstream-rq-timeout-alt-response", Request;
    XEnvoyUpstreamRqTimeoutMs = "x-envoy-upstream-rq-timeout-ms", Request;
    XEnvoyUpstreamServiceTime = "x-envoy-upstream-service-time", Response;
    XEnvoyUpstreamStreamDurationMs = "x-envoy-upstream-stream-duration-ms", Request;
    XForwardedClientCert = "x-forwarded-client-cert", Request;
    XForwardedFor = "x-forwarded-for", Request;
    XForwardedHost = "x-forwarded-host", Request;
    XForwardedPort = "x-forwarded-port", Request;
    XForwardedProto = "x-forwarded-proto", Request;
    XRequestId = "x-request-id", Both;
}

impl KnownName {
    /// The known name that is spelled like this, in lower case.
    #[must_use]
    #[inline]
    pub fn find(name: &[u8]) -> Option<Self> {
        let candidate = Self::candidate(name)?;
        (candidate.as_str().as_bytes() == name).then_some(candidate)
    }

    /// The known name that is spelled like this, in any case.
    #[inline]
    pub(super) fn find_in_any_case(name: &[u8]) -> Option<Self> {
        let candidate = Self::candidate(name)?;
        letters::equals(name, candidate.as_str().as_bytes()).then_some(candidate)
    }

    /// The only known name that may be spelled like this.
    #[inline]
    fn candidate(name: &[u8]) -> Option<Self> {
        if name.is_empty() {
            return None;
        }
        Self::ALL.get(usize::from(TABLE[hash(name)])).copied()
    }
}

/// Mixes the length and four bytes, letters in either case. The factors were searched for: with
/// them no two names collide.
#[inline]
const fn hash(name: &[u8]) -> usize {
    let length = name.len();
    let mixed = length * 60
        + (name[0] | CASE) as usize * 4
        + (name[length / 2] | CASE) as usize * 27
        + (name[length * 3 / 4] | CASE) as usize * 35
        + (name[length - 1] | CASE) as usize;
    mixed % TABLE_SIZE
}

/// The bit in which a lower-case letter differs. Digits and `-` have it, so no name is changed.
const CASE: u8 = 0x20;

const TABLE_SIZE: usize = 512;

/// Marks a place that belongs to no name.
const NOBODY: u8 = u8::MAX;

/// From the hash to the number of the name.
static TABLE: [u8; TABLE_SIZE] = {
    let mut table = [NOBODY; TABLE_SIZE];
    let mut index = 0;
    while index < KnownName::COUNT {
        let place = hash(KnownName::ALL[index].as_str().as_bytes());
        assert!(table[place] == NOBODY, "two known names collide: search for other factors");
        table[place] = KnownName::ALL[index] as u8;
        index += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_found_and_nothing_else() {
        for &name in KnownName::ALL {
            assert_eq!(KnownName::find(name.as_str().as_bytes()), Some(name));
            assert_eq!(name.as_str(), name.as_str().to_ascii_lowercase());
            let mut other = name.as_str().as_bytes().to_vec();
            other[0] ^= 0x20;
            assert_eq!(KnownName::find(&other), None);
            assert_eq!(KnownName::find_in_any_case(&other), Some(name));
        }
        assert_eq!(KnownName::find(b""), None);
        assert_eq!(KnownName::find(b"x-nobody-knows"), None);
    }
}
