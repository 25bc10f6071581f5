//! The outbox on a scripted kernel: short sends, congestion, watermarks, silence, the end.

use std::cell::Cell;
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::task::Poll;

use super::stage::{
    BUFFER_SIZE, LOUD, Line, NEW, Probe, Stage, names, only_key, only_send, pattern,
};
use crate::driver::SendMode;
use crate::driver::scripted::{Answer, Seen};
use crate::{CONGESTED_BYTES_MAX, Features, Received, Span};

fn push(line: &Line, bytes: &[u8]) {
    line.outbox.push(Span::from(bytes.to_vec()));
}

fn errno<T: std::fmt::Debug>(poll: Poll<io::Result<T>>) -> i32 {
    match poll {
        Poll::Ready(Err(error)) => error.raw_os_error().unwrap(),
        other => panic!("{other:?}"),
    }
}

/// Completes parked sends of up to `piece` bytes until nothing is sent any more.
fn drain_in_pieces(stage: &Stage, piece: usize) -> Vec<u8> {
    let mut sent = Vec::new();
    loop {
        let in_flight = stage.script.in_flight();
        let Some(send) = in_flight.first() else { return sent };
        sent.extend(stage.script.take(send.key, piece));
        stage.step();
        stage.step();
    }
}

#[test]
fn a_short_send_goes_on_at_the_very_byte_wherever_the_cut_falls() {
    // Three spans of 10, 1 and 20 bytes, cut at every place.
    let bytes = pattern(0, 31);
    for cut in 1..31 {
        for piece in [1, 7, 64] {
            let stage = Stage::new(LOUD);
            let line = stage.line(1000);
            let mut span = stage.receive(&line, &bytes);
            line.outbox.push(span.split_to(10));
            line.outbox.push(span.split_to(1));
            line.outbox.push(span);
            stage.script.answer_next(Answer::Takes(cut));
            let (_, started, spans, mode) = only_send(&stage.turn());
            assert_eq!((started, spans, mode), (bytes.clone(), 3, SendMode::Immediate));
            assert_eq!(line.outbox.bytes_buffered(), 31 - cut);
            let (key, rest, _, mode) = only_send(&stage.turn());
            assert_eq!((rest.as_slice(), mode), (&bytes[cut..], SendMode::Parked));
            assert_eq!(stage.script.in_flight()[0].key, key);
            assert_eq!(drain_in_pieces(&stage, piece), &bytes[cut..], "cut {cut}");
            assert_eq!((line.outbox.bytes_buffered(), line.outbox.bytes_sent()), (0, 31));
            drop(line);
            stage.end();
        }
    }
}

#[test]
fn a_full_socket_costs_copies_and_gives_ring_memory_back_before_the_next_reap() {
    let stage = Stage::new(LOUD);
    let line = stage.line(1000);
    let first = stage.receive(&line, &pattern(0, 40));
    line.outbox.push(first);
    stage.script.answer_next(Answer::Fails(libc::EAGAIN));
    assert_eq!(only_send(&stage.turn()).3, SendMode::Immediate);
    assert_eq!(stage.leases(), 0, "the outbox kept ring memory for a full socket");
    assert_eq!(stage.reactor.stats().copied_out_bytes, 40);
    let (parked, bytes, ..) = only_send(&stage.turn());
    assert_eq!(bytes, pattern(0, 40));

    // What comes meanwhile is copied at once and not put into the chunk the kernel reads.
    let second = stage.receive(&line, &pattern(40, 24));
    line.outbox.push(second);
    assert_eq!(stage.leases(), 0);
    assert_eq!(names(&stage.turn()), [""; 0], "one send at a time");
    assert_eq!(stage.script.take(parked, 3), pattern(0, 3));
    stage.step();
    let (parked, bytes, ..) = only_send(&stage.turn());
    assert_eq!(bytes, pattern(3, 61));
    assert_eq!(stage.script.take(parked, 61), pattern(3, 61));
    stage.step();

    // Drained: the next span leaves from where it landed again.
    let third = stage.receive(&line, b"again");
    line.outbox.push(third);
    let (_, bytes, _, mode) = only_send(&stage.turn());
    assert_eq!((bytes.as_slice(), mode), (&b"again"[..], SendMode::Immediate));
    assert_eq!(stage.reactor.stats().copied_out_bytes, 64);
    drop(line);
    stage.end();
}

