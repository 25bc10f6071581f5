//! Values of the runtime that change while the process runs, and what follows them: filters of
//! access logs, switches of network filters, limits of connections, circuit breakers.

use super::Scenario;
use super::plan::{Endpoint, Plan, Template};
use super::stage::Stage;
use crate::peer::{Ending, Peer};

macro_rules! log {
    ($word:expr, $filter:expr) => {
        concat!(
            "        - {name: file, filter: {",
            $filter,
            "}, typed_config: {'@type': ",
            "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog, ",
            "path: $FOLDER/$NAME.log, log_format: {text_format_source: {inline_string: \"",
            $word,
            "\\n\"}}}}\n"
        )
    };
}

/// A listener that relays and one that echoes, for looks at whether the worker has caught up.
macro_rules! template {
    ($filters:expr, $logs:expr, $static_layer:expr) => {
        Template {
            listeners: concat!(
                "- name: $NAME\n  address: $LISTENER\n  filter_chains:\n  - filters:\n",
                $filters,
                "    - name: envoy.filters.network.tcp_proxy\n      typed_config:\n",
                "        '@type': type.googleapis.com/",
                "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy\n",
                "        stat_prefix: $NAME\n        cluster: $NAME\n        access_log:\n",
                $logs,
                "- name: $NAME-echo\n  address: $LISTENER1\n  ignore_global_conn_limit: true\n",
                "  filter_chains:\n  - filters:\n    - name: envoy.filters.network.echo\n",
                "      typed_config: {'@type': ",
                "type.googleapis.com/envoy.extensions.filters.network.echo.v3.Echo}\n"
            ),
            clusters: concat!(
                "- name: $NAME\n  type: STATIC\n",
                "  circuit_breakers: {thresholds: [{max_connections: 5, track_remaining: true}]}\n",
                "  load_assignment:\n    cluster_name: $NAME\n",
                "    endpoints: [{lb_endpoints: [{endpoint: {address: $UPSTREAM}}]}]\n"
            ),
            bootstrap: concat!(
                "layered_runtime:\n  layers:\n  - {name: static, static_layer: {",
                $static_layer,
                "}}\n  - {name: admin, admin_layer: {}}\n"
            ),
        }
    };
}

const LOGS: Template = template!(
    "",
    concat!(
        log!(
            "sampled",
            "runtime_filter: {runtime_key: share, percent_sampled: {numerator: 0}, \
             use_independent_randomness: true}"
        ),
        log!(
            "slow",
            "duration_filter: {comparison: {op: GE, value: {default_value: 100000, \
             runtime_key: slow}}}"
        ),
        log!(
            "code",
            "and_filter: {filters: [{status_code_filter: {comparison: {op: EQ, value: \
             {default_value: 0, runtime_key: code}}}}, {not_health_check_filter: {}}]}"
        ),
        log!("each", "not_health_check_filter: {}")
    ),
    "slow: 200000"
);

const SWITCH: Template = template!(
    "    - name: envoy.filters.network.connection_limit
      typed_config:
        '@type': type.googleapis.com/\
     envoy.extensions.filters.network.connection_limit.v3.ConnectionLimit
        stat_prefix: $NAME
        max_connections: 1
        runtime_enabled: {default_value: false, runtime_key: limited}
    - name: envoy.filters.network.local_ratelimit
      typed_config:
        '@type': type.googleapis.com/\
     envoy.extensions.filters.network.local_ratelimit.v3.LocalRateLimit
        stat_prefix: $NAME
        token_bucket: {max_tokens: 1, fill_interval: 1000s}
        runtime_enabled: {default_value: true, runtime_key: rated}
",
    log!("each", "not_health_check_filter: {}"),
    "rated: false"
);

const LIMITS: Template = template!("", log!("each", "not_health_check_filter: {}"), "");

fn plan(template: Template) -> Plan {
    Plan::template(template, vec![Endpoint::serving()])
}

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario {
            name: "live_runtime_logs",
            shows: "runtime: filters of access logs follow it",
            plan: || plan(LOGS),
            script: logs,
        },
        Scenario {
            name: "live_runtime_switch",
            shows: "B4: runtime_enabled follows the runtime",
            plan: || plan(SWITCH),
            script: switch,
        },
        Scenario {
            name: "live_runtime_limits",
            shows: "runtime: limits of connections follow it",
            plan: || plan(LIMITS),
            script: limits,
        },
        Scenario {
            name: "live_runtime_breakers",
            shows: "C9, runtime: circuit breakers follow it",
            plan: || plan(LIMITS),
            script: breakers,
        },
    ]
}

