//! Connecting on the real ring, over loopback: what each outcome leaves in the stats.

use std::future::{Future, poll_fn};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::pin::pin;
use std::task::Poll;

use observe::{Kind, Registry, ShardIndex};
use reactor::Settings;
use socket2::{Domain, Socket, Type};

use super::*;
use crate::existence::ClosedBy;
use crate::test_config;

/// One worker with one cluster.
pub(super) struct Bench {
    registry: Registry,
    pub(super) reactor: Reactor,
    pub(super) cluster: Rc<Cluster>,
}

impl Bench {
    fn new(hosts: &[SocketAddr], max_connections: u32) -> Self {
        Self::with_limits(hosts, max_connections, 1024)
    }

    fn with_limits(hosts: &[SocketAddr], max_connections: u32, max_pending: u32) -> Self {
        Self::preconnecting(hosts, max_connections, max_pending, 1000)
    }

    fn preconnecting(
        hosts: &[SocketAddr],
        max_connections: u32,
        max_pending: u32,
        preconnect_per_mille: u32,
    ) -> Self {
        Self::configured(hosts, |config| {
            config.thresholds.max_connections = max_connections;
            config.thresholds.max_pending_requests = max_pending;
            config.preconnect_per_mille = preconnect_per_mille;
        })
    }

    pub(super) fn configured(
        hosts: &[SocketAddr],
        change: impl FnOnce(&mut model::Cluster),
    ) -> Self {
        let mut config = test_config::cluster(hosts);
        change(&mut config);
        let registry = Registry::new(1);
        let reactor = Reactor::new(Settings::new(reactor::probe().unwrap())).unwrap();
        let shard = registry.shard(ShardIndex::Worker(0)).unwrap();
        let shared = Shared::new(Arc::new(config), &registry);
        let cluster = Cluster::new(shared, reactor.clone(), &shard, 0);
        Self { registry, reactor, cluster }
    }

    fn connect(&self) -> Result<UpstreamConnection, ConnectFailure> {
        self.reactor.run(self.cluster.connect(None, |_, _| ()))
    }

    /// Names and values of the stats that are not zero.
    pub(super) fn moved(&self) -> Vec<(String, u64)> {
        let samples = self.registry.snapshot().into_iter().filter(|sample| sample.value > 0);
        let short = |name: &str| name.strip_prefix("cluster.back_end.").unwrap().to_owned();
        samples.map(|sample| (short(&sample.name), sample.value)).collect()
    }

    fn expect_moved(&self, expected: &[(&str, u64)]) {
        let expected: Vec<_> = expected.iter().map(|&(name, n)| (name.to_owned(), n)).collect();
        assert_eq!(self.moved(), expected);
    }

    fn cx_open(&self) -> u64 {
        self.breaker("cx_open")
    }

    /// A gauge of the circuit breaker.
    pub(super) fn breaker(&self, name: &str) -> u64 {
        let name = format!(".default.{name}");
        let mut all = self.registry.snapshot().into_iter();
        all.find(|sample| sample.name.ends_with(&name)).unwrap().value
    }

    pub(super) fn expect_gauges_at_zero(&self) {
        for sample in self.registry.snapshot() {
            assert!(sample.kind != Kind::Gauge || sample.value == 0, "{sample:?}");
        }
        assert_eq!(self.cluster.context.limits.used(Resource::Connections), 0);
        assert_eq!(self.cluster.context.limits.used(Resource::Pending), 0);
    }
}

fn loopback() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 0))
}

pub(super) fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind(loopback()).unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// An address that refuses: bound, so that nobody else gets it, and not listening.
pub(super) fn refusing() -> (Socket, SocketAddr) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&loopback().into()).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    (socket, address)
}

/// An address whose accept queue is full, so that the kernel drops every further SYN.
pub(super) fn silent() -> (Vec<Socket>, SocketAddr) {
    let (listener, address) = refusing();
    listener.listen(0).unwrap();
    let mut sockets = vec![listener];
    for _ in 0..4 {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_nonblocking(true).unwrap();
        assert!(socket.connect(&address.into()).is_err(), "EINPROGRESS at the least");
        sockets.push(socket);
    }
    (sockets, address)
}

#[test]
fn a_connection_counts_while_it_lives_and_its_end_is_booked_on_a_side() {
    let (_listener, address) = listener();
    let bench = Bench::new(&[address], 1024);
    let connection = bench.connect().unwrap();
    assert_eq!(*connection.host(), address);
    assert_eq!(connection.stream().socket().peer_address().unwrap(), address);
    bench.expect_moved(&[
        ("upstream_cx_active", 1),
        ("upstream_cx_total", 1),
        ("upstream_rq_active", 1),
        ("upstream_rq_pending_total", 1),
        ("upstream_rq_total", 1),
    ]);
    drop(connection);
    bench.expect_moved(&[
        ("upstream_cx_destroy", 1),
        ("upstream_cx_destroy_local", 1),
        ("upstream_cx_destroy_local_with_active_rq", 1),
        ("upstream_cx_destroy_with_active_rq", 1),
        ("upstream_cx_total", 1),
        ("upstream_rq_pending_total", 1),
        ("upstream_rq_total", 1),
    ]);
    bench.connect().unwrap().set_closed_by(ClosedBy::Remote);
    let remote = |stat| bench.cluster.stats().value(stat);
    assert_eq!(remote(ClusterStat::UpstreamCxDestroyRemote), 1);
    assert_eq!(remote(ClusterStat::UpstreamCxDestroyRemoteWithActiveRq), 1);
    assert_eq!(remote(ClusterStat::UpstreamCxDestroyLocal), 1);
    bench.expect_gauges_at_zero();
}

