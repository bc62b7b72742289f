//! Policies, bindings, exceptions and groups as read and validated, before expressions are compiled and names looked up.

use std::sync::Arc;

pub use crate::read::Text;

use crate::compiled::{
    Actions, Exception, FailurePolicy, Flavour, Metadata, NamespaceGroup, Origin, ParamKind, ParamRef, Reason,
    ReinvocationPolicy, Rollout,
};
use crate::images::{Authority, ImageRules, RegistrySettings};
use crate::matching::MatchResources;
use crate::source_file::SourceFile;
use stockade_cel::source::Span;

/// One policy. Which kind it was written as says which fields may be filled.
#[derive(Debug, Clone)]
pub struct PolicySource {
    /// Kind it was written as.
    pub flavour: Flavour,
    /// `metadata.name`, a DNS subdomain.
    pub name: String,
    /// Place of the name.
    pub name_span: Span,
    /// Text the places of the expressions point into.
    pub file: SourceFile,
    /// File and line.
    pub origin: Origin,
    /// Title and so on.
    pub metadata: Metadata,
    /// Kind of the params.
    pub param_kind: Option<ParamKind>,
    /// Which requests.
    pub match_constraints: MatchResources,
    /// Name and expression.
    pub match_conditions: Vec<(String, Text)>,
    /// Name and expression, in order.
    pub variables: Vec<(String, Text)>,
    /// Checks.
    pub validations: Vec<ValidationSource>,
    /// Key and expression.
    pub audit_annotations: Vec<(String, Text)>,
    /// Changes.
    pub mutations: Vec<MutationSource>,
    /// What an error counts as.
    pub failure_policy: FailurePolicy,
    /// Whether mutations run again.
    pub reinvocation: ReinvocationPolicy,
    /// Actions and params of a policy of an own kind, which is its own binding.
    pub inline: Option<InlineBinding>,
    /// Groups of namespaces in which alone it is about anything; of the own kinds.
    pub namespace_groups: Vec<Reference>,
    /// Where its actions are in force already; of the own kinds.
    pub rollout: Option<Rollout>,
    /// Name of the policy beside which it is judged silently.
    pub shadow_of: Option<Reference>,
    /// See [`crate::compiled::Policy::revision`].
    pub revision: u64,
    /// What an ImagePolicy decides; but for authorities, attestations and registries, which are in [`Self::trust`].
    pub image: Option<Box<ImageRules>>,
    /// What is known of who signs images, of an ImagePolicy and an AdmissionPolicy.
    pub trust: ImageTrust,
}

/// Who may have signed images, what they may have signed of them, and how registries are spoken to.
#[derive(Debug, Clone, Default)]
pub struct ImageTrust {
    /// Who may have signed.
    pub authorities: Vec<Arc<Authority>>,
    /// What may be attested.
    pub attestations: Vec<AttestationSource>,
    /// Settings, with the places of their hosts.
    pub registries: Vec<(Arc<RegistrySettings>, Reference)>,
}

/// One attestation.
#[derive(Debug, Clone)]
pub struct AttestationSource {
    /// Unique in the policy.
    pub name: Arc<str>,
    /// URI.
    pub predicate_type: Arc<str>,
    /// Who may have signed it.
    pub authorities: Vec<Arc<Authority>>,
    /// Checks of its predicate, of an ImagePolicy.
    pub validations: Vec<ValidationSource>,
}

/// The name of another object, with its place: whether there is one shows when all are read.
#[derive(Debug, Clone)]
pub struct Reference {
    /// The name.
    pub name: String,
    /// Place of the name.
    pub span: Span,
    /// `spec.namespaceGroups[0]`
    pub path: String,
}

/// One PolicyException.
#[derive(Debug, Clone)]
pub struct ExceptionSource {
    /// What it says.
    pub exception: Exception,
    /// Place of the name.
    pub name_span: Span,
    /// Text the places point into.
    pub file: SourceFile,
    /// Parallel to the exception's policies.
    pub policies: Vec<WaivedReference>,
    /// Place of `spec.expires`.
    pub expires_span: Span,
    /// `metadata.creationTimestamp` in seconds since 1970; none for one from a file.
    pub created: Option<i64>,
}

/// The places in one entry of `spec.policies` of a PolicyException.
#[derive(Debug, Clone)]
pub struct WaivedReference {
    /// The policy.
    pub policy: Reference,
    /// Its rules.
    pub rules: Vec<Reference>,
}

/// One NamespaceGroup.
#[derive(Debug, Clone)]
pub struct GroupSource {
    /// What it says.
    pub group: NamespaceGroup,
    /// Place of the name.
    pub name_span: Span,
    /// Text the places point into.
    pub file: SourceFile,
    /// Required policies.
    pub policies: Vec<Reference>,
}

/// One check.
#[derive(Debug, Clone)]
pub struct ValidationSource {
    /// Must be true.
    pub expression: Text,
    /// Fixed message.
    pub message: Option<String>,
    /// Computed message.
    pub message_expression: Option<Text>,
    /// Reason of the refusal.
    pub reason: Reason,
}

/// One change.
#[derive(Debug, Clone)]
pub enum MutationSource {
    /// `patchType: ApplyConfiguration`
    ApplyConfiguration(Text),
    /// `patchType: JSONPatch`
    JsonPatch(Text),
}

/// The binding inside an AdmissionPolicy.
#[derive(Debug, Clone)]
pub struct InlineBinding {
    /// What a failure does.
    pub actions: Actions,
    /// Which params.
    pub params: Option<ParamRef>,
}

/// One binding.
#[derive(Debug, Clone)]
pub struct BindingSource {
    /// Kind of the policy it binds.
    pub flavour: Flavour,
    /// `metadata.name`, a DNS subdomain.
    pub name: String,
    /// Place of the name.
    pub name_span: Span,
    /// Text the places point into.
    pub file: SourceFile,
    /// File and line.
    pub origin: Origin,
    /// `spec.policyName`
    pub policy_name: String,
    /// Place of the policy's name.
    pub policy_name_span: Span,
    /// Narrows the policy's own constraints.
    pub match_resources: Option<MatchResources>,
    /// Which params.
    pub params: Option<ParamRef>,
    /// Place of `spec.paramRef`, for a policy that takes none.
    pub params_span: Option<Span>,
    /// What a failure does.
    pub actions: Actions,
}
