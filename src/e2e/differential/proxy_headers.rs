//! Beginnings of connections: headers of the PROXY protocol, right and wrong in every corner of the
//! specification, and what is no header at all.
//!
//! <https://www.haproxy.org/download/3.2/doc/proxy-protocol.txt>

use std::net::Ipv6Addr;

/// A beginning, by a name of its own. Everything ends with `tail`, unless it could not be told from
/// the header.
pub(super) struct Beginning {
    pub(super) name: &'static str,
    pub(super) bytes: Vec<u8>,
}

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// A header of version 2 as its parts are given: command with version, family with transport.
struct V2 {
    command: u8,
    family: u8,
    addresses: Vec<u8>,
    tlvs: Vec<u8>,
    /// Instead of the true one.
    length: Option<u16>,
}

impl V2 {
    const PROXY: u8 = 0x21;
    const LOCAL: u8 = 0x20;
    const TCP4: u8 = 0x11;
    const TCP6: u8 = 0x21;

    fn tcp4() -> Self {
        let addresses = v4([1, 2, 3, 4], [127, 0, 0, 9], 1111, 2222);
        Self { command: Self::PROXY, family: Self::TCP4, addresses, tlvs: Vec::new(), length: None }
    }

    fn tcp6() -> Self {
        let ip = |text: &str| text.parse::<Ipv6Addr>().unwrap().octets();
        let addresses = v6(ip("2001:db8::1"), ip("2001:db8::2"));
        Self { family: Self::TCP6, addresses, ..Self::tcp4() }
    }

    fn bytes(self) -> Vec<u8> {
        let body = [self.addresses, self.tlvs].concat();
        let length = self.length.unwrap_or_else(|| u16::try_from(body.len()).unwrap());
        [SIGNATURE, &[self.command, self.family], &length.to_be_bytes(), &body].concat()
    }
}

fn v4(source: [u8; 4], destination: [u8; 4], from: u16, to: u16) -> Vec<u8> {
    [&source[..], &destination, &from.to_be_bytes(), &to.to_be_bytes()].concat()
}

fn v6(source: [u8; 16], destination: [u8; 16]) -> Vec<u8> {
    [&source[..], &destination, &[0, 3, 0, 4]].concat()
}

/// One extension.
pub(super) fn tlv(kind: u8, value: &[u8]) -> Vec<u8> {
    [&[kind][..], &u16::try_from(value.len()).unwrap().to_be_bytes(), value].concat()
}

/// A right header of version 2, from 1.2.3.4:1111 to 127.0.0.9:2222, with these extensions.
pub(super) fn v2(tlvs: &[Vec<u8>]) -> Vec<u8> {
    V2 { tlvs: tlvs.concat(), ..V2::tcp4() }.bytes()
}

/// A header of version 2 that names no client: the proxy's own connection.
pub(super) fn v2_local() -> Vec<u8> {
    V2 { command: V2::LOCAL, ..V2::tcp4() }.bytes()
}

/// Every beginning.
pub(super) fn all() -> Vec<Beginning> {
    let mut all = text();
    all.extend(binary());
    all.extend(extensions());
    all.extend(no_headers());
    for beginning in &mut all {
        if !WITHOUT_TAIL.contains(&beginning.name) {
            beginning.bytes.extend_from_slice(b"tail");
        }
    }
    all
}

/// These end where they end.
const WITHOUT_TAIL: &[&str] = &[
    "nothing",
    "CRLF",
    "two CRLF",
    "PRO",
    "PROXY and a space",
    "the signature of v2",
    "15 bytes of v2",
    "a short word",
];

