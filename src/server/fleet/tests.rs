//! Workers on the real ring, with real connections over loopback.

use std::hash::RandomState;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};

use config::model;
use crossbeam_channel::Receiver;
use observe::names::{ListenerStat, WORKER_PREFIX, WorkerStat};
use observe::{Registry, ShardIndex};

use super::*;
use crate::listen::Bound;

/// Long enough for anything that happens at all.
const PATIENCE: Duration = Duration::from_secs(30);

struct Scene {
    fleet: Fleet,
    address: SocketAddr,
    registry: Registry,
    ended: Receiver<()>,
}

fn plans(
    workers: usize,
    registry: &Registry,
) -> (Vec<(Plan, reactor::Sender<Command>)>, SocketAddr) {
    let config = Arc::new(model::Listener {
        name: "echo".to_owned(),
        stat_prefix: Some("echo".to_owned()),
        sockets: model::ListenerSockets::on(base::Address::Ip(([127, 0, 0, 1], 0).into())),
        inbound: false,
        per_connection_buffer_limit_bytes: 1 << 20,
        ignore_global_connection_limit: false,
        access_logs: Vec::new(),
        listener_filters: model::ListenerFilters::default(),
        filter_chains: vec![model::FilterChain {
            name: String::new(),
            matches: model::FilterChainMatch::default(),
            filters: Vec::new(),
            terminal: model::TerminalFilter::Echo,
        }],
        default_filter_chain: None,
    });
    let bound = net::listener::bind(&config, workers, None).unwrap();
    let address = bound.addresses[0].address.ip().unwrap();
    let plan = |(index, listeners)| {
        let (sender, commands) = reactor::channel(COMMANDS_MAX).unwrap();
        let plan = Plan {
            index,
            core: None,
            features: reactor::probe().unwrap(),
            listeners,
            clusters: Vec::new(),
            registry: registry.clone(),
            local_address: Ipv4Addr::LOCALHOST.into(),
            random: RandomState::new(),
            access_logs: no_access_logs(),
            health_failed: Arc::default(),
            handovers: None,
            ejections: None,
            commands,
        };
        (plan, sender)
    };
    let hands = Bound::deal(vec![(config, bound)], &model::Runtime::default(), None, workers);
    (hands.into_iter().enumerate().map(plan).collect(), address)
}

fn no_access_logs() -> crate::access_log::AccessLogPart {
    crate::access_log::AccessLogPart {
        plan: Arc::default(),
        outlets: Vec::new(),
        settings: proxy::access_log::LogSettings {
            flush_min_bytes: 1,
            flush_interval: Duration::from_secs(1),
        },
        returns: reactor::channel(1).unwrap().1,
    }
}

fn ringing() -> (OnEnd, Receiver<()>) {
    let (ring, ended) = crossbeam_channel::unbounded();
    (Arc::new(move || _ = ring.send(())), ended)
}

impl Scene {
    fn serving(workers: usize) -> Self {
        let registry = Registry::new(workers);
        let (plans, address) = plans(workers, &registry);
        let (on_end, ended) = ringing();
        let fleet = Fleet::start(plans, &on_end).unwrap();
        fleet.command(Command::Serve);
        Self { fleet, address, registry, ended }
    }

    /// A connection that a worker has taken.
    fn connect(&self) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        echo(&mut stream);
        stream
    }

    fn listener_stat(&self, stat: ListenerStat) -> u64 {
        self.registry.scope::<ListenerStat>("listener.echo").total(stat)
    }
}

fn echo(stream: &mut TcpStream) {
    stream.write_all(b"hello").unwrap();
    let mut back = [0; 5];
    stream.read_exact(&mut back).unwrap();
    assert_eq!(&back, b"hello");
}

fn is_open(stream: &mut TcpStream) -> bool {
    match stream.read(&mut [0]) {
        Ok(0) => false,
        Ok(_) => true,
        Err(error) => error.kind() != ErrorKind::ConnectionReset,
    }
}

#[test]
fn a_drain_closes_the_listeners_and_lets_connections_finish() {
    let scene = Scene::serving(2);
    let mut open = scene.connect();
    scene.fleet.command(Command::Drain(PATIENCE));
    // The listeners are closed soon; until then a connection may still be taken.
    let refused = (0..100_000).any(|_| TcpStream::connect(scene.address).is_err());
    assert!(refused, "the listeners are still open");
    assert!(scene.ended.is_empty(), "a worker still has a connection");
    echo(&mut open);
    open.shutdown(Shutdown::Write).unwrap();
    assert!(!is_open(&mut open));
    drop(open);
    scene.ended.recv_timeout(PATIENCE).unwrap();
    let accepted = scene.listener_stat(ListenerStat::DownstreamCxTotal);
    assert_eq!(scene.listener_stat(ListenerStat::DownstreamCxDestroy), accepted);
    assert_eq!(scene.listener_stat(ListenerStat::DownstreamCxActive), 0);
    assert_eq!(scene.fleet.finish(), []);
}