/// Sets a value, and waits until the worker has it.
fn set(stage: &Stage<'_>, key_and_value: &str) {
    let answer = stage.ask(&format!("POST /runtime_modify?{key_and_value}"));
    stage.note(key_and_value, answer.status);
    // A worker learns of a change in a turn of its own; this takes it two.
    let mut echo = stage.connect_to(1);
    for _ in 0..2 {
        echo.send(b"?");
        assert_eq!(echo.receive(1), b"?");
    }
    echo.finish_sending();
    assert_eq!(echo.ending(), Ending::Fin);
}

/// A connection that is relayed.
fn open(stage: &Stage<'_>) -> (Peer, Peer) {
    let (mut client, mut upstream) = stage.relayed();
    client.send(b"a");
    assert_eq!(upstream.receive(1), b"a");
    (client, upstream)
}

fn close((client, mut upstream): (Peer, Peer)) {
    drop(client);
    assert_eq!(upstream.ending(), Ending::Fin);
}

/// A connection that is closed at once.
fn turned_away(stage: &Stage<'_>, which: &str) {
    stage.note(&format!("{which} ended by"), stage.connect().ending());
}

fn logs(stage: &mut Stage<'_>) {
    let mut lines = 0;
    for (value, of_one) in [
        ("share=100", 3),
        ("share=0", 2),
        ("share={numerator: 100}", 2),
        ("share=1e2", 3),
        ("share=", 2),
        ("slow=0", 3),
        ("slow=", 2),
        ("code=200", 1),
        ("code=none", 2),
    ] {
        set(stage, &value.replace(' ', "%20"));
        close(open(stage));
        lines += of_one;
        stage.expect_stat("listener.downstream_cx_active", 0);
        assert_eq!(stage.access_log_lines(lines).len(), lines, "after {value}");
    }
    stage.note_access_log(lines);
}

fn switch(stage: &mut Stage<'_>) {
    let (first, second) = (open(stage), open(stage));
    set(stage, "limited=true");
    let third = open(stage);
    turned_away(stage, "one too many");
    set(stage, "limited=0");
    let fourth = open(stage);
    [first, second, third, fourth].into_iter().for_each(close);
    stage.expect_stat("listener.downstream_cx_active", 0);
    set(stage, "rated=true");
    close(open(stage));
    turned_away(stage, "one without a token");
    set(stage, "rated=");
    close(open(stage));
}

fn limits(stage: &mut Stage<'_>) {
    let (first, second) = (open(stage), open(stage));
    set(stage, "envoy.resource_limits.listener.live_runtime_limits.connection_limit=2");
    turned_away(stage, "a third");
    stage.expect_stat("listener.downstream_cx_overflow", 1);
    set(stage, "envoy.resource_limits.listener.live_runtime_limits.connection_limit=3");
    let third = open(stage);
    set(stage, "envoy.resource_limits.listener.live_runtime_limits.connection_limit=");
    [first, second, third, open(stage)].into_iter().for_each(close);
    stage.expect_stat("listener.downstream_cx_active", 0);
    // Envoy counts the connections of admin too, so that nobody can ask while the limit is reached.
    set(stage, "overload.global_downstream_max_connections=3");
    let held = [open(stage), open(stage), open(stage)];
    turned_away(stage, "one too many of all listeners");
    held.into_iter().for_each(close);
    stage.expect_stat("listener.downstream_global_cx_overflow", 1);
    set(stage, "overload.global_downstream_max_connections=");
    close(open(stage));
}

fn breakers(stage: &mut Stage<'_>) {
    let mut held = vec![open(stage), open(stage)];
    set(stage, "circuit_breakers.live_runtime_breakers.default.max_connections=2");
    turned_away(stage, "a third");
    stage.expect_stat("cluster.upstream_cx_overflow", 1);
    set(stage, "circuit_breakers.live_runtime_breakers.default.max_connections=3");
    held.push(open(stage));
    stage.expect_stat("cluster.circuit_breakers.default.cx_open", 1);
    stage.expect_stat("cluster.circuit_breakers.default.remaining_cx", 0);
    set(stage, "circuit_breakers.live_runtime_breakers.default.max_connections=");
    held.push(open(stage));
    stage.expect_stat("cluster.circuit_breakers.default.cx_open", 0);
    stage.expect_stat("cluster.circuit_breakers.default.remaining_cx", 1);
    set(stage, "circuit_breakers.live_runtime_breakers.default.max_pending_requests=0");
    turned_away(stage, "one that may not wait");
    stage.expect_stat("cluster.upstream_rq_pending_overflow", 1);
    set(stage, "circuit_breakers.live_runtime_breakers.default.max_pending_requests=");
    held.into_iter().for_each(close);
}