// Rows: A24
#[test]
fn what_is_pushed_during_a_parked_send_is_gathered_into_one_chunk_behind_it() {
    let stage = Stage::new(LOUD);
    let line = stage.line(1000);
    push(&line, &pattern(0, 1));
    stage.script.answer_next(Answer::Fails(libc::EAGAIN));
    stage.turn();
    let (parked, ..) = only_send(&stage.turn());
    for byte in pattern(1, 50) {
        push(&line, &[byte]);
    }
    assert_eq!(names(&stage.turn()), [""; 0]);
    // `take` finds it if the memory of the send changed.
    stage.script.take(parked, 1);
    stage.step();
    let (_, bytes, spans, _) = only_send(&stage.turn());
    assert_eq!((bytes, spans), (pattern(1, 50), 1));
    drop(line);
    stage.end();
}

#[test]
fn a_peer_that_is_slow_for_good_costs_no_more_memory_than_is_queued() {
    let stage = Stage::new(LOUD);
    let line = stage.line(1 << 20);
    let mut expected = Vec::new();
    let mut sent = Vec::new();
    push(&line, &pattern(0, 50_000));
    expected.extend(pattern(0, 50_000));
    stage.script.answer_next(Answer::Fails(libc::EAGAIN));
    stage.step();
    stage.step();
    // As much comes in as goes out, and the queue is never empty.
    for round in 0..2_000 {
        let bytes = pattern(round, 1000);
        push(&line, &bytes);
        expected.extend(&bytes);
        let key = stage.script.in_flight()[0].key;
        sent.extend(stage.script.take(key, 1000));
        stage.step();
        stage.step();
        assert!(line.outbox.memory_held() <= 200_000, "{}", line.outbox.memory_held());
    }
    sent.extend(drain_in_pieces(&stage, usize::MAX));
    assert!(sent == expected);
    drop(line);
    stage.end();
}

// Rows: A15
#[test]
fn more_spans_than_one_send_takes_leave_in_order_and_hold_no_lease_over_a_turn() {
    let stage = Stage::with_buffers(LOUD, 4, 4096);
    let line = stage.line(100_000);
    let probe = Probe::default();
    assert!(line.receiver.poll_recv(&probe.context(), 40).is_pending());
    let key = only_key(&stage.turn());
    for n in 0..40 {
        stage.script.receive(key, &pattern(n, 1), n < 39);
    }
    stage.step();
    while let Poll::Ready(Ok(Received::Data(span))) = line.receiver.poll_recv(&probe.context(), 1) {
        line.outbox.push(span);
    }
    stage.script.seen();
    stage.script.answer_next(Answer::ByHand);
    let started = stage.turn();
    let send = started.iter().find(|op| names(std::slice::from_ref(*op)) == ["send"]).unwrap();
    assert_eq!(stage.script.take(send.key, 100), pattern(0, 16));
    assert!(stage.leases() <= 16, "spans that are not being sent hold ring memory");
    stage.step();
    assert_eq!(stage.leases(), 0);
    let (_, bytes, ..) = only_send(&stage.turn());
    assert_eq!(bytes, pattern(16, 24));
    drop(line);
    stage.end();
}

// Rows: A21
#[test]
fn the_outbox_pauses_at_high_resumes_at_low_and_wakes_its_waiter_once() {
    let stage = Stage::new(LOUD);
    let line = stage.line(99);
    let probe = Probe::default();
    assert!(matches!(line.outbox.poll_room(&probe.context()), Poll::Ready(Ok(100))));
    push(&line, &pattern(0, 99));
    assert!(!line.outbox.is_paused());
    assert!(matches!(line.outbox.poll_room(&probe.context()), Poll::Ready(Ok(1))));
    push(&line, &pattern(99, 1));
    assert!(line.outbox.is_paused(), "one more than the limit is the high watermark");
    assert!(line.outbox.poll_room(&probe.context()).is_pending());
    stage.script.answer_next(Answer::Takes(49));
    stage.step();
    stage.step();
    assert_eq!((line.outbox.bytes_buffered(), probe.wakes()), (51, 0));
    assert!(line.outbox.poll_room(&probe.context()).is_pending());
    let key = stage.script.in_flight()[0].key;
    stage.script.take(key, 1);
    stage.step();
    assert_eq!((line.outbox.bytes_buffered(), probe.wakes()), (50, 1));
    assert!(matches!(line.outbox.poll_room(&probe.context()), Poll::Ready(Ok(50))));
    stage.step();
    drain_in_pieces(&stage, 10);
    assert_eq!(probe.wakes(), 1);
    drop(line);
    stage.end();
}

