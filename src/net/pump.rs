//! Moving bytes in one direction, by passing received spans on from where they landed.

use std::future::{Future, poll_fn};
use std::io;
use std::task::{Context, Poll, ready};

use reactor::{Outbox, Received, Receiver, Span, SpliceError};

use crate::bulk::{BulkWatch, splice};
use crate::stream::Stream;

/// Where a pump takes bytes from.
pub trait PumpSource {
    /// As [`Receiver::poll_recv`].
    fn poll_recv(&self, context: &Context<'_>, bytes_max: usize) -> Poll<io::Result<Received>>;

    /// What receives the bytes, if they come on a connection as they are.
    fn receiver(&self) -> Option<&Receiver>;
}

/// Where a pump passes bytes on to.
pub trait PumpSink {
    /// As [`Outbox::poll_room`].
    fn poll_room(&self, context: &Context<'_>) -> Poll<io::Result<usize>>;

    /// As [`Outbox::poll_failure`].
    fn poll_failure(&self, context: &Context<'_>) -> Poll<io::Error>;

    /// As [`Outbox::push`].
    fn push(&self, bytes: Span);

    /// As [`Outbox::finish`].
    fn finish(&self);

    /// As [`Outbox::poll_drained`].
    fn poll_drained(&self, context: &Context<'_>) -> Poll<io::Result<()>>;

    /// What sends the bytes, if they go on a connection as they are.
    fn outbox(&self) -> Option<&Outbox>;
}

impl PumpSource for Stream {
    fn poll_recv(&self, context: &Context<'_>, bytes_max: usize) -> Poll<io::Result<Received>> {
        self.receiver().poll_recv(context, bytes_max)
    }

    fn receiver(&self) -> Option<&Receiver> {
        Some(self.receiver())
    }
}

impl PumpSink for Stream {
    fn poll_room(&self, context: &Context<'_>) -> Poll<io::Result<usize>> {
        self.outbox().poll_room(context)
    }

    fn poll_failure(&self, context: &Context<'_>) -> Poll<io::Error> {
        self.outbox().poll_failure(context)
    }

    fn push(&self, bytes: Span) {
        self.outbox().push(bytes);
    }

    fn finish(&self) {
        self.outbox().finish();
    }

    fn poll_drained(&self, context: &Context<'_>) -> Poll<io::Result<()>> {
        self.outbox().poll_drained(context)
    }

    fn outbox(&self) -> Option<&Outbox> {
        Some(self.outbox())
    }
}

/// Told what a pump does, as it does it.
pub trait PumpObserver {
    /// Bytes came in and were queued for the receiving side.
    fn received(&self, bytes: usize);
    /// The receiving side takes no more: reading is paused.
    fn paused(&self);
    /// Reading goes on.
    fn resumed(&self);
}

/// Which end of a pump failed, and how.
#[derive(Debug)]
pub enum PumpFailure {
    /// The side that is read from.
    Reading(io::Error),
    /// The side that is written to.
    Writing(io::Error),
}

impl From<SpliceError> for PumpFailure {
    fn from(error: SpliceError) -> Self {
        match error {
            SpliceError::Reading(error) => Self::Reading(error),
            SpliceError::Writing(error) => Self::Writing(error),
        }
    }
}

/// Copies from `source` to `sink` until the end of what comes, and until the last byte was sent.
/// Each receive is credited with the room the sink has, so at most the sink's limit is ever held.
/// Bulk is spliced if it comes and goes on connections as it is. `pass_on_end` says, when the end
/// comes, whether it is to be told to the sink after the last byte: not if its connection will be
/// closed next, which tells the peer as well.
///
/// # Errors
/// [`PumpFailure`] says which side failed. What was queued for the other side stays queued.
// No `async fn`: its future keeps the arguments twice, and an idle connection two of these.
pub fn pump<'a, S: PumpSource, K: PumpSink, O: PumpObserver>(
    source: &'a S,
    sink: &'a K,
    observer: &'a O,
    pass_on_end: impl FnOnce() -> bool + 'a,
) -> impl Future<Output = Result<(), PumpFailure>> + 'a {
    let mut copying = Copying { source, sink, observer, bulk: BulkWatch::default(), pause: None };
    async move {
        if let (Some(receiver), Some(outbox)) = copying.connections() {
            receiver.feeds(outbox);
        }
        while poll_fn(|context| copying.poll(context)).await? == Next::Bulk {
            // Boxed, so that a connection without bulk does not keep room for it.
            if Box::pin(copying.splice()).await? {
                break;
            }
        }
        if pass_on_end() {
            copying.sink.finish();
        }
        poll_fn(|context| copying.sink.poll_drained(context)).await.map_err(PumpFailure::Writing)
    }
}

/// What comes after copying.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// So much has come that it is worth splicing.
    Bulk,
    /// The stream has ended.
    End,
}

/// A direction whose bytes are copied.
struct Copying<'a, S, K, O: PumpObserver> {
    source: &'a S,
    sink: &'a K,
    observer: &'a O,
    bulk: BulkWatch,
    /// While the sink takes no more.
    pause: Option<Pause<'a, O>>,
}

