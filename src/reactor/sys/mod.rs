//! The kernel's face: memory mappings, `io_uring_enter(2)`, eventfds and what the io-uring crate
//! does not offer. Each file is one small safe (or narrowly unsafe) wrapper.

pub(crate) mod enter;
pub(crate) mod eventfd;
pub(crate) mod mapping;
pub(crate) mod pipe;
pub(crate) mod prefetch;
pub(crate) mod socket_option;
