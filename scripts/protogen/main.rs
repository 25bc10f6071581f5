//! Writes `src/config/typed.rs`: prost structs for the messages that Nuncio lowers.
//!
//! The whole Envoy schema stays in the descriptor set; this keeps only the messages listed in
//! `MESSAGES`, and of those only the fields whose types are listed too. A dropped field is never
//! lost silently: `support.rs` refuses every field that no code reads, before typing happens.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::{env, fs};

use prost::Message as _;
use prost_build::Module;
use prost_types::field_descriptor_proto::Type;
use prost_types::{
    DescriptorProto, EnumDescriptorProto, FileDescriptorProto, FileDescriptorSet, MessageOptions,
};

/// Full names of the messages to keep. Nested messages are listed on their own.
const MESSAGES: &[&str] = &[
    "envoy.config.accesslog.v3.AccessLog",
    "envoy.config.accesslog.v3.AccessLogFilter",
    "envoy.config.accesslog.v3.AndFilter",
    "envoy.config.accesslog.v3.ComparisonFilter",
    "envoy.config.accesslog.v3.DurationFilter",
    "envoy.config.accesslog.v3.LogTypeFilter",
    "envoy.config.accesslog.v3.NotHealthCheckFilter",
    "envoy.config.accesslog.v3.OrFilter",
    "envoy.config.accesslog.v3.ResponseFlagFilter",
    "envoy.config.accesslog.v3.RuntimeFilter",
    "envoy.config.accesslog.v3.StatusCodeFilter",
    "envoy.config.bootstrap.v3.Admin",
    "envoy.config.bootstrap.v3.Bootstrap",
    "envoy.config.bootstrap.v3.Bootstrap.ApplicationLogConfig",
    "envoy.config.bootstrap.v3.Bootstrap.ApplicationLogConfig.LogFormat",
    "envoy.config.bootstrap.v3.Bootstrap.StaticResources",
    "envoy.config.bootstrap.v3.ClusterManager",
    "envoy.config.bootstrap.v3.ClusterManager.OutlierDetection",
    "envoy.config.bootstrap.v3.LayeredRuntime",
    "envoy.config.bootstrap.v3.RuntimeLayer",
    "envoy.config.bootstrap.v3.RuntimeLayer.AdminLayer",
    "envoy.config.bootstrap.v3.RuntimeLayer.DiskLayer",
    "envoy.config.cluster.v3.CircuitBreakers",
    "envoy.config.cluster.v3.CircuitBreakers.Thresholds",
    "envoy.config.cluster.v3.Cluster",
    "envoy.config.cluster.v3.Cluster.CommonLbConfig",
    "envoy.config.cluster.v3.Cluster.PreconnectPolicy",
    "envoy.config.cluster.v3.Cluster.TypedExtensionProtocolOptionsEntry",
    "envoy.config.cluster.v3.OutlierDetection",
    "envoy.config.cluster.v3.UpstreamConnectionOptions",
    "envoy.config.core.v3.Address",
    "envoy.config.core.v3.BackoffStrategy",
    "envoy.config.core.v3.BindConfig",
    "envoy.config.core.v3.CidrRange",
    "envoy.config.core.v3.DataSource",
    "envoy.config.core.v3.ExtraSourceAddress",
    "envoy.config.core.v3.HeaderValue",
    "envoy.config.core.v3.HeaderValueOption",
    "envoy.config.core.v3.Http1ProtocolOptions",
    "envoy.config.core.v3.Http1ProtocolOptions.HeaderKeyFormat",
    "envoy.config.core.v3.Http1ProtocolOptions.HeaderKeyFormat.ProperCaseWords",
    "envoy.config.core.v3.Http2ProtocolOptions",
    "envoy.config.core.v3.Http2ProtocolOptions.SettingsParameter",
    "envoy.config.core.v3.HttpProtocolOptions",
    "envoy.config.core.v3.KeepaliveSettings",
    "envoy.config.core.v3.Locality",
    "envoy.config.core.v3.Node",
    "envoy.config.core.v3.Pipe",
    "envoy.config.core.v3.ProxyProtocolConfig",
    "envoy.config.core.v3.ProxyProtocolPassThroughTLVs",
    "envoy.config.core.v3.RuntimeFeatureFlag",
    "envoy.config.core.v3.RuntimeUInt32",
    "envoy.config.core.v3.SocketAddress",
    "envoy.config.core.v3.SocketOption",
    "envoy.config.core.v3.SocketOption.SocketType",
    "envoy.config.core.v3.SocketOption.SocketType.Datagram",
    "envoy.config.core.v3.SocketOption.SocketType.Stream",
    "envoy.config.core.v3.SocketOptionsOverride",
    "envoy.config.core.v3.SubstitutionFormatString",
    "envoy.config.core.v3.TcpKeepalive",
    "envoy.config.core.v3.TlvEntry",
    "envoy.config.core.v3.TransportSocket",
    "envoy.config.endpoint.v3.ClusterLoadAssignment",
    "envoy.config.endpoint.v3.ClusterLoadAssignment.Policy",
    "envoy.config.endpoint.v3.Endpoint",
    "envoy.config.endpoint.v3.LbEndpoint",
    "envoy.config.endpoint.v3.LocalityLbEndpoints",
    "envoy.config.listener.v3.AdditionalAddress",
    "envoy.config.listener.v3.Filter",
    "envoy.config.listener.v3.FilterChain",
    "envoy.config.listener.v3.FilterChainMatch",
    "envoy.config.listener.v3.Listener",
    "envoy.config.listener.v3.Listener.ConnectionBalanceConfig",
    "envoy.config.listener.v3.Listener.ConnectionBalanceConfig.CpuLocalityBalance",
    "envoy.config.listener.v3.Listener.ConnectionBalanceConfig.ExactBalance",
    "envoy.config.listener.v3.Listener.DeprecatedV1",
    "envoy.config.listener.v3.ListenerFilter",
    "envoy.config.listener.v3.ListenerFilterChainMatchPredicate",
    "envoy.config.listener.v3.ListenerFilterChainMatchPredicate.MatchSet",
    "envoy.config.metrics.v3.HistogramBucketSettings",
    "envoy.config.metrics.v3.StatsConfig",
    "envoy.config.metrics.v3.StatsMatcher",
    "envoy.config.metrics.v3.TagSpecifier",
    "envoy.config.overload.v3.OverloadManager",
    "envoy.config.overload.v3.ResourceMonitor",
    "envoy.config.rbac.v3.Permission",
    "envoy.config.rbac.v3.Permission.Set",
    "envoy.config.rbac.v3.Policy",
    "envoy.config.rbac.v3.Principal",
    "envoy.config.rbac.v3.Principal.Authenticated",
    "envoy.config.rbac.v3.Principal.Set",
    "envoy.config.rbac.v3.RBAC",
    "envoy.config.rbac.v3.RBAC.PoliciesEntry",
    "envoy.config.route.v3.DirectResponseAction",
    "envoy.config.route.v3.RedirectAction",
    "envoy.config.route.v3.Route",
    "envoy.config.route.v3.RouteAction",
    "envoy.config.route.v3.RouteAction.MaxStreamDuration",
    "envoy.config.route.v3.RouteAction.UpgradeConfig",
    "envoy.config.route.v3.RouteAction.UpgradeConfig.ConnectConfig",
    "envoy.config.route.v3.RouteConfiguration",
    "envoy.config.route.v3.RouteMatch",
    "envoy.config.route.v3.RouteMatch.ConnectMatcher",
    "envoy.config.route.v3.VirtualHost",
    "envoy.extensions.access_loggers.file.v3.FileAccessLog",
    "envoy.extensions.access_loggers.stream.v3.StderrAccessLog",
    "envoy.extensions.access_loggers.stream.v3.StdoutAccessLog",
    "envoy.extensions.filters.http.router.v3.Router",
    "envoy.extensions.filters.common.set_filter_state.v3.FilterStateValue",
    "envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol",
    "envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol.KeyValuePair",
    "envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol.Rule",
    "envoy.extensions.filters.network.connection_limit.v3.ConnectionLimit",
    "envoy.extensions.filters.network.direct_response.v3.Config",
    "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
    concat!(
        "envoy.extensions.filters.network.http_connection_manager.v3.",
        "HttpConnectionManager.UpgradeConfig"
    ),
    "envoy.extensions.filters.network.http_connection_manager.v3.HttpFilter",
    "envoy.extensions.filters.network.local_ratelimit.v3.LocalRateLimit",
    "envoy.extensions.filters.network.rbac.v3.RBAC",
    "envoy.extensions.filters.network.set_filter_state.v3.Config",
    "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
    "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy.TcpAccessLogOptions",
    "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy.TunnelingConfig",
    "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy.WeightedCluster",
    "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy.WeightedCluster.ClusterWeight",
    "envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig",
    "envoy.extensions.transport_sockets.proxy_protocol.v3.ProxyProtocolUpstreamTransport",
    "envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
    "envoy.extensions.upstreams.http.v3.HttpProtocolOptions.ExplicitHttpConfig",
    "envoy.extensions.upstreams.http.v3.HttpProtocolOptions.UseDownstreamHttpConfig",
    "envoy.extensions.upstreams.tcp.v3.TcpProtocolOptions",
    "envoy.type.matcher.v3.ListStringMatcher",
    "envoy.type.matcher.v3.RegexMatcher",
    "envoy.type.matcher.v3.StringMatcher",
    "envoy.type.v3.FractionalPercent",
    "envoy.type.v3.Int32Range",
    "envoy.type.v3.Percent",
    "envoy.type.v3.TokenBucket",
    "validate.AnyRules",
    "validate.BoolRules",
    "validate.BytesRules",
    "validate.DoubleRules",
    "validate.DurationRules",
    "validate.EnumRules",
    "validate.FieldRules",
    "validate.Fixed32Rules",
    "validate.Fixed64Rules",
    "validate.FloatRules",
    "validate.Int32Rules",
    "validate.Int64Rules",
    "validate.MapRules",
    "validate.MessageRules",
    "validate.RepeatedRules",
    "validate.SFixed32Rules",
    "validate.SFixed64Rules",
    "validate.SInt32Rules",
    "validate.SInt64Rules",
    "validate.StringRules",
    "validate.TimestampRules",
    "validate.UInt32Rules",
    "validate.UInt64Rules",
];

