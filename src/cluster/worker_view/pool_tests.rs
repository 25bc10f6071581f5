//! Who gets a connection, and when, where there are pools: on the real ring, over loopback.

use std::future::{Future, poll_fn};
use std::net::Shutdown;
use std::pin::{Pin, pin};
use std::task::Poll;

use super::tests::{Bench, listener, silent};
use super::*;
use crate::http_pool::{Http1Stream, HttpStream};

/// Polls a future that is not ready.
async fn not_ready<F: Future>(mut future: Pin<&mut F>) {
    poll_fn(|context| {
        assert!(future.as_mut().poll(context).is_pending());
        Poll::Ready(())
    })
    .await;
}

// Rows: D6, D15
#[test]
fn at_a_host_without_room_users_wait_in_their_order() {
    let (_listener, address) = listener();
    let bench = Bench::configured(&[address], |config| config.host_connections_max = Some(1));
    let cluster = &bench.cluster;
    let value = |stat| cluster.stats().value(stat);
    bench.reactor.run(async {
        let first = cluster.connect(None, |_, _| ()).await.unwrap();
        let mut second = pin!(cluster.connect(None, |_, _| ()));
        let mut gives_up = Box::pin(cluster.connect(None, |_, _| ()));
        let mut third = pin!(cluster.connect(None, |_, _| ()));
        not_ready(second.as_mut()).await;
        not_ready(gives_up.as_mut()).await;
        not_ready(third.as_mut()).await;
        assert_eq!(value(ClusterStat::UpstreamRqPendingActive), 3);
        assert_eq!(value(ClusterStat::UpstreamCxActive), 1, "none of them counts yet");
        assert_eq!(value(ClusterStat::UpstreamCxOverflow), 3);
        drop(first);
        assert_eq!(value(ClusterStat::UpstreamCxActive), 0, "its turn, but it was not polled");
        let second = second.await.unwrap();
        not_ready(gives_up.as_mut()).await;
        not_ready(third.as_mut()).await;
        // Its turn comes, and it does not want it any more.
        drop(second);
        drop(gives_up);
        drop(third.await.unwrap());
    });
    assert_eq!(value(ClusterStat::UpstreamCxTotal), 3);
    assert_eq!(value(ClusterStat::UpstreamRqCancelled), 1);
    bench.expect_gauges_at_zero();
}

// Rows: C12
#[test]
fn users_with_needs_of_their_own_share_with_their_like_and_leave_no_pool_behind() {
    let (_listener, address) = listener();
    let (_other, proxy) = listener();
    let bench = Bench::configured(&[address], |config| config.host_connections_max = Some(1));
    let cluster = &bench.cluster;
    let connect = |likeness: &str, proxy: Option<Address>| {
        let way = Way { likeness: likeness.as_bytes().into(), proxy };
        cluster.connect(Some(Box::new(way)), |_, _| ())
    };
    bench.reactor.run(async {
        let first = connect("a", None).await.unwrap();
        // There is no room at the host, but its own pool has no connection yet.
        let second = connect("b", Some(proxy.into())).await.unwrap();
        let peer = |connection: &UpstreamConnection| connection.stream().socket().peer_address();
        assert_eq!(peer(&first).unwrap(), address);
        assert_eq!(peer(&second).unwrap(), proxy);
        assert_eq!(*second.host(), address);
        let mut third = pin!(connect("a", None));
        not_ready(third.as_mut()).await;
        drop((first, second));
        drop(third.await.unwrap());
        for number in 0..100 {
            drop(connect(&number.to_string(), None).await.unwrap());
        }
    });
    assert!(cluster.tcp.as_ref().unwrap().alike() < 10, "the gone ones make room");
    bench.expect_gauges_at_zero();
}

#[test]
fn a_panic_at_any_await_point_leaves_nobody_waiting_for_room() {
    let (_sockets, address) = silent();
    let bench = Bench::configured(&[address], |config| config.host_connections_max = Some(1));
    let connect_in_tasks = |panic_at| {
        bench.reactor.inject_panic(panic_at);
        let tasks = bench.reactor.task_set();
        for _ in 0..3 {
            let cluster = Rc::clone(&bench.cluster);
            tasks.spawn(async move { drop(cluster.connect(None, |_, _| ()).await.unwrap_err()) });
        }
        bench.reactor.run(tasks.wait_empty());
        bench.reactor.inject_panic(None)
    };
    let points = connect_in_tasks(None);
    assert!(points >= 6, "three connects, each with its timer");
    for point in 0..points {
        connect_in_tasks(Some(point));
        bench.expect_gauges_at_zero();
    }
}

fn header(byte: u8) -> Option<Box<[u8]>> {
    Some(Box::new([byte]))
}

