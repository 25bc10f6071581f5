//! A memory control group per proxy, so that its kernel memory (sockets, ring requests, pipe pages)
//! counts as well. Best effort: without the right to make one, only resident memory is reported.
//!
//! Works on the memory controller of cgroup v1 and on cgroup v2.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// One group that this process made; removed on drop, when its processes are gone.
#[derive(Debug)]
pub(crate) struct MemoryGroup {
    directory: PathBuf,
    version: Version,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    One,
    Two,
}

/// What a group's processes and the kernel on their behalf hold, in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    /// All of it; page cache included.
    pub(crate) total: u64,
    /// The kernel's part: slab, stacks, page tables and the like.
    pub(crate) kernel: u64,
}

impl MemoryGroup {
    /// Makes a group called `name` below this process's own group, or says why not.
    pub(crate) fn create(name: &str) -> io::Result<Self> {
        let (parent, version) = own_group()?;
        let directory = parent.join(name);
        fs::create_dir(&directory)?;
        let group = Self { directory, version };
        // On v2 the group exists even where its parent does not pass the memory controller on.
        group.usage()?;
        Ok(group)
    }

    /// The file that a process writes its pid to in order to join.
    pub(crate) fn join_file(&self) -> PathBuf {
        self.directory.join("cgroup.procs")
    }

    /// Reads the present use.
    pub(crate) fn usage(&self) -> io::Result<Usage> {
        match self.version {
            Version::One => Ok(Usage {
                total: read_number(&self.directory.join("memory.usage_in_bytes"))?,
                kernel: read_number(&self.directory.join("memory.kmem.usage_in_bytes"))?,
            }),
            Version::Two => Ok(Usage {
                total: read_number(&self.directory.join("memory.current"))?,
                kernel: read_statistic(&self.directory.join("memory.stat"), "kernel")?,
            }),
        }
    }
}

impl Drop for MemoryGroup {
    fn drop(&mut self) {
        // Nothing to be done if it fails: an empty group holds no memory, and it names its maker's
        // pid.
        let _ = fs::remove_dir(&self.directory);
    }
}

fn own_group() -> io::Result<(PathBuf, Version)> {
    let memberships = fs::read_to_string("/proc/self/cgroup")?;
    let mounts = fs::read_to_string("/proc/self/mounts")?;
    locate(&memberships, &mounts)
        .ok_or_else(|| io::Error::other("no memory controller of cgroups is mounted"))
}

/// Finds the directory of this process's group in the texts of cgroups(7) and proc_mounts(5).
fn locate(memberships: &str, mounts: &str) -> Option<(PathBuf, Version)> {
    let path_of = |wanted: fn(&str, &str) -> bool| {
        memberships.lines().find_map(|line| {
            let mut parts = line.splitn(3, ':');
            let (hierarchy, controllers) = (parts.next()?, parts.next()?);
            let path = parts.next()?;
            wanted(hierarchy, controllers).then(|| path.trim_start_matches('/').to_owned())
        })
    };
    let mount_of = |kind: &str, option: &str| {
        mounts.lines().find_map(|line| {
            let fields: Vec<&str> = line.split_ascii_whitespace().collect();
            let [_, target, found, options, ..] = fields[..] else {
                return None;
            };
            let fits =
                found == kind && (option.is_empty() || options.split(',').any(|o| o == option));
            fits.then(|| PathBuf::from(target))
        })
    };
    if let Some(path) = path_of(|_, controllers| controllers.split(',').any(|c| c == "memory")) {
        return Some((mount_of("cgroup", "memory")?.join(path), Version::One));
    }
    let path = path_of(|hierarchy, controllers| hierarchy == "0" && controllers.is_empty())?;
    Some((mount_of("cgroup2", "")?.join(path), Version::Two))
}

fn read_number(path: &Path) -> io::Result<u64> {
    let text = fs::read_to_string(path)?;
    text.trim().parse().map_err(|_| io::Error::other(format!("{}: not a number", path.display())))
}

fn read_statistic(path: &Path, name: &str) -> io::Result<u64> {
    let text = fs::read_to_string(path)?;
    text.lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok())
        .ok_or_else(|| io::Error::other(format!("{}: no line '{name}'", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Breaks if a mixed machine (v1 controllers beside a v2 tree) is measured in the wrong tree.
    #[test]
    fn version_one_wins_where_it_owns_memory() {
        let memberships = "5:devices:/\n4:memory:/jobs/a\n0::/\n";
        let mounts = "cgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0\n\
                      cgroup /sys/fs/cgroup/memory cgroup rw,relatime,memory 0 0\n\
                      cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n";
        let found = locate(memberships, mounts).unwrap();
        assert_eq!(found, (PathBuf::from("/sys/fs/cgroup/memory/jobs/a"), Version::One));
    }

    /// Breaks if a plain v2 machine is taken for one without cgroups.
    #[test]
    fn version_two_alone() {
        let mounts = "cgroup2 /sys/fs/cgroup cgroup2 rw,nosuid 0 0\n";
        let found = locate("0::/user.slice/x.scope\n", mounts).unwrap();
        assert_eq!(found, (PathBuf::from("/sys/fs/cgroup/user.slice/x.scope"), Version::Two));
        assert!(locate("0::/\n", "proc /proc proc rw 0 0\n").is_none());
    }
}
