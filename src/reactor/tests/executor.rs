//! The executor under a reactor: budget, late wakes, aborts, panics, owners.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::{pending, poll_fn, ready};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::thread;

use super::stage::{LOUD, Stage, only_key};
use crate::driver::Wait;
use crate::{Received, TaskSet};

/// Counts its drops, and panics in the last of them if asked to.
struct Guard {
    drops: Rc<Cell<u32>>,
    panics: bool,
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.drops.set(self.drops.get() + 1);
        assert!(!self.panics, "a panic in a destructor that a test provokes");
    }
}

fn guard(drops: &Rc<Cell<u32>>) -> Guard {
    Guard { drops: Rc::clone(drops), panics: false }
}

#[test]
fn a_task_that_always_wakes_itself_does_not_keep_the_ring_from_its_turn() {
    let stage = Stage::new(LOUD);
    let line = stage.line(1000);
    stage.tasks.spawn(poll_fn(|context| {
        context.waker().wake_by_ref();
        Poll::<()>::Pending
    }));
    let got = Rc::new(Cell::new(0));
    let seen = Rc::clone(&got);
    let receiver = line.receiver;
    stage.tasks.spawn(async move {
        while let Ok(Received::Data(span)) = receiver.recv(100).await {
            seen.set(seen.get() + span.len());
        }
    });
    let key = only_key(&stage.turn());
    assert_eq!(stage.script.last_wait(), Wait::No, "a task is ready");
    stage.script.deliver(key, b"hello");
    stage.step();
    let polls = stage.reactor.stats().task_polls;
    stage.step();
    assert_eq!(got.get(), 5);
    let stats = stage.reactor.stats();
    assert_eq!(stats.task_polls - polls, 1024, "a turn polls up to its budget");
    assert_eq!(stats.budget_spent, 3);
    drop((line.outbox, line.socket));
    stage.end();
}

#[test]
fn a_wake_of_a_task_that_has_ended_wakes_nobody_else() {
    let stage = Stage::new(LOUD);
    let kept: Rc<RefCell<Option<Waker>>> = Rc::default();
    let keep = Rc::clone(&kept);
    stage.tasks.spawn(poll_fn(move |context| {
        *keep.borrow_mut() = Some(context.waker().clone());
        Poll::Ready(())
    }));
    stage.step();
    assert_eq!(stage.tasks.len(), 0);
    // The next tenant of the slot.
    let polls = Rc::new(Cell::new(0));
    let counted = Rc::clone(&polls);
    stage.tasks.spawn(poll_fn(move |_| {
        counted.set(counted.get() + 1);
        Poll::<()>::Pending
    }));
    stage.step();
    let waker = kept.take().unwrap();
    waker.wake_by_ref();
    thread::spawn(move || waker.wake()).join().unwrap();
    stage.step();
    assert_eq!(polls.get(), 1);
    stage.end();
}

#[test]
fn a_wake_for_a_reactor_that_has_ended_goes_nowhere() {
    let stage = Stage::new(LOUD);
    let kept: Rc<RefCell<Option<Waker>>> = Rc::default();
    let keep = Rc::clone(&kept);
    stage.tasks.spawn(poll_fn(move |context| {
        *keep.borrow_mut() = Some(context.waker().clone());
        Poll::<()>::Pending
    }));
    stage.step();
    stage.end();
    let waker = kept.take().unwrap();
    waker.wake_by_ref();
    thread::spawn(move || waker.wake()).join().unwrap();
}

#[test]
fn many_wakes_are_one_poll() {
    let stage = Stage::new(LOUD);
    let polls = Rc::new(Cell::new(0));
    let counted = Rc::clone(&polls);
    stage.tasks.spawn(poll_fn(move |context| {
        counted.set(counted.get() + 1);
        if counted.get() == 1 {
            for _ in 0..100 {
                context.waker().wake_by_ref();
            }
        }
        Poll::<()>::Pending
    }));
    for _ in 0..3 {
        stage.step();
    }
    assert_eq!(polls.get(), 2);
    stage.end();
}

#[test]
fn a_task_may_end_its_own_set_while_it_runs() {
    let stage = Stage::new(LOUD);
    let drops = Rc::new(Cell::new(0));
    let own: Rc<RefCell<Option<TaskSet>>> = Rc::default();
    let set = stage.reactor.task_set();
    let (held, sibling) = (guard(&drops), guard(&drops));
    set.spawn(async move {
        let _held = sibling;
        pending::<()>().await;
    });
    let cell = Rc::clone(&own);
    let alive = Rc::clone(&drops);
    set.spawn(async move {
        let _held = held;
        drop(cell.take());
        assert_eq!(alive.get(), 1, "the sibling ends at once, the running task after its poll");
        pending::<()>().await;
    });
    *own.borrow_mut() = Some(set);
    stage.step();
    assert_eq!(drops.get(), 2);
    let stats = stage.reactor.stats();
    assert_eq!((stats.tasks, stats.task_panics), (0, 0));
    stage.end();
}

