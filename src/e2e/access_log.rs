//! Access logs of the whole process: what the end of the process and a rotation do to lines.

use std::fs;

use rustix::process::Signal;

use crate::address::ListenerAddress;
use crate::configuration::socket_address;
use crate::environment;
use crate::patience::wait_for;
use crate::peer::Peer;
use crate::proxy::{Proxy, Scratch};

/// Longer than any test runs: what is written before the end was written because of it.
const NEVER: [&str; 2] = ["--file-flush-interval-msec", "600000"];

fn echo_with_log(listener: &ListenerAddress, log: &str) -> String {
    let address = socket_address(listener.address);
    format!(
        "admin: {{address: {{socket_address: {{address: 127.0.0.1, port_value: 0}}}}}}\n\
         static_resources:\n  listeners:\n  - name: echo\n    address: {address}\n    \
         access_log: [{{name: a, typed_config: {log}}}]\n    filter_chains:\n    - filters:\n      \
         - name: echo\n        typed_config:\n          \"@type\": \
         type.googleapis.com/envoy.extensions.filters.network.echo.v3.Echo\n"
    )
}

const FORMAT: &str = "log_format: {text_format_source: {inline_string: \
                      \"%ACCESS_LOG_TYPE% %BYTES_RECEIVED%\\n\"}}";

fn connect_and_send(listener: &ListenerAddress, bytes: usize) -> Peer {
    let mut client = Peer::connect(listener.address);
    client.send(&vec![b'x'; bytes]);
    assert_eq!(client.receive(bytes).len(), bytes);
    client
}

/// If this fails, lines that wait in a buffer are lost when the process ends.
#[test]
fn sigterm_loses_no_line_not_even_of_connections_that_are_cut() {
    let (listener, folder) = (ListenerAddress::reserve(), Scratch::new());
    let path = folder.path("access.log");
    let log = format!(
        "{{\"@type\": type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog, \
         path: {}, {FORMAT}}}",
        path.display()
    );
    let arguments = [&["--concurrency", "2", "--shutdown-grace-s", "0"][..], &NEVER].concat();
    let proxy = Proxy::start(&environment::subject(), &echo_with_log(&listener, &log), &arguments);
    for bytes in 1..=50 {
        drop(connect_and_send(&listener, bytes));
    }
    let open = connect_and_send(&listener, 51);
    proxy.wait_for_stat("filesystem.write_buffered", 50);
    assert_eq!(fs::read_to_string(&path).unwrap(), "", "nothing is written before its time");
    proxy.signal(Signal::TERM);
    assert!(proxy.wait_for_exit().success());
    drop(open);
    let text = fs::read_to_string(&path).unwrap();
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    let mut expected: Vec<String> = (1..=51).map(|bytes| format!("NotSet {bytes}")).collect();
    expected.sort_unstable();
    assert_eq!(lines, expected);
}

/// If this fails, a rotated log is written on, or its lines are lost.
#[test]
fn sigusr1_opens_the_files_anew() {
    let (listener, folder) = (ListenerAddress::reserve(), Scratch::new());
    let (path, rotated) = (folder.path("access.log"), folder.path("access.log.1"));
    let log = format!(
        "{{\"@type\": type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog, \
         path: {}, {FORMAT}}}",
        path.display()
    );
    let arguments = ["--concurrency", "1", "--file-flush-interval-msec", "50"];
    let proxy = Proxy::start(&environment::subject(), &echo_with_log(&listener, &log), &arguments);
    let written = |path: &std::path::Path, expected: &str| {
        wait_for("the line in the file", || match fs::read_to_string(path) {
            Ok(text) if text == expected => Ok(()),
            other => Err(format!("{other:?}")),
        });
    };
    drop(connect_and_send(&listener, 1));
    written(&path, "NotSet 1\n");
    fs::rename(&path, &rotated).unwrap();
    proxy.signal(Signal::USR1);
    wait_for("the new file", || path.exists().then_some(()).ok_or_else(String::new));
    drop(connect_and_send(&listener, 2));
    written(&path, "NotSet 2\n");
    written(&rotated, "NotSet 1\n");
}
