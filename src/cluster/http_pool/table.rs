//! The pools of a cluster's hosts, of one protocol.

use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::rc::{Rc, Weak};

use super::pool::{Pool, end_unless_used};
use crate::breaker::Token;

/// Pools, by host and by what each of their connections begins with.
#[derive(Debug)]
pub(super) struct PoolTable<P> {
    /// Made when the host is first picked.
    hosts: Box<[OnceCell<Rc<P>>]>,
    /// Those whose connections begin with something. A pool without connections and without
    /// waiting exchanges is gone.
    by_header: RefCell<HashMap<PoolKey, Weak<P>>>,
}

/// A host's place in the configuration, and what connections to it begin with.
type PoolKey = (usize, Box<[u8]>);

impl<P: Pool> PoolTable<P> {
    /// For so many hosts.
    pub(super) fn new(hosts: usize) -> Self {
        let hosts = (0..hosts).map(|_| OnceCell::new()).collect();
        Self { hosts, by_header: RefCell::default() }
    }

    /// The pool of the host at this place of the configuration; of several pools the one whose
    /// connections begin with `header`. `make` makes it.
    pub(super) fn host(
        &self,
        index: usize,
        header: Option<Box<[u8]>>,
        make: impl FnOnce(Option<Box<[u8]>>) -> P,
    ) -> Option<Rc<P>> {
        let Some(header) = header else {
            return Some(Rc::clone(self.hosts.get(index)?.get_or_init(|| Rc::new(make(None)))));
        };
        let mut pools = self.by_header.borrow_mut();
        if let Some(pool) = pools.get(&(index, header.clone())).and_then(Weak::upgrade) {
            return Some(pool);
        }
        // Each client brings a key of its own; those that are gone make room.
        if pools.len() == pools.capacity() {
            pools.retain(|_, pool| pool.strong_count() > 0);
        }
        let pool = Rc::new(make(Some(header.clone())));
        pools.insert((index, header), Rc::downgrade(&pool));
        Some(pool)
    }

    /// Drains the pools of the host at this place of the configuration.
    pub(super) fn drain(&self, index: usize) {
        if let Some(pool) = self.hosts.get(index).and_then(OnceCell::get) {
            pool.drain();
        }
        let by_header = self.by_header.borrow();
        let of_host = by_header.iter().filter(|((of, _), _)| *of == index);
        let pools: Vec<_> = of_host.filter_map(|(_, pool)| pool.upgrade()).collect();
        drop(by_header);
        pools.iter().for_each(P::drain);
    }

    /// Ends a pool of the host that nobody uses, if there is one. What it counted as is another's
    /// to give back.
    pub(super) fn end_one(&self, index: usize) -> Option<Token> {
        let plain = self.hosts.get(index)?.get();
        if let Some(token) = plain.and_then(end_unless_used) {
            return Some(token);
        }
        let by_header = self.by_header.borrow();
        let of_host = by_header.iter().filter(|((of, _), _)| *of == index);
        of_host.filter_map(|(_, pool)| pool.upgrade()).find_map(|pool| end_unless_used(&pool))
    }
}
