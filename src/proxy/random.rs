//! The randomness of one worker: for ids, samples, draws and waits, not for secrets.
//!
//! **Invariant:** there is one for each worker, so that a test with its seed sees the same run.

use std::cell::RefCell;

use base::Uuid;

/// A worker's generator.
#[derive(Debug)]
pub struct Random(RefCell<fastrand::Rng>);

impl Random {
    /// A generator whose numbers follow from `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(RefCell::new(fastrand::Rng::with_seed(seed)))
    }

    /// Any number.
    pub(crate) fn number(&self) -> u64 {
        self.0.borrow_mut().u64(..)
    }

    /// A number below `limit`; 0 if there is none.
    pub(crate) fn below(&self, limit: u64) -> u64 {
        if limit == 0 { 0 } else { self.0.borrow_mut().u64(..limit) }
    }

    /// A UUID.
    pub(crate) fn uuid(&self) -> Uuid {
        Uuid::from_random(self.0.borrow_mut().u128(..))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_follow_from_the_seed_and_stay_below_their_limit() {
        let (one, same, other) = (Random::new(7), Random::new(7), Random::new(8));
        let first = one.uuid();
        assert_eq!(first, same.uuid());
        assert_ne!(first, one.uuid());
        assert_ne!(first, other.uuid());
        assert_eq!(one.below(0), 0);
        assert_eq!(one.below(1), 0);
        assert!((0..100).all(|_| one.below(3) < 3));
    }
}