#[test]
fn connections_that_are_queued_when_the_drain_begins_are_served() {
    let registry = Registry::new(1);
    let (plans, address) = plans(1, &registry);
    let (on_end, ended) = ringing();
    let fleet = Fleet::start(plans, &on_end).unwrap();
    // Not serving yet: the kernel queues them.
    let mut queued: Vec<_> = (0..8).map(|_| TcpStream::connect(address).unwrap()).collect();
    fleet.command(Command::Drain(PATIENCE));
    for stream in &mut queued {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        echo(stream);
    }
    drop(queued);
    ended.recv_timeout(PATIENCE).unwrap();
    assert_eq!(fleet.finish(), []);
}

#[test]
fn connections_are_cut_when_the_grace_is_over() {
    let scene = Scene::serving(1);
    let mut open = scene.connect();
    scene.fleet.command(Command::Drain(Duration::ZERO));
    assert!(!is_open(&mut open));
    scene.ended.recv_timeout(PATIENCE).unwrap();
    assert_eq!(scene.listener_stat(ListenerStat::DownstreamCxActive), 0);
    assert_eq!(scene.fleet.finish(), []);
}

#[test]
fn a_stop_ends_a_drain_at_once() {
    let scene = Scene::serving(1);
    let mut open = scene.connect();
    scene.fleet.command(Command::Drain(Duration::from_secs(3600)));
    assert_eq!(scene.fleet.finish(), []);
    assert!(!is_open(&mut open));
    scene.ended.recv_timeout(PATIENCE).unwrap();
}

#[test]
fn the_end_is_rung_once_by_the_last_worker() {
    let scene = Scene::serving(3);
    scene.fleet.command(Command::Drain(PATIENCE));
    scene.ended.recv_timeout(PATIENCE).unwrap();
    assert_eq!(scene.fleet.finish(), []);
    assert!(scene.ended.is_empty());
}

#[test]
fn one_worker_that_cannot_start_ends_all_and_is_named() {
    let registry = Registry::new(2);
    let (plans, address) = plans(2, &registry);
    // Taken already, so the second worker is refused it.
    let _shard = registry.shard(ShardIndex::Worker(1)).unwrap();
    let (on_end, ended) = ringing();
    let failures = Fleet::start(plans, &on_end).unwrap_err();
    let [failure] = &failures[..] else { panic!("{failures:?}") };
    assert_eq!(failure.to_string(), "worker_1: there is no stats shard 1");
    ended.recv_timeout(PATIENCE).unwrap();
    let refused = TcpStream::connect(address).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
}

#[test]
fn a_panic_of_a_worker_ends_all_and_is_told() {
    let registry = Registry::new(2);
    let (mut plans, _) = plans(2, &registry);
    let config = model::Cluster {
        name: "stray".to_owned(),
        stat_name: "stray".to_owned(),
        connect_timeout: PATIENCE,
        per_connection_buffer_limit_bytes: 1 << 20,
        thresholds: model::Thresholds { max_connections: 1, ..model::Thresholds::default() },
        high_thresholds: model::Thresholds::default(),
        host_connections_max: None,
        preconnect_per_mille: 1000,
        http: model::UpstreamHttp::default(),
        tcp: model::UpstreamTcp::default(),
        sockets: model::UpstreamSockets::default(),
        proxy_protocol: None,
        outlier_detection: None,
        panic: model::Panic::default(),
        endpoints: Vec::new(),
    };
    // A cluster of another registry: wiring so wrong that observe panics.
    plans[1].0.clusters = vec![cluster::Shared::new(Arc::new(config), &Registry::new(2))];
    let (on_end, ended) = ringing();
    let failures = Fleet::start(plans, &on_end).unwrap_err();
    let [failure] = &failures[..] else { panic!("{failures:?}") };
    assert!(failure.to_string().starts_with("worker_1: ended by a panic"), "{failure}");
    ended.recv_timeout(PATIENCE).unwrap();
}

#[test]
fn a_worker_publishes_what_its_loop_counts() {
    let scene = Scene::serving(1);
    drop(scene.connect());
    let stats = scene.registry.scope::<WorkerStat>(WORKER_PREFIX);
    assert_eq!(scene.fleet.finish(), []);
    assert!(stats.total(WorkerStat::LoopTurns) > 0);
    assert!(stats.total(WorkerStat::TasksPolled) > 0);
    assert_eq!(stats.total(WorkerStat::Accepted), 1);
    assert_eq!(stats.total(WorkerStat::LeasesActive), 0);
}
