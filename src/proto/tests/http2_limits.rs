//! What a peer may do often or much, at each limit and one beyond: rows F6 to F10 and F16, and the
//! attacks that have names.
#![forbid(unsafe_code)]

mod wire;

use std::time::Duration;

use nuncio_proto::http2::{ErrorKind, Event, Options};
use nuncio_proto::{RequestHead, ResponseHead};
use wire::*;

/// What a server says to these frames at once.
fn reading(options: &Options, frames: &[Vec<u8>]) -> String {
    let bytes = [client_start(), frames.concat()].concat();
    read_requests(options, &[&bytes])
}

fn repeated(frame: &[u8], count: usize) -> Vec<u8> {
    frame.repeat(count)
}

// Rows: F7
#[test]
fn outbound_control_frames_have_a_limit() {
    // Row F7. Our own SETTINGS ACK is one of them: 999 answers to PING are left.
    let options = Options::default();
    let ping = frame(PING, 0, 0, b"12345678");
    let mut connection = server(&options);
    let mut head = RequestHead::new();
    let mut run = |connection: &mut nuncio_proto::http2::Connection, bytes: &[u8]| {
        let mut at = 0;
        loop {
            match connection.receive_request(an_instant(), &bytes[at..], &mut head) {
                Ok(step) if step.event == Event::NeedMore => return Ok(()),
                Ok(step) => at += step.consumed,
                Err(error) => return Err(error.kind()),
            }
        }
    };
    let start = [client_start(), repeated(&ping, 999)].concat();
    assert_eq!(run(&mut connection, &start), Ok(()));
    assert_eq!(connection.outbound_control_frames(), 1000);
    // The SETTINGS ACK leaves, and one more may come; the limit counts what has not left.
    let mut out = Vec::new();
    while connection.write(&mut out).expect("it is within the limit").is_some() {}
    let sent_first = out.len() - 999 * 17;
    connection.sent(sent_first);
    assert_eq!(connection.outbound_control_frames(), 999);
    assert_eq!(run(&mut connection, &ping), Ok(()));
    connection.sent(16);
    assert_eq!(
        run(&mut connection, &ping),
        Err(ErrorKind::OutboundControlFlood),
        "one byte is left"
    );
    assert_eq!(connection.counts().outbound_control_flood, 1);

    let text = reading(&options, &[repeated(&ping, 1000)]);
    assert!(text.starts_with("!OutboundControlFlood > PING"), "{text}");
    assert!(!text.contains("GOAWAY"), "a flood is not told");
}

// Rows: F6, F12
#[test]
fn outbound_frames_have_a_limit() {
    // Row F6: SETTINGS, WINDOW_UPDATE and SETTINGS ACK, and then a HEADERS frame for each request.
    let options = Options { outbound_frames_max: 10, ..Options::default() };
    for (requests, is_flood) in [(7, false), (8, true)] {
        let mut connection = server(&options);
        let mut head = RequestHead::new();
        let mut response = ResponseHead::new();
        response.status = 200;
        let mut bytes = client_start();
        for at in 0..requests {
            bytes.extend(whole(at * 2 + 1, GET));
        }
        let mut at = 0;
        loop {
            let step = connection.receive_request(an_instant(), &bytes[at..], &mut head);
            let Ok(step) = step else {
                break;
            };
            at += step.consumed;
            match step.event {
                Event::Head(start) => {
                    connection.send_head(start.stream, &response, true).expect("it comes next");
                }
                Event::NeedMore => break,
                _ => {}
            }
        }
        let written = connection.write(&mut Vec::new());
        assert_eq!(written.is_err(), is_flood, "{requests}");
        assert_eq!(connection.counts().outbound_flood, u64::from(is_flood));
        assert_eq!(connection.outbound_frames(), if is_flood { 11 } else { 10 });
    }
}

