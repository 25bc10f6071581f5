//! The log of the process: what goes where, and that rotating it loses nothing.

use std::fs;

use rustix::process::Signal;

use crate::address::ListenerAddress;
use crate::configuration::{Route, bootstrap};
use crate::environment;
use crate::patience::wait_for;
use crate::peer::Peer;
use crate::proxy::{Proxy, Running, Scratch};
use crate::upstream::Upstream;

fn configuration() -> String {
    let listener = ListenerAddress::reserve();
    bootstrap(&[Route::relay("log", listener.address, &[([127, 0, 0, 1], 9).into()])])
}

/// If this fails, logrotate's `mv` and SIGUSR1 lose lines or go on in the old file.
#[test]
fn a_rotated_log_goes_on_in_a_new_file() {
    let scratch = Scratch::new();
    let (log, rotated) = (scratch.path("log"), scratch.path("log.1"));
    let arguments = ["--log-path", log.to_str().unwrap(), "--log-format", "<%l %n> %v"];
    let proxy = Proxy::start(&environment::subject(), &configuration(), &arguments);
    let text = |path| fs::read_to_string(path).map_err(|error| error.to_string());
    let wait_for_words = |path, words: &str| {
        wait_for(&format!("'{words}' in the log"), || {
            let text = text(path)?;
            if text.contains(words) { Ok(text) } else { Err(text) }
        })
    };
    let first = wait_for_words(&log, "live\n");
    assert!(first.lines().all(|line| line.starts_with("<info main> ")), "{first}");
    fs::rename(&log, &rotated).unwrap();
    proxy.signal(Signal::USR1);
    wait_for("the new file", || text(&log));
    // What is logged next is in the new file only.
    proxy.signal(Signal::HUP);
    wait_for_words(&log, "<warning main> caught and ignored SIGHUP\n");
    assert!(!text(&rotated).unwrap().contains("SIGHUP"));
}

/// If this fails, a log that cannot be written ends the process or stops it.
#[test]
fn a_full_disk_under_the_log_costs_lines_only() {
    let arguments = ["--log-path", "/dev/full"];
    let proxy = Proxy::start(&environment::subject(), &configuration(), &arguments);
    wait_for("failed writes to be counted", || {
        match proxy.stats().value("server.log_writes_failed") {
            Some(1..) => Ok(()),
            other => Err(format!("it is {other:?}")),
        }
    });
}

/// If this fails, two processes of one configuration divide the connections between them.
#[test]
fn a_base_id_in_use_is_refused_with_the_cure() {
    let scratch = Scratch::new();
    let socket = format!("@e2e_{}", std::process::id());
    let file = scratch.write("proxy.yaml", &configuration());
    let hold = ["--socket-path", &socket, "--mode", "serve", "-c", file.to_str().unwrap()];
    let program = environment::subject();
    let first = Running::spawn_with(&program, Scratch::new(), &hold);
    wait_for("the first to run", || first.admin_address());
    let second = Running::spawn_with(&program, Scratch::new(), &hold);
    assert_eq!(second.wait_for_exit().code(), Some(1));
    assert!(second.stderr().contains("base id 0 is taken"), "{}", second.stderr());
    assert!(second.stderr().contains("--use-dynamic-base-id"), "{}", second.stderr());
    // Whoever asks for it runs beside the first.
    let dynamic = [&hold[..], &["--use-dynamic-base-id"]].concat();
    let third = Running::spawn_with(&program, Scratch::new(), &dynamic);
    wait_for("the third to run", || third.admin_address());
}

/// If this fails, nobody can tell from the log what happened to one connection.
#[test]
fn a_connection_is_followed_by_its_id_at_debug_and_not_at_info() {
    let (listener, upstream) = (ListenerAddress::reserve(), Upstream::listen());
    let route = Route::relay("log", listener.address, &[upstream.address()]);
    let format = ["--log-format", "%l %n %v"];
    let proxy =
        Proxy::start(&environment::subject(), &bootstrap(std::slice::from_ref(&route)), &format);
    let relay = |proxy: &Proxy, ended| {
        let (client, mut accepted) = (Peer::connect(listener.address), upstream.accept());
        drop(client);
        accepted.ending();
        drop(accepted);
        proxy.wait_for_stat(&route.listener_stat("downstream_cx_destroy"), ended);
    };
    relay(&proxy, 1);
    assert_eq!(proxy.ask("POST /logging?level=debug").status, 200);
    relay(&proxy, 2);
    let log = wait_for("the end of the connection in the log", || {
        let log = proxy.stderr();
        if log.contains("\"Phase\":\"closed\"") { Ok(log) } else { Err(log) }
    });
    let lines: Vec<_> = log.lines().filter(|line| line.contains("ConnectionId")).collect();
    let id = lines[0].split("\"ConnectionId\":\"").nth(1).and_then(|rest| rest.split('"').next());
    let tag = format!("[Tags: \"ConnectionId\":\"{}\",\"Phase\":", id.unwrap());
    assert!(lines.iter().all(|line| line.contains(&tag)), "{log}");
    let phases: Vec<_> = lines
        .iter()
        .map(|line| (line.split(' ').nth(1).unwrap(), line.split('"').nth(7).unwrap()))
        .collect();
    let expected = [
        ("conn_handler", "accepted"),
        ("filter", "connecting"),
        ("filter", "relaying"),
        ("conn_handler", "closed"),
    ];
    assert_eq!(phases, expected, "{log}");
}
