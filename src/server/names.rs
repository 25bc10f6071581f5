//! Names for what the configuration leaves without one.

use std::hash::{BuildHasher, RandomState};

use base::Uuid;
use config::model;

/// What the admin pages call a listener: its own name or, as in Envoy, a random UUID (RFC 9562
/// version 4), new at each start.
pub(crate) fn of_listener(listener: &model::Listener) -> String {
    if listener.name.is_empty() {
        Uuid::from_random(random()).to_string()
    } else {
        listener.name.clone()
    }
}

/// `RandomState` begins with keys of its own each time, so what it makes of two constants is
/// random.
fn random() -> u128 {
    let random = RandomState::new();
    u128::from(random.hash_one(0_u8)) << 64 | u128::from(random.hash_one(1_u8))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_new_each_time() {
        assert_ne!(random(), random());
    }
}
