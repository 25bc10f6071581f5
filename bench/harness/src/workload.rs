//! The kinds of work an arm can be given, and how they are named on the command line.

use std::fmt;
use std::str::FromStr;

/// One kind of work, with its number of connections.
///
/// On the command line it is the kind followed by the number: `tcp64`, `new32`, `bulk8`,
/// `idle1000`, `http64`, `http-bulk8`; with streams on each connection, `h2-h1-8x32`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Workload {
    /// What the connections do.
    pub kind: Kind,
    /// How many of them there are at the same time.
    pub connections: u32,
    /// How many requests each of them has under way: 1 unless the protocol is HTTP/2.
    pub streams: u32,
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
    /// HTTP/2 to clients, HTTP/1 to the upstream: small GETs.
    Http2ToHttp1,
    /// HTTP/2: small GETs that the proxy answers itself.
    Http2Direct,
    /// HTTP/1 to clients, HTTP/2 to the upstream: small GETs.
    Http1ToHttp2,
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
const NAMES: [(&str, Kind); 12] = [
    ("tcp", Kind::Tcp),
    ("new", Kind::New),
    ("bulk", Kind::Bulk),
    ("idle", Kind::Idle),
    ("http", Kind::Http),
    ("httpnew", Kind::HttpNew),
    ("http-idle", Kind::HttpIdle),
    ("http-bulk", Kind::HttpBulk),
    ("http-upload", Kind::HttpUpload),
    ("h2-h1-", Kind::Http2ToHttp1),
    ("h2-direct-", Kind::Http2Direct),
    ("h1-h2-", Kind::Http1ToHttp2),
];

impl Kind {
    /// What is counted.
    #[must_use]
    pub const fn figure(self) -> Figure {
        match self {
            Self::Tcp
            | Self::New
            | Self::Http
            | Self::HttpNew
            | Self::Http2ToHttp1
            | Self::Http2Direct
            | Self::Http1ToHttp2 => Figure::Request,
            Self::Bulk | Self::HttpBulk | Self::HttpUpload => Figure::Gigabyte,
            Self::Idle | Self::HttpIdle => Figure::Connection,
        }
    }

    /// Whether the proxy reads the requests as HTTP, with routes and an access log, and does not
    /// relay bytes.
    #[must_use]
    pub const fn is_http(self) -> bool {
        !matches!(self, Self::Tcp | Self::New | Self::Bulk | Self::Idle)
    }

    /// Whether clients speak HTTP/2.
    #[must_use]
    pub const fn has_http2_clients(self) -> bool {
        matches!(self, Self::Http2ToHttp1 | Self::Http2Direct)
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

/// Most streams on a connection: Envoy takes 1024 by default.
pub const MAX_STREAMS: u32 = 1000;

impl Workload {
    /// One line that says what is done.
    #[must_use]
    pub fn describe(self) -> String {
        let (n, m) = (self.connections, self.streams);
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
            Kind::Http2ToHttp1 => format!("small HTTP/2 GET, {n} connections with {m} streams"),
            Kind::Http2Direct => {
                format!("small HTTP/2 GET answered here, {n} connections with {m} streams")
            }
            Kind::Http1ToHttp2 => format!("small HTTP/1 GET over {n} connections to HTTP/2"),
        }
    }
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = NAMES.iter().find(|(_, kind)| *kind == self.kind).map_or("", |(name, _)| name);
        write!(f, "{kind}{}", self.connections)?;
        if self.kind.has_http2_clients() { write!(f, "x{}", self.streams) } else { Ok(()) }
    }
}

impl FromStr for Workload {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let name = text.trim_end_matches(|c: char| c.is_ascii_digit() || c == 'x');
        let (kind, number) = text.split_at(name.len());
        let Some((_, kind)) = NAMES.iter().find(|(name, _)| *name == kind) else {
            let names: Vec<String> = NAMES.iter().map(|(name, _)| format!("{name}<N>")).collect();
            return Err(format!("unknown work '{text}': use {}; such as tcp64", names.join(", ")));
        };
        let (number, streams) = number.split_once('x').unwrap_or((number, "1"));
        let streams = streams.parse().ok().filter(|n| (1..=MAX_STREAMS).contains(n));
        let streams = streams.filter(|n| kind.has_http2_clients() || *n == 1);
        let streams = streams.ok_or_else(|| {
            format!("'{text}' has a number of streams only for HTTP/2: 1 to {MAX_STREAMS}")
        })?;
        let connections =
            number.parse().ok().filter(|n| (1..=MAX_CONNECTIONS).contains(n)).ok_or_else(|| {
                format!("'{text}' needs a number of connections from 1 to {MAX_CONNECTIONS}")
            })?;
        Ok(Self { kind: *kind, connections, streams })
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
            assert_eq!(work, Workload { kind: meant, connections: 64, streams: 1 });
        }
        for name in ["tcp64", "http-bulk8", "h1-h2-64", "h2-h1-8x32", "h2-direct-64x1"] {
            assert_eq!(name.parse::<Workload>().unwrap().to_string(), name);
        }
    }

    /// Breaks if a misspelled workload were measured as something else.
    #[test]
    fn nonsense_is_refused_with_a_cure() {
        for name in [
            "",
            "tcp",
            "tcp0",
            "64",
            "tcp64x",
            "idle20001",
            "tcp-1",
            "http-8",
            "http8x2",
            "h2-h1-8x0",
        ] {
            let error = name.parse::<Workload>().unwrap_err();
            let cures = ["tcp<N>", "1 to 20000", "1 to 1000"];
            assert!(cures.iter().any(|cure| error.contains(cure)), "{error}");
        }
    }
}
