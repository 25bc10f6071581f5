//! Route configurations: virtual hosts, routes, and what a route does.

use std::collections::HashSet;
use std::time::Duration;

use super::Lower;
use crate::document::clipped;
use crate::model;
use crate::typed::envoy::config::core::v3 as core;
use crate::typed::envoy::config::route::v3 as pb;
use core::data_source::Specifier;
use pb::redirect_action::{PathRewriteSpecifier, RedirectResponseCode, SchemeRewriteSpecifier};
use pb::route_action::ClusterSpecifier;
use pb::route_match::PathSpecifier;

/// Envoy's default of a route's `timeout`.
const ROUTE_TIMEOUT: Duration = Duration::from_secs(15);

/// Envoy's default of `max_direct_response_body_size_bytes`.
const DIRECT_RESPONSE_BYTES_MAX: u32 = 4096;

impl Lower<'_> {
    pub(super) fn route_configuration(
        &mut self,
        message: &pb::RouteConfiguration,
        path: &str,
    ) -> model::RouteConfiguration {
        let mut seen = HashSet::new();
        let mut virtual_hosts = Vec::with_capacity(message.virtual_hosts.len());
        for (index, host) in message.virtual_hosts.iter().enumerate() {
            let path = format!("{path}.virtual_hosts[{index}]");
            let domains = self.domains(host, &message.name, &path, &mut seen);
            let routes = host.routes.iter().enumerate();
            let routes = routes
                .filter_map(|(index, route)| {
                    self.route(message, route, &format!("{path}.routes[{index}]"))
                })
                .collect();
            virtual_hosts.push(model::VirtualHost { name: host.name.clone(), domains, routes });
        }
        model::RouteConfiguration { name: message.name.clone(), virtual_hosts }
    }

    /// `seen` holds the domains of the hosts before, each of which may stand only once.
    fn domains(
        &mut self,
        host: &pb::VirtualHost,
        route_name: &str,
        path: &str,
        seen: &mut HashSet<model::Domain>,
    ) -> Vec<model::Domain> {
        let mut domains = Vec::with_capacity(host.domains.len());
        for (index, text) in host.domains.iter().enumerate() {
            let domain = domain(text);
            if !seen.insert(domain.clone()) {
                let route = clipped(route_name);
                let text = match domain {
                    model::Domain::Any => {
                        format!("Only a single wildcard domain is permitted in route {route}")
                    }
                    _ => format!(
                        "Only unique values for domains are permitted. Duplicate entry of domain \
                         {} in route {route}",
                        clipped(&text.to_ascii_lowercase())
                    ),
                };
                self.invalid(&format!("{path}.domains[{index}]"), text, None);
            }
            domains.push(domain);
        }
        domains
    }

    /// None when it was reported, here or before.
    fn route(
        &mut self,
        table: &pb::RouteConfiguration,
        message: &pb::Route,
        path: &str,
    ) -> Option<model::Route> {
        let path_match = match message.r#match.as_ref()?.path_specifier.as_ref() {
            Some(PathSpecifier::Prefix(prefix)) => Some(model::PathMatch::Prefix(prefix.clone())),
            Some(PathSpecifier::Path(exact)) => Some(model::PathMatch::Exact(exact.clone())),
            Some(PathSpecifier::ConnectMatcher(_)) => Some(model::PathMatch::Connect),
            Some(PathSpecifier::SafeRegex(_) | PathSpecifier::PathSeparatedPrefix(_)) | None => {
                None
            }
        };
        let action =
            match message.action.as_ref()? {
                pb::route::Action::Route(action) => model::RouteAction::Forward(
                    self.forward_action(table, action, &format!("{path}.route"))?,
                ),
                pb::route::Action::Redirect(action) => model::RouteAction::Redirect(
                    self.redirect_action(action, &format!("{path}.redirect"))?,
                ),
                pb::route::Action::DirectResponse(action) => model::RouteAction::DirectResponse(
                    self.direct_response(table, action, &format!("{path}.direct_response"))?,
                ),
            };
        Some(model::Route { name: message.name.clone(), path: path_match?, action })
    }

    fn forward_action(
        &mut self,
        table: &pb::RouteConfiguration,
        message: &pb::RouteAction,
        path: &str,
    ) -> Option<model::ForwardAction> {
        let timeout = match &message.timeout {
            None => ROUTE_TIMEOUT,
            Some(timeout) => self.milliseconds(timeout, &format!("{path}.timeout")),
        };
        let Some(ClusterSpecifier::Cluster(cluster)) = &message.cluster_specifier else {
            return None;
        };
        let is_checked = table.validate_clusters.unwrap_or(true);
        if is_checked && !self.cluster_names.contains(cluster.as_str()) {
            let text = format!("route: unknown cluster '{}'", clipped(cluster));
            let known = self.cluster_names.iter().copied();
            let hint = crate::schema::nearest(cluster, known);
            let hint = hint.map(|name| format!("did you mean '{}'?", clipped(name)));
            self.invalid(&format!("{path}.cluster"), text, hint.as_deref());
        }
        let (upgrades, connect) =
            self.route_upgrades(&message.upgrade_configs, &format!("{path}.upgrade_configs"));
        let idle_timeout = message.idle_timeout.as_ref();
        Some(model::ForwardAction {
            cluster: cluster.clone(),
            timeout: Some(timeout).filter(|timeout| !timeout.is_zero()),
            max_grpc_timeout: self.grpc_timeout(
                (&message.max_grpc_timeout, "max_grpc_timeout"),
                (&message.grpc_timeout_offset, "grpc_timeout_offset"),
                path,
            ),
            max_stream_duration: message.max_stream_duration.as_ref().map(|durations| {
                let path = format!("{path}.max_stream_duration");
                let longest = durations.max_stream_duration.as_ref();
                model::StreamDuration {
                    max_stream_duration: longest.map(|longest| {
                        self.milliseconds(longest, &format!("{path}.max_stream_duration"))
                    }),
                    grpc_timeout_header: self.grpc_timeout(
                        (&durations.grpc_timeout_header_max, "grpc_timeout_header_max"),
                        (&durations.grpc_timeout_header_offset, "grpc_timeout_header_offset"),
                        &path,
                    ),
                }
            }),
            idle_timeout: idle_timeout
                .map(|timeout| self.milliseconds(timeout, &format!("{path}.idle_timeout"))),
            upgrades,
            connect,
        })
    }

    /// An offset alone does nothing.
    fn grpc_timeout(
        &mut self,
        (max, max_name): (&Option<prost_types::Duration>, &str),
        (offset, offset_name): (&Option<prost_types::Duration>, &str),
        path: &str,
    ) -> Option<model::GrpcTimeout> {
        let offset = offset
            .as_ref()
            .map(|offset| self.milliseconds(offset, &format!("{path}.{offset_name}")));
        let max = self.milliseconds(max.as_ref()?, &format!("{path}.{max_name}"));
        Some(model::GrpcTimeout { max, offset: offset.unwrap_or_default() })
    }

    fn redirect_action(
        &mut self,
        message: &pb::RedirectAction,
        path: &str,
    ) -> Option<model::RedirectAction> {
        let scheme = match &message.scheme_rewrite_specifier {
            Some(SchemeRewriteSpecifier::HttpsRedirect(true)) => model::RedirectScheme::Https,
            Some(SchemeRewriteSpecifier::SchemeRedirect(scheme)) if !scheme.is_empty() => {
                model::RedirectScheme::Set(scheme.clone())
            }
            _ => model::RedirectScheme::Keep,
        };
        let rewrite = match &message.path_rewrite_specifier {
            Some(PathRewriteSpecifier::PathRedirect(path)) if !path.is_empty() => {
                model::RedirectPath::Set(path.clone())
            }
            Some(PathRewriteSpecifier::PrefixRewrite(prefix)) if !prefix.is_empty() => {
                model::RedirectPath::Prefix(prefix.clone())
            }
            Some(PathRewriteSpecifier::PathRewrite(_)) => return None,
            _ => model::RedirectPath::Keep,
        };
        let Ok(port) = u16::try_from(message.port_redirect) else {
            let hint = "Envoy writes it into the location; no client can follow it";
            let path = format!("{path}.port_redirect");
            self.not_yet(&path, format!("port {}", message.port_redirect), Some(hint));
            return None;
        };
        Some(model::RedirectAction {
            scheme,
            host: Some(message.host_redirect.clone()).filter(|host| !host.is_empty()),
            port: Some(port).filter(|port| *port != 0),
            path: rewrite,
            status: match message.response_code() {
                RedirectResponseCode::MovedPermanently => 301,
                RedirectResponseCode::Found => 302,
                RedirectResponseCode::SeeOther => 303,
                RedirectResponseCode::TemporaryRedirect => 307,
                RedirectResponseCode::PermanentRedirect => 308,
            },
            strip_query: message.strip_query,
        })
    }

    fn direct_response(
        &mut self,
        table: &pb::RouteConfiguration,
        message: &pb::DirectResponseAction,
        path: &str,
    ) -> Option<model::DirectResponse> {
        let path = format!("{path}.body");
        let body = match &message.body {
            None => Vec::new(),
            Some(source) => self.data_source(source, &path)?,
        };
        let limit = table.max_direct_response_body_size_bytes.unwrap_or(DIRECT_RESPONSE_BYTES_MAX);
        if u32::try_from(body.len()).is_ok_and(|bytes| bytes > limit) {
            let text = format!("response body size is {} bytes; maximum is {limit}", body.len());
            let hint = "max_direct_response_body_size_bytes of the route configuration raises it";
            self.invalid(&path, text, Some(hint));
        }
        // The rules bound it.
        let status = u16::try_from(message.status).ok()?;
        Some(model::DirectResponse { status, body })
    }

    /// The bytes that stand in the file itself; None for those that stand elsewhere.
    pub(super) fn data_source(
        &mut self,
        message: &core::DataSource,
        path: &str,
    ) -> Option<Vec<u8>> {
        match message.specifier.as_ref()? {
            Specifier::InlineString(text) => Some(text.clone().into_bytes()),
            Specifier::InlineBytes(bytes) => Some(bytes.clone()),
            Specifier::Filename(_) => {
                let hint = "write it into the configuration, as inline_string";
                self.not_yet(&format!("{path}.filename"), "text in another file", Some(hint));
                None
            }
            Specifier::EnvironmentVariable(_) => {
                let hint = "write it into the configuration, as inline_string";
                let path = format!("{path}.environment_variable");
                self.not_yet(&path, "text in the environment", Some(hint));
                None
            }
        }
    }
}

/// Envoy compares in lower case, and reads a star only at one end.
fn domain(text: &str) -> model::Domain {
    let text = text.to_ascii_lowercase();
    if text == "*" {
        model::Domain::Any
    } else if let Some(suffix) = text.strip_prefix('*') {
        model::Domain::Suffix(suffix.to_owned())
    } else if let Some(prefix) = text.strip_suffix('*') {
        model::Domain::Prefix(prefix.to_owned())
    } else {
        model::Domain::Exact(text)
    }
}
