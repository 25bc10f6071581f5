//! `/ready`, `/server_info` and other short pages about the process as a whole.
//!
//! <https://www.envoyproxy.io/docs/envoy/latest/api-v3/admin/v3/server_info.proto>

use config::model::{Locality, Node};
use hyper::StatusCode;
use serde_json::{Map, Value, json};

use super::json::document;
use super::page::Page;
use super::view::{Defaults, Memory, USER_AGENT, View, build_version};
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
    let started = view.info();
    // Without hot restart there is one epoch, so both uptimes are the same.
    let uptime = format!("{}s", view.uptime_s());
    let info = json!({
        "version": started.version,
        "state": view.state().name(),
        "uptime_current_epoch": uptime,
        "uptime_all_epochs": uptime,
        "hot_restart_version": HOT_RESTART,
        "command_line_options": started.command_line_options,
        "node": node(view),
        "hot_restart_initializing": false,
    });
    Page::json(document(&info))
}

/// Envoy's `config.core.v3.Node`; here, other than in `/config_dump`, with what has its default.
fn node(view: &View) -> Value {
    let Node { id, cluster, locality } = &view.info().node;
    let mut node = Map::new();
    node.insert("id".to_owned(), json!(id));
    node.insert("cluster".to_owned(), json!(cluster));
    if *locality != Locality::default() {
        let Locality { region, zone, sub_zone } = locality;
        let locality = json!({ "region": region, "zone": zone, "sub_zone": sub_zone });
        node.insert("locality".to_owned(), locality);
    }
    let more = json!({
        "user_agent_name": USER_AGENT,
        "user_agent_build_version": build_version(Defaults::Written),
        "extensions": [],
        "client_features": [],
        "listening_addresses": [],
        "dynamic_parameters": {},
    });
    if let Value::Object(more) = more {
        node.extend(more);
    }
    Value::Object(node)
}

/// `/certs`: no listener and no cluster has TLS yet, so there is no certificate in use.
pub(crate) fn certificates() -> Page {
    Page::json(document(&json!({ "certificates": [] })))
}

/// `/hot_restart_version`, in the words of an Envoy without hot restart.
pub(crate) fn hot_restart_version() -> Page {
    Page::text(StatusCode::OK, format!("{HOT_RESTART}\n"))
}

/// There is no hot restart yet.
const HOT_RESTART: &str = "disabled";

/// `/init_dump`: with static configuration everything is ready before the first request is
/// answered, so nothing is ever waited for, whatever part is asked about.
pub(crate) fn init_dump() -> Page {
    Page::json(document(&json!({})))
}

/// `/memory`: Envoy's `admin.v3.Memory`, from the kernel. There is no allocator of our own that
/// would know what it keeps unused, so those fields are zero.
pub(crate) fn memory(view: &View) -> Page {
    let Memory { anonymous_bytes, resident_bytes } = view.memory();
    // 64-bit numbers, which JSON renderings of protobuf write as strings.
    Page::json(document(&json!({
        "allocated": anonymous_bytes.to_string(),
        "heap_size": anonymous_bytes.to_string(),
        "pageheap_unmapped": "0",
        "pageheap_free": "0",
        "total_thread_cache": "0",
        "total_physical_bytes": resident_bytes.to_string(),
    })))
}

/// `/memory/tcmalloc`, in the sense of an Envoy that was built with another allocator.
pub(crate) fn allocator_stats() -> Page {
    let text = "TCMalloc stats are not available: this program uses the system's allocator.\n";
    Page::bare_text(StatusCode::OK, text)
}
