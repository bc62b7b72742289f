use serde_json::json;

use super::*;

#[test]
fn a_pod_gets_what_the_server_adds() {
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "labels": null, "annotations": {}, "creationTimestamp": null},
        "spec": {
            "hostNetwork": true, "hostPID": false, "nodeSelector": null, "nope": 1, "serviceAccountName": "sa",
            "containers": [{
                "name": "c", "image": "nginx", "args": [], "ports": [{"containerPort": 80}],
                "resources": {"limits": {"cpu": 1, "memory": "1024Mi"}},
                "livenessProbe": {"httpGet": {"port": 80}}
            }],
            "volumes": [{"name": "v"}, {"name": "s", "secret": {"secretName": "x"}}]
        }
    });
    assert_eq!(
        normalise(pod),
        json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"},
            "spec": {
                "hostNetwork": true, "serviceAccountName": "sa", "serviceAccount": "sa",
                "containers": [{
                    "name": "c", "image": "nginx", "imagePullPolicy": "Always",
                    "ports": [{"containerPort": 80, "hostPort": 80, "protocol": "TCP"}],
                    "resources": {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "1", "memory": "1Gi"}},
                    "livenessProbe": {
                        "httpGet": {"port": 80, "path": "/", "scheme": "HTTP"},
                        "timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3
                    },
                    "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File"
                }],
                "volumes": [{"name": "v", "emptyDir": {}}, {"name": "s", "secret": {"secretName": "x", "defaultMode": 420}}],
                "dnsPolicy": "ClusterFirst", "restartPolicy": "Always", "securityContext": {},
                "terminationGracePeriodSeconds": 30, "schedulerName": "default-scheduler", "enableServiceLinks": true
            },
            "status": {}
        })
    );
}

#[test]
fn a_template_gets_no_requests_from_limits() {
    let template = json!({"spec": {"containers": [{"name": "c", "resources": {"limits": {"cpu": "2"}}}]}});
    let object = json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "spec": {"template": template}});
    let container = &normalise(object)["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(container["resources"], json!({"limits": {"cpu": "2"}}));
}

#[test]
fn a_secrets_plain_text_is_encoded() {
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "stringData": {"a": "hi", "b": "man", "c": "x"}});
    assert_eq!(
        normalise(secret),
        json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {}, "type": "Opaque",
            "data": {"a": "aGk=", "b": "bWFu", "c": "eA=="}
        })
    );
}

#[test]
fn unknown_kinds_lose_only_their_nulls() {
    let thing = json!({"apiVersion": "x.io/v1", "kind": "T", "spec": {"a": null, "b": [null, {"c": null, "d": 0}]}});
    let expected = json!({"apiVersion": "x.io/v1", "kind": "T", "spec": {"b": [null, {"d": 0}]}});
    assert_eq!(normalise(thing), expected);
}

#[test]
fn values_of_the_wrong_type_and_endless_nesting_do_no_harm() {
    let odd = json!({"apiVersion": "v1", "kind": "Pod", "metadata": 1, "spec": [{"containers": "x"}]});
    assert_eq!(normalise(odd.clone())["spec"], odd["spec"]);
    for kind in ["Namespace", "Job", "Secret", "NetworkPolicy", "HorizontalPodAutoscaler", "Service"] {
        let odd =
            json!({"apiVersion": "v1", "kind": kind, "metadata": [], "spec": "", "stringData": {"a": 1}, "data": 3});
        normalise(odd);
    }
    let mut deep = json!({});
    for _ in 0..600 {
        deep = json!({"a": deep});
    }
    normalise(json!({"apiVersion": "x.io/v1", "kind": "T", "spec": deep}));
}
