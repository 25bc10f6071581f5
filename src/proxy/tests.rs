//! Listeners of both filters on a real reactor and loopback, with a panic injected at every await
//! point that a relayed connection passes.

use std::future::{Future, poll_fn};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::pin::pin;
use std::rc::Rc;
use std::slice::from_ref;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use base::ConnectionIds;
use cluster::{Cluster, Clusters, Shared};
use config::model;
use filter::BucketsByKey;
use observe::access_log::Surroundings;
use observe::names::{WORKER_PREFIX, WorkerStat};
use observe::{Kind, Registry, Shard, ShardIndex};
use reactor::{Reactor, Settings};

use crate::access_log::{Batch, LogSettings, Plan, WorkerLogs, Written};
use crate::listener::Arrival;
use crate::{Drain, Listener, ListenerShared, Random, Reception, WorkerContext};

pub(crate) fn listener_config(filter: model::TerminalFilter) -> Arc<model::Listener> {
    Arc::new(model::Listener {
        name: "l".to_owned(),
        stat_prefix: Some("l".to_owned()),
        sockets: model::ListenerSockets::on(base::Address::Ip("127.0.0.1:0".parse().unwrap())),
        inbound: false,
        per_connection_buffer_limit_bytes: 1 << 20,
        ignore_global_connection_limit: false,
        access_logs: Vec::new(),
        listener_filters: model::ListenerFilters::default(),
        filter_chains: vec![model::FilterChain {
            name: String::new(),
            matches: model::FilterChainMatch::default(),
            filters: Vec::new(),
            terminal: filter,
        }],
        default_filter_chain: None,
    })
}

fn tcp_proxy(idle_timeout: Option<Duration>) -> model::TerminalFilter {
    model::TerminalFilter::TcpProxy(model::TcpProxy {
        stat_prefix: "t".to_owned(),
        route: model::TcpRoute::Cluster("c".to_owned()),
        idle_timeout,
        max_connect_attempts: 2,
        backoff: None,
        early_data: None,
        max_duration: None,
        tunneling: None,
        access_logs: Vec::new(),
        access_log_options: model::TcpAccessLogOptions::default(),
    })
}

pub(crate) fn cluster_config(host: SocketAddr) -> model::Cluster {
    model::Cluster {
        name: "c".to_owned(),
        stat_name: "c".to_owned(),
        connect_timeout: Duration::from_secs(5),
        per_connection_buffer_limit_bytes: 1 << 20,
        thresholds: model::Thresholds::default(),
        high_thresholds: model::Thresholds::default(),
        host_connections_max: None,
        preconnect_per_mille: 1000,
        http: model::UpstreamHttp::default(),
        tcp: model::UpstreamTcp::default(),
        sockets: model::UpstreamSockets::default(),
        proxy_protocol: None,
        outlier_detection: None,
        panic: model::Panic::default(),
        endpoints: vec![model::Endpoint { address: host.into(), weight: 1 }],
    }
}

/// Bytes of a connection's future: of 888 the two directions and the idle timeout are 312, what
/// counts the upstream connection is 208, and its presence on the listener 64. Both connections'
/// halves and descriptors have about 950 on the heap besides.
const CONNECTION_SIZE_MAX: usize = 888;
/// The same of a connection that carries HTTP.
const HTTP_CONNECTION_SIZE_MAX: usize = 256;

