//! What is wrong with a configuration: one line per problem, all problems at once.
//!
//! Kinds are kept apart because they ask for different cures: what Envoy refuses too, what Envoy
//! runs and Nuncio does not run yet, what Nuncio leaves out because it cannot change behaviour, and
//! what Envoy warns of. Nothing here decides which is which; the mapper, the rules and `support`
//! do.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::Bound;
use std::sync::Arc;

use serde_json::{Value, json};

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

/// Where a field stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file as the user named it, or `--config-yaml`.
    pub file: Arc<str>,
    /// The field's name; for a list item the item itself.
    pub key: Position,
    /// The field's value.
    pub value: Position,
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
    /// In effect, but Envoy warns of it too: deprecated, or work in progress. A warning.
    Discouraged,
}

impl ProblemKind {
    /// True when a configuration with such a problem must not run.
    #[must_use]
    pub fn is_fatal(self) -> bool {
        match self {
            Self::Invalid | Self::NotSupportedYet => true,
            Self::Ignored | Self::Discouraged => false,
        }
    }

    /// The name in [`Report::to_json`].
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::NotSupportedYet => "not_supported_yet",
            Self::Ignored => "ignored",
            Self::Discouraged => "discouraged",
        }
    }
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
            ProblemKind::Discouraged => f.write_str(": discouraged: ")?,
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
    /// How many more problems there are than [`Self::problems`] lists.
    #[must_use]
    pub fn omitted(&self) -> usize {
        self.omitted
    }

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
        self.problems.iter().any(|problem| problem.kind.is_fatal())
    }

    /// The same for programs: `problems`, a list of objects with `file`, `line` and `column` (from
    /// 1; 0 when the whole file is meant), `field_path`, `kind` (see [`ProblemKind::name`]),
    /// `message` and `hint` (null when there is none); and `omitted`, how many are not listed.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let problem = |problem: &Problem| {
            json!({
                "file": &*problem.file,
                "line": problem.line,
                "column": problem.column,
                "field_path": problem.field_path,
                "kind": problem.kind.name(),
                "message": problem.message,
                "hint": problem.hint,
            })
        };
        let problems: Vec<Value> = self.problems.iter().map(problem).collect();
        json!({ "problems": problems, "omitted": self.omitted })
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
        let problem = Problem {
            file: Arc::from(file),
            line: 0,
            column: 0,
            field_path: String::new(),
            kind,
            message,
            hint,
        };
        Self { problems: vec![problem], omitted: 0 }
    }

    /// Sorts by place and cuts at [`PROBLEMS_MAX`]; warnings are cut before fatal problems. Files
    /// stay in the order of `files`.
    pub(crate) fn from_problems(files: &[Arc<str>], mut problems: Vec<Problem>) -> Self {
        let place = |problem: &Problem| {
            let file = files.iter().position(|file| *file == problem.file);
            (file, problem.line, problem.column)
        };
        problems.sort_by_key(|problem| (!problem.kind.is_fatal(), place(problem)));
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

/// Collects the problems of a configuration while its files are being read, one after the other.
#[derive(Debug, Default)]
pub(crate) struct Problems {
    /// All files so far; the last one is being read.
    files: Vec<Arc<str>>,
    list: Vec<Problem>,
    fatal_paths: BTreeSet<String>,
}

impl Problems {
    /// From here on [`Self::push`] speaks of `file`.
    pub(crate) fn enter(&mut self, file: &Arc<str>) {
        self.files.push(Arc::clone(file));
    }

    /// Adds a problem of the file that is being read.
    pub(crate) fn push(
        &mut self,
        kind: ProblemKind,
        position: Position,
        field_path: &str,
        message: impl Into<String>,
        hint: Option<String>,
    ) {
        let file = self.files.last().cloned().unwrap_or_else(|| Arc::from(""));
        self.add(kind, file, position, field_path, message.into(), hint);
    }

    /// Adds a problem of the value at `place`.
    pub(crate) fn push_at_value(
        &mut self,
        kind: ProblemKind,
        place: &Place,
        field_path: &str,
        message: impl Into<String>,
        hint: Option<String>,
    ) {
        self.add(kind, Arc::clone(&place.file), place.value, field_path, message.into(), hint);
    }

    /// Adds a problem of the field whose name stands at `place`.
    pub(crate) fn push_at_key(
        &mut self,
        kind: ProblemKind,
        place: &Place,
        field_path: &str,
        message: impl Into<String>,
        hint: Option<String>,
    ) {
        self.add(kind, Arc::clone(&place.file), place.key, field_path, message.into(), hint);
    }

    fn add(
        &mut self,
        kind: ProblemKind,
        file: Arc<str>,
        position: Position,
        field_path: &str,
        message: String,
        hint: Option<String>,
    ) {
        if kind.is_fatal() {
            self.fatal_paths.insert(field_path.to_owned());
        }
        let Position { line, column } = position;
        let field_path = field_path.to_owned();
        self.list.push(Problem { file, line, column, field_path, kind, message, hint });
    }

    /// True when the report has more than it will show: hints need not be looked for any more.
    pub(crate) fn is_full(&self) -> bool {
        self.list.len() >= PROBLEMS_MAX * 10
    }

    /// True when something was found that forbids running.
    pub(crate) fn is_fatal(&self) -> bool {
        self.list.iter().any(|problem| problem.kind.is_fatal())
    }

    /// True when `field_path` or something in it has a fatal problem already: what a later pass
    /// finds wrong there is only an echo.
    pub(crate) fn is_reported(&self, field_path: &str) -> bool {
        self.fatal_paths
            .range::<str, _>((Bound::Included(field_path), Bound::Unbounded))
            .take_while(|path| path.starts_with(field_path))
            .any(|path| matches!(path.as_bytes().get(field_path.len()), None | Some(b'.' | b'[')))
    }

    /// True when something around `field_path` has a fatal problem.
    pub(crate) fn is_inside_reported(&self, field_path: &str) -> bool {
        let mut ends = field_path.match_indices(['.', '[']).map(|(end, _)| end);
        ends.any(|end| self.fatal_paths.contains(&field_path[..end]))
    }

    pub(crate) fn into_report(self) -> Report {
        Report::from_problems(&self.files, self.list)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_for_programs_has_every_part_of_a_problem() {
        let mut problems = Problems::default();
        problems.enter(&Arc::from("b.yaml"));
        problems.push(ProblemKind::Ignored, Position { line: 9, column: 8 }, "x.y", "m", None);
        problems.enter(&Arc::from("a.yaml"));
        let hint = Some("h".to_owned());
        problems.push(ProblemKind::Invalid, Position::START, "", "\"quoted\"", hint);
        let report = problems.into_report();
        let expected = json!({
            "problems": [
                {
                    "file": "b.yaml", "line": 9, "column": 8, "field_path": "x.y",
                    "kind": "ignored", "message": "m", "hint": null,
                },
                {
                    "file": "a.yaml", "line": 1, "column": 1, "field_path": "",
                    "kind": "invalid", "message": "\"quoted\"", "hint": "h",
                },
            ],
            "omitted": 0,
        });
        assert_eq!(report.to_json(), expected);
    }
}