#[test]
fn a_limit_above_what_a_stalled_peer_may_cost_is_cut_to_that() {
    let stage = Stage::new(LOUD);
    let line = stage.line(usize::MAX);
    let probe = Probe::default();
    let Poll::Ready(Ok(room)) = line.outbox.poll_room(&probe.context()) else { panic!() };
    assert_eq!(room, CONGESTED_BYTES_MAX);
    drop(line);
    let line = stage.line(0);
    let Poll::Ready(Ok(room)) = line.outbox.poll_room(&probe.context()) else { panic!() };
    assert_eq!(room, 1, "even a limit of nothing lets bytes through one at a time");
    drop(line);
    stage.end();
}

#[test]
fn a_silent_send_that_succeeds_gives_its_lease_back_without_a_completion() {
    let stage = Stage::new(NEW);
    let line = stage.line(1000);
    let span = stage.receive(&line, b"hello");
    line.outbox.push(span);
    assert_eq!(stage.leases(), 1);
    let before = stage.reactor.stats().completions;
    let (_, bytes, _, mode) = only_send(&stage.turn());
    assert_eq!((bytes.as_slice(), mode), (&b"hello"[..], SendMode::Silent));
    assert_eq!((stage.leases(), line.outbox.bytes_sent()), (0, 5));
    assert_eq!(stage.reactor.stats().completions, before);
    drop(line);
    stage.end();
}

#[test]
fn a_silent_send_that_falls_short_or_fails_says_so() {
    let stage = Stage::new(NEW);
    let line = stage.line(1000);
    let span = stage.receive(&line, b"hello");
    line.outbox.push(span);
    stage.script.answer_next(Answer::Takes(2));
    assert_eq!(only_send(&stage.turn()).3, SendMode::Silent);
    assert_eq!((stage.leases(), line.outbox.bytes_sent()), (0, 2));
    let (key, bytes, _, mode) = only_send(&stage.turn());
    assert_eq!((bytes.as_slice(), mode), (&b"llo"[..], SendMode::Parked));
    stage.script.take(key, 3);
    stage.step();
    stage.script.answer_next(Answer::Fails(libc::EPIPE));
    push(&line, b"more");
    stage.step();
    assert_eq!(errno(line.outbox.poll_drained(&Probe::default().context())), libc::EPIPE);
    drop(line);
    stage.end();
}

#[test]
fn a_silent_send_is_not_concluded_while_completions_are_held_back() {
    let stage = Stage::new(NEW);
    let (good, bad) = (stage.line(1000), stage.line(1000));
    let span = stage.receive(&good, b"good");
    good.outbox.push(span);
    push(&bad, b"bad");
    stage.script.hold_overflow(true);
    // Flushed last in, first out; whichever is answered so, its failure is held back.
    stage.script.answer_with(move |_, bytes| match bytes {
        b"bad" => Answer::Overflows(-libc::ECONNRESET),
        _ => Answer::Takes(usize::MAX),
    });
    for _ in 0..3 {
        stage.step();
        assert_eq!((good.outbox.bytes_sent(), bad.outbox.bytes_sent()), (0, 0));
        assert_eq!(stage.leases(), 1, "the memory of a send that may still fail was let go");
    }
    stage.script.hold_overflow(false);
    stage.step();
    assert_eq!((good.outbox.bytes_sent(), bad.outbox.bytes_sent()), (4, 0));
    assert_eq!(errno(bad.outbox.poll_room(&Probe::default().context())), libc::ECONNRESET);
    assert_eq!(stage.leases(), 0);
    drop((good, bad));
    stage.end();
}

#[test]
fn a_silent_send_is_not_concluded_before_the_kernel_has_started_it() {
    let stage = Stage::new(NEW);
    let line = stage.line(1000);
    let span = stage.receive(&line, b"late");
    line.outbox.push(span);
    stage.script.start_at_most(0);
    stage.step();
    assert_eq!((stage.leases(), line.outbox.bytes_sent()), (1, 0));
    assert_eq!(only_send(&stage.turn()).1, b"late");
    assert_eq!((stage.leases(), line.outbox.bytes_sent()), (0, 4));
    drop(line);
    stage.end();
}

