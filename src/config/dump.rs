//! The configuration as `/config_dump` shows it: proto3 JSON with the schema's field names.
//!
//! Defaults are left out, fields stand in the schema's order, an `Any` is opened, and what Envoy's
//! schema marks as sensitive reads "[redacted]". Kept as encoded protobuf, so that a configuration
//! of ten thousand clusters costs its few megabytes of wire format, and rendered on demand.
//!
//! **Invariant:** no value below a field that is marked as sensitive ever leaves this module.

use std::collections::HashSet;
use std::fmt;
use std::sync::OnceLock;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use prost::Message as _;
use prost_reflect::{
    DynamicMessage, EnumDescriptor, FieldDescriptor, Kind, MapKey, MessageDescriptor,
    ReflectMessage as _, Value,
};
use serde_json::{Map, Number, Value as Json};

use crate::schema;

/// What stands for a string or bytes that must not be shown, as in Envoy.
const REDACTED: &str = "[redacted]";

/// The same as bytes are written in JSON.
const REDACTED_BYTES: &str = "W3JlZGFjdGVkXQ==";

/// A configuration that can be shown, one resource at a time.
#[derive(Clone)]
pub struct Dump {
    /// An encoded `envoy.config.bootstrap.v3.Bootstrap` without the resources below.
    bootstrap: Vec<u8>,
    listeners: Vec<Resource>,
    clusters: Vec<Resource>,
    has_http: bool,
}

/// A listener, a cluster or a route configuration as it was written.
#[derive(Clone)]
pub struct Resource {
    name: String,
    kind: MessageDescriptor,
    encoded: Vec<u8>,
}

/// Why a configuration cannot be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DumpError(String);

impl fmt::Display for DumpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the configuration cannot be shown: {}", self.0)
    }
}

impl std::error::Error for DumpError {}

impl fmt::Debug for Dump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The bytes hold private keys.
        let Self { bootstrap, listeners, clusters, has_http } = self;
        let mut dump = f.debug_struct("Dump");
        dump.field("has_http", has_http);
        dump.field("bytes", &bootstrap.len());
        dump.field("listeners", listeners).field("clusters", clusters).finish()
    }
}

impl fmt::Debug for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, bytes) = (&self.name, self.encoded.len());
        f.debug_struct("Resource").field("name", name).field("bytes", &bytes).finish()
    }
}

impl Dump {
    /// Takes a mapped bootstrap apart.
    pub(crate) fn new(mut bootstrap: DynamicMessage) -> Self {
        let (mut listeners, mut clusters, mut has_http) = (Vec::new(), Vec::new(), false);
        if bootstrap.has_field_by_name(RESOURCES)
            && let Some(Value::Message(resources)) = bootstrap.get_field_by_name_mut(RESOURCES)
        {
            for listener in messages(resources, "listeners") {
                has_http |= !managers(&listener).is_empty();
            }
            listeners = taken(resources, "listeners");
            clusters = taken(resources, "clusters");
        }
        Self { bootstrap: bootstrap.encode_to_vec(), listeners, clusters, has_http }
    }

    /// The bootstrap as it stands in `BootstrapConfigDump.bootstrap`, without "@type", and without
    /// the listeners and clusters below `static_resources`.
    ///
    /// # Errors
    /// When a message is nested deeper than protobuf decodes (100 levels).
    pub fn bootstrap(&self) -> Result<Json, DumpError> {
        let descriptor = schema::message(schema::BOOTSTRAP)
            .ok_or_else(|| DumpError(format!("no {}", schema::BOOTSTRAP)))?;
        let bootstrap = DynamicMessage::decode(descriptor, self.bootstrap.as_slice())
            .map_err(|error| DumpError(error.to_string()))?;
        message(&bootstrap, Shown::Whole)
    }

    /// `static_resources.listeners` in the order of the file.
    #[must_use]
    pub fn listeners(&self) -> &[Resource] {
        &self.listeners
    }

    /// Whether any listener carries HTTP.
    #[must_use]
    pub fn has_http(&self) -> bool {
        self.has_http
    }

