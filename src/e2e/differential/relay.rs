//! Bytes that pass: small and large, client first and server first, slow readers.

use std::thread;
use std::time::Duration;

use super::Scenario;
use super::plan::{Endpoint, Plan};
use super::stage::Stage;
use crate::configuration::More;
use crate::patience::PATIENCE;
use crate::payload;
use crate::peer::{Ending, Peer};
use crate::upstream::Upstream;

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario {
            name: "echo_filter",
            shows: "the echo filter: every byte comes back, then the end",
            plan: Plan::echo,
            script: echo_filter,
        },
        Scenario {
            name: "request_reply",
            shows: "A24, C1, C23: client first; byte counters equal the payload",
            plan: Plan::relay,
            script: request_reply,
        },
        Scenario {
            name: "banner_first",
            shows: "C1, C18: server first; the banner needs no byte from the client",
            plan: Plan::relay,
            script: banner_first,
        },
        Scenario {
            name: "http_in_the_stream",
            shows: "C1: messages of each framing pass a relay as they are",
            plan: Plan::relay,
            script: http_in_the_stream,
        },
        Scenario {
            name: "large_transfer",
            shows: "A14, C23: 32 MiB each way at once arrive whole and in order",
            plan: Plan::relay,
            script: large_transfer,
        },
        Scenario {
            name: "slow_reader",
            shows: "A18, A21: a reader that stops stops the sender; nothing is lost after it",
            plan: || {
                Plan::to(vec![Endpoint::Serving(Upstream::listen_with_buffers(SMALL_BUFFER))])
                    .with(SMALL_LIMITS)
            },
            script: slow_reader,
        },
        Scenario {
            name: "slow_upstream",
            shows: "A18, A19, A21: the same from client to upstream",
            plan: || {
                Plan::to(vec![Endpoint::Serving(Upstream::listen_with_buffers(SMALL_BUFFER))])
                    .with(SMALL_LIMITS)
            },
            script: slow_upstream,
        },
    ]
}

/// Keeps what the two ends hold themselves far below what the proxy could hide.
const SMALL_BUFFER: usize = 64 * 1024;

const SMALL_LIMITS: More = More {
    listener: &["per_connection_buffer_limit_bytes: 32768"],
    cluster: &["per_connection_buffer_limit_bytes: 32768"],
    ..More::NONE
};

fn echo_filter(stage: &mut Stage<'_>) {
    let mut client = stage.connect();
    for words in [&b"every byte"[..], b", again"] {
        client.send(words);
        assert_eq!(client.receive(words.len()), words);
    }
    stage.expect_stat("listener.downstream_cx_active", 1);
    client.finish_sending();
    stage.note_end("the client", &client.receive_to_end());
}

fn request_reply(stage: &mut Stage<'_>) {
    let (mut client, mut upstream) = stage.relayed();
    for round in 1..=3_usize {
        client.send(&b"request"[..round + 4]);
        assert_eq!(upstream.receive(round + 4), b"request"[..round + 4]);
        upstream.send(&b"a longer reply"[..round + 8]);
        assert_eq!(client.receive(round + 8), b"a longer reply"[..round + 8]);
    }
    stage.expect_stat("listener.downstream_cx_active", 1);
    stage.expect_stat("cluster.upstream_cx_active", 1);
    stage.expect_stat("cluster.upstream_rq_active", 1);
    stage.expect_stat("tcp.downstream_cx_rx_bytes_total", 5 + 6 + 7);
    stage.expect_stat("tcp.downstream_cx_tx_bytes_total", 9 + 10 + 11);
    client.finish_sending();
    stage.note_end("the upstream", &upstream.receive_to_end());
    drop(upstream);
    stage.note_end("the client", &client.receive_to_end());
}

