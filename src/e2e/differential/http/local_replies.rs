//! What the proxy answers itself: refused requests, no route, redirects, direct responses.

use super::plan::Http;
use super::{Case, OK, answered, closed, local, play, usual};
use crate::differential::Scenario;
use crate::differential::plan::Plan;

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario {
            name: "http_refused_requests",
            shows: "http: requests without host, path or sense",
            plan: usual,
            script: |stage| play(stage, REFUSED),
        },
        Scenario {
            name: "http_routes",
            shows: "http: virtual hosts by domain; no route; no cluster",
            plan: hosts,
            script: |stage| play(stage, ROUTES),
        },
        Scenario {
            name: "http_redirects",
            shows: "http: redirects of all kinds",
            plan: redirects,
            script: |stage| play(stage, REDIRECTS),
        },
        Scenario {
            name: "http_direct_responses",
            shows: "http: direct responses",
            plan: direct_responses,
            script: |stage| play(stage, DIRECT),
        },
        Scenario {
            name: "http_default_log",
            shows: "access log: Envoy's default line for HTTP",
            plan: || Http { log_format: Some(""), ..Http::default() }.plan(),
            script: |stage| play(stage, LOGGED),
        },
        Scenario {
            name: "http_byte_meters",
            shows: "access log: bytes on the wire and in heads",
            // A time in a head would be of one digit or of two.
            plan: || {
                let router: &[&str] = &["suppress_envoy_headers: true"];
                Http { log_format: Some(METERS), router, ..Http::default() }.plan()
            },
            script: |stage| play(stage, METERED),
        },
        Scenario {
            name: "http_json_log",
            shows: "access log: JSON for HTTP",
            plan: || Http { log_format: Some(JSON), ..Http::default() }.plan(),
            script: |stage| play(stage, LOGGED),
        },
    ]
}

const REFUSED: &[Case] = &[
    local(b"GET /probe HTTP/1.1\r\n\r\n"),
    local(b"GET /probe HTTP/1.1\r\nhost:\r\n\r\n"),
    local(b"GET /probe HTTP/1.1\r\nhost: a b\r\n\r\n"),
    local(b"CONNECT a.test:80 HTTP/1.1\r\nhost: a.test\r\n\r\n"),
    local(b"BAD\r\n\r\n"),
    local(b"GET / HTTP/3.1\r\nhost: a.test\r\n\r\n"),
    local(b"GET /probe HTTP/1.1\r\nhost: a.test\r\nno colon\r\n\r\n"),
    local(b"GET /probe HTTP/1.1\r\nhost: a.test\r\na : b\r\n\r\n"),
    local(b"GET /probe HTTP/1.1\r\nhost: a.test\r\ncontent-length: x\r\n\r\n"),
    local(b"GET /probe HTTP/1.1\r\nhost: a.test\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n"),
    local(
        b"POST /probe HTTP/1.1\r\nhost: a.test\r\ntransfer-encoding: chunked\r\n\
          content-length: 2\r\n\r\n0\r\n\r\n",
    ),
    local(b"POST /probe HTTP/1.1\r\nhost: a.test\r\ntransfer-encoding: gzip\r\n\r\n"),
    local(b"POST /probe HTTP/1.1\r\nhost: a.test\r\ntransfer-encoding: gzip, chunked\r\n\r\n"),
    local(b"GET probe HTTP/1.1\r\nhost: a.test\r\n\r\n"),
    local(b"GET /probe#part HTTP/1.1\r\nhost: a.test\r\n\r\n"),
    local(b"GET /probe HTTP/1.1\r\nhost: a.test\r\nx: a\0b\r\n\r\n"),
];

fn hosts() -> Plan {
    let hosts: &[&str] = &[
        "- name: exact",
        "  domains: [exact.test, 'port.test:81']",
        "  routes: [{name: r, match: {prefix: /}, \
         direct_response: {status: 200, body: {inline_string: exact}}}]",
        "- name: suffix",
        "  domains: ['*.test']",
        "  routes: [{match: {prefix: /a}, \
         direct_response: {status: 200, body: {inline_string: suffix}}}]",
        "- name: longer-suffix",
        "  domains: ['*.long.test']",
        "  routes: [{match: {prefix: /}, \
         direct_response: {status: 200, body: {inline_string: longer}}}]",
        "- name: prefix",
        "  domains: ['www.*']",
        "  routes: [{match: {prefix: /}, \
         direct_response: {status: 200, body: {inline_string: prefix}}}]",
    ];
    Http { hosts, ..Http::default() }.plan()
}