    /// The route configurations that stand inside the listener at this place of the file, in its
    /// order. Taken out of it on demand: they may be most of a configuration.
    #[must_use]
    pub fn route_configs(&self, listener: usize) -> Vec<Resource> {
        let listener = self.listeners.get(listener);
        let Some(Ok(listener)) = listener.map(Resource::decoded) else { return Vec::new() };
        let route_config = |manager: DynamicMessage| {
            let field = manager.descriptor().get_field_by_name("route_config")?;
            if !manager.has_field(&field) {
                return None;
            }
            manager.get_field(&field).as_message().map(Resource::new)
        };
        managers(&listener).into_iter().filter_map(route_config).collect()
    }

    /// `static_resources.clusters` in the order of the file.
    #[must_use]
    pub fn clusters(&self) -> &[Resource] {
        &self.clusters
    }
}

const RESOURCES: &str = "static_resources";

/// Takes one of the lists out of `StaticResources`.
fn taken(resources: &mut DynamicMessage, field: &str) -> Vec<Resource> {
    let Some(Value::List(items)) = resources.take_field_by_name(field) else {
        return Vec::new();
    };
    items.iter().filter_map(Value::as_message).map(Resource::new).collect()
}

/// The messages of a repeated field.
fn messages(of: &DynamicMessage, field: &str) -> Vec<DynamicMessage> {
    let value = of.get_field_by_name(field);
    let items = value.as_deref().and_then(Value::as_list).unwrap_or_default();
    items.iter().filter_map(Value::as_message).cloned().collect()
}

/// Every HTTP connection manager of a listener, in the order of its filter chains.
fn managers(listener: &DynamicMessage) -> Vec<DynamicMessage> {
    let mut chains = messages(listener, "filter_chains");
    let default = listener.get_field_by_name("default_filter_chain");
    chains.extend(default.as_deref().and_then(Value::as_message).cloned());
    let filters = chains.iter().flat_map(|chain| messages(chain, "filters"));
    filters.filter_map(|filter| manager(&filter)).collect()
}

fn manager(filter: &DynamicMessage) -> Option<DynamicMessage> {
    let any = filter.get_field_by_name("typed_config")?;
    let any = any.as_message()?;
    let (type_url, bytes) = (any.get_field_by_number(1)?, any.get_field_by_number(2)?);
    if type_url.as_str()?.strip_prefix(schema::TYPE_URL_PREFIX)? != HTTP_CONNECTION_MANAGER {
        return None;
    }
    let kind = schema::message(HTTP_CONNECTION_MANAGER)?;
    DynamicMessage::decode(kind, bytes.as_bytes()?.clone()).ok()
}

const HTTP_CONNECTION_MANAGER: &str =
    "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";

impl Resource {
    fn new(message: &DynamicMessage) -> Self {
        let name = message.get_field_by_name("name");
        let name = name.as_deref().and_then(Value::as_str).unwrap_or_default().to_owned();
        Self { name, kind: message.descriptor(), encoded: message.encode_to_vec() }
    }

    fn decoded(&self) -> Result<DynamicMessage, DumpError> {
        DynamicMessage::decode(self.kind.clone(), self.encoded.as_slice())
            .map_err(|error| DumpError(error.to_string()))
    }

    /// Its name, which a listener may lack.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Full name of its message type.
    #[must_use]
    pub fn type_name(&self) -> &str {
        self.kind.full_name()
    }

    /// It as it stands below `static_resources`.
    ///
    /// # Errors
    /// When a message is nested deeper than protobuf decodes (100 levels).
    pub fn render(&self) -> Result<Json, DumpError> {
        self.rendered(Map::new())
    }

    /// It as it stands in an `Any`: with "@type" first.
    ///
    /// # Errors
    /// As [`Resource::render`].
    pub fn render_any(&self) -> Result<Json, DumpError> {
        let type_url = format!("{}{}", schema::TYPE_URL_PREFIX, self.type_name());
        self.rendered(Map::from_iter([("@type".to_owned(), Json::String(type_url))]))
    }

    fn rendered(&self, mut json: Map<String, Json>) -> Result<Json, DumpError> {
        fields(&self.decoded()?, Shown::Whole, &mut json)?;
        Ok(Json::Object(json))
    }
}

