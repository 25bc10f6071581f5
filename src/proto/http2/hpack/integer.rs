//! Integers with a prefix: RFC 7541 section 5.1.
//!
//! **Invariant:** at most five octets are read behind the prefix, and no value above 32 bits is
//! accepted, so a peer cannot make a number overflow or endless.

/// Reads the integer at `at`, of whose first octet the low `prefix` bits belong to it. Returns the
/// value and where it ends.
///
/// # Errors
///
/// The block ends within it, or the value is above 32 bits.
#[inline]
pub(crate) fn decode(block: &[u8], at: usize, prefix: u32) -> Result<(u32, usize), InvalidInteger> {
    let mask = (1 << prefix) - 1;
    let first = u32::from(*block.get(at).ok_or(InvalidInteger)?) & mask;
    if first < mask {
        return Ok((first, at + 1));
    }
    decode_rest(block, at + 1, first)
}

fn decode_rest(block: &[u8], start: usize, first: u32) -> Result<(u32, usize), InvalidInteger> {
    let mut value = u64::from(first);
    for index in 0..OCTETS_MAX {
        let octet = *block.get(start + index).ok_or(InvalidInteger)?;
        value += u64::from(octet & 0x7f) << (7 * index);
        if octet & 0x80 == 0 {
            let value = u32::try_from(value).map_err(|_| InvalidInteger)?;
            return Ok((value, start + index + 1));
        }
    }
    Err(InvalidInteger)
}

/// No integer, or one that nobody needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct InvalidInteger;

/// Appends `value`; `pattern` is what the high bits of the first octet say.
#[inline]
pub(crate) fn encode(value: usize, prefix: u32, pattern: u8, out: &mut Vec<u8>) {
    let mask = (1_usize << prefix) - 1;
    if value < mask {
        out.push(pattern | low_byte(value));
        return;
    }
    out.push(pattern | low_byte(mask));
    let mut left = value - mask;
    while left >= 0x80 {
        out.push(low_byte(left) | 0x80);
        left >>= 7;
    }
    out.push(low_byte(left));
}

#[expect(clippy::cast_possible_truncation, reason = "only the low bits are wanted")]
const fn low_byte(value: usize) -> u8 {
    value as u8
}

/// Octets behind the prefix that a value of 32 bits may take.
const OCTETS_MAX: usize = 5;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_rfc_7541_appendix_c_1() {
        for (value, prefix, octets) in
            [(10, 5, &[0b01010][..]), (1337, 5, &[0b11111, 0b1001_1010, 0b1010]), (42, 8, &[42])]
        {
            let mut out = Vec::new();
            encode(value, prefix, 0, &mut out);
            assert_eq!(out, octets);
            assert_eq!(decode(octets, 0, prefix).map(|(it, _)| it as usize), Ok(value));
        }
    }

    #[test]
    fn every_prefix_carries_every_length_of_number() {
        for prefix in 1..=8 {
            for shift in 0..32 {
                for value in [(1_usize << shift) - 1, 1 << shift, (1 << shift) + 1] {
                    let mut out = vec![0xee];
                    encode(value, prefix, 0, &mut out);
                    let end = out.len();
                    out.push(0x55);
                    let (decoded, at) = decode(&out, 1, prefix).expect("we wrote it");
                    assert_eq!((decoded as usize, at), (value, end));
                    for length in 1..end {
                        assert_eq!(decode(&out[..length], 1, prefix), Err(InvalidInteger));
                    }
                }
            }
        }
    }

    #[test]
    fn numbers_above_32_bits_and_endless_ones_are_refused() {
        let max = [0x1f, 0xe0, 0xff, 0xff, 0xff, 0x0f];
        assert_eq!(decode(&max, 0, 5), Ok((u32::MAX, 6)));
        assert!(decode(&[0x1f, 0xe1, 0xff, 0xff, 0xff, 0x0f], 0, 5).is_err());
        assert!(decode(&[0x1f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f], 0, 5).is_err());
        assert!(decode(&[0x1f, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00], 0, 5).is_err());
        // Zeros at the end are allowed within five octets: RFC 7541 does not ask for the shortest.
        assert_eq!(decode(&[0x1f, 0x80, 0x00], 0, 5), Ok((31, 3)));
    }
}
