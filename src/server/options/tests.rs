//! The command line: where each option lands, and what is refused.

use clap::error::ErrorKind;
use serde_json::{Map, Value, json};

use super::*;

fn parse(line: &str) -> Result<Options, clap::Error> {
    Options::try_parse_from(std::iter::once("nuncio").chain(line.split_whitespace()))
}

/// Field by field what Envoy 1.40 shows on `/server_info` when it is started with `-c a.yaml` only;
/// but its own socket, and two values that it does not pass on (`socket_mode`,
/// `file_flush_min_size`).
#[test]
fn server_info_has_envoys_fields_in_its_order_and_its_defaults() {
    let shown = parse("-c a.yaml").unwrap().to_server_info(1);
    let expected = r#"{
        "base_id": "0", "concurrency": 1, "config_path": "a.yaml", "config_yaml": "",
        "allow_unknown_static_fields": false, "admin_address_path": "",
        "local_address_ip_version": "v4", "log_level": "info", "component_log_level": "",
        "log_format": "[%Y-%m-%d %T.%e][%t][%l][%n] [%g:%#] %v", "log_path": "",
        "service_cluster": "", "service_node": "", "service_zone": "",
        "file_flush_interval": "10s", "drain_time": "600s", "parent_shutdown_time": "900s",
        "mode": "Serve", "disable_hot_restart": false, "enable_mutex_tracing": false,
        "restart_epoch": 0, "cpuset_threads": false, "reject_unknown_dynamic_fields": false,
        "log_format_escaped": false, "disabled_extensions": [],
        "ignore_unknown_dynamic_fields": false, "use_dynamic_base_id": false, "base_id_path": "",
        "drain_strategy": "Gradual", "enable_fine_grain_logging": false,
        "socket_path": "@nuncio_domain_socket", "socket_mode": 384, "enable_core_dump": false,
        "stats_tag": [], "skip_hot_restart_on_no_parent": false,
        "skip_hot_restart_parent_stats": false, "skip_deprecated_logs": false,
        "file_flush_min_size": 64, "log_stacktrace_single_entry": false
    }"#;
    let expected: Map<String, Value> = serde_json::from_str(expected).unwrap();
    assert!(shown.keys().eq(expected.keys()), "{:?}", shown.keys());
    assert_eq!(shown, expected);
}