/// Well-known types that prost maps by itself.
const WELL_KNOWN: &str = "google.protobuf.";

/// Free-form metadata: nothing reads it typed, and decoding it would limit how deep it may be.
const FREE_FORM: &str = "google.protobuf.Struct";

/// Messages whose free-form fields are read after all.
const READ_FREE_FORM: &[&str] = &[
    "envoy.config.bootstrap.v3.Bootstrap.ApplicationLogConfig.LogFormat",
    "envoy.config.bootstrap.v3.RuntimeLayer",
    "envoy.config.core.v3.SubstitutionFormatString",
];

fn main() {
    let mut args = env::args().skip(1);
    let (Some(input), Some(output)) = (args.next(), args.next()) else {
        panic!("usage: protogen <descriptor set> <typed.rs>");
    };
    let bytes = fs::read(&input).expect("descriptor set is readable");
    let set = FileDescriptorSet::decode(bytes.as_slice()).expect("descriptor set decodes");
    fs::write(&output, generate(set)).expect("output is writable");
}

fn generate(set: FileDescriptorSet) -> String {
    let wanted: BTreeSet<&str> = MESSAGES.iter().copied().collect();
    let mut found = BTreeSet::new();
    let mut requests = Vec::new();
    for mut file in set.file {
        let package = file.package().to_owned();
        if package == "google.protobuf" {
            // prost maps these to its own types, but looks their shape up while it generates.
            requests.push((package, file));
            continue;
        }
        file.message_type.retain_mut(|m| prune(m, &package, &wanted, &mut found));
        file.service.clear();
        file.extension.clear();
        requests.push((package, file));
    }
    let missing: Vec<_> = wanted.iter().filter(|name| !found.contains(**name)).collect();
    assert!(missing.is_empty(), "not in the descriptor set: {missing:?}");

    // An enum of one package may be used by a message of another.
    let used: BTreeSet<String> =
        requests.iter().flat_map(|(_, file)| used_types(&file.message_type)).collect();
    for (package, file) in requests.iter_mut().filter(|(package, _)| package != "google.protobuf") {
        file.enum_type.retain(|e| used.contains(&format!("{package}.{}", e.name())));
        for message in &mut file.message_type {
            retain_enums(message, package, &used);
        }
        for field in file.message_type.iter_mut().flat_map(|m| &mut m.field) {
            field.options = None;
        }
    }
    requests.retain(|(_, file)| !file.message_type.is_empty() || !file.enum_type.is_empty());

    let requests: Vec<(Module, FileDescriptorProto)> = requests
        .into_iter()
        .map(|(package, file)| (Module::from_protobuf_package_name(&package), file))
        .collect();
    let generated = prost_build::Config::new()
        .format(true)
        .generate(requests)
        .expect("prost generates the subset");
    let generated: BTreeMap<Vec<String>, String> = generated
        .into_iter()
        .map(|(module, code)| (module.parts().map(str::to_owned).collect::<Vec<_>>(), code))
        .filter(|(parts, _)| parts.first().is_none_or(|first| first != "google"))
        .collect();

    let mut out = String::from(HEADER);
    nest(&mut out, &generated, &[]);
    out
}

