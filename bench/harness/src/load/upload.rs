//! Sends request bodies without end over many connections.

use std::io::{self, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};

use anyhow::{Context, Result};
use rustix::event::epoll::EventFlags;

use super::{connect, upload_head};
use crate::epoll::Poller;
use crate::pattern::Pattern;
use crate::upstream::ENDLESS;

/// A running upload; ends on drop. What arrives is counted by the upstream.
#[derive(Debug)]
pub(crate) struct UploadLoad {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

#[derive(Debug, Default)]
struct Shared {
    stop: AtomicBool,
    /// Connections that could not be written to although their body has no end.
    lost: AtomicU64,
}

impl UploadLoad {
    /// Opens `connections` connections, begins a request on each and starts to send its body.
    pub(crate) fn start(proxy: SocketAddr, connections: u32) -> Result<Self> {
        let mut streams = Vec::new();
        for _ in 0..connections {
            let mut stream = connect(proxy)?;
            stream.write_all(&upload_head(ENDLESS)).context("send the head of an upload")?;
            stream.set_nonblocking(true).context("make an upload non-blocking")?;
            streams.push(stream);
        }
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        let thread = thread::Builder::new()
            .name("upload-client".to_owned())
            .spawn(move || send_all(streams, &theirs))
            .context("start the upload thread")?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Stops and returns the number of connections that were lost on the way.
    pub(crate) fn finish(mut self) -> Result<u64> {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread
                .join()
                .map_err(|_| anyhow::anyhow!("the upload client panicked"))?
                .context("the upload client failed")?;
        }
        Ok(self.shared.lost.load(Ordering::Relaxed))
    }
}

impl Drop for UploadLoad {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn send_all(streams: Vec<TcpStream>, shared: &Shared) -> io::Result<()> {
    let pattern = Pattern::new();
    let mut poller = Poller::new()?;
    let mut open: Vec<Option<(TcpStream, usize)>> =
        streams.into_iter().map(|stream| Some((stream, 0))).collect();
    for (slot, (stream, _)) in open.iter().flatten().enumerate() {
        poller.add(stream, slot as u64, EventFlags::OUT)?;
    }
    let mut ready = Vec::new();
    while !shared.stop.load(Ordering::Relaxed) {
        ready.extend(poller.wait()?.map(|ready| ready.token));
        for token in ready.drain(..) {
            let Some(entry) = usize::try_from(token).ok().and_then(|slot| open.get_mut(slot))
            else {
                continue;
            };
            let Some((stream, position)) = entry else { continue };
            if !pattern.pour(&*stream, position) {
                shared.lost.fetch_add(1, Ordering::Relaxed);
                *entry = None;
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

    /// Breaks if an upload stalls, sends other bytes than the upstream expects, or counts a good
    /// connection as lost.
    #[test]
    fn bodies_arrive_on_every_connection() {
        let upstream = Upstream::http_upload().unwrap();
        let load = UploadLoad::start(upstream.address(), 4).unwrap();
        let deadline = Instant::now() + Duration::from_secs(20);
        while upstream.taken() < 64 << 20 {
            assert!(Instant::now() < deadline, "only {} bytes", upstream.taken());
            thread::yield_now();
        }
        assert_eq!(load.finish().unwrap(), 0);
    }
}
