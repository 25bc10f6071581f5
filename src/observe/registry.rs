//! All scopes of the process, and the reading side.
//!
//! Scopes are made by control and looked up by prefix once; what a worker keeps is a handle. They
//! live as long as the registry, because configuration is static so far.
//!
//! Invariant: the lock is taken to make a scope and to read, never to count.

use std::any::TypeId;
use std::collections::btree_map::Entry as Place;
use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::marker::PhantomData;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::distribution::Distribution;
use crate::entry::Entry;
use crate::group::{Group, Sample};
use crate::scope::Scope;
use crate::stat::Stat;

/// Every scope of the process, and one shard for each thread that counts. Cloning gives another
/// handle on the same registry.
#[derive(Clone)]
pub struct Registry {
    shared: Arc<Shared>,
}

struct Shared {
    workers: usize,
    /// One for each shard: handed out already.
    claimed: Box<[AtomicBool]>,
    scopes: Mutex<BTreeMap<(String, TypeId), Arc<Entry>>>,
}

/// Whose shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShardIndex {
    /// A worker, counted from 0.
    Worker(usize),
    /// The control thread.
    Control,
}

/// The right to write on one shard. Cannot leave the thread that asked for it.
#[derive(Debug, Clone)]
pub struct Shard {
    index: usize,
    /// The registry it belongs to: the same index elsewhere is another shard, or out of range.
    registry: Registry,
    not_send: PhantomData<Rc<()>>,
}

/// A scope that no thread owns yet: what configuration carries to the workers.
pub struct ScopeId<S: Stat> {
    entry: Arc<Entry>,
    registry: Registry,
    set: PhantomData<fn() -> S>,
}

impl Registry {
    /// A registry for `workers` workers and the control thread.
    #[must_use]
    pub fn new(workers: usize) -> Self {
        Self {
            shared: Arc::new(Shared {
                workers,
                claimed: (0..=workers).map(|_| AtomicBool::new(false)).collect(),
                scopes: Mutex::default(),
            }),
        }
    }

    /// Number of workers this registry was made for.
    #[must_use]
    pub fn workers(&self) -> usize {
        self.shared.workers
    }

    /// The shard of the calling thread, to be kept as long as the thread counts. `None` if there
    /// is no such worker or the shard was handed out before: a second writer would lose counts.
    #[must_use]
    pub fn shard(&self, index: ShardIndex) -> Option<Shard> {
        let index = match index {
            ShardIndex::Worker(worker) if worker < self.shared.workers => worker,
            ShardIndex::Worker(_) => return None,
            ShardIndex::Control => self.shared.workers,
        };
        let taken_before = self.shared.claimed[index].swap(true, Ordering::Relaxed);
        (!taken_before).then(|| Shard { index, registry: self.clone(), not_send: PhantomData })
    }

    /// The scope `prefix` with the stats of `S`: a new one, or the one that was made before for
    /// the same prefix and set.
    ///
    /// `prefix` has no dot at its end; it is empty for a set of one stat that has no prefix.
    /// Characters that statsd cannot carry are replaced as Envoy
    /// does: `://`, `:/`, `:` and NUL become `_`.
    #[must_use]
    pub fn scope<S: Stat>(&self, prefix: &str) -> ScopeId<S> {
        let prefix = sanitized(prefix);
        let shards = self.shared.claimed.len();
        let entry = match self.scopes().entry((prefix, TypeId::of::<S>())) {
            Place::Occupied(place) => Arc::clone(place.get()),
            Place::Vacant(place) => {
                let prefix = place.key().0.clone();
                Arc::clone(place.insert(Arc::new(Entry::new(prefix, S::SPECS, shards))))
            }
        };
        ScopeId { entry, registry: self.clone(), set: PhantomData }
    }

    /// A scope that no scrape shows: for stats that have a page of their own, such as those of a
    /// host. It lives as long as somebody holds it.
    #[must_use]
    pub fn unlisted<S: Stat>(&self) -> ScopeId<S> {
        let entry = Arc::new(Entry::new(String::new(), S::SPECS, self.shared.claimed.len()));
        ScopeId { entry, registry: self.clone(), set: PhantomData }
    }

    /// Shows the stats of `S` below `prefix`, which nobody counts (yet).
    pub fn declare<S: Stat>(&self, prefix: &str) {
        drop(self.scope::<S>(prefix));
    }

