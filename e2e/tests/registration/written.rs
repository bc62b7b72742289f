//! What the leader writes, and what the API server makes of it.

use serde_json::{Value, json};
use stockade_e2e::certificates::Authority;
use stockade_e2e::client::Answer;
use stockade_e2e::cluster::{Cluster, free_ports};
use stockade_e2e::webhook::eventually;

use super::{CONFIGURATIONS, NAMESPACE, Scene, USERS, asks, can_be_had, generation, refuses, serve};

fn names(configuration: &Value) -> Vec<String> {
    let webhooks = configuration["webhooks"].as_array().cloned().unwrap_or_default();
    webhooks.iter().map(|w| w["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn the_leader_writes_once_follows_the_policies_and_puts_back_what_others_change() {
    if !can_be_had() {
        return;
    }
    let cluster = Cluster::with_default_apis();
    let authority = Authority::mint("registration");
    let [port] = free_ports();
    let pods = refuses("pods", "''", "pods", "CREATE");
    let scene = Scene::start(&cluster, &authority, port, &pods);
    let [validating, mutating] = CONFIGURATIONS.map(|path| cluster.client.get(path).expect_ok());
    let own = ["validate.stockade.dev", "validate-system.stockade.dev", "own.stockade.dev"];
    assert_eq!((names(&validating), names(&mutating)), (own.map(str::to_owned).to_vec(), Vec::new()));
    let counted =
        || ["missing", "policies", "drift"].map(|cause| scene.writes("ValidatingWebhookConfiguration", cause));
    eventually(counted, |counts| *counts == [1, 0, 0]);

    // What the API server stores is what was wanted: a change that is none causes no write, and stays.
    cluster.client.merge(CONFIGURATIONS[0], &json!({ "metadata": { "annotations": { "team": "red" } } })).expect_ok();
    let all = refuses("all", "'*'", "'*/*'", "'*'");
    scene.generations.send_replace(generation(2, 2, &(pods.clone() + &all)).into());
    let wide = eventually(
        || cluster.client.get(CONFIGURATIONS[0]).expect_ok(),
        |c| names(c).contains(&"validate-boot.stockade.dev".to_owned()),
    );
    assert_eq!(wide["metadata"]["annotations"], json!({ "team": "red", "stockade.dev/observed": "AdmissionPolicy=2" }));
    eventually(counted, |counts| *counts == [1, 1, 0]);

    // Opened, extended, unlabelled and deleted.
    let mut opened = wide;
    opened["webhooks"][0]["failurePolicy"] = json!("Ignore");
    opened["metadata"]["labels"] = json!({});
    let mut more = opened["webhooks"][0].clone();
    more["name"] = json!("more.example.com");
    opened["webhooks"].as_array_mut().unwrap().push(more);
    cluster.client.put(CONFIGURATIONS[0], &opened).expect_ok();
    let back = eventually(
        || cluster.client.get(CONFIGURATIONS[0]).expect_ok(),
        |c| c["webhooks"][0]["failurePolicy"] == "Fail",
    );
    assert!(!names(&back).contains(&"more.example.com".to_owned()));
    assert_eq!(back["metadata"]["labels"], json!({ "app.kubernetes.io/name": "stockade" }));
    cluster.client.delete(CONFIGURATIONS[0]).expect_ok();
    eventually(|| cluster.client.get(CONFIGURATIONS[0]), Answer::ok);
    eventually(counted, |counts| *counts == [1, 1, 2]);

    // Nobody writes who does not lead, nor a leader that has looked at less than was written.
    scene.leads.send_replace(false);
    cluster.client.delete(CONFIGURATIONS[1]).expect_ok();
    scene.generations.send_replace(generation(3, 1, &pods).into());
    scene.leads.send_replace(true);
    eventually(|| cluster.client.get(CONFIGURATIONS[1]), Answer::ok);
    assert_eq!(names(&cluster.client.get(CONFIGURATIONS[0]).expect_ok()).len(), names(&back).len());
}

#[test]
fn what_nobody_judges_and_what_the_cluster_lives_on_is_not_asked_about() {
    if !can_be_had() {
        return;
    }
    let cluster = Cluster::with_default_apis();
    let authority = Authority::mint("registration");
    let all = refuses("all", "'*'", "'*/*'", "'*'");
    let pods = refuses("pods", "''", "pods", "CREATE");
    // Whatever has the label, and every review, is refused if the webhook is asked about it.
    let reviews = refuses("reviews", "authorization.k8s.io", "subjectaccessreviews", "CREATE");
    let webhook = serve(&cluster, &authority, &(all.clone() + &reviews.replace("object == null ||", "false &&")));
    let scene = Scene::start(&cluster, &authority, webhook.port, &pods);
    let marked = |kind: &str, version: &str, more: &Value| {
        let mut object = json!({ "apiVersion": version, "kind": kind });
        object["metadata"] = json!({ "name": "x", "labels": { "refuse": "yes" } });
        object.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        object
    };
    let made = |path: &str, object: &Value| drop(cluster.client.post(path, object).expect_ok());
    let is_refused = |answer: &Answer| answer.message().contains("told to refuse");
    let of_users = |group: &str, resource: &str| format!("{group}/namespaces/{USERS}/{resource}");
    let plain = json!({});
    let pod = marked("Pod", "v1", &json!({ "spec": { "containers": [{ "name": "web", "image": "i:1" }] } }));
    eventually(|| cluster.client.post(&of_users("/api/v1", "pods?dryRun=All"), &pod), is_refused);
    made(&of_users("/api/v1", "configmaps"), &marked("ConfigMap", "v1", &plain));
    made("/api/v1/nodes", &marked("Node", "v1", &plain));

    // Now a policy asks for everything.
    scene.generations.send_replace(generation(2, 2, &(pods + &all)).into());
    let (maps, map) = (of_users("/api/v1", "configmaps?dryRun=All"), marked("ConfigMap", "v1", &plain));
    eventually(|| cluster.client.post(&maps, &map), is_refused);
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": { "name": "x" },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin" },
        "subjects": [{ "kind": "Group", "name": "system:nodes", "apiGroup": "rbac.authorization.k8s.io" }],
    });
    made("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", &binding);

    // What keeps the cluster alive, a review, and what is in Stockade's own namespace.
    let leases = of_users("/apis/coordination.k8s.io/v1", "leases");
    made(&leases, &marked("Lease", "coordination.k8s.io/v1", &plain));
    let about = json!({ "involvedObject": { "namespace": USERS }, "reason": "r" });
    made(&of_users("/api/v1", "events"), &marked("Event", "v1", &about));
    let review = json!({
        "apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview",
        "spec": { "user": "alice", "nonResourceAttributes": { "path": "/", "verb": "get" } },
    });
    made("/apis/authorization.k8s.io/v1/subjectaccessreviews", &review);
    made(&format!("/api/v1/namespaces/{NAMESPACE}/configmaps"), &marked("ConfigMap", "v1", &plain));
    let headers = [("Impersonate-User", "system:node:x"), ("Impersonate-Group", "system:nodes")];
    let node = cluster.client.with_headers(headers.map(|(k, v)| (k.to_owned(), v.to_owned())).to_vec());
    let status = json!({ "status": { "phase": "Running" } });
    // Rights that were just given count a moment later.
    eventually(|| node.merge("/api/v1/nodes/x/status", &status), Answer::ok);

    // The same by somebody else, and another object of a node's, is judged.
    for answer in [cluster.client.merge("/api/v1/nodes/x/status", &status), node.post(&maps, &map)] {
        assert!(is_refused(&answer), "{answer:?}");
    }
}

