//! The names and labels of stats: every one that Envoy shows for a configuration is shown by
//! Nuncio too, or stands in [`LACKING`] with the reason; and Prometheus' own parser reads the page.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::environment;
use crate::proxy::Proxy;

/// Names of Envoy that Nuncio does not show: the beginning or the end of a name, and why.
const LACKING: &[(&str, &str)] = &[
    ("http.async-client.", "the client of Envoy's own calls (ext_authz, say); there are none"),
    ("http1.", "no HTTP listener yet"),
    ("overload.", "no overload manager"),
    ("envoy.overload_actions.", "no overload manager"),
    ("main_thread.watchdog_", "no watchdog: a zero would say that none was ever missed"),
    ("workers.watchdog_", "as above"),
    ("server.main_thread.watchdog_", "as above"),
    ("server.worker_", "as above: server.worker_<n>.watchdog_*"),
    ("listener.admin.connections_accepted_per_socket_event", "the admin server does not count it"),
    ("http.admin.downstream_cx_rx_bytes_", "bytes of the admin server are not counted"),
    ("http.admin.downstream_cx_tx_bytes_", "as above"),
    ("http.admin.downstream_cx_destroy_", "the admin server does not tell who closed first"),
    ("http.admin.downstream_cx_delayed_close_timeout", "as above"),
    ("http.admin.downstream_cx_drain_close", "as above"),
    ("http.admin.downstream_cx_http1_soft_drain", "as above"),
    ("http.admin.downstream_cx_idle_timeout", "as above"),
    ("http.admin.downstream_cx_protocol_error", "refused by the HTTP library, which says nothing"),
    ("http.admin.downstream_flow_control_", "as above"),
    ("http.admin.downstream_rq_header_timeout", "as above"),
    ("http.admin.downstream_rq_response_before_rq_complete", "as above"),
    ("http.admin.downstream_rq_rx_reset", "as above"),
    ("http.admin.downstream_rq_too_large", "as above"),
    ("http.admin.downstream_rq_tx_reset", "as above"),
    ("runtime.", "those that the runtime does not count yet"),
    ("filesystem.", "those that only a buffered file has"),
];

/// Names that only Nuncio has.
const OWN: &[&str] = &["nuncio.", "server.log_", "filesystem."];

const CONFIGURATION: &str = r#"
admin: { address: { socket_address: { address: 127.0.0.1, port_value: 0 } } }
static_resources:
  listeners:
    - name: one
      stat_prefix: edge
      address: { socket_address: { address: 127.0.0.1, port_value: 0 } }
      filter_chains:
        - filters:
            - name: envoy.filters.network.tcp_proxy
              typed_config:
                "@type": type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy
                stat_prefix: in.gress
                cluster: backend
    - name: two
      stat_prefix: side.door
      address: { socket_address: { address: 127.0.0.1, port_value: 0 } }
      filter_chains:
        - filters:
            - name: envoy.filters.network.echo
              typed_config:
                "@type": type.googleapis.com/envoy.extensions.filters.network.echo.v3.Echo
  clusters:
    - name: backend
      load_assignment:
        cluster_name: backend
        endpoints:
          - lb_endpoints:
              - endpoint: { address: { socket_address: { address: 127.0.0.1, port_value: 9 } } }
    - { name: other, alt_stat_name: a.grpc.svc.meth, load_assignment: { cluster_name: x } }
    - { name: third, alt_stat_name: "we\"ird-n ame:x", load_assignment: { cluster_name: x } }
"#;

/// With tags of its own, some stats left out, and other buckets.
const STATS_CONFIG: &str = r#"
stats_config:
  stats_tags:
    - { tag_name: mine, regex: '^tcp\.((.*?)\.)' }
    - { tag_name: fixed, fixed_value: fv }
    - { tag_name: onegroup, regex: '(_cx_)to' }
    - { tag_name: part.of, regex: 'rq_((total))' }
  stats_matcher:
    exclusion_list:
      patterns:
        - { suffix: _ssl_total }
        - { contains: FLOW_CONTROL, ignore_case: true }
        - { safe_regex: { regex: ".*lb_subsets.*" } }
  histogram_bucket_settings:
    - { match: { suffix: length_ms }, buckets: [0.25, 7, 1000000] }
"#;

