//! What runs without any argument does on Envoy what it does here.
//!
//! The addresses of the demo are fixed, so this test runs what `--print-default-config` prints,
//! with the ports exchanged; that the real ones are announced is a unit test of the server.

use std::thread;

use crate::address::ListenerAddress;
use crate::environment::{self, Kind, Program};
use crate::peer::Peer;
use crate::proxy::{Proxy, Running, Scratch};

/// HTTP that is forwarded, HTTP that is answered, TCP that is relayed, TCP that is echoed.
const PORTS: [&str; 4] = ["10000", "10001", "10002", "10003"];

/// If this fails, the first thing that a new user tries does not work, or only here.
#[test]
fn the_printed_default_configuration_does_the_same_on_both_proxies() {
    let subject = environment::subject();
    if subject.kind == Kind::Envoy {
        return eprintln!("skipped: the program under test is an Envoy");
    }
    let printing = Running::spawn_with(&subject, Scratch::new(), &["--print-default-config"]);
    assert!(printing.wait_for_exit().success(), "{}", printing.stderr());
    let text = printing.stdout();
    let reference = environment::reference();
    thread::scope(|scope| {
        let here = scope.spawn(|| observe(&subject, &text));
        match &reference {
            Ok(envoy) => assert_eq!(here.join().unwrap(), observe(envoy, &text)),
            Err(missing) => eprintln!("not compared: {missing}"),
        }
    });
}

/// Runs the demo on ports of its own, does what its announcement suggests, and tells what came.
fn observe(program: &Program, text: &str) -> Vec<String> {
    let listeners = PORTS.map(|_| ListenerAddress::reserve());
    let mut text = text.replace("port_value: 9901", "port_value: 0");
    for (fixed, listener) in PORTS.iter().zip(&listeners) {
        let (from, to) = (format!(": {fixed} "), format!(": {} ", listener.address.port()));
        assert!(text.contains(&from), "port {fixed} is not in the demo");
        text = text.replace(&from, &to);
    }
    let proxy = Proxy::start(program, &text, &["--concurrency", "1"]);
    let [ingress, _, relay, _] = &listeners;

    let mut client = Peer::connect(ingress.address);
    let get = |client: &mut Peer, path: &str| {
        client.send(format!("GET {path} HTTP/1.1\r\nHost: demo\r\n\r\n").as_bytes());
        client.receive_response("GET")
    };
    let (hello, redirect) = (get(&mut client, "/"), get(&mut client, "/old"));
    assert_eq!(hello.status(), 200);
    assert_eq!(hello.body, b"Hello from the other side of the proxy.\n");
    assert_eq!(redirect.status(), 301);
    let location = redirect.header("location").unwrap();
    let followed = get(&mut client, location.strip_prefix("http://demo").unwrap());
    assert_eq!(followed.body, hello.body);

    let mut client = Peer::connect(relay.address);
    client.send(b"a line\n");
    assert_eq!(client.receive(7), b"a line\n");
    drop(client);

    let counted =
        ["http.ingress.downstream_rq_2xx", "http.ingress.downstream_rq_3xx"].map(|stat| {
            let value = proxy.stats().value(stat);
            format!("{stat}: {value:?}")
        });
    assert!(counted[0].ends_with("Some(2)"), "{counted:?}");
    let messages = [hello, redirect, followed];
    messages.iter().map(|message| masked(&message.head)).chain(counted).collect()
}

/// A head without what differs from one response to the next.
fn masked(head: &str) -> String {
    let varies = |line: &&str| {
        !["date:", "x-envoy-upstream-service-time:"].iter().any(|name| line.starts_with(name))
    };
    head.lines().filter(varies).collect::<Vec<_>>().join("\n")
}
