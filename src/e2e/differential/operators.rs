//! Every command operator that Envoy 1.40 knows, in one list, as the log of a connection has it.
//!
//! Each is compared with Envoy as text and as a member of a JSON document, or Nuncio refuses it
//! and says so. A test holds the list against the operators that Nuncio's formats know; that these
//! are all that Envoy has was found by looking at the strings of its binary.
//!
//! <https://www.envoyproxy.io/docs/envoy/latest/configuration/observability/access_log/usage>

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde_json::Value;

use super::Scenario;
use super::plan::{Endpoint, Plan, Texts};
use super::stage::Stage;
use crate::configuration::{Parts, indented};
use crate::environment::{self, Program};
use crate::peer::Ending;
use crate::proxy::Scratch;
use crate::validation::validate;

/// What a log shows of an operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shown {
    /// The same on both.
    Equal,
    /// A number that is chance: that it is one is the same on both.
    Number,
    /// Nothing: Nuncio does not take it yet.
    Refused,
}

use Shown::{Equal, Number, Refused};

/// In the order of their names.
const OPERATORS: &[(&str, Shown)] = &[
    ("ACCESS_LOG_TYPE", Equal),
    ("BYTES_RECEIVED", Equal),
    ("BYTES_RETRANSMITTED", Equal),
    ("BYTES_SENT", Equal),
    ("CEL(connection.id)", Refused),
    ("CLUSTER_METADATA(a:b)", Refused),
    ("COALESCE({\"operators\": [\"HOSTNAME\"]})", Refused),
    ("COMMON_DURATION(DS_CX_BEG:US_CX_BEG:ms)", Number),
    ("CONNECTION_ID", Number),
    ("CONNECTION_TERMINATION_DETAILS", Equal),
    ("CUSTOM_FLAGS", Equal),
    ("DOWNSTREAM_CX_RTT", Refused),
    ("DOWNSTREAM_DECOMPRESSED_HEADER_BYTES_RECEIVED", Equal),
    ("DOWNSTREAM_DECOMPRESSED_HEADER_BYTES_SENT", Equal),
    ("DOWNSTREAM_DETECTED_CLOSE_TYPE", Equal),
    ("DOWNSTREAM_DIRECT_LOCAL_ADDRESS", Equal),
    ("DOWNSTREAM_DIRECT_LOCAL_ADDRESS_ENDPOINT_ID", Equal),
    ("DOWNSTREAM_DIRECT_LOCAL_ADDRESS_WITHOUT_PORT", Equal),
    ("DOWNSTREAM_DIRECT_LOCAL_PORT", Number),
    ("DOWNSTREAM_DIRECT_REMOTE_ADDRESS", Equal),
    ("DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT", Equal),
    ("DOWNSTREAM_DIRECT_REMOTE_PORT", Number),
    ("DOWNSTREAM_HANDSHAKE_DURATION", Equal),
    ("DOWNSTREAM_HEADER_BYTES_RECEIVED", Equal),
    ("DOWNSTREAM_HEADER_BYTES_SENT", Equal),
    ("DOWNSTREAM_LOCAL_ADDRESS", Equal),
    ("DOWNSTREAM_LOCAL_ADDRESS_ENDPOINT_ID", Equal),
    ("DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT", Equal),
    ("DOWNSTREAM_LOCAL_CLOSE_REASON", Equal),
    ("DOWNSTREAM_LOCAL_DNS_SAN", Equal),
    ("DOWNSTREAM_LOCAL_EMAIL_SAN", Equal),
    ("DOWNSTREAM_LOCAL_IP_SAN", Equal),
    ("DOWNSTREAM_LOCAL_OTHERNAME_SAN", Equal),
    ("DOWNSTREAM_LOCAL_PORT", Number),
    ("DOWNSTREAM_LOCAL_SUBJECT", Equal),
    ("DOWNSTREAM_LOCAL_URI_SAN", Equal),
    ("DOWNSTREAM_PEER_CERT", Equal),
    ("DOWNSTREAM_PEER_CERT_V_END(%s)", Equal),
    ("DOWNSTREAM_PEER_CERT_V_START(%s)", Equal),
    ("DOWNSTREAM_PEER_CHAIN_FINGERPRINTS_1", Equal),
    ("DOWNSTREAM_PEER_CHAIN_FINGERPRINTS_256", Equal),
    ("DOWNSTREAM_PEER_CHAIN_SERIALS", Equal),
    ("DOWNSTREAM_PEER_DNS_SAN", Equal),
    ("DOWNSTREAM_PEER_EMAIL_SAN", Equal),
    ("DOWNSTREAM_PEER_FINGERPRINT_1", Equal),
    ("DOWNSTREAM_PEER_FINGERPRINT_256", Equal),
    ("DOWNSTREAM_PEER_IP_SAN", Equal),
    ("DOWNSTREAM_PEER_ISSUER", Equal),
    ("DOWNSTREAM_PEER_ISSUER_FINGERPRINT_256", Equal),
    ("DOWNSTREAM_PEER_ISSUER_SERIAL", Equal),
    ("DOWNSTREAM_PEER_OTHERNAME_SAN", Equal),
    ("DOWNSTREAM_PEER_SERIAL", Equal),
    ("DOWNSTREAM_PEER_SUBJECT", Equal),
    ("DOWNSTREAM_PEER_URI_SAN", Equal),
    ("DOWNSTREAM_REMOTE_ADDRESS", Equal),
    ("DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT", Equal),
    ("DOWNSTREAM_REMOTE_PORT", Number),
    ("DOWNSTREAM_TLS_CIPHER", Equal),
    ("DOWNSTREAM_TLS_GROUP", Equal),
    ("DOWNSTREAM_TLS_SESSION_ID", Equal),
    ("DOWNSTREAM_TLS_VERSION", Equal),
    ("DOWNSTREAM_TRANSPORT_FAILURE_REASON", Equal),
    ("DOWNSTREAM_WIRE_BYTES_RECEIVED", Equal),
    ("DOWNSTREAM_WIRE_BYTES_SENT", Equal),
    ("DURATION", Number),
    ("DYNAMIC_METADATA(a:b)", Equal),
    ("EMIT_TIME(%Y-%m-%dT%H:%M:%SZ)", Equal),
    ("EMIT_TIME_LOCAL", Refused),
    ("ENVIRONMENT(NO_SUCH_VARIABLE)", Equal),
    ("FILTER_CHAIN_NAME", Equal),
    ("FILTER_STATE(a)", Equal),
    ("GRPC_STATUS", Equal),
    ("GRPC_STATUS_NUMBER", Equal),
    ("HOSTNAME", Equal),
    ("LISTENER_NAME", Equal),
    ("LOCAL_REPLY_BODY", Equal),
    ("METADATA(CLUSTER:a)", Refused),
    ("PACKETS_RETRANSMITTED", Equal),
    ("PATH", Equal),
    ("PROTOCOL", Equal),
    ("QUERY_PARAM(a)", Refused),
    ("QUERY_PARAMS", Refused),
    ("REQ(x)", Equal),
    ("REQUESTED_SERVER_NAME", Equal),
    ("REQUEST_DURATION", Equal),
    ("REQUEST_HEADER(:path)", Equal),
    ("REQUEST_HEADERS_BYTES", Equal),
    ("REQUEST_TX_DURATION", Equal),
    ("RESP(x)", Equal),
    ("RESPONSE_CODE", Equal),
    ("RESPONSE_CODE_DETAILS", Equal),
    ("RESPONSE_DURATION", Equal),
    ("RESPONSE_FLAGS", Equal),
    ("RESPONSE_FLAGS_LONG", Equal),
    ("RESPONSE_HEADER(x)", Equal),
    ("RESPONSE_HEADERS_BYTES", Equal),
    ("RESPONSE_TRAILER(x)", Equal),
    ("RESPONSE_TRAILERS_BYTES", Equal),
    ("RESPONSE_TX_DURATION", Equal),
    ("ROUNDTRIP_DURATION", Equal),
    ("ROUTE_NAME", Equal),
    ("ROUTE_RESOLUTION_COUNT", Refused),
    ("ROUTE_RESOLUTION_TIME_US", Refused),
    ("SPAN_ID", Equal),
    ("START_TIME(%Y-%m-%dT%H:%M:%SZ)", Equal),
    ("START_TIME_LOCAL", Refused),
    ("STREAM_ID", Equal),
    ("TLS_JA3_FINGERPRINT", Equal),
    ("TLS_JA4_FINGERPRINT", Equal),
    ("TRACE_ID", Equal),
    ("TRAILER(x)", Equal),
    ("UNIQUE_ID", Refused),
    ("UPSTREAM_CLUSTER", Equal),
    ("UPSTREAM_CLUSTER_RAW", Equal),
    ("UPSTREAM_CONNECTION_ID", Number),
    ("UPSTREAM_CONNECTION_IDS_ATTEMPTED", Number),
    ("UPSTREAM_CONNECTION_POOL_READY_DURATION", Number),
    ("UPSTREAM_DECOMPRESSED_HEADER_BYTES_RECEIVED", Equal),
    ("UPSTREAM_DECOMPRESSED_HEADER_BYTES_SENT", Equal),
    ("UPSTREAM_DETECTED_CLOSE_TYPE", Equal),
    ("UPSTREAM_FILTER_STATE(a:PLAIN)", Equal),
    ("UPSTREAM_HEADER_BYTES_RECEIVED", Equal),
    ("UPSTREAM_HEADER_BYTES_SENT", Equal),
    ("UPSTREAM_HOST", Equal),
    ("UPSTREAM_HOSTS_ATTEMPTED", Equal),
    ("UPSTREAM_HOSTS_ATTEMPTED_WITHOUT_PORT", Equal),
    ("UPSTREAM_HOST_NAME", Refused),
    ("UPSTREAM_HOST_NAMES_ATTEMPTED", Refused),
    ("UPSTREAM_HOST_NAMES_ATTEMPTED_WITHOUT_PORT", Refused),
    ("UPSTREAM_HOST_NAME_WITHOUT_PORT", Refused),
    ("UPSTREAM_LOCAL_ADDRESS", Equal),
    ("UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT", Equal),
    ("UPSTREAM_LOCAL_CLOSE_REASON", Equal),
    ("UPSTREAM_LOCAL_DNS_SAN", Equal),
    ("UPSTREAM_LOCAL_IP_SAN", Equal),
    ("UPSTREAM_LOCAL_PORT", Number),
    ("UPSTREAM_LOCAL_URI_SAN", Equal),
    ("UPSTREAM_METADATA(a:b)", Refused),
    ("UPSTREAM_PEER_CERT", Equal),
    ("UPSTREAM_PEER_CERT_V_END(%s)", Equal),
    ("UPSTREAM_PEER_CERT_V_START(%s)", Equal),
    ("UPSTREAM_PEER_DNS_SAN", Equal),
    ("UPSTREAM_PEER_IP_SAN", Equal),
    ("UPSTREAM_PEER_ISSUER", Equal),
    ("UPSTREAM_PEER_SUBJECT", Equal),
    ("UPSTREAM_PEER_URI_SAN", Equal),
    ("UPSTREAM_PROTOCOL", Equal),
    ("UPSTREAM_REMOTE_ADDRESS", Equal),
    ("UPSTREAM_REMOTE_ADDRESS_ENDPOINT_ID", Equal),
    ("UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT", Equal),
    ("UPSTREAM_REMOTE_PORT", Number),
    ("UPSTREAM_REQUEST_ATTEMPT_COUNT", Equal),
    ("UPSTREAM_SERVER_NAME", Equal),
    ("UPSTREAM_TLS_CIPHER", Equal),
    ("UPSTREAM_TLS_GROUP", Equal),
    ("UPSTREAM_TLS_SESSION_ID", Equal),
    ("UPSTREAM_TLS_VERSION", Equal),
    ("UPSTREAM_TRANSPORT_FAILURE_REASON", Equal),
    ("UPSTREAM_WIRE_BYTES_RECEIVED", Equal),
    ("UPSTREAM_WIRE_BYTES_SENT", Equal),
    ("VIRTUAL_CLUSTER_NAME", Equal),
    ("XFCC_VALUE(uri)", Refused),
];

