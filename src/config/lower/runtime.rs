//! The layers of the runtime.

use std::collections::BTreeMap;

use prost_types::{Struct, Value, value};
use serde_json::Value as Json;

use super::{Lower, overload};
use crate::document::clipped;
use crate::model;
use crate::typed::envoy::config::bootstrap::v3 as pb;
use pb::runtime_layer::LayerSpecifier;

/// Beginnings of the names that Envoy itself reads. Setting one of them changes what Envoy does,
/// and Nuncio reads few of them yet ([`overload::is_read`]). Every other name is only shown, there
/// as here.
const READ_BY_ENVOY: &[&str] = &[
    "circuit_breakers.",
    "envoy.",
    "fault.",
    "health_check.",
    "http.",
    "http_connection_manager.",
    "mongo.",
    "outlier_detection.",
    "overload.",
    "ratelimit.",
    "re2.",
    "redis.",
    "ring_hash.",
    "router.",
    "ssl.",
    "tcp.",
    "tracing.",
    "upstream.",
    "zone_routing.",
];

impl Lower<'_> {
    pub(super) fn runtime(&mut self, message: Option<&pb::LayeredRuntime>) -> model::Runtime {
        let Some(message) = message else {
            return model::Runtime::default();
        };
        if message.layers.is_empty() {
            // Envoy puts this one layer there, without a name.
            let source = model::RuntimeSource::Admin;
            let layer = model::RuntimeLayer { name: String::new(), source };
            return model::Runtime { layers: vec![layer] };
        }
        let mut layers: Vec<model::RuntimeLayer> = Vec::with_capacity(message.layers.len());
        for (index, message) in message.layers.iter().enumerate() {
            let path = format!("layered_runtime.layers[{index}]");
            // Absent layers were reported before, by the rules or the support table.
            let Some(layer) = self.runtime_layer(message, &path) else {
                continue;
            };
            if layers.iter().any(|other| other.name == layer.name) {
                let text = format!("Duplicate layer name: {}", clipped(&layer.name));
                self.invalid(&format!("{path}.name"), text, None);
            }
            let is_admin =
                |layer: &model::RuntimeLayer| layer.source == model::RuntimeSource::Admin;
            if is_admin(&layer) && layers.iter().any(is_admin) {
                let text = "Too many admin layers specified in LayeredRuntime, at most one may be \
                            specified";
                self.invalid(&format!("{path}.admin_layer"), text, None);
            }
            layers.push(layer);
        }
        model::Runtime { layers }
    }

    fn runtime_layer(
        &mut self,
        message: &pb::RuntimeLayer,
        path: &str,
    ) -> Option<model::RuntimeLayer> {
        let source = match message.layer_specifier.as_ref()? {
            LayerSpecifier::StaticLayer(fields) => {
                let mut values = BTreeMap::new();
                self.static_layer(fields, "", &format!("{path}.static_layer"), &mut values);
                model::RuntimeSource::Static(values)
            }
            LayerSpecifier::AdminLayer(_) => model::RuntimeSource::Admin,
            LayerSpecifier::DiskLayer(disk) => {
                if disk.symlink_root.is_empty() {
                    let path = format!("{path}.disk_layer.symlink_root");
                    self.invalid(&path, "invalid file path: it is empty", None);
                }
                model::RuntimeSource::Disk(model::DiskLayer {
                    symlink_root: disk.symlink_root.clone(),
                    subdirectory: disk.subdirectory.clone(),
                    append_service_cluster: disk.append_service_cluster,
                })
            }
        };
        Some(model::RuntimeLayer { name: message.name.clone(), source })
    }

    /// Flattens `fields` into `values`; `prefix` ends with a dot unless it is empty.
    fn static_layer(
        &mut self,
        fields: &Struct,
        prefix: &str,
        path: &str,
        values: &mut BTreeMap<String, model::RuntimeValue>,
    ) {
        for (key, value) in &fields.fields {
            let name = format!("{prefix}{key}");
            let path = format!("{path}.{key}");
            let value = match (runtime_value(value), &value.kind) {
                (Some(value), _) => value,
                (None, Some(value::Kind::StructValue(fields))) => {
                    self.static_layer(fields, &format!("{name}."), &path, values);
                    continue;
                }
                (None, _) => {
                    let text = format!("Invalid runtime entry value for {}", clipped(&name));
                    let hint = "give a number, a boolean, a text or a mapping";
                    self.invalid(&path, text, Some(hint));
                    continue;
                }
            };
            let is_read_by_envoy = READ_BY_ENVOY.iter().any(|prefix| name.starts_with(prefix));
            if is_read_by_envoy && !overload::is_read(&name) {
                let text = format!("the runtime value {}, which Envoy acts upon", clipped(&name));
                self.not_yet(&path, text, Some("remove it, or give it a name of your own"));
            }
            values.insert(name, value);
        }
    }
}

