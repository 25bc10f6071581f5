//! Which names and values a field may have: RFC 9113 section 8.2.1, as strict as Envoy 1.40.
//!
//! A field is judged once, when its text is read; a table entry keeps the verdict. White space
//! around a value is not judged here: Envoy takes it, and who appends the field cuts it off.

/// Whether `name` is a token without capital letters, or a pseudo name.
pub(crate) fn is_name(name: &[u8]) -> bool {
    let rest = name.strip_prefix(b":").unwrap_or(name);
    !rest.is_empty() && rest.iter().all(|&byte| NAME_BYTES[usize::from(byte)])
}

/// Whether `value` has no control characters but tabs.
#[inline]
pub(crate) fn is_value(value: &[u8]) -> bool {
    let (words, rest) = value.as_chunks::<WORD>();
    words.iter().all(|word| is_visible(u64::from_le_bytes(*word)) || are_value_bytes(word))
        && are_value_bytes(rest)
}

fn are_value_bytes(bytes: &[u8]) -> bool {
    bytes.iter().all(|&byte| byte >= b' ' && byte != 0x7f || byte == b'\t')
}

/// Whether all eight bytes are neither below space nor DEL; high bytes are looked at one by one.
const fn is_visible(word: u64) -> bool {
    let below_space = word.wrapping_sub(ONES * 0x20);
    let is_del = (word ^ (ONES * 0x7f)).wrapping_sub(ONES);
    (below_space | is_del | word) & (ONES << 7) == 0
}

/// Whether `text` is a token: RFC 9110 section 5.6.2. Case is free.
pub(crate) fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|&byte| is_token_byte(byte))
}

const fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        )
}

const WORD: usize = size_of::<u64>();

const ONES: u64 = u64::from_le_bytes([1; WORD]);

static NAME_BYTES: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0_u8;
    loop {
        table[byte as usize] = is_token_byte(byte) && !byte.is_ascii_uppercase();
        if byte == u8::MAX {
            break table;
        }
        byte += 1;
    }
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_is_judged_at_every_place_of_a_value() {
        for byte in 0..=u8::MAX {
            let is_allowed = matches!(byte, b'\t' | b' '..=0x7e | 0x80..);
            for length in 1..20 {
                for at in 0..length {
                    let mut value = vec![b'a'; length];
                    value[at] = byte;
                    assert_eq!(is_value(&value), is_allowed, "{byte:#x} at {at} of {length}");
                }
            }
        }
        assert!(is_value(b""));
    }

    #[test]
    fn names_are_tokens_in_lower_case() {
        for name in [&b"a"[..], b"x-y_z.1", b"!#$%&'*+-.^_`|~", b":path", b":"] {
            assert_eq!(is_name(name), name != b":");
        }
        for name in [&b""[..], b"A", b"a b", b"a:", b"::a", b"a\0", b"a\x80", b"(", b"a\r"] {
            assert!(!is_name(name), "{name:?}");
        }
    }
}
