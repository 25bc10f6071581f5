//! Tests of the whole reactor: on the running kernel's ring, and on a scripted kernel.

mod kernel;
mod receiving;
mod sending;
mod stage;
