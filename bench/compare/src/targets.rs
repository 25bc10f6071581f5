//! What Nuncio must reach, as ratios of proxy CPU (or of memory) to each rival's best arm.

use harness::report::Target;
use harness::workload::{Kind, Workload};

/// Work, rival family, greatest ratio. "Not above" a rival is a ratio of 1; gaps below 15 % are
/// ties, which the report allows for.
const TABLE: &[(&str, &str, f64)] = &[
    ("tcp64", "envoy", 0.70),
    ("tcp64", "haproxy", 1.0),
    ("tcp512", "envoy", 0.45),
    ("tcp512", "haproxy", 0.9),
    ("bulk1", "haproxy", 1.0),
    ("bulk8", "envoy", 0.45),
    ("bulk8", "haproxy", 1.0),
    ("new64", "envoy", 0.55),
    ("new64", "nginx", 1.0),
    ("http64", "envoy", 0.25),
    // Of the better of the two: against both.
    ("http64", "haproxy", 0.85),
    ("http64", "nginx", 0.85),
    ("http512", "envoy", 0.25),
    ("http512", "haproxy", 0.85),
    ("http512", "nginx", 0.85),
    ("httpnew64", "envoy", 0.55),
    ("httpnew64", "nginx", 1.0),
    ("h2-h1-8x32", "envoy", 0.20),
    ("h2-h1-8x32", "haproxy", 1.0),
    ("h1-h2-64", "envoy", 0.25),
    ("h1-h2-64", "haproxy", 1.0),
    ("h2-direct-8x32", "envoy", 0.20),
    ("h2-direct-8x32", "nghttpd", 1.5),
    ("h2-direct-64x1", "envoy", 0.20),
    ("h2-direct-64x1", "nghttpd", 1.5),
];

/// Most resident bytes of an idle relayed connection.
const IDLE_BYTES: f64 = 2200.0;
/// Most resident bytes of an HTTP/1 connection that is kept for the next request.
const HTTP_IDLE_BYTES: f64 = 1500.0;

/// The targets for one kind of work; empty where none is set.
pub(crate) fn of(work: Workload) -> Vec<Target> {
    match work.kind {
        Kind::Idle => return vec![Target::Bytes { most: IDLE_BYTES }],
        Kind::HttpIdle => return vec![Target::Bytes { most: HTTP_IDLE_BYTES }],
        _ => {}
    }
    let name = work.to_string();
    TABLE
        .iter()
        .filter(|(wanted, ..)| *wanted == name)
        .map(|&(_, rival, most)| Target::Ratio { rival, most })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Breaks if a row names work that does not exist and is therefore never checked.
    #[test]
    fn every_row_names_real_work() {
        for (work, rival, most) in TABLE {
            assert_eq!(&work.parse::<Workload>().unwrap().to_string(), work);
            assert!(!rival.is_empty() && *most > 0.0);
        }
    }
}
