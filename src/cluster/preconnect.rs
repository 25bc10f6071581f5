//! How many connections a host's pool is to have, and how many it may start at a time.
//!
//! It starts none itself.
//!
//! <https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/upstream/connection_pooling>

/// How many connects one event may start (row D5).
pub(crate) const CONNECTS_MAX: usize = 3;

/// Whether a pool is to have another connection (row D4): `waiting` have none yet, `used` have one,
/// and `unused` connections are idle or connecting. For each of the former there are to be
/// `per_mille` / 1000 connections.
pub(crate) fn wants_connection(waiting: usize, used: usize, unused: usize, per_mille: u32) -> bool {
    let wide = |count: usize| u128::try_from(count).unwrap_or(u128::MAX);
    (wide(waiting) + wide(used)) * u128::from(per_mille) > (wide(unused) + wide(used)) * 1000
}

#[cfg(test)]
mod tests {
    use super::*;

    // Rows: D4
    #[test]
    fn the_ratio_holds_for_waiting_and_used_connections_together() {
        // How many connections `used` users get in the end, one after the other.
        let settled = |per_mille: u32| {
            let mut unused: usize = 0;
            (1..=4).map(move |used| {
                unused = unused.saturating_sub(1);
                while wants_connection(0, used, unused, per_mille) {
                    unused += 1;
                }
                used + unused
            })
        };
        assert!(settled(1000).eq([1, 2, 3, 4]));
        assert!(settled(1500).eq([2, 3, 5, 6]));
        assert!(settled(3000).eq([3, 6, 9, 12]));
        assert!(wants_connection(1, 0, 0, 1000) && !wants_connection(1, 0, 1, 1000));
    }
}