/// One worker with one listener, and everything a test asks it.
pub(crate) struct Bench {
    pub(crate) reactor: Reactor,
    registry: Registry,
    shard: Shard,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let registry = Registry::new(1);
        let shard = registry.shard(ShardIndex::Worker(0)).unwrap();
        let reactor = Reactor::new(Settings::new(reactor::probe().unwrap())).unwrap();
        Self { reactor, registry, shard }
    }

    /// Serves `filter` while `client` runs against it on its own thread; returns once that has
    /// ended and every connection is gone.
    pub(crate) fn serve(
        &self,
        filter: model::TerminalFilter,
        host: SocketAddr,
        client: impl FnOnce(SocketAddr) + Send + 'static,
    ) {
        self.serve_to(filter, cluster_config(host), client);
    }

    /// As [`Bench::serve`], to a cluster that is configured so.
    pub(crate) fn serve_to(
        &self,
        filter: model::TerminalFilter,
        cluster: model::Cluster,
        client: impl FnOnce(SocketAddr) + Send + 'static,
    ) {
        self.serve_listener(listener_config(filter), cluster, client);
    }

    /// As [`Bench::serve`], of a whole listener.
    fn serve_listener(
        &self,
        config: Arc<model::Listener>,
        cluster: model::Cluster,
        client: impl FnOnce(SocketAddr) + Send + 'static,
    ) {
        let bound = net::listener::bind(&config, 1, None).unwrap().addresses.remove(0);
        let shared = Shared::new(Arc::new(cluster), &self.registry);
        let cluster = Cluster::new(shared, self.reactor.clone(), &self.shard, 0);
        let clusters: Clusters = [cluster].into_iter().collect();
        let worker_stats = self.registry.scope::<WorkerStat>(WORKER_PREFIX).on(&self.shard);
        let random = Rc::new(Random::new(0));
        let (access_logs, returns) = self.access_logs(&config, &random);
        let connection_ids = Rc::new(ConnectionIds::new(0, 1));
        let context = WorkerContext {
            reactor: &self.reactor,
            clusters: &clusters,
            registry: &self.registry,
            shard: &self.shard,
            worker_stats: &worker_stats,
            access_logs: &access_logs,
            connection_ids: &connection_ids,
            drain: &Drain::default(),
            local_address: Ipv4Addr::LOCALHOST.into(),
            random: &random,
        };
        let limits = ListenerShared::new(
            &config,
            &model::Runtime::default(),
            None,
            &mut BucketsByKey::default(),
            1,
        );
        let listener = Listener::new(&config, &limits, from_ref(&bound.address), context);
        self.assert_connection_is_small(&listener);
        let reception =
            Reception::new(listener, 0, limits, None, &self.reactor, context.worker_stats);
        let socket = bound.sockets.into_iter().next().unwrap();
        let (done, parts) = reactor::channel::<()>(1).unwrap();
        let thread = thread::spawn(move || {
            client(bound.address.ip().unwrap());
            done.send(()).unwrap();
        });
        self.reactor.run(async {
            let acceptor = self.reactor.acceptor(socket);
            let connections = Rc::new(self.reactor.task_set());
            let attendant = self.reactor.task_set();
            let returns = self.reactor.open_inbox(returns);
            attendant.spawn(Rc::clone(&access_logs).attend(self.reactor.clone(), returns));
            let mut inbox = self.reactor.open_inbox(parts);
            let mut accepting = pin!(reception.accept_loop(&acceptor, 0, &connections));
            let mut ended = pin!(async {
                inbox.recv().await.unwrap();
                connections.wait_empty().await;
            });
            let mut deadline = pin!(self.reactor.sleep(Duration::from_secs(60)));
            poll_fn(|context| {
                assert!(accepting.as_mut().poll(context).is_pending());
                assert!(deadline.as_mut().poll(context).is_pending(), "a connection never ended");
                ended.as_mut().poll(context)
            })
            .await;
        });
        thread.join().unwrap();
        // Pooled connections go with their clusters.
        drop(clusters);
        self.settle();
    }

    /// The access logs of a listener, and where their buffers come back. A thread takes the place
    /// of the writer: it gives every buffer back.
    fn access_logs(
        &self,
        config: &Arc<model::Listener>,
        random: &Rc<Random>,
    ) -> (Rc<WorkerLogs>, reactor::InboxParts<Written>) {
        let bootstrap =
            model::Bootstrap { listeners: vec![Arc::clone(config)], ..model::Bootstrap::default() };
        let surroundings = Surroundings { hostname: None, environment: &|_| None };
        let plan = Plan::new(&bootstrap, surroundings).unwrap();
        let (give_back, returns) = reactor::channel(4).unwrap();
        let outlet = || {
            let (outlet, batches) = crossbeam_channel::bounded::<Batch>(2);
            let give_back = give_back.clone();
            thread::spawn(move || {
                for batch in batches {
                    let written = Written {
                        sink: 0,
                        buffer: batch.buffer,
                        writes_completed: 1,
                        writes_failed: 0,
                        lines_cut: 0,
                        reopens_failed: 0,
                    };
                    if give_back.send(written).is_err() {
                        return;
                    }
                }
            });
            outlet
        };
        let outlets = plan.sinks().map(|_| outlet()).collect();
        let settings =
            LogSettings { flush_min_bytes: 4096, flush_interval: Duration::from_secs(60) };
        let place = (&self.registry, &self.shard);
        let logs = WorkerLogs::new(Arc::new(plan), outlets, settings, 0, place, random);
        (Rc::new(logs), returns)
    }

    /// A hundred thousand idle connections must not cost a hundred megabytes more.
    fn assert_connection_is_small(&self, listener: &Rc<Listener>) {
        let (near, _far) = std::os::unix::net::UnixStream::pair().unwrap();
        let socket = self.reactor.socket(near.into());
        let stats = listener.stats();
        let admit = || {
            ListenerShared::new(
                listener.config(),
                &model::Runtime::default(),
                None,
                &mut BucketsByKey::default(),
                1,
            )
            .admit(stats)
            .unwrap()
        };
        let arrival = || Arrival::new(filter::ChainIndex(0), admit(), None);
        let connection = Rc::clone(listener).connection(socket.clone(), arrival());
        assert!(size_of_val(&connection) <= CONNECTION_SIZE_MAX, "{}", size_of_val(&connection));
        if let Some(connection) = Rc::clone(listener).http(socket, arrival()) {
            let size = size_of_val(&connection);
            assert!(size <= HTTP_CONNECTION_SIZE_MAX, "{size}");
        }
    }

    /// Turns until only the standing poll for wakes is in flight.
    fn settle(&self) {
        self.reactor.run(async {
            while self.reactor.stats().ops_in_flight > 1 {
                self.reactor.sleep(Duration::from_millis(1)).await;
            }
        });
    }

    pub(crate) fn value(&self, name: &str) -> u64 {
        let sample = self.registry.snapshot().into_iter().find(|sample| sample.name == name);
        sample.unwrap_or_else(|| panic!("no stat {name}")).value
    }

    /// Every gauge is back at zero and nothing is held.
    pub(crate) fn assert_clean(&self, when: &str) {
        for sample in self.registry.snapshot() {
            if matches!(sample.kind, Kind::Gauge) {
                assert_eq!(sample.value, 0, "{} {when}", sample.name);
            }
        }
        let stats = self.reactor.stats();
        let held = (stats.tasks, stats.leases, stats.timers, stats.descriptors);
        assert_eq!(held, (0, 0, 0, 0), "{when}: {stats:?}");
    }
}

