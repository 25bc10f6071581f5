//! The receiver on a scripted kernel: credits, ends, cancel races, shortage of buffers, absurdity.

use std::task::Poll;

use super::stage::{BUFFER_SIZE, BUFFERS, LOUD, Line, NEW, Probe, Stage, names, only_key, pattern};
use crate::buf::FilledBuffer;
use crate::driver::scripted::{Answer, Seen};
use crate::driver::{Completion, OpKey, Wait};
use crate::{Features, RECV_CREDIT_MAX, Received, Span};

/// What a receive that is ready brought.
#[derive(Debug, PartialEq, Eq)]
enum Got {
    Data(Vec<u8>),
    End,
    Failed(i32),
    Pending,
}

fn poll(line: &Line, probe: &Probe, credit: usize) -> Got {
    match line.receiver.poll_recv(&probe.context(), credit) {
        Poll::Pending => Got::Pending,
        Poll::Ready(Ok(Received::Data(span))) => Got::Data(span.to_vec()),
        Poll::Ready(Ok(Received::End)) => Got::End,
        Poll::Ready(Err(error)) => Got::Failed(error.raw_os_error().unwrap()),
    }
}

/// Starts a receive and returns its key.
fn arm(stage: &Stage, line: &Line, probe: &Probe, credit: usize) -> OpKey {
    assert_eq!(poll(line, probe, credit), Got::Pending);
    only_key(&stage.turn())
}

fn credit_of(seen: &Seen) -> u32 {
    if let Seen::Recv { credit } = seen { *credit } else { panic!("{seen:?}") }
}

/// Without incremental buffers each receive, however short, takes a whole one.
const WHOLE_BUFFERS: Features = Features { incremental_buffers: false, ..LOUD };

#[test]
fn one_receive_brings_pieces_up_to_its_credit_and_the_next_is_armed_with_the_new_room() {
    let stage = Stage::new(NEW);
    let line = stage.line(1000);
    let probe = Probe::default();
    let key = arm(&stage, &line, &probe, 50);
    assert_eq!(stage.script.deliver(key, &pattern(0, 30)), (30, true));
    stage.step();
    assert_eq!(poll(&line, &probe, 20), Got::Data(pattern(0, 30)));
    assert_eq!(poll(&line, &probe, 20), Got::Pending);
    assert_eq!(names(&stage.turn()), [""; 0], "one receive at a time");
    assert_eq!(stage.script.deliver(key, &pattern(30, 30)), (20, false));
    stage.step();
    assert_eq!(poll(&line, &probe, 7), Got::Data(pattern(30, 20)));
    assert_eq!((line.receiver.bytes_received(), probe.wakes()), (50, 2));
    assert_eq!(poll(&line, &probe, 7), Got::Pending);
    assert_eq!(credit_of(&stage.turn()[0].op), 7);
    drop(line);
    stage.end();
}

// Rows: A14, A15
#[test]
fn a_credit_is_at_least_a_byte_and_at_most_a_turns_share() {
    for (asked, armed) in [(0, 1), (1, 1), (1 << 40, RECV_CREDIT_MAX)] {
        let stage = Stage::new(NEW);
        let line = stage.line(1000);
        assert_eq!(poll(&line, &Probe::default(), asked), Got::Pending);
        assert_eq!(credit_of(&stage.turn()[0].op), armed);
        drop(line);
        stage.end();
    }
}

// Rows: A16
#[test]
fn the_end_and_errors_come_after_the_data_and_stay() {
    for (result, last) in [(0, Got::End), (-libc::ECONNRESET, Got::Failed(libc::ECONNRESET))] {
        let stage = Stage::new(NEW);
        let line = stage.line(1000);
        let probe = Probe::default();
        let key = arm(&stage, &line, &probe, 100);
        stage.script.deliver(key, b"last");
        stage.script.complete(key, result);
        stage.step();
        assert_eq!(poll(&line, &probe, 100), Got::Data(b"last".to_vec()));
        assert_eq!(poll(&line, &probe, 100), last);
        assert_eq!(poll(&line, &probe, 100), last);
        assert_eq!(names(&stage.turn()), [""; 0], "nothing is received after the end");
        drop(line);
        stage.end();
    }
}

