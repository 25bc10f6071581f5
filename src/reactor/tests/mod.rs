//! Tests of the whole reactor: on the running kernel's ring, and on a scripted kernel.
#![forbid(unsafe_code)]

mod executor;
mod faults;
mod gathering;
mod kernel;
mod random;
mod receiving;
mod scripted;
mod sending;
mod stage;
