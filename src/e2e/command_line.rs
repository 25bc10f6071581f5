//! Command lines as start scripts have them: whatever Envoy takes Nuncio takes, and both refuse the
//! same with the same exit code.

use std::thread;

use crate::environment::{self, Program};
use crate::proxy::{Running, Scratch};

/// Each with `--mode validate` and a good file; all are taken.
const TAKEN: &[&str] = &[
    "",
    "--log-level trace",
    "-l debug",
    "-l info",
    "-l warn",
    "-l warning",
    "-l error",
    "-l critical",
    "-l off",
    "--component-log-level upstream:debug,connection:trace,http:warn",
    "--log-format [%Y-%m-%d]%v",
    "--log-format-escaped",
    "--enable-fine-grain-logging",
    "--log-stacktrace-single-entry",
    "--skip-deprecated-logs",
    "--concurrency 2",
    "--concurrency 0",
    "--cpuset-threads",
    "--drain-time-s 1",
    "--drain-strategy gradual",
    "--drain-strategy immediate",
    "--parent-shutdown-time-s 1",
    "--service-cluster a --service-node b --service-zone c",
    "--base-id 3",
    "--use-dynamic-base-id",
    "--base-id-path /dev/null",
    "--socket-path @some_socket --socket-mode 600",
    "--restart-epoch 0",
    "--skip-hot-restart-on-no-parent",
    "--skip-hot-restart-parent-stats",
    "--file-flush-interval-msec 100 --file-flush-min-size-kb 1",
    "--allow-unknown-static-fields",
    "--allow-unknown-fields",
    "--reject-unknown-dynamic-fields",
    "--ignore-unknown-dynamic-fields",
    "--disable-extensions envoy.filters.http.lua,envoy.filters.http.wasm",
    "--local-address-ip-version v4",
    "--local-address-ip-version v6",
    "--enable-core-dump",
    "--enable-mutex-tracing",
    "--stats-tag one:two --stats-tag three:four",
    "-- --whatever comes",
];

/// The same; all are refused.
const REFUSED: &[&str] = &[
    "--bogus",
    "-x",
    "stray",
    "--mode",
    "--mode serve",
    "-c other.yaml",
    "--log-level loud",
    "-l err",
    "--component-log-level upstream",
    "--component-log-level upstream:loud",
    "--component-log-level nobody:info",
    "--component-log-level upstream:debug --enable-fine-grain-logging",
    "--concurrency two",
    "--drain-time-s 4294967296",
    "--drain-strategy later",
    "--local-address-ip-version v5",
    "--stats-tag one",
    "--stats-tag one:a.b",
    "--use-dynamic-base-id --restart-epoch 1",
];

/// If this fails, a start script that works with Envoy does not work with Nuncio.
#[test]
fn what_envoy_takes_is_taken_and_what_it_refuses_is_refused() {
    let mut programs = vec![environment::subject()];
    programs.extend(environment::reference());
    let taken = TAKEN.iter().map(|line| (*line, 0));
    let lines: Vec<_> = taken.chain(REFUSED.iter().map(|line| (*line, 1))).collect();
    for program in &programs {
        // A few at a time: each is a process.
        for few in lines.chunks(8) {
            thread::scope(|scope| {
                for (line, code) in few {
                    scope.spawn(|| check(program, line, *code));
                }
            });
        }
    }
}

fn check(program: &Program, line: &str, code: i32) {
    let scratch = Scratch::new();
    let file = scratch.write("proxy.yaml", "node: {id: a, cluster: b}\n");
    let file = file.to_str().unwrap().to_owned();
    let first = ["--mode", "validate", "-c", &file];
    let arguments: Vec<_> = first.into_iter().chain(line.split_whitespace()).collect();
    let running = Running::spawn_with(program, scratch, &arguments);
    let status = running.wait_for_exit();
    let name = program.path.display();
    assert_eq!(
        status.code(),
        Some(code),
        "{name} {line}: {}{}",
        running.stdout(),
        running.stderr()
    );
    if code == 0 {
        assert_eq!(running.stdout(), format!("configuration '{file}' OK\n"), "{name} {line}");
    } else {
        assert!(!running.stderr().is_empty(), "{name} {line}: no word about it");
    }
}