#[test]
fn a_failed_send_drops_the_queue_and_wakes_both_waiters_once() {
    for error in [libc::EPIPE, libc::ECONNRESET, libc::ETIMEDOUT] {
        let stage = Stage::new(LOUD);
        let line = stage.line(9);
        let (room, drained) = (Probe::default(), Probe::default());
        push(&line, &pattern(0, 10));
        assert!(line.outbox.poll_room(&room.context()).is_pending());
        assert!(line.outbox.poll_drained(&drained.context()).is_pending());
        stage.script.answer_next(Answer::Fails(error));
        stage.step();
        assert_eq!((room.wakes(), drained.wakes()), (1, 1));
        assert_eq!(errno(line.outbox.poll_room(&room.context())), error);
        assert_eq!(errno(line.outbox.poll_drained(&drained.context())), error);
        assert_eq!((line.outbox.bytes_buffered(), line.outbox.is_paused()), (0, false));
        // Nothing is sent on a broken connection, and no end of stream pretends that all was said.
        push(&line, b"lost");
        line.outbox.finish();
        stage.script.seen();
        assert_eq!(names(&stage.turn()), [""; 0]);
        drop(line);
        stage.end();
    }
}

#[test]
fn a_failure_after_finish_sends_no_end_of_stream() {
    let stage = Stage::new(LOUD);
    let line = stage.line(1000);
    push(&line, b"never arrives");
    line.outbox.finish();
    stage.script.answer_next(Answer::Fails(libc::ECONNRESET));
    stage.turn();
    assert_eq!(names(&stage.turn()), [""; 0], "a truncated stream must not look complete");
    let probe = Probe::default();
    assert_eq!(errno(line.outbox.poll_drained(&probe.context())), libc::ECONNRESET);
    drop(line);
    stage.end();
}

// Rows: A22, A23
#[test]
fn the_end_is_sent_once_and_after_the_last_byte() {
    let stage = Stage::new(LOUD);
    let line = stage.line(1000);
    let probe = Probe::default();
    push(&line, b"last words");
    line.outbox.finish();
    line.outbox.finish();
    push(&line, b"too late");
    assert!(line.outbox.poll_drained(&probe.context()).is_pending());
    stage.script.answer_next(Answer::Takes(4));
    assert_eq!(only_send(&stage.turn()).1, b"last words");
    let (key, ..) = only_send(&stage.turn());
    assert_eq!(stage.script.take(key, 3), b" wo");
    assert_eq!(names(&stage.turn()), [""; 0]);
    let (key, ..) = only_send(&stage.turn());
    assert_eq!(stage.script.take(key, 3), b"rds");
    assert_eq!(names(&stage.turn()), [""; 0]);
    let started = stage.turn();
    assert_eq!(names(&started), ["shutdown"]);
    assert_eq!(probe.wakes(), 0, "not drained before the shutdown is done");
    stage.script.complete(only_key(&started), 0);
    stage.step();
    assert_eq!(probe.wakes(), 1);
    assert!(matches!(line.outbox.poll_drained(&probe.context()), Poll::Ready(Ok(()))));
    assert_eq!(names(&stage.turn()), [""; 0]);
    drop(line);
    stage.end();
}

#[test]
fn an_end_without_bytes_is_sent_at_once_and_a_gone_peer_is_no_failure() {
    for (result, outcome) in [(0, None), (-libc::ENOTCONN, None), (-libc::EIO, Some(libc::EIO))] {
        let stage = Stage::new(NEW);
        let line = stage.line(1000);
        line.outbox.finish();
        let started = stage.turn();
        assert_eq!(names(&started), ["shutdown"]);
        let probe = Probe::default();
        assert!(line.outbox.poll_drained(&probe.context()).is_pending());
        stage.script.complete(only_key(&started), result);
        stage.step();
        assert_eq!(probe.wakes(), 1);
        match outcome {
            None => {
                assert!(matches!(line.outbox.poll_drained(&probe.context()), Poll::Ready(Ok(()))))
            }
            Some(error) => assert_eq!(errno(line.outbox.poll_drained(&probe.context())), error),
        }
        drop(line);
        stage.end();
    }
}