#[test]
fn without_an_answer_the_system_lives_and_users_are_refused() {
    if !can_be_had() {
        return;
    }
    let cluster = Cluster::with_default_apis();
    let authority = Authority::mint("registration");
    // Nobody listens there.
    let [port] = free_ports();
    let policies = refuses("all", "'*'", "'*/*'", "'*'") + &refuses("nodes", "''", "nodes", "CREATE");
    let scene = Scene::start(&cluster, &authority, port, &policies);
    let unanswered = "failed calling webhook \"validate.stockade.dev\"";
    eventually(|| asks(&cluster, USERS, &json!({})), |a| a.message().contains(unanswered));
    for namespace in [NAMESPACE, "kube-system", "kube-public", "kube-node-lease"] {
        let answer = asks(&cluster, namespace, &json!({}));
        assert!(answer.ok(), "{namespace}: {}", answer.message());
    }
    let cluster_scoped = |group: &str, resource: &str, kind: &str, version: &str| {
        let object = json!({ "apiVersion": version, "kind": kind, "metadata": { "name": "x" }, "value": 1 });
        cluster.client.post(&format!("{group}/{resource}?dryRun=All"), &object).ok()
    };
    assert!(cluster_scoped("/api/v1", "nodes", "Node", "v1"));
    let scheduling = "/apis/scheduling.k8s.io/v1";
    assert!(cluster_scoped(scheduling, "priorityclasses", "PriorityClass", "scheduling.k8s.io/v1"));
    assert!(!cluster_scoped("/api/v1", "namespaces", "Namespace", "v1"));

    // An API server that has lost what it writes itself at its start, and starts.
    let role = "/apis/rbac.authorization.k8s.io/v1/clusterroles/system:node";
    scene.leads.send_replace(false);
    let kept = cluster.client.get(CONFIGURATIONS[0]).expect_ok();
    cluster.client.merge(CONFIGURATIONS[0], &json!({ "webhooks": Value::Null })).expect_ok();
    eventually(|| cluster.client.delete(role).code, |code| matches!(code, 200 | 404));
    cluster.client.merge(CONFIGURATIONS[0], &json!({ "webhooks": kept["webhooks"] })).expect_ok();
    cluster.stop_server();
    cluster.start_server();
    assert!(cluster.client.get(role).ok());
    eventually(|| asks(&cluster, USERS, &json!({})).ok(), |ok| !ok);
    drop(scene);
}