const ROUTES: &[Case] = &[
    local(b"GET / HTTP/1.1\r\nhost: exact.test\r\n\r\n"),
    local(b"GET / HTTP/1.1\r\nhost: EXACT.test\r\n\r\n"),
    local(b"GET /a HTTP/1.1\r\nhost: exact.test:80\r\n\r\n"),
    local(b"GET / HTTP/1.1\r\nhost: port.test:81\r\n\r\n"),
    local(b"GET /abc HTTP/1.1\r\nhost: x.test\r\n\r\n"),
    local(b"GET /b HTTP/1.1\r\nhost: x.test\r\n\r\n"),
    local(b"GET / HTTP/1.1\r\nhost: x.long.test\r\n\r\n"),
    local(b"GET / HTTP/1.1\r\nhost: www.other\r\n\r\n"),
    local(b"GET http://exact.test/x HTTP/1.1\r\nhost: x.test\r\n\r\n"),
    local(b"GET /missing HTTP/1.1\r\nhost: other\r\n\r\n"),
    local(b"HEAD /missing HTTP/1.1\r\nhost: other\r\n\r\n"),
    local(b"GET /missing?query HTTP/1.1\r\nhost: other\r\n\r\n"),
    answered(b"GET /probes HTTP/1.1\r\nhost: other\r\n\r\n", OK),
];

fn redirects() -> Plan {
    let routes: &[&str] = &[
        "- {match: {path: /https}, redirect: {https_redirect: true}}",
        "- {match: {path: /scheme}, redirect: {scheme_redirect: ftp}}",
        "- {match: {path: /host}, redirect: {host_redirect: other.test}}",
        "- {match: {path: /port}, redirect: {port_redirect: 8443}}",
        "- {match: {path: /https-port}, redirect: {https_redirect: true, port_redirect: 443}}",
        "- {match: {path: /path}, redirect: {path_redirect: /x}}",
        "- {match: {path: /path-query}, redirect: {path_redirect: '/x?y=z'}}",
        "- {match: {path: /strip}, redirect: {strip_query: true, host_redirect: h}}",
        "- {match: {prefix: /prefix}, redirect: {prefix_rewrite: /new}}",
        "- {match: {path: /302}, redirect: {path_redirect: /x, response_code: FOUND}}",
        "- {match: {path: /303}, redirect: {path_redirect: /x, response_code: SEE_OTHER}}",
        "- {match: {path: /307}, redirect: {path_redirect: /x, response_code: TEMPORARY_REDIRECT}}",
        "- {match: {path: /308}, redirect: {path_redirect: /x, response_code: PERMANENT_REDIRECT}}",
    ];
    Http { routes, ..Http::default() }.plan()
}

const REDIRECTS: &[Case] = &[
    local(b"GET /https?a=b HTTP/1.1\r\nhost: a.test\r\n\r\n"),
    local(b"GET /https HTTP/1.1\r\nhost: a.test:80\r\n\r\n"),
    local(b"GET /https HTTP/1.1\r\nhost: a.test:8080\r\n\r\n"),
    local(b"GET /scheme HTTP/1.1\r\nhost: a.test\r\n\r\n"),
    local(b"GET /host?a=b HTTP/1.1\r\nhost: a.test:81\r\n\r\n"),
    local(b"GET /port HTTP/1.1\r\nhost: a.test:81\r\n\r\n"),
    local(b"GET /port HTTP/1.1\r\nhost: [::1]:81\r\n\r\n"),
    local(b"GET /https-port HTTP/1.1\r\nhost: a.test\r\n\r\n"),
    local(b"GET /path?a=b HTTP/1.1\r\nhost: a.test\r\n\r\n"),
    local(b"GET /path-query?a=b HTTP/1.1\r\nhost: a.test\r\n\r\n"),
    local(b"GET /strip?a=b HTTP/1.1\r\nhost: a.test\r\n\r\n"),
    local(b"GET /prefix/more?a=b HTTP/1.1\r\nhost: a.test\r\n\r\n"),
    local(b"GET /prefix HTTP/1.1\r\nhost: a.test\r\nx-envoy-original-path: /mine\r\n\r\n"),
    local(b"HEAD /302 HTTP/1.1\r\nhost: a.test\r\n\r\n"),
    local(b"GET /303 HTTP/1.1\r\nhost: a.test\r\n\r\n"),
    local(b"POST /307 HTTP/1.1\r\nhost: a.test\r\ncontent-length: 3\r\n\r\nabc"),
    local(b"GET /308 HTTP/1.1\r\nhost: a.test\r\nconnection: close\r\n\r\n"),
];

