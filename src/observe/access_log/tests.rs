//! Whole lines, as the real Envoy 1.40 printed them for the same connection or request.

use std::net::SocketAddr;

use base::Address;

use std::time::{Duration, UNIX_EPOCH};

use super::*;
use crate::{ResponseFlag, ResponseFlags};

const SURROUNDINGS: Surroundings<'_> = Surroundings {
    hostname: Some("vm"),
    environment: &|name| (name == "HOME").then(|| "/root".to_owned()),
};

fn text(format: &str) -> Result<Format, FormatError> {
    Format::text(format, false, SURROUNDINGS)
}

fn line(format: &Format, record: &Record<'_>) -> String {
    let mut out = Vec::new();
    format.write_line(record, &mut out);
    String::from_utf8(out).unwrap()
}

fn shown(format: &str, record: &Record<'_>) -> String {
    line(&text(format).unwrap_or_else(|error| panic!("{format}: {error}")), record)
}

fn address(text: &str) -> Option<&'static Address> {
    let address: SocketAddr = text.parse().unwrap();
    Some(Box::leak(Box::new(address.into())))
}

struct Exchange {
    request: &'static [(&'static str, &'static str)],
    response: &'static [(&'static str, &'static str)],
    trailers: &'static [(&'static str, &'static str)],
}

fn find<'a>(headers: &'a [(&str, &str)], name: &str) -> Option<&'a [u8]> {
    headers.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_bytes())
}

fn bytes(headers: &[(&str, &str)]) -> u64 {
    headers.iter().map(|(name, value)| (name.len() + value.len()) as u64).sum()
}

impl HttpMessages for Exchange {
    fn request_header(&self, name: &str) -> Option<&[u8]> {
        find(self.request, name)
    }
    fn response_header(&self, name: &str) -> Option<&[u8]> {
        find(self.response, name)
    }
    fn response_trailer(&self, name: &str) -> Option<&[u8]> {
        find(self.trailers, name)
    }
    fn request_headers_bytes(&self) -> u64 {
        bytes(self.request)
    }
    fn response_headers_bytes(&self) -> u64 {
        bytes(self.response)
    }
    fn response_trailers_bytes(&self) -> u64 {
        bytes(self.trailers)
    }
}

const EXCHANGE: Exchange = Exchange {
    request: &[
        (":method", "GET"),
        (":path", "/?a=b&c=d"),
        (":authority", "a"),
        ("x-forwarded-for", "1.2.3.4"),
        ("user-agent", "me"),
        ("x-request-id", "7c55cc84-26bd-4f41-b77b-e44ecbecdc41"),
    ],
    response: &[(":status", "200"), ("server", "envoy"), ("x-envoy-upstream-service-time", "0")],
    trailers: &[("x-sum", "7")],
};

fn http_record() -> Record<'static> {
    Record {
        log_type: AccessLogType::DownstreamEnd,
        start: UNIX_EPOCH + Duration::from_millis(1_795_347_352_832),
        now: UNIX_EPOCH + Duration::from_millis(1_795_347_352_833),
        bytes_sent: 5,
        response_code: 200,
        response_code_details: Some("via_upstream"),
        protocol: Some(Protocol::Http11),
        http: Some(&EXCHANGE),
        connection_id: 3,
        route_name: "rtt",
        upstream: UpstreamRecord {
            cluster: Some("hu"),
            cluster_observability_name: Some("hu"),
            host: address("127.0.0.1:45013"),
            ..UpstreamRecord::default()
        },
        ..Record::default()
    }
}

#[test]
fn the_default_format_prints_envoys_lines() {
    assert_eq!(
        shown(DEFAULT_FORMAT, &http_record()),
        "[2026-11-22T11:35:52.832Z] \"GET /?a=b&c=d HTTP/1.1\" 200 - 0 5 0 0 \"1.2.3.4\" \"me\" \
         \"7c55cc84-26bd-4f41-b77b-e44ecbecdc41\" \"a\" \"127.0.0.1:45013\"\n"
    );
    let tcp = Record {
        start: UNIX_EPOCH + Duration::from_millis(1_795_347_352_829),
        duration: Duration::from_micros(1_900),
        bytes_received: 5,
        bytes_sent: 5,
        upstream: UpstreamRecord { host: address("127.0.0.1:33337"), ..UpstreamRecord::default() },
        ..Record::default()
    };
    assert_eq!(
        shown(DEFAULT_FORMAT, &tcp),
        "[2026-11-22T11:35:52.829Z] \"- - -\" 0 - 5 5 1 - \"-\" \"-\" \"-\" \"-\" \
         \"127.0.0.1:33337\"\n"
    );
}

