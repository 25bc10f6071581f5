//! The pages of Envoy that belong to its build: profilers, heap dumps, lock tracing.
//!
//! There is nothing of the kind in this program; `perf` and a heap profiler that is loaded from
//! outside see all of it. The answers are those of an Envoy that was built without.

use hyper::StatusCode;

use super::page::{Page, Query};

/// `/allocprofiler`.
pub(crate) fn allocations(query: &Query) -> Page {
    switch(query, "allocation profiler")
}

/// `/cpuprofiler`.
pub(crate) fn cpu(query: &Query) -> Page {
    switch(query, "CPU profiler")
}

/// `/heapprofiler`.
pub(crate) fn heap() -> Page {
    not_built("heap profiler")
}

/// `/heap_dump`.
pub(crate) fn heap_dump() -> Page {
    not_built("heap dump")
}

/// `/peak_heap_dump`.
pub(crate) fn peak_heap_dump() -> Page {
    not_built("peak heap dump")
}

/// `/contention`: workers share no lock, so there is nothing to trace.
pub(crate) fn contention() -> Page {
    let text = "Mutex contention tracing is not enabled: workers take no lock.\n";
    Page::text(StatusCode::OK, text)
}

/// What is off may be switched off; it cannot be switched on.
fn switch(query: &Query, what: &str) -> Page {
    match query.first("enable") {
        Some("n") => Page::done(),
        Some("y") => not_built(what),
        _ => Page::text(StatusCode::BAD_REQUEST, "?enable=<y|n>\n"),
    }
}

fn not_built(what: &str) -> Page {
    let text = format!("The current build does not support {what}");
    Page::text(StatusCode::NOT_IMPLEMENTED, text)
}
