//! Blocks with a known meaning, and blocks that have none.

use super::*;
use crate::http2::hpack::Encoder;

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits
        .chunks(2)
        .map(|pair| {
            u8::from_str_radix(std::str::from_utf8(pair).expect("it is ASCII"), 16)
                .expect("they are digits")
        })
        .collect()
}

fn decode(decoder: &mut Decoder, block: &[u8]) -> Result<Vec<String>, HpackError> {
    let mut fields = Vec::new();
    decoder.decode(block, 64 * 1024, |field| {
        fields.push(format!(
            "{}{}: {}",
            if field.is_never_indexed { "!" } else { "" },
            String::from_utf8_lossy(field.name),
            String::from_utf8_lossy(field.value)
        ));
    })?;
    Ok(fields)
}

/// The table as RFC 7541 appendix C prints it: newest first, then its size.
fn table(decoder: &Decoder) -> (Vec<String>, usize) {
    let table = &decoder.table;
    let lines = (0..table.len())
        .map(|index| {
            let (_, name, value) = table.get(index).expect("it is within the table");
            format!("{}: {}", String::from_utf8_lossy(name), String::from_utf8_lossy(value))
        })
        .collect();
    (lines, table.size())
}

/// Blocks of one connection, each with its fields and the table behind it.
struct Example {
    block: &'static str,
    fields: &'static [&'static str],
    table: &'static [&'static str],
    size: usize,
}

fn check(table_size: usize, examples: &[Example]) {
    let mut decoder = Decoder::new();
    decoder.table.set_size_max(table_size);
    for example in examples {
        let fields = decode(&mut decoder, &hex(example.block)).expect("it is an example");
        assert_eq!(fields, example.fields);
        let (lines, size) = table(&decoder);
        assert_eq!(
            (lines, size),
            (example.table.iter().map(|it| (*it).into()).collect(), example.size)
        );
    }
}

#[test]
fn appendix_c_2_single_fields() {
    check(
        4096,
        &[Example {
            block: "400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572",
            fields: &["custom-key: custom-header"],
            table: &["custom-key: custom-header"],
            size: 55,
        }],
    );
    check(
        4096,
        &[
            Example {
                block: "040c 2f73 616d 706c 652f 7061 7468",
                fields: &[":path: /sample/path"],
                table: &[],
                size: 0,
            },
            Example {
                block: "1008 7061 7373 776f 7264 0673 6563 7265 74",
                fields: &["!password: secret"],
                table: &[],
                size: 0,
            },
            Example { block: "82", fields: &[":method: GET"], table: &[], size: 0 },
        ],
    );
}

const REQUESTS: [&[&str]; 3] = [
    &[":method: GET", ":scheme: http", ":path: /", ":authority: www.example.com"],
    &[
        ":method: GET",
        ":scheme: http",
        ":path: /",
        ":authority: www.example.com",
        "cache-control: no-cache",
    ],
    &[
        ":method: GET",
        ":scheme: https",
        ":path: /index.html",
        ":authority: www.example.com",
        "custom-key: custom-value",
    ],
];

const REQUEST_TABLES: [(&[&str], usize); 3] = [
    (&[":authority: www.example.com"], 57),
    (&["cache-control: no-cache", ":authority: www.example.com"], 110),
    (&["custom-key: custom-value", "cache-control: no-cache", ":authority: www.example.com"], 164),
];

#[test]
fn appendix_c_3_and_c_4_requests() {
    let plain = [
        "8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
        "8286 84be 5808 6e6f 2d63 6163 6865",
        "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
    ];
    let huffman = [
        "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff",
        "8286 84be 5886 a8eb 1064 9cbf",
        "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
    ];
    for blocks in [plain, huffman] {
        let examples: Vec<Example> = (0..3)
            .map(|at| Example {
                block: blocks[at],
                fields: REQUESTS[at],
                table: REQUEST_TABLES[at].0,
                size: REQUEST_TABLES[at].1,
            })
            .collect();
        check(4096, &examples);
    }
}

