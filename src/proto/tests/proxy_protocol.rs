//! Headers of the PROXY protocol as byte scripts, right and wrong, cut at every byte. What becomes
//! of each is what Envoy 1.40 makes of it, but for the differences named here.
#![forbid(unsafe_code)]

use std::fmt::Write as _;
use std::net::SocketAddr;

use nuncio_proto::proxy_protocol::{
    Absence, Addresses, Decoded, HEADER_LEN_MAX, Refusal, Rules, Tlv, TlvsTooLong, Version, decode,
    encode_v1, encode_v2,
};
use proptest::prelude::*;

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
const REFUSED: Rules = Rules { v1: true, v2: true, absence: Absence::Refused };
const ALLOWED: Rules = Rules { absence: Absence::Allowed, ..REFUSED };

/// A header of version 2 with this length, whatever is behind it.
fn v2(command: u8, family: u8, len: u16, body: &[u8]) -> Vec<u8> {
    [SIGNATURE, &[command, family], &len.to_be_bytes(), body].concat()
}

fn whole_v2(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
    v2(command, family, u16::try_from(body.len()).expect("a short body"), body)
}

/// 1.2.3.4:258 to 5.6.7.8:772.
const INET: [u8; 12] = [1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4];

fn inet6() -> Vec<u8> {
    let mut body = [0; 32];
    body[..2].copy_from_slice(&[0x20, 1]);
    body[31] = 1;
    [&body[..], &[1, 2, 3, 4]].concat()
}

/// What `input` is, in a few words.
fn words(input: &[u8], rules: Rules) -> String {
    match decode(input, rules) {
        Ok(Decoded::NeedMore(_)) => "...".to_owned(),
        Ok(Decoded::Absent) => "absent".to_owned(),
        Err(Refusal::Absent) => "!absent".to_owned(),
        Err(Refusal::Disallowed(version)) => format!("!disallowed {version:?}"),
        Err(Refusal::Malformed(version, what)) => format!("!{version:?} {what:?}"),
        Ok(Decoded::Header(header)) => {
            let mut words = format!("{:?} {}", header.version, header.len);
            if let Some(addresses) = header.addresses {
                let _ = write!(words, " {} {}", addresses.source(), addresses.destination());
            }
            for tlv in header.tlvs {
                let _ = write!(words, " {:02x}={}", tlv.kind, tlv.value.escape_ascii());
            }
            words
        }
    }
}

/// Every beginning of `input` is either too little or the answer already, and who takes in as much
/// as may be missing never takes what follows a header of version 2.
fn check(input: &[u8], rules: Rules, expected: &str) {
    let shown = input.escape_ascii().to_string();
    let shown = &shown[..shown.len().min(200)];
    assert_eq!(words(input, rules), expected, "{shown}");
    for len in 0..=input.len() {
        let Ok(Decoded::NeedMore(most)) = decode(&input[..len], rules) else {
            assert_eq!(words(&input[..len], rules), expected, "cut at {len}: {shown}");
            continue;
        };
        assert!(most >= 1 && len + most <= HEADER_LEN_MAX, "{shown}");
        if let Ok(Decoded::Header(header)) = decode(input, rules) {
            let is_v2 = header.version == Version::V2;
            let longest = if is_v2 { header.len } else { 108 };
            assert!(len + most <= longest, "at {len} takes {most}: {shown}");
        }
    }
}

fn check_all(rules: Rules, cases: &[(&[u8], &str)]) {
    for (input, expected) in cases {
        check(input, rules, expected);
    }
}

