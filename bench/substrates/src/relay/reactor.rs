//! The relay on Nuncio's reactor: received spans go on from the ring memory they arrived in.

use std::future::poll_fn;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

use ::reactor::{Outbox, OutboxMeter, Reactor, Received, Receiver, Settings, Socket, probe};
use anyhow::{Context, Result};

use super::BUFFER;

/// Counts nothing, as no relay here does.
struct NoMeter;

impl OutboxMeter for NoMeter {
    fn queued(&self, _bytes: usize) {}
    fn sent(&self, _bytes: usize) {}
    fn dropped(&self, _bytes: usize) {}
}

pub(super) fn run(listener: TcpListener, upstream: SocketAddr) -> Result<()> {
    let features = probe().context("look at what this kernel's io_uring can do")?;
    let reactor = Reactor::new(Settings::new(features)).context("start the reactor")?;
    listener.set_nonblocking(true).context("make the listener non-blocking")?;
    reactor.run(async {
        let acceptor = reactor.acceptor(listener.into());
        let connections = reactor.task_set();
        loop {
            let client = acceptor.accept().await.context("accept")?;
            let reactor = reactor.clone();
            connections.spawn(async move {
                // A failed relay closes both sockets; the peers see it, nobody else needs to.
                let _ = relay(&reactor, client, upstream).await;
            });
        }
    })
}

async fn relay(reactor: &Reactor, client: Socket, upstream: SocketAddr) -> io::Result<()> {
    let server = reactor.connect(&upstream.into()).await?;
    let (client_read, client_write) = reactor.split(&client, BUFFER, Rc::new(NoMeter));
    let (server_read, server_write) = reactor.split(&server, BUFFER, Rc::new(NoMeter));
    let mut up = pin!(copy(client_read, server_write));
    let mut down = pin!(copy(server_read, client_write));
    let (mut up_open, mut down_open) = (true, true);
    // As the proxy's relay: a message wakes the direction it goes.
    let branches = reactor.branches();
    poll_fn(|context| {
        let woken = branches.woken(context);
        if up_open && let Poll::Ready(ended) = woken.poll(context, 0, up.as_mut()) {
            ended?;
            up_open = false;
        }
        if down_open && let Poll::Ready(ended) = woken.poll(context, 1, down.as_mut()) {
            ended?;
            down_open = false;
        }
        if up_open || down_open { Poll::Pending } else { Poll::Ready(Ok(())) }
    })
    .await
}

async fn copy(from: Receiver, to: Outbox) -> io::Result<()> {
    from.feeds(&to);
    loop {
        let room = to.room().await?;
        match from.recv(room).await? {
            Received::Data(span) => to.push(span),
            Received::End => {
                to.finish();
                return to.drained().await;
            }
        }
    }
}
