//! The house rules that neither Cargo nor clippy can check, as plain tests.
//!
//! Each rule is a pure function from text to problems, in a file of its family under `tidy/`, and
//! has tests that plant a violation and demand that it is found. The one test in this file reads
//! the tree and runs them all, so that one run names everything there is to mend.
//!
//! It does not judge what clippy, rustfmt or the compiler judge already, and it runs nothing. When
//! a rule is wrong for a good reason, its table of exceptions is the place to say the reason.
#![forbid(unsafe_code)]

#[path = "tidy/circles.rs"]
mod circles;
#[path = "tidy/floors.rs"]
mod floors;
#[path = "tidy/lexer.rs"]
mod lexer;
#[path = "tidy/modules.rs"]
mod modules;
#[path = "tidy/problem.rs"]
mod problem;
#[path = "tidy/tree.rs"]
mod tree;
#[path = "tidy/unsafety.rs"]
mod unsafety;
#[path = "tidy/wording.rs"]
mod wording;

use std::fmt::Write;
use std::path::Path;

#[test]
fn the_house_is_tidy() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let tree = tree::read(root).expect("the source tree can be read");
    assert!(
        tree.rust.len() > 10 && tree.manifests.len() > 5,
        "tidy looked at {} Rust files and {} manifests below {}: it is looking at the wrong place",
        tree.rust.len(),
        tree.manifests.len(),
        root.display(),
    );
    let crates = modules::crates(&tree);
    let mut problems = Vec::new();
    problems.extend(floors::check(&tree, &crates));
    problems.extend(modules::unreached(&tree, &crates));
    for krate in &crates {
        problems.extend(circles::check(krate, &tree));
        problems.extend(unsafety::forbidden_where_it_must_be(krate, &tree));
    }
    for source in tree.rust.values() {
        problems.extend(unsafety::explained(source));
        problems.extend(wording::rust(source));
    }
    for (path, text) in &tree.texts {
        problems.extend(wording::text(path, text));
    }
    for (path, bytes) in &tree.sizes {
        problems.extend(wording::blob(path, *bytes));
    }
    problems.sort();
    problems.dedup();
    let mut report = String::new();
    for problem in &problems {
        let _ = writeln!(report, "{problem}");
    }
    assert!(problems.is_empty(), "{} problems:\n{report}", problems.len());
}
