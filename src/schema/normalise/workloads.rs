//! Defaults of workloads, Services and others that depend on several fields.

use serde_json::{Value as Json, json};

use super::defaults::text;
use super::{Members, child, is_empty, set, set_absent};

const ROLLING: &str = "RollingUpdate";

/// `spec` of a Deployment.
pub(super) fn deployment(spec: &mut Members) {
    let Some(strategy) = child(spec, "strategy") else { return };
    set(strategy, "type", || Json::from(ROLLING));
    if text(strategy, "type") == ROLLING
        && let Some(rolling) = child(strategy, "rollingUpdate")
    {
        set_absent(rolling, "maxUnavailable", || Json::from("25%"));
        set_absent(rolling, "maxSurge", || Json::from("25%"));
    }
}

/// `spec` of a DaemonSet.
pub(super) fn daemon_set(spec: &mut Members) {
    let Some(strategy) = child(spec, "updateStrategy") else { return };
    set(strategy, "type", || Json::from(ROLLING));
    if text(strategy, "type") == ROLLING
        && let Some(rolling) = child(strategy, "rollingUpdate")
    {
        set_absent(rolling, "maxUnavailable", || json!(1));
        set_absent(rolling, "maxSurge", || json!(0));
    }
}

/// A DaemonSet: the field of an earlier version that is kept as an annotation.
pub(super) fn template_generation(set: &mut Members) {
    if let Some(annotations) = child(set, "metadata").and_then(|metadata| child(metadata, "annotations")) {
        annotations.entry("deprecated.daemonset.template.generation").or_insert(Json::from("0"));
    }
}

/// `spec` of a StatefulSet.
pub(super) fn stateful_set(spec: &mut Members) {
    let Some(strategy) = child(spec, "updateStrategy") else { return };
    if text(strategy, "type").is_empty() {
        strategy.insert("type".to_owned(), Json::from(ROLLING));
        child(strategy, "rollingUpdate");
    }
    if text(strategy, "type") == ROLLING
        && let Some(rolling) = strategy.get_mut("rollingUpdate").and_then(Json::as_object_mut)
    {
        set_absent(rolling, "partition", || json!(0));
    }
    // Templates of claims are written with the type that they have.
    for claim in spec.get_mut("volumeClaimTemplates").and_then(Json::as_array_mut).into_iter().flatten() {
        if let Some(claim) = claim.as_object_mut() {
            set(claim, "apiVersion", || Json::from("v1"));
            set(claim, "kind", || Json::from("PersistentVolumeClaim"));
        }
    }
}

/// `spec` of a Service.
pub(super) fn service(spec: &mut Members) {
    match text(spec, "sessionAffinity") {
        "" | "None" => {
            spec.shift_remove("sessionAffinityConfig");
        }
        "ClientIP" => {
            let seconds = spec.get("sessionAffinityConfig").map(|c| &c["clientIP"]["timeoutSeconds"]);
            if seconds.is_none_or(Json::is_null) {
                let config = json!({"clientIP": {"timeoutSeconds": 10800}});
                spec.insert("sessionAffinityConfig".to_owned(), config);
            }
        }
        _ => {}
    }
    let kind = match text(spec, "type") {
        "" => "ClusterIP",
        kind => kind,
    }
    .to_owned();
    let external = spec.get("externalIPs").is_some_and(|ips| !is_empty(ips));
    if matches!(kind.as_str(), "LoadBalancer" | "NodePort") || kind == "ClusterIP" && external {
        set(spec, "externalTrafficPolicy", || Json::from("Cluster"));
    }
    if matches!(kind.as_str(), "LoadBalancer" | "NodePort" | "ClusterIP") {
        set_absent(spec, "internalTrafficPolicy", || Json::from("Cluster"));
    }
    if kind == "LoadBalancer" {
        set_absent(spec, "allocateLoadBalancerNodePorts", || Json::from(true));
    }
}

