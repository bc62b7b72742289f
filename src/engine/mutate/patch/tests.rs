use bumpalo::Bump;
use serde_json::{Value as Json, json};
use stockade_cel::value::Timestamp;
use stockade_cel::{Symbols, document::from_json};

use super::*;

/// Gives a builder of values that live as long as the test.
struct Kit {
    arena: Bump,
    symbols: Symbols,
}

impl Kit {
    fn new() -> Self {
        Self { arena: Bump::new(), symbols: Symbols::new() }
    }

    fn target(&self) -> Into<'_> {
        Into { arena: &self.arena, symbols: &self.symbols }
    }

    fn document(&self, json: &Json) -> Value<'_> {
        from_json(json, &self.arena, &self.symbols).unwrap()
    }

    fn structure<'a>(&'a self, type_name: &'a str, fields: &[(&'a str, Value<'a>)]) -> Value<'a> {
        let mut members = Members::new(&self.arena, &self.symbols);
        fields.iter().for_each(|(key, value)| members.push(key, *value));
        let fields = *members.finish().as_object().unwrap();
        Value::Struct(self.arena.alloc(Struct { type_name, fields }))
    }

    fn json_patch<'a>(&'a self, op: &'a str, path: &'a str, value: Option<Value<'a>>) -> Value<'a> {
        let mut fields = vec![("op", Value::String(op)), ("path", Value::String(path))];
        fields.extend(value.map(|v| ("value", v)));
        self.structure("JSONPatch", &fields)
    }

    fn patched<'a>(&'a self, object: &Json, operations: &[Value<'a>]) -> Result<Json, MutationError> {
        let list = Value::List(self.arena.alloc_slice_copy(operations));
        patch(self.document(object), list, self.target()).map(|v| serde_json::to_value(v).unwrap())
    }
}

fn deployment() -> Json {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "spec": {"replicas": 1}})
}

#[test]
fn a_json_patch_changes_the_object() {
    let kit = Kit::new();
    let patch = kit.json_patch("replace", "/spec/replicas", Some(Value::Int(3)));
    assert_eq!(kit.patched(&deployment(), &[patch]).unwrap()["spec"], json!({"replicas": 3}));
}

#[test]
fn a_test_that_does_not_hold_leaves_the_object_as_it_is() {
    let kit = Kit::new();
    let patch = [
        kit.json_patch("replace", "/spec/replicas", Some(Value::Int(3))),
        kit.json_patch("test", "/spec/replicas", Some(Value::Int(1))),
    ];
    assert_eq!(kit.patched(&deployment(), &patch), Ok(deployment()));
}

#[test]
fn a_patch_that_does_not_apply_counts_under_the_failure_policy() {
    let kit = Kit::new();
    let error = kit.patched(&deployment(), &[kit.json_patch("remove", "/spec/x/y", None)]).unwrap_err();
    let text = "JSON Patch: remove operation does not apply: doc is missing path: \"/spec/x/y\": missing value";
    assert_eq!(error, MutationError::Policy(text.to_owned()));
}

#[test]
fn a_patch_that_leaves_no_object_of_the_kind_ends_the_request() {
    let kit = Kit::new();
    let list = Value::List(&[]);
    for patch in [
        kit.json_patch("replace", "", Some(list)),
        kit.json_patch("replace", "/kind", Some(Value::String("Pod"))),
        kit.json_patch("remove", "/apiVersion", None),
        kit.json_patch("add", "/spec/replicasx", Some(Value::Int(1))),
        kit.json_patch("add", "/spec/replicas", Some(Value::String("many"))),
    ] {
        let error = kit.patched(&deployment(), &[patch]).unwrap_err();
        assert!(matches!(&error, MutationError::Request(s) if s.code == 500), "{error:?}");
    }
}

