//! Native policies of the cluster, which are audited, in whichever version the API server serves them.

use prometheus_client::registry::Registry;
use stockade_cluster::access::{Access, Options};
use stockade_cluster::facts::LiveFacts;
use stockade_cluster::policies::{self, Settings};
use stockade_engine::essentials::Essentials;

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn mutating_policies_of_an_older_version_are_audited_where_only_that_is_served() {
    if !tools::present() {
        return;
    }
    let group = "admissionregistration.k8s.io";
    let older = format!(
        "--runtime-config={group}/v1/mutatingadmissionpolicies=false,{group}/v1/mutatingadmissionpolicybindings=false,\
         {group}/v1beta1=true"
    );
    // The API server's own plugin watches the newest version, and would refuse everything without it.
    let cluster = Cluster::start_with(&[&older, "--disable-admission-plugins=MutatingAdmissionPolicy"]);
    assert_eq!(cluster.client.get(&format!("/apis/{group}/v1/mutatingadmissionpolicies")).code, 404);
    installed_kinds::own(&cluster);
    let rule = json!({ "apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"] });
    let policy = json!({
        "apiVersion": format!("{group}/v1beta1"), "kind": "MutatingAdmissionPolicy", "metadata": { "name": "older" },
        "spec": {
            "matchConstraints": { "resourceRules": [rule] }, "reinvocationPolicy": "Never",
            "mutations": [{ "patchType": "JSONPatch", "jsonPatch": { "expression": "[JSONPatch{op: 'remove', path: '/metadata/labels'}]" } }],
        },
    });
    let path = format!("/apis/{group}/v1beta1/mutatingadmissionpolicies");
    cluster.client.post(&path, &policy).expect_ok();

    let options = Options { kubeconfig: Some(cluster.kubeconfig()), ..Options::default() };
    let access = Access::new(&options).await.unwrap();
    let facts = LiveFacts::new(&access, &mut Registry::default());
    let essentials = Essentials::new(access.namespace.clone());
    let settings = Settings { folders: Vec::new(), max_exception_seconds: None, essentials };
    let (mut generations, publishing) = policies::publish(&access, settings, facts);
    let publishing = tokio::spawn(publishing);
    let names = |audited: &[&str]| {
        let audited: Vec<String> = audited.iter().map(|&name| name.to_owned()).collect();
        move |generation: &std::sync::Arc<policies::Generation>| {
            let policies = &generation.audited.set().policies;
            generation.number > 0 && policies.iter().map(|p| &*p.name).eq(audited.iter().map(String::as_str))
        }
    };
    tokio::time::timeout(WITHIN, generations.wait_for(names(&["older"]))).await.unwrap().unwrap();
    cluster.client.delete(&format!("{path}/older")).expect_ok();
    tokio::time::timeout(WITHIN, generations.wait_for(names(&[]))).await.unwrap().unwrap();
    publishing.abort();
}
