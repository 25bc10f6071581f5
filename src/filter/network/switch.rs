//! A switch of a filter that the runtime may turn while the process runs.

use std::sync::atomic::{AtomicBool, Ordering};

use config::RuntimeSnapshot;
use config::model::RuntimeFlag;

/// On or off, for all workers.
#[derive(Debug)]
pub(super) struct Switch {
    flag: RuntimeFlag,
    is_on: AtomicBool,
}

impl Switch {
    /// As it is without a value of the runtime.
    pub(super) fn new(flag: RuntimeFlag) -> Self {
        let is_on = AtomicBool::new(flag.default);
        Self { flag, is_on }
    }

    /// Turns it as `runtime` says.
    pub(super) fn follow_runtime(&self, runtime: &RuntimeSnapshot) {
        self.is_on.store(runtime.flag(&self.flag), Ordering::Relaxed);
    }

    pub(super) fn is_on(&self) -> bool {
        self.is_on.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use config::{RuntimeEntry, RuntimeValues};

    use super::*;

    #[test]
    fn the_runtime_turns_a_switch_and_takes_its_value_back() {
        let runtime = |value: Option<&str>| {
            let entry = |text: &str| ("k".to_owned(), RuntimeEntry::parse(text));
            let values = value.map(entry).into_iter().collect();
            RuntimeSnapshot::new(vec![RuntimeValues { name: String::new(), values }])
        };
        let switch = Switch::new(RuntimeFlag { key: "k".to_owned(), default: true });
        assert!(switch.is_on());
        switch.follow_runtime(&runtime(Some("false")));
        assert!(!switch.is_on());
        switch.follow_runtime(&runtime(None));
        assert!(switch.is_on());
    }
}
