//! `ROUND_ROBIN`: which host is next, as Envoy picks it.
//!
//! Hosts of equal weight are taken in turn. With unequal weights the next host is the one with the
//! earliest deadline, where the k-th pick of a host of weight `w` is due at `k / w` (Envoy's EDF
//! scheduler). Both begin at a place that depends on a seed, so that workers and processes do not
//! all begin with the same host.
//!
//! Envoy keeps deadlines as floating-point numbers, which drift. Here they are fractions, compared
//! by cross multiplication, and after `sum of weights` picks the count begins anew: in each such
//! round every host is picked exactly `weight` times, for ever.
//!
//! It knows nothing of health: every host it is given is a candidate. Whoever gives it others
//! restarts it, and as in Envoy what it had picked does not matter then, except for the turn among
//! hosts of equal weight.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

/// The rotation through the hosts of one cluster on one worker.
#[derive(Debug)]
pub(crate) struct RoundRobin {
    seed: u64,
    /// Among hosts of equal weight.
    turn: u64,
    rotation: Rotation,
}

#[derive(Debug)]
enum Rotation {
    Equal { count: u64 },
    Weighted(BinaryHeap<Reverse<Due>>),
}

impl RoundRobin {
    /// A rotation through hosts of these weights, begun at a place that `seed` chooses. A weight
    /// of 0 counts as 1; Envoy refuses it in the configuration.
    #[must_use]
    pub(crate) fn new(weights: impl IntoIterator<Item = u32>, seed: u64) -> Self {
        let mut new = Self { seed, turn: seed, rotation: Rotation::Equal { count: 0 } };
        new.restart(weights);
        new
    }

    /// Goes on with hosts of these weights.
    pub(crate) fn restart(&mut self, weights: impl IntoIterator<Item = u32>) {
        let weights: Vec<u32> = weights.into_iter().map(|weight| weight.max(1)).collect();
        self.rotation = if weights.windows(2).all(|pair| pair[0] == pair[1]) {
            Rotation::Equal { count: u64::try_from(weights.len()).unwrap_or(u64::MAX) }
        } else {
            Rotation::Weighted(seeded_schedule(&weights, self.seed))
        };
    }

    /// The index of the next host, or `None` if there is no host.
    pub(crate) fn pick(&mut self) -> Option<usize> {
        match &mut self.rotation {
            Rotation::Equal { count: 0 } => None,
            Rotation::Equal { count } => {
                let picked = self.turn % *count;
                self.turn = self.turn.wrapping_add(1);
                usize::try_from(picked).ok()
            }
            Rotation::Weighted(schedule) => pick_due(schedule),
        }
    }
}

/// When a host is due for its next pick.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Due {
    /// Rounds finished; in each, every host is picked `weight` times.
    round: u64,
    /// The number of its next pick in this round: `1 <= pick <= weight`.
    pick: u32,
    weight: u32,
    host: usize,
}

impl Ord for Due {
    /// By deadline `round + pick / weight`. Among equal deadlines Envoy takes the host that was
    /// queued first: that is the one of smaller weight, since its previous pick was earlier, and
    /// among equal weights the one that stands first in the cluster.
    fn cmp(&self, other: &Self) -> Ordering {
        let ours = u64::from(self.pick) * u64::from(other.weight);
        let theirs = u64::from(other.pick) * u64::from(self.weight);
        let by_deadline = self.round.cmp(&other.round).then(ours.cmp(&theirs));
        by_deadline.then(self.weight.cmp(&other.weight)).then(self.host.cmp(&other.host))
    }
}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

fn pick_due(schedule: &mut BinaryHeap<Reverse<Due>>) -> Option<usize> {
    let mut due = schedule.peek_mut()?;
    let Reverse(Due { round, pick, weight, host }) = *due;
    due.0 = if pick == weight {
        Due { round: round + 1, pick: 1, weight, host }
    } else {
        Due { round, pick: pick + 1, weight, host }
    };
    Some(host)
}

