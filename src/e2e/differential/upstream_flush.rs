//! A client that is gone while bytes wait for its upstream (row C22), and resets while bytes wait
//! both ways.
//!
//! Socket buffers are small at all ends, so that what is sent neither fits the kernel nor passes
//! any limit of the proxy: it waits in the proxy.

use super::plan::{Endpoint, Plan, Template};
use super::stage::Stage;
use super::{Cast, Scenario};
use crate::environment;
use crate::payload;
use crate::peer::{Ending, Peer};
use crate::upstream::Upstream;

macro_rules! relay {
    ($tcp_proxy:expr) => {
        Template {
            listeners: concat!(
                "- name: $NAME\n  address: $LISTENER\n",
                "  socket_options: [{level: 1, name: 7, int_value: 16384, state: STATE_PREBIND}]\n",
                "  filter_chains:\n  - filters:\n",
                "    - name: envoy.filters.network.tcp_proxy\n      typed_config:\n",
                "        \"@type\": type.googleapis.com/",
                "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy\n",
                "        stat_prefix: $NAME\n        cluster: $NAME\n",
                "        access_log:\n        - name: file\n          typed_config:\n",
                "            \"@type\": type.googleapis.com/",
                "envoy.extensions.access_loggers.file.v3.FileAccessLog\n",
                "            path: $FOLDER/$NAME.log\n",
                "            log_format: {text_format_source: {inline_string: \"%RESPONSE_FLAGS% ",
                "close %DOWNSTREAM_DETECTED_CLOSE_TYPE% %UPSTREAM_DETECTED_CLOSE_TYPE% ",
                "because %DOWNSTREAM_LOCAL_CLOSE_REASON% %UPSTREAM_LOCAL_CLOSE_REASON% ",
                "bytes %BYTES_RECEIVED% %BYTES_SENT% ",
                "wire %UPSTREAM_WIRE_BYTES_SENT% %UPSTREAM_WIRE_BYTES_RECEIVED%\\n\"}}\n",
                $tcp_proxy
            ),
            clusters: concat!(
                "- name: $NAME\n  type: STATIC\n",
                "  upstream_bind_config:\n",
                "    source_address: {address: 127.0.0.1, port_value: 0}\n",
                "    socket_options: [{level: 1, name: 7, int_value: 16384, ",
                "state: STATE_PREBIND}]\n",
                "  load_assignment:\n    cluster_name: $NAME\n",
                "    endpoints: [{lb_endpoints: [{endpoint: {address: $UPSTREAM}}]}]\n"
            ),
            bootstrap: "",
        }
    };
}

const PATIENT: Template = relay!("");

const IMPATIENT: Template = relay!("        idle_timeout: 5s\n");

const SMALL_BUFFER: usize = 16 * 1024;

/// More than the small buffers of two sockets, less than any proxy's limit.
const PENDING: usize = 120_000;

fn pending() -> Vec<u8> {
    let mut bytes = payload::block(9).repeat(2);
    bytes.truncate(PENDING);
    bytes
}

fn plan(template: Template) -> Plan {
    let upstream = Upstream::listen_with_buffers(SMALL_BUFFER);
    Plan::template(template, vec![Endpoint::Serving(upstream)])
}

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario {
            name: "flush_ends",
            shows: "C22: upstream_flush_total, _active; everything arrives after the client's end",
            plan: || plan(PATIENT),
            script: flush_ends,
        },
        Scenario {
            name: "flush_idles",
            shows: "C21, C22: the idle timeout ends a flush to an upstream that takes nothing",
            plan: || plan(IMPATIENT),
            script: flush_idles,
        },
        Scenario {
            name: "flush_is_reset",
            shows: "C22: an upstream that resets during the flush",
            plan: || plan(PATIENT),
            script: flush_is_reset,
        },
        Scenario {
            name: "client_resets_with_data_pending",
            shows: "A16, C22: RST from the client with bytes pending both ways",
            plan: || plan(PATIENT),
            script: client_resets_with_data_pending,
        },
        Scenario {
            name: "upstream_resets_with_data_pending",
            shows: "A16: RST from the upstream with bytes pending both ways",
            plan: || plan(PATIENT),
            script: upstream_resets_with_data_pending,
        },
    ]
}

