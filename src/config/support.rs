//! The one table of what Nuncio can do with each field of Envoy's configuration.
//!
//! A field that is set in a file and is not listed here is refused as not supported yet. It is
//! never left out silently: only fields listed as `Ignored` are left out, each with the reason why
//! that cannot change what a peer sees, and the user is told. `CONFIG.md` is this table, rendered.

mod access_log;
mod address;
mod bootstrap;
mod cluster;
mod http;
mod listener;
mod listener_filters;
mod network_filters;
#[cfg(test)]
mod page;
mod stats;
mod tcp_proxy;

use prost_reflect::{FieldDescriptor, MessageDescriptor};

/// What Nuncio does with a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Support {
    /// Read, and acted upon.
    Supported,
    /// Read, but only with one of these values: enum names, numbers, or `true` and `false`.
    Only(&'static [&'static str]),
    /// Read, and may hold messages of these types; for fields of type `Any`.
    Extension(&'static [&'static str]),
    /// Left out, because of this reason it cannot matter.
    Ignored(&'static str),
    /// Read, and without effect in Envoy too where the configuration is one that Nuncio takes, for
    /// this reason: nobody needs to be told.
    Moot(&'static str),
    /// Read, and refused by what reads it, because of this reason.
    Refused(&'static str),
}

/// A part of the table: messages by their full names, and what of each is supported.
type Area = &'static [(&'static str, Fields)];

type Fields = &'static [(&'static str, Support)];

const AREAS: &[Area] = &[
    bootstrap::BOOTSTRAP,
    stats::STATS,
    listener::LISTENER,
    listener_filters::LISTENER_FILTERS,
    network_filters::NETWORK_FILTERS,
    tcp_proxy::TCP_PROXY,
    http::HTTP,
    access_log::ACCESS_LOG,
    cluster::CLUSTER,
    address::ADDRESS,
];

/// What Nuncio does with `field` of `message`; None: not supported yet.
pub(crate) fn of(message: &str, field: &str) -> Option<Support> {
    let (_, support) = fields(message)?.iter().find(|(name, _)| *name == field)?;
    Some(*support)
}

/// Every message type that may stand in some `Any`.
pub(crate) fn extensions() -> Vec<&'static str> {
    let messages = AREAS.iter().flat_map(|area| *area);
    let fields = messages.flat_map(|(_, fields)| *fields);
    let types = fields.filter_map(|(_, support)| match support {
        Support::Extension(types) => Some(*types),
        _ => None,
    });
    types.flatten().copied().collect()
}

/// The fields of `message` that name an extension, each of type `Any` or a map to it.
pub(crate) fn extension_fields(message: &MessageDescriptor) -> Vec<FieldDescriptor> {
    let fields = fields(message.full_name()).unwrap_or_default().iter();
    fields
        .filter(|(_, support)| matches!(support, Support::Extension(_)))
        .filter_map(|(name, _)| message.get_field_by_name(name))
        .collect()
}

/// None when nothing of `message` is supported.
fn fields(message: &str) -> Option<Fields> {
    let mut messages = AREAS.iter().flat_map(|area| *area);
    let (_, fields) = messages.find(|(name, _)| *name == message)?;
    Some(fields)
}

#[cfg(test)]
mod tests {
    use prost_reflect::Kind;

    use super::*;
    use crate::schema;

    /// A misspelled name here would refuse the field for ever.
    #[test]
    fn every_name_in_the_table_is_in_envoys_schema() {
        for (name, fields) in AREAS.iter().flat_map(|area| *area) {
            let message = schema::message(name).unwrap_or_else(|| panic!("no message {name}"));
            for (index, (field, support)) in fields.iter().enumerate() {
                assert!(message.get_field_by_name(field).is_some(), "no field {name}.{field}");
                let is_again = fields[..index].iter().any(|(other, _)| other == field);
                assert!(!is_again, "{name}.{field} is listed twice");
                let Support::Extension(types) = support else { continue };
                for listed in *types {
                    assert!(schema::message(listed).is_some(), "no message {listed}");
                    assert!(super::fields(listed).is_some(), "{listed} has no fields listed");
                }
            }
        }
    }

    /// Otherwise each field in it would be refused, and nothing would say so.
    #[test]
    fn the_message_of_a_supported_field_is_in_the_table() {
        for (name, fields) in AREAS.iter().flat_map(|area| *area) {
            let message = schema::message(name).unwrap();
            for (field, support) in *fields {
                let field = message.get_field_by_name(field).unwrap();
                let Kind::Message(inner) = field.kind() else { continue };
                let inner = match inner.is_map_entry().then(|| inner.map_entry_value_field().kind())
                {
                    Some(Kind::Message(value)) => value,
                    Some(_) => continue,
                    None => inner,
                };
                let is_any = inner.full_name() == "google.protobuf.Any";
                let is_own = !inner.full_name().starts_with("google.protobuf.");
                match support {
                    Support::Extension(_) => assert!(is_any, "{} is no Any", field.full_name()),
                    Support::Supported => {
                        assert!(!is_any, "{} names no types", field.full_name());
                        let is_listed = super::fields(inner.full_name()).is_some();
                        assert!(is_listed || !is_own, "{} is not listed", inner.full_name());
                    }
                    Support::Only(_)
                    | Support::Ignored(_)
                    | Support::Moot(_)
                    | Support::Refused(_) => {}
                }
            }
        }
    }
}
