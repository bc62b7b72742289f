//! Groups that share storage, and versions that older servers served.
//!
//! Policies written for older clusters still name them; with `matchPolicy: Equivalent` a server that served both
//! applies such a rule to the version of today.

use super::{Equivalent, EquivalentKind};

/// Groups of one resource whose objects are the same objects (kubeapiserver's cohabitating resources).
const SHARED: &[(&str, &[&str])] = &[
    ("events", &["", "events.k8s.io"]),
    ("deployments", &["apps", "extensions"]),
    ("daemonsets", &["apps", "extensions"]),
    ("replicasets", &["apps", "extensions"]),
    ("networkpolicies", &["networking.k8s.io", "extensions"]),
    ("ingresses", &["networking.k8s.io", "extensions"]),
    ("podsecuritypolicies", &["policy", "extensions"]),
];

/// Group, version, resource, kind, and subresources with the kinds they take in the same version.
type Retired = (&'static str, &'static str, &'static str, &'static str, &'static [(&'static str, &'static str)]);

const SCALABLE: &[(&str, &str)] = &[("scale", "Scale"), ("status", "")];
const STATUS: &[(&str, &str)] = &[("status", "")];

/// What servers before 1.36 served beside what 1.36 serves.
const RETIRED: &[Retired] = &[
    ("apps", "v1beta2", "daemonsets", "DaemonSet", STATUS),
    ("apps", "v1beta2", "deployments", "Deployment", SCALABLE),
    ("apps", "v1beta2", "replicasets", "ReplicaSet", SCALABLE),
    ("apps", "v1beta2", "statefulsets", "StatefulSet", SCALABLE),
    ("apps", "v1beta1", "deployments", "Deployment", SCALABLE),
    ("apps", "v1beta1", "statefulsets", "StatefulSet", SCALABLE),
    ("extensions", "v1beta1", "daemonsets", "DaemonSet", STATUS),
    ("extensions", "v1beta1", "deployments", "Deployment", SCALABLE),
    ("extensions", "v1beta1", "replicasets", "ReplicaSet", SCALABLE),
    ("extensions", "v1beta1", "ingresses", "Ingress", STATUS),
    ("extensions", "v1beta1", "networkpolicies", "NetworkPolicy", &[]),
    ("networking.k8s.io", "v1beta1", "ingresses", "Ingress", STATUS),
    ("networking.k8s.io", "v1beta1", "ingressclasses", "IngressClass", &[]),
    ("batch", "v1beta1", "cronjobs", "CronJob", STATUS),
    ("batch", "v2alpha1", "cronjobs", "CronJob", STATUS),
    ("autoscaling", "v2beta2", "horizontalpodautoscalers", "HorizontalPodAutoscaler", STATUS),
    ("autoscaling", "v2beta1", "horizontalpodautoscalers", "HorizontalPodAutoscaler", STATUS),
    ("policy", "v1beta1", "poddisruptionbudgets", "PodDisruptionBudget", STATUS),
    ("rbac.authorization.k8s.io", "v1beta1", "clusterrolebindings", "ClusterRoleBinding", &[]),
    ("rbac.authorization.k8s.io", "v1beta1", "clusterroles", "ClusterRole", &[]),
    ("rbac.authorization.k8s.io", "v1beta1", "rolebindings", "RoleBinding", &[]),
    ("rbac.authorization.k8s.io", "v1beta1", "roles", "Role", &[]),
    ("storage.k8s.io", "v1beta1", "storageclasses", "StorageClass", &[]),
    ("storage.k8s.io", "v1beta1", "csidrivers", "CSIDriver", &[]),
    ("storage.k8s.io", "v1beta1", "csinodes", "CSINode", &[]),
    ("storage.k8s.io", "v1beta1", "volumeattachments", "VolumeAttachment", STATUS),
    ("scheduling.k8s.io", "v1beta1", "priorityclasses", "PriorityClass", &[]),
    ("coordination.k8s.io", "v1beta1", "leases", "Lease", &[]),
    ("node.k8s.io", "v1beta1", "runtimeclasses", "RuntimeClass", &[]),
    ("discovery.k8s.io", "v1beta1", "endpointslices", "EndpointSlice", &[]),
    ("events.k8s.io", "v1beta1", "events", "Event", &[]),
    ("certificates.k8s.io", "v1beta1", "certificatesigningrequests", "CertificateSigningRequest", STATUS),
    ("apiextensions.k8s.io", "v1beta1", "customresourcedefinitions", "CustomResourceDefinition", STATUS),
    ("apiregistration.k8s.io", "v1beta1", "apiservices", "APIService", STATUS),
    ("admissionregistration.k8s.io", "v1beta1", "mutatingwebhookconfigurations", "MutatingWebhookConfiguration", &[]),
    (
        "admissionregistration.k8s.io",
        "v1beta1",
        "validatingwebhookconfigurations",
        "ValidatingWebhookConfiguration",
        &[],
    ),
    ("admissionregistration.k8s.io", "v1beta1", "validatingadmissionpolicies", "ValidatingAdmissionPolicy", STATUS),
    (
        "admissionregistration.k8s.io",
        "v1beta1",
        "validatingadmissionpolicybindings",
        "ValidatingAdmissionPolicyBinding",
        &[],
    ),
];

/// Whether the resource of two groups is one.
pub(super) fn share_storage(resource: &str, a: &str, b: &str) -> bool {
    SHARED.iter().any(|(name, groups)| *name == resource && groups.contains(&a) && groups.contains(&b))
}

pub(super) fn equivalents(group: &str, resource: &str, subresource: &str) -> impl Iterator<Item = Equivalent> {
    RETIRED.iter().filter_map(move |&(g, version, r, kind, subresources)| {
        if r != resource || !(g == group || share_storage(resource, g, group)) {
            return None;
        }
        let kind = if subresource.is_empty() {
            kind
        } else {
            let &(_, of_its_own) = subresources.iter().find(|(name, _)| *name == subresource)?;
            if of_its_own.is_empty() { kind } else { of_its_own }
        };
        let kind = EquivalentKind { group: g, version, kind };
        Some(Equivalent { group: g, version, resource: r, kind, served: false })
    })
}
