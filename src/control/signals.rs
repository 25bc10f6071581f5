//! Signals, as Envoy hears them.
//!
//! SIGTERM and SIGINT ask for a shutdown, SIGUSR1 asks to reopen the log files. SIGHUP changes
//! nothing and is only taken: left alone it would end the process.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// What a signal asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Heard {
    /// This signal asks for a shutdown.
    Shutdown(&'static str),
    ReopenLogs,
}

#[derive(Debug)]
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
    user_1: Signal,
}

impl Signals {
    /// Takes the signals over from their default actions, for the rest of the process' life.
    /// To be called inside a tokio runtime.
    pub(crate) fn install() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
            user_1: signal(SignalKind::user_defined1())?,
        })
    }

    /// Waits for the next signal that asks for something. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Heard {
        loop {
            tokio::select! {
                Some(()) = self.terminate.recv() => return Heard::Shutdown("SIGTERM"),
                Some(()) = self.interrupt.recv() => return Heard::Shutdown("SIGINT"),
                Some(()) = self.user_1.recv() => return Heard::ReopenLogs,
                Some(()) = self.hang_up.recv() => tracing::warn!("caught and ignored SIGHUP"),
                else => std::future::pending().await,
            }
        }
    }
}