fn direct_responses() -> Plan {
    let routes: &[&str] = &[
        "- {match: {path: /empty}, direct_response: {status: 200}}",
        "- {match: {path: /204}, direct_response: {status: 204}}",
        "- {match: {path: /304}, direct_response: {status: 304}}",
        "- {match: {path: /404}, direct_response: {status: 404, body: {inline_string: none}}}",
        "- {match: {path: /503}, direct_response: {status: 503, body: {inline_bytes: b29wcw==}}}",
        "- {match: {path: /599}, direct_response: {status: 599}}",
        "- {match: {path: /201}, direct_response: {status: 201, body: {inline_string: made}}}",
        "- {match: {prefix: /302}, direct_response: {status: 302, body: {inline_string: go}}}",
    ];
    Http { routes, ..Http::default() }.plan()
}

const DIRECT: &[Case] = &[
    local(b"GET /empty HTTP/1.1\r\nhost: a.test\r\n\r\n"),
    local(b"GET /204 HTTP/1.1\r\nhost: a.test\r\n\r\n"),
    local(b"GET /304 HTTP/1.1\r\nhost: a.test\r\n\r\n"),
    local(b"GET /404 HTTP/1.1\r\nhost: a.test\r\n\r\n"),
    local(b"HEAD /404 HTTP/1.1\r\nhost: a.test\r\n\r\n"),
    local(b"GET /503 HTTP/1.1\r\nhost: a.test\r\n\r\n"),
    local(b"GET /599 HTTP/1.1\r\nhost: a.test\r\n\r\n"),
    local(b"GET /201 HTTP/1.1\r\nhost: a.test\r\n\r\n"),
    local(b"GET /302/x?y=z HTTP/1.1\r\nhost: a.test:80\r\n\r\n"),
    local(b"POST /404 HTTP/1.1\r\nhost: a.test\r\ncontent-length: 3\r\n\r\nabc"),
    local(
        b"POST /404 HTTP/1.1\r\nhost: a.test\r\ntransfer-encoding: chunked\r\n\r\n\
          3\r\nabc\r\n0\r\n\r\n",
    ),
    local(b"GET /404 HTTP/1.1\r\nhost: a.test\r\nconnection: close\r\n\r\n"),
    local(
        b"POST /404 HTTP/1.1\r\nhost: a.test\r\nexpect: 100-continue\r\ncontent-length: 1\r\n\r\nx",
    ),
    // The body never comes whole: the connection cannot be used again.
    local(b"POST /404 HTTP/1.1\r\nhost: a.test\r\ncontent-length: 10\r\n\r\nabc"),
];

const LOGGED: &[Case] = &[
    answered(
        b"POST /a?b=\"c\" HTTP/1.1\r\nhost: a.test\r\nuser-agent: Me \"x\" \\ \xc3\xa9\r\n\
          x-forwarded-for: 192.0.2.1\r\ncontent-length: 3\r\n\r\nabc",
        b"HTTP/1.1 200 Fine\r\nx-a: 1\r\ncontent-type: text/plain\r\ntransfer-encoding: chunked\r\n\
          \r\n5\r\nhello\r\n0\r\n\r\n",
    ),
    local(b"GET /missing HTTP/1.1\r\nhost: b.test\r\n\r\n"),
    local(b"BAD\r\n\r\n"),
];

/// The counts of bytes on the wire, and of heads among them.
const METERS: &str = "log_format: {text_format_source: {inline_string: \"\
    %REQ(:METHOD)% %REQ(:PATH)% %RESPONSE_CODE% body %BYTES_RECEIVED% %BYTES_SENT% \
    wire %DOWNSTREAM_WIRE_BYTES_RECEIVED% %DOWNSTREAM_WIRE_BYTES_SENT% \
    heads %DOWNSTREAM_HEADER_BYTES_RECEIVED% %DOWNSTREAM_HEADER_BYTES_SENT% \
    decompressed %DOWNSTREAM_DECOMPRESSED_HEADER_BYTES_RECEIVED% \
    %DOWNSTREAM_DECOMPRESSED_HEADER_BYTES_SENT% \
    upstream wire %UPSTREAM_WIRE_BYTES_RECEIVED% %UPSTREAM_WIRE_BYTES_SENT% \
    heads %UPSTREAM_HEADER_BYTES_RECEIVED% %UPSTREAM_HEADER_BYTES_SENT% \
    fields %REQUEST_HEADERS_BYTES% %RESPONSE_HEADERS_BYTES% %RESPONSE_TRAILERS_BYTES%\\n\"}}";

