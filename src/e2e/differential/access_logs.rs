//! Lines of access logs: a listener's and its `tcp_proxy`'s, for every way a connection can end.

use std::collections::BTreeSet;

use super::Scenario;
use super::plan::{Endpoint, Plan, Template};
use super::stage::Stage;
use crate::peer::Ending;

/// Everything about a connection that does not depend on how fast the machine is.
macro_rules! line {
    () => {
        "\"%ACCESS_LOG_TYPE% flags %RESPONSE_FLAGS% %RESPONSE_FLAGS_LONG% code %RESPONSE_CODE% \
         bytes %BYTES_RECEIVED% %BYTES_SENT% \
         wire %DOWNSTREAM_WIRE_BYTES_RECEIVED% %DOWNSTREAM_WIRE_BYTES_SENT% \
         %UPSTREAM_WIRE_BYTES_RECEIVED% %UPSTREAM_WIRE_BYTES_SENT% \
         details %CONNECTION_TERMINATION_DETAILS% %RESPONSE_CODE_DETAILS% \
         failure %UPSTREAM_TRANSPORT_FAILURE_REASON% %DOWNSTREAM_TRANSPORT_FAILURE_REASON% \
         host %UPSTREAM_HOST% of %UPSTREAM_HOSTS_ATTEMPTED% at %UPSTREAM_REMOTE_ADDRESS% \
         from %UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT% cluster %UPSTREAM_CLUSTER% \
         attempts %UPSTREAM_REQUEST_ATTEMPT_COUNT% \
         close %DOWNSTREAM_DETECTED_CLOSE_TYPE% %UPSTREAM_DETECTED_CLOSE_TYPE% \
         because %DOWNSTREAM_LOCAL_CLOSE_REASON% %UPSTREAM_LOCAL_CLOSE_REASON% \
         at %LISTENER_NAME% %FILTER_CHAIN_NAME% %DOWNSTREAM_LOCAL_ADDRESS% \
         by %DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT% %PROTOCOL% %REQ(:path)% %STREAM_ID% \
         [%START_TIME%]\\n\""
    };
}

/// A log to the scenario's file; `$more` are further fields of the `AccessLog`.
macro_rules! log {
    ($format:expr, $more:expr) => {
        concat!(
            "{name: file, typed_config: {\"@type\": ",
            "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog, ",
            "path: $FOLDER/$NAME.log",
            $format,
            "}",
            $more,
            "}"
        )
    };
}

macro_rules! text_format {
    ($format:expr) => {
        concat!(", log_format: {text_format_source: {inline_string: ", $format, "}}")
    };
}

/// One listener with these logs, relaying to a cluster.
macro_rules! relay {
    ($listener_logs:expr, $filter_logs:expr, $tcp_proxy:expr, $cluster:expr) => {
        Template {
            listeners: concat!(
                "- name: $NAME\n  address: $LISTENER\n  access_log: [",
                $listener_logs,
                "]\n  filter_chains:\n  - name: chain\n    filters:\n",
                "    - name: envoy.filters.network.tcp_proxy\n      typed_config:\n",
                "        \"@type\": type.googleapis.com/",
                "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy\n",
                "        stat_prefix: $NAME\n        cluster: $NAME\n        access_log: [",
                $filter_logs,
                "]\n",
                $tcp_proxy
            ),
            clusters: $cluster,
            bootstrap: "",
        }
    };
}

macro_rules! cluster {
    ($fields:expr, $endpoints:expr) => {
        concat!(
            "- name: $NAME\n  type: STATIC\n",
            $fields,
            "  load_assignment:\n    cluster_name: $NAME\n    endpoints: [{lb_endpoints: [",
            $endpoints,
            "]}]\n"
        )
    };
}

macro_rules! one_host {
    () => {
        "{endpoint: {address: $UPSTREAM}}"
    };
}

/// The whole line, written by listener and filter.
const BOTH: Template = relay!(
    log!(text_format!(line!()), ""),
    log!(text_format!(line!()), ""),
    "",
    cluster!("", one_host!())
);

const THREE_ATTEMPTS: Template = relay!(
    log!(text_format!(line!()), ""),
    log!(text_format!(line!()), ""),
    "        max_connect_attempts: 3\n",
    cluster!("", one_host!())
);

const IMPATIENT: Template = relay!(
    log!(text_format!(line!()), ""),
    log!(text_format!(line!()), ""),
    "        idle_timeout: 1s\n",
    cluster!("  connect_timeout: 0.5s\n", one_host!())
);

const NO_CLUSTER: Template =
    relay!(log!(text_format!(line!()), ""), log!(text_format!(line!()), ""), "", "");

