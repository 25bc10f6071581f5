//! Connections that the kernel leads to a listener they did not ask for: `original_dst`,
//! `use_original_dst` and `transparent`, with rules of nftables in a network namespace.
//!
//! That takes root, `unshare`, `ip` and `nft`; without one of them the test is skipped, aloud.

use std::io::{Read, Write as _};
use std::net::{Ipv6Addr, SocketAddr, TcpStream};
use std::process::{Command, Stdio};

use crate::configuration::Parts;
use crate::environment;
use crate::patience::{PATIENCE, wait_for};
use crate::proxy::{Proxy, Scratch};

/// A connection, by its address and what becomes of it: the listener that gets it, its local
/// address, the socket's own, and the filter chain. As on Envoy 1.40.
const CONNECTIONS: &[(&str, &str)] = &[
    // REDIRECT to a listener with `original_dst`; its chain is found by the restored address.
    ("10.1.2.3:6666", "restored 10.1.2.3:6666 127.0.0.1:15001 six"),
    ("10.1.2.3:80", "restored 10.1.2.3:80 127.0.0.1:15001 other"),
    ("[fd01::1]:6666", "restored6 [fd01::1]:6666 [::1]:15001 six"),
    ("10.3.0.1:6666", "dual 10.3.0.1:6666 127.0.0.1:15006 six"),
    // Not redirected.
    ("127.0.0.1:15001", "restored 127.0.0.1:15001 127.0.0.1:15001 other"),
    ("[::1]:15001", "restored6 [::1]:15001 [::1]:15001 other"),
    // `use_original_dst`: to the listener at that address, at that port everywhere, or none.
    ("10.7.7.7:8001", "exact 10.7.7.7:8001 127.0.0.1:15002 other"),
    ("10.2.2.2:8002", "everywhere 10.2.2.2:8002 127.0.0.1:15002 other"),
    ("10.7.7.8:8003", "unbound 10.7.7.8:8003 127.0.0.1:15002 other"),
    ("10.2.2.2:80", "handing 10.2.2.2:80 127.0.0.1:15002 other"),
    ("127.0.0.1:15002", "handing 127.0.0.1:15002 127.0.0.1:15002 other"),
    ("[fd02::1]:8006", "everywhere6 [fd02::1]:8006 [::1]:15005 other"),
    ("[fd02::1]:80", "handing6 [fd02::1]:80 [::1]:15005 other"),
    // TPROXY: the socket itself has the address that was asked for.
    ("10.4.1.1:6666", "transparent 10.4.1.1:6666 10.4.1.1:6666 six"),
    ("127.0.0.1:15003", "transparent 127.0.0.1:15003 127.0.0.1:15003 other"),
    ("10.7.7.9:8005", "far 10.7.7.9:8005 10.7.7.9:8005 other"),
    ("10.5.1.1:8002", "everywhere 10.5.1.1:8002 10.5.1.1:8002 other"),
    ("10.5.1.1:80", "transparent-handing 10.5.1.1:80 10.5.1.1:80 other"),
];

/// Name, address and port, and further fields of each listener.
const LISTENERS: &[(&str, &str, u16, &str)] = &[
    ("restored", "127.0.0.1", 15001, ORIGINAL_DST),
    ("restored6", "::1", 15001, ORIGINAL_DST),
    ("handing", "127.0.0.1", 15002, "use_original_dst: true"),
    ("handing6", "::1", 15005, "use_original_dst: true"),
    ("transparent", "0.0.0.0", 15003, TRANSPARENT),
    ("transparent-handing", "0.0.0.0", 15004, "{transparent: true, use_original_dst: true}"),
    ("dual", "::", 15006, ORIGINAL_DST),
    ("exact", "10.7.7.7", 8001, ""),
    ("everywhere", "0.0.0.0", 8002, ""),
    ("everywhere6", "::", 8006, ""),
    ("unbound", "10.7.7.8", 8003, "bind_to_port: false"),
    ("far", "10.7.7.9", 8005, "bind_to_port: false"),
];

const ORIGINAL_DST: &str = "listener_filters: [{name: original, typed_config: {\"@type\": \
     type.googleapis.com/envoy.extensions.filters.listener.original_dst.v3.OriginalDst}}]";

const TRANSPARENT: &str = "{transparent: true, listener_filters: [{name: original, typed_config: \
     {\"@type\": \
     type.googleapis.com/envoy.extensions.filters.listener.original_dst.v3.OriginalDst}}]}";

const RULES: &str = "
table ip redirected {
 chain output {
  type nat hook output priority -100
  ip daddr 10.1.0.0/16 tcp dport 1-65535 redirect to :15001
  ip daddr 10.2.0.0/16 tcp dport 1-65535 redirect to :15002
  ip daddr 10.3.0.0/16 tcp dport 1-65535 redirect to :15006
  ip daddr {10.7.7.7, 10.7.7.8} tcp dport 1-65535 redirect to :15002
 }
}
table ip6 redirected {
 chain output {
  type nat hook output priority -100
  ip6 daddr fd01::/64 tcp dport 1-65535 redirect to :15001
  ip6 daddr fd02::/64 tcp dport 1-65535 redirect to :15005
 }
}
table ip led {
 chain before {
  type filter hook prerouting priority -150
  ip daddr 10.4.0.0/16 tcp dport 1-65535 meta mark set 1 tproxy to 127.0.0.1:15003 accept
  ip daddr {10.5.0.0/16, 10.7.7.9} tcp dport 1-65535 meta mark set 1 \
     tproxy to 127.0.0.1:15004 accept
 }
 chain output {
  type route hook output priority -150
  ip daddr {10.4.0.0/16, 10.5.0.0/16, 10.7.7.9} meta mark set 1
 }
}
";