// Rows: F8
#[test]
fn empty_frames_in_a_row_have_a_limit() {
    // Row F8: the second one cuts.
    let options = Options::default();
    let empty = data(1, 0, "");
    let padded = data(1, PADDED, "\x01\0");
    let post = || open(1, POST);
    let cut = "POST / @x 1 !InboundEmptyFramesFlood";
    assert_eq!(reading(&options, &[post(), empty.clone()]), "POST / @x 1");
    assert_eq!(reading(&options, &[post(), empty.clone(), empty.clone()]), cut);
    assert_eq!(reading(&options, &[post(), padded.clone(), empty.clone()]), cut, "padding is none");
    assert_eq!(
        reading(&options, &[post(), empty.clone(), data(1, 0, "x"), empty.clone()]),
        "POST / @x 1 1\"x\""
    );
    assert_eq!(
        reading(&options, &[post(), empty.clone(), data(1, END_STREAM, "")]),
        "POST / @x 1 1 end"
    );
    // Header blocks too, and frames on streams that are gone.
    assert_eq!(
        reading(&options, &[frame(HEADERS, 1, 1, &block(GET)), frame(CONTINUATION, 4, 1, b"")]),
        "GET / @x whole 1 1 end"
    );
    assert_eq!(
        reading(&options, &[frame(HEADERS, 0, 1, b""), frame(CONTINUATION, 0, 1, b"")]),
        "!InboundEmptyFramesFlood"
    );
    let wrong = open(1, &format!("{POST}content-length: 1\n"));
    assert_eq!(
        reading(&options, &[wrong, data(1, 0, "xy"), empty.clone(), empty.clone()]),
        "POST / @x {content-length=1} length 1 1 1 reset !ContentLengthMismatch \
         !InboundEmptyFramesFlood > RST 1 PROTOCOL_ERROR"
    );
    let none = Options { consecutive_empty_frames_max: 0, ..Options::default() };
    assert_eq!(reading(&none, &[post(), empty]), cut);
}

// Rows: F9
#[test]
fn priority_frames_have_a_limit_for_each_stream() {
    // Row F9.
    let options = Options::default();
    let priority = frame(PRIORITY, 0, 1, b"\0\0\0\0\x10");
    assert_eq!(reading(&options, &[repeated(&priority, 100)]), "");
    assert_eq!(reading(&options, &[repeated(&priority, 101)]), "!InboundPriorityFramesFlood");
    let with_stream = |count| reading(&options, &[whole(1, GET), repeated(&priority, count)]);
    assert_eq!(with_stream(200), "GET / @x whole 1 1 end");
    assert_eq!(with_stream(201), "GET / @x whole 1 1 end !InboundPriorityFramesFlood");
}

// Rows: F10
#[test]
fn window_updates_have_a_limit_for_each_stream_and_data_frame() {
    // Row F10.
    let options = Options::default();
    let update = number(WINDOW_UPDATE, 0, 1);
    assert_eq!(reading(&options, &[repeated(&update, 5)]), "");
    assert_eq!(reading(&options, &[repeated(&update, 6)]), "!InboundWindowUpdateFramesFlood");
    let with_stream = |count| reading(&options, &[whole(1, GET), repeated(&update, count)]);
    assert_eq!(with_stream(7), "GET / @x whole 1 1 end");
    assert_eq!(with_stream(8), "GET / @x whole 1 1 end !InboundWindowUpdateFramesFlood");

    // Each DATA frame that was sent is good for twenty more.
    for (count, is_flood) in [(5 + 2 + 40, false), (5 + 2 + 41, true)] {
        let mut connection = server(&options);
        let mut head = RequestHead::new();
        let mut response = ResponseHead::new();
        response.status = 200;
        let start = [client_start(), whole(1, GET)].concat();
        let mut at = 0;
        while let Ok(step) = connection.receive_request(an_instant(), &start[at..], &mut head) {
            at += step.consumed;
            match step.event {
                Event::Head(start) => {
                    connection.send_head(start.stream, &response, false).expect("it comes next");
                    connection.offer(start.stream, 20_000, true).expect("it comes next");
                }
                Event::NeedMore => break,
                _ => {}
            }
        }
        let mut spans = 0;
        while connection.write(&mut Vec::new()).expect("all is well").is_some() {
            spans += 1;
        }
        assert_eq!(spans, 2);
        let updates = repeated(&update, count);
        let mut at = 0;
        let refused = loop {
            match connection.receive_request(an_instant(), &updates[at..], &mut head) {
                Ok(step) if step.event == Event::NeedMore => break false,
                Ok(step) => at += step.consumed,
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::InboundWindowUpdateFramesFlood);
                    break true;
                }
            }
        };
        assert_eq!(refused, is_flood, "{count}");
    }
}

