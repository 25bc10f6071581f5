//! Outlier detection by what hosts answer, and what becomes of their connections.

use super::plan::Http;
use super::{
    Case, OK, Origin, PROBE, answered, closed, local, note_answer, note_log, note_responses, reset,
    silent,
};
use crate::differential::Scenario;
use crate::differential::plan::{Endpoint, Plan};
use crate::differential::stage::Stage;

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario {
            name: "http_outlier_5xx",
            shows: "C20, D4: 5xx in a row eject a host; no healthy upstream; its connections end",
            plan: || plan("consecutive_5xx: 3"),
            script: |stage| {
                let cases = [
                    answered(GET, E500),
                    answered(GET, E501),
                    answered(GET, OK),
                    answered(GET, E500),
                    answered(GET, E404),
                    answered(GET, E500),
                    answered(GET, E501),
                    answered(GET, E599),
                ];
                eject(stage, &cases);
            },
        },
        Scenario {
            name: "http_outlier_gateway",
            shows: "C20: 502, 503 and 504 in a row, which a 500 interrupts",
            plan: || {
                plan(
                    "consecutive_5xx: 100, consecutive_gateway_failure: 2, \
                     enforcing_consecutive_gateway_failure: 100",
                )
            },
            script: |stage| {
                let cases = [
                    answered(GET, E502),
                    answered(GET, E500),
                    answered(GET, E503),
                    answered(GET, E504),
                ];
                eject(stage, &cases);
            },
        },
        Scenario {
            name: "http_outlier_not_enforced",
            shows: "C20: what is not enforced is counted only",
            plan: || plan("consecutive_5xx: 2, enforcing_consecutive_5xx: 0"),
            script: |stage| {
                let mut origin = Origin::new(stage.upstreams().next().unwrap());
                let name = "cluster.outlier_detection.ejections_detected_consecutive_5xx";
                for detected in [1, 2] {
                    run(stage, &mut origin, &[answered(GET, E503); 2]);
                    stage.expect_stat(name, detected);
                }
                note_log(stage);
            },
        },
        Scenario {
            name: "http_outlier_failures",
            shows: "C20: without a split a lost connection counts as 503, no answer in time as 504",
            plan: || plan("consecutive_5xx: 4"),
            script: |stage| {
                let cases = [
                    closed(GET, b""),
                    reset(GET, b""),
                    silent(SHORT),
                    closed(GET, b"HTTP/1.1 200 nonsense"),
                ];
                eject(stage, &cases);
            },
        },
        Scenario {
            name: "http_outlier_cut",
            shows: "C20: a response that is cut off is a success and a failure",
            plan: || plan("consecutive_5xx: 1"),
            script: |stage| {
                eject(stage, &[closed(GET, b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nok")]);
            },
        },
        Scenario {
            name: "http_outlier_failures_split",
            shows: "C20: with a split each connection that is had ends the row of failures",
            plan: || {
                plan(
                    "split_external_local_origin_errors: true, \
                     consecutive_local_origin_failure: 2, consecutive_5xx: 2",
                )
            },
            script: |stage| {
                let cases = [
                    closed(GET, b""),
                    silent(SHORT),
                    answered(GET, E503),
                    closed(GET, b""),
                    answered(GET, E503),
                ];
                eject(stage, &cases);
            },
        },
        Scenario {
            name: "http_outlier_refused",
            shows: "C20: a refused connect",
            plan: || plan_to("consecutive_5xx: 2", Endpoint::refusing()),
            script: |stage| eject(stage, &[local(GET), local(GET)]),
        },
        Scenario {
            name: "http_outlier_refused_split",
            shows: "C20: a refused connect counts apart",
            plan: || {
                let settings = "split_external_local_origin_errors: true, consecutive_5xx: 1, \
                                consecutive_local_origin_failure: 2";
                plan_to(settings, Endpoint::refusing())
            },
            script: |stage| eject(stage, &[local(GET), local(GET)]),
        },
        Scenario {
            name: "http_outlier_connect_timeout",
            shows: "C20: a connect that takes too long is a failed one to HTTP",
            plan: || plan_to("consecutive_5xx: 2", Endpoint::silent()),
            script: |stage| eject(stage, &[local(GET), local(GET)]),
        },
        Scenario {
            name: "http_outlier_no_time_to_connect",
            shows: "C20: a response that is late because the connect is says nothing of the host",
            plan: || plan_to("consecutive_5xx: 1", Endpoint::silent()),
            script: |stage| {
                let mut client = stage.connect();
                client.send(SHORT);
                note_responses(stage, "late:", &mut client, "GET");
                stage.expect_stat("cluster.upstream_rq_timeout", 1);
                stage.note_health();
                note_log(stage);
            },
        },
        Scenario {
            name: "http_outlier_grpc",
            shows: "C20: a call's status counts as what it means in HTTP, if the head has it",
            plan: || plan("consecutive_5xx: 4"),
            script: |stage| {
                let cases = [
                    answered(CALL, UNAVAILABLE),
                    answered(CALL, NOT_FOUND),
                    answered(CALL, UNAVAILABLE),
                    answered(CALL, NO_STATUS),
                    answered(GET, UNAVAILABLE),
                    answered(CALL, UNAVAILABLE),
                    answered(CALL, UNIMPLEMENTED),
                    answered(CALL, NO_STATUS),
                    answered(CALL, UNAVAILABLE),
                ];
                eject(stage, &cases);
            },
        },
        Scenario {
            name: "http_outlier_panic",
            shows: "C20, D4: in panic an ejected host is used, over new connections",
            plan: || {
                let cluster = &[EJECTS_AT_ONCE, AT_ONCE];
                Http { cluster, routes: ROUTES, ..Http::default() }.plan()
            },
            script: panic,
        },
        Scenario {
            name: "http_outlier_busy",
            shows: "C20, D4: what is under way on an ejected host's connections is finished",
            plan: || {
                let cluster = &[EJECTS_AT_ONCE, AT_ONCE];
                Http { cluster, routes: ROUTES, ..Http::default() }.plan()
            },
            script: busy,
        },
    ]
}

const GET: &[u8] = b"GET / HTTP/1.1\r\nhost: a.test\r\n\r\n";
const SHORT: &[u8] = b"GET /short HTTP/1.1\r\nhost: a.test\r\n\r\n";
const CALL: &[u8] = b"POST /x.Y/Z HTTP/1.1\r\nhost: a.test\r\ncontent-type: application/grpc\r\n\
      content-length: 0\r\n\r\n";

const E404: &[u8] = b"HTTP/1.1 404 E\r\ncontent-length: 0\r\n\r\n";
const E500: &[u8] = b"HTTP/1.1 500 E\r\ncontent-length: 0\r\n\r\n";
const E501: &[u8] = b"HTTP/1.1 501 E\r\ncontent-length: 0\r\n\r\n";
const E502: &[u8] = b"HTTP/1.1 502 E\r\ncontent-length: 0\r\n\r\n";
const E503: &[u8] = b"HTTP/1.1 503 E\r\ncontent-length: 0\r\n\r\n";
const E504: &[u8] = b"HTTP/1.1 504 E\r\ncontent-length: 0\r\n\r\n";
const E599: &[u8] = b"HTTP/1.1 599 E\r\ncontent-length: 0\r\n\r\n";

macro_rules! of_call {
    ($status:literal) => {
        concat!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/grpc\r\ncontent-length: 0\r\n",
            "grpc-status: ",
            $status,
            "\r\n\r\n"
        )
        .as_bytes()
    };
}

