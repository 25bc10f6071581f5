//! The control loop: signals, admin, and the one callback to `server`.
//!
//! Invariant: signals are taken over in [`Control::new`], before a worker can start, so that no
//! signal meets its default action while connections are open.

use std::io;
use std::net::TcpListener;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use config::RuntimeSnapshot;
use observe::{Registry, Shard};
use tokio::runtime::Runtime;
use tokio::sync::{Notify, watch};
use tokio::task::{LocalSet, spawn_local};

use crate::admin::{Admin, Configured, Drain, Levers, Limits, ServerInfo, View};
use crate::log::LogControl;
use crate::order::{Order, Shutdown};
use crate::outliers::{EventLog, Outliers};
use crate::runtime::Runtime as Values;
use crate::signals::{Heard, Signals};
use crate::state::Handle;

/// What the control loop needs.
#[derive(Debug)]
pub struct Options {
    /// The bound admin listener; `None` if the configuration has no `admin`.
    pub admin: Option<TcpListener>,
    /// Bounds of the admin listener.
    pub limits: Limits,
    /// Where `/stats` reads.
    pub registry: Registry,
    /// Control's shard of `registry`, for the stats of the process and of the admin listener.
    pub shard: Shard,
    /// What `/server_info` shows.
    pub info: ServerInfo,
    /// The log, for its levels and its file.
    pub log: Arc<dyn LogControl>,
    /// What the process runs.
    pub configured: Configured,
    /// The layers of the runtime.
    pub runtime: config::model::Runtime,
    /// Where the events of outlier detection go, if anywhere.
    pub outlier_log: Option<EventLog>,
    /// How long a graceful drain of listeners takes: `--drain-time-s`.
    pub drain_time: Duration,
}

/// The control loop, not running yet.
#[derive(Debug)]
pub struct Control {
    runtime: Runtime,
    tasks: LocalSet,
    signals: Signals,
    admin: Option<Admin>,
    /// Rung by `POST /quitquitquit`.
    quit: Rc<Notify>,
    log: Arc<dyn LogControl>,
    drain: Rc<Drain>,
    values: Rc<Values>,
    outliers: Rc<Outliers>,
    handle: Handle,
}

impl Control {
    /// Takes over the signals and the admin listener. Uptime counts from here.
    ///
    /// # Errors
    /// When the kernel refuses the event loop or a signal handler.
    pub fn new(options: Options) -> io::Result<Self> {
        let Options {
            admin,
            limits,
            registry,
            shard,
            info,
            log,
            configured,
            runtime,
            outlier_log,
            drain_time,
        } = options;
        let values = Values::new(runtime, &info.node.cluster, &registry, &shard);
        let outliers = Outliers::new(&configured.clusters, &shard, &values, outlier_log);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let entered = runtime.enter();
        let signals = Signals::install()?;
        let handle = Handle::new();
        let quit = Rc::new(Notify::new());
        let drain = Rc::new(Drain::new(drain_time));
        let levers = Levers {
            handle: handle.clone(),
            quit: Rc::clone(&quit),
            log: Arc::clone(&log),
            drain: Rc::clone(&drain),
            runtime: Rc::clone(&values),
            outliers: Rc::clone(&outliers),
        };
        let view = View::new(registry, &shard, info, configured, levers);
        let admin = admin.map(|listener| Admin::new(listener, limits, view)).transpose()?;
        drop(entered);
        Ok(Self {
            runtime,
            tasks: LocalSet::new(),
            signals,
            admin,
            quit,
            log,
            drain,
            values,
            outliers,
            handle,
        })
    }

    /// For `server` to set the state and to end the loop.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Calls `follower` with what the runtime says, now and whenever it says something else; on the
    /// thread that runs the loop, where it must not block. The shard is control's.
    pub fn follow_runtime(&self, follower: impl Fn(&RuntimeSnapshot, &Shard) + 'static) {
        self.values.follow(follower);
    }

    /// Runs on the calling thread until [`Handle::stop`]. `on_order` is called on this thread when
    /// something is asked for, by a signal or on an admin page; it must not block.
    pub fn run(self, mut on_order: impl FnMut(Order)) {
        let Self { runtime, tasks, mut signals, admin, quit, log, .. } = self;
        let Self { drain, values, outliers, handle, .. } = self;
        tasks.block_on(&runtime, async {
            let (closing, closed) = watch::channel(false);
            let serving = spawn_local(async move {
                if let Some(admin) = admin {
                    admin.serve(closed).await;
                }
            });
            // Ends with the set of tasks that it is in.
            if values.has_disk_layers() {
                spawn_local(async move { values.watch().await });
            }
            outliers.start();
            let mut asked = false;
            let mut closed_before = None;
            loop {
                tokio::select! {
                    () = handle.stopped() => break,
                    heard = signals.next() => match heard {
                        Heard::Shutdown(signal) => {
                            tracing::info!(signal, second = asked, "shutdown requested");
                            let now = if asked { Shutdown::Now } else { Shutdown::Graceful };
                            on_order(Order::Shutdown(now));
                            asked = true;
                        }
                        Heard::ReopenLogs => log.reopen(),
                    },
                    () = quit.notified() => {
                        tracing::info!("shutdown requested by /quitquitquit");
                        if !asked {
                            on_order(Order::Shutdown(Shutdown::Graceful));
                        }
                        asked = true;
                    }
                    () = outliers.ejected.notified() => on_order(Order::DrainEjected),
                    listeners = drain.next() => {
                        if closed_before < Some(listeners) {
                            tracing::info!(?listeners, "closing listeners");
                            closed_before = Some(listeners);
                            on_order(Order::Close(listeners));
                        }
                    }
                }
            }
            closing.send_replace(true);
            if let Err(error) = serving.await {
                tracing::error!(%error, "the admin server failed");
            }
        });
    }
}

#[cfg(test)]
mod tests;
