//! What gRPC asks of a proxy: to be answered in its own words, and how long a call may take.
//!
//! A gRPC client looks for `grpc-status`, not for a status of HTTP; an answer of ours carries one,
//! in a head that is all of the response. It works over every version of HTTP, as in Envoy.
//!
//! <https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>

use std::io::Write as _;
use std::time::Duration;

use config::model::GrpcTimeout;
use proto::{KnownName, RequestHead, ResponseHead};

/// The status of a call that took longer than it may.
pub(super) const DEADLINE_EXCEEDED: u8 = 4;

/// The largest number that a `grpc-timeout` has: eight digits.
const TIMEOUT_MAX: u64 = 99_999_999;

/// Whether the client speaks gRPC: `application/grpc`, and what is derived from it.
pub(super) fn is_call(request: &RequestHead) -> bool {
    let kind = request.headers.get(KnownName::ContentType);
    let rest = kind.and_then(|kind| kind.strip_prefix(b"application/grpc"));
    rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'+')))
}

/// gRPC's table of what a status of HTTP means.
pub(super) fn status_of(http: u16) -> u8 {
    match http {
        400 => 13,
        401 => 16,
        403 => 7,
        404 => 12,
        429 | 502..=504 => 14,
        _ => 2,
    }
}

/// Whether a `grpc-status` says that the host has done its part, be it that it refused the call:
/// whether no status of HTTP from 500 on is meant by it.
pub(super) fn is_served(status: &[u8]) -> bool {
    http_status(status) < 500
}

/// What a `grpc-status` means as a status of HTTP.
pub(super) fn http_status(status: &[u8]) -> u16 {
    let number = std::str::from_utf8(status).ok().and_then(|text| text.parse::<u64>().ok());
    match number {
        Some(0) => 200,
        Some(1) => 499,
        Some(3 | 9 | 11) => 400,
        Some(4) => 504,
        Some(5) => 404,
        Some(6 | 10) => 409,
        Some(7) => 403,
        Some(8) => 429,
        Some(12) => 501,
        Some(14) => 503,
        Some(16) => 401,
        // Unknown, internal, data loss, and what is no status.
        _ => 500,
    }
}

/// Makes a reply one of gRPC: its body becomes the message.
pub(super) fn answer(response: &mut ResponseHead, status: u8, message: &[u8]) {
    response.status = 200;
    response.headers.set(KnownName::ContentType, b"application/grpc");
    response.headers.set_number(KnownName::GrpcStatus, u64::from(status));
    if !message.is_empty() {
        response.headers.set(KnownName::GrpcMessage, &encoded(message));
    }
}

/// A message as a field holds it: percent signs, controls and what is not ASCII are encoded.
fn encoded(message: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(message.len());
    for byte in message {
        match byte {
            b'%' | 0..0x20 | 0x7f.. => {
                // Writing to memory does not fail.
                let _ = write!(text, "%{byte:02X}");
            }
            plain => text.push(*plain),
        }
    }
    text
}

/// How long the client gives the call: `grpc-timeout`, in whole milliseconds, rounded up. `None`
/// for one that is not right, or none.
pub(super) fn timeout(request: &RequestHead) -> Option<Duration> {
    let (unit, digits) = request.headers.get(KnownName::GrpcTimeout)?.split_last()?;
    let is_number = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    let number = std::str::from_utf8(digits).ok().filter(|_| is_number)?.parse::<u64>().ok()?;
    if number > TIMEOUT_MAX {
        return None;
    }
    let ms = match unit {
        b'H' => number * 3_600_000,
        b'M' => number * 60_000,
        b'S' => number * 1000,
        b'm' => number,
        b'u' => number.div_ceil(1000),
        b'n' => number.div_ceil(1_000_000),
        _ => return None,
    };
    Some(Duration::from_millis(ms))
}

/// Tells the upstream how long the call may take, in the smallest unit that has room for it.
pub(super) fn tell_timeout(request: &mut RequestHead, timeout: Duration) {
    let ms = timeout.as_millis();
    let (number, unit) = [(1, 'm'), (1000, 'S'), (60_000, 'M'), (3_600_000, 'H')]
        .into_iter()
        .map(|(size, unit)| (ms / size, unit))
        .find(|(number, _)| *number <= u128::from(TIMEOUT_MAX))
        .unwrap_or((u128::from(TIMEOUT_MAX), 'H'));
    let mut text = [0_u8; 16];
    let mut rest = &mut text[..];
    if write!(rest, "{number}{unit}").is_ok() {
        let length = 16 - rest.len();
        request.headers.set(KnownName::GrpcTimeout, &text[..length]);
    }
}

