//! Which route a request takes: virtual host by authority, then the first route that matches.
//!
//! Built once from the configuration and shared by all workers. A route names its cluster by an
//! index, which each worker turns into its own view of that cluster without hashing a name.
//!
//! <https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_conn_man/route_matching>

use std::borrow::Cow;
use std::collections::HashMap;

use config::model::{self, Domain, PathMatch};

/// A route configuration, ready to be asked.
#[derive(Debug)]
pub(crate) struct RouteTable {
    /// By the whole authority, in lower case.
    exact: HashMap<Vec<u8>, usize>,
    /// By its end, the longest first.
    suffixes: ByLength,
    /// By its beginning, the longest first.
    prefixes: ByLength,
    any: Option<usize>,
    virtual_hosts: Vec<VirtualHost>,
    clusters: Vec<String>,
}

/// Parts of authorities of one length each, and whose they are.
type ByLength = Vec<(usize, HashMap<Vec<u8>, usize>)>;

#[derive(Debug)]
struct VirtualHost {
    routes: Vec<Route>,
}

/// A route and what it does.
#[derive(Debug)]
pub(crate) struct Route {
    name: String,
    path: PathMatch,
    action: Action,
}

/// What happens to a request that took the route.
#[derive(Debug)]
pub(crate) enum Action {
    /// It is sent to a cluster: one of [`RouteTable::clusters`].
    Forward { cluster: usize, config: model::ForwardAction },
    /// It is answered with a location.
    Redirect(model::RedirectAction),
    /// It is answered as configured.
    Reply(model::DirectResponse),
}

impl RouteTable {
    pub(crate) fn new(config: &model::RouteConfiguration) -> Self {
        let mut table = Self {
            exact: HashMap::new(),
            suffixes: ByLength::new(),
            prefixes: ByLength::new(),
            any: None,
            virtual_hosts: Vec::with_capacity(config.virtual_hosts.len()),
            clusters: Vec::new(),
        };
        let mut cluster_indices = HashMap::new();
        for (index, host) in config.virtual_hosts.iter().enumerate() {
            for domain in &host.domains {
                table.add_domain(domain, index);
            }
            let routes = host.routes.iter();
            let routes = routes.map(|route| table.route(route, &mut cluster_indices)).collect();
            table.virtual_hosts.push(VirtualHost { routes });
        }
        table.suffixes.sort_by_key(|(length, _)| std::cmp::Reverse(*length));
        table.prefixes.sort_by_key(|(length, _)| std::cmp::Reverse(*length));
        table
    }

    fn add_domain(&mut self, domain: &Domain, index: usize) {
        let put = |list: &mut ByLength, text: &str| {
            let length = text.len();
            let place = list.iter().position(|(known, _)| *known == length).unwrap_or_else(|| {
                list.push((length, HashMap::new()));
                list.len() - 1
            });
            list[place].1.insert(text.as_bytes().to_vec(), index);
        };
        match domain {
            Domain::Exact(text) => {
                self.exact.insert(text.as_bytes().to_vec(), index);
            }
            Domain::Suffix(text) => put(&mut self.suffixes, text),
            Domain::Prefix(text) => put(&mut self.prefixes, text),
            Domain::Any => self.any = Some(index),
        }
    }

    fn route(&mut self, config: &model::Route, indices: &mut HashMap<String, usize>) -> Route {
        let action = match &config.action {
            model::RouteAction::Forward(forward) => {
                let clusters = &mut self.clusters;
                let cluster = *indices.entry(forward.cluster.clone()).or_insert_with(|| {
                    clusters.push(forward.cluster.clone());
                    clusters.len() - 1
                });
                Action::Forward { cluster, config: forward.clone() }
            }
            model::RouteAction::Redirect(redirect) => Action::Redirect(redirect.clone()),
            model::RouteAction::DirectResponse(reply) => Action::Reply(reply.clone()),
        };
        Route { name: config.name.clone(), path: config.path.clone(), action }
    }

    /// The names of the clusters that routes lead to, each once.
    pub(crate) fn clusters(&self) -> &[String] {
        &self.clusters
    }

    /// The route for a request, if there is one. `path` is as the client wrote it, query and all; a
    /// CONNECT goes only where a route asks for it by name.
    pub(crate) fn find(&self, authority: &[u8], path: &[u8], is_connect: bool) -> Option<&Route> {
        let host = &self.virtual_hosts[self.virtual_host(authority)?];
        let path = without_query(path);
        host.routes.iter().find(|route| route.matches(path, is_connect))
    }

    fn virtual_host(&self, authority: &[u8]) -> Option<usize> {
        // One virtual host for everything is what most have.
        if self.exact.is_empty() && self.suffixes.is_empty() && self.prefixes.is_empty() {
            return self.any;
        }
        let authority = lower_case(authority);
        if let Some(index) = self.exact.get(&*authority) {
            return Some(*index);
        }
        // A wildcard stands for at least one character.
        let fitting = |list: &ByLength, part: fn(&[u8], usize) -> &[u8]| {
            let mut list = list.iter().filter(|(length, _)| *length < authority.len());
            list.find_map(|(length, hosts)| hosts.get(part(&authority, *length)).copied())
        };
        fitting(&self.suffixes, |text, length| &text[text.len() - length..])
            .or_else(|| fitting(&self.prefixes, |text, length| &text[..length]))
            .or(self.any)
    }
}