// Rows: F16
#[test]
fn heads_have_limits_of_count_and_bytes_that_end_their_stream_only() {
    // Row F16, with Envoy's defaults. Pseudo-header fields count.
    let options = Options::default();
    let many = |count| format!("{GET}{}", "a: b\n".repeat(count));
    let text = reading(&options, &[whole(1, &many(96)), whole(3, GET)]);
    assert!(text.ends_with("whole 1 1 end GET / @x whole 3 3 end"), "{text}");
    assert_eq!(
        reading(&options, &[whole(1, &many(97)), whole(3, GET)]),
        "GET / @x whole 3 3 end > RST 1 INTERNAL_ERROR"
    );
    // Names and values: 7 + 3 + 7 + 4 + 5 + 1 + 10 + 1 of the pseudo-header fields.
    let of_bytes = |bytes: usize| {
        let mut fields = block(GET);
        let mut left = bytes - 38;
        while left > 0 {
            let length = left.min(10_000);
            literal(b"a", &vec![b'v'; length - 1], &mut fields);
            left -= length;
        }
        let mut frames = Vec::new();
        let mut pieces = fields.chunks(16_384).peekable();
        let mut kind = HEADERS;
        while let Some(piece) = pieces.next() {
            let end = if pieces.peek().is_none() { END_HEADERS } else { 0 };
            let flags = end | if kind == HEADERS { END_STREAM } else { 0 };
            frames.extend(frame(kind, flags, 1, piece));
            kind = CONTINUATION;
        }
        frames
    };
    let within = reading(&options, &[of_bytes(60 * 1024), whole(3, GET)]);
    assert!(within.ends_with("whole 1 1 end GET / @x whole 3 3 end"), "{}", within.len());
    for bytes in [60 * 1024 + 1, 100_000, 140_000] {
        assert_eq!(
            reading(&options, &[of_bytes(bytes), whole(3, GET)]),
            "GET / @x whole 3 3 end > RST 1 INTERNAL_ERROR",
            "{bytes}"
        );
    }
    // So much cannot be meant.
    assert_eq!(
        reading(&options, &[of_bytes(190_000), whole(3, GET)]),
        "!HeaderBlockTooLarge > GOAWAY 0 ENHANCE_YOUR_CALM"
    );
    // One name or value of more than 64 KiB: nghttp2's limit, where Envoy ends the connection too.
    let one = |length: usize| {
        let mut fields = block(GET);
        literal(b"a", &vec![b'v'; length], &mut fields);
        let mut frames = frame(HEADERS, END_STREAM, 1, &fields[..16_000]);
        for piece in fields[16_000..].chunks(16_384) {
            frames.extend(frame(CONTINUATION, 0, 1, piece));
        }
        frames.extend(frame(CONTINUATION, END_HEADERS, 1, b""));
        frames
    };
    assert_eq!(reading(&options, &[one(65_536)]), "> RST 1 INTERNAL_ERROR");
    assert_eq!(
        reading(&options, &[one(65_537)]),
        "!InvalidHeaderBlock > GOAWAY 1 COMPRESSION_ERROR"
    );
}

