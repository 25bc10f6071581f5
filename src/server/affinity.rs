//! Which worker runs on which core.
//!
//! Workers are pinned only if there is exactly one for each core this process may use. With fewer,
//! any choice of ours could be wrong: two processes with one worker each would both take the first
//! core. There the operator chooses (`taskset`, a cpuset), which makes the numbers equal again.

use core_affinity::CoreId;

/// The core of each worker, or `None` if workers are to run wherever the kernel puts them.
pub(crate) fn cores(workers: usize) -> Option<Vec<CoreId>> {
    core_affinity::get_core_ids().filter(|allowed| allowed.len() == workers)
}

/// The same as the kernel's numbers.
pub(crate) fn cpus(workers: usize) -> Option<Vec<u32>> {
    let cpus = cores(workers)?.into_iter().map(|core| u32::try_from(core.id).unwrap_or(u32::MAX));
    Some(cpus.collect())
}

/// Pins the calling thread. A refusal costs speed only, so it is logged and nothing more.
pub(crate) fn pin(core: CoreId) {
    if !core_affinity::set_for_current(core) {
        tracing::warn!(core = core.id, "cannot pin a worker to its core");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_are_pinned_if_there_is_one_for_each_core_and_not_otherwise() {
        let allowed = core_affinity::get_core_ids().unwrap();
        assert_eq!(cores(allowed.len()), Some(allowed.clone()));
        assert_eq!(cores(allowed.len() + 1), None);
        assert_eq!(cores(allowed.len() - 1).filter(|_| allowed.len() > 1), None);
    }
}
