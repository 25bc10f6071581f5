//! `substrates`: the same minimal TCP relay on several I/O substrates, measured as in `compare`.
//!
//! The relay is only what a substrate needs to show its cost: connect, copy both ways, half close.
//! No configuration, no statistics, no timeouts. The command starts itself again as `substrates
//! relay` for each arm, so that relay and measuring code are always of one build.

#![forbid(unsafe_code)]

mod relay;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use clap::{Args, Parser, Subcommand};
use harness::arm::{Arm, Launch, Site};
use harness::options::{DEFAULT_WORK, Options, parse_workload};
use harness::workload::Workload;
use harness::{report, run};

use crate::relay::Substrate;

/// Measure what the same TCP relay costs on each I/O substrate, interleaved.
#[derive(Parser, Debug)]
#[command(name = "substrates", version, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,

    #[command(flatten)]
    measure: Measure,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Run one relay until it is ended by a signal
    Relay(Relay),
}

#[derive(Args, Debug)]
struct Relay {
    /// What the relay is built on
    #[arg(long, value_enum)]
    substrate: Substrate,

    /// Where clients connect; port 0 takes a free one. The address is printed.
    #[arg(long)]
    listen: SocketAddr,

    /// Where every connection is relayed to
    #[arg(long)]
    upstream: SocketAddr,
}

#[derive(Args, Debug)]
struct Measure {
    /// Work to do: tcp<N> and new<N> (small requests over N kept or fresh connections), bulk<N>,
    /// idle<N>
    #[arg(long, value_delimiter = ',', value_parser = parse_workload, default_value = DEFAULT_WORK)]
    work: Vec<Workload>,

    /// Substrates to run, in this order; all of them if none is named
    #[arg(long, value_delimiter = ',', value_enum)]
    arms: Vec<Substrate>,

    #[command(flatten)]
    options: Options,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match cli.command {
        Some(Command::Relay(relay)) => relay::run(relay.substrate, relay.listen, relay.upstream),
        None => measure(&cli.measure),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("substrates: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn measure(measure: &Measure) -> Result<()> {
    let own = std::env::current_exe().context("find the path of this program")?;
    let chosen = if measure.arms.is_empty() { Substrate::ALL } else { measure.arms.as_slice() };
    let arms: Vec<Box<dyn Arm>> = chosen
        .iter()
        .map(|substrate| {
            Box::new(RelayArm { own: own.clone(), substrate: *substrate }) as Box<dyn Arm>
        })
        .collect();
    let outcomes = run::run(&arms, &measure.work, &measure.options, |line| eprintln!("{line}"))?;
    println!("{}", measure.options.describe());
    for outcome in &outcomes {
        print!("{}", report::render(outcome, Substrate::Reactor.name(), &[]));
    }
    ensure!(!report::any_failure(&outcomes), "an arm failed, see above");
    Ok(())
}

/// This program's own relay on one substrate.
struct RelayArm {
    own: PathBuf,
    substrate: Substrate,
}

impl Arm for RelayArm {
    fn name(&self) -> &str {
        self.substrate.name()
    }

    /// Each stands for itself: that a flag of the ring changes monoio's figure is worth seeing.
    fn family(&self) -> &str {
        self.name()
    }

    fn prepare(&self, site: &Site) -> Result<Launch> {
        let (listen, upstream) = (site.listen.to_string(), site.upstream.to_string());
        let arguments =
            ["relay", "--substrate", self.name(), "--listen", &listen, "--upstream", &upstream];
        Ok(Launch::new(self.own.clone(), arguments))
    }
}