/// An upstream that answers each connection's bytes with as many, after the end of its input.
fn upstream(connections: usize) -> (SocketAddr, thread::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let serve = move || {
        for _ in 0..connections {
            let (mut stream, _) = listener.accept().unwrap();
            let mut bytes = Vec::new();
            // The proxy's side of a test may be cut at any point.
            if stream.read_to_end(&mut bytes).is_ok() {
                let _ = stream.write_all(&bytes);
            }
        }
    };
    (address, thread::spawn(serve))
}

/// Sends, ends its stream, and returns what comes back.
fn exchange(address: SocketAddr, bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(address)?;
    stream.write_all(bytes)?;
    stream.shutdown(Shutdown::Write)?;
    let mut back = Vec::new();
    stream.read_to_end(&mut back)?;
    Ok(back)
}

#[test]
fn a_relayed_connection_carries_both_ways_and_counts_what_it_carried() {
    let bench = Bench::new();
    let (host, thread) = upstream(1);
    bench.serve(tcp_proxy(None), host, |address| {
        assert_eq!(exchange(address, &[9; 100_000]).unwrap(), [9; 100_000]);
    });
    thread.join().unwrap();
    bench.assert_clean("after one connection");
    for name in [
        "tcp.t.downstream_cx_rx_bytes_total",
        "tcp.t.downstream_cx_tx_bytes_total",
        "cluster.c.upstream_cx_rx_bytes_total",
        "cluster.c.upstream_cx_tx_bytes_total",
    ] {
        assert_eq!(bench.value(name), 100_000, "{name}");
    }
    // The other one was only made to be measured.
    assert_eq!(bench.value("listener.l.downstream_cx_destroy"), 2);
}

