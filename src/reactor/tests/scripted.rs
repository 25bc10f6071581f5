//! Accepting, connecting, closing, and full queues, on a scripted kernel.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, IntoRawFd, OwnedFd, RawFd};
use std::path::Path;
use std::pin::{Pin, pin};
use std::task::Poll;

use super::stage::{LOUD, NEW, Probe, Stage, descriptor, names, only_key};
use crate::driver::scripted::Seen;
use crate::driver::{Completion, OpKey};
use crate::{Acceptor, Socket, Span, channel};

/// A descriptor that no other test can be given meanwhile: its own, until somebody closes it.
struct Watched {
    fd: RawFd,
    file: std::path::PathBuf,
    directory: std::path::PathBuf,
}

impl Watched {
    /// Opens a file with a name of its own, so that a number used again is told apart.
    fn open() -> (Self, OwnedFd) {
        use std::sync::atomic::{AtomicU32, Ordering};
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("nuncio-reactor-{}-{number}", std::process::id());
        let directory = std::env::temp_dir();
        let file = directory.join(name);
        let fd: OwnedFd = std::fs::File::create(&file).unwrap().into();
        (Self { fd: fd.as_raw_fd(), file, directory }, fd)
    }

    fn is_open(&self) -> bool {
        let link = Path::new("/proc/self/fd").join(self.fd.to_string());
        std::fs::read_link(link).is_ok_and(|target| target == self.file)
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        debug_assert!(self.file.starts_with(&self.directory));
        std::fs::remove_file(&self.file).ok();
    }
}

fn accepted(key: OpKey, more: bool) -> (Watched, Completion) {
    let (watched, fd) = Watched::open();
    let result = fd.into_raw_fd();
    (watched, Completion { key, result, buffer: None, more })
}

fn poll<F: Future>(future: &mut Pin<Box<F>>, probe: &Probe) -> Poll<F::Output> {
    future.as_mut().poll(&mut probe.context())
}

fn poll_accept(acceptor: &Acceptor, probe: &Probe) -> Poll<io::Result<Socket>> {
    pin!(acceptor.accept()).poll(&mut probe.context())
}

#[test]
fn one_accept_brings_many_connections_and_is_armed_again_when_it_ends() {
    let stage = Stage::new(LOUD);
    let acceptor = stage.reactor.acceptor(descriptor());
    let probe = Probe::default();
    assert!(poll_accept(&acceptor, &probe).is_pending());
    let key = only_key(&stage.turn());
    let (first, one) = accepted(key, true);
    let (second, two) = accepted(key, true);
    stage.script.completion(one);
    stage.script.completion(two);
    stage.script.complete(key, -libc::ECONNABORTED);
    stage.step();
    let Poll::Ready(Ok(socket)) = poll_accept(&acceptor, &probe) else { panic!() };
    assert_eq!(socket.fd().raw(), first.fd);
    assert!(acceptor.accept_queued_fd().unwrap().is_some());
    assert!(poll_accept(&acceptor, &probe).is_pending(), "an aborted connection is no error");
    stage.step();
    assert!(stage.script.in_flight().iter().any(|op| op.op == Seen::Accept), "armed again");
    assert!(first.is_open());
    drop((acceptor, socket));
    stage.end();
    assert!(!first.is_open() && !second.is_open());
}

#[test]
fn running_out_of_descriptors_is_told_once_after_what_was_accepted() {
    for errno in [libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::ENOMEM] {
        let stage = Stage::new(LOUD);
        let acceptor = stage.reactor.acceptor(descriptor());
        let probe = Probe::default();
        assert!(poll_accept(&acceptor, &probe).is_pending());
        let key = only_key(&stage.turn());
        let (_watched, completion) = accepted(key, true);
        stage.script.completion(completion);
        stage.script.complete(key, -errno);
        stage.step();
        assert!(matches!(poll_accept(&acceptor, &probe), Poll::Ready(Ok(_))));
        let Poll::Ready(Err(error)) = poll_accept(&acceptor, &probe) else { panic!() };
        assert_eq!(error.raw_os_error(), Some(errno));
        stage.step();
        stage.script.seen();
        assert!(poll_accept(&acceptor, &probe).is_pending());
        assert_eq!(names(&stage.turn()), ["accept"]);
        drop(acceptor);
        stage.end();
    }
}

