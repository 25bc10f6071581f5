//! Fuzz target: any bytes as the beginning of a connection, cut anywhere, under any rules.
//!
//! What must hold: nothing panics; the answer does not depend on the cuts; what is asked for is
//! never more than a header can be; a header says what its bytes say, read here a second time; and
//! what was read can be written and read again.
#![no_main]
#![forbid(unsafe_code)]

use std::net::{IpAddr, SocketAddr};

use proto::proxy_protocol::{
    Absence, Addresses, Decoded, HEADER_LEN_MAX, Header, Rules, Version, decode, encode_v1,
    encode_v2,
};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some((&choice, input)) = bytes.split_first() else { return };
    let rules = Rules {
        v1: choice & 1 == 0,
        v2: choice & 2 == 0,
        absence: if choice & 4 == 0 { Absence::Refused } else { Absence::Allowed },
    };
    let answer = decode(input, rules);
    for len in 0..=input.len() {
        match decode(&input[..len], rules) {
            Ok(Decoded::NeedMore(most)) => {
                assert!(most > 0 && len + most <= HEADER_LEN_MAX, "{most} at {len}");
                if let Ok(Decoded::Header(Header { version: Version::V2, len: whole, .. })) = answer
                {
                    assert!(len + most <= whole, "{most} at {len} of {whole}");
                }
            }
            early => assert_eq!(early, answer, "cut at {len}"),
        }
    }
    if let Ok(Decoded::Header(header)) = answer {
        match header.version {
            Version::V1 => check_text(&input[..header.len], &header),
            Version::V2 => check_binary(&input[..header.len], &header),
        }
        if let Some(addresses) = &header.addresses {
            check_round_trip(addresses, &header);
        }
    }
});

fn check_text(line: &[u8], header: &Header<'_>) {
    assert!(line.len() <= 108 && line.starts_with(b"PROXY ") && line.ends_with(b"\r\n"));
    let ends = line.windows(2).filter(|pair| pair == b"\r\n").count();
    assert_eq!(ends, 1, "the line ends where it ends first");
    assert!(header.tlvs.iter().next().is_none());
    let words: Vec<_> = line.split(|byte| *byte == b' ').collect();
    let Some(addresses) = header.addresses else {
        return assert!(words[1].starts_with(b"UNKNOWN"));
    };
    let ip = |word: &[u8]| std::str::from_utf8(word).unwrap().parse::<IpAddr>().unwrap();
    assert_eq!(addresses.source().ip(), ip(words[2]));
    assert_eq!(addresses.destination().ip(), ip(words[3]));
}

fn check_binary(bytes: &[u8], header: &Header<'_>) {
    let body = usize::from(bytes[14]) << 8 | usize::from(bytes[15]);
    assert_eq!(bytes.len(), 16 + body);
    let Some(addresses) = header.addresses else {
        assert_eq!(bytes[12], 0x20, "LOCAL");
        return assert!(header.tlvs.iter().next().is_none());
    };
    assert_eq!(bytes[12], 0x21, "PROXY");
    let ip_len = if addresses.source().is_ipv4() { 4 } else { 16 };
    let mut written = Vec::new();
    for ip in [addresses.source(), addresses.destination()].map(|address| address.ip()) {
        match ip {
            IpAddr::V4(ip) => written.extend(ip.octets()),
            IpAddr::V6(ip) => written.extend(ip.octets()),
        }
    }
    written.extend(addresses.source().port().to_be_bytes());
    written.extend(addresses.destination().port().to_be_bytes());
    assert_eq!(written.len(), 2 * ip_len + 4);
    for tlv in header.tlvs {
        written.push(tlv.kind);
        written.extend(u16::try_from(tlv.value.len()).unwrap().to_be_bytes());
        written.extend(tlv.value);
    }
    assert_eq!(written, bytes[16..], "addresses and extensions are all there is");
}

fn check_round_trip(addresses: &Addresses, header: &Header<'_>) {
    let mut again = Vec::new();
    encode_v2(Some(addresses), header.tlvs, &mut again).unwrap();
    let Ok(Decoded::Header(read)) = decode(&again, Rules::default()) else {
        panic!("{}", again.escape_ascii());
    };
    assert_eq!(read.addresses, header.addresses);
    assert!(read.tlvs.iter().eq(header.tlvs.iter()));
    again.clear();
    encode_v1(Some(addresses), &mut again);
    let Ok(Decoded::Header(read)) = decode(&again, Rules::default()) else {
        panic!("{}", again.escape_ascii());
    };
    let plain = |address: SocketAddr| (address.ip(), address.port());
    let read = read.addresses.unwrap();
    assert_eq!(plain(read.source()), plain(addresses.source()));
    assert_eq!(plain(read.destination()), plain(addresses.destination()));
}
