//! A network that a seed makes up: a kernel that does at random what a kernel may do, and peers
//! that send, take, stall and reset as they like. For tests of this floor and of those above.
//!
//! Time is simulated as well: it moves on when nobody has anything to do.
//!
//! **Invariant:** everything follows from the seed.
#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "built for tests only, of this floor and those above")]

mod peer;
mod random;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::RawFd;
use std::rc::Rc;
use std::time::Duration;

pub use peer::Plan;
pub use random::Random;

use crate::driver::scripted::{Script, Scripted, Seen, Started};
use crate::driver::{OpKey, SendMode, Wait};
use crate::{Features, Reactor, Settings, Socket};
use peer::Peer;

/// How much moves at once.
#[derive(Debug, Clone, Copy)]
pub struct Scale {
    /// Receive buffers of the reactor; see [`Settings`].
    pub buffer_count: u16,
    /// Bytes in each.
    pub buffer_size: u32,
    /// Most bytes a peer sends at once.
    pub piece_max: usize,
    /// Most bytes the buffer of a peer's socket takes.
    pub room_max: usize,
}

/// A reactor, the kernel under it, and the peers behind that.
#[derive(Debug)]
pub struct Network {
    reactor: Reactor,
    script: Script,
    scale: Scale,
    random: Rc<RefCell<Random>>,
    peers: Rc<RefCell<BTreeMap<RawFd, Peer>>>,
    /// Cancels that have not ended, with what they are to end.
    cancels: RefCell<Vec<(OpKey, OpKey)>>,
}

/// How far a stream from one peer to another has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Passage {
    /// Every byte has arrived.
    pub is_whole: bool,
    /// And its end has.
    pub is_ended: bool,
}

/// A peer of a [`Network`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PeerId(RawFd);

impl Network {
    /// A network without peers. The calling thread must not have a reactor.
    ///
    /// # Panics
    /// If the buffers cannot be had.
    pub fn new(seed: u64, scale: Scale) -> Self {
        let mut random = Random::new(seed);
        let every = Features {
            incremental_buffers: true,
            recv_limit: true,
            registered_ring_fd: true,
            silent_send: true,
            minimum_wait: true,
        };
        let loud = Features { silent_send: false, ..every };
        let features = [
            every,
            loud,
            Features { incremental_buffers: false, ..every },
            Features { recv_limit: false, ..loud },
            Features::minimal(),
        ][random.below(5)];
        let (driver, script) = Scripted::new(features.incremental_buffers, features.recv_limit);
        let Scale { buffer_count, buffer_size, .. } = scale;
        let settings = Settings { features, buffer_count, buffer_size };
        let reactor = Reactor::scripted(driver, settings).unwrap();
        script.stop_clock();
        if random.one_in(2) {
            script.limit_completions(1 + random.below(6));
        }
        let random = Rc::new(RefCell::new(random));
        let peers = Rc::new(RefCell::new(BTreeMap::<RawFd, Peer>::new()));
        let (of_sends, to) = (Rc::clone(&random), Rc::clone(&peers));
        script.answer_with(move |fd, bytes| {
            to.borrow_mut().get_mut(&fd).unwrap().answer(bytes, &mut of_sends.borrow_mut())
        });
        let (of_splices, from) = (Rc::clone(&random), Rc::clone(&peers));
        script.splice_with(move |fd, len| {
            let mut peers = from.borrow_mut();
            peers.get_mut(&fd).unwrap().spliced(len, &mut of_splices.borrow_mut(), scale)
        });
        let with_room = Rc::clone(&peers);
        script.room_with(move |fd| with_room.borrow()[&fd].room);
        Self { reactor, script, scale, random, peers, cancels: RefCell::default() }
    }

    /// The reactor.
    pub fn reactor(&self) -> &Reactor {
        &self.reactor
    }

