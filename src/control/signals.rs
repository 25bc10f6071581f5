//! Signals, as Envoy hears them.
//!
//! SIGTERM and SIGINT ask for a shutdown. SIGHUP changes nothing and SIGUSR1 asks to reopen the
//! log files; there are none yet, so both are only taken: left alone they would end the process.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

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

    /// Waits for the next signal that asks for a shutdown, and names it. Cancel-safe.
    pub(crate) async fn next_shutdown(&mut self) -> &'static str {
        loop {
            tokio::select! {
                Some(()) = self.terminate.recv() => return "SIGTERM",
                Some(()) = self.interrupt.recv() => return "SIGINT",
                Some(()) = self.hang_up.recv() => tracing::warn!("caught and ignored SIGHUP"),
                Some(()) = self.user_1.recv() => {
                    tracing::warn!("caught SIGUSR1: there are no log files to reopen");
                }
                else => std::future::pending().await,
            }
        }
    }
}