/// Drops what is not wanted from `message`; false when the message itself goes.
fn prune<'a>(
    message: &mut DescriptorProto,
    scope: &str,
    wanted: &BTreeSet<&'a str>,
    found: &mut BTreeSet<&'a str>,
) -> bool {
    let name = format!("{scope}.{}", message.name());
    let Some(listed) = wanted.get(name.as_str()) else {
        return false;
    };
    found.insert(listed);
    message.nested_type.retain_mut(|m| prune(m, &name, wanted, found));
    message.extension.clear();
    if !message.options.as_ref().is_some_and(MessageOptions::map_entry) {
        message.options = None;
    }
    message.field.retain(|field| {
        if field.r#type() != Type::Message {
            return true;
        }
        let target = field.type_name().trim_start_matches('.');
        wanted.contains(target) || (target.starts_with(WELL_KNOWN)
                && (target != FREE_FORM || READ_FREE_FORM.contains(&name.as_str())))
    });
    // A oneof without fields is not allowed: drop it and renumber the others.
    let mut kept = Vec::new();
    for index in 0..message.oneof_decl.len() {
        let index = i32::try_from(index).expect("few oneofs");
        if message.field.iter().any(|f| f.oneof_index == Some(index)) {
            kept.push(index);
        }
    }
    for field in &mut message.field {
        if let Some(old) = field.oneof_index {
            let new = kept.iter().position(|&k| k == old).expect("kept above");
            field.oneof_index = Some(i32::try_from(new).expect("few oneofs"));
        }
    }
    let old = std::mem::take(&mut message.oneof_decl);
    message.oneof_decl = old
        .into_iter()
        .enumerate()
        .filter(|(index, _)| kept.iter().any(|&k| usize::try_from(k) == Ok(*index)))
        .map(|(_, oneof)| oneof)
        .collect();
    true
}

