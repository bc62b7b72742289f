//! What a cluster needs to run: requests that are admitted when they cannot be judged.
//!
//! The registration asks about them in entries with `failurePolicy: Ignore`, made of the same lists, so that a webhook
//! that does not answer and a webhook that answers with an error of its own come to the same: a fact that is not ready, a
//! spent budget or a passed deadline does not keep a node or a control plane from coming up. A verdict stays a verdict.
//!
//! An error can also be brought about by whoever writes the object, by its size or by what is absent in it. So of the
//! cluster-scoped ones only those are essential that nodes, control planes and system namespaces write: anybody may be let
//! make a CertificateSigningRequest, and must not thereby get past a policy. In system namespaces whoever writes is
//! trusted with the cluster.

use stockade_cel::Value;

use crate::request::{Operation, Request};

/// Cluster-scoped resources, group and plural name, that a node or a control plane writes to come up. The replicas that
/// would judge them may be waiting for just that node.
pub const BOOT: [(&str, &str); 8] = [
    ("", "nodes"),
    ("apiregistration.k8s.io", "apiservices"),
    ("certificates.k8s.io", "certificatesigningrequests"),
    ("flowcontrol.apiserver.k8s.io", "flowschemas"),
    ("flowcontrol.apiserver.k8s.io", "prioritylevelconfigurations"),
    ("scheduling.k8s.io", "priorityclasses"),
    ("storage.k8s.io", "csinodes"),
    ("storage.k8s.io", "volumeattachments"),
];

/// Users and groups of nodes and control planes (upstream `pkg/apis/core` users, `bootstrappolicy`), and of whoever could
/// as well delete the registration. Nobody else can have a name of this prefix.
const SYSTEM_USERS: [&str; 4] =
    ["system:apiserver", "system:cloud-controller-manager", "system:kube-controller-manager", "system:kube-scheduler"];
const SYSTEM_GROUPS: [&str; 3] = ["system:bootstrappers", "system:masters", "system:nodes"];

/// API group of the own kinds.
pub const OWN_GROUP: &str = "stockade.dev";
/// Own kinds by plural name. Creating and changing them is essential nowhere: they decide what is refused.
pub const OWN_KINDS: [&str; 4] = ["admissionpolicies", "imagepolicies", "policyexceptions", "namespacegroups"];

/// What is essential beside [`BOOT`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Essentials {
    /// Stockade's own namespace, which no registration asks about.
    pub own_namespace: String,
    /// Namespaces that a cluster needs to run: `kube-system`, …, and those of the network plugin. May be empty.
    pub system_namespaces: Vec<String>,
}

// === impl Essentials ===

impl Essentials {
    /// The namespaces of Kubernetes itself.
    pub fn new(own_namespace: impl Into<String>) -> Self {
        let system_namespaces = ["kube-node-lease", "kube-public", "kube-system"].map(str::to_owned).to_vec();
        Self { own_namespace: own_namespace.into(), system_namespaces }
    }

    /// Whether a request is admitted when it cannot be judged.
    pub fn contain(&self, request: &Request<'_>) -> bool {
        let (group, resource) = (request.resource.group, request.resource.resource);
        let changes = matches!(request.operation, Operation::Create | Operation::Update);
        if changes && request.sub_resource.is_empty() && group == OWN_GROUP && OWN_KINDS.contains(&resource) {
            return false;
        }
        // The namespace of a Namespace's own request is its name, yet it is cluster-scoped.
        match request.namespace.is_empty() || (group, resource) == ("", "namespaces") {
            true => BOOT.contains(&(group, resource)) && self.is_of_system(request),
            false => self.is_system(request.namespace),
        }
    }

    fn is_system(&self, namespace: &str) -> bool {
        self.own_namespace == namespace || self.system_namespaces.iter().any(|n| n == namespace)
    }

    fn is_of_system(&self, request: &Request<'_>) -> bool {
        let user = request.user_info.get("username").and_then(Value::as_str).unwrap_or("");
        let groups = request.user_info.get("groups").and_then(Value::as_list).unwrap_or(&[]);
        let is_system = |group: &str| {
            let of_accounts = group.strip_prefix("system:serviceaccounts:");
            SYSTEM_GROUPS.contains(&group) || of_accounts.is_some_and(|namespace| self.is_system(namespace))
        };
        SYSTEM_USERS.contains(&user) || groups.iter().filter_map(|g| g.as_str()).any(is_system)
    }
}