const NO_HOST: Template =
    relay!(log!(text_format!(line!()), ""), log!(text_format!(line!()), ""), "", cluster!("", ""));

const ONE_CONNECTION: Template = relay!(
    "",
    log!(text_format!(line!()), ""),
    "",
    cluster!("  circuit_breakers: {thresholds: [{max_connections: 1}]}\n", one_host!())
);

const NOBODY_WAITS: Template = relay!(
    "",
    log!(text_format!(line!()), ""),
    "",
    cluster!("  circuit_breakers: {thresholds: [{max_pending_requests: 0}]}\n", one_host!())
);

/// The duration is part of the default line, so it must not take a millisecond: a refusal does not.
const DEFAULT_LINE: Template = relay!("", log!("", ""), "", cluster!("", one_host!()));

macro_rules! json {
    () => {
        ", log_format: {json_format: {type: '%ACCESS_LOG_TYPE%', rx: '%BYTES_RECEIVED%', \
         tx: '%BYTES_SENT%', text: '%BYTES_SENT% bytes', code: '%RESPONSE_CODE%', \
         wire: '%UPSTREAM_WIRE_BYTES_RECEIVED%', missing: '%REQ(x)%', mixed: 'a%REQ(x)%b', \
         flags: '%RESPONSE_FLAGS%', start: '%START_TIME(%Y-%m-%d)%', number: 100000, half: 0.5, \
         yes: true, nothing: null, list: [1, '%REQ(x)%', {z: '%BYTES_SENT%', a: é}], none: {}, \
         only: {missing: '%REQ(x)%'}, quoted: 'q\"%%\\n', empty: ''}"
    };
}

const JSON: Template = relay!("", log!(concat!(json!(), "}"), ""), "", cluster!("", one_host!()));

const JSON_WITHOUT_EMPTY: Template = relay!(
    "",
    log!(concat!(json!(), ", omit_empty_values: true}"), ""),
    "",
    cluster!("", one_host!())
);

/// Each log says by its word which filter let the line through.
const FILTERS: Template = relay!(
    concat!(
        log!(
            text_format!("\"no-code\\n\""),
            ", filter: {status_code_filter: \
             {comparison: {op: EQ, value: {default_value: 0, runtime_key: a}}}}"
        ),
        ", ",
        log!(
            text_format!("\"code\\n\""),
            ", filter: {status_code_filter: \
             {comparison: {op: GE, value: {default_value: 1, runtime_key: a}}}}"
        ),
        ", ",
        log!(
            text_format!("\"slow\\n\""),
            ", filter: {duration_filter: \
             {comparison: {op: GE, value: {default_value: 100000, runtime_key: a}}}}"
        ),
        ", ",
        log!(
            text_format!("\"quick\\n\""),
            ", filter: {duration_filter: \
             {comparison: {op: LE, value: {default_value: 100000, runtime_key: a}}}}"
        )
    ),
    concat!(
        log!(text_format!("\"any-flag\\n\""), ", filter: {response_flag_filter: {}}"),
        ", ",
        log!(text_format!("\"refused\\n\""), ", filter: {response_flag_filter: {flags: [UF]}}"),
        ", ",
        log!(
            text_format!("\"overflow\\n\""),
            ", filter: {response_flag_filter: {flags: [UO, NR]}}"
        ),
        ", ",
        log!(
            text_format!("\"end\\n\""),
            ", filter: {log_type_filter: {types: [TcpConnectionEnd]}}"
        ),
        ", ",
        log!(
            text_format!("\"not-end\\n\""),
            ", filter: {log_type_filter: {types: [TcpConnectionEnd], exclude: true}}"
        ),
        ", ",
        log!(
            text_format!("\"both\\n\""),
            ", filter: {and_filter: \
             {filters: [{response_flag_filter: {flags: [UF]}}, {not_health_check_filter: {}}]}}"
        ),
        ", ",
        log!(
            text_format!("\"either\\n\""),
            ", filter: {or_filter: \
             {filters: [{response_flag_filter: {flags: [NR]}}, {not_health_check_filter: {}}]}}"
        ),
        ", ",
        log!(
            text_format!("\"never\\n\""),
            ", filter: {runtime_filter: {runtime_key: a, percent_sampled: {numerator: 0}}}"
        ),
        ", ",
        log!(
            text_format!("\"always\\n\""),
            ", filter: {runtime_filter: {runtime_key: a, percent_sampled: {numerator: 100}}}"
        )
    ),
    "",
    cluster!("", one_host!())
);

const ON_CONNECTED: Template = relay!(
    "",
    log!(text_format!(line!()), ""),
    "        access_log_options: {flush_access_log_on_connected: true}\n",
    cluster!("", one_host!())
);

