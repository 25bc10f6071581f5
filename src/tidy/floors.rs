//! The import law: a floor knows only the floors below it, and only some floors know the kernel.
//!
//! Cargo refuses circles between crates but not an import of an equal, nor a socket where there
//! should be none. Both the manifests and the paths in the code are looked at.

use std::collections::BTreeSet;

use crate::lexer::{Kind, Source};
use crate::modules::Crate;
use crate::problem::Problem;
use crate::tree::Tree;

/// Checks every manifest below `src` and every path that starts with the name of a floor.
pub(crate) fn check(tree: &Tree, crates: &[Crate]) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (path, text) in &tree.manifests {
        problems.extend(manifest(path, text));
    }
    for krate in crates {
        let Some(name) = crate_name(&krate.root) else {
            continue;
        };
        let sources = krate.modules.iter().filter_map(|module| tree.rust.get(&module.file));
        let local: BTreeSet<&str> = sources.flat_map(modules_named_in).collect();
        for module in &krate.modules {
            if let Some(source) = tree.rust.get(&module.file) {
                problems.extend(paths(name, source, &local));
                if !module.is_test {
                    problems.extend(pure(name, source));
                }
            }
        }
    }
    problems
}

/// What one `Cargo.toml` may depend on.
fn manifest(path: &str, text: &str) -> Vec<Problem> {
    let mut problems = Vec::new();
    let Some(name) = crate_name(path) else {
        return problems;
    };
    let Some(own) = floor_of(name) else {
        return vec![Problem::new(
            path,
            1,
            format!("the crate `{name}` is on no floor"),
            "add it to FLOORS in src/tidy/floors.rs and to src/ARCHITECTURE.md",
        )];
    };
    for Dependency { name: other, line, is_dev } in dependencies(text) {
        if let Some(floor) = floor_of(other).filter(|&floor| floor >= own) {
            problems.push(Problem::new(
                path,
                line,
                format!("floor {own} ({name}) depends on floor {floor} ({other})"),
                "import downward only: return a value or define a small trait below",
            ));
        }
        if name == MAIN && !is_dev && floor_of(other).is_some() && other != "server" {
            problems.push(Problem::new(
                path,
                line,
                format!("the binary depends on `{other}`"),
                "main only calls the server floor",
            ));
        }
        let reserved = RESERVED.iter().find(|(outside, _)| *outside == other);
        if let Some((_, owners)) = reserved.filter(|(_, owners)| !is_dev && !owners.contains(&name))
        {
            problems.push(Problem::new(
                path,
                line,
                format!("`{other}` belongs to {}, not to {name}", owners.join(" and ")),
                "ask that floor for a safe function, or argue in RESERVED of src/tidy/floors.rs",
            ));
        }
    }
    problems
}

/// Paths in the code such as `use proxy::..` in a floor below.
fn paths(name: &str, source: &Source, local: &BTreeSet<&str>) -> Vec<Problem> {
    let Some(own) = floor_of(name) else {
        return Vec::new();
    };
    let mut problems = Vec::new();
    for (index, token) in source.tokens.iter().enumerate() {
        let continues = index > 0 && {
            let before = &source.tokens[index - 1];
            before.is(".")
                || before.is("::") && index > 1 && { source.tokens[index - 2].kind == Kind::Word }
        };
        let is_path = source.tokens.get(index + 1).is_some_and(|next| next.is("::"));
        if token.kind != Kind::Word || continues || !is_path || local.contains(token.text.as_str())
        {
            continue;
        }
        if let Some(floor) =
            floor_of(&token.text).filter(|&floor| floor >= own && name != token.text)
        {
            problems.push(Problem::new(
                &source.path,
                source.line_of(token.offset),
                format!("floor {own} ({name}) names floor {floor} ({})", token.text),
                "import downward only: return a value or define a small trait below",
            ));
        }
    }
    problems
}

