use serde_json::{Value as Json, json};
use stockade_cel::document::from_json;

use super::*;

fn run(document: &Json, patch: &Json) -> Result<Json, String> {
    let arena = Bump::new();
    let symbols = Symbols::new();
    let document = from_json(document, &arena, &symbols).unwrap();
    let patch = from_json(patch, &arena, &symbols).unwrap();
    let patch: Vec<_> = patch.as_list().unwrap().iter().map(|o| operation(*o)).collect();
    let patched = apply(document, &patch, &arena, &symbols).map_err(|e| e.to_string())?;
    Ok(serde_json::to_value(patched).unwrap())
}

fn operation<'a>(o: Value<'a>) -> Operation<'a> {
    let text = |key| o.get(key).and_then(Value::as_str);
    Operation {
        op: text("op").unwrap_or_default(),
        path: text("path").unwrap_or_default(),
        from: text("from"),
        value: o.get("value"),
    }
}

fn round_trip(before: &Json, after: &Json) -> Json {
    let arena = Bump::new();
    let symbols = Symbols::new();
    let (b, a) = (from_json(before, &arena, &symbols).unwrap(), from_json(after, &arena, &symbols).unwrap());
    let patch = serde_json::to_value(diff(b, a, &arena)).unwrap();
    assert_eq!(run(before, &patch).as_ref(), Ok(after), "{patch}");
    patch
}

#[test]
fn every_operation_does_what_the_rfc_says() {
    let cases = [
        (
            json!({"foo": "bar"}),
            json!([{"op": "add", "path": "/baz", "value": "qux"}]),
            json!({"foo": "bar", "baz": "qux"}),
        ),
        (
            json!({"foo": ["bar", "baz"]}),
            json!([{"op": "add", "path": "/foo/1", "value": "qux"}]),
            json!({"foo": ["bar", "qux", "baz"]}),
        ),
        (json!({"a": 1, "b": 2}), json!([{"op": "remove", "path": "/a"}]), json!({"b": 2})),
        (json!({"foo": [1, 2, 3]}), json!([{"op": "remove", "path": "/foo/1"}]), json!({"foo": [1, 3]})),
        (json!({"a": 1}), json!([{"op": "replace", "path": "/a", "value": {"b": []}}]), json!({"a": {"b": []}})),
        (
            json!({"a": {"x": 1}, "b": {}}),
            json!([{"op": "move", "from": "/a/x", "path": "/b/y"}]),
            json!({"a": {}, "b": {"y": 1}}),
        ),
        (json!({"a": [1, 2, 3]}), json!([{"op": "move", "from": "/a/0", "path": "/a/2"}]), json!({"a": [2, 3, 1]})),
        (
            json!({"a": [{"x": 1}]}),
            json!([{"op": "copy", "from": "/a/0", "path": "/a/-"}]),
            json!({"a": [{"x": 1}, {"x": 1}]}),
        ),
        (
            json!({"a": [1, {"b": null}]}),
            json!([{"op": "test", "path": "/a/1", "value": {"b": null}}]),
            json!({"a": [1, {"b": null}]}),
        ),
        (
            json!({"a/b": 1, "c~d": 2}),
            json!([{"op": "remove", "path": "/a~1b"}, {"op": "replace", "path": "/c~0d", "value": 3}]),
            json!({"c~d": 3}),
        ),
        (
            json!({"a": {}}),
            json!([{"op": "add", "path": "/a/b", "value": {}}, {"op": "add", "path": "/a/b/c", "value": 1}]),
            json!({"a": {"b": {"c": 1}}}),
        ),
        (json!({"a": 1}), json!([{"op": "replace", "path": "", "value": {"b": 2}}]), json!({"b": 2})),
    ];
    for (document, patch, expected) in cases {
        assert_eq!(run(&document, &patch), Ok(expected), "{patch}");
    }
}

#[test]
fn the_librarys_peculiarities_are_kept() {
    let cases = [
        (json!({}), json!([{"op": "replace", "path": "/new", "value": 1}]), json!({"new": 1})),
        (json!({}), json!([{"op": "copy", "from": "/none", "path": "/a"}]), json!({"a": null})),
        (json!({"l": [1, 2, 3]}), json!([{"op": "remove", "path": "/l/-1"}]), json!({"l": [1, 2]})),
        (json!({"l": [1, 2]}), json!([{"op": "add", "path": "/l/-1", "value": 3}]), json!({"l": [1, 2, 3]})),
        (json!({"x": 1}), json!([{"op": "remove", "path": "spec/x"}]), json!({})),
        (json!({}), json!([{"op": "test", "path": "/none"}]), json!({})),
        (json!({}), json!([{"op": "add", "path": "/a"}]), json!({"a": null})),
        (json!({"a": {}}), json!([{"op": "test", "path": "/a", "value": null}]), json!({"a": {}})),
    ];
    for (document, patch, expected) in cases {
        assert_eq!(run(&document, &patch), Ok(expected), "{patch}");
    }
}

