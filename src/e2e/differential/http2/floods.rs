//! Floods: the last frame that is taken, and the first that is not.

use super::{Awaits, Case, SOON_CLOSED, local, play};
use crate::differential::Scenario;
use crate::differential::http::Behaviour;
use crate::differential::http::plan::Http;
use crate::http2::{data, message, ping, priority, reset, settings, window_update};

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario {
            name: "h2_floods",
            shows: "F6, F7, F8, F9, F10, F11: each limit of frames, at it and one above",
            plan: || {
                let manager = &["http2_protocol_options: {max_outbound_frames: 20, \
                     max_outbound_control_frames: 10, \
                     max_consecutive_inbound_frames_with_empty_payload: 2, \
                     max_inbound_priority_frames_per_stream: 3, \
                     max_inbound_window_update_frames_per_data_frame_sent: 1}"];
                Http { manager, protocol: SOON_CLOSED, ..Http::default() }.plan().alone()
            },
            script: |stage| play(stage, FLOODS),
        },
        Scenario {
            name: "h2_reset_floods",
            shows: "F24: as many resets at once as stream_reset_burst allows",
            plan: || {
                let manager =
                    &["http2_protocol_options: {stream_reset_burst: 5, stream_reset_rate: 1}"];
                Http { manager, protocol: SOON_CLOSED, ..Http::default() }.plan().alone()
            },
            script: |stage| play(stage, RESETS),
        },
    ]
}

const PROBE: (&str, &str) = ("GET", "/probe");
const POST: (&str, &str) = ("POST", "/none");

fn pings(count: u8) -> Vec<u8> {
    (0..count).flat_map(|index| ping([index; 8])).collect()
}

fn probes(count: u32) -> Vec<u8> {
    (0..count).flat_map(|index| message(2 * index + 1, PROBE, &[], true)).collect()
}

const fn pings_of(what: &'static str, count: usize, sends: fn() -> Vec<u8>) -> Case {
    Case { what, sends, upstream: Behaviour::Unasked, awaits: Awaits::Pongs(count) }
}

const fn settings_of(what: &'static str, acks: usize, sends: fn() -> Vec<u8>) -> Case {
    Case { what, sends, upstream: Behaviour::Unasked, awaits: Awaits::SettingsAcks(acks) }
}

const FLOODS: &[Case] = &[
    // The acknowledgement of the client's settings has left before.
    pings_of("9 PING", 9, || pings(9)),
    pings_of("10 PING", 10, || pings(10)),
    pings_of("11 PING", 11, || pings(11)),
    settings_of("9 SETTINGS", 10, || settings(&[]).repeat(9)),
    settings_of("11 SETTINGS", 12, || settings(&[]).repeat(11)),
    // A head and a body each.
    local("9 responses", &[1, 3, 5, 7, 9, 11, 13, 15, 17], || probes(9)),
    local("10 responses", &[1, 3, 5, 7, 9, 11, 13, 15, 17, 19], || probes(10)),
    local("11 responses", &[21], || probes(11)),
    local("2 empty DATA", &[], || {
        [message(1, POST, &[], false), data(1, b"", false).repeat(2), reset(1, 8)].concat()
    }),
    local("3 empty DATA", &[], || {
        [message(1, POST, &[], false), data(1, b"", false).repeat(3)].concat()
    }),
    local("empty DATA with some between", &[], || {
        let two = data(1, b"", false).repeat(2);
        [message(1, POST, &[], false), two.clone(), data(1, b"x", false), two].concat()
    }),
    local("3 PRIORITY", &[], || priority(1).repeat(3)),
    local("4 PRIORITY", &[], || priority(1).repeat(4)),
    local("6 PRIORITY and a stream", &[], || {
        [message(1, POST, &[], false), priority(3).repeat(6)].concat()
    }),
    local("7 PRIORITY and a stream", &[], || {
        [message(1, POST, &[], false), priority(3).repeat(7)].concat()
    }),
    local("5 WINDOW_UPDATE", &[], || window_update(0, 1).repeat(5)),
    local("6 WINDOW_UPDATE", &[], || window_update(0, 1).repeat(6)),
    local("7 WINDOW_UPDATE and a stream", &[], || {
        [message(1, POST, &[], false), window_update(0, 1).repeat(7)].concat()
    }),
    local("8 WINDOW_UPDATE and a stream", &[], || {
        [message(1, POST, &[], false), window_update(0, 1).repeat(8)].concat()
    }),
];

fn resets(count: u32) -> Vec<u8> {
    (0..count)
        .flat_map(|index| {
            let stream = 2 * index + 1;
            [message(stream, POST, &[], false), reset(stream, 8)].concat()
        })
        .collect()
}

// How soon one more ends the connection is a matter of when the library looks.
const RESETS: &[Case] = &[local("5 resets", &[], || resets(5))];
