//! The relay on tokio-uring with registered buffers: `READ_FIXED` and `WRITE_FIXED` on sockets.

use std::io;
use std::iter::repeat_with;
use std::net::{Shutdown, SocketAddr};

use ::tokio_uring::buf::BoundedBuf;
use ::tokio_uring::buf::fixed::{FixedBuf, FixedBufPool};
use ::tokio_uring::net::{TcpListener, TcpStream};
use anyhow::{Context, Result};

use super::{BUFFER, RING_ENTRIES};

/// Registered buffers: the most that the crate takes (UIO_MAXIOV). Two per connection, so that at
/// most 512 connections are relayed at a time; the next waits for a buffer.
const BUFFERS: usize = 1024;

pub(super) fn run(listener: std::net::TcpListener, upstream: SocketAddr) -> Result<()> {
    ::tokio_uring::builder().entries(RING_ENTRIES).start(async {
        let pool = FixedBufPool::new(repeat_with(|| Vec::with_capacity(BUFFER)).take(BUFFERS));
        pool.register().context(
            "register 16 MiB of buffers (without CAP_IPC_LOCK, `ulimit -l` must allow them)",
        )?;
        let listener = TcpListener::from_std(listener);
        loop {
            let (client, _) = listener.accept().await.context("accept")?;
            let pool = pool.clone();
            ::tokio_uring::spawn(async move {
                // A failed relay closes both sockets; the peers see it, nobody else needs to.
                let _ = relay(client, upstream, &pool).await;
            });
        }
    })
}

async fn relay(
    client: TcpStream,
    upstream: SocketAddr,
    pool: &FixedBufPool<Vec<u8>>,
) -> io::Result<()> {
    let server = TcpStream::connect(upstream).await?;
    server.set_nodelay(true)?;
    let (request, response) = (pool.next(BUFFER).await, pool.next(BUFFER).await);
    let both =
        ::tokio::try_join!(copy(&client, &server, request), copy(&server, &client, response));
    if both.is_err() {
        // The other direction's read is still in flight and holds its socket open: this ends it.
        let _ = client.shutdown(Shutdown::Both);
        let _ = server.shutdown(Shutdown::Both);
    }
    both.map(|_| ())
}

async fn copy(from: &TcpStream, to: &TcpStream, mut buffer: FixedBuf) -> io::Result<()> {
    loop {
        let (read, filled) = from.read_fixed(buffer).await;
        let count = read?;
        if count == 0 {
            return to.shutdown(Shutdown::Write);
        }
        let (written, slice) = to.write_fixed_all(filled.slice(..count)).await;
        written?;
        buffer = slice.into_inner();
    }
}