#[test]
fn a_dropped_future_loses_nothing_and_what_nobody_takes_is_copied_out() {
    let stage = Stage::new(NEW);
    let line = stage.line(1000);
    let probe = Probe::default();
    let key = {
        let mut future = Box::pin(line.receiver.recv(100));
        assert!(future.as_mut().poll(&mut probe.context()).is_pending());
        only_key(&stage.turn())
    };
    stage.script.deliver(key, b"kept");
    stage.step();
    assert_eq!(stage.leases(), 1);
    stage.step();
    assert_eq!(stage.leases(), 0, "received bytes stay in ring memory for one turn only");
    assert_eq!(stage.reactor.stats().copied_out_bytes, 4);
    assert_eq!(poll(&line, &probe, 100), Got::Data(b"kept".to_vec()));
    assert_eq!(names(&stage.turn()), [""; 0], "the receive of the dropped future goes on");
    drop(line);
    stage.end();
}

#[test]
fn a_receive_that_was_interrupted_is_armed_again() {
    for errno in [libc::EINTR, libc::EAGAIN, libc::ECANCELED] {
        let stage = Stage::new(NEW);
        let line = stage.line(1000);
        let probe = Probe::default();
        let key = arm(&stage, &line, &probe, 100);
        stage.script.complete(key, -errno);
        stage.step();
        assert_eq!(probe.wakes(), 1);
        arm(&stage, &line, &probe, 100);
        drop(line);
        stage.end();
    }
}

#[test]
fn a_dropped_receiver_gives_back_what_arrives_before_its_cancel_and_closes_last() {
    #[derive(Clone, Copy, PartialEq)]
    enum Race {
        Cancelled,
        DataThenCancelled,
        FinishedFirst,
    }
    for features in [NEW, WHOLE_BUFFERS] {
        for race in [Race::Cancelled, Race::DataThenCancelled, Race::FinishedFirst] {
            let stage = Stage::new(features);
            let line = stage.line(1000);
            let recv = arm(&stage, &line, &Probe::default(), BUFFER_SIZE as usize);
            drop(line);
            let started = stage.turn();
            assert_eq!(names(&started), ["cancel"]);
            let cancel = started[0].key;
            let mut lost = 0;
            match race {
                Race::Cancelled => {
                    stage.script.complete(cancel, 0);
                    stage.script.complete(recv, -libc::ECANCELED);
                }
                Race::DataThenCancelled => {
                    lost = 10;
                    stage.script.receive(recv, &pattern(0, 10), true);
                    stage.script.complete(recv, -libc::ECANCELED);
                    stage.script.complete(cancel, 0);
                }
                Race::FinishedFirst => {
                    lost = u64::from(BUFFER_SIZE);
                    stage.script.receive(recv, &pattern(0, BUFFER_SIZE as usize), false);
                    stage.script.complete(cancel, -libc::ENOENT);
                }
            }
            stage.step();
            assert_eq!(stage.reactor.stats().lost_bytes, lost);
            assert_eq!(stage.leases(), 0);
            assert_eq!(names(&stage.turn()), ["close"]);
            stage.end();
        }
    }
}

#[test]
fn a_completion_that_cannot_be_ends_its_connection_and_nothing_else() {
    let filled = |id, more| Some(FilledBuffer { id, more });
    let absurd = [
        // A buffer that does not exist, more than one holds, one that the kernel does not have,
        // bytes without a buffer.
        (10, filled(BUFFERS, false)),
        (BUFFER_SIZE.cast_signed() + 1, filled(1, false)),
        (i32::MAX, filled(1, true)),
        (0, filled(0, false)),
        (10, None),
    ];
    for (result, buffer) in absurd {
        let stage = Stage::new(LOUD);
        let (line, other) = (stage.line(1000), stage.line(1000));
        let probe = Probe::default();
        // Buffer 0 is spent, so it is the reactor's as long as the span lives.
        let held = stage.receive(&other, &pattern(0, BUFFER_SIZE as usize));
        let key = arm(&stage, &line, &probe, 100);
        stage.script.completion(Completion { key, result, buffer, more: false });
        stage.step();
        assert_eq!(poll(&line, &probe, 100), Got::Failed(libc::EIO));
        assert_eq!(stage.reactor.stats().bad_completions, 1, "{result} {buffer:?}");
        assert_eq!(&*held, pattern(0, BUFFER_SIZE as usize));
        drop(held);
        let next = stage.receive(&other, b"goes on");
        drop(next);
        drop((line, other));
        stage.end();
    }
}

