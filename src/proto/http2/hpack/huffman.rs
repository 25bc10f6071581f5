//! The Huffman code of RFC 7541 appendix B.
//!
//! The code is canonical: within a length, codes ascend with their symbols, and shorter codes come
//! first. So the lengths are all there is to write down; codes and tables are made of them while
//! compiling. Symbols of up to eight bits, which is nearly all that heads consist of, are decoded
//! by one look into a table of 256 entries; longer ones by comparing with the first code of each
//! length.
//!
//! **Invariant:** a string has one decoding: the padding is less than a byte of the most
//! significant bits of EOS, and EOS itself is no symbol (RFC 7541 section 5.2).

/// Appends the decoded string to `out`.
///
/// # Errors
///
/// Padding of eight bits or more, or other than ones; EOS.
pub(crate) fn decode(source: &[u8], out: &mut Vec<u8>) -> Result<(), InvalidCode> {
    let start = out.len();
    // The shortest code has five bits.
    out.resize(start + source.len() * 8 / SHORTEST, 0);
    let written = decode_into(source, &mut out[start..])?;
    out.truncate(start + written);
    Ok(())
}

/// The string is not what an encoder may write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct InvalidCode;

/// Decodes to the start of `target`, which has room for a symbol of each five bits.
fn decode_into(source: &[u8], target: &mut [u8]) -> Result<usize, InvalidCode> {
    // The next bits, from the most significant on; what is behind them is zero.
    let mut bits: u64 = 0;
    let mut count: u32 = 0;
    let mut rest = source;
    let mut written = 0;
    loop {
        if count <= 32 {
            if let Some((word, behind)) = rest.split_first_chunk::<4>() {
                bits |= u64::from(u32::from_be_bytes(*word)) << (32 - count);
                count += 32;
                rest = behind;
            } else {
                while let Some((&byte, behind)) = rest.split_first() {
                    bits |= u64::from(byte) << (56 - count);
                    count += 8;
                    rest = behind;
                }
            }
        }
        let short = SHORT[(bits >> 56) as usize];
        let (symbol, length) = match short.length {
            0 => long_symbol(bits),
            length => (u16::from(short.symbol), u32::from(length)),
        };
        if length > count {
            break;
        }
        let symbol = u8::try_from(symbol).map_err(|_| InvalidCode)?;
        let place = target.get_mut(written).ok_or(InvalidCode)?;
        *place = symbol;
        written += 1;
        bits <<= length;
        count -= length;
    }
    // What is left is no symbol: padding.
    let is_ones = count == 0 || bits >> (64 - count) == (1 << count) - 1;
    let is_short = count < 8 || cfg!(planted = "http2_hpack_decode_long_padding");
    if is_short && is_ones { Ok(written) } else { Err(InvalidCode) }
}

/// A symbol of more than eight bits, and its length.
fn long_symbol(bits: u64) -> (u16, u32) {
    let code = (bits >> 32) as u32;
    let mut length = LONGER_THAN_TABLE;
    while length < LONGEST && code >= LIMITS[length + 1] {
        length += 1;
    }
    let first = if length == 0 { 0 } else { LIMITS[length] };
    let within = (code - first) >> (32 - length);
    let symbol = SYMBOLS[FIRST_OF_LENGTH[length] as usize + within as usize];
    #[expect(clippy::cast_possible_truncation, reason = "at most 30")]
    (symbol, length as u32)
}

/// Bytes of `source` once it is encoded.
pub(crate) fn encoded_len(source: &[u8]) -> usize {
    source.iter().map(|&byte| usize::from(LENGTHS[usize::from(byte)])).sum::<usize>().div_ceil(8)
}

/// Appends `source` encoded.
pub(crate) fn encode(source: &[u8], out: &mut Vec<u8>) {
    let mut bits: u64 = 0;
    let mut count: u32 = 0;
    for &byte in source {
        let length = u32::from(LENGTHS[usize::from(byte)]);
        bits = bits << length | u64::from(CODES[usize::from(byte)]);
        count += length;
        if count >= 32 {
            count -= 32;
            #[expect(clippy::cast_possible_truncation, reason = "the next 32 bits")]
            out.extend_from_slice(&((bits >> count) as u32).to_be_bytes());
        }
    }
    if count > 0 {
        let padding = (8 - count % 8) % 8;
        let ones =
            if cfg!(planted = "http2_differential_zero_padding") { 0 } else { (1 << padding) - 1 };
        let padded = bits << padding | ones;
        let bytes = (count + padding) / 8;
        for index in (0..bytes).rev() {
            #[expect(clippy::cast_possible_truncation, reason = "one byte after the other")]
            out.push((padded >> (8 * index)) as u8);
        }
    }
}