/// How much of a value may be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shown {
    Whole,
    /// It, or something around it, is marked as sensitive.
    Redacted,
}

fn message(message: &DynamicMessage, shown: Shown) -> Result<Json, DumpError> {
    match message.descriptor().full_name() {
        "google.protobuf.Any" => any(message, shown),
        name if name.starts_with("google.protobuf.") => well_known(message, shown),
        _ => {
            let mut json = Map::new();
            fields(message, shown, &mut json)?;
            Ok(Json::Object(json))
        }
    }
}

fn fields(
    message: &DynamicMessage,
    shown: Shown,
    json: &mut Map<String, Json>,
) -> Result<(), DumpError> {
    for (field, value) in message.fields() {
        let shown = if sensitive().contains(field.full_name()) { Shown::Redacted } else { shown };
        if let Some(value) = of_field(&field, value, shown)? {
            json.insert(field.name().to_owned(), value);
        }
    }
    Ok(())
}

/// None for what is left out because it is sensitive and no text.
fn of_field(
    field: &FieldDescriptor,
    value: &Value,
    shown: Shown,
) -> Result<Option<Json>, DumpError> {
    let kind = field.kind();
    match value {
        Value::List(items) => {
            let items = items.iter().map(|item| singular(&kind, item, shown));
            let items: Result<Option<Vec<Json>>, _> = items.collect();
            Ok(items?.map(Json::Array))
        }
        Value::Map(pairs) => {
            let Kind::Message(entry) = &kind else {
                return Ok(None);
            };
            let kind = entry.map_entry_value_field().kind();
            let mut sorted: Vec<(String, &Value)> =
                pairs.iter().map(|(key, value)| (key_text(key), value)).collect();
            sorted.sort_by(|(a, _), (b, _)| a.cmp(b));
            let mut json = Map::new();
            for (key, value) in sorted {
                if let Some(value) = singular(&kind, value, shown)? {
                    json.insert(key, value);
                }
            }
            Ok(Some(Json::Object(json)))
        }
        value => singular(&kind, value, shown),
    }
}

fn key_text(key: &MapKey) -> String {
    match key {
        MapKey::Bool(key) => key.to_string(),
        MapKey::I32(key) => key.to_string(),
        MapKey::I64(key) => key.to_string(),
        MapKey::U32(key) => key.to_string(),
        MapKey::U64(key) => key.to_string(),
        MapKey::String(key) => key.clone(),
    }
}

fn singular(kind: &Kind, value: &Value, shown: Shown) -> Result<Option<Json>, DumpError> {
    let json = match (value, shown) {
        (Value::Message(value), _) => message(value, shown)?,
        (Value::String(_), Shown::Redacted) => Json::from(REDACTED),
        (Value::Bytes(_), Shown::Redacted) => Json::from(REDACTED_BYTES),
        (_, Shown::Redacted) => return Ok(None),
        (Value::Bool(value), _) => Json::from(*value),
        (Value::I32(value), _) => Json::from(*value),
        (Value::U32(value), _) => Json::from(*value),
        // JSON numbers are doubles, which hold 53 bits.
        (Value::I64(value), _) => Json::from(value.to_string()),
        (Value::U64(value), _) => Json::from(value.to_string()),
        // By its shortest text: the nearest double has digits that nobody wrote.
        (Value::F32(value), _) => number(value.to_string().parse().unwrap_or(f64::NAN)),
        (Value::F64(value), _) => number(*value),
        (Value::String(value), _) => Json::from(value.as_str()),
        (Value::Bytes(bytes), _) => Json::from(BASE64_STANDARD.encode(bytes)),
        (Value::EnumNumber(number), _) => match kind {
            Kind::Enum(descriptor) => enumeration(descriptor, *number),
            _ => Json::from(*number),
        },
        (Value::List(_) | Value::Map(_), _) => return Ok(None),
    };
    Ok(Some(json))
}

fn enumeration(descriptor: &EnumDescriptor, number: i32) -> Json {
    match descriptor.get_value(number) {
        Some(value) => Json::from(value.name()),
        None => Json::from(number),
    }
}