/// Further ways to write some of them.
const VARIANTS: &[(&str, Shown)] = &[
    ("DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT(12)", Equal),
    ("DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT(32)", Equal),
    ("DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT(0)", Equal),
    ("DOWNSTREAM_DIRECT_LOCAL_ADDRESS_WITHOUT_PORT(20)", Equal),
    ("UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT(7)", Equal),
    ("UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT(8)", Equal),
    ("START_TIME", Equal),
    ("REQUESTED_SERVER_NAME(SNI_ONLY)", Equal),
    ("FILTER_STATE(a:FIELD:b)", Equal),
    ("RESPONSE_CODE_DETAILS(ALLOW_WHITESPACES)", Equal),
    ("COMMON_DURATION(DS_RX_BEG:DS_CX_BEG:ns)", Number),
    ("COMMON_DURATION(DS_CX_BEG:US_CX_END:ns)", Number),
    ("COMMON_DURATION(DS_RX_BEG:DS_CX_END:ns)", Number),
    ("COMMON_DURATION(DS_CX_END:US_CX_END:ns)", Number),
    ("COMMON_DURATION(DS_RX_BEG:DS_HS_BEG:ns)", Number),
    ("COMMON_DURATION(DS_HS_BEG:US_CX_END:ns)", Number),
    ("COMMON_DURATION(DS_RX_BEG:DS_HS_END:ns)", Number),
    ("COMMON_DURATION(DS_HS_END:US_CX_END:ns)", Number),
    ("COMMON_DURATION(DS_RX_BEG:DS_RX_BEG:ns)", Number),
    ("COMMON_DURATION(DS_RX_BEG:DS_RX_HDR_END:ns)", Number),
    ("COMMON_DURATION(DS_RX_HDR_END:US_CX_END:ns)", Number),
    ("COMMON_DURATION(DS_RX_BEG:DS_RX_END:ns)", Number),
    ("COMMON_DURATION(DS_RX_END:US_CX_END:ns)", Number),
    ("COMMON_DURATION(DS_RX_BEG:US_CX_BEG:ns)", Number),
    ("COMMON_DURATION(US_CX_BEG:US_CX_END:ns)", Number),
    ("COMMON_DURATION(DS_RX_BEG:US_CX_END:ns)", Number),
    ("COMMON_DURATION(US_CX_END:US_CX_END:ns)", Number),
    ("COMMON_DURATION(DS_RX_BEG:US_HS_END:ns)", Number),
    ("COMMON_DURATION(US_HS_END:US_CX_END:ns)", Number),
    ("COMMON_DURATION(DS_RX_BEG:US_TX_BEG:ns)", Number),
    ("COMMON_DURATION(US_TX_BEG:US_CX_END:ns)", Number),
    ("COMMON_DURATION(DS_RX_BEG:US_TX_END:ns)", Number),
    ("COMMON_DURATION(US_TX_END:US_CX_END:ns)", Number),
    ("COMMON_DURATION(DS_RX_BEG:US_RX_BEG:ns)", Number),
    ("COMMON_DURATION(US_RX_BEG:US_CX_END:ns)", Number),
    ("COMMON_DURATION(DS_RX_BEG:US_RX_BODY_BEG:ns)", Number),
    ("COMMON_DURATION(US_RX_BODY_BEG:US_CX_END:ns)", Number),
    ("COMMON_DURATION(DS_RX_BEG:US_RX_END:ns)", Number),
    ("COMMON_DURATION(US_RX_END:US_CX_END:ns)", Number),
    ("COMMON_DURATION(DS_RX_BEG:DS_TX_BEG:ns)", Number),
    ("COMMON_DURATION(DS_TX_BEG:US_CX_END:ns)", Number),
    ("COMMON_DURATION(DS_RX_BEG:DS_TX_END:ns)", Number),
    ("COMMON_DURATION(DS_TX_END:US_CX_END:ns)", Number),
    ("GRPC_STATUS(NUMBER)", Equal),
    ("PATH(NQ)", Equal),
];

