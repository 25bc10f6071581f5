//! What a person sees who starts Nuncio with something it cannot run: one clear line per problem,
//! all of them at once, a non-zero exit, and nothing started.

use std::net::{Ipv4Addr, TcpListener};

use crate::address::ListenerAddress;
use crate::configuration::{Route, bootstrap};
use crate::environment;
use crate::proxy::{Running, Scratch};

/// What a process that ended by itself left.
#[derive(Debug)]
struct Ended {
    code: Option<i32>,
    stdout: String,
    stderr: String,
    admin_started: bool,
}

/// Runs the program under test until it ends by itself.
fn run(arguments: &[&str]) -> Ended {
    let running = Running::spawn(&environment::subject(), Scratch::new(), arguments);
    let code = running.wait_for_exit().code();
    let admin_started = running.admin_address().is_ok();
    Ended { code, stdout: running.stdout(), stderr: running.stderr(), admin_started }
}

/// Runs with a configuration that must be refused; answers the file's name too.
fn refuse(text: &str) -> (String, Ended) {
    let scratch = Scratch::new();
    let file = scratch.write("proxy.yaml", text).to_str().unwrap().to_owned();
    let ended = run(&["-c", &file]);
    assert_refused(&ended);
    (file, ended)
}

fn assert_refused(ended: &Ended) {
    // As Envoy; 101 would be a panic.
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(!ended.admin_started, "the admin server was started: {ended:?}");
}

/// A problem that must be reported: the part of the file at fault, the path of the field, and
/// words of the message.
#[derive(Debug, Clone, Copy)]
struct Expected {
    at: &'static str,
    field_path: &'static str,
    words: &'static [&'static str],
}

/// Checks that exactly the expected problems are reported, one line each, with their places.
fn check(text: &str, expected: &[Expected]) {
    let (file, ended) = refuse(text);
    let reported: Vec<&str> = ended.stderr.lines().filter(|line| line.starts_with(&file)).collect();
    assert_eq!(reported.len(), expected.len(), "{}", ended.stderr);
    for problem in expected {
        let line = 1 + text.lines().position(|line| line.contains(problem.at)).unwrap();
        let place = format!("{file}:{line}:");
        let found = reported.iter().find(|reported| {
            let Some(rest) = reported.strip_prefix(&place) else {
                return false;
            };
            let Some((column, rest)) = rest.split_once(": ") else {
                return false;
            };
            let Some(message) = rest.strip_prefix(problem.field_path) else {
                return false;
            };
            column.parse::<u32>().is_ok() && problem.words.iter().all(|word| message.contains(word))
        });
        assert!(found.is_some(), "no line for {problem:?} at line {line} in:\n{}", ended.stderr);
    }
}

/// A good configuration, into which the tests below put what is wrong.
fn good() -> String {
    let listener = ListenerAddress::reserve();
    bootstrap(&[Route::relay("main", listener.address, &[([127, 0, 0, 1], 9).into()])])
}

fn good_with(what: &str, instead: &str) -> String {
    let good = good();
    assert!(good.contains(what), "'{what}' is not in:\n{good}");
    good.replacen(what, instead, 1)
}

const UNKNOWN_FIELD: Expected = Expected {
    at: "stat_prefx",
    field_path: "static_resources.listeners[0].filter_chains[0].filters[0].typed_config.stat_prefx",
    words: &["unknown field", "did you mean 'stat_prefix'?"],
};
const WRONG_TYPE: Expected = Expected {
    at: "connect_timeout: soon",
    field_path: "static_resources.clusters[0].connect_timeout",
    words: &["duration"],
};
const PORT: Expected = Expected {
    at: "port_value: 99999",
    field_path: "static_resources.listeners[0].address.socket_address.port_value",
    words: &["65535"],
};
const UNSUPPORTED_FILTER: Expected = Expected {
    at: "typed_config:",
    field_path: "static_resources.listeners[0].filter_chains[0].filters[0].typed_config",
    words: &["not supported yet", "dubbo_proxy", "tcp_proxy"],
};

#[test]
fn unknown_field() {
    check(&good_with("stat_prefix", "stat_prefx"), &[UNKNOWN_FIELD]);
}

#[test]
fn wrong_type() {
    check(&good_with("type: STATIC", "connect_timeout: soon"), &[WRONG_TYPE]);
}

#[test]
fn port_out_of_range() {
    let text = good();
    let listener = text.lines().find(|line| line.starts_with("    address:")).unwrap();
    let wrong = "    address: {socket_address: {address: 127.0.0.1, port_value: 99999}}";
    check(&text.replace(listener, wrong), &[PORT]);
}

#[test]
fn unsupported_filter() {
    check(UNSUPPORTED, &[UNSUPPORTED_FILTER]);
}

/// If this fails, a person has to start Nuncio once per mistake.
#[test]
fn all_problems_at_once() {
    let text = UNSUPPORTED
        .replace("port_value: 10000", "port_value: 99999")
        .replace("clusters: []", "clusters: [{name: one, connect_timeout: soon}]");
    check(&text, &[PORT, UNSUPPORTED_FILTER, WRONG_TYPE]);
}

