//! What the operator may want of `server`, by a signal or on an admin page.

/// What the operator wants of `server`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// End the process.
    Shutdown(Shutdown),
    /// Close these listeners; connections go on. Asked for more listeners each time, so at most
    /// twice.
    Close(Listeners),
    /// Tell the workers that a host was ejected. Any number of times.
    DrainEjected,
}

/// Which listeners.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Listeners {
    /// Those whose `traffic_direction` is `INBOUND`.
    Inbound,
    /// Every one.
    All,
}

/// How `server` is asked to shut down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shutdown {
    /// Finish what is under way, within the grace period. Asked once.
    Graceful,
    /// Stop at once: a second signal came.
    Now,
}
