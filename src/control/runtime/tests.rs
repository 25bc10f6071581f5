//! Layers on disk and in memory.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use config::model::{DiskLayer, RuntimeLayer, RuntimeValue};
use observe::ShardIndex;

use super::*;

/// A folder of its own for one test, removed with it.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("nuncio-runtime-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.0.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Puts a link to `target` in the place of the one that is there, as a deployment does.
    fn swap(&self, target: &str) {
        symlink(target, self.0.join("next")).unwrap();
        fs::rename(self.0.join("next"), self.0.join("current")).unwrap();
    }

    fn layer(&self, name: &str, subdirectory: &str, append_service_cluster: bool) -> RuntimeLayer {
        let source = RuntimeSource::Disk(DiskLayer {
            symlink_root: self.0.join("current").to_str().unwrap().to_owned(),
            subdirectory: subdirectory.to_owned(),
            append_service_cluster,
        });
        RuntimeLayer { name: name.to_owned(), source }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

fn runtime(layers: Vec<RuntimeLayer>) -> (Rc<Runtime>, Registry) {
    let registry = Registry::new(0);
    let shard = registry.shard(ShardIndex::Control).unwrap();
    (Runtime::new(model::Runtime { layers }, "edge", &registry, &shard), registry)
}

fn stat(registry: &Registry, stat: RuntimeStat) -> u64 {
    registry.scope::<RuntimeStat>(RUNTIME_PREFIX).total(stat)
}

/// Names of the layers, and keys with their values.
fn shown(runtime: &Runtime) -> (Vec<String>, Vec<(String, String)>) {
    let snapshot = runtime.snapshot();
    let names = snapshot.layers().iter().map(|layer| layer.name.clone()).collect();
    let text = |(key, entry): (&str, &RuntimeEntry)| (key.to_owned(), entry.text().to_owned());
    (names, snapshot.entries().map(text).collect())
}

fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
    list.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect()
}

#[test]
fn disk_layers_are_folders_of_values_and_a_missing_folder_is_no_layer() {
    let folder = Folder::new();
    folder.write("one/base/a", "5\n");
    folder.write("one/base/deep/er", "# comment\n7\n");
    folder.write("one/override/edge/a", "9\n");
    folder.write("two/base/a", "50\n");
    folder.swap("one");
    let layers = vec![
        folder.layer("base", "base", false),
        folder.layer("override", "override", true),
        folder.layer("missing", "missing", false),
    ];
    let (runtime, registry) = runtime(layers);
    let names = vec!["base".to_owned(), "override".to_owned()];
    assert_eq!(shown(&runtime), (names, pairs(&[("a", "9"), ("deep.er", "7")])));
    assert_eq!(stat(&registry, RuntimeStat::NumLayers), 2);
    assert_eq!(stat(&registry, RuntimeStat::NumKeys), 2);
    assert_eq!(stat(&registry, RuntimeStat::OverrideDirExists), 1);
    assert_eq!(stat(&registry, RuntimeStat::LoadSuccess), 1);

    // Files below the link may change without being read; a swap of the link shows.
    folder.write("one/base/a", "6\n");
    assert_eq!(runtime.state.borrow().links, runtime.links());
    folder.swap("two");
    assert_ne!(runtime.state.borrow().links, runtime.links());
    runtime.load();
    assert_eq!(shown(&runtime), (vec!["base".to_owned()], pairs(&[("a", "50")])));
    assert_eq!(stat(&registry, RuntimeStat::OverrideDirNotExists), 1);
}

#[test]
fn a_layer_that_cannot_be_read_is_left_out_and_counted() {
    let folder = Folder::new();
    let deep = "d/".repeat(20);
    folder.write(&format!("one/base/{deep}a"), "1");
    folder.swap("one");
    let (runtime, registry) = runtime(vec![folder.layer("base", "base", false)]);
    assert_eq!(shown(&runtime), (vec![], vec![]));
    assert_eq!(stat(&registry, RuntimeStat::LoadError), 1);
    assert_eq!(stat(&registry, RuntimeStat::LoadSuccess), 0);
}

#[test]
fn the_admin_layer_overrides_and_gives_back() {
    let values = [("k".to_owned(), RuntimeValue::Number(1.0))].into();
    let base = RuntimeLayer { name: "base".to_owned(), source: RuntimeSource::Static(values) };
    let admin = RuntimeLayer { name: "admin".to_owned(), source: RuntimeSource::Admin };
    let (runtime, registry) = runtime(vec![base, admin]);
    let old = runtime.snapshot();
    runtime.modify([("k", "2"), ("new", "x")].into_iter()).unwrap();
    assert_eq!(shown(&runtime).1, pairs(&[("k", "2"), ("new", "x")]));
    assert_eq!(old.integer("k", 0), 1, "a snapshot never changes");
    assert_eq!(stat(&registry, RuntimeStat::AdminOverridesActive), 1);
    runtime.modify([("k", ""), ("new", "")].into_iter()).unwrap();
    assert_eq!(shown(&runtime).1, pairs(&[("k", "1")]));
    assert_eq!(stat(&registry, RuntimeStat::AdminOverridesActive), 0);
    let keys: Vec<String> = (0..=ADMIN_KEYS_MAX).map(|n| format!("key{n}")).collect();
    let many = keys.iter().map(|key| (key.as_str(), "1"));
    assert_eq!(runtime.modify(many), Err(Refused::TooManyKeys));
    assert_eq!(shown(&runtime).1, pairs(&[("k", "1")]));
}

#[test]
fn without_an_admin_layer_nothing_can_be_changed() {
    let (runtime, _) = runtime(Vec::new());
    assert_eq!(runtime.modify([("k", "2")].into_iter()), Err(Refused::NoAdminLayer));
}
