//! The sockets of another process, to ask the kernel what they are set to.

use std::fs;
use std::net::SocketAddr;
use std::os::fd::RawFd;

use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};
use socket2::Socket;

/// Every TCP socket of the process that is bound to `address`, as a descriptor of this process. In
/// the order of its own descriptors.
pub(crate) fn bound_to(process: Pid, address: SocketAddr) -> Vec<Socket> {
    let folder = format!("/proc/{}/fd", process.as_raw_nonzero());
    let mut numbers: Vec<RawFd> = fs::read_dir(folder)
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    numbers.sort_unstable();
    let pidfd = pidfd_open(process, PidfdFlags::empty()).unwrap();
    // One that is closed meanwhile is none, and neither is a file.
    let copy = |number| pidfd_getfd(&pidfd, number, PidfdGetfdFlags::empty()).ok();
    let sockets = numbers.into_iter().filter_map(copy).map(Socket::from);
    sockets
        .filter(|socket| {
            let bound = socket.local_addr().ok().and_then(|bound| bound.as_socket());
            bound == Some(address)
        })
        .collect()
}