/// A Job. Not what a CronJob makes Jobs from.
pub(super) fn job(job: &mut Members) {
    let Some(spec) = child(job, "spec") else { return };
    let absent = |spec: &Members, key: &str| spec.get(key).is_none_or(Json::is_null);
    if absent(spec, "completions") && absent(spec, "parallelism") {
        spec.insert("completions".to_owned(), json!(1));
    }
    set_absent(spec, "parallelism", || json!(1));
    let limit = if absent(spec, "backoffLimitPerIndex") { 6 } else { i32::MAX };
    set_absent(spec, "backoffLimit", || json!(limit));
    set_absent(spec, "completionMode", || Json::from("NonIndexed"));
    set_absent(spec, "suspend", || Json::from(false));
    set_absent(spec, "manualSelector", || Json::from(false));
    let policy = if absent(spec, "podFailurePolicy") { "TerminatingOrFailed" } else { "Failed" };
    set_absent(spec, "podReplacementPolicy", || Json::from(policy));
    // Labels that the server itself has put there do not come from a file.
    let written = |labels: &Json| labels["batch.kubernetes.io/controller-uid"].is_null();
    let labels = spec.get("template").map(|t| t["metadata"]["labels"].clone()).filter(written);
    labels_from_template(job, labels);
}

/// A ReplicationController.
pub(super) fn replication_controller(controller: &mut Members) {
    let Some(spec) = child(controller, "spec") else { return };
    let labels = spec.get("template").map(|t| t["metadata"]["labels"].clone());
    if let Some(labels) = labels.clone().filter(Json::is_object) {
        set(spec, "selector", || labels);
    }
    labels_from_template(controller, labels);
}

fn labels_from_template(object: &mut Members, labels: Option<Json>) {
    if let (Some(labels), Some(metadata)) = (labels.filter(Json::is_object), child(object, "metadata")) {
        set(metadata, "labels", || labels);
    }
}

/// A NetworkPolicy.
pub(super) fn network_policy(policy: &mut Members) {
    let Some(spec) = child(policy, "spec") else { return };
    let egress = spec.get("egress").is_some_and(|rules| !is_empty(rules));
    set(spec, "policyTypes", || if egress { json!(["Ingress", "Egress"]) } else { json!(["Ingress"]) });
}

/// A HorizontalPodAutoscaler of v1 or v2.
pub(super) fn autoscaler(autoscaler: &mut Members, v2: bool) {
    if !v2 {
        // The default metric of v2, unless an annotation holds others.
        let others = |m: &Json| !m["annotations"]["autoscaling.alpha.kubernetes.io/metrics"].is_null();
        if !autoscaler.get("metadata").is_some_and(others)
            && let Some(spec) = child(autoscaler, "spec")
        {
            set_absent(spec, "targetCPUUtilizationPercentage", || json!(80));
        }
        return;
    }
    let Some(spec) = child(autoscaler, "spec") else { return };
    set(spec, "metrics", || {
        let target = json!({"type": "Utilization", "averageUtilization": 80});
        json!([{"type": "Resource", "resource": {"name": "cpu", "target": target}}])
    });
    if let Some(behavior) = spec.get_mut("behavior").and_then(Json::as_object_mut) {
        let percent = json!({"type": "Percent", "value": 100, "periodSeconds": 15});
        if let Some(up) = child(behavior, "scaleUp") {
            set_absent(up, "stabilizationWindowSeconds", || json!(0));
            set_absent(up, "selectPolicy", || Json::from("Max"));
            set_absent(up, "policies", || json!([{"type": "Pods", "value": 4, "periodSeconds": 15}, percent]));
        }
        if let Some(down) = child(behavior, "scaleDown") {
            set_absent(down, "selectPolicy", || Json::from("Max"));
            set_absent(down, "policies", || json!([percent]));
        }
    }
}

/// A CustomResourceDefinition.
pub(super) fn custom_resource_definition(definition: &mut Members) {
    let Some(spec) = child(definition, "spec") else { return };
    let versions = spec.get("versions").and_then(Json::as_array);
    let stored = versions.and_then(|v| v.iter().find(|v| v["storage"] == true)).map(|v| v["name"].clone());
    set_absent(spec, "conversion", || json!({"strategy": "None"}));
    if let Some(names) = child(spec, "names") {
        let kind = text(names, "kind").to_owned();
        set(names, "singular", || Json::from(kind.to_lowercase()));
        if !kind.is_empty() {
            set(names, "listKind", || Json::from(format!("{kind}List")));
        }
    }
    if let (Some(stored), Some(status)) = (stored, child(definition, "status")) {
        set(status, "storedVersions", || json!([stored]));
    }
}
