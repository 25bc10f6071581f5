//! Bulk both ways for a while, between peers that stall, reset and end their streams at random.

use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use fastrand::Rng;

use crate::address::ListenerAddress;
use crate::configuration::{Route, bootstrap};
use crate::environment;
use crate::patience::{Deadline, pause, wait_for};
use crate::payload::Text;
use crate::peer::{Ending, Peer};
use crate::proxy::Proxy;
use crate::upstream::Upstream;

/// Connections at a time.
const LANES: u64 = 4;
/// Most that one peer sends.
const SENDS_MAX: u64 = 12 * 1024 * 1024;
/// Most that moves in one call.
const PIECE_MAX: usize = 64 * 1024;
/// What the proxy may hold in memory at most.
const RESIDENT_BYTES_MAX: u64 = 100 * 1024 * 1024;

/// If this fails, bytes are lost or doubled when peers behave badly, or something is left behind.
#[test]
fn no_byte_is_lost_whatever_peers_do() {
    let duration = Duration::from_secs(environment::size("NUNCIO_WEATHER_SECONDS", 3));
    let seed = environment::size("NUNCIO_WEATHER_SEED", 1);
    let listener = ListenerAddress::reserve();
    let upstream = Upstream::listen();
    let route = Route::relay("weather", listener.address, &[upstream.address()]);
    let text = bootstrap(std::slice::from_ref(&route));
    let proxy = Proxy::start(&environment::subject(), &text, &["--concurrency", "2"]);
    let descriptors_at_start = proxy.descriptors();

    let end = Deadline::after(duration);
    // Pairs are made one at a time, so that the ends of one connection find each other.
    let connecting = Mutex::new(());
    let connect = || {
        let _one_at_a_time = connecting.lock().unwrap();
        (Peer::connect(listener.address), upstream.accept())
    };
    let mut met = Met::default();
    thread::scope(|scope| {
        let lane = |lane: u64| {
            let mut met = Met::default();
            for round in 0.. {
                if round > 0 && end.has_passed() {
                    break;
                }
                let seed = (seed * LANES + lane) * 1_000_003 + round;
                let pair = connect();
                met.add(&run_pair(pair, seed));
            }
            met
        };
        let lanes: Vec<_> = (0..LANES).map(|n| scope.spawn(move || lane(n))).collect();
        for lane in lanes {
            met.add(&lane.join().expect("a lane has failed; its message names the seed"));
        }
    });

    let peak = proxy.resident_bytes_peak();
    // Workers publish these numbers once in a while.
    let spliced = wait_for("something to be spliced", || {
        let bytes = proxy.stats().value("nuncio.splice.bytes");
        bytes.filter(|bytes| *bytes > 0).ok_or_else(|| format!("{bytes:?} bytes"))
    });
    println!("{met:?}; spliced {spliced}; resident peak {peak}");
    assert!(met.whole > 0 && met.reset > 0, "too fair: {met:?}");
    assert!(peak < RESIDENT_BYTES_MAX, "resident memory reached {peak} bytes");
    proxy.wait_for_stat(&route.listener_stat("downstream_cx_active"), 0);
    proxy.wait_for_stat(&route.cluster_stat("upstream_cx_active"), 0);
    proxy.wait_for_stat(&route.cluster_stat("upstream_cx_tx_bytes_buffered"), 0);
    wait_for("descriptors back to the start", || match proxy.descriptors() {
        count if count <= descriptors_at_start => Ok(()),
        count => Err(format!("{count} of {descriptors_at_start}")),
    });
    wait_for("every splice to end", || {
        let stats = proxy.stats();
        let [engaged, left] =
            ["engaged", "left"].map(|n| stats.value(&format!("nuncio.splice.{n}")));
        if engaged == left { Ok(()) } else { Err(format!("{engaged:?} begun, {left:?} ended")) }
    });
}

#[derive(Debug, Default)]
struct Met {
    whole: u64,
    reset: u64,
    bytes: u64,
}

impl Met {
    fn add(&mut self, other: &Self) {
        self.whole += other.whole;
        self.reset += other.reset;
        self.bytes += other.bytes;
    }
}