#[test]
fn headers_are_found_in_any_case_with_an_alternative_and_cut() {
    let record = http_record();
    for (format, expected) in [
        ("%REQ(User-Agent)%", "me"),
        ("%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%", "/?a=b&c=d"),
        ("%REQ(nope?neither)%", "-"),
        ("%REQ(:path):3%", "/?a"),
        ("%REQ(:path):0%", ""),
        ("%RESP(server)%|%RESPONSE_HEADER(SERVER):2%", "envoy|en"),
        ("%TRAILER(x-sum)%", "7"),
        ("%PATH%|%PATH(NQ)%|%PATH(WQ:ORIG)%", "/?a=b&c=d|/|-"),
        ("%REQUEST_HEADERS_BYTES%", "117"),
        ("%GRPC_STATUS%", "-"),
    ] {
        assert_eq!(shown(format, &record), expected, "{format}");
    }
    assert_eq!(shown("%REQ(user-agent)% %TRAILER(x)%", &Record::default()), "- -");
}

#[test]
fn grpc_status_comes_from_trailers_headers_or_the_http_status() {
    const GRPC: &[(&str, &str)] = &[("content-type", "application/grpc+proto")];
    let none = Exchange { request: GRPC, response: &[], trailers: &[] };
    let trailers = Exchange { trailers: &[("grpc-status", "16")], ..none };
    let headers = Exchange { request: GRPC, response: &[("grpc-status", "99")], trailers: &[] };
    let format = "%GRPC_STATUS% %GRPC_STATUS(SNAKE_STRING)% %GRPC_STATUS_NUMBER%";
    let show = |exchange: &Exchange, response_code| {
        shown(format, &Record { http: Some(exchange), response_code, ..Record::default() })
    };
    assert_eq!(show(&trailers, 200), "Unauthenticated UNAUTHENTICATED 16");
    assert_eq!(show(&headers, 200), "99 99 99");
    let none = Exchange { request: GRPC, response: &[], trailers: &[] };
    assert_eq!(show(&none, 503), "Unavailable UNAVAILABLE 14");
    assert_eq!(show(&none, 0), "- - -");
}

#[test]
fn blanks_in_details_print_as_underscores() {
    let record = Record {
        response_code_details: Some("upstream reset {why so}"),
        connection_termination_details: Some("kept as is"),
        upstream: UpstreamRecord {
            transport_failure_reason: Some("delayed connect error: Connection refused"),
            ..UpstreamRecord::default()
        },
        ..Record::default()
    };
    for (format, expected) in [
        ("%RESPONSE_CODE_DETAILS%", "upstream_reset_{why_so}"),
        ("%RESPONSE_CODE_DETAILS(ALLOW_WHITESPACES)%", "upstream reset {why so}"),
        ("%CONNECTION_TERMINATION_DETAILS%", "kept as is"),
        ("%UPSTREAM_TRANSPORT_FAILURE_REASON%", "delayed_connect_error:_Connection_refused"),
    ] {
        assert_eq!(shown(format, &record), expected);
    }
}

#[test]
fn times_between_moments_need_both_in_order() {
    let mut timing = Timing::default();
    timing.set(TimePoint::UpstreamReceiveBegin, Duration::from_micros(2_500));
    timing.set(TimePoint::DownstreamSendEnd, Duration::from_micros(7_900));
    timing.set_first(TimePoint::DownstreamSendEnd, Duration::from_secs(9));
    let record = Record { timing, ..Record::default() };
    for (format, expected) in [
        ("%RESPONSE_DURATION% %RESPONSE_TX_DURATION% %REQUEST_DURATION%", "2 5 -"),
        ("%COMMON_DURATION(DS_RX_BEG:US_RX_BEG:us)%", "2500"),
        ("%COMMON_DURATION(US_RX_BEG:DS_TX_END:ns)%", "5400000"),
        ("%COMMON_DURATION(DS_TX_END:US_RX_BEG)%", "-"),
        ("%COMMON_DURATION(DS_RX_BEG:of_a_filter)%", "-"),
    ] {
        assert_eq!(shown(format, &record), expected, "{format}");
    }
}

