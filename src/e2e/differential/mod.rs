//! One scenario, run against the real Envoy and against Nuncio, and what both showed compared:
//! the bytes and endings at the client and at the upstream, and all stats of the scenario's
//! listeners, filters and clusters, by name and value.
//!
//! A scenario is a [`Plan`], its part of the configuration, and a script over a [`Stage`]: clients,
//! upstreams, admin requests, signals, access logs. Each has listeners and clusters of its own, so
//! that most of them share one process of each proxy and run side by side; one that changes or ends
//! the process has its own (`Plan::alone`). A script also asserts what must hold by itself, so that
//! without an Envoy the scenarios still test Nuncio; only the comparison is skipped then, aloud.
//! What may differ stands in `masks`.
//!
//! **Invariant:** a scenario that compared nothing fails.

mod access_logs;
mod admin;
mod admin_pages;
mod breakers;
mod cluster_choice;
mod durations;
mod early_data;
mod endings;
mod filter_state;
mod filters;
mod half_close;
mod host_limits;
mod http;
mod http2;
mod listener_filters;
mod live_runtime;
mod masks;
mod observed;
mod operators;
mod outliers;
mod plan;
mod process;
mod proxy_headers;
mod recorded;
mod relay;
mod rows;
mod sockets;
mod stage;
mod tcp_texts;
mod timeouts;
mod tunnels;
mod upgrades;
mod upstream_flush;
mod weighted_clusters;

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::{slice, thread};

use self::observed::Observed;
use self::plan::Plan;
use self::stage::Stage;
use crate::configuration::Parts;
use crate::environment::{self, Program};
use crate::patience::wait_for;
use crate::proxy::{Proxy, Scratch};

/// A script and the configuration that it needs.
struct Scenario {
    /// Names the listener, the stats and the cluster too.
    name: &'static str,
    /// What the table at the end says is shown: rows of the acceptance list, and in words.
    shows: &'static str,
    plan: fn() -> Plan,
    script: fn(&mut Stage<'_>),
}

impl Scenario {
    /// What stands before the colon: rows of the acceptance list, or features.
    fn rows(&self) -> impl Iterator<Item = &'static str> {
        let (rows, _) = self.shows.split_once(": ").expect("rows or features, then a colon");
        rows.split(", ")
    }
}

/// The scenarios whose name contains `filter`.
fn scenarios(filter: &str) -> Vec<Scenario> {
    let mut all = Vec::new();
    all.extend(relay::scenarios());
    all.extend(half_close::scenarios());
    all.extend(endings::scenarios());
    all.extend(upstream_flush::scenarios());
    all.extend(cluster_choice::scenarios());
    all.extend(timeouts::scenarios());
    all.extend(durations::scenarios());
    all.extend(tunnels::scenarios());
    all.extend(upgrades::scenarios());
    all.extend(weighted_clusters::scenarios());
    all.extend(breakers::scenarios());
    all.extend(host_limits::scenarios());
    all.extend(outliers::scenarios());
    all.extend(early_data::scenarios());
    all.extend(admin::scenarios());
    all.extend(access_logs::scenarios());
    all.extend(operators::scenarios());
    all.extend(http::scenarios());
    all.extend(http2::scenarios());
    all.extend(filters::scenarios());
    all.extend(filter_state::scenarios());
    all.extend(live_runtime::scenarios());
    all.extend(listener_filters::scenarios());
    all.extend(sockets::scenarios());
    all.extend(process::scenarios());
    all.retain(|scenario| scenario.name.contains(filter));
    all
}

/// If this fails, Nuncio does not behave as Envoy does for the same configuration and traffic.
#[test]
fn nuncio_agrees_with_envoy() {
    let reference = environment::reference();
    if let Err(missing) = &reference {
        say(&format!("SKIPPED: nothing is compared with Envoy: {missing}\n"));
    }
    let scenarios = scenarios(&environment::scenario_filter());
    let names: BTreeSet<&str> = scenarios.iter().map(|scenario| scenario.name).collect();
    assert_eq!(names.len(), scenarios.len(), "each scenario needs a name of its own");

    let (subject, reference) = (environment::subject(), reference.ok());
    let mut outcomes = run_all(&scenarios, &subject, reference.as_ref());
    play_again(&scenarios, &mut outcomes, &subject, reference.as_ref());

    say(&table(&scenarios, &outcomes));
    let failures: String = scenarios
        .iter()
        .zip(&outcomes)
        .filter_map(|(scenario, outcome)| Some((scenario.name, outcome.as_ref().err()?)))
        .fold(String::new(), |all, (name, why)| format!("{all}\n{name}:\n{why}\n"));
    assert!(failures.is_empty(), "{failures}");
}

/// Scenarios that run side by side. They mostly wait; but two cores are shared by everything.
const SIDE_BY_SIDE: usize = 16;

/// Runs all scenarios, a few at a time; answers in their order. The processes have ended then:
/// of what they wrote, nothing is about one scenario.
fn run_all(
    scenarios: &[Scenario],
    subject: &Program,
    reference: Option<&Program>,
) -> Vec<Result<usize, String>> {
    let subject = Cast::start(subject, scenarios);
    let reference = reference.map(|program| Cast::start(program, scenarios));
    let next = AtomicUsize::new(0);
    let outcomes = Mutex::new(BTreeMap::new());
    thread::scope(|scope| {
        for _ in 0..SIDE_BY_SIDE {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(scenario) = scenarios.get(index) else { break };
                    let outcome = caught(|| run(scenario, &subject, reference.as_ref()));
                    outcomes.lock().unwrap().insert(index, outcome);
                }
            });
        }
    });
    outcomes.into_inner().unwrap().into_values().collect()
}