/// What the peer does in the moment in which a flush ends.
#[derive(Debug, Clone, Copy)]
enum Meanwhile {
    Sends,
    Ends,
    Resets,
}

// Rows: A5
#[test]
fn a_flush_that_ends_a_connection_ends_it_whatever_comes_in_the_same_reap() {
    use Meanwhile::{Ends, Resets, Sends};
    for features in [LOUD, Features { recv_limit: false, ..LOUD }] {
        for (meanwhile, peer_first) in
            [(Sends, true), (Sends, false), (Ends, true), (Ends, false), (Resets, true)]
        {
            let stage = Stage::new(features);
            let line = stage.line(1000);
            push(&line, &pattern(0, 40));
            stage.script.answer_next(Answer::Fails(libc::EAGAIN));
            // As the owner of a connection in its delayed close: what is queued goes first, and
            // the peer is read only as long as something is.
            let (polls, read) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
            let (count, bytes) = (Rc::clone(&polls), Rc::clone(&read));
            stage.tasks.spawn(async move {
                // The socket goes with the task, too.
                let line = line;
                poll_fn(|context| {
                    count.set(count.get() + 1);
                    if let Poll::Ready(flushed) = line.outbox.poll_drained(context) {
                        return Poll::Ready(flushed);
                    }
                    if let Poll::Ready(Ok(Received::Data(span))) =
                        line.receiver.poll_recv(context, BUFFER_SIZE as usize)
                    {
                        bytes.set(bytes.get() + span.len());
                    }
                    Poll::Pending
                })
                .await
                .unwrap();
            });
            stage.step();
            stage.step();
            stage.script.seen();
            let in_flight = stage.script.in_flight();
            let key =
                |is_it: fn(&Seen) -> bool| in_flight.iter().find(|op| is_it(&op.op)).unwrap().key;
            let send = key(|op| matches!(op, Seen::Send { .. }));
            let recv = key(|op| matches!(op, Seen::Recv { .. }));
            let before = polls.get();
            let peer_acts = || match meanwhile {
                Sends => stage.script.receive(recv, &pattern(0, 20), features.recv_limit),
                Ends => stage.script.complete(recv, 0),
                Resets => stage.script.complete(recv, -libc::ECONNRESET),
            };
            if peer_first {
                peer_acts();
            }
            assert_eq!(stage.script.take(send, 40), pattern(0, 40));
            if !peer_first {
                peer_acts();
            }
            stage.step();
            let started = stage.turn();
            let case = format!("{meanwhile:?}, first: {peer_first}, {features:?}");
            assert_eq!(polls.get(), before + 1, "one wake-up for both: {case}");
            assert!(
                names(&started).iter().all(|name| ["cancel", "close"].contains(name)),
                "{case}"
            );
            assert_eq!(stage.leases(), 0, "{case}");
            // A receive that goes on is cancelled first; the descriptor closes once, behind it.
            if let Some(cancel) = started.iter().find(|it| matches!(it.op, Seen::Cancel(_))) {
                assert_eq!(names(&started), ["cancel"], "{case}");
                stage.script.complete(cancel.key, 0);
                stage.script.complete(recv, -libc::ECANCELED);
                stage.step();
                assert_eq!(names(&stage.turn()), ["close"], "{case}");
            }
            assert!(stage.script.in_flight().iter().all(|op| op.key != recv), "{case}");
            assert_eq!(read.get(), 0, "{case}");
            stage.end();
        }
    }
}

#[test]
fn a_send_that_is_interrupted_is_repeated_and_one_that_takes_nothing_is_a_failure() {
    let stage = Stage::new(LOUD);
    let line = stage.line(1000);
    push(&line, b"once");
    stage.script.answer_next(Answer::Fails(libc::EINTR));
    stage.script.answer_next(Answer::Takes(0));
    stage.step();
    stage.step();
    let probe = Probe::default();
    assert_eq!(errno(line.outbox.poll_drained(&probe.context())), libc::EPIPE);
    drop(line);
    stage.end();
}

