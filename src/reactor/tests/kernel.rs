//! The reactor on the running kernel, each test with every set of features that matters.

use std::cell::Cell;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::rc::Rc;
use std::thread;
use std::time::Duration;

use crate::{Features, Outbox, OutboxMeter, Reactor, Received, Receiver, Settings, channel, probe};

/// The features of this kernel, and of an old one.
fn feature_sets() -> [Features; 4] {
    let all = probe().unwrap();
    [
        all,
        all.without("-inc").unwrap(),
        all.without("-recv_limit,-silent_send").unwrap(),
        Features::minimal(),
    ]
}

fn on_each_feature_set(test: impl Fn(&Reactor)) {
    for features in feature_sets() {
        let reactor = Reactor::new(Settings::new(features)).unwrap();
        test(&reactor);
        let stats = reactor.stats();
        assert_eq!((stats.leases, stats.tasks), (0, 0), "{features}: {stats:?}");
    }
}

/// Copies until the end of the stream, and passes it on.
pub(super) async fn copy(receiver: Receiver, outbox: Outbox) {
    loop {
        let Ok(room) = outbox.room().await else {
            return;
        };
        match receiver.recv(room).await {
            Ok(Received::Data(span)) => outbox.push(span),
            Ok(Received::End) => {
                outbox.finish();
                outbox.drained().await.ok();
                return;
            }
            Err(_) => return,
        }
    }
}

/// Counts what an outbox reports; the books must balance.
#[derive(Default)]
struct Books {
    queued: Cell<usize>,
    gone: Cell<usize>,
}

impl OutboxMeter for Books {
    fn queued(&self, bytes: usize) {
        self.queued.set(self.queued.get() + bytes);
    }

    fn sent(&self, bytes: usize) {
        self.gone.set(self.gone.get() + bytes);
    }

    fn dropped(&self, bytes: usize) {
        self.gone.set(self.gone.get() + bytes);
    }
}

impl Drop for Books {
    fn drop(&mut self) {
        if !thread::panicking() {
            assert_eq!(self.queued, self.gone, "bytes queued against bytes sent or dropped");
        }
    }
}

fn meter() -> Rc<Books> {
    Rc::default()
}

fn listener() -> (TcpListener, std::net::SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// Bytes that repeat only after 251, so that a swapped or lost buffer shows.
fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|n| u8::try_from(n % 251).unwrap()).collect()
}

/// A relayed connection has two of each, idle or not.
#[test]
fn the_halves_of_a_connection_are_small() {
    assert_eq!((Outbox::STATE_BYTES, Receiver::STATE_BYTES), (208, 168));
}

#[test]
fn bytes_come_back_in_order_and_the_end_comes_after_them() {
    on_each_feature_set(|reactor| {
        let (listener, address) = listener();
        let bytes = pattern(3_000_000);
        let client = thread::spawn(move || {
            let mut stream = TcpStream::connect(address).unwrap();
            let mut reader = stream.try_clone().unwrap();
            let sent = bytes.clone();
            let writer = thread::spawn(move || {
                stream.write_all(&sent).unwrap();
                stream.shutdown(Shutdown::Write).unwrap();
            });
            let mut echoed = Vec::new();
            reader.read_to_end(&mut echoed).unwrap();
            writer.join().unwrap();
            assert!(echoed == bytes, "{} of {} bytes, or wrong ones", echoed.len(), bytes.len());
        });
        reactor.run(async {
            let acceptor = reactor.acceptor(listener.into());
            let socket = acceptor.accept().await.unwrap();
            let (receiver, outbox) = reactor.split(&socket, 1 << 20, meter());
            copy(receiver, outbox).await;
        });
        client.join().unwrap();
    });
}

