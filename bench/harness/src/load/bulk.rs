//! Takes bulk bytes from many connections and throws them away as cheaply as the kernel can.

use std::io::{self, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};

use anyhow::{Context, Result};
use rustix::event::epoll::EventFlags;
use rustix::net::{RecvFlags, recv};

use super::connect;
use crate::epoll::Poller;

/// Most bytes thrown away with one call.
const CHUNK: usize = 1 << 20;

/// A running bulk load; ends on drop.
#[derive(Debug)]
pub(crate) struct BulkLoad {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

#[derive(Debug, Default)]
struct Shared {
    stop: AtomicBool,
    bytes: AtomicU64,
    /// Connections that ended although the upstream never ends one.
    lost: AtomicU64,
}

impl BulkLoad {
    /// Opens `connections` connections, sends `request` on each and starts to take what comes.
    pub(crate) fn start(proxy: SocketAddr, connections: u32, request: &[u8]) -> Result<Self> {
        let mut streams = Vec::new();
        for _ in 0..connections {
            let mut stream = connect(proxy)?;
            stream.write_all(request).context("send the request for bulk bytes")?;
            stream.set_nonblocking(true).context("make a bulk connection non-blocking")?;
            streams.push(stream);
        }
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        let thread = thread::Builder::new()
            .name("bulk-client".to_owned())
            .spawn(move || discard(streams, &theirs))
            .context("start the bulk client thread")?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Bytes taken so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.shared.bytes.load(Ordering::Relaxed)
    }

    /// Stops and returns the number of connections that were lost on the way.
    pub(crate) fn finish(mut self) -> Result<u64> {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread
                .join()
                .map_err(|_| anyhow::anyhow!("the bulk client panicked"))?
                .context("the bulk client failed")?;
        }
        Ok(self.shared.lost.load(Ordering::Relaxed))
    }
}

impl Drop for BulkLoad {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn discard(streams: Vec<TcpStream>, shared: &Shared) -> io::Result<()> {
    let mut poller = Poller::new()?;
    let mut open: Vec<Option<TcpStream>> = streams.into_iter().map(Some).collect();
    for (slot, stream) in open.iter().flatten().enumerate() {
        poller.add(stream, slot as u64, EventFlags::IN)?;
    }
    // With MSG_TRUNC a TCP socket drops the bytes without copying them; the buffer is only a
    // length.
    let mut room = vec![0_u8; CHUNK];
    let mut ready = Vec::new();
    while !shared.stop.load(Ordering::Relaxed) {
        ready.extend(poller.wait()?.map(|ready| ready.token));
        for token in ready.drain(..) {
            let Some(entry) = usize::try_from(token).ok().and_then(|slot| open.get_mut(slot))
            else {
                continue;
            };
            let Some(stream) = entry else { continue };
            match recv(&*stream, room.as_mut_slice(), RecvFlags::TRUNC) {
                Ok((_, length)) if length > 0 => {
                    shared.bytes.fetch_add(length as u64, Ordering::Relaxed);
                }
                Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => {}
                Ok(_) | Err(_) => {
                    shared.lost.fetch_add(1, Ordering::Relaxed);
                    *entry = None;
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::upstream::Upstream;

    /// Breaks if discarding stalls, or if a connection that is fine counts as lost.
    #[test]
    fn takes_bytes_from_every_connection() {
        let upstream = Upstream::bulk().unwrap();
        let load = BulkLoad::start(upstream.address(), 4, b"").unwrap();
        let deadline = Instant::now() + Duration::from_secs(20);
        while load.bytes() < 64 << 20 {
            assert!(Instant::now() < deadline, "only {} bytes", load.bytes());
            thread::yield_now();
        }
        assert_eq!(load.finish().unwrap(), 0);
    }

    /// Breaks if a proxy that drops connections looks like one that works.
    #[test]
    fn lost_connections_are_counted() {
        let upstream = Upstream::bulk().unwrap();
        let load = BulkLoad::start(upstream.address(), 3, b"").unwrap();
        drop(upstream);
        let deadline = Instant::now() + Duration::from_secs(20);
        while load.shared.lost.load(Ordering::Relaxed) < 3 {
            assert!(Instant::now() < deadline, "closed connections were not noticed");
            thread::yield_now();
        }
        assert_eq!(load.finish().unwrap(), 3);
    }
}
