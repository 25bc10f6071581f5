//! Which row of the acceptance list is shown by which test, and whether Envoy was asked too.
//!
//! Nothing here lists tests by hand: a scenario names its rows in `shows`, any other test in a line
//! above its attributes, `// Rows: A13, A15`, which is found by reading the sources. What this file
//! has is what the rows demand: which there are, which must be compared with Envoy, which nobody
//! outside can see, and which still lack something. That last list fails as soon as it is stale.
//!
//! **Invariant:** a row without a test is on the list of open ones, and a row with one is not.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use super::{Scenario, masks, say, scenarios};

/// The rows about layer 4 and HTTP/2, as ranges of their numbers. C7 (clusters on demand), C15, C16
/// (tunnels), D7 to D9 (requests) belong to HTTP and come with it.
const ROWS: [(char, &[(u32, u32)]); 5] = [
    ('A', &[(1, 26)]),
    ('B', &[(1, 4)]),
    ('C', &[(1, 6), (8, 14), (17, 23)]),
    ('D', &[(1, 6), (10, 16)]),
    ('F', &[(1, 33)]),
];

/// Rows that only a run beside Envoy shows well enough.
const COMPARED: [&str; 41] = [
    "A9", "A10", "A11", "A12", "A16", "A21", "A22", "B1", "B2", "B3", "C2", "C4", "C5", "C8", "C9",
    "C10", "C11", "C12", "C13", "C14", "C20", "C21", "C22", "D6", "F1", "F6", "F7", "F8", "F9",
    "F10", "F11", "F15", "F16", "F17", "F20", "F22", "F24", "F28", "F29", "F31", "F33",
];

/// Rows about the inside of Envoy: nobody outside can see them, so that a test of ours must do.
const INTERNAL: [&str; 12] =
    ["A2", "A5", "A13", "A15", "A17", "A23", "C17", "D1", "D5", "F12", "F26", "F32"];

/// What a row lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lack {
    /// Any test.
    Test,
    /// A scenario that is compared with Envoy.
    Comparison,
}

/// Rows that lack something, and why.
const OPEN: &[(&str, Lack, &str)] = &[
    ("A20", Lack::Test, "TLS is not there yet"),
    ("D10", Lack::Test, "it is about the secrets of HTTP/3, which is not there yet"),
];

/// Who shows a row.
#[derive(Debug, Default)]
struct Shown {
    /// Scenarios that agree with Envoy.
    compared: Vec<String>,
    /// Scenarios that still differ.
    differing: Vec<String>,
    /// Other tests, as `path::name`.
    tests: Vec<String>,
}

/// If this fails, a row has no test, or the list of open rows is not true any more.
#[test]
fn each_row_has_a_test_or_is_known_to_lack_one() {
    let shown = shown(&scenarios(""), &tagged_tests());
    say(&table(&shown));
    let problems = problems(&shown, OPEN);
    assert!(problems.is_empty(), "in src/e2e/differential/rows.rs:\n{}", problems.join("\n"));
}

fn is_row(name: &str) -> bool {
    let number = name.strip_prefix(|letter: char| letter.is_ascii_uppercase());
    number.is_some_and(|number| number.parse::<u32>().is_ok())
}

fn rows() -> Vec<String> {
    let of_letter = |(letter, ranges): (char, &[(u32, u32)])| -> Vec<String> {
        let numbers = ranges.iter().flat_map(|(first, last)| *first..=*last);
        numbers.map(|number| format!("{letter}{number}")).collect()
    };
    ROWS.into_iter().flat_map(of_letter).collect()
}

fn shown(scenarios: &[Scenario], tests: &[(String, String)]) -> BTreeMap<String, Shown> {
    let mut shown: BTreeMap<String, Shown> = BTreeMap::new();
    for scenario in scenarios {
        for row in scenario.rows() {
            let shown = shown.entry(row.to_owned()).or_default();
            let list = if masks::is_open(scenario.name) {
                &mut shown.differing
            } else {
                &mut shown.compared
            };
            list.push(scenario.name.to_owned());
        }
    }
    for (row, test) in tests {
        shown.entry(row.clone()).or_default().tests.push(test.clone());
    }
    shown
}

fn problems(shown: &BTreeMap<String, Shown>, open: &[(&str, Lack, &str)]) -> Vec<String> {
    let rows = rows();
    let nobody = Shown::default();
    let mut problems = Vec::new();
    for row in &rows {
        let shown = shown.get(row).unwrap_or(&nobody);
        let is_compared = COMPARED.contains(&row.as_str());
        let is_tested = [&shown.compared, &shown.differing, &shown.tests]
            .into_iter()
            .any(|list| !list.is_empty());
        let lack = if !is_tested {
            Some(Lack::Test)
        } else if is_compared && shown.compared.is_empty() {
            Some(Lack::Comparison)
        } else {
            None
        };
        let listed = open.iter().find(|(other, ..)| other == row);
        match (lack, listed) {
            (None, None) => {}
            (Some(lack), Some((_, listed, _))) if lack == *listed => {}
            (None, Some(_)) => {
                problems.push(format!("{row} lacks nothing now: take it off OPEN"));
            }
            (Some(lack), _) => problems.push(format!("{row} lacks {lack:?}: OPEN must say so")),
        }
    }
    let names: BTreeSet<&str> = open.iter().map(|(row, ..)| *row).collect();
    if names.len() != open.len() {
        problems.push("a row stands twice in OPEN".to_owned());
    }
    let listed = names.iter().chain(&COMPARED).chain(&INTERNAL);
    let of_ours = |row: &&str| ROWS.iter().any(|(letter, _)| row.starts_with(*letter));
    let named = shown.keys().map(String::as_str).filter(|name| is_row(name)).filter(of_ours);
    // These have scenarios, and what they demand is HTTP's.
    let others = ["C7", "C15", "C16", "D7", "D8", "D9"];
    for row in listed.copied().chain(named) {
        if !rows.iter().any(|other| other == row) && !others.contains(&row) {
            problems.push(format!("{row} is no row of the acceptance list"));
        }
    }
    problems
}

