//! Relayed connections on a scripted kernel that does at random what a kernel may do.
//!
//! Everything follows from one seed, which a failure prints.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::os::fd::RawFd;
use std::rc::{Rc, Weak};

use super::stage::{LOUD, NEW, NoMeter, Stage, descriptor, pattern};
use crate::driver::scripted::{Answer, Seen, Started};
use crate::driver::{OpKey, SendMode};
use crate::{Features, LoopStats, Outbox, Received, Receiver, TaskSet};

/// Most bytes an outbox of this simulation takes below its high watermark.
const LIMIT: usize = 150;
/// Rounds after which a run that has not ended hangs.
const ROUNDS_MAX: usize = 50_000;

/// `SplitMix64`.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(end.max(1)).unwrap()).unwrap()
    }

    /// True once in `n`.
    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }
}

/// The far end of one socket, as the kernel sees it.
#[derive(Default)]
struct Peer {
    /// What it sends in all, and how much of it was received.
    says: Vec<u8>,
    said: usize,
    /// What it got.
    hears: Vec<u8>,
    /// Bytes its socket buffer takes now.
    room: usize,
    recv: Option<OpKey>,
    parked: Option<OpKey>,
    shutdown: Option<OpKey>,
    shut: bool,
    reset: bool,
    /// At which byte it resets the connection.
    doomed_at: Option<usize>,
}

impl Peer {
    /// How the kernel answers a send that does not wait.
    fn answer(&mut self, bytes: &[u8], random: &mut Random) -> Answer {
        assert!(!self.shut, "bytes after the end of stream");
        if self.reset {
            return Answer::Fails(libc::EPIPE);
        }
        if random.one_in(50) {
            return Answer::Fails(libc::EINTR);
        }
        let count = bytes.len().min(self.room);
        if count == 0 {
            return Answer::Fails(libc::EAGAIN);
        }
        self.hear(&bytes[..count]);
        if count < bytes.len() && random.one_in(4) {
            return Answer::Overflows(i32::try_from(count).unwrap());
        }
        Answer::Takes(count)
    }

    fn hear(&mut self, bytes: &[u8]) {
        self.room -= bytes.len();
        self.hears.extend(bytes);
    }
}

struct Connection {
    near: RawFd,
    far: RawFd,
    outboxes: [Weak<Outbox>; 2],
    tasks: TaskSet,
    aborted: bool,
}

struct World {
    stage: Stage,
    random: Rc<RefCell<Random>>,
    peers: Rc<RefCell<BTreeMap<RawFd, Peer>>>,
    connections: Vec<Connection>,
    cancels: Vec<(OpKey, OpKey)>,
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

impl World {
    fn new(seed: u64) -> Self {
        let mut random = Random(seed);
        let features = [
            NEW,
            LOUD,
            Features { incremental_buffers: false, ..NEW },
            Features { recv_limit: false, ..LOUD },
            Features::minimal(),
        ][random.below(5)];
        let stage = Stage::with_buffers(features, 2, 64);
        if random.one_in(2) {
            stage.script.limit_completions(1 + random.below(6));
        }
        let mut world = Self {
            stage,
            random: Rc::new(RefCell::new(random)),
            peers: Rc::default(),
            connections: Vec::new(),
            cancels: Vec::new(),
        };
        for _ in 0..4 {
            world.connect();
        }
        let (random, peers) = (Rc::clone(&world.random), Rc::clone(&world.peers));
        world.stage.script.answer_with(move |fd, bytes| {
            peers.borrow_mut().get_mut(&fd).unwrap().answer(bytes, &mut random.borrow_mut())
        });
        world
    }

    /// Adds a connection with a peer at each end, relayed both ways.
    fn connect(&mut self) {
        let sockets = [(); 2].map(|()| self.stage.reactor.socket(descriptor()));
        let [near, far] = sockets.each_ref().map(|socket| socket.fd().raw());
        for fd in [near, far] {
            let mut random = self.random.borrow_mut();
            let len = random.below(700);
            let start = random.below(251);
            let doomed_at = random.one_in(6).then(|| random.below(len + 1));
            let peer = Peer { says: pattern(start, len), doomed_at, ..Peer::default() };
            self.peers.borrow_mut().insert(fd, peer);
        }
        let halves = sockets.map(|socket| {
            let (receiver, outbox) = self.stage.reactor.split(&socket, LIMIT, Rc::new(NoMeter));
            (Rc::new(receiver), Rc::new(outbox))
        });
        let [(near_in, near_out), (far_in, far_out)] = halves;
        let outboxes = [Rc::downgrade(&near_out), Rc::downgrade(&far_out)];
        let tasks = self.stage.reactor.task_set();
        // Both tasks hold all four halves, as a relay does.
        let keep = (Rc::clone(&near_in), Rc::clone(&near_out));
        tasks.spawn(async move {
            pump(keep.0, far_out).await;
        });
        tasks.spawn(async move {
            pump(far_in, near_out).await;
            drop(near_in);
        });
        self.connections.push(Connection { near, far, outboxes, tasks, aborted: false });
    }

