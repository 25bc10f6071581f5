//! Options of HTTP/2, for the clients of a listener and for the hosts of a cluster.

use std::time::Duration;

use super::Lower;
use crate::model;
use crate::typed::envoy::config::core::v3 as core;

/// Identifiers of RFC 9113 section 6.5.2 and RFC 8441 section 3.
const HEADER_TABLE_SIZE: u32 = 1;
const ENABLE_PUSH: u32 = 2;
const MAX_CONCURRENT_STREAMS: u32 = 3;
const INITIAL_WINDOW_SIZE: u32 = 4;
const MAX_FRAME_SIZE: u32 = 5;
const ENABLE_CONNECT_PROTOCOL: u32 = 8;

/// The largest frame that the codec reads, and what a peer takes for granted.
const FRAME_SIZE: u32 = 16_384;

/// The largest window: RFC 9113 section 6.9.1.
const WINDOW_MAX: u32 = i32::MAX as u32;

/// Envoy's default of `interval_jitter`, in percent.
const INTERVAL_JITTER_PERCENT: u32 = 15;

impl Lower<'_> {
    /// `of_manager` is `stream_error_on_invalid_http_message` of an HTTP connection manager.
    pub(super) fn http2_options(
        &mut self,
        message: Option<&core::Http2ProtocolOptions>,
        of_manager: Option<bool>,
        path: &str,
    ) -> model::Http2Options {
        let default = model::Http2Options::default();
        let Some(message) = message else {
            return model::Http2Options {
                stream_error_on_invalid_http_message: of_manager.unwrap_or(false),
                ..default
            };
        };
        let keepalive = message.connection_keepalive.as_ref();
        let keepalive =
            keepalive.map(|it| self.keepalive(it, &format!("{path}.connection_keepalive")));
        model::Http2Options {
            hpack_table_size: message.hpack_table_size.unwrap_or(default.hpack_table_size),
            max_concurrent_streams: message
                .max_concurrent_streams
                .unwrap_or(default.max_concurrent_streams),
            initial_stream_window_size: message
                .initial_stream_window_size
                .unwrap_or(default.initial_stream_window_size),
            initial_connection_window_size: message
                .initial_connection_window_size
                .unwrap_or(default.initial_connection_window_size),
            allow_connect: message.allow_connect,
            allow_metadata: message.allow_metadata,
            max_metadata_size: message.max_metadata_size.unwrap_or(default.max_metadata_size),
            max_outbound_frames: message.max_outbound_frames.unwrap_or(default.max_outbound_frames),
            max_outbound_control_frames: message
                .max_outbound_control_frames
                .unwrap_or(default.max_outbound_control_frames),
            max_consecutive_inbound_frames_with_empty_payload: message
                .max_consecutive_inbound_frames_with_empty_payload
                .unwrap_or(default.max_consecutive_inbound_frames_with_empty_payload),
            max_inbound_priority_frames_per_stream: message
                .max_inbound_priority_frames_per_stream
                .unwrap_or(default.max_inbound_priority_frames_per_stream),
            max_inbound_window_update_frames_per_data_frame_sent: message
                .max_inbound_window_update_frames_per_data_frame_sent
                .unwrap_or(default.max_inbound_window_update_frames_per_data_frame_sent),
            stream_error_on_invalid_http_message: message
                .override_stream_error_on_invalid_http_message
                .or(of_manager)
                .unwrap_or(message.stream_error_on_invalid_http_messaging),
            custom_settings: self.custom_settings(message, path),
            keepalive,
            enable_huffman_encoding: message
                .enable_huffman_encoding
                .unwrap_or(default.enable_huffman_encoding),
            max_header_field_size_kb: message
                .max_header_field_size_kb
                .unwrap_or(default.max_header_field_size_kb),
            stream_reset_burst: message.stream_reset_burst.unwrap_or(default.stream_reset_burst),
            stream_reset_rate: message.stream_reset_rate.unwrap_or(default.stream_reset_rate),
        }
    }

    /// The rules have seen to it that there is a timeout, and that nothing is below 1 ms.
    fn keepalive(
        &mut self,
        message: &core::KeepaliveSettings,
        path: &str,
    ) -> model::Http2Keepalive {
        let mut duration = |field: &str, duration: &Option<_>| {
            let duration = duration.as_ref()?;
            Some(self.milliseconds(duration, &format!("{path}.{field}")))
        };
        let interval = duration("interval", &message.interval);
        let timeout = duration("timeout", &message.timeout).unwrap_or_default();
        let connection_idle_interval =
            duration("connection_idle_interval", &message.connection_idle_interval);
        let jitter = message.interval_jitter.as_ref().map(|jitter| jitter.value);
        model::Http2Keepalive {
            interval,
            timeout,
            interval_jitter_percent: jitter.map_or(INTERVAL_JITTER_PERCENT, rounded_percent),
            connection_idle_interval,
        }
    }

    /// Each identifier once. What is wrong with them, Envoy says of all together.
    fn custom_settings(
        &mut self,
        message: &core::Http2ProtocolOptions,
        path: &str,
    ) -> Vec<(u16, u32)> {
        let path = format!("{path}.custom_settings_parameters");
        let mut settings: Vec<(u16, u32)> = Vec::new();
        let (mut twice, mut named): (Vec<String>, Vec<&str>) = (Vec::new(), Vec::new());
        for (index, setting) in message.custom_settings_parameters.iter().enumerate() {
            // Absent ones and larger identifiers were reported before, by the rules.
            let (Some(id), Some(value)) = (setting.identifier, setting.value) else { continue };
            let Ok(identifier) = u16::try_from(id) else { continue };
            self.custom_setting(id, value, &format!("{path}[{index}]"));
            let name = match id {
                HEADER_TABLE_SIZE => message.hpack_table_size.map(|_| "hpack_table_size"),
                MAX_CONCURRENT_STREAMS => {
                    message.max_concurrent_streams.map(|_| "max_concurrent_streams")
                }
                INITIAL_WINDOW_SIZE => {
                    message.initial_stream_window_size.map(|_| "initial_stream_window_size")
                }
                _ => None,
            };
            named.extend(name);
            match settings.iter().find(|(other, _)| *other == identifier) {
                None => settings.push((identifier, value)),
                Some((_, first)) if *first != value => twice.push(format!("0x{id:02x}")),
                Some(_) => {}
            }
        }
        if !twice.is_empty() {
            let text = format!(
                "inconsistent HTTP/2 custom SETTINGS parameter(s) detected; identifiers = {{{}}}",
                twice.join(",")
            );
            self.invalid(&path, text, None);
        } else if !named.is_empty() {
            let text = format!(
                "the {{{}}} HTTP/2 SETTINGS parameter(s) can not be configured through both named \
                 and custom parameters",
                named.join(",")
            );
            self.invalid(&path, text, None);
        }
        settings
    }

    /// Reports a setting that cannot be sent. Envoy takes some of them, and then sends no SETTINGS
    /// at all.
    fn custom_setting(&mut self, id: u32, value: u32, path: &str) {
        match (id, value) {
            (ENABLE_PUSH, 1) => {
                let text = "server push is not supported by Envoy and can not be enabled via a \
                            SETTINGS parameter.";
                self.invalid(path, text, None);
            }
            (ENABLE_CONNECT_PROTOCOL, _) => {
                let text = "the \"allow_connect\" SETTINGS parameter must only be configured \
                            through the named field";
                self.invalid(path, text, None);
            }
            (ENABLE_PUSH, 2..) => {
                self.not_yet(path, "ENABLE_PUSH other than 0", Some("RFC 9113 section 6.5.2"));
            }
            (INITIAL_WINDOW_SIZE, _) if value > WINDOW_MAX => {
                let text = "an initial window above 2^31-1";
                self.not_yet(path, text, Some("RFC 9113 section 6.5.2"));
            }
            (MAX_FRAME_SIZE, _) if value != FRAME_SIZE => {
                let text = "a largest frame other than 16384";
                self.not_yet(path, text, Some("leave it out: that is what peers assume"));
            }
            _ => {}
        }
    }
}

