//! Scenarios about the whole process, which each have one of their own: signals, admin requests
//! that change it, several listeners in one file.

use rustix::process::Signal;

use super::Scenario;
use super::plan::{Endpoint, Plan, Template};
use super::stage::Stage;
use crate::patience::wait_for;
use crate::peer::Ending;

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario {
            name: "sigterm_when_idle",
            shows: "signals: without connections SIGTERM ends the process with 0",
            plan: || Plan::relay().alone(),
            script: sigterm_when_idle,
        },
        Scenario {
            name: "quitquitquit",
            shows: "signals, admin: POST /quitquitquit ends the process with 0",
            plan: || Plan::relay().alone(),
            script: quitquitquit,
        },
        Scenario {
            name: "harmless_signals",
            shows: "signals: SIGHUP and SIGUSR1 leave connections alone",
            plan: || Plan::relay().alone(),
            script: harmless_signals,
        },
        Scenario {
            name: "two_listeners_one_cluster",
            shows: "configuration: a template with two listeners to one cluster of two hosts",
            plan: || Plan::template(TWO_LISTENERS, vec![Endpoint::serving(), Endpoint::serving()]),
            script: two_listeners_one_cluster,
        },
        Scenario {
            name: "json_log_and_node",
            shows: "configuration, logs: a bootstrap with a node and a JSON format for the log",
            plan: || Plan::template(NODE, Vec::new()),
            script: json_log_and_node,
        },
    ]
}

fn sigterm_when_idle(stage: &mut Stage<'_>) {
    let (mut client, upstream) = stage.relayed();
    drop(upstream);
    assert_eq!(client.ending(), Ending::Fin);
    drop(client);
    stage.expect_stat("listener.downstream_cx_active", 0);
    stage.signal(Signal::TERM);
    stage.note_exit();
}

fn quitquitquit(stage: &mut Stage<'_>) {
    let answer = stage.ask("POST /quitquitquit");
    stage.note("status", answer.status);
    stage.note("body", answer.body.escape_default());
    stage.note_exit();
}

fn harmless_signals(stage: &mut Stage<'_>) {
    let (mut client, mut upstream) = stage.relayed();
    stage.signal(Signal::HUP);
    stage.signal(Signal::USR1);
    client.send(b"still here");
    assert_eq!(upstream.receive(10), b"still here");
    stage.note("the client is open", client.is_open_and_quiet());
    stage.note("the upstream is open", upstream.is_open_and_quiet());
    drop(client);
    stage.note_end("the upstream", &upstream.receive_to_end());
}

fn two_listeners_one_cluster(stage: &mut Stage<'_>) {
    let upstreams: Vec<_> = stage.upstreams().collect();
    for listener in [0, 1] {
        let mut client = stage.connect_to(listener);
        let mut upstream = wait_for("a connection to either host", || {
            let found = upstreams.iter().find_map(|one| one.waiting());
            found.ok_or_else(|| "neither has one".to_owned())
        });
        client.send(b"hello");
        assert_eq!(upstream.receive(5), b"hello");
        drop(upstream);
        stage.note_end(&format!("the client of listener {listener}"), &client.receive_to_end());
    }
    stage.expect_stat("tcp.downstream_cx_total", 1);
    stage.expect_stat("tcp-second.downstream_cx_total", 1);
    stage.expect_stat("cluster.upstream_cx_total", 2);
}

const TWO_LISTENERS: Template = Template {
    listeners: r#"
- name: $NAME
  address: $LISTENER
  filter_chains:
  - filters:
    - name: envoy.filters.network.tcp_proxy
      typed_config:
        "@type": type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy
        stat_prefix: $NAME
        cluster: $NAME
- name: $NAME-second
  address: $LISTENER1
  filter_chains:
  - filters:
    - name: envoy.filters.network.tcp_proxy
      typed_config:
        "@type": type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy
        stat_prefix: $NAME-second
        cluster: $NAME
"#,
    clusters: r#"
- name: $NAME
  type: STATIC
  load_assignment:
    cluster_name: $NAME
    endpoints:
    - lb_endpoints:
      - endpoint: {address: $UPSTREAM}
      - endpoint: {address: $UPSTREAM1}
"#,
    bootstrap: "",
};

fn json_log_and_node(stage: &mut Stage<'_>) {
    let info = stage.ask("GET /server_info").body;
    let info: serde_json::Value = serde_json::from_str(&info).unwrap();
    for field in ["id", "cluster"] {
        stage.note(&format!("/server_info: node.{field}"), &info["node"][field]);
    }
    let mut client = stage.connect();
    client.send(b"echo");
    assert_eq!(client.receive(4), b"echo");
    client.finish_sending();
    stage.note_end("the client", &client.receive_to_end());
    // What it warns of at a hang-up is its own business; that each line is an object is not.
    stage.signal(Signal::HUP);
    let log = stage.log_line("SIGHUP");
    let line: serde_json::Value = serde_json::from_str(&log).unwrap();
    stage.note("level of a line", &line["level"]);
    stage.note("component of a line", &line["component"]);
}

const NODE: Template = Template {
    listeners: r#"
- name: $NAME
  address: $LISTENER
  filter_chains:
  - filters:
    - name: envoy.filters.network.echo
      typed_config:
        "@type": type.googleapis.com/envoy.extensions.filters.network.echo.v3.Echo
"#,
    clusters: "",
    bootstrap: r#"
node: {id: one, cluster: some}
application_log_config:
  log_format:
    json_format: {level: "%l", component: "%n", message: "%j"}
"#,
};