#[test]
fn a_reader_that_stalls_costs_a_bounded_amount_and_no_ring_memory() {
    on_each_feature_set(|reactor| {
        let (listener, address) = listener();
        // The client sends for ever and never reads.
        let client = thread::spawn(move || {
            let mut stream = TcpStream::connect(address).unwrap();
            while stream.write_all(&[7; 65536]).is_ok() {}
        });
        reactor.run(async {
            let acceptor = reactor.acceptor(listener.into());
            let socket = acceptor.accept().await.unwrap();
            let (receiver, outbox) = reactor.split(&socket, 1 << 20, meter());
            let outbox = Rc::new(outbox);
            let tasks = reactor.task_set();
            let seen = Rc::clone(&outbox);
            tasks.spawn(async move {
                loop {
                    let room = seen.room().await.unwrap();
                    match receiver.recv(room).await.unwrap() {
                        Received::Data(span) => seen.push(span),
                        Received::End => return,
                    }
                }
            });
            // Paused, and still paused after the kernel had time to take more.
            while !outbox.is_paused() {
                reactor.sleep(Duration::from_millis(1)).await;
            }
            reactor.sleep(Duration::from_millis(5)).await;
            assert!(outbox.bytes_buffered() <= crate::CONGESTED_BYTES_MAX);
            assert_eq!(reactor.stats().leases, 0, "a stalled reader holds ring memory");
            socket.reset_on_close().unwrap();
        });
        drain(reactor);
        client.join().unwrap();
    });
}

#[test]
fn a_refused_connection_says_so_and_a_dropped_attempt_leaves_nothing() {
    on_each_feature_set(|reactor| {
        let (closed, address) = listener();
        drop(closed);
        let address = address.into();
        reactor.run(async {
            let refused = reactor.connect(&address).await.unwrap_err();
            assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
            let mut attempt = Box::pin(reactor.connect(&address));
            std::future::poll_fn(|context| {
                assert!(attempt.as_mut().poll(context).is_pending());
                std::task::Poll::Ready(())
            })
            .await;
            drop(attempt);
        });
        drain(reactor);
        assert_eq!(reactor.stats().descriptors, 0);
    });
}

/// Runs turns until only the standing poll for remote wakes is in flight.
fn drain(reactor: &Reactor) {
    reactor.run(async {
        while reactor.stats().ops_in_flight > 1 {
            reactor.sleep(Duration::from_millis(1)).await;
        }
    });
}

#[test]
fn a_panicking_task_ends_alone_and_is_counted() {
    on_each_feature_set(|reactor| {
        let tasks = reactor.task_set();
        let other = Rc::new(Cell::new(false));
        let done = Rc::clone(&other);
        let sleep = reactor.sleep(Duration::from_millis(2));
        tasks.spawn(async { panic!("a panic that a test provokes") });
        tasks.spawn(async move {
            sleep.await;
            done.set(true);
        });
        reactor.run(tasks.wait_empty());
        assert!(other.get());
        assert_eq!(reactor.stats().task_panics, 1);
    });
}

#[test]
fn messages_and_wakes_come_from_other_threads() {
    on_each_feature_set(|reactor| {
        let (sender, parts) = channel::<u32>(16).unwrap();
        let thread = thread::spawn(move || {
            for number in 0..1000 {
                while sender.send(number).is_err() {
                    thread::yield_now();
                }
            }
        });
        reactor.run(async {
            let mut inbox = reactor.open_inbox(parts);
            for number in 0..1000 {
                assert_eq!(inbox.recv().await.unwrap(), number);
            }
        });
        thread.join().unwrap();

        let (waker_sender, waker_receiver) = std::sync::mpsc::channel::<std::task::Waker>();
        let thread = thread::spawn(move || waker_receiver.recv().unwrap().wake());
        let mut asked = false;
        reactor.run(std::future::poll_fn(|context| {
            if std::mem::replace(&mut asked, true) {
                return std::task::Poll::Ready(());
            }
            waker_sender.send(context.waker().clone()).unwrap();
            std::task::Poll::Pending
        }));
        thread.join().unwrap();
    });
}

#[test]
fn sleepers_wake_in_order_and_never_early() {
    on_each_feature_set(|reactor| {
        let start = reactor.now();
        let order = Rc::new(Cell::new(0));
        let tasks = reactor.task_set();
        for (rank, millis) in [(2, 9_u64), (0, 3), (1, 6)] {
            let order = Rc::clone(&order);
            let reactor = reactor.clone();
            tasks.spawn(async move {
                reactor.sleep_until(start + Duration::from_millis(millis)).await;
                assert!(reactor.now() >= start + Duration::from_millis(millis));
                assert_eq!(order.replace(rank + 1), rank);
            });
        }
        reactor.run(tasks.wait_empty());
        assert_eq!((order.get(), reactor.stats().task_panics), (3, 0));
    });
}