#[test]
fn what_cannot_be_judged_is_refused_to_users_and_admitted_where_the_system_lives_but_a_verdict_refuses_everywhere() {
    if !can_be_had() {
        return;
    }
    let cluster = Cluster::with_default_apis();
    let authority = Authority::mint("registration");
    let pods = refuses("pods", "''", "pods", "CREATE");
    let judged = "object == null || !('refuse' in object.metadata.?labels.orValue({}))";
    let broken = refuses("broken", "''", "pods, nodes", "CREATE")
        .replace(judged, "!('refuse' in object.metadata.labels) && object.metadata.annotations['gone'] == 'x'");
    let webhook = serve(&cluster, &authority, &(pods.clone() + &broken));
    let _scene = Scene::start(&cluster, &authority, webhook.port, &(pods + &broken));
    let error = "resulted in error: no such key: annotations";
    eventually(|| asks(&cluster, USERS, &json!({})), |a| a.message().contains(error));
    let admitted = asks(&cluster, "kube-system", &json!({}));
    assert!(admitted.ok(), "{}", admitted.message());
    let node = json!({ "apiVersion": "v1", "kind": "Node", "metadata": { "name": "x", "labels": { "a": "b" } } });
    assert!(cluster.client.post("/api/v1/nodes?dryRun=All", &node).ok());
    let (_, metrics) = webhook.health("metrics").unwrap();
    let ignored = metrics.lines().filter(|l| l.contains("policy=\"broken\"") && l.contains("action=\"ignore\""));
    assert_eq!(ignored.filter(|l| l.ends_with(" 2")).count(), 1, "{metrics}");

    let mut marked = stockade_e2e::webhook::pod("marked", &json!({}));
    marked["metadata"]["labels"] = json!({ "refuse": "yes" });
    let verdict = cluster.client.post("/api/v1/namespaces/kube-system/pods?dryRun=All", &marked);
    assert!(verdict.message().contains("told to refuse"), "{}", verdict.message());
}
