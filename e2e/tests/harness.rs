//! The harness itself: a cluster comes up, shows what it does, and leaves nothing behind.

use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};
use stockade_e2e::cluster::Cluster;
use stockade_e2e::recorder::Recorder;
use stockade_e2e::tools;

#[test]
fn a_cluster_serves_records_and_leaves_nothing_behind() {
    if !tools::present() {
        return;
    }
    let cluster = Cluster::start();
    let folder: PathBuf = cluster.folder().to_owned();
    assert_eq!(cluster.client.get("/version").expect_ok()["gitVersion"], "v1.36.3");
    for version in ["v1", "v1beta1", "v1alpha1"] {
        let list = format!("/apis/admissionregistration.k8s.io/{version}/mutatingadmissionpolicies");
        assert!(cluster.client.get(&list).ok(), "{list}");
    }

    let recorder = Recorder::register(&cluster.client);
    let map = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "m" }, "data": { "a": "b" } });
    let path = "/api/v1/namespaces/default/configmaps?dryRun=All&fieldManager=case";
    assert_eq!(cluster.client.post(path, &map).expect_ok()["data"], json!({ "a": "b" }));
    let reviews = recorder.take("case");
    let (review, again) = (reviews.mutating.unwrap(), reviews.validating.unwrap());
    assert_eq!(review["request"]["object"]["data"], json!({ "a": "b" }));
    assert_eq!(again["request"]["object"]["data"], json!({ "a": "b" }));
    assert_eq!(review["request"]["userInfo"]["username"], Value::from("admin"));

    let answer = cluster.kubectl(&["get", "namespace", "default", "-o", "name"], "");
    assert_eq!((answer.code, answer.stdout.as_str()), (0, "namespace/default\n"), "{}", answer.stderr);

    drop(cluster);
    assert!(!folder.exists());
    let processes = Command::new("ps").args(["-eo", "args"]).output().unwrap();
    let listing = String::from_utf8_lossy(&processes.stdout).into_owned();
    assert!(!listing.contains(folder.to_str().unwrap()), "{listing}");
}