/// Good for Envoy; Nuncio does not have this filter yet.
const UNSUPPORTED: &str = r#"static_resources:
  listeners:
  - name: main
    address: {socket_address: {address: 127.0.0.1, port_value: 10000}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.dubbo_proxy
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.dubbo_proxy.v3.DubboProxy
          stat_prefix: calls
  clusters: []
"#;

/// If this fails, a program that checks configurations has to read sentences.
#[test]
fn problems_for_programs() {
    let scratch = Scratch::new();
    let report = |text: &str| {
        let file = scratch.write("proxy.yaml", text);
        let file = file.to_str().unwrap();
        run(&["--config-report", "json", "--mode", "validate", "-c", file])
    };
    let json = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
    let refused = report(&good_with("stat_prefix", "stat_prefx"));
    assert_refused(&refused);
    let problems = &json(&refused.stderr)["problems"];
    assert_eq!(problems.as_array().map(Vec::len), Some(1), "{problems}");
    assert_eq!(problems[0]["field_path"], UNKNOWN_FIELD.field_path);
    assert!(problems[0]["line"].as_u64() > Some(0), "{problems}");
    let valid = report(&good());
    assert_eq!(valid.code, Some(0), "{valid:?}");
    assert_eq!(json(&valid.stdout)["problems"], serde_json::json!([]));
}

#[test]
fn broken_yaml() {
    let text = "static_resources:\n  listeners: [\n  clusters: }\n";
    let (file, ended) = refuse(text);
    let lines: Vec<_> = ended.stderr.lines().filter(|line| line.starts_with(&file)).collect();
    let [line] = lines[..] else { panic!("one line expected: {}", ended.stderr) };
    let place = line.strip_prefix(&format!("{file}:")).unwrap();
    assert!(place.starts_with("3:"), "{line}");
}

/// If this fails, a few hundred bytes of YAML take all memory.
#[test]
fn alias_bomb() {
    let mut text = String::from("a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]\n");
    for level in 1..20 {
        let alias = format!("*a{}", level - 1);
        text.push_str(&format!("a{level}: &a{level} [{}]\n", [alias.as_str(); 9].join(", ")));
    }
    let (file, ended) = refuse(&text);
    let line = ended.stderr.lines().find(|line| line.starts_with(&file));
    assert!(line.is_some_and(|line| line.contains("alias")), "{}", ended.stderr);
}

#[test]
fn unreadable_file() {
    let scratch = Scratch::new();
    let file = scratch.path("absent.yaml");
    let ended = run(&["-c", file.to_str().unwrap()]);
    assert_refused(&ended);
    assert!(ended.stderr.contains(file.to_str().unwrap()), "{}", ended.stderr);
    assert!(ended.stderr.contains("No such file or directory"), "{}", ended.stderr);
}

#[test]
fn addresses_in_use() {
    let free = ListenerAddress::reserve();
    let taken = [(); 2].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
    let [first, second] = taken.each_ref().map(|listener| listener.local_addr().unwrap());
    let endpoint = ([127, 0, 0, 1], 9).into();
    let text = bootstrap(&[
        Route::relay("first", first, &[endpoint]),
        Route::relay("free", free.address, &[endpoint]),
        Route::relay("second", second, &[endpoint]),
    ]);
    let (file, ended) = refuse(&text);
    for (index, address) in [(0, first), (2, second)] {
        let field_path = format!("static_resources.listeners[{index}].address: ");
        let mut lines = ended.stderr.lines().filter(|line| line.contains(&address.to_string()));
        let line = lines.next().unwrap_or_else(|| panic!("no line for {address}: {ended:?}"));
        assert!(line.starts_with(&file), "{line}");
        assert!(line.contains(&field_path) && line.contains("Address already in use"), "{line}");
        assert_eq!(lines.next(), None);
    }
}

#[test]
fn validation_accepts_a_good_configuration_and_starts_nothing() {
    let scratch = Scratch::new();
    // Validation binds nothing, so a busy address is no problem for it.
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let route = Route::relay("main", taken.local_addr().unwrap(), &[([127, 0, 0, 1], 9).into()]);
    let file = scratch.write("proxy.yaml", &bootstrap(&[route]));
    let ended = run(&["--mode", "validate", "-c", file.to_str().unwrap()]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stdout.contains("OK"), "{ended:?}");
    assert!(!scratch.path("admin-address").exists());
}

#[test]
fn validation_refuses_what_a_start_refuses() {
    let scratch = Scratch::new();
    let file = scratch.write("proxy.yaml", UNSUPPORTED);
    let file = file.to_str().unwrap();
    let validated = run(&["--mode", "validate", "-c", file]);
    let started = run(&["-c", file]);
    assert_refused(&validated);
    assert_eq!(validated.stderr, started.stderr);
}

/// If this fails, a start script cannot tell a bad command line by Envoy's code.
#[test]
fn command_lines_that_are_refused() {
    for arguments in
        [&["--bogus"][..], &["--mode", "bogus"], &["--restart-epoch", "1"], &["-l", "x"]]
    {
        let ended = run(arguments);
        assert_refused(&ended);
        assert!(ended.stderr.contains(arguments[0]) || arguments[0] == "-l", "{ended:?}");
    }
}