/// Names of modules, with a file of their own or without: they hide a crate of the same name.
fn modules_named_in(source: &Source) -> impl Iterator<Item = &str> {
    source.tokens.windows(2).filter_map(|pair| match pair {
        [keyword, name] if keyword.is("mod") => Some(name.text.as_str()),
        _ => None,
    })
}

/// No input, output, clock, thread or environment in the floors that only compute.
fn pure(name: &str, source: &Source) -> Vec<Problem> {
    if !PURE.contains(&name) {
        return Vec::new();
    }
    let mut problems = Vec::new();
    for window in source.tokens.windows(3) {
        let [first, separator, last] = window else {
            continue;
        };
        let hit = IMPURE.iter().any(|(a, b)| first.is(a) && separator.is("::") && last.is(b));
        if hit && !first.is_test {
            problems.push(Problem::new(
                &source.path,
                source.line_of(first.offset),
                format!(
                    "`{}::{}` in {name}, which does no I/O and reads no clock",
                    first.text, last.text
                ),
                "take what is needed as an argument",
            ));
        }
    }
    problems
}

struct Dependency<'a> {
    name: &'a str,
    line: usize,
    is_dev: bool,
}

/// Names in all dependency tables of a manifest.
fn dependencies(text: &str) -> Vec<Dependency<'_>> {
    let mut found = Vec::new();
    let mut table = "";
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if let Some(header) = line.strip_prefix('[') {
            table = header.trim_end_matches(']');
            // `[dependencies.name]` is a table of its own.
            if let Some((outer, name)) = table.rsplit_once("dependencies.") {
                found.push(Dependency { name, line: index + 1, is_dev: outer.ends_with("dev-") });
            }
            continue;
        }
        let is_table = table.ends_with("dependencies") && table != "workspace.dependencies";
        if !is_table || line.is_empty() || line.starts_with('#') {
            continue;
        }
        let end = line.find(['.', '=', ' ']).unwrap_or(line.len());
        found.push(Dependency {
            name: &line[..end],
            line: index + 1,
            is_dev: table.ends_with("dev-dependencies"),
        });
    }
    found
}

/// `base` for `src/base/lib.rs` and `src/base/Cargo.toml`, [`MAIN`] for the root package.
fn crate_name(path: &str) -> Option<&str> {
    match path {
        "Cargo.toml" | "src/main.rs" => Some(MAIN),
        _ => {
            let (folder, file) = path.strip_prefix("src/")?.rsplit_once('/')?;
            // Tests of the root package (`src/e2e/main.rs`) may know nothing but the binary.
            (file == "lib.rs" || file == "Cargo.toml").then_some(folder)
        }
    }
}

fn floor_of(name: &str) -> Option<u8> {
    FLOORS.iter().find(|(floor, _)| *floor == name).map(|&(_, number)| number)
}

const MAIN: &str = "nuncio";

/// The house as src/ARCHITECTURE.md draws it. Equals never import each other.
const FLOORS: [(&str, u8); 12] = [
    ("base", 0),
    ("reactor", 1),
    ("proto", 1),
    ("config", 1),
    ("observe", 1),
    ("net", 2),
    ("cluster", 3),
    ("filter", 4),
    ("proxy", 5),
    ("control", 6),
    ("server", 7),
    (MAIN, 8),
];

/// Outside crates that only some floors may use: the kernel is the reactor's, tokio is control's.
/// Listening sockets are net's to set up, before any of them carries data.
const RESERVED: [(&str, &[&str]); 9] = [
    ("io-uring", &["reactor"]),
    ("libc", &["reactor"]),
    ("nix", &["reactor"]),
    ("rustix", &["reactor"]),
    ("socket2", &["reactor", "net"]),
    ("mio", &["control"]),
    ("tokio", &["control"]),
    ("hyper", &["control"]),
    ("hyper-util", &["control"]),
];

/// Floors that compute and do nothing else: what varies is an argument.
const PURE: [&str; 4] = ["base", "proto", "config", "observe"];