fn compared() -> impl Iterator<Item = (&'static str, Shown)> {
    OPERATORS.iter().chain(VARIANTS).copied().filter(|(_, shown)| *shown != Refused)
}

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario {
            name: "operators",
            shows: "access log, A1, C19, C23: every operator, on a relayed connection",
            plan: || plan(Endpoint::serving(), TCP_PROXY),
            script: relayed,
        },
        Scenario {
            name: "operators_of_a_refusal",
            shows: "access log: every operator, on a connection that found no upstream",
            plan: || plan(Endpoint::refusing(), TCP_PROXY),
            script: refused,
        },
        Scenario {
            name: "operators_of_an_echo",
            shows: "access log: every operator, on a connection without an upstream",
            plan: || plan(Endpoint::serving(), ECHO),
            script: echoed,
        },
        Scenario {
            name: "operators_of_http",
            shows: "access log: every operator, of a listener whose connection carries HTTP",
            plan: || plan(Endpoint::serving(), HTTP),
            script: http,
        },
    ]
}

const TCP_PROXY: &str = "- name: envoy.filters.network.tcp_proxy
  typed_config:
    '@type': type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy
    stat_prefix: $NAME
    cluster: $NAME
    access_log:
    - $TEXT
    - $JSON
";

const ECHO: &str = "- name: envoy.filters.network.echo
  typed_config:
    '@type': type.googleapis.com/envoy.extensions.filters.network.echo.v3.Echo
