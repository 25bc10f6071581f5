//! Numbers in decimal, without an allocation.

/// The numbers below 100 with two digits each.
const PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[b'0'; 2]; 100];
    let mut number: u8 = 0;
    while number < 100 {
        pairs[number as usize] = [b'0' + number / 10, b'0' + number % 10];
        number += 1;
    }
    pairs
};

/// The last two digits of a number.
#[inline]
fn pair(number: u64) -> [u8; 2] {
    PAIRS[(number % 100) as usize]
}

/// Appends a number in decimal.
#[inline]
pub(super) fn write_unsigned(number: u64, out: &mut Vec<u8>) {
    let width = match number {
        0..10 => 1,
        10..100 => 2,
        100..1000 => 3,
        _ => 4,
    };
    write_digits(number, width, b'0', out);
}

/// Appends a number in decimal, filled up to `width` characters with `fill` on the left.
#[inline]
pub(super) fn write_digits(number: u64, width: usize, fill: u8, out: &mut Vec<u8>) {
    // Most numbers of a line are short; what has a length that is known is stored, not copied.
    match (number, width, fill) {
        (0..10, 1, _) => out.push(pair(number)[1]),
        (0..100, 2, b'0') => out.extend_from_slice(&pair(number)),
        (0..1000, 3, b'0') => {
            let ([_, a], [b, c]) = (pair(number / 100), pair(number));
            out.extend_from_slice(&[a, b, c]);
        }
        (0..10_000, 4, b'0') => {
            let ([a, b], [c, d]) = (pair(number / 100), pair(number));
            out.extend_from_slice(&[a, b, c, d]);
        }
        _ => write_any(number, width, fill, out),
    }
}

fn write_any(mut number: u64, width: usize, fill: u8, out: &mut Vec<u8>) {
    // 20 digits hold every u64.
    let mut digits = [fill; 24];
    let mut start = digits.len();
    while number >= 10 {
        start -= 2;
        digits[start..start + 2].copy_from_slice(&pair(number));
        number /= 100;
    }
    // What is left has one digit, or is none if there were pairs only.
    if number > 0 || start == digits.len() {
        start -= 1;
        digits[start] = pair(number)[1];
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
        assert_eq!(written(|out| write_digits(7, 2, b'0', out)), "07");
        assert_eq!(written(|out| write_digits(2026, 4, b'0', out)), "2026");
        assert_eq!(written(|out| write_digits(12_345, 4, b'0', out)), "12345");
        assert_eq!(written(|out| write_digits(5, 9, b'0', out)), "000000005");
        for number in (0..20).flat_map(|power| {
            let power = 10_u64.pow(power);
            [power - 1, power, power + 1]
        }) {
            assert_eq!(written(|out| write_unsigned(number, out)), number.to_string());
            assert_eq!(written(|out| write_digits(number, 3, b' ', out)), format!("{number:3}"));
        }
        assert_eq!(written(|out| write_unsigned(u64::MAX, out)), u64::MAX.to_string());
    }
}
