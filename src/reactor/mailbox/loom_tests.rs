//! Every interleaving of senders and receiver, run by loom (`scripts/loom`).
//!
//! The last tests plant the two mistakes that lose a wake-up: loom must find them, or the others
//! prove nothing.
#![forbid(unsafe_code)]

use loom::sync::{Condvar, Mutex};
use loom::thread;

use super::*;

/// An eventfd made of loom's parts: readable from a signal to a drain.
#[derive(Default)]
struct Event {
    readable: Mutex<bool>,
    signalled: Condvar,
}

impl Event {
    fn wait_readable(&self) {
        let mut readable = self.readable.lock().unwrap();
        while !*readable {
            readable = self.signalled.wait(readable).unwrap();
        }
    }

    fn is_readable(&self) -> bool {
        *self.readable.lock().unwrap()
    }
}

impl Notify for Event {
    fn signal(&self) {
        *self.readable.lock().unwrap() = true;
        self.signalled.notify_one();
    }

    fn drain(&self) {
        *self.readable.lock().unwrap() = false;
    }
}

fn mailbox(messages_max: usize) -> (Sender<u32>, Receiver<u32>, Arc<Event>) {
    let event = Arc::new(Event::default());
    let (sender, receiver) = channel(messages_max, Arc::clone(&event));
    (sender, receiver, event)
}

/// A worker that sleeps until it is signalled: it hangs, and loom says so, if a wake-up is lost.
fn receive_exactly(receiver: &mut Receiver<u32>, event: &Event, count: usize) -> Vec<u32> {
    let mut messages = Vec::new();
    while messages.len() < count {
        event.wait_readable();
        receiver.receive(|message| messages.push(message));
    }
    messages
}

#[test]
fn two_senders_and_a_sleeping_receiver_lose_no_wake_up() {
    loom::model(|| {
        let (sender, mut receiver, event) = mailbox(4);
        let other = sender.clone();
        let first = thread::spawn(move || sender.send(1).unwrap());
        let second = thread::spawn(move || other.send(2).unwrap());
        let mut messages = receive_exactly(&mut receiver, &event, 2);
        messages.sort_unstable();
        assert_eq!(messages, [1, 2]);
        first.join().unwrap();
        second.join().unwrap();
    });
}

#[test]
fn a_burst_of_one_sender_arrives_whole_and_in_order() {
    loom::model(|| {
        let (sender, mut receiver, event) = mailbox(4);
        let burst =
            thread::spawn(move || (1..=3).for_each(|message| sender.send(message).unwrap()));
        assert_eq!(receive_exactly(&mut receiver, &event, 3), [1, 2, 3]);
        burst.join().unwrap();
    });
}

#[test]
fn a_full_mailbox_has_woken_its_receiver() {
    loom::model(|| {
        let (sender, mut receiver, event) = mailbox(1);
        let other = sender.clone();
        let first = thread::spawn(move || sender.send(1).is_ok());
        let second = thread::spawn(move || other.send(2).is_ok());
        // At least one got in; whichever was refused, the receiver wakes for the other.
        assert!(!receive_exactly(&mut receiver, &event, 1).is_empty());
        let sent = usize::from(first.join().unwrap()) + usize::from(second.join().unwrap());
        assert!((1..=2).contains(&sent));
    });
}

#[test]
fn a_receiver_that_goes_away_leaves_no_message_behind() {
    loom::model(|| {
        let message = Arc::new(());
        let event = Arc::new(Event::default());
        let (sender, receiver) = channel(1, event);
        let sent = Arc::clone(&message);
        let sending = thread::spawn(move || drop(sender.send(sent)));
        drop(receiver);
        sending.join().unwrap();
        assert_eq!(Arc::strong_count(&message), 1);
    });
}

/// Two messages race with one round of `receive`. A worker that looks whenever its event is
/// readable, and only then, must get both without a third; and a third must signal again.
fn race_one_round(receive: fn(&mut Receiver<u32>, &mut Vec<u32>)) {
    loom::model(move || {
        let (sender, mut receiver, event) = mailbox(4);
        let other = sender.clone();
        let sending = thread::spawn(move || {
            other.send(1).unwrap();
            other.send(2).unwrap();
        });
        let mut messages = Vec::new();
        if event.is_readable() {
            receive(&mut receiver, &mut messages);
        }
        sending.join().unwrap();
        while event.is_readable() {
            receive(&mut receiver, &mut messages);
        }
        assert_eq!(messages, [1, 2], "a wake-up was lost");
        sender.send(3).unwrap();
        assert!(event.is_readable(), "a wake-up was lost");
    });
}

#[test]
fn a_round_that_races_with_a_burst_loses_no_later_wake_up() {
    race_one_round(|receiver, messages| {
        receiver.receive(|message| messages.push(message));
    });
}

#[test]
#[should_panic(expected = "a wake-up was lost")]
fn loom_finds_a_drain_after_the_clear() {
    race_one_round(|receiver, messages| {
        receiver.wake_up.notified.swap(false, Ordering::AcqRel);
        receiver.wake_up.notify.drain();
        while let Some(message) = receiver.queue.pop() {
            messages.push(message);
        }
    });
}

#[test]
#[should_panic(expected = "a wake-up was lost")]
fn loom_finds_a_pop_before_the_clear() {
    race_one_round(|receiver, messages| {
        receiver.wake_up.notify.drain();
        while let Some(message) = receiver.queue.pop() {
            messages.push(message);
        }
        receiver.wake_up.notified.swap(false, Ordering::AcqRel);
    });
}