#[test]
fn appendix_c_5_and_c_6_responses_in_a_table_of_256() {
    let plain = [
        "4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a
         3133 3a32 3120 474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
        "4803 3330 37c1 c0bf",
        "88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04
         677a 6970 7738 666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49
         553b 206d 6178 2d61 6765 3d33 3630 303b 2076 6572 7369 6f6e 3d31",
    ];
    let huffman = [
        "4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e
         919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3",
        "4883 640e ffc1 c0bf",
        "88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7
         821d d7f2 e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed
         4ee5 b106 3d50 07",
    ];
    let fields: [&[&str]; 3] = [
        &[
            ":status: 302",
            "cache-control: private",
            "date: Mon, 21 Oct 2013 20:13:21 GMT",
            "location: https://www.example.com",
        ],
        &[
            ":status: 307",
            "cache-control: private",
            "date: Mon, 21 Oct 2013 20:13:21 GMT",
            "location: https://www.example.com",
        ],
        &[
            ":status: 200",
            "cache-control: private",
            "date: Mon, 21 Oct 2013 20:13:22 GMT",
            "location: https://www.example.com",
            "content-encoding: gzip",
            "set-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1",
        ],
    ];
    let tables: [(&[&str], usize); 3] = [
        (
            &[
                "location: https://www.example.com",
                "date: Mon, 21 Oct 2013 20:13:21 GMT",
                "cache-control: private",
                ":status: 302",
            ],
            222,
        ),
        (
            &[
                ":status: 307",
                "location: https://www.example.com",
                "date: Mon, 21 Oct 2013 20:13:21 GMT",
                "cache-control: private",
            ],
            222,
        ),
        (
            &[
                "set-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1",
                "content-encoding: gzip",
                "date: Mon, 21 Oct 2013 20:13:22 GMT",
            ],
            215,
        ),
    ];
    for blocks in [plain, huffman] {
        let examples: Vec<Example> = (0..3)
            .map(|at| Example {
                block: blocks[at],
                fields: fields[at],
                table: tables[at].0,
                size: tables[at].1,
            })
            .collect();
        check(256, &examples);
    }
}

/// What a fresh decoder says to a block.
fn fault(block: &str) -> Option<HpackError> {
    decode(&mut Decoder::new(), &hex(block)).err()
}

#[test]
fn blocks_without_a_meaning() {
    // Section 6.1: the index 0 is an error; 2.3.3: so is one behind the tables.
    assert_eq!(fault("80"), Some(HpackError::InvalidIndex));
    assert_eq!(fault("be"), Some(HpackError::InvalidIndex));
    assert_eq!(fault("40 0161 0162 be"), None);
    assert_eq!(fault("40 0161 0162 bf"), Some(HpackError::InvalidIndex));
    assert_eq!(fault("7f 00 0162"), Some(HpackError::InvalidIndex));
    assert_eq!(fault("ff ffff ff0f"), Some(HpackError::InvalidIndex));
    // 5.1: an integer that does not end, or has no room.
    assert_eq!(fault("ff"), Some(HpackError::InvalidInteger));
    assert_eq!(fault("ff 8080 8080 8001"), Some(HpackError::InvalidInteger));
    assert_eq!(fault("40"), Some(HpackError::InvalidInteger));
    // 5.2: a string that the block cuts, or that is no code.
    assert_eq!(fault("40 0361"), Some(HpackError::Truncated));
    assert_eq!(fault("40 0161 0261"), Some(HpackError::Truncated));
    assert_eq!(fault("40 0161"), Some(HpackError::InvalidInteger));
    assert_eq!(fault("00 0161 82 1fff"), Some(HpackError::InvalidHuffman));
    assert_eq!(fault("00 0161 84 ffff ffff"), Some(HpackError::InvalidHuffman));
    assert_eq!(fault("00 0161 81 18"), Some(HpackError::InvalidHuffman));
    // 4.2: size updates come first; 6.3: within the limit.
    assert_eq!(fault("82 20"), Some(HpackError::LateSizeUpdate));
    assert_eq!(fault("20 3fe1 1f 82"), None);
    assert_eq!(fault("3fe2 1f 82"), Some(HpackError::SizeUpdateTooLarge));
    assert_eq!(fault(""), None);
}

