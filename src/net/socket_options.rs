//! What sockets are set to, and when: the configuration's fields as options of the kernel.

use std::io;
use std::os::fd::AsFd;

use base::Address;
use config::model::{self, IpVersion, SocketState, TcpKeepalive};
use reactor::SocketOption;

/// An option that waits for its moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimedOption {
    state: SocketState,
    ip_version: Option<IpVersion>,
    option: SocketOption,
}

impl TimedOption {
    /// To be set before bind(2), on any socket.
    #[must_use]
    pub fn prebind(option: SocketOption) -> Self {
        Self { state: SocketState::Prebind, ip_version: None, option }
    }
}

/// Everything that a listener's socket on this address is to be set to, in Envoy's order.
pub(crate) fn of_listener(
    listener: &model::ListenerSockets,
    at: &model::ListenAddress,
) -> Vec<TimedOption> {
    let ipv6 = at.address.ip().is_some_and(|ip| ip.is_ipv6());
    let mut options = Vec::new();
    let prebind = TimedOption::prebind;
    options.extend(listener.freebind.map(|on| prebind(SocketOption::freebind(ipv6, on))));
    options.extend(listener.transparent.map(|on| prebind(SocketOption::transparent(ipv6, on))));
    options.extend(keepalive(at.tcp_keepalive, &at.address));
    options.extend(literal(&at.socket_options));
    options.extend(listener.tcp_fast_open_queue_length.map(|length| TimedOption {
        state: SocketState::Listening,
        ip_version: None,
        option: SocketOption::fast_open(length),
    }));
    options
}

/// `socket_options`, as they are written.
pub fn literal(options: &[model::SocketOption]) -> impl Iterator<Item = TimedOption> {
    options.iter().map(|option| TimedOption {
        state: option.state,
        ip_version: option.ip_version,
        option: SocketOption::new(option.level, option.name, option.value.clone()),
    })
}

/// Keep-alive probes of TCP; a socket to or on a Unix-domain address has none.
pub fn keepalive(config: Option<TcpKeepalive>, address: &Address) -> Vec<TimedOption> {
    let Some(config) = config.filter(|_| !address.is_pipe()) else { return Vec::new() };
    let options = match config {
        TcpKeepalive::Off => vec![SocketOption::keepalive(false)],
        TcpKeepalive::On { probes, time, interval } => {
            let mut options = vec![SocketOption::keepalive(true)];
            options.extend(probes.map(SocketOption::keepalive_probes));
            options.extend(time.map(SocketOption::keepalive_time));
            options.extend(interval.map(SocketOption::keepalive_interval));
            options
        }
    };
    options.into_iter().map(TimedOption::prebind).collect()
}

/// Sets those whose moment is `state` on a socket for `address`.
///
/// # Errors
/// The first option that could not be set, and what the kernel said.
pub fn set<'a>(
    socket: &impl AsFd,
    options: &'a [TimedOption],
    state: SocketState,
    address: &Address,
) -> Result<(), (&'a SocketOption, io::Error)> {
    let version = address.ip().map(|ip| match ip.is_ipv6() {
        true => IpVersion::V6,
        false => IpVersion::V4,
    });
    for TimedOption { option, .. } in options.iter().filter(|option| {
        option.state == state && (option.ip_version.is_none() || option.ip_version == version)
    }) {
        option.set(socket).map_err(|error| (option, error))?;
    }
    Ok(())
}
