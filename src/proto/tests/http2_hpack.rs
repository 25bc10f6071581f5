//! Header blocks of another encoder: PyPI `hpack` 4.2.0, of six connections, with and without
//! Huffman strings, tables that change their size, and fields that must not be indexed.
//!
//! A line is `connection`, which starts with new tables, or a block and its fields, in hexadecimal
//! digits; `!` marks what must not be indexed. A line that begins with a tab goes on with the one
//! before.
#![forbid(unsafe_code)]

use nuncio_proto::http2::hpack::Decoder;

const BLOCKS: &str = include_str!("hpack-4.2.0-blocks.txt");

#[test]
fn blocks_of_another_encoder_are_read_as_it_meant_them() {
    let mut decoder = Decoder::new();
    let mut blocks = 0;
    let lines = BLOCKS.replace("\n\t", "");
    for line in lines.lines() {
        if line == "connection" {
            decoder = Decoder::new();
            continue;
        }
        let (block, expected) = line.split_once(' ').expect("a block and its fields");
        let mut fields = Vec::new();
        let decoded = decoder.decode(&bytes(block), 1000, |field| {
            let mark = if field.is_never_indexed { "!" } else { "" };
            fields.push(format!("{mark}{}={}", digits(field.name), digits(field.value)));
        });
        assert_eq!(decoded, Ok(()), "{line}");
        assert_eq!(fields.join("|"), expected);
        blocks += 1;
    }
    assert_eq!(blocks, 6 * 14);
}

fn bytes(digits: &str) -> Vec<u8> {
    let pair = |at| u8::from_str_radix(&digits[at..at + 2], 16).expect("they are digits");
    (0..digits.len()).step_by(2).map(pair).collect()
}

fn digits(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
