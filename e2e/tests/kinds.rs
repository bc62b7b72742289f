//! The own kinds as a real API server takes them: schemas, defaults, refusals, columns, merges.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use serde_json::{Value, json};
use stockade_e2e::cluster::{Cluster, Kubectl};
use stockade_e2e::documents::text;
use stockade_e2e::webhook::eventually;
use stockade_e2e::{documents, installed_kinds, tools};

#[path = "kinds/refusals.rs"]
mod refusals;
#[path = "kinds/status.rs"]
mod status;

/// The shared cluster with the definitions of the chart.
fn cluster() -> Option<&'static Cluster> {
    static READY: OnceLock<()> = OnceLock::new();
    if !tools::present() {
        return None;
    }
    let cluster = Cluster::shared();
    READY.get_or_init(|| define(cluster));
    Some(cluster)
}

/// Makes the definitions of the chart.
fn define(cluster: &Cluster) {
    let folder = root().join("charts/stockade/crds");
    let apply = ["apply", "--server-side", "--validate=strict", "-f", folder.to_str().unwrap()];
    let applied = cluster.kubectl(&apply, "");
    assert_eq!((applied.code, applied.stderr.as_str()), (0, ""), "{}", applied.stdout);
    installed_kinds::own(cluster);
    // What kubectl explains is published a moment after.
    for kind in ["apol", "polex", "nsgroup"] {
        eventually(|| cluster.kubectl(&["explain", kind], ""), |answer| answer.code == 0);
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Every field of the own kinds, with the objects that hold them.
fn full() -> Vec<Value> {
    documents::read(&root().join("src/cluster/kinds/tests/full.yaml")).unwrap()
}

/// Where objects of a kind are.
fn collection(object: &Value) -> String {
    match text(object, "/kind") {
        "AdmissionPolicy" => "/apis/stockade.dev/v1alpha1/admissionpolicies".to_owned(),
        "ImagePolicy" => "/apis/stockade.dev/v1alpha1/imagepolicies".to_owned(),
        "NamespaceGroup" => "/apis/stockade.dev/v1alpha1/namespacegroups".to_owned(),
        _ => "/apis/stockade.dev/v1alpha1/namespaces/default/policyexceptions".to_owned(),
    }
}

/// What is wrong with an object by the reader of files; empty when nothing is.
fn read(object: &Value) -> String {
    let mut sources = stockade_policy::sources::PolicySources::default();
    sources.add("object.json", &object.to_string(), true);
    sources.diagnostics.to_string()
}

fn ok(kubectl: Kubectl) -> String {
    assert_eq!((kubectl.code, kubectl.stderr.as_str()), (0, ""), "{}", kubectl.stdout);
    kubectl.stdout
}

#[test]
fn the_definitions_are_structural_and_established() {
    let Some(cluster) = cluster() else { return };
    let list = cluster.client.get("/apis/apiextensions.k8s.io/v1/customresourcedefinitions").expect_ok();
    for definition in list["items"].as_array().unwrap() {
        let conditions = definition["status"]["conditions"].as_array().unwrap();
        let mut told: Vec<_> = conditions.iter().map(|c| (text(c, "/type"), text(c, "/status"))).collect();
        told.sort_unstable();
        assert_eq!(told, [("Established", "True"), ("NamesAccepted", "True")], "{definition}");
    }
    assert_eq!(list["items"].as_array().unwrap().len(), 7);
}

#[test]
fn every_policy_of_the_packs_and_every_field_is_taken_strictly() {
    let Some(cluster) = cluster() else { return };
    let sources = stockade_policy::sources::load_paths(&[root().join("policies")]);
    let packs = sources.files.iter().flat_map(|file| documents::read(file).unwrap());
    let own = packs.filter(|object| text(object, "/apiVersion") == "stockade.dev/v1alpha1");
    let all: Vec<Value> = own.chain(full()).collect();
    assert!(all.len() >= 8, "{}", all.len());
    for object in all {
        assert_eq!(read(&object), "");
        let answer =
            cluster.client.post(&format!("{}?dryRun=All&fieldValidation=Strict", collection(&object)), &object);
        assert_eq!(answer.warnings, [""; 0]);
        answer.expect_ok();
    }
}

#[test]
fn what_is_left_out_gets_its_default() {
    let Some(cluster) = cluster() else { return };
    let object = json!({
        "apiVersion": "stockade.dev/v1alpha1", "kind": "AdmissionPolicy", "metadata": { "name": "defaults" },
        "spec": {
            "matchConstraints": { "resourceRules": [
                { "apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"] },
            ] },
            "paramKind": { "apiVersion": "v1", "kind": "ConfigMap" },
            "paramRef": { "name": "settings", "selector": null },
            "validations": [{ "expression": "true" }],
            "rollout": { "deny": {} },
            "mutations": null,
        },
    });
    let made = cluster.client.post(&format!("{}?dryRun=All", collection(&object)), &object).expect_ok();
    let expected = json!({
        "actions": ["Deny"],
        "failurePolicy": "Fail",
        "matchConstraints": {
            "matchPolicy": "Equivalent",
            "resourceRules": [{
                "apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"], "scope": "*",
            }],
        },
        "paramKind": { "apiVersion": "v1", "kind": "ConfigMap" },
        "paramRef": { "name": "settings", "parameterNotFoundAction": "Deny" },
        "reinvocationPolicy": "Never",
        "rollout": { "deny": { "percentage": 100 } },
        "validations": [{ "expression": "true" }],
    });
    assert_eq!(made["spec"], expected);
}