#[test]
fn a_late_completion_finds_no_new_tenant_and_its_buffer_comes_back() {
    let stage = Stage::new(WHOLE_BUFFERS);
    let line = stage.line(1000);
    let probe = Probe::default();
    let old = arm(&stage, &line, &probe, 10);
    stage.script.deliver(old, &pattern(0, 10));
    stage.step();
    assert_eq!(poll(&line, &probe, 10), Got::Data(pattern(0, 10)));
    let new = arm(&stage, &line, &probe, 10);
    assert_eq!((new.slot, new.generation), (old.slot, old.generation + 1));
    // The same slot under the generation before, and a key that never was.
    stage.script.receive(old, b"stale", false);
    stage.script.complete(OpKey { slot: 1 << 20, generation: 3 }, 0);
    stage.step();
    assert_eq!(poll(&line, &probe, 10), Got::Pending);
    let stats = stage.reactor.stats();
    assert_eq!((stats.late_completions, stats.lost_bytes, stats.leases), (2, 5, 0));
    stage.script.deliver(new, b"mine");
    stage.step();
    assert_eq!(poll(&line, &probe, 10), Got::Data(b"mine".to_vec()));
    drop(line);
    stage.end();
}

/// A stage whose buffers are all leased to the caller, with lines that starve for them in order.
fn starving(features: Features, lines: usize) -> (Stage, Vec<Line>, Vec<Probe>, Vec<Span>) {
    let stage = Stage::new(features);
    let lines: Vec<Line> = (0..lines).map(|_| stage.line(1000)).collect();
    let probes: Vec<Probe> = lines.iter().map(|_| Probe::default()).collect();
    let keys: Vec<OpKey> =
        lines.iter().zip(&probes).map(|(line, probe)| arm(&stage, line, probe, 100)).collect();
    let taker = stage.line(1000);
    let whole = BUFFER_SIZE as usize;
    let spans = (0..BUFFERS).map(|_| stage.receive(&taker, &pattern(0, whole))).collect();
    for key in keys {
        assert_eq!(stage.script.deliver(key, b"x"), (0, false));
    }
    drop(taker);
    stage.step();
    stage.step();
    stage.script.seen();
    (stage, lines, probes, spans)
}

#[test]
fn starved_receives_go_on_in_order_one_per_buffer_and_never_while_there_is_none() {
    for features in [LOUD, WHOLE_BUFFERS] {
        let (stage, lines, probes, mut spans) = starving(features, 3);
        assert_eq!(stage.reactor.stats().enobufs, 3);
        for _ in 0..3 {
            assert_eq!(names(&stage.turn()), [""; 0], "armed while the ring is empty");
        }
        drop(spans.pop());
        let started = stage.turn();
        assert_eq!(names(&started), ["recv"], "as many as buffers came back");
        assert_eq!(started[0].fd, Some(lines[0].fd), "first come, first served");
        assert_eq!(credit_of(&started[0].op), 100);
        assert_eq!(stage.script.deliver(started[0].key, &pattern(0, 64)).0, 64);
        stage.step();
        assert_eq!(probes[0].wakes(), 1);
        drop(spans);
        for _ in 0..3 {
            stage.step();
        }
        let order: Vec<_> = stage.script.seen().iter().map(|started| started.fd).collect();
        assert_eq!(order, [Some(lines[1].fd), Some(lines[2].fd)]);
        drop(lines);
        stage.end();
    }
}