fn used_types(messages: &[DescriptorProto]) -> BTreeSet<String> {
    let mut used = BTreeSet::new();
    for message in messages {
        for field in &message.field {
            used.insert(field.type_name().trim_start_matches('.').to_owned());
        }
        used.extend(used_types(&message.nested_type));
    }
    used
}

fn retain_enums(message: &mut DescriptorProto, scope: &str, used: &BTreeSet<String>) {
    let name = format!("{scope}.{}", message.name());
    message
        .enum_type
        .retain(|e: &EnumDescriptorProto| used.contains(&format!("{name}.{}", e.name())));
    for nested in &mut message.nested_type {
        retain_enums(nested, &name, used);
    }
}

fn nest(out: &mut String, generated: &BTreeMap<Vec<String>, String>, at: &[String]) {
    if let Some(code) = generated.get(at) {
        out.push_str(code.trim_start_matches("// This file is @generated by prost-build.\n"));
    }
    let children: BTreeSet<&String> = generated
        .keys()
        .filter(|parts| parts.len() > at.len() && parts.starts_with(at))
        .map(|parts| &parts[at.len()])
        .collect();
    for child in children {
        writeln!(out, "pub mod {child} {{").expect("a string grows");
        let mut path = at.to_vec();
        path.push(child.clone());
        nest(out, generated, &path);
        out.push_str("}\n");
    }
}

const HEADER: &str = "\
//! Typed prost structs of the Envoy messages that Nuncio lowers, and of protoc-gen-validate.
//!
//! @generated by scripts/gen-protos from Envoy's Apache-2.0 API sources; do not edit.
//! Fields whose message types are not listed there are left out: `support.rs` refuses them first.

";