/// How long the response of a call may take by `max_grpc_timeout`; zero for without end.
pub(super) fn response_timeout(limits: GrpcTimeout, of_client: Option<Duration>) -> Duration {
    let mut timeout = of_client.unwrap_or_default();
    // One that would leave nothing is not taken off: zero is without end.
    if limits.offset < timeout {
        timeout -= limits.offset;
    }
    let is_longer = timeout.is_zero() || timeout > limits.max;
    if !limits.max.is_zero() && is_longer { limits.max } else { timeout }
}

/// How long a stream may take by `grpc_timeout_header_max`; zero for nothing at all.
pub(super) fn stream_duration(limits: GrpcTimeout, of_client: Duration) -> Duration {
    let is_longer = !limits.max.is_zero() && of_client > limits.max;
    let duration = if is_longer { limits.max } else { of_client };
    duration.saturating_sub(limits.offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(name: KnownName, value: &[u8]) -> RequestHead {
        let mut request = RequestHead::default();
        request.headers.append_known(name, value);
        request
    }

    #[test]
    fn a_call_is_known_by_its_type() {
        let is_call = |kind: &str| is_call(&request(KnownName::ContentType, kind.as_bytes()));
        for kind in ["application/grpc", "application/grpc+proto", "application/grpc+"] {
            assert!(is_call(kind), "{kind}");
        }
        for kind in ["application/grpc-web", "application/grpc;x=1", "Application/grpc", "a", ""] {
            assert!(!is_call(kind), "{kind}");
        }
        assert!(!super::is_call(&RequestHead::default()));
    }

    #[test]
    fn a_message_is_encoded_as_far_as_it_must_be() {
        assert_eq!(encoded("a % b\t~\u{fc}".as_bytes()), b"a %25 b%09~%C3%BC");
    }

    #[test]
    fn timeouts_are_read_in_milliseconds_rounded_up() {
        let timeout = |text: &str| {
            let timeout = timeout(&request(KnownName::GrpcTimeout, text.as_bytes()))?;
            u64::try_from(timeout.as_millis()).ok()
        };
        for (text, ms) in [
            ("1H", 3_600_000),
            ("2M", 120_000),
            ("5S", 5000),
            ("300m", 300),
            ("0m", 0),
            ("1000u", 1),
            ("1001u", 2),
            ("1n", 1),
            ("99999999H", 359_999_996_400_000),
        ] {
            assert_eq!(timeout(text), Some(ms), "{text}");
        }
        for text in ["", "5", "m", "x", "5s", "-5S", "1.5S", "100000000m", "5 S"] {
            assert_eq!(timeout(text), None, "{text}");
        }
    }

    #[test]
    fn timeouts_are_told_in_a_unit_that_has_room() {
        let told = |ms: u64| {
            let mut request = RequestHead::default();
            tell_timeout(&mut request, Duration::from_millis(ms));
            String::from_utf8(request.headers.get(KnownName::GrpcTimeout).unwrap().to_vec())
        };
        assert_eq!(told(0).unwrap(), "0m");
        assert_eq!(told(99_999_999).unwrap(), "99999999m");
        assert_eq!(told(100_000_000).unwrap(), "100000S");
        assert_eq!(told(u64::MAX).unwrap(), "99999999H");
    }

    #[test]
    fn limits_hold_as_in_envoy() {
        let ms = Duration::from_millis;
        let limits = |max, offset| GrpcTimeout { max: ms(max), offset: ms(offset) };
        // What the client says, and what becomes of it: as measured.
        for (limits, of_client, response) in [
            (limits(2000, 0), None, 2000),
            (limits(2000, 0), Some(300), 300),
            (limits(2000, 0), Some(5000), 2000),
            (limits(2000, 0), Some(0), 2000),
            (limits(0, 0), None, 0),
            (limits(0, 0), Some(5000), 5000),
            (limits(2000, 500), Some(300), 300),
            (limits(2000, 500), Some(1000), 500),
        ] {
            assert_eq!(response_timeout(limits, of_client.map(ms)), ms(response));
        }
        for (limits, of_client, duration) in [
            (limits(2000, 0), 300, 300),
            (limits(2000, 0), 5000, 2000),
            (limits(0, 0), 5000, 5000),
            (limits(2000, 500), 300, 0),
            (limits(2000, 500), 5000, 1500),
        ] {
            assert_eq!(stream_duration(limits, ms(of_client)), ms(duration));
        }
    }
}
