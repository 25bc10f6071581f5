//! Small HTTP/1 requests by `wrk`, as a child process, and the reading of its report.

use std::net::SocketAddr;
use std::path::Path;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::arm::Launch;
use crate::process::{require_program, run_to_end};
use crate::workload::Workload;

/// Time beyond the load's own that `wrk` may take to connect and to print.
const SLACK: Duration = Duration::from_secs(20);

/// A running `wrk`.
#[derive(Debug)]
pub(crate) struct WrkLoad {
    thread: JoinHandle<Result<String>>,
}

/// What `wrk` says about its whole run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct WrkReport {
    /// Median latency in microseconds.
    pub(crate) p50: f64,
    /// 99th percentile of latency in microseconds.
    pub(crate) p99: f64,
    /// Requests with an answer.
    pub(crate) requests: u64,
    /// Failed connects, reads and writes, timeouts, and answers other than 2xx and 3xx.
    pub(crate) errors: u64,
}

impl WrkLoad {
    /// Starts `wrk` on `core` for `seconds`.
    pub(crate) fn start(
        proxy: SocketAddr,
        work: Workload,
        core: usize,
        seconds: u32,
    ) -> Result<Self> {
        require_program(Path::new("wrk"), "install the Debian package wrk")?;
        let mut arguments = vec![
            "--threads=1".to_owned(),
            format!("--connections={}", work.connections),
            format!("--duration={seconds}s"),
            "--timeout=5s".to_owned(),
            "--latency".to_owned(),
        ];
        if work.kind.is_new_connection() {
            arguments.push("--header=Connection: close".to_owned());
        }
        arguments.push(format!("http://{proxy}/"));
        let launch = Launch::new("wrk", arguments);
        let limit = Duration::from_secs(u64::from(seconds)) + SLACK;
        let thread = thread::Builder::new()
            .name("wrk".to_owned())
            .spawn(move || run_to_end(&launch, core, limit))
            .context("start the thread that waits for wrk")?;
        Ok(Self { thread })
    }

    /// Waits for the end of the load.
    pub(crate) fn finish(self) -> Result<WrkReport> {
        let text =
            self.thread.join().map_err(|_| anyhow::anyhow!("the thread around wrk panicked"))??;
        parse(&text).with_context(|| format!("cannot read wrk's report:\n{text}"))
    }
}

/// Reads the report of `wrk --latency`. Lines about errors are only there when there were some.
fn parse(text: &str) -> Option<WrkReport> {
    let percentile = |name: &str| {
        text.lines().find_map(|line| microseconds(line.trim().strip_prefix(name)?.trim()))
    };
    let mut errors = 0;
    for line in text.lines().map(str::trim) {
        if let Some(counts) = line.strip_prefix("Socket errors:") {
            for count in counts.split(',') {
                errors += count.split_ascii_whitespace().nth(1)?.parse::<u64>().ok()?;
            }
        } else if let Some(count) = line.strip_prefix("Non-2xx or 3xx responses:") {
            errors += count.trim().parse::<u64>().ok()?;
        }
    }
    // Without a single answer there is no such line, and the percentiles would be zeros.
    let answered = text.lines().any(|line| line.trim_start().starts_with("Requests/sec:"));
    let requests = text.lines().find_map(|line| line.trim().split_once(" requests in "))?.0;
    let requests = requests.parse().ok()?;
    let report = WrkReport { p50: percentile("50%")?, p99: percentile("99%")?, requests, errors };
    answered.then_some(report)
}

/// `1.23ms`, `640.00us`, `2.10s`, `1.50m`.
fn microseconds(text: &str) -> Option<f64> {
    let split = text.find(|c: char| c.is_ascii_alphabetic())?;
    let (number, unit) = text.split_at(split);
    let factor = match unit {
        "us" => 1.0,
        "ms" => 1e3,
        "s" => 1e6,
        "m" => 60e6,
        _ => return None,
    };
    Some(number.parse::<f64>().ok()? * factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: &str = "Running 5s test @ http://127.0.0.1:1/
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     1.02ms  300.10us   9.10ms   90.12%
    Req/Sec    62.10k     3.00k   70.00k    70.00%
  Latency Distribution
     50%  990.00us
     75%    1.10ms
     90%    1.30ms
     99%    2.25ms
  309211 requests in 5.00s, 45.10MB read
Requests/sec:  61842.20
Transfer/sec:      9.02MB
";

    /// Breaks if a latency is off by a factor of thousand.
    #[test]
    fn percentiles_are_in_microseconds() {
        assert_eq!(
            parse(REPORT),
            Some(WrkReport { p50: 990.0, p99: 2250.0, requests: 309_211, errors: 0 })
        );
        assert_eq!(microseconds("1.50m"), Some(90e6));
        assert_eq!(microseconds("2.10s"), Some(2.1e6));
    }

    /// Breaks if a proxy that fails requests looks fast.
    #[test]
    fn every_kind_of_error_counts() {
        let text = format!(
            "{REPORT}  Socket errors: connect 1, read 20, write 300, timeout 4000\n  \
             Non-2xx or 3xx responses: 50000\n"
        );
        assert_eq!(parse(&text).unwrap().errors, 54_321);
    }

    /// Breaks if a cut report is taken for a measurement.
    #[test]
    fn half_a_report_is_none() {
        assert_eq!(parse(&REPORT[..REPORT.len() / 2]), None);
        assert_eq!(parse(""), None);
    }
}
