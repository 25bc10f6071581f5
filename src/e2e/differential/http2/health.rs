//! `/healthcheck/fail`: connections end with their next response, those of HTTP/1 and of HTTP/2.

use super::note_client;
use crate::differential::Scenario;
use crate::differential::http::plan::Http;
use crate::differential::http::{note_answer, note_log};
use crate::differential::stage::Stage;
use crate::http2::{Http2, Seen, message};
use crate::peer::Peer;

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![Scenario {
        name: "h2_health_failed",
        shows: "F20, admin: /healthcheck/fail ends connections, /healthcheck/ok does not any more",
        plan: || Http { manager: &["drain_timeout: 0.2s"], ..Http::default() }.plan().alone(),
        script,
    }]
}

fn script(stage: &mut Stage<'_>) {
    let mut client = Http2::client(stage.connect(), &[]);
    let mut spared = Http2::client(stage.connect(), &[]);
    let mut plain = stage.connect();
    probe(&mut client, 1);
    ask(stage, "before:", &mut plain);
    stage.note("fail", stage.ask("POST /healthcheck/fail").status);
    client.sync(*b"no news?");
    let is_told = |client: &Http2| client.seen.iter().any(|it| matches!(it, Seen::GoAway { .. }));
    stage.note("between two requests GOAWAY has come", is_told(&client));
    probe(&mut client, 3);
    let place = |is_it: fn(&Seen) -> bool| client.seen.iter().position(is_it);
    let told = place(|seen| matches!(seen, Seen::GoAway { last: 0x7fff_ffff, code: 0, .. }));
    let answered = place(|seen| matches!(seen, Seen::Headers { stream: 3, .. }));
    stage.note("with the next response GOAWAY comes first", told.is_some() && told < answered);
    client.receive_to_end();
    note_client(stage, "HTTP/2:", client);
    ask(stage, "HTTP/1:", &mut plain);
    stage.note("HTTP/1 ended by", plain.ending());
    let mut plain = stage.connect();
    ask(stage, "a new connection:", &mut plain);
    stage.note("ok", stage.ask("POST /healthcheck/ok").status);
    stage.note("the new one ended by", plain.ending());
    probe(&mut spared, 1);
    note_client(stage, "one that was not used meanwhile:", spared);
    let mut plain = stage.connect();
    ask(stage, "afterwards:", &mut plain);
    ask(stage, "and again:", &mut plain);
    drop(plain);
    stage.wait_until_idle();
    note_log(stage);
}

fn probe(client: &mut Http2, stream: u32) {
    client.send(&message(stream, ("GET", "/probe"), &[], true));
    client.receive_streams(&[stream]);
}

fn ask(stage: &Stage<'_>, what: &str, client: &mut Peer) {
    client.send(b"GET /probe HTTP/1.1\r\nhost: a.test\r\n\r\n");
    note_answer(stage, what, client, "GET");
}