#[test]
fn a_dropped_outbox_cancels_its_send_and_keeps_the_memory_until_the_kernel_lets_go() {
    for cancel_finds in [true, false] {
        let stage = Stage::new(LOUD);
        let line = stage.line(1000);
        let span = stage.receive(&line, b"in flight");
        line.outbox.push(span);
        stage.script.answer_next(Answer::ByHand);
        let (send, ..) = only_send(&stage.turn());
        let Line { outbox, receiver, socket, .. } = line;
        drop((outbox, receiver, socket));
        let started = stage.turn();
        assert_eq!(names(&started), ["cancel"], "the descriptor closes after the send");
        assert_eq!(stage.leases(), 1, "the kernel still reads it");
        if cancel_finds {
            stage.script.complete(send, -libc::ECANCELED);
            stage.script.complete(started[0].key, 0);
        } else {
            stage.script.complete(started[0].key, -libc::ENOENT);
            assert_eq!(names(&stage.turn()), [""; 0]);
            assert_eq!(stage.script.take(send, 100), b"in flight");
        }
        stage.step();
        assert_eq!(stage.leases(), 0);
        assert_eq!(names(&stage.turn()), ["close"]);
        stage.end();
    }
}

#[test]
fn an_outbox_that_outlives_its_reactor_is_no_reason_to_wait() {
    let stage = Stage::new(LOUD);
    let line = stage.line(1000);
    push(&line, b"stalled");
    stage.script.answer_next(Answer::Fails(libc::EAGAIN));
    stage.step();
    stage.step();
    let script = stage.script.clone();
    let enters = script.enters();
    drop(stage);
    assert!(script.enters() - enters < 10, "the reactor span at its end");
    script.check();
    drop(line);
}

/// What a send of the script carries next, when it takes all of it.
fn sent_whole(stage: &Stage) -> (Vec<u8>, usize) {
    let (_, bytes, spans, _) = only_send(&stage.turn());
    stage.step();
    (bytes, spans)
}

#[test]
fn memory_that_was_sent_is_filled_again_and_large_memory_is_not_kept() {
    let stage = Stage::new(NEW);
    let line = stage.line(100_000);
    stage.script.obey();
    let address = Cell::new(0);
    let write = |bytes: &[u8]| {
        line.outbox.write(|memory| {
            memory.extend_from_slice(bytes);
            address.set(memory.as_ptr().addr());
        });
    };
    write(b"head");
    let first = address.get();
    stage.step();
    stage.step();
    write(b"");
    assert_eq!(address.get(), first, "the same memory");
    assert_eq!(line.outbox.bytes_buffered(), 0);
    write(&[7; 20_000]);
    stage.step();
    stage.step();
    assert_eq!((line.outbox.bytes_buffered(), line.outbox.bytes_sent()), (0, 20_004));
    line.outbox.write(|memory| assert_eq!(memory.capacity(), 0));
    drop(line);
    stage.end();
}

#[test]
fn a_head_and_its_short_body_leave_in_one_plain_send_and_a_long_body_is_not_copied() {
    let stage = Stage::with_buffers(LOUD, 4, 16 * 1024);
    let line = stage.line(100_000);
    for (body, spans) in [(100, 1), (4096, 1), (4097, 2)] {
        let body = pattern(0, body);
        let span = stage.receive(&line, &body);
        line.outbox.write(|memory| memory.extend_from_slice(b"head"));
        line.outbox.write(|memory| memory.extend_from_slice(b"more"));
        line.outbox.push(span);
        stage.script.answer_next(Answer::Takes(8 + body.len()));
        assert_eq!(sent_whole(&stage), ([&b"headmore"[..], &body].concat(), spans));
    }
    drop(line);
    stage.end();
}

#[test]
fn what_is_written_behind_a_send_in_flight_waits_in_memory_of_its_own() {
    let stage = Stage::new(LOUD);
    let line = stage.line(1000);
    line.outbox.write(|memory| memory.extend_from_slice(b"first"));
    stage.script.answer_next(Answer::Takes(1));
    stage.turn();
    let (key, ..) = only_send(&stage.turn());
    line.outbox.write(|memory| memory.extend_from_slice(b"second"));
    assert_eq!(stage.script.take(key, 100), b"irst");
    stage.step();
    let (key, bytes, spans, _) = only_send(&stage.turn());
    assert_eq!((bytes, spans), (b"second".to_vec(), 1));
    stage.script.take(key, 6);
    stage.step();
    assert_eq!(line.outbox.bytes_buffered(), 0);
    drop(line);
    stage.end();
}
