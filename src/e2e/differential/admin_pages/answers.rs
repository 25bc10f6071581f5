//! An answer of the admin server, and how two of them differ.

use serde_json::Value;

use super::masks;
use super::pages::{Body, Request};
use crate::proxy::{Answer, Proxy};

/// What one proxy answered to one request.
pub(super) struct Shown {
    request: &'static Request,
    answer: Answer,
}

/// Headers that are compared.
const HEADERS: &[&str] = &["content-type", "cache-control", "x-content-type-options"];

impl Shown {
    pub(super) fn ask(proxy: &Proxy, request: &'static Request) -> Self {
        Self { request, answer: proxy.ask(request.line) }
    }

    /// One line for each thing that is not as in `self`, which is Envoy's answer.
    pub(super) fn differences(&self, here: &Self) -> Vec<String> {
        let line = self.request.line;
        let mut found = Vec::new();
        let (envoy, here) = (&self.answer, &here.answer);
        if envoy.status != here.status {
            found.push(format!("status: Envoy {}, here {}", envoy.status, here.status));
        }
        for header in HEADERS {
            let (envoy, here) = (envoy.header(header), here.header(header));
            if envoy != here {
                found.push(format!("{header}: Envoy {envoy:?}, here {here:?}"));
            }
        }
        match self.request.body {
            Body::Equal if envoy.body != here.body => {
                found.push(format!("body: Envoy {:?}, here {:?}", envoy.body, here.body));
            }
            Body::Equal | Body::Different(_) => {}
            Body::Lines => lines(line, &envoy.body, &here.body, &mut found),
            Body::Json => {
                let parse = |answer: &Answer| serde_json::from_str::<Value>(&answer.body);
                match (parse(envoy), parse(here)) {
                    (Ok(envoy), Ok(here)) => json(line, "", &envoy, &here, &mut found),
                    (envoy, here) => {
                        found.push(format!("no JSON: Envoy {envoy:?}, here {here:?}"));
                    }
                }
            }
        }
        found.into_iter().map(|difference| format!("{line}: {difference}")).collect()
    }
}

/// Lines in any order, for Envoy lists clusters in the order of a hash.
fn lines(request: &str, envoy: &str, here: &str, found: &mut Vec<String>) {
    let shown = |text: &str| -> Vec<String> {
        let lines = text.lines().filter(|line| !masks::hides_line(request, line));
        let mut lines: Vec<String> = lines.map(|line| masks::masked_line(request, line)).collect();
        lines.sort();
        lines
    };
    let (envoy, here) = (shown(envoy), shown(here));
    let missing = envoy.iter().filter(|line| !here.contains(line));
    found.extend(missing.map(|line| format!("only Envoy: {line}")));
    let more = here.iter().filter(|line| !envoy.contains(line));
    found.extend(more.map(|line| format!("only here: {line}")));
    if envoy.len() != here.len() {
        found.push(format!("lines: Envoy {}, here {}", envoy.len(), here.len()));
    }
}

/// Names, types and values, down to what a mask hides.
fn json(request: &str, path: &str, envoy: &Value, here: &Value, found: &mut Vec<String>) {
    if masks::hides_value(request, path) {
        return;
    }
    match (envoy, here) {
        (Value::Object(envoy), Value::Object(here)) => {
            for (name, value) in envoy {
                let path = format!("{path}/{name}");
                match here.get(name) {
                    Some(here) => json(request, &path, value, here, found),
                    None if masks::hides_value(request, &path) => {}
                    None => found.push(format!("{path}: only Envoy: {value}")),
                }
            }
            let more = here.iter().filter(|(name, _)| !envoy.contains_key(*name));
            for (name, value) in more {
                let path = format!("{path}/{name}");
                if !masks::hides_value(request, &path) {
                    found.push(format!("{path}: only here: {value}"));
                }
            }
        }
        (Value::Array(envoy), Value::Array(here)) => {
            if envoy.len() != here.len() {
                found.push(format!("{path}: Envoy {} elements, here {}", envoy.len(), here.len()));
                return;
            }
            let pairs = sorted(envoy).into_iter().zip(sorted(here));
            for (index, (envoy, here)) in pairs.enumerate() {
                json(request, &format!("{path}/{index}"), envoy, here, found);
            }
        }
        (envoy, here) if masks::masks_value(request, path) && same_type(envoy, here) => {}
        (envoy, here) if masks::masks_value(request, path) => {
            found.push(format!("{path}: of another type: Envoy {envoy}, here {here}"));
        }
        (envoy, here) if envoy != here => {
            found.push(format!("{path}: Envoy {envoy}, here {here}"));
        }
        _ => {}
    }
}

fn same_type(a: &Value, b: &Value) -> bool {
    std::mem::discriminant(a) == std::mem::discriminant(b)
}

/// Elements that have a name sorted by it, for Envoy lists clusters in the order of a hash.
fn sorted(elements: &[Value]) -> Vec<&Value> {
    let mut elements: Vec<&Value> = elements.iter().collect();
    let name = |value: &Value| {
        let paths = ["/name", "/endpoint_config/cluster_name"];
        paths.iter().find_map(|path| Some(value.pointer(path)?.as_str()?.to_owned()))
    };
    if elements.iter().all(|value| name(value).is_some()) && !is_ordered(&elements) {
        elements.sort_by_key(|value| name(value));
    }
    elements
}

/// The stats of a host stand in an order of their own.
fn is_ordered(elements: &[&Value]) -> bool {
    elements.iter().any(|value| value.get("name").is_some_and(|name| name == "cx_total"))
}