#[test]
fn values_become_the_json_that_cel_go_makes_of_them() {
    let kit = Kit::new();
    let one = Value::Int(1);
    let time = Value::Timestamp(Timestamp { seconds: 0, nanos: 0, offset: 0 });
    let cases = [
        (Value::Int(1 << 53), json!("9007199254740992")),
        (Value::Int((1 << 53) - 1), json!(9_007_199_254_740_991_i64)),
        (Value::Uint(7), json!(7)),
        (time, json!("1970-01-01T00:00:00Z")),
        (Value::Optional(Some(&one)), json!(1)),
        (kit.structure("Object.spec", &[("a", one)]), json!({"a": 1})),
    ];
    for (value, expected) in cases {
        let plain = super::json(value, 10, &mut 1000, kit.target()).unwrap();
        assert_eq!(serde_json::to_value(plain).unwrap(), expected);
    }
    let numbered = [(one, one)];
    for refused in [Value::Map(&numbered), Value::Optional(None), Value::Type("int")] {
        assert!(super::json(refused, 10, &mut 1000, kit.target()).is_err(), "{refused:?}");
    }
}

#[test]
fn initialisers_must_stand_where_their_names_say() {
    let kit = Kit::new();
    let wrong = kit.structure("Object.spec.wrong", &[]);
    let spec = kit.structure("Object.spec", &[("template", Value::List(kit.arena.alloc_slice_copy(&[wrong])))]);
    let root = kit.structure("Object", &[("spec", spec)]);
    let error = merge(kit.document(&deployment()), root, kit.target()).unwrap_err();
    let text = "type mismatch: unexpected type name \"Object.spec.wrong\", expected \"Object.spec.template\", which \
                matches field name path from root Object type";
    assert_eq!(error, MutationError::Policy(text.to_owned()));
}

#[test]
fn an_apply_configuration_is_merged_by_the_schema_of_the_kind() {
    let kit = Kit::new();
    let spec = kit.structure("Object.spec", &[("paused", Value::Bool(true))]);
    let merged = merge(kit.document(&deployment()), kit.structure("Object", &[("spec", spec)]), kit.target()).unwrap();
    assert_eq!(serde_json::to_value(merged).unwrap()["spec"], json!({"replicas": 1, "paused": true}));

    let unknown = kit.structure("Object.spec", &[("replicasx", Value::Int(1))]);
    let error = merge(kit.document(&deployment()), kit.structure("Object", &[("spec", unknown)]), kit.target());
    let text = "error applying patch: failed to convert patch object to typed object: .spec.replicasx: field not \
                declared in schema";
    assert_eq!(error.unwrap_err(), MutationError::Policy(text.to_owned()));
}

#[test]
fn a_misfit_that_was_there_before_is_not_the_patchs_fault() {
    let kit = Kit::new();
    let mut object = deployment();
    object["spec"]["replicasx"] = json!(1);
    let patch = kit.json_patch("replace", "/spec/replicas", Some(Value::Int(3)));
    assert_eq!(kit.patched(&object, &[patch]).unwrap()["spec"], json!({"replicas": 3, "replicasx": 1}));
}

#[test]
fn a_small_value_that_stands_for_a_huge_text_is_refused() {
    let kit = Kit::new();
    let doubled = (0..60).fold(Value::String("a"), |v, _| Value::List(kit.arena.alloc_slice_copy(&[v, v])));
    let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}});

    let add = kit.json_patch("add", "/metadata/annotations", Some(doubled));
    let what = "JSONPath valueExpression evaluated to a type that could not marshal to JSON";
    let why = PatchError::TooLarge;
    assert_eq!(kit.patched(&object, &[add]), Err(MutationError::Policy(format!("{what}: {why}"))));

    let configuration = kit.structure("Object", &[("data", doubled)]);
    let merged = merge(kit.document(&object), configuration, kit.target());
    let why = "error applying patch: the apply configuration is larger than 16777216 bytes or nested too deep";
    assert_eq!(merged.map(|_| ()), Err(MutationError::Policy(why.to_owned())));
}
