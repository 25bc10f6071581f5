//! Relays on a network made up from a seed: bulk and trickles both ways while peers stall, reset
//! and end their streams when they like, in and out of splicing. A failure prints its seed.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use reactor::simulation::{Network, PeerId, Plan, Scale};
use reactor::{OutboxMeter, Reactor, Socket, TaskSet};

use crate::pump::PumpObserver;
use crate::{Flushed, HalfClose, RelayEnd, RelayRules, Side, Stream, flush, relay};

/// Small enough that a round is quick, large enough that bulk is bulk.
const SCALE: Scale =
    Scale { buffer_count: 4, buffer_size: 64 * 1024, piece_max: 300_000, room_max: 300_000 };
/// Most that one peer says.
const SAYS_MAX: usize = 3 << 20;
/// Rounds after which a run that has not ended hangs.
const ROUNDS_MAX: usize = 100_000;
/// What one direction may hold, whatever its limit: an outbox and what a receive brings beyond.
const HELD_MAX: usize = 128 * 1024 + 64 * 1024;

const RULES: RelayRules = RelayRules { idle_timeout: None, half_close: HalfClose::PassedOn };

/// What a relay reports about one side.
#[derive(Debug, Default)]
struct Counted {
    received: Cell<usize>,
    paused: Cell<u64>,
    resumed: Cell<u64>,
    /// Queued for it and not yet sent.
    held: Cell<usize>,
    held_max: Cell<usize>,
}

impl PumpObserver for Counted {
    fn received(&self, bytes: usize) {
        self.received.set(self.received.get() + bytes);
    }

    fn paused(&self) {
        assert_eq!(self.paused.get(), self.resumed.get(), "paused twice");
        self.paused.set(self.paused.get() + 1);
    }

    fn resumed(&self) {
        self.resumed.set(self.resumed.get() + 1);
        assert_eq!(self.paused.get(), self.resumed.get(), "resumed without a pause");
    }
}

impl OutboxMeter for Counted {
    fn queued(&self, bytes: usize) {
        self.held.set(self.held.get() + bytes);
        self.held_max.set(self.held_max.get().max(self.held.get()));
    }

    fn sent(&self, bytes: usize) {
        self.held.set(self.held.get() - bytes);
    }

    fn dropped(&self, bytes: usize) {
        self.held.set(self.held.get() - bytes);
    }

    fn passed(&self, _bytes: usize) {}
}

struct Connection {
    near: PeerId,
    far: PeerId,
    sides: [Rc<Counted>; 2],
    end: Rc<RefCell<Option<RelayEnd>>>,
    aborted: bool,
    task: TaskSet,
}

/// Relays between two sockets, and says how it ended.
async fn run_relay(
    reactor: Reactor,
    sockets: [Socket; 2],
    sides: [Rc<Counted>; 2],
    end: Rc<RefCell<Option<RelayEnd>>>,
) {
    let [near, far] = sockets;
    let downstream = Stream::new(&reactor, near, 1 << 20, Rc::clone(&sides[0]) as Rc<_>);
    let upstream = Stream::new(&reactor, far, 1 << 20, Rc::clone(&sides[1]) as Rc<_>);
    let begins = std::future::ready(true);
    let ended =
        relay(&reactor, &downstream, &upstream, &*sides[0], &*sides[1], &RULES, begins).await;
    let finished = matches!(ended, RelayEnd::Finished { .. });
    let ended = if finished && flush(&reactor, &upstream, None).await == Flushed::Failed {
        let error = std::io::Error::other("it failed with bytes left to be sent");
        RelayEnd::Failed { side: Side::Upstream, error }
    } else {
        ended
    };
    end.replace(Some(ended));
}

fn connect(network: &Network, text: &Rc<[u8]>) -> Connection {
    let [(near, near_socket), (far, far_socket)] = [(); 2].map(|()| {
        let mut random = network.random();
        let most = if random.one_in(2) { SAYS_MAX } else { 2000 };
        let (start, len) = (random.below(SAYS_MAX), random.below(most));
        let doomed_at = random.one_in(6).then(|| random.below(len + 1));
        drop(random);
        network.connect(Plan { text: Rc::clone(text), says: start..start + len, doomed_at })
    });
    let sides = [Rc::new(Counted::default()), Rc::new(Counted::default())];
    let end = Rc::default();
    let task = network.reactor().task_set();
    task.spawn(run_relay(
        network.reactor().clone(),
        [near_socket, far_socket],
        sides.clone(),
        Rc::clone(&end),
    ));
    Connection { near, far, sides, end, aborted: false, task }
}

/// What a run met: whole connections, those that failed, splices, stalls in them, pauses.
fn run(seed: u64, text: &Rc<[u8]>) -> [u64; 4] {
    let network = Network::new(seed, SCALE);
    let mut connections: Vec<Connection> = (0..2).map(|_| connect(&network, text)).collect();
    let mut rounds = 0;
    while connections.iter().any(|connection| !connection.task.is_empty()) {
        network.round();
        if network.random().one_in(2000) {
            let index = network.random().below(connections.len());
            connections[index].aborted = true;
            connections[index].task.abort_all();
        }
        rounds += 1;
        assert!(rounds < ROUNDS_MAX, "hangs: {:?}", network.reactor().stats());
    }
    let (mut whole, mut failed, mut pauses) = (0, 0, 0);
    for Connection { near, far, sides, end, aborted, .. } in &connections {
        let unhurt = !aborted && !network.was_reset(*near) && !network.was_reset(*far);
        let passages = [network.passage(*near, *far), network.passage(*far, *near)];
        match &*end.borrow() {
            Some(RelayEnd::Finished { .. }) => {
                whole += 1;
                assert!(passages.iter().all(|passage| passage.is_whole), "not everything arrived");
                assert!(passages.iter().any(|passage| passage.is_ended), "no end was passed on");
            }
            Some(RelayEnd::Failed { .. }) => failed += 1,
            Some(RelayEnd::Idle | RelayEnd::Refused) => panic!("{:?}", end.borrow()),
            None => assert!(aborted, "the relay has not ended"),
        }
        assert!(!unhurt || matches!(*end.borrow(), Some(RelayEnd::Finished { .. })), "{end:?}");
        for side in sides {
            assert!(side.held_max.get() <= HELD_MAX, "{} bytes held", side.held_max.get());
            assert_eq!(side.paused.get(), side.resumed.get());
            pauses += side.paused.get();
        }
    }
    let stats = network.reactor().stats();
    assert_eq!(stats.splices_begun, stats.splices_left);
    network.end();
    let held = |connection: &Connection| connection.sides.iter().any(|side| side.held.get() > 0);
    assert!(!connections.iter().any(held), "the gauge of buffered bytes");
    [whole, failed, stats.splices_begun, pauses]
}

#[test]
fn a_thousand_networks_of_peers_that_stall_reset_and_end_when_they_like() {
    let text: Rc<[u8]> = (0..2 * SAYS_MAX).map(|n| u8::try_from(n % 251).unwrap()).collect();
    let mut met = [0; 4];
    for seed in 0..1000 {
        // A panic in a reactor's turn aborts; this line is then all that names the seed.
        println!("seed {seed}");
        let text = std::panic::AssertUnwindSafe(&text);
        let outcome = std::panic::catch_unwind(|| run(seed, *text));
        let Ok(of_seed) = outcome else { panic!("seed {seed}") };
        met.iter_mut().zip(of_seed).for_each(|(sum, met)| *sum += met);
    }
    println!("whole, failed, splices, pauses: {met:?}");
    assert!(met.iter().all(|met| *met > 100), "too fair a network: {met:?}");
}
