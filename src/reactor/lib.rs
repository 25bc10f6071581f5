//! Floor 1: the per-core io_uring engine.
