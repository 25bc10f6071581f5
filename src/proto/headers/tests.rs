//! Tests of the header list.

use super::*;

fn list(fields: &[(&str, &str)]) -> HeaderList {
    let mut list = HeaderList::new();
    for (name, value) in fields {
        list.append(name.as_bytes(), value.as_bytes());
    }
    list
}

fn text(list: &HeaderList) -> String {
    let lines = list.iter().map(|(name, value)| {
        format!("{}={}", String::from_utf8_lossy(name), String::from_utf8_lossy(value))
    });
    lines.collect::<Vec<_>>().join(" ")
}

#[test]
fn fields_keep_their_order_and_lose_their_case() {
    let list = list(&[("X-B", "1"), ("Host", "h"), ("x-a", "2"), ("X-B", "3")]);
    assert_eq!(text(&list), "x-b=1 host=h x-a=2 x-b=3");
    assert_eq!(list.len(), 4);
    assert_eq!(list.byte_size(), 3 + 1 + 4 + 1 + 3 + 1 + 3 + 1);
}

#[test]
fn a_name_is_found_by_number_and_by_text() {
    let list = list(&[("X-B", "1"), ("Host", "h"), ("X-B", "3")]);
    assert_eq!(list.get(KnownName::Host), Some(&b"h"[..]));
    assert_eq!(list.get("host"), Some(&b"h"[..]));
    assert_eq!(list.get("x-b"), Some(&b"1"[..]));
    assert_eq!(list.get("X-B"), None, "names are asked for in lower case");
    assert_eq!(list.get_all("x-b").collect::<Vec<_>>(), [b"1", b"3"]);
    assert!(!list.contains(KnownName::Date) && list.get_all("nothing").next().is_none());
}

#[test]
fn setting_keeps_the_place_and_leaves_one() {
    for (value, expected) in [("x", "a=x b=2"), ("longer", "a=longer b=2"), ("", "a= b=2")] {
        let mut list = list(&[("a", "1"), ("b", "2"), ("a", "3")]);
        list.set("a", value.as_bytes());
        assert_eq!(text(&list), expected);
        assert_eq!(list.len(), 2);
    }
    let mut list = list(&[("a", "1")]);
    list.set(KnownName::ContentLength, b"0");
    list.set_number(KnownName::ContentLength, u64::MAX);
    list.append_number(KnownName::XEnvoyAttemptCount, 1);
    assert_eq!(text(&list), "a=1 content-length=18446744073709551615 x-envoy-attempt-count=1");
}

#[test]
fn removing_forgets_every_line_of_the_name() {
    for name in ["via", "x-via"] {
        let mut list = list(&[(name, "1"), ("b", "2"), (name, "3")]);
        assert!(list.remove(name));
        assert!(!list.remove(name));
        assert_eq!(text(&list), "b=2");
        list.append(name.as_bytes(), b"4");
        assert_eq!(list.get(name), Some(&b"4"[..]));
        assert_eq!(text(&list), format!("b=2 {name}=4"));
    }
}

#[test]
fn a_received_line_joins_the_first_of_its_name() {
    let mut list = HeaderList::new();
    for (name, value) in
        [("Via", "a"), ("x", "1"), ("VIA", "b"), ("cookie", "1"), ("cookie", "2"), ("via", "")]
    {
        let start = list.receive(format!("{name}: {value}").as_bytes(), 1);
        let value_start = start + name.len() + 2;
        list.append_received(
            name.as_bytes(),
            start,
            value_start..value_start + value.len(),
            |name| name == KnownName::Via,
        );
    }
    assert_eq!(text(&list), "via=a,b, x=1 cookie=1 cookie=2");
    assert_eq!(list.len(), 4);
    list.set("via", b"c");
    assert_eq!(text(&list), "via=c x=1 cookie=1 cookie=2");
}

#[test]
fn clearing_forgets_the_fields_and_little_memory() {
    let mut list = list(&[("host", "h"), ("x-a", "1")]);
    list.append(b"x-long", &vec![b'x'; 1024 * 1024]);
    list.clear();
    assert!(list.is_empty() && list.get(KnownName::Host).is_none());
    assert!(list.bytes.capacity() <= RETAINED_BYTES_MAX);
    list.append(b"host", b"i");
    assert_eq!(text(&list), "host=i");
}
