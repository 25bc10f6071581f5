//! What may differ between the two proxies, in this one place, each with its reason.

use regex::Regex;

use super::observed::Observed;

/// Observations of one scenario that are not compared.
struct Mask {
    /// A scenario, or how the names of several begin.
    scenario: &'static str,
    /// Each observation whose name contains this.
    observations: &'static str,
    /// Why equal values are not to be expected.
    reason: &'static str,
}

const MASKS: &[Mask] = &[
    Mask {
        scenario: "client_closes_with_data_pending",
        observations: "_flow_control_",
        reason: PACE,
    },
    Mask {
        scenario: "filters_limit_off",
        observations: "connection_limit.active_connections",
        reason: "Envoy takes away from the gauge what it never added, and shows 2^64 - 2",
    },
    Mask { scenario: "live_runtime_", observations: "remaining_cx_pools", reason: POOLS },
    Mask {
        scenario: "live_runtime_switch",
        observations: "connection_limit.active_connections",
        reason: "Envoy takes away from the gauge what it never added",
    },
    Mask {
        scenario: "http_close_stalled",
        observations: "downstream_cx_tx_bytes_total",
        reason: "what the kernel takes for a client that reads nothing depends on the pieces",
    },
    Mask {
        scenario: "http_chunks",
        observations: "x_tx_bytes_total",
        reason: "chunks that come in one turn are passed on one by one, not as one",
    },
    Mask { scenario: "client_resets_with_data_pending", observations: TX_BYTES, reason: KERNEL },
    Mask { scenario: "upstream_resets_with_data_pending", observations: TX_BYTES, reason: KERNEL },
    Mask { scenario: "flush_idles", observations: TX_BYTES, reason: KERNEL },
    Mask { scenario: "flush_is_reset", observations: TX_BYTES, reason: KERNEL },
    Mask { scenario: "h2_", observations: "downstream_cx_tx_bytes_total", reason: ENCODING },
    Mask { scenario: "h2_", observations: "nghttp2_downstream_connections", reason: LIBRARY },
    Mask { scenario: "h2_bad_", observations: "downstream_cx_rx_bytes_total", reason: LAST_WORDS },
    Mask { scenario: "h2_bad_", observations: "goaway_sent", reason: FAREWELL },
    Mask {
        scenario: "h2_floods",
        observations: "downstream_cx_rx_bytes_total",
        reason: LAST_WORDS,
    },
    Mask { scenario: "h2_floods", observations: "cluster.", reason: CANCELLED },
    Mask { scenario: "h2_keepalive", observations: "_active_rq", reason: SILENT },
    Mask {
        scenario: "h2_live_runtime",
        observations: "downstream_cx_rx_bytes",
        reason: LAST_WORDS,
    },
    Mask { scenario: "h2_premature_", observations: "downstream_cx_rx_bytes", reason: LAST_WORDS },
    Mask { scenario: "h2_late_trailers", observations: "the client received", reason: EARLY },
    Mask { scenario: "h2_window_of_", observations: "_flow_control_", reason: PACE },
    Mask { scenario: "h2_window_of_", observations: "downstream_cx_rx_bytes", reason: LOOKS },
    Mask { scenario: "h2up_", observations: "x_tx_bytes_total", reason: ENCODING },
    Mask { scenario: "h2up_", observations: "nghttp2_upstream_connections", reason: LIBRARY },
    Mask { scenario: "h2up_failures", observations: "goaway_sent", reason: FAREWELL },
    Mask { scenario: "h2up_metadata_broken", observations: "goaway_sent", reason: FAREWELL },
    Mask { scenario: "h2up_metadata_broken", observations: "access log, line", reason: WORDS },
    Mask { scenario: "h2up_goaway", observations: "upstream_cx_protocol_error", reason: OWN_CLOSE },
    Mask {
        scenario: "h2up_max_requests",
        observations: "upstream_cx_protocol_error",
        reason: OWN_CLOSE,
    },
    Mask { scenario: "tunnel_h2", observations: "x_tx_bytes_total", reason: FRAMES },
    Mask { scenario: "tunnel_h2", observations: "nghttp2_upstream_connections", reason: LIBRARY },
    Mask {
        scenario: "tunnel_h2_goaway",
        observations: "upstream_cx_protocol_error",
        reason: OWN_CLOSE,
    },
    Mask {
        scenario: "tunnel_h2_max_requests",
        observations: "upstream_cx_protocol_error",
        reason: OWN_CLOSE,
    },
    Mask { scenario: "h2_floods", observations: "11 responses: the client", reason: TORN },
    Mask { scenario: "h2_bad_frames", observations: "access log, line", reason: WORDS },
    Mask { scenario: "h2_upgrade_bulk", observations: "_flow_control_", reason: PACE },
    Mask { scenario: "h2_upgrade_connect_tcp_bulk", observations: "_flow_control_", reason: PACE },
    Mask { scenario: "large_transfer", observations: "_flow_control_", reason: PACE },
    Mask {
        scenario: "listener_header_reset",
        observations: "downstream_listener_filter_error",
        reason: LEFT,
    },
    Mask {
        scenario: "listener_header_reset",
        observations: "downstream_pre_cx_timeout",
        reason: LEFT,
    },
    Mask { scenario: "max_duration_stalled_", observations: "_flow_control_", reason: PACE },
    Mask { scenario: "max_duration_stalled_", observations: "x_bytes_total", reason: KERNEL },
    Mask { scenario: "track_remaining", observations: "remaining_cx_pools", reason: POOLS },
    Mask { scenario: "zero_limits", observations: "remaining_cx_pools", reason: POOLS },
    Mask { scenario: "one_request", observations: "remaining_cx_pools", reason: POOLS },
    Mask { scenario: "high_limits", observations: "remaining_cx_pools", reason: POOLS },
    Mask { scenario: "slow_reader", observations: "_flow_control_", reason: PACE },
    Mask { scenario: "slow_upstream", observations: "_flow_control_", reason: PACE },
    Mask { scenario: "upgrade_ends", observations: UPSTREAM_TX, reason: AT_CLOSE },
    Mask { scenario: "upgrade_connect_ends", observations: UPSTREAM_TX, reason: AT_CLOSE },
    Mask { scenario: "upgrade_connect_tcp_ends", observations: UPSTREAM_TX, reason: AT_CLOSE },
    Mask { scenario: "upgrade_connect_tcp_stalled", observations: "_flow_control_", reason: PACE },
    Mask { scenario: "upgrade_connect_tcp_stalled", observations: "x_bytes_total", reason: KERNEL },
    Mask { scenario: "weighted_clusters", observations: "cluster-", reason: DRAWN },
];

