//! The worker's side of a mailbox: a mailbox whose eventfd the worker's ring polls.
#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::io;
use std::os::fd::AsRawFd;
use std::rc::Rc;
use std::sync::Arc;

use crate::core::Core;
use crate::mailbox::{self, Sender};
use crate::single::readable;
use crate::sys::eventfd::EventFd;

/// Makes a mailbox for at most `messages_max` messages: the sender for any thread, and the part
/// that the worker turns into an [`Inbox`] with [`crate::Reactor::open_inbox`].
///
/// # Errors
/// No eventfd could be made.
pub fn channel<T: Send>(messages_max: usize) -> io::Result<(Sender<T>, InboxParts<T>)> {
    let eventfd = Arc::new(EventFd::new()?);
    let (sender, receiver) = mailbox::channel(messages_max, Arc::clone(&eventfd));
    Ok((sender, InboxParts { receiver, eventfd }))
}

/// The receiving half of a mailbox on its way to its worker.
#[derive(Debug)]
pub struct InboxParts<T> {
    receiver: mailbox::Receiver<T>,
    eventfd: Arc<EventFd>,
}

/// The receiving half of a mailbox on its worker.
#[derive(Debug)]
pub struct Inbox<T> {
    core: Rc<Core>,
    parts: InboxParts<T>,
    taken: VecDeque<T>,
}

impl<T> Inbox<T> {
    pub(crate) fn new(core: Rc<Core>, parts: InboxParts<T>) -> Self {
        Self { core, parts, taken: VecDeque::new() }
    }

    /// Waits for the next message. Dropping the future loses nothing.
    ///
    /// # Errors
    /// The ring could not poll the eventfd.
    pub async fn recv(&mut self) -> io::Result<T> {
        loop {
            if let Some(message) = self.taken.pop_front() {
                return Ok(message);
            }
            let eventfd = Arc::clone(&self.parts.eventfd);
            let fd = eventfd.as_raw_fd();
            readable(&self.core, fd, eventfd).await?;
            let taken = &mut self.taken;
            self.parts.receiver.receive(|message| taken.push_back(message));
        }
    }
}