/// A connection whose upstream has ended and whose client is gone, with bytes pending.
fn flushing(stage: &Stage<'_>) -> (Vec<u8>, Peer) {
    let (mut client, mut upstream) = stage.relayed();
    upstream.finish_sending();
    assert_eq!(client.ending(), Ending::Fin);
    let block = pending();
    client.send(&block);
    drop(client);
    stage.expect_stat("tcp.upstream_flush_active", 1);
    stage.expect_stat("tcp.upstream_flush_total", 1);
    // The connection of the client is over, and logged.
    stage.expect_stat("listener.downstream_cx_active", 0);
    stage.expect_stat("cluster.upstream_cx_active", 1);
    stage.note_access_log(1);
    (block, upstream)
}

fn flush_ends(stage: &mut Stage<'_>) {
    let (block, mut upstream) = flushing(stage);
    let (received, ending) = upstream.receive_to_end();
    assert!(received == block, "{} bytes", received.len());
    stage.note("the upstream ended by", ending);
}

fn flush_idles(stage: &mut Stage<'_>) {
    let (_, mut upstream) = flushing(stage);
    stage.expect_stat("tcp.idle_timeout", 1);
    stage.expect_stat("cluster.upstream_cx_active", 0);
    stage.note("the upstream ended by", upstream.receive_to_end().1);
}

fn flush_is_reset(stage: &mut Stage<'_>) {
    let (_, upstream) = flushing(stage);
    upstream.reset();
    stage.expect_stat("tcp.upstream_flush_active", 0);
    stage.expect_stat("cluster.upstream_cx_active", 0);
}

/// Envoy drops what waits for such an upstream; see the deliberate differences.
// Rows: C22
#[test]
fn bytes_for_an_upstream_that_ends_second_arrive_and_the_flush_is_counted() {
    let scenario = Scenario {
        name: "flush_after_upstream_ends_second",
        shows: "C22: alone",
        plan: || plan(PATIENT),
        script: flush_after_upstream_ends_second,
    };
    let cast = Cast::start(&environment::subject(), std::slice::from_ref(&scenario));
    let (seen, _) = cast.play(&scenario).unwrap();
    let flushed = seen.iter().find(|(name, _)| name.ends_with("upstream_flush_total"));
    assert_eq!(flushed.unwrap().1, "1");
}

fn flush_after_upstream_ends_second(stage: &mut Stage<'_>) {
    let (mut client, mut upstream) = stage.relayed();
    client.send(&pending());
    client.finish_sending();
    stage.expect_stat("tcp.downstream_cx_rx_bytes_total", PENDING as u64);
    upstream.finish_sending();
    assert_eq!(client.ending(), Ending::Fin);
    stage.expect_stat("tcp.upstream_flush_active", 1);
    stage.expect_stat("listener.downstream_cx_active", 0);
    let (received, ending) = upstream.receive_to_end();
    assert!(received == pending(), "{} bytes", received.len());
    assert_eq!(ending, Ending::Fin);
}

/// A connection with bytes pending both ways.
fn clogged(stage: &Stage<'_>) -> (Peer, Peer) {
    let mut client = stage.connect_with_receive_buffer(SMALL_BUFFER);
    let mut upstream = stage.accept();
    client.send(&pending());
    upstream.send(&pending());
    stage.expect_stat("tcp.downstream_cx_rx_bytes_total", PENDING as u64);
    stage.expect_stat("cluster.upstream_cx_rx_bytes_total", PENDING as u64);
    (client, upstream)
}

fn client_resets_with_data_pending(stage: &mut Stage<'_>) {
    let (client, mut upstream) = clogged(stage);
    client.reset();
    stage.expect_stat("listener.downstream_cx_active", 0);
    stage.note("the upstream ended by", upstream.receive_to_end().1);
    stage.note_access_log(1);
}

fn upstream_resets_with_data_pending(stage: &mut Stage<'_>) {
    let (mut client, upstream) = clogged(stage);
    upstream.reset();
    stage.expect_stat("cluster.upstream_cx_active", 0);
    let (received, ending) = client.receive_to_end();
    stage.note("the client received all", received.len() == PENDING);
    stage.note("the client ended by", ending);
    stage.note_access_log(1);
}