/// Drives both ends of one connection to their ends.
fn run_pair((client, server): (Peer, Peer), seed: u64) -> Met {
    let mut random = Rng::with_seed(seed);
    let mut near = End::new(client, [seed, seed + 1], &mut random);
    let mut far = End::new(server, [seed + 1, seed], &mut random);
    let deadline = Deadline::patient();
    while !near.is_over() || !far.is_over() {
        let moved = near.act(&mut random) + far.act(&mut random);
        assert!(!deadline.has_passed(), "seed {seed}: no end: {near:?}, {far:?}");
        if moved == 0 {
            pause(Duration::from_millis(1));
        }
    }
    let reset = near.has_reset() || far.has_reset();
    for (from, to) in [(&near, &far), (&far, &near)] {
        assert!(to.received <= from.sends, "seed {seed}: more than was sent");
        if !reset {
            assert_eq!(to.received, from.sends, "seed {seed}: bytes lost");
            assert_eq!(to.ending, Some(Ending::Fin), "seed {seed}");
        }
    }
    let bytes = near.received + far.received;
    Met { whole: u64::from(!reset), reset: u64::from(reset), bytes }
}

/// One end of a connection.
#[derive(Debug)]
struct End {
    /// Gone after a reset.
    peer: Option<Peer>,
    says: Text,
    hears: Text,
    sends: u64,
    sent: u64,
    received: u64,
    resets_at: Option<u64>,
    has_finished: bool,
    /// It can send no more.
    is_cut: bool,
    /// Turns for which it does nothing.
    stalled: u64,
    ending: Option<Ending>,
}

impl End {
    fn new(peer: Peer, [says, hears]: [u64; 2], random: &mut Rng) -> Self {
        peer.stream().set_nonblocking(true).unwrap();
        let most = if random.u8(..3) == 0 { 2000 } else { SENDS_MAX };
        let sends = random.u64(..most);
        Self {
            peer: Some(peer),
            says: Text::new(says),
            hears: Text::new(hears),
            sends,
            sent: 0,
            received: 0,
            resets_at: (random.u8(..4) == 0).then(|| random.u64(..=sends)),
            has_finished: false,
            is_cut: false,
            stalled: 0,
            ending: None,
        }
    }

    fn has_reset(&self) -> bool {
        self.peer.is_none()
    }

    fn is_over(&self) -> bool {
        self.has_reset() || (self.ending.is_some() && (self.has_finished || self.is_cut))
    }

    /// Sends and receives what it likes to; answers how many bytes moved.
    fn act(&mut self, random: &mut Rng) -> usize {
        if self.stalled > 0 {
            self.stalled -= 1;
            return 0;
        }
        // A turn without bytes takes a millisecond: some stalls are longer than a splice waits.
        if random.u16(..300) == 0 {
            self.stalled = random.u64(..250);
        }
        let end = self.resets_at.unwrap_or(self.sends);
        if self.sent == end && self.resets_at.is_some() {
            self.peer.take().into_iter().for_each(Peer::reset);
        }
        let sent = self.send(end, random.usize(1..PIECE_MAX));
        sent + self.receive(random.usize(1..PIECE_MAX))
    }

    fn send(&mut self, end: u64, most: usize) -> usize {
        let Some(peer) = &self.peer else { return 0 };
        if self.is_cut || self.has_finished {
            return 0;
        }
        if self.sent == end {
            self.is_cut = peer.stream().shutdown(Shutdown::Write).is_err();
            self.has_finished = true;
            return 0;
        }
        let most = usize::try_from(end - self.sent).unwrap_or(usize::MAX).min(most);
        match peer.stream().write(self.says.next(most)) {
            Ok(count) => {
                self.sent += count as u64;
                self.says.skip(count);
                count
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
            Err(_) => {
                self.is_cut = true;
                0
            }
        }
    }

    fn receive(&mut self, most: usize) -> usize {
        let Some(peer) = &self.peer else { return 0 };
        if self.ending.is_some() {
            return 0;
        }
        let expected = self.hears.next(most);
        let mut bytes = vec![0; expected.len()];
        match peer.stream().read(&mut bytes) {
            Ok(0) => {
                self.ending = Some(Ending::Fin);
                0
            }
            Ok(count) => {
                assert!(
                    expected[..count] == bytes[..count],
                    "wrong bytes behind {}",
                    self.received
                );
                self.received += count as u64;
                self.hears.skip(count);
                count
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
            Err(_) => {
                self.ending = Some(Ending::Reset);
                0
            }
        }
    }
}
