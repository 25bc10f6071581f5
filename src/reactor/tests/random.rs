//! Relayed connections on a network made up from a seed, which a failure prints.

use std::rc::{Rc, Weak};

use super::stage::{NoMeter, pattern};
use crate::simulation::{Network, PeerId, Plan, Scale};
use crate::{LoopStats, Outbox, Received, Receiver, TaskSet};

/// Most bytes an outbox of this simulation takes below its high watermark.
const LIMIT: usize = 150;
/// Rounds after which a run that has not ended hangs.
const ROUNDS_MAX: usize = 50_000;

const SCALE: Scale = Scale { buffer_count: 2, buffer_size: 64, piece_max: 100, room_max: 80 };

struct Connection {
    near: PeerId,
    far: PeerId,
    outboxes: [Weak<Outbox>; 2],
    tasks: TaskSet,
    aborted: bool,
}

async fn pump(receiver: Rc<Receiver>, outbox: Rc<Outbox>) {
    loop {
        let Ok(room) = outbox.room().await else { return };
        match receiver.recv(room).await {
            Ok(Received::Data(span)) => {
                outbox.push(span);
                assert!(outbox.bytes_buffered() <= LIMIT + 1, "past the watermark");
            }
            Ok(Received::End) => {
                outbox.finish();
                outbox.drained().await.ok();
                return;
            }
            Err(_) => return,
        }
    }
}

/// A connection with a peer at each end, relayed both ways.
fn connect(network: &Network) -> Connection {
    let [(near, near_socket), (far, far_socket)] = [(); 2].map(|()| {
        let len = network.random().below(700);
        let start = network.random().below(251);
        let doomed = network.random().one_in(6);
        let doomed_at = doomed.then(|| network.random().below(len + 1));
        network.connect(Plan { text: pattern(start, len).into(), says: 0..len, doomed_at })
    });
    let reactor = network.reactor();
    let halves = [near_socket, far_socket].map(|socket| {
        let (receiver, outbox) = reactor.split(&socket, LIMIT, Rc::new(NoMeter));
        (Rc::new(receiver), Rc::new(outbox))
    });
    let [(near_in, near_out), (far_in, far_out)] = halves;
    let outboxes = [Rc::downgrade(&near_out), Rc::downgrade(&far_out)];
    let tasks = reactor.task_set();
    // Both tasks hold all four halves, as a relay does.
    let keep = (Rc::clone(&near_in), Rc::clone(&near_out));
    tasks.spawn(async move {
        pump(keep.0, far_out).await;
    });
    tasks.spawn(async move {
        pump(far_in, near_out).await;
        drop(near_in);
    });
    Connection { near, far, outboxes, tasks, aborted: false }
}

/// Checks what every peer must have heard by the end. Returns how many connections were unhurt.
fn check(network: &Network, connections: &[Connection]) -> u64 {
    let mut unhurt_connections = 0;
    for &Connection { near, far, aborted, .. } in connections {
        let unhurt = !aborted && !network.was_reset(near) && !network.was_reset(far);
        unhurt_connections += u64::from(unhurt);
        for passage in [network.passage(near, far), network.passage(far, near)] {
            assert!(!unhurt || (passage.is_whole && passage.is_ended), "not everything arrived");
        }
    }
    unhurt_connections
}

/// Weather that a run met: unhurt connections, shortages of buffers, copies, full queues, losses.
fn run(seed: u64) -> [u64; 6] {
    let network = Network::new(seed, SCALE);
    let mut connections: Vec<Connection> = (0..4).map(|_| connect(&network)).collect();
    let mut rounds = 0;
    while connections.iter().any(|connection| !connection.tasks.is_empty()) {
        network.round();
        for outbox in connections.iter().flat_map(|connection| &connection.outboxes) {
            assert!(outbox.upgrade().is_none_or(|outbox| outbox.bytes_buffered() <= LIMIT + 1));
        }
        if network.random().one_in(400) {
            let index = network.random().below(connections.len());
            connections[index].aborted = true;
            connections[index].tasks.abort_all();
        }
        rounds += 1;
        assert!(rounds < ROUNDS_MAX, "hangs: {:?}", network.reactor().stats());
    }
    let unhurt = check(&network, &connections);
    drop(connections);
    let stats = network.reactor().stats();
    network.end();
    let LoopStats { enobufs, copied_out_bytes, sq_full, cq_overflow, lost_bytes, .. } = stats;
    [unhurt, enobufs, copied_out_bytes, sq_full, cq_overflow, lost_bytes]
}

#[test]
fn a_thousand_random_kernels() {
    let mut weather = [0; 6];
    for seed in 0..1000 {
        // A panic in a reactor's turn aborts; this line is then all that names the seed.
        println!("seed {seed}");
        let outcome = std::panic::catch_unwind(|| run(seed));
        let Ok(met) = outcome else { panic!("seed {seed}") };
        weather.iter_mut().zip(met).for_each(|(sum, met)| *sum += met);
    }
    println!("weather: {weather:?}");
    assert!(weather.iter().all(|met| *met > 100), "too fair a kernel: {weather:?}");
}
