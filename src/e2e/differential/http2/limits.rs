//! Limits of streams and heads, and what is announced.

use super::{Case, SOON_CLOSED, local, play};
use crate::differential::Scenario;
use crate::differential::http::plan::Http;
use crate::differential::stage::Stage;
use crate::http2::{Http2, Seen, message, trailers};

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario {
            name: "h2_settings",
            shows: "F1: the first frames with the defaults",
            plan: super::usual,
            script: first_frames,
        },
        Scenario {
            name: "h2_custom_settings",
            shows: "F1: the first frames as configured",
            plan: || {
                let manager = &["http2_protocol_options: {hpack_table_size: 8192, \
                     max_concurrent_streams: 3, initial_stream_window_size: 65535, \
                     initial_connection_window_size: 65537, allow_connect: true, \
                     custom_settings_parameters: [{identifier: 77, value: 4294967295}, \
                     {identifier: 6, value: 60000}]}"];
                Http { manager, ..Http::default() }.plan()
            },
            script: first_frames,
        },
        Scenario {
            name: "h2_header_limits",
            shows: "F16, F33: bytes and number of fields of a head, at the limit and above it",
            plan: || {
                let manager = &[
                    "max_request_headers_kb: 8",
                    "common_http_protocol_options: {max_headers_count: 10}",
                ];
                Http { manager, protocol: SOON_CLOSED, ..Http::default() }.plan().alone()
            },
            script: |stage| play(stage, HEADS),
        },
        Scenario {
            name: "h2_underscores_rejected",
            shows: "F15: fields with underscores, rejected",
            plan: || {
                let manager = &["common_http_protocol_options: \
                     {headers_with_underscores_action: REJECT_REQUEST}"];
                Http { manager, protocol: SOON_CLOSED, ..Http::default() }.plan().alone()
            },
            script: |stage| play(stage, UNDERSCORES),
        },
        Scenario {
            name: "h2_underscores_dropped",
            shows: "F15: fields with underscores, dropped",
            plan: || {
                let manager = &["common_http_protocol_options: \
                     {headers_with_underscores_action: DROP_HEADER}"];
                Http { manager, protocol: SOON_CLOSED, ..Http::default() }.plan().alone()
            },
            script: |stage| play(stage, UNDERSCORES),
        },
        Scenario {
            name: "h2_stream_errors",
            shows: "F28: override_stream_error_on_invalid_http_message keeps the connection",
            plan: || {
                let manager = &["http2_protocol_options: \
                     {override_stream_error_on_invalid_http_message: true}"];
                Http { manager, protocol: SOON_CLOSED, ..Http::default() }.plan().alone()
            },
            script: |stage| play(stage, STREAM_ERRORS),
        },
    ]
}

fn first_frames(stage: &mut Stage<'_>) {
    let mut client = Http2::client(stage.connect(), &[(3, 100)]);
    client.send(&message(1, PROBE, &[], true));
    client.receive_streams(&[1]);
    client.sync(*b"all sent");
    for seen in &client.seen {
        match seen {
            Seen::Settings(list) => stage.note("SETTINGS", format!("{list:?}")),
            Seen::WindowUpdate { stream, bytes } => {
                stage.note("WINDOW_UPDATE", format!("{stream} {bytes}"));
            }
            _ => {}
        }
    }
    drop(client);
    super::super::http::note_log(stage);
}

const PROBE: (&str, &str) = ("GET", "/probe");

fn fields(count: usize) -> Vec<u8> {
    let good = message(1, PROBE, &[], true);
    [good, message(3, PROBE, &vec![("x-a", "1"); count], true)].concat()
}

fn bytes(count: usize) -> Vec<u8> {
    let value = "a".repeat(count);
    let good = message(1, PROBE, &[], true);
    [good, message(3, PROBE, &[("x-a", &value)], true)].concat()
}

const HEADS: &[Case] = &[
    // Four fields say what is asked for.
    local("10 fields", &[1, 3], || fields(6)),
    local("11 fields", &[1, 3], || fields(7)),
    local("11 trailers", &[], || {
        let head = message(1, ("POST", "/none"), &[], false);
        [head, trailers(1, &[("x-a", "1"); 11])].concat()
    }),
    local("4000 bytes", &[1, 3], || bytes(4000)),
    local("8100 bytes", &[1, 3], || bytes(8100)),
    local("8150 bytes", &[1, 3], || bytes(8150)),
    local("8192 bytes", &[1, 3], || bytes(8192)),
    local("12000 bytes", &[1, 3], || bytes(12_000)),
];

const UNDERSCORES: &[Case] = &[local("an underscore", &[1, 3], || {
    let good = message(1, PROBE, &[], true);
    [good, message(3, PROBE, &[("x_a", "1"), ("x-b", "2")], true)].concat()
})];

const STREAM_ERRORS: &[Case] = &[
    local("connection", &[1, 3], || {
        let good = message(1, PROBE, &[], true);
        [good, message(3, PROBE, &[("connection", "close")], true)].concat()
    }),
    local("upper case", &[1, 3], || {
        let good = message(1, PROBE, &[], true);
        [good, message(3, PROBE, &[("X-A", "close")], true)].concat()
    }),
    local("a method that is none", &[1, 3], || {
        let good = message(1, PROBE, &[], true);
        [good, message(3, ("G T", "/probe"), &[], true)].concat()
    }),
];
