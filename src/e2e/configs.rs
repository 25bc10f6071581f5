//! Broken configurations that Envoy and Nuncio both refuse, and odd ones that both accept
//! (`configs/broken`, `configs/odd`); the first line of a file says what is broken or odd.
//!
//! `configs/broken.yaml` holds each error as Nuncio tells it, with file, line, column and field.
//! `NUNCIO_UPDATE=1 cargo test --test e2e configs` writes it anew. Beside errors Nuncio may say
//! that something is not supported yet: the files use more of Envoy's schema than it does.
//!
//! The same files are the seeds of `scripts/fuzz config`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use crate::environment::{self, Kind, Program};
use crate::validation::validate;

fn folder(kind: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/e2e/configs").join(kind)
}

fn files(kind: &str, at_least: usize) -> Vec<String> {
    let entries = fs::read_dir(folder(kind)).unwrap().map(|entry| entry.unwrap().file_name());
    let mut files: Vec<String> = entries.map(|name| name.into_string().unwrap()).collect();
    files.sort();
    assert!(files.len() >= at_least, "only {} {kind} configurations", files.len());
    files
}

fn answers(program: &Program, kind: &str, at_least: usize) -> Vec<(String, Output)> {
    validate(program, &folder(kind), &files(kind, at_least))
}

fn report(answer: &Output) -> String {
    String::from_utf8_lossy(&answer.stderr).into_owned()
}

/// True for a line of a kind that Envoy would have to agree with.
fn is_error(line: &str) -> bool {
    let is_other = [": not supported yet: ", ": ignored: ", ": discouraged: "];
    !is_other.iter().any(|kind| line.contains(kind))
}

/// The lines of `answer` that are about `file`, at a line and a column.
fn errors<'a>(file: &'a str, report: &'a str) -> impl Iterator<Item = &'a str> {
    report.lines().filter(move |line| {
        let place = line.strip_prefix(file).and_then(|rest| rest.strip_prefix(':'));
        let mut numbers = place.into_iter().flat_map(|place| place.splitn(3, ':'));
        let mut is_number = || numbers.next().is_some_and(|part| part.parse::<u32>().is_ok());
        is_number() && is_number() && is_error(line)
    })
}

fn nuncio() -> Option<Program> {
    let nuncio = environment::subject();
    if nuncio.kind == Kind::Envoy {
        eprintln!("skipped: the program under test is an Envoy");
        return None;
    }
    Some(nuncio)
}

fn envoy() -> Option<Program> {
    environment::reference().inspect_err(|missing| eprintln!("skipped: {missing}")).ok()
}

#[test]
fn envoy_refuses_what_is_broken_and_accepts_what_is_odd() {
    let Some(envoy) = envoy() else {
        return;
    };
    let mut wrong = Vec::new();
    for (kind, at_least, succeeds) in [("broken", 60, false), ("odd", 25, true)] {
        let answers = answers(&envoy, kind, at_least).into_iter();
        let unexpected = answers.filter(|(_, answer)| answer.status.success() != succeeds);
        wrong.extend(unexpected.map(|(file, answer)| format!("{kind}/{file}: {answer:?}")));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn nuncio_names_the_line_and_the_field_of_each_error() {
    let Some(nuncio) = nuncio() else {
        return;
    };
    let mut found = String::from("errors: |\n");
    for (file, answer) in answers(&nuncio, "broken", 60) {
        assert_eq!(answer.status.code(), Some(1), "{file}: {answer:?}");
        let report = report(&answer);
        let before = found.len();
        for error in errors(&file, &report) {
            found.push_str("  ");
            found.push_str(error);
            found.push('\n');
        }
        assert!(found.len() > before, "{file} is refused without naming what is broken:\n{report}");
    }
    let path = folder("broken.yaml");
    if environment::updates() {
        fs::write(&path, found).unwrap();
        return;
    }
    let expected = fs::read_to_string(&path).unwrap();
    for (found, expected) in found.lines().zip(expected.lines()) {
        assert_eq!(found, expected, "if this is meant: NUNCIO_UPDATE=1");
    }
    assert_eq!(found.lines().count(), expected.lines().count());
}

#[test]
fn nuncio_finds_no_error_in_what_is_odd() {
    let Some(nuncio) = nuncio() else {
        return;
    };
    for (file, answer) in answers(&nuncio, "odd", 25) {
        let report = report(&answer);
        let errors: Vec<&str> = errors(&file, &report).collect();
        assert!(errors.is_empty(), "{file}: Envoy accepts it\n{}", errors.join("\n"));
        assert!(answer.status.success() || report.contains(": not supported yet: "), "{report}");
    }
}