#[test]
fn a_shortage_keeps_the_credit_less_what_has_arrived() {
    let stage = Stage::new(LOUD);
    let (line, taker) = (stage.line(1000), stage.line(1000));
    let probe = Probe::default();
    let key = arm(&stage, &line, &probe, 70);
    let whole = BUFFER_SIZE as usize;
    let mut spans: Vec<Span> =
        (1..BUFFERS).map(|_| stage.receive(&taker, &pattern(0, whole))).collect();
    assert_eq!(stage.script.deliver(key, &pattern(0, 70)), (64, true));
    stage.step();
    let Poll::Ready(Ok(Received::Data(span))) = line.receiver.poll_recv(&probe.context(), 6) else {
        panic!()
    };
    assert_eq!(stage.script.deliver(key, &pattern(64, 6)), (0, false));
    stage.turn();
    assert_eq!(poll(&line, &probe, 6), Got::Pending);
    drop(span);
    let started = stage.turn();
    assert_eq!(names(&started), ["recv"]);
    assert_eq!(credit_of(&started[0].op), 6, "more than there was room for");
    spans.clear();
    drop((line, taker));
    stage.end();
}

#[test]
fn the_first_in_line_keeps_its_place_when_its_buffer_is_snatched_away() {
    let (stage, lines, _probes, mut spans) = starving(LOUD, 3);
    drop(spans.pop());
    let started = stage.turn();
    assert_eq!(started[0].fd, Some(lines[0].fd));
    // A receive armed long ago takes the buffer; the first finds it gone.
    let other = stage.line(1000);
    let snatcher = Probe::default();
    assert_eq!(poll(&other, &snatcher, 10), Got::Pending);
    assert_eq!(names(&stage.turn()), ["recv"], "the next in line, for the same free buffer");
    stage.script.complete(started[0].key, -libc::ENOBUFS);
    stage.step();
    stage.step();
    let order: Vec<_> = stage.script.seen().iter().map(|started| started.fd).collect();
    assert_eq!(order, [Some(lines[2].fd), Some(lines[0].fd)], "the newcomer overtook it");
    drop((lines, other, spans));
    stage.end();
}

#[test]
fn who_comes_during_a_shortage_queues_and_who_leaves_gives_its_place_and_descriptor_up() {
    let (stage, mut lines, _probes, mut spans) = starving(LOUD, 2);
    let late = stage.line(1000);
    let probe = Probe::default();
    assert_eq!(poll(&late, &probe, 10), Got::Pending);
    assert_eq!(names(&stage.turn()), [""; 0], "a newcomer must not overtake");
    lines.clear();
    let started = stage.turn();
    assert_eq!(names(&started), ["close", "close"]);
    drop(spans.pop());
    let started = stage.turn();
    assert_eq!(names(&started), ["recv"], "the buffer was spent on somebody who had left");
    assert_eq!(started[0].fd, Some(late.fd));
    drop((late, spans));
    stage.end();
}

#[test]
fn nobody_sleeps_while_a_silent_send_holds_the_buffers_that_others_starve_for() {
    let (stage, lines, _probes, spans) = starving(NEW, 1);
    let sink = stage.line(1000);
    for span in spans {
        sink.outbox.push(span);
    }
    stage.step();
    // Nothing will complete: the wait would never end.
    assert_eq!(stage.script.last_wait(), Wait::No);
    assert_eq!(stage.leases(), 0);
    stage.script.seen();
    assert_eq!(names(&stage.turn()), ["recv"]);
    stage.step();
    assert_eq!(stage.script.last_wait(), Wait::Forever, "and with nothing to do, it sleeps");
    drop((lines, sink));
    stage.end();
}

#[test]
fn nobody_sleeps_while_what_was_not_taken_holds_the_buffers_that_others_starve_for() {
    let stage = Stage::with_buffers(LOUD, 1, BUFFER_SIZE);
    let (paused, starved) = (stage.line(1000), stage.line(1000));
    let probe = Probe::default();
    let key = arm(&stage, &paused, &Probe::default(), BUFFER_SIZE as usize);
    let late = arm(&stage, &starved, &probe, 10);
    stage.script.deliver(key, &pattern(0, BUFFER_SIZE as usize));
    assert_eq!(stage.script.deliver(late, b"late"), (0, false));
    stage.step();
    assert_eq!((stage.leases(), stage.reactor.stats().enobufs), (1, 1));
    // Nobody takes the first bytes, so nothing will complete.
    stage.step();
    assert_eq!((stage.script.last_wait(), stage.leases()), (Wait::No, 0));
    assert_eq!(names(&stage.turn()), ["recv"]);
    stage.step();
    assert_eq!(stage.script.last_wait(), Wait::Forever, "and with nothing to do, it sleeps");
    drop((paused, starved));
    stage.end();
}

