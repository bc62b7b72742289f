use std::collections::HashSet;

use super::{jsonpatch, kubernetes};

#[test]
fn overload_ids_are_distinct_and_every_function_has_one() {
    let mut seen = HashSet::new();
    for function in kubernetes().into_iter().chain(jsonpatch::functions()) {
        assert!(!function.overloads.is_empty(), "{}: a signature cannot be read", function.name);
        for overload in &function.overloads {
            assert!(seen.insert(overload.id), "{}: {} occurs twice", function.name, overload.id);
        }
    }
}
