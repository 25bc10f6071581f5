//! Reads the repository: Rust files, manifests, other texts, and the size of everything.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use crate::lexer::Source;

/// Every file that belongs to the repository, by its path relative to the root.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    /// The `.rs` files below `src`.
    pub(crate) rust: BTreeMap<String, Source>,
    /// `Cargo.toml` of the root and of each crate below `src`.
    pub(crate) manifests: BTreeMap<String, String>,
    /// Everything that is text and not Rust below `src`: documents, settings, scripts, bench code.
    pub(crate) texts: BTreeMap<String, String>,
    /// Bytes of every file.
    pub(crate) sizes: BTreeMap<String, u64>,
}

/// Reads the tree below `root`, without what is built, downloaded or the version control's own.
pub(crate) fn read(root: &Path) -> io::Result<Tree> {
    let mut tree = Tree::default();
    read_directory(root, "", &mut tree)?;
    Ok(tree)
}

fn read_directory(root: &Path, prefix: &str, tree: &mut Tree) -> io::Result<()> {
    for entry in fs::read_dir(root.join(prefix))? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}/{name}") };
        let kind = entry.file_type()?;
        // A worktree's `.git` is a file.
        if NOT_OURS.contains(&name.as_str()) {
            continue;
        }
        if kind.is_dir() {
            read_directory(root, &path, tree)?;
        } else if kind.is_file() {
            tree.add(&path, &fs::read(entry.path())?);
        }
    }
    Ok(())
}

impl Tree {
    /// Sorts one file in.
    pub(crate) fn add(&mut self, path: &str, bytes: &[u8]) {
        self.sizes.insert(path.to_owned(), u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        let Ok(text) = str::from_utf8(bytes) else {
            return;
        };
        let is_source = path.starts_with("src/");
        if is_source && path.ends_with(".rs") {
            self.rust.insert(path.to_owned(), Source::new(path, text));
            return;
        }
        if path == "Cargo.toml" || is_source && path.ends_with("/Cargo.toml") {
            self.manifests.insert(path.to_owned(), text.to_owned());
        }
        self.texts.insert(path.to_owned(), text.to_owned());
    }
}

const NOT_OURS: [&str; 4] = [".git", ".venv", "__pycache__", "target"];

#[cfg(test)]
impl Tree {
    pub(crate) fn of(files: &[(&str, &str)]) -> Self {
        let mut tree = Self::default();
        for (path, text) in files {
            tree.add(path, text.as_bytes());
        }
        tree
    }
}

#[test]
fn each_file_is_sorted_in_where_its_rules_look() {
    let tree = Tree::of(&[
        ("Cargo.toml", "[package]"),
        ("src/base/Cargo.toml", "[package]"),
        ("src/base/lib.rs", "//! Base."),
        ("bench/main.rs", "//! Bench."),
        ("bench/Cargo.toml", "[package]"),
    ]);
    assert_eq!(tree.rust.keys().collect::<Vec<_>>(), ["src/base/lib.rs"]);
    assert_eq!(tree.manifests.keys().collect::<Vec<_>>(), ["Cargo.toml", "src/base/Cargo.toml"]);
    assert!(tree.texts.contains_key("bench/main.rs"));
    assert_eq!(tree.sizes.len(), 5);
}
