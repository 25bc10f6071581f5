//! Where unsafe code may be, that everything else forbids it, and that each use says why it holds.

use std::collections::BTreeSet;

use crate::lexer::Source;
use crate::modules::{Crate, Module};
use crate::problem::Problem;
use crate::tree::Tree;

/// Every crate root forbids unsafe code, except the reactor's. There, each file forbids it unless
/// it, or a module below it, is one of the few that need it. (Tests there need not say so.)
pub(crate) fn forbidden_where_it_must_be(krate: &Crate, tree: &Tree) -> Vec<Problem> {
    let is_reactor = krate.root == REACTOR_ROOT;
    let needing: Vec<&Module> = krate
        .modules
        .iter()
        .filter(|module| tree.rust.get(&module.file).is_some_and(has_unsafe))
        .collect();
    // An attribute of a module reaches the modules below it, so their parents cannot have it.
    let open: BTreeSet<&str> = krate
        .modules
        .iter()
        .filter(|module| needing.iter().any(|needs| needs.path.starts_with(&module.path)))
        .map(|module| module.file.as_str())
        .collect();
    let mut problems = Vec::new();
    for module in &krate.modules {
        let Some(source) = tree.rust.get(&module.file) else {
            continue;
        };
        let must_forbid = if is_reactor {
            !module.is_test && !open.contains(module.file.as_str())
        } else {
            module.path.is_empty()
        };
        if must_forbid && !source.code.contains("#![forbid(unsafe_code)]") {
            problems.push(Problem::new(
                &module.file,
                1,
                "nothing here is unsafe, and nothing says so",
                "add `#![forbid(unsafe_code)]` below the module documentation",
            ));
        }
        let may_be_unsafe = is_reactor && UNSAFE_FILES.iter().any(|p| module.file.starts_with(p));
        if let Some(token) = source.tokens.iter().find(|token| token.is("unsafe"))
            && !may_be_unsafe
        {
            problems.push(Problem::new(
                &module.file,
                source.line_of(token.offset),
                "unsafe code outside of its files",
                "use a safe function of the reactor, or write one in src/reactor/sys",
            ));
        }
    }
    problems
}

/// Each unsafe block and impl has a SAFETY comment, each unsafe function a Safety section.
pub(crate) fn explained(source: &Source) -> Vec<Problem> {
    let lines: Vec<&str> = source.text.lines().collect();
    let mut problems = Vec::new();
    for (index, token) in source.tokens.iter().enumerate() {
        if !token.is("unsafe") {
            continue;
        }
        let (word, place) = match source.tokens.get(index + 1).map(|next| next.text.as_str()) {
            Some("{" | "impl") => ("SAFETY:", "the comment above it"),
            // A function pointer type or a trait bound: there is nothing to explain.
            Some("fn" | "extern") if is_type(source, index) => continue,
            Some("fn" | "extern" | "trait") => ("# Safety", "its documentation"),
            _ => continue,
        };
        let line = source.line_of(token.offset);
        if !comment_above(&lines, line, word) {
            problems.push(Problem::new(
                &source.path,
                line,
                format!("this unsafe code has no `{word}` in {place}"),
                "name each precondition and the line or type that guarantees it",
            ));
        }
    }
    problems
}

fn has_unsafe(source: &Source) -> bool {
    source.tokens.iter().any(|token| token.is("unsafe"))
}

/// `unsafe fn(..)` and `unsafe extern "C" fn(..)` without a name.
fn is_type(source: &Source, index: usize) -> bool {
    let rest = &source.tokens[index..];
    let Some(function) = rest.iter().take(4).position(|token| token.is("fn")) else {
        return false;
    };
    rest.get(function + 1).is_some_and(|next| next.is("("))
}

/// Looks upward from `line` (counted from 1) through the comments and attributes above it, and
/// through the first lines of the statement it is in.
fn comment_above(lines: &[&str], line: usize, word: &str) -> bool {
    let own = lines.get(line - 1).map_or("", |line| line.trim());
    if own.contains(&format!("// {word}")) {
        return true;
    }
    let mut statement_lines = 0;
    let mut in_comment = false;
    for above in lines[..line - 1].iter().rev().map(|line| line.trim()) {
        if above.starts_with("//") {
            in_comment = true;
            if above.contains(word) {
                return true;
            }
        } else if above.starts_with("#[") {
            in_comment = false;
        } else if in_comment || above.is_empty() || above.ends_with([';', '{', '}', ',']) {
            return false;
        } else {
            // The unsafe block is the end of a statement that began above: `let a =`.
            statement_lines += 1;
            if statement_lines > STATEMENT_LINES_MAX {
                return false;
            }
        }
    }
    false
}