// Rows: D16
#[test]
fn a_pool_that_nobody_uses_makes_room_for_another_one() {
    let (_listener, address) = listener();
    let limit = |config: &mut model::Cluster| config.thresholds.max_connection_pools = Some(1);
    let bench = Bench::configured(&[address], limit);
    let cluster = &bench.cluster;
    let value = |stat| cluster.stats().value(stat);
    bench.reactor.run(async {
        let host = cluster.http_host(None, header(1)).unwrap();
        assert_eq!(bench.breaker("cx_pool_open"), 1, "from when it was picked");
        drop(host);
        assert_eq!(bench.breaker("cx_pool_open"), 0, "it was not used");
        let stream = http1(cluster.http_host(None, header(1)).unwrap().stream().await);
        assert!(cluster.http_host(None, header(2)).is_err(), "the connection is in use");
        assert!(cluster.http_host(None, None).is_err());
        assert_eq!(value(ClusterStat::UpstreamCxPoolOverflow), 2);
        drop(cluster.http_host(None, header(1)).unwrap());
        stream.give_back(true);
        let host = cluster.http_host(None, header(2)).unwrap();
        assert!(cluster.http_host(None, header(1)).is_err(), "it has made room");
        let stream = http1(host.stream().await);
        assert_eq!(value(ClusterStat::UpstreamCxTotal), 2, "no connection of the other pool");
        stream.give_back(false);
        drop(host);
        cluster.context.tasks.wait_empty().await;
        assert_eq!(bench.breaker("cx_pool_open"), 0);
    });
    bench.expect_gauges_at_zero();
}

fn http1(stream: Result<HttpStream, ConnectFailure>) -> Http1Stream {
    let Ok(HttpStream::Http1(stream)) = stream else { panic!("{stream:?}") };
    stream
}

/// If this fails, a request waits for a connection, and gets one that its host has closed.
#[test]
fn an_end_right_behind_a_response_is_seen_before_the_connection_is_given_to_another() {
    let (listener, address) = listener();
    let bench = Bench::configured(&[address], |config| config.thresholds.max_connections = 1);
    let cluster = &bench.cluster;
    bench.reactor.run(async {
        let host = cluster.http_host(None, None).unwrap();
        let stream = http1(host.stream().await);
        let (accepted, _) = listener.accept().unwrap();
        let mut next = Box::pin(host.stream());
        not_ready(next.as_mut()).await;
        accepted.shutdown(Shutdown::Write).unwrap();
        stream.give_back(true);
        let stream = http1(next.await);
        assert_eq!(cluster.stats().value(ClusterStat::UpstreamCxTotal), 2, "a new one");
        // Without an end it is the same one.
        let mut next = Box::pin(host.stream());
        not_ready(next.as_mut()).await;
        stream.give_back(true);
        http1(next.await).give_back(false);
        assert_eq!(cluster.stats().value(ClusterStat::UpstreamCxTotal), 2);
        drop(host);
        cluster.context.tasks.wait_empty().await;
    });
    bench.expect_gauges_at_zero();
}

/// A cluster of one host that may be ejected; it is used all the same, in panic.
fn ejectable(config: &mut model::Cluster) {
    config.outlier_detection = Some(model::OutlierDetection::default());
}

impl Bench {
    pub(super) fn eject(&self) {
        self.cluster.context.shared.watched().unwrap().set_ejected(0, true);
        self.cluster.drain_ejected();
    }
}

// Rows: D4
#[test]
fn connections_to_an_ejected_host_go_once_nobody_has_them() {
    let (_listener, address) = listener();
    let bench = Bench::configured(&[address], ejectable);
    let cluster = &bench.cluster;
    let value = |stat| cluster.stats().value(stat);
    bench.reactor.run(async {
        let host = cluster.http_host(None, None).unwrap();
        let idle = http1(host.stream().await);
        let used = http1(host.stream().await);
        idle.give_back(true);
        bench.eject();
        // In use, it stays; the idle one is not lent again.
        let new = http1(host.stream().await);
        assert_eq!(value(ClusterStat::UpstreamCxTotal), 3);
        used.give_back(true);
        new.give_back(true);
        let new = http1(host.stream().await);
        assert_eq!(value(ClusterStat::UpstreamCxTotal), 3, "made after the ejection");
        while value(ClusterStat::UpstreamCxDestroyLocal) < 2 {
            bench.reactor.sleep(std::time::Duration::from_millis(1)).await;
        }
        // Nothing is new since.
        cluster.drain_ejected();
        new.give_back(true);
        http1(host.stream().await).give_back(false);
        assert_eq!(value(ClusterStat::UpstreamCxTotal), 3);
        drop(host);
        cluster.context.tasks.wait_empty().await;
    });
    bench.expect_gauges_at_zero();
}

// Rows: D3
#[test]
fn connections_that_were_made_ahead_go_with_their_host() {
    let (_listener, address) = listener();
    let bench = Bench::configured(&[address], |config| {
        config.preconnect_per_mille = 2000;
        ejectable(config);
    });
    let cluster = &bench.cluster;
    bench.reactor.run(async {
        let used = cluster.connect(None, |_, _| ()).await.unwrap();
        let all = cluster.tcp.as_ref().unwrap();
        let counts = cluster.counts(&cluster.host(0).unwrap().met.stats);
        let pool = all.host(0, &address.into(), &counts, &[]).unwrap();
        while pool.ready_connections() == 0 {
            bench.reactor.sleep(std::time::Duration::from_millis(1)).await;
        }
        assert_eq!(cluster.stats().value(ClusterStat::UpstreamCxActive), 2);
        bench.eject();
        assert_eq!(pool.ready_connections(), 0);
        assert_eq!(cluster.stats().value(ClusterStat::UpstreamCxActive), 1);
        assert_eq!(cluster.stats().value(ClusterStat::UpstreamCxDestroyLocal), 1);
        drop(used);
        cluster.context.tasks.wait_empty().await;
    });
    bench.expect_gauges_at_zero();
}
