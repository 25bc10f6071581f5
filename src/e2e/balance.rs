//! Which worker gets a connection: `connection_balance_config`, on two workers.
//!
//! What decides is the same in Envoy, and is checked there too if there is one.

use std::thread;

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::address::ListenerAddress;
use crate::configuration::{Filter, More, Route, bootstrap};
use crate::environment::{self, Program};
use crate::patience::wait_for;
use crate::peer::Peer;
use crate::proxy::Proxy;

/// A proxy with two workers and one echoing listener.
struct Balanced {
    listener: ListenerAddress,
    route: Route,
    proxy: Proxy,
}

impl Balanced {
    fn start(program: &Program, fields: &'static [&'static str]) -> Self {
        let listener = ListenerAddress::reserve();
        let mut route = Route::relay("balanced", listener.address, &[]);
        (route.filter, route.endpoints) = (Filter::Echo, None);
        route.more = More { listener: fields, ..More::NONE };
        let text = bootstrap(std::slice::from_ref(&route));
        let proxy = Proxy::start(program, &text, &["--concurrency", "2"]);
        Self { listener, route, proxy }
    }

    /// A connection that a worker has.
    fn connect(&self) -> Peer {
        let mut client = Peer::connect(self.listener.address);
        client.send(b"hello");
        assert_eq!(client.receive(5), b"hello");
        client
    }

    /// Waits until the workers have these many connections, in any order.
    fn expect_active(&self, mut expected: [u64; 2]) {
        expected.sort_unstable();
        wait_for(&format!("{expected:?} connections"), || {
            let stats = self.proxy.stats();
            let of = |worker| {
                let name = format!("worker_{worker}.downstream_cx_active");
                stats.value(&self.route.listener_stat(&name)).unwrap()
            };
            let mut active = [of(0), of(1)];
            active.sort_unstable();
            if active == expected { Ok(()) } else { Err(format!("they have {active:?}")) }
        });
    }
}

/// If this fails, `exact_balance` does not hand connections to the worker that has the fewest.
#[test]
fn exact_balance_keeps_the_workers_equal() {
    for program in [Some(environment::subject()), environment::reference().ok()] {
        let Some(program) = program else { continue };
        let scene = Balanced::start(&program, &["connection_balance_config: {exact_balance: {}}"]);
        let mut clients = Vec::new();
        for count in 1..=9 {
            clients.push(scene.connect());
            scene.expect_active([count / 2, count - count / 2]);
        }
        // Whoever is left with fewer is given the next ones.
        for mut client in clients.drain(..8) {
            client.finish_sending();
            client.ending();
        }
        scene.expect_active([0, 1]);
        clients.extend((0..3).map(|_| scene.connect()));
        scene.expect_active([2, 2]);
    }
}

/// If this fails, connections do not go to the worker on the CPU that received them. Only where
/// this process may use as many CPUs as there are workers are those pinned.
#[test]
fn cpu_locality_balance_follows_the_cpu() {
    let allowed = sched_getaffinity(None).unwrap();
    let cpus: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|cpu| allowed.is_set(*cpu)).collect();
    let [first, second] = cpus[..] else { return };
    let scene = Balanced::start(
        &environment::subject(),
        &["connection_balance_config: {cpu_locality_balance: {}}"],
    );
    for (worker, cpu) in [(0, first), (1, second)] {
        // On loopback the sender's CPU receives too.
        let clients = thread::scope(|scope| {
            let connect = || {
                let mut only = CpuSet::new();
                only.set(cpu);
                sched_setaffinity(None, &only).unwrap();
                (0..20).map(|_| scene.connect()).collect::<Vec<_>>()
            };
            scope.spawn(connect).join().unwrap()
        });
        let name = scene.route.listener_stat(&format!("worker_{worker}.downstream_cx_total"));
        scene.proxy.wait_for_stat(&name, 20);
        drop(clients);
    }
}
