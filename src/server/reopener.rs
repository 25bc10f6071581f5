//! How the writers of the access logs are asked to open their files anew.
//!
//! The process' own log is what hears of a rotation; it asks the others through this.

use crossbeam_channel::Sender;

/// Opens the files of the access logs anew, from any thread: after a rotation.
#[derive(Debug, Clone, Default)]
pub(crate) struct Reopener(Vec<Sender<()>>);

impl Reopener {
    /// A writer that is asked through `writer`, which holds one request.
    pub(crate) fn add(&mut self, writer: Sender<()>) {
        self.0.push(writer);
    }

    /// Asks every writer. A file that cannot be opened is written on as it is, and counted.
    pub(crate) fn reopen(&self) {
        for writer in &self.0 {
            // Full: it has been asked and has not come to it yet. Closed: it has ended.
            let _ = writer.try_send(());
        }
    }
}