#[test]
fn panics_in_polls_and_in_destructors_end_their_task_only() {
    let stage = Stage::new(LOUD);
    let drops = Rc::new(Cell::new(0));
    let bad = Guard { drops: Rc::clone(&drops), panics: true };
    stage.tasks.spawn(async move {
        let _bad = bad;
    });
    let bad = Guard { drops: Rc::clone(&drops), panics: true };
    let aborted = stage.reactor.task_set();
    aborted.spawn(async move {
        let _bad = bad;
        pending::<()>().await;
    });
    let good = guard(&drops);
    stage.tasks.spawn(async move {
        let _good = good;
        panic!("a panic that a test provokes");
    });
    let survivor = guard(&drops);
    stage.tasks.spawn(async move {
        let _survivor = survivor;
        pending::<()>().await;
    });
    stage.step();
    drop(aborted);
    assert_eq!(drops.get(), 3);
    let stats = stage.reactor.stats();
    assert_eq!((stats.tasks, stats.task_panics), (1, 3));
    stage.tasks.abort_all();
    assert_eq!(drops.get(), 4);
    stage.end();
}

#[test]
fn the_owner_of_tasks_hears_when_the_last_has_ended_however_it_ended() {
    let stage = Stage::new(LOUD);
    let set = Rc::new(stage.reactor.task_set());
    set.spawn(async {});
    set.spawn(async { panic!("a panic that a test provokes") });
    let waiting = Rc::clone(&set);
    let done = Rc::new(Cell::new(false));
    let heard = Rc::clone(&done);
    stage.tasks.spawn(async move {
        waiting.wait_empty().await;
        heard.set(true);
    });
    set.spawn(pending());
    stage.step();
    assert!(!done.get());
    set.abort_all();
    stage.step();
    assert!(done.get());
    drop(set);
    stage.end();
}

#[test]
#[should_panic(expected = "a thread has one reactor at a time")]
fn a_second_reactor_of_a_thread_is_refused() {
    let _first = Stage::new(LOUD);
    drop(Stage::new(LOUD));
}

#[test]
fn a_split_root_future_polls_every_branch_though_no_task_was_ever_polled() {
    let stage = Stage::new(LOUD);
    let branches = stage.reactor.branches();
    let polled = stage.reactor.run(poll_fn(|context| {
        let woken = branches.woken(context);
        Poll::Ready([0, 1].map(|number| woken.poll(context, number, pin!(ready(())))))
    }));
    assert!(polled.iter().all(Poll::is_ready));
    stage.end();
}

#[test]
fn a_split_task_polls_the_branches_that_were_woken_and_all_if_it_cannot_tell() {
    let stage = Stage::new(LOUD);
    let branches = stage.reactor.branches();
    let polled: Rc<RefCell<Vec<u8>>> = Rc::default();
    let wakers: Rc<RefCell<BTreeMap<usize, Waker>>> = Rc::default();
    let (log, kept) = (Rc::clone(&polled), Rc::clone(&wakers));
    stage.tasks.spawn(poll_fn(move |context| {
        let woken = branches.woken(context);
        for number in 0..3 {
            let mut branch = pin!(poll_fn(|context| {
                log.borrow_mut().push(number);
                kept.borrow_mut().insert(usize::from(number), context.waker().clone());
                Poll::<()>::Pending
            }));
            assert!(woken.poll(context, number, branch.as_mut()).is_pending());
        }
        kept.borrow_mut().insert(3, context.waker().clone());
        Poll::<()>::Pending
    }));
    stage.step();
    assert_eq!(polled.take(), [0, 1, 2], "a new task has heard of none of its branches");
    let wake = |index: usize| wakers.borrow()[&index].wake_by_ref();
    wake(1);
    stage.step();
    assert_eq!(polled.take(), [1]);
    wake(2);
    wake(0);
    wake(2);
    stage.step();
    assert_eq!(polled.take(), [0, 2]);
    wake(3);
    stage.step();
    assert_eq!(polled.take(), [0, 1, 2], "a wake of the whole task");
    let waker = wakers.borrow()[&1].clone();
    thread::spawn(move || waker.wake()).join().unwrap();
    let poll = stage.script.polls()[0];
    stage.script.complete(poll, 1);
    stage.step();
    stage.step();
    assert_eq!(polled.take(), [0, 1, 2], "a wake from another thread names no branch");
    stage.end();
}