#[test]
fn lines_of_version_1() {
    check_all(
        REFUSED,
        &[
            (b"PROXY TCP4 1.2.3.4 5.6.7.8 1000 2000\r\ntail", "V1 38 1.2.3.4:1000 5.6.7.8:2000"),
            (
                b"PROXY TCP6 ::1 2001:db8::5 1000 2000\r\ntail",
                "V1 38 [::1]:1000 [2001:db8::5]:2000",
            ),
            (b"PROXY TCP6 ::ffff:1.2.3.4 ::2 1 2\r\n", "V1 35 [::ffff:1.2.3.4]:1 [::2]:2"),
            (b"PROXY UNKNOWN\r\ntail", "V1 15"),
            (b"PROXY UNKNOWN what ever \0\xff\r\ntail", "V1 28"),
            (b"PROXY TCP4 1.2.3.4 5.6.7.8 0 0\r\n", "V1 32 1.2.3.4:0 5.6.7.8:0"),
            (b"PROXY TCP4 240.0.0.1 5.6.7.8 1 2\r\n", "V1 34 240.0.0.1:1 5.6.7.8:2"),
            // Forgiven by Envoy.
            (b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2 \t\r\r\n", "V1 35 1.2.3.4:1 5.6.7.8:2"),
            (b"PROXY TCP4 1.2.3.4 5.6.7.8 +1 02\r\n", "V1 34 1.2.3.4:1 5.6.7.8:2"),
            (
                b"PROXY TCP4 1.2.3.4 5.6.7.8 000000000000000000000000001 2\r\n",
                "V1 58 1.2.3.4:1 5.6.7.8:2",
            ),
            // Wrong.
            (b"PROXY \r\n", "!V1 Line"),
            (b"PROXY X\r\n", "!V1 Protocol"),
            (b"PROXY UNKNOWNX\r\n", "!V1 Protocol"),
            (b"PROXY unknown\r\n", "!V1 Protocol"),
            (b"PROXY TCP5 1.2.3.4 5.6.7.8 1 2\r\n", "!V1 Protocol"),
            (b"PROXY  TCP4 1.2.3.4 5.6.7.8 1 2\r\n", "!V1 Protocol"),
            (b"PROXY TCP4\r\n", "!V1 Line"),
            (b"PROXY TCP4 1.2.3.4 5.6.7.8 1\r\n", "!V1 Line"),
            (b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2 3\r\n", "!V1 Line"),
            (b"PROXY TCP4  1.2.3.4 5.6.7.8 1 2\r\n", "!V1 Line"),
            (b"PROXY TCP4 1.2.3.4 5.6.7.8 1\t2\r\n", "!V1 Line"),
            (b"PROXY TCP4 \xff 5.6.7.8 1 2\r\n", "!V1 Line"),
            (b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\nx\r\n", "!V1 Port"),
            (b"PROXY TCP4 1.2.3.4 5.6.7.8 65536 2\r\n", "!V1 Port"),
            (b"PROXY TCP4 1.2.3.4 5.6.7.8 1 -2\r\n", "!V1 Port"),
            (b"PROXY TCP4 1.2.3.4 5.6.7.8 1 0x2\r\n", "!V1 Port"),
            (b"PROXY TCP4 1.2.3.4 5.6.7.8 1 99999999999999999999\r\n", "!V1 Port"),
            (b"PROXY TCP4 1.2.3 5.6.7.8 1 2\r\n", "!V1 Address"),
            (b"PROXY TCP4 01.2.3.4 5.6.7.8 1 2\r\n", "!V1 Address"),
            (b"PROXY TCP4 ::1 5.6.7.8 1 2\r\n", "!V1 Address"),
            (b"PROXY TCP6 1.2.3.4 5.6.7.8 1 2\r\n", "!V1 Address"),
            (b"PROXY TCP6 [::1] ::2 1 2\r\n", "!V1 Address"),
            // Envoy takes scopes, whose meaning is known on the proxy's host only.
            (b"PROXY TCP6 fe80::1%1 fe80::2%1 1 2\r\n", "!V1 Address"),
            (b"PROXY TCP4 0.0.0.0 5.6.7.8 1 2\r\n", "!V1 NotUnicast"),
            (b"PROXY TCP4 224.0.0.1 5.6.7.8 1 2\r\n", "!V1 NotUnicast"),
            (b"PROXY TCP4 1.2.3.4 239.0.0.1 1 2\r\n", "!V1 NotUnicast"),
            (b"PROXY TCP4 255.255.255.255 5.6.7.8 1 2\r\n", "!V1 NotUnicast"),
            (b"PROXY TCP6 :: ::1 1 2\r\n", "!V1 NotUnicast"),
            (b"PROXY TCP6 ff02::1 ::1 1 2\r\n", "!V1 NotUnicast"),
            // Not yet anything.
            (b"", "..."),
            (b"PRO", "..."),
            (b"PROXY ", "..."),
            (b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\n", "..."),
            (b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r", "..."),
        ],
    );
}

#[test]
fn a_line_has_108_bytes_at_most() {
    let line = |len: usize| {
        let mut line = b"PROXY UNKNOWN ".to_vec();
        line.resize(len - 2, b'x');
        line.extend_from_slice(b"\r\ntail");
        line
    };
    check(&line(107), REFUSED, "V1 107");
    check(&line(108), REFUSED, "V1 108");
    check(&line(109), REFUSED, "!V1 LineTooLong");
    check(&line(200), REFUSED, "!V1 LineTooLong");
}

#[test]
fn headers_of_version_2() {
    let inet = whole_v2(0x21, 0x11, &INET);
    let with_tlvs = |tlvs: &[u8]| whole_v2(0x21, 0x11, &[&INET, tlvs].concat());
    let tail = |header: Vec<u8>| [&header[..], b"tail"].concat();
    let addresses = "1.2.3.4:258 5.6.7.8:772";
    let cases = [
        (tail(inet.clone()), format!("V2 28 {addresses}")),
        (whole_v2(0x21, 0x12, &INET), format!("V2 28 {addresses}")),
        (tail(whole_v2(0x21, 0x21, &inet6())), "V2 52 [2001::]:258 [::1]:772".to_owned()),
        (tail(whole_v2(0x21, 0x22, &inet6())), "V2 52 [2001::]:258 [::1]:772".to_owned()),
        // The proxy's own connections, whatever else they say.
        (tail(whole_v2(0x20, 0x00, &[])), "V2 16".to_owned()),
        (tail(whole_v2(0x20, 0xff, &[])), "V2 16".to_owned()),
        (tail(whole_v2(0x20, 0x11, &INET)), "V2 28".to_owned()),
        (tail(whole_v2(0x20, 0x00, b"\xe1\0\x10")), "V2 19".to_owned()),
        // Extensions.
        (tail(with_tlvs(b"\xe1\0\x02hi")), format!("V2 33 {addresses} e1=hi")),
        (with_tlvs(b"\x04\0\0\xe1\0\x01a"), format!("V2 35 {addresses} 04= e1=a")),
        (with_tlvs(b"\xe1\0\x01a\xe1\0\0"), format!("V2 35 {addresses} e1=a e1=")),
        (with_tlvs(b"\x03\0\x04\0\0\0\0"), format!("V2 35 {addresses} 03=\\x00\\x00\\x00\\x00")),
        (with_tlvs(b"\xe1"), "!V2 Tlv".to_owned()),
        (with_tlvs(b"\xe1\0"), "!V2 Tlv".to_owned()),
        (with_tlvs(b"\xe1\0\x03ab"), "!V2 Tlv".to_owned()),
        (with_tlvs(b"\xe1\0\x01ab"), "!V2 Tlv".to_owned()),
        // Wrong from the fixed part on.
        (v2(0x11, 0x11, 12, &[]), "!V2 Revision".to_owned()),
        (v2(0x31, 0x11, 12, &[]), "!V2 Revision".to_owned()),
        (v2(0x01, 0x11, 12, &[]), "!V2 Revision".to_owned()),
        (v2(0x22, 0x11, 12, &[]), "!V2 Command".to_owned()),
        (v2(0x2f, 0x00, 0, &[]), "!V2 Command".to_owned()),
        (v2(0x21, 0x00, 0, &[]), "!V2 Family".to_owned()),
        (v2(0x21, 0x31, 216, &[]), "!V2 Family".to_owned()),
        (v2(0x21, 0x41, 12, &[]), "!V2 Family".to_owned()),
        (v2(0x21, 0x10, 12, &[]), "!V2 Family".to_owned()),
        (v2(0x21, 0x13, 12, &[]), "!V2 Family".to_owned()),
        (v2(0x21, 0x11, 11, &[]), "!V2 Length".to_owned()),
        (v2(0x21, 0x21, 35, &[]), "!V2 Length".to_owned()),
        (
            whole_v2(0x21, 0x11, &[224, 0, 0, 1, 1, 1, 1, 1, 0, 1, 0, 1]),
            "!V2 NotUnicast".to_owned(),
        ),
        (whole_v2(0x21, 0x11, &[0; 12]), "!V2 NotUnicast".to_owned()),
        (whole_v2(0x21, 0x21, &[0; 36]), "!V2 NotUnicast".to_owned()),
        // Not yet anything.
        (inet[..27].to_vec(), "...".to_owned()),
        (inet[..15].to_vec(), "...".to_owned()),
        (b"\r\n\r\n".to_vec(), "...".to_owned()),
    ];
    for (input, expected) in &cases {
        check(input, REFUSED, expected);
        check(input, ALLOWED, expected);
    }
}

#[test]
fn the_longest_header_is_taken() {
    let mut extension = vec![0xe1];
    let len = u16::MAX - 12 - 3;
    extension.extend_from_slice(&len.to_be_bytes());
    extension.resize(3 + usize::from(len), b'x');
    let header = whole_v2(0x21, 0x11, &[&INET, &extension[..]].concat());
    assert_eq!(header.len(), HEADER_LEN_MAX);
    let Ok(Decoded::Header(decoded)) = decode(&header, REFUSED) else { panic!("no header") };
    assert_eq!(decoded.len, HEADER_LEN_MAX);
    assert_eq!(decoded.tlvs.iter().map(|tlv| tlv.value.len()).collect::<Vec<_>>(), [len.into()]);
}

#[test]
fn connections_without_a_header() {
    check_all(
        REFUSED,
        &[
            (b"GET / HTTP/1.1\r\n\r\n", "!absent"),
            (b"hello world, 16 and more", "!absent"),
            (b"hello", "..."),
            (b"proxy TCP4 1.2.3.4 5.6.7.8 1 2\r\n", "!absent"),
            (b"PROXYX TCP4 1.2.3.4 5.6.7.8 1 2\r\n", "!absent"),
            (b"\r\n\r\n\0\rno such thing", "!absent"),
            (b"\r\nhello", "..."),
            // Envoy counts these as wrong headers of version 1, if they come alone.
            (b"hello\r\n", "!absent"),
            (b"PROXYX\r\n", "!absent"),
        ],
    );
    check_all(
        ALLOWED,
        &[
            (b"GET / HTTP/1.1\r\n\r\n", "absent"),
            (b"h", "absent"),
            (b"PROXYX", "absent"),
            (b"PROX", "..."),
            (b"\r\n\r\n", "..."),
            (b"\r\nhello", "absent"),
            (b"PROXY UNKNOWN\r\n", "V1 15"),
            (b"PROXY X\r\n", "!V1 Protocol"),
        ],
    );
}

#[test]
fn versions_that_are_not_taken() {
    let v2 = whole_v2(0x21, 0x11, &INET);
    let no_v1 = Rules { v1: false, ..REFUSED };
    check(b"PROXY UNKNOWN\r\n", no_v1, "!disallowed V1");
    // Nobody reads what it says.
    check(b"PROXY X\r\n", no_v1, "!disallowed V1");
    check(&v2, no_v1, "V2 28 1.2.3.4:258 5.6.7.8:772");
    let no_v2 = Rules { v2: false, ..REFUSED };
    check(&v2, no_v2, "!disallowed V2");
    check(b"PROXY UNKNOWN\r\n", no_v2, "V1 15");
    // Without need for a header, they are not looked for.
    check(b"PROXY UNKNOWN\r\n", Rules { v1: false, ..ALLOWED }, "absent");
    check(&v2, Rules { v2: false, ..ALLOWED }, "absent");
    check(b"\r\n", Rules { v2: false, ..ALLOWED }, "absent");
}

#[test]
fn headers_are_written_as_envoy_writes_them() {
    let addresses = |source: &str, destination: &str| {
        Addresses::new(source.parse().unwrap(), destination.parse().unwrap())
    };
    let line = |addresses: Option<&Addresses>| {
        let mut out = Vec::new();
        encode_v1(addresses, &mut out);
        String::from_utf8(out).unwrap()
    };
    assert_eq!(
        line(Some(&addresses("1.2.3.4:1000", "5.6.7.8:2000"))),
        "PROXY TCP4 1.2.3.4 5.6.7.8 1000 2000\r\n"
    );
    assert_eq!(
        line(Some(&addresses("[2001:db8::1]:1", "[::1]:65535"))),
        "PROXY TCP6 2001:db8::1 ::1 1 65535\r\n"
    );
    assert_eq!(line(None), "PROXY UNKNOWN\r\n");
    // There is one family for both.
    assert_eq!(
        line(Some(&addresses("1.2.3.4:1", "[::1]:2"))),
        "PROXY TCP6 ::ffff:1.2.3.4 ::1 1 2\r\n"
    );
    let binary = |addresses: Option<&Addresses>, tlvs: &[Tlv<'_>]| {
        let mut out = b"before".to_vec();
        encode_v2(addresses, tlvs.iter().copied(), &mut out).unwrap();
        out[6..].to_vec()
    };
    let four = addresses("1.2.3.4:258", "5.6.7.8:772");
    assert_eq!(binary(Some(&four), &[]), whole_v2(0x21, 0x11, &INET));
    assert_eq!(binary(None, &[]), whole_v2(0x20, 0, &[]));
    let tlv = Tlv { kind: 0xe1, value: b"hi" };
    let body = [&INET[..], b"\xe1\0\x02hi"].concat();
    assert_eq!(binary(Some(&four), &[tlv]), whole_v2(0x21, 0x11, &body));
}

#[test]
fn extensions_that_do_not_fit_leave_nothing_behind() {
    let value = vec![0; 40_000];
    let tlv = Tlv { kind: 1, value: &value };
    let too_long = vec![0; 65_536];
    for tlvs in [vec![tlv, tlv], vec![Tlv { kind: 1, value: &too_long }]] {
        let mut out = b"before".to_vec();
        assert_eq!(encode_v2(None, tlvs, &mut out), Err(TlvsTooLong));
        assert_eq!(out, b"before");
    }
}

fn socket_addresses() -> impl Strategy<Value = SocketAddr> {
    let v4 = any::<([u8; 4], u16)>().prop_map(SocketAddr::from);
    let v6 = any::<([u8; 16], u16)>().prop_map(SocketAddr::from);
    prop_oneof![v4, v6].prop_filter("unicast", |address| {
        let ip = address.ip();
        let is_broadcast = ip == std::net::Ipv4Addr::BROADCAST;
        !ip.is_unspecified() && !ip.is_multicast() && !is_broadcast
    })
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..40)
}

proptest! {
    /// What is written is read, to the byte, with anything behind it.
    #[test]
    fn what_is_written_is_read(
        source in socket_addresses(),
        destination in socket_addresses(),
        tlvs in prop::collection::vec((any::<u8>(), bytes()), 0..4),
        behind in bytes(),
    ) {
        let addresses = Addresses::new(source, destination);
        let mut line = Vec::new();
        encode_v1(Some(&addresses), &mut line);
        let mut binary = Vec::new();
        let tlvs: Vec<_> = tlvs.iter().map(|(kind, value)| Tlv { kind: *kind, value }).collect();
        encode_v2(Some(&addresses), tlvs.iter().copied(), &mut binary).unwrap();
        let written = [(Version::V1, line, Vec::new()), (Version::V2, binary, tlvs)];
        for (version, header, tlvs) in written {
            let input = [&header[..], &behind].concat();
            let Ok(Decoded::Header(decoded)) = decode(&input, REFUSED) else {
                return Err(TestCaseError::fail(words(&input, REFUSED)));
            };
            prop_assert_eq!(decoded.version, version);
            prop_assert_eq!(decoded.len, header.len());
            prop_assert_eq!(decoded.addresses, Some(addresses));
            prop_assert_eq!(decoded.tlvs.iter().collect::<Vec<_>>(), tlvs);
        }
    }

    /// Nothing that a peer sends is read in two ways, and nothing panics.
    #[test]
    fn anything_has_one_reading(
        start in prop_oneof![Just(SIGNATURE.to_vec()), Just(b"PROXY ".to_vec()), Just(vec![])],
        rest in prop::collection::vec(any::<u8>(), 0..150),
        v1: bool,
        v2: bool,
        allowed: bool,
    ) {
        let absence = if allowed { Absence::Allowed } else { Absence::Refused };
        let input = [start, rest].concat();
        let rules = Rules { v1, v2, absence };
        check(&input, rules, &words(&input, rules));
    }
}
