//! Messages that pass: methods, both kinds of bodies, informational responses, trailers, versions.

use super::plan::Http;
use super::{Case, OK, Origin, answered, closed, local, play, usual};
use crate::differential::Scenario;
use crate::differential::stage::Stage;

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario {
            name: "http_messages",
            shows: "D2, http: methods and bodies of each framing; the connection is used again",
            plan: usual,
            script: |stage| play(stage, MESSAGES),
        },
        Scenario {
            name: "http_chunks",
            shows: "http: a body of several chunks",
            plan: usual,
            script: |stage| play(stage, CHUNKS),
        },
        Scenario {
            name: "http_informational",
            shows: "http: 100, 103 and Expect: 100-continue",
            plan: usual,
            script: |stage| play(stage, INFORMATIONAL),
        },
        Scenario {
            name: "http_trailers",
            shows: "http: trailers with enable_trailers on both sides",
            plan: || {
                let manager = &["http_protocol_options: {enable_trailers: true}"];
                let protocol =
                    &["explicit_http_config: {http_protocol_options: {enable_trailers: true}}"];
                Http { manager, protocol, ..Http::default() }.plan()
            },
            script: |stage| play(stage, TRAILERS),
        },
        Scenario {
            name: "http_trailers_dropped",
            shows: "http: trailers without enable_trailers",
            plan: usual,
            script: |stage| play(stage, TRAILERS),
        },
        Scenario {
            name: "http_10",
            shows: "http: HTTP/1.0 with accept_http_10 and default_host_for_http_10",
            plan: || {
                let manager: &[&str] = &["http_protocol_options: {accept_http_10: true, \
                     default_host_for_http_10: default.test}"];
                Http { manager, ..Http::default() }.plan()
            },
            script: |stage| play(stage, VERSION_10),
        },
        Scenario {
            name: "http_10_refused",
            shows: "http: HTTP/1.0 without accept_http_10",
            plan: usual,
            script: |stage| {
                play(stage, &[local(b"GET / HTTP/1.0\r\nhost: a.test\r\n\r\n")]);
            },
        },
        Scenario {
            name: "http_bytes_on_the_way",
            shows: "http: bytes are counted while a long exchange is under way",
            plan: usual,
            script: bytes_on_the_way,
        },
        Scenario {
            name: "http_pipelining",
            shows: "E5: pipelined requests are answered in order, one at a time",
            plan: usual,
            script: pipelining,
        },
        Scenario {
            name: "http_pipelining_local",
            shows: "E5: pipelined requests that the proxy answers itself",
            plan: usual,
            script: pipelining_local,
        },
    ]
}

