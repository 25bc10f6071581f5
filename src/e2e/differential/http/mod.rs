//! HTTP/1.1 through the connection manager: messages, local replies, failures, limits, pools.
//!
//! Most scripts are a list of [`Case`]s: a request, and what the upstream does with it. After each
//! answer a second request on the same connection shows whether it was kept.

mod delayed_close;
mod failures;
mod fields;
mod grpc;
mod limits;
mod local_replies;
mod messages;
mod options;
mod outliers;
pub(super) mod plan;
mod pools;
mod timeouts;

use self::plan::Http;
use super::Scenario;
use super::plan::Plan;
use super::stage::Stage;
use crate::http::{Cut, Framing, Message};
use crate::patience::wait_for;
use crate::peer::Peer;
use crate::upstream::Upstream;

pub(super) fn scenarios() -> Vec<Scenario> {
    let mut all = messages::scenarios();
    all.extend(local_replies::scenarios());
    all.extend(failures::scenarios());
    all.extend(options::scenarios());
    all.extend(outliers::scenarios());
    all.extend(timeouts::scenarios());
    all.extend(pools::scenarios());
    all.extend(fields::scenarios());
    all.extend(grpc::scenarios());
    all.extend(limits::scenarios());
    all.extend(delayed_close::scenarios());
    all
}

/// The usual configuration.
fn usual() -> Plan {
    Http::default().plan()
}

/// One request on a connection of its own.
#[derive(Clone, Copy)]
struct Case {
    request: &'static [u8],
    upstream: Behaviour,
}

