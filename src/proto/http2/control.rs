//! Reading frames that are about streams or the connection and carry no message: SETTINGS, PING,
//! GOAWAY, WINDOW_UPDATE and RST_STREAM (RFC 9113 sections 6.4, 6.5 and 6.7 to 6.9).

use std::time::Instant;

use crate::http2::connection::{Connection, Role};
use crate::http2::error::{ErrorCode, ErrorKind};
use crate::http2::event::{Event, ResetReason};
use crate::http2::frame::{self, FrameHeader, FrameKind, flag};
use crate::http2::reader::wire_bytes;
use crate::http2::streams::Closed;

impl Connection {
    pub(super) fn settings(
        &mut self,
        header: FrameHeader,
        payload: &[u8],
    ) -> Result<Option<Event>, ErrorKind> {
        if header.has(flag::ACK) {
            if self.is_settings_acknowledged {
                return Err(ErrorKind::UnexpectedSettingsAck);
            }
            self.is_settings_acknowledged = true;
            self.decoder.set_size_limit(self.options.hpack_table_size as usize);
            return Ok(None);
        }
        let before = self.peer;
        self.peer.apply(payload, self.role == Role::Client)?;
        if self.peer.header_table_size != before.header_table_size {
            self.encoder.set_peer_limit(self.peer.header_table_size as usize);
        }
        if self.peer.initial_window_size != before.initial_window_size {
            self.change_windows(before.initial_window_size)?;
        }
        self.queue(FrameKind::SETTINGS, flag::ACK, 0, &[]);
        let is_news = !self.has_peer_settings || self.peer != before;
        self.has_peer_settings = true;
        Ok(is_news.then_some(Event::PeerSettings))
    }

    /// Section 6.9.2: the change applies to the windows of all streams, which may become negative.
    fn change_windows(&mut self, before: u32) -> Result<(), ErrorKind> {
        let change = i64::from(self.peer.initial_window_size) - i64::from(before);
        // Many streams make this expensive for one frame.
        let work = u32::try_from(self.streams.active_len()).unwrap_or(u32::MAX) / 8;
        self.work_left = self.work_left.saturating_sub(work);
        let mut is_within = true;
        let mut woken = std::mem::take(&mut self.schedule_scratch);
        self.streams.for_each_active(|key, state| {
            let was_ready = state.is_ready();
            is_within &= state.send_window.change(change);
            if !was_ready && state.is_ready() {
                woken.push(key);
            }
        });
        for stream in woken.drain(..) {
            self.enqueue(stream);
        }
        self.schedule_scratch = woken;
        if is_within { Ok(()) } else { Err(ErrorKind::InvalidWindowSetting) }
    }

    pub(super) fn ping(
        &mut self,
        now: Instant,
        header: FrameHeader,
        payload: &[u8],
    ) -> Option<Event> {
        if !header.has(flag::ACK) {
            self.queue(FrameKind::PING, flag::ACK, 0, payload);
        } else if let Some(options) = &self.options.keepalive {
            self.keepalive.acknowledged(options, now);
        }
        None
    }

    pub(super) fn goaway(&mut self, payload: &[u8]) -> Result<Option<Event>, ErrorKind> {
        self.inbound.goaway()?;
        let last = frame::word(payload).ok_or(ErrorKind::InvalidFrameSize)? & frame::STREAM_ID_MAX;
        let code = frame::word(&payload[4..]).ok_or(ErrorKind::InvalidFrameSize)?;
        // Section 6.8: it must not increase.
        if self.goaway_received.is_some_and(|before| last > before) {
            return Err(ErrorKind::InvalidGoAway);
        }
        self.goaway_received = Some(last);
        if std::mem::replace(&mut self.is_goaway_told, true) {
            return Ok(self.waiting_event());
        }
        Ok(Some(Event::GoAway(ErrorCode(code))))
    }

    pub(super) fn window_update(
        &mut self,
        now: Instant,
        header: FrameHeader,
        payload: &[u8],
    ) -> Result<Option<Event>, ErrorKind> {
        self.inbound.window_update(&self.options)?;
        let increment = frame::word(payload).ok_or(ErrorKind::InvalidFrameSize)?;
        let increment = increment & frame::STREAM_ID_MAX;
        if header.stream_id == 0 {
            if increment == 0 {
                return Err(ErrorKind::ZeroWindowUpdate);
            }
            if !self.send_window.change(i64::from(increment)) {
                return Err(ErrorKind::ConnectionFlowControl);
            }
            return Ok(None);
        }
        if self.is_idle(header.stream_id) {
            return Err(ErrorKind::IdleStream);
        }
        // Section 5.1: on a closed stream it is ignored.
        let Some(stream) = self.streams.find(header.stream_id) else {
            return Ok(None);
        };
        if increment == 0 {
            return self.stream_error(now, stream, ErrorKind::ZeroStreamWindowUpdate);
        }
        let Some(state) = self.streams.get_mut(stream) else {
            return Ok(None);
        };
        state.meter.wire_bytes_received += wire_bytes(header);
        if !state.send_window.change(i64::from(increment)) {
            return self.stream_error(now, stream, ErrorKind::StreamFlowControl);
        }
        self.enqueue(stream);
        Ok(None)
    }

    pub(super) fn rst_stream(
        &mut self,
        now: Instant,
        header: FrameHeader,
        payload: &[u8],
    ) -> Result<Option<Event>, ErrorKind> {
        if self.is_idle(header.stream_id) {
            return Err(ErrorKind::IdleStream);
        }
        self.count_reset(now)?;
        let Some(stream) = self.streams.find(header.stream_id) else {
            return Ok(None);
        };
        let code = ErrorCode(frame::word(payload).ok_or(ErrorKind::InvalidFrameSize)?);
        self.counts.rx_reset += 1;
        if let Some(state) = self.streams.get_mut(stream) {
            state.meter.wire_bytes_received += wire_bytes(header);
        }
        self.close(stream, Closed::ByPeer);
        Ok(Some(Event::Reset { stream, reason: ResetReason::Peer(code) }))
    }
}
