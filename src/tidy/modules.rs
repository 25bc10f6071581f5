//! Which file is which module of which crate, found as the compiler finds it.

use std::collections::BTreeSet;

use crate::lexer::{Kind, Source, Token, end_of_group};
use crate::problem::Problem;
use crate::tree::Tree;

/// One target of Cargo: its root file and all that hangs on it.
#[derive(Debug)]
pub(crate) struct Crate {
    /// `src/base/lib.rs` and the like.
    pub(crate) root: String,
    /// The root file first.
    pub(crate) modules: Vec<Module>,
}

/// A file as a module.
#[derive(Debug)]
pub(crate) struct Module {
    pub(crate) file: String,
    /// From the crate root: empty for the root itself.
    pub(crate) path: Vec<String>,
    /// Declared under `#[cfg(test)]`, or below a module that is.
    pub(crate) is_test: bool,
}

/// A `mod name;` and where it points to.
#[derive(Debug, PartialEq, Eq)]
struct Declaration {
    name: String,
    /// The inline modules around it.
    inside: Vec<String>,
    path_attribute: Option<String>,
    is_test: bool,
}

/// The crates of all manifests.
pub(crate) fn crates(tree: &Tree) -> Vec<Crate> {
    let mut roots = BTreeSet::new();
    for (manifest, text) in &tree.manifests {
        let folder = manifest.strip_suffix("Cargo.toml").unwrap_or_default();
        for line in text.lines() {
            let Some(value) = line.trim().strip_prefix("path = \"") else {
                continue;
            };
            if let Some(target) = value.strip_suffix('"').filter(|path| path.ends_with(".rs")) {
                roots.insert(format!("{folder}{target}"));
            }
        }
    }
    // Cargo finds the integration tests of a floor by itself: each file of its folder `tests`.
    for path in tree.rust.keys() {
        let Some((folder, name)) = path.rsplit_once("/tests/") else {
            continue;
        };
        let manifest = tree.manifests.get(&format!("{folder}/Cargo.toml"));
        if manifest.is_some_and(|text| !text.contains("autotests = false")) && !name.contains('/') {
            roots.insert(path.clone());
        }
    }
    roots.into_iter().map(|root| modules_of(root, tree)).collect()
}

/// Files below `src` that no crate reaches: they are never compiled, so nothing checks them.
pub(crate) fn unreached(tree: &Tree, crates: &[Crate]) -> Vec<Problem> {
    let reached: BTreeSet<&str> =
        crates.iter().flat_map(|krate| &krate.modules).map(|module| module.file.as_str()).collect();
    let dead = tree.rust.keys().filter(|path| !reached.contains(path.as_str()));
    dead.map(|path| {
        Problem::new(
            path,
            1,
            "no `mod` declaration leads to this file",
            "declare it in its parent, or delete it",
        )
    })
    .collect()
}

fn modules_of(root: String, tree: &Tree) -> Crate {
    let mut modules = Vec::new();
    let mut to_visit = vec![(root.clone(), Vec::new(), true, false)];
    while let Some((file, path, owns_folder, is_test)) = to_visit.pop() {
        let Some(source) = tree.rust.get(&file) else {
            continue;
        };
        for declaration in declarations(source) {
            let is_test = is_test || declaration.is_test;
            let mut child_path = path.clone();
            child_path.extend(declaration.inside.iter().cloned());
            child_path.push(declaration.name.clone());
            for (child, owns_folder) in candidates(&file, owns_folder, &declaration) {
                if tree.rust.contains_key(&child) {
                    to_visit.push((child, child_path, owns_folder, is_test));
                    break;
                }
            }
        }
        modules.push(Module { file, path, is_test });
    }
    Crate { root, modules }
}

/// Where the file of a declaration may be, and whether that file's children are beside it.
fn candidates(file: &str, owns_folder: bool, declaration: &Declaration) -> Vec<(String, bool)> {
    let (folder, name) = file.rsplit_once('/').unwrap_or(("", file));
    if let Some(path) = &declaration.path_attribute {
        return vec![(format!("{folder}/{path}"), true)];
    }
    let mut folder = folder.to_owned();
    if !owns_folder {
        folder.push('/');
        folder.push_str(name.trim_end_matches(".rs"));
    }
    for inline in &declaration.inside {
        folder.push('/');
        folder.push_str(inline);
    }
    let name = &declaration.name;
    vec![(format!("{folder}/{name}.rs"), false), (format!("{folder}/{name}/mod.rs"), true)]
}

