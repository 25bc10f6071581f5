//! Operators that read headers.

use super::record::Record;
use super::value::Value;

/// The argument of `%REQ(X?Y):Z%` and its relatives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Header {
    name: String,
    /// Looked up when there is no `name`.
    alternative: Option<String>,
    length_max: Option<usize>,
}

impl Header {
    pub(super) fn parse(argument: &str, length_max: Option<usize>) -> Result<Self, String> {
        let mut names = argument.split('?');
        let name = names.next().unwrap_or_default();
        let alternative = names.next().unwrap_or_default();
        if names.next().is_some() {
            return Err(format!("More than 1 alternative header specified in token: {argument}"));
        }
        if !is_header_name(name) || !is_header_name(alternative) {
            let text = "Invalid header configuration. Format string contains invalid characters.";
            return Err(text.to_owned());
        }
        let alternative = Some(alternative).filter(|name| !name.is_empty());
        Ok(Self {
            name: name.to_ascii_lowercase(),
            alternative: alternative.map(str::to_ascii_lowercase),
            length_max,
        })
    }

    pub(super) fn value<'r>(&self, find: impl Fn(&str) -> Option<&'r [u8]>) -> Value<'r> {
        let found = find(&self.name);
        let alternative = self.alternative.as_deref();
        let found = found.or_else(|| alternative.and_then(find));
        Value::bytes(found, self.length_max)
    }
}

/// A token of RFC 9110, or a pseudo-header; Envoy lets an empty name pass, which finds nothing.
fn is_header_name(name: &str) -> bool {
    let token = name.strip_prefix(':').unwrap_or(name);
    token.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

/// How `%GRPC_STATUS(..)%` spells the status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum GrpcStatus {
    Camel,
    Snake,
    Number,
}

impl GrpcStatus {
    pub(super) fn parse(argument: &str) -> Result<Self, String> {
        match argument {
            "" | "CAMEL_STRING" => Ok(Self::Camel),
            "SNAKE_STRING" => Ok(Self::Snake),
            "NUMBER" => Ok(Self::Number),
            _ => Err(format!(
                "GrpcStatusFormatter only supports CAMEL_STRING, SNAKE_STRING or NUMBER. Got: \
                 {argument}"
            )),
        }
    }

    /// The status from the trailers, from the headers, or made from the HTTP status, in this
    /// order; nothing for a request that is no gRPC request.
    pub(super) fn value<'r>(self, record: &'r Record<'r>) -> Value<'r> {
        let Some(http) = record.http else { return Value::Missing };
        if !http.request_header("content-type").is_some_and(is_grpc) {
            return Value::Missing;
        }
        let told = |text: Option<&'r [u8]>| text.filter(|text| !text.is_empty());
        let header = told(http.response_trailer(GRPC_STATUS));
        let header = header.or_else(|| told(http.response_header(GRPC_STATUS)));
        let status = match header {
            Some(text) => std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()),
            None if record.response_code > 0 => Some(status_of_http(record.response_code)),
            None => return Value::Missing,
        };
        let Some(status) = status else { return self.invalid() };
        let named = usize::try_from(status).ok().and_then(|index| NAMES.get(index));
        match (self, named) {
            (Self::Camel, Some((camel, _))) => Value::Text(camel.as_bytes()),
            (Self::Snake, Some((_, snake))) => Value::Text(snake.as_bytes()),
            (Self::Number, _) => Value::Number(status),
            (Self::Camel | Self::Snake, None) => Value::Digits(status),
        }
    }

    /// Of what is no number.
    fn invalid(self) -> Value<'static> {
        match self {
            Self::Camel | Self::Snake => Value::Text(b"-1"),
            Self::Number => Value::Json(b"-1", None),
        }
    }
}

const GRPC_STATUS: &str = "grpc-status";

fn is_grpc(content_type: &[u8]) -> bool {
    let rest = content_type.strip_prefix(b"application/grpc");
    rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'+')))
}

/// gRPC's own table for answers of something that speaks no gRPC.
fn status_of_http(code: u16) -> u64 {
    match code {
        400 => 13,
        401 => 16,
        403 => 7,
        404 => 12,
        429 | 502 | 503 | 504 => 14,
        _ => 2,
    }
}

const NAMES: [(&str, &str); 17] = [
    ("OK", "OK"),
    ("Canceled", "CANCELLED"),
    ("Unknown", "UNKNOWN"),
    ("InvalidArgument", "INVALID_ARGUMENT"),
    ("DeadlineExceeded", "DEADLINE_EXCEEDED"),
    ("NotFound", "NOT_FOUND"),
    ("AlreadyExists", "ALREADY_EXISTS"),
    ("PermissionDenied", "PERMISSION_DENIED"),
    ("ResourceExhausted", "RESOURCE_EXHAUSTED"),
    ("FailedPrecondition", "FAILED_PRECONDITION"),
    ("Aborted", "ABORTED"),
    ("OutOfRange", "OUT_OF_RANGE"),
    ("Unimplemented", "UNIMPLEMENTED"),
    ("Internal", "INTERNAL"),
    ("Unavailable", "UNAVAILABLE"),
    ("DataLoss", "DATA_LOSS"),
    ("Unauthenticated", "UNAUTHENTICATED"),
];

/// `%PATH(query:which)%`: the request's path, with or without its query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Path {
    keeps_query: bool,
    which: WhichPath,
    length_max: Option<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum WhichPath {
    Current,
    Original,
    OriginalOrCurrent,
}

impl Path {
    pub(super) fn parse(argument: &str, length_max: Option<usize>) -> Result<Self, String> {
        let (query, which) = argument.split_once(':').unwrap_or((argument, ""));
        let keeps_query = match query {
            "" | "WQ" => true,
            "NQ" => false,
            _ => {
                let text = "only 'WQ'/'NQ' are allowed";
                return Err(format!("Invalid PATH option: '{query}', {text}"));
            }
        };
        let which = match which {
            "" | "ORIG_OR_PATH" => WhichPath::OriginalOrCurrent,
            "ORIG" => WhichPath::Original,
            "PATH" => WhichPath::Current,
            _ => {
                let text = "only 'ORIG'/'PATH'/'ORIG_OR_PATH' are allowed";
                return Err(format!("Invalid PATH option: '{which}', {text}"));
            }
        };
        Ok(Self { keeps_query, which, length_max })
    }

    pub(super) fn value<'r>(self, record: &'r Record<'r>) -> Value<'r> {
        let find = |name| record.http.and_then(|http| http.request_header(name));
        let current = || find(":path");
        let original = || find("x-envoy-original-path");
        let path = match self.which {
            WhichPath::Current => current(),
            WhichPath::Original => original(),
            WhichPath::OriginalOrCurrent => original().or_else(current),
        };
        let path = path.map(|path| {
            let query = path.iter().position(|byte| *byte == b'?');
            let end = query.filter(|_| !self.keeps_query).unwrap_or(path.len());
            &path[..end]
        });
        Value::bytes(path, self.length_max)
    }
}