fn text() -> Vec<Beginning> {
    let of = |name, line: &str| Beginning { name, bytes: line.as_bytes().to_vec() };
    let long = |name, len: usize| {
        let filling = "x".repeat(len - "PROXY UNKNOWN \r\n".len());
        of(name, &format!("PROXY UNKNOWN {filling}\r\n"))
    };
    vec![
        of("v1", "PROXY TCP4 1.2.3.4 5.6.7.8 1000 2000\r\n"),
        of("v1 TCP6", "PROXY TCP6 ::1 2001:db8::5 1000 2000\r\n"),
        of("v1 UNKNOWN", "PROXY UNKNOWN\r\n"),
        of("v1 UNKNOWN and more", "PROXY UNKNOWN what ever ffff\r\n"),
        of("v1 UNKNOWNX", "PROXY UNKNOWNX\r\n"),
        of("v1 PROXY alone", "PROXY\r\n0123456789abcdef"),
        of("v1 small letters", "proxy TCP4 1.2.3.4 5.6.7.8 1000 2000\r\n"),
        of("v1 two spaces", "PROXY TCP4  1.2.3.4 5.6.7.8 1000 2000\r\n"),
        of("v1 space at the end", "PROXY TCP4 1.2.3.4 5.6.7.8 1000 2000 \r\n"),
        of("v1 tab", "PROXY TCP4 1.2.3.4 5.6.7.8 1000\t2000\r\n"),
        of("v1 no space", "PROXYTCP4 1.2.3.4 5.6.7.8 1000 2000\r\n"),
        of("v1 PROXYX", "PROXYX TCP4 1.2.3.4 5.6.7.8 1000 2000\r\n"),
        of("v1 LF", "PROXY TCP4 1.2.3.4 5.6.7.8 1000 2000\n"),
        of("v1 LF, then CRLF", "PROXY TCP4 1.2.3.4 5.6.7.8 1000 2000\nx\r\n"),
        of("v1 CR CR LF", "PROXY TCP4 1.2.3.4 5.6.7.8 1000 2000\r\r\n"),
        long("v1 107 bytes", 107),
        long("v1 108 bytes", 108),
        long("v1 109 bytes", 109),
        of("v1 port 65536", "PROXY TCP4 1.2.3.4 5.6.7.8 65536 2000\r\n"),
        of("v1 port 0", "PROXY TCP4 1.2.3.4 5.6.7.8 0 0\r\n"),
        of("v1 port +1", "PROXY TCP4 1.2.3.4 5.6.7.8 +1 2000\r\n"),
        of("v1 port 01", "PROXY TCP4 1.2.3.4 5.6.7.8 01 2000\r\n"),
        of("v1 port -1", "PROXY TCP4 1.2.3.4 5.6.7.8 -1 2000\r\n"),
        of("v1 port 0x10", "PROXY TCP4 1.2.3.4 5.6.7.8 0x10 2000\r\n"),
        of("v1 port, many zeros", "PROXY TCP4 1.2.3.4 5.6.7.8 00000000000000001 2000\r\n"),
        of("v1 address 01", "PROXY TCP4 01.2.3.4 5.6.7.8 1 2000\r\n"),
        of("v1 address of three", "PROXY TCP4 1.2.3 5.6.7.8 1 2000\r\n"),
        of("v1 IPv6 in TCP4", "PROXY TCP4 ::1 5.6.7.8 1 2000\r\n"),
        of("v1 IPv4 in TCP6", "PROXY TCP6 1.2.3.4 5.6.7.8 1 2000\r\n"),
        of("v1 mapped", "PROXY TCP6 ::ffff:1.2.3.4 ::ffff:5.6.7.8 1 2000\r\n"),
        of("v1 unspecified", "PROXY TCP4 0.0.0.0 5.6.7.8 1 2000\r\n"),
        of("v1 from multicast", "PROXY TCP4 224.0.0.1 5.6.7.8 1 2000\r\n"),
        of("v1 to multicast", "PROXY TCP4 1.2.3.4 239.0.0.1 1 2000\r\n"),
        of("v1 broadcast", "PROXY TCP4 255.255.255.255 5.6.7.8 1 2000\r\n"),
        of("v1 240.0.0.1", "PROXY TCP4 240.0.0.1 5.6.7.8 1 2000\r\n"),
        of("v1 unspecified IPv6", "PROXY TCP6 :: ::1 1 2000\r\n"),
        of("v1 multicast IPv6", "PROXY TCP6 ff02::1 ::1 1 2000\r\n"),
        of("v1 five parts", "PROXY TCP4 1.2.3.4 5.6.7.8 1000\r\n"),
        of("v1 seven parts", "PROXY TCP4 1.2.3.4 5.6.7.8 1000 2000 3000\r\n"),
        of("v1 TCP5", "PROXY TCP5 1.2.3.4 5.6.7.8 1000 2000\r\n"),
        of("v1 NUL", "PROXY UNKNOWN \0\r\n"),
    ]
}

