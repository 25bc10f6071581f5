//! `/drain_listeners` with connections open: who is refused, who goes on, and what the pages say.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpStream};

use super::{Hosts, listening, start};
use crate::environment::{self, Program};
use crate::patience::wait_for;
use crate::peer::Peer;
use crate::proxy::Proxy;

/// What is asked for in turn, and what is waited for then.
const DRAINS: &[&[&str]] = &[
    &["POST /drain_listeners", "closed: relay echo", "POST /drain_listeners"],
    &["POST /drain_listeners?inboundonly", "closed: echo"],
    &[
        "POST /drain_listeners?inboundonly",
        "closed: echo",
        "POST /drain_listeners",
        "closed: relay echo",
    ],
    &["POST /drain_listeners?graceful", "open: relay echo", "closed: relay echo"],
    &["POST /drain_listeners?graceful&inboundonly", "open: relay echo", "closed: echo"],
    &[
        "POST /drain_listeners?graceful&inboundonly",
        "POST /drain_listeners?graceful",
        "closed: relay echo",
    ],
    // This one ends at once what the other would have ended later.
    &["POST /drain_listeners?graceful", "POST /drain_listeners", "closed: relay echo"],
    // A drain has begun, so the second one is no other; only one without a period closes.
    &[
        "POST /drain_listeners?skip_exit",
        "POST /drain_listeners?graceful",
        "open: relay echo",
        "POST /drain_listeners?inboundonly",
        "closed: echo",
    ],
];

/// If this fails, a deployment that drains through the admin pages loses connections, or goes on
/// to get new ones.
#[test]
fn drains_agree_with_envoy() {
    let hosts = Hosts::new();
    let reference = environment::reference();
    for drain in DRAINS {
        let here = play(&environment::subject(), &hosts, drain);
        if let Ok(envoy) = &reference {
            let envoy = play(envoy, &hosts, drain);
            assert_eq!(envoy, here, "left Envoy, right here; {drain:?}");
        }
    }
}

/// What was seen after each step.
fn play(program: &Program, hosts: &Hosts, steps: &[&str]) -> Vec<String> {
    let proxy = start(program, hosts);
    let listeners = listening(&proxy);
    let mut echo = Peer::connect(listeners[1]);
    // Accepted for certain: Envoy resets what it has not accepted when it closes.
    echo.send(b"hello");
    assert_eq!(echo.receive(5), b"hello");
    let mut seen = Vec::new();
    for step in steps {
        seen.push((*step).to_owned());
        match step.split_once(": ") {
            Some(("open", names)) => named(names, listeners).for_each(|address| {
                TcpStream::connect(address).unwrap_or_else(|error| panic!("{step}: {error}"));
            }),
            Some(("closed", names)) => {
                named(names, listeners).for_each(wait_until_refused);
                // A port that was not named stays open.
                for (name, address) in NAMES.into_iter().zip(listeners) {
                    if !names.contains(name) {
                        TcpStream::connect(address).unwrap_or_else(|e| panic!("{name}: {e}"));
                    }
                }
                // Refused is said before it is counted. The listener of HTTP goes with the relay.
                let stopped = names.split(' ').count() + usize::from(names.contains("relay"));
                let stopped = u64::try_from(stopped).unwrap();
                proxy.wait_for_stat("listener_manager.listener_stopped", stopped);
            }
            _ => {
                let answer = proxy.ask(step);
                seen.push(format!("{} {:?}", answer.status, answer.body));
            }
        }
        echo.send(b"still here");
        assert_eq!(echo.receive(10), b"still here", "{step}");
        seen.extend(state(&proxy));
    }
    seen
}

const NAMES: [&str; 2] = ["relay", "echo"];

fn named(names: &str, listeners: [SocketAddr; 2]) -> impl Iterator<Item = SocketAddr> {
    let chosen = NAMES.into_iter().zip(listeners);
    let chosen: Vec<_> = chosen.filter(|(name, _)| names.contains(name)).collect();
    chosen.into_iter().map(|(_, address)| address)
}

fn wait_until_refused(address: SocketAddr) {
    wait_for("new connections to be refused", || match TcpStream::connect(address) {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => Ok(()),
        other => Err(format!("{other:?}")),
    });
}

/// What the pages say about the process meanwhile.
fn state(proxy: &Proxy) -> Vec<String> {
    let ready = proxy.ask("GET /ready");
    let stats = proxy.stats();
    let stat = |name: &&str| format!("{name}: {:?}", stats.value(name));
    let listeners = proxy.ask("GET /listeners").body.lines().count();
    let mut seen = vec![format!("/ready {} {:?}", ready.status, ready.body)];
    seen.push(format!("/listeners: {listeners}"));
    seen.extend(STATS.iter().map(stat));
    seen
}

const STATS: &[&str] = &[
    "listener_manager.total_listeners_active",
    "listener_manager.total_listeners_draining",
    "server.live",
    "server.state",
];