/// If this fails, a dashboard made for Envoy misses a stat, or finds one under another label.
#[test]
fn names_and_labels_are_envoys() {
    let reference = match environment::reference() {
        Ok(program) => program,
        Err(missing) => {
            eprintln!("SKIPPED: names of stats are not compared: {missing}");
            return;
        }
    };
    let mut lacking_met = BTreeSet::new();
    for configuration in [CONFIGURATION.to_owned(), format!("{CONFIGURATION}{STATS_CONFIG}")] {
        let arguments = ["--concurrency", "2"];
        let envoy = Proxy::start(&reference, &configuration, &arguments);
        let nuncio = Proxy::start(&environment::subject(), &configuration, &arguments);
        let (theirs, ours) = (names(&envoy), names(&nuncio));

        let known: BTreeSet<&String> = ours.iter().collect();
        for name in theirs.iter().filter(|name| !known.contains(name)) {
            let reason =
                LACKING.iter().find(|(part, _)| name.starts_with(part) || name.ends_with(part));
            let (part, _) = reason.unwrap_or_else(|| panic!("{name} is lacking, without a reason"));
            lacking_met.insert(*part);
        }
        let theirs_too: BTreeSet<&String> = theirs.iter().collect();
        for name in ours.iter().filter(|name| !theirs_too.contains(name)) {
            assert!(OWN.iter().any(|own| name.starts_with(own)), "only Nuncio has {name}");
        }
        let common: Vec<&String> = theirs.iter().filter(|name| known.contains(name)).collect();
        let in_our_order: Vec<&String> =
            ours.iter().filter(|name| theirs_too.contains(name)).collect();
        assert!(common.len() > 200, "{} names are compared", common.len());
        assert_eq!(common, in_our_order, "the order of names");

        compare_metrics(&envoy, &nuncio);
    }
    for (part, _) in LACKING.iter().filter(|(part, _)| !["runtime.", "filesystem."].contains(part))
    {
        assert!(lacking_met.contains(part), "{part} is not lacking any more");
    }
}

/// Counters and gauges, then histograms, as the page lists them.
fn names(proxy: &Proxy) -> Vec<String> {
    let page = proxy.ask("GET /stats").body;
    page.lines().map(|line| line.split_once(": ").unwrap().0.to_owned()).collect()
}

/// What a metric is, and the labels that it occurs with.
type Metrics = BTreeMap<String, (String, BTreeSet<String>)>;

/// Each metric that both have is of one kind, and has no labels that Envoy does not give it.
fn compare_metrics(envoy: &Proxy, nuncio: &Proxy) {
    let (theirs, ours) = (metrics(envoy), metrics(nuncio));
    let mut compared = 0;
    for (name, (kind, labels)) in &ours {
        let Some((their_kind, their_labels)) = theirs.get(name) else { continue };
        assert_eq!(kind, their_kind, "{name}");
        assert!(labels.is_subset(their_labels), "{name}: {labels:?}, Envoy {their_labels:?}");
        compared += 1;
    }
    assert!(compared > 100, "{compared} metrics are compared");
}

fn metrics(proxy: &Proxy) -> Metrics {
    let page = proxy.ask("GET /stats/prometheus").body;
    let mut metrics = Metrics::new();
    let mut family = None;
    for line in page.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            metrics.insert(name.to_owned(), (kind.to_owned(), BTreeSet::new()));
            family = Some(name.to_owned());
        } else {
            let (series, _value) = line.rsplit_once(' ').unwrap();
            let (_, labels) = metrics.get_mut(family.as_ref().unwrap()).unwrap();
            labels.insert(series.split_once('{').unwrap().1.to_owned());
        }
    }
    metrics
}

/// What reads the page with Prometheus' own Python library, and says what it found.
const PARSER: &str = "import sys
from prometheus_client.parser import text_string_to_metric_families as parse
families = list(parse(sys.stdin.read()))
kinds = {family.type for family in families}
samples = sum(len(family.samples) for family in families)
print(len(families), samples, ' '.join(sorted(kinds)))";

/// If this fails, Prometheus cannot scrape Nuncio.
#[test]
fn prometheus_reads_the_page() {
    let Some(python) = parser() else { return };
    let nuncio = Proxy::start(&environment::subject(), CONFIGURATION, &["--concurrency", "1"]);
    for (target, expected) in [
        ("GET /stats/prometheus", "counter gauge histogram"),
        ("GET /stats/prometheus?histogram_buckets=summary", "counter gauge summary"),
    ] {
        let page = nuncio.ask(target).body;
        let mut child = Command::new(&python)
            .args(["-c", PARSER])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{target}: {output:?}");
        let found = String::from_utf8(output.stdout).unwrap();
        let mut words = found.trim().splitn(3, ' ');
        let families: usize = words.next().unwrap().parse().unwrap();
        let samples: usize = words.next().unwrap().parse().unwrap();
        assert!(families > 100 && samples > families, "{found}");
        assert_eq!(words.next(), Some(expected), "{target}");
    }
}

/// The Python of the folder that Envoy is in, if it has the parser.
fn parser() -> Option<std::path::PathBuf> {
    let envoy = environment::reference().ok()?;
    let python = envoy.path.parent().unwrap_or(Path::new("")).join("python3");
    let imports = Command::new(&python).args(["-c", "import prometheus_client"]).output();
    if imports.is_ok_and(|output| output.status.success()) {
        return Some(python);
    }
    let missing = "no prometheus-client beside Envoy (.venv/bin/pip install prometheus-client)";
    assert!(!environment::requires_envoy(), "NUNCIO_REQUIRE_ENVOY=1, but {missing}");
    eprintln!("SKIPPED: Prometheus' parser is not asked: {missing}");
    None
}
