//! The mailbox with its real queue and a real eventfd.
#![forbid(unsafe_code)]

use std::rc::Rc;
use std::sync::atomic::AtomicUsize;
use std::thread;

use super::*;

/// Counts signals instead of waking anybody.
#[derive(Default)]
struct Counted {
    signals: AtomicUsize,
}

impl Notify for Counted {
    fn signal(&self) {
        self.signals.fetch_add(1, Ordering::Relaxed);
    }

    fn drain(&self) {}
}

fn received<T>(receiver: &mut Receiver<T>) -> Vec<T> {
    let mut messages = Vec::new();
    let count = receiver.receive(|message| messages.push(message));
    assert_eq!(count, messages.len());
    messages
}

#[test]
fn a_burst_costs_one_signal() {
    let notify = Arc::new(Counted::default());
    let (sender, mut receiver) = channel(8, Arc::clone(&notify));
    for message in 0..5 {
        sender.send(message).unwrap();
    }
    assert_eq!(notify.signals.load(Ordering::Relaxed), 1);
    assert_eq!(received(&mut receiver), [0, 1, 2, 3, 4]);
    sender.send(5).unwrap();
    assert_eq!(notify.signals.load(Ordering::Relaxed), 2);
}

#[test]
fn a_full_mailbox_gives_the_message_back_until_there_is_room() {
    let (sender, mut receiver) = channel(2, Counted::default());
    sender.send(1).unwrap();
    sender.clone().send(2).unwrap();
    assert_eq!(sender.send(3), Err(SendError::Full(3)));
    assert_eq!(received(&mut receiver), [1, 2]);
    sender.send(3).unwrap();
    assert_eq!(received(&mut receiver), [3]);
}

#[test]
fn a_sender_without_a_receiver_gets_its_message_back() {
    let (sender, receiver) = channel(2, Counted::default());
    drop(receiver);
    assert_eq!(sender.send("kept"), Err(SendError::Closed("kept")));
}

#[test]
fn what_is_queued_is_dropped_with_the_receiver() {
    let message = Arc::new(());
    let (sender, receiver) = channel(2, Counted::default());
    sender.send(Arc::clone(&message)).unwrap();
    drop(receiver);
    assert_eq!(Arc::strong_count(&message), 1);
}

#[test]
fn a_handler_that_sends_to_its_own_mailbox_does_not_keep_the_worker_there() {
    let notify = Arc::new(Counted::default());
    let (sender, mut receiver) = channel(4, Arc::clone(&notify));
    sender.send(0).unwrap();
    let count = receiver.receive(|message: u32| sender.send(message + 1).unwrap());
    assert_eq!(count, 1);
    // The message sent from inside signalled, so the worker comes back for it.
    assert_eq!(notify.signals.load(Ordering::Relaxed), 2);
    assert_eq!(received(&mut receiver), [1]);
}

#[test]
fn a_handler_may_keep_what_cannot_leave_its_thread() {
    let (sender, mut receiver) = channel(4, Counted::default());
    sender.send(7).unwrap();
    let kept = Rc::new(std::cell::Cell::new(0));
    receiver.receive(|message| kept.set(message));
    assert_eq!(kept.get(), 7);
}

#[test]
fn threads_that_send_through_an_eventfd_lose_nothing() {
    const SENDERS: usize = 4;
    const MESSAGES: usize = 5_000;
    let event = Arc::new(EventFd::new().unwrap());
    let (sender, mut receiver) = channel(64, Arc::clone(&event));
    thread::scope(|scope| {
        for first in 0..SENDERS {
            let sender = sender.clone();
            scope.spawn(move || {
                for message in 0..MESSAGES {
                    let mut message = first * MESSAGES + message;
                    while let Err(SendError::Full(returned)) = sender.send(message) {
                        message = returned;
                        thread::yield_now();
                    }
                }
            });
        }
        let mut next = [0; SENDERS];
        let mut count = 0;
        while count < SENDERS * MESSAGES {
            // A lost wake-up would leave the eventfd unreadable for good.
            assert!(event.poll_for_test(10_000), "no signal after {count} messages");
            receiver.receive(|message| {
                let (sender, number) = (message / MESSAGES, message % MESSAGES);
                assert_eq!(number, next[sender], "out of order");
                next[sender] += 1;
                count += 1;
            });
        }
    });
}