#[test]
fn pieces_of_cookies_count_one_by_one_and_their_bytes_as_the_field_they_become() {
    // As Envoy 1.40 counts: 4 and 96 pass, whatever the pieces become.
    let many = |count: usize| format!("{GET}{}", "cookie: \n".repeat(count));
    let text = reading(&Options::default(), &[whole(1, &many(96))]);
    assert!(text.ends_with("whole 1 1 end"), "{text}");
    assert_eq!(reading(&Options::default(), &[whole(1, &many(97))]), "> RST 1 INTERNAL_ERROR");
    // The separators count as bytes: the bomb of empty pieces.
    let options = Options { head_bytes_max: 500, headers_max: 1000, ..Options::default() };
    let with = |count: usize| format!("{GET}{}", "cookie: \n".repeat(count));
    // 38 of GET, 6 of the name, 2 for each further piece.
    let text = reading(&options, &[whole(1, &with(229))]);
    assert!(text.ends_with("whole 1 1 end"), "{text}");
    assert_eq!(reading(&options, &[whole(1, &with(230))]), "> RST 1 INTERNAL_ERROR");
}

#[test]
fn an_hpack_bomb_is_decoded_without_being_kept() {
    // An entry of 4 KiB, and 16,000 times its index: 64 MiB of fields in 20 kB.
    let mut bomb = block(GET);
    bomb.extend_from_slice(&[0x40, 1, b'a', 0x7f, 0xd8, 0x1e]);
    bomb.extend_from_slice(&vec![b'v'; 127 + 0x58 + (0x1e << 7)]);
    let indices = vec![0xbe; 16_000];
    let frames = [
        frame(HEADERS, END_STREAM, 1, &bomb),
        frame(CONTINUATION, END_HEADERS, 1, &indices),
        // The table is what it should be behind it: the next request uses the entry.
        frame(HEADERS, END_STREAM | END_HEADERS, 3, &[&block(GET)[..], &[0xbe]].concat()),
    ];
    let text = reading(&Options::default(), &frames);
    assert!(text.starts_with("GET / @x {a=vvvvv") && text.ends_with("> RST 1 INTERNAL_ERROR"));
}

#[test]
fn a_continuation_flood_is_cut() {
    // CVE-2024-27919 and CVE-2024-30255: frames that go on and on, of a block that never ends.
    let options = Options::default();
    let begin = frame(HEADERS, END_STREAM, 1, &block(GET));
    let of = |count: usize, payload: &[u8]| {
        [begin.clone(), repeated(&frame(CONTINUATION, 0, 1, payload), count)].concat()
    };
    assert_eq!(reading(&options, &[of(512, b"\x82")]), "");
    assert_eq!(
        reading(&options, &[of(513, b"\x82")]),
        "!HeaderBlockTooLarge > GOAWAY 0 ENHANCE_YOUR_CALM"
    );
    assert_eq!(reading(&options, &[of(2, b"")]), "!InboundEmptyFramesFlood");
    assert_eq!(
        reading(&options, &[of(12, &[0x82; 16_384])]),
        "!HeaderBlockTooLarge > GOAWAY 0 ENHANCE_YOUR_CALM"
    );
}

#[test]
fn goaway_frames_have_a_limit() {
    let options = Options::default();
    let goaway = frame(GOAWAY, 0, 0, &[0; 8]);
    let text = reading(&options, &[repeated(&goaway, 100)]);
    assert!(!text.contains('!'), "{text}");
    let text = reading(&options, &[repeated(&goaway, 101)]);
    assert!(text.ends_with("!TooManyGoAways > GOAWAY 0 ENHANCE_YOUR_CALM"), "{text}");
}

#[test]
fn a_rapid_reset_is_cut_at_the_burst() {
    // CVE-2023-44487: nghttp2's limit behind Envoy's fields of that name.
    let options = Options { stream_reset_burst: 10, ..Options::default() };
    let attack = |count: u32| {
        (0..count)
            .flat_map(|at| [whole(at * 2 + 1, GET), number(RST_STREAM, at * 2 + 1, 8)].concat())
    };
    let text = reading(&options, &[attack(10).collect()]);
    assert!(text.ends_with("19 reset CANCEL"), "{text}");
    let text = reading(&options, &[attack(11).collect()]);
    assert!(text.ends_with("!TooManyResets > GOAWAY 21 INTERNAL_ERROR"), "{text}");
}