#[test]
fn a_refused_connect_is_the_hosts_doing() {
    let (_socket, address) = refusing();
    let bench = Bench::new(&[address], 1024);
    let failure = bench.connect().unwrap_err();
    assert!(matches!(&failure, ConnectFailure::Refused { host, .. } if *host == address));
    assert!(failure.may_retry());
    assert!(failure.to_string().contains("refused"), "{failure}");
    bench.expect_moved(&[
        ("upstream_cx_connect_fail", 1),
        ("upstream_cx_destroy", 1),
        ("upstream_cx_destroy_remote", 1),
        ("upstream_cx_total", 1),
        ("upstream_rq_pending_failure_eject", 1),
        ("upstream_rq_pending_total", 1),
    ]);
}

#[test]
fn a_connect_that_nobody_answers_ends_with_the_timeout() {
    let (_sockets, address) = silent();
    let bench = Bench::new(&[address], 1024);
    let failure = bench.connect().unwrap_err();
    assert!(matches!(&failure, ConnectFailure::Timeout { host } if *host == address));
    assert!(failure.may_retry());
    bench.expect_moved(&[
        ("upstream_cx_connect_fail", 1),
        ("upstream_cx_connect_timeout", 1),
        ("upstream_cx_destroy", 1),
        ("upstream_cx_destroy_local", 1),
        ("upstream_cx_total", 1),
        ("upstream_rq_pending_failure_eject", 1),
        ("upstream_rq_pending_total", 1),
    ]);
}

#[test]
fn a_connect_given_up_leaves_no_gauge_behind() {
    let (_sockets, address) = silent();
    let bench = Bench::new(&[address], 1);
    bench.reactor.run(async {
        let mut connecting = pin!(bench.cluster.connect(None, |_, _| ()));
        poll_fn(|context| {
            assert!(connecting.as_mut().poll(context).is_pending());
            Poll::Ready(())
        })
        .await;
        bench.expect_moved(&[
            ("circuit_breakers.default.cx_open", 1),
            ("upstream_cx_active", 1),
            ("upstream_cx_total", 1),
            ("upstream_rq_pending_active", 1),
            ("upstream_rq_pending_total", 1),
        ]);
    });
    bench.expect_moved(&[
        ("upstream_cx_destroy", 1),
        ("upstream_cx_destroy_local", 1),
        ("upstream_cx_total", 1),
        ("upstream_rq_cancelled", 1),
        ("upstream_rq_pending_total", 1),
    ]);
    bench.expect_gauges_at_zero();
}

#[test]
fn the_breaker_is_asked_before_the_host() {
    let empty = Bench::new(&[], 1);
    let failure = empty.connect().unwrap_err();
    assert!(matches!(failure, ConnectFailure::NoHealthyHost));
    assert!(!failure.may_retry());
    empty.expect_moved(&[("lb_healthy_panic", 1), ("upstream_cx_none_healthy", 1)]);
    drop(empty);
    let shut = Bench::new(&[], 0);
    let failure = shut.connect().unwrap_err();
    assert!(matches!(failure, ConnectFailure::Overflow));
    assert!(!failure.may_retry());
    shut.expect_moved(&[("upstream_cx_overflow", 1)]);
}

#[test]
fn connections_beyond_the_limit_overflow_until_one_ends() {
    let (_listener, address) = listener();
    let bench = Bench::new(&[address], 2);
    let first = bench.connect().unwrap();
    let _second = bench.connect().unwrap();
    assert!(matches!(bench.connect().unwrap_err(), ConnectFailure::Overflow));
    assert_eq!(bench.cx_open(), 1);
    drop(first);
    assert_eq!(bench.cx_open(), 0);
    bench.connect().unwrap();
    assert_eq!(bench.cluster.stats().value(ClusterStat::UpstreamCxOverflow), 1);
}

#[test]
fn who_may_not_wait_for_a_connect_is_told_so_and_may_try_again() {
    let (_listener, address) = listener();
    let bench = Bench::with_limits(&[address], 1, 0);
    let failure = bench.connect().unwrap_err();
    assert!(matches!(failure, ConnectFailure::PendingOverflow { .. }));
    assert!(failure.may_retry());
    bench.expect_moved(&[("upstream_rq_pending_overflow", 1)]);
    bench.expect_gauges_at_zero();
}

