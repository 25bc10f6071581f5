//! What a text may say and how long it may be: banned words, headers, lines, files, blobs.

use crate::lexer::{Kind, Source};
use crate::problem::Problem;

/// The rules for a Rust file below `src`.
pub(crate) fn rust(source: &Source) -> Vec<Problem> {
    let mut problems = Vec::new();
    problems.extend(header(source));
    problems.extend(file_name(&source.path));
    problems.extend(banned_code(source));
    if is_generated(&source.path, &source.text) {
        problems.extend(listed_as_generated(&source.path));
        return problems;
    }
    problems.extend(banned_text(&source.path, &source.text));
    let long = long_lines(&source.path, &source.text);
    problems.extend(long.into_iter().filter(|problem| !is_long_test_string(source, problem.line)));
    problems.extend(long_file(source));
    problems
}

/// The rules for every other text: documents, settings, scripts.
pub(crate) fn text(path: &str, text: &str) -> Vec<Problem> {
    let mut problems = Vec::new();
    if NOT_WRITTEN_HERE.contains(&path.rsplit('/').next().unwrap_or(path)) {
        return problems;
    }
    problems.extend(banned_text(path, text));
    if has_extension(path, "md") {
        problems.extend(one_title(path, text));
    }
    if !SETTINGS.iter().any(|extension| has_extension(path, extension)) {
        problems.extend(long_lines(path, text));
    }
    problems
}

/// A file that is too large to be read in a review and is not a listed artefact.
pub(crate) fn blob(path: &str, bytes: u64) -> Option<Problem> {
    let listed = LARGE_FILES.iter().any(|(large, _)| *large == path);
    (bytes > BYTES_MAX && !listed).then(|| {
        Problem::new(
            path,
            1,
            format!("{bytes} bytes in one file"),
            "generate it, fetch it, or list it with a reason in LARGE_FILES of src/tidy/wording.rs",
        )
    })
}

fn header(source: &Source) -> Option<Problem> {
    let opens_with_doc = source.text.starts_with("//! ");
    (!opens_with_doc).then(|| {
        Problem::new(
            &source.path,
            1,
            "the file does not open with its documentation",
            "begin with `//! What it is for.`, then what it does not do and its invariant",
        )
    })
}

fn file_name(path: &str) -> Option<Problem> {
    let name = path.rsplit('/').next().unwrap_or(path).trim_end_matches(".rs");
    BANNED_FILES.contains(&name).then(|| {
        Problem::new(
            path,
            1,
            format!("`{name}` says nothing about what is inside"),
            "put each helper beside what it helps, or into `base` under its own name",
        )
    })
}

/// Words that are code: comments and strings may use them.
fn banned_code(source: &Source) -> Vec<Problem> {
    let mut problems = Vec::new();
    for &(words, cure) in BANNED_CODE {
        for (index, token) in source.tokens.iter().enumerate() {
            let matches = words.iter().enumerate().all(|(ahead, word)| {
                let token = source.tokens.get(index + ahead);
                token.is_some_and(|token| token.kind != Kind::String && token.text == *word)
            });
            if matches {
                problems.push(Problem::new(
                    &source.path,
                    source.line_of(token.offset),
                    format!("`{}`", words.concat()),
                    cure,
                ));
            }
        }
    }
    problems
}

/// Words that may stand nowhere, not in comments either.
fn banned_text(path: &str, text: &str) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (index, line) in text.lines().enumerate() {
        for &(word, cure) in BANNED_TEXT {
            if line.contains(word) {
                problems.push(Problem::new(path, index + 1, format!("`{word}`"), cure));
            }
        }
    }
    problems
}

fn long_lines(path: &str, text: &str) -> Vec<Problem> {
    let is_markdown = has_extension(path, "md");
    let mut problems = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let is_table = is_markdown && line.trim_start().starts_with('|');
        // An address cannot be broken.
        let is_one_word = line.contains("://") && line.split_whitespace().count() <= 3;
        let columns = line.chars().count();
        if columns > COLUMNS_MAX && !is_table && !is_one_word {
            problems.push(Problem::new(
                path,
                index + 1,
                format!("{columns} columns"),
                "break the line: 100 columns at most",
            ));
        }
    }
    problems
}

/// A message that a test expects is easier to compare in one piece.
fn is_long_test_string(source: &Source, line: usize) -> bool {
    let Some(text) = source.text.lines().nth(line - 1) else {
        return false;
    };
    let start = source.text.lines().take(line - 1).map(|line| line.len() + 1).sum::<usize>();
    let limit = start + text.char_indices().nth(COLUMNS_MAX).map_or(text.len(), |(at, _)| at);
    let is_tests = is_test_file(&source.path);
    source.tokens.iter().any(|token| {
        token.kind == Kind::String
            && (is_tests || token.is_test)
            && (start..limit).contains(&token.offset)
            && token.offset + token.text.len() + 1 >= limit
    })
}