/// Scenarios that still differ. Such a one fails as soon as it is equal, so that it goes from here
/// in the commit that makes it so.
const OPEN: &[&str] = &[];

/// Whether a scenario is known to differ.
pub(super) fn is_open(scenario: &str) -> bool {
    OPEN.contains(&scenario)
}

const TX_BYTES: &str = "x_tx_bytes_total";
const UPSTREAM_TX: &str = "upstream_cx_tx_bytes_total";
const AT_CLOSE: &str = "Envoy does not count what it sends in the turn in which it closes";
const LEFT: &str = "Envoy waits for its time to be over, and counts that";

const ENCODING: &str = "which fields HPACK's encoder indexes is its own choice";

const FRAMES: &str = "whether the last bytes and their end share a frame is chance";

const LIBRARY: &str = "there is one codec, which is none of Envoy's";

const LAST_WORDS: &str = "whether what is sent to a connection that ends is read is chance";

const FAREWELL: &str = "a connection that ends for an error is told why, src/ARCHITECTURE.md";

const WORDS: &str = "what is wrong with a frame Envoy calls 'The_user_callback_function_failed'";

const CANCELLED: &str =
    "a request that is broken off in the turn it came in may have no connection yet";

const OWN_CLOSE: &str =
    "Envoy counts what it closes itself, in good order, as an error of the host";