#[test]
fn faults_are_worded_as_the_library_words_them() {
    let cases = [
        (
            json!([{"op": "add", "path": "/x/y", "value": 1}]),
            "add operation does not apply: doc is missing path: \"/x/y\": missing value",
        ),
        (
            json!([{"op": "remove", "path": "/x"}]),
            "error in remove for path: '/x': Unable to remove nonexistent key: x: missing value",
        ),
        (
            json!([{"op": "replace", "path": "/l/9", "value": 1}]),
            "replace operation does not apply: doc is missing key: /l/9: missing value",
        ),
        (
            json!([{"op": "add", "path": "/l/9", "value": 1}]),
            "error in add for path: '/l/9': Unable to access invalid index: 9: invalid index referenced",
        ),
        (
            json!([{"op": "add", "path": "/l/x", "value": 1}]),
            "error in add for path: '/l/x': value was not a proper array index: 'x': strconv.Atoi: parsing \"x\": invalid syntax",
        ),
        (json!([{"op": "test", "path": "/l/0", "value": 2}]), "testing value /l/0 failed: test failed"),
        (
            json!([{"op": "test", "path": "/l/7", "value": 2}]),
            "error in test for path: '/l/7': Unable to access invalid index: 7: invalid index referenced",
        ),
        (
            json!([{"op": "move", "path": "/l/7"}]),
            "move operation failed to decode from: operation, missing from field: missing value",
        ),
        (
            json!([{"op": "copy", "from": "/q/z", "path": "/l/0"}]),
            "copy operation does not apply: doc is missing from path: /q/z: missing value",
        ),
        (json!([{"op": "opValue", "path": "/"}]), "Unexpected kind: opValue"),
        (
            json!([{"op": "replace", "path": "", "value": 1}]),
            "replace operation value must be object or array: %!w(<nil>)",
        ),
    ];
    for (patch, expected) in cases {
        assert_eq!(run(&json!({"l": [1]}), &patch), Err(expected.to_owned()), "{patch}");
    }
}

#[test]
fn a_patch_that_doubles_the_document_is_stopped() {
    let document = json!({"a": {"text": "x".repeat(1000)}});
    let double: Vec<_> = (0..40).map(|i| json!({"op": "copy", "from": "/a", "path": format!("/a/{i}")})).collect();
    let error = run(&document, &Json::from(double)).map(drop).unwrap_err();
    assert!(error.contains("exceeding the limit 3145728"), "{error}");
}

#[test]
fn a_patch_that_nests_without_end_is_stopped() {
    let nest: Vec<_> = (0..2000)
        .flat_map(|_| {
            [
                json!({"op": "add", "path": "/b", "value": {}}),
                json!({"op": "move", "from": "/a", "path": "/b/a"}),
                json!({"op": "move", "from": "/b", "path": "/a"}),
            ]
        })
        .collect();
    let error = run(&json!({"a": {}}), &Json::from(nest)).unwrap_err();
    assert_eq!(error, PatchError::TooLarge.to_string());
    let many = vec![json!({"op": "test", "path": "/a"}); MAX_OPERATIONS + 1];
    assert_eq!(run(&json!({}), &Json::from(many)), Err(PatchError::TooManyOperations(MAX_OPERATIONS + 1).to_string()));
}

#[test]
fn a_shared_value_that_unfolds_without_end_is_stopped() {
    let (arena, symbols) = (Bump::new(), Symbols::new());
    let mut value = Value::Int(1);
    for _ in 0..60 {
        value = Value::List(arena.alloc_slice_copy(&[value, value]));
    }
    let document = from_json(&json!({}), &arena, &symbols).unwrap();
    let patch = [Operation { op: "add", path: "/x", from: None, value: Some(value) }];
    assert_eq!(apply(document, &patch, &arena, &symbols).unwrap_err(), PatchError::TooLarge);
}

#[test]
fn a_difference_becomes_the_patch_that_makes_it() {
    assert_eq!(round_trip(&json!({"a": 1, "b": {"c": [1]}}), &json!({"a": 1, "b": {"c": [1]}})), json!([]));
    assert_eq!(
        round_trip(&json!({"a": 1, "b": {"x/y": 1}}), &json!({"b": {"x/y": 2, "n": {}}})),
        json!([
            {"op": "remove", "path": "/a"},
            {"op": "replace", "path": "/b/x~1y", "value": 2},
            {"op": "add", "path": "/b/n", "value": {}}
        ])
    );
    assert_eq!(
        round_trip(&json!({"l": [{"n": "a"}, {"n": "b"}]}), &json!({"l": [{"n": "z"}, {"n": "a"}, {"n": "b"}]})),
        json!([{"op": "add", "path": "/l/0", "value": {"n": "z"}}])
    );
    assert_eq!(
        round_trip(&json!({"l": [1, 2, 3, 4, 5]}), &json!({"l": [1, 7, 5]})),
        json!([{"op": "replace", "path": "/l/1", "value": 7}, {"op": "remove", "path": "/l/3"}, {"op": "remove", "path": "/l/2"}])
    );
    assert_eq!(
        round_trip(&json!({"l": [{"n": "a"}, {"n": "b"}]}), &json!({"l": [{"n": "a", "x": 1}, {"n": "b"}]})),
        json!([{"op": "add", "path": "/l/0/x", "value": 1}])
    );
    round_trip(&json!([1, [2]]), &json!({"a": [1]}));
}

#[test]
fn a_difference_of_more_operations_than_allowed_replaces_the_whole() {
    let object = |value: i32| -> Json { (0..=MAX_OPERATIONS).map(|i| (format!("k{i}"), Json::from(value))).collect() };
    let patch = round_trip(&object(1), &object(2));
    assert_eq!(patch.as_array().map(Vec::len), Some(1));
}
