//! The whole loop over real sockets: requests by plain `TcpStream`, good ones and bad ones.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use config::model::{Node, Runtime, RuntimeLayer, RuntimeSource};
use observe::ShardIndex;
use observe::names::{
    ADMIN_LISTENER_PREFIX, AdminListenerStat, ClusterStat, ListenerStat, cluster_prefix,
};

use super::*;
use crate::log::{LogLevel, LogLosses};
use crate::state::State;
use crate::{StatsFlush, StatsOptions};

/// No test waits this long unless it fails.
const DEADLINE: Duration = Duration::from_secs(20);

struct Running {
    address: SocketAddr,
    handle: Handle,
    registry: Registry,
    orders: Receiver<Order>,
    thread: JoinHandle<()>,
}

impl Running {
    fn start(limits: Limits) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let registry = Registry::new(1);
        let (handles, handle) = channel();
        let (asked, orders) = channel();
        let thread = std::thread::spawn({
            let registry = registry.clone();
            move || {
                let control = Control::new(options(Some(listener), limits, registry)).unwrap();
                handles.send(control.handle()).unwrap();
                control.run(|order| asked.send(order).unwrap());
            }
        });
        let handle = handle.recv_timeout(DEADLINE).unwrap();
        Self { address, handle, registry, orders, thread }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.set_write_timeout(Some(DEADLINE)).unwrap();
        stream
    }

    /// Sends `bytes` on a new connection and reads until the server closes it.
    fn exchange(&self, bytes: &[u8]) -> Answer {
        let mut stream = self.connect();
        stream.write_all(bytes).unwrap();
        Answer::read_to_end(&mut stream)
    }

    fn request(&self, method: &str, target: &str) -> Answer {
        let head = format!("{method} {target} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
        self.exchange(head.as_bytes())
    }

    fn get(&self, target: &str) -> Answer {
        self.request("GET", target)
    }

    fn admin_total(&self, stat: AdminListenerStat) -> u64 {
        self.registry.scope(ADMIN_LISTENER_PREFIX).total(stat)
    }

    /// Waits for the loop to see what a client did; the loop has no event to wait for.
    fn wait_until(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        let start = crate::clock::now();
        while !holds(self) {
            assert!(start.elapsed() < DEADLINE, "waited in vain: {what}");
            std::thread::park_timeout(Duration::from_millis(1));
        }
    }

    fn stop(self) {
        self.handle.stop();
        self.thread.join().unwrap();
    }
}

fn options(admin: Option<TcpListener>, limits: Limits, registry: Registry) -> Options {
    let admin_layer = RuntimeLayer { name: "a".to_owned(), source: RuntimeSource::Admin };
    let mut command_line_options = serde_json::Map::new();
    command_line_options.insert("concurrency".to_owned(), 1.into());
    command_line_options.insert("config_path".to_owned(), "envoy.yaml".into());
    Options {
        admin,
        limits,
        shard: registry.shard(ShardIndex::Control).unwrap(),
        registry,
        info: ServerInfo {
            version: "nuncio/0.1.0".to_owned(),
            command_line_options,
            node: Node { id: "n1".to_owned(), cluster: "c1".to_owned(), ..Node::default() },
            concurrency: 1,
        },
        log: Arc::new(Lossy),
        configured: Configured {
            listeners: Vec::new(),
            clusters: Vec::new(),
            stats: StatsOptions { flush: StatsFlush::OnAdmin, ..StatsOptions::default() },
            dump: config::load(&[config::Source::inline("{}")]).unwrap().dump,
            loaded_at: SystemTime::UNIX_EPOCH,
        },
        runtime: Runtime { layers: vec![admin_layer] },
        outlier_log: None,
        drain_time: Duration::ZERO,
    }
}

/// A log that lost something of each kind.
#[derive(Debug)]
struct Lossy;

impl LogControl for Lossy {
    fn levels(&self) -> Vec<(&'static str, LogLevel)> {
        Vec::new()
    }

    fn set_level(&self, _: &str, _: LogLevel) -> bool {
        false
    }

