//! What a scalar means before anybody knows which field it is for.
//!
//! Envoy types plain YAML scalars first and looks at the field afterwards, so that `name: yes` is a
//! boolean and does not fit a string field. These are its rules (yaml-cpp's `convert<bool>` and
//! `convert<int64_t>`, checked against Envoy 1.40): null, boolean, 64-bit integer, otherwise a
//! string. Plain floating-point numbers stay strings; proto3 JSON accepts those for number fields.

/// A typed scalar.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Scalar {
    Null,
    Bool(bool),
    Integer(i128),
    /// Only from JSON files: in YAML such a number stays a string.
    Double(f64),
    /// The value is the text beside it.
    String,
}

/// Types a YAML scalar that is plain, or that carries an explicit tag other than `!`.
///
/// Returns the type and, where Envoy rewrites the text, the new text: integers outside 32 bits
/// become strings of their decimal digits.
pub(crate) fn type_yaml(text: &str, is_plain_untagged: bool) -> (Scalar, Option<String>) {
    if is_plain_untagged && matches!(text, "" | "~" | "null" | "Null" | "NULL") {
        return (Scalar::Null, None);
    }
    if let Some(value) = yaml_bool(text) {
        return (Scalar::Bool(value), None);
    }
    match yaml_integer(text) {
        Some(value) if i32::try_from(value).is_ok() => (Scalar::Integer(i128::from(value)), None),
        Some(value) => (Scalar::String, Some(value.to_string())),
        None => (Scalar::String, None),
    }
}

/// Types a scalar of a JSON file that stands without quotes; `String` means it is no JSON.
pub(crate) fn type_json(text: &str) -> Scalar {
    match text {
        "null" => Scalar::Null,
        "true" => Scalar::Bool(true),
        "false" => Scalar::Bool(false),
        number if is_json_number(number) => match (number.parse::<i128>(), number.parse::<f64>()) {
            (Ok(integer), _) => Scalar::Integer(integer),
            (Err(_), Ok(double)) => Scalar::Double(double),
            (Err(_), Err(_)) => Scalar::String,
        },
        _ => Scalar::String,
    }
}

/// RFC 8259 section 6, and finite as a double.
fn is_json_number(text: &str) -> bool {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => {
            (mantissa, exponent.strip_prefix(['+', '-']).unwrap_or(exponent))
        }
        None => (unsigned, "0"),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, "0"));
    let are_digits =
        |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    are_digits(whole)
        && are_digits(fraction)
        && are_digits(exponent)
        && (whole.len() == 1 || !whole.starts_with('0'))
        && text.parse::<f64>().is_ok_and(f64::is_finite)
}

/// Lower case, upper case or a capital first letter: no other mixture is a boolean.
fn yaml_bool(text: &str) -> Option<bool> {
    let rest_is = |test: fn(&char) -> bool| text.chars().skip(1).all(|c| test(&c));
    let first_is_upper = text.starts_with(|c: char| c.is_ascii_uppercase());
    let is_flexible = if first_is_upper {
        rest_is(char::is_ascii_uppercase) || rest_is(char::is_ascii_lowercase)
    } else {
        rest_is(char::is_ascii_lowercase)
    };
    if !is_flexible {
        return None;
    }
    match text.to_ascii_lowercase().as_str() {
        "y" | "yes" | "true" | "on" => Some(true),
        "n" | "no" | "false" | "off" => Some(false),
        _ => None,
    }
}

/// A C integer literal: decimal, `0x` hexadecimal or `0` octal, with an optional sign.
fn yaml_integer(text: &str) -> Option<i64> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let lower = digits.to_ascii_lowercase();
    let (digits, radix) = match lower.strip_prefix("0x") {
        Some(hexadecimal) => (hexadecimal, 16),
        None if lower.len() > 1 && lower.starts_with('0') => (&lower[1..], 8),
        None => (lower.as_str(), 10),
    };
    // from_str_radix would take a second sign.
    if !digits.starts_with(|c: char| c.is_ascii_hexdigit()) {
        return None;
    }
    let magnitude = i128::from_str_radix(digits, radix).ok()?;
    i64::try_from(if negative { -magnitude } else { magnitude }).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each line was read back from Envoy 1.40's `/server_info`, given as `node.metadata`.
    #[test]
    fn plain_scalars_mean_what_they_mean_to_envoy() {
        let string = |text: &str| (Scalar::String, Some(text.to_owned()));
        let unchanged = (Scalar::String, None);
        let cases = [
            ("yes", (Scalar::Bool(true), None)),
            ("True", (Scalar::Bool(true), None)),
            ("TRUE", (Scalar::Bool(true), None)),
            ("Off", (Scalar::Bool(false), None)),
            ("N", (Scalar::Bool(false), None)),
            ("yEs", unchanged.clone()),
            ("123", (Scalar::Integer(123), None)),
            ("010", (Scalar::Integer(8), None)),
            ("+5", (Scalar::Integer(5), None)),
            ("-0", (Scalar::Integer(0), None)),
            ("-0x10", (Scalar::Integer(-16), None)),
            ("2147483647", (Scalar::Integer(2_147_483_647), None)),
            ("2147483648", string("2147483648")),
            ("0xFFFFFFFFFF", string("1099511627775")),
            ("9223372036854775807", string("9223372036854775807")),
            ("9223372036854775808", unchanged.clone()),
            ("1.5", unchanged.clone()),
            ("1e3", unchanged.clone()),
            ("08", unchanged.clone()),
            ("0x", unchanged.clone()),
            ("0x-1", unchanged.clone()),
            ("--1", unchanged.clone()),
            ("+", unchanged.clone()),
            ("1_000", unchanged.clone()),
            ("", (Scalar::Null, None)),
            ("~", (Scalar::Null, None)),
            ("null", (Scalar::Null, None)),
        ];
        for (text, expected) in cases {
            assert_eq!(type_yaml(text, true), expected, "{text:?}");
        }
        // An explicit tag keeps a null word from being null, and nothing else.
        assert_eq!(type_yaml("~", false), unchanged);
        assert_eq!(type_yaml("123", false), (Scalar::Integer(123), None));
    }

    #[test]
    fn json_numbers_keep_their_digits() {
        assert_eq!(type_json("18446744073709551615"), Scalar::Integer(18_446_744_073_709_551_615));
        assert_eq!(type_json("1e3"), Scalar::Double(1000.0));
        assert_eq!(type_json("null"), Scalar::Null);
        for word in
            ["yes", "inf", "NaN", "0x10", "~", "", "-", "1d", "01", "+1", "1.", ".1", "1e", "1e400"]
        {
            assert_eq!(type_json(word), Scalar::String, "{word:?}");
        }
    }
}