#[test]
fn made_you_reset_is_the_same_bucket() {
    // CVE-2025-8671: the peer provokes resets of ours.
    let options = Options { stream_reset_burst: 10, ..Options::default() };
    type Provoke = fn(u32) -> Vec<u8>;
    // What else would make us reset a stream ends the connection at once.
    let provocations: [(&str, Provoke); 3] = [
        ("a body too long", |id| data(id, 0, "xy")),
        ("a body too short", |id| data(id, END_STREAM, "")),
        ("trailers too early", |id| frame(HEADERS, 5, id, &block("a: b"))),
    ];
    let post = format!("{POST}content-length: 1\n");
    for (name, provoke) in provocations {
        let attack = |count: u32| -> Vec<u8> {
            (0..count)
                .flat_map(|at| [open(at * 2 + 1, &post), provoke(at * 2 + 1)].concat())
                .collect()
        };
        let text = reading(&options, &[attack(10)]);
        assert!(!text.contains("TooManyResets"), "{name}: {text}");
        let text = reading(&options, &[attack(11)]);
        assert!(text.contains("!TooManyResets"), "{name}: {text}");
    }
    // Streams that nobody was told of count as well.
    let refused = Options { concurrent_streams_max: 1, ..options };
    let many: Vec<u8> = (0..12).flat_map(|at| open(at * 2 + 1, POST)).collect();
    assert!(reading(&refused, &[many]).contains("!TooManyResets"));
}

#[test]
fn tokens_come_back_with_time() {
    let options = Options { stream_reset_burst: 2, stream_reset_rate: 1, ..Options::default() };
    let mut connection = server(&options);
    let mut head = RequestHead::new();
    let start = an_instant();
    let mut bytes = client_start();
    for at in 0..4_u32 {
        bytes.extend(whole(at * 2 + 1, GET));
        bytes.extend(number(RST_STREAM, at * 2 + 1, 8));
        let now = start + Duration::from_secs(u64::from(at));
        let mut from = 0;
        loop {
            let step = connection
                .receive_request(now, &bytes[from..], &mut head)
                .expect("one each second is allowed");
            from += step.consumed;
            if step.event == Event::NeedMore {
                break;
            }
        }
        bytes.clear();
    }
}

#[test]
fn one_call_does_no_more_than_its_work() {
    let mut connection = server(&Options::default());
    let mut head = RequestHead::new();
    let many = [client_start(), repeated(&frame(0xbe, 0, 0, b""), 10_000)].concat();
    let (mut at, mut pauses) = (0, 0);
    loop {
        let step = connection
            .receive_request(an_instant(), &many[at..], &mut head)
            .expect("unknown frames are allowed");
        assert!(step.consumed <= 257 * 9 + 24, "{}", step.consumed);
        at += step.consumed;
        match step.event {
            Event::Pause => pauses += 1,
            Event::NeedMore => break,
            _ => {}
        }
    }
    assert_eq!(pauses, 10_000 / 256);
}

// Rows: F11, F14, F27, F33
#[test]
fn what_happens_is_counted_once_under_envoys_names() {
    let options = Options { head_bytes_max: 10_000, ..Options::default() };
    let mut connection = server(&options);
    let mut head = RequestHead::new();
    let many = format!("{GET}{}", "a: b\n".repeat(97));
    let long = format!("{GET}{}", format!("a: {}\n", "v".repeat(7000)).repeat(2));
    let bytes = [
        client_start(),
        whole(1, &many),
        whole(1, &many),
        open(3, POST),
        number(RST_STREAM, 3, 8),
        open(5, POST),
        whole(5, "a: b"),
        open(7, &format!("{POST}content-length: 1\n")),
        data(7, END_STREAM, ""),
        whole(9, &long),
        frame(PRIORITY, 0, 1, b"\0\0\0\0\x10").repeat(601),
    ];
    let bytes = bytes.concat();
    let mut at = 0;
    let error = loop {
        match connection.receive_request(an_instant(), &bytes[at..], &mut head) {
            Ok(step) => {
                assert_ne!(step.event, Event::NeedMore);
                at += step.consumed;
            }
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), ErrorKind::InboundPriorityFramesFlood);
    // An error stays what it was, and is not counted again.
    for _ in 0..3 {
        let again = connection.receive_request(an_instant(), &bytes, &mut head);
        assert_eq!(again, Err(error));
        assert_eq!(connection.write(&mut Vec::new()), Err(error));
    }
    let counts = connection.counts();
    assert_eq!(counts.inbound_priority_frames_flood, 1);
    assert_eq!((counts.header_overflow, counts.header_list_size_too_large), (1, 1));
    assert_eq!((counts.rx_reset, counts.tx_reset, counts.goaway_sent), (1, 3, 0));
    assert_eq!((counts.trailers, counts.headers_cb_no_stream), (1, 1));
    // As Envoy: a body that does not fit its length is a reset, and no malformed message.
    assert_eq!(counts.rx_messaging_error, 0);
}