    fn set_all_levels(&self, _: LogLevel) {}

    fn reopen(&self) {}

    fn losses(&self) -> LogLosses {
        LogLosses { suppressed: 3, dropped: 2, failed_writes: 1 }
    }
}

#[derive(Debug)]
struct Answer {
    status: u16,
    /// Lower-case head without the status line.
    head: String,
    body: String,
}

impl Answer {
    fn read_to_end(stream: &mut TcpStream) -> Self {
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").expect("a whole response head");
        let (line, head) = head.split_once("\r\n").expect("a status line");
        let status = line.split(' ').nth(1).unwrap().parse().unwrap();
        let head = head.to_ascii_lowercase();
        let chunked = head.contains("transfer-encoding: chunked");
        let body = if chunked { unchunked(body) } else { body.to_owned() };
        Self { status, head, body }
    }

    fn header(&self, name: &str) -> Option<&str> {
        let value = self.head.lines().find_map(|line| line.strip_prefix(name))?;
        value.strip_prefix(": ")
    }
}

/// The chunks of a body, joined.
fn unchunked(mut rest: &str) -> String {
    let mut body = String::new();
    loop {
        let (size, after) = rest.split_once("\r\n").unwrap();
        let size = usize::from_str_radix(size, 16).unwrap();
        if size == 0 {
            return body;
        }
        body.push_str(&after[..size]);
        rest = &after[size + 2..];
    }
}

#[test]
fn ready_follows_the_state() {
    let running = Running::start(Limits::default());
    let answer = running.get("/ready");
    assert_eq!((answer.status, answer.body.as_str()), (503, "INITIALIZING\n"));
    for (state, status, body) in [
        (State::PreInitializing, 503, "PRE_INITIALIZING\n"),
        (State::Live, 200, "LIVE\n"),
        (State::Draining, 503, "DRAINING\n"),
    ] {
        running.handle.set_state(state);
        let answer = running.get("/ready?unknown=1");
        assert_eq!((answer.status, answer.body.as_str()), (status, body));
    }
    running.stop();
}

#[test]
fn headers_are_envoys() {
    let running = Running::start(Limits::default());
    for (target, content_type) in [
        ("/", "text/html; charset=utf-8"),
        ("/help", "text/plain; charset=utf-8"),
        ("/nope", "text/plain; charset=utf-8"),
        ("/ready", "text/plain; charset=utf-8"),
        ("/server_info", "application/json"),
        ("/stats", "text/plain; charset=utf-8"),
        ("/stats?format=json", "application/json"),
        ("/stats?format=bogus", "text/plain; charset=utf-8"),
    ] {
        let answer = running.get(target);
        assert_eq!(answer.header("content-type"), Some(content_type), "{target}");
        assert_eq!(answer.header("cache-control"), Some("no-cache, max-age=0"), "{target}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{target}");
        assert!(answer.header("date").is_some(), "{target}");
    }
    running.stop();
}

