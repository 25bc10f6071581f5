//! The `date` header: RFC 9110 section 6.6.1, made once a second.

use std::cell::RefCell;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The date of the second that was asked for last.
#[derive(Debug, Default)]
pub(crate) struct DateCache {
    text: RefCell<(u64, [u8; DATE_BYTES])>,
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`
const DATE_BYTES: usize = 29;

impl DateCache {
    /// Calls `use_date` with the date of `now`.
    pub(crate) fn with(&self, now: SystemTime, use_date: impl FnOnce(&[u8])) {
        let since_epoch = now.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        let mut cached = self.text.borrow_mut();
        if cached.0 != since_epoch.as_secs() || cached.1[0] == 0 {
            *cached = (since_epoch.as_secs(), imf_fixdate(since_epoch.as_secs()));
        }
        use_date(&cached.1);
    }
}

fn imf_fixdate(seconds: u64) -> [u8; DATE_BYTES] {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil(days);
    let weekday = usize::try_from(days % 7).unwrap_or(0);
    let text = format!(
        "{}, {day:02} {} {year:04} {:02}:{:02}:{:02} GMT",
        DAYS[weekday],
        MONTHS[month - 1],
        second / 3600,
        second / 60 % 60,
        second % 60,
    );
    // A year of five digits would be cut: the clock is wrong by eight thousand years then.
    let mut date = [b' '; DATE_BYTES];
    let length = text.len().min(DATE_BYTES);
    date[..length].copy_from_slice(&text.as_bytes()[..length]);
    date
}

/// Year, month and day of a day since 1970, in the Gregorian calendar: years are counted from
/// March, so that the leap day is the last one.
fn civil(days: u64) -> (u64, usize, u64) {
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    (year, usize::try_from(month).unwrap_or(1), day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (seconds, expected) in [
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"),
            (4_107_542_399, "Sun, 28 Feb 2100 23:59:59 GMT"),
            (4_107_542_400, "Mon, 01 Mar 2100 00:00:00 GMT"),
        ] {
            assert_eq!(imf_fixdate(seconds), *expected.as_bytes(), "{expected}");
        }
    }

    #[test]
    fn the_cache_follows_the_clock_both_ways() {
        let cache = DateCache::default();
        for second in [1, 1, 2, 0] {
            let now = UNIX_EPOCH + Duration::from_millis(second * 1000 + 999);
            cache.with(now, |date| assert_eq!(*date, imf_fixdate(second)));
        }
    }
}