";

const HTTP: &str = "- name: envoy.filters.network.http_connection_manager
  typed_config:
    '@type': type.googleapis.com/envoy.extensions.filters.network.\
     http_connection_manager.v3.HttpConnectionManager
    stat_prefix: $NAME
    route_config:
      virtual_hosts:
      - name: all
        domains: ['*']
        routes: [{match: {prefix: /}, route: {cluster: $NAME}}]
    http_filters:
    - name: envoy.filters.http.router
      typed_config:
        '@type': type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
        # The service time has as many digits as it takes, and its bytes are counted.
        suppress_envoy_headers: true
";

/// One listener whose log and whose filter's log have a line for each operator, and one JSON
/// document.
fn plan(endpoint: Endpoint, filter: &str) -> Plan {
    let log = |format: &str| {
        format!(
            "{{name: file, typed_config: {{'@type': type.googleapis.com/\
             envoy.extensions.access_loggers.file.v3.FileAccessLog, path: $FOLDER/$NAME.log, \
             log_format: {{{format}}}}}}}"
        )
    };
    let (mut text, mut members) = (String::new(), String::new());
    for (operator, _) in compared() {
        write!(text, "{} = %{operator}%\\n", operator.replace('%', "%%")).unwrap();
        write!(members, "'{operator}': '%{operator}%', ").unwrap();
    }
    let text = log(&format!("text_format_source: {{inline_string: \"{text}\"}}"));
    let json = log(&format!("json_format: {{{members}}}"));
    let listener = format!(
        "- name: $NAME\n  address: $LISTENER\n  access_log:\n  - $TEXT\n  - $JSON\n  \
         filter_chains:\n  - name: chain\n    filters:\n{}",
        indented(4, filter)
    );
    let texts = Texts {
        listeners: listener.replace("$TEXT", &text).replace("$JSON", &json),
        clusters:
            "- name: $NAME\n  type: STATIC\n  load_assignment:\n    cluster_name: $NAME\n    \
                   endpoints: [{lb_endpoints: [{endpoint: {address: $UPSTREAM}}]}]\n"
                .to_owned(),
        bootstrap: String::new(),
    };
    Plan::template(texts, vec![endpoint])
}