#[test]
fn echo_gives_every_byte_back() {
    let bench = Bench::new();
    bench.serve(model::TerminalFilter::Echo, "127.0.0.1:1".parse().unwrap(), |address| {
        assert_eq!(exchange(address, b"hello").unwrap(), b"hello");
    });
    bench.assert_clean("after an echo");
}

#[test]
fn refused_hosts_are_tried_as_often_as_the_configuration_says() {
    let bench = Bench::new();
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    bench.serve(tcp_proxy(None), closed, |address| {
        // Closed without a byte; a reset is as good.
        assert!(exchange(address, b"").unwrap_or_default().is_empty());
    });
    bench.assert_clean("after refused connects");
    assert_eq!(bench.value("cluster.c.upstream_cx_connect_fail"), 2);
    assert_eq!(bench.value("cluster.c.upstream_cx_connect_attempts_exceeded"), 1);
}

#[test]
fn an_idle_connection_is_closed_and_counted() {
    let bench = Bench::new();
    let (host, thread) = upstream(1);
    bench.serve(tcp_proxy(Some(Duration::from_millis(20))), host, |address| {
        let mut stream = TcpStream::connect(address).unwrap();
        let mut back = Vec::new();
        assert_eq!(stream.read_to_end(&mut back).unwrap(), 0);
    });
    thread.join().unwrap();
    bench.assert_clean("after an idle timeout");
    assert_eq!(bench.value("tcp.t.idle_timeout"), 1);
}

fn awaiting_first_bytes() -> model::TerminalFilter {
    let model::TerminalFilter::TcpProxy(config) = tcp_proxy(Some(Duration::from_secs(60))) else {
        unreachable!()
    };
    let early_data = Some(model::EarlyDataOptions { bytes_max: 1000, awaits_first: true });
    model::TerminalFilter::TcpProxy(model::TcpProxy { early_data, ..config })
}

/// If this fails, each client that comes and goes without a byte is kept for an hour.
#[test]
fn a_client_that_ends_before_its_first_byte_gets_no_upstream() {
    let bench = Bench::new();
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    bench.serve(awaiting_first_bytes(), closed, |address| {
        assert_eq!(exchange(address, b"").unwrap(), b"");
    });
    bench.assert_clean("after a client without a byte");
    assert_eq!(bench.value("cluster.c.upstream_cx_total"), 0);
    assert_eq!(bench.value("tcp.t.early_data_received_count_total"), 1);
}

/// If this fails, more is read before upstream is there than the limit says, or it is lost.
#[test]
fn early_data_is_read_up_to_its_limit_and_loses_no_byte() {
    let bench = Bench::new();
    let (host, thread) = upstream(1);
    bench.serve(awaiting_first_bytes(), host, |address| {
        assert_eq!(exchange(address, &[9; 200_000]).unwrap(), [9; 200_000]);
    });
    thread.join().unwrap();
    bench.assert_clean("after a relay with early data");
    assert_eq!(bench.value("tcp.t.downstream_cx_rx_bytes_total"), 200_000);
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    bench.serve(awaiting_first_bytes(), closed, |address| {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(&[5; 5000]).unwrap();
        // Closed with bytes unread.
        let _ = stream.read_to_end(&mut Vec::new());
    });
    assert_eq!(bench.value("tcp.t.downstream_cx_rx_bytes_total"), 201_000);
}

