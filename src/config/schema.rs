//! Envoy's v3 schema: the descriptor set of its whole API, checked in as `envoy.binpb`.
//!
//! `scripts/gen-protos` writes that file; the build needs no protoc. Decoding takes some 30 ms in a
//! release build and happens once, when the first configuration is read.

use std::sync::OnceLock;

use prost_reflect::{DescriptorPool, MessageDescriptor};

/// Root of every configuration file.
pub(crate) const BOOTSTRAP: &str = "envoy.config.bootstrap.v3.Bootstrap";

/// Prefix of the type URLs in Envoy's documentation; protobuf accepts any host.
pub(crate) const TYPE_URL_PREFIX: &str = "type.googleapis.com/";

static DESCRIPTOR_SET: &[u8] = include_bytes!("envoy.binpb");

/// The decoded schema.
pub(crate) fn pool() -> &'static DescriptorPool {
    static POOL: OnceLock<DescriptorPool> = OnceLock::new();
    POOL.get_or_init(|| {
        DescriptorPool::decode(DESCRIPTOR_SET).expect("the checked-in descriptor set decodes")
    })
}

/// The message type of that full name.
pub(crate) fn message(full_name: &str) -> Option<MessageDescriptor> {
    pool().get_message_by_name(full_name)
}

/// Longer than any name of the schema; a distance costs the product of both lengths.
const WORD_CHARS_MAX: usize = 200;

/// The word among `candidates` that `word` was probably meant to be.
pub(crate) fn nearest<'a>(
    word: &str,
    candidates: impl Iterator<Item = &'a str>,
) -> Option<&'a str> {
    let length = word.chars().count();
    if length > WORD_CHARS_MAX {
        return None;
    }
    // A third of the letters wrong is a typing mistake, more is another word.
    let distance_max = (length / 3).max(1);
    candidates
        // The distance is at least the difference of the lengths, and far dearer to find out.
        .filter(|candidate| candidate.chars().count().abs_diff(length) <= distance_max)
        .map(|candidate| (strsim::osa_distance(word, candidate), candidate))
        .filter(|(distance, _)| *distance <= distance_max)
        .min()
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checked_in_descriptor_set_holds_the_bootstrap() {
        let bootstrap = message(BOOTSTRAP).unwrap();
        assert!(bootstrap.get_field_by_name("static_resources").is_some());
        // Named in files only, imported by none of Envoy's.
        assert!(message("xds.type.v3.TypedStruct").is_some());
    }

    #[test]
    fn a_typing_mistake_finds_its_word_and_another_word_finds_nothing() {
        let fields = ["address", "admin", "name"];
        assert_eq!(nearest("adress", fields.into_iter()), Some("address"));
        assert_eq!(nearest("cluster", fields.into_iter()), None);
        assert_eq!(nearest(&"address".repeat(1000), fields.into_iter()), None);
    }
}
