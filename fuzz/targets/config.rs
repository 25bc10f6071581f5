//! Fuzz target: any bytes as a configuration, read as YAML, and as JSON where they begin like it.
//!
//! What must hold: nothing panics, hangs or takes memory beyond the budgets; every problem has a
//! place inside the text; a warning never forbids running, and a refusal always says why.
#![no_main]
#![forbid(unsafe_code)]

use config::{Report, Source, load};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    check("fuzz.yaml", bytes);
    if bytes.trim_ascii_start().starts_with(b"{") {
        check("fuzz.json", bytes);
    }
});

fn check(name: &str, bytes: &[u8]) {
    match load(&[Source::file(name, bytes.to_vec())]) {
        Ok(loaded) => {
            assert!(!loaded.warnings.is_fatal(), "{}", loaded.warnings);
            check_places(&loaded.warnings, name, bytes);
        }
        Err(report) => {
            assert!(report.is_fatal(), "refused without a reason");
            check_places(&report, name, bytes);
        }
    }
}

fn check_places(report: &Report, name: &str, bytes: &[u8]) {
    // YAML breaks lines at more characters than a newline, and an end may lie behind the last.
    let breaks = String::from_utf8_lossy(bytes)
        .matches(['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}'])
        .count();
    let last_line = breaks + 2;
    for problem in report.problems() {
        assert_eq!(&*problem.file, name);
        let line = usize::try_from(problem.line).unwrap_or(usize::MAX);
        assert!(line >= 1 && line <= last_line && problem.column >= 1, "{problem}");
        assert!(!problem.message.is_empty(), "{problem:?}");
    }
}
