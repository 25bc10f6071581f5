//! `/config_dump`: the configuration as it was written, whole or in part.
//!
//! ```text
//! no parameter          a section for each kind of configuration
//! mask                  of the sections that have these fields, these fields
//! resource              the elements of one list of one section
//! resource and mask     of each element these fields
//! name_regex            of every list the elements whose whole names match
//! include_eds           a section with the endpoints in use as well
//! ```
//! <https://www.envoyproxy.io/docs/envoy/latest/api-v3/admin/v3/config_dump.proto>

use std::rc::Rc;

use cluster::Shared;
use config::{FieldMask, Resource, is_repeated};
use hyper::StatusCode;
use regex::Regex;
use serde_json::{Map, Value, json};

use super::filter;
use super::json_tree::{Items, Tree};
use super::listeners::address_json;
use super::page::{Page, Query};
use super::view::View;

/// What `/help` says about the parameters.
pub(crate) const PARAMETERS: &[(&str, &str)] = &[
    ("resource", "The resource to dump"),
    (
        "mask",
        "The mask to apply. When both resource and mask are specified, the mask is applied to \
         every element in the desired repeated field so that only a subset of fields are \
         returned. The mask is parsed as a Protobuf::FieldMask",
    ),
    (
        "name_regex",
        "Dump only the currently loaded configurations whose names match the specified regex. Can \
         be used with both resource and mask query parameters.",
    ),
    (
        "include_eds",
        "Dump currently loaded configuration including EDS. See the response definition for more \
         information",
    ),
];

/// What one request asks for.
#[derive(Debug, Clone)]
struct Asked {
    /// Whole names must match.
    names: Option<Regex>,
    mask: Option<FieldMask>,
    include_eds: bool,
}

impl Asked {
    fn wants(&self, name: &str) -> bool {
        self.names.as_ref().is_none_or(|names| names.is_match(name))
    }
}

pub(crate) fn config_dump(view: &Rc<View>, query: &Query) -> Page {
    let names = match query.first("name_regex").filter(|pattern| !pattern.is_empty()) {
        None => None,
        Some(pattern) => match filter::compiled_whole(pattern) {
            Ok(names) => Some(names),
            Err(error) => {
                let what = "INVALID_ARGUMENT: Error while parsing name_regex from";
                return bad_request(format!("{what} {pattern}: {error}"));
            }
        },
    };
    let mask = query.first("mask").map(FieldMask::parse);
    let include_eds = query.has("include_eds") && !view.clusters().is_empty();
    let asked = Asked { names, mask, include_eds };
    match query.first("resource") {
        Some(resource) => elements(view, &asked, resource),
        None => sections(view, &asked, query.first("mask").unwrap_or_default()),
    }
}

fn bad_request(text: String) -> Page {
    Page::bare_text(StatusCode::BAD_REQUEST, text)
}

/// The sections that a static configuration has, in Envoy's order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Section {
    Bootstrap,
    Clusters,
    Endpoints,
    Listeners,
    ScopedRoutes,
    Routes,
    Secrets,
}

impl Section {
    fn all(view: &View, asked: &Asked) -> impl Iterator<Item = Self> {
        let all = [
            Self::Bootstrap,
            Self::Clusters,
            Self::Endpoints,
            Self::Listeners,
            Self::ScopedRoutes,
            Self::Routes,
            Self::Secrets,
        ];
        let (endpoints, http) = (asked.include_eds, view.configured().dump.has_http());
        all.into_iter().filter(move |section| match section {
            Self::Endpoints => endpoints,
            Self::ScopedRoutes | Self::Routes => http,
            Self::Bootstrap | Self::Clusters | Self::Listeners | Self::Secrets => true,
        })
    }

