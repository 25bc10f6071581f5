//! Socket options as values: what a socket is to be set to, decided before there is a socket.
#![forbid(unsafe_code)]

use std::fmt;
use std::io;
use std::os::fd::AsFd;

use crate::sys::socket_option;

/// One option and its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SocketOption {
    level: i32,
    name: i32,
    value: Vec<u8>,
}

impl SocketOption {
    /// The option that setsockopt(2) calls `name` at `level`, set to these bytes.
    #[must_use]
    pub fn new(level: i32, name: i32, value: Vec<u8>) -> Self {
        Self { level, name, value }
    }

    fn int(level: i32, name: i32, value: i32) -> Self {
        Self::new(level, name, value.to_ne_bytes().to_vec())
    }

    /// Whether an address may be bound that no interface has, on an IPv6 or an IPv4 socket.
    #[must_use]
    pub fn freebind(ipv6: bool, on: bool) -> Self {
        match ipv6 {
            true => Self::int(libc::SOL_IPV6, libc::IPV6_FREEBIND, i32::from(on)),
            false => Self::int(libc::SOL_IP, libc::IP_FREEBIND, i32::from(on)),
        }
    }

    /// Whether connections to foreign addresses are taken, on an IPv6 or an IPv4 socket.
    #[must_use]
    pub fn transparent(ipv6: bool, on: bool) -> Self {
        match ipv6 {
            true => Self::int(libc::SOL_IPV6, libc::IPV6_TRANSPARENT, i32::from(on)),
            false => Self::int(libc::SOL_IP, libc::IP_TRANSPARENT, i32::from(on)),
        }
    }

    /// How many connections may be half open with data in their SYN (RFC 7413); 0 switches it off.
    #[must_use]
    pub fn fast_open(queue_length: u32) -> Self {
        let queue_length = i32::try_from(queue_length).unwrap_or(i32::MAX);
        Self::int(libc::SOL_TCP, libc::TCP_FASTOPEN, queue_length)
    }

    /// Whether TCP sends keep-alive probes.
    #[must_use]
    pub fn keepalive(on: bool) -> Self {
        Self::int(libc::SOL_SOCKET, libc::SO_KEEPALIVE, i32::from(on))
    }

    /// So many probes without an answer end the connection.
    #[must_use]
    pub fn keepalive_probes(count: u32) -> Self {
        Self::int(libc::SOL_TCP, libc::TCP_KEEPCNT, i32::try_from(count).unwrap_or(i32::MAX))
    }

    /// Seconds of silence before the first probe.
    #[must_use]
    pub fn keepalive_time(seconds: u32) -> Self {
        Self::int(libc::SOL_TCP, libc::TCP_KEEPIDLE, i32::try_from(seconds).unwrap_or(i32::MAX))
    }

    /// Seconds between two probes.
    #[must_use]
    pub fn keepalive_interval(seconds: u32) -> Self {
        Self::int(libc::SOL_TCP, libc::TCP_KEEPINTVL, i32::try_from(seconds).unwrap_or(i32::MAX))
    }

    /// The port is chosen when the socket connects, not when it is bound: the same port then serves
    /// for connections to different peers (ip(7)).
    #[must_use]
    pub fn bind_address_no_port() -> Self {
        Self::int(libc::SOL_IP, libc::IP_BIND_ADDRESS_NO_PORT, 1)
    }

    /// Sets it on `socket`.
    ///
    /// # Errors
    /// What setsockopt(2) said.
    pub fn set(&self, socket: &impl AsFd) -> io::Result<()> {
        socket_option::set(socket.as_fd(), self.level, self.name, &self.value)
    }
}

/// `level/name`, as Envoy shows one.
impl fmt::Display for SocketOption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.level, self.name)
    }
}

/// Gives each connection to the socket whose place in the group is that of the CPU that received
/// it in `cores`. What arrives elsewhere goes where the kernel's hash sends it. To be called when
/// all sockets of the `SO_REUSEPORT` group listen, in the order of `cores`.
///
/// # Errors
/// What setsockopt(2) said.
pub fn steer_by_cpu(socket: &impl AsFd, cores: &[u32]) -> io::Result<()> {
    socket_option::attach_reuseport_filter(socket.as_fd(), &mut cpu_program(cores))
}

/// In classic BPF: load the CPU's number; for each core, return its place if it is that one; at the
/// end return what is no place.
fn cpu_program(cores: &[u32]) -> Vec<libc::sock_filter> {
    const LOAD: u32 = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
    const JUMP: u32 = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
    const RETURN: u32 = libc::BPF_RET | libc::BPF_K;
    // SKF_AD_OFF and SKF_AD_CPU of linux/filter.h: beyond the packet lie facts about it.
    const CPU: u32 = (-0x1000_i32 + 36).cast_unsigned();
    let step = |code: u32, k, jt, jf| libc::sock_filter {
        code: u16::try_from(code).unwrap_or(u16::MAX),
        jt,
        jf,
        k,
    };
    let mut program = vec![step(LOAD, CPU, 0, 0)];
    for (place, core) in (0..).zip(cores) {
        program.push(step(JUMP, *core, 0, 1));
        program.push(step(RETURN, place, 0, 0));
    }
    program.push(step(RETURN, u32::MAX, 0, 0));
    program
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn an_option_is_set_or_the_kernel_says_why_not() {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let kept = socket2::SockRef::from(&socket);
        SocketOption::keepalive(true).set(&socket).unwrap();
        SocketOption::keepalive_time(7).set(&socket).unwrap();
        SocketOption::freebind(false, true).set(&socket).unwrap();
        assert!(kept.keepalive().unwrap() && kept.freebind_v4().unwrap());
        assert_eq!(kept.tcp_keepalive_time().unwrap().as_secs(), 7);
        let unknown = SocketOption::new(1, 99_999, vec![0; 4]);
        assert_eq!(unknown.to_string(), "1/99999");
        assert_eq!(unknown.set(&socket).unwrap_err().raw_os_error(), Some(libc::ENOPROTOOPT));
    }

    #[test]
    fn connections_are_steered_to_the_place_of_their_cpu() {
        // What each CPU gets, by walking the program as the kernel does.
        let run = |program: &[libc::sock_filter], cpu: u32| {
            let mut at = 1;
            loop {
                let step = &program[at];
                if u32::from(step.code) & 7 == libc::BPF_RET {
                    return step.k;
                }
                at += 1 + usize::from(if step.k == cpu { step.jt } else { step.jf });
            }
        };
        let program = cpu_program(&[4, 2]);
        assert_eq!([4, 2, 0].map(|cpu| run(&program, cpu)), [0, 1, u32::MAX]);
    }
}
