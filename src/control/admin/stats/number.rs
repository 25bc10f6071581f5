//! Numbers that are not whole, spelled as Envoy's pages spell them: each page uses another rule
//! of C and C++.

/// C's `%.<digits>g`: at most so many significant digits, no zeros at the end, an exponent where
/// the number is very large or small. Exact for any `digits`.
pub(super) fn general(value: f64, digits: usize) -> String {
    if !value.is_finite() {
        return not_finite(value);
    }
    let (mantissa, exponent) = scientific(format!("{value:.*e}", digits - 1));
    let wide = i32::try_from(digits).unwrap_or(i32::MAX);
    if exponent < -4 || exponent >= wide {
        return with_exponent(trimmed(&mantissa), exponent);
    }
    let decimals = usize::try_from(wide - 1 - exponent).unwrap_or(0);
    trimmed(&format!("{value:.decimals$}")).to_owned()
}

/// The fewest digits that read back as the same number, in the shorter of the two notations: what
/// C++'s `std::to_chars` gives, and Envoy's JSON.
pub(super) fn shortest(value: f64) -> String {
    if !value.is_finite() {
        return not_finite(value);
    }
    let (mantissa, exponent) = scientific(format!("{value:e}"));
    let (fixed, short) = (format!("{value}"), with_exponent(&mantissa, exponent));
    if short.len() < fixed.len() { short } else { fixed }
}

/// The fewest digits that read back as the same number, with an exponent from 10^16 on: what
/// `fmt` gives, and Envoy's text.
pub(super) fn plain(value: f64) -> String {
    if !value.is_finite() {
        return not_finite(value);
    }
    let (mantissa, exponent) = scientific(format!("{value:e}"));
    if (-4..16).contains(&exponent) {
        format!("{value}")
    } else {
        with_exponent(&mantissa, exponent)
    }
}

fn not_finite(value: f64) -> String {
    let text = if value.is_nan() {
        "nan"
    } else if value > 0.0 {
        "inf"
    } else {
        "-inf"
    };
    text.to_owned()
}

/// Mantissa and exponent of what Rust writes as `1.5e3`.
fn scientific(text: String) -> (String, i32) {
    match text.split_once('e').map(|(mantissa, exponent)| (mantissa, exponent.parse())) {
        Some((mantissa, Ok(exponent))) => (mantissa.to_owned(), exponent),
        _ => (text, 0),
    }
}

/// Two digits of the exponent at least, and always a sign, as C has it.
fn with_exponent(mantissa: &str, exponent: i32) -> String {
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.abs())
}

fn trimmed(number: &str) -> &str {
    if number.contains('.') { number.trim_end_matches('0').trim_end_matches('.') } else { number }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_spelled_as_by_envoy() {
        for (value, json, text, six, exact) in [
            (0.0, "0", "0", "0", "0"),
            (0.5, "0.5", "0.5", "0.5", "0.5"),
            (1050.0, "1050", "1050", "1050", "1050"),
            (300_000.0, "3e+05", "300000", "300000", "300000"),
            (1_800_000.0, "1800000", "1800000", "1.8e+06", "1800000"),
            (10_000.0, "10000", "10000", "10000", "10000"),
            (
                21.333_333_333_333_332,
                "21.333333333333332",
                "21.333333333333332",
                "21.3333",
                "21.333333333333332149095440399833",
            ),
            (2.05, "2.05", "2.05", "2.05", "2.049999999999999822364316059975"),
            (1e17, "1e+17", "1e+17", "1e+17", "100000000000000000"),
            (0.000_01, "1e-05", "1e-05", "1e-05", "1.0000000000000000818030539140313e-05"),
            (f64::NAN, "nan", "nan", "nan", "nan"),
        ] {
            assert_eq!(shortest(value), json);
            assert_eq!(plain(value), text);
            assert_eq!(general(value, 6), six);
            assert_eq!(general(value, 32), exact);
        }
    }
}