fn banner_first(stage: &mut Stage<'_>) {
    let (mut client, mut upstream) = stage.relayed();
    upstream.send(b"220 ready\r\n");
    assert_eq!(client.receive(11), b"220 ready\r\n");
    client.send(b"QUIT\r\n");
    assert_eq!(upstream.receive(6), b"QUIT\r\n");
    upstream.send(b"221 bye\r\n");
    drop(upstream);
    let end = client.receive_to_end();
    assert_eq!(end, (b"221 bye\r\n".to_vec(), Ending::Fin));
    stage.note_end("the client", &end);
}

fn http_in_the_stream(stage: &mut Stage<'_>) {
    let (mut client, mut upstream) = stage.relayed();
    for response in [
        &b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"[..],
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nx-sum: 1\r\n\r\n",
        b"HTTP/1.1 304 Not Modified\r\ndate: now\r\n\r\n",
    ] {
        client.send(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc");
        stage.note_message("the upstream", &upstream.answer(response));
        stage.note_message("the client", &client.receive_response("POST"));
    }
    drop(upstream);
    stage.note("the client ended by", client.ending());
}

fn large_transfer(stage: &mut Stage<'_>) {
    const BYTES: u64 = 32 * 1024 * 1024;
    let (mut client, mut upstream) = stage.relayed();
    let (from_client, from_upstream) = thread::scope(|scope| {
        let at_upstream = scope.spawn(|| payload::receive(upstream.stream(), BYTES));
        let at_client = scope.spawn(|| payload::receive(client.stream(), BYTES));
        let from_upstream = scope.spawn(|| payload::send(upstream.stream(), 1, BYTES));
        let from_client = payload::send(client.stream(), 2, BYTES);
        let from_upstream = from_upstream.join().unwrap();
        assert_eq!(at_upstream.join().unwrap(), from_client);
        assert_eq!(at_client.join().unwrap(), from_upstream);
        (from_client, from_upstream)
    });
    stage.note("the upstream received", from_client);
    stage.note("the client received", from_upstream);
    client.finish_sending();
    stage.note("the upstream ended by", upstream.ending());
    drop(upstream);
    stage.note("the client ended by", client.ending());
}

/// More than the kernel's buffers and a proxy with small limits hold together.
const OFFERED: usize = 64 * 1024 * 1024;

/// Without progress for this long a sender counts as stopped. A machine that stalls for longer
/// only makes it stop early, which no check here mistakes for a failure.
const STALL: Duration = Duration::from_millis(500);

fn slow_reader(stage: &mut Stage<'_>) {
    let mut client = stage.connect_with_receive_buffer(SMALL_BUFFER);
    let mut upstream = stage.accept();
    offer_to_stalled(&mut upstream, &mut client);
    stage.expect_stat_above_zero("cluster.upstream_flow_control_paused_reading_total");
    drop(upstream);
    stage.note("the client ended by", client.ending());
}

fn slow_upstream(stage: &mut Stage<'_>) {
    let (mut client, mut upstream) = stage.relayed();
    offer_to_stalled(&mut client, &mut upstream);
    stage.expect_stat_above_zero("tcp.downstream_flow_control_paused_reading_total");
    drop(client);
    stage.note("the upstream ended by", upstream.ending());
}

/// Offers more than fits while the receiver does not read, then lets it read all of it.
fn offer_to_stalled(sender: &mut Peer, receiver: &mut Peer) {
    let block = payload::block(3);
    let taken = sender.send_until_stalled(&block, OFFERED, STALL);
    assert!(taken < OFFERED, "all {OFFERED} bytes were taken while nobody read");
    let received = thread::scope(|scope| {
        let receiver = scope.spawn(|| receiver.receive(OFFERED));
        // Goes on in the block where the stalled send stopped.
        let turned = [&block[taken % block.len()..], &block[..taken % block.len()]].concat();
        let rest = sender.send_until_stalled(&turned, OFFERED - taken, PATIENCE);
        assert_eq!(rest, OFFERED - taken);
        receiver.join().unwrap()
    });
    assert!(received.chunks(block.len()).all(|chunk| chunk == block));
}
