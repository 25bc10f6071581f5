//! `set_filter_state`: texts that are written as lines of access logs are, made into objects that
//! others find on the connection.
//!
//! A text that its factory cannot read makes no object, and the one before it stays.
//!
//! <https://www.envoyproxy.io/docs/envoy/latest/configuration/listeners/network_filters/set_filter_state>

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use config::model::{FilterStateValue, ObjectFactory};
use observe::access_log::{FilterObject, Format, Record, Sharing};

/// Where the formats of values were compiled.
pub type StateFormats<'a> = &'a dyn Fn(&FilterStateValue) -> Option<Arc<Format>>;

/// A connection that objects are left on.
pub trait StateHolder {
    /// Shows what is known of the connection by now.
    fn show(&self, see: &mut dyn FnMut(&Record<'_>));

    /// Keeps an object, in the place of one of this key.
    fn keep(&mut self, key: &str, object: FilterObject, sharing: Sharing);
}

/// What is left on each connection at one moment of its life.
#[derive(Debug)]
pub(crate) struct StateSetter {
    values: Box<[Value]>,
}

#[derive(Debug)]
struct Value {
    key: String,
    factory: ObjectFactory,
    format: Arc<Format>,
    sharing: Sharing,
    skips_empty: bool,
}

impl StateSetter {
    pub(crate) fn new(values: &[FilterStateValue], formats: StateFormats<'_>) -> Self {
        let value = |config: &FilterStateValue| {
            let shared = config.shared_with_upstream;
            Some(Value {
                key: config.key.clone(),
                factory: config.factory,
                format: formats(config)?,
                sharing: if shared { Sharing::Upstream } else { Sharing::None },
                skips_empty: config.skip_if_empty,
            })
        };
        Self { values: values.iter().filter_map(value).collect() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Leaves the objects, each of which the next ones can show.
    pub(crate) fn apply(&self, holder: &mut impl StateHolder) {
        let mut text = Vec::new();
        for value in &self.values {
            text.clear();
            holder.show(&mut |record| value.format.write_line(record, &mut text));
            if text.is_empty() && value.skips_empty {
                continue;
            }
            if let Some(object) = object(value.factory, &text) {
                holder.keep(&value.key, object, value.sharing);
            }
        }
    }
}

/// The object that Envoy 1.40 makes of a text, if it makes one.
fn object(factory: ObjectFactory, text: &[u8]) -> Option<FilterObject> {
    let bytes = || Box::from(text);
    Some(match factory {
        ObjectFactory::Text => FilterObject::Text(bytes()),
        ObjectFactory::NonEmptyText if text.is_empty() => return None,
        ObjectFactory::NonEmptyText => FilterObject::Text(bytes()),
        ObjectFactory::HashableText => FilterObject::HashableText(bytes()),
        ObjectFactory::Cluster => FilterObject::Cluster(bytes()),
        ObjectFactory::ServerName => FilterObject::ServerName(bytes()),
        ObjectFactory::SubjectAltNames => FilterObject::SubjectAltNames(bytes()),
        ObjectFactory::ApplicationProtocols => FilterObject::ApplicationProtocols(bytes()),
        ObjectFactory::NetworkNamespace => FilterObject::NetworkNamespace(bytes()),
        ObjectFactory::HttpProxy => {
            let comma = text.iter().position(|byte| *byte == b',')?;
            let (target, proxy) = (text[..comma].trim_ascii(), text[comma + 1..].trim_ascii());
            if target.is_empty() {
                return None;
            }
            FilterObject::HttpProxy { target: target.into(), proxy: address(proxy)? }
        }
        ObjectFactory::DebugConfig => FilterObject::DebugConfig,
        ObjectFactory::Bool => FilterObject::Bool(switch(text)?),
        ObjectFactory::IsTrue => FilterObject::Bool(text == b"true"),
        ObjectFactory::Uint32 => FilterObject::Uint32(number(text)?.try_into().ok()?),
        ObjectFactory::Uint64 => FilterObject::Uint64(number(text)?),
        ObjectFactory::Address => FilterObject::Address(address(text)?),
        ObjectFactory::Ip => {
            let ip: IpAddr = std::str::from_utf8(text).ok()?.parse().ok()?;
            FilterObject::Ip(SocketAddr::new(ip, 0))
        }
    })
}

fn switch(text: &[u8]) -> Option<bool> {
    let is_one_of =
        |words: [&str; 5]| words.iter().any(|word| text.eq_ignore_ascii_case(word.as_bytes()));
    if is_one_of(["true", "t", "yes", "y", "1"]) {
        return Some(true);
    }
    is_one_of(["false", "f", "no", "n", "0"]).then_some(false)
}

/// A decimal number, perhaps with white space around it and a plus sign before it.
fn number(text: &[u8]) -> Option<u64> {
    std::str::from_utf8(text).ok()?.trim_ascii().parse().ok()
}

/// An IP address and a port, in brackets if it is of version 6.
fn address(text: &[u8]) -> Option<SocketAddr> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What Envoy 1.40 made of these texts.
    #[test]
    fn texts_become_objects_or_none_as_in_envoy() {
        let address = |text: &str| text.parse::<SocketAddr>().unwrap();
        let made = |factory, text: &str| object(factory, text.as_bytes());
        for (text, expected) in [
            ("true", Some(true)),
            ("YES", Some(true)),
            ("t", Some(true)),
            ("1", Some(true)),
            ("0", Some(false)),
            ("no", Some(false)),
            ("on", None),
            ("", None),
            ("42", None),
        ] {
            assert_eq!(made(ObjectFactory::Bool, text), expected.map(FilterObject::Bool), "{text}");
        }
        for (text, expected) in [("true", true), ("TRUE", false), ("1", false), ("", false)] {
            assert_eq!(made(ObjectFactory::IsTrue, text), Some(FilterObject::Bool(expected)));
        }
        for (text, expected) in [
            ("100", Some(100)),
            (" 7 ", Some(7)),
            ("+5", Some(5)),
            ("-1", None),
            ("1e3", None),
            ("0x10", None),
            ("", None),
            ("18446744073709551615", Some(u64::MAX)),
            ("18446744073709551616", None),
        ] {
            let expected = expected.map(FilterObject::Uint64);
            assert_eq!(made(ObjectFactory::Uint64, text), expected, "{text}");
        }
        let port = |port| Some(FilterObject::Uint32(port));
        assert_eq!(made(ObjectFactory::Uint32, "4294967295"), port(u32::MAX));
        assert_eq!(made(ObjectFactory::Uint32, "4294967296"), None);
        for (text, expected) in [
            ("1.2.3.4:80", Some("1.2.3.4:80")),
            ("1.2.3.4:080", Some("1.2.3.4:80")),
            ("[::1]:443", Some("[::1]:443")),
            ("1.2.3.4:0", Some("1.2.3.4:0")),
            ("::1:80", None),
            ("1.2.3.4", None),
            ("1.2.3.4:99999", None),
            (" 1.2.3.4:80", None),
            ("a:1", None),
        ] {
            let expected = expected.map(|text| FilterObject::Address(address(text)));
            assert_eq!(made(ObjectFactory::Address, text), expected, "{text}");
        }
        for (text, expected) in [
            ("1.2.3.4", Some("1.2.3.4:0")),
            ("2001:DB8::1", Some("[2001:db8::1]:0")),
            ("[::1]", None),
            ("01.2.3.4", None),
            ("1.2.3.4:5", None),
        ] {
            let expected = expected.map(|text| FilterObject::Ip(address(text)));
            assert_eq!(made(ObjectFactory::Ip, text), expected, "{text}");
        }
        for (text, expected) in [
            ("a:1,1.2.3.4:5", Some(("a:1", "1.2.3.4:5"))),
            (" a , [::1]:5 ", Some(("a", "[::1]:5"))),
            ("a,1.2.3.4", None),
            ("x,y,1.2.3.4:1", None),
            (" ,1.2.3.4:1", None),
            ("a:1", None),
        ] {
            let expected = expected.map(|(target, proxy)| FilterObject::HttpProxy {
                target: target.as_bytes().into(),
                proxy: address(proxy),
            });
            assert_eq!(made(ObjectFactory::HttpProxy, text), expected, "{text}");
        }
        assert_eq!(made(ObjectFactory::NonEmptyText, ""), None);
        assert!(made(ObjectFactory::Text, "").is_some());
    }
}
