//! What runs without any argument: HTTP forwarded to a listener that answers it, and TCP relayed
//! to one that echoes it, on fixed loopback ports.
//!
//! It writes no access log: standard output stays with the announcement. How to switch one on
//! stands in the file.

use std::io::{self, Write};

use config::Source;

/// The configuration of the demo, as `--print-default-config` prints it.
pub(crate) const YAML: &str = include_str!("demo.yaml");

/// The demo as a configuration.
pub(crate) fn source() -> Source {
    Source::file("demo.yaml", YAML.as_bytes().to_vec())
}

/// Says on standard output what runs and how to try it. Nobody reading is no reason to stop.
pub(crate) fn announce() {
    drop(write!(io::stdout(), "{ANNOUNCEMENT}"));
}

const ANNOUNCEMENT: &str = "\
Nuncio runs its built-in demo:
  127.0.0.1:10000  http_connection_manager, forwards to the next; redirects /old
  127.0.0.1:10001  http_connection_manager, answers by itself
  127.0.0.1:10002  tcp_proxy, relays to the next
  127.0.0.1:10003  echo, sends every byte back
  127.0.0.1:9901   admin pages
Try it from another terminal; Ctrl-C here ends it:
  curl -i http://127.0.0.1:10000/                       answered behind the proxy
  curl -iL http://127.0.0.1:10000/old                   redirected, then the same
  curl 'http://127.0.0.1:9901/stats?filter=ingress'     see it counted
  nc 127.0.0.1 10002                                    type a line: it comes back
For a configuration of your own:
  nuncio --print-default-config > envoy.yaml            this one, to start from
  nuncio -c envoy.yaml
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_demo_is_a_valid_configuration_of_loopback_addresses_that_are_announced() {
        let loaded = config::load(&[source()]).unwrap();
        assert!(loaded.warnings.is_empty(), "{}", loaded.warnings);
        let bootstrap = loaded.bootstrap;
        let listeners =
            bootstrap.listeners.iter().filter_map(|listener| listener.sockets.address.address.ip());
        let addresses: Vec<_> =
            listeners.chain(bootstrap.admin.map(|admin| admin.address)).collect();
        assert_eq!(addresses.len(), 5);
        for address in addresses {
            assert!(address.ip().is_loopback());
            assert!(ANNOUNCEMENT.contains(&address.to_string()), "{address}");
        }
        for (cluster, listener) in [(0, 1), (1, 3)] {
            let endpoint = &bootstrap.clusters[cluster].endpoints[0];
            assert_eq!(endpoint.address, bootstrap.listeners[listener].sockets.address.address);
        }
    }
}