fn declarations(source: &Source) -> Vec<Declaration> {
    let tokens = &source.tokens;
    let mut found = Vec::new();
    for (index, token) in tokens.iter().enumerate() {
        let is_declaration = token.is("mod")
            && tokens.get(index + 1).is_some_and(|name| name.kind == Kind::Word)
            && tokens.get(index + 2).is_some_and(|end| end.is(";"));
        if is_declaration {
            found.push(Declaration {
                name: tokens[index + 1].text.clone(),
                inside: inline_modules(tokens, index),
                path_attribute: path_attribute(&tokens[..index]),
                is_test: token.is_test,
            });
        }
    }
    found
}

/// The inline modules (`mod a { .. }`) around a token, outermost first.
pub(crate) fn inline_modules(tokens: &[Token], at: usize) -> Vec<String> {
    let mut names = Vec::new();
    let mut index = 0;
    while index < at {
        let opens = tokens[index].is("mod") && tokens.get(index + 2).is_some_and(|t| t.is("{"));
        if !opens {
            index += 1;
            continue;
        }
        let end = end_of_group(tokens, index + 2);
        if at < end {
            names.push(tokens[index + 1].text.clone());
            index += 3;
        } else {
            index = end;
        }
    }
    names
}

/// The string of the `#[path = ".."]` among the attributes that end where `before` ends.
fn path_attribute(before: &[Token]) -> Option<String> {
    // Attributes and visibility only: nothing that ends or opens an item.
    let start = before
        .iter()
        .rposition(|token| token.is(";") || token.is("{") || token.is("}"))
        .map_or(0, |index| index + 1);
    let attributes = &before[start..];
    attributes.windows(3).find_map(|window| match window {
        [name, equals, value]
            if name.is("path") && equals.is("=") && value.kind == Kind::String =>
        {
            Some(value.text.clone())
        }
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree() -> Tree {
        Tree::of(&[
            ("Cargo.toml", "[lib]\npath = \"src/lib.rs\"\n[dependencies]\nb = { path = \"b\" }"),
            ("src/lib.rs", "mod a;\n#[path = \"odd/place.rs\"]\nmod c;\nmod i { mod j; }"),
            ("src/a.rs", "mod b;\n#[cfg(test)]\nmod tests;"),
            ("src/a/b/mod.rs", "// mod dead;\nmod d;"),
            ("src/a/b/d.rs", ""),
            ("src/a/tests.rs", ""),
            ("src/odd/place.rs", "mod beside;"),
            ("src/odd/beside.rs", ""),
            ("src/i/j.rs", ""),
            ("src/dead.rs", ""),
        ])
    }

    #[test]
    fn every_way_to_declare_a_module_is_followed() {
        let tree = tree();
        let crates = crates(&tree);
        assert_eq!(crates.len(), 1);
        let mut paths: Vec<_> =
            crates[0].modules.iter().map(|module| module.path.join("::")).collect();
        paths.sort();
        let expected = ["", "a", "a::b", "a::b::d", "a::tests", "c", "c::beside", "i::j"];
        assert_eq!(paths, expected);
        let tests: Vec<_> = crates[0].modules.iter().filter(|module| module.is_test).collect();
        assert_eq!(tests.len(), 1);
        assert_eq!(tests[0].file, "src/a/tests.rs");
    }

    #[test]
    fn an_integration_test_of_a_floor_is_a_crate_of_its_own() {
        let tree = Tree::of(&[
            ("src/net/Cargo.toml", ""),
            ("src/net/tests/pump.rs", "mod peer;"),
            ("src/net/tests/peer/mod.rs", ""),
            ("src/base/Cargo.toml", "autotests = false"),
            ("src/base/tests/slab.rs", ""),
        ]);
        let crates = crates(&tree);
        assert_eq!(crates.len(), 1, "{crates:?}");
        assert_eq!(crates[0].root, "src/net/tests/pump.rs");
        assert_eq!(crates[0].modules.len(), 2);
    }

    #[test]
    fn a_file_without_a_declaration_is_found() {
        let tree = tree();
        let problems = unreached(&tree, &crates(&tree));
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert_eq!(problems[0].path, "src/dead.rs");
    }
}