#[test]
fn a_thousand_connections_leave_nothing_behind() {
    on_each_feature_set(|reactor| {
        let (listener, address) = listener();
        let client = thread::spawn(move || {
            for _ in 0..10 {
                let streams: Vec<TcpStream> =
                    (0..20).map(|_| TcpStream::connect(address).unwrap()).collect();
                for mut stream in &streams {
                    stream.write_all(b"hello").unwrap();
                    let mut back = [0; 5];
                    stream.read_exact(&mut back).unwrap();
                }
            }
        });
        reactor.run(async {
            let acceptor = reactor.acceptor(listener.into());
            let tasks = reactor.task_set();
            for _ in 0..200 {
                let socket = acceptor.accept().await.unwrap();
                let (receiver, outbox) = reactor.split(&socket, 1 << 20, meter());
                tasks.spawn(copy(receiver, outbox));
            }
            tasks.wait_empty().await;
        });
        client.join().unwrap();
        drain(reactor);
        let stats = reactor.stats();
        assert_eq!((stats.descriptors, stats.timers, stats.lost_bytes), (0, 0, 0), "{stats:?}");
    });
}

#[test]
fn a_timer_in_the_past_is_ready_at_once() {
    on_each_feature_set(|reactor| {
        let past = reactor.now().checked_sub(Duration::from_secs(1)).unwrap_or(reactor.now());
        reactor.run(reactor.sleep_until(past));
    });
}

#[test]
fn tens_of_thousands_of_operations_in_one_turn_all_complete() {
    on_each_feature_set(|reactor| {
        // More than the submission queue holds, twenty times, and than the completion queue does,
        // five times over.
        let before = reactor.stats();
        for slot in 0..40_000 {
            reactor.core().cancel(crate::driver::OpKey { slot, generation: u32::MAX });
        }
        assert_eq!(reactor.stats().ops_in_flight, 40_001);
        drain(reactor);
        let stats = reactor.stats();
        assert!(stats.completions - before.completions >= 40_000, "{stats:?}");
        assert!(stats.sq_full - before.sq_full >= 19, "{stats:?}");
        assert!(stats.cq_overflow > before.cq_overflow, "{stats:?}");
        assert_eq!(stats.late_completions, 0);
    });
}

#[test]
fn bytes_survive_an_overflowing_completion_queue() {
    on_each_feature_set(|reactor| {
        let (listener, address) = listener();
        let bytes = pattern(200_000);
        let expected = bytes.clone();
        let client = thread::spawn(move || {
            let mut stream = TcpStream::connect(address).unwrap();
            let mut reader = stream.try_clone().unwrap();
            let writer = thread::spawn(move || {
                stream.write_all(&bytes).unwrap();
                stream.shutdown(Shutdown::Write).unwrap();
            });
            let mut echoed = Vec::new();
            reader.read_to_end(&mut echoed).unwrap();
            writer.join().unwrap();
            assert!(echoed == expected, "{} bytes, or wrong ones", echoed.len());
        });
        let own = reactor.clone();
        let flooding = reactor.task_set();
        // Floods the queues in every turn that the relay makes.
        flooding.spawn(async move {
            loop {
                for slot in 0..10_000 {
                    own.core().cancel(crate::driver::OpKey { slot, generation: u32::MAX });
                }
                own.sleep(Duration::from_millis(2)).await;
            }
        });
        reactor.run(async {
            let acceptor = reactor.acceptor(listener.into());
            let socket = acceptor.accept().await.unwrap();
            let (receiver, outbox) = reactor.split(&socket, 10_000, meter());
            copy(receiver, outbox).await;
        });
        drop(flooding);
        drain(reactor);
        client.join().unwrap();
        assert!(reactor.stats().cq_overflow > 0);
    });
}

#[test]
fn a_wake_that_comes_while_the_reactor_ends_does_not_hold_it_up() {
    for features in feature_sets() {
        let reactor = Reactor::new(Settings::new(features)).unwrap();
        let tasks = reactor.task_set();
        let (sender, receiver) = std::sync::mpsc::channel::<std::task::Waker>();
        tasks.spawn(std::future::poll_fn(move |context| {
            sender.send(context.waker().clone()).unwrap();
            std::task::Poll::Pending
        }));
        reactor.run(reactor.sleep(Duration::from_millis(1)));
        thread::spawn(move || receiver.recv().unwrap().wake()).join().unwrap();
        // It asserts that nothing is stuck.
        drop((tasks, reactor));
    }
}