/// Whole numbers without a fraction, as protobuf writes them.
pub(crate) fn number(value: f64) -> Json {
    /// Up to here every whole number has a double of its own.
    const WHOLE_MAX: f64 = 9_007_199_254_740_992.0;
    if value.fract() == 0.0 && value.abs() <= WHOLE_MAX {
        #[expect(clippy::cast_possible_truncation, reason = "it is whole and fits, see above")]
        return Json::from(value as i64);
    }
    match Number::from_f64(value) {
        Some(number) => Json::Number(number),
        None if value.is_nan() => Json::from("NaN"),
        None if value > 0.0 => Json::from("Infinity"),
        None => Json::from("-Infinity"),
    }
}

fn any(any: &DynamicMessage, shown: Shown) -> Result<Json, DumpError> {
    let (type_url, bytes) = (any.get_field_by_number(1), any.get_field_by_number(2));
    let type_url = type_url.as_deref().and_then(Value::as_str).unwrap_or_default();
    let mut json = Map::new();
    if type_url.is_empty() {
        return Ok(Json::Object(json));
    }
    json.insert("@type".to_owned(), Json::from(type_url));
    let name = type_url.rsplit_once('/').map_or(type_url, |(_, name)| name);
    let descriptor =
        schema::message(name).ok_or_else(|| DumpError(format!("unknown type {name}")))?;
    let bytes = bytes.as_deref().and_then(Value::as_bytes).cloned().unwrap_or_default();
    let inner = DynamicMessage::decode(descriptor, bytes)
        .map_err(|error| DumpError(format!("{name}: {error}")))?;
    if name.starts_with("google.protobuf.") && name != "google.protobuf.Empty" {
        json.insert("value".to_owned(), message(&inner, shown)?);
    } else {
        fields(&inner, shown, &mut json)?;
    }
    Ok(Json::Object(json))
}

/// The types that JSON has a form of its own for.
fn well_known(message: &DynamicMessage, shown: Shown) -> Result<Json, DumpError> {
    let json = serde_json::to_value(message).map_err(|error| DumpError(error.to_string()))?;
    Ok(normal(json, shown))
}

fn normal(json: Json, shown: Shown) -> Json {
    match (json, shown) {
        (Json::Number(value), Shown::Whole) => {
            value.as_f64().filter(|_| value.is_f64()).map_or(Json::Number(value), number)
        }
        (Json::String(_), Shown::Redacted) => Json::from(REDACTED),
        (Json::Number(_) | Json::Bool(_), Shown::Redacted) => Json::Null,
        (Json::Array(items), _) => items.into_iter().map(|item| normal(item, shown)).collect(),
        (Json::Object(fields), _) => {
            fields.into_iter().map(|(name, value)| (name, normal(value, shown))).collect()
        }
        (json, _) => json,
    }
}

