//! The registry as its users see it: one thread counts, another reads, guards survive panics.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::*;
use crate::Kind;

crate::stats! {
    /// A set with one stat of each sort.
    enum TestStat {
        /// Plain counter.
        Total => counter "total",
        /// Plain gauge.
        Active => gauge "active",
        /// Counter shown for each worker.
        Accepted => counter "accepted" per_worker,
    }
}

crate::stats! {
    /// A set whose names overlap with those of a longer prefix of another set.
    enum OtherStat {
        /// Spells the same name as `TestStat::Total` below `a.b`.
        Total => counter "b.total",
    }
}

fn worker(registry: &Registry, index: usize) -> Shard {
    registry.shard(ShardIndex::Worker(index)).unwrap()
}

fn value(registry: &Registry, name: &str) -> Option<u64> {
    registry.snapshot().into_iter().find(|sample| sample.name == name).map(|sample| sample.value)
}

#[test]
fn each_shard_is_handed_out_once() {
    let registry = Registry::new(2);
    assert!(registry.shard(ShardIndex::Worker(0)).is_some());
    assert!(registry.shard(ShardIndex::Worker(0)).is_none());
    assert!(registry.clone().shard(ShardIndex::Worker(0)).is_none());
    assert!(registry.shard(ShardIndex::Worker(1)).is_some());
    assert!(registry.shard(ShardIndex::Worker(2)).is_none());
    assert!(registry.shard(ShardIndex::Control).is_some());
    assert!(registry.shard(ShardIndex::Control).is_none());
}

#[test]
fn same_prefix_and_set_is_the_same_scope() {
    let registry = Registry::new(1);
    let shard = worker(&registry, 0);
    registry.scope::<TestStat>("a").on(&shard).inc(TestStat::Total);
    registry.scope::<TestStat>("a").on(&shard).inc(TestStat::Total);
    registry.scope::<TestStat>("b").on(&shard).inc(TestStat::Total);
    assert_eq!(registry.scope::<TestStat>("a").total(TestStat::Total), 2);
    assert_eq!(registry.scope::<TestStat>("b").total(TestStat::Total), 1);
    assert_eq!(registry.sum(TestStat::Total), 3);
}

#[test]
fn snapshot_merges_shards_sorts_and_shows_untouched_stats_as_zero() {
    let registry = Registry::new(2);
    let scope = registry.scope::<TestStat>("z");
    let _untouched = registry.scope::<TestStat>("a");
    let (first, second) = (worker(&registry, 0), worker(&registry, 1));
    let control = registry.shard(ShardIndex::Control).unwrap();
    scope.on(&first).add(TestStat::Accepted, 3);
    scope.on(&second).add(TestStat::Accepted, 4);
    scope.on(&control).add(TestStat::Accepted, 10);
    scope.on(&second).gauge_set(TestStat::Active, 9);

    let lines: Vec<(String, Kind, u64)> =
        registry.snapshot().into_iter().map(|s| (s.name, s.kind, s.value)).collect();
    let expected = [
        ("a.accepted", Kind::Counter, 0),
        ("a.active", Kind::Gauge, 0),
        ("a.total", Kind::Counter, 0),
        ("a.worker_0.accepted", Kind::Counter, 0),
        ("a.worker_1.accepted", Kind::Counter, 0),
        ("z.accepted", Kind::Counter, 17),
        ("z.active", Kind::Gauge, 9),
        ("z.total", Kind::Counter, 0),
        ("z.worker_0.accepted", Kind::Counter, 3),
        ("z.worker_1.accepted", Kind::Counter, 4),
    ];
    assert_eq!(lines, expected.map(|(name, kind, value)| (name.to_owned(), kind, value)));
}

/// If this fails, a page that is written group by group is not sorted.
#[test]
fn groups_follow_each_other_in_the_order_of_names() {
    let registry = Registry::new(1);
    for prefix in [
        "server.worker_0",
        "server",
        "cluster.a.b",
        "cluster.ab",
        "cluster.a",
        "cluster.a-b",
        "cluster_manager",
        "cluster.a.b.c",
    ] {
        registry.declare::<TestStat>(prefix);
    }
    let names: Vec<String> = registry.snapshot().into_iter().map(|sample| sample.name).collect();
    assert!(names.is_sorted(), "{names:?}");
    assert_eq!(names.len(), 8 * 4 - 1, "both servers spell server.worker_0.accepted");
    assert_eq!(registry.groups().len(), 5, "a, a-b, ab, cluster_manager, server");
}

#[test]
fn two_scopes_that_spell_one_name_are_one_stat() {
    let registry = Registry::new(1);
    let shard = worker(&registry, 0);
    registry.scope::<TestStat>("a.b").on(&shard).add(TestStat::Total, 2);
    registry.scope::<OtherStat>("a").on(&shard).add(OtherStat::Total, 5);
    let samples = registry.snapshot();
    assert_eq!(samples.iter().filter(|sample| sample.name == "a.b.total").count(), 1);
    assert_eq!(value(&registry, "a.b.total"), Some(7));
}

