//! The kinds of policy sources.

use kube::core::{ApiResource, GroupVersionKind};
use stockade_policy::compile::incremental::Scope;

/// One kind of source. The order is the order in which sources are compiled: of two that define one name the later is
/// refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SourceKind {
    /// All policy folders together.
    Folders,
    /// A ConfigMap of policy files in Stockade's own namespace.
    ConfigMap,
    /// `stockade.dev`
    AdmissionPolicy,
    /// `stockade.dev`
    PolicyException,
    /// `stockade.dev`
    NamespaceGroup,
    /// `admissionregistration.k8s.io`
    ValidatingAdmissionPolicy,
    /// `admissionregistration.k8s.io`
    ValidatingAdmissionPolicyBinding,
    /// `admissionregistration.k8s.io`
    MutatingAdmissionPolicy,
    /// `admissionregistration.k8s.io`
    MutatingAdmissionPolicyBinding,
}

impl SourceKind {
    /// Those that are objects, each watched.
    pub(super) const OBJECTS: [Self; 8] = [
        Self::ConfigMap,
        Self::AdmissionPolicy,
        Self::PolicyException,
        Self::NamespaceGroup,
        Self::ValidatingAdmissionPolicy,
        Self::ValidatingAdmissionPolicyBinding,
        Self::MutatingAdmissionPolicy,
        Self::MutatingAdmissionPolicyBinding,
    ];

    /// As Kubernetes writes it; `Folders` for those.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Folders => "Folders",
            Self::ConfigMap => "ConfigMap",
            Self::AdmissionPolicy => "AdmissionPolicy",
            Self::PolicyException => "PolicyException",
            Self::NamespaceGroup => "NamespaceGroup",
            Self::ValidatingAdmissionPolicy => "ValidatingAdmissionPolicy",
            Self::ValidatingAdmissionPolicyBinding => "ValidatingAdmissionPolicyBinding",
            Self::MutatingAdmissionPolicy => "MutatingAdmissionPolicy",
            Self::MutatingAdmissionPolicyBinding => "MutatingAdmissionPolicyBinding",
        }
    }

    /// Whether it is a kind of ours: its watch must have synced before anything is in force.
    pub(super) fn is_own(self) -> bool {
        self.scope() == Scope::Enforced
    }

    pub(super) fn scope(self) -> Scope {
        match self {
            Self::Folders | Self::ConfigMap | Self::AdmissionPolicy | Self::PolicyException | Self::NamespaceGroup => {
                Scope::Enforced
            }
            Self::ValidatingAdmissionPolicy
            | Self::ValidatingAdmissionPolicyBinding
            | Self::MutatingAdmissionPolicy
            | Self::MutatingAdmissionPolicyBinding => Scope::Audited,
        }
    }

    /// How the API server names it.
    pub(crate) fn api_resource(self) -> ApiResource {
        let (group, version, plural) = match self {
            Self::Folders | Self::ConfigMap => ("", "v1", "configmaps"),
            Self::AdmissionPolicy => ("stockade.dev", "v1alpha1", "admissionpolicies"),
            Self::PolicyException => ("stockade.dev", "v1alpha1", "policyexceptions"),
            Self::NamespaceGroup => ("stockade.dev", "v1alpha1", "namespacegroups"),
            Self::ValidatingAdmissionPolicy => (REGISTRATION, "v1", "validatingadmissionpolicies"),
            Self::ValidatingAdmissionPolicyBinding => (REGISTRATION, "v1", "validatingadmissionpolicybindings"),
            Self::MutatingAdmissionPolicy => (REGISTRATION, "v1", "mutatingadmissionpolicies"),
            Self::MutatingAdmissionPolicyBinding => (REGISTRATION, "v1", "mutatingadmissionpolicybindings"),
        };
        ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, self.as_str()), plural)
    }
}

const REGISTRATION: &str = "admissionregistration.k8s.io";
