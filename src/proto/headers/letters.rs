//! ASCII letters in lower case, a word at a time.
//!
//! Field names are too short for the vector loops of the standard library, and there are many of
//! them. The last word of a name may overlap the one before: that changes nothing.

/// Writes `source` in lower case to `target`, which is as long.
#[inline]
pub(super) fn lower(source: &[u8], target: &mut [u8]) {
    let length = source.len();
    let mut at = 0;
    while at < length {
        let start = at.min(length.saturating_sub(WORD));
        match (source[start..].first_chunk::<WORD>(), target[start..].first_chunk_mut::<WORD>()) {
            (Some(from), Some(to)) => {
                *to = lower_word(u64::from_le_bytes(*from)).to_le_bytes();
                at += WORD;
            }
            _ => {
                for (to, from) in target.iter_mut().zip(source) {
                    *to = from.to_ascii_lowercase();
                }
                return;
            }
        }
    }
}

/// Whether `source` in lower case is `text`, which is in lower case.
#[inline]
pub(super) fn equals(source: &[u8], text: &[u8]) -> bool {
    let length = text.len();
    if source.len() != length {
        return false;
    }
    let mut at = 0;
    while at < length {
        let start = at.min(length.saturating_sub(WORD));
        match (source[start..].first_chunk::<WORD>(), text[start..].first_chunk::<WORD>()) {
            (Some(left), Some(right)) => {
                if lower_word(u64::from_le_bytes(*left)) != u64::from_le_bytes(*right) {
                    return false;
                }
                at += WORD;
            }
            _ => return equals_short(source, text),
        }
    }
    true
}

/// [`equals`] for less than a word: as two halves, or byte by byte.
#[inline]
fn equals_short(source: &[u8], text: &[u8]) -> bool {
    let halves = |text: &[u8]| {
        let first = u32::from_le_bytes(*text.first_chunk()?);
        let last = u32::from_le_bytes(*text.last_chunk()?);
        Some(u64::from(first) | u64::from(last) << 32)
    };
    match (halves(source), halves(text)) {
        (Some(left), Some(right)) => lower_word(left) == right,
        _ => source.eq_ignore_ascii_case(text),
    }
}

/// Sets bit 5 of each byte from `A` to `Z`. The high bit of a byte tells in the sums whether its
/// lower seven bits are at least `A`, and above `Z`.
const fn lower_word(word: u64) -> u64 {
    const ONES: u64 = u64::from_le_bytes([1; WORD]);
    const HIGH: u64 = ONES << 7;
    let low = word & !HIGH;
    let at_least_a = low + ONES * (0x80 - b'A' as u64);
    let above_z = low + ONES * (0x7f - b'Z' as u64);
    let is_upper = at_least_a & !above_z & !word & HIGH;
    word | is_upper >> 2
}

const WORD: usize = size_of::<u64>();

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_lowered_and_nothing_else() {
        let all: Vec<u8> = (0..=u8::MAX).collect();
        for length in 0..40 {
            for part in all.windows(length.max(1)) {
                let part = &part[..length];
                let mut lowered = vec![0; length];
                lower(part, &mut lowered);
                assert_eq!(lowered, part.to_ascii_lowercase());
                assert!(equals(part, &lowered));
                for at in 0..length {
                    let mut other = lowered.clone();
                    other[at] ^= 1;
                    assert!(!equals(part, &other));
                }
            }
        }
        assert!(!equals(b"a", b"") && !equals(b"", b"a"));
    }
}