#[test]
fn gauge_raised_on_one_shard_and_lowered_on_another_sums_up() {
    let registry = Registry::new(2);
    let scope = registry.scope::<TestStat>("a");
    let (first, second) = (scope.on(&worker(&registry, 0)), scope.on(&worker(&registry, 1)));
    first.gauge_add(TestStat::Active, 5);
    second.gauge_sub(TestStat::Active, 2);
    assert_eq!(scope.total(TestStat::Active), 3);
    second.gauge_sub(TestStat::Active, 4);
    assert_eq!(scope.total(TestStat::Active), 0, "below zero reads as zero");
    first.gauge_inc(TestStat::Active);
    first.gauge_inc(TestStat::Active);
    first.gauge_dec(TestStat::Active);
    assert_eq!(scope.total(TestStat::Active), 0, "5 + 1 - 6");
    first.gauge_inc(TestStat::Active);
    assert_eq!(scope.total(TestStat::Active), 1, "the debt was kept, not clamped away");
}

#[test]
fn guard_gives_back_on_drop_and_on_panic() {
    let registry = Registry::new(1);
    let scope = registry.scope::<TestStat>("a").on(&worker(&registry, 0));
    let guard = scope.guard(TestStat::Active);
    assert_eq!(scope.value(TestStat::Active), 1);

    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let _inner = scope.guard(TestStat::Active);
        let mut level = scope.guard_of(TestStat::Active, 10);
        level.set(70);
        assert_eq!(scope.value(TestStat::Active), 72);
        level.set(30);
        assert_eq!((scope.value(TestStat::Active), level.amount()), (32, 30));
        panic!("as a connection task might");
    }));
    assert!(panicked.is_err());
    assert_eq!(scope.value(TestStat::Active), 1);
    drop(guard);
    assert_eq!(scope.value(TestStat::Active), 0);
}

#[test]
fn published_total_replaces_the_share() {
    let registry = Registry::new(2);
    let id = registry.scope::<TestStat>("a");
    let (first, second) = (id.on(&worker(&registry, 0)), id.on(&worker(&registry, 1)));
    first.publish(TestStat::Total, 4);
    first.publish(TestStat::Total, 9);
    second.publish(TestStat::Total, 1);
    assert_eq!(id.total(TestStat::Total), 10);
}

#[test]
#[should_panic(expected = "active is of another kind")]
#[cfg(debug_assertions)]
fn counting_on_a_gauge_is_found_in_tests() {
    let registry = Registry::new(1);
    registry.scope::<TestStat>("a").on(&worker(&registry, 0)).inc(TestStat::Active);
}

#[test]
#[should_panic(expected = "of two registries")]
fn shard_of_another_registry_is_refused() {
    let (one, other) = (Registry::new(1), Registry::new(4));
    let _ = one.scope::<TestStat>("a").on(&worker(&other, 3));
}

#[test]
fn prefix_is_sanitized_as_by_envoy() {
    for (given, expected) in [
        ("cluster.plain", "cluster.plain"),
        ("cluster.a:b", "cluster.a_b"),
        ("cluster.outbound|80||x.svc", "cluster.outbound|80||x.svc"),
        ("tcp.http://x:/y:80.", "tcp.http_x_y_80"),
        (".tcp.n\0l", "tcp.n_l"),
    ] {
        assert_eq!(Registry::new(0).scope::<TestStat>(given).prefix(), expected);
    }
}

/// Relaxed load and store may only be used because nobody else writes: with every worker counting
/// at once, no count may be lost, and a reader must see each counter grow only.
#[test]
fn concurrent_workers_lose_nothing_and_a_reader_sees_growth_only() {
    const WORKERS: usize = 4;
    const ROUNDS: u64 = 20_000;
    let registry = Registry::new(WORKERS);
    let id = registry.scope::<TestStat>("a");
    let done = AtomicBool::new(false);
    thread::scope(|threads| {
        let reader = threads.spawn(|| {
            let mut last = 0;
            while !done.load(Ordering::Acquire) {
                let now = value(&registry, "a.accepted").unwrap();
                assert!(now >= last, "{now} after {last}");
                last = now;
                assert!(value(&registry, "a.active").unwrap() <= WORKERS as u64);
            }
        });
        let writers: Vec<_> = (0..WORKERS)
            .map(|index| {
                let (registry, id) = (&registry, &id);
                threads.spawn(move || {
                    let scope = id.on(&worker(registry, index));
                    for _ in 0..ROUNDS {
                        let _held = scope.guard(TestStat::Active);
                        scope.inc(TestStat::Accepted);
                    }
                })
            })
            .collect();
        for writer in writers {
            writer.join().unwrap();
        }
        done.store(true, Ordering::Release);
        reader.join().unwrap();
    });
    assert_eq!(id.total(TestStat::Accepted), WORKERS as u64 * ROUNDS);
    assert_eq!(id.total(TestStat::Active), 0);
}
