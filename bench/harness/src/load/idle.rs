//! Connections that were used once and then only wait.

use std::net::{SocketAddr, TcpStream};

use anyhow::{Context, Result};

use super::{Exchange, connect};

/// Open connections through a proxy, each proven by one exchange.
#[derive(Debug)]
pub(crate) struct IdleConnections {
    /// Held, never read: closing them is the end of the load.
    streams: Vec<TcpStream>,
}

impl IdleConnections {
    /// Opens `count` connections one after the other and sends one request over each.
    pub(crate) fn open(proxy: SocketAddr, count: u32, exchange: Exchange) -> Result<Self> {
        let mut streams = Vec::new();
        for number in 1..=count {
            let mut stream = connect(proxy).with_context(|| failed(number))?;
            exchange(&mut stream).with_context(|| failed(number))?;
            streams.push(stream);
        }
        Ok(Self { streams })
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.streams.len()
    }
}

fn failed(number: u32) -> String {
    format!("idle connection {number} (is a connection limit or `ulimit -n` in the way?)")
}