/// Full names of the fields that Envoy's schema marks as sensitive.
fn sensitive() -> &'static HashSet<String> {
    static FIELDS: OnceLock<HashSet<String>> = OnceLock::new();
    FIELDS.get_or_init(|| {
        let pool = schema::pool();
        let Some(extension) = pool.get_extension_by_name("udpa.annotations.sensitive") else {
            return HashSet::new();
        };
        let fields = pool.all_messages().flat_map(|message| message.fields().collect::<Vec<_>>());
        fields
            .filter(|field| field.options().get_extension(&extension).as_bool() == Some(true))
            .map(|field| field.full_name().to_owned())
            .collect()
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::mapper::Incomplete;
    use crate::place::Places;
    use crate::problem::Problems;
    use crate::{document, mapper};

    /// Maps without asking what is supported: `/config_dump` shows every field of the schema.
    fn dump(yaml: &str) -> Dump {
        let mut problems = Problems::default();
        let mut incomplete = Incomplete::default();
        let places = Places::default();
        let root = document::read(yaml.as_bytes(), document::Format::Yaml, &mut problems).unwrap();
        let bootstrap = schema::message(schema::BOOTSTRAP).unwrap();
        let message = mapper::map(
            &root,
            &bootstrap,
            &places,
            mapper::UnknownFields::Refused,
            &mut incomplete,
            &mut problems,
        );
        assert!(!problems.is_fatal(), "{}", problems.into_report());
        Dump::new(message)
    }

    #[test]
    fn values_are_written_as_envoy_writes_them() {
        let dumped = dump(
            "
node: {id: front, metadata: {whole: 1, big: 12345678901, list: [x, true, null]}}
statsFlushInterval: 5.5s
admin: {address: {socket_address: {address: 127.0.0.1, port_value: 0}}}
layered_runtime: {layers: [{name: admin, admin_layer: {}}]}
stats_config: {histogram_bucket_settings: [{match: {prefix: a}, buckets: [0.5, 10]}]}
static_resources:
  clusters:
  - name: one
    type: static
    lb_policy: round_robin
    connect_timeout: 0.25s
    common_lb_config: {healthy_panic_threshold: {value: 33.3}}
    max_requests_per_connection: 7
",
        );
        // Taken from the real Envoy.
        let cluster = json!({
            "name": "one",
            "type": "STATIC",
            "connect_timeout": "0.250s",
            "max_requests_per_connection": 7,
            "common_lb_config": {"healthy_panic_threshold": {"value": 33.3}},
        });
        let bootstrap = json!({
            "node": {
                "id": "front",
                "metadata": {"whole": 1, "big": "12345678901", "list": ["x", true, null]},
            },
            "static_resources": {},
            "stats_flush_interval": "5.500s",
            "admin": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}}},
            "stats_config": {
                "histogram_bucket_settings": [{"match": {"prefix": "a"}, "buckets": [0.5, 10]}],
            },
            "layered_runtime": {"layers": [{"name": "admin", "admin_layer": {}}]},
        });
        assert_eq!(dumped.bootstrap().unwrap(), bootstrap);
        assert_eq!(dumped.clusters().len(), 1);
        assert_eq!(dumped.clusters()[0].name(), "one");
        assert_eq!(dumped.clusters()[0].render().unwrap(), cluster);
        let text = dumped.clusters()[0].render_any().unwrap().to_string();
        let start = "{\"@type\":\"type.googleapis.com/envoy.config.cluster.v3.Cluster\",\"name\":";
        assert!(text.starts_with(start), "{text}");
    }

    #[test]
    fn what_the_schema_marks_as_sensitive_is_not_shown() {
        let secret = "hidden";
        let dumped = dump(&format!(
            "
static_resources:
  secrets: [{{name: s, generic_secret: {{secret: {{inline_string: {secret}}}}}}}]
  listeners:
  - name: tls
    filter_chains:
    - transport_socket:
       name: tls
       typed_config:
         '@type': type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext
         common_tls_context:
           tls_certificates:
           - certificate_chain: {{filename: shown.pem}}
             private_key: {{filename: {secret}}}
             password: {{inline_bytes: aGlkZGVu}}
             private_key_provider:
               provider_name: p
               typed_config:
                 '@type': type.googleapis.com/google.protobuf.Struct
                 value: {{key: {secret}, number: 4711}}
"
        ));
        let listener = dumped.listeners()[0].render_any().unwrap();
        let text = format!("{}{listener}", dumped.bootstrap().unwrap());
        for word in [secret, "aGlkZGVu", "4711"] {
            assert!(!text.contains(word), "{text}");
        }
        assert!(text.contains("\"certificate_chain\":{\"filename\":\"shown.pem\"}"), "{text}");
        assert!(text.contains("\"private_key\":{\"filename\":\"[redacted]\"}"), "{text}");
        assert!(text.contains("\"password\":{\"inline_bytes\":\"W3JlZGFjdGVkXQ==\"}"), "{text}");
        assert!(text.contains("{\"name\":\"s\",\"generic_secret\":"), "{text}");
        assert_eq!(dumped.listeners()[0].name(), "tls");
    }

    #[test]
    fn the_dump_itself_shows_nothing_in_a_log() {
        let dumped = dump("static_resources: {clusters: [{name: c, alt_stat_name: hidden}]}");
        let text = format!("{dumped:?}");
        assert!(text.contains("name: \"c\"") && !text.contains("hidden"), "{text}");
    }
}
