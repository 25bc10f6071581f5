//! No circles between the top-level modules of a crate: large crates grow one knot otherwise.
//!
//! Parents and children may know each other; tests may know everything. A name that the crate root
//! re-exports counts as the module it comes from. Names made by macros are not seen.

use std::collections::{BTreeMap, BTreeSet};

use crate::lexer::{Kind, Source, Token};
use crate::modules::{Crate, inline_modules};
use crate::problem::Problem;
use crate::tree::Tree;

/// From module to module, with the first place that makes the connection.
type Edges = BTreeMap<String, BTreeMap<String, (String, usize)>>;

/// One problem per circle, at the place of its first connection.
pub(crate) fn check(krate: &Crate, tree: &Tree) -> Vec<Problem> {
    let edges = edges(krate, tree);
    let mut problems = Vec::new();
    let mut reported = BTreeSet::new();
    for start in edges.keys() {
        let Some(circle) = shortest_way_back(start, &edges) else {
            continue;
        };
        let members: BTreeSet<_> = circle.iter().cloned().collect();
        if !reported.insert(members) {
            continue;
        }
        let (file, line) = &edges[&circle[0]][&circle[1]];
        problems.push(Problem::new(
            file,
            *line,
            format!("the modules form a circle: {}", circle.join(" -> ")),
            "move what both need into a module of its own, or pass it as an argument",
        ));
    }
    problems
}

/// The modules from `start` back to `start`, or `None`; breadth first, so no detours.
fn shortest_way_back(start: &str, edges: &Edges) -> Option<Vec<String>> {
    let mut ways = vec![vec![start.to_owned()]];
    let mut seen = BTreeSet::new();
    while !ways.is_empty() {
        let mut longer = Vec::new();
        for way in ways {
            let Some(targets) = way.last().and_then(|last| edges.get(last)) else {
                continue;
            };
            for target in targets.keys() {
                let mut next = way.clone();
                next.push(target.clone());
                if target == start {
                    return Some(next);
                }
                if seen.insert(target.clone()) {
                    longer.push(next);
                }
            }
        }
        ways = longer;
    }
    None
}

fn edges(krate: &Crate, tree: &Tree) -> Edges {
    let top_level: BTreeSet<&str> = krate
        .modules
        .iter()
        .filter(|module| module.path.len() == 1)
        .map(|module| module.path[0].as_str())
        .collect();
    let facade =
        tree.rust.get(&krate.root).map(|root| facade(root, &top_level)).unwrap_or_default();
    let mut edges = Edges::new();
    for module in krate.modules.iter().filter(|module| !module.is_test) {
        let (Some(own), Some(source)) = (module.path.first(), tree.rust.get(&module.file)) else {
            continue;
        };
        for reference in references(&source.tokens, &module.path) {
            let Some(first) = reference.path.first() else {
                continue;
            };
            let target = if top_level.contains(first.as_str()) {
                first
            } else if let Some(origin) = facade.get(first) {
                origin
            } else {
                continue;
            };
            if target != own {
                edges
                    .entry(own.clone())
                    .or_default()
                    .entry(target.clone())
                    .or_insert_with(|| (module.file.clone(), source.line_of(reference.offset)));
            }
        }
    }
    edges
}

/// Names that the crate root re-exports, and the top-level module of each.
fn facade(root: &Source, top_level: &BTreeSet<&str>) -> BTreeMap<String, String> {
    let mut names = BTreeMap::new();
    for (index, token) in root.tokens.iter().enumerate() {
        if !token.is("use") || token.is_test {
            continue;
        }
        let (leaves, _) = use_tree(&root.tokens, index + 1);
        for leaf in leaves {
            let mut path = leaf.path.as_slice();
            if matches!(path.first().map(String::as_str), Some("crate" | "self")) {
                path = &path[1..];
            }
            if let Some(module) = path.first().filter(|first| top_level.contains(first.as_str())) {
                names.insert(leaf.name, module.clone());
            }
        }
    }
    names
}

/// A path of this crate that some code names, from the crate root.
struct Reference {
    path: Vec<String>,
    offset: usize,
}

/// All paths that start with `crate`, `self` or `super`, in `use` items and elsewhere.
fn references(tokens: &[Token], module: &[String]) -> Vec<Reference> {
    let mut found = Vec::new();
    let mut index = 0;
    while index < tokens.len() {
        let token = &tokens[index];
        let offset = token.offset;
        if token.is_test {
            index += 1;
        } else if token.is("use") {
            let (leaves, end) = use_tree(tokens, index + 1);
            let here = module_at(tokens, index, module);
            for leaf in leaves {
                found.extend(resolve(&leaf.path, &here).map(|path| Reference { path, offset }));
            }
            index = end.max(index + 1);
        } else if ["crate", "self", "super"].iter().any(|start| token.is(start)) {
            let (path, end) = plain_path(tokens, index);
            if path.len() > 1 {
                let here = module_at(tokens, index, module);
                found.extend(resolve(&path, &here).map(|path| Reference { path, offset }));
            }
            index = end;
        } else {
            index += 1;
        }
    }
    found
}

fn module_at(tokens: &[Token], index: usize, module: &[String]) -> Vec<String> {
    let mut here = module.to_vec();
    here.extend(inline_modules(tokens, index));
    here
}

/// `a::b::c` from `start`, and the index behind it.
fn plain_path(tokens: &[Token], start: usize) -> (Vec<String>, usize) {
    let mut path = vec![tokens[start].text.clone()];
    let mut index = start + 1;
    while tokens.get(index).is_some_and(|token| token.is("::"))
        && tokens.get(index + 1).is_some_and(|token| token.kind == Kind::Word)
    {
        path.push(tokens[index + 1].text.clone());
        index += 2;
    }
    (path, index)
}

