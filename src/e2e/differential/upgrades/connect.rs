//! CONNECT that is passed on, over HTTP/1 on both sides.

use super::super::Scenario;
use super::super::http::{note_answer, note_log};
use super::super::stage::Stage;
use super::{
    AGREED, CONNECT, CONNECT_EARLY, FORWARDED, asked, ends, note_head, opened, plan, plan_to,
};
use crate::differential::plan::Endpoint;

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario {
            name: "upgrade_connect",
            shows: "upgrades: CONNECT passed on: nothing before the 200, then bytes both ways",
            plan: || plan(&[FORWARDED], &[]),
            script: flows,
        },
        Scenario {
            name: "upgrade_connect_ends",
            shows: "upgrades: CONNECT passed on: FIN and RST of either side",
            plan: || plan(&[FORWARDED], &[]),
            script: |stage| {
                ends(stage, |what| opened(stage, what, CONNECT, AGREED));
                note_log(stage);
            },
        },
        Scenario {
            name: "upgrade_connect_answered",
            shows: "upgrades: CONNECT passed on: other answers",
            plan: || plan(&[FORWARDED], &[]),
            script: answered,
        },
        Scenario {
            name: "upgrade_connect_refused",
            shows: "upgrades: CONNECT that nobody allows, or that no route is for",
            plan: || plan_to(&[], &[FORWARDED], &[], vec![Endpoint::serving()]),
            script: |stage| note_refused(stage),
        },
        Scenario {
            name: "upgrade_connect_without_route",
            shows: "upgrades: CONNECT goes where a connect_matcher says, and nowhere else",
            plan: || plan(&["- {match: {prefix: ''}, route: {cluster: $NAME}}"], &[]),
            script: |stage| note_refused(stage),
        },
        Scenario {
            name: "upgrade_connect_redirected",
            shows: "upgrades: a CONNECT has no path to be found at",
            plan: || {
                plan(&["- {match: {connect_matcher: {}}, redirect: {host_redirect: b.test}}"], &[])
            },
            script: |stage| note_refused(stage),
        },
        Scenario {
            name: "upgrade_connect_timeout",
            shows: "upgrades: a timeout never starts for a CONNECT; stream_idle_timeout does",
            plan: || {
                let routes = &["- {name: soon, match: {connect_matcher: {}}, \
                    route: {cluster: $NAME, timeout: 0.1s, idle_timeout: 0.5s}}"];
                plan(routes, &[])
            },
            script: |stage| {
                let (mut client, mut upstream) = asked(stage, "unanswered:", CONNECT);
                note_answer(stage, "unanswered:", &mut client, "GET");
                drop(client);
                stage.note("unanswered: the upstream ended by", upstream.ending());
                note_log(stage);
            },
        },
    ]
}

fn note_refused(stage: &Stage<'_>) {
    let mut client = stage.connect();
    client.send(CONNECT);
    note_answer(stage, "it:", &mut client, "GET");
    drop(client);
    note_log(stage);
}

fn flows(stage: &mut Stage<'_>) {
    let (mut client, mut upstream) = asked(stage, "it:", CONNECT_EARLY);
    assert!(!upstream.has_bytes());
    upstream.send(&[AGREED, b"hello"].concat());
    note_head(stage, "it: the client", &mut client);
    assert_eq!(client.receive(5), b"hello");
    assert_eq!(upstream.receive(5), b"early");
    stage.expect_stat("http.downstream_cx_upgrades_active", 1);
    client.send(b"more");
    assert_eq!(upstream.receive(4), b"more");
    drop(client);
    stage.note_end("the upstream", &upstream.receive_to_end());
    drop(upstream);
    note_log(stage);
}

fn answered(stage: &mut Stage<'_>) {
    for answer in [
        &b"HTTP/1.1 302 Found\r\nx-r: 1\r\ncontent-length: 2\r\n\r\nhi"[..],
        b"HTTP/1.1 403 No\r\nx-r: 1\r\ncontent-length: 2\r\n\r\nhi",
        b"HTTP/1.1 503 No\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
        b"no HTTP\r\n\r\n",
        b"",
    ] {
        let line = answer.split(|byte| *byte == b'\r').next().unwrap();
        let what = format!("'{}':", line.escape_ascii());
        let (mut client, mut upstream) = asked(stage, &what, CONNECT_EARLY);
        upstream.send(answer);
        if answer.is_empty() {
            drop(upstream);
        } else {
            stage.note_end(&format!("{what} the upstream"), &upstream.receive_to_end());
        }
        note_answer(stage, &what, &mut client, "GET");
        drop(client);
        stage.wait_until_idle();
    }
    note_log(stage);
}
