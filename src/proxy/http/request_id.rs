//! `x-request-id`: a random UUID of version 4, RFC 9562 section 5.4.
//!
//! Envoy keeps its tracing decision in the version's digit, 4 meaning "not traced"; nothing traces
//! here yet, so what is made is plain version 4.

/// Bytes of a UUID as text.
pub(crate) const UUID_BYTES: usize = 36;

/// The UUID that these random bits make.
pub(crate) fn uuid(random: u128) -> [u8; UUID_BYTES] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut bytes = random.to_be_bytes();
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let mut text = [b'-'; UUID_BYTES];
    let mut place = 0;
    for (index, byte) in bytes.into_iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            place += 1;
        }
        text[place] = DIGITS[usize::from(byte >> 4)];
        text[place + 1] = DIGITS[usize::from(byte & 0x0f)];
        place += 2;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_and_variant_are_set_and_all_else_is_random() {
        assert_eq!(&uuid(0), b"00000000-0000-4000-8000-000000000000");
        assert_eq!(&uuid(u128::MAX), b"ffffffff-ffff-4fff-bfff-ffffffffffff");
        let text = uuid(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef);
        assert_eq!(&text, b"01234567-89ab-4def-8123-456789abcdef");
    }
}