/// A symbol of at most eight bits; `length` is 0 where the bits begin a longer one.
#[derive(Clone, Copy)]
struct Short {
    symbol: u8,
    length: u8,
}

/// The end-of-string symbol.
const EOS: usize = 256;

const SHORTEST: usize = 5;
const LONGEST: usize = 30;

/// Bits that [`SHORT`] looks at.
const TABLE_BITS: usize = 8;

const LONGER_THAN_TABLE: usize = TABLE_BITS + 1;

/// Bits of the code of each symbol: RFC 7541 appendix B.
#[rustfmt::skip]
static LENGTHS: [u8; EOS + 1] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28,
    28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
    6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6,
    5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
    13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5,
    6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
    20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23,
    24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23,
    21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25,
    19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
    20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23,
    26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
    30,
];

/// The symbols in the order of their codes.
#[expect(clippy::cast_possible_truncation, reason = "symbols are at most 256")]
static SYMBOLS: [u16; EOS + 1] = {
    let mut symbols = [0; EOS + 1];
    let mut place = 0;
    let mut length = SHORTEST;
    while length <= LONGEST {
        let mut symbol: u16 = 0;
        while symbol <= EOS as u16 {
            if LENGTHS[symbol as usize] as usize == length {
                symbols[place] = symbol;
                place += 1;
            }
            symbol += 1;
        }
        length += 1;
    }
    assert!(place == EOS + 1);
    symbols
};

/// The code of each symbol, in its low bits.
static CODES: [u32; EOS + 1] = {
    let mut codes = [0; EOS + 1];
    let mut code: u32 = 0;
    let mut length = LENGTHS[SYMBOLS[0] as usize];
    let mut place = 0;
    while place <= EOS {
        let symbol = SYMBOLS[place] as usize;
        code <<= LENGTHS[symbol] - length;
        length = LENGTHS[symbol];
        codes[symbol] = code;
        code += 1;
        place += 1;
    }
    // A complete code ends with ones.
    assert!(code == 1 << LONGEST);
    codes
};

/// Of each length, the first code of that length or longer, in the high bits of a word.
static LIMITS: [u32; LONGEST + 1] = {
    let mut limits = [0; LONGEST + 1];
    let mut length = LONGEST;
    let mut place = EOS + 1;
    let mut first = 0;
    while length > 0 {
        while place > 0 && LENGTHS[SYMBOLS[place - 1] as usize] as usize >= length {
            place -= 1;
            let symbol = SYMBOLS[place] as usize;
            first = CODES[symbol] << (32 - LENGTHS[symbol]);
        }
        limits[length] = first;
        length -= 1;
    }
    limits
};

/// Of each length, where its symbols start in [`SYMBOLS`].
#[expect(clippy::cast_possible_truncation, reason = "places are at most 257")]
static FIRST_OF_LENGTH: [u16; LONGEST + 1] = {
    let mut firsts = [0; LONGEST + 1];
    let mut length = 0;
    let mut place = 0;
    while length <= LONGEST {
        while place <= EOS && (LENGTHS[SYMBOLS[place] as usize] as usize) < length {
            place += 1;
        }
        firsts[length] = place as u16;
        length += 1;
    }
    firsts
};

