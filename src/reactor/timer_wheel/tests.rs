//! The wheel against examples and against a sorted map that does the same slowly.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// Without a budget that matters: everything that is due, as `(payload, ...)` in firing order.
fn fire_all(wheel: &mut TimerWheel<u64>, now: u64) -> Vec<u64> {
    let mut fired = Vec::new();
    let advanced = wheel.advance_within(now, usize::MAX, &mut |payload| fired.push(payload));
    assert_eq!(advanced, Advanced { fired: fired.len(), more_due: false });
    fired
}

#[test]
fn fires_at_its_tick_and_not_before() {
    let deadlines = [1, 63, 64, 65, 4_095, 4_096, 262_144, 86_400_000, 3_628_800_000, u64::MAX];
    for deadline in deadlines {
        let mut wheel = TimerWheel::new();
        wheel.insert(deadline, deadline);
        assert!(fire_all(&mut wheel, deadline - 1).is_empty(), "{deadline} fired early");
        assert_eq!(wheel.next_expiry(), Some(deadline));
        assert_eq!(fire_all(&mut wheel, deadline), [deadline]);
        assert_eq!(wheel.next_expiry(), None);
    }
}

#[test]
fn fires_in_deadline_order_across_levels_in_one_jump() {
    let mut wheel = TimerWheel::new();
    for deadline in [5_000, 3, 70, 300_000, 64, 4_097, 4_096] {
        wheel.insert(deadline, deadline);
    }
    assert_eq!(fire_all(&mut wheel, 299_999), [3, 64, 70, 4_096, 4_097, 5_000]);
    assert_eq!(fire_all(&mut wheel, 300_000), [300_000]);
}

#[test]
fn fires_equal_deadlines_in_the_order_of_insertion() {
    let mut wheel = TimerWheel::new();
    wheel.insert(100, 0);
    assert!(fire_all(&mut wheel, 70).is_empty());
    // The first timer was inserted two levels up and has come down; the second starts below.
    wheel.insert(100, 1);
    assert_eq!(fire_all(&mut wheel, 100), [0, 1]);
}

#[test]
fn fires_an_overdue_timer_in_the_next_advance_even_without_time_passing() {
    let mut wheel = TimerWheel::new();
    assert!(fire_all(&mut wheel, 1_000).is_empty());
    wheel.insert(7, 7);
    assert_eq!(wheel.next_expiry(), Some(1_000));
    assert_eq!(fire_all(&mut wheel, 1_000), [7]);
}

#[test]
fn takes_a_clock_that_stands_still_or_goes_back_as_no_time_passed() {
    let mut wheel = TimerWheel::new();
    assert!(fire_all(&mut wheel, 1_000).is_empty());
    wheel.insert(1_001, 1);
    assert!(fire_all(&mut wheel, 10).is_empty());
    assert!(fire_all(&mut wheel, 1_000).is_empty());
    assert_eq!(fire_all(&mut wheel, 1_001), [1]);
}

#[test]
fn a_cancelled_timer_does_not_fire_and_gives_its_payload_back() {
    let mut wheel = TimerWheel::new();
    let keys: Vec<_> = (0..5).map(|payload| wheel.insert(100, payload)).collect();
    // First, middle and last of one list.
    for index in [0, 2, 4] {
        assert_eq!(wheel.cancel(keys[index]), Some(index as u64));
        assert_eq!(wheel.cancel(keys[index]), None);
    }
    assert_eq!(wheel.len(), 2);
    assert_eq!(fire_all(&mut wheel, 100), [1, 3]);
    assert_eq!(wheel.len(), 0);
}

#[test]
fn a_stale_key_does_not_find_the_next_tenant_of_its_entry() {
    let mut wheel = TimerWheel::new();
    let fired = wheel.insert(1, 1);
    assert_eq!(fire_all(&mut wheel, 1), [1]);
    let tenant = wheel.insert(50, 2);
    assert_eq!(tenant.index, fired.index);
    assert_eq!(wheel.cancel(fired), None);
    assert_eq!(wheel.cancel(tenant), Some(2));
}

