//! One scenario, run against the real Envoy and against Nuncio, and what both showed compared:
//! the bytes and endings at the client and at the upstream, and the stats by name and value.
//!
//! Each scenario has a listener and a cluster of its own, so that all of them share one process
//! of each proxy and run side by side. A script also asserts what must hold by itself, so that
//! without an Envoy the scenarios still test Nuncio; only the comparison is skipped then, aloud.
//!
//! **Invariant:** a scenario that compared nothing fails.

mod admin;
mod cluster_choice;
mod endings;
mod half_close;
mod masks;
mod relay;
mod stage;
mod timeouts;

use std::any::Any;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

use self::stage::{Observed, Plan, Stage};
use crate::configuration::bootstrap;
use crate::environment::{self, Program};
use crate::patience::wait_for;
use crate::proxy::Proxy;

/// A script and the configuration that it needs.
struct Scenario {
    /// Names the listener, the stats and the cluster too.
    name: &'static str,
    /// What the table at the end says is shown: rows of the acceptance list, and in words.
    shows: &'static str,
    plan: fn() -> Plan,
    script: fn(&mut Stage<'_>),
}

fn scenarios() -> Vec<Scenario> {
    let filter = environment::scenario_filter();
    let mut all = Vec::new();
    all.extend(relay::scenarios());
    all.extend(half_close::scenarios());
    all.extend(endings::scenarios());
    all.extend(cluster_choice::scenarios());
    all.extend(timeouts::scenarios());
    all.extend(admin::scenarios());
    all.retain(|scenario| scenario.name.contains(&filter));
    all
}

/// If this fails, Nuncio does not behave as Envoy does for the same configuration and traffic.
#[test]
fn nuncio_agrees_with_envoy() {
    let reference = environment::reference();
    if let Err(missing) = &reference {
        say(&format!("SKIPPED: nothing is compared with Envoy: {missing}\n"));
    }
    let scenarios = scenarios();
    let names: BTreeSet<&str> = scenarios.iter().map(|scenario| scenario.name).collect();
    assert_eq!(names.len(), scenarios.len(), "each scenario needs a name of its own");

    let subject = environment::subject();
    let subject = Cast::start(&subject, &scenarios);
    let reference = reference.ok().map(|program| Cast::start(&program, &scenarios));
    let outcomes: Vec<Result<usize, String>> = thread::scope(|scope| {
        let running: Vec<_> = scenarios
            .iter()
            .map(|scenario| {
                let (subject, reference) = (&subject, reference.as_ref());
                scope.spawn(move || run(scenario, subject, reference))
            })
            .collect();
        running.into_iter().map(|thread| thread.join().unwrap_or_else(|p| Err(text(&*p)))).collect()
    });

    say(&table(&scenarios, &outcomes));
    let failures: String = scenarios
        .iter()
        .zip(&outcomes)
        .filter_map(|(scenario, outcome)| Some((scenario.name, outcome.as_ref().err()?)))
        .fold(String::new(), |all, (name, why)| format!("{all}\n{name}:\n{why}\n"));
    assert!(failures.is_empty(), "{failures}");
}

/// One proxy with everything that the scenarios need beside it.
struct Cast {
    proxy: Proxy,
    plans: Vec<(&'static str, Plan)>,
}

impl Cast {
    fn start(program: &Program, scenarios: &[Scenario]) -> Self {
        let plans: Vec<_> =
            scenarios.iter().map(|scenario| (scenario.name, (scenario.plan)())).collect();
        let routes: Vec<_> = plans.iter().map(|(name, plan)| plan.route(name)).collect();
        // One worker: where a round robin stands is then the same for all connections.
        let arguments = ["--concurrency", "1"];
        Self { proxy: Proxy::start(program, &bootstrap(&routes), &arguments), plans }
    }

    /// Plays one scenario and answers what was seen, with the stats once they rest.
    fn play(&self, scenario: &Scenario) -> Result<(Observed, Stage<'_>), String> {
        let (_, plan) = self.plans.iter().find(|(name, _)| *name == scenario.name).unwrap();
        let mut stage = Stage::new(&self.proxy, scenario.name, plan);
        catch_unwind(AssertUnwindSafe(|| {
            (scenario.script)(&mut stage);
            let stats = stage.stats_at_rest();
            (stage.take_observed().with(stats), stage)
        }))
        .map_err(|panic| text(&*panic))
    }
}

/// Answers how many observations were compared, or what is wrong.
fn run(scenario: &Scenario, subject: &Cast, reference: Option<&Cast>) -> Result<usize, String> {
    let expected = match reference {
        Some(cast) => {
            Some(cast.play(scenario).map_err(|why| format!("Envoy, the reference: {why}"))?.0)
        }
        None => None,
    };
    if let Some(expected) = expected.as_ref().filter(|_| environment::shows_observations()) {
        say(&format!("{}, on Envoy:\n{}", scenario.name, stage::list(expected)));
    }
    let (seen, stage) = subject.play(scenario)?;
    let Some(expected) = expected else {
        return Ok(0);
    };
    // Stats may trail the bytes by a moment, so a difference counts only if it stays.
    let compare = |seen: Observed| masks::compare(scenario.name, &expected, &seen);
    let scripted = seen.without_stats();
    let Err(_) = compare(seen) else {
        return compare(scripted.with(stage.stats()));
    };
    catch_unwind(AssertUnwindSafe(|| {
        wait_for("the same as Envoy", || compare(scripted.clone().with(stage.stats())))
    }))
    .map_err(|panic| text(&*panic))
}

/// Scenario, what it shows, and what came of it.
fn table(scenarios: &[Scenario], outcomes: &[Result<usize, String>]) -> String {
    let mut table = String::from("\nscenario | shows | compared with Envoy\n---|---|---\n");
    for (scenario, outcome) in scenarios.iter().zip(outcomes) {
        let outcome = match outcome {
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

fn text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic").to_owned()
}
