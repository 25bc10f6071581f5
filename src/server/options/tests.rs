//! The command line: where each option lands, and what is refused.

use clap::error::ErrorKind;

use super::*;

fn parse(line: &str) -> Result<Options, clap::Error> {
    Options::try_parse_from(std::iter::once("nuncio").chain(line.split_whitespace()))
}

#[test]
fn defaults_are_envoys() {
    let options = parse("").unwrap();
    let expected = Options {
        config_path: None,
        config_yaml: None,
        mode: Mode::Serve,
        concurrency: None,
        log_level: LogLevel::Info,
        admin_address_path: None,
        shutdown_grace_s: 10,
        service_cluster: String::new(),
        service_node: String::new(),
        service_zone: String::new(),
        drain_time_s: 600,
        base_id: 0,
        use_dynamic_base_id: false,
        disable_hot_restart: false,
        restart_epoch: 0,
        print_default_config: false,
    };
    assert_eq!(options, expected);
    assert_eq!(options.without_effect(), []);
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
        ("--mode init_only", ErrorKind::InvalidValue, "serve, validate"),
        ("-l loud", ErrorKind::InvalidValue, "loud"),
        ("--concurrency 4097", ErrorKind::ValueValidation, "4097"),
        ("--concurrency -1", ErrorKind::UnknownArgument, "-1"),
        ("--concurrency two", ErrorKind::ValueValidation, "two"),
        ("--shutdown-grace-s 1.5", ErrorKind::ValueValidation, "1.5"),
        ("--restart-epoch 1", ErrorKind::ValueValidation, "hot restart is not supported yet"),
        ("-c a.yaml --config-yaml {}", ErrorKind::ArgumentConflict, "--config-yaml"),
        ("-c", ErrorKind::InvalidValue, "FILE"),
    ];
    for (line, kind, words) in table {
        let error = parse(line).expect_err(line);
        assert_eq!(error.kind(), kind, "{line}: {error}");
        assert!(error.to_string().contains(words), "{line}: {error}");
    }
}

#[test]
fn options_without_effect_are_named_if_they_were_given() {
    let line = "--base-id 1 --use-dynamic-base-id --drain-time-s 30 --service-zone z \
                --disable-hot-restart --service-node n --service-cluster c";
    let names: Vec<_> =
        parse(line).unwrap().without_effect().iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["--base-id", "--use-dynamic-base-id", "--drain-time-s", "--service-zone"]);
}

#[test]
fn server_info_shows_the_options_by_envoys_names() {
    let options = parse("-c a.yaml -l warn --base-id 2 --drain-time-s 9").unwrap();
    let shown = Value::Object(options.to_server_info(4));
    let expected = json!({
        "base_id": "2",
        "concurrency": 4,
        "config_path": "a.yaml",
        "config_yaml": "",
        "admin_address_path": "",
        "log_level": "warning",
        "service_cluster": "",
        "service_node": "",
        "service_zone": "",
        "drain_time": "9s",
        "mode": "Serve",
        "disable_hot_restart": false,
        "restart_epoch": 0,
        "use_dynamic_base_id": false,
    });
    assert_eq!(shown, expected);
}