    /// Full name of its message type.
    fn message(self) -> &'static str {
        match self {
            Self::Bootstrap => "envoy.admin.v3.BootstrapConfigDump",
            Self::Clusters => "envoy.admin.v3.ClustersConfigDump",
            Self::Endpoints => "envoy.admin.v3.EndpointsConfigDump",
            Self::Listeners => "envoy.admin.v3.ListenersConfigDump",
            Self::ScopedRoutes => "envoy.admin.v3.ScopedRoutesConfigDump",
            Self::Routes => "envoy.admin.v3.RoutesConfigDump",
            Self::Secrets => "envoy.admin.v3.SecretsConfigDump",
        }
    }

    /// Its list with elements, and the type of those.
    fn list(self) -> Option<List> {
        let (list, element, of) = match self {
            Self::Bootstrap | Self::ScopedRoutes | Self::Secrets => return None,
            Self::Clusters => (
                "static_clusters",
                "envoy.admin.v3.ClustersConfigDump.StaticCluster",
                Of { field: "cluster", message: "envoy.config.cluster.v3.Cluster" },
            ),
            Self::Endpoints => (
                "static_endpoint_configs",
                "envoy.admin.v3.EndpointsConfigDump.StaticEndpointConfig",
                Of {
                    field: "endpoint_config",
                    message: "envoy.config.endpoint.v3.ClusterLoadAssignment",
                },
            ),
            Self::Listeners => (
                "static_listeners",
                "envoy.admin.v3.ListenersConfigDump.StaticListener",
                Of { field: "listener", message: "envoy.config.listener.v3.Listener" },
            ),
            Self::Routes => (
                "static_route_configs",
                "envoy.admin.v3.RoutesConfigDump.StaticRouteConfig",
                Of { field: "route_config", message: "envoy.config.route.v3.RouteConfiguration" },
            ),
        };
        Some(List { name: list, element, of })
    }

    /// The elements of its list.
    fn elements(self, view: &Rc<View>, asked: &Asked) -> Items {
        let (view, asked) = (Rc::clone(view), asked.clone());
        let count = match self {
            Self::Bootstrap | Self::ScopedRoutes | Self::Secrets => 0,
            Self::Clusters | Self::Endpoints => view.clusters().len(),
            Self::Listeners => view.configured().listeners.len(),
            Self::Routes => view.configured().dump.listeners().len(),
        };
        Items::new((0..count).flat_map(move |index| match self {
            Self::Bootstrap | Self::ScopedRoutes | Self::Secrets => Vec::new(),
            Self::Clusters => Vec::from_iter(cluster(&view, &asked, index)),
            Self::Endpoints => {
                Vec::from_iter(view.clusters().get(index).and_then(|one| endpoints(one, &asked)))
            }
            Self::Listeners => Vec::from_iter(listener(&view, &asked, index)),
            Self::Routes => route_configs(&view, &asked, index),
        }))
    }
}

/// A list of a section.
#[derive(Debug, Clone, Copy)]
struct List {
    name: &'static str,
    /// Full name of the type of its elements.
    element: &'static str,
    of: Of,
}

/// The one field of an element that holds a message of its own.
#[derive(Debug, Clone, Copy)]
struct Of {
    field: &'static str,
    message: &'static str,
}

const TYPE: &str = "@type";
const TYPE_URL: &str = "type.googleapis.com/";

fn any_type(message: &str) -> Value {
    Value::String(format!("{TYPE_URL}{message}"))
}

fn sections(view: &Rc<View>, asked: &Asked, mask_text: &str) -> Page {
    let chosen: Vec<Tree> = Section::all(view, asked)
        .filter(|section| {
            asked.mask.as_ref().is_none_or(|mask| mask.is_valid_for(section.message()))
        })
        .map(|section| whole(section, view, asked))
        .collect();
    if chosen.is_empty() {
        let what = "could not be successfully applied to any configs.";
        return bad_request(format!("FieldMask {mask_text} {what}"));
    }
    let dump = Tree::Object(vec![("configs".to_owned(), Tree::Array(chosen))]);
    Page::json_in_parts(dump.into_parts())
}

/// A section with its fields, as far as the mask wants them.
fn whole(section: Section, view: &Rc<View>, asked: &Asked) -> Tree {
    let mut fields = vec![(TYPE.to_owned(), Tree::Value(any_type(section.message())))];
    if section == Section::Bootstrap {
        fields.push(("bootstrap".to_owned(), bootstrap(view)));
        fields.push(("last_updated".to_owned(), Tree::Value(json!(view.loaded_at()))));
    }
    if let Some(List { name, .. }) = section.list() {
        fields.push((name.to_owned(), Tree::List(section.elements(view, asked))));
    }
    let mut section = Tree::Object(fields);
    if let Some(mask) = &asked.mask {
        section.trim(&mask.tree());
    }
    section
}

/// The bootstrap with its resources, which are rendered one by one.
fn bootstrap(view: &Rc<View>) -> Tree {
    let rendered = view.bootstrap_json();
    let Value::Object(fields) = rendered else { return Tree::Value(rendered) };
    let with_resources = |(name, value): (String, Value)| {
        if name != "static_resources" {
            return (name, Tree::Value(value));
        }
        let of = |list: fn(&config::Dump) -> &[Resource]| {
            let view = Rc::clone(view);
            let count = list(&view.configured().dump).len();
            Tree::List(Items::new(
                (0..count)
                    .filter_map(move |index| list(&view.configured().dump).get(index).map(shown)),
            ))
        };
        let mut resources = vec![
            ("listeners".to_owned(), of(config::Dump::listeners)),
            ("clusters".to_owned(), of(config::Dump::clusters)),
        ];
        if let Value::Object(others) = value {
            resources.extend(others.into_iter().map(|(name, value)| (name, Tree::Value(value))));
        }
        (name, Tree::Object(resources))
    };
    Tree::Object(fields.into_iter().map(with_resources).collect())
}

fn shown(resource: &Resource) -> Value {
    // The status is out by now; and what was read once decodes again.
    resource.render().unwrap_or_else(|error| Value::String(error.to_string()))
}

/// An element that holds `resource`.
fn element(view: &View, field: &str, resource: &Resource) -> Value {
    let inner = resource.render_any().unwrap_or_else(|error| Value::String(error.to_string()));
    json!({ field: inner, "last_updated": view.loaded_at() })
}