#[test]
fn stats_show_what_workers_counted_and_the_process() {
    let running = Running::start(Limits::default());
    running.handle.set_state(State::Live);
    let shard = running.registry.shard(ShardIndex::Worker(0)).unwrap();
    let cluster = running.registry.scope::<ClusterStat>(&cluster_prefix("up")).on(&shard);
    cluster.add(ClusterStat::UpstreamCxRxBytesTotal, 1234);
    let listener = running.registry.scope::<ListenerStat>("listener.l").on(&shard);
    let _held = listener.guard(ListenerStat::DownstreamCxActive);

    let answer = running.get("/stats");
    assert_eq!(answer.status, 200);
    let lines: Vec<&str> = answer.body.lines().collect();
    let (histograms, numbers): (Vec<&str>, Vec<&str>) =
        lines.iter().partition(|line| line.ends_with(")") || line.ends_with("No recorded values"));
    for lines in [&numbers, &histograms] {
        assert!(lines.is_sorted_by_key(|line| line.split_once(": ").unwrap().0));
    }
    assert_eq!(lines, [numbers.as_slice(), &histograms].concat(), "histograms come last");
    for line in [
        "cluster.up.upstream_cx_rx_bytes_total: 1234",
        "cluster.up.upstream_cx_total: 0",
        // The scrape itself is a connection and a request under way.
        "http.admin.downstream_rq_active: 1",
        "http.admin.downstream_rq_completed: 1",
        "http.admin.downstream_rq_total: 1",
        "listener.admin.downstream_cx_active: 1",
        "listener.l.downstream_cx_active: 1",
        "listener.l.worker_0.downstream_cx_active: 1",
        "server.concurrency: 1",
        "server.live: 1",
        "server.log_lines_dropped: 2",
        "server.log_lines_suppressed: 3",
        "server.log_writes_failed: 1",
        "server.state: 0",
        "server.total_connections: 1",
    ] {
        assert!(lines.contains(&line), "{line} is missing in\n{}", answer.body);
    }
    let memory = lines.iter().find_map(|l| l.strip_prefix("server.memory_physical_size: "));
    assert!(memory.unwrap().parse::<u64>().unwrap() > 1 << 20, "a process takes over 1 MiB");

    let answer = running.get("/stats?filter=%5Eserver%5C.l&format=json&type=Gauges");
    assert_eq!(answer.body, r#"{"stats":[{"name":"server.live","value":1}]}"#);
    // Unescaped, as people type it.
    let answer = running.get("/stats?filter=^cluster\\.up\\.upstream_cx_[rt]x_bytes_total$");
    assert_eq!(
        answer.body,
        "cluster.up.upstream_cx_rx_bytes_total: 1234\ncluster.up.upstream_cx_tx_bytes_total: 0\n"
    );
    let answer = running.get("/stats/prometheus?filter=^server\\.concurrency");
    assert_eq!(
        answer.body,
        "# TYPE envoy_server_concurrency gauge\nenvoy_server_concurrency{} 1\n"
    );
    assert_eq!(running.get("/stats?filter=(").status, 400);
    running.stop();
}

#[test]
fn server_info_has_envoys_shape() {
    let running = Running::start(Limits::default());
    running.handle.set_state(State::Live);
    let answer = running.get("/server_info");
    assert!(answer.body.starts_with("{\n \"version\": \"nuncio/0.1.0\",\n \"state\": \"LIVE\",\n"));
    assert!(answer.body.ends_with("\n}\n"));
    let info: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(info["command_line_options"]["config_path"], "envoy.yaml");
    assert_eq!(info["command_line_options"]["concurrency"], 1);
    assert_eq!(info["node"]["id"], "n1");
    assert_eq!(info["node"]["cluster"], "c1");
    assert_eq!(info["hot_restart_version"], "disabled");
    for field in ["uptime_current_epoch", "uptime_all_epochs"] {
        let uptime = info[field].as_str().unwrap();
        assert!(uptime.strip_suffix('s').unwrap().parse::<u64>().is_ok(), "{uptime}");
    }
    running.stop();
}

#[test]
fn unknown_path_lists_the_commands() {
    let running = Running::start(Limits::default());
    let help = running.get("/help");
    assert_eq!(help.status, 200);
    for method in ["GET", "POST"] {
        let answer = running.request(method, "/ready/");
        assert_eq!(answer.status, 404);
        assert_eq!(answer.body, format!("invalid path. {}", help.body));
    }
    let home = running.get("/");
    assert_eq!(home.status, 200);
    assert!(home.body.contains("<a href='server_info'>"));
    running.stop();
}

#[test]
fn quit_takes_post_only_and_asks_once() {
    let running = Running::start(Limits::default());
    let answer = running.get("/quitquitquit");
    assert_eq!(answer.status, 405);
    assert_eq!(answer.body, "Method GET not allowed, POST required.");
    assert!(running.orders.try_recv().is_err());

    let answer = running.request("POST", "/quitquitquit");
    assert_eq!((answer.status, answer.body.as_str()), (200, "OK\n"));
    assert_eq!(running.orders.recv_timeout(DEADLINE), Ok(Order::Shutdown(Shutdown::Graceful)));

    // A second one changes nothing, and the pages go on until the loop is told to stop.
    assert_eq!(running.request("POST", "/quitquitquit").status, 200);
    assert_eq!(running.get("/help").status, 200);
    let Running { handle, thread, orders, .. } = running;
    handle.stop();
    thread.join().unwrap();
    assert_eq!(orders.iter().count(), 0);
}

#[test]
fn head_has_no_body_and_post_body_is_ignored() {
    let running = Running::start(Limits::default());
    running.handle.set_state(State::Live);
    let answer = running.request("HEAD", "/ready");
    assert_eq!((answer.status, answer.body.as_str()), (200, ""));
    let answer = running.exchange(
        b"POST /ready HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 5\r\n\r\nhello",
    );
    assert_eq!((answer.status, answer.body.as_str()), (200, "LIVE\n"));
    running.stop();
}

#[test]
fn one_connection_carries_several_requests() {
    let running = Running::start(Limits::default());
    let answer = running.exchange(
        b"GET /ready HTTP/1.1\r\nhost: a\r\n\r\n\
          GET /nope HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
    );
    assert_eq!(answer.status, 503);
    assert!(answer.body.starts_with("INITIALIZING\n"), "{}", answer.body);
    assert!(answer.body.contains("HTTP/1.1 404 Not Found\r\n"), "{}", answer.body);
    assert_eq!(running.admin_total(AdminListenerStat::DownstreamCxTotal), 1);
    running.stop();
}

#[test]
fn bad_requests_are_answered_and_closed() {
    let running = Running::start(Limits::default());
    let huge_field = format!("GET /ready HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n", "a".repeat(70_000));
    let huge_target = format!("GET /{} HTTP/1.1\r\nhost: a\r\n\r\n", "a".repeat(62_000));
    let many_fields = format!("GET /ready HTTP/1.1\r\nhost: a\r\n{}\r\n", "x: 1\r\n".repeat(150));
    for (bytes, status) in [
        ("GARBAGE\r\n\r\n", "400"),
        ("\0\x16\x03\x01\r\n\r\n", "400"),
        ("GET ready HTTP/1.1\r\nhost: a\r\n\r\n", "400"),
        ("GET /ready HTTP/1.1\r\nhost a\r\n\r\n", "400"),
        ("GET /ready HTTP/1.1\r\n\r\n", "400"),
        ("GET /ready HTTP/1.0\r\nhost: a\r\n\r\n", "426"),
        (&huge_field, "431"),
        (&huge_target, "431"),
        (&many_fields, "431"),
    ] {
        let mut stream = running.connect();
        // The server may close before it has taken all of it.
        let _ = stream.write_all(bytes.as_bytes());
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let answer = String::from_utf8_lossy(&answer);
        let request = &bytes[..bytes.len().min(40)];
        assert_eq!(answer.split(' ').nth(1), Some(status), "{request:?}: {answer}");
    }
    assert_eq!(running.get("/help").status, 200);
    running.stop();
}

#[test]
fn slow_heads_and_idle_connections_are_closed() {
    let request_head_timeout = Duration::from_millis(50);
    let running = Running::start(Limits { request_head_timeout, ..Limits::default() });
    for bytes in ["", "GET /rea", "GET /ready HTTP/1.1\r\nhost: a\r\n"] {
        let mut stream = running.connect();
        stream.write_all(bytes.as_bytes()).unwrap();
        let mut rest = Vec::new();
        // The end of the stream is the event; what the server says before it may differ.
        stream.read_to_end(&mut rest).unwrap_or_else(|error| panic!("{bytes:?}: {error}"));
    }
    let mut kept = running.connect();
    kept.write_all(b"GET /ready HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
    let answer = Answer::read_to_end(&mut kept);
    assert_eq!(answer.status, 503, "answered first, closed by the idle limit then");
    running.wait_until("all connections are gone", |running| {
        running.admin_total(AdminListenerStat::DownstreamCxActive) == 0
            && running.admin_total(AdminListenerStat::DownstreamCxDestroy) == 4
    });
    running.stop();
}

#[test]
fn connections_over_the_limit_are_closed_at_once() {
    let running = Running::start(Limits { connections_max: 2, ..Limits::default() });
    let (first, second) = (running.connect(), running.connect());
    let mut third = running.connect();
    // Accepted in order, so the end of the third comes after the first two are in.
    assert_eq!(third.read_to_end(&mut Vec::new()).unwrap(), 0);
    assert_eq!(running.admin_total(AdminListenerStat::DownstreamCxActive), 2);
    assert_eq!(running.admin_total(AdminListenerStat::DownstreamCxOverflow), 1);

    drop(first);
    running.wait_until("the first connection is gone", |running| {
        running.admin_total(AdminListenerStat::DownstreamCxActive) == 1
    });
    assert_eq!(running.get("/help").status, 200);
    drop(second);
    running.stop();
}

#[test]
fn client_that_reads_nothing_is_cut() {
    let write_stall_max = Duration::from_millis(50);
    let running = Running::start(Limits { write_stall_max, ..Limits::default() });
    // About 1 MB a page and 100 pages: more than the sockets can hold.
    for index in 0..400 {
        let _ = running.registry.scope::<ClusterStat>(&cluster_prefix(&format!("c{index}")));
    }
    let mut stream = running.connect();
    stream.write_all("GET /stats HTTP/1.1\r\nhost: a\r\n\r\n".repeat(100).as_bytes()).unwrap();
    running.wait_until("the connection was cut", |running| {
        running.admin_total(AdminListenerStat::DownstreamCxDestroy) == 1
    });
    assert_eq!(running.admin_total(AdminListenerStat::DownstreamCxActive), 0);
    assert_eq!(running.get("/help").status, 200);
    running.stop();
}

#[test]
fn stop_ends_idle_connections_at_once_and_stuck_ones_in_time() {
    let finish_timeout = Duration::from_millis(50);
    let running = Running::start(Limits { finish_timeout, ..Limits::default() });
    for index in 0..400 {
        let _ = running.registry.scope::<ClusterStat>(&cluster_prefix(&format!("c{index}")));
    }
    let mut idle = running.connect();
    let mut stuck = running.connect();
    stuck.write_all("GET /stats HTTP/1.1\r\nhost: a\r\n\r\n".repeat(100).as_bytes()).unwrap();
    // Without a byte of the answer the stop might come before the request.
    stuck.read_exact(&mut [0]).unwrap();
    running.stop();
    assert_eq!(idle.read_to_end(&mut Vec::new()).unwrap(), 0);
}

#[test]
fn runs_and_stops_without_admin() {
    let control = Control::new(options(None, Limits::default(), Registry::new(0))).unwrap();
    control.handle().stop();
    control.run(|order| panic!("nobody asked for {order:?}"));
}

#[test]
fn runtime_values_may_come_in_the_body_of_a_form_within_its_limit() {
    let running = Running::start(Limits::default());
    let form = |path: &str, body: &str, length: usize| {
        let head = "Host: h\r\nConnection: close\r\n";
        let kind = "Content-Type: application/x-www-form-urlencoded\r\n";
        let request =
            format!("POST {path} HTTP/1.1\r\n{head}{kind}Content-Length: {length}\r\n\r\n{body}");
        running.exchange(request.as_bytes())
    };
    assert_eq!(form("/runtime_modify", "key=a%20value&b=2", 17).body, "OK\n");
    let shown: serde_json::Value = serde_json::from_str(&running.get("/runtime").body).unwrap();
    assert_eq!(shown["entries"]["key"]["final_value"], "a value", "{shown}");
    assert_eq!(shown["entries"]["b"]["layer_values"][0], "2", "{shown}");
    assert_eq!(form("/runtime_modify", "", 0).status, 400, "no value at all");
    let long = format!("key={}", "x".repeat(70_000));
    assert_eq!(form("/runtime_modify", &long, long.len()).status, 413);
    let shown = running.get("/runtime").body;
    assert!(shown.contains("a value"), "nothing was changed: {shown}");
    running.stop();
}