/// The schedule as it stands after `seed % sum of weights` picks.
///
/// The picks up to the moment `picks / sum` of a round are known without making them: each host
/// had `floor(weight * picks / sum)`. That leaves fewer than one pick per host to make.
fn seeded_schedule(weights: &[u32], seed: u64) -> BinaryHeap<Reverse<Due>> {
    let sum: u64 = weights.iter().copied().map(u64::from).sum();
    let picks = seed % sum;
    let mut made = 0;
    let mut schedule: BinaryHeap<Reverse<Due>> = weights
        .iter()
        .enumerate()
        .map(|(host, &weight)| {
            let of_host = u128::from(weight) * u128::from(picks) / u128::from(sum);
            // Below `weight`, because `picks` is below `sum`.
            let of_host = u32::try_from(of_host).unwrap_or(weight - 1);
            made += u64::from(of_host);
            Reverse(Due { round: 0, pick: of_host + 1, weight, host })
        })
        .collect();
    for _ in made..picks {
        pick_due(&mut schedule);
    }
    schedule
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picks(weights: &[u32], seed: u64, count: usize) -> Vec<usize> {
        let mut balancer = RoundRobin::new(weights.iter().copied(), seed);
        (0..count).map(|_| balancer.pick().unwrap()).collect()
    }

    #[test]
    fn no_host_no_pick() {
        assert_eq!(RoundRobin::new([], 7).pick(), None);
    }

    #[test]
    fn equal_weights_take_turns_from_a_start_that_the_seed_chooses() {
        assert_eq!(picks(&[1, 1, 1], 0, 7), [0, 1, 2, 0, 1, 2, 0]);
        assert_eq!(picks(&[5, 5, 5], 2, 4), [2, 0, 1, 2]);
        assert_eq!(picks(&[1, 1, 1], u64::MAX - 2, 2), [1, 2]);
        assert_eq!(picks(&[9], 4, 2), [0, 0]);
    }

    #[test]
    fn other_hosts_of_equal_weight_go_on_with_the_turn_and_others_begin_anew() {
        let mut balancer = RoundRobin::new([1, 1, 1], 0);
        assert_eq!([balancer.pick(), balancer.pick()], [Some(0), Some(1)]);
        balancer.restart([1, 1]);
        assert_eq!([balancer.pick(), balancer.pick()], [Some(0), Some(1)]);
        balancer.restart([1, 1, 1]);
        assert_eq!([balancer.pick(), balancer.pick()], [Some(1), Some(2)]);
        balancer.restart([1, 2]);
        assert_eq!([balancer.pick(), balancer.pick()], [Some(1), Some(0)]);
        balancer.restart([1, 2]);
        assert_eq!(balancer.pick(), Some(1));
        balancer.restart([]);
        assert_eq!(balancer.pick(), None);
    }

    #[test]
    fn unequal_weights_follow_the_earliest_deadline() {
        // Deadlines 1/2, 1, 1: the host of weight 1 was queued before the second pick of the other.
        assert_eq!(picks(&[1, 2], 0, 6), [1, 0, 1, 1, 0, 1]);
        // 1/3, 1/2, 2/3, 1, 1, 1.
        assert_eq!(picks(&[3, 1, 2], 0, 6), [0, 2, 0, 1, 2, 0]);
        // Equal weights beside an unequal one keep their order.
        assert_eq!(picks(&[1, 1, 3], 0, 5), [2, 2, 0, 1, 2]);
    }

    #[test]
    fn every_round_gives_each_host_exactly_its_weight_from_any_start() {
        for weights in [&[1, 2][..], &[3, 1, 2], &[100, 1, 1, 33], &[7, 7, 6], &[1, 127]] {
            let sum: u32 = weights.iter().sum();
            for seed in 0..u64::from(sum) * 2 {
                let mut balancer = RoundRobin::new(weights.iter().copied(), seed);
                for _ in 0..3 {
                    let mut counts = vec![0; weights.len()];
                    for _ in 0..sum {
                        counts[balancer.pick().unwrap()] += 1;
                    }
                    assert_eq!(counts, weights, "seed {seed}");
                }
            }
        }
    }

    #[test]
    fn a_seed_starts_where_that_many_picks_would_have_led() {
        for weights in [&[1, 2][..], &[3, 1, 2], &[100, 1, 1, 33], &[7, 7, 6], &[2, 3, 5, 7]] {
            let sum = usize::try_from(weights.iter().sum::<u32>()).unwrap();
            let from_start = picks(weights, 0, sum * 3);
            for seed in 0..sum {
                let seeded = picks(weights, seed as u64, sum);
                assert_eq!(seeded, from_start[seed..seed + sum], "{weights:?}, seed {seed}");
            }
        }
    }

    #[test]
    fn the_largest_weights_neither_overflow_nor_take_long() {
        let weights = [u32::MAX, u32::MAX - 1, 1];
        let picked = picks(&weights, u64::MAX, 1000);
        let first = picked.iter().filter(|&&host| host == 0).count();
        assert!((499..=501).contains(&first), "{first}");
    }
}
