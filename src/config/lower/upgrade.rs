//! Upgrades and CONNECT: what connection managers and routes let connections become.

use super::Lower;
use crate::document::clipped;
use crate::model;
use crate::problem::ProblemKind;
use crate::typed::envoy::config::core::v3 as core;
use crate::typed::envoy::config::route::v3::route_action as route;
use crate::typed::envoy::extensions::filters::network::http_connection_manager::v3 as pb;
use core::proxy_protocol_config::Version;
use pb::http_connection_manager as manager;

/// What stands for requests of the method CONNECT.
const CONNECT: &str = "CONNECT";

/// What stands for UDP.
const CONNECT_UDP: &str = "connect-udp";

impl Lower<'_> {
    /// `upgrade_configs` of a connection manager whose requests pass `filters`.
    pub(super) fn manager_upgrades(
        &mut self,
        messages: &[manager::UpgradeConfig],
        filters: &[pb::HttpFilter],
        path: &str,
    ) -> Vec<model::Upgrade> {
        let mut upgrades: Vec<model::Upgrade> = Vec::with_capacity(messages.len());
        for (index, message) in messages.iter().enumerate() {
            let path = format!("{path}[{index}]");
            let kind = &message.upgrade_type;
            if upgrades.iter().any(|other| other.kind.eq_ignore_ascii_case(kind)) {
                let text = format!(
                    "Error: multiple upgrade configs with the same name: '{}'",
                    clipped(kind)
                );
                self.invalid(&format!("{path}.upgrade_type"), text, None);
            }
            self.without_udp(kind, &path);
            // None stands for those of the connection manager.
            if !message.filters.is_empty() && message.filters != filters {
                let hint = "leave them out, or write those of the connection manager";
                let text = "other filters for an upgrade than for other requests";
                self.not_yet(&format!("{path}.filters"), text, Some(hint));
            }
            let enabled = message.enabled.unwrap_or(true);
            upgrades.push(model::Upgrade { kind: kind.clone(), enabled });
        }
        upgrades
    }

    /// `upgrade_configs` of a route, and what stands in the one for CONNECT.
    pub(super) fn route_upgrades(
        &mut self,
        messages: &[route::UpgradeConfig],
        path: &str,
    ) -> (Vec<model::Upgrade>, Option<model::ConnectConfig>) {
        let mut upgrades: Vec<model::Upgrade> = Vec::with_capacity(messages.len());
        let mut connect = None;
        for (index, message) in messages.iter().enumerate() {
            let path = format!("{path}[{index}]");
            let kind = &message.upgrade_type;
            if upgrades.iter().any(|other| other.kind.eq_ignore_ascii_case(kind)) {
                let text = format!("Duplicate upgrade {}", clipped(kind));
                self.invalid(&format!("{path}.upgrade_type"), text, None);
            }
            self.without_udp(kind, &path);
            if let Some(config) = &message.connect_config {
                let path = format!("{path}.connect_config");
                if !kind.eq_ignore_ascii_case(CONNECT) {
                    let text =
                        format!("Non-CONNECT upgrade type {} has ConnectConfig", clipped(kind));
                    self.invalid(&path, text, None);
                }
                connect = Some(self.connect_config(config, &path));
            }
            let enabled = message.enabled.unwrap_or(true);
            upgrades.push(model::Upgrade { kind: kind.clone(), enabled });
        }
        (upgrades, connect)
    }

    /// RFC 9298 goes by the same words, and carries datagrams.
    fn without_udp(&mut self, kind: &str, path: &str) {
        if kind.eq_ignore_ascii_case(CONNECT_UDP) {
            self.not_yet(&format!("{path}.upgrade_type"), "UDP through a proxy", None);
        }
    }

    fn connect_config(
        &mut self,
        message: &route::upgrade_config::ConnectConfig,
        path: &str,
    ) -> model::ConnectConfig {
        let path = format!("{path}.proxy_protocol_config");
        let proxy_protocol = message.proxy_protocol_config.as_ref();
        model::ConnectConfig {
            proxy_protocol: proxy_protocol.map(|config| self.proxy_protocol_version(config, &path)),
            allow_post: message.allow_post,
        }
    }

    fn proxy_protocol_version(
        &mut self,
        message: &core::ProxyProtocolConfig,
        path: &str,
    ) -> model::ProxyProtocolVersion {
        let tlvs = [
            ("added_tlvs", !message.added_tlvs.is_empty()),
            ("pass_through_tlvs", message.pass_through_tlvs.is_some()),
        ];
        for (field, _) in tlvs.iter().filter(|(_, is_set)| *is_set) {
            let text = "as in Envoy, the header before a tunnel has no TLVs";
            self.report(ProblemKind::Ignored, &format!("{path}.{field}"), text, None);
        }
        match message.version() {
            Version::V1 => model::ProxyProtocolVersion::V1,
            Version::V2 => model::ProxyProtocolVersion::V2,
        }
    }
}