/// The path from the crate root; `None` if it starts in another crate.
fn resolve(path: &[String], here: &[String]) -> Option<Vec<String>> {
    let mut rest = path;
    let mut resolved = match rest.first()?.as_str() {
        "crate" => Vec::new(),
        "self" | "super" => here.to_vec(),
        _ => return None,
    };
    if rest[0] != "super" {
        rest = &rest[1..];
    }
    while rest.first().is_some_and(|segment| segment == "super") {
        resolved.pop();
        rest = &rest[1..];
    }
    resolved.extend_from_slice(rest);
    Some(resolved)
}

/// One name that a `use` brings in.
struct Leaf {
    path: Vec<String>,
    /// The last segment, or what stands after `as`.
    name: String,
}

/// The leaves of `a::{b, c::{self, d as e}};` from `start`, and the index behind it.
fn use_tree(tokens: &[Token], start: usize) -> (Vec<Leaf>, usize) {
    let mut leaves = Vec::new();
    let mut prefixes: Vec<Vec<String>> = Vec::new();
    let mut path: Vec<String> = Vec::new();
    let mut alias = None;
    let mut index = start;
    while let Some(token) = tokens.get(index) {
        index += 1;
        match token.text.as_str() {
            "{" => prefixes.push(path.clone()),
            "," | "}" | ";" => {
                let prefix = prefixes.last().cloned().unwrap_or_default();
                if path.len() > prefix.len() {
                    leaves.push(leaf(&path, alias.take()));
                }
                path = prefix;
                if token.is("}") {
                    prefixes.pop();
                    // The group as a whole is not a leaf.
                    path = prefixes.last().cloned().unwrap_or_default();
                } else if token.is(";") {
                    break;
                }
            }
            "as" => {
                alias = tokens.get(index).map(|token| token.text.clone());
                index += 1;
            }
            "::" => {}
            _ => path.push(token.text.clone()),
        }
    }
    (leaves, index)
}

fn leaf(path: &[String], alias: Option<String>) -> Leaf {
    let is_self = path.len() > 1 && path.last().is_some_and(|last| last == "self");
    let path = if is_self { &path[..path.len() - 1] } else { path };
    let name = alias.or_else(|| path.last().cloned()).unwrap_or_default();
    Leaf { path: path.to_vec(), name }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::modules;

    fn circles(files: &[(&str, &str)]) -> Vec<String> {
        let mut tree = Tree::of(files);
        tree.add("src/x/Cargo.toml", b"[lib]\npath = \"lib.rs\"");
        let crates = modules::crates(&tree);
        let found = crates.iter().flat_map(|krate| check(krate, &tree));
        found.map(|problem| problem.to_string()).collect()
    }

    fn between_a_and_b(a: &str, b: &str) -> usize {
        circles(&[
            ("src/x/lib.rs", "mod a;\nmod b;\npub use b::{B, deep::C as D};"),
            ("src/x/a.rs", a),
            ("src/x/b.rs", b),
        ])
        .len()
    }

    #[test]
    fn a_circle_is_found_however_it_is_spelled() {
        for back in [
            "use crate::a::A;",
            "use crate::{c::C, a::{A, B}};",
            "use super::a;",
            "fn f() { crate::a::g() }",
            "fn f(x: &super::a::A) {}",
            "mod inner { use super::super::a::A; }",
            "macro_rules! m { () => { $crate::a::A } }",
        ] {
            assert_eq!(between_a_and_b("use crate::b::B;", back), 1, "{back}");
            assert_eq!(between_a_and_b("", back), 0, "{back}");
        }
    }

    #[test]
    fn a_name_from_the_facade_counts_as_its_module() {
        assert_eq!(between_a_and_b("use crate::B;", "use crate::a::A;"), 1);
        assert_eq!(between_a_and_b("fn f() -> crate::D { .. }", "use crate::a::A;"), 1);
    }

    #[test]
    fn tests_and_text_may_name_anything() {
        for back in [
            "#[cfg(test)]\nmod tests { use crate::a::A; }",
            "// use crate::a::A;",
            "const A: &str = \"crate::a::A\";",
        ] {
            assert_eq!(between_a_and_b("use crate::b::B;", back), 0, "{back}");
        }
    }

    #[test]
    fn a_long_circle_is_found_once_and_shown_in_order() {
        let found = circles(&[
            ("src/x/lib.rs", "mod a; mod b; mod c; mod d;"),
            ("src/x/a.rs", "\nuse crate::b;"),
            ("src/x/b.rs", "use crate::c;"),
            ("src/x/c.rs", "use crate::{a, d};"),
            ("src/x/d.rs", ""),
        ]);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with("src/x/a.rs:2:"), "{found:?}");
        assert!(found[0].contains("a -> b -> c -> a"), "{found:?}");
    }

    #[test]
    fn a_parent_and_its_child_may_know_each_other() {
        let found = circles(&[
            ("src/x/lib.rs", "mod a; pub struct Root;"),
            ("src/x/a.rs", "mod child; use child::C; use crate::Root;"),
            ("src/x/a/child.rs", "use super::A; use crate::a::B;"),
        ]);
        assert!(found.is_empty(), "{found:?}");
    }

    #[test]
    fn a_child_makes_a_connection_for_its_top_level_module() {
        let found = circles(&[
            ("src/x/lib.rs", "mod a; mod b;"),
            ("src/x/a.rs", "mod child;"),
            ("src/x/a/child.rs", "use super::super::b::B;"),
            ("src/x/b.rs", "use crate::a::A;"),
        ]);
        assert_eq!(found.len(), 1, "{found:?}");
    }
}
