//! Filter state: objects that filters leave on a connection for others, by key; and
//! `%FILTER_STATE(..)%`, which shows them.
//!
//! It knows how each object prints and nothing of what it is for. How texts become objects is the
//! business of the filters that make them.
//!
//! <https://www.envoyproxy.io/docs/envoy/latest/configuration/advanced/well_known_filter_state>

use std::io::Write as _;
use std::net::SocketAddr;

use super::digits::write_unsigned;
use super::metadata::{place_of, write_object};
use super::value::{Value, write_escaped};

/// The objects of one connection.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FilterState {
    /// Sorted by key.
    objects: Vec<Kept>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Kept {
    key: String,
    object: FilterObject,
    sharing: Sharing,
}

/// Whom an object is for besides the connection itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Sharing {
    /// Nobody.
    #[default]
    None,
    /// The upstream connection, which is not shared with clients that have another one then.
    Upstream,
}

/// An object, of the type that its factory makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FilterObject {
    /// Any text.
    Text(Box<[u8]>),
    /// Any text that tells the connections apart that share it with their upstream.
    HashableText(Box<[u8]>),
    /// The name of a cluster, for `tcp_proxy`.
    Cluster(Box<[u8]>),
    /// The server name for the upstream's TLS.
    ServerName(Box<[u8]>),
    /// Names of which the upstream's certificate has to have one, separated by commas.
    SubjectAltNames(Box<[u8]>),
    /// Protocols for the upstream's ALPN, separated by commas. Shows as nothing.
    ApplicationProtocols(Box<[u8]>),
    /// The path of a network namespace.
    NetworkNamespace(Box<[u8]>),
    /// A proxy that upstream connections go through, and what it is to be asked for. Shows as
    /// nothing.
    HttpProxy {
        /// Host and port.
        target: Box<[u8]>,
        /// Where it is.
        proxy: SocketAddr,
    },
    /// That the router is to tell more; shows as nothing.
    DebugConfig,
    /// A switch.
    Bool(bool),
    /// A number.
    Uint32(u32),
    /// A number that JSON has as a text.
    Uint64(u64),
    /// An address with fields `ip` and `port`.
    Address(SocketAddr),
    /// An address that has no port, and shows one of 0.
    Ip(SocketAddr),
    /// Texts by name, sorted.
    Fields(Vec<(String, String)>),
}

impl FilterState {
    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.objects.is_empty()
    }

    /// The object of this key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&FilterObject> {
        self.find(key).ok().map(|index| &self.objects[index].object)
    }

    /// Puts an object in, in the place of one of this key.
    pub fn set(&mut self, key: &str, object: FilterObject, sharing: Sharing) {
        let kept = Kept { key: key.to_owned(), object, sharing };
        match self.find(key) {
            Ok(index) => self.objects[index] = kept,
            Err(index) => self.objects.insert(index, kept),
        }
    }

    /// Puts a text into the fields of the object of this key, in the place of one of this name.
    pub fn set_field(&mut self, key: &str, name: &str, text: String) {
        let place = self.find(key).ok();
        if let Some(FilterObject::Fields(fields)) =
            place.map(|place| &mut self.objects[place].object)
        {
            match place_of(fields, name) {
                Ok(place) => fields[place].1 = text,
                Err(place) => fields.insert(place, (name.to_owned(), text)),
            }
        } else {
            let fields = vec![(name.to_owned(), text)];
            self.set(key, FilterObject::Fields(fields), Sharing::None);
        }
    }

    /// Takes an object away, if there is one of this key.
    pub fn remove(&mut self, key: &str) {
        if let Ok(index) = self.find(key) {
            self.objects.remove(index);
        }
    }

    /// What an upstream connection begins with: those that are shared with it, if there are some.
    #[must_use]
    pub fn of_upstream(&self) -> Option<Self> {
        let shared = self.objects.iter().filter(|kept| kept.sharing == Sharing::Upstream);
        let objects: Vec<_> = shared.cloned().collect();
        (!objects.is_empty()).then_some(Self { objects })
    }

    /// Those that are shared with the upstream connection, with their keys.
    pub fn shared(&self) -> impl Iterator<Item = (&str, &FilterObject)> {
        let shared = self.objects.iter().filter(|kept| kept.sharing == Sharing::Upstream);
        shared.map(|kept| (kept.key.as_str(), &kept.object))
    }

    fn find(&self, key: &str) -> Result<usize, usize> {
        self.objects.binary_search_by(|kept| kept.key.as_str().cmp(key))
    }
}

impl FilterObject {
    /// Its text, if it is one that prints plain.
    fn plain_text(&self) -> Option<&[u8]> {
        match self {
            Self::Text(text)
            | Self::HashableText(text)
            | Self::Cluster(text)
            | Self::ServerName(text)
            | Self::SubjectAltNames(text)
            | Self::NetworkNamespace(text) => Some(text),
            _ => None,
        }
    }