#[test]
fn the_columns_tell_what_matters() {
    let Some(cluster) = cluster() else { return };
    let condition = |kind: &str, status: &str| {
        json!({ "type": kind, "status": status, "reason": "R", "message": "",
                "lastTransitionTime": "2026-01-01T00:00:00Z" })
    };
    for (name, status) in [
        ("checks", json!({ "conditions": [condition("Ready", "True")], "enforced": "3/3", "enforcedReplicas": 3 })),
        ("node-agent", json!({ "conditions": [condition("InUse", "False"), condition("Ready", "True")] })),
        (
            "production",
            json!({ "conditions": [condition("Ready", "False")], "members": 2, "gapCount": 1,
                               "gaps": [{ "namespace": "shop", "missing": ["default-deny Egress"] }] }),
        ),
    ] {
        let mut object = full().into_iter().find(|o| text(o, "/metadata/name") == name).unwrap();
        let shown = format!("{name}-shown");
        object["metadata"]["name"] = json!(shown);
        cluster.client.post(&collection(&object), &object).expect_ok();
        let path = format!("{}/{shown}/status", collection(&object));
        cluster.client.merge(&path, &json!({ "status": status })).expect_ok();
    }
    // The last column of the first and the third is the age.
    let columns = |kubectl: Kubectl| {
        let table = ok(kubectl);
        let lines = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        lines.map(|mut cells| (cells.pop().unwrap_or_default().len() < 6, cells.join(" ")).1).collect::<Vec<_>>()
    };
    assert_eq!(
        columns(cluster.kubectl(&["get", "apol", "checks-shown"], "")),
        ["NAME ACTIONS READY ENFORCED", r#"checks-shown ["Deny","Audit"] True 3/3"#]
    );
    assert_eq!(
        columns(cluster.kubectl(&["get", "nsgroup", "production-shown"], "")),
        ["NAME MEMBERS GAPS READY", "production-shown 2 1 False"]
    );
    assert_eq!(
        ok(cluster.kubectl(&["get", "polex", "node-agent-shown"], "")),
        "NAME               POLICIES   EXPIRES                INUSE   WAIVES   OWNER\n\
         node-agent-shown   checks     2099-01-31T00:00:00Z   False            team-observability\n"
    );
    let all = ok(cluster.kubectl(&["get", "stockade", "-o", "name"], ""));
    for name in [
        "admissionpolicy.stockade.dev/checks-shown",
        "policyexception.stockade.dev/node-agent-shown",
        "namespacegroup.stockade.dev/production-shown",
    ] {
        assert!(all.lines().any(|line| line == name), "{all}");
    }
}

#[test]
fn explain_tells_what_each_field_is_for() {
    let Some(cluster) = cluster() else { return };
    insta::assert_snapshot!(ok(cluster.kubectl(&["explain", "admissionpolicy.spec.rollout"], "")));
    insta::assert_snapshot!(ok(cluster.kubectl(&["explain", "polex.spec"], "")));
    // Every field of every kind has a text of its own.
    for kind in ["admissionpolicies", "imagepolicies", "policyexceptions", "namespacegroups"] {
        let path = format!("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{kind}.stockade.dev");
        let definition = cluster.client.get(&path).expect_ok();
        let schema = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        let mut silent = Vec::new();
        without_description(schema, "", &mut silent);
        assert_eq!(silent, [""; 0], "{kind}");
    }
}

fn without_description(schema: &Value, path: &str, silent: &mut Vec<String>) {
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        if text(property, "/description").is_empty() && path != ".metadata" {
            silent.push(path.clone());
        }
        without_description(property, &path, silent);
        without_description(&property["items"], &path, silent);
    }
}

#[test]
fn two_managers_of_one_policy_keep_their_own_entries() {
    let Some(cluster) = cluster() else { return };
    let apply = |manager: &str, spec: Value| {
        let object = json!({
            "apiVersion": "stockade.dev/v1alpha1", "kind": "AdmissionPolicy", "metadata": { "name": "merged" },
            "spec": spec,
        });
        let path = format!("{}/merged?fieldManager={manager}", collection(&object));
        cluster.client.request("PATCH", &path, "application/apply-patch+yaml", Some(&object)).expect_ok()
    };
    let rules = json!({ "resourceRules": [
        { "apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"] },
    ] });
    apply(
        "one",
        json!({
            "matchConstraints": rules, "validations": [{ "expression": "variables.a" }], "actions": ["Deny"],
            "variables": [{ "name": "a", "expression": "true" }],
            "matchConditions": [{ "name": "a", "expression": "true" }],
        }),
    );
    let merged = apply(
        "two",
        json!({
            "actions": ["Audit"], "namespaceGroups": ["production"],
            "variables": [{ "name": "b", "expression": "false" }],
            "matchConditions": [{ "name": "b", "expression": "false" }],
        }),
    );
    let pair = json!([{ "name": "a", "expression": "true" }, { "name": "b", "expression": "false" }]);
    let spec = &merged["spec"];
    assert_eq!(
        [&spec["actions"], &spec["variables"], &spec["matchConditions"], &spec["namespaceGroups"]],
        [&json!(["Deny", "Audit"]), &pair, &pair, &json!(["production"])]
    );
    let without = apply("two", json!({}));
    assert_eq!(without["spec"]["variables"], json!([{ "name": "a", "expression": "true" }]));
}
