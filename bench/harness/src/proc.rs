//! Reads what the kernel counts per process and per core: `/proc/<pid>/stat`, `/proc/stat`,
//! `/proc/<pid>/smaps_rollup`.
//!
//! The sum utime + stime is scaled by the kernel to the exact run time of the process; the split
//! between the two is sampled at the timer tick and therefore advisory.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

/// CPU time of a set of processes since their start, in clock ticks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct CpuTicks {
    /// In user space; sampled, advisory.
    pub(crate) user: u64,
    /// In the kernel; sampled, advisory.
    pub(crate) system: u64,
}

/// Busy time of one core since boot, in clock ticks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct CoreTicks {
    /// Everything but idle, iowait and steal; interrupts included.
    pub(crate) busy: u64,
    /// Time that the hypervisor gave to others.
    pub(crate) steal: u64,
}

impl CoreTicks {
    /// What was counted since `earlier`.
    pub(crate) const fn since(self, earlier: Self) -> Self {
        Self {
            busy: self.busy.saturating_sub(earlier.busy),
            steal: self.steal.saturating_sub(earlier.steal),
        }
    }
}

impl CpuTicks {
    /// User and system time together.
    pub(crate) const fn total(self) -> u64 {
        self.user + self.system
    }

    /// What was used since `earlier`.
    pub(crate) const fn since(self, earlier: Self) -> Self {
        Self {
            user: self.user.saturating_sub(earlier.user),
            system: self.system.saturating_sub(earlier.system),
        }
    }
}

/// Clock ticks per second, the unit of all times here.
pub(crate) fn ticks_per_second() -> f64 {
    // 100 on every Linux of today; asking costs nothing and is exact in a float.
    #[expect(clippy::cast_precision_loss, reason = "a few hundred at most")]
    let ticks = rustix::param::clock_ticks_per_second() as f64;
    ticks
}

/// CPU time of all threads of all `pids`, together with what their ended threads used.
pub(crate) fn cpu_of(pids: &[u32]) -> Result<CpuTicks> {
    let mut sum = CpuTicks::default();
    for pid in pids {
        let path = format!("/proc/{pid}/stat");
        let text = fs::read_to_string(&path).with_context(|| format!("{path}: process is gone"))?;
        let stat = parse_process_stat(&text).with_context(|| format!("{path}: no times in it"))?;
        sum.user += stat.cpu.user;
        sum.system += stat.cpu.system;
    }
    Ok(sum)
}

/// Busy time of core `core`.
pub(crate) fn core(core: usize) -> Result<CoreTicks> {
    let text = fs::read_to_string("/proc/stat").context("read /proc/stat")?;
    parse_core_stat(&text, core).with_context(|| format!("/proc/stat: no line for core {core}"))
}

/// Resident memory of all `pids` in bytes. Pages that two of them share count twice.
pub(crate) fn resident_of(pids: &[u32]) -> Result<u64> {
    let mut sum = 0;
    for pid in pids {
        let path = format!("/proc/{pid}/smaps_rollup");
        let text = fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
        sum += parse_resident(&text).with_context(|| format!("{path}: no Rss line"))?;
    }
    Ok(sum)
}

/// `root` and every process that descends from it, `root` first.
pub(crate) fn family_of(root: u32) -> Result<Vec<u32>> {
    let mut parents = Vec::new();
    for entry in fs::read_dir("/proc").context("read /proc")? {
        let path = entry.context("read /proc")?.path();
        // A process may end while we look; then it is none of ours.
        if let Some(pair) = pid_and_parent(&path) {
            parents.push(pair);
        }
    }
    let mut family = vec![root];
    let mut next = 0;
    while let Some(&parent) = family.get(next) {
        family.extend(parents.iter().filter(|(_, p)| *p == parent).map(|(pid, _)| *pid));
        next += 1;
    }
    Ok(family)
}

fn pid_and_parent(path: &Path) -> Option<(u32, u32)> {
    let pid = path.file_name()?.to_str()?.parse().ok()?;
    let stat = parse_process_stat(&fs::read_to_string(path.join("stat")).ok()?)?;
    Some((pid, stat.parent))
}

struct ProcessStat {
    parent: u32,
    cpu: CpuTicks,
}

/// proc_pid_stat(5). The command name stands in brackets and may hold blanks and brackets itself,
/// so fields are counted from the last closing bracket.
fn parse_process_stat(text: &str) -> Option<ProcessStat> {
    let (_, rest) = text.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    // `state` is field 3 and index 0 here; ppid is field 4, utime 14, stime 15.
    Some(ProcessStat {
        parent: fields.get(1)?.parse().ok()?,
        cpu: CpuTicks {
            user: fields.get(11)?.parse().ok()?,
            system: fields.get(12)?.parse().ok()?,
        },
    })
}

/// proc_stat(5): user nice system idle iowait irq softirq steal guest guest_nice; the guest times
/// are already inside user and nice.
fn parse_core_stat(text: &str, core: usize) -> Option<CoreTicks> {
    let name = format!("cpu{core}");
    let line = text.lines().find(|line| line.split_ascii_whitespace().next() == Some(&name))?;
    let fields: Option<Vec<u64>> =
        line.split_ascii_whitespace().skip(1).map(|field| field.parse().ok()).collect();
    let fields = fields?;
    let at = |index: usize| fields.get(index).copied();
    Some(CoreTicks { busy: at(0)? + at(1)? + at(2)? + at(5)? + at(6)?, steal: at(7)? })
}

fn parse_resident(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("Rss:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Breaks if a process called `a) b (c` shifts the fields and other numbers are taken for time.
    #[test]
    fn process_times_survive_an_odd_name() {
        let text = "42 (a) b (c) S 7 42 42 0 -1 4194304 1 2 3 4 150 250 9 9 20 0 1 0 5 6 7";
        let stat = parse_process_stat(text).unwrap();
        assert_eq!(stat.parent, 7);
        assert_eq!(stat.cpu, CpuTicks { user: 150, system: 250 });
        assert!(parse_process_stat("42 (cut off) S 7").is_none());
    }

    /// Breaks if core 1 is read where core 10 or the sum of all cores stands.
    #[test]
    fn core_line_is_found_by_its_whole_name() {
        let text =
            "cpu  9 9 9 9 9 9 9 9 0 0\ncpu10 8 8 8 8 8 8 8 8 0 0\ncpu1 1 2 4 8 16 32 64 128 0 0\n";
        assert_eq!(core_ticks(text, 1), (1 + 2 + 4 + 32 + 64, 128));
        assert!(parse_core_stat(text, 2).is_none());
    }

    fn core_ticks(text: &str, core: usize) -> (u64, u64) {
        let ticks = parse_core_stat(text, core).unwrap();
        (ticks.busy, ticks.steal)
    }

    /// Breaks if memory is read from the wrong line or in the wrong unit.
    #[test]
    fn resident_memory_is_in_bytes() {
        let text = "00400000-7fff ---p 0 [rollup]\nRss:                1234 kB\nPss:  1 kB\n";
        assert_eq!(parse_resident(text), Some(1234 * 1024));
    }

    /// Breaks if a master's worker is overlooked and its CPU time is lost.
    #[test]
    fn own_process_is_in_its_own_family() {
        let me = std::process::id();
        assert_eq!(family_of(me).unwrap().first(), Some(&me));
        assert!(resident_of(&[me]).unwrap() > 100_000);
        cpu_of(&[me]).unwrap();
    }
}