/// The cluster at this place of the sorted list.
fn cluster(view: &View, asked: &Asked, index: usize) -> Option<Value> {
    let resource = view.cluster_resource(index).filter(|one| asked.wants(one.name()))?;
    Some(element(view, "cluster", resource))
}

fn listener(view: &View, asked: &Asked, index: usize) -> Option<Value> {
    // A listener without a name has been given one.
    let info = view.configured().listeners.get(index).filter(|one| asked.wants(&one.name))?;
    let resource = view.configured().dump.listeners().get(info.index)?;
    Some(element(view, "listener", resource))
}

/// The route configurations in the listener at this place of the file.
fn route_configs(view: &View, asked: &Asked, index: usize) -> Vec<Value> {
    let inside = view.configured().dump.route_configs(index);
    let wanted = inside.iter().filter(|one| asked.wants(one.name()));
    wanted.map(|one| element(view, "route_config", one)).collect()
}

/// The endpoints of a cluster as they are in use, defaults filled in.
fn endpoints(cluster: &Shared, asked: &Asked) -> Option<Value> {
    let config = cluster.config();
    if !asked.wants(&config.name) {
        return None;
    }
    let hosts: Vec<Value> = cluster
        .hosts()
        .map(|(host, _)| {
            json!({
                "endpoint": {
                    "address": address_json(&host.address),
                    "health_check_config": {},
                },
                "health_status": "HEALTHY",
                "load_balancing_weight": host.weight,
            })
        })
        .collect();
    let mut assignment = Map::new();
    let message = "envoy.config.endpoint.v3.ClusterLoadAssignment";
    assignment.insert(TYPE.to_owned(), any_type(message));
    assignment.insert("cluster_name".to_owned(), json!(config.name));
    if !hosts.is_empty() {
        let locality = json!({ "locality": {}, "lb_endpoints": hosts, "load_balancing_weight": 0 });
        assignment.insert("endpoints".to_owned(), json!([locality]));
    }
    assignment.insert("policy".to_owned(), json!({ "overprovisioning_factor": 140 }));
    Some(json!({ "endpoint_config": assignment }))
}

/// The elements of the list called `resource`, whichever section has it.
fn elements(view: &Rc<View>, asked: &Asked, resource: &str) -> Page {
    let found = Section::all(view, asked)
        .find_map(|section| Some((section, is_repeated(section.message(), resource)?)));
    let Some((section, repeated)) = found else {
        let text = format!("{resource} not found in config dump");
        return Page::bare_text(StatusCode::NOT_FOUND, text);
    };
    if !repeated {
        let cure = format!("Use ?mask={resource} to get only this field");
        return bad_request(format!("{resource} is not a repeated field. {cure}"));
    }
    // Lists of what a management server would send are empty.
    let list = section.list().filter(|list| list.name == resource);
    let mut items = list.map(|_| section.elements(view, asked)).unwrap_or_default();
    let (Some(list), false) = (list, items.is_empty()) else {
        return Page::json("{}\n".to_owned());
    };
    let masks = match &asked.mask {
        None => None,
        Some(mask) => match Masks::of_element(mask, list) {
            Some(masks) => Some(masks),
            None => {
                let lines: String =
                    mask.paths().iter().map(|path| format!("paths: {path:?}\n")).collect();
                return bad_request(format!("FieldMask {lines} could not be successfully used."));
            }
        },
    };
    let typed = Items::new(std::iter::from_fn(move || {
        let mut item = items.next()?;
        if let Some(masks) = &masks {
            masks.trim(&mut item, list.of.field);
        }
        let mut element = Map::new();
        element.insert(TYPE.to_owned(), any_type(list.element));
        if let Value::Object(fields) = item {
            element.extend(fields);
        }
        Some(Value::Object(element))
    }));
    Page::json_in_parts(Tree::Object(vec![("configs".to_owned(), Tree::List(typed))]).into_parts())
}

/// A mask for an element and one for the message that it holds: masks do not look into an `Any`.
#[derive(Debug)]
struct Masks {
    outer: FieldMask,
    inner: FieldMask,
}

impl Masks {
    /// `None` if a path leads nowhere. One that ends at the held message does, as in Envoy.
    fn of_element(mask: &FieldMask, list: List) -> Option<Self> {
        let (mut outer, mut inner) = (Vec::new(), Vec::new());
        for path in mask.paths() {
            let (name, rest) = path.split_once('.').unwrap_or((path, ""));
            if name == list.of.field {
                outer.push(name.to_owned());
                inner.push(rest.to_owned());
            } else {
                outer.push(path.clone());
            }
        }
        let masks = Self { outer: FieldMask::new(outer), inner: FieldMask::new(inner) };
        let valid =
            masks.inner.is_valid_for(list.of.message) && masks.outer.is_valid_for(list.element);
        valid.then_some(masks)
    }

    fn trim(&self, item: &mut Value, field: &str) {
        self.outer.tree().trim(item);
        if let Some(held) = item.get_mut(field) {
            self.inner.tree().trim(held);
        }
    }
}
