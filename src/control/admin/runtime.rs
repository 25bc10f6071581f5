//! `/runtime` and `/runtime_modify`.
//!
//! <https://www.envoyproxy.io/docs/envoy/latest/operations/admin#get--runtime>

use hyper::StatusCode;
use serde_json::{Map, Value, json};

use super::json::document;
use super::page::{Page, Query};
use super::view::View;
use crate::runtime::{ADMIN_KEYS_MAX, Refused};

const USAGE: &str = "usage: /runtime_modify?key1=value1&key2=value2&keyN=valueN\n       or send \
                     the parameters as form values\nuse an empty value to remove a previously \
                     added override";

/// Every key with its value in each layer.
pub(crate) fn runtime(view: &View) -> Page {
    let snapshot = view.runtime().snapshot();
    let layers: Vec<&str> = snapshot.layers().iter().map(|layer| layer.name.as_str()).collect();
    let entry = |(key, entry): (&str, &config::RuntimeEntry)| {
        let in_layer = |layer: &config::RuntimeValues| {
            layer.values.get(key).map_or("", config::RuntimeEntry::text).to_owned()
        };
        let values: Vec<String> = snapshot.layers().iter().map(in_layer).collect();
        (key.to_owned(), json!({ "final_value": entry.text(), "layer_values": values }))
    };
    let entries: Map<String, Value> = snapshot.entries().map(entry).collect();
    Page::json(document(&json!({ "layers": layers, "entries": entries })))
}

/// Sets the values given as parameters, or in the body of a form.
pub(crate) fn modify(view: &View, query: &Query) -> Page {
    if query.iter().next().is_none() {
        return Page::text(StatusCode::BAD_REQUEST, USAGE);
    }
    match view.runtime().modify(query.iter()) {
        Ok(()) => Page::done(),
        Err(Refused::NoAdminLayer) => {
            Page::text(StatusCode::SERVICE_UNAVAILABLE, "No admin layer specified")
        }
        Err(Refused::TooManyKeys) => {
            let text = format!("more than {ADMIN_KEYS_MAX} overrides; nothing was changed\n");
            Page::text(StatusCode::BAD_REQUEST, text)
        }
    }
}