#[test]
fn a_shortage_on_the_way_to_rest_is_the_end_of_the_way() {
    let stage = Stage::new(LOUD);
    let line = stage.line(1000);
    let probe = Probe::default();
    let key = arm(&stage, &line, &probe, 50);
    {
        let mut rest = Box::pin(line.receiver.rest());
        assert!(rest.as_mut().poll(&mut probe.context()).is_pending());
        assert_eq!(names(&stage.turn()), ["cancel"]);
        // It found bytes and no buffer before it was cancelled.
        stage.script.complete(key, -libc::ENOBUFS);
        stage.step();
        assert_eq!(probe.wakes(), 1);
        assert!(rest.as_mut().poll(&mut probe.context()).is_ready());
    }
    assert_eq!(names(&stage.turn()), [""; 0], "a receive was begun for who rests");
    arm(&stage, &line, &probe, 50);
    drop(line);
    stage.end();
}

#[test]
fn nobody_sleeps_before_a_silent_send_is_known_to_have_gone_out() {
    let stage = Stage::new(NEW);
    let line = stage.line(1000);
    line.outbox.push(Span::from(b"silent".to_vec()));
    stage.script.start_at_most(0);
    stage.step();
    stage.step();
    assert_eq!(stage.script.last_wait(), Wait::No);
    assert_eq!(line.outbox.bytes_sent(), 6);
    stage.step();
    assert_eq!(stage.script.last_wait(), Wait::Forever);
    stage.script.answer_next(Answer::ByHand);
    drop(line);
    stage.end();
}

#[test]
fn what_is_given_back_comes_first_again_and_holds_no_ring_memory_after_its_turn() {
    let stage = Stage::new(NEW);
    let line = stage.line(1000);
    let mut span = stage.receive(&line, b"first second");
    let taken = span.split_to(6);
    assert_eq!(&*taken, b"first ");
    line.receiver.unread(span);
    drop(taken);
    assert_eq!(stage.leases(), 1);
    stage.step();
    assert_eq!(stage.leases(), 0, "copied out before the next reap");
    let probe = Probe::default();
    assert_eq!(poll(&line, &probe, 10), Got::Data(b"second".to_vec()));
    line.receiver.unread(Span::from(Vec::new()));
    assert_eq!(poll(&line, &probe, 10), Got::Pending, "nothing given back is nothing to read");
    drop(line);
    stage.end();
}

#[test]
fn the_end_is_seen_behind_bytes_that_nobody_has_taken() {
    let stage = Stage::new(NEW);
    let line = stage.line(1000);
    let probe = Probe::default();
    assert!(line.receiver.poll_end(&probe.context()).is_pending());
    let key = only_key(&stage.turn());
    stage.script.deliver(key, b"early");
    stage.step();
    assert_eq!(probe.wakes(), 1);
    assert!(line.receiver.poll_end(&probe.context()).is_pending());
    assert_eq!(names(&stage.turn()), [""; 0], "the receive in flight sees the end");
    stage.script.complete(key, 0);
    stage.step();
    assert!(matches!(line.receiver.poll_end(&probe.context()), Poll::Ready(Ok(()))));
    assert_eq!(poll(&line, &probe, 1), Got::Data(b"early".to_vec()));
    assert_eq!(poll(&line, &probe, 1), Got::End);
    drop(line);
    stage.end();
}

#[test]
fn an_owner_that_watches_is_woken_instead_of_who_read_last() {
    let stage = Stage::new(NEW);
    let line = stage.line(1000);
    let (reader, owner) = (Probe::default(), Probe::default());
    let key = arm(&stage, &line, &reader, 50);
    line.receiver.watch(owner.context().waker());
    stage.script.deliver(key, b"x");
    stage.step();
    assert_eq!((reader.wakes(), owner.wakes()), (0, 1));
    line.receiver.watch(owner.context().waker());
    assert_eq!(owner.wakes(), 2, "at once, for there is something already");
    drop(line);
    stage.end();
}