#[test]
fn each_option_lands_in_its_field() {
    type Check = fn(&Options) -> bool;
    let table: &[(&str, Check)] = &[
        ("-c a.yaml", |o| o.config_path.as_deref() == Some("a.yaml".as_ref())),
        ("--config-path a.yaml", |o| o.config_path.as_deref() == Some("a.yaml".as_ref())),
        ("--config-yaml {}", |o| o.config_yaml.as_deref() == Some("{}")),
        ("--mode serve", |o| o.mode == Mode::Serve),
        ("--mode validate", |o| o.mode == Mode::Validate),
        ("--concurrency 3", |o| o.concurrency == Some(3)),
        ("--concurrency 0", |o| o.concurrency == Some(0)),
        ("--concurrency 4096", |o| o.concurrency == Some(4096)),
        ("-l off", |o| o.log_level == LogLevel::Off),
        ("--log-level warn", |o| o.log_level == LogLevel::Warning),
        ("--log-level warning", |o| o.log_level == LogLevel::Warning),
        ("-l critical", |o| o.log_level == LogLevel::Critical),
        ("--config-report json", |o| o.config_report == ReportFormat::Json),
        ("--mode init_only", |o| o.mode == Mode::InitOnly),
        ("--component-log-level upstream:debug,main:warn", |o| {
            let levels = [("upstream", LogLevel::Debug), ("main", LogLevel::Warning)];
            o.component_log_level.levels == levels.map(|(name, level)| (name.to_owned(), level))
        }),
        ("--component-log-level=", |o| o.component_log_level.levels.is_empty()),
        ("--log-path f", |o| o.log_path.as_deref() == Some("f".as_ref())),
        ("--log-format %v", |o| o.log_format.as_deref() == Some("%v")),
        ("--log-format-escaped", |o| o.log_settings().escaped),
        ("--cpuset-threads", |o| o.cpuset_threads),
        ("--enable-fine-grain-logging", |o| o.enable_fine_grain_logging),
        ("--log-stacktrace-single-entry", |o| o.log_stacktrace_single_entry),
        ("--skip-deprecated-logs", |o| o.skip_deprecated_logs),
        ("--drain-strategy immediate", |o| o.drain_strategy == DrainStrategy::Immediate),
        ("--stats-tag a:b --stats-tag c:d:e", |o| {
            o.stats_tag.iter().map(ToString::to_string).eq(["a:b", "c:d:e"])
        }),
        ("--base-id-path f", |o| o.base_id_path.as_deref() == Some("f".as_ref())),
        ("--socket-path @other", |o| o.socket_path == "@other"),
        ("--socket-mode 644", |o| o.socket_mode == 0o644),
        ("--hot-restart-version", |o| o.hot_restart_version && !o.needs_configuration()),
        ("--parent-shutdown-time-s 1", |o| o.parent_shutdown_time_s == 1),
        ("--skip-hot-restart-on-no-parent", |o| o.skip_hot_restart_on_no_parent),
        ("--skip-hot-restart-parent-stats", |o| o.skip_hot_restart_parent_stats),
        ("--file-flush-interval-msec 1", |o| o.file_flush_interval_msec == 1),
        ("--file-flush-min-size-kb 1", |o| o.file_flush_min_size_kb == 1),
        ("--allow-unknown-static-fields", |o| o.allow_unknown_static_fields),
        ("--allow-unknown-fields", |o| o.allow_unknown_fields),
        ("--reject-unknown-dynamic-fields", |o| o.reject_unknown_dynamic_fields),
        ("--ignore-unknown-dynamic-fields", |o| o.ignore_unknown_dynamic_fields),
        ("--disable-extensions a,b", |o| o.disable_extensions == ["a", "b"]),
        ("--local-address-ip-version v6", |o| o.local_address_ip_version == IpVersion::V6),
        ("--enable-core-dump", |o| o.enable_core_dump),
        ("--enable-mutex-tracing", |o| o.enable_mutex_tracing),
        ("-- whatever --comes", |o| o.ignored.len() == 2),
        ("--admin-address-path f", |o| o.admin_address_path.as_deref() == Some("f".as_ref())),
        ("--shutdown-grace-s 0", |o| o.shutdown_grace_s == 0),
        ("--service-cluster s", |o| o.service_cluster == "s"),
        ("--service-node s", |o| o.service_node == "s"),
        ("--service-zone s", |o| o.service_zone == "s"),
        ("--drain-time-s 5", |o| o.drain_time_s == 5),
        ("--base-id 7", |o| o.base_id == 7),
        ("--use-dynamic-base-id", |o| o.use_dynamic_base_id),
        ("--disable-hot-restart", |o| o.disable_hot_restart),
        ("--restart-epoch 0", |o| o.restart_epoch == 0),
        ("--print-default-config", |o| o.print_default_config),
    ];
    for (line, check) in table {
        let options = parse(line).unwrap_or_else(|error| panic!("{line}: {error}"));
        assert!(check(&options), "{line}: {options:?}");
    }
}

