//! Fuzz target: any fields through an encoder and a decoder, with limits that change.
//!
//! What must hold: the fields come out as they went in, with their marks; both tables are the same
//! size, and within the limit.
#![no_main]
#![forbid(unsafe_code)]

mod http2;

use proto::http2::hpack::{Decoder, Encoder, NameKind};

const NAMES: [&str; 12] = [
    "date",
    "server",
    "cookie",
    "authorization",
    "x-a",
    "x-longer-name",
    ":path",
    ":status",
    "content-length",
    "from",
    "etag",
    "x-b",
];

const LIMITS: [usize; 8] = [0, 32, 33, 70, 200, 1000, 4096, 10_000];

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some((&options, mut rest)) = bytes.split_first() else {
        return;
    };
    let cap = LIMITS[usize::from(options & 7)];
    let mut encoder = Encoder::new(cap, options & 8 == 0);
    let (mut decoder, mut slow) = (Decoder::new(), http2::SlowDecoder::default());
    let mut limit = 4096;
    while let Some((&count, behind)) = rest.split_first() {
        rest = behind;
        if count & 0x80 != 0 {
            // The peer allows something else. (It knows at once that we know.)
            limit = LIMITS[usize::from(count & 7)];
            encoder.set_peer_limit(limit);
            decoder.set_size_limit(limit);
            slow.limit = limit;
            if count & 0x40 != 0 {
                continue;
            }
        }
        let (mut block, mut expected) = (Vec::new(), Vec::new());
        encoder.start_block(&mut block);
        for _ in 0..count & 7 {
            let Some((&[what, length], behind)) = rest.split_first_chunk() else {
                break;
            };
            let (value, behind) = behind.split_at(usize::from(length).min(behind.len()));
            rest = behind;
            let name = NAMES[usize::from(what % 12)].as_bytes();
            let is_never = what & 0x80 != 0;
            encoder.encode(NameKind::of(name), name, value, is_never, &mut block);
            let is_secret = name == b"authorization" || name == b"cookie" && value.len() < 20;
            expected.push((name.to_vec(), value.to_vec(), is_never || is_secret));
        }
        let mut fields = Vec::new();
        decoder
            .decode(&block, 1000, |field| {
                fields.push((field.name.to_vec(), field.value.to_vec(), field.is_never_indexed));
            })
            .expect("we wrote it");
        assert_eq!(fields, expected);
        assert_eq!(slow.decode(&block, 1000), Some(fields), "as anybody else reads it");
        let size = (encoder.table_len(), encoder.table_size());
        assert_eq!(size, (decoder.table_len(), decoder.table_size()));
        assert_eq!(size, (slow.table.len(), slow.size()));
        assert!(size.1 <= limit.min(cap));
    }
});
