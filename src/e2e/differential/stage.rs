//! What a script works with: one proxy, the listeners and upstreams of its scenario, and the list
//! of what it saw.

use std::cell::{Cell, RefCell};
use std::fmt::Display;
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use rustix::process::Signal;
use socket2::Socket;

use super::masks;
use super::observed::{Observed, STAT};
use super::plan::{Endpoint, LISTENER, Plan, UPSTREAM};
use crate::address::ListenerAddress;
use crate::http::Message;
use crate::patience::wait_for;
use crate::payload;
use crate::peer::{Ending, Peer};
use crate::proxy::{Answer, Proxy};
use crate::stats::Stats;
use crate::upstream::Upstream;

/// One scenario on one proxy.
pub(super) struct Stage<'a> {
    name: &'static str,
    proxy: Arc<Proxy>,
    plan: &'a Plan,
    // Scripts borrow upstreams while they note what they see.
    observed: RefCell<Observed>,
    /// Counters begin here; empty unless the script asks for a later beginning.
    baseline: RefCell<Stats>,
    /// Whether the script saw the process end.
    ended: Cell<bool>,
    /// Whether the script looked at the access log.
    has_access_log: Cell<bool>,
    /// Bytes of responses whose number is chance.
    chance_bytes: Cell<u64>,
}

impl<'a> Stage<'a> {
    pub(super) fn new(name: &'static str, proxy: Arc<Proxy>, plan: &'a Plan) -> Self {
        Self {
            name,
            proxy,
            plan,
            observed: RefCell::default(),
            baseline: RefCell::default(),
            ended: Cell::default(),
            has_access_log: Cell::default(),
            chance_bytes: Cell::default(),
        }
    }

    /// A client of the scenario's first listener.
    pub(super) fn connect(&self) -> Peer {
        self.connect_to(0)
    }

    /// A client of one of the scenario's listeners.
    pub(super) fn connect_to(&self, listener: usize) -> Peer {
        Peer::connect(self.plan.listeners[listener].address)
    }

    /// A client with a small receive buffer.
    pub(super) fn connect_with_receive_buffer(&self, bytes: usize) -> Peer {
        Peer::connect_with_receive_buffer(self.plan.listeners[0].address, bytes)
    }

    /// The proxy's next connection to the first serving endpoint.
    pub(super) fn accept(&self) -> Peer {
        self.upstreams().next().expect("the plan has a serving endpoint").accept()
    }

