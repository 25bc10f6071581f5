//! Binds every address of the configuration before anything runs.
//!
//! All that cannot be bound is reported together, each at its place in the file, and nothing stays
//! bound then.

use std::io;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use base::{Address, Limit};
use config::model;
use config::{Places, Problem, ProblemKind};
use filter::BucketsByKey;
use net::listener::{self, BoundListener};
use proxy::ListenerShared;

use crate::bootstrap::Bootstrap;

/// Everything bound and listening.
#[derive(Debug)]
pub(crate) struct Bound {
    pub(crate) admin: Option<TcpListener>,
    /// In the order of the configuration.
    pub(crate) listeners: Vec<(Arc<model::Listener>, BoundListener)>,
}

/// One worker's part of one listener.
#[derive(Debug)]
pub(crate) struct WorkerListener {
    pub(crate) config: Arc<model::Listener>,
    /// What it shares with the other workers.
    pub(crate) shared: Arc<ListenerShared>,
    /// The addresses that it really listens on; never empty.
    pub(crate) addresses: Vec<Address>,
    /// One for each address; none if the listener binds none.
    pub(crate) sockets: Vec<OwnedFd>,
}

/// Binds the admin address and, for each listener and address, one socket per worker. `cores` are
/// the CPUs of the workers, if each has one to itself.
///
/// # Errors
/// One problem for each address that cannot be bound.
pub(crate) fn bind_all(
    bootstrap: &Bootstrap,
    workers: usize,
    cores: Option<&[u32]>,
) -> Result<Bound, Vec<Problem>> {
    let mut problems = Vec::new();
    let loaded = &bootstrap.loaded;
    let mut problem = |field_path: String, message: String| {
        problems.push(problem_at(&loaded.places, field_path, message));
    };
    let mut admin = None;
    if let Some(config) = &loaded.bootstrap.admin {
        match listener::bind_alone(config.address, config.ipv4_compat) {
            Ok(bound) => admin = Some(bound),
            Err(error) => problem(
                "admin.address".to_owned(),
                format!("admin: cannot bind {}: {error}{}", config.address, cure(&error)),
            ),
        }
    }
    let mut listeners = Vec::new();
    for (index, config) in loaded.bootstrap.listeners.iter().enumerate() {
        match listener::bind(config, workers, cores) {
            Ok(bound) => listeners.push((Arc::clone(config), bound)),
            Err(error) => {
                let path = format!("static_resources.listeners[{index}].{}", error.field());
                problem(path, error.to_string());
            }
        }
    }
    if problems.is_empty() { Ok(Bound { admin, listeners }) } else { Err(problems) }
}

impl Bound {
    /// Deals the sockets out: for each worker, in order, one of each listener and address.
    /// `connections` limits what may come in through all of them.
    pub(crate) fn deal(
        listeners: Vec<(Arc<model::Listener>, BoundListener)>,
        runtime: &model::Runtime,
        connections: Option<&Arc<Limit>>,
        workers: usize,
    ) -> Vec<Vec<WorkerListener>> {
        let mut hands: Vec<Vec<WorkerListener>> = (0..workers).map(|_| Vec::new()).collect();
        let mut buckets = BucketsByKey::default();
        for (config, bound) in listeners {
            let shared = ListenerShared::new(&config, runtime, connections, &mut buckets, workers);
            let (mut addresses, mut sockets) = (Vec::new(), Vec::new());
            for bound in bound.addresses {
                addresses.push(bound.address);
                sockets.push(bound.sockets.into_iter());
            }
            for hand in &mut hands {
                hand.push(WorkerListener {
                    config: Arc::clone(&config),
                    shared: Arc::clone(&shared),
                    addresses: addresses.clone(),
                    sockets: sockets.iter_mut().filter_map(Iterator::next).collect(),
                });
            }
        }
        hands
    }
}

fn cure(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => "; another process listens there: 'ss -ltnp' shows which",
        io::ErrorKind::AddrNotAvailable => {
            "; no interface of this host has that address: 'ip addr' shows them"
        }
        _ => "",
    }
}

fn problem_at(places: &Places, field_path: String, message: String) -> Problem {
    let place = places.find(&field_path);
    Problem {
        file: place.file,
        line: place.key.line,
        column: place.key.column,
        field_path,
        kind: ProblemKind::Invalid,
        message,
        hint: None,
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use config::Source;

    use super::*;

    fn bootstrap(yaml: &str) -> Bootstrap {
        let source = Source::file("t.yaml", yaml.as_bytes().to_vec());
        let loaded = config::load(&[source]).unwrap_or_else(|report| panic!("{report}"));
        Bootstrap { loaded, file: "t.yaml".to_owned() }
    }

    fn yaml(admin: u16, ports: &[u16]) -> String {
        let mut text = format!(
            "admin:\n  address: {{socket_address: {{address: 127.0.0.1, port_value: {admin}}}}}\n\
             static_resources:\n  listeners:\n"
        );
        for (index, port) in ports.iter().enumerate() {
            text.push_str(&format!(
                "  - name: l{index}\n    \
                 address: {{socket_address: {{address: 127.0.0.1, port_value: {port}}}}}\n    \
                 filter_chains:\n    - filters:\n      - name: echo\n        typed_config: \
                 {{'@type': type.googleapis.com/envoy.extensions.filters.network.echo.v3.Echo}}\n"
            ));
        }
        text
    }

    #[test]
    fn each_worker_is_dealt_one_socket_of_each_listener() {
        let bound = bind_all(&bootstrap(&yaml(0, &[0, 0])), 3, None).unwrap();
        assert_ne!(bound.admin.as_ref().unwrap().local_addr().unwrap().port(), 0);
        let hands = Bound::deal(bound.listeners, &model::Runtime::default(), None, 3);
        assert_eq!(hands.len(), 3);
        for hand in &hands {
            let names: Vec<_> = hand.iter().map(|one| one.config.name.as_str()).collect();
            assert_eq!(names, ["l0", "l1"]);
            assert_eq!(hand[0].addresses, hands[0][0].addresses);
            assert_ne!(hand[0].addresses, hand[1].addresses);
        }
    }

    #[test]
    fn every_address_that_cannot_be_bound_is_reported_at_its_place() {
        let taken = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let (first, second) = (taken(), taken());
        let port = |listener: &TcpListener| listener.local_addr().unwrap().port();
        let text = yaml(port(&first), &[0, port(&second)]);
        let problems = bind_all(&bootstrap(&text), 2, None).unwrap_err();
        let lines: Vec<_> = problems.iter().map(ToString::to_string).collect();
        let [admin, listener] = &lines[..] else { panic!("{lines:?}") };
        let address = |listener: &TcpListener| listener.local_addr().unwrap().to_string();
        assert!(admin.starts_with("t.yaml:2:3: admin.address: admin: cannot bind"), "{admin}");
        assert!(admin.contains(&address(&first)) && admin.contains("ss -ltnp"), "{admin}");
        let expected = "static_resources.listeners[1].address: listener 'l1': cannot bind";
        assert!(listener.contains(expected), "{listener}");
        assert!(listener.contains(&address(&second)), "{listener}");
    }
}
