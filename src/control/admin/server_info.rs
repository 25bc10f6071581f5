//! `/ready` and `/server_info`: what the server is and whether it takes traffic.
//!
//! <https://www.envoyproxy.io/docs/envoy/latest/api-v3/admin/v3/server_info.proto>

use hyper::StatusCode;
use serde_json::ser::{PrettyFormatter, Serializer};
use serde_json::{Value, json};

use super::page::Page;
use super::view::View;
use crate::state::State;

/// The state, with a status that a load balancer's health check understands.
pub(crate) fn ready(view: &View) -> Page {
    let status = match view.state() {
        State::Live => StatusCode::OK,
        State::Draining | State::PreInitializing | State::Initializing => {
            StatusCode::SERVICE_UNAVAILABLE
        }
    };
    Page::text(status, format!("{}\n", view.state().name()))
}

/// Envoy's `admin.v3.ServerInfo`, without the fields that have no meaning here.
pub(crate) fn server_info(view: &View) -> Page {
    let info = view.info();
    // Without hot restart there is one epoch, so both uptimes are the same.
    let uptime = format!("{}s", view.uptime_s());
    let document = json!({
        "version": info.version,
        "state": view.state().name(),
        "uptime_current_epoch": uptime,
        "uptime_all_epochs": uptime,
        "hot_restart_version": "disabled",
        "command_line_options": info.command_line_options,
        "node": {
            "id": info.node.id,
            "cluster": info.node.cluster,
            "user_agent_name": "nuncio",
        },
        "hot_restart_initializing": false,
    });
    Page::json(indented(&document))
}

/// Envoy indents by one space and ends with a line break.
fn indented(document: &Value) -> String {
    let mut bytes = Vec::new();
    let mut serializer = Serializer::with_formatter(&mut bytes, PrettyFormatter::with_indent(b" "));
    serde::Serialize::serialize(document, &mut serializer)
        .expect("a JSON value always has a text and a vector takes every byte");
    bytes.push(b'\n');
    String::from_utf8(bytes).expect("the serializer writes UTF-8")
}