#[test]
fn connections_of_a_dropped_acceptor_are_closed_wherever_they_were() {
    let stage = Stage::new(LOUD);
    let acceptor = stage.reactor.acceptor(descriptor());
    let probe = Probe::default();
    assert!(poll_accept(&acceptor, &probe).is_pending());
    let key = only_key(&stage.turn());
    let (queued, completion) = accepted(key, true);
    stage.script.completion(completion);
    stage.step();
    assert!(queued.is_open());
    drop(acceptor);
    assert!(!queued.is_open(), "accepted, never taken");
    let started = stage.turn();
    assert_eq!(names(&started), ["cancel"], "the listener closes after its accept");
    let (late, completion) = accepted(key, true);
    stage.script.completion(completion);
    stage.step();
    assert!(!late.is_open(), "accepted after the acceptor was gone");
    let (last, completion) = accepted(key, false);
    stage.script.completion(completion);
    stage.script.complete(started[0].key, -libc::ENOENT);
    stage.step();
    assert!(!last.is_open());
    assert_eq!(names(&stage.turn()), ["close"]);
    stage.end();
}

#[test]
fn a_stopped_acceptor_keeps_what_it_has_and_accepts_no_more_until_asked() {
    let stage = Stage::new(LOUD);
    let acceptor = stage.reactor.acceptor(descriptor());
    let probe = Probe::default();
    assert!(pin!(acceptor.stop()).poll(&mut probe.context()).is_ready(), "nothing to stop");
    assert!(poll_accept(&acceptor, &probe).is_pending());
    let key = only_key(&stage.turn());
    let mut stop = Box::pin(acceptor.stop());
    assert!(poll(&mut stop, &probe).is_pending());
    let cancel = only_key(&stage.turn());
    // One more connection came before the cancel.
    let (watched, completion) = accepted(key, true);
    stage.script.completion(completion);
    stage.step();
    assert!(poll(&mut stop, &probe).is_pending(), "the accept has not ended");
    stage.script.complete(key, -libc::ECANCELED);
    stage.script.complete(cancel, 0);
    stage.step();
    assert!(poll(&mut stop, &probe).is_ready());
    assert_eq!(names(&stage.turn()), [""; 0]);
    assert!(watched.is_open());
    assert!(acceptor.accept_queued_fd().unwrap().is_some());
    drop(stop);
    drop(acceptor);
    stage.end();
}

#[test]
fn a_connect_gives_the_socket_or_the_error_and_closes_what_failed() {
    let address: SocketAddr = "127.0.0.1:9".parse().unwrap();
    let to = address.into();
    for result in [0, -libc::ECONNREFUSED] {
        let stage = Stage::new(NEW);
        let probe = Probe::default();
        let mut connect = Box::pin(stage.reactor.connect(&to));
        assert!(poll(&mut connect, &probe).is_pending());
        let started = stage.turn();
        assert_eq!(started[0].op, Seen::Connect(address));
        stage.script.complete(started[0].key, result);
        stage.step();
        assert_eq!(probe.wakes(), 1);
        match poll(&mut connect, &probe) {
            Poll::Ready(Ok(_socket)) => assert_eq!(result, 0),
            Poll::Ready(Err(error)) => assert_eq!(error.raw_os_error(), Some(-result)),
            Poll::Pending => panic!(),
        }
        drop(connect);
        assert_eq!(names(&stage.turn()), ["close"]);
        stage.end();
    }
}

#[test]
fn a_dropped_connect_is_cancelled_and_closed_only_after_its_end_even_if_it_succeeded() {
    for result in [-libc::ECANCELED, 0] {
        let stage = Stage::new(NEW);
        let probe = Probe::default();
        let to = "127.0.0.1:9".parse::<SocketAddr>().unwrap().into();
        let mut connect = Box::pin(stage.reactor.connect(&to));
        assert!(poll(&mut connect, &probe).is_pending());
        let key = only_key(&stage.turn());
        drop(connect);
        let started = stage.turn();
        assert!(matches!(started.as_slice(), [op] if op.op == Seen::Cancel(key)), "{started:?}");
        assert_eq!(names(&stage.turn()), [""; 0], "closed under a connect in flight");
        let found = if result == 0 { -libc::EALREADY } else { 0 };
        stage.script.complete(started[0].key, found);
        stage.script.complete(key, result);
        stage.step();
        assert_eq!(names(&stage.turn()), ["close"]);
        assert_eq!((stage.reactor.stats().descriptors, probe.wakes()), (0, 0));
        stage.end();
    }
}