fn table(shown: &BTreeMap<String, Shown>) -> String {
    let rows = rows();
    let mut table = String::from("\nrow | shown by | compared with Envoy\n---|---|---\n");
    let others = shown.keys().filter(|name| !rows.contains(name));
    for row in rows.iter().chain(others) {
        let nobody = Shown::default();
        let Shown { compared, differing, tests } = shown.get(row).unwrap_or(&nobody);
        let all: Vec<&str> =
            [compared, differing, tests].into_iter().flatten().map(String::as_str).collect();
        let lack = OPEN.iter().find(|(other, ..)| other == row);
        let by = match (all.is_empty(), lack) {
            (false, _) => all.join(", "),
            (true, Some((.., why))) => format!("OPEN: {why}"),
            (true, None) => "NOTHING".to_owned(),
        };
        let answer = match (compared.is_empty(), differing.is_empty()) {
            (false, true) => "yes".to_owned(),
            (false, false) => format!("yes; {} differ still", differing.join(", ")),
            (true, false) => "differs still".to_owned(),
            (true, true) if INTERNAL.contains(&row.as_str()) => {
                "no: not observable from outside".to_owned()
            }
            (true, true) => "no".to_owned(),
        };
        writeln!(table, "{row} | {by} | {answer}").unwrap();
    }
    table
}

/// Row and `path::name` of each test below `src` that names rows.
fn tagged_tests() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut tests = Vec::new();
    let mut folders = vec![root.join("src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                let short = path.strip_prefix(root.join("src")).unwrap().display().to_string();
                tests.extend(tags(&short, &text));
            }
        }
    }
    tests.sort();
    tests
}

/// The tags of one source file. A tag that stands above no test is a mistake.
fn tags(path: &str, text: &str) -> Vec<(String, String)> {
    let mut tags = Vec::new();
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    for (index, line) in lines.iter().enumerate() {
        let Some(rows) = line.strip_prefix(TAG) else { continue };
        let place = format!("{path}:{}", index + 1);
        let above = |line: &&&str| line.starts_with("#[") || line.starts_with("//");
        let attributes: Vec<&&str> = lines[index + 1..].iter().take_while(above).collect();
        let is_test = attributes.iter().any(|line| **line == "#[test]");
        let name = lines.get(index + 1 + attributes.len()).and_then(|line| function_name(line));
        let (true, Some(name)) = (is_test, name) else { panic!("{place}: not above a test") };
        for row in rows.split(", ") {
            assert!(is_row(row), "{place}: '{row}' is no row");
            tags.push((row.to_owned(), format!("{path}::{name}")));
        }
    }
    tags
}

const TAG: &str = "// Rows: ";

fn function_name(line: &str) -> Option<&str> {
    let (_, rest) = line.split_once("fn ")?;
    rest.split(['(', '<']).next()
}

#[test]
fn tags_are_found_above_tests_only() {
    let text = format!("{TAG}A1, B2\n/// Words.\n#[test]\nfn one() {{}}\n");
    let found = tags("a.rs", &text);
    let expected = [("A1", "a.rs::one"), ("B2", "a.rs::one")];
    assert_eq!(found, expected.map(|(row, test)| (row.to_owned(), test.to_owned())));
    let fails = |text: String| std::panic::catch_unwind(move || tags("a.rs", &text)).is_err();
    assert!(fails(format!("{TAG}A1\nfn one() {{}}\n")));
    assert!(fails(format!("{TAG}A1\n\n#[test]\nfn one() {{}}\n")));
    assert!(fails(format!("{TAG}some\n#[test]\nfn one() {{}}\n")));
}

#[test]
fn a_lack_that_is_not_listed_and_a_list_that_is_stale_are_found() {
    let everything = || -> BTreeMap<String, Shown> {
        let by_scenario = || Shown { compared: vec!["one".to_owned()], ..Shown::default() };
        rows().into_iter().map(|row| (row, by_scenario())).collect()
    };
    assert_eq!(problems(&everything(), &[]), Vec::<String>::new());
    let stale = problems(&everything(), &[("A1", Lack::Test, "")]);
    assert!(stale[0].contains("take it off"), "{stale:?}");
    let mut without = everything();
    without.remove("A1");
    without.insert("A9".to_owned(), Shown { tests: vec!["x".to_owned()], ..Shown::default() });
    without.insert("A99".to_owned(), Shown::default());
    let found = problems(&without, &[]);
    assert_eq!(found.len(), 3, "{found:?}");
    let listed = [("A1", Lack::Test, ""), ("A9", Lack::Comparison, "")];
    assert_eq!(problems(&without, &listed).len(), 1);
    // One that still differs is a test, and no comparison.
    without.insert("A9".to_owned(), Shown { differing: vec!["y".to_owned()], ..Shown::default() });
    assert_eq!(problems(&without, &listed).len(), 1);
}