#[test]
fn each_attempt_goes_to_the_next_host() {
    let (_socket, refused) = refusing();
    let (_listener, healthy) = listener();
    let bench = Bench::new(&[refused, healthy], 1024);
    for _ in 0..3 {
        assert!(
            matches!(bench.connect(), Err(ConnectFailure::Refused { host, .. }) if host == refused)
        );
        assert_eq!(*bench.connect().unwrap().host(), healthy);
    }
}

#[test]
fn a_panic_at_any_await_point_leaves_no_gauge_behind() {
    let (_sockets, address) = silent();
    let bench = Bench::new(&[address], 1);
    // Faults are injected into tasks.
    let connect_in_a_task = |panic_at| {
        bench.reactor.inject_panic(panic_at);
        let tasks = bench.reactor.task_set();
        let cluster = Rc::clone(&bench.cluster);
        tasks.spawn(async move { drop(cluster.connect(None, |_, _| ()).await.unwrap_err()) });
        bench.reactor.run(tasks.wait_empty());
        bench.reactor.inject_panic(None)
    };
    let points = connect_in_a_task(None);
    assert!(points >= 2, "the connect and its timer");
    for point in 0..points {
        connect_in_a_task(Some(point));
        assert_eq!(bench.reactor.stats().task_panics, point + 1, "no panic at point {point}");
        bench.expect_gauges_at_zero();
    }
}

// Rows: D5
#[test]
fn one_event_starts_three_connects_at_most() {
    let (_sockets, address) = silent();
    let bench = Bench::preconnecting(&[address], 100, 100, 3000);
    let cluster = &bench.cluster;
    let counts = cluster.counts(&cluster.host(0).unwrap().met.stats);
    let all = cluster.tcp.as_ref().unwrap();
    let pool = all.host(0, &address.into(), &counts, &[]).unwrap();
    // Twenty in use are to have forty spare ones.
    let used: Vec<_> = (0..20).map(|_| pool.used()).collect();
    let total = || cluster.stats().value(ClusterStat::UpstreamCxTotal);
    pool.connect_ahead(0);
    assert_eq!(total(), 3);
    pool.connect_ahead(1);
    assert_eq!(total(), 5);
    for _ in 0..20 {
        pool.connect_ahead(0);
    }
    assert_eq!(total(), 40);
    drop(used);
    cluster.context.tasks.abort_all();
    bench.expect_gauges_at_zero();
}

#[test]
fn the_table_knows_names_not_stat_names() {
    let bench = Bench::new(&[], 1);
    let clusters: Clusters = [Rc::clone(&bench.cluster)].into_iter().collect();
    assert_eq!(clusters.get("backend").unwrap().config().name, "backend");
    assert!(clusters.get("back:end").is_none());
    assert!(clusters.get("").is_none());
}

#[test]
fn membership_is_what_the_configuration_lists() {
    let (_listener, address) = listener();
    let registry = Registry::new(1);
    let control = registry.shard(ShardIndex::Control).unwrap();
    let bench = Bench::new(&[address, address], 1);
    let config = Arc::clone(&bench.cluster.context.shared);
    Shared::new(Arc::new(config.config().clone()), &registry).publish(&control);
    let moved = registry.snapshot().into_iter().filter(|sample| sample.value > 0);
    let moved: Vec<_> = moved.map(|sample| (sample.name, sample.value)).collect();
    let expected = [
        ("default.total_match_count", 2),
        ("membership_change", 1),
        ("membership_healthy", 2),
        ("membership_total", 2),
    ];
    let expected = expected.map(|(name, n)| (format!("cluster.back_end.{name}"), n));
    assert_eq!(moved, expected);
}

// Rows: D13
/// If this fails, `/clusters` shows a host with the figures of another, or none.
#[test]
fn each_host_has_counts_of_its_own() {
    let (_listener, serving) = listener();
    let (_refusing, refusing) = refusing();
    let bench = Bench::new(&[serving, refusing], 1024);
    let count = |host: usize, stat| bench.cluster.context.shared.host(host).unwrap().total(stat);
    let counts = |host| HOST_STATS.map(|stat| count(host, stat));
    let connection = bench.connect().unwrap();
    bench.connect().unwrap_err();
    // Connections and users: active, failed, total; active, pending, total.
    assert_eq!(counts(0), [1, 0, 1, 1, 0, 1]);
    assert_eq!(counts(1), [0, 1, 1, 0, 0, 0]);
    drop(connection);
    assert_eq!(counts(0), [0, 0, 1, 0, 0, 1]);
    let prefixed = |sample: &observe::Sample| sample.name.starts_with("cluster.");
    assert!(bench.registry.snapshot().iter().all(prefixed), "hosts are on no stats page");
}

const HOST_STATS: [HostStat; 6] = [
    HostStat::CxActive,
    HostStat::CxConnectFail,
    HostStat::CxTotal,
    HostStat::RqActive,
    HostStat::RqPendingActive,
    HostStat::RqTotal,
];