    fn prints_typed(&self) -> bool {
        match self {
            Self::Text(_)
            | Self::HashableText(_)
            | Self::Bool(_)
            | Self::Uint32(_)
            | Self::Uint64(_)
            | Self::Fields(_) => true,
            Self::Cluster(_)
            | Self::ServerName(_)
            | Self::SubjectAltNames(_)
            | Self::ApplicationProtocols(_)
            | Self::NetworkNamespace(_)
            | Self::HttpProxy { .. }
            | Self::DebugConfig
            | Self::Address(_)
            | Self::Ip(_) => false,
        }
    }

    fn prints_plain(&self) -> bool {
        !matches!(self, Self::ApplicationProtocols(_) | Self::HttpProxy { .. } | Self::DebugConfig)
    }
}

/// What of an object is asked for.
#[derive(Debug, Clone)]
pub(super) struct ObjectText {
    key: String,
    form: Form,
    length_max: Option<usize>,
}

#[derive(Debug, Clone)]
enum Form {
    Plain,
    Typed,
    Field(String),
}

impl ObjectText {
    /// The whole object; `typed`, it keeps its type in a JSON line.
    pub(super) fn whole(key: &str, typed: bool, length_max: Option<usize>) -> Self {
        let form = if typed { Form::Typed } else { Form::Plain };
        Self { key: key.to_owned(), form, length_max }
    }

    /// One of its fields.
    pub(super) fn field(key: &str, field: &str, length_max: Option<usize>) -> Self {
        Self { key: key.to_owned(), form: Form::Field(field.to_owned()), length_max }
    }

    pub(super) fn value<'r>(&'r self, state: Option<&'r FilterState>) -> Value<'r> {
        let Some(object) = state.and_then(|state| state.get(&self.key)) else {
            return Value::Missing;
        };
        let shown = |part| Value::Shown(Shown { object, part, length_max: self.length_max });
        match (&self.form, object) {
            (Form::Plain, object) if object.prints_plain() => shown(Part::Plain),
            (Form::Typed, object) if object.prints_typed() => shown(Part::Typed),
            (Form::Field(name), FilterObject::Fields(fields)) => {
                let mut fields = fields.iter();
                let field =
                    fields.find(|(other, _)| other == name).map(|(_, text)| text.as_bytes());
                Value::bytes(field, self.length_max)
            }
            (Form::Field(name), FilterObject::Address(_)) => match name.as_str() {
                "ip" => shown(Part::Ip),
                "port" => shown(Part::Port),
                _ => Value::Missing,
            },
            _ => Value::Missing,
        }
    }
}

/// A part of an object on its way into a line.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shown<'a> {
    object: &'a FilterObject,
    part: Part,
    length_max: Option<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Plain,
    Typed,
    Ip,
    Port,
}

impl Shown<'_> {
    /// Appends it as text, cut after so many bytes as the format says.
    pub(super) fn write_text(self, out: &mut Vec<u8>) {
        let start = out.len();
        match (self.part, self.object) {
            (Part::Ip, FilterObject::Address(address)) => drop(write!(out, "{}", address.ip())),
            (Part::Port, FilterObject::Address(address)) => {
                write_unsigned(u64::from(address.port()), out);
            }
            (Part::Typed, object) => write_typed(object, out),
            (_, object) => write_plain(object, out),
        }
        out.truncate(start.saturating_add(self.length_max.unwrap_or(usize::MAX)));
    }

    /// Appends it as JSON, if it is typed: whole, whatever the format says. False for one that is
    /// a text in JSON too.
    pub(super) fn write_json(self, out: &mut Vec<u8>) -> bool {
        if self.part == Part::Typed {
            write_typed(self.object, out);
        }
        self.part == Part::Typed
    }
}

fn write_plain(object: &FilterObject, out: &mut Vec<u8>) {
    if let Some(text) = object.plain_text() {
        return out.extend_from_slice(text);
    }
    match object {
        FilterObject::Uint64(number) => write_unsigned(*number, out),
        // Writing to a Vec cannot fail.
        FilterObject::Address(address) | FilterObject::Ip(address) => {
            drop(write!(out, "{address}"))
        }
        object => write_typed(object, out),
    }
}