/// Notes what so many logs have: their lines, then their document, each in turn.
fn note_operators(stage: &Stage<'_>, logs: usize) {
    let operators = compared().count();
    let lines = stage.access_log_lines(logs * (operators + 1));
    for (index, line) in lines.iter().enumerate() {
        let place = index / (operators + 1);
        match line.split_once(" = ") {
            Some((operator, value)) => {
                stage.note(&format!("text {place}, {operator}"), masked(stage, operator, value));
            }
            None => {
                let document: Value = serde_json::from_str(line).unwrap();
                for (operator, value) in document.as_object().unwrap() {
                    let value = masked(stage, operator, &value.to_string());
                    stage.note(&format!("JSON {place}, {operator}"), value);
                }
            }
        }
    }
}

fn masked(stage: &Stage<'_>, operator: &str, value: &str) -> String {
    if !compared().any(|one| one == (operator, Number)) {
        return String::from_utf8(stage.shown(value.as_bytes())).unwrap();
    }
    let digits = value.trim_matches('"');
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if is_number { value.replace(digits, "N") } else { value.to_owned() }
}

fn relayed(stage: &mut Stage<'_>) {
    let (mut client, mut upstream) = stage.relayed();
    client.send(b"hello");
    assert_eq!(upstream.receive(5), b"hello");
    upstream.send(b"hi");
    assert_eq!(client.receive(2), b"hi");
    drop(client);
    assert_eq!(upstream.ending(), Ending::Fin);
    drop(upstream);
    note_operators(stage, 2);
}