/// An echo behind `proxy_protocol`.
fn behind_proxy_protocol() -> Arc<model::Listener> {
    let mut config = (*listener_config(model::TerminalFilter::Echo)).clone();
    let kind = model::ListenerFilterKind::ProxyProtocol(model::ProxyProtocol::default());
    config.listener_filters.filters = vec![model::ListenerFilter { disabled: None, kind }];
    Arc::new(config)
}

const HEADER: &[u8] = b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n";

#[test]
fn bytes_behind_a_header_are_the_connections_however_the_two_were_cut() {
    let bench = Bench::new();
    let nowhere = cluster_config("127.0.0.1:1".parse().unwrap());
    bench.serve_listener(behind_proxy_protocol(), nowhere, |address| {
        let bytes = [HEADER, &[7; 2000]].concat();
        for cut in (0..60).chain([600, 1900]) {
            let mut stream = TcpStream::connect(address).unwrap();
            stream.set_nodelay(true).unwrap();
            stream.write_all(&bytes[..cut]).unwrap();
            // Another segment, and as a rule another receive.
            thread::yield_now();
            stream.write_all(&bytes[cut..]).unwrap();
            let mut back = [0; 2000];
            stream.read_exact(&mut back).unwrap();
            assert_eq!(back, [7; 2000], "cut at {cut}");
        }
        // Header, bytes and end in one.
        assert_eq!(exchange(address, &bytes).unwrap(), [7; 2000]);
    });
    bench.assert_clean("after headers");
    assert_eq!(bench.value("proxy_proto.versions.v1.found"), 63);
    assert_eq!(bench.value("downstream_cx_proxy_proto_error"), 0);
}

#[test]
fn a_panic_at_any_await_point_of_the_listener_filters_leaves_every_gauge_where_it_was() {
    let bench = Bench::new();
    let run = |panic_at: Option<u64>| {
        bench.reactor.inject_panic(panic_at);
        let nowhere = "127.0.0.1:1".parse().unwrap();
        bench.serve_listener(behind_proxy_protocol(), cluster_config(nowhere), |address| {
            let mut stream = TcpStream::connect(address).unwrap();
            for byte in HEADER.chunks(5) {
                let _ = stream.write_all(byte);
            }
            let _ = stream.write_all(b"hello");
            let _ = stream.shutdown(Shutdown::Write);
            let _ = stream.read_to_end(&mut Vec::new());
        });
        bench.reactor.inject_panic(None)
    };
    let points = run(None);
    assert!(points > 3, "a connection passes {points} await points only");
    for point in 0..points + 4 {
        run(Some(point));
        bench.assert_clean(&format!("after a panic at await point {point}"));
    }
    assert!(bench.reactor.stats().task_panics >= 3);
}

// Rows: C17
/// If a guard were missing, a panic would leave a gauge raised, a lease held or a task alive.
#[test]
fn a_panic_at_any_await_point_of_a_relay_leaves_every_gauge_where_it_was() {
    let bench = Bench::new();
    let run = |panic_at: Option<u64>| {
        let (host, thread) = upstream(1);
        bench.reactor.inject_panic(panic_at);
        bench.serve(tcp_proxy(Some(Duration::from_secs(60))), host, move |address| {
            // Whatever a cut connection gives: an error, nothing, or everything.
            let _ = exchange(address, &[5; 300_000]);
            // Ends an upstream that was never connected to.
            let _ = TcpStream::connect(host);
        });
        drop(thread);
        bench.reactor.inject_panic(None)
    };
    let points = run(None);
    assert!(points > 10, "a relay passes {points} await points only");
    for point in 0..points + points / 2 {
        run(Some(point));
        bench.assert_clean(&format!("after a panic at await point {point}"));
    }
    let panics = bench.reactor.stats().task_panics;
    assert!(panics >= points / 4, "{panics} panics at {points} points");
}
