//! The heads of messages, as every protocol understands them.
//!
//! As in Envoy, what HTTP/2 calls pseudo header fields is not in the header list: method, path,
//! authority and scheme of a request, status of a response. A `host` field becomes the authority.

use crate::headers::HeaderList;

/// The head of a request. Recycled: [`clear`](Self::clear) keeps the memory.
#[derive(Debug, Clone, Default)]
pub struct RequestHead {
    /// The protocol it came in, or is to be sent in.
    pub version: Version,
    /// The fields, without `host`.
    pub headers: HeaderList,
    /// The scheme, where the client said one: absolute form, or HTTP/2.
    pub scheme: Option<Scheme>,
    method: Method,
    /// Only of a method that has no name in [`Method`].
    other_method: Vec<u8>,
    path: Vec<u8>,
    authority: Vec<u8>,
    has_authority: bool,
}

impl RequestHead {
    /// An empty head, which has allocated nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Forgets the message and keeps the memory.
    #[inline]
    pub fn clear(&mut self) {
        self.version = Version::Http11;
        self.headers.clear();
        self.scheme = None;
        self.method = Method::Get;
        self.other_method.clear();
        self.path.clear();
        self.path.shrink_to(RETAINED_TEXT_MAX);
        self.authority.clear();
        self.authority.shrink_to(RETAINED_TEXT_MAX);
        self.has_authority = false;
    }

    /// The method, to compare with.
    #[must_use]
    #[inline]
    pub const fn method(&self) -> Method {
        self.method
    }

    /// The method as it is written.
    #[must_use]
    pub fn method_text(&self) -> &[u8] {
        match self.method {
            Method::Other => &self.other_method,
            known => known.as_str().as_bytes(),
        }
    }

    /// Sets the method from its text: a token of RFC 9110 section 9.1. Case matters.
    pub fn set_method(&mut self, text: &[u8]) {
        self.method = Method::from_text(text);
        self.other_method.clear();
        if self.method == Method::Other {
            self.other_method.extend_from_slice(text);
        }
    }

    /// Path and query as the client wrote them; `*` for the whole server; empty for CONNECT.
    #[must_use]
    #[inline]
    pub fn path(&self) -> &[u8] {
        &self.path
    }

    /// Replaces path and query.
    pub fn set_path(&mut self, path: &[u8]) {
        self.path.clear();
        self.path.extend_from_slice(path);
    }

    /// Host and port. `None` where the request named none, which is not the same as an empty one:
    /// HTTP/1.1 then asks for 400 (`missing_host_header` in Envoy's words).
    #[must_use]
    #[inline]
    pub fn authority(&self) -> Option<&[u8]> {
        self.has_authority.then_some(&self.authority[..])
    }

    /// Replaces host and port.
    pub fn set_authority(&mut self, authority: &[u8]) {
        self.authority.clear();
        self.authority.extend_from_slice(authority);
        self.has_authority = true;
    }
}

/// The head of a response. Recycled: [`clear`](Self::clear) keeps the memory.
#[derive(Debug, Clone, Default)]
pub struct ResponseHead {
    /// The protocol it came in, or is to be sent in.
    pub version: Version,
    /// The status code: 100 to 999.
    pub status: u16,
    /// The fields.
    pub headers: HeaderList,
}

impl ResponseHead {
    /// An empty head, which has allocated nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Forgets the message and keeps the memory.
    #[inline]
    pub fn clear(&mut self) {
        self.version = Version::Http11;
        self.status = 0;
        self.headers.clear();
    }

    /// Whether this is an interim response (1xx other than 101), after which another head follows:
    /// RFC 9110 section 15.2.
    #[must_use]
    pub const fn is_interim(&self) -> bool {
        self.status >= 100 && self.status < 200 && self.status != 101
    }
}

/// The version of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Version {
    /// `HTTP/1.0`
    Http10,
    /// `HTTP/1.1`
    #[default]
    Http11,
    /// `HTTP/2`
    Http2,
}

/// The scheme of a request target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// `http`
    Http,
    /// `https`
    Https,
}

impl Scheme {
    /// As it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

macro_rules! methods {
    ($($variant:ident = $text:literal;)*) => {
        /// The methods that Envoy's HTTP/1 codec accepts, and [`Method::Other`].
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
        pub enum Method {
            $(#[doc = concat!("`", $text, "`")] $variant,)*
            /// The default, and the most frequent: `GET`.
            #[default]
            Get,
            /// Any other: [`RequestHead::method_text`] has it.
            Other,
        }

        impl Method {
            /// The method as it is written; empty for [`Method::Other`].
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                    Self::Get => "GET",
                    Self::Other => "",
                }
            }

            /// The method that is written like this. Case matters.
            #[must_use]
            #[inline]
            pub fn from_text(text: &[u8]) -> Self {
                if text == b"GET" {
                    return Self::Get;
                }
                Self::from_text_slow(text)
            }

            fn from_text_slow(text: &[u8]) -> Self {
                $(if text == $text.as_bytes() {
                    return Self::$variant;
                })*
                Self::Other
            }
        }
    };
}

methods! {
    Head = "HEAD";
    Post = "POST";
    Put = "PUT";
    Delete = "DELETE";
    Options = "OPTIONS";
    Patch = "PATCH";
    Connect = "CONNECT";
    Trace = "TRACE";
    Acl = "ACL";
    Bind = "BIND";
    Checkout = "CHECKOUT";
    Copy = "COPY";
    Link = "LINK";
    Lock = "LOCK";
    Merge = "MERGE";
    Mkactivity = "MKACTIVITY";
    Mkcalendar = "MKCALENDAR";
    Mkcol = "MKCOL";
    Move = "MOVE";
    Msearch = "MSEARCH";
    Notify = "NOTIFY";
    Propfind = "PROPFIND";
    Proppatch = "PROPPATCH";
    Purge = "PURGE";
    Rebind = "REBIND";
    Report = "REPORT";
    Search = "SEARCH";
    Source = "SOURCE";
    Subscribe = "SUBSCRIBE";
    Unbind = "UNBIND";
    Unlink = "UNLINK";
    Unlock = "UNLOCK";
    Unsubscribe = "UNSUBSCRIBE";
}

/// Memory that a cleared head keeps for its path and for its authority.
const RETAINED_TEXT_MAX: usize = 2 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_are_found_by_their_text_and_by_nothing_else() {
        for text in ["GET", "HEAD", "CONNECT", "UNSUBSCRIBE", "MSEARCH"] {
            let mut head = RequestHead::new();
            head.set_method(text.as_bytes());
            assert_ne!(head.method(), Method::Other);
            assert_eq!(head.method_text(), text.as_bytes());
        }
        for text in ["get", "GETS", "M-SEARCH", "", "BREW"] {
            let mut head = RequestHead::new();
            head.set_method(text.as_bytes());
            assert_eq!(head.method(), Method::Other);
            assert_eq!(head.method_text(), text.as_bytes());
        }
    }

    #[test]
    fn a_cleared_head_remembers_nothing() {
        let mut head = RequestHead::new();
        head.set_method(b"BREW");
        head.set_authority(b"pot");
        head.set_path(b"/");
        head.headers.append(b"A", b"b");
        head.scheme = Some(Scheme::Https);
        head.clear();
        assert_eq!((head.method(), head.authority(), head.scheme), (Method::Get, None, None));
        assert!(head.path().is_empty() && head.headers.is_empty());
    }
}