/// What eight bits begin with.
#[expect(clippy::cast_possible_truncation, reason = "symbols but EOS are bytes")]
static SHORT: [Short; 1 << TABLE_BITS] = {
    let mut table = [Short { symbol: 0, length: 0 }; 1 << TABLE_BITS];
    let mut symbol = 0;
    while symbol < EOS {
        let length = LENGTHS[symbol];
        if length as usize <= TABLE_BITS {
            let free = TABLE_BITS - length as usize;
            let first = (CODES[symbol] as usize) << free;
            let mut behind = 0;
            while behind < 1 << free {
                table[first + behind] = Short { symbol: symbol as u8, length };
                behind += 1;
            }
        }
        symbol += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(source: &[u8]) -> Result<Vec<u8>, InvalidCode> {
        let mut out = b"before".to_vec();
        decode(source, &mut out)?;
        Ok(out[6..].to_vec())
    }

    #[test]
    fn the_codes_are_those_of_appendix_b() {
        // One of each length, from the table in the RFC.
        let samples = [
            (b'0', 0x0, 5),
            (b'%', 0x15, 6),
            (b':', 0x5c, 7),
            (b'&', 0xf8, 8),
            (b'!', 0x3f8, 10),
            (b'\'', 0x7fa, 11),
            (b'#', 0xffa, 12),
            (b'$', 0x1ff9, 13),
            (b'^', 0x3ffc, 14),
            (b'<', 0x7ffc, 15),
            (b'\\', 0x7fff0, 19),
            (0x80, 0xfffe6, 20),
            (0x99, 0x1fffdc, 21),
            (0x81, 0x3fffd2, 22),
            (0x01, 0x7fffd8, 23),
            (0x09, 0xffffea, 24),
            (0xc7, 0x1ffffec, 25),
            (0xc0, 0x3ffffe0, 26),
            (0xcb, 0x7ffffde, 27),
            (0x02, 0xfffffe2, 28),
            (0x0a, 0x3fffffff - 3, 30),
        ];
        for (symbol, code, length) in samples {
            let at = usize::from(symbol);
            assert_eq!((CODES[at], LENGTHS[at]), (code, length), "{symbol}");
        }
        assert_eq!((CODES[EOS], LENGTHS[EOS]), (0x3fff_ffff, 30));
    }

    #[test]
    fn every_sequence_of_two_symbols_survives_and_every_triple_of_lengths() {
        let mut encoded = Vec::new();
        for first in 0..=u8::MAX {
            for second in 0..=u8::MAX {
                encoded.clear();
                encode(&[first, second], &mut encoded);
                assert_eq!(encoded.len(), encoded_len(&[first, second]));
                assert_eq!(decoded(&encoded).as_deref(), Ok(&[first, second][..]));
            }
        }
        // One symbol of each length, in all orders of three, so that each starts at each bit.
        let mut of_each_length: Vec<u8> = (0..=u8::MAX).collect();
        of_each_length.sort_by_key(|&symbol| LENGTHS[usize::from(symbol)]);
        of_each_length.dedup_by_key(|symbol| LENGTHS[usize::from(*symbol)]);
        for &first in &of_each_length {
            for &second in &of_each_length {
                for &third in &of_each_length {
                    let source = [first, second, third, first];
                    encoded.clear();
                    encode(&source, &mut encoded);
                    assert_eq!(decoded(&encoded).as_deref(), Ok(&source[..]));
                }
            }
        }
    }

    /// Decodes bit by bit, from the codes alone.
    fn decoded_slowly(source: &[u8]) -> Result<Vec<u8>, InvalidCode> {
        let (mut out, mut code, mut length) = (Vec::new(), 0_u32, 0_u8);
        for bit in source.iter().flat_map(|byte| (0..8).rev().map(move |at| byte >> at & 1)) {
            code = code << 1 | u32::from(bit);
            length += 1;
            let found = (0..=EOS).find(|&it| LENGTHS[it] == length && CODES[it] == code);
            match found {
                Some(EOS) => return Err(InvalidCode),
                Some(symbol) => {
                    out.push(u8::try_from(symbol).expect("EOS was looked at"));
                    (code, length) = (0, 0);
                }
                None => {}
            }
        }
        let is_padding = length < 8 && code == (1 << length) - 1;
        if is_padding { Ok(out) } else { Err(InvalidCode) }
    }

    #[test]
    fn three_bytes_of_any_kind_are_decoded_as_bit_by_bit() {
        for first in 0..=u8::MAX {
            for second in (0..=u8::MAX).step_by(3) {
                let source = [first, second, first.wrapping_mul(second)];
                assert_eq!(decoded(&source), decoded_slowly(&source), "{source:?}");
            }
            assert_eq!(decoded(&[first]), decoded_slowly(&[first]));
            let long = [0xff, 0xff, 0xff, first, first, 0xff, 0xfe, first, 0xff];
            assert_eq!(decoded(&long), decoded_slowly(&long), "{long:?}");
        }
    }

    #[test]
    fn padding_is_less_than_a_byte_of_ones() {
        // RFC 7541 section 5.2. 'a' is 00011.
        assert_eq!(decoded(&[0b0001_1111]).as_deref(), Ok(&b"a"[..]));
        assert_eq!(decoded(&[0b0001_1110]), Err(InvalidCode), "zeros");
        assert_eq!(decoded(&[0b0001_1000]), Err(InvalidCode), "zeros that begin a symbol");
        assert_eq!(decoded(&[0b0001_1111, 0xff]), Err(InvalidCode), "eleven bits");
        assert_eq!(decoded(&[0xff]), Err(InvalidCode), "eight bits");
        assert_eq!(decoded(&[0xff, 0xff, 0xff, 0xff]), Err(InvalidCode), "EOS and two bits");
        assert_eq!(decoded(&[]).as_deref(), Ok(&b""[..]));
    }
}
