//! What is being compared: an arm is one proxy in one configuration.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;

use crate::workload::Workload;

/// One competitor: a proxy in one configuration.
pub trait Arm {
    /// Name in tables and on the command line, for example `envoy-affinity`.
    fn name(&self) -> &str;

    /// The product it belongs to. Several arms of one family stand for its best: a ratio against
    /// `envoy` is against the cheapest arm of the family `envoy`.
    fn family(&self) -> &str;

    /// Whether this arm differs from the family's others for this work; if not, it is left out.
    fn takes(&self, _work: Workload) -> bool {
        true
    }

    /// Writes what the proxy needs into `site.directory` and says how to start it there. The proxy
    /// must stay in the foreground, run one worker, listen on `site.listen` and relay to
    /// `site.upstream`.
    ///
    /// # Errors
    /// When a file cannot be written.
    fn prepare(&self, site: &Site) -> anyhow::Result<Launch>;
}

/// Where an arm does its job: the addresses it must use and the directory that is its own.
#[derive(Clone, Debug)]
pub struct Site {
    /// Exists, is empty at first and is shared by the arms of a workload.
    pub directory: PathBuf,
    /// Where clients connect.
    pub listen: SocketAddr,
    /// A second free address for an admin page, for proxies that want one.
    pub admin: SocketAddr,
    /// Where the relayed connections go.
    pub upstream: SocketAddr,
    /// What will be asked of the proxy, so that limits can be raised far enough.
    pub work: Workload,
}

impl Site {
    /// The file for an access log. It is empty at the start of every measurement.
    #[must_use]
    pub fn access_log(&self) -> PathBuf {
        self.directory.join("access.log")
    }
}

/// How to start a prepared arm.
#[derive(Clone, Debug)]
pub struct Launch {
    /// The program, by path or by name.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// Where its standard output goes; without it, to the proxy's log, as its errors do.
    pub output: Option<PathBuf>,
}

impl Launch {
    /// A command from its parts.
    pub fn new<A: Into<OsString>>(
        program: impl Into<PathBuf>,
        arguments: impl IntoIterator<Item = A>,
    ) -> Self {
        Self {
            program: program.into(),
            arguments: arguments.into_iter().map(Into::into).collect(),
            output: None,
        }
    }

    /// The same with its standard output in a file of its own.
    #[must_use]
    pub fn with_output(mut self, output: PathBuf) -> Self {
        self.output = Some(output);
        self
    }
}