const MESSAGES: &[Case] = &[
    answered(b"GET /a?b=c HTTP/1.1\r\nHost: a.test\r\nUser-Agent: Me\r\nAccept: */*\r\n\r\n", OK),
    answered(
        b"GET /chunked HTTP/1.1\r\nhost: a.test\r\n\r\n",
        b"HTTP/1.1 200 Fine\r\nX-Case: One\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    ),
    answered(
        b"HEAD /head HTTP/1.1\r\nhost: a.test\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n",
    ),
    answered(
        b"HEAD /head-chunked HTTP/1.1\r\nhost: a.test\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
    ),
    answered(b"POST /length HTTP/1.1\r\nhost: a.test\r\ncontent-length: 3\r\n\r\nabc", OK),
    answered(b"POST /empty HTTP/1.1\r\nhost: a.test\r\ncontent-length: 0\r\n\r\n", OK),
    answered(b"POST /none HTTP/1.1\r\nhost: a.test\r\n\r\n", OK),
    answered(
        b"POST /chunked HTTP/1.1\r\nhost: a.test\r\ntransfer-encoding: chunked\r\n\r\n\
          3;x=y\r\nabc\r\n0\r\n\r\n",
        OK,
    ),
    answered(
        b"PUT /both HTTP/1.1\r\nhost: a.test\r\ntransfer-encoding: chunked\r\n\r\n\
          3\r\nabc\r\n0\r\n\r\n",
        b"HTTP/1.1 201 Created\r\nlocation: /x\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    answered(
        b"GET /204 HTTP/1.1\r\nhost: a.test\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\nx-a: 1\r\n\r\n",
    ),
    answered(
        b"GET /304 HTTP/1.1\r\nhost: a.test\r\nif-none-match: x\r\n\r\n",
        b"HTTP/1.1 304 Not Modified\r\netag: x\r\ncontent-length: 7\r\n\r\n",
    ),
    answered(
        b"GET /304-bare HTTP/1.1\r\nhost: a.test\r\n\r\n",
        b"HTTP/1.1 304 Not Modified\r\n\r\n",
    ),
    answered(
        b"DELETE /length HTTP/1.1\r\nhost: a.test\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nserver: mine\r\ndate: then\r\n\r\n",
    ),
    answered(b"PATCH /error HTTP/1.1\r\nhost: a.test\r\n\r\n", ERROR),
    local(b"BREW /own-method HTTP/1.1\r\nhost: a.test\r\n\r\n"),
    local(b"OPTIONS * HTTP/1.1\r\nhost: a.test\r\n\r\n"),
    answered(b"GET http://b.test/absolute?x HTTP/1.1\r\nhost: a.test\r\n\r\n", OK),
    answered(b"GET http://b.test HTTP/1.1\r\nhost: a.test\r\n\r\n", OK),
    answered(
        b"GET /close HTTP/1.1\r\nhost: a.test\r\nconnection: close\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    ),
    answered(
        b"GET /hop HTTP/1.1\r\nhost: a.test\r\nconnection: keep-alive, x-hop\r\nx-hop: 1\r\n\
          keep-alive: timeout=3\r\nte: trailers\r\nproxy-connection: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nkeep-alive: timeout=5\r\nconnection: keep-alive\r\n\
          content-length: 2\r\n\r\nok",
    ),
    // From here on no connection can be used again.
    closed(
        b"GET /until-close HTTP/1.1\r\nhost: a.test\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx-a: 1\r\n\r\nup to the end",
    ),
    answered(
        b"GET /said-close HTTP/1.1\r\nhost: a.test\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok",
    ),
    closed(
        b"GET /upstream-10 HTTP/1.1\r\nhost: a.test\r\n\r\n",
        b"HTTP/1.0 200 Fine\r\n\r\nold",
    ),
    answered(
        b"GET /upstream-10-length HTTP/1.1\r\nhost: a.test\r\n\r\n",
        b"HTTP/1.0 200 Fine\r\ncontent-length: 3\r\n\r\nold",
    ),
    answered(b"GET /after HTTP/1.1\r\nhost: a.test\r\n\r\n", OK),
];

const ERROR: &[u8] = b"HTTP/1.1 500 Oops\r\ncontent-length: 4\r\n\r\nfail";

const CHUNKS: &[Case] = &[answered(
    b"POST /chunks HTTP/1.1\r\nhost: a.test\r\ntransfer-encoding: chunked\r\n\r\n\
      3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
)];

const INFORMATIONAL: &[Case] = &[
    answered(
        b"POST /expect HTTP/1.1\r\nhost: a.test\r\nexpect: 100-continue\r\ncontent-length: 3\r\n\r\n\
          abc",
        OK,
    ),
    answered(
        b"POST /Expect HTTP/1.1\r\nhost: a.test\r\nExpect: 100-Continue\r\n\
          transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        OK,
    ),
    answered(
        b"POST /expects-other HTTP/1.1\r\nhost: a.test\r\nexpect: more\r\ncontent-length: 3\r\n\r\n\
          abc",
        OK,
    ),
    answered(
        b"GET /103 HTTP/1.1\r\nhost: a.test\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 200 OK\r\n\
          content-length: 2\r\n\r\nok",
    ),
    answered(
        b"GET /100 HTTP/1.1\r\nhost: a.test\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
    ),
    answered(
        b"GET /103-102 HTTP/1.1\r\nhost: a.test\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 200 OK\r\n\
          content-length: 2\r\n\r\nok",
    ),
    answered(
        b"GET /100-103 HTTP/1.1\r\nhost: a.test\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\n\
          content-length: 2\r\n\r\nok",
    ),
    answered(
        b"GET /102 HTTP/1.1\r\nhost: a.test\r\n\r\n",
        b"HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 200 OK\r\n\
          content-length: 2\r\n\r\nok",
    ),
];

const TRAILERS: &[Case] = &[
    answered(
        b"POST /up HTTP/1.1\r\nhost: a.test\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n\
          3\r\nabc\r\n0\r\nX-Sum: 1\r\nx-sum: 2\r\n\r\n",
        OK,
    ),
    answered(
        b"GET /down HTTP/1.1\r\nhost: a.test\r\nte: trailers\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n",
    ),
    answered(
        b"POST /without-data HTTP/1.1\r\nhost: a.test\r\ntransfer-encoding: chunked\r\n\r\n\
          0\r\nx-sum: 1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\nx-sum: 1\r\n\r\n",
    ),
];

const VERSION_10: &[Case] = &[
    local(b"GET /probe HTTP/1.0\r\n\r\n"),
    answered(b"GET /no-host HTTP/1.0\r\n\r\n", OK),
    answered(b"GET /host HTTP/1.0\r\nhost: a.test\r\n\r\n", OK),
    answered(b"GET /keep-alive HTTP/1.0\r\nhost: a.test\r\nconnection: keep-alive\r\n\r\n", OK),
    answered(b"POST /body HTTP/1.0\r\nhost: a.test\r\ncontent-length: 3\r\n\r\nabc", OK),
    answered(
        b"GET /chunked HTTP/1.0\r\nhost: a.test\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    ),
    answered(
        b"HEAD /head HTTP/1.0\r\nhost: a.test\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n",
    ),
];

fn bytes_on_the_way(stage: &mut Stage<'_>) {
    let mut client = stage.connect();
    let head = b"POST / HTTP/1.1\r\nhost: a.test\r\ncontent-length: 9\r\n\r\n";
    client.send(head);
    let mut upstream = stage.accept();
    upstream.receive_head();
    stage.expect_stat("http.downstream_cx_rx_bytes_total", head.len() as u64);
    client.send(b"abc");
    assert_eq!(upstream.receive(3), b"abc");
    stage.expect_stat("http.downstream_cx_rx_bytes_total", head.len() as u64 + 3);
    client.send(b"defghi");
    assert_eq!(upstream.receive(6), b"defghi");
    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nok";
    upstream.send(answer);
    let head = client.receive_head();
    stage.note("the client received the head", stage.shown(head.as_bytes()).escape_ascii());
    assert_eq!(client.receive(2), b"ok");
    stage.expect_stat("cluster.upstream_cx_rx_bytes_total", answer.len() as u64);
    upstream.send(b"ok");
    assert_eq!(client.receive(2), b"ok");
    drop(client);
    super::note_log(stage);
}

fn pipelining(stage: &mut Stage<'_>) {
    let mut client = stage.connect();
    client.send(
        b"GET /1 HTTP/1.1\r\nhost: a.test\r\n\r\n\
          POST /2 HTTP/1.1\r\nhost: a.test\r\ncontent-length: 3\r\n\r\nabc\
          POST /3 HTTP/1.1\r\nhost: a.test\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n\
          GET /4 HTTP/1.1\r\nhost: a.test\r\nconnection: close\r\n\r\n\
          GET /never HTTP/1.1\r\nhost: a.test\r\n\r\n",
    );
    let mut origin = Origin::new(stage.upstreams().next().unwrap());
    for number in 1..=4 {
        let what = format!("{number}:");
        let (mut upstream, connection) = origin.next(&what);
        stage.note(&format!("{what} the upstream is asked over"), connection);
        let request = upstream.receive_request();
        assert!(request.start_line().contains(&format!("/{number} ")), "{request:?}");
        stage.note_message(&what, &request);
        // The next one is not sent before this one is answered.
        stage.expect_stat("http.downstream_rq_active", 1);
        assert!(upstream.is_open_and_quiet());
        upstream.send(OK);
        origin.kept.push(upstream);
    }
    let (bytes, ending) = client.receive_to_end();
    assert_eq!(bytes.windows(9).filter(|window| window == b"HTTP/1.1 ").count(), 4);
    stage.note_end("the client", &(stage.shown(&bytes), ending));
    super::note_log(stage);
}

fn pipelining_local(stage: &mut Stage<'_>) {
    let mut client = stage.connect();
    // No more than two at once: Envoy cuts a client whose third local reply would have to wait,
    // and stalls behind some; here each is answered, which `proxy` tests.
    client.send(
        b"GET /probe HTTP/1.1\r\nhost: a.test\r\n\r\n\
          GET /missing HTTP/1.1\r\nhost: a.test\r\n\r\n",
    );
    super::note_answer(stage, "first:", &mut client, "GET");
    super::note_answer(stage, "second:", &mut client, "GET");
    client.send(
        b"HEAD /probe HTTP/1.1\r\nhost: a.test\r\n\r\n\
          GET /probe HTTP/1.1\r\nhost: a.test\r\nconnection: close\r\n\r\n",
    );
    super::note_answer(stage, "third:", &mut client, "HEAD");
    super::note_answer(stage, "fourth:", &mut client, "GET");
    super::note_log(stage);
}