#[test]
fn a_descriptor_closes_after_the_last_operation_on_it() {
    let stage = Stage::new(LOUD);
    let (watched, fd) = Watched::open();
    let socket = stage.reactor.socket(fd);
    let meter = std::rc::Rc::new(super::stage::NoMeter);
    let (receiver, outbox) = stage.reactor.split(&socket, 100, meter);
    let probe = Probe::default();
    assert!(receiver.poll_recv(&probe.context(), 10).is_pending());
    let mut readable = Box::pin(stage.reactor.readable(&socket));
    assert!(poll(&mut readable, &probe).is_pending());
    outbox.finish();
    stage.step();
    let in_flight = stage.script.in_flight();
    assert_eq!(names(&in_flight), ["recv", "shutdown"]);
    drop(readable);
    drop((receiver, outbox, socket));
    // The receive and the poll are cancelled, the shutdown is not.
    let cancels = stage.turn();
    assert_eq!(names(&cancels)[2..], ["cancel", "cancel"]);
    for op in &cancels[2..] {
        let Seen::Cancel(target) = op.op else { panic!() };
        stage.script.complete(target, -libc::ECANCELED);
        stage.script.complete(op.key, 0);
    }
    stage.step();
    assert_eq!(names(&stage.turn()), [""; 0]);
    assert!(watched.is_open(), "the shutdown is still in flight");
    stage.script.complete(in_flight[1].key, 0);
    stage.step();
    assert_eq!(names(&stage.turn()), ["close"]);
    assert!(!watched.is_open());
    stage.end();
}

#[test]
fn a_full_submission_queue_loses_nothing_and_a_full_completion_queue_delays_only() {
    let stage = Stage::new(NEW);
    stage.script.limit_completions(3);
    let lines: Vec<_> = (0..100).map(|_| stage.line(1000)).collect();
    for line in &lines {
        line.outbox.push(Span::from(b"bytes".to_vec()));
        line.outbox.finish();
    }
    for _ in 0..200 {
        stage.step();
        for started in stage.script.seen() {
            if started.op == Seen::Shutdown {
                stage.script.complete(started.key, 0);
            }
        }
    }
    let probe = Probe::default();
    for line in &lines {
        assert_eq!(line.outbox.bytes_sent(), 5);
        assert!(matches!(line.outbox.poll_drained(&probe.context()), Poll::Ready(Ok(()))));
    }
    let stats = stage.reactor.stats();
    assert!(stats.sq_full > 0 && stats.cq_overflow > 0, "{stats:?}");
    stage.script.limit_completions(usize::MAX);
    drop(lines);
    for _ in 0..20 {
        stage.step();
    }
    stage.end();
}

#[test]
fn an_inbox_waits_for_its_eventfd_and_a_dropped_wait_loses_no_message() {
    let stage = Stage::new(LOUD);
    let (sender, parts) = channel::<u32>(4).unwrap();
    let mut inbox = stage.reactor.open_inbox(parts);
    let probe = Probe::default();
    let before = stage.reactor.stats().ops_in_flight;
    {
        let mut recv = Box::pin(inbox.recv());
        assert!(poll(&mut recv, &probe).is_pending());
        stage.step();
        sender.send(7).unwrap();
    }
    let cancel = only_key(&stage.turn());
    stage.script.complete(cancel, -libc::ENOENT);
    assert_eq!(stage.reactor.stats().ops_in_flight, before + 2);
    let mut recv = Box::pin(inbox.recv());
    assert!(poll(&mut recv, &probe).is_pending());
    stage.step();
    let polls = stage.script.polls();
    stage.script.complete(polls[polls.len() - 1], 1);
    stage.step();
    assert!(matches!(poll(&mut recv, &probe), Poll::Ready(Ok(7))));
    drop(recv);
    drop(inbox);
    // The poll of the dropped wait was found finished by its cancel.
    stage.script.complete(polls[polls.len() - 2], 1);
    stage.end();
}