    /// One step of the reactor, unless it sleeps, and what the kernel makes of it.
    fn round(&mut self) {
        if !self.stage.script.asleep() {
            self.stage.step();
            for started in self.stage.script.seen() {
                self.note(&started);
            }
        }
        for connection in &self.connections {
            for outbox in connection.outboxes.iter().filter_map(Weak::upgrade) {
                assert!(outbox.bytes_buffered() <= LIMIT + 1);
            }
        }
        let held = self.random.borrow_mut().one_in(5);
        self.stage.script.hold_overflow(held);
        if self.random.borrow_mut().one_in(10) {
            self.stage.script.start_at_most(self.random.borrow_mut().below(3));
        }
        if self.random.borrow_mut().one_in(400) {
            let index = self.random.borrow_mut().below(self.connections.len());
            self.connections[index].aborted = true;
            self.connections[index].tasks.abort_all();
        }
        self.end_cancels();
        let fds: Vec<RawFd> = self.peers.borrow().keys().copied().collect();
        for fd in fds {
            if self.random.borrow_mut().one_in(2) {
                self.act(fd);
            }
        }
    }

    fn note(&mut self, started: &Started) {
        let mut peers = self.peers.borrow_mut();
        if let Seen::Cancel(target) = started.op {
            self.cancels.push((started.key, target));
            return;
        }
        let Some(peer) = started.fd.and_then(|fd| peers.get_mut(&fd)) else { return };
        match started.op {
            Seen::Recv { .. } => peer.recv = Some(started.key),
            Seen::Send { mode: SendMode::Parked, .. } => peer.parked = Some(started.key),
            Seen::Shutdown => {
                peer.shut = true;
                peer.shutdown = Some(started.key);
            }
            _ => {}
        }
    }

    /// What every peer must have heard by the end. Returns how many connections were unhurt.
    fn check(&self) -> u64 {
        let mut unhurt_connections = 0;
        let peers = self.peers.borrow();
        for Connection { near, far, aborted, .. } in &self.connections {
            let (near, far) = (&peers[near], &peers[far]);
            let unhurt = !aborted && !near.reset && !far.reset;
            unhurt_connections += u64::from(unhurt);
            for (from, to) in [(near, far), (far, near)] {
                assert!(from.says.starts_with(&to.hears), "bytes lost, doubled or swapped");
                assert!(!unhurt || (to.hears == from.says && to.shut), "not everything arrived");
                assert!(!to.shut || to.hears == from.says, "an end of stream before the end");
            }
        }
        unhurt_connections
    }

    /// Ends some cancels, each in one of its three ways.
    fn end_cancels(&mut self) {
        let mut random = self.random.borrow_mut();
        let script = &self.stage.script;
        self.cancels.retain(|(cancel, target)| {
            if random.one_in(2) {
                return true;
            }
            let running = script.in_flight().into_iter().find(|op| op.key == *target);
            let Some(running) = running else {
                script.complete(*cancel, -libc::ENOENT);
                return false;
            };
            if matches!(running.op, Seen::Recv { .. }) && random.one_in(2) {
                let (_, more) = script.deliver(*target, b"late");
                if !more {
                    script.complete(*cancel, -libc::EALREADY);
                    return false;
                }
            }
            script.complete(*target, -libc::ECANCELED);
            script.complete(*cancel, 0);
            false
        });
    }

    /// One thing that the peer of a socket may do.
    fn act(&self, fd: RawFd) {
        let script = &self.stage.script;
        let running = |key: &Option<OpKey>| {
            key.is_some_and(|key| script.in_flight().iter().any(|op| op.key == key))
        };
        let mut random = self.random.borrow_mut();
        let mut peers = self.peers.borrow_mut();
        let peer = peers.get_mut(&fd).unwrap();
        if peer.doomed_at == Some(peer.said) {
            peer.reset = true;
        }
        match random.below(4) {
            0 if running(&peer.recv) => {
                let key = peer.recv.unwrap();
                let rest = &peer.says[peer.said..];
                if peer.reset {
                    script.complete(key, -libc::ECONNRESET);
                } else if rest.is_empty() {
                    script.complete(key, 0);
                } else {
                    let end = peer.doomed_at.map_or(rest.len(), |at| at - peer.said);
                    let len = (1 + random.below(100)).min(end);
                    peer.said += script.deliver(key, &rest[..len]).0;
                }
            }
            1 => peer.room = (peer.room + random.below(60)).min(80),
            2 if running(&peer.parked) => {
                let key = peer.parked.unwrap();
                if peer.reset {
                    script.complete(key, -libc::ECONNRESET);
                } else if peer.room > 0 {
                    let bytes = script.take(key, 1 + random.below(peer.room));
                    peer.hear(&bytes);
                }
            }
            3 if running(&peer.shutdown) => {
                let result = if peer.reset { -libc::ENOTCONN } else { 0 };
                script.complete(peer.shutdown.unwrap(), result);
            }
            _ => {}
        }
    }
}

/// Weather that a run met: unhurt connections, shortages of buffers, copies, full queues, losses.
fn run(seed: u64) -> [u64; 6] {
    let mut world = World::new(seed);
    let mut rounds = 0;
    while world.connections.iter().any(|connection| !connection.tasks.is_empty()) {
        world.round();
        rounds += 1;
        assert!(rounds < ROUNDS_MAX, "hangs: {:?}", world.stage.reactor.stats());
    }
    let unhurt = world.check();
    let World { stage, connections, .. } = world;
    drop(connections);
    stage.script.limit_completions(usize::MAX);
    let stats = stage.reactor.stats();
    stage.end();
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
