//! Text forms of protobuf's well-known types, and of numbers and bytes, as proto3 JSON writes them.
//!
//! Rules and limits are those of protobuf's C++ JSON parser in its legacy mode, which is what Envoy
//! runs. Pure functions; the mapper adds places and hints.

/// Largest duration in proto3 JSON, either sign: about 10,000 years.
const DURATION_SECONDS_MAX: u64 = 3_652_500 * 86_400;

/// Seconds and nanoseconds of a `Duration`.
pub(crate) fn duration(text: &str) -> Result<(i64, i32), &'static str> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '-').unwrap_or(text.len());
    let (whole, rest) = text.split_at(end);
    if whole.is_empty() {
        return Err("a duration starts with a number of seconds");
    }
    let seconds: i64 = whole.parse().map_err(|_| "the seconds of the duration are no number")?;
    if seconds.unsigned_abs() > DURATION_SECONDS_MAX {
        return Err("the duration is out of range");
    }
    let (nanos, rest) = nanos(rest).ok_or("the fraction of the duration is no number")?;
    if rest != "s" {
        return Err("a duration ends with the unit 's'");
    }
    Ok((seconds, if whole.starts_with('-') { -nanos } else { nanos }))
}

/// Seconds since 1970 and nanoseconds of a `Timestamp` in RFC 3339 form.
pub(crate) fn timestamp(text: &str) -> Option<(i64, i32)> {
    let mut rest = text;
    let mut number = |digits: usize, after: &str| -> Option<i64> {
        let value = rest.get(..digits)?;
        if !value.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        rest = rest[digits..].strip_prefix(after)?;
        value.parse().ok()
    };
    let (year, month, day) = (number(4, "-")?, number(2, "-")?, number(2, "T")?);
    let (hour, minute, second) = (number(2, ":")?, number(2, ":")?, number(2, "")?);
    if year == 0 || month == 0 || day == 0 {
        return None;
    }
    let mut seconds =
        days_since_1970(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second;
    let (nanos, zone) = nanos(rest)?;
    if zone != "Z" {
        let sign = match zone.as_bytes().first()? {
            b'+' => -1,
            b'-' => 1,
            _ => return None,
        };
        let (hours, minutes) = zone.get(1..)?.split_once(':')?;
        if hours.len() != 2 || minutes.len() != 2 {
            return None;
        }
        let hours: u8 = hours.parse().ok()?;
        let minutes: u8 = minutes.parse().ok()?;
        seconds += sign * (i64::from(hours) * 60 + i64::from(minutes)) * 60;
    }
    Some((seconds, nanos))
}

/// Days from 1970-01-01 in the Gregorian calendar; a year here starts in March, so that the leap
/// day is its last.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let march_year = if month <= 2 { year - 1 } else { year };
    let march_month = (month + 9) % 12;
    let leap_days = march_year / 4 - march_year / 100 + march_year / 400;
    march_year * 365 + leap_days + (march_month * 153 + 2) / 5 + day - 1 - 719_468
}

/// `.123` at the start of `text` as nanoseconds, and what follows it.
fn nanos(text: &str) -> Option<(i32, &str)> {
    let Some(fraction) = text.strip_prefix('.') else {
        return Some((0, text));
    };
    let end = fraction.find(|c: char| !c.is_ascii_digit()).unwrap_or(fraction.len());
    let (digits, rest) = fraction.split_at(end);
    if digits.is_empty() || digits.len() > 9 {
        return None;
    }
    format!("{digits:0<9}").parse().ok().map(|nanos| (nanos, rest))
}

/// Paths of a `FieldMask`, turned from camelCase to the names in the schema.
pub(crate) fn field_mask(text: &str) -> Vec<String> {
    if text.is_empty() {
        return Vec::new();
    }
    let snake_case = |path: &str| {
        path.chars().fold(String::with_capacity(path.len() + 4), |mut snake, c| {
            if c.is_ascii_uppercase() {
                snake.push('_');
            }
            snake.push(c.to_ascii_lowercase());
            snake
        })
    };
    text.split(',').map(snake_case).collect()
}

/// An integer given as a string: decimal, hexadecimal with `0x`, or a number with an exponent or a
/// fraction of zeros (`1e3`, `80.0`), as Envoy 1.40 takes them.
pub(crate) fn integer(text: &str) -> Option<i128> {
    if let Ok(integer) = text.parse() {
        return Some(integer);
    }
    if let Some(digits) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        return i128::from(u64::from_str_radix(digits, 16).ok()?).into();
    }
    text.parse().ok().and_then(whole)
}