#[test]
fn what_cannot_be_honoured_is_refused_with_a_reason() {
    let table = [
        ("--bogus", ErrorKind::UnknownArgument, "--bogus"),
        ("envoy.yaml", ErrorKind::UnknownArgument, "envoy.yaml"),
        ("--mode bogus", ErrorKind::InvalidValue, "serve, validate, init_only"),
        ("-l loud", ErrorKind::ValueValidation, "loud"),
        ("--component-log-level upstream", ErrorKind::ValueValidation, "component:level"),
        ("--component-log-level nobody:info", ErrorKind::ValueValidation, "'nobody'"),
        ("--component-log-level main:loud", ErrorKind::ValueValidation, "'loud'"),
        ("--stats-tag a", ErrorKind::ValueValidation, "name:value"),
        ("--stats-tag a:b.c", ErrorKind::ValueValidation, "no dot"),
        ("--stats-tag a-b:c", ErrorKind::ValueValidation, "letters and digits"),
        ("--socket-mode 9", ErrorKind::ValueValidation, "octal"),
        ("--drain-strategy later", ErrorKind::InvalidValue, "gradual, immediate"),
        ("--local-address-ip-version v5", ErrorKind::InvalidValue, "v4, v6"),
        ("--drain-time-s 4294967296", ErrorKind::ValueValidation, "4294967296"),
        ("--base-id 429496730", ErrorKind::ValueValidation, "429496730"),
        ("-c a -c b", ErrorKind::ArgumentConflict, "multiple times"),
        ("--concurrency 4097", ErrorKind::ValueValidation, "4097"),
        ("--concurrency -1", ErrorKind::UnknownArgument, "-1"),
        ("--concurrency two", ErrorKind::ValueValidation, "two"),
        ("--shutdown-grace-s 1.5", ErrorKind::ValueValidation, "1.5"),
        ("--restart-epoch 1", ErrorKind::ValueValidation, "hot restart is not supported yet"),
        ("-c", ErrorKind::InvalidValue, "FILE"),
    ];
    for (line, kind, words) in table {
        let error = parse(line).expect_err(line);
        assert_eq!(error.kind(), kind, "{line}: {error}");
        assert!(error.to_string().contains(words), "{line}: {error}");
    }
}

#[test]
fn options_that_exclude_each_other_are_refused() {
    let line = "--component-log-level main:info --enable-fine-grain-logging";
    assert!(parse(line).unwrap().check().unwrap_err().contains("will not work with"));
    let line = "--stats-tag a:b --stats-tag c:b --stats-tag a:d";
    assert!(parse(line).unwrap().check().unwrap_err().contains("'a' has two values"));
    assert_eq!(parse("--stats-tag a:b --stats-tag c:b").unwrap().check(), Ok(()));
}

#[test]
fn options_without_effect_are_named_if_they_were_given() {
    assert_eq!(parse("").unwrap().without_effect(), []);
    let line = "--enable-fine-grain-logging --log-stacktrace-single-entry --skip-deprecated-logs \
                --drain-strategy immediate --service-zone z --parent-shutdown-time-s 1 \
                --skip-hot-restart-on-no-parent --skip-hot-restart-parent-stats \
                --reject-unknown-dynamic-fields \
                --ignore-unknown-dynamic-fields --disable-extensions a \
                --enable-mutex-tracing";
    let names: Vec<_> =
        parse(line).unwrap().without_effect().iter().map(|(name, _)| *name).collect();
    let given: Vec<_> = line.split_whitespace().filter(|word| word.starts_with("--")).collect();
    assert_eq!(names, given);
    let line = "--base-id 1 --use-dynamic-base-id --disable-hot-restart --service-node n \
                --service-cluster c --cpuset-threads --enable-core-dump --log-path f \
                --local-address-ip-version v6";
    assert_eq!(parse(line).unwrap().without_effect(), []);
}

#[test]
fn server_info_shows_what_was_given() {
    let line = "-c a.yaml -l warn --base-id 2 --drain-time-s 9 --mode init_only \
                --component-log-level upstream:warn,main:off --file-flush-interval-msec 1500 \
                --disable-extensions a,b --stats-tag k:v --drain-strategy immediate \
                --allow-unknown-fields --local-address-ip-version v6";
    let shown = parse(line).unwrap().to_server_info(4);
    for (field, value) in [
        ("concurrency", json!(4)),
        ("log_level", json!("warning")),
        ("base_id", json!("2")),
        ("drain_time", json!("9s")),
        ("mode", json!("InitOnly")),
        ("component_log_level", json!("upstream:warn,main:off")),
        ("file_flush_interval", json!("1.500s")),
        ("disabled_extensions", json!(["a", "b"])),
        ("stats_tag", json!(["k:v"])),
        ("drain_strategy", json!("Immediate")),
        ("allow_unknown_static_fields", json!(true)),
        ("local_address_ip_version", json!("v6")),
    ] {
        assert_eq!(shown[field], value, "{field}");
    }
}