    /// The sum of one stat over all scopes of its set, each as a reader sees it.
    #[must_use]
    pub fn sum<S: Stat>(&self, stat: S) -> u64 {
        let set = TypeId::of::<S>();
        let scopes = self.scopes();
        let entries = scopes.iter().filter(|((_, other), _)| *other == set);
        let totals = entries.map(|(_, entry)| entry.read().total(stat.slot()).value);
        totals.fold(0, u64::saturating_add)
    }

    /// Every counter and gauge of every scope, sorted by name as bytes, shards merged. Two scopes
    /// that spell the same name are one stat, as in Envoy.
    #[must_use]
    pub fn snapshot(&self) -> Vec<Sample> {
        self.groups().iter().flat_map(Group::numbers).collect()
    }

    /// Every scope, in groups that are small and do not mix: whoever reads group after group meets
    /// all names in order.
    #[must_use]
    pub fn groups(&self) -> Vec<Group> {
        let entries = self.entries();
        // `server` and `server.worker_0` must be in one group: `server.uptime` lies between.
        let short: HashSet<&str> =
            entries.iter().map(|e| e.prefix()).filter(|prefix| !prefix.contains('.')).collect();
        let mut groups: BTreeMap<String, Vec<Arc<Entry>>> = BTreeMap::new();
        for entry in &entries {
            // A stat without a prefix lies between two groups.
            let first_name = || entry.specs().first().map_or("", |spec| spec.name);
            let prefix = if entry.prefix().is_empty() { first_name() } else { entry.prefix() };
            let mut parts = prefix.splitn(3, '.');
            let first = parts.next().unwrap_or_default();
            let second = parts.next().filter(|_| !short.contains(first));
            let key = second.map_or(format!("{first}."), |second| format!("{first}.{second}."));
            groups.entry(key).or_default().push(Arc::clone(entry));
        }
        let workers = self.shared.workers;
        groups.into_values().map(|entries| Group::new(entries, workers)).collect()
    }

    /// Ends the interval of every histogram: readers see what was recorded until now. To be
    /// called every `stats_flush_interval`.
    pub fn flush(&self) {
        for entry in self.entries() {
            entry.flush();
        }
    }

    /// Lets every counter begin at zero again. Gauges and histograms stay.
    pub fn reset_counters(&self) {
        for entry in self.entries() {
            entry.reset_counters();
        }
    }

    /// Without the lock, so that making a scope does not wait for a scrape.
    fn entries(&self) -> Vec<Arc<Entry>> {
        self.scopes().values().map(Arc::clone).collect()
    }

    /// A panic while the map was locked cannot leave it half-changed, so poison means nothing.
    fn scopes(&self) -> MutexGuard<'_, BTreeMap<(String, TypeId), Arc<Entry>>> {
        self.shared.scopes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry").field("workers", &self.shared.workers).finish_non_exhaustive()
    }
}

impl<S: Stat> ScopeId<S> {
    /// The scope as the holder of `shard` writes it.
    ///
    /// # Panics
    /// If `shard` belongs to another registry than the scope: a mistake in our own wiring.
    #[must_use]
    pub fn on(&self, shard: &Shard) -> Scope<S> {
        assert!(
            Arc::ptr_eq(&self.registry.shared, &shard.registry.shared),
            "the shard and the scope are of two registries"
        );
        Scope::new(Arc::clone(&self.entry), shard.index)
    }

    /// A counter or gauge over all shards, as a scrape would show it now.
    #[must_use]
    pub fn total(&self, stat: S) -> u64 {
        self.entry.read().total(stat.slot()).value
    }

    /// Every value of a histogram until now, flushed or not, over all shards.
    #[must_use]
    pub fn distribution(&self, stat: S) -> Distribution {
        self.entry.distribution(stat.slot())
    }

    /// The prefix, with Envoy's replacements made.
    #[must_use]
    pub fn prefix(&self) -> &str {
        self.entry.prefix()
    }
}

impl<S: Stat> Clone for ScopeId<S> {
    fn clone(&self) -> Self {
        Self { entry: Arc::clone(&self.entry), registry: self.registry.clone(), set: PhantomData }
    }
}

impl<S: Stat> fmt::Debug for ScopeId<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ScopeId").field(&self.entry.prefix()).finish()
    }
}

/// The replacements of Envoy's `Stats::Utility::sanitizeStatsName`: longest match first, one dot
/// at each end removed.
fn sanitized(prefix: &str) -> String {
    let prefix = prefix.strip_suffix('.').unwrap_or(prefix);
    let prefix = prefix.strip_prefix('.').unwrap_or(prefix);
    prefix.replace("://", "_").replace(":/", "_").replace([':', '\0'], "_")
}

#[cfg(test)]
mod tests;