fn is_test_file(path: &str) -> bool {
    path.ends_with("/tests.rs") || path.contains("/tests/") || path.starts_with("src/e2e/")
}

fn long_file(source: &Source) -> Option<Problem> {
    let lines = source.lines_outside_tests();
    let listed = LONG_FILES.iter().any(|(long, _)| *long == source.path);
    (lines > LINES_MAX && !listed && !is_test_file(&source.path)).then(|| {
        Problem::new(
            &source.path,
            1,
            format!("{lines} lines without its tests"),
            "it is usually two things; if it is one, say why in LONG_FILES of src/tidy/wording.rs",
        )
    })
}

fn one_title(path: &str, text: &str) -> Option<Problem> {
    let mut in_code = false;
    let mut titles = 0;
    let mut line_of_second = 1;
    for (index, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        } else if !in_code && line.starts_with("# ") {
            titles += 1;
            if titles == 2 {
                line_of_second = index + 1;
            }
        }
    }
    (titles != 1).then(|| {
        Problem::new(
            path,
            line_of_second,
            format!("{titles} titles"),
            "a document has one `# ` line; use `## ` below it",
        )
    })
}

fn is_generated(path: &str, text: &str) -> bool {
    has_extension(path, "rs") && text.lines().take(10).any(|line| line.contains("@generated by "))
}

fn listed_as_generated(path: &str) -> Option<Problem> {
    (!GENERATED.contains(&path)).then(|| {
        Problem::new(
            path,
            1,
            "it claims to be generated",
            "name it in GENERATED of src/tidy/wording.rs, beside the script that makes it",
        )
    })
}

fn has_extension(path: &str, extension: &str) -> bool {
    path.rsplit_once('.').is_some_and(|(_, found)| found == extension)
}

const COLUMNS_MAX: usize = 100;

/// Beyond this a file is usually two things.
const LINES_MAX: usize = 800;

/// A lock file or a licence fits; a recording, a picture or a binary does not.
const BYTES_MAX: u64 = 200_000;

/// Formats whose values often cannot be broken into lines.
const SETTINGS: [&str; 5] = ["toml", "yaml", "json", "cfg", "conf"];

/// Made by `scripts/gen-protos`.
const GENERATED: [&str; 1] = ["src/config/typed.rs"];

const LARGE_FILES: [(&str, &str); 2] = [
    (
        "src/config/envoy.binpb",
        "Envoy's own descriptors: the schema of the configuration, made by scripts/gen-protos",
    ),
    ("src/config/typed.rs", "the messages of it that Nuncio lowers, made by scripts/gen-protos"),
];

const LONG_FILES: [(&str, &str); 0] = [];

/// Texts that come from elsewhere as they are.
const NOT_WRITTEN_HERE: [&str; 4] =
    ["LICENSE", "Cargo.lock", "envoy-1.40-requests.txt", "envoy-1.40-responses.txt"];

const BANNED_FILES: [&str; 6] = ["utils", "util", "helpers", "helper", "misc", "common"];

const BANNED_CODE: &[(&[&str], &str)] = &[
    (&["dbg", "!"], "take it out, or use a tracing event"),
    (&["todo", "!"], "write it, or refuse the case with an error that says so"),
    (&["unimplemented", "!"], "write it, or refuse the case with an error that says so"),
    (&["unreachable_unchecked"], "use `unreachable!` or a type that cannot be wrong"),
    (&["get_unchecked"], "index, or show the gain in bench/ and argue here"),
    (&["get_unchecked_mut"], "index, or show the gain in bench/ and argue here"),
    (&["transmute"], "use `from_ne_bytes`, a pointer cast or a union-free design"),
    (&["static", "mut"], "state belongs to a worker, or is an atomic"),
    (&["#", "[", "allow"], "use `#[expect(lint, reason = \"..\")]`"),
    (&["#", "!", "[", "allow"], "use `#[expect(lint, reason = \"..\")]`"),
    (&["#", "[", "ignore"], "assert what it does today and say why that is wrong"),
];