fn refused(stage: &mut Stage<'_>) {
    stage.note("the client ended by", stage.connect().ending());
    note_operators(stage, 2);
}

fn echoed(stage: &mut Stage<'_>) {
    let mut client = stage.connect();
    client.send(b"hello");
    assert_eq!(client.receive(5), b"hello");
    client.finish_sending();
    assert_eq!(client.ending(), Ending::Fin);
    note_operators(stage, 1);
}

fn http(stage: &mut Stage<'_>) {
    let (mut client, mut upstream) = (stage.connect(), None);
    for _ in 0..2 {
        client
            .send(b"POST /a?b=c HTTP/1.1\r\nhost: a.test\r\ncontent-length: 3\r\nx: y\r\n\r\nabc");
        let upstream = upstream.get_or_insert_with(|| stage.accept());
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nx: z\r\n\r\nhello";
        stage.note_message("the upstream", &upstream.answer(answer));
        stage.note_message("the client", &client.receive_response("POST"));
    }
    drop(client);
    note_operators(stage, 1);
}

/// If this fails, a format knows an operator that is not compared, or the other way round.
#[test]
fn the_list_has_every_operator_that_a_format_knows() {
    let source = include_str!("../../observe/access_log/operator.rs");
    let (tables, _) = source.split_once("mod tests {").unwrap();
    let quoted = tables.split('"').skip(1).step_by(2);
    let is_name = |text: &&str| {
        let known = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
        text.len() > 2 && text.bytes().all(known)
    };
    // What stands in parentheses.
    let options =
        ["ALLOW_WHITESPACES", "FIELD", "HOST_FIRST", "PLAIN", "SNI_FIRST", "SNI_ONLY", "TYPED"];
    let known: BTreeSet<&str> =
        quoted.filter(is_name).filter(|name| !options.contains(name)).collect();
    let name = |(operator, _): &(&'static str, Shown)| operator.split('(').next().unwrap();
    let listed: BTreeSet<&str> = OPERATORS.iter().map(name).collect();
    assert_eq!(listed, known);
}

/// What Nuncio does not take, Envoy does; and the message says which operator it is.
#[test]
fn an_operator_that_is_not_there_yet_is_refused_by_its_name() {
    let refused = || OPERATORS.iter().filter(|(_, shown)| *shown == Refused);
    let log = |(operator, _): &(&str, Shown)| {
        format!(
            "  - name: file
    typed_config:
      '@type': type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog
      path: /dev/null
      log_format: {{text_format_source: {{inline_string: '%{operator}%'}}}}
"
        )
    };
    let logs: String = refused().map(log).collect();
    let listener = format!(
        "- name: one
  address: {{socket_address: {{address: 127.0.0.1, port_value: 0}}}}
  access_log:
{logs}  filter_chains:
  - filters:
    - name: echo
      typed_config:
        '@type': type.googleapis.com/envoy.extensions.filters.network.echo.v3.Echo
"
    );
    let parts = Parts { listeners: indented(2, &listener), ..Parts::default() };
    let scratch = Scratch::new();
    scratch.write("refused.yaml", &parts.bootstrap());
    let validated = |program: &Program| {
        let files = ["refused.yaml".to_owned()];
        let (_, output) = validate(program, &scratch.path(""), &files).pop().unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (success, text) = validated(&environment::subject());
    assert!(!success);
    for (operator, _) in refused() {
        let name = operator.split('(').next().unwrap();
        let told = text
            .lines()
            .any(|line| line.contains("not supported yet") && line.contains(&format!("%{name}%")));
        assert!(told, "{name} in:\n{text}");
    }
    if let Ok(reference) = environment::reference() {
        let (success, text) = validated(&reference);
        assert!(success, "{text}");
    }
}