const NOT_FOUND: &[u8] = of_call!("5");
const UNIMPLEMENTED: &[u8] = of_call!("12");
const UNAVAILABLE: &[u8] = of_call!("14");
const NO_STATUS: &[u8] = of_call!("many");

const ROUTES: &[&str] = &["- {match: {path: /short}, route: {cluster: $NAME, timeout: 0.3s}}"];

const EJECTS_AT_ONCE: &str = "outlier_detection: {consecutive_5xx: 1, max_ejection_percent: 100}";

/// Envoy would keep changes of health back for a second.
const AT_ONCE: &str = "common_lb_config: {update_merge_window: 0s}";

const NO_PANIC: &str =
    "common_lb_config: {update_merge_window: 0s, healthy_panic_threshold: {value: 0}}";

/// A cluster of one host, without panic.
fn plan(settings: &str) -> Plan {
    plan_to(settings, Endpoint::serving())
}

fn plan_to(settings: &str, endpoint: Endpoint) -> Plan {
    let outliers = format!("outlier_detection: {{max_ejection_percent: 100, {settings}}}");
    let cluster: &[&str] = &[&outliers, "connect_timeout: 0.5s", NO_PANIC];
    Http { routes: ROUTES, ..Http::default() }.plan_with(cluster, vec![endpoint])
}

