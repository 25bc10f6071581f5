//! Signals reach the callback. A test program of its own: a signal goes to the whole process, and
//! would reach the control loops of every other test in it.
#![forbid(unsafe_code)]

use std::process::Command;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, SystemTime};

use config::model::Node;
use nuncio_control::{
    Configured, Control, Limits, LogControl, LogLevel, LogLosses, Options, Order, ServerInfo,
    Shutdown, StatsOptions,
};
use observe::{Registry, ShardIndex};

const DEADLINE: Duration = Duration::from_secs(20);

/// Sends `signal` to this process. Safe code has no `kill`, but every shell has.
fn send(signal: &str) {
    let command = format!("kill -{signal} {}", std::process::id());
    assert!(Command::new("sh").args(["-c", &command]).status().expect("a shell").success());
}

/// A log that tells when it was asked to reopen its file.
#[derive(Debug)]
struct Reopened(Sender<()>);

impl LogControl for Reopened {
    fn levels(&self) -> Vec<(&'static str, LogLevel)> {
        Vec::new()
    }

    fn set_level(&self, _: &str, _: LogLevel) -> bool {
        false
    }

    fn set_all_levels(&self, _: LogLevel) {}

    fn reopen(&self) {
        self.0.send(()).expect("the test listens");
    }

    fn losses(&self) -> LogLosses {
        LogLosses::default()
    }
}

#[test]
fn first_signal_asks_gracefully_and_the_second_at_once() {
    let (handles, handle) = channel();
    let (asked, orders) = channel();
    let (reopened, reopenings) = channel();
    let thread = std::thread::spawn(move || {
        let registry = Registry::new(0);
        let control = Control::new(Options {
            admin: None,
            limits: Limits::default(),
            shard: registry.shard(ShardIndex::Control).unwrap(),
            registry,
            info: ServerInfo {
                version: String::new(),
                command_line_options: serde_json::Map::new(),
                node: Node::default(),
                concurrency: 0,
            },
            log: Arc::new(Reopened(reopened)),
            configured: Configured {
                listeners: Vec::new(),
                clusters: Vec::new(),
                stats: StatsOptions::default(),
                dump: config::load(&[config::Source::inline("{}")]).unwrap().dump,
                loaded_at: SystemTime::UNIX_EPOCH,
            },
            runtime: config::model::Runtime::default(),
            outlier_log: None,
            drain_time: Duration::ZERO,
        })
        .unwrap();
        handles.send(control.handle()).unwrap();
        control.run(|order| asked.send(order).unwrap());
    });
    // The handle comes after the signals were taken over, so none meets its default action.
    let handle = handle.recv_timeout(DEADLINE).unwrap();

    // These two would end a process that does not know them.
    send("HUP");
    send("USR1");
    assert_eq!(reopenings.recv_timeout(DEADLINE), Ok(()));
    send("TERM");
    assert_eq!(orders.recv_timeout(DEADLINE), Ok(Order::Shutdown(Shutdown::Graceful)));
    send("INT");
    assert_eq!(orders.recv_timeout(DEADLINE), Ok(Order::Shutdown(Shutdown::Now)));
    send("TERM");
    assert_eq!(orders.recv_timeout(DEADLINE), Ok(Order::Shutdown(Shutdown::Now)));

    handle.stop();
    thread.join().unwrap();
    assert_eq!(orders.iter().count(), 0, "SIGHUP asks for nothing, SIGUSR1 for no shutdown");
}
