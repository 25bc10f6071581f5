//! Bootstraps as users write them (`bootstraps/`): Envoy validates each, and Nuncio accepts it or
//! names every field that it cannot carry out yet. It never calls one invalid.
//!
//! `bootstraps/expected/verdicts.yaml` holds what Nuncio says of each file. A change of what is
//! supported changes it, and shows it in the diff; `NUNCIO_UPDATE=1 cargo test --test e2e
//! bootstraps` writes it anew. What no update can hide is a problem that Envoy would have to have
//! too.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use crate::environment::{self, Kind};
use crate::validation::validate;

/// Every bootstrap, by name. Paths in them are relative to this folder.
fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/e2e/bootstraps")
}

fn files() -> Vec<String> {
    let entries = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().file_name());
    let mut files: Vec<String> = entries
        .map(|name| name.into_string().unwrap())
        .filter(|name| name.ends_with(".yaml") || name.ends_with(".json"))
        .collect();
    files.sort();
    assert!(files.len() >= 40, "only {} bootstraps", files.len());
    files
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn envoy_accepts_every_bootstrap() {
    let envoy = match environment::reference() {
        Ok(envoy) => envoy,
        Err(missing) => return eprintln!("skipped: {missing}"),
    };
    let refused: Vec<String> = validate(&envoy, &folder(), &files())
        .into_iter()
        .filter(|(_, answer)| !answer.status.success())
        .map(|(file, answer)| format!("{file}: {}", text(&answer.stderr)))
        .collect();
    assert!(refused.is_empty(), "{}", refused.join("\n"));
}

#[test]
fn nuncio_accepts_or_names_what_it_cannot_do_yet() {
    let nuncio = environment::subject();
    if nuncio.kind == Kind::Envoy {
        return eprintln!("skipped: the program under test is an Envoy");
    }
    let (mut found, mut false_errors) = (String::new(), String::new());
    for (file, answer) in validate(&nuncio, &folder(), &files()) {
        let said = text(&answer.stderr);
        let problems: Vec<Said> = said.lines().filter_map(|line| Said::read(line, &file)).collect();
        if problems.iter().any(|said| said.kind == "invalid") {
            false_errors.push_str(&said);
        }
        let is_accepted =
            problems.iter().all(|said| ["ignored", "discouraged"].contains(&said.kind));
        assert_eq!(answer.status.success(), is_accepted, "{file}: {answer:?}");
        let verdict = if is_accepted { "accepted" } else { "refused" };
        writeln!(found, "{file}:\n- {verdict}").unwrap();
        for said in problems {
            writeln!(found, "- {}: {}", said.kind, said.field_path).unwrap();
        }
    }
    assert!(false_errors.is_empty(), "Envoy accepts what is called invalid here:\n{false_errors}");
    let path = folder().join("expected/verdicts.yaml");
    if environment::updates() {
        fs::write(&path, found).unwrap();
        return;
    }
    let expected = fs::read_to_string(&path).unwrap();
    assert!(found == expected, "not as in {}:\n{}", path.display(), difference(&expected, &found));
}

/// One line of a report.
struct Said {
    field_path: String,
    kind: &'static str,
}

impl Said {
    /// Reads `file:line:col: field.path: [kind: ]message`; None for a line of something else.
    fn read(line: &str, file: &str) -> Option<Self> {
        let (_, rest) = line.split_once(&format!("{file}:"))?;
        let (place, rest) = rest.split_once(": ")?;
        let (line, column) = place.split_once(':')?;
        line.parse::<u32>().ok()?;
        column.parse::<u32>().ok()?;
        let (field_path, rest) = rest.split_once(": ")?;
        let kind = match rest {
            _ if rest.starts_with("not supported yet: ") => "not supported yet",
            _ if rest.starts_with("ignored: ") => "ignored",
            _ if rest.starts_with("discouraged: ") => "discouraged",
            _ => "invalid",
        };
        Some(Self { field_path: field_path.to_owned(), kind })
    }
}

/// The lines that only one of the two has.
fn difference(expected: &str, found: &str) -> String {
    let only = |these: &str, those: &str, sign: char| {
        let these = these.lines().filter(|line| !those.lines().any(|other| other == *line));
        these.map(|line| format!("{sign} {line}\n")).collect::<String>()
    };
    only(expected, found, '-') + &only(found, expected, '+')
}
