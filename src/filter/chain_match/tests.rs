//! Filter chains that compete for connections.

use super::*;

fn chain_match(matches: Vec<FilterChainMatch>, has_default: bool) -> ChainMatch {
    let default = has_default.then_some(ChainIndex(matches.len()));
    ChainMatch { matches: matches.into(), default }
}

fn ends(remote: &str, direct_remote: &str, local: &str) -> Ends {
    let address = |text: &str| Address::Ip(text.parse().unwrap());
    let local = address(local);
    let direct_local = local.clone();
    Ends { remote: address(remote), direct_remote: address(direct_remote), local, direct_local }
}

fn range(text: &str) -> Cidr {
    let (ip, len) = text.split_once('/').unwrap();
    Cidr::new(ip.parse().unwrap(), len.parse().unwrap())
}

/// A match of parts such as `to 10.0.0.0/8`, `from 1.2.3.4/32`, `port 80`.
fn matches(text: &str) -> FilterChainMatch {
    let mut matches = FilterChainMatch::default();
    for part in text.split(", ").filter(|part| !part.is_empty()) {
        match part.split_once(' ') {
            Some(("port", port)) => matches.destination_port = Some(port.parse().unwrap()),
            Some(("to", text)) => matches.prefix_ranges.push(range(text)),
            Some(("from", text)) => matches.source_prefix_ranges.push(range(text)),
            Some(("peer", text)) => matches.direct_source_prefix_ranges.push(range(text)),
            Some(("source", port)) => matches.source_ports.push(port.parse().unwrap()),
            None if part == "raw" => matches.raw_buffer = true,
            None if part == "local" => matches.source_type = SourceType::SameIpOrLoopback,
            None if part == "external" => matches.source_type = SourceType::External,
            _ => panic!("{part}"),
        }
    }
    matches
}

/// Which of the chains gets the connection.
fn found(chains: &[&str], ends: &Ends) -> Option<usize> {
    let chains = chains.iter().map(|text| matches(text)).collect();
    chain_match(chains, false).find(ends).map(|index| index.0)
}

#[test]
fn each_criterion_prefers_what_is_named_best() {
    let ends = ends("9.8.7.6:1000", "127.0.0.1:2000", "10.1.2.3:80");
    for (chains, expected) in [
        (&["", "port 80"] as &[_], Some(1)),
        (&["", "port 81"], Some(0)),
        (&["port 81"], None),
        (&["to 10.0.0.0/8", "to 10.1.0.0/16", "to 10.2.0.0/16", ""], Some(1)),
        (&["to 10.2.0.0/16, to 10.1.2.3/32", "to 10.1.0.0/16"], Some(0)),
        (&["to 0.0.0.0/0", ""], Some(0)),
        (&["to ::/0", ""], Some(1)),
        (&["", "raw"], Some(1)),
        (&["", "peer 127.0.0.0/8", "peer 9.0.0.0/8"], Some(1)),
        (&["", "from 127.0.0.0/8", "from 9.0.0.0/8"], Some(2)),
        (&["", "local", "external"], Some(2)),
        (&["", "local"], Some(0)),
        (&["", "source 1000", "source 2000"], Some(1)),
        (&["source 999, source 1001"], None),
    ] {
        assert_eq!(found(chains, &ends), expected, "{chains:?}");
    }
}

#[test]
fn an_earlier_criterion_counts_more_and_there_is_no_way_back() {
    let ends = ends("9.8.7.6:1000", "127.0.0.1:2000", "10.1.2.3:80");
    for (chains, expected) in [
        (&["port 80", "to 10.1.2.3/32, from 9.8.7.6/32, source 1000"] as &[_], Some(0)),
        (&["to 10.0.0.0/8", "from 9.8.7.6/32, source 1000"], Some(0)),
        (&["raw", "peer 127.0.0.1/32"], Some(0)),
        (&["peer 127.0.0.0/8", "external"], Some(0)),
        (&["external", "from 9.8.7.6/32"], Some(0)),
        (&["from 9.0.0.0/8", "source 1000"], Some(0)),
        // The first chain names the port, and then matches no further.
        (&["port 80, from 1.1.1.1/32", ""], None),
        (&["to 10.1.0.0/16, source 1", "to 10.0.0.0/8"], None),
    ] {
        assert_eq!(found(chains, &ends), expected, "{chains:?}");
    }
}

#[test]
fn a_source_is_local_at_loopback_or_at_the_destination() {
    for (remote, local, is_local) in [
        ("127.9.9.9:1", "10.0.0.1:80", true),
        ("[::1]:1", "[::2]:80", true),
        ("10.0.0.1:1", "10.0.0.1:80", true),
        ("10.0.0.2:1", "10.0.0.1:80", false),
        ("[::ffff:127.0.0.1]:1", "[::2]:80", false),
    ] {
        assert_eq!(ends(remote, remote, local).is_same_ip_or_loopback(), is_local, "{remote}");
    }
}

#[test]
fn a_unix_domain_socket_is_local_and_has_no_ports() {
    let pipe = Address::Pipe("/run/a.sock".into());
    let ends = Ends {
        remote: pipe.clone(),
        direct_remote: pipe.clone(),
        local: pipe.clone(),
        direct_local: pipe,
    };
    assert_eq!(found(&["", "local"], &ends), Some(1));
    assert_eq!(found(&["port 80", ""], &ends), Some(1));
    assert_eq!(found(&["source 1", ""], &ends), Some(1));
    assert_eq!(found(&["from 1.0.0.0/8", "to ::/0", ""], &ends), Some(2));
}

#[test]
fn the_default_chain_gets_what_no_other_matches() {
    let chains = chain_match(vec![matches("port 81")], true);
    assert_eq!(chains.only(), None);
    let connection = ends("1.1.1.1:1", "1.1.1.1:1", "2.2.2.2:80");
    assert_eq!(chains.find(&connection), Some(ChainIndex(1)));
    let connection = ends("1.1.1.1:1", "1.1.1.1:1", "2.2.2.2:81");
    assert_eq!(chains.find(&connection), Some(ChainIndex(0)));
}

#[test]
fn one_chain_for_all_needs_no_addresses() {
    assert_eq!(chain_match(vec![matches("")], false).only(), Some(ChainIndex(0)));
    assert_eq!(chain_match(vec![matches("")], true).only(), Some(ChainIndex(0)));
    assert_eq!(chain_match(Vec::new(), true).only(), Some(ChainIndex(0)));
    assert_eq!(chain_match(vec![matches("raw")], false).only(), None);
}