const SILENT: &str = "Envoy counts a connection that it closes there as closed by the client";

const EARLY: &str = "Envoy cuts an early response off that has to wait for a window";

const LOOKS: &str = "how often the client asks with a PING depends on the pace";

const TORN: &str = "which frames still leave before a connection is cut is chance";

const PACE: &str = "how often a watermark is crossed depends on when the kernel takes which bytes; \
                    where it must be crossed, the script checks that";

const POOLS: &str = "without a limit Envoy says 2^64 - 1, Nuncio 2^63 - 1";

const KERNEL: &str = "how many bytes a stalled connection takes is the kernel's decision";

const DRAWN: &str = "how often each cluster is drawn is chance; the script checks the shares";

/// What differs from run to run on either proxy, wherever it is written.
const CHANCE: [(&str, &str); 6] = [
    // A time, as in access logs.
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "TIME"),
    // A request id.
    (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "UUID"),
    // The duration in Envoy's default line: behind the request, status, flags and bytes.
    (r#"(" \d+ \S+ \d+ \d+) \d+ "#, "$1 MS "),
    // And the upstream's part of it, which comes next.
    (r#"(" \d+ \S+ \d+ \d+ MS) \d+ "#, "$1 MS "),
    // A port that the kernel chose for a client; the scenario's own addresses go by their names.
    (r"127\.0\.0\.1:\d+", "127.0.0.1:PORT"),
    // The same on IPv6.
    (r"\[::1\]:\d+", "[::1]:PORT"),
];

/// Header fields whose values nobody can foretell.
const VOLATILE_HEADERS: [&str; 2] = ["date", "x-envoy-upstream-service-time"];

/// `text` without what differs from run to run.
pub(super) fn without_chance(text: &str) -> String {
    CHANCE.iter().fold(text.to_owned(), |text, (pattern, word)| {
        Regex::new(pattern).unwrap().replace_all(&text, *word).into_owned()
    })
}

/// A message's head without the values that nobody can foretell; that the fields are there, and
/// where, stays.
pub(super) fn without_volatile_values(head: &str) -> String {
    let line = |line: &str| match line.split_once(':') {
        Some((name, _)) if VOLATILE_HEADERS.contains(&name.to_ascii_lowercase().as_str()) => {
            format!("{name}: *\r\n")
        }
        _ => line.to_owned(),
    };
    head.split_inclusive('\n').map(line).collect()
}

/// How many bytes of a head are there by chance: the digits of a time.
pub(super) fn chance_bytes(head: &str) -> u64 {
    let value = |line: &str| line.strip_prefix("x-envoy-upstream-service-time: ").map(str::len);
    head.lines().filter_map(value).map(|bytes| bytes as u64).sum()
}

/// Whether a stat counts those bytes too; they are taken off it.
pub(super) fn counts_chance(stat: &str) -> bool {
    stat.starts_with("http.") && stat.ends_with(".downstream_cx_tx_bytes_total")
}

/// Compares two lists and answers how many observations were equal, or each difference.
pub(super) fn compare(
    scenario: &str,
    expected: &Observed,
    seen: &Observed,
) -> Result<usize, String> {
    let masks = MASKS.iter().filter(|mask| scenario.starts_with(mask.scenario));
    let stale = masks
        .clone()
        .filter(|mask| mask.scenario == scenario)
        .find(|mask| !expected.iter().any(|(name, _)| name.contains(mask.observations)));
    if let Some(Mask { observations, reason, .. }) = stale {
        return Err(format!("the mask '{observations}' ({reason}) hides nothing"));
    }
    let masked = |name: &str| masks.clone().any(|mask| name.contains(mask.observations));
    let left: Vec<_> = expected.iter().filter(|(name, _)| !masked(name)).collect();
    let right: Vec<_> = seen.iter().filter(|(name, _)| !masked(name)).collect();
    let names = |list: &[(&str, &str)]| -> Vec<String> {
        list.iter().map(|(name, _)| (*name).to_owned()).collect()
    };
    let (left_names, right_names) = (names(&left), names(&right));
    if left_names != right_names {
        let only = |these: &[String], others: &[String]| -> Vec<String> {
            these.iter().filter(|name| !others.contains(name)).cloned().collect()
        };
        let (on_envoy, here) = (only(&left_names, &right_names), only(&right_names, &left_names));
        let value = |name: &str| right.iter().find(|(found, _)| *found == name);
        let both = left.iter().filter_map(|(name, envoy)| Some((name, envoy, value(name)?.1)));
        let differing: Vec<String> = both
            .filter(|(_, envoy, here)| **envoy != *here)
            .map(|(name, envoy, here)| format!("  {name}: Envoy {envoy}, here {here}"))
            .collect();
        return Err(format!(
            "observed on Envoy only: {on_envoy:?}, here only: {here:?}, or in another order; of \
             the others differ:\n{}",
            differing.join("\n")
        ));
    }
    let differences: Vec<String> = left
        .iter()
        .zip(&right)
        .filter(|((_, envoy), (_, here))| envoy != here)
        .map(|((name, envoy), (_, here))| format!("  {name}: Envoy {envoy}, here {here}"))
        .collect();
    if !differences.is_empty() {
        return Err(format!("differs:\n{}", differences.join("\n")));
    }
    if left.is_empty() {
        return Err("nothing was compared".to_owned());
    }
    Ok(left.len())
}

#[test]
fn what_differs_by_chance_is_left_out_and_nothing_else() {
    let line = "[2026-11-22T11:33:54.328Z] \"GET /11:33 HTTP/1.1\" 200 \
                0b1e4c51-8c0a-4f4e-9d7e-0123456789ab 127.0.0.1:40112 10.0.0.1:80 17";
    assert_eq!(
        without_chance(line),
        "[TIME] \"GET /11:33 HTTP/1.1\" 200 UUID 127.0.0.1:PORT 10.0.0.1:80 17"
    );
    let head =
        "HTTP/1.1 200 OK\r\nDate: now\r\nx-date: now\r\nx-envoy-upstream-service-time: 3\r\n";
    assert_eq!(
        without_volatile_values(head),
        "HTTP/1.1 200 OK\r\nDate: *\r\nx-date: now\r\nx-envoy-upstream-service-time: *\r\n"
    );
    assert_eq!(chance_bytes(&head.replace(": 3", ": 123")), 3);
    assert_eq!(chance_bytes("HTTP/1.1 200 OK\r\nx-date: now\r\n"), 0);
    assert!(counts_chance("http.one.downstream_cx_tx_bytes_total"));
    assert!(!counts_chance("cluster.one.upstream_cx_tx_bytes_total"));
}

#[test]
fn a_comparison_names_each_difference_and_fails_when_there_is_nothing_to_compare() {
    let observed = |all: &[(&str, &str)]| {
        Observed(
            all.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        )
    };
    let one = observed(&[("a", "1"), ("b", "2")]);
    assert_eq!(compare("none", &one, &one), Ok(2));
    let error = compare("none", &one, &observed(&[("a", "1"), ("b", "3")])).unwrap_err();
    assert!(error.contains("b: Envoy 2, here 3") && !error.contains("a: "), "{error}");
    let error = compare("none", &one, &observed(&[("a", "1"), ("c", "1")])).unwrap_err();
    assert!(error.contains("on Envoy only: [\"b\"], here only: [\"c\"]"), "{error}");
    assert!(compare("none", &observed(&[]), &observed(&[])).is_err());
    // Only masked observations compare nothing; a mask that hides nothing is stale.
    let paused = observed(&[("x_flow_control_y", "1")]);
    assert!(compare("slow_reader", &paused, &paused).unwrap_err().contains("nothing was compared"));
    assert!(compare("slow_reader", &one, &one).unwrap_err().contains("hides nothing"));
}
