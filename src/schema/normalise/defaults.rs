//! Defaults of single types, wherever they occur.

use serde_json::{Value as Json, json};

use super::{Members, child, image, is_empty, set, set_absent, workloads};

/// Field, its default as JSON, and whether zero counts as absent (a Go value) or not (a Go pointer).
type Default = (&'static str, &'static str, Zero);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Zero {
    Filled,
    Kept,
}
use Zero::{Filled, Kept};

/// By OpenAPI name without `io.k8s.api.`. Upstream: the `SetDefaults_…` functions of each API group.
const TABLE: &[(&str, &[Default])] = &[
    ("core.v1.Container", CONTAINER),
    ("core.v1.EphemeralContainer", CONTAINER),
    (
        "core.v1.PodSpec",
        &[
            ("dnsPolicy", "\"ClusterFirst\"", Filled),
            ("restartPolicy", "\"Always\"", Filled),
            ("securityContext", "{}", Kept),
            ("terminationGracePeriodSeconds", "30", Kept),
            ("schedulerName", "\"default-scheduler\"", Filled),
        ],
    ),
    (
        "core.v1.Probe",
        &[
            ("timeoutSeconds", "1", Filled),
            ("periodSeconds", "10", Filled),
            ("successThreshold", "1", Filled),
            ("failureThreshold", "3", Filled),
        ],
    ),
    ("core.v1.SecretVolumeSource", MODE),
    ("core.v1.ConfigMapVolumeSource", MODE),
    ("core.v1.DownwardAPIVolumeSource", MODE),
    ("core.v1.ProjectedVolumeSource", MODE),
    ("core.v1.HostPathVolumeSource", &[("type", "\"\"", Kept)]),
    ("core.v1.ServiceAccountTokenProjection", &[("expirationSeconds", "3600", Kept)]),
    ("core.v1.HTTPGetAction", &[("path", "\"/\"", Filled), ("scheme", "\"HTTP\"", Filled)]),
    ("core.v1.ObjectFieldSelector", &[("apiVersion", "\"v1\"", Filled)]),
    ("core.v1.Secret", &[("type", "\"Opaque\"", Filled)]),
    (
        "core.v1.PersistentVolumeSpec",
        &[("persistentVolumeReclaimPolicy", "\"Retain\"", Filled), ("volumeMode", "\"Filesystem\"", Kept)],
    ),
    ("core.v1.PersistentVolumeStatus", &[("phase", "\"Pending\"", Filled)]),
    ("core.v1.PersistentVolumeClaimSpec", &[("volumeMode", "\"Filesystem\"", Kept)]),
    ("core.v1.PersistentVolumeClaimStatus", &[("phase", "\"Pending\"", Filled)]),
    ("core.v1.EndpointPort", &[("protocol", "\"TCP\"", Filled)]),
    ("core.v1.ServicePort", &[("protocol", "\"TCP\"", Filled)]),
    ("core.v1.ServiceSpec", &[("sessionAffinity", "\"None\"", Filled), ("type", "\"ClusterIP\"", Filled)]),
    (
        "apps.v1.DeploymentSpec",
        &[("replicas", "1", Kept), ("revisionHistoryLimit", "10", Kept), ("progressDeadlineSeconds", "600", Kept)],
    ),
    ("apps.v1.DaemonSetSpec", &[("revisionHistoryLimit", "10", Kept)]),
    ("apps.v1.ReplicaSetSpec", &[("replicas", "1", Kept)]),
    (
        "apps.v1.StatefulSetSpec",
        &[
            ("podManagementPolicy", "\"OrderedReady\"", Filled),
            ("persistentVolumeClaimRetentionPolicy", "{}", Kept),
            ("replicas", "1", Kept),
            ("revisionHistoryLimit", "10", Kept),
        ],
    ),
    (
        "apps.v1.StatefulSetPersistentVolumeClaimRetentionPolicy",
        &[("whenDeleted", "\"Retain\"", Filled), ("whenScaled", "\"Retain\"", Filled)],
    ),
    (
        "batch.v1.CronJobSpec",
        &[
            ("concurrencyPolicy", "\"Allow\"", Filled),
            ("suspend", "false", Kept),
            ("successfulJobsHistoryLimit", "3", Kept),
            ("failedJobsHistoryLimit", "1", Kept),
        ],
    ),
    ("batch.v1.PodFailurePolicyOnPodConditionsPattern", &[("status", "\"True\"", Filled)]),
    ("networking.v1.NetworkPolicyPort", &[("protocol", "\"TCP\"", Kept)]),
    ("networking.v1.IngressClassParametersReference", &[("scope", "\"Cluster\"", Kept)]),
    ("autoscaling.v1.HorizontalPodAutoscalerSpec", &[("minReplicas", "1", Kept)]),
    ("autoscaling.v2.HorizontalPodAutoscalerSpec", &[("minReplicas", "1", Kept)]),
    ("rbac.v1.RoleRef", &[("apiGroup", "\"rbac.authorization.k8s.io\"", Filled)]),
    ("storage.v1.StorageClass", &[("reclaimPolicy", "\"Delete\"", Kept), ("volumeBindingMode", "\"Immediate\"", Kept)]),
    (
        "storage.v1.CSIDriverSpec",
        &[
            ("attachRequired", "true", Kept),
            ("podInfoOnMount", "false", Kept),
            ("storageCapacity", "false", Kept),
            ("fsGroupPolicy", "\"ReadWriteOnceWithFSType\"", Kept),
            ("volumeLifecycleModes", "[\"Persistent\"]", Filled),
            ("requiresRepublish", "false", Kept),
            ("seLinuxMount", "false", Kept),
        ],
    ),
    ("admissionregistration.v1.ValidatingWebhook", WEBHOOK),
    ("admissionregistration.v1.MutatingWebhook", WEBHOOK),
    ("admissionregistration.v1.RuleWithOperations", &[("scope", "\"*\"", Kept)]),
    ("admissionregistration.v1.NamedRuleWithOperations", &[("scope", "\"*\"", Kept)]),
    ("admissionregistration.v1.ServiceReference", &[("port", "443", Kept)]),
    ("admissionregistration.v1.ValidatingAdmissionPolicySpec", &[("failurePolicy", "\"Fail\"", Kept)]),
    ("admissionregistration.v1.MutatingAdmissionPolicySpec", &[("failurePolicy", "\"Fail\"", Kept)]),
    (
        "admissionregistration.v1.MatchResources",
        &[("matchPolicy", "\"Equivalent\"", Kept), ("namespaceSelector", "{}", Kept), ("objectSelector", "{}", Kept)],
    ),
    ("scheduling.v1.PriorityClass", &[("preemptionPolicy", "\"PreemptLowerPriority\"", Kept)]),
    ("discovery.v1.EndpointPort", &[("name", "\"\"", Kept), ("protocol", "\"TCP\"", Kept)]),
    ("resource.v1.ExactDeviceRequest", &[("allocationMode", "\"ExactCount\"", Filled)]),
    ("resource.v1.DeviceSubRequest", &[("allocationMode", "\"ExactCount\"", Filled)]),
    ("flowcontrol.v1.FlowSchemaSpec", &[("matchingPrecedence", "1000", Filled)]),
    (
        "flowcontrol.v1.ExemptPriorityLevelConfiguration",
        &[("nominalConcurrencyShares", "0", Kept), ("lendablePercent", "0", Kept)],
    ),
    (
        "flowcontrol.v1.LimitedPriorityLevelConfiguration",
        &[("nominalConcurrencyShares", "30", Kept), ("lendablePercent", "0", Kept)],
    ),
    (
        "flowcontrol.v1.QueuingConfiguration",
        &[("handSize", "8", Filled), ("queues", "64", Filled), ("queueLengthLimit", "50", Filled)],
    ),
];

