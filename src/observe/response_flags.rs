//! Response flags: why a request or a connection went as it did, in Envoy's spelling.
//!
//! A set that remembers the order in which its flags were set, because Envoy prints them so.
//!
//! <https://www.envoyproxy.io/docs/envoy/latest/configuration/advanced/substitution_formatter>

use std::fmt;

macro_rules! flags {
    ($($(#[$doc:meta])* $variant:ident => $short:literal $long:literal),+ $(,)?) => {
        /// One response flag of Envoy 1.40.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum ResponseFlag {
            $($(#[$doc])* $variant,)+
        }

        impl ResponseFlag {
            /// Every flag, in Envoy's order.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// As `%RESPONSE_FLAGS%` and the `response_flag_filter` spell it: `UF`.
            #[must_use]
            pub fn short(self) -> &'static str {
                match self { $(Self::$variant => $short,)+ }
            }

            /// As `%RESPONSE_FLAGS_LONG%` spells it: `UpstreamConnectionFailure`.
            #[must_use]
            pub fn long(self) -> &'static str {
                match self { $(Self::$variant => $long,)+ }
            }
        }
    };
}

flags! {
    /// The local service failed its health check.
    FailedLocalHealthCheck => "LH" "FailedLocalHealthCheck",
    /// The cluster has no healthy host.
    NoHealthyUpstream => "UH" "NoHealthyUpstream",
    /// The upstream did not answer in time.
    UpstreamRequestTimeout => "UT" "UpstreamRequestTimeout",
    /// The stream was reset by us.
    LocalReset => "LR" "LocalReset",
    /// The upstream reset the stream or connection.
    UpstreamRemoteReset => "UR" "UpstreamRemoteReset",
    /// The upstream could not be connected to.
    UpstreamConnectionFailure => "UF" "UpstreamConnectionFailure",
    /// The upstream connection ended while it was in use.
    UpstreamConnectionTermination => "UC" "UpstreamConnectionTermination",
    /// A circuit breaker is open.
    UpstreamOverflow => "UO" "UpstreamOverflow",
    /// No route matched, or no filter chain.
    NoRouteFound => "NR" "NoRouteFound",
    /// The fault filter delayed the request.
    DelayInjected => "DI" "DelayInjected",
    /// The fault filter answered the request.
    FaultInjected => "FI" "FaultInjected",
    /// A local rate limit refused it.
    RateLimited => "RL" "RateLimited",
    /// External authorization refused it.
    UnauthorizedExternalService => "UAEX" "UnauthorizedExternalService",
    /// The rate limit service failed.
    RateLimitServiceError => "RLSE" "RateLimitServiceError",
    /// The downstream connection ended.
    DownstreamConnectionTermination => "DC" "DownstreamConnectionTermination",
    /// No retry, or no connect attempt, is left.
    UpstreamRetryLimitExceeded => "URX" "UpstreamRetryLimitExceeded",
    /// The stream was idle for too long.
    StreamIdleTimeout => "SI" "StreamIdleTimeout",
    /// A strictly checked request header was wrong.
    InvalidEnvoyRequestHeaders => "IH" "InvalidEnvoyRequestHeaders",
    /// The downstream broke its protocol.
    DownstreamProtocolError => "DPE" "DownstreamProtocolError",
    /// The upstream request reached its longest duration.
    UpstreamMaxStreamDurationReached => "UMSDR" "UpstreamMaxStreamDurationReached",
    /// The cache filter answered.
    ResponseFromCacheFilter => "RFCF" "ResponseFromCacheFilter",
    /// A filter's configuration did not arrive in time.
    NoFilterConfigFound => "NFCF" "NoFilterConfigFound",
    /// The connection or request reached its longest duration.
    DurationTimeout => "DT" "DurationTimeout",
    /// The upstream broke its protocol.
    UpstreamProtocolError => "UPE" "UpstreamProtocolError",
    /// The cluster does not exist.
    NoClusterFound => "NC" "NoClusterFound",
    /// The overload manager ended it.
    OverloadManager => "OM" "OverloadManagerTerminated",
    /// The upstream's name could not be looked up.
    DnsResolutionFailed => "DF" "DnsResolutionFailed",
    /// It was dropped because of the cluster's drop policy.
    DropOverload => "DO" "DropOverload",
    /// The downstream reset the stream.
    DownstreamRemoteReset => "DR" "DownstreamRemoteReset",
    /// It was dropped unconditionally by the cluster's drop policy.
    UnconditionalDropOverload => "UDO" "UnconditionalDropOverload",
}

impl ResponseFlag {
    /// The flag that is spelled `short`.
    #[must_use]
    pub fn from_short(short: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|flag| flag.short() == short)
    }
}

const COUNT: usize = ResponseFlag::ALL.len();

/// A set of response flags, in the order in which they were set.
///
/// **Invariant:** `order[..len]` holds each flag of the set once.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ResponseFlags {
    len: u8,
    order: [ResponseFlag; COUNT],
}

impl ResponseFlags {
    /// No flag: nothing remarkable happened.
    pub const NONE: Self = Self { len: 0, order: [ResponseFlag::FailedLocalHealthCheck; COUNT] };

    /// Adds a flag; one that is set already stays where it is.
    pub fn set(&mut self, flag: ResponseFlag) {
        if self.contains(flag) {
            return;
        }
        if let Some(place) = self.order.get_mut(usize::from(self.len)) {
            *place = flag;
            self.len += 1;
        }
    }

    /// Whether a flag is set.
    #[must_use]
    pub fn contains(&self, flag: ResponseFlag) -> bool {
        self.as_slice().contains(&flag)
    }

    /// True when no flag is set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The flags in the order in which they were set.
    #[must_use]
    pub fn as_slice(&self) -> &[ResponseFlag] {
        self.order.get(..usize::from(self.len)).unwrap_or_default()
    }
}

impl Default for ResponseFlags {
    fn default() -> Self {
        Self::NONE
    }
}

impl FromIterator<ResponseFlag> for ResponseFlags {
    fn from_iter<T: IntoIterator<Item = ResponseFlag>>(flags: T) -> Self {
        let mut set = Self::NONE;
        flags.into_iter().for_each(|flag| set.set(flag));
        set
    }
}

impl fmt::Debug for ResponseFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.as_slice()).finish()
    }
}

/// The short names, separated by commas; `-` when no flag is set.
impl fmt::Display for ResponseFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("-");
        }
        for (index, flag) in self.as_slice().iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            f.write_str(flag.short())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_print_in_the_order_in_which_they_were_set_and_once_each() {
        let mut flags = ResponseFlags::NONE;
        assert_eq!(flags.to_string(), "-");
        flags.set(ResponseFlag::UpstreamRetryLimitExceeded);
        flags.set(ResponseFlag::UpstreamConnectionFailure);
        flags.set(ResponseFlag::UpstreamRetryLimitExceeded);
        assert_eq!(flags.to_string(), "URX,UF");
        assert!(flags.contains(ResponseFlag::UpstreamConnectionFailure));
        assert!(!flags.contains(ResponseFlag::NoRouteFound));
    }

    #[test]
    fn every_flag_fits_and_is_found_by_its_short_name() {
        let all: ResponseFlags = ResponseFlag::ALL.iter().copied().collect();
        assert_eq!(all.as_slice(), ResponseFlag::ALL);
        for &flag in ResponseFlag::ALL {
            assert_eq!(ResponseFlag::from_short(flag.short()), Some(flag));
        }
        assert_eq!(ResponseFlag::from_short("uf"), None);
    }
}
