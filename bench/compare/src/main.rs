//! `compare`: Envoy, HAProxy, nginx and Nuncio at the same job in one interleaved run.
//!
//! It writes every proxy's configuration itself, so that all do the same; Envoy and Nuncio get the
//! very same file. `bench/README.md` says how to read the figures.

#![forbid(unsafe_code)]

mod arms;
mod targets;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Result, bail, ensure};
use clap::Parser;
use harness::arm::Arm;
use harness::options::{DEFAULT_WORK, Options, parse_workload};
use harness::workload::Workload;
use harness::{report, run};

/// Measure proxy CPU per request or per GB: Envoy, HAProxy, nginx and Nuncio, interleaved.
#[derive(Parser, Debug)]
#[command(name = "compare", version)]
struct Cli {
    /// Work to do. As a TCP proxy: tcp<N> and new<N> (small requests over N kept or fresh
    /// connections), bulk<N>, idle<N>. As an HTTP/1 proxy: http<N>, httpnew<N>, http-idle<N>,
    /// http-bulk<N> (responses), http-upload<N>. With HTTP/2, over N connections with M streams
    /// each: h2-h1-<N>x<M>, h2-direct-<N>x<M> (answered by the proxy), h1-h2-<N>
    #[arg(long, value_delimiter = ',', value_parser = parse_workload, default_value = DEFAULT_WORK)]
    work: Vec<Workload>,

    /// Arms to run, in this order; `all` for every arm there is
    #[arg(long, value_delimiter = ',', default_value = arms::DEFAULT)]
    arms: Vec<String>,

    /// The Nuncio binary
    #[arg(long, env = "NUNCIO_BINARY")]
    #[arg(default_value_os_t = repository().join("target/release/nuncio"))]
    nuncio: PathBuf,

    /// The Envoy binary
    #[arg(long, env = "NUNCIO_ENVOY", default_value_os_t = repository().join(".venv/bin/envoy"))]
    envoy: PathBuf,

    #[command(flatten)]
    options: Options,
}

fn main() -> ExitCode {
    match measure(Cli::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("compare: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Returns whether every arm got through.
fn measure(cli: Cli) -> Result<bool> {
    let chosen = choose(&cli)?;
    let versions: Vec<String> = chosen.iter().map(|arm| format!("- {}", arm.version())).collect();
    let arms: Vec<Box<dyn Arm>> =
        chosen.into_iter().map(|arm| Box::new(arm) as Box<dyn Arm>).collect();
    let outcomes = run::run(&arms, &cli.work, &cli.options, |line| eprintln!("{line}"))?;
    println!("{}", cli.options.describe());
    for version in versions {
        println!("{version}");
    }
    for outcome in &outcomes {
        print!("{}", report::render(outcome, "nuncio", &targets::of(outcome.work)));
    }
    Ok(!report::any_failure(&outcomes))
}

fn choose(cli: &Cli) -> Result<Vec<arms::ProxyArm>> {
    let known = arms::table(&cli.envoy, &cli.nuncio);
    let all = cli.arms.iter().any(|name| name == "all");
    let names: Vec<String> = known.iter().map(|arm| arm.name().to_owned()).collect();
    if let Some(wrong) = cli.arms.iter().find(|name| *name != "all" && !names.contains(name)) {
        bail!("no arm is called '{wrong}'; there are: all, {}", names.join(", "));
    }
    let mut chosen: Vec<arms::ProxyArm> = known
        .into_iter()
        .filter(|arm| all || cli.arms.iter().any(|name| name == arm.name()))
        .collect();
    chosen.sort_by_key(|arm| cli.arms.iter().position(|name| name == arm.name()));
    ensure!(!chosen.is_empty(), "no arm chosen; there are: all, {}", names.join(", "));
    // Every missing program is named at once, and before anything runs.
    let missing: Vec<String> = chosen
        .iter()
        .filter_map(|arm| arm.check(&cli.work).err())
        .map(|error| format!("  {error}"))
        .collect();
    ensure!(
        missing.is_empty(),
        "programs are missing (or leave their arms out with --arms):\n{}",
        missing.join("\n")
    );
    Ok(chosen)
}

/// The root of the repository that this tool was built in.
fn repository() -> &'static Path {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.ancestors().nth(2).unwrap_or(own)
}