impl Route {
    /// For access logs; empty when it has none.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn action(&self) -> &Action {
        &self.action
    }

    /// How long the beginning of the path is that the match asked for.
    pub(crate) fn matched_length(&self) -> usize {
        match &self.path {
            PathMatch::Prefix(text) | PathMatch::Exact(text) => text.len(),
            PathMatch::Connect => 0,
        }
    }

    fn matches(&self, path: &[u8], is_connect: bool) -> bool {
        match &self.path {
            PathMatch::Prefix(prefix) => !is_connect && path.starts_with(prefix.as_bytes()),
            PathMatch::Exact(exact) => !is_connect && path == exact.as_bytes(),
            PathMatch::Connect => is_connect,
        }
    }
}

fn lower_case(text: &[u8]) -> Cow<'_, [u8]> {
    if text.iter().any(u8::is_ascii_uppercase) {
        Cow::Owned(text.to_ascii_lowercase())
    } else {
        Cow::Borrowed(text)
    }
}

/// The path of a request target, without query and fragment.
fn without_query(path: &[u8]) -> &[u8] {
    let end = path.iter().position(|byte| matches!(byte, b'?' | b'#'));
    end.map_or(path, |end| &path[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(status: u16) -> model::RouteAction {
        model::RouteAction::DirectResponse(model::DirectResponse { status, body: Vec::new() })
    }

    fn host(domains: Vec<Domain>, routes: Vec<(PathMatch, u16)>) -> model::VirtualHost {
        let route =
            |(path, status)| model::Route { name: String::new(), path, action: reply(status) };
        model::VirtualHost {
            name: format!("{domains:?}"),
            domains,
            routes: routes.into_iter().map(route).collect(),
        }
    }

    fn table(virtual_hosts: Vec<model::VirtualHost>) -> RouteTable {
        RouteTable::new(&model::RouteConfiguration { name: String::new(), virtual_hosts })
    }

    fn status(table: &RouteTable, authority: &str, path: &str) -> Option<u16> {
        match table.find(authority.as_bytes(), path.as_bytes(), false)?.action() {
            Action::Reply(reply) => Some(reply.status),
            _ => None,
        }
    }

    fn all() -> PathMatch {
        PathMatch::Prefix("/".to_owned())
    }

    #[test]
    fn exact_goes_before_the_longest_suffix_before_the_longest_prefix_before_any() {
        let one = |domain, status| host(vec![domain], vec![(all(), status)]);
        let table = table(vec![
            one(Domain::Any, 200),
            one(Domain::Prefix("www.".to_owned()), 201),
            one(Domain::Prefix("www.foo.".to_owned()), 202),
            one(Domain::Suffix(".bar.com".to_owned()), 203),
            one(Domain::Suffix("-x.bar.com".to_owned()), 204),
            one(Domain::Exact("www.foo.com".to_owned()), 205),
        ]);
        for (authority, expected) in [
            ("www.foo.com", 205),
            ("WWW.Foo.com", 205),
            ("www.foo.com:80", 202),
            ("www.foo.", 201),
            ("www.x", 201),
            ("www.", 200),
            ("a.bar.com", 203),
            ("a-x.bar.com", 204),
            (".bar.com", 200),
            ("www.foo.bar.com", 203),
            ("", 200),
        ] {
            assert_eq!(status(&table, authority, "/"), Some(expected), "{authority}");
        }
    }

    #[test]
    fn the_first_route_that_matches_the_path_without_its_query_counts() {
        let table = table(vec![host(
            vec![Domain::Any],
            vec![
                (PathMatch::Exact("/a".to_owned()), 201),
                (PathMatch::Prefix("/a".to_owned()), 202),
                (PathMatch::Prefix("/b/".to_owned()), 203),
            ],
        )]);
        for (path, expected) in [
            ("/a", Some(201)),
            ("/a?x=/b/", Some(201)),
            ("/ab", Some(202)),
            ("/A", None),
            ("/b", None),
            ("/b/?", Some(203)),
            ("", None),
            ("*", None),
        ] {
            assert_eq!(status(&table, "h", path), expected, "{path}");
        }
    }

    #[test]
    fn without_a_virtual_host_for_it_a_request_has_no_route() {
        let table = table(vec![host(vec![Domain::Exact("a".to_owned())], vec![(all(), 200)])]);
        assert_eq!(status(&table, "b", "/"), None);
    }

    #[test]
    fn each_cluster_is_listed_once() {
        let forward = |cluster: &str| model::Route {
            name: String::new(),
            path: all(),
            action: model::RouteAction::Forward(model::ForwardAction {
                cluster: cluster.to_owned(),
                timeout: None,
                max_grpc_timeout: None,
                max_stream_duration: None,
                idle_timeout: None,
                upgrades: Vec::new(),
                connect: None,
            }),
        };
        let mut one = host(vec![Domain::Any], vec![]);
        one.routes = vec![forward("b"), forward("a"), forward("b")];
        assert_eq!(table(vec![one]).clusters(), ["b", "a"]);
    }
}
