//! Names for what the configuration leaves without one.

use std::hash::{BuildHasher, RandomState};

use config::model;

/// What the admin pages call a listener: its own name or, as in Envoy, a random UUID (RFC 9562
/// version 4), new at each start.
pub(crate) fn of_listener(listener: &model::Listener) -> String {
    if listener.name.is_empty() { uuid(&RandomState::new()) } else { listener.name.clone() }
}

/// `random` begins with keys of its own each time, so what it makes of two constants is random.
fn uuid(random: &RandomState) -> String {
    const VERSION: u64 = 4 << 12;
    const VARIANT: u64 = 2 << 62;
    let high = random.hash_one(0_u8) & !(0xf << 12) | VERSION;
    let low = random.hash_one(1_u8) & (u64::MAX >> 2) | VARIANT;
    format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        high >> 32,
        high >> 16 & 0xffff,
        high & 0xffff,
        low >> 48,
        low & 0xffff_ffff_ffff
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_is_of_version_4_and_new_each_time() {
        let one = uuid(&RandomState::new());
        let groups: Vec<_> = one.split('-').map(str::len).collect();
        assert_eq!(groups, [8, 4, 4, 4, 12], "{one}");
        assert_eq!(one.as_bytes()[14], b'4', "{one}");
        assert!(b"89ab".contains(&one.as_bytes()[19]), "{one}");
        assert_ne!(one, uuid(&RandomState::new()));
    }
}