/// Written in two halves, or this file would break its own rule.
const BANNED_TEXT: &[(&str, &str)] = &[
    (concat!("FIX", "ME"), "mend it now, or write down what happens until then"),
    (concat!("XX", "X "), "mend it now, or write down what happens until then"),
    (concat!("/wo", "rk/"), "name no path of one machine"),
    (concat!("/ro", "ot/"), "name no path of one machine"),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn rust_problems(text: &str) -> Vec<String> {
        let source = Source::new("src/net/pump.rs", &format!("//! Pump.\n{text}"));
        rust(&source).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn each_banned_word_of_code_is_found_and_only_in_code() {
        for code in [
            "fn f() { dbg!(1); }",
            "fn f() { todo!() }",
            "fn f() { unimplemented!() }",
            "use std::hint::unreachable_unchecked;",
            "fn f() { x.get_unchecked(1); }",
            "fn f() { core::mem::transmute(1) }",
            "static mut A: u8 = 0;",
            "#[allow(dead_code)]\nfn f() {}",
            "#![allow(dead_code)]",
            "#[ignore]\nfn f() {}",
        ] {
            let found = rust_problems(code);
            assert_eq!(found.len(), 1, "{code}: {found:?}");
            assert!(found[0].starts_with("src/net/pump.rs:2: "), "{found:?}");
            let quoted = code.replace('\n', " ");
            let quoted = format!("// {quoted}\nconst A: &str = r#\"{quoted}\"#;");
            assert_eq!(rust_problems(&quoted).len(), 0, "{quoted}");
        }
    }

    #[test]
    fn a_banned_word_of_text_is_found_in_comments_and_documents_too() {
        for &(word, _) in BANNED_TEXT {
            assert_eq!(rust_problems(&format!("// {word} a")).len(), 1, "{word}");
            assert_eq!(text("a.md", &format!("# A\n{word} a\n")).len(), 1, "{word}");
        }
    }

    #[test]
    fn a_file_without_a_header_is_found() {
        for text in ["", "use std::fmt;", "// Pump.", "\n//! Pump.", "//!"] {
            assert!(header(&Source::new("a.rs", text)).is_some(), "{text}");
        }
        assert!(header(&Source::new("a.rs", "//! Pump.")).is_none());
    }

    #[test]
    fn a_name_that_says_nothing_is_found() {
        assert!(file_name("src/net/utils.rs").is_some());
        assert!(file_name("src/net/pump.rs").is_none());
    }

    #[test]
    fn a_long_line_is_found_except_in_tables_and_addresses() {
        let long = "a ".repeat(51);
        assert_eq!(long_lines("a.rs", &long).len(), 1);
        assert_eq!(long_lines("a.rs", &format!("| {long}")).len(), 1);
        assert_eq!(long_lines("a.md", &format!("| {long}")).len(), 0);
        assert_eq!(long_lines("a.md", &format!("- https://{}", "a".repeat(100))).len(), 0);
        assert_eq!(long_lines("a.md", &"\u{e9}".repeat(100)).len(), 0);
    }

    #[test]
    fn a_long_string_is_let_pass_in_tests_only() {
        let string = format!("    let a = \"{}\";", "a".repeat(100));
        let comment = format!("    // {}", "a".repeat(100));
        for (line, allowed) in [(&string, true), (&comment, false)] {
            assert_eq!(rust_problems(&format!("fn f() {{\n{line}\n}}")).len(), 1);
            let test = format!("#[test]\nfn f() {{\n{line}\n}}");
            assert_eq!(rust_problems(&test).is_empty(), allowed, "{line}");
            let file = Source::new("src/net/pump/tests.rs", &format!("//! Tests.\n{line}"));
            assert_eq!(rust(&file).is_empty(), allowed, "{line}");
        }
    }

    #[test]
    fn a_long_file_is_found_and_tests_do_not_count() {
        let line = "const A: u8 = 0;\n";
        assert_eq!(rust_problems(&line.repeat(LINES_MAX)).len(), 1);
        let tests = format!("#[cfg(test)]\nmod tests {{\n{}}}\n", line.repeat(LINES_MAX));
        assert_eq!(rust_problems(&tests).len(), 0);
    }

    #[test]
    fn a_document_has_one_title() {
        assert!(one_title("a.md", "# A\n## B\n```sh\n# not a title\n```\n").is_none());
        assert!(one_title("a.md", "## A\n").is_some());
        let second = one_title("a.md", "# A\n\n# B\n");
        assert_eq!(second.map(|problem| problem.line), Some(3));
    }

    #[test]
    fn a_blob_is_found_unless_it_is_listed() {
        assert!(blob("docs/picture.png", BYTES_MAX + 1).is_some());
        assert!(blob("docs/picture.png", BYTES_MAX).is_none());
        assert!(blob(LARGE_FILES[0].0, u64::MAX).is_none());
    }

    #[test]
    fn a_file_cannot_call_itself_generated_to_escape_the_rules() {
        let text = format!("//! Pump.\n// @generated by hand\n{}", "a".repeat(200));
        assert_eq!(rust(&Source::new("src/net/pump.rs", &text)).len(), 1);
        assert_eq!(rust(&Source::new(GENERATED[0], &text)).len(), 0);
    }
}