fn binary() -> Vec<Beginning> {
    let of = |name, header: V2| Beginning { name, bytes: header.bytes() };
    let mapped = |last: u8| Ipv6Addr::from([0, 0, 0, 0, 0, 0xffff, 0x102, 0x300 + u16::from(last)]);
    let from = |source| v4(source, [1, 2, 3, 4], 1, 2);
    vec![
        of("v2", V2::tcp4()),
        of("v2 TCP6", V2::tcp6()),
        of("v2 UDP4", V2 { family: 0x12, ..V2::tcp4() }),
        of("v2 UDP6", V2 { family: 0x22, ..V2::tcp6() }),
        of("v2 UNSPEC", V2 { family: 0, ..V2::tcp4() }),
        of("v2 UNSPEC, empty", V2 { family: 0, addresses: Vec::new(), ..V2::tcp4() }),
        of("v2 AF_UNIX", V2 { family: 0x31, addresses: vec![b'u'; 216], ..V2::tcp4() }),
        of("v2 family 4", V2 { family: 0x41, ..V2::tcp4() }),
        of("v2 transport 0", V2 { family: 0x10, ..V2::tcp4() }),
        of("v2 transport 3", V2 { family: 0x13, ..V2::tcp4() }),
        of("v2 LOCAL", V2 { command: V2::LOCAL, ..V2::tcp4() }),
        of(
            "v2 LOCAL, empty",
            V2 { command: V2::LOCAL, family: 0, addresses: Vec::new(), ..V2::tcp4() },
        ),
        of("v2 LOCAL, any family", V2 { command: V2::LOCAL, family: 0xff, ..V2::tcp4() }),
        of("v2 LOCAL, long", V2 { command: V2::LOCAL, addresses: vec![b'z'; 5000], ..V2::tcp4() }),
        of(
            "v2 LOCAL, broken TLV",
            V2 { command: V2::LOCAL, tlvs: vec![0xe1, 0, 16], ..V2::tcp4() },
        ),
        of("v2 command 2", V2 { command: 0x22, ..V2::tcp4() }),
        of("v2 command 15", V2 { command: 0x2f, ..V2::tcp4() }),
        of("v2 revision 1", V2 { command: 0x11, ..V2::tcp4() }),
        of("v2 revision 3", V2 { command: 0x31, ..V2::tcp4() }),
        of("v2 length 11", V2 { length: Some(11), ..V2::tcp4() }),
        of("v2 length 35", V2 { length: Some(35), ..V2::tcp6() }),
        of("v2 multicast", V2 { addresses: from([224, 0, 0, 1]), ..V2::tcp4() }),
        of("v2 unspecified", V2 { addresses: from([0; 4]), ..V2::tcp4() }),
        of("v2 broadcast", V2 { addresses: from([255; 4]), ..V2::tcp4() }),
        of("v2 mapped", V2 { addresses: v6(mapped(4).octets(), mapped(5).octets()), ..V2::tcp6() }),
    ]
}

fn extensions() -> Vec<Beginning> {
    let of = |name, tlvs: Vec<u8>| Beginning { name, bytes: V2 { tlvs, ..V2::tcp4() }.bytes() };
    vec![
        of("TLV", tlv(0xe1, b"value")),
        of("TLV twice", [tlv(0xe1, b"one"), tlv(0xe1, b"two")].concat()),
        of("TLV, no UTF-8", tlv(0xe1, b"a\xff\xfeb\xe2\x82")),
        of("TLV, letters that JSON escapes", tlv(0xe1, b"\"\\\x01\x7f\t<")),
        of("TLV, empty, at the end", tlv(0xe1, b"")),
        of("TLV, empty, before another", [tlv(0xe1, b""), tlv(2, b"x")].concat()),
        of("TLV of one byte", vec![0xe1]),
        of("TLV of two bytes", vec![0xe1, 0]),
        of("TLV, longer than the header", vec![0xe1, 0, 5, b'a', b'b', b'c']),
        of("TLV NOOP", tlv(4, &[0; 20])),
        of("TLV, wrong checksum", tlv(3, &[1, 2, 3, 4])),
        of("TLV of 3,000 bytes", tlv(0xe2, &[b'q'; 3000])),
        of("TLV, the longest", tlv(0xe2, &[b'q'; 0xffff - 12 - 3])),
    ]
}

fn no_headers() -> Vec<Beginning> {
    let of = |name, bytes: &[u8]| Beginning { name, bytes: bytes.to_vec() };
    vec![
        of("a sentence", b"hello world, this is no header at all"),
        of("a short word", b"hello"),
        of("HTTP", b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"),
        of("nothing", b""),
        of("CRLF", b"\r\n"),
        of("two CRLF", b"\r\n\r\n"),
        of("CRLF and text", b"\r\nhello"),
        of("PRO", b"PRO"),
        of("PROXY and a space", b"PROXY "),
        of("the signature of v2", SIGNATURE),
        of("15 bytes of v2", &V2::tcp4().bytes()[..15]),
        of("half the signature of v2", b"\r\n\r\n\0\rno way this is"),
    ]
}