/// What makes the namespace: all addresses are its own, and marked packets come back to it.
const COMMANDS: &[&str] = &[
    "ip link set lo up",
    "ip address add 10.7.7.7/32 dev lo",
    "ip route add default dev lo",
    "ip -6 route add default dev lo",
    "ip rule add fwmark 1 lookup 100",
    "ip route add local default dev lo table 100",
    "sysctl -qw net.ipv4.conf.all.rp_filter=0",
    "sysctl -qw net.ipv4.conf.lo.rp_filter=0",
    "sysctl -qw net.ipv4.conf.all.route_localnet=1",
];

/// If this fails, Nuncio does not know where redirected connections wanted to go, or gives them to
/// the wrong listener.
#[test]
fn redirected_connections_are_led_as_by_envoy() {
    let is_there = |program: &str, arguments: &[&str]| {
        let mut command = Command::new(program);
        let command = command.args(arguments).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    if environment::has_own_network() {
        return inside();
    }
    if !is_there("unshare", &["--net", "nft", "list", "ruleset"])
        || !is_there("unshare", &["--net", "ip", "link"])
    {
        return skipped("no 'unshare --net' with 'nft' and 'ip' here");
    }
    let this = std::env::current_exe().unwrap();
    let output = Command::new("unshare")
        .arg("--net")
        .arg(this)
        .args(["--exact", "--nocapture", "redirected::redirected_connections_are_led_as_by_envoy"])
        .env(environment::OWN_NETWORK, "1")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{text}\n{errors}");
}

fn skipped(why: &str) {
    let text = format!("SKIPPED: no connection is redirected: {why}\n");
    std::io::stderr().write_all(text.as_bytes()).unwrap();
}

/// In the process that has a namespace of its own.
fn inside() {
    for command in COMMANDS {
        run(command, "");
    }
    run("nft -f -", RULES);
    let seen = |program| {
        let folder = Scratch::new();
        let bootstrap = bootstrap(&folder.path("access.log").display().to_string());
        let arguments = ["--concurrency", "1", "--file-flush-interval-msec", "50"];
        let proxy = Proxy::start_in(folder, &program, &bootstrap, &arguments);
        let one = |(address, _): &(&str, &str)| format!("{address}: {}", served(&proxy, address));
        CONNECTIONS.iter().map(one).collect::<Vec<_>>()
    };
    let expected: Vec<_> =
        CONNECTIONS.iter().map(|(address, what)| format!("{address}: {what}")).collect();
    assert_eq!(seen(environment::subject()), expected);
    if let Ok(envoy) = environment::reference() {
        assert_eq!(seen(envoy), expected, "on Envoy");
    }
}

/// What the listener that gets the connection says, and its line in the access log.
fn served(proxy: &Proxy, address: &str) -> String {
    let address: SocketAddr = address.parse().unwrap();
    let lines = || {
        let text = std::fs::read_to_string(proxy.folder().path("access.log")).unwrap_or_default();
        text.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let before = lines().len();
    let mut client = TcpStream::connect_timeout(&address, PATIENCE).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut name = String::new();
    client.read_to_string(&mut name).unwrap();
    drop(client);
    let line = wait_for("a line in the access log", || match lines() {
        lines if lines.len() > before => Ok(lines[before].clone()),
        lines => Err(format!("{} lines", lines.len())),
    });
    let (listener, rest) = line.split_once(' ').unwrap();
    assert_eq!(name, listener, "the bytes come from the listener that logs");
    format!("{listener} {rest}")
}

fn bootstrap(log: &str) -> String {
    let mut parts = Parts::default();
    for (name, ip, port, more) in LISTENERS {
        let compat = if ip.parse() == Ok(Ipv6Addr::UNSPECIFIED) && *name == "dual" {
            ", ipv4_compat: true"
        } else {
            ""
        };
        let more = more.strip_prefix('{').and_then(|more| more.strip_suffix('}')).unwrap_or(more);
        let more = if more.is_empty() { String::new() } else { format!("{more}, ") };
        let filters = format!(
            "[{{name: direct, typed_config: {{\"@type\": \
             type.googleapis.com/envoy.extensions.filters.network.direct_response.v3.Config, \
             response: {{inline_string: {name}}}}}}}]"
        );
        parts.listeners.push_str(&format!(
            "  - {{name: {name}, {more}address: {{socket_address: {{address: '{ip}', port_value: \
             {port}{compat}}}}}, access_log: [{{name: file, typed_config: {{\"@type\": \
             type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog, path: \
             {log}, log_format: {{text_format_source: {{inline_string: \
             \"{name} %DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_DIRECT_LOCAL_ADDRESS% \
             %FILTER_CHAIN_NAME%\\n\"}}}}}}}}], filter_chains: [{{name: six, filter_chain_match: \
             {{destination_port: 6666}}, filters: {filters}}}], default_filter_chain: {{name: \
             other, filters: {filters}}}}}\n"
        ));
    }
    parts.bootstrap()
}

fn run(command: &str, input: &str) {
    let mut words = command.split(' ');
    let mut child = Command::new(words.next().unwrap())
        .args(words)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{command}: {error}"));
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success(), "{command}");
}