/// Scenarios that may be played again. More are no accident.
const PLAYED_AGAIN_MAX: usize = 3;

/// Plays the scenarios that failed once more, each alone, on processes of its own: beside sixteen
/// others a timer of either program may slip by as much as its scenario is about. Says aloud what
/// the first play showed: a scenario that is heard of twice has a defect, or is one.
fn play_again(
    scenarios: &[Scenario],
    outcomes: &mut [Result<usize, String>],
    subject: &Program,
    reference: Option<&Program>,
) {
    if outcomes.iter().filter(|outcome| outcome.is_err()).count() > PLAYED_AGAIN_MAX {
        return;
    }
    for (scenario, outcome) in scenarios.iter().zip(outcomes) {
        let Err(first) = &*outcome else { continue };
        say(&format!("PLAYED AGAIN: {}, which showed beside others:\n{first}\n", scenario.name));
        *outcome = caught(|| run_all(slice::from_ref(scenario), subject, reference).remove(0));
    }
}

/// One of the two programs with everything that the scenarios need beside it.
struct Cast {
    program: Program,
    /// The process of all scenarios that have none of their own.
    shared: Arc<Proxy>,
    plans: Vec<(&'static str, Plan)>,
}

impl Cast {
    fn start(program: &Program, scenarios: &[Scenario]) -> Self {
        let plans: Vec<_> =
            scenarios.iter().map(|scenario| (scenario.name, (scenario.plan)())).collect();
        let shared = start(program, plans.iter().filter(|(_, plan)| !plan.alone));
        Self { program: program.clone(), shared, plans }
    }

    fn process(&self, name: &'static str, plan: &Plan) -> Arc<Proxy> {
        if plan.alone {
            start(&self.program, self.plans.iter().filter(|(one, _)| *one == name))
        } else {
            Arc::clone(&self.shared)
        }
    }

    /// Plays one scenario and answers what was seen, with the stats once they rest.
    fn play(&self, scenario: &Scenario) -> Result<(Observed, Stage<'_>), String> {
        let (_, plan) = self.plans.iter().find(|(name, _)| *name == scenario.name).unwrap();
        caught(|| {
            let mut stage = Stage::new(scenario.name, self.process(scenario.name, plan), plan);
            (scenario.script)(&mut stage);
            let stats = stage.stats_at_rest();
            stage.note_access_log_length();
            Ok((stage.take_observed().with(stats), stage))
        })
    }
}

/// Starts one process for these scenarios.
fn start<'a>(
    program: &Program,
    plans: impl Iterator<Item = &'a (&'static str, Plan)>,
) -> Arc<Proxy> {
    let (mut parts, folder) = (Parts::default(), Scratch::new());
    for (name, plan) in plans {
        plan.add_to(&mut parts, name, &folder);
    }
    // One worker: where a round robin stands is then the same for all connections. Access logs
    // come soon.
    let arguments = ["--concurrency", "1", "--file-flush-interval-msec", "50"];
    Arc::new(Proxy::start_in(folder, program, &parts.bootstrap(), &arguments))
}

/// In place of a count: the scenario is known to differ.
const OPEN: usize = usize::MAX;

/// Answers how many observations were compared, or what is wrong.
fn run(scenario: &Scenario, subject: &Cast, reference: Option<&Cast>) -> Result<usize, String> {
    let expected = match reference {
        Some(cast) => {
            Some(cast.play(scenario).map_err(|why| format!("Envoy, the reference: {why}"))?.0)
        }
        None => None,
    };
    if let Some(expected) = expected.as_ref().filter(|_| environment::shows_observations()) {
        say(&format!("{}, on Envoy:\n{}", scenario.name, observed::list(expected)));
    }
    let (seen, stage) = subject.play(scenario)?;
    let Some(expected) = expected else {
        return Ok(0);
    };
    // Stats may trail the bytes by a moment, so a difference counts only if it stays.
    let compare = |seen: Observed| masks::compare(scenario.name, &expected, &seen);
    let scripted = seen.without_stats();
    if masks::is_open(scenario.name) {
        // Differences that are known stay without waiting for them to go.
        return match compare(seen) {
            Ok(_) => Err("it is equal now: take it off the list of open ones".to_owned()),
            Err(why) => {
                if environment::shows_observations() {
                    say(&format!("{} is open:\n{why}\n", scenario.name));
                }
                Ok(OPEN)
            }
        };
    }
    let Err(_) = compare(seen) else {
        return compare(scripted.with(stage.stats()));
    };
    caught(|| {
        let equal = || compare(scripted.clone().with(stage.stats()));
        Ok(wait_for("the same as Envoy", equal))
    })
}

/// Scenario, what it shows, and what came of it. Which rows that covers says `rows`.
fn table(scenarios: &[Scenario], outcomes: &[Result<usize, String>]) -> String {
    let mut table = String::from("\nscenario | shows | compared with Envoy\n---|---|---\n");
    for (scenario, outcome) in scenarios.iter().zip(outcomes) {
        let outcome = match outcome {
            Ok(OPEN) => "OPEN: still differs".to_owned(),
            Ok(0) => "not compared; Nuncio alone passed".to_owned(),
            Ok(count) => format!("{count} observations equal"),
            Err(_) => "FAILED".to_owned(),
        };
        writeln!(table, "{} | {} | {outcome}", scenario.name, scenario.shows).unwrap();
    }
    table
}

/// Writes past the test runner's capture: what was skipped or compared shows in a passing run too.
fn say(message: &str) {
    std::io::stderr().write_all(message.as_bytes()).unwrap();
}

/// What `play` answers, or what it panicked with.
fn caught<T>(play: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(play)).unwrap_or_else(|panic| Err(text(&*panic)))
}

fn text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic").to_owned()
}
