//! What is wrong with a configuration: one line per problem, all problems at once.
//!
//! Three kinds are kept apart, because they ask for three different cures: what Envoy refuses too,
//! what Envoy runs and Nuncio does not run yet, and what Nuncio leaves out because it cannot change
//! behaviour. Nothing here decides which is which; the mapper, the rules and `support` do.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::Bound;
use std::sync::Arc;

/// A report names at most this many problems and counts the rest: a file with ten thousand copies
/// of one mistake must still print something a person can read.
pub const PROBLEMS_MAX: usize = 100;

/// A place in a configuration file; both numbers count from 1, columns in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
}

impl Position {
    /// Where every file begins.
    pub const START: Self = Self { line: 1, column: 1 };
}

/// What kind of problem it is, and thereby whether the configuration may run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ProblemKind {
    /// Envoy refuses it too. Fatal.
    Invalid,
    /// Envoy accepts it, Nuncio cannot do it yet. Fatal: running on would change behaviour.
    NotSupportedYet,
    /// Left out, and leaving it out cannot change what a peer sees. A warning.
    Ignored,
}

/// One problem, with its place and its cure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file as the user named it, or what stands in for it (`--config-yaml`).
    pub file: Arc<str>,
    /// Line from 1; 0 when the problem is the whole file.
    pub line: u32,
    /// Column in characters from 1; 0 when the problem is the whole file.
    pub column: u32,
    /// Path of the field as Envoy spells it, `static_resources.clusters[0].name`; empty for the
    /// file.
    pub field_path: String,
    /// What kind of problem it is.
    pub kind: ProblemKind,
    /// What is wrong.
    pub message: String,
    /// How to cure it, where that is known.
    pub hint: Option<String>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file)?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        if !self.field_path.is_empty() {
            write!(f, ": {}", self.field_path)?;
        }
        match self.kind {
            ProblemKind::Invalid => f.write_str(": ")?,
            ProblemKind::NotSupportedYet => f.write_str(": not supported yet: ")?,
            ProblemKind::Ignored => f.write_str(": ignored: ")?,
        }
        f.write_str(&self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "; {hint}"),
            None => Ok(()),
        }
    }
}

/// All problems of one configuration, in file order.
///
/// Displayed as one line per problem: `file:line:col: field.path: message; hint`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    problems: Vec<Problem>,
    omitted: usize,
}

impl Report {
    /// The problems in file order, [`PROBLEMS_MAX`] at most.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// True when there is nothing to say.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.problems.is_empty()
    }

    /// True when the configuration must not run.
    #[must_use]
    pub fn is_fatal(&self) -> bool {
        self.problems.iter().any(|problem| problem.kind != ProblemKind::Ignored)
    }

    /// The report for a file that could not be read at all.
    #[must_use]
    pub fn unreadable(file: &str, error: &std::io::Error) -> Self {
        Self::whole_file(
            file,
            ProblemKind::Invalid,
            format!("cannot read the file: {error}"),
            Some("check the path given with -c and the permissions".to_owned()),
        )
    }

    /// A report of one problem that concerns the whole file.
    #[must_use]
    pub fn whole_file(
        file: &str,
        kind: ProblemKind,
        message: String,
        hint: Option<String>,
    ) -> Self {
        Self::from_problems(vec![Problem {
            file: Arc::from(file),
            line: 0,
            column: 0,
            field_path: String::new(),
            kind,
            message,
            hint,
        }])
    }

    /// Sorts by place and cuts at [`PROBLEMS_MAX`]; warnings are cut before fatal problems.
    pub(crate) fn from_problems(mut problems: Vec<Problem>) -> Self {
        let place = |problem: &Problem| (problem.line, problem.column);
        let is_warning = |problem: &Problem| problem.kind == ProblemKind::Ignored;
        problems.sort_by_key(|problem| (is_warning(problem), place(problem)));
        let omitted = problems.len().saturating_sub(PROBLEMS_MAX);
        problems.truncate(PROBLEMS_MAX);
        problems.sort_by_key(place);
        Self { problems, omitted }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{problem}")?;
        }
        if self.omitted > 0 {
            write!(f, "\nand {} more", self.omitted)?;
        }
        Ok(())
    }
}

impl std::error::Error for Report {}

/// Collects problems of one file while it is being read.
#[derive(Debug)]
pub(crate) struct Problems {
    file: Arc<str>,
    list: Vec<Problem>,
    fatal_paths: BTreeSet<String>,
}

impl Problems {
    pub(crate) fn new(file: &str) -> Self {
        Self { file: Arc::from(file), list: Vec::new(), fatal_paths: BTreeSet::new() }
    }

    pub(crate) fn push(
        &mut self,
        kind: ProblemKind,
        position: Position,
        field_path: &str,
        message: impl Into<String>,
        hint: Option<String>,
    ) {
        if kind != ProblemKind::Ignored {
            self.fatal_paths.insert(field_path.to_owned());
        }
        self.list.push(Problem {
            file: Arc::clone(&self.file),
            line: position.line,
            column: position.column,
            field_path: field_path.to_owned(),
            kind,
            message: message.into(),
            hint,
        });
    }

    /// True when something was found that forbids running.
    pub(crate) fn is_fatal(&self) -> bool {
        self.list.iter().any(|problem| problem.kind != ProblemKind::Ignored)
    }

    /// True when `field_path` or something in it has a fatal problem already: what a later pass
    /// finds wrong there is only an echo.
    pub(crate) fn is_reported(&self, field_path: &str) -> bool {
        self.fatal_paths
            .range::<str, _>((Bound::Included(field_path), Bound::Unbounded))
            .take_while(|path| path.starts_with(field_path))
            .any(|path| matches!(path.as_bytes().get(field_path.len()), None | Some(b'.' | b'[')))
    }

    pub(crate) fn into_report(self) -> Report {
        Report::from_problems(self.list)
    }
}
