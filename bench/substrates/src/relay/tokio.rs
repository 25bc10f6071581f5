//! The relay on tokio's current-thread runtime: readiness through epoll, one task per connection.

use std::io;
use std::net::SocketAddr;

use ::tokio::io::{AsyncReadExt, AsyncWriteExt};
use ::tokio::net::tcp::{ReadHalf, WriteHalf};
use ::tokio::net::{TcpListener, TcpStream};
use ::tokio::task::LocalSet;
use anyhow::{Context, Result};

use super::BUFFER;

pub(super) fn run(listener: std::net::TcpListener, upstream: SocketAddr) -> Result<()> {
    let runtime = ::tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()
        .context("start the tokio runtime")?;
    listener.set_nonblocking(true).context("make the listener non-blocking")?;
    let tasks = LocalSet::new();
    runtime.block_on(tasks.run_until(async {
        let listener = TcpListener::from_std(listener).context("hand the listener to tokio")?;
        loop {
            let (client, _) = listener.accept().await.context("accept")?;
            ::tokio::task::spawn_local(async move {
                // A failed relay closes both sockets; the peers see it, nobody else needs to.
                let _ = relay(client, upstream).await;
            });
        }
    }))
}

async fn relay(mut client: TcpStream, upstream: SocketAddr) -> io::Result<()> {
    let mut server = TcpStream::connect(upstream).await?;
    server.set_nodelay(true)?;
    let (client_read, client_write) = client.split();
    let (server_read, server_write) = server.split();
    ::tokio::try_join!(copy(client_read, server_write), copy(server_read, client_write))?;
    Ok(())
}

async fn copy(mut from: ReadHalf<'_>, mut to: WriteHalf<'_>) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    loop {
        let count = from.read(&mut buffer).await?;
        if count == 0 {
            return to.shutdown().await;
        }
        to.write_all(&buffer[..count]).await?;
    }
}