#[test]
fn a_crowd_of_one_deadline_is_fired_over_several_turns() {
    const CROWD: usize = 100_000;
    let mut wheel = TimerWheel::new();
    for payload in 0..CROWD as u64 {
        wheel.insert(300_000, payload);
    }
    let mut fired = Vec::new();
    let mut turns = 0;
    loop {
        let before = fired.len();
        let advanced = wheel.advance(300_007, &mut |payload| fired.push(payload));
        assert_eq!(advanced.fired, fired.len() - before);
        assert!(advanced.fired <= STEPS_PER_ADVANCE_MAX);
        turns += 1;
        if !advanced.more_due {
            break;
        }
        // The reactor must not sleep on the rest.
        assert!(wheel.next_expiry().is_some_and(|tick| tick <= 300_007));
    }
    assert_eq!(fired.len(), CROWD);
    // From level 3: three moves and the firing itself, each a step.
    assert_eq!(turns, (4 * CROWD).div_ceil(STEPS_PER_ADVANCE_MAX));
}

#[test]
fn a_half_moved_slot_fires_in_deadline_order_although_new_timers_come_in_below() {
    let mut wheel = TimerWheel::new();
    for deadline in [100, 99, 98, 97] {
        wheel.insert(deadline, deadline);
    }
    let mut fired = Vec::new();
    // Two of the four come down to level 0, then the budget is spent.
    let advanced = wheel.advance_within(100, 2, &mut |payload| fired.push(payload));
    assert_eq!(advanced, Advanced { fired: 0, more_due: true });
    assert!(wheel.next_expiry().is_some_and(|tick| tick <= 97));
    wheel.insert(99, 990);
    assert_eq!(fire_all(&mut wheel, 100), [97, 98, 99, 990, 100]);
}

#[test]
fn sleeping_until_next_expiry_reaches_every_timer_in_a_few_wake_ups() {
    // Three weeks and a bit: the longest way down that a real deadline takes.
    let deadline = 1_900_000_007;
    let mut wheel = TimerWheel::new();
    wheel.insert(deadline, 1);
    let mut wake_ups = 0;
    let mut fired = Vec::new();
    while let Some(tick) = wheel.next_expiry() {
        assert!(tick <= deadline);
        fired.extend(fire_all(&mut wheel, tick));
        wake_ups += 1;
    }
    assert_eq!(fired, [1]);
    assert!(wake_ups <= 6, "{wake_ups} wake-ups");
}

#[test]
fn an_entry_is_used_again_so_that_churn_does_not_grow_the_wheel() {
    let mut wheel = TimerWheel::new();
    for now in 0..10_000_u64 {
        let kept = wheel.insert(now + 2, now);
        wheel.insert(now + 1, now);
        wheel.cancel(kept);
        fire_all(&mut wheel, now);
    }
    assert!(wheel.entries.len() <= 4, "{} entries", wheel.entries.len());
}

#[test]
fn deadlines_round_up_and_the_present_rounds_down() {
    assert_eq!(deadline_tick(Duration::ZERO), 0);
    assert_eq!(deadline_tick(Duration::from_nanos(1)), 1);
    assert_eq!(deadline_tick(Duration::from_millis(5)), 5);
    assert_eq!(now_tick(Duration::from_nanos(4_999_999)), 4);
    assert_eq!(now_tick(Duration::from_millis(5)), 5);
    assert_eq!(deadline_tick(Duration::MAX), u64::MAX);
}

/// What a reactor and its tasks do to a wheel.
#[derive(Debug, Clone)]
enum Step {
    /// A timer this far in the future.
    Insert(u64),
    /// The nth key that was ever handed out, fired or not.
    Cancel(usize),
    Advance {
        by: u64,
        steps: usize,
    },
    SleepUntilNextExpiry {
        steps: usize,
    },
}

