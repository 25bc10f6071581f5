//! Small HTTP/2 requests by `h2load`, as a child process, and the reading of its report.

use std::net::SocketAddr;
use std::path::Path;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::arm::Launch;
use crate::process::{require_program, run_to_end};
use crate::workload::Workload;

/// Time beyond the load's own that `h2load` may take to connect and to print.
const SLACK: Duration = Duration::from_secs(20);

/// A running `h2load`.
#[derive(Debug)]
pub(crate) struct H2Load {
    thread: JoinHandle<Result<String>>,
}

/// What `h2load` says about its whole run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct H2LoadReport {
    /// Requests with an answer.
    pub(crate) requests: u64,
    /// Requests without one, or with one other than 2xx and 3xx.
    pub(crate) errors: u64,
}

impl H2Load {
    /// Starts `h2load` on `core` for `seconds`.
    pub(crate) fn start(
        proxy: SocketAddr,
        work: Workload,
        core: usize,
        seconds: u32,
    ) -> Result<Self> {
        Self::run(proxy, work, core, &format!("--duration={seconds}"), seconds)
    }

    /// One request, which must be answered.
    pub(crate) fn one(proxy: SocketAddr, core: usize) -> Result<()> {
        let work = "h2-direct-1x1".parse().map_err(anyhow::Error::msg)?;
        let report = Self::run(proxy, work, core, "--requests=1", 1)?.finish()?;
        anyhow::ensure!(report == H2LoadReport { requests: 1, errors: 0 }, "{report:?}");
        Ok(())
    }

    fn run(
        proxy: SocketAddr,
        work: Workload,
        core: usize,
        length: &str,
        seconds: u32,
    ) -> Result<Self> {
        require_program(Path::new("h2load"), "install the Debian package nghttp2-client")?;
        let arguments = [
            "--threads=1".to_owned(),
            format!("--clients={}", work.connections),
            format!("--max-concurrent-streams={}", work.streams),
            length.to_owned(),
            format!("http://{proxy}/"),
        ];
        let launch = Launch::new("h2load", arguments);
        let limit = Duration::from_secs(u64::from(seconds)) + SLACK;
        let thread = thread::Builder::new()
            .name("h2load".to_owned())
            .spawn(move || run_to_end(&launch, core, limit))
            .context("start the thread that waits for h2load")?;
        Ok(Self { thread })
    }

    /// Waits for the end of the load.
    pub(crate) fn finish(self) -> Result<H2LoadReport> {
        let joined = self.thread.join();
        let text = joined.map_err(|_| anyhow::anyhow!("the thread around h2load panicked"))??;
        parse(&text).with_context(|| format!("cannot read h2load's report:\n{text}"))
    }
}

/// Reads the two lines that count requests.
fn parse(text: &str) -> Option<H2LoadReport> {
    let counts = |name: &str| text.lines().find_map(|line| line.strip_prefix(name));
    let count = |counts: &str, what: &str| -> Option<u64> {
        let found = counts.split(", ").find_map(|count| count.trim().strip_suffix(what))?;
        found.trim().parse().ok()
    };
    let requests = counts("requests: ")?;
    let codes = counts("status codes: ")?;
    let wrong = count(codes, "4xx")? + count(codes, "5xx")?;
    Some(H2LoadReport {
        requests: count(requests, "succeeded")?,
        errors: count(requests, "failed")?.max(wrong),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: &str = "finished in 93.95ms, 212885.99 req/s, 8.12MB/s
requests: 20000 total, 20000 started, 20000 done, 19990 succeeded, 10 failed, 0 errored, 0 timeout
status codes: 19990 2xx, 0 3xx, 0 4xx, 10 5xx
";

    /// Breaks if failures count as work.
    #[test]
    fn requests_and_errors_are_told_apart() {
        assert_eq!(parse(REPORT), Some(H2LoadReport { requests: 19_990, errors: 10 }));
        assert_eq!(parse("requests: 1 total"), None);
    }
}