/// Lines come more often the slower the machine is, so only the first one can be compared.
const PERIODIC: Template = relay!(
    "",
    log!(text_format!(line!()), ", filter: {log_type_filter: {types: [TcpPeriodic]}}"),
    "        access_log_options: {access_log_flush_interval: 3s}\n",
    cluster!("", one_host!())
);

const IDS: Template = relay!(
    "",
    log!(text_format!("\"%CONNECTION_ID% %UPSTREAM_CONNECTION_ID%\\n\""), ""),
    "",
    cluster!("", one_host!())
);

const ECHO: Template = Template {
    listeners: concat!(
        "- name: $NAME\n  address: $LISTENER\n  access_log: [",
        log!(text_format!(line!()), ""),
        "]\n  filter_chains:\n  - filters:\n    - name: envoy.filters.network.echo\n",
        "      typed_config:\n        \"@type\": type.googleapis.com/",
        "envoy.extensions.filters.network.echo.v3.Echo\n"
    ),
    clusters: "",
    bootstrap: "",
};

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario {
            name: "log_client_closes",
            shows: "C19, access log: the client ends a connection; host and both addresses",
            plan: || Plan::template(BOTH, vec![Endpoint::serving()]),
            script: client_closes,
        },
        Scenario {
            name: "log_upstream_closes",
            shows: "access log: the upstream ends a connection",
            plan: || Plan::template(BOTH, vec![Endpoint::serving()]),
            script: upstream_closes,
        },
        Scenario {
            name: "log_client_resets",
            shows: "access log: RST from the client",
            plan: || Plan::template(BOTH, vec![Endpoint::serving()]),
            script: client_resets,
        },
        Scenario {
            name: "log_upstream_resets",
            shows: "access log: RST from the upstream; UR",
            plan: || Plan::template(BOTH, vec![Endpoint::serving()]),
            script: upstream_resets,
        },
        Scenario {
            name: "log_refused",
            shows: "access log: a refused connect; UF, URX, the kernel's text",
            plan: || Plan::template(BOTH, vec![Endpoint::refusing()]),
            script: refused,
        },
        Scenario {
            name: "log_refused_three_times",
            shows: "access log: every host that was tried",
            plan: || Plan::template(THREE_ATTEMPTS, vec![Endpoint::refusing()]),
            script: refused,
        },
        Scenario {
            name: "log_connect_timeout",
            shows: "access log: a connect that is not answered; UF, URX",
            plan: || Plan::template(IMPATIENT, vec![Endpoint::silent()]),
            script: refused,
        },
        Scenario {
            name: "log_idle_timeout",
            shows: "access log: the idle timeout, and why we closed",
            plan: || Plan::template(IMPATIENT, vec![Endpoint::serving()]),
            script: idle_timeout,
        },
        Scenario {
            name: "log_unknown_cluster",
            shows: "access log: no such cluster; NC",
            plan: || Plan::template(NO_CLUSTER, Vec::new()),
            script: refused,
        },
        Scenario {
            name: "log_no_host",
            shows: "access log: a cluster without hosts; UH",
            plan: || Plan::template(NO_HOST, Vec::new()),
            script: refused,
        },
        Scenario {
            name: "log_overflow",
            shows: "access log: the connection breaker; UO",
            plan: || Plan::template(ONE_CONNECTION, vec![Endpoint::serving()]),
            script: overflow,
        },
        Scenario {
            name: "log_pending_overflow",
            shows: "access log: the breaker for those who wait; URX",
            plan: || Plan::template(NOBODY_WAITS, vec![Endpoint::serving()]),
            script: one_line_of_a_refusal,
        },
        Scenario {
            name: "log_default_line",
            shows: "access log: Envoy's default format",
            plan: || Plan::template(DEFAULT_LINE, vec![Endpoint::refusing()]),
            script: one_line_of_a_refusal,
        },
        Scenario {
            name: "log_json",
            shows: "access log: a JSON document with typed values, sorted",
            plan: || Plan::template(JSON, vec![Endpoint::serving()]),
            script: a_hundred_thousand_bytes,
        },
        Scenario {
            name: "log_json_without_empty_values",
            shows: "access log: omit_empty_values",
            plan: || Plan::template(JSON_WITHOUT_EMPTY, vec![Endpoint::serving()]),
            script: a_hundred_thousand_bytes,
        },
        Scenario {
            name: "log_filters",
            shows: "access log: several logs with filters, in the order of the file",
            plan: || Plan::template(FILTERS, vec![Endpoint::refusing()]),
            script: filters,
        },
        Scenario {
            name: "log_on_connected",
            shows: "access log: flush_access_log_on_connected",
            plan: || Plan::template(ON_CONNECTED, vec![Endpoint::serving()]),
            script: client_closes,
        },
        Scenario {
            name: "log_periodic",
            shows: "access log: access_log_flush_interval",
            plan: || Plan::template(PERIODIC, vec![Endpoint::serving()]),
            script: periodic,
        },
        Scenario {
            name: "log_connection_ids",
            shows: "A1, access log: %CONNECTION_ID% and %UPSTREAM_CONNECTION_ID% are unique",
            plan: || Plan::template(IDS, vec![Endpoint::serving()]),
            script: connection_ids,
        },
        Scenario {
            name: "log_echo",
            shows: "access log: a listener's log without an upstream",
            plan: || Plan::template(ECHO, Vec::new()),
            script: echo,
        },
    ]
}

