use serde_json::{Value as Json, json};
use stockade_cel::document::from_json;

use super::*;

fn run(object: &Json, configuration: &Json) -> Result<Json, String> {
    let (arena, symbols) = (Bump::new(), Symbols::new());
    let text = |key: &str| object[key].as_str().unwrap();
    let kind = Kinds::builtin().by_api_version(text("apiVersion"), text("kind"));
    let object = from_json(object, &arena, &symbols).unwrap();
    let configuration = from_json(configuration, &arena, &symbols).unwrap();
    let merged = apply(kind, object, configuration, &arena, &symbols).map_err(|e| e.to_string())?;
    Ok(serde_json::to_value(merged).unwrap())
}

fn pod(spec: &Json) -> Json {
    json!({"apiVersion": "v1", "kind": "Pod", "spec": spec})
}

fn merged(object: &Json, configuration: &Json) -> Json {
    run(&pod(object), &json!({"spec": configuration})).unwrap()["spec"].clone()
}

fn refusal(configuration: &Json) -> String {
    run(&pod(&json!({"containers": [{"name": "a"}]})), configuration).unwrap_err()
}

#[test]
fn list_map_items_merge_by_their_keys() {
    assert_eq!(
        merged(
            &json!({"containers": [{"name": "a", "image": "x"}, {"name": "b", "image": "y"}]}),
            &json!({"containers": [{"name": "b", "image": "z"}, {"name": "c", "image": "w"}]})
        ),
        json!({"containers": [{"name": "a", "image": "x"}, {"name": "b", "image": "z"}, {"name": "c", "image": "w"}]})
    );
}

#[test]
fn a_key_field_that_is_absent_has_its_declared_default() {
    assert_eq!(
        merged(
            &json!({"containers": [{"name": "a", "ports": [{"containerPort": 80, "protocol": "TCP", "name": "old"}]}]}),
            &json!({"containers": [{"name": "a", "ports": [{"containerPort": 80, "name": "new"}]}]})
        ),
        json!({"containers": [{"name": "a", "ports": [{"containerPort": 80, "protocol": "TCP", "name": "new"}]}]})
    );
}

#[test]
fn items_take_the_order_of_the_configuration_around_the_shared_ones() {
    let names = |names: &str| -> Json {
        json!({"tolerations": [], "volumes": names.chars().map(|c| json!({"name": c.to_string()})).collect::<Vec<_>>()})
    };
    let order = |left: &str, right: &str| -> String {
        let configuration = json!({"volumes": names(right)["volumes"]});
        let merged = merged(&names(left), &configuration);
        merged["volumes"].as_array().unwrap().iter().map(|v| v["name"].as_str().unwrap()).collect()
    };
    assert_eq!(order("abc", "d"), "abcd");
    assert_eq!(order("abc", "cb"), "acb");
    assert_eq!(order("abcd", "dxa"), "bcdxa");
    assert_eq!(order("abcd", "xbyd"), "axbcyd");
    assert_eq!(order("", "ba"), "ba");
}

#[test]
fn duplicates_of_the_object_are_replaced_when_named_and_kept_when_not() {
    assert_eq!(
        merged(
            &json!({"containers": [{"name": "a", "env": [{"name": "t", "value": "1"}, {"name": "t", "value": "2"}, {"name": "u"}, {"name": "u"}]}]}),
            &json!({"containers": [{"name": "a", "env": [{"name": "t", "value": "3"}]}]})
        ),
        json!({"containers": [{"name": "a", "env": [{"name": "t", "value": "3"}, {"name": "u"}, {"name": "u"}]}]})
    );
}

#[test]
fn sets_unite_and_maps_merge_by_key() {
    let object =
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"finalizers": ["a", "b"], "labels": {"x": "1"}}});
    let configuration = json!({"metadata": {"finalizers": ["c", "a"], "labels": {"y": "2"}}});
    assert_eq!(
        run(&object, &configuration),
        Ok(
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"finalizers": ["c", "a", "b"], "labels": {"x": "1", "y": "2"}}})
        )
    );
}

