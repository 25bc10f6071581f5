//! `/drain_listeners`: stop accepting, now or after a while; what is open goes on.
//!
//! ```text
//! no parameter        listeners close now
//! graceful            listeners close after the drain time, which connections use to end
//! skip_exit           connections are told to end as with graceful; listeners stay
//! inboundonly         any of these for listeners of traffic_direction INBOUND only
//! ```
//! A drain under way is not begun a second time, also not by a request that would end otherwise,
//! unless it is for more listeners: as in Envoy. The process does not end by this, and is as ready
//! as before.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::spawn_local;
use tokio::time::sleep;

use super::page::{Page, Query};
use super::view::View;
use crate::order::Listeners;

/// What `/help` says about the parameters.
pub(crate) const PARAMETERS: &[(&str, &str)] = &[
    (
        "graceful",
        "When draining listeners, enter a graceful drain period prior to closing listeners. This \
         behaviour and duration is configurable via server options or CLI",
    ),
    (
        "skip_exit",
        "When draining listeners, drain the connections but never stop the listeners. The \
         graceful parameter has no effect when this is set, since the drain period only delays \
         stopping the listeners",
    ),
    (
        "inboundonly",
        "Drains all inbound listeners. traffic_direction field in \
         envoy_v3_api_msg_config.listener.v3.Listener is used to determine whether a listener is \
         inbound or outbound.",
    ),
];

/// How far the draining of listeners has come.
#[derive(Debug)]
pub(crate) struct Drain {
    /// How long a graceful drain takes.
    time: Duration,
    /// For which listeners a graceful drain has begun; it stays begun.
    begun: Cell<Option<Listeners>>,
    /// Which listeners are to close, not told to `server` yet.
    closing: Cell<Option<Listeners>>,
    asked: Notify,
}

impl Drain {
    pub(crate) fn new(time: Duration) -> Self {
        Self { time, begun: Cell::new(None), closing: Cell::new(None), asked: Notify::new() }
    }

    /// Waits until listeners are to close.
    pub(crate) async fn next(&self) -> Listeners {
        loop {
            if let Some(listeners) = self.closing.take() {
                return listeners;
            }
            self.asked.notified().await;
        }
    }

    fn close(&self, listeners: Listeners) {
        // `All` comes behind `Inbound`: the larger one is both.
        self.closing.set(self.closing.get().max(Some(listeners)));
        self.asked.notify_one();
    }

    /// Whether this begins a drain: `None` if one for as many listeners has begun before.
    fn begin(&self, listeners: Listeners) -> bool {
        let begins = self.begun.get() < Some(listeners);
        if begins {
            self.begun.set(Some(listeners));
        }
        begins
    }
}

/// To be called inside the control loop, which the delay runs on.
pub(crate) fn drain_listeners(view: &Rc<View>, query: &Query) -> Page {
    let drain = view.drain();
    let listeners = if query.has("inboundonly") { Listeners::Inbound } else { Listeners::All };
    let skip_exit = query.has("skip_exit");
    if !skip_exit && !query.has("graceful") {
        drain.close(listeners);
    } else if drain.begin(listeners) && !skip_exit {
        let drain = Rc::clone(drain);
        // At most two of these: a drain of inbound listeners, then one of all.
        spawn_local(async move {
            sleep(drain.time).await;
            drain.close(listeners);
        });
    }
    Page::done()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drain_begins_once_and_again_only_for_more_listeners() {
        let drain = Drain::new(Duration::ZERO);
        assert!(drain.begin(Listeners::Inbound));
        assert!(!drain.begin(Listeners::Inbound));
        assert!(drain.begin(Listeners::All));
        assert!(!drain.begin(Listeners::All));
        assert!(!drain.begin(Listeners::Inbound));
    }

    #[test]
    fn what_is_to_close_is_told_once_and_as_a_whole() {
        let drain = Drain::new(Duration::ZERO);
        drain.close(Listeners::All);
        drain.close(Listeners::Inbound);
        assert_eq!(drain.closing.take(), Some(Listeners::All));
        assert_eq!(drain.closing.take(), None);
    }
}
