//! Random UUIDs, version 4: RFC 9562 section 5.4. The randomness is an argument.

use std::fmt;

/// A UUID as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Uuid([u8; UUID_BYTES]);

const UUID_BYTES: usize = 36;

impl Uuid {
    /// The UUID that these random bits make.
    #[must_use]
    pub fn from_random(random: u128) -> Self {
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
        Self(text)
    }

    /// Its 36 characters.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.0).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_and_variant_are_set_and_all_else_is_random() {
        let text = |random| Uuid::from_random(random).to_string();
        assert_eq!(text(0), "00000000-0000-4000-8000-000000000000");
        assert_eq!(text(u128::MAX), "ffffffff-ffff-4fff-bfff-ffffffffffff");
        let random = 0x0123_4567_89ab_cdef_0123_4567_89ab_cdef;
        assert_eq!(text(random), "01234567-89ab-4def-8123-456789abcdef");
        assert_eq!(Uuid::from_random(random).as_bytes(), text(random).as_bytes());
    }
}