fn exchange(stage: &Stage<'_>) -> (crate::peer::Peer, crate::peer::Peer) {
    let (mut client, mut upstream) = stage.relayed();
    client.send(b"hello");
    assert_eq!(upstream.receive(5), b"hello");
    upstream.send(b"hi");
    assert_eq!(client.receive(2), b"hi");
    (client, upstream)
}

fn client_closes(stage: &mut Stage<'_>) {
    let (client, mut upstream) = exchange(stage);
    drop(client);
    assert_eq!(upstream.ending(), Ending::Fin);
    drop(upstream);
    stage.note_access_log(2);
}

fn upstream_closes(stage: &mut Stage<'_>) {
    let (mut client, upstream) = exchange(stage);
    drop(upstream);
    assert_eq!(client.ending(), Ending::Fin);
    drop(client);
    stage.note_access_log(2);
}

fn client_resets(stage: &mut Stage<'_>) {
    let (client, mut upstream) = exchange(stage);
    client.reset();
    stage.note("the upstream ended by", upstream.ending());
    stage.note_access_log(2);
}

fn upstream_resets(stage: &mut Stage<'_>) {
    let (mut client, upstream) = exchange(stage);
    upstream.reset();
    stage.note("the client ended by", client.ending());
    stage.note_access_log(2);
}

fn refused(stage: &mut Stage<'_>) {
    stage.note("the client ended by", stage.connect().ending());
    stage.note_access_log(2);
}

fn one_line_of_a_refusal(stage: &mut Stage<'_>) {
    stage.note("the client ended by", stage.connect().ending());
    stage.note_access_log(1);
}

fn idle_timeout(stage: &mut Stage<'_>) {
    let (mut client, mut upstream) = exchange(stage);
    stage.note("the client ended by", client.ending());
    stage.note("the upstream ended by", upstream.ending());
    stage.note_access_log(2);
}

fn overflow(stage: &mut Stage<'_>) {
    let (client, mut upstream) = exchange(stage);
    stage.note("the second client ended by", stage.connect().ending());
    stage.expect_stat("cluster.upstream_cx_overflow", 1);
    drop(client);
    assert_eq!(upstream.ending(), Ending::Fin);
    drop(upstream);
    stage.note_access_log(2);
}

fn a_hundred_thousand_bytes(stage: &mut Stage<'_>) {
    let (mut client, mut upstream) = exchange(stage);
    let block = vec![b'z'; 100_000 - 2];
    upstream.send(&block);
    assert_eq!(client.receive(block.len()), block);
    drop(upstream);
    assert_eq!(client.ending(), Ending::Fin);
    drop(client);
    stage.note_access_log(1);
}

fn filters(stage: &mut Stage<'_>) {
    stage.note("the client ended by", stage.connect().ending());
    stage.note_access_log(8);
}

fn periodic(stage: &mut Stage<'_>) {
    let (client, upstream) = exchange(stage);
    stage.note_access_log(1);
    drop(client);
    drop(upstream);
}

fn echo(stage: &mut Stage<'_>) {
    let mut client = stage.connect();
    client.send(b"hello");
    assert_eq!(client.receive(5), b"hello");
    client.finish_sending();
    assert_eq!(client.ending(), Ending::Fin);
    drop(client);
    stage.note_access_log(1);
}

fn connection_ids(stage: &mut Stage<'_>) {
    for _ in 0..3 {
        client_closes_quietly(stage);
    }
    let lines = stage.access_log_lines(3);
    let ids: BTreeSet<&str> = lines.iter().flat_map(|line| line.split(' ')).collect();
    assert_eq!(ids.len(), 6, "{lines:?}");
    assert!(ids.iter().all(|id| id.parse::<u64>().is_ok_and(|id| id > 0)), "{lines:?}");
    stage.note("different ids", ids.len());
}

fn client_closes_quietly(stage: &Stage<'_>) {
    let (client, mut upstream) = stage.relayed();
    drop(client);
    assert_eq!(upstream.ending(), Ending::Fin);
}
