//! Fuzz target: any bytes as the header blocks of one connection.
//!
//! What must hold: a slow reading from RFC 7541 finds the same fields, refuses the same blocks, and
//! has the same table behind them.
#![no_main]
#![forbid(unsafe_code)]

mod http2;

use proto::http2::hpack::Decoder;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let (blocks, cuts) = http2::cuts(bytes);
    let (mut decoder, mut slow) = (Decoder::new(), http2::SlowDecoder::default());
    for block in http2::pieces(blocks, &cuts) {
        let mut fields = Vec::new();
        let decoded = decoder.decode(block, TEXT_MAX, |field| {
            fields.push((field.name.to_vec(), field.value.to_vec(), field.is_never_indexed));
        });
        let expected = slow.decode(block, TEXT_MAX);
        assert_eq!(decoded.is_ok(), expected.is_some(), "{decoded:?}");
        let Some(expected) = expected else {
            return;
        };
        assert_eq!(fields, expected);
        assert_eq!((decoder.table_len(), decoder.table_size()), (slow.table.len(), slow.size()));
    }
});

const TEXT_MAX: usize = 600;