#[test]
fn a_smaller_table_must_be_announced_by_the_peer() {
    // Section 4.2.
    let mut decoder = Decoder::new();
    decode(&mut decoder, &hex("40 0161 0162")).expect("it is valid");
    decoder.set_size_limit(100);
    let mut other = Decoder::new();
    other.set_size_limit(100);
    assert_eq!(decode(&mut other, &hex("82")), Err(HpackError::MissingSizeUpdate));
    assert_eq!(decode(&mut decoder, &hex("3f46 82")), Err(HpackError::SizeUpdateTooLarge));
    let mut decoder = Decoder::new();
    decoder.set_size_limit(100);
    assert!(decode(&mut decoder, &hex("3f45 82")).is_ok());
    assert!(decode(&mut decoder, &hex("82")).is_ok(), "once is enough");
    // A larger one need not be used, but may be.
    decoder.set_size_limit(8192);
    assert!(decode(&mut decoder, &hex("82")).is_ok());
    assert!(decode(&mut decoder, &hex("3fe1 3f 82")).is_ok());
}

#[test]
fn a_text_has_a_limit_of_its_own() {
    let mut decoder = Decoder::new();
    let block = hex("00 0161 03626262");
    assert!(decoder.decode(&block, 3, |_| {}).is_ok());
    assert_eq!(decoder.decode(&block, 2, |_| {}), Err(HpackError::TextTooLong));
}

#[test]
fn a_name_may_come_from_an_entry_that_leaves_for_it() {
    // Section 4.4: the name is that of the entry, though the new one has no room beside it.
    let mut decoder = Decoder::new();
    decoder.table.set_size_max(40);
    assert!(decode(&mut decoder, &hex("40 0161 0162")).is_ok());
    assert_eq!(decode(&mut decoder, &hex("7e 0163")), Ok(vec!["a: c".into()]));
    assert_eq!(table(&decoder), (vec!["a: c".into()], 34));
    // And when it has no room at all.
    assert_eq!(
        decode(&mut decoder, &hex("7e 0863 6363 6363 6363 63")),
        Ok(vec!["a: cccccccc".into()])
    );
    assert_eq!(table(&decoder), (vec![], 0));
}

#[test]
fn an_invalid_field_stays_invalid_in_the_table() {
    // RFC 9113 section 8.2.1: whether a field is malformed does not depend on its representation.
    for (block, is_valid) in
        [("40 0141 0162", false), ("40 0161 0100", false), ("40 0161 0162", true)]
    {
        let mut decoder = Decoder::new();
        let mut verdicts = Vec::new();
        let block = [hex(block), hex("be")].concat();
        decoder.decode(&block, 100, |field| verdicts.push(field.is_valid)).expect("it is a block");
        assert_eq!(verdicts, [is_valid, is_valid]);
    }
}

#[test]
fn what_an_encoder_writes_is_read_with_the_same_table() {
    use crate::http2::hpack::NameKind;
    for (size_cap, uses_huffman) in
        [(0, true), (100, true), (4096, true), (4096, false), (65536, true)]
    {
        let (mut encoder, mut decoder) = (Encoder::new(size_cap, uses_huffman), Decoder::new());
        let mut state: u32 = 1;
        let mut random = |below: u32| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) % below
        };
        for round in 0..2000 {
            if round % 97 == 0 {
                let limit = [4096, 0, 200, 65536, 64][random(5) as usize];
                encoder.set_peer_limit(limit);
                // The decoder has said so, and the encoder has heard it.
                decoder.size_limit = limit;
            }
            let (mut block, mut expected) = (Vec::new(), Vec::new());
            encoder.start_block(&mut block);
            for _ in 0..random(8) {
                let name =
                    ["server", "x-a", "authorization", "date", "x-longer-name", "cookie", "from"]
                        [random(7) as usize];
                let value = "v".repeat(random(60) as usize) + &random(4).to_string();
                let kind = NameKind::of(name.as_bytes());
                let is_never = random(10) == 0;
                encoder.encode(kind, name.as_bytes(), value.as_bytes(), is_never, &mut block);
                let is_secret = name == "authorization" || name == "cookie" && value.len() < 20;
                let mark = if is_never || is_secret { "!" } else { "" };
                expected.push(format!("{mark}{name}: {value}"));
            }
            assert_eq!(decode(&mut decoder, &block), Ok(expected), "round {round}");
            let ours = (encoder.table_len(), encoder.table_size());
            assert_eq!(ours, (decoder.table_len(), decoder.table_size()));
            assert!(ours.1 <= size_cap);
        }
    }
}
