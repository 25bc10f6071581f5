//! The admin server: what dashboards, scripts and probes ask of Envoy they may ask of Nuncio.

use super::Scenario;
use super::plan::Plan;
use super::stage::Stage;
use crate::peer::Ending;

pub(super) fn scenarios() -> Vec<Scenario> {
    vec![
        Scenario {
            name: "admin_ready",
            shows: "admin: /ready, its methods, and paths that do not exist",
            plan: Plan::relay,
            script: admin_ready,
        },
        Scenario {
            name: "admin_stats",
            shows: "admin: /stats with filter, as text and as JSON",
            plan: Plan::relay,
            script: admin_stats,
        },
        Scenario {
            name: "admin_server_info",
            shows: "admin: /server_info has Envoy's fields, and its values where they must agree",
            plan: Plan::relay,
            script: admin_server_info,
        },
    ]
}

fn note_answer(stage: &Stage<'_>, request: &str) {
    let answer = stage.ask(request);
    stage.note(&format!("{request}: status"), answer.status);
    for header in ["content-type", "cache-control", "x-content-type-options"] {
        let value = answer.header(header).unwrap_or("absent");
        stage.note(&format!("{request}: {header}"), value);
    }
}

fn admin_ready(stage: &mut Stage<'_>) {
    note_answer(stage, "GET /ready");
    stage.note("GET /ready: body", stage.ask("GET /ready").body.escape_default());
    // Not HEAD: Envoy answers it with a body, which RFC 9110 section 9.3.2 forbids.
    stage.note("POST /ready: status", stage.ask("POST /ready").status);
    stage.note("GET /no/such/page: status", stage.ask("GET /no/such/page").status);
    // Changing state needs POST; with GET nothing may happen.
    stage.note("GET /quitquitquit: status", stage.ask("GET /quitquitquit").status);
    assert_eq!(stage.ask("GET /ready").body, "LIVE\n");
}

fn admin_stats(stage: &mut Stage<'_>) {
    let (mut client, mut upstream) = stage.relayed();
    client.send(b"0123456789");
    assert_eq!(upstream.receive(10), b"0123456789");
    drop(client);
    assert_eq!(upstream.ending(), Ending::Fin);
    drop(upstream);
    stage.expect_stat("listener.downstream_cx_destroy", 1);

    note_answer(stage, "GET /stats");
    let filter = "filter=^tcp\\.admin_stats\\.downstream_cx_.x_bytes_total$";
    let text = stage.ask(&format!("GET /stats?{filter}"));
    stage.note("/stats with a filter", text.body.escape_default());
    let json = stage.ask(&format!("GET /stats?format=json&{filter}"));
    stage.note("/stats as JSON: content-type", json.header("content-type").unwrap_or("absent"));
    let json: serde_json::Value = serde_json::from_str(&json.body).unwrap();
    stage.note("/stats as JSON", json);
    // A listener without stat_prefix is called by its address.
    let text = stage.ask("GET /stats?filter=^listener\\..*\\.downstream_cx_total$").body;
    let own = format!("{}downstream_cx_total: 1\n", stage.listener_scope());
    assert!(text.contains(&own), "'{own}' is not in:\n{text}");
    stage.note("GET /stats?filter=[: status", stage.ask("GET /stats?filter=[").status);
}

fn admin_server_info(stage: &mut Stage<'_>) {
    note_answer(stage, "GET /server_info");
    let info = stage.ask("GET /server_info").body;
    let info: serde_json::Value = serde_json::from_str(&info).unwrap();
    for field in ["/state", "/command_line_options/concurrency", "/command_line_options/mode"] {
        let value = info.pointer(field).cloned().unwrap_or_default();
        stage.note(&format!("/server_info{field}"), value);
    }
    let names = |pointer: &str| -> Vec<String> {
        let object = info.pointer(pointer).and_then(serde_json::Value::as_object);
        object.into_iter().flatten().map(|(name, _)| name.clone()).collect()
    };
    stage.note("/server_info: fields", names("").join(", "));
    stage.note("/server_info: options", names("/command_line_options").join(", "));
    let uptime = info["uptime_current_epoch"].as_str().unwrap();
    assert!(uptime.strip_suffix('s').is_some_and(|seconds| seconds.parse::<u64>().is_ok()));
}
