//! What the codec of a connection met, as stats.

use std::cell::Cell;

use observe::Scope;
use observe::names::Http2CodecStat as Stat;
use proto::http2::Counts;

use super::endpoint::Endpoint;

/// Keeps the stats of one connection up to date. Its gauges go with it.
#[derive(Debug)]
pub struct CodecMeter {
    scope: Scope<Stat>,
    told: Cell<Counts>,
    gauges: Cell<[u64; GAUGES.len()]>,
}

const GAUGES: [Stat; 4] = [
    Stat::StreamsActive,
    Stat::OutboundFramesActive,
    Stat::OutboundControlFramesActive,
    Stat::PendingSendBytes,
];

impl CodecMeter {
    /// Counts into `scope`: the listeners', or a cluster's.
    #[must_use]
    pub fn new(scope: Scope<Stat>) -> Self {
        Self { scope, told: Cell::default(), gauges: Cell::default() }
    }

    /// Where it counts.
    #[must_use]
    pub fn scope(&self) -> &Scope<Stat> {
        &self.scope
    }

    /// Counts what has happened since the last call.
    pub fn update(&self, endpoint: &Endpoint) {
        let (frames, control_frames) = endpoint.frames_waiting();
        let (counts, gauges) = endpoint.with_codec(|codec| {
            let wide = |count: usize| count as u64;
            let gauges = [
                wide(codec.streams_active()),
                wide(frames),
                u64::from(control_frames),
                wide(endpoint.bytes_pending()),
            ];
            (*codec.counts(), gauges)
        });
        self.set_gauges(gauges);
        let told = self.told.replace(counts);
        if counts != told {
            self.add(&counts.since(&told));
        }
    }

    fn set_gauges(&self, now: [u64; GAUGES.len()]) {
        let before = self.gauges.replace(now);
        for ((gauge, now), before) in GAUGES.into_iter().zip(now).zip(before) {
            match now.checked_sub(before) {
                Some(0) => {}
                Some(more) => self.scope.gauge_add(gauge, more),
                None => self.scope.gauge_sub(gauge, before - now),
            }
        }
    }

    #[cold]
    fn add(&self, new: &Counts) {
        for (stat, amount) in [
            (Stat::DroppedHeadersWithUnderscores, new.dropped_headers_with_underscores),
            (Stat::GoawaySent, new.goaway_sent),
            (Stat::HeaderListSizeTooLarge, new.header_list_size_too_large),
            (Stat::HeaderOverflow, new.header_overflow),
            (Stat::HeadersCbNoStream, new.headers_cb_no_stream),
            (Stat::InboundEmptyFramesFlood, new.inbound_empty_frames_flood),
            (Stat::InboundPriorityFramesFlood, new.inbound_priority_frames_flood),
            (Stat::InboundWindowUpdateFramesFlood, new.inbound_window_update_frames_flood),
            (Stat::KeepaliveTimeout, new.keepalive_timeout),
            (Stat::MetadataEmptyFrames, new.metadata_empty_frames),
            (Stat::OutboundControlFlood, new.outbound_control_flood),
            (Stat::OutboundFlood, new.outbound_flood),
            (
                Stat::RequestsRejectedWithUnderscoresInHeaders,
                new.requests_rejected_with_underscores_in_headers,
            ),
            (Stat::RxMessagingError, new.rx_messaging_error),
            (Stat::RxReset, new.rx_reset),
            (Stat::StreamRefusedErrors, new.stream_refused_errors),
            (Stat::Trailers, new.trailers),
            (Stat::TxReset, new.tx_reset),
        ] {
            if amount > 0 {
                self.scope.add(stat, amount);
            }
        }
    }
}

impl Drop for CodecMeter {
    fn drop(&mut self) {
        self.set_gauges([0; GAUGES.len()]);
    }
}