const CONTAINER: &[Default] =
    &[("terminationMessagePath", "\"/dev/termination-log\"", Filled), ("terminationMessagePolicy", "\"File\"", Filled)];

const MODE: &[Default] = &[("defaultMode", "420", Kept)];

const WEBHOOK: &[Default] = &[
    ("failurePolicy", "\"Fail\"", Kept),
    ("matchPolicy", "\"Equivalent\"", Kept),
    ("namespaceSelector", "{}", Kept),
    ("objectSelector", "{}", Kept),
    ("timeoutSeconds", "10", Kept),
];

/// Fills the defaults of one struct; those of what lies below follow when it is visited.
pub(super) fn fill(type_name: &str, object: &mut Members) {
    let name = type_name.strip_prefix("io.k8s.api.").unwrap_or(type_name);
    by_rule(name, object);
    let Some((_, fields)) = TABLE.iter().find(|(n, _)| *n == name) else { return };
    for &(field, default, zero) in *fields {
        let value = || serde_json::from_str(default).unwrap_or_default();
        match zero {
            Filled => set(object, field, value),
            Kept => set_absent(object, field, value),
        }
    }
}

/// Defaults that depend on other fields.
fn by_rule(name: &str, object: &mut Members) {
    match name {
        "core.v1.Container" | "core.v1.EphemeralContainer" => {
            let policy = image::pull_policy(text(object, "image"));
            set(object, "imagePullPolicy", || Json::from(policy));
        }
        "core.v1.Volume" => {
            let source = |(key, value): (&String, &Json)| key != "name" && !value.is_null();
            if !object.iter().any(source) {
                object.insert("emptyDir".to_owned(), json!({}));
            }
        }
        "core.v1.ImageVolumeSource" => {
            let policy = image::pull_policy(text(object, "reference"));
            set(object, "pullPolicy", || Json::from(policy));
        }
        "core.v1.PodSpec" => service_account(object),
        "core.v1.ServiceSpec" => workloads::service(object),
        "core.v1.ServicePort" => {
            let port = object.get("port").cloned().unwrap_or_else(|| json!(0));
            set(object, "targetPort", || port);
        }
        "core.v1.LimitRangeItem" if text(object, "type") == "Container" => limit_range(object),
        "core.v1.NodeStatus" => {
            if let Some(capacity) = object.get("capacity").cloned() {
                set_absent(object, "allocatable", || capacity);
            }
        }
        "apps.v1.DeploymentSpec" => workloads::deployment(object),
        "apps.v1.DaemonSetSpec" => workloads::daemon_set(object),
        "apps.v1.StatefulSetSpec" => workloads::stateful_set(object),
        "rbac.v1.Subject" if matches!(text(object, "kind"), "User" | "Group") => {
            set(object, "apiGroup", || Json::from("rbac.authorization.k8s.io"));
        }
        "admissionregistration.v1.MutatingWebhook" => {
            set_absent(object, "reinvocationPolicy", || Json::from("Never"));
        }
        "resource.v1.ExactDeviceRequest" | "resource.v1.DeviceSubRequest" => {
            if matches!(text(object, "allocationMode"), "" | "ExactCount") {
                set(object, "count", || json!(1));
            }
        }
        _ if name.ends_with(".v1.ServiceReference") => set_absent(object, "port", || json!(443)),
        _ => {}
    }
}

pub(super) fn text<'m>(object: &'m Members, key: &str) -> &'m str {
    object.get(key).and_then(Json::as_str).unwrap_or_default()
}

/// The account's old name and its new one are always written both.
fn service_account(spec: &mut Members) {
    let new = text(spec, "serviceAccountName");
    let name = if new.is_empty() { text(spec, "serviceAccount") } else { new };
    if !name.is_empty() {
        let name = Json::from(name);
        spec.insert("serviceAccountName".to_owned(), name.clone());
        spec.insert("serviceAccount".to_owned(), name);
    }
}

/// A container's default limit is its maximum, its default request the default limit, then the minimum.
fn limit_range(item: &mut Members) {
    for (from, to) in [("max", "default"), ("default", "defaultRequest"), ("min", "defaultRequest")] {
        let Some(Json::Object(source)) = item.get(from).cloned() else { continue };
        let Some(target) = child(item, to) else { continue };
        for (resource, value) in source {
            target.entry(resource).or_insert(value);
        }
    }
    item.retain(|_, value| !is_empty(value));
}