const METERED: &[Case] = &[
    local(b"GET /probe?1 HTTP/1.1\r\nhost: a.test\r\n\r\n"),
    local(b"GET /missing HTTP/1.1\r\nhost: a.test\r\n\r\n"),
    local(b"HEAD /probe HTTP/1.1\r\nhost: a.test\r\n\r\n"),
    answered(b"GET /length HTTP/1.1\r\nHost: a.test\r\nX-Mixed-Case: 1\r\n\r\n", OK),
    answered(b"HEAD /head HTTP/1.1\r\nhost: a.test\r\n\r\n", OK_HEAD),
    answered(
        b"POST /chunked HTTP/1.1\r\nhost: a.test\r\ntransfer-encoding: chunked\r\n\r\n\
          3;x=y\r\nabc\r\n0\r\nx-sum: 1\r\n\r\n",
        b"HTTP/1.1 200 Fine\r\ntransfer-encoding: chunked\r\n\r\n5;e\r\nhello\r\n0\r\nx-sum: 1\r\n\r\n",
    ),
    answered(
        b"POST /length HTTP/1.1\r\nhost: a.test\r\ncontent-length: 3\r\n\r\nabc",
        b"HTTP/1.1 204 No Content\r\nconnection: keep-alive\r\n\r\n",
    ),
    answered(
        b"POST /expect HTTP/1.1\r\nhost: a.test\r\nexpect: 100-continue\r\n\
          content-length: 3\r\n\r\nabc",
        OK,
    ),
    answered(
        b"GET /103 HTTP/1.1\r\nhost: a.test\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 200 OK\r\n\
          content-length: 2\r\n\r\nok",
    ),
    closed(
        b"GET /until-close HTTP/1.1\r\nhost: a.test\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx-a: 1\r\n\r\nup to the end",
    ),
    closed(
        b"GET /cut HTTP/1.1\r\nhost: a.test\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf",
    ),
    closed(b"GET /none HTTP/1.1\r\nhost: a.test\r\n\r\n", b""),
    answered(b"GET /garbage HTTP/1.1\r\nhost: a.test\r\n\r\n", b"garbage\r\n\r\n"),
    local(b"POST /probe?body HTTP/1.1\r\nhost: a.test\r\ncontent-length: 3\r\n\r\nabc"),
    local(b"POST /probe?part HTTP/1.1\r\nhost: a.test\r\ncontent-length: 9\r\n\r\nabc"),
    local(b"\r\nGET /probe?blank HTTP/1.1\r\nhost: a.test\r\n\r\n"),
    local(b"GET /probe HTTP/1.1\r\nhost: a.test\r\na : b\r\nrest: 1\r\n\r\n"),
    local(b"BAD\r\n\r\n"),
    local(b"POST /probe HTTP/1.1\r\nhost: a.test\r\ncontent-length: x\r\n\r\nabcdef"),
];

const OK_HEAD: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n";

const JSON: &str = "log_format: {json_format: {\
    method: '%REQ(:METHOD)%', path: '%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%', \
    no_query: '%PATH(NQ)%', protocol: '%PROTOCOL%', code: '%RESPONSE_CODE%', \
    details: '%RESPONSE_CODE_DETAILS%', flags: '%RESPONSE_FLAGS_LONG%', \
    received: '%BYTES_RECEIVED%', sent: '%BYTES_SENT%', agent: '%REQ(USER-AGENT):9%', \
    header: '%RESP(X-A)%', absent: '%REQ(X-ABSENT)%', trailer: '%TRAILER(X-ABSENT)%', \
    request_head: '%REQUEST_HEADERS_BYTES%', \
    trailers: '%RESPONSE_TRAILERS_BYTES%', host: '%UPSTREAM_HOST%', \
    cluster: '%UPSTREAM_CLUSTER%', route: '%ROUTE_NAME%', \
    attempts: '%UPSTREAM_REQUEST_ATTEMPT_COUNT%', \
    peer: '%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%', \
    protocol_up: '%UPSTREAM_PROTOCOL%', nested: {a: ['%RESPONSE_CODE%', x%PROTOCOL%y]}, \
    wire: '%DOWNSTREAM_WIRE_BYTES_RECEIVED%'}}";