impl<S: PumpSource, K: PumpSink, O: PumpObserver> Copying<'_, S, K, O> {
    fn connections(&self) -> (Option<&Receiver>, Option<&Outbox>) {
        (self.source.receiver(), self.sink.outbox())
    }

    /// Copies what there is.
    fn poll(&mut self, context: &Context<'_>) -> Poll<Result<Next, PumpFailure>> {
        loop {
            let Poll::Ready(room) = self.sink.poll_room(context) else {
                self.pause.get_or_insert_with(|| Pause::begin(self.observer));
                return Poll::Pending;
            };
            self.pause = None;
            let room = room.map_err(PumpFailure::Writing)?;
            // A send that fails later must not go unnoticed until something else arrives.
            if let Poll::Ready(error) = self.sink.poll_failure(context) {
                return Poll::Ready(Err(PumpFailure::Writing(error)));
            }
            match ready!(self.source.poll_recv(context, room)).map_err(PumpFailure::Reading)? {
                Received::End => return Poll::Ready(Ok(Next::End)),
                Received::Data(span) => {
                    self.observer.received(span.len());
                    let is_bulk = match (self.source.receiver(), self.sink.outbox()) {
                        (Some(receiver), Some(_)) => self.bulk.is_bulk(span.len(), receiver),
                        _ => false,
                    };
                    self.sink.push(span);
                    if is_bulk {
                        return Poll::Ready(Ok(Next::Bulk));
                    }
                }
            }
        }
    }

    /// Splices for as long as bulk comes. Returns whether the stream has ended.
    async fn splice(&self) -> Result<bool, SpliceError> {
        let (Some(receiver), Some(outbox)) = self.connections() else { return Ok(false) };
        let passed = |bytes| self.observer.received(usize::try_from(bytes).unwrap_or(usize::MAX));
        splice(receiver, outbox, u64::MAX, passed).await
    }
}

/// A pause that is told to have ended however it ends.
struct Pause<'a, O: PumpObserver>(&'a O);

impl<'a, O: PumpObserver> Pause<'a, O> {
    fn begin(observer: &'a O) -> Self {
        observer.paused();
        Self(observer)
    }
}

