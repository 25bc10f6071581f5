//! The kinds of work an arm can be given, and how they are named on the command line.

use std::fmt;
use std::str::FromStr;

/// One kind of work, with its number of connections.
///
/// On the command line it is the kind followed by the number: `tcp64`, `new32`, `bulk8`,
/// `idle1000`, `http64`, `http-bulk8`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Workload {
    /// What the connections do.
    pub kind: Kind,
    /// How many of them there are at the same time.
    pub connections: u32,
}

/// What the connections of a [`Workload`] do, and as what the proxy sees them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// TCP proxy: a new connection for each small request.
    New,
    /// TCP proxy: bytes from the upstream to the client as fast as they go.
    Bulk,
    /// TCP proxy: one small request each, then silence: what does a waiting connection hold?
    Idle,
    /// TCP proxy: small HTTP/1 requests over kept connections.
    Tcp,
    /// HTTP/1 proxy: small GETs over kept connections, upstream connections from a pool.
    Http,
    /// HTTP/1 proxy: a new client connection for each small GET; the pool to the upstream stays.
    HttpNew,
    /// HTTP/1 proxy: one GET each, then silence on a kept connection.
    HttpIdle,
    /// HTTP/1 proxy: one response without end per connection.
    HttpBulk,
    /// HTTP/1 proxy: one POST body without end per connection.
    HttpUpload,
}

/// What is counted for a [`Kind`], and therefore what its cost is divided by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Figure {
    /// CPU per request that the upstream answered.
    Request,
    /// CPU per GB (10^9 bytes) that arrived at the far end.
    Gigabyte,
    /// Memory per connection that waits.
    Connection,
}

/// Every kind with its name on the command line.
const NAMES: [(&str, Kind); 9] = [
    ("tcp", Kind::Tcp),
    ("new", Kind::New),
    ("bulk", Kind::Bulk),
    ("idle", Kind::Idle),
    ("http", Kind::Http),
    ("httpnew", Kind::HttpNew),
    ("http-idle", Kind::HttpIdle),
    ("http-bulk", Kind::HttpBulk),
    ("http-upload", Kind::HttpUpload),
];

impl Kind {
    /// What is counted.
    #[must_use]
    pub const fn figure(self) -> Figure {
        match self {
            Self::Tcp | Self::New | Self::Http | Self::HttpNew => Figure::Request,
            Self::Bulk | Self::HttpBulk | Self::HttpUpload => Figure::Gigabyte,
            Self::Idle | Self::HttpIdle => Figure::Connection,
        }
    }

    /// Whether the proxy reads the requests as HTTP/1, with routes and an access log, and does not
    /// relay bytes.
    #[must_use]
    pub const fn is_http(self) -> bool {
        matches!(
            self,
            Self::Http | Self::HttpNew | Self::HttpIdle | Self::HttpBulk | Self::HttpUpload
        )
    }

    /// Whether each request comes on a connection of its own.
    #[must_use]
    pub const fn is_new_connection(self) -> bool {
        matches!(self, Self::New | Self::HttpNew)
    }
}

/// Most connections one workload may ask for: client, proxy and upstream ends share this machine's
/// descriptors and the ephemeral ports of one loopback address.
pub const MAX_CONNECTIONS: u32 = 20_000;

impl Workload {
    /// One line that says what is done.
    #[must_use]
    pub fn describe(self) -> String {
        let n = self.connections;
        match self.kind {
            Kind::Tcp => format!("small HTTP/1 GET relayed as TCP over {n} kept connections"),
            Kind::New => format!("a new connection per small request, {n} at a time"),
            Kind::Bulk => format!("bulk bytes, upstream to client, over {n} connections"),
            Kind::Idle => format!("{n} relayed connections, one request each, then idle"),
            Kind::Http => format!("small HTTP/1 GET over {n} kept connections"),
            Kind::HttpNew => format!("a new HTTP/1 connection per small GET, {n} at a time"),
            Kind::HttpIdle => format!("{n} HTTP/1 connections, one GET each, then kept idle"),
            Kind::HttpBulk => format!("an HTTP/1 response without end on {n} connections"),
            Kind::HttpUpload => format!("an HTTP/1 request body without end on {n} connections"),
        }
    }
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = NAMES.iter().find(|(_, kind)| *kind == self.kind).map_or("", |(name, _)| name);
        write!(f, "{kind}{}", self.connections)
    }
}

impl FromStr for Workload {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text.find(|c: char| c.is_ascii_digit()).unwrap_or(text.len());
        let (kind, number) = text.split_at(digits);
        let Some((_, kind)) = NAMES.iter().find(|(name, _)| *name == kind) else {
            let names: Vec<String> = NAMES.iter().map(|(name, _)| format!("{name}<N>")).collect();
            return Err(format!("unknown work '{text}': use {}; such as tcp64", names.join(", ")));
        };
        let connections =
            number.parse().ok().filter(|n| (1..=MAX_CONNECTIONS).contains(n)).ok_or_else(|| {
                format!("'{text}' needs a number of connections from 1 to {MAX_CONNECTIONS}")
            })?;
        Ok(Self { kind: *kind, connections })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Breaks if a workload name on the command line means another load than it says.
    #[test]
    fn names_round_trip() {
        for (kind, meant) in NAMES {
            let work: Workload = format!("{kind}64").parse().unwrap();
            assert_eq!(work, Workload { kind: meant, connections: 64 });
            assert_eq!(work.to_string(), format!("{kind}64"));
        }
    }

    /// Breaks if a misspelled workload were measured as something else.
    #[test]
    fn nonsense_is_refused_with_a_cure() {
        for name in ["", "tcp", "tcp0", "64", "tcp64x", "idle20001", "tcp-1", "http-8"] {
            let error = name.parse::<Workload>().unwrap_err();
            assert!(error.contains("tcp<N>") || error.contains("1 to 20000"), "{error}");
        }
    }
}