/// The first two segments of a path, wherever it starts.
const IMPURE: [(&str, &str); 9] = [
    ("std", "fs"),
    ("std", "thread"),
    ("std", "env"),
    ("std", "process"),
    ("net", "TcpStream"),
    ("net", "TcpListener"),
    ("net", "UdpSocket"),
    ("Instant", "now"),
    ("SystemTime", "now"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::modules;

    fn problems(files: &[(&str, &str)]) -> Vec<String> {
        let tree = Tree::of(files);
        let found = check(&tree, &modules::crates(&tree));
        found.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_manifest_may_name_lower_floors_only() {
        for (section, other, allowed) in [
            ("dependencies", "base.workspace = true", true),
            ("dependencies", "reactor.workspace = true", false),
            ("dependencies", "net = { path = \"../net\" }", false),
            ("dependencies", "server = \"1\"", false),
            ("dev-dependencies", "proxy.workspace = true", false),
            ("target.'cfg(loom)'.dependencies", "proxy.workspace = true", false),
            ("dependencies.proxy", "path = \"../proxy\"", false),
            ("dependencies", "# proxy.workspace = true", true),
            ("lints", "proxy = true", true),
        ] {
            let text = format!("[package]\nname = \"x\"\n\n[{section}]\n{other}\n");
            let found = manifest("src/observe/Cargo.toml", &text);
            assert_eq!(found.is_empty(), allowed, "[{section}] {other}: {found:?}");
        }
    }

    #[test]
    fn a_crate_without_a_floor_is_found() {
        let found = problems(&[("src/attic/Cargo.toml", "[package]")]);
        assert_eq!(found.len(), 1);
        assert!(found[0].starts_with("src/attic/Cargo.toml:1: the crate `attic` is on no floor"));
    }

    #[test]
    fn the_binary_knows_the_server_floor_only() {
        let text = "[dependencies]\nserver.workspace = true\nproxy.workspace = true";
        let found = manifest("Cargo.toml", text);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].line, 3);
    }

    #[test]
    fn the_kernel_is_reserved_outside_of_tests() {
        let found = manifest("src/proxy/Cargo.toml", "[dependencies]\nlibc.workspace = true");
        assert_eq!(found.len(), 1);
        assert!(manifest("src/reactor/Cargo.toml", "[dependencies]\nlibc = \"0.2\"").is_empty());
        assert!(manifest("Cargo.toml", "[dev-dependencies]\nrustix = \"1\"").is_empty());
    }

    const NET: (&str, &str) = ("src/net/Cargo.toml", "[lib]\npath = \"lib.rs\"");

    #[test]
    fn a_path_upward_is_found_wherever_it_stands() {
        for (code, count) in [
            ("use cluster::Host;", 1),
            ("fn f() { ::proxy::run() }", 1),
            ("use base::Id; use reactor::Op;", 0),
            ("use std::{io, net::SocketAddr};", 0),
            ("fn f(x: X) { x.cluster::<u8>(); crate::cluster::f() }", 0),
            ("// use cluster::Host;\nconst A: &str = \"cluster::Host\";", 0),
            ("mod cluster; use cluster::Host;", 0),
            ("mod cluster {} use cluster::Host;", 0),
        ] {
            let found = problems(&[NET, ("src/net/lib.rs", code), ("src/net/cluster.rs", "")]);
            assert_eq!(found.len(), count, "{code}: {found:?}");
        }
    }

    #[test]
    fn a_pure_floor_has_no_clock_and_no_files() {
        let manifest = ("src/config/Cargo.toml", "[lib]\npath = \"lib.rs\"");
        let code = "use std::fs;\nfn f() { Instant::now(); }\n\
                    #[cfg(test)]\nmod tests { use std::fs; }";
        let found = problems(&[manifest, ("src/config/lib.rs", code)]);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].starts_with("src/config/lib.rs:1: `std::fs` in config"));
        assert!(problems(&[NET, ("src/net/lib.rs", code)]).is_empty());
    }
}