/// What the upstream does with a request.
#[derive(Clone, Copy)]
pub(super) enum Behaviour {
    /// It never sees the request.
    Unasked,
    Answers(&'static [u8]),
    AnswersAndCloses(&'static [u8]),
    AnswersAndResets(&'static [u8]),
    /// It holds the connection.
    IsSilent,
}

/// A request that the proxy answers itself.
const fn local(request: &'static [u8]) -> Case {
    Case { request, upstream: Behaviour::Unasked }
}

/// A request and the upstream's answer.
const fn answered(request: &'static [u8], answer: &'static [u8]) -> Case {
    Case { request, upstream: Behaviour::Answers(answer) }
}

/// The same, then FIN.
const fn closed(request: &'static [u8], answer: &'static [u8]) -> Case {
    Case { request, upstream: Behaviour::AnswersAndCloses(answer) }
}

/// The same, then RST.
const fn reset(request: &'static [u8], answer: &'static [u8]) -> Case {
    Case { request, upstream: Behaviour::AnswersAndResets(answer) }
}

/// A request that the upstream never answers.
const fn silent(request: &'static [u8]) -> Case {
    Case { request, upstream: Behaviour::IsSilent }
}

impl Case {
    fn method(&self) -> String {
        let word = self.request.split(|byte| *byte == b' ').next().unwrap();
        String::from_utf8_lossy(word).into_owned()
    }

    fn start_line(&self) -> String {
        let line = self.request.split(|byte| *byte == b'\r').next().unwrap();
        line[..line.len().min(60)].escape_ascii().to_string()
    }
}

/// The small answer that most cases need.
const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

const PROBE: &[u8] = b"GET /probe HTTP/1.1\r\nhost: a.test\r\n\r\n";
const LAST: &[u8] = b"GET /probe?last HTTP/1.1\r\nhost: a.test\r\nconnection: close\r\n\r\n";

/// Plays the cases one after the other, then notes the access log.
fn play(stage: &mut Stage<'_>, cases: &[Case]) {
    let mut origin = stage.upstreams().next().map(Origin::new);
    for (index, case) in cases.iter().enumerate() {
        let what = format!("{index}, {}:", case.start_line());
        let mut client = stage.connect();
        client.send(case.request);
        let _held = origin.as_mut().and_then(|origin| origin.serve(stage, &what, case.upstream));
        note_responses(stage, &what, &mut client, &case.method());
    }
    note_log(stage);
}

/// Notes the access log, once a last request shows that it is complete.
pub(super) fn note_log(stage: &Stage<'_>) {
    send_last(stage);
    stage.note_access_log_up_to("?last");
    stage.note_hosts();
}

/// As [`note_log`], where the order of lines is chance.
pub(super) fn note_sorted_log(stage: &Stage<'_>) {
    send_last(stage);
    stage.note_sorted_access_log_up_to("?last");
    stage.note_hosts();
}

fn send_last(stage: &Stage<'_>) {
    let mut client = stage.connect();
    client.send(LAST);
    client.receive_to_end();
}

/// Notes what a client receives, and whether its connection is kept.
fn note_responses(stage: &Stage<'_>, what: &str, client: &mut Peer, method: &str) {
    if note_answer(stage, what, client, method) {
        client.send_even_if_closed(PROBE);
        match client.receive_responses("GET") {
            Ok(_) => stage.note(&format!("{what} afterwards the client's connection"), "is kept"),
            Err(cut) => note_cut(stage, &format!("{what} afterwards the client"), &cut),
        }
    }
}

/// Notes one answer; says whether the connection is open behind it, as far as the answer tells.
pub(super) fn note_answer(stage: &Stage<'_>, what: &str, client: &mut Peer, method: &str) -> bool {
    let messages = match client.receive_responses(method) {
        Ok(messages) => messages,
        Err(cut) => {
            note_messages(stage, what, &cut.messages);
            note_cut(stage, &format!("{what} the client"), &cut);
            return false;
        }
    };
    note_messages(stage, what, &messages);
    let last = messages.last().unwrap();
    let closes = last.header("connection").is_some_and(|value| value.contains("close"));
    if closes || last.framing == Framing::UntilClose {
        stage.note_end(&format!("{what} afterwards the client"), &client.receive_to_end());
        return false;
    }
    true
}

fn note_messages(stage: &Stage<'_>, what: &str, messages: &[Message]) {
    for message in messages {
        stage.note_message(&format!("{what} the client"), message);
    }
}

fn note_cut(stage: &Stage<'_>, side: &str, cut: &Cut) {
    stage.note_end(side, &(stage.shown(&cut.bytes), cut.ending));
}

/// An upstream and the connections that the proxy keeps to it.
pub(super) struct Origin<'a> {
    upstream: &'a Upstream,
    kept: Vec<Peer>,
}

impl<'a> Origin<'a> {
    pub(super) fn new(upstream: &'a Upstream) -> Self {
        Self { upstream, kept: Vec::new() }
    }

    /// The connections that the upstream has answered on.
    fn take_kept(&mut self) -> Vec<Peer> {
        std::mem::take(&mut self.kept)
    }

    /// The connection that brings the next request, and whether it brought others before.
    pub(super) fn next(&mut self, what: &str) -> (Peer, &'static str) {
        wait_for(&format!("{what} a request at the upstream"), || {
            if let Some(index) = self.kept.iter().position(Peer::has_bytes) {
                return Ok((self.kept.remove(index), "a kept connection"));
            }
            let accepted = self.upstream.waiting().map(|peer| (peer, "a new connection"));
            accepted.ok_or_else(|| "there is none".to_owned())
        })
    }

    /// Receives a request, notes it and answers it; answers the connection if it is held.
    pub(super) fn serve(
        &mut self,
        stage: &Stage<'_>,
        what: &str,
        behaviour: Behaviour,
    ) -> Option<Peer> {
        if matches!(behaviour, Behaviour::Unasked) {
            return None;
        }
        let (mut peer, connection) = self.next(what);
        stage.note(&format!("{what} the upstream is asked over"), connection);
        let request = peer.receive_request();
        stage.note_message(&format!("{what} the upstream"), &request);
        match behaviour {
            Behaviour::Unasked => None,
            Behaviour::IsSilent => Some(peer),
            Behaviour::Answers(answer) => {
                peer.send(answer);
                self.kept.push(peer);
                None
            }
            Behaviour::AnswersAndCloses(answer) => {
                peer.send(answer);
                None
            }
            Behaviour::AnswersAndResets(answer) => {
                peer.send(answer);
                peer.reset();
                None
            }
        }
    }
}