#[test]
fn metadata_of_all_streams_together_has_a_limit() {
    // Row F29: each of sixteen streams may have a map that is not complete, and as long as may be.
    let options = Options { allow_metadata: true, metadata_bytes_max: 10, ..Options::default() };
    let held = |stream: u32| [open(stream, POST), frame(METADATA, 0, stream, &[0; 10])].concat();
    let frames: Vec<_> = (0..16).map(|at| held(at * 2 + 1)).collect();
    let text = reading(&options, &frames);
    assert!(!text.contains("TooMuchMetadata"), "{text}");
    let one_more = [&frames[..], &[open(33, POST), frame(METADATA, 0, 33, b"\0")]].concat();
    let text = reading(&options, &one_more);
    assert!(text.contains("33 reset !TooMuchMetadata"), "{text}");
    // What goes with its stream is not held any more.
    let after = [
        &frames[..],
        &[frame(RST_STREAM, 0, 1, &[0, 0, 0, 8]), open(33, POST), frame(METADATA, 0, 33, b"\0")],
    ];
    let text = reading(&options, &after.concat());
    assert!(!text.contains("TooMuchMetadata"), "{text}");
}

#[test]
fn a_header_block_has_its_time() {
    let timeout = Duration::from_secs(1);
    let options = Options { header_block_timeout: Some(timeout), ..Options::default() };
    let start = an_instant();
    let later = |milliseconds| start + Duration::from_millis(milliseconds);
    let whole = whole(1, GET);
    let fragment = &whole[9..];
    let (first, rest) = fragment.split_at(3);
    let begun = frame(HEADERS, END_STREAM, 1, first);
    let goes_on = frame(CONTINUATION, 0, 1, b"");
    let ended = frame(CONTINUATION, END_HEADERS, 1, rest);
    // In two frames, or in one that is cut.
    for (begun, ended) in [(begun.as_slice(), ended.as_slice()), whole.split_at(12)] {
        let mut connection = server(&options);
        let mut head = RequestHead::new();
        // Whether a head has come with these bytes.
        let mut run = |connection: &mut nuncio_proto::http2::Connection, at, bytes: &[u8]| {
            let (mut read, mut has_head) = (0, false);
            loop {
                let step = connection.receive_request(at, &bytes[read..], &mut head).unwrap();
                read += step.consumed;
                match step.event {
                    Event::NeedMore => return has_head,
                    Event::Head(_) => has_head = true,
                    _ => {}
                }
            }
        };
        run(&mut connection, start, &client_start());
        assert_eq!(connection.deadline(), None);
        run(&mut connection, later(100), begun);
        assert_eq!(connection.deadline(), Some(later(1100)));
        if ended[3] == CONTINUATION {
            run(&mut connection, later(500), &goes_on);
            assert_eq!(connection.deadline(), Some(later(1100)), "what dribbles has no more time");
        }
        assert!(connection.tick(later(1099), 0).is_ok());
        assert!(run(&mut connection, later(1099), ended));
        assert_eq!(connection.deadline(), None);
        let begun = [&begun[..5], &3_u32.to_be_bytes(), &begun[9..]].concat();
        run(&mut connection, later(2000), &begun);
        let failed = connection.tick(later(3000), 0).unwrap_err();
        assert_eq!(failed.kind(), ErrorKind::HeaderBlockTimeout);
    }
}