impl<O: PumpObserver> Drop for Pause<'_, O> {
    fn drop(&mut self) {
        self.0.resumed();
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::cell::Cell;
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::rc::Rc;
    use std::sync::{Arc, Condvar, Mutex};
    use std::thread;

    use reactor::{Features, OutboxMeter, Reactor, Settings};

    use super::*;

    struct Unwatched;

    impl PumpObserver for Unwatched {
        fn received(&self, _bytes: usize) {}
        fn paused(&self) {}
        fn resumed(&self) {}
    }

    impl OutboxMeter for Unwatched {
        fn queued(&self, _bytes: usize) {}
        fn sent(&self, _bytes: usize) {}
        fn dropped(&self, _bytes: usize) {}
    }

    /// A connection: the end for a reactor, and the far end.
    pub(crate) fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        near.set_nonblocking(true).unwrap();
        (near, listener.accept().unwrap().0)
    }

    fn pattern(len: usize) -> Vec<u8> {
        (0..=250).cycle().take(len).collect()
    }

    /// Pumps what `write` sends to a reader, and returns what it read and the reactor's numbers.
    fn pumped(
        write: impl FnOnce(TcpStream) + Send + 'static,
        read: impl FnOnce(TcpStream) -> Vec<u8> + Send + 'static,
    ) -> (Vec<u8>, Result<(), PumpFailure>, reactor::LoopStats) {
        pumped_with(reactor::probe().unwrap(), write, read)
    }

    /// As [`pumped`], on a kernel that has only these features.
    fn pumped_with(
        features: Features,
        write: impl FnOnce(TcpStream) + Send + 'static,
        read: impl FnOnce(TcpStream) -> Vec<u8> + Send + 'static,
    ) -> (Vec<u8>, Result<(), PumpFailure>, reactor::LoopStats) {
        let reactor = Reactor::new(Settings::new(features)).unwrap();
        let ((from, writer), (to, reader)) = (pair(), pair());
        let writing = thread::spawn(move || write(writer));
        let reading = thread::spawn(move || read(reader));
        let result = reactor.run(async {
            let stream = |socket: TcpStream| {
                let socket = reactor.socket(socket.into());
                Stream::new(&reactor, socket, 1 << 20, Rc::new(Unwatched))
            };
            let (from, to) = (stream(from), stream(to));
            pump(&from, &to, &Unwatched, || true).await
        });
        let stats = reactor.stats();
        drop(reactor);
        writing.join().unwrap();
        (reading.join().unwrap(), result, stats)
    }

    fn read_all(mut stream: TcpStream) -> Vec<u8> {
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes);
        bytes
    }

    #[test]
    fn bulk_is_spliced_small_pieces_are_not_and_no_byte_is_lost_between() {
        const BULK: usize = 16 << 20;
        let write = |mut stream: TcpStream| {
            let bytes = pattern(BULK);
            stream.write_all(&bytes).unwrap();
            // Each piece alone, so that bulk gives way to a trickle and comes back.
            for piece in bytes[..50_000].chunks(100) {
                stream.write_all(piece).unwrap();
            }
            stream.write_all(&bytes).unwrap();
        };
        let (bytes, result, stats) = pumped(write, read_all);
        assert!(result.is_ok());
        assert!(stats.splices_begun >= 1 && stats.spliced_bytes > 0, "{stats:?}");
        assert_eq!(stats.splices_begun, stats.splices_left);
        let whole = pattern(BULK);
        assert!(bytes == [&whole, &whole[..50_000], &whole].concat(), "{} bytes", bytes.len());
    }

    /// No piece is longer than 8 KiB there.
    #[test]
    fn bulk_is_bulk_on_an_old_kernel_too() {
        let write = |mut stream: TcpStream| stream.write_all(&pattern(16 << 20)).unwrap();
        let (bytes, result, stats) = pumped_with(Features::minimal(), write, read_all);
        assert!(result.is_ok());
        assert!(bytes == pattern(16 << 20), "{} bytes", bytes.len());
        assert!(stats.spliced_bytes > 0, "{stats:?}");
    }

    #[test]
    fn a_reader_that_stops_and_goes_on_gets_every_byte() {
        let bytes = pattern(8 << 20);
        let write = move |mut stream: TcpStream| stream.write_all(&pattern(8 << 20)).unwrap();
        let read = |mut stream: TcpStream| {
            let mut first = vec![0; 1 << 20];
            stream.read_exact(&mut first).unwrap();
            // The reader is slower than the writer at every step.
            let mut piece = [0; 4096];
            for _ in 0..200 {
                stream.read_exact(&mut piece).unwrap();
                first.extend_from_slice(&piece);
                thread::yield_now();
            }
            stream.read_to_end(&mut first).unwrap();
            first
        };
        let (got, result, _) = pumped(write, read);
        assert!(result.is_ok());
        assert!(got == bytes, "{} bytes", got.len());
    }

    /// How many pauses it was told of, and a reader that waits for the first.
    #[derive(Clone, Default)]
    struct Pauses(Arc<(Mutex<u32>, Condvar)>);

    impl PumpObserver for Pauses {
        fn received(&self, _bytes: usize) {}
        fn paused(&self) {
            *self.0.0.lock().unwrap() += 1;
            self.0.1.notify_all();
        }
        fn resumed(&self) {}
    }

    /// What waits to be sent, and the most that ever did.
    #[derive(Default)]
    struct Held {
        now: Cell<usize>,
        most: Cell<usize>,
    }

    impl OutboxMeter for Held {
        fn queued(&self, bytes: usize) {
            self.now.set(self.now.get() + bytes);
            self.most.set(self.most.get().max(self.now.get()));
        }
        fn sent(&self, bytes: usize) {
            self.now.set(self.now.get() - bytes);
        }
        fn dropped(&self, bytes: usize) {
            self.now.set(self.now.get() - bytes);
        }
        fn passed(&self, _bytes: usize) {}
    }

    #[test]
    fn a_reader_that_stalls_while_spliced_pauses_the_pump_and_gets_every_byte() {
        let reactor = Reactor::new(Settings::new(reactor::probe().unwrap())).unwrap();
        let ((from, mut writer), (to, mut reader)) = (pair(), pair());
        let writing = thread::spawn(move || writer.write_all(&pattern(64 << 20)).unwrap());
        let pauses = Pauses::default();
        let told = pauses.clone();
        let reading = thread::spawn(move || {
            let mut bytes = vec![0; 8 << 20];
            reader.read_exact(&mut bytes).unwrap();
            let seen = told.0.0.lock().unwrap();
            // Nothing is read before the pump has noticed.
            let before = *seen;
            drop(told.0.1.wait_while(seen, |seen| *seen == before).unwrap());
            reader.read_to_end(&mut bytes).unwrap();
            bytes
        });
        let held = Rc::new(Held::default());
        let result = reactor.run(async {
            let stream = |socket: TcpStream| {
                let socket = reactor.socket(socket.into());
                Stream::new(&reactor, socket, 1 << 20, Rc::clone(&held) as Rc<_>)
            };
            let (from, to) = (stream(from), stream(to));
            pump(&from, &to, &pauses, || true).await
        });
        let stats = reactor.stats();
        drop(reactor);
        writing.join().unwrap();
        assert!(result.is_ok());
        assert!(reading.join().unwrap() == pattern(64 << 20));
        assert!(stats.splices_begun >= 1 && stats.spliced_bytes > 0, "{stats:?}");
        assert_eq!(stats.splices_begun, stats.splices_left);
        // An outbox and what one receive brings beyond, however much a pipe takes.
        assert!(held.most.get() <= 192 * 1024, "{} bytes were held", held.most.get());
        assert_eq!(held.now.get(), 0);
    }

    #[test]
    fn a_reset_in_the_middle_of_a_splice_ends_the_pump() {
        let write = |mut stream: TcpStream| {
            // The rest is refused once the reader is gone.
            let _ = stream.write_all(&pattern(32 << 20));
        };
        let read = |mut stream: TcpStream| {
            let mut first = vec![0; 4 << 20];
            stream.read_exact(&mut first).unwrap();
            first
        };
        let (_, result, stats) = pumped(write, read);
        assert!(matches!(result, Err(PumpFailure::Writing(_))), "{result:?}");
        assert_eq!(stats.splices_begun, stats.splices_left);
    }
}
