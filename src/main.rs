//! The `nuncio` binary: hands its arguments to the server floor and returns its exit code.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    server::run(std::env::args_os())
}
