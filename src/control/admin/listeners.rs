//! `/listeners`: which listeners there are and on which addresses.
//!
//! <https://www.envoyproxy.io/docs/envoy/latest/api-v3/admin/v3/listeners.proto>

use std::fmt::Write as _;
use std::rc::Rc;

use base::Address;
use hyper::StatusCode;
use serde_json::{Value, json};

use super::json::document;
use super::page::{Page, Query};
use super::view::View;

/// A listener as the pages show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenerInfo {
    /// Its name; never empty, see Envoy's `listener.proto`: one without a name is given one.
    pub name: String,
    /// Where it listens, one address at least; ports are the real ones.
    pub addresses: Vec<Address>,
    /// Its place among the listeners of the configuration.
    pub index: usize,
}

/// As in Envoy, whatever is no known format is text.
pub(crate) fn listeners(view: &Rc<View>, query: &Query) -> Page {
    let listeners = &view.configured().listeners;
    if query.first("format") == Some("json") {
        let statuses: Vec<Value> = listeners
            .iter()
            .map(|ListenerInfo { name, addresses, .. }| {
                let mut addresses = addresses.iter().map(address_json);
                let mut status = json!({ "name": name, "local_address": addresses.next() });
                let additional: Vec<Value> = addresses.collect();
                if !additional.is_empty() {
                    status["additional_local_addresses"] = additional.into();
                }
                status
            })
            .collect();
        let list =
            if statuses.is_empty() { json!({}) } else { json!({ "listener_statuses": statuses }) };
        return Page::json(document(&list));
    }
    let mut text = String::new();
    for ListenerInfo { name, addresses, .. } in listeners {
        for address in addresses {
            let _ = writeln!(text, "{name}::{address}");
        }
    }
    Page::text(StatusCode::OK, text)
}

/// Envoy's `config.core.v3.Address`.
pub(crate) fn address_json(address: &Address) -> Value {
    match address {
        Address::Ip(address) => {
            let (address, port) = (address.ip().to_string(), address.port());
            json!({ "socket_address": { "address": address, "port_value": port } })
        }
        Address::Pipe(path) => json!({ "pipe": { "path": **path } }),
    }
}
