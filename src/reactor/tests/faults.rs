//! A panic at each await point of a relay on the running kernel: all goes back to its start.

use std::cell::Cell;
use std::future::poll_fn;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::rc::Rc;
use std::task::Poll;
use std::thread;
use std::time::Duration;

use super::kernel::copy;
use crate::{Features, LoopStats, OutboxMeter, Reactor, Settings, probe};

/// Counts what is queued now, as a gauge of the floors above does.
#[derive(Default)]
struct Gauge(Cell<usize>);

impl OutboxMeter for Gauge {
    fn queued(&self, bytes: usize) {
        self.0.set(self.0.get() + bytes);
    }

    fn sent(&self, bytes: usize) {
        self.0.set(self.0.get() - bytes);
    }

    fn dropped(&self, bytes: usize) {
        self.0.set(self.0.get() - bytes);
    }
}

/// A relay of one connection to an upstream, with an idle timer; the client talks to it once.
fn relay_once(reactor: &Reactor, gauge: &Rc<Gauge>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    let upstream = TcpListener::bind("127.0.0.1:0").unwrap();
    let upstream_address = upstream.local_addr().unwrap();
    // Both peers end by themselves, whatever becomes of the relay between them.
    let client = thread::spawn(move || {
        let Ok(mut stream) = TcpStream::connect(address) else { return };
        stream.write_all(&[1; 20_000]).ok();
        stream.shutdown(Shutdown::Write).ok();
        stream.read_to_end(&mut Vec::new()).ok();
    });
    let server = thread::spawn(move || {
        let (mut stream, _) = upstream.accept().unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).ok();
        stream.write_all(&bytes).ok();
    });
    let panics = reactor.stats().task_panics;
    let tasks = Rc::new(reactor.task_set());
    let (own, meter, inner) = (reactor.clone(), Rc::clone(gauge), Rc::clone(&tasks));
    let began = Rc::new(Cell::new(false));
    let pumping = Rc::clone(&began);
    tasks.spawn(async move {
        let acceptor = own.acceptor(listener.into());
        let near = acceptor.accept().await.unwrap();
        let far = own.connect(&upstream_address.into()).await.unwrap();
        let (near_in, near_out) = own.split(&near, 5_000, Rc::clone(&meter) as _);
        let (far_in, far_out) = own.split(&far, 5_000, meter);
        inner.spawn(copy(near_in, far_out));
        inner.spawn(copy(far_in, near_out));
        pumping.set(true);
        // An idle timer that is never due.
        own.sleep(Duration::from_secs(3600)).await;
    });
    run_until(reactor, |stats| stats.task_panics > panics || (began.get() && tasks.len() == 1));
    reactor.inject_panic(None);
    tasks.abort_all();
    run_until(reactor, |stats| stats.ops_in_flight == 1);
    // A relay that broke before it connected leaves a server that waits.
    drop(TcpStream::connect(upstream_address));
    client.join().unwrap();
    server.join().unwrap();
}

/// Runs turns until it is so. It passes no await point itself, so that no panic hits the test.
fn run_until(reactor: &Reactor, is_so: impl Fn(&LoopStats) -> bool) {
    let patience = reactor.now() + Duration::from_secs(20);
    reactor.run(poll_fn(|context| {
        let stats = reactor.stats();
        if is_so(&stats) {
            return Poll::Ready(());
        }
        assert!(reactor.now() < patience, "{stats:?}");
        context.waker().wake_by_ref();
        Poll::Pending
    }));
}

fn held(stats: &LoopStats) -> [usize; 5] {
    [stats.tasks, stats.ops_in_flight, stats.leases, stats.timers, stats.descriptors]
}

#[test]
fn a_panic_at_any_await_point_leaves_nothing_behind() {
    for features in [probe().unwrap(), Features::minimal()] {
        let reactor = Reactor::new(Settings::new(features)).unwrap();
        let gauge = Rc::new(Gauge::default());
        let available = reactor.core().pool().available();
        let passed = (0..300).find(|at| {
            let before = reactor.stats().task_panics;
            reactor.inject_panic(Some(*at));
            relay_once(&reactor, &gauge);
            let stats = reactor.stats();
            assert_eq!(held(&stats), [0, 1, 0, 0, 0], "panic at await point {at}: {stats:?}");
            assert_eq!(gauge.0.get(), 0, "panic at await point {at}");
            assert_eq!(reactor.core().pool().available(), available);
            stats.task_panics == before
        });
        // The first number at which nothing panicked is how many points the relay passes.
        assert!(passed.is_some_and(|points| points > 15), "{passed:?} await points");
    }
}