    /// The randomness of this network, for more that is to follow from its seed.
    pub fn random(&self) -> std::cell::RefMut<'_, Random> {
        self.random.borrow_mut()
    }

    /// A connection to a new peer that does as `plan` says.
    ///
    /// # Panics
    /// If there is no descriptor left.
    pub fn connect(&self, plan: Plan) -> (PeerId, Socket) {
        // A descriptor that does nothing; the script knows the peer by its number.
        let socket = self.reactor.socket(File::open("/dev/null").unwrap().into());
        let fd = socket.fd().raw();
        assert!(self.peers.borrow_mut().insert(fd, Peer::new(plan)).is_none(), "{fd} is reused");
        (PeerId(fd), socket)
    }

    /// How far `to` has heard what `from` says.
    ///
    /// # Panics
    /// If a byte was lost, doubled or changed, or if the stream was ended before its end.
    pub fn passage(&self, from: PeerId, to: PeerId) -> Passage {
        let peers = self.peers.borrow();
        let (from, to) = (&peers[&from.0], &peers[&to.0]);
        let says = from.plan.says();
        assert!(says.starts_with(&to.hears), "bytes lost, doubled or swapped");
        let is_whole = to.hears.len() == says.len();
        assert!(!to.shut || is_whole, "an end of stream before the end");
        Passage { is_whole, is_ended: to.shut }
    }

    /// Whether a peer has reset its connection.
    ///
    /// # Panics
    /// If it is not of this network.
    pub fn was_reset(&self, peer: PeerId) -> bool {
        self.peers.borrow()[&peer.0].reset
    }

    /// One step of the reactor, unless it sleeps, and what kernel and peers make of it.
    ///
    /// # Panics
    /// If the reactor did what the kernel would not forgive.
    pub fn round(&self) {
        if !self.script.asleep() {
            self.reactor.step();
            for started in self.script.seen() {
                self.note(&started);
            }
        }
        self.pass_time();
        let held = self.random().one_in(5);
        self.script.hold_overflow(held);
        if self.random().one_in(10) {
            let starts = self.random().below(3);
            self.script.start_at_most(starts);
        }
        self.end_cancels();
        let fds: Vec<RawFd> = self.peers.borrow().keys().copied().collect();
        for fd in fds {
            if self.random().one_in(2) {
                self.act(fd);
            }
        }
    }

    /// Ends the reactor in order, and checks that nothing is left.
    ///
    /// # Panics
    /// If there is.
    pub fn end(self) {
        self.script.limit_completions(usize::MAX);
        check_end(&self.reactor, &self.script);
    }

    /// A little always; when the reactor waits for a timer, sometimes all of that.
    fn pass_time(&self) {
        let mut random = self.random.borrow_mut();
        let mut passed = Duration::from_micros(random.below(100).try_into().unwrap());
        if let Wait::AtMost(longest) | Wait::Gathering { at_most: longest, .. } =
            self.script.last_wait()
            && random.one_in(8)
        {
            passed += longest;
        }
        self.script.pass_time(passed);
    }

    fn note(&self, started: &Started) {
        if let Seen::Cancel(target) = started.op {
            self.cancels.borrow_mut().push((started.key, target));
            return;
        }
        let mut peers = self.peers.borrow_mut();
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

    /// Ends some cancels, each in one of its three ways.
    fn end_cancels(&self) {
        let mut random = self.random.borrow_mut();
        let script = &self.script;
        self.cancels.borrow_mut().retain(|(cancel, target)| {
            if random.one_in(2) {
                return true;
            }
            let Some(running) = script.running(*target) else {
                script.complete(*cancel, -libc::ENOENT);
                return false;
            };
            if matches!(running.op, Seen::Recv { .. }) && random.one_in(2) {
                let late = running.fd.and_then(|fd| self.late_bytes(fd, &mut random));
                if let Some(more) = late.map(|(fd, bytes)| self.say(fd, *target, &bytes))
                    && !more
                {
                    script.complete(*cancel, -libc::EALREADY);
                    return false;
                }
            }
            script.complete(*target, -libc::ECANCELED);
            script.complete(*cancel, 0);
            false
        });
    }

    /// What a receive may still bring before its cancel ends it.
    fn late_bytes(&self, fd: RawFd, random: &mut Random) -> Option<(RawFd, Vec<u8>)> {
        let peers = self.peers.borrow();
        let bytes = peers.get(&fd)?.next_piece(self.scale.piece_max, random)?;
        Some((fd, bytes))
    }

    /// Delivers bytes that a peer says next. Returns whether the receive brings more.
    fn say(&self, fd: RawFd, receive: OpKey, bytes: &[u8]) -> bool {
        let (taken, more) = self.script.deliver(receive, bytes);
        self.peers.borrow_mut().get_mut(&fd).unwrap().said += taken;
        more
    }

    /// One thing that the peer of a socket may do.
    fn act(&self, fd: RawFd) {
        let script = &self.script;
        let running = |key: &Option<OpKey>| key.filter(|key| script.running(*key).is_some());
        let mut random = self.random.borrow_mut();
        let mut peers = self.peers.borrow_mut();
        let peer = peers.get_mut(&fd).unwrap();
        peer.change_mood(&mut random);
        match random.below(5) {
            0 => {
                let Some(key) = running(&peer.recv) else { return };
                if peer.reset {
                    script.complete(key, -libc::ECONNRESET);
                } else if peer.is_done() {
                    script.complete(key, 0);
                } else if let Some(bytes) = peer.next_piece(self.scale.piece_max, &mut random) {
                    peer.said += script.deliver(key, &bytes).0;
                }
            }
            1 => peer.make_room(self.scale.room_max, &mut random),
            2 => {
                let Some(key) = running(&peer.parked) else { return };
                if peer.reset {
                    script.complete(key, -libc::ECONNRESET);
                } else if peer.room > 0 {
                    let bytes = script.take(key, 1 + random.below(peer.room));
                    peer.hear(&bytes);
                }
            }
            3 => {
                let Some(key) = running(&peer.shutdown) else { return };
                script.complete(key, if peer.reset { -libc::ENOTCONN } else { 0 });
            }
            _ => {
                for (key, is_write) in script.polls_of(fd) {
                    if if is_write { peer.is_writable() } else { peer.is_readable() } {
                        script.complete(key, 1);
                    }
                }
            }
        }
    }
}

impl Drop for Network {
    /// The reactor cancels what is left when it is dropped; the kernel has to answer then.
    fn drop(&mut self) {
        self.script.obey();
    }
}

/// Lets the kernel answer everything, and checks that nothing is left of what the reactor did.
pub(crate) fn check_end(reactor: &Reactor, script: &Script) {
    script.obey();
    for _ in 0..20 {
        reactor.step();
    }
    script.check();
    let stats = reactor.stats();
    // One operation is left: the standing poll for wakes from other threads.
    let left = (stats.ops_in_flight, stats.leases, stats.tasks, stats.timers);
    assert_eq!(left, (1, 0, 0, 0), "{stats:?} {:?}", script.in_flight());
    assert_eq!(stats.descriptors, 0, "{stats:?}");
    let pool = reactor.core().pool();
    assert_eq!(script.free_buffers(), usize::from(pool.count()), "a buffer is lost");
}
