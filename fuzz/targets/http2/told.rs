//! What a connection tells of its streams, checked as it comes: each stream has a head, a body,
//! possibly trailers, and one end or reset.

use std::collections::BTreeMap;

use base::Key;
use proto::http2::{Connection, Event};

/// All that was told, as text that does not depend on how the bytes were cut.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Told {
    pub events: Vec<String>,
    pub bodies: BTreeMap<u32, Vec<u8>>,
    states: BTreeMap<u32, State>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Opened,
    Body,
    Trailers,
    Ended,
    Reset,
}

impl Told {
    /// A client's stream, whose head is awaited.
    pub fn opened(&mut self, id: u32) {
        self.states.insert(id, State::Opened);
    }

    /// The next event, with the bytes that a body is a range of.
    pub fn event(&mut self, connection: &Connection, event: &Event, input: &[u8], head: &str) {
        let id = |stream: Key| connection.stream_id(stream).expect("its owner has it");
        match event {
            Event::NeedMore | Event::Pause | Event::PeerSettings => {}
            Event::Head(start) => {
                let id = id(start.stream);
                let before = self.states.insert(id, State::Body);
                assert!(matches!(before, None | Some(State::Opened)), "two heads");
                self.events.push(format!(
                    "{id} {head} {} {:?} {}",
                    start.is_whole, start.content_length, start.is_tunnel
                ));
            }
            Event::Interim(stream) => {
                let id = id(*stream);
                assert_eq!(self.states.get(&id), Some(&State::Opened));
                self.events.push(format!("{id} interim {head}"));
            }
            Event::Body { stream, range } => {
                let id = id(*stream);
                assert_eq!(self.states.get(&id), Some(&State::Body));
                self.bodies.entry(id).or_default().extend_from_slice(&input[range.clone()]);
            }
            Event::Trailers(stream) => {
                let id = id(*stream);
                assert_eq!(self.states.insert(id, State::Trailers), Some(State::Body));
                self.events.push(format!("{id} trailers {:?}", owned(connection.trailers())));
            }
            Event::Metadata(stream) => {
                let id = id(*stream);
                self.events.push(format!("{id} metadata {:?}", owned(connection.metadata())));
            }
            Event::End(stream) => {
                let id = id(*stream);
                let before = self.states.insert(id, State::Ended);
                assert!(matches!(before, Some(State::Body | State::Trailers)), "{before:?}");
                self.events.push(format!("{id} end"));
            }
            Event::Reset { stream, reason } => {
                let id = id(*stream);
                let before = self.states.insert(id, State::Reset);
                assert!(!matches!(before, None | Some(State::Reset)), "{before:?}");
                self.events.push(format!("{id} reset {reason:?}"));
            }
            Event::GoAway(code) => self.events.push(format!("goaway {code:?}")),
        }
    }

    /// Bodies are what DATA frames said, as far as they were told.
    pub fn check_bodies(&self, frames: &[crate::http2::Frame<'_>]) {
        for (id, body) in &self.bodies {
            let sent: Vec<u8> = frames
                .iter()
                .filter(|frame| frame.kind == 0 && frame.id == *id)
                .filter_map(|frame| crate::http2::data(*frame))
                .flatten()
                .copied()
                .collect();
            assert!(sent.starts_with(body) || body.starts_with(&sent), "{id}: {body:?} {sent:?}");
        }
    }
}

fn owned(list: &proto::HeaderList) -> Vec<(String, String)> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    list.iter().map(|(name, value)| (text(name), text(value))).collect()
}
