//! The kinds of work an arm can be given, and how they are named on the command line.

use std::fmt;
use std::str::FromStr;

/// One kind of work, with its number of connections.
///
/// On the command line it is the kind followed by the number: `tcp64`, `new32`, `bulk8`,
/// `idle1000`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Workload {
    /// What the connections do.
    pub kind: Kind,
    /// How many of them there are at the same time.
    pub connections: u32,
}

/// What the connections of a [`Workload`] do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A new connection for each small request.
    New,
    /// Bytes from the upstream to the client as fast as they go.
    Bulk,
    /// One small request each, then silence: what does a waiting connection hold?
    Idle,
    /// Small HTTP/1 requests over kept connections.
    Tcp,
}

/// Most connections one workload may ask for: client, proxy and upstream ends share this machine's
/// descriptors and the ephemeral ports of one loopback address.
pub const MAX_CONNECTIONS: u32 = 20_000;

impl Workload {
    /// What one unit of this work is called in a report.
    #[must_use]
    pub const fn unit(self) -> &'static str {
        match self.kind {
            Kind::Tcp | Kind::New => "request",
            Kind::Bulk => "GB",
            Kind::Idle => "connection",
        }
    }

    /// One line that says what is done.
    #[must_use]
    pub fn describe(self) -> String {
        let n = self.connections;
        match self.kind {
            Kind::Tcp => format!("small HTTP/1 GET relayed as TCP over {n} kept connections"),
            Kind::New => format!("a new connection per small request, {n} at a time"),
            Kind::Bulk => format!("bulk bytes, upstream to client, over {n} connections"),
            Kind::Idle => format!("{n} relayed connections, one request each, then idle"),
        }
    }
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            Kind::Tcp => "tcp",
            Kind::New => "new",
            Kind::Bulk => "bulk",
            Kind::Idle => "idle",
        };
        write!(f, "{kind}{}", self.connections)
    }
}

impl FromStr for Workload {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text.find(|c: char| c.is_ascii_digit()).unwrap_or(text.len());
        let (kind, number) = text.split_at(digits);
        let kind = match kind {
            "tcp" => Kind::Tcp,
            "new" => Kind::New,
            "bulk" => Kind::Bulk,
            "idle" => Kind::Idle,
            _ => {
                return Err(format!(
                    "unknown work '{text}': use tcp<N>, new<N>, bulk<N> or idle<N>, such as tcp64"
                ));
            }
        };
        let connections =
            number.parse().ok().filter(|n| (1..=MAX_CONNECTIONS).contains(n)).ok_or_else(|| {
                format!("'{text}' needs a number of connections from 1 to {MAX_CONNECTIONS}")
            })?;
        Ok(Self { kind, connections })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Breaks if a workload name on the command line means another load than it says.
    #[test]
    fn names_round_trip() {
        for name in ["tcp64", "tcp512", "new32", "bulk8", "idle1000"] {
            assert_eq!(name.parse::<Workload>().unwrap().to_string(), name);
        }
    }

    /// Breaks if a misspelled workload were measured as something else.
    #[test]
    fn nonsense_is_refused_with_a_cure() {
        for name in ["", "tcp", "tcp0", "64", "http64", "tcp64x", "idle20001", "tcp-1"] {
            let error = name.parse::<Workload>().unwrap_err();
            assert!(error.contains("tcp<N>") || error.contains("1 to 20000"), "{error}");
        }
    }
}