fn write_typed(object: &FilterObject, out: &mut Vec<u8>) {
    let quoted = |out: &mut Vec<u8>, write: &dyn Fn(&mut Vec<u8>)| {
        out.push(b'"');
        write(out);
        out.push(b'"');
    };
    match object {
        FilterObject::Bool(value) => out.extend_from_slice(value.to_string().as_bytes()),
        FilterObject::Uint32(number) => write_unsigned(u64::from(*number), out),
        FilterObject::Uint64(number) => quoted(out, &|out| write_unsigned(*number, out)),
        FilterObject::Fields(fields) => write_object(fields, out),
        object => {
            let text = object.plain_text().unwrap_or_default();
            quoted(out, &|out| write_escaped(text, out));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Box<[u8]> {
        text.as_bytes().into()
    }

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    /// As text and in a JSON line, plain and typed, whole and cut to three: what Envoy 1.40 wrote.
    #[test]
    fn objects_print_as_they_do_in_envoy() {
        let proxy = address("1.2.3.4:5");
        for (object, plain, typed) in [
            (FilterObject::Text(text("a b\"\\")), Some("a b\"\\"), Some(r#""a b\"\\""#)),
            (FilterObject::Text(text("")), Some(""), Some("\"\"")),
            (FilterObject::HashableText(text("a")), Some("a"), Some("\"a\"")),
            (FilterObject::Cluster(text("a")), Some("a"), None),
            (FilterObject::ServerName(text("a")), Some("a"), None),
            (FilterObject::SubjectAltNames(text("a,b")), Some("a,b"), None),
            (FilterObject::NetworkNamespace(text("/a")), Some("/a"), None),
            (FilterObject::ApplicationProtocols(text("a")), None, None),
            (FilterObject::HttpProxy { target: text("a:1"), proxy }, None, None),
            (FilterObject::DebugConfig, None, None),
            (FilterObject::Bool(true), Some("true"), Some("true")),
            (FilterObject::Uint32(80), Some("80"), Some("80")),
            (FilterObject::Uint64(80), Some("80"), Some("\"80\"")),
            (FilterObject::Address(proxy), Some("1.2.3.4:5"), None),
            (FilterObject::Address(address("[::1]:443")), Some("[::1]:443"), None),
            (FilterObject::Ip(address("[::1]:0")), Some("[::1]:0"), None),
            (
                FilterObject::Fields(vec![("a".to_owned(), "b".to_owned())]),
                Some(r#"{"a":"b"}"#),
                Some(r#"{"a":"b"}"#),
            ),
        ] {
            let mut state = FilterState::default();
            state.set("k", object.clone(), Sharing::None);
            let written = |typed, length_max, json| {
                let shown = ObjectText::whole("k", typed, length_max);
                let value = shown.value(Some(&state));
                let mut out = Vec::new();
                match json {
                    true => value.write_json(&mut out),
                    false => value.write_text(&mut out),
                }
                (!value.is_missing()).then(|| String::from_utf8(out).unwrap())
            };
            let cut = |text: &str| text[..text.len().min(3)].to_owned();
            assert_eq!(written(false, None, false).as_deref(), plain, "{object:?}");
            assert_eq!(written(false, Some(3), false), plain.map(cut), "{object:?}");
            assert_eq!(written(true, None, false).as_deref(), typed, "{object:?}");
            assert_eq!(written(true, Some(3), false), typed.map(cut), "{object:?}");
            assert_eq!(written(true, Some(3), true).as_deref(), typed, "{object:?}");
            if let Some(plain) = plain {
                let mut quoted = vec![b'"'];
                write_escaped(plain.as_bytes(), &mut quoted);
                quoted.push(b'"');
                assert_eq!(written(false, None, true).unwrap().as_bytes(), quoted, "{object:?}");
            }
        }
    }

    #[test]
    fn an_address_has_two_fields_and_the_last_object_of_a_key_stays() {
        let mut state = FilterState::default();
        assert!(state.is_empty());
        state.set("b", FilterObject::Bool(false), Sharing::Upstream);
        state.set("a", FilterObject::Address(address("[::1]:80")), Sharing::Upstream);
        state.set("b", FilterObject::Bool(true), Sharing::None);
        assert_eq!(state.get("b"), Some(&FilterObject::Bool(true)));
        let field = |key, name, length_max| {
            let shown = ObjectText::field(key, name, length_max);
            let mut out = Vec::new();
            shown.value(Some(&state)).write_json(&mut out);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(field("a", "ip", None), "\"::1\"");
        assert_eq!(field("a", "port", None), "\"80\"");
        assert_eq!(field("a", "port", Some(1)), "\"8\"");
        assert_eq!(field("a", "value", None), "null");
        assert_eq!(field("b", "ip", None), "null");
        assert_eq!(state.shared().map(|(key, _)| key).collect::<Vec<_>>(), ["a"]);
        let upstream = state.of_upstream().unwrap();
        assert!(upstream.get("a").is_some() && upstream.get("b").is_none());
        state.remove("a");
        assert_eq!(state.of_upstream(), None);
        assert_eq!(state.get("a"), None);
    }

    #[test]
    fn the_last_text_of_a_field_stays() {
        let mut state = FilterState::default();
        state.set_field("k", "b", "1".to_owned());
        state.set_field("k", "a", "2".to_owned());
        state.set_field("k", "b", "3".to_owned());
        let fields =
            [("a", "2"), ("b", "3")].map(|(name, text)| (name.to_owned(), text.to_owned()));
        assert_eq!(state.get("k"), Some(&FilterObject::Fields(fields.into())));
    }
}