/// The integer that a floating-point number is, if it is one.
pub(crate) fn whole(number: f64) -> Option<i128> {
    // 2^53: beyond it a double no longer names one integer.
    let is_whole = number.fract() == 0.0 && number.abs() <= 9_007_199_254_740_992.0;
    is_whole.then(|| format!("{number:.0}").parse().ok()).flatten()
}

/// A floating-point number given as a string.
pub(crate) fn double(text: &str) -> Option<f64> {
    text.trim().parse().ok().or_else(|| integer(text.trim())?.to_string().parse().ok())
}

/// A boolean given as a string.
pub(crate) fn boolean(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "t" | "yes" | "y" | "1" => Some(true),
        "false" | "f" | "no" | "n" | "0" => Some(false),
        _ => None,
    }
}

/// Bytes in base64, standard or URL-safe alphabet, padding optional.
pub(crate) fn base64(text: &str) -> Option<Vec<u8>> {
    let digits = text.trim_end_matches('=');
    let padding = text.len() - digits.len();
    // Padding is optional, but where there is some it fills four.
    if padding > 2 || padding > 0 && !text.len().is_multiple_of(4) || digits.len() % 4 == 1 {
        return None;
    }
    #[cfg(planted = "config_base64")]
    assert!(digits.is_ascii(), "planted: only text of one byte per character was expected");
    let mut bytes = Vec::with_capacity(digits.len() / 4 * 3 + 2);
    let (mut pending, mut bits) = (0u32, 0u32);
    for digit in digits.bytes() {
        let value = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => return None,
        };
        pending = (pending << 6 | u32::from(value)) & 0x00ff_ffff;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push(u8::try_from(pending >> bits & 0xff).ok()?);
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_need_their_unit_and_keep_their_sign() {
        assert_eq!(duration("0.25s"), Ok((0, 250_000_000)));
        assert_eq!(duration("-0.5s"), Ok((0, -500_000_000)));
        assert_eq!(duration("3600s"), Ok((3600, 0)));
        assert!(duration("-1.000000001s").is_ok());
        for bad in ["3", "5 seconds", "1m", "s", "", ".5s", "1.s", "1.1234567891s", "--1s", "1ss"] {
            assert!(duration(bad).is_err(), "{bad:?}");
        }
        assert!(duration("315576000000s").is_ok());
        assert!(duration("315576000001s").is_err());
        assert!(duration("-9223372036854775808s").is_err());
    }

    #[test]
    fn timestamps_follow_the_calendar_and_the_zone() {
        assert_eq!(timestamp("1970-01-01T00:00:00Z"), Some((0, 0)));
        assert_eq!(timestamp("2000-02-29T12:00:00.5Z"), Some((951_825_600, 500_000_000)));
        assert_eq!(timestamp("2026-11-22T10:00:00+02:00"), Some((1_795_334_400, 0)));
        assert_eq!(timestamp("1969-12-31T23:59:59Z"), Some((-1, 0)));
        for bad in [
            "",
            "2026-11-22",
            "2026-11-22T10:00:00",
            "2026-11-22T10:00:00z",
            "2026-00-22T10:00:00Z",
        ] {
            assert_eq!(timestamp(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn base64_takes_both_alphabets_with_or_without_padding() {
        assert_eq!(base64("aGk="), Some(b"hi".to_vec()));
        assert_eq!(base64("aGk"), Some(b"hi".to_vec()));
        assert_eq!(base64("-_8"), Some(vec![0xfb, 0xff]));
        assert_eq!(base64(""), Some(Vec::new()));
        assert_eq!(base64("a"), None);
        assert_eq!(base64("a b="), None);
        for wrong_padding in ["aGk==", "aG=", "aGk=aGk=", "=="] {
            assert_eq!(base64(wrong_padding), None, "{wrong_padding:?}");
        }
    }

    /// Each was tried with Envoy 1.40 on a `UInt32Value`.
    #[test]
    fn integers_in_strings_take_every_form_envoy_takes() {
        let good = [("80", 80), ("+80", 80), ("00080", 80), ("-0", 0), ("1e3", 1000), ("80.0", 80)];
        for (text, expected) in good {
            assert_eq!(integer(text), Some(expected), "{text:?}");
        }
        assert_eq!(integer("0x4E20"), Some(20_000));
        for bad in [" 80", "80 ", "1.5", "0x", "0x-1", "inf", "nan", "1e400", "0b1", "1_0", ""] {
            assert_eq!(integer(bad), None, "{bad:?}");
        }
        assert_eq!(double("0x10"), Some(16.0));
        assert_eq!(double(" 80"), Some(80.0));
        assert_eq!(double(".inf"), None);
    }

    #[test]
    fn field_masks_turn_to_schema_names() {
        assert_eq!(field_mask("aB.c,dEf"), ["a_b.c", "d_ef"]);
        assert!(field_mask("").is_empty());
    }
}