    /// The serving endpoints, in the order of the plan.
    pub(super) fn upstreams(&self) -> impl Iterator<Item = &'a Upstream> {
        self.plan.endpoints.iter().filter_map(|endpoint| match endpoint {
            Endpoint::Serving(upstream) => Some(upstream),
            Endpoint::Refusing(_) | Endpoint::Silent(_) => None,
        })
    }

    /// A client and the upstream connection that the proxy opened for it.
    pub(super) fn relayed(&self) -> (Peer, Peer) {
        let client = self.connect();
        (client, self.accept())
    }

    /// Asks the proxy's admin server.
    pub(super) fn ask(&self, request: &str) -> Answer {
        self.proxy.ask(request)
    }

    /// The file `$FOLDER/$NAME` and `suffix`.
    pub(super) fn own_path(&self, suffix: &str) -> PathBuf {
        self.path(&format!("{}.{suffix}", self.name))
    }

    /// Lets the stats count from here: what came before is chance.
    pub(super) fn count_from_here(&self) {
        let mut last = Stats::default();
        wait_for("the stats to rest", || {
            let stats = self.all();
            if stats == last {
                return Ok(());
            }
            last = stats;
            Err("they still change".to_owned())
        });
        *self.baseline.borrow_mut() = last;
    }

    /// Notes what the admin pages say about the health of the scenario's hosts.
    pub(super) fn note_health(&self) {
        let page = self.ask(&format!("GET /clusters?filter=^{}$", self.name)).body;
        let is_health = |line: &&str| {
            ["::outlier::", "::health_flags::", "success_rate::"].iter().any(|it| line.contains(it))
        };
        for line in page.lines().filter(is_health) {
            self.note("health", self.masked(line));
        }
        let page = self.ask(&format!("GET /clusters?format=json&filter=^{}$", self.name)).body;
        for line in page.lines().filter(|line| line.contains("failed_outlier_check")) {
            self.note("health as JSON", line.trim());
        }
    }

    /// The scenario's listener, as its stats are called.
    pub(super) fn listener_scope(&self) -> String {
        listener_scope(&self.plan.listeners[0])
    }

    /// A path in the folder of the process, which templates call `$FOLDER`.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.proxy.folder().path(name)
    }

    /// The port of one of the scenario's listeners.
    pub(super) fn listener_port(&self, listener: usize) -> u16 {
        self.plan.listeners[listener].address.port()
    }

    /// The process' sockets at one of the scenario's listeners, to be asked what they are set to.
    pub(super) fn listening_sockets(&self, listener: usize) -> Vec<Socket> {
        self.sockets_at(self.plan.listeners[listener].address)
    }

    /// The process' sockets that are bound to `address`.
    pub(super) fn sockets_at(&self, address: SocketAddr) -> Vec<Socket> {
        self.proxy.sockets_at(address)
    }

    /// Sends a signal to the process, which must be the scenario's own.
    pub(super) fn signal(&self, signal: Signal) {
        assert!(self.plan.alone, "other scenarios use this process");
        self.proxy.signal(signal);
    }

    /// Waits until the process ends by itself, and notes how. There are no stats any more then.
    pub(super) fn note_exit(&self) {
        let status = self.proxy.wait_for_exit();
        self.ended.set(true);
        self.note("the process ended with", status);
    }

    /// Waits until the access log `$FOLDER/$NAME.log` has this many lines, and notes each, what
    /// `masks` names left out.
    pub(super) fn note_access_log(&self, lines: usize) {
        self.note_access_log_once(&format!("{lines} lines"), |text| text.lines().count() >= lines);
    }

    /// As [`Stage::note_access_log_up_to`], where streams end at the same time.
    pub(super) fn note_sorted_access_log_up_to(&self, words: &str) {
        self.note_sorted_access_log_once(&format!("'{words}'"), |text| text.contains(words));
    }

    /// As [`Stage::note_access_log`], of connections that end at the same time.
    pub(super) fn note_sorted_access_log(&self, lines: usize) {
        let is_complete = |text: &str| text.lines().count() >= lines;
        self.note_sorted_access_log_once(&format!("{lines} lines"), is_complete);
    }

    fn note_sorted_access_log_once(&self, what: &str, is_complete: impl Fn(&str) -> bool) {
        let text = self.access_log_once(what, is_complete);
        let mut masked: Vec<_> = text.lines().map(|line| self.masked(line)).collect();
        masked.sort();
        for (index, line) in masked.into_iter().enumerate() {
            self.note(&format!("access log, line {} when sorted", index + 1), line);
        }
    }

    /// Waits until the access log has a line with `words`, and notes all lines.
    pub(super) fn note_access_log_up_to(&self, words: &str) {
        self.note_access_log_once(&format!("'{words}'"), |text| text.contains(words));
    }

    fn note_access_log_once(&self, what: &str, is_complete: impl Fn(&str) -> bool) {
        let text = self.access_log_once(what, is_complete);
        for (index, line) in text.lines().enumerate() {
            self.note(&format!("access log, line {}", index + 1), self.masked(line));
        }
    }

    /// The lines of the access log once it has as many; for what a scenario compares itself.
    pub(super) fn access_log_lines(&self, lines: usize) -> Vec<String> {
        let is_complete = |text: &str| text.lines().count() >= lines;
        let text = self.access_log_once(&format!("{lines} lines"), is_complete);
        text.lines().map(str::to_owned).collect()
    }

    fn access_log_once(&self, what: &str, is_complete: impl Fn(&str) -> bool) -> String {
        self.has_access_log.set(true);
        let path = self.access_log();
        wait_for(&format!("{what} in the access log"), || {
            let text = fs::read_to_string(&path).map_err(|error| error.to_string())?;
            if is_complete(&text) && text.ends_with('\n') { Ok(text) } else { Err(text) }
        })
    }

    /// Notes what each host of the scenario's cluster has counted of requests.
    pub(super) fn note_hosts(&self) {
        let page = self.ask(&format!("GET /clusters?filter=^{}$", self.name)).body;
        for line in page.lines().filter(|line| line.contains("::rq_") && !line.contains("active")) {
            self.note("a host's", self.masked(line));
        }
    }

    /// The first line of the process' own log that contains `words`.
    pub(super) fn log_line(&self, words: &str) -> String {
        wait_for(&format!("'{words}' in the log"), || {
            let text = self.proxy.stderr();
            let line = text.lines().find(|line| line.contains(words)).map(str::to_owned);
            line.ok_or(text)
        })
    }

    fn access_log(&self) -> PathBuf {
        self.proxy.folder().path(&format!("{}.log", self.name))
    }

    /// Notes a request or response that one side received: its head as it came, and its body.
    pub(super) fn note_message(&self, side: &str, message: &Message) {
        let head = self.shown(message.head.as_bytes());
        self.note(&format!("{side} received the head"), head.escape_ascii());
        self.note(&format!("{side} received a body, by {:?},", message.framing), {
            payload::summary(&message.body)
        });
        if !message.trailers.is_empty() {
            self.note(&format!("{side} received trailers"), message.trailers.escape_debug());
        }
    }

    /// A part of a message as it is noted: without what differs from run to run.
    pub(super) fn shown(&self, bytes: &[u8]) -> Vec<u8> {
        let text = String::from_utf8_lossy(bytes);
        self.chance_bytes.set(self.chance_bytes.get() + masks::chance_bytes(&text));
        self.masked(&masks::without_volatile_values(&text)).into_bytes()
    }

    /// Text with the scenario's addresses by name, and without what differs from run to run.
    pub(super) fn masked(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (index, listener) in self.plan.listeners.iter().enumerate() {
            text = text.replace(&listener.address.to_string(), &LISTENER.at(index));
        }
        for (index, endpoint) in self.plan.endpoints.iter().enumerate() {
            text = text.replace(&endpoint.address().to_string(), &UPSTREAM.at(index));
        }
        text = text.replace(self.path("").to_str().unwrap().trim_end_matches('/'), "$FOLDER");
        masks::without_chance(&text)
    }

    /// Notes something seen, to be compared.
    pub(super) fn note(&self, name: &str, value: impl Display) {
        self.observed.borrow_mut().0.push((name.to_owned(), value.to_string()));
    }

    /// Notes bytes and ending that one side saw.
    pub(super) fn note_end(&self, side: &str, (bytes, ending): &(Vec<u8>, Ending)) {
        self.note(&format!("{side} received"), bytes.escape_ascii());
        self.note(&format!("{side} ended by"), ending);
    }

    /// Waits until no connection of a client is there any more: its line in the access log is
    /// written then.
    pub(super) fn wait_until_idle(&self) {
        let name = self.full_name("http.downstream_cx_active");
        wait_for(&format!("{name} to be 0"), || match self.all().value(&name) {
            Some(0) => Ok(()),
            other => Err(format!("it is {other:?}")),
        });
    }

    /// Waits until a stat of this scenario has this value, and notes it. Names have the scope left
    /// out: `listener.downstream_cx_total`, `tcp.idle_timeout`, `cluster-x.upstream_rq_total`.
    pub(super) fn expect_stat(&self, name: &str, value: u64) {
        let full_name = self.full_name(name);
        wait_for(&format!("{full_name} to be {value}"), || match self.all().value(&full_name) {
            Some(found) if found == value => Ok(()),
            other => Err(format!("it is {other:?}")),
        });
        self.note(&format!("during the script, {name}"), value);
    }

    /// Waits until a counter of this scenario moved, and notes that it did.
    pub(super) fn expect_stat_above_zero(&self, name: &str) {
        let full_name = self.full_name(name);
        wait_for(&format!("{full_name} to move"), || match self.all().value(&full_name) {
            Some(1..) => Ok(()),
            other => Err(format!("it is {other:?}")),
        });
        self.note(&format!("during the script, {name}"), "above zero");
    }

    /// Whether a counter of this scenario has moved by now.
    pub(super) fn is_above_zero(&self, name: &str) -> bool {
        self.all().value(&self.full_name(name)) > Some(0)
    }

    /// Of two hosts, the first of which fails and counts so in `failures`: relays connections
    /// until that one was met. A worker starts its turn at a random host; after this the failing
    /// host is the next one, and the stats count from here.
    pub(super) fn meet_failing_host(&self, failures: &str) {
        let failures = self.full_name(failures);
        while self.all().value(&failures) == Some(0) {
            let (mut client, upstream) = self.relayed();
            drop(upstream);
            assert_eq!(client.ending(), Ending::Fin);
        }
        self.stats_at_rest();
        *self.baseline.borrow_mut() = self.all();
    }

    pub(super) fn take_observed(&self) -> Observed {
        self.observed.take()
    }

    /// Notes how many lines the access log has after all connections are gone, if the script looked
    /// at it: a line too many shows here.
    pub(super) fn note_access_log_length(&self) {
        if self.has_access_log.get() {
            let text = fs::read_to_string(self.access_log()).unwrap();
            self.note("lines of the access log at the end", text.lines().count());
        }
    }

    /// The stats of this scenario once all its connections are gone and two looks agree.
    pub(super) fn stats_at_rest(&self) -> Observed {
        if self.ended.get() {
            return Observed::default();
        }
        let mut last = Stats::default();
        wait_for("the stats to rest", || {
            let stats = self.all();
            let active: Vec<_> =
                ACTIVE.iter().filter(|name| stats.value(&self.full_name(name)) > Some(0)).collect();
            if !active.is_empty() {
                return Err(format!("still above zero: {active:?}"));
            }
            if stats == last {
                return Ok(self.chosen(&stats));
            }
            last = stats;
            Err("they still change".to_owned())
        })
    }

    /// The stats of this scenario that are compared.
    pub(super) fn stats(&self) -> Observed {
        if self.ended.get() {
            return Observed::default();
        }
        self.chosen(&self.all())
    }

    /// All stats of this scenario.
    fn all(&self) -> Stats {
        let listeners = self.plan.listeners.iter().map(listener_scope);
        let mut scopes: Vec<String> = listeners.map(|scope| scope.replace('.', "\\.")).collect();
        scopes.push(format!("[a-z_]+\\.{}[.-]", self.name));
        if self.plan.alone {
            // Those of the codec are the process'.
            scopes.push("http2\\.".to_owned());
        }
        self.proxy.stats_matching(&format!("^({})", scopes.join("|")))
    }

    /// Each stat under a name without the scenario's own: `listener1.x`, `cluster-y.x`.
    fn chosen(&self, stats: &Stats) -> Observed {
        let observation = |(full_name, value): (&str, u64)| {
            let start = self.baseline.borrow().value(full_name).unwrap_or(0);
            let chance = if masks::counts_chance(full_name) { self.chance_bytes.get() } else { 0 };
            let value = value.saturating_sub(start + chance);
            (format!("{STAT}{}", self.generic_name(full_name)), value.to_string())
        };
        let mut all: Vec<_> = stats.iter().map(observation).collect();
        all.sort();
        Observed(all)
    }

    fn generic_name(&self, full_name: &str) -> String {
        let of_listener = |(index, listener)| {
            let stat = full_name.strip_prefix(&listener_scope(listener))?;
            Some(match index {
                0 => format!("listener.{stat}"),
                _ => format!("listener{index}.{stat}"),
            })
        };
        let found = self.plan.listeners.iter().enumerate().find_map(of_listener);
        found.unwrap_or_else(|| full_name.replacen(&format!(".{}", self.name), "", 1))
    }

    fn full_name(&self, name: &str) -> String {
        let (kind, stat) = name.split_once('.').expect("a scope before the dot");
        match kind.split_once('-') {
            None if kind == "http2" => name.to_owned(),
            // A listener without an address of the plan has its stats under the scenario's name.
            None if kind == "listener" && !self.plan.listeners.is_empty() => {
                format!("{}{stat}", self.listener_scope())
            }
            None => format!("{kind}.{}.{stat}", self.name),
            Some((kind, more)) => format!("{kind}.{}-{more}.{stat}", self.name),
        }
    }
}

fn listener_scope(listener: &ListenerAddress) -> String {
    format!("listener.{}.", listener.address.to_string().replace(':', "_"))
}

/// Gauges that are zero when a scenario has ended.
const ACTIVE: &[&str] = &[
    "listener.downstream_cx_active",
    "http.downstream_cx_active",
    "http.downstream_rq_active",
    "tcp.downstream_cx_rx_bytes_buffered",
    "tcp.downstream_cx_tx_bytes_buffered",
    "tcp.upstream_flush_active",
    "cluster.upstream_cx_active",
    "cluster.upstream_cx_rx_bytes_buffered",
    "cluster.upstream_cx_tx_bytes_buffered",
    "cluster.upstream_rq_active",
    "cluster.upstream_rq_pending_active",
    "cluster.circuit_breakers.default.cx_open",
];