/// The rules keep it between 0 and 100.
fn rounded_percent(percent: f64) -> u32 {
    // As a time it is rounded without a cast between kinds of numbers.
    let seconds = Duration::try_from_secs_f64(percent + 0.5).unwrap_or_default().as_secs();
    u32::try_from(seconds).unwrap_or(100).min(100)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lower::{Lower, read_yaml};

    const OPTIONS: &str = "envoy.config.core.v3.Http2ProtocolOptions";

    fn lower(yaml: &str, of_manager: Option<bool>) -> (model::Http2Options, String) {
        let (message, places, incomplete, mut problems) = read_yaml(yaml, OPTIONS);
        let typed: core::Http2ProtocolOptions = message.transcode_to().unwrap();
        let mut lower = Lower {
            places: &places,
            incomplete: &incomplete,
            problems: &mut problems,
            cluster_names: [].into(),
        };
        let options = lower.http2_options(Some(&typed), of_manager, "");
        (options, problems.into_report().to_string())
    }

    #[test]
    fn what_is_not_set_has_envoys_defaults() {
        let (options, report) = lower("{}", None);
        assert_eq!((options, report.as_str()), (model::Http2Options::default(), ""));
    }

    #[test]
    fn every_field_reaches_the_model() {
        let (options, report) = lower(
            "
hpack_table_size: 0
max_concurrent_streams: 2147483647
initial_stream_window_size: 65535
initial_connection_window_size: 65536
allow_connect: true
allow_metadata: true
max_metadata_size: 5
max_outbound_frames: 6
max_outbound_control_frames: 7
max_consecutive_inbound_frames_with_empty_payload: 0
max_inbound_priority_frames_per_stream: 0
max_inbound_window_update_frames_per_data_frame_sent: 8
override_stream_error_on_invalid_http_message: true
custom_settings_parameters:
- {identifier: 77, value: 4294967295}
- {identifier: 5, value: 16384}
- {identifier: 77, value: 4294967295}
- {identifier: 2, value: 0}
connection_keepalive:
  interval: 1.0005s
  timeout: 2s
  interval_jitter: {value: 12.5}
  connection_idle_interval: 3s
enable_huffman_encoding: false
max_header_field_size_kb: 256
stream_reset_burst: 0
stream_reset_rate: 9
",
            None,
        );
        assert_eq!(report, "");
        let expected = model::Http2Options {
            hpack_table_size: 0,
            max_concurrent_streams: 2_147_483_647,
            initial_stream_window_size: 65_535,
            initial_connection_window_size: 65_536,
            allow_connect: true,
            allow_metadata: true,
            max_metadata_size: 5,
            max_outbound_frames: 6,
            max_outbound_control_frames: 7,
            max_consecutive_inbound_frames_with_empty_payload: 0,
            max_inbound_priority_frames_per_stream: 0,
            max_inbound_window_update_frames_per_data_frame_sent: 8,
            stream_error_on_invalid_http_message: true,
            custom_settings: vec![(77, u32::MAX), (5, 16_384), (2, 0)],
            keepalive: Some(model::Http2Keepalive {
                interval: Some(Duration::from_secs(1)),
                timeout: Duration::from_secs(2),
                interval_jitter_percent: 13,
                connection_idle_interval: Some(Duration::from_secs(3)),
            }),
            enable_huffman_encoding: false,
            max_header_field_size_kb: 256,
            stream_reset_burst: 0,
            stream_reset_rate: 9,
        };
        assert_eq!(options, expected);
    }

    #[test]
    fn the_older_names_of_stream_errors_count_where_the_newer_one_is_not_set() {
        let ends_stream =
            |yaml: &str, of_manager| lower(yaml, of_manager).0.stream_error_on_invalid_http_message;
        let oldest = "stream_error_on_invalid_http_messaging: true";
        assert!(ends_stream(oldest, None));
        assert!(!ends_stream(oldest, Some(false)));
        assert!(ends_stream("{}", Some(true)));
        let newest = "override_stream_error_on_invalid_http_message: false";
        assert!(!ends_stream(newest, Some(true)));
    }

    #[test]
    fn settings_that_cannot_be_sent_are_refused() {
        let report = |settings: &str, others: &str| {
            lower(&format!("{{custom_settings_parameters: [{settings}]{others}}}"), None).1
        };
        for (settings, text) in [
            ("{identifier: 2, value: 1}", "server push is not supported by Envoy"),
            ("{identifier: 2, value: 2}", "not supported yet: ENABLE_PUSH other than 0"),
            ("{identifier: 8, value: 0}", "the \"allow_connect\" SETTINGS parameter must only"),
            ("{identifier: 4, value: 2147483648}", "not supported yet: an initial window above"),
            ("{identifier: 5, value: 16385}", "not supported yet: a largest frame other than"),
            ("{identifier: 77, value: 1}, {identifier: 77, value: 2}", "identifiers = {0x4d}"),
        ] {
            let report = report(settings, "");
            assert!(report.contains(text), "{report}");
        }
        assert_eq!(report("{identifier: 4, value: 2147483647}, {identifier: 1, value: 1}", ""), "");
        let both =
            "{identifier: 1, value: 9}, {identifier: 3, value: 9}, {identifier: 4, value: 9}";
        let named = ", hpack_table_size: 9, max_concurrent_streams: 9, \
                     initial_stream_window_size: 65535";
        let text = "the {hpack_table_size,max_concurrent_streams,initial_stream_window_size} \
                    HTTP/2 SETTINGS parameter(s) can not be configured through both";
        let report = report(both, named);
        assert!(report.contains(text), "{report}");
    }
}
