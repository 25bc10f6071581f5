//! The `nuncio` binary: hands its arguments to the server floor and returns its exit code.
#![forbid(unsafe_code)]

fn main() {}