fn run(stage: &Stage<'_>, origin: &mut Origin<'_>, cases: &[Case]) {
    for (index, case) in cases.iter().enumerate() {
        let what = format!("{index}, {}:", case.start_line());
        let mut client = stage.connect();
        client.send(case.request);
        let _held = origin.serve(stage, &what, case.upstream);
        note_responses(stage, &what, &mut client, &case.method());
    }
}

/// Waits until the worker knows what is so by now: it learns of a change in a turn of its own, and
/// this takes it two.
fn catch_up(stage: &Stage<'_>) {
    let mut client = stage.connect();
    for _ in 0..2 {
        client.send(PROBE);
        client.receive_responses("GET").unwrap();
    }
}

/// Plays what ejects the only host, and then another request.
fn eject(stage: &mut Stage<'_>, cases: &[Case]) {
    let mut origin = stage.upstreams().next().map(Origin::new);
    match &mut origin {
        Some(origin) => run(stage, origin, cases),
        None => {
            for (index, case) in cases.iter().enumerate() {
                let mut client = stage.connect();
                client.send(case.request);
                note_responses(stage, &format!("{index}:"), &mut client, "GET");
            }
        }
    }
    stage.expect_stat("cluster.outlier_detection.ejections_active", 1);
    stage.expect_stat("cluster.membership_healthy", 0);
    stage.note_health();
    catch_up(stage);
    for kept in origin.iter_mut().flat_map(Origin::take_kept) {
        let mut kept = kept;
        stage.note_end("a connection that was kept to the host", &kept.receive_to_end());
    }
    let mut client = stage.connect();
    client.send(GET);
    note_answer(stage, "without a host:", &mut client, "GET");
    note_log(stage);
}

fn panic(stage: &mut Stage<'_>) {
    let mut origin = Origin::new(stage.upstreams().next().unwrap());
    run(stage, &mut origin, &[answered(GET, OK), answered(GET, E500)]);
    stage.expect_stat("cluster.outlier_detection.ejections_active", 1);
    catch_up(stage);
    run(stage, &mut origin, &[answered(GET, OK), answered(GET, E500), answered(GET, OK)]);
    stage.expect_stat("cluster.lb_healthy_panic", 3);
    note_log(stage);
}

fn busy(stage: &mut Stage<'_>) {
    let mut slow = stage.connect();
    slow.send(GET);
    let mut upstream = stage.accept();
    upstream.receive_request();
    let mut origin = Origin::new(stage.upstreams().next().unwrap());
    run(stage, &mut origin, &[answered(GET, E500)]);
    stage.expect_stat("cluster.outlier_detection.ejections_active", 1);
    catch_up(stage);
    stage.note("a busy connection is open", upstream.is_open_and_quiet());
    upstream.send(OK);
    note_answer(stage, "the slow one:", &mut slow, "GET");
    stage.note_end("its connection", &upstream.receive_to_end());
    run(stage, &mut origin, &[answered(GET, OK)]);
    note_log(stage);
}