fn distance() -> impl Strategy<Value = u64> {
    // Each level is as likely as the next; the edges of slots are likely.
    (0..36_u32, 0..64_u64, any::<bool>()).prop_map(|(bits, low, edge)| {
        let span = 1_u64 << bits;
        if edge { (span + low).saturating_sub(32) } else { low * (span / 64) }
    })
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => distance().prop_map(Step::Insert),
        2 => (0..200_usize).prop_map(Step::Cancel),
        3 => (distance(), 0..12_usize).prop_map(|(by, steps)| Step::Advance { by, steps }),
        2 => (0..12_usize).prop_map(|steps| Step::SleepUntilNextExpiry { steps }),
    ]
}

/// The same job by a sorted map from (deadline, order of insertion) to payload.
#[derive(Default)]
struct Model {
    waiting: BTreeMap<(u64, u64), u64>,
}

impl Model {
    /// What fired must be due and must be the earliest tick's.
    fn fire(&mut self, now: u64, payload: u64) {
        let (&(earliest, _), _) = self.waiting.first_key_value().expect("nothing was waiting");
        assert!(earliest <= now, "fired at {now}, due at {earliest}");
        let key = self
            .waiting
            .range((earliest, 0)..=(earliest, u64::MAX))
            .find(|&(_, &waiting)| waiting == payload)
            .map(|(&key, _)| key)
            .expect("fired out of deadline order, twice or after it was cancelled");
        self.waiting.remove(&key);
    }
}

fn advance_both(wheel: &mut TimerWheel<u64>, model: &mut Model, now: u64, steps: usize) {
    let mut count = 0;
    let advanced = wheel.advance_within(now, steps, &mut |payload| {
        count += 1;
        model.fire(now, payload);
    });
    assert_eq!(advanced.fired, count);
    let due = model.waiting.first_key_value().is_some_and(|(&(deadline, _), _)| deadline <= now);
    if due {
        assert!(advanced.more_due, "something due was left without saying so");
    }
}

proptest! {
    #[test]
    fn does_what_a_sorted_map_does(steps in proptest::collection::vec(step(), 1..200)) {
        let mut wheel = TimerWheel::new();
        let mut model = Model::default();
        let mut keys: Vec<(TimerKey, (u64, u64))> = Vec::new();
        let mut now = 0_u64;
        for step in steps {
            match step {
                Step::Insert(distance) => {
                    let payload = keys.len() as u64;
                    let deadline = now + distance;
                    let key = wheel.insert(deadline, payload);
                    model.waiting.insert((deadline, payload), payload);
                    keys.push((key, (deadline, payload)));
                }
                Step::Cancel(index) => {
                    if let Some(&(key, entry)) = keys.get(index) {
                        prop_assert_eq!(wheel.cancel(key), model.waiting.remove(&entry));
                    }
                }
                Step::Advance { by, steps } => {
                    now += by;
                    advance_both(&mut wheel, &mut model, now, steps);
                }
                Step::SleepUntilNextExpiry { steps } => {
                    if let Some(tick) = wheel.next_expiry() {
                        now = now.max(tick);
                        advance_both(&mut wheel, &mut model, now, steps);
                    }
                }
            }
            prop_assert_eq!(wheel.len(), model.waiting.len());
            let earliest = model.waiting.first_key_value().map(|(&(deadline, _), _)| deadline);
            prop_assert_eq!(wheel.next_expiry().is_some(), earliest.is_some());
            if let (Some(bound), Some(earliest)) = (wheel.next_expiry(), earliest) {
                prop_assert!(bound <= earliest.max(now), "sleeps to {}, due {}", bound, earliest);
            }
        }
        // The wheel ends empty, and by sleeping as the reactor sleeps.
        while let Some(tick) = wheel.next_expiry() {
            now = now.max(tick);
            advance_both(&mut wheel, &mut model, now, usize::MAX);
        }
        prop_assert!(model.waiting.is_empty());
    }
}
