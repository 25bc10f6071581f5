//! What a rule found: where it is, what is wrong, and how to mend it.

use std::fmt;

/// One violation of one rule. It prints as `file:line: what; cure`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Problem {
    /// Relative to the root of the repository.
    pub(crate) path: String,
    /// Counts from 1.
    pub(crate) line: usize,
    pub(crate) what: String,
    pub(crate) cure: &'static str,
}

impl Problem {
    pub(crate) fn new(
        path: &str,
        line: usize,
        what: impl Into<String>,
        cure: &'static str,
    ) -> Self {
        Self { path: path.to_owned(), line, what: what.into(), cure }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, line, what, cure } = self;
        write!(formatter, "{path}:{line}: {what}; {cure}")
    }
}

#[test]
fn a_problem_prints_place_what_and_cure() {
    let problem = Problem::new("src/a.rs", 7, "it is wrong", "do it right");
    assert_eq!(problem.to_string(), "src/a.rs:7: it is wrong; do it right");
}
