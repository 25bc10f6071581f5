//! The client side: what is put on a proxy, and the check that the proxy does its job at all.

mod bulk;
mod idle;
mod wrk;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

pub(crate) use bulk::BulkLoad;
pub(crate) use idle::IdleConnections;
pub(crate) use wrk::WrkLoad;

use crate::upstream::{bulk_byte, small_answer};

/// How long one answer may take before the proxy counts as broken.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);
/// Bulk bytes that are compared before a measurement.
const BULK_CHECK: usize = 4 << 20;

/// The request that every small load sends, but for the `Host` line of the load generator.
const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: bench\r\n\r\n";

/// Sends one small request through the proxy and compares the answer byte for byte.
pub(crate) fn check_small(proxy: SocketAddr) -> Result<()> {
    exchange(&mut connect(proxy)?)
}

/// Reads some bulk bytes through the proxy and compares every one.
pub(crate) fn check_bulk(proxy: SocketAddr) -> Result<()> {
    let mut stream = connect(proxy)?;
    let mut bytes = vec![0; BULK_CHECK];
    stream.read_exact(&mut bytes).context("read bulk bytes through the proxy")?;
    let wrong = bytes.iter().enumerate().position(|(at, byte)| *byte != bulk_byte(at));
    ensure!(wrong.is_none(), "the proxy changed the byte at position {}", wrong.unwrap_or(0));
    Ok(())
}

fn connect(proxy: SocketAddr) -> Result<TcpStream> {
    let stream =
        TcpStream::connect_timeout(&proxy, ANSWER_LIMIT).context("connect to the proxy")?;
    stream.set_nodelay(true).context("set TCP_NODELAY")?;
    stream.set_read_timeout(Some(ANSWER_LIMIT)).context("set a read timeout")?;
    stream.set_write_timeout(Some(ANSWER_LIMIT)).context("set a write timeout")?;
    Ok(stream)
}

fn exchange(stream: &mut TcpStream) -> Result<()> {
    let expected = small_answer();
    let mut answer = vec![0; expected.len()];
    stream.write_all(REQUEST).context("send a request through the proxy")?;
    stream.read_exact(&mut answer).context("read the answer through the proxy")?;
    ensure!(answer == expected, "the proxy changed the answer");
    Ok(())
}
