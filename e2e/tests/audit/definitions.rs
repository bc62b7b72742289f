//! Reports fit the definitions that others publish: nothing that is written is pruned.

use serde_json::{Value, json};
use stockade_e2e::cluster::Cluster;
use stockade_e2e::webhook::{Webhook, eventually};
use stockade_e2e::{helm, installed_kinds, tools};

use super::{POLICIES, Scene};

impl Scene {
    /// Has one ConfigMap and one Namespace judged that fail, and waits until the two reports, without metadata and times,
    /// are these.
    fn written(&self, flags: &[&str], namespaced: &str, cluster_scoped: &str, expected: &[Value; 2]) {
        self.namespace("shop");
        self.config_map("shop", "map-a", "bad").expect_ok();
        let namespaces = "apiVersion: stockade.dev/v1alpha1\nkind: AdmissionPolicy\nmetadata: {name: owned}\nspec:\n  actions: \
                          [Audit]\n  matchConstraints: {resourceRules: [{apiGroups: [''], apiVersions: [v1], operations: [CREATE], \
                          resources: [namespaces]}]}\n  validations: [{expression: \"object.metadata.name != 'shop'\"}]\n";
        self.cluster.apply(&format!("{POLICIES}---\n{namespaces}"));
        let replica = Webhook::start_with(&self.cluster, "stockade-system", "first", &[], flags);
        replica.wait_until_ready(&self.cluster, "first");
        for (path, expected) in [namespaced, cluster_scoped].into_iter().zip(expected) {
            let written = || {
                let mut report = self.cluster.client.get(path).body;
                report.as_object_mut().unwrap().remove("metadata");
                if let Some(result) = report.pointer_mut("/results/0") {
                    assert!(result["timestamp"].take()["seconds"].is_i64());
                    assert!(result["resources"][0]["uid"].take().is_string());
                }
                report
            };
            eventually(written, |report| report == expected);
        }
    }
}

/// What is written of the ConfigMap and of the Namespace, but for what the two kinds of reports say in their own way.
fn expected(report: &Value, cluster_report: &Value, in_report: &Value, in_result: &Value) -> [Value; 2] {
    let object = |kind: &str, namespace: Option<&str>, name: &str| {
        let mut object = json!({ "apiVersion": "v1", "kind": kind, "name": name, "uid": null });
        if let Some(namespace) = namespace {
            object["namespace"] = json!(namespace);
        }
        object
    };
    let with = |mut object: Value, more: &Value| {
        object.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        object
    };
    let result = |policy: &str, message: &str, object: Value| {
        let result = json!({
            "policy": policy, "rule": "validations[0]", "result": "fail", "scored": true, "message": message,
            "timestamp": null, "properties": { "binding": policy }, "resources": [object],
        });
        with(result, in_result)
    };
    let good = result("good", "be good", object("ConfigMap", Some("shop"), "map-a"));
    let good = with(good, &json!({ "category": "Manners", "severity": "high" }));
    let owned = result("owned", "failed expression: object.metadata.name != 'shop'", object("Namespace", None, "shop"));
    let scope = json!({ "scope": { "apiVersion": "v1", "kind": "Namespace", "name": "shop" } });
    let summary = |pass: usize| json!({ "pass": pass, "fail": 1, "warn": 0, "error": 0, "skip": 0 });
    let namespaced = with(with(json!({ "summary": summary(0), "results": [good] }), &scope), report);
    // Five Namespaces there are beside it: default, those of Kubernetes, and Stockade's own.
    let cluster_scoped = with(json!({ "summary": summary(5), "results": [owned] }), cluster_report);
    [with(namespaced, in_report), with(cluster_scoped, in_report)]
}

#[test]
fn the_published_definitions_of_openreports_hold_all_that_is_written() {
    let Some(scene) = Scene::with_reports(|cluster| installed_kinds::install(cluster, &tools::openreports())) else {
        return;
    };
    let reports = "/apis/openreports.io/v1alpha1";
    let namespaced = format!("{reports}/namespaces/shop/reports/stockade");
    let cluster_scoped = format!("{reports}/clusterreports/stockade");
    let kind = |kind: &str| json!({ "apiVersion": "openreports.io/v1alpha1", "kind": kind });
    let source = json!({ "source": "stockade" });
    let expected = expected(&kind("Report"), &kind("ClusterReport"), &source, &json!({}));
    scene.written(&[], &namespaced, &cluster_scoped, &expected);
}

/// The definitions of the chart as those of the policy working group, which have the source in each result.
fn install_working_group(cluster: &Cluster) {
    let folder = cluster.folder().join("wgpolicyk8s");
    std::fs::create_dir(&folder).unwrap();
    for (ours, plural, kind) in [
        ("reports", "policyreports", "PolicyReport"),
        ("clusterreports", "clusterpolicyreports", "ClusterPolicyReport"),
    ] {
        let text = std::fs::read_to_string(helm::chart().join(format!("files/reports/{ours}.json"))).unwrap();
        let mut definition: Value = serde_json::from_str(&text).unwrap();
        definition["metadata"]["name"] = json!(format!("{plural}.wgpolicyk8s.io"));
        let spec = &mut definition["spec"];
        spec["group"] = json!("wgpolicyk8s.io");
        spec["names"] = json!({
            "kind": kind, "listKind": format!("{kind}List"), "plural": plural, "singular": kind.to_lowercase(),
        });
        spec["versions"][0]["name"] = json!("v1alpha2");
        let schema = &mut spec["versions"][0]["schema"]["openAPIV3Schema"]["properties"];
        assert!(schema.as_object_mut().unwrap().remove("source").is_some());
        std::fs::write(folder.join(format!("{plural}.json")), definition.to_string()).unwrap();
    }
    installed_kinds::install(cluster, &folder);
}

#[test]
fn reports_are_written_in_the_form_before_openreports_where_that_is_asked_for() {
    let Some(scene) = Scene::with_reports(install_working_group) else { return };
    let reports = "/apis/wgpolicyk8s.io/v1alpha2";
    let namespaced = format!("{reports}/namespaces/shop/policyreports/stockade");
    let cluster_scoped = format!("{reports}/clusterpolicyreports/stockade");
    let kind = |kind: &str| json!({ "apiVersion": "wgpolicyk8s.io/v1alpha2", "kind": kind });
    let source = json!({ "source": "stockade" });
    let expected = expected(&kind("PolicyReport"), &kind("ClusterPolicyReport"), &json!({}), &source);
    scene.written(&["--reports", "wgpolicyk8s"], &namespaced, &cluster_scoped, &expected);
}
