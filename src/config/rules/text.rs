//! Rules of strings and bytes.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use regex::Regex;

use super::{check_count, check_membership, pgv};
use crate::document::clipped;

/// Regular expressions that have been compiled, None for one that cannot be.
#[derive(Debug, Default)]
pub(super) struct Patterns(HashMap<String, Option<Regex>>);

impl Patterns {
    /// Whether the whole of `text` matches, as RE2's `FullMatch`. Linear in the length of `text`.
    fn is_match(&mut self, pattern: &str, text: &str) -> bool {
        if !self.0.contains_key(pattern) {
            let whole = Regex::new(&format!(r"\A(?:{pattern})\z")).ok();
            self.0.insert(pattern.to_owned(), whole);
        }
        let regex = self.0.get(pattern).and_then(Option::as_ref);
        regex.is_none_or(|regex| regex.is_match(text))
    }
}

/// Why `value` breaks the rules.
pub(super) fn check_string(
    rules: &pgv::StringRules,
    value: &str,
    patterns: &mut Patterns,
) -> Option<String> {
    if rules.ignore_empty() && value.is_empty() {
        return None;
    }
    if let Some(wanted) = rules.r#const.as_ref().filter(|wanted| *wanted != value) {
        return Some(format!("value must be \"{wanted}\""));
    }
    let chars = value.chars().count();
    let of = |text: &str, fits: bool, affix: &str| {
        (!fits).then(|| format!("value \"{}\" must {text} \"{affix}\"", clipped(value)))
    };
    check_count(chars, rules.len.or(rules.min_len), rules.len.or(rules.max_len), "character")
        .or_else(|| {
            let exact = rules.len_bytes;
            check_count(value.len(), exact.or(rules.min_bytes), exact.or(rules.max_bytes), "byte")
        })
        .or_else(|| {
            let affix = rules.prefix.as_ref()?;
            of("start with", value.starts_with(affix), affix)
        })
        .or_else(|| {
            let affix = rules.suffix.as_ref()?;
            of("end with", value.ends_with(affix), affix)
        })
        .or_else(|| {
            let part = rules.contains.as_ref()?;
            of("contain", value.contains(part), part)
        })
        .or_else(|| {
            let part = rules.not_contains.as_ref()?;
            of("not contain", !value.contains(part), part)
        })
        .or_else(|| {
            let pattern = rules.pattern.as_ref()?;
            of("match", patterns.is_match(pattern, value), pattern)
        })
        .or_else(|| check_membership(&value.to_owned(), &rules.r#in, &rules.not_in))
        .or_else(|| check_form(rules, value))
}

/// The well-known forms of strings.
fn check_form(rules: &pgv::StringRules, value: &str) -> Option<String> {
    use pgv::string_rules::WellKnown;

    let (is_asked, form, fits): (bool, &str, fn(&str) -> bool) = match rules.well_known? {
        WellKnown::Email(asked) => (asked, "an email address", is_email),
        WellKnown::Hostname(asked) => (asked, "a host name", is_hostname),
        WellKnown::Ip(asked) => (asked, "an IP address", is_ip),
        WellKnown::Ipv4(asked) => (asked, "an IPv4 address", |v| v.parse::<Ipv4Addr>().is_ok()),
        WellKnown::Ipv6(asked) => (asked, "an IPv6 address", |v| v.parse::<Ipv6Addr>().is_ok()),
        WellKnown::Uri(asked) => (asked, "an absolute URI", is_uri),
        WellKnown::UriRef(asked) => (asked, "a URI reference", is_uri_reference),
        WellKnown::Address(asked) => {
            (asked, "a host name or an IP address", |v| is_hostname(v) || is_ip(v))
        }
        WellKnown::Uuid(asked) => (asked, "a UUID", is_uuid),
        WellKnown::WellKnownRegex(form) => {
            let form = pgv::KnownRegex::try_from(form).unwrap_or(pgv::KnownRegex::Unknown);
            match (form, rules.strict()) {
                (pgv::KnownRegex::Unknown, _) => return None,
                (_, false) => (true, "without NUL, CR and LF", |v| !v.contains(['\0', '\n', '\r'])),
                (pgv::KnownRegex::HttpHeaderName, true) => (true, "a header name", is_header_name),
                (pgv::KnownRegex::HttpHeaderValue, true) => {
                    (true, "a header value", |v| v.chars().all(|c| c == '\t' || !is_control(c)))
                }
            }
        }
    };
    (is_asked && !fits(value)).then(|| format!("value \"{}\" must be {form}", clipped(value)))
}

fn is_control(c: char) -> bool {
    c.is_ascii_control()
}

/// The comma is in the range from `+` to `.` of the rule's own expression.
fn is_header_name(value: &str) -> bool {
    let name = value.strip_prefix(':').unwrap_or(value);
    !name.is_empty()
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "!#$%&'*+,-.^_|~`".contains(c))
}

