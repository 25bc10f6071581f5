//! Wall-clock times in a log line: Envoy's `DateFormatter`, for UTC.
//!
//! The conversions are those of `strftime(3)` in the C locale, Envoy's `%f`, `%3f` and `%s`, and
//! the `%E` extensions of the library that Envoy uses. What Envoy leaves standing as it is (`%Q`,
//! `%12f` aside) we leave standing too. A format is compiled once; printing is arithmetic.
//!
//! Local time is not supported yet: it needs the host's time zone rules.

use std::time::{SystemTime, UNIX_EPOCH};

use super::digits::{write_digits, write_unsigned};
use super::error::FormatError;
use super::text::write_literal;

/// A compiled time format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TimeFormat {
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Literal(String),
    Number {
        field: Field,
        width: usize,
        pad: Pad,
    },
    WeekdayName {
        short: bool,
    },
    MonthName {
        short: bool,
    },
    Meridiem {
        upper: bool,
    },
    /// Digits of the fraction of the second.
    Fraction {
        digits: usize,
    },
    /// As many digits of the fraction as it has: `.25` behind seconds, or `25` by itself, where
    /// none is `0`.
    ShortestFraction {
        behind_seconds: bool,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Year,
    Century,
    YearOfCentury,
    IsoYear,
    IsoYearOfCentury,
    Month,
    Day,
    Hour,
    Hour12,
    Minute,
    Second,
    DayOfYear,
    WeekdayFromMonday,
    WeekdayFromSunday,
    WeekFromSunday,
    WeekFromMonday,
    IsoWeek,
    EpochSeconds,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pad {
    Zero,
    Space,
    None,
}

/// What `%START_TIME%` prints when no format is given.
const DEFAULT: &str = "%Y-%m-%dT%H:%M:%E3SZ";

/// A time zone's offset, for UTC.
const OFFSET: &str = "+0000";
const OFFSET_COLON: &str = "+00:00";
const OFFSET_SECONDS: &str = "+00:00:00";

impl TimeFormat {
    /// Compiles the argument of `%START_TIME(..)%`; an empty one means Envoy's default.
    pub(super) fn parse(format: &str, position: usize) -> Result<Self, FormatError> {
        let mut pieces = Pieces(Vec::new());
        pieces.parse(if format.is_empty() { DEFAULT } else { format }, position)?;
        Ok(Self { pieces: pieces.0 })
    }

    /// Appends `time`; times before 1970 print as 1970.
    pub(super) fn write(&self, time: SystemTime, out: &mut Vec<u8>) {
        let time = Civil::from(time);
        for piece in &self.pieces {
            piece.write(&time, out);
        }
    }
}

struct Pieces(Vec<Piece>);

impl Pieces {
    fn parse(&mut self, format: &str, position: usize) -> Result<(), FormatError> {
        let mut rest = format;
        while let Some(at) = rest.find('%') {
            let (before, conversion) = rest.split_at(at);
            self.literal(before);
            rest = self.conversion(conversion, position)?;
        }
        self.literal(rest);
        Ok(())
    }

    fn literal(&mut self, text: &str) {
        if let Some(Piece::Literal(last)) = self.0.last_mut() {
            last.push_str(text);
        } else if !text.is_empty() {
            self.0.push(Piece::Literal(text.to_owned()));
        }
    }

    /// Reads one conversion at the start of `text`, which begins with `%`; answers what follows.
    fn conversion<'t>(&mut self, text: &'t str, position: usize) -> Result<&'t str, FormatError> {
        let after = &text[1..];
        if let Some(rest) = self.envoys(after).or_else(|| self.extended(after)) {
            return Ok(rest);
        }
        let flags_end = after.find(|c| !matches!(c, '-' | '_' | '0' | '^' | '#')).unwrap_or(0);
        let (flags, rest) = after.split_at(flags_end);
        let has_width = rest.starts_with(|c: char| c.is_ascii_digit());
        // `%E` and `%O` before a conversion ask for another calendar, which the C locale lacks.
        let plain = strip_modifier(rest);
        let Some(letter) = plain.chars().next() else {
            self.literal(text);
            return Ok("");
        };
        if letter == 'n' {
            let text = "Invalid header configuration. Format string contains newline.";
            return Err(FormatError::invalid(position, text));
        }
        let pad = match flags {
            "" => None,
            "-" => Some(Pad::None),
            "_" => Some(Pad::Space),
            "0" => Some(Pad::Zero),
            _ => return Err(unusual(text, position)),
        };
        if has_width {
            return Err(unusual(text, position));
        }
        let rest = &plain[letter.len_utf8()..];
        if !self.letter(letter, pad)? {
            self.literal(&text[..text.len() - rest.len()]);
        }
        Ok(rest)
    }

    /// `%f`, `%3f`, `%s`: Envoy looks for these before it asks its library.
    fn envoys<'t>(&mut self, after: &'t str) -> Option<&'t str> {
        let (digits, rest) = match after.as_bytes() {
            [digit @ b'1'..=b'9', ..] => (Some(usize::from(digit - b'0')), &after[1..]),
            _ => (None, after),
        };
        if let Some(rest) = rest.strip_prefix('f') {
            self.0.push(Piece::Fraction { digits: digits.unwrap_or(9) });
            return Some(rest);
        }
        let rest = rest.strip_prefix('s')?;
        self.number(Field::EpochSeconds, 1, Pad::None);
        Some(rest)
    }

    /// `%Ez`, `%E3S`, `%E*f` and the like.
    fn extended<'t>(&mut self, after: &'t str) -> Option<&'t str> {
        for (name, text) in [
            ("::z", OFFSET_SECONDS),
            (":z", OFFSET_COLON),
            ("Ez", OFFSET_COLON),
            ("E*z", OFFSET_SECONDS),
            ("ET", "T"),
        ] {
            if let Some(rest) = after.strip_prefix(name) {
                self.literal(text);
                return Some(rest);
            }
        }
        if let Some(rest) = after.strip_prefix("E4Y") {
            self.number(Field::Year, 4, Pad::Zero);
            return Some(rest);
        }
        if let Some(rest) = after.strip_prefix("E*S") {
            self.number(Field::Second, 2, Pad::Zero);
            self.0.push(Piece::ShortestFraction { behind_seconds: true });
            return Some(rest);
        }
        if let Some(rest) = after.strip_prefix("E*f") {
            self.0.push(Piece::ShortestFraction { behind_seconds: false });
            return Some(rest);
        }
        let digits_and_rest = after.strip_prefix('E')?;
        let end = digits_and_rest.find(|c: char| !c.is_ascii_digit())?;
        let (digits, rest) = digits_and_rest.split_at(end);
        let digits: usize = digits.parse().ok().filter(|digits| *digits <= 18)?;
        if let Some(rest) = rest.strip_prefix('S') {
            self.number(Field::Second, 2, Pad::Zero);
            if digits > 0 {
                self.literal(".");
                self.0.push(Piece::Fraction { digits });
            }
            return Some(rest);
        }
        let rest = rest.strip_prefix('f')?;
        self.0.push(Piece::Fraction { digits });
        Some(rest)
    }

    /// A conversion of `strftime(3)`; false if there is none of that letter.
    fn letter(&mut self, letter: char, pad: Option<Pad>) -> Result<bool, FormatError> {
        let numeric = match letter {
            'Y' => Some((Field::Year, 1, Pad::Zero)),
            'C' => Some((Field::Century, 2, Pad::Zero)),
            'y' => Some((Field::YearOfCentury, 2, Pad::Zero)),
            'G' => Some((Field::IsoYear, 1, Pad::Zero)),
            'g' => Some((Field::IsoYearOfCentury, 2, Pad::Zero)),
            'm' => Some((Field::Month, 2, Pad::Zero)),
            'd' => Some((Field::Day, 2, Pad::Zero)),
            'e' => Some((Field::Day, 2, Pad::Space)),
            'H' => Some((Field::Hour, 2, Pad::Zero)),
            'k' => Some((Field::Hour, 2, Pad::Space)),
            'I' => Some((Field::Hour12, 2, Pad::Zero)),
            'l' => Some((Field::Hour12, 2, Pad::Space)),
            'M' => Some((Field::Minute, 2, Pad::Zero)),
            'S' => Some((Field::Second, 2, Pad::Zero)),
            'j' => Some((Field::DayOfYear, 3, Pad::Zero)),
            'u' => Some((Field::WeekdayFromMonday, 1, Pad::Zero)),
            'w' => Some((Field::WeekdayFromSunday, 1, Pad::Zero)),
            'U' => Some((Field::WeekFromSunday, 2, Pad::Zero)),
            'W' => Some((Field::WeekFromMonday, 2, Pad::Zero)),
            'V' => Some((Field::IsoWeek, 2, Pad::Zero)),
            _ => None,
        };
        if let Some((field, width, usual)) = numeric {
            self.number(field, width, pad.unwrap_or(usual));
            return Ok(true);
        }
        match letter {
            'a' => self.0.push(Piece::WeekdayName { short: true }),
            'A' => self.0.push(Piece::WeekdayName { short: false }),
            'b' | 'h' => self.0.push(Piece::MonthName { short: true }),
            'B' => self.0.push(Piece::MonthName { short: false }),
            'p' => self.0.push(Piece::Meridiem { upper: true }),
            'P' => self.0.push(Piece::Meridiem { upper: false }),
            'z' => self.literal(OFFSET),
            'Z' => self.literal("UTC"),
            't' => self.literal("\t"),
            '%' => self.literal("%"),
            'F' => self.parse("%Y-%m-%d", 0)?,
            'D' | 'x' => self.parse("%m/%d/%y", 0)?,
            'T' | 'X' => self.parse("%H:%M:%S", 0)?,
            'R' => self.parse("%H:%M", 0)?,
            'r' => self.parse("%I:%M:%S %p", 0)?,
            'c' => self.parse("%a %b %e %H:%M:%S %Y", 0)?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn number(&mut self, field: Field, width: usize, pad: Pad) {
        self.0.push(Piece::Number { field, width, pad });
    }
}

fn strip_modifier(text: &str) -> &str {
    let of = |letters: &str, rest: &str| rest.starts_with(|c| letters.contains(c));
    match text.as_bytes().first() {
        Some(b'E') if of("cCxXyYn", &text[1..]) => &text[1..],
        Some(b'O') if of("deHImMSuUVwWyn", &text[1..]) => &text[1..],
        _ => text,
    }
}

fn unusual(conversion: &str, position: usize) -> FormatError {
    let shown: String = conversion.chars().take(6).collect();
    FormatError::not_yet(position, format!("the flags or width of the conversion at '{shown}'"))
}

impl Piece {
    fn write(&self, time: &Civil, out: &mut Vec<u8>) {
        match self {
            Self::Literal(text) => write_literal(text, out),
            Self::Number { field, width, pad } => match pad {
                Pad::Zero => write_digits(time.field(*field), *width, b'0', out),
                Pad::Space => write_digits(time.field(*field), *width, b' ', out),
                Pad::None => write_unsigned(time.field(*field), out),
            },
            Self::WeekdayName { short } => write_name(WEEKDAYS, time.weekday, *short, out),
            Self::MonthName { short } => write_name(MONTHS, time.month - 1, *short, out),
            Self::Meridiem { upper } => out.extend_from_slice(match (time.hour < 12, upper) {
                (true, true) => b"AM",
                (false, true) => b"PM",
                (true, false) => b"am",
                (false, false) => b"pm",
            }),
            Self::Fraction { digits } => write_fraction(time.nanoseconds, *digits, out),
            Self::ShortestFraction { behind_seconds } => {
                let (mut shown, mut digits) = (time.nanoseconds, 9);
                while digits > 0 && shown.is_multiple_of(10) {
                    shown /= 10;
                    digits -= 1;
                }
                if *behind_seconds && digits > 0 {
                    out.push(b'.');
                } else if !behind_seconds && digits == 0 {
                    out.push(b'0');
                }
                write_fraction(time.nanoseconds, digits, out);
            }
        }
    }
}

fn write_fraction(nanoseconds: u64, digits: usize, out: &mut Vec<u8>) {
    let start = out.len();
    // Shorter is cut, not rounded; longer gets zeros.
    let shown = digits.min(9);
    let cut = u32::try_from(9 - shown).unwrap_or(0);
    write_digits(nanoseconds / 10_u64.pow(cut), shown, b'0', out);
    out.resize(start + digits, b'0');
}

fn write_name(names: &[&str], index: u64, short: bool, out: &mut Vec<u8>) {
    let name = usize::try_from(index).ok().and_then(|index| names.get(index)).unwrap_or(&"");
    out.extend_from_slice(if short {
        name.as_bytes().get(..3).unwrap_or_default()
    } else {
        name.as_bytes()
    });
}

const WEEKDAYS: &[&str] =
    &["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

const MONTHS: &[&str] = &[
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// A moment in the Gregorian calendar, UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Civil {
    epoch_seconds: u64,
    nanoseconds: u64,
    year: u64,
    /// From 1.
    month: u64,
    /// From 1.
    day: u64,
    hour: u64,
    minute: u64,
    second: u64,
    /// From Sunday, 0.
    weekday: u64,
    /// From 0.
    day_of_year: u64,
}

impl From<SystemTime> for Civil {
    fn from(time: SystemTime) -> Self {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        let epoch_seconds = since.as_secs();
        let (days, second_of_day) = (epoch_seconds / 86_400, epoch_seconds % 86_400);
        // Years that begin in March have their leap day last; eras of 400 years are all alike.
        let shifted = days + 719_468;
        let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_march_year =
            day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let march_month = (5 * day_of_march_year + 2) / 153;
        let day = day_of_march_year - (153 * march_month + 2) / 5 + 1;
        let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
        let year = era * 400 + year_of_era + u64::from(month <= 2);
        let leap = u64::from(is_leap(year));
        let before_march = [0, 31];
        let day_of_year = match month {
            1 | 2 => before_march[usize::from(month == 2)] + day - 1,
            _ => 59 + leap + day_of_march_year,
        };
        Self {
            epoch_seconds,
            nanoseconds: u64::from(since.subsec_nanos()),
            year,
            month,
            day,
            hour: second_of_day / 3600,
            minute: second_of_day / 60 % 60,
            second: second_of_day % 60,
            // 1970-01-01 was a Thursday.
            weekday: (days + 4) % 7,
            day_of_year,
        }
    }
}

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && !year.is_multiple_of(100) || year.is_multiple_of(400)
}

impl Civil {
    fn field(&self, field: Field) -> u64 {
        match field {
            Field::Year => self.year,
            Field::Century => self.year / 100,
            Field::YearOfCentury => self.year % 100,
            Field::IsoYear => self.iso_week().0,
            Field::IsoYearOfCentury => self.iso_week().0 % 100,
            Field::Month => self.month,
            Field::Day => self.day,
            Field::Hour => self.hour,
            Field::Hour12 => (self.hour + 11) % 12 + 1,
            Field::Minute => self.minute,
            Field::Second => self.second,
            Field::DayOfYear => self.day_of_year + 1,
            Field::WeekdayFromMonday => (self.weekday + 6) % 7 + 1,
            Field::WeekdayFromSunday => self.weekday,
            Field::WeekFromSunday => (self.day_of_year + 7 - self.weekday) / 7,
            Field::WeekFromMonday => (self.day_of_year + 7 - (self.weekday + 6) % 7) / 7,
            Field::IsoWeek => self.iso_week().1,
            Field::EpochSeconds => self.epoch_seconds,
        }
    }

    /// Year and week of ISO 8601: a week belongs to the year that has its Thursday.
    fn iso_week(&self) -> (u64, u64) {
        let from_monday = (self.weekday + 6) % 7;
        // The Thursday of this week, in days of this year; it may lie in a neighbour.
        let thursday = self.day_of_year + 3;
        let days = 365 + u64::from(is_leap(self.year));
        if thursday < from_monday {
            let last_year = 365 + u64::from(is_leap(self.year - 1));
            (self.year - 1, (last_year + thursday - from_monday) / 7 + 1)
        } else if thursday - from_monday >= days {
            (self.year + 1, 1)
        } else {
            (self.year, (thursday - from_monday) / 7 + 1)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn shown(format: &str, seconds: u64, nanoseconds: u32) -> String {
        let format = TimeFormat::parse(format, 0).unwrap();
        let mut out = Vec::new();
        format.write(UNIX_EPOCH + Duration::new(seconds, nanoseconds), &mut out);
        String::from_utf8(out).unwrap()
    }

    /// Each line is what Envoy 1.40 printed at 1795347586.357485.
    #[test]
    fn conversions_print_what_envoy_prints() {
        for (format, expected) in [
            ("", "2026-11-22T11:39:46.357Z"),
            ("%Y %m %d %H %M %S", "2026 11 22 11 39 46"),
            ("%z %Z %Ez %E*z %:z %::z", "+0000 UTC +00:00 +00:00:00 +00:00 +00:00:00"),
            ("%a %A %b %B %h", "Sun Sunday Nov November Nov"),
            (
                "%c|%D|%F|%T|%R|%r",
                "Sun Nov 22 11:39:46 2026|11/22/26|2026-11-22|11:39:46|11:39|11:39:46 AM",
            ),
            ("%x %X %p %P", "11/22/26 11:39:46 AM am"),
            ("%G-%V-%u %g %j %U %w %W %C %y", "2026-47-7 26 326 47 0 46 20 26"),
            ("%I %k %l %e", "11 11 11 22"),
            ("%s %1s %f %3f %6f", "1795347586 1795347586 357485000 357 357485"),
            ("%E3S %E*S %E0S %E12S", "46.357 46.357485 46 46.357485000000"),
            ("%E3f %E*f %E4Y %ET", "357 357485 2026 T"),
            ("%ES %Ey %Od %EY %Ec", "%ES 26 22 2026 Sun Nov 22 11:39:46 2026"),
            ("%Q %+ %i %L %N %q %v %O", "%Q %+ %i %L %N %q %v %O"),
            ("%% %t|", "% \t|"),
            ("%", "%"),
            ("x%", "x%"),
            ("%-d %_d", "22 22"),
            ("a%3fb%6fc%s", "a357b357485c1795347586"),
        ] {
            assert_eq!(shown(format, 1_795_347_586, 357_485_000), expected, "{format:?}");
        }
    }

    #[test]
    fn the_calendar_holds_at_its_edges() {
        for (seconds, expected) in [
            (0, "1970-01-01 001 4 1970-01"),
            (951_782_400, "2000-02-29 060 2 2000-09"),
            (978_220_800, "2000-12-31 366 0 2000-52"),
            (1_104_537_600, "2005-01-01 001 6 2004-53"),
            (1_230_681_600, "2008-12-31 366 3 2009-01"),
            (1_262_304_000, "2010-01-01 001 5 2009-53"),
            (4_107_542_400, "2100-03-01 060 1 2100-09"),
            (253_402_300_799, "9999-12-31 365 5 9999-52"),
        ] {
            assert_eq!(shown("%Y-%m-%d %j %w %G-%V", seconds, 0), expected, "{seconds}");
        }
        assert_eq!(shown("%E*S %E*f %I %l|%k|%e", 0, 0), "00 0 12 12| 0| 1");
        assert_eq!(shown("%-H %_H %-j", 0, 0), "0  0 1");
    }

    #[test]
    fn a_newline_is_invalid_and_an_unusual_width_is_not_supported_yet() {
        use super::super::FormatErrorKind::{Invalid, NotSupportedYet};
        for (format, kind) in [
            ("%n", Invalid),
            ("%En", Invalid),
            ("%-n", Invalid),
            ("%5Y", NotSupportedYet),
            ("%^a", NotSupportedYet),
        ] {
            assert_eq!(TimeFormat::parse(format, 7).unwrap_err().kind, kind, "{format}");
            assert_eq!(TimeFormat::parse(format, 7).unwrap_err().position, 7);
        }
    }
}
