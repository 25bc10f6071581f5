//! Regular expressions that come from a client.

use regex::{Regex, RegexBuilder};

/// Memory that one pattern may take when compiled. Counted repetitions such as `(a{1000}){1000}`
/// grow with the product of their counts.
const PATTERN_BYTES_MAX: usize = 1 << 20;

/// A pattern whose match may be anywhere.
///
/// # Errors
/// What is wrong with it, or that it is too large.
pub(crate) fn compiled(pattern: &str) -> Result<Regex, regex::Error> {
    let mut builder = RegexBuilder::new(pattern);
    builder.size_limit(PATTERN_BYTES_MAX).dfa_size_limit(PATTERN_BYTES_MAX).build()
}

/// A pattern that must match the whole name.
///
/// # Errors
/// As [`compiled`].
pub(crate) fn compiled_whole(pattern: &str) -> Result<Regex, regex::Error> {
    // Apart first: `a)(b` is no pattern, but would be one between the added parentheses.
    compiled(pattern)?;
    compiled(&format!("^(?:{pattern})$"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_match_is_anchored_and_a_pattern_may_not_leave_its_group() {
        let whole = compiled_whole("a|b.").unwrap();
        assert!(whole.is_match("a") && whole.is_match("bx") && !whole.is_match("xa"));
        assert!(compiled_whole("a)(b").is_err());
        assert!(compiled("a").unwrap().is_match("xay"));
        assert!(compiled("(a{1000}){1000}").is_err());
    }
}
