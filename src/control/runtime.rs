//! The values that an operator may change while the process runs, in layers.
//!
//! A static layer is in the configuration, a disk layer in files below a symbolic link, and the
//! admin layer in memory, set by `/runtime_modify`. Each change makes a new snapshot of all.
//!
//! As in Envoy a disk layer is read again when its symbolic link is replaced, not when a file below
//! it changes: whoever swaps the link shows all new values at once.

mod disk;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use config::model::{self, RuntimeSource};
use config::{RuntimeEntry, RuntimeSnapshot, RuntimeValues};
use observe::names::{RUNTIME_PREFIX, RuntimeStat};
use observe::{Registry, Scope, Shard};
use tokio::time::sleep;

use disk::{Identity, identity};

/// How often the symbolic links of disk layers are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Keys that `/runtime_modify` may set. Each costs memory for as long as the process runs.
pub(crate) const ADMIN_KEYS_MAX: usize = 10_000;

/// The layers, and what they say now.
#[derive(Debug)]
pub(crate) struct Runtime {
    layers: Vec<model::RuntimeLayer>,
    service_cluster: String,
    state: RefCell<State>,
    followers: RefCell<Vec<Follower>>,
    stats: Scope<RuntimeStat>,
    shard: Shard,
}

/// Is told what the layers say, with control's shard.
struct Follower(Box<Follow>);

type Follow = dyn Fn(&RuntimeSnapshot, &Shard);

impl fmt::Debug for Follower {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Follower")
    }
}

#[derive(Debug, Default)]
struct State {
    /// The admin layer.
    overrides: BTreeMap<String, RuntimeEntry>,
    snapshot: Arc<RuntimeSnapshot>,
    /// What the symbolic links were when they were read.
    links: Vec<Option<Identity>>,
}

/// Why `/runtime_modify` changed nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The configuration has no admin layer.
    NoAdminLayer,
    /// There would be more than [`ADMIN_KEYS_MAX`] keys.
    TooManyKeys,
}

impl Runtime {
    /// Reads all layers. `service_cluster` is the folder of those that ask for it.
    pub(crate) fn new(
        runtime: model::Runtime,
        service_cluster: &str,
        registry: &Registry,
        shard: &Shard,
    ) -> Rc<Self> {
        let this = Self {
            layers: runtime.layers,
            service_cluster: service_cluster.to_owned(),
            state: RefCell::default(),
            followers: RefCell::default(),
            shard: shard.clone(),
            stats: registry.scope(RUNTIME_PREFIX).on(shard),
        };
        this.load();
        Rc::new(this)
    }

    /// What the layers say now; never changes.
    pub(crate) fn snapshot(&self) -> Arc<RuntimeSnapshot> {
        Arc::clone(&self.state.borrow().snapshot)
    }

    /// Calls `follower` now, and after each change.
    pub(crate) fn follow(&self, follower: impl Fn(&RuntimeSnapshot, &Shard) + 'static) {
        follower(&self.snapshot(), &self.shard);
        self.followers.borrow_mut().push(Follower(Box::new(follower)));
    }

    /// Sets values of the admin layer; an empty value takes an earlier one back.
    ///
    /// # Errors
    /// [`Refused`]; nothing was changed then.
    pub(crate) fn modify<'a>(
        &self,
        values: impl Iterator<Item = (&'a str, &'a str)>,
    ) -> Result<(), Refused> {
        if !self.layers.iter().any(|layer| layer.source == RuntimeSource::Admin) {
            return Err(Refused::NoAdminLayer);
        }
        let mut overrides = self.state.borrow().overrides.clone();
        for (key, value) in values {
            if value.is_empty() {
                overrides.remove(key);
            } else {
                overrides.insert(key.to_owned(), RuntimeEntry::parse(value));
            }
        }
        if overrides.len() > ADMIN_KEYS_MAX {
            return Err(Refused::TooManyKeys);
        }
        let active = u64::from(!overrides.is_empty());
        self.stats.gauge_set(RuntimeStat::AdminOverridesActive, active);
        self.state.borrow_mut().overrides = overrides;
        self.load();
        Ok(())
    }

    /// Whether there is anything to [`watch`](Self::watch).
    pub(crate) fn has_disk_layers(&self) -> bool {
        self.layers.iter().any(|layer| matches!(layer.source, RuntimeSource::Disk(_)))
    }

    /// Reads disk layers again whenever a link was replaced; never ends.
    pub(crate) async fn watch(&self) {
        loop {
            sleep(LOOK_EVERY).await;
            if self.state.borrow().links != self.links() {
                tracing::info!("a disk layer of the runtime was replaced");
                self.load();
            }
        }
    }

    /// What the links of the disk layers are now.
    fn links(&self) -> Vec<Option<Identity>> {
        let links = self.layers.iter().filter_map(|layer| match &layer.source {
            RuntimeSource::Disk(disk) => Some(identity(&disk.symlink_root)),
            RuntimeSource::Static(_) | RuntimeSource::Admin => None,
        });
        links.collect()
    }

    fn load(&self) {
        // Before the files: what is replaced meanwhile is read again.
        let links = self.links();
        let (mut layers, mut disks, mut failed) = (Vec::new(), 0, false);
        for model::RuntimeLayer { name, source } in &self.layers {
            let values = match source {
                RuntimeSource::Static(values) => values
                    .iter()
                    .map(|(key, value)| (key.clone(), RuntimeEntry::from(value.clone())))
                    .collect(),
                RuntimeSource::Admin => self.state.borrow().overrides.clone(),
                RuntimeSource::Disk(disk) => match disk::read(disk, &self.service_cluster) {
                    Ok(Some(values)) => {
                        disks += 1;
                        values
                    }
                    Ok(None) => continue,
                    Err(error) => {
                        tracing::warn!(layer = name, %error, "cannot read a layer of the runtime");
                        failed = true;
                        continue;
                    }
                },
            };
            layers.push(RuntimeValues { name: name.clone(), values });
        }
        let snapshot = RuntimeSnapshot::new(layers);
        self.count(&snapshot, disks, failed);
        let mut state = self.state.borrow_mut();
        state.snapshot = Arc::new(snapshot);
        state.links = links;
        drop(state);
        for Follower(follower) in self.followers.borrow().iter() {
            follower(&self.snapshot(), &self.shard);
        }
    }

    fn count(&self, snapshot: &RuntimeSnapshot, disks: usize, failed: bool) {
        let wide = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        let stats = &self.stats;
        stats.gauge_set(RuntimeStat::NumKeys, wide(snapshot.entries().len()));
        stats.gauge_set(RuntimeStat::NumLayers, wide(snapshot.layers().len()));
        stats.inc(if failed { RuntimeStat::LoadError } else { RuntimeStat::LoadSuccess });
        stats.inc(match disks {
            0 | 1 => RuntimeStat::OverrideDirNotExists,
            _ => RuntimeStat::OverrideDirExists,
        });
    }
}

#[cfg(test)]
mod tests;
