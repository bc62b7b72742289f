//! The API server's own table of matchConstraints against requests.
#![expect(clippy::unwrap_used, reason = "helpers of a test")]

#[path = "support/kit.rs"]
mod kit;

use bumpalo::Bump;
use serde_json::{Value as Json, json};
use stockade_cel::document::from_json;
use stockade_cel::{Symbols, Value};
use stockade_engine::equivalents::{Conversion, Equivalent, Equivalents};
use stockade_engine::matcher::{MatchError, Matcher, NamespaceLabels};
use stockade_engine::request::{GroupVersionKind, GroupVersionResource, Request};
use stockade_policy::matching::{MatchPolicy, MatchResources, RuleWithOperations, Scope};
use stockade_policy::selector::{LabelSelector, Operator, Requirement};

struct AnyNamespace;

impl<'a> NamespaceLabels<'a> for AnyNamespace {
    fn namespace(&self, _: &str) -> Result<Value<'a>, MatchError> {
        Ok(Value::Null)
    }
}

fn strings(value: &Json) -> Vec<String> {
    value.as_array().map(|l| l.iter().map(|s| s.as_str().unwrap().to_owned()).collect()).unwrap_or_default()
}

/// A selector that is not there selects nothing: the table is below the API's defaults, which would make it select all.
fn selector(value: &Json) -> LabelSelector {
    let mut requirements = Vec::new();
    if value.is_null() {
        for operator in [Operator::Exists, Operator::DoesNotExist] {
            requirements.push(Requirement { key: "any".to_owned(), operator, values: Vec::new() });
        }
    }
    for (key, value) in value["matchLabels"].as_object().into_iter().flatten() {
        let values = vec![value.as_str().unwrap().to_owned()];
        requirements.push(Requirement { key: key.clone(), operator: Operator::In, values });
    }
    for e in value["matchExpressions"].as_array().into_iter().flatten() {
        let operator = match e["operator"].as_str().unwrap() {
            "In" => Operator::In,
            "NotIn" => Operator::NotIn,
            "Exists" => Operator::Exists,
            _ => Operator::DoesNotExist,
        };
        let key = e["key"].as_str().unwrap().to_owned();
        requirements.push(Requirement { key, operator, values: strings(&e["values"]) });
    }
    LabelSelector { requirements }
}

fn rules(value: &Json) -> Vec<RuleWithOperations> {
    let rule = |r: &Json| RuleWithOperations {
        resource_names: strings(&r["resourceNames"]),
        operations: strings(&r["operations"]),
        api_groups: strings(&r["apiGroups"]),
        api_versions: strings(&r["apiVersions"]),
        resources: strings(&r["resources"]),
        scope: match r["scope"].as_str() {
            Some("Cluster") => Scope::Cluster,
            Some("Namespaced") => Scope::Namespaced,
            _ => Scope::All,
        },
    };
    value.as_array().into_iter().flatten().map(rule).collect()
}

/// Constraints as the table has them: without the API's defaults, so that no matchPolicy means Exact.
fn constraints(value: &Json) -> MatchResources {
    MatchResources {
        namespace_selector: selector(&value["namespaceSelector"]),
        object_selector: selector(&value["objectSelector"]),
        resource_rules: rules(&value["resourceRules"]),
        exclude_resource_rules: rules(&value["excludeResourceRules"]),
        match_policy: match value["matchPolicy"].as_str() {
            Some("Equivalent") => MatchPolicy::Equivalent,
            _ => MatchPolicy::Exact,
        },
    }
}

/// The resources that the table's server knows: deployments in three versions, each with its scale.
fn equivalents() -> Equivalents {
    let versions = [("extensions", "v1beta1"), ("apps", "v1"), ("apps", "v1beta1"), ("apps", "v1alpha1")];
    let mut all = Equivalents::default();
    for sub in ["", "scale"] {
        let list: Vec<_> = versions
            .iter()
            .map(|&(group, version)| {
                let kind = match (sub, group) {
                    ("", _) => GroupVersionKind { group, version, kind: "Deployment" },
                    (_, "apps") if version == "v1" => {
                        GroupVersionKind { group: "autoscaling", version: "v1", kind: "Scale" }
                    }
                    _ => GroupVersionKind { group, version, kind: "Scale" },
                };
                let resource = GroupVersionResource { group, version, resource: "deployments" };
                Equivalent::new(resource, Some(kind), Conversion::Here)
            })
            .collect();
        for group in ["apps", "extensions"] {
            all.insert(group, "deployments", sub, list.clone());
        }
    }
    all
}

fn row_fault(row: &Json) -> Option<String> {
    let (arena, symbols) = (Bump::new(), Symbols::new());
    let r = &row["request"];
    let object = if r["object"].is_object() { r["object"].clone() } else { json!({}) };
    let review = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
        "uid": "u", "kind": r["kind"], "resource": r["resource"], "subResource": r["subresource"],
        "name": r["name"], "namespace": r["namespace"], "operation": r["operation"], "object": object,
    }});
    let request = Request::from_review(from_json(&review, &arena, &symbols).unwrap()).unwrap();
    let equivalents = equivalents();
    let got = Matcher::new(&constraints(&row["matchConstraints"])).matches(&request, &AnyNamespace, &equivalents);
    match (got, row["expectErr"].as_str()) {
        (Err(e), Some(text)) if e.to_string().contains(text) => None,
        (Err(e), _) => Some(format!("error {e}")),
        (Ok(m), Some(text)) => Some(format!("{m:?} instead of error {text}")),
        (Ok(m), None) if m.is_some() != (row["expect_match"] == true) => Some(format!("{m:?}")),
        (Ok(Some(m)), None) => {
            let kind = json!({"group": m.kind.group, "version": m.kind.version, "kind": m.kind.kind});
            let resource =
                json!({"group": m.resource.group, "version": m.resource.version, "resource": m.resource.resource});
            let wrong = |expected: &Json, got: &Json| expected.is_object() && expected != got;
            (wrong(&row["expectMatchKind"], &kind) || wrong(&row["expectMatchResource"], &resource))
                .then(|| format!("matched as {kind} {resource}"))
        }
        (Ok(None), None) => None,
    }
}

#[test]
fn every_row_of_the_api_servers_matching_table_holds() {
    let rows = stockade_conformance::rows("k8s-apiserver/matching.jsonl").unwrap_or_default();
    let faults: Vec<_> =
        rows.iter().filter_map(|row| Some(format!("{}: {}", row["id"].as_str().unwrap(), row_fault(row)?))).collect();
    assert_eq!(faults, [] as [String; 0]);
}