fn is_ip(value: &str) -> bool {
    value.parse::<IpAddr>().is_ok()
}

/// RFC 1034 section 3.5, and digits may come first (RFC 1123 section 2.1).
fn is_hostname(value: &str) -> bool {
    let name = value.strip_suffix('.').unwrap_or(value);
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    name.len() <= 253 && name.split('.').all(is_label)
}

/// RFC 5321's length limits and RFC 5322's unquoted form.
fn is_email(value: &str) -> bool {
    let Some((local, host)) = value.rsplit_once('@') else {
        return false;
    };
    let is_atom =
        |atom: &str| !atom.is_empty() && atom.chars().all(|c| c.is_alphanumeric() || is_mark(c));
    value.len() <= 254 && local.len() <= 64 && local.split('.').all(is_atom) && is_hostname(host)
}

fn is_mark(c: char) -> bool {
    "!#$%&'*+-/=?^_`{|}~".contains(c)
}

/// RFC 3986 section 4.3: it begins with a scheme.
fn is_uri(value: &str) -> bool {
    let Some((scheme, _)) = value.split_once(':') else {
        return false;
    };
    scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
        && is_uri_reference(value)
}

/// RFC 3986 section 4.1, as far as characters go.
fn is_uri_reference(value: &str) -> bool {
    let escapes = value.split('%').skip(1);
    let is_escape = |rest: &str| {
        rest.get(..2).is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()))
    };
    escapes.into_iter().all(is_escape)
        && value.chars().all(|c| !c.is_ascii_control() && !" \"<>\\^`{|}".contains(c))
}

/// RFC 4122 section 3.
fn is_uuid(value: &str) -> bool {
    let lengths: Vec<usize> = value.split('-').map(str::len).collect();
    lengths == [8, 4, 4, 4, 12] && value.chars().all(|c| c == '-' || c.is_ascii_hexdigit())
}

/// Why `value` breaks the rules.
pub(super) fn check_bytes(
    rules: &pgv::BytesRules,
    value: &[u8],
    patterns: &mut Patterns,
) -> Option<String> {
    use pgv::bytes_rules::WellKnown;

    if rules.ignore_empty() && value.is_empty() {
        return None;
    }
    let exact = rules.len;
    if let Some(broken) =
        check_count(value.len(), exact.or(rules.min_len), exact.or(rules.max_len), "byte")
    {
        return Some(broken);
    }
    let shown = |bytes: &[u8]| bytes.escape_ascii().to_string();
    let contains = |part: &Vec<u8>| {
        part.is_empty() || value.windows(part.len()).any(|window| window == part.as_slice())
    };
    let (is_broken, text) = if let Some(wanted) = rules.r#const.as_ref().filter(|w| *w != value) {
        (true, format!("be \"{}\"", shown(wanted)))
    } else if let Some(affix) = rules.prefix.as_ref().filter(|a| !value.starts_with(a)) {
        (true, format!("start with \"{}\"", shown(affix)))
    } else if let Some(affix) = rules.suffix.as_ref().filter(|a| !value.ends_with(a)) {
        (true, format!("end with \"{}\"", shown(affix)))
    } else if let Some(part) = rules.contains.as_ref().filter(|part| !contains(part)) {
        (true, format!("contain \"{}\"", shown(part)))
    } else if !rules.r#in.is_empty() && !rules.r#in.iter().any(|one| one == value) {
        (true, "be in the list of what is allowed".to_owned())
    } else if rules.not_in.iter().any(|one| one == value) {
        (true, "not be in the list of what is forbidden".to_owned())
    } else if let Some(pattern) = &rules.pattern {
        let is_match = str::from_utf8(value).is_ok_and(|text| patterns.is_match(pattern, text));
        (!is_match, format!("match \"{pattern}\""))
    } else {
        match rules.well_known {
            Some(WellKnown::Ip(true)) => {
                (!matches!(value.len(), 4 | 16), "be an IP address: 4 or 16 bytes".to_owned())
            }
            Some(WellKnown::Ipv4(true)) => {
                (value.len() != 4, "be an IPv4 address: 4 bytes".to_owned())
            }
            Some(WellKnown::Ipv6(true)) => {
                (value.len() != 16, "be an IPv6 address: 16 bytes".to_owned())
            }
            _ => return None,
        }
    };
    is_broken.then(|| format!("value must {text}"))
}