const REACTOR_ROOT: &str = "src/reactor/lib.rs";

/// The files of the reactor that may hold unsafe code: they talk to the kernel, own its memory, or
/// build wakers.
const UNSAFE_FILES: [&str; 8] = [
    "src/reactor/sys/",
    "src/reactor/driver/",
    "src/reactor/driver.rs",
    "src/reactor/buf/",
    "src/reactor/buf.rs",
    "src/reactor/task/",
    "src/reactor/task.rs",
    "src/reactor/fd.rs",
];

/// A statement of more lines hides its reason too far up.
const STATEMENT_LINES_MAX: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::modules;

    fn forbidden(manifest: &str, files: &[(&str, &str)]) -> Vec<String> {
        let mut tree = Tree::of(files);
        tree.add(manifest, b"[lib]\npath = \"lib.rs\"");
        let crates = modules::crates(&tree);
        let found = crates.iter().flat_map(|krate| forbidden_where_it_must_be(krate, &tree));
        found.map(|problem| problem.to_string()).collect()
    }

    const FORBID: &str = "#![forbid(unsafe_code)]\n";

    #[test]
    fn a_crate_root_without_the_attribute_is_found() {
        let manifest = "src/net/Cargo.toml";
        assert!(forbidden(manifest, &[("src/net/lib.rs", FORBID)]).is_empty());
        for text in ["", "// #![forbid(unsafe_code)]", "#![deny(unsafe_code)]"] {
            let found = forbidden(manifest, &[("src/net/lib.rs", text)]);
            assert_eq!(found.len(), 1, "{text}: {found:?}");
        }
    }

    #[test]
    fn unsafe_code_on_another_floor_is_found() {
        let text = format!("{FORBID}mod a;");
        let files = [("src/net/lib.rs", &*text), ("src/net/a.rs", "\nunsafe impl Send for A {}")];
        let found = forbidden("src/net/Cargo.toml", &files);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with("src/net/a.rs:2: unsafe code outside"));
    }

    #[test]
    fn in_the_reactor_each_file_forbids_what_it_does_not_need() {
        let files = [
            (REACTOR_ROOT, "mod sys; mod wheel; mod inbox;"),
            ("src/reactor/sys/mod.rs", "mod mapping; mod errno;"),
            ("src/reactor/sys/mapping.rs", "fn f() { unsafe { g() } }"),
            ("src/reactor/sys/errno.rs", ""),
            ("src/reactor/wheel.rs", FORBID),
            ("src/reactor/inbox.rs", ""),
        ];
        let found = forbidden("src/reactor/Cargo.toml", &files);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found.iter().any(|problem| problem.starts_with("src/reactor/inbox.rs:1")));
        assert!(found.iter().any(|problem| problem.starts_with("src/reactor/sys/errno.rs:1")));
    }

    #[test]
    fn in_the_reactor_unsafe_code_stays_in_its_files() {
        let files = [(REACTOR_ROOT, "mod wheel;"), ("src/reactor/wheel.rs", "unsafe fn f() {}")];
        let found = forbidden("src/reactor/Cargo.toml", &files);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains("outside of its files"));
    }

    fn unexplained(text: &str) -> usize {
        explained(&Source::new("src/reactor/sys/a.rs", text)).len()
    }

    #[test]
    fn an_unsafe_block_without_its_reason_is_found() {
        for text in [
            "fn f() {\n    unsafe { g() }\n}",
            "fn f() {\n    // It is fine.\n    unsafe { g() }\n}",
            "// SAFETY: of another one.\nlet a = 1;\nlet b = unsafe { g() };",
            "unsafe impl Send for A {}",
            "/// Does it.\nunsafe fn f() {}",
        ] {
            assert_eq!(unexplained(text), 1, "{text}");
        }
    }

    #[test]
    fn a_reason_is_seen_where_it_is_usually_written() {
        for text in [
            "// SAFETY: `g` asks for nothing,\n// really nothing.\nunsafe { g() }",
            "// SAFETY: as above.\n#[expect(clippy::x, reason = \"y\")]\nunsafe { g() }",
            "// SAFETY: the pointer is valid.\nlet a =\n    unsafe { g() };",
            "// SAFETY: A is a number.\nunsafe impl Send for A {}",
            "/// Does it.\n///\n/// # Safety\n///\n/// Never call it.\npub unsafe fn f() {}",
            "type F = unsafe extern \"C\" fn(u8);",
            "let text = \"unsafe { }\"; // unsafe { }",
        ] {
            assert_eq!(unexplained(text), 0, "{text}");
        }
    }
}