#[test]
fn constants_come_from_the_surroundings() {
    let record = Record::default();
    let format = "%HOSTNAME% %ENVIRONMENT(HOME)% %ENVIRONMENT(HOME):3% %ENVIRONMENT(NONE_SUCH)%";
    assert_eq!(shown(format, &record), "vm /root /ro -");
}

fn json(members: &[(&str, JsonTemplate)], omits_empty: bool) -> Format {
    let members: Vec<_> =
        members.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    Format::json(&members, omits_empty, SURROUNDINGS).unwrap()
}

fn template(text: &str) -> JsonTemplate {
    JsonTemplate::Text(text.to_owned())
}

/// The members of a format that was given to Envoy, and what it printed.
#[test]
fn json_keeps_types_and_sorts_members() {
    let members = [
        ("hh", template("a%REQ(nope)%b")),
        ("h", template("%REQ(user-agent)%")),
        ("num", JsonTemplate::Number(100_000.0)),
        ("n6", JsonTemplate::Number(-5.0)),
        ("b", JsonTemplate::Bool(true)),
        ("nul", JsonTemplate::Null),
        (
            "l",
            JsonTemplate::List(vec![
                JsonTemplate::Number(1.0),
                template("%REQ(y)%"),
                JsonTemplate::Object(vec![
                    ("z".to_owned(), template("%BYTES_RECEIVED%")),
                    ("a".to_owned(), template("%RESPONSE_FLAGS%")),
                ]),
            ]),
        ),
        ("brs", template("%BYTES_RECEIVED% ")),
        ("esc\"\n", template("q\"%%é\n")),
        ("e", JsonTemplate::Object(vec![])),
        ("el", JsonTemplate::List(vec![])),
        ("Z", template("up")),
        ("missing", template("%REQ(nope)%")),
        ("empty", template("")),
    ];
    let record = http_record();
    assert_eq!(
        line(&json(&members, false), &record),
        "{\"Z\":\"up\",\"b\":true,\"brs\":\"0 \",\"e\":{},\"el\":[],\"empty\":\"\",\
         \"esc\\\"\\n\":\"q\\\"%é\\n\",\"h\":\"me\",\"hh\":\"a-b\",\
         \"l\":[1,null,{\"a\":\"-\",\"z\":0}],\"missing\":null,\"n6\":-5,\"nul\":null,\
         \"num\":1e+05}\n"
    );
    assert_eq!(
        line(&json(&members, true), &record),
        "{\"Z\":\"up\",\"b\":true,\"brs\":\"0 \",\"el\":[],\"empty\":\"\",\
         \"esc\\\"\\n\":\"q\\\"%é\\n\",\"h\":\"me\",\"hh\":\"ab\",\
         \"l\":[1,{\"a\":\"-\",\"z\":0}],\"n6\":-5,\"num\":1e+05}\n"
    );
}

#[test]
fn omitted_values_leave_nothing_behind() {
    let format = Format::text("[%REQ(nope)%][%RESPONSE_FLAGS%]%%", true, SURROUNDINGS).unwrap();
    assert_eq!(line(&format, &Record::default()), "[][-]%");
    let nothing = json(&[("a", template("%REQ(nope)%"))], true);
    assert_eq!(line(&nothing, &Record::default()), "{}\n");
}

#[test]
fn flags_print_short_and_long() {
    let flags: ResponseFlags =
        [ResponseFlag::UpstreamConnectionFailure, ResponseFlag::UpstreamRetryLimitExceeded]
            .into_iter()
            .collect();
    let record = Record { flags, ..Record::default() };
    assert_eq!(
        shown("%RESPONSE_FLAGS%|%RESPONSE_FLAGS_LONG%", &record),
        "UF,URX|UpstreamConnectionFailure,UpstreamRetryLimitExceeded"
    );
}

