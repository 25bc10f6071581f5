//! The tasks that run exchanges of connections which carry many: each exchange is woken and polled
//! on its own, and its task serves the next one.

use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};

use net::DeadlineTimer;
use reactor::{Reactor, TaskSet};

use super::super::exchange::http2::{Start, run};

/// Tasks that wait for an exchange.
const IDLE_MAX: usize = 1024;

/// The tasks of one connection manager on one worker.
#[derive(Debug)]
pub(crate) struct Runners {
    reactor: Reactor,
    idle: Rc<RefCell<Vec<Rc<Runner>>>>,
    tasks: TaskSet,
}

/// What a task waits for.
#[derive(Debug)]
struct Runner {
    start: RefCell<Option<Start>>,
    task: RefCell<Option<Waker>>,
    /// For the deadlines of its exchanges: set once, it serves many of them.
    timer: RefCell<DeadlineTimer>,
}

impl Runners {
    pub(crate) fn new(reactor: &Reactor) -> Self {
        Self { reactor: reactor.clone(), idle: Rc::default(), tasks: reactor.task_set() }
    }

    /// Has an exchange run, in this turn.
    pub(crate) fn start(&self, start: Start) {
        let idle = self.idle.borrow_mut().pop();
        if let Some(runner) = idle {
            runner.start.replace(Some(start));
            if let Some(task) = &*runner.task.borrow() {
                task.wake_by_ref();
            }
            return;
        }
        let runner = Rc::new(Runner {
            start: RefCell::new(Some(start)),
            task: RefCell::new(None),
            timer: RefCell::new(DeadlineTimer::new(self.reactor.clone())),
        });
        self.tasks.spawn(serve(runner, Rc::clone(&self.idle)));
    }
}

async fn serve(runner: Rc<Runner>, idle: Rc<RefCell<Vec<Rc<Runner>>>>) {
    loop {
        let start = poll_fn(|context| match runner.start.borrow_mut().take() {
            Some(start) => Poll::Ready(start),
            None => {
                *runner.task.borrow_mut() = Some(context.waker().clone());
                Poll::Pending
            }
        })
        .await;
        run(start, &runner.timer).await;
        let mut idle = idle.borrow_mut();
        if idle.len() >= IDLE_MAX {
            return;
        }
        idle.push(Rc::clone(&runner));
    }
}
