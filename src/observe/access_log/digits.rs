//! Numbers in decimal, without an allocation.

/// Appends a number in decimal.
pub(super) fn write_unsigned(number: u64, out: &mut Vec<u8>) {
    write_digits(number, 1, b'0', out);
}

/// Appends a number in decimal, filled up to `width` characters with `fill` on the left.
pub(super) fn write_digits(mut number: u64, width: usize, fill: u8, out: &mut Vec<u8>) {
    // 20 digits hold every u64.
    let mut digits = [fill; 24];
    let mut start = digits.len();
    loop {
        start -= 1;
        // A remainder of 10 fits a byte.
        digits[start] = b'0' + u8::try_from(number % 10).unwrap_or(0);
        number /= 10;
        if number == 0 {
            break;
        }
    }
    let start = start.min(digits.len().saturating_sub(width));
    out.extend_from_slice(&digits[start..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn digits_are_padded_and_never_cut() {
        assert_eq!(written(|out| write_digits(7, 3, b'0', out)), "007");
        assert_eq!(written(|out| write_digits(7, 2, b' ', out)), " 7");
        assert_eq!(written(|out| write_digits(1234, 2, b'0', out)), "1234");
        assert_eq!(written(|out| write_unsigned(u64::MAX, out)), u64::MAX.to_string());
    }
}
