//! The client side: what is put on a proxy, and the check that the proxy does its job at all.

mod bulk;
mod h2load;
mod idle;
mod upload;
mod wrk;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

pub(crate) use bulk::BulkLoad;
pub(crate) use h2load::H2Load;
pub(crate) use idle::IdleConnections;
pub(crate) use upload::UploadLoad;
pub(crate) use wrk::WrkLoad;

use crate::pattern::{BULK_CHECK, bulk_byte, first_wrong};
use crate::upstream::{BODY, end_of_head, small_answer, small_body};
use crate::workload::Kind;

/// How long one answer may take before the proxy counts as broken.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);
/// Largest response head that is taken for one.
const MAX_HEAD: usize = 16 * 1024;

/// The request that every small load sends, but for the `Host` line of the load generator.
pub(crate) const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: bench\r\n\r\n";

/// One request and its answer, judged.
pub(crate) type Exchange = fn(&mut TcpStream) -> Result<()>;

/// The exchange that proves a proxy's work of this kind.
pub(crate) const fn exchange_of(kind: Kind) -> Exchange {
    match kind {
        Kind::Tcp | Kind::New | Kind::Idle => relayed_exchange,
        Kind::Bulk => relayed_bulk,
        Kind::Http
        | Kind::HttpNew
        | Kind::HttpIdle
        | Kind::Http1ToHttp2
        // These are checked by one request of the load generator.
        | Kind::Http2ToHttp1
        | Kind::Http2Direct => http_exchange,
        Kind::HttpBulk => http_bulk,
        Kind::HttpUpload => http_upload,
    }
}

/// Checks that the proxy does work of this kind, and, where the client is of this tool, that every
/// byte is right. A load generator runs on `core`.
pub(crate) fn check(kind: Kind, proxy: SocketAddr, core: usize) -> Result<()> {
    if kind.has_http2_clients() {
        return H2Load::one(proxy, core);
    }
    exchange_of(kind)(&mut connect(proxy)?)
}

/// The head of a POST whose body has `length` bytes.
pub(crate) fn upload_head(length: u64) -> Vec<u8> {
    format!("POST / HTTP/1.1\r\nHost: bench\r\nContent-Length: {length}\r\n\r\n").into_bytes()
}

fn connect(proxy: SocketAddr) -> Result<TcpStream> {
    let stream =
        TcpStream::connect_timeout(&proxy, ANSWER_LIMIT).context("connect to the proxy")?;
    stream.set_nodelay(true).context("set TCP_NODELAY")?;
    stream.set_read_timeout(Some(ANSWER_LIMIT)).context("set a read timeout")?;
    stream.set_write_timeout(Some(ANSWER_LIMIT)).context("set a write timeout")?;
    Ok(stream)
}

/// A relay passes the upstream's answer on byte for byte.
fn relayed_exchange(stream: &mut TcpStream) -> Result<()> {
    let expected = small_answer();
    let mut answer = vec![0; expected.len()];
    stream.write_all(REQUEST).context("send a request through the proxy")?;
    stream.read_exact(&mut answer).context("read the answer through the proxy")?;
    ensure!(answer == expected, "the proxy changed the answer");
    Ok(())
}

fn relayed_bulk(stream: &mut TcpStream) -> Result<()> {
    compare_bulk(stream, Vec::new())
}

/// An HTTP proxy writes a head of its own; status and body are the upstream's.
fn http_exchange(stream: &mut TcpStream) -> Result<()> {
    stream.write_all(REQUEST).context("send a request through the proxy")?;
    let mut body = read_head(stream)?;
    let before = body.len();
    ensure!(before <= BODY, "{} bytes follow the answer", before - BODY);
    body.resize(BODY, 0);
    stream.read_exact(&mut body[before..]).context("read the body through the proxy")?;
    ensure!(body == small_body(), "the proxy changed the body");
    Ok(())
}

fn http_bulk(stream: &mut TcpStream) -> Result<()> {
    stream.write_all(REQUEST).context("send a request through the proxy")?;
    let start = read_head(stream)?;
    compare_bulk(stream, start)
}

/// The upstream compares: it answers only what is right.
fn http_upload(stream: &mut TcpStream) -> Result<()> {
    let mut request = upload_head(BULK_CHECK as u64);
    request.extend((0..BULK_CHECK).map(bulk_byte));
    stream.write_all(&request).context("send a body through the proxy")?;
    read_head(stream).map(drop)
}

/// Reads bulk bytes behind `bytes`, the first ones, and compares them all.
fn compare_bulk(stream: &mut TcpStream, mut bytes: Vec<u8>) -> Result<()> {
    let before = bytes.len();
    bytes.resize(before.max(BULK_CHECK), 0);
    stream.read_exact(&mut bytes[before..]).context("read bulk bytes through the proxy")?;
    let wrong = first_wrong(&bytes, 0);
    ensure!(wrong.is_none(), "the proxy changed the byte at position {}", wrong.unwrap_or(0));
    Ok(())
}

/// Reads the head of a response with status 200 that is not chunked, and returns what came behind
/// it.
fn read_head(stream: &mut TcpStream) -> Result<Vec<u8>> {
    let mut input = Vec::new();
    let mut room = [0; 4096];
    let end = loop {
        if let Some(end) = end_of_head(&input) {
            break end;
        }
        ensure!(input.len() <= MAX_HEAD, "no end of the response head after {MAX_HEAD} bytes");
        let count = stream.read(&mut room).context("read the response head")?;
        ensure!(count > 0, "the proxy closed the connection after {} bytes", input.len());
        input.extend_from_slice(&room[..count]);
    };
    let head = String::from_utf8_lossy(&input[..end]).to_ascii_lowercase();
    let status = head.lines().next().unwrap_or_default();
    ensure!(status.starts_with("http/1.1 200 "), "the proxy answered '{status}'");
    ensure!(head.contains("\r\ncontent-length:"), "the proxy took the content-length away");
    Ok(input.split_off(end))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::Upstream;

    /// Breaks if a proxy that answers with an error, or cuts a body, passes for one that works.
    #[test]
    fn only_the_right_job_passes() {
        let small = Upstream::http().unwrap();
        let bulk = Upstream::http_bulk().unwrap();
        let upload = Upstream::http_upload().unwrap();
        check(Kind::Http, small.address(), 0).unwrap();
        check(Kind::HttpBulk, bulk.address(), 0).unwrap();
        check(Kind::HttpUpload, upload.address(), 0).unwrap();
        // The wrong upstream for the work is a proxy that does something else.
        let error = check(Kind::HttpBulk, small.address(), 0).unwrap_err();
        assert!(format!("{error:#}").contains("read bulk bytes"), "{error:#}");
        let error = check(Kind::Http, bulk.address(), 0).unwrap_err();
        assert!(format!("{error:#}").contains("body") || error.to_string().contains("follow"));
        check(Kind::Http, upload.address(), 0).unwrap_err();
    }
}
