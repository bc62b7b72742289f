//! What tells whether an object changed in a way that policies may judge differently.
//!
//! The status of a Pod changes many times while it starts, and `generation` does not. Objects of a kind that has no
//! `generation` are marked by their resourceVersion: any change of theirs counts.

use std::hash::{DefaultHasher, Hash, Hasher};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use stockade_cel::Value;

/// The marker of a decoded object.
pub(crate) fn marker(object: Value<'_>) -> u64 {
    let version = match object.path(&["metadata", "generation"]) {
        Some(Value::Int(generation @ 1..)) => Ok(generation),
        _ => Err(object.path(&["metadata", "resourceVersion"]).and_then(Value::as_str).unwrap_or("")),
    };
    let pairs = |key| {
        let members = object.path(&["metadata", key]).and_then(Value::as_object);
        let entries = members.map_or(&[][..], |m| m.entries());
        of_pairs(entries.iter().map(|e| (e.key, e.value.as_str().unwrap_or(""))))
    };
    hash(&(version, pairs("labels"), pairs("annotations")))
}

/// The marker of an object of which a watch brought the metadata.
pub(crate) fn marker_of_metadata(metadata: &ObjectMeta) -> u64 {
    let version = match metadata.generation {
        Some(generation @ 1..) => Ok(generation),
        _ => Err(metadata.resource_version.as_deref().unwrap_or("")),
    };
    let pairs = |map: &Option<std::collections::BTreeMap<String, String>>| {
        of_pairs(map.iter().flatten().map(|(k, v)| (k.as_str(), v.as_str())))
    };
    hash(&(version, pairs(&metadata.labels), pairs(&metadata.annotations)))
}

/// The number that a UID writes; of other text, which no API server writes, a hash.
pub(crate) fn uid_number(uid: &str) -> u128 {
    u128::from_str_radix(&uid.replace('-', ""), 16).unwrap_or_else(|_| u128::from(hash(&uid)))
}

/// The same in any order.
fn of_pairs<'p>(pairs: impl Iterator<Item = (&'p str, &'p str)>) -> u64 {
    pairs.fold(0, |sum, pair| sum.wrapping_add(hash(&pair)))
}

fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use bumpalo::Bump;
    use serde_json::{Value as Json, json};
    use stockade_cel::Symbols;
    use stockade_cel::document::from_json;

    use super::*;

    fn markers(object: &Json) -> (u64, u64) {
        let arena = Bump::new();
        let value = from_json(object, &arena, &Symbols::new()).unwrap();
        (marker(value), marker_of_metadata(&serde_json::from_value(object["metadata"].clone()).unwrap()))
    }

    #[test]
    fn a_list_and_a_watch_mark_an_object_alike_and_only_what_is_judged_changes_the_mark() {
        let pod = |generation: u64, version: &str, label: &str| {
            json!({"metadata": {"name": "a", "generation": generation, "resourceVersion": version,
                "labels": {"b": label, "a": "1"}, "annotations": {"x": "y"}}})
        };
        let (listed, watched) = markers(&pod(1, "10", "2"));
        assert_eq!(listed, watched);
        assert_eq!(markers(&pod(1, "11", "2")), (listed, listed));
        assert_ne!(markers(&pod(2, "11", "2")).0, listed);
        assert_ne!(markers(&pod(1, "11", "3")).0, listed);
        let (listed, watched) = markers(&pod(0, "10", "2"));
        assert_eq!(listed, watched);
        assert_ne!(markers(&pod(0, "11", "2")).0, listed);
    }
}