/// A value of the runtime on its own; a list is none, and a mapping only if it is a fraction.
pub(crate) fn runtime_value(value: &Value) -> Option<model::RuntimeValue> {
    match value.kind.as_ref()? {
        value::Kind::NumberValue(number) => Some(model::RuntimeValue::Number(*number)),
        value::Kind::BoolValue(value) => Some(model::RuntimeValue::Bool(*value)),
        value::Kind::StringValue(text) => Some(model::RuntimeValue::Text(text.clone())),
        value::Kind::StructValue(fields) if is_value(fields) => {
            Some(model::RuntimeValue::Fraction(json_of_struct(fields)))
        }
        value::Kind::StructValue(_) | value::Kind::ListValue(_) | value::Kind::NullValue(_) => None,
    }
}

/// True for a mapping that is one value and no further level of names: a fraction, or an empty one.
fn is_value(fields: &Struct) -> bool {
    let has = |key| fields.fields.contains_key(key);
    fields.fields.is_empty() || has("numerator") || has("denominator")
}

pub(super) fn json_of_struct(fields: &Struct) -> Json {
    fields.fields.iter().map(|(key, value)| (key.clone(), json(value))).collect()
}

fn json(value: &Value) -> Json {
    match &value.kind {
        Some(value::Kind::NumberValue(number)) => crate::dump::number(*number),
        Some(value::Kind::BoolValue(value)) => Json::from(*value),
        Some(value::Kind::StringValue(text)) => Json::from(text.as_str()),
        Some(value::Kind::StructValue(fields)) => json_of_struct(fields),
        Some(value::Kind::ListValue(list)) => list.values.iter().map(json).collect(),
        Some(value::Kind::NullValue(_)) | None => Json::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lower::lower_yaml;

    fn problems(layers: &str) -> String {
        lower_yaml(&format!("layered_runtime: {{layers: [{layers}]}}")).1.to_string()
    }

    #[test]
    fn a_static_layer_is_flat_and_ends_at_fractions() {
        let (bootstrap, report) = lower_yaml(
            "
layered_runtime:
  layers:
  - name: base
    static_layer:
      a: 3
      b: {c: 1.5, d: x y, e: true, neg: -3, deep: {er: '12'}}
      frac: {numerator: 5, denominator: HUNDRED}
      empty: {}
  - name: admin
    admin_layer: {}
  - name: disk
    disk_layer: {symlink_root: /srv/runtime, subdirectory: envoy, append_service_cluster: true}
",
        );
        assert!(report.is_empty(), "{report}");
        let [base, admin, disk] = &bootstrap.runtime.layers[..] else { panic!("{bootstrap:?}") };
        let model::RuntimeSource::Static(values) = &base.source else { panic!("{base:?}") };
        let shown: Vec<String> =
            values.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let fraction = "frac={\"denominator\":\"HUNDRED\",\"numerator\":5}";
        let expected = [
            "a=3",
            "b.c=1.5",
            "b.d=x y",
            "b.deep.er=12",
            "b.e=true",
            "b.neg=-3",
            "empty={}",
            fraction,
        ];
        assert_eq!(shown, expected);
        assert_eq!((admin.name.as_str(), &admin.source), ("admin", &model::RuntimeSource::Admin));
        let folder = model::DiskLayer {
            symlink_root: "/srv/runtime".to_owned(),
            subdirectory: "envoy".to_owned(),
            append_service_cluster: true,
        };
        assert_eq!(disk.source, model::RuntimeSource::Disk(folder));
    }

    #[test]
    fn no_layers_at_all_are_one_admin_layer_without_a_name() {
        let layers = |yaml| lower_yaml(yaml).0.runtime.layers;
        assert_eq!(layers("{}"), []);
        let [layer] = &layers("layered_runtime: {}")[..] else { panic!() };
        assert_eq!((layer.name.as_str(), &layer.source), ("", &model::RuntimeSource::Admin));
    }

    #[test]
    fn what_envoy_refuses_is_refused_in_its_words() {
        let twice = problems("{name: s, static_layer: {}}, {name: s, static_layer: {}}");
        assert!(twice.contains("layers[1].name: Duplicate layer name: s"), "{twice}");
        let admins = problems("{name: a, admin_layer: {}}, {name: b, admin_layer: {}}");
        assert!(admins.contains("Too many admin layers specified"), "{admins}");
        let null = problems("{name: s, static_layer: {x: {y: null}}}");
        let path = "layered_runtime.layers[0].static_layer.x.y: ";
        assert!(null.contains(&format!("{path}Invalid runtime entry value for x.y")), "{null}");
        let root = problems("{name: d, disk_layer: {subdirectory: q}}");
        assert!(root.contains("disk_layer.symlink_root: invalid file path"), "{root}");
    }

    #[test]
    fn a_value_that_envoy_acts_upon_is_not_left_out_silently() {
        let text = problems("{name: s, static_layer: {upstream: {weight_enabled: 9}}}");
        let expected = "not supported yet: the runtime value upstream.weight_enabled";
        assert!(text.contains(expected), "{text}");
    }

    #[test]
    fn limits_of_connections_are_read() {
        let of_listener = "envoy: {resource_limits: {listener: {in: {connection_limit: 9}}}}";
        let yaml = format!(
            "layered_runtime: {{layers: [{{name: s, static_layer: {{{of_listener}, \
             overload.global_downstream_max_connections: 30}}}}]}}\n\
             static_resources: {{listeners: [{LISTENER}]}}"
        );
        let (bootstrap, report) = lower_yaml(&yaml);
        assert!(report.is_empty(), "{report}");
        assert_eq!(bootstrap.connection_limit, None);
        let may_have = |key: &str| bootstrap.runtime.may_have(key);
        assert!(may_have(model::Bootstrap::CONNECTIONS_KEY));
        assert!(may_have(&model::Listener::connections_key("in")));
        assert!(!may_have(&model::Listener::connections_key("out")));
    }

    const LISTENER: &str = "{name: in, address: {pipe: {path: '@in'}}, filter_chains: [{filters: \
         [{name: e, typed_config: {'@type': \
         type.googleapis.com/envoy.extensions.filters.network.echo.v3.Echo}}]}]}";

    /// The overload manager's monitor is the newer way to say it.
    #[test]
    fn the_overload_manager_overrules_the_runtime_and_watches_connections_only() {
        let monitor = |name: &str| {
            format!(
                "layered_runtime: {{layers: [{{name: s, static_layer: \
                 {{overload.global_downstream_max_connections: 30}}}}]}}\n\
                 overload_manager: {{resource_monitors: [{{name: {name}, typed_config: {{'@type': \
                 type.googleapis.com/envoy.extensions.resource_monitors.downstream_connections.v3.\
                 DownstreamConnectionsConfig, max_active_downstream_connections: 7}}}}]}}"
            )
        };
        let (bootstrap, report) =
            lower_yaml(&monitor("envoy.resource_monitors.global_downstream_max_connections"));
        assert!(report.is_empty(), "{report}");
        assert_eq!(bootstrap.connection_limit, Some(7));
        let (_, report) = lower_yaml(&monitor("heap"));
        let text = report.to_string();
        assert!(text.contains("resource_monitors[0].name: not supported yet"), "{text}");
    }
}
