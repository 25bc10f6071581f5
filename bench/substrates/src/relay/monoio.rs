//! The relay on monoio: one io_uring operation per read and write, one task per connection.

use std::io;
use std::net::SocketAddr;

use ::monoio::io::{AsyncReadRent, AsyncWriteRent, AsyncWriteRentExt, Splitable};
use ::monoio::net::{TcpListener, TcpStream};
use ::monoio::{IoUringDriver, RuntimeBuilder};
use anyhow::{Context, Result};

use super::{BUFFER, RING_ENTRIES};

/// How monoio's ring is set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ring {
    /// As monoio does it.
    Plain,
    /// With `SINGLE_ISSUER | DEFER_TASKRUN`, which monoio does not ask for itself.
    Deferred,
}

pub(super) fn run(listener: std::net::TcpListener, upstream: SocketAddr, ring: Ring) -> Result<()> {
    let mut flags = monoio_io_uring::IoUring::builder();
    if ring == Ring::Deferred {
        flags.setup_single_issuer().setup_defer_taskrun();
    }
    let mut runtime = RuntimeBuilder::<IoUringDriver>::new()
        .with_entries(RING_ENTRIES)
        .uring_builder(flags)
        .build()
        .context("start the monoio runtime (is io_uring allowed here?)")?;
    runtime.block_on(async {
        let listener = TcpListener::from_std(listener).context("hand the listener to monoio")?;
        loop {
            let (client, _) = listener.accept().await.context("accept")?;
            ::monoio::spawn(async move {
                // A failed relay closes both sockets; the peers see it, nobody else needs to.
                let _ = relay(client, upstream).await;
            });
        }
    })
}

async fn relay(client: TcpStream, upstream: SocketAddr) -> io::Result<()> {
    let server = TcpStream::connect_addr(upstream).await?;
    server.set_nodelay(true)?;
    let (client_read, client_write) = client.into_split();
    let (server_read, server_write) = server.into_split();
    ::tokio::try_join!(copy(client_read, server_write), copy(server_read, client_write))?;
    Ok(())
}

async fn copy(mut from: impl AsyncReadRent, mut to: impl AsyncWriteRent) -> io::Result<()> {
    let mut buffer = Vec::with_capacity(BUFFER);
    loop {
        let (read, filled) = from.read(buffer).await;
        if read? == 0 {
            return to.shutdown().await;
        }
        let (written, emptied) = to.write_all(filled).await;
        written?;
        buffer = emptied;
        buffer.clear();
    }
}