/// Envoy 1.40 refuses each with these words.
#[test]
fn what_envoy_refuses_is_invalid() {
    for (format, position, message) in [
        ("%", 0, "Incorrect configuration: %. Couldn't find valid command at position 0"),
        ("%%%", 2, "Incorrect configuration: %%%. Couldn't find valid command at position 2"),
        (
            "100% ok",
            3,
            "Incorrect configuration: 100% ok. Couldn't find valid command at position 3",
        ),
        (
            "%duration%",
            0,
            "Incorrect configuration: %duration%. Couldn't find valid command at position 0",
        ),
        (
            "%REQ(a):x%",
            0,
            "Incorrect configuration: %REQ(a):x%. Couldn't find valid command at position 0",
        ),
        (
            "%REQ(a)%)%",
            9,
            "Incorrect configuration: %REQ(a)%)%. Couldn't find valid command at position 9",
        ),
        (
            "%REQ(a\nb)%",
            0,
            "Incorrect configuration: %REQ(a\nb)%. Couldn't find valid command at position 0",
        ),
        (
            "%DURATION%%",
            10,
            "Incorrect configuration: %DURATION%%. Couldn't find valid command at position 10",
        ),
        ("%DURATION:3%", 0, "DURATION does not take any parameters or length"),
        ("x %DURATION(a)%", 2, "DURATION does not take any parameters or length"),
        ("%NOPE%", 0, "Not supported field in StreamInfo: NOPE"),
        ("%REQ%", 0, "REQ requires parameters"),
        ("%REQ(a?b?c)%", 0, "More than 1 alternative header specified in token: a?b?c"),
        (
            "%REQ(a b)%",
            0,
            "Invalid header configuration. Format string contains invalid characters.",
        ),
        (
            "%REQ(a:b)%",
            0,
            "Invalid header configuration. Format string contains invalid characters.",
        ),
        ("%START_TIME(%n)%", 0, "Invalid header configuration. Format string contains newline."),
        ("%START_TIME:3%", 0, "START_TIME does not allow length to be specified."),
        ("%COMMON_DURATION(a)%", 0, "Invalid common duration configuration: a."),
        ("%COMMON_DURATION(DS_RX_BEG:DS_TX_END:s)%", 0, "Invalid common duration precision: s."),
        ("%FILTER_STATE%", 0, "Invalid filter state configuration, key cannot be empty."),
        (
            "%FILTER_STATE(a:b)%",
            0,
            "Invalid filter state serialize type, only support PLAIN/TYPED/FIELD.",
        ),
        (
            "%FILTER_STATE(a:PLAIN:x)%",
            0,
            "Invalid filter state serialize type, FIELD should be used with the field name.",
        ),
        ("%ENVIRONMENT()%", 0, "ENVIRONMENT requires parameters"),
        (
            "%GRPC_STATUS(x)%",
            0,
            "GrpcStatusFormatter only supports CAMEL_STRING, SNAKE_STRING or NUMBER. Got: x",
        ),
        ("%PATH(x)%", 0, "Invalid PATH option: 'x', only 'WQ'/'NQ' are allowed"),
    ] {
        let error = text(format).expect_err(format);
        assert_eq!(error.kind, FormatErrorKind::Invalid, "{format}");
        assert_eq!((error.position, error.message.as_str()), (position, message), "{format}");
    }
}

#[test]
fn what_envoy_takes_compiles_or_is_not_supported_yet() {
    for format in [
        "%%",
        "a%%b",
        "%DURATION()%",
        "%REQ(a?)%",
        "%REQ(?b)%",
        "%START_TIME(%)%",
        "%START_TIME()%",
        "%FILTER_STATE(a:FIELD:x)%",
        "%DYNAMIC_METADATA(a:b):3%",
        "é %DURATION%",
        "%DURATION%%%",
        "%REQ(a_b.c~!#$&)%",
        "%RESPONSE_CODE_DETAILS(x)%",
        "",
        "x\n%DURATION%",
        "%REQUESTED_SERVER_NAME(SNI_ONLY)%",
        "%DOWNSTREAM_TLS_VERSION%",
        "%UPSTREAM_PEER_CERT_V_START(%s)%",
    ] {
        assert!(text(format).is_ok(), "{format}");
    }
    for format in
        ["%START_TIME_LOCAL%", "%UNIQUE_ID%", "%CEL(1)%", "%METADATA(CLUSTER:a)%", "%COALESCE({})%"]
    {
        let error = text(format).expect_err(format);
        assert_eq!(error.kind, FormatErrorKind::NotSupportedYet, "{format}");
    }
}

#[test]
fn a_line_is_appended_to_the_buffer_that_is_kept() {
    let format = text(DEFAULT_FORMAT).unwrap();
    let record = http_record();
    let mut out = Vec::with_capacity(1024);
    let before = out.as_ptr();
    for _ in 0..100 {
        out.clear();
        format.write_line(&record, &mut out);
    }
    assert_eq!(out.as_ptr(), before);
}
