//! The kinds of policy sources.

use kube::core::{ApiResource, GroupVersionKind};
use stockade_policy::compile::incremental::Scope;
use stockade_policy::compiled::{Flavour, ParamKind};

use crate::resources::Snapshot;

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
    ImagePolicy,
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
    pub(super) const OBJECTS: [Self; 9] = [
        Self::ConfigMap,
        Self::AdmissionPolicy,
        Self::ImagePolicy,
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
            Self::ImagePolicy => "ImagePolicy",
            Self::PolicyException => "PolicyException",
            Self::NamespaceGroup => "NamespaceGroup",
            Self::ValidatingAdmissionPolicy => "ValidatingAdmissionPolicy",
            Self::ValidatingAdmissionPolicyBinding => "ValidatingAdmissionPolicyBinding",
            Self::MutatingAdmissionPolicy => "MutatingAdmissionPolicy",
            Self::MutatingAdmissionPolicyBinding => "MutatingAdmissionPolicyBinding",
        }
    }

    /// The own kind of a policy.
    pub(super) fn of_own(flavour: Flavour) -> Self {
        match flavour {
            Flavour::Image => Self::ImagePolicy,
            Flavour::Admission | Flavour::Validating | Flavour::Mutating => Self::AdmissionPolicy,
        }
    }

    /// Whether it is a kind of ours: its watch must have synced before anything is in force.
    pub(super) fn is_own(self) -> bool {
        self.scope() == Scope::Enforced
    }

    pub(super) fn scope(self) -> Scope {
        match self {
            Self::Folders
            | Self::ConfigMap
            | Self::AdmissionPolicy
            | Self::ImagePolicy
            | Self::PolicyException
            | Self::NamespaceGroup => Scope::Enforced,
            Self::ValidatingAdmissionPolicy
            | Self::ValidatingAdmissionPolicyBinding
            | Self::MutatingAdmissionPolicy
            | Self::MutatingAdmissionPolicyBinding => Scope::Audited,
        }
    }

    /// How the API server names it, in its newest version.
    pub(crate) fn api_resource(self) -> ApiResource {
        self.api_resource_in(self.versions()[0])
    }

    /// Versions in which it may be served, the newest first. All say the same.
    pub(super) fn versions(self) -> &'static [&'static str] {
        match self {
            Self::AdmissionPolicy | Self::ImagePolicy | Self::PolicyException | Self::NamespaceGroup => &["v1alpha1"],
            // v1 since Kubernetes 1.36.
            Self::MutatingAdmissionPolicy | Self::MutatingAdmissionPolicyBinding => &["v1", "v1beta1", "v1alpha1"],
            Self::Folders
            | Self::ConfigMap
            | Self::ValidatingAdmissionPolicy
            | Self::ValidatingAdmissionPolicyBinding => &["v1"],
        }
    }

    /// The newest version that can be watched.
    pub(super) fn served(self, by: &Snapshot) -> Option<ApiResource> {
        let resources = self.versions().iter().map(|version| self.api_resource_in(version));
        let is_served = |resource: &ApiResource| {
            let kind = ParamKind { api_version: resource.api_version.clone(), kind: resource.kind.clone() };
            by.of_kind(&kind).is_some_and(|served| served.has_verb("watch"))
        };
        resources.into_iter().find(is_served)
    }

    fn api_resource_in(self, version: &str) -> ApiResource {
        let (group, plural) = match self {
            Self::Folders | Self::ConfigMap => ("", "configmaps"),
            Self::AdmissionPolicy => ("stockade.dev", "admissionpolicies"),
            Self::ImagePolicy => ("stockade.dev", "imagepolicies"),
            Self::PolicyException => ("stockade.dev", "policyexceptions"),
            Self::NamespaceGroup => ("stockade.dev", "namespacegroups"),
            Self::ValidatingAdmissionPolicy => (REGISTRATION, "validatingadmissionpolicies"),
            Self::ValidatingAdmissionPolicyBinding => (REGISTRATION, "validatingadmissionpolicybindings"),
            Self::MutatingAdmissionPolicy => (REGISTRATION, "mutatingadmissionpolicies"),
            Self::MutatingAdmissionPolicyBinding => (REGISTRATION, "mutatingadmissionpolicybindings"),
        };
        ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, self.as_str()), plural)
    }
}

const REGISTRATION: &str = "admissionregistration.k8s.io";