#[test]
fn a_null_unsets_a_scalar() {
    assert_eq!(
        merged(&json!({"nodeName": "n", "hostNetwork": true}), &json!({"nodeName": null})),
        json!({"hostNetwork": true})
    );
}

#[test]
fn atomic_parts_are_refused_with_their_paths() {
    assert_eq!(
        refusal(&json!({"spec": {"containers": [{"name": "a", "args": ["x"]}], "tolerations": []}})),
        "invalid ApplyConfiguration: may not mutate atomic arrays, maps or structs: .spec.containers[0].args, \
         .spec.tolerations"
    );
}

#[test]
fn what_does_not_fit_the_schema_is_named() {
    let problem = "failed to convert patch object to typed object: ";
    let cases = [
        (json!({"spec": {"nope": 1}}), ".spec.nope: field not declared in schema"),
        (json!({"spec": {"nodeName": 1}}), ".spec.nodeName: expected string, got &value.valueUnstructured{Value:1}"),
        (json!({"spec": {"hostNetwork": "x"}}), ".spec.hostNetwork: expected boolean, got &{x}"),
        (json!({"spec": {"priority": "x"}}), ".spec.priority: expected numeric (int or float), got string"),
        (json!({"spec": {"containers": {"a": 1}}}), ".spec.containers: expected list, got &{map[a:1]}"),
        (json!({"spec": ["x"]}), ".spec: expected map, got &{[x]}"),
        (
            json!({"spec": {"containers": [{"name": "a"}, {"name": "a"}]}}),
            ".spec.containers: duplicate entries for key [name=\"a\"]",
        ),
        (
            json!({"spec": {"hostAliases": [{"hostnames": []}], "resourceClaims": [{}], "initContainers": [null]}}),
            ".spec.initContainers: element 0: associative list with keys may not have a null element",
        ),
        (
            json!({"spec": {"nodeName": 1}, "nope": 2}),
            "errors:\n  .spec.nodeName: expected string, got &value.valueUnstructured{Value:1}\n  .nope: field not \
             declared in schema",
        ),
    ];
    for (configuration, expected) in cases {
        assert_eq!(refusal(&configuration), format!("{problem}{expected}"));
    }
}

#[test]
fn without_a_schema_maps_merge_and_lists_are_atomic() {
    let object = json!({"apiVersion": "example.com/v1", "kind": "Thing", "spec": {"a": {"b": 1}, "l": [1]}});
    assert_eq!(
        run(&object, &json!({"spec": {"a": {"c": 2}}})),
        Ok(json!({"apiVersion": "example.com/v1", "kind": "Thing", "spec": {"a": {"b": 1, "c": 2}, "l": [1]}}))
    );
    assert_eq!(
        run(&object, &json!({"spec": {"l": [2]}})),
        Err("invalid ApplyConfiguration: may not mutate atomic arrays, maps or structs: .spec.l".to_owned())
    );
}

#[test]
fn a_shared_value_that_unfolds_without_end_is_refused() {
    let (arena, symbols) = (Bump::new(), Symbols::new());
    let object = from_json(&pod(&json!({})), &arena, &symbols).unwrap();
    let mut value = Value::Int(1);
    for _ in 0..60 {
        value = json::build([("a", value), ("b", value)], &arena, &symbols);
    }
    assert_eq!(apply(None, object, value, &arena, &symbols).unwrap_err(), MergeError::TooLarge);
}

#[test]
fn a_kind_that_only_subresources_of_other_groups_take_has_no_type() {
    let scale = json!({"apiVersion": "autoscaling/v1", "kind": "Scale", "spec": {"replicas": 1}});
    assert_eq!(
        run(&scale, &json!({"spec": {"replicas": 2}})).unwrap_err(),
        "failed to convert patch object to typed object: no corresponding type for autoscaling/v1, Kind=Scale"
    );
    let binding = json!({"apiVersion": "v1", "kind": "Binding", "target": {"name": "a"}});
    assert_eq!(
        run(&binding, &json!({"metadata": {"labels": {"a": "b"}}})).unwrap()["metadata"],
        json!({"labels": {"a": "b"}})
    );
}
