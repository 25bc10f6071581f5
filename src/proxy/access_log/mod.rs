//! Access logs on the data path: who writes a line, and the buffers that lines wait in.
//!
//! ```text
//! worker:  record --filter, format--> buffer --full, or time--> batch --+
//!                                        ^                              | channel
//!                                        +------- empty buffer <--------+-- writer (server)
//! ```
//! [`Plan`] is made once from the configuration; [`WorkerLogs`] is one worker's part of it; an
//! [`AccessLogs`] is the list of one listener or filter. Files are opened and written by `server`,
//! on threads that may wait: a full disk or a reader that has stopped costs a worker nothing.
//!
//! **Invariant:** of one worker and one sink at most one batch is with the writer, so lines of one
//! worker stay in order and at most twice [`BUFFER_BYTES_MAX`] are held.
//! **Invariant:** a line that finds no room is dropped and counted, whole.

mod plan;
mod sink;

use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use observe::access_log::Record;

pub use plan::{Plan, Problem};
pub use sink::{BUFFER_BYTES_MAX, Batch, Buffer, LogSettings, Outlets, WorkerLogs, Written};

use plan::Compiled;
use sink::Sink;

use crate::random::Random;

/// One access log of a listener or filter, on one worker.
pub(crate) struct AccessLog {
    compiled: Arc<Compiled>,
    sink: Rc<Sink>,
    random: Rc<Random>,
}

/// The access logs of one listener or filter, on one worker.
#[derive(Debug, Clone)]
pub struct AccessLogs(Rc<[AccessLog]>);

impl AccessLogs {
    pub(crate) fn new(logs: Vec<AccessLog>) -> Self {
        Self(logs.into())
    }

    /// Whether nobody wants a record.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Writes a line of `record` to each log whose filter it passes. Neither waits nor allocates
    /// while the buffers have room.
    pub fn log(&self, record: &Record<'_>) {
        for log in self.0.iter() {
            log.log(record);
        }
    }
}

impl AccessLog {
    fn log(&self, record: &Record<'_>) {
        let Compiled { filter, format, .. } = &*self.compiled;
        let random = &mut || self.random.number();
        if filter.as_ref().is_none_or(|filter| filter.passes(record, random)) {
            self.sink.write(|buffer| format.write_line(record, buffer));
        }
    }
}

impl fmt::Debug for AccessLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessLog").field("sink", &self.sink).finish_non_exhaustive()
    }
}
