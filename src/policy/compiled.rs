//! The intermediate form: what every dialect becomes and the engine judges. Immutable once built.

use std::sync::Arc;

use stockade_cel::{Program, Symbols};

use crate::images::{ImageQuestions, ImageReference, ImageRules, RegistrySettings};
use crate::matching::MatchResources;
use crate::selector::LabelSelector;

/// Everything in force at one moment. Built whole, swapped whole.
#[derive(Debug, Default)]
pub struct PolicySet {
    /// Validating and mutating policies, sorted by name, mutating ones first, as the API server orders them.
    /// Shared with the set before, where a policy did not change.
    pub policies: Vec<Arc<Policy>>,
    /// Numbers of the field names the programs select.
    pub symbols: Symbols,
    /// What is waived, sorted by namespace and name.
    pub exceptions: Vec<Exception>,
    /// Groups of namespaces that policies name, sorted by name.
    pub groups: Vec<NamespaceGroup>,
}

/// One policy with its bindings.
#[derive(Debug, Clone)]
pub struct Policy {
    /// `metadata.name`
    pub name: Arc<str>,
    /// Which kind it was written as.
    pub flavour: Flavour,
    /// Where it was read.
    pub origin: Origin,
    /// What people want to know of it.
    pub metadata: Metadata,
    /// Which requests it is about.
    pub match_constraints: MatchResources,
    /// Narrowing expressions, in order.
    pub match_conditions: Vec<MatchCondition>,
    /// Programs of `variables`, in slot order of the environment, with their names in [`Policy::variable_names`].
    pub variables: Arc<[Program]>,
    /// Names of the variables, parallel to [`Policy::variables`].
    pub variable_names: Vec<String>,
    /// Checks; empty for a purely mutating policy.
    pub validations: Vec<Validation>,
    /// Extra audit facts.
    pub audit_annotations: Vec<AuditAnnotation>,
    /// Changes; empty for a purely validating policy.
    pub mutations: Vec<Mutation>,
    /// What an error in this policy counts as.
    pub failure_policy: FailurePolicy,
    /// Whether mutations run again after later ones changed the object.
    pub reinvocation: ReinvocationPolicy,
    /// Kind of the params, when the policy takes any.
    pub param_kind: Option<ParamKind>,
    /// Where it is in force, and what a failure does there. A policy without any judges nothing.
    pub bindings: Vec<Binding>,
    /// Type-checking warnings against the schemas of the matched built-in kinds, as `status.typeChecking` shows them.
    pub type_warnings: Vec<TypeWarning>,
    /// `namespaceGroups`: only in namespaces of these groups, when there are any.
    pub namespace_groups: Vec<Arc<str>>,
    /// How far a rollout has come; none when the actions are in force everywhere.
    pub rollout: Option<Rollout>,
    /// `shadowOf`: judged silently beside this policy, only differences are counted.
    pub shadow_of: Option<Arc<str>>,
    /// Tells one spec from another where something is counted, which is of one revision: for a rollout and a shadow. 0
    /// for other policies.
    pub revision: u64,
    /// What `cluster.get` and `cluster.list` are called with as constants, sorted, each once: what a watch must hold.
    pub reads: Vec<KindRead>,
    /// Whether a verdict can depend on who sends the request: what exists already cannot be judged by it.
    pub reads_requester: bool,
    /// What an ImagePolicy decides; none for the other kinds.
    pub image_rules: Option<Arc<ImageRules>>,
    /// What the expressions of an AdmissionPolicy ask about images; none when they ask nothing.
    pub image_questions: Option<Arc<ImageQuestions>>,
}

// === impl Policy ===

impl Policy {
    /// Whether it looks into images: only then a registry may have to be asked.
    pub fn asks_about_images(&self) -> bool {
        self.image_rules.is_some() || self.image_questions.is_some()
    }

    /// Whether it turns tags into digests. A shadow changes nothing.
    pub fn pins(&self) -> bool {
        self.shadow_of.is_none() && self.image_rules.as_ref().is_some_and(|rules| rules.digest.mutate)
    }

    /// What it says of the registry that an image is in, if anything.
    pub fn registry(&self, image: &ImageReference) -> Option<&Arc<RegistrySettings>> {
        let of_rules = self.image_rules.as_ref().and_then(|rules| rules.registry(image));
        of_rules.or_else(|| self.image_questions.as_ref()?.registry(image))
    }
}

/// The kind a policy was written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Flavour {
    /// `admissionregistration.k8s.io` ValidatingAdmissionPolicy
    Validating,
    /// `admissionregistration.k8s.io` MutatingAdmissionPolicy
    Mutating,
    /// `stockade.dev` AdmissionPolicy
    Admission,
    /// `stockade.dev` ImagePolicy
    Image,
}

impl Flavour {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Validating, Self::Mutating, Self::Admission, Self::Image];

    /// The kind's name.
    pub fn kind(self) -> &'static str {
        match self {
            Self::Validating => "ValidatingAdmissionPolicy",
            Self::Mutating => "MutatingAdmissionPolicy",
            Self::Admission => "AdmissionPolicy",
            Self::Image => "ImagePolicy",
        }
    }

    /// Whether it is a kind of our own: an object of it is its own binding, and the API server does not enforce it.
    pub fn is_own(self) -> bool {
        matches!(self, Self::Admission | Self::Image)
    }
}

/// File and line of an object; line 0 when it did not come from a file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Origin {
    /// Path as the user gave it.
    pub file: Arc<str>,
    /// Line of the document's first key, from 1.
    pub line: u32,
}

/// From the annotations `stockade.dev/{title,category,severity,description,remediation}`, or the fields of an
/// AdmissionPolicy.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Metadata {
    /// Short title.
    pub title: Option<String>,
    /// Category.
    pub category: Option<String>,
    /// `critical`, `high`, `medium`, `low` or `info`.
    pub severity: Option<String>,
    /// What and why.
    pub description: Option<String>,
    /// How to fix: text or link.
    pub remediation: Option<String>,
}

/// An expression with its place in the policy file.
#[derive(Debug, Clone)]
pub struct Expression {
    /// The planned expression, shared with the same policy under other bindings.
    pub program: Arc<Program>,
    /// `spec.validations[0].expression`
    pub field: String,
    /// Line of the expression in the file, from 1; 0 when unknown.
    pub line: u32,
}

/// One matchCondition.
#[derive(Debug, Clone)]
pub struct MatchCondition {
    /// Unique in the policy.
    pub name: String,
    /// Must be bool.
    pub expression: Expression,
}

/// One validation.
#[derive(Debug, Clone)]
pub struct Validation {
    /// Must be true.
    pub expression: Expression,
    /// Fixed message.
    pub message: Option<String>,
    /// Computed message; falls back to `message`, then to the default `failed expression: …`.
    pub message_expression: Option<Expression>,
    /// Reason of the refusal; sets the HTTP code.
    pub reason: Reason,
}

/// `metav1.StatusReason` values a validation may give.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Reason {
    /// 401
    Unauthorized,
    /// 403
    Forbidden,
    /// 422, the default
    #[default]
    Invalid,
    /// 413
    RequestEntityTooLarge,
}

/// One audit annotation.
#[derive(Debug, Clone)]
pub struct AuditAnnotation {
    /// Key, shown as `policy/key`.
    pub key: String,
    /// String or null.
    pub value: Expression,
}

/// One mutation.
#[derive(Debug, Clone)]
pub enum Mutation {
    /// `patchType: ApplyConfiguration`: an `Object{…}` that is merged structurally.
    ApplyConfiguration(Expression),
    /// `patchType: JSONPatch`: a list of `JSONPatch{…}`.
    JsonPatch(Expression),
}

/// What an error counts as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum FailurePolicy {
    /// As a refusal.
    #[default]
    Fail,
    /// As if the policy were not there.
    Ignore,
}

/// Whether mutations may run twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum ReinvocationPolicy {
    /// Once.
    #[default]
    Never,
    /// Again when a later mutation changed the object.
    IfNeeded,
}

/// Kind of a policy's params.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ParamKind {
    /// `v1`, `rules.example.com/v1`
    pub api_version: String,
    /// `ConfigMap`
    pub kind: String,
}

/// What expressions read of a kind.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct KindRead {
    /// Of which kind.
    pub kind: ParamKind,
    /// In which namespace; none for any, and for objects that are in none.
    pub namespace: Option<String>,
    /// Which object; none for any.
    pub name: Option<String>,
}

/// One binding: where the policy is in force, with which params, and what a failure does.
#[derive(Debug, Clone, PartialEq)]
pub struct Binding {
    /// Name of the binding; the policy's own for inline actions.
    pub name: Arc<str>,
    /// Where it was read.
    pub origin: Origin,
    /// Narrows [`Policy::match_constraints`].
    pub match_resources: Option<MatchResources>,
    /// Which params.
    pub params: Option<ParamRef>,
    /// What a failure does. For a mutating binding ignored.
    pub actions: Actions,
}

/// `validationActions`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Actions {
    /// Refuse.
    pub deny: bool,
    /// Admit with a warning.
    pub warn: bool,
    /// Admit with an audit annotation.
    pub audit: bool,
}

/// Which params a binding gives.
#[derive(Debug, Clone, PartialEq)]
pub struct ParamRef {
    /// By name or by selector.
    pub source: ParamSource,
    /// Namespace; none means the request's own for a namespaced kind.
    pub namespace: Option<String>,
    /// What it means when there are none.
    pub not_found: ParameterNotFoundAction,
}

/// How params are found.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ParamSource {
    /// One object.
    Name(String),
    /// All that match; the policy is judged once for each.
    Selector(LabelSelector),
}

/// `parameterNotFoundAction`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParameterNotFoundAction {
    /// As if the binding were not there.
    Allow,
    /// As an error under failurePolicy.
    Deny,
}

/// A type-checking warning, as upstream's `status.typeChecking.expressionWarnings`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypeWarning {
    /// `spec.validations[0].expression`
    pub field: String,
    /// The text, naming each kind it was found for.
    pub warning: String,
}

/// `stockade.dev` PolicyException: what is waived, why, and until when. It is judged all the same and reported as
/// waived, so that one that is no longer needed shows.
#[derive(Debug, Clone)]
pub struct Exception {
    /// `metadata.namespace`: it waives objects of this namespace only; in Stockade's own also cluster-scoped ones.
    pub namespace: Arc<str>,
    /// `metadata.name`
    pub name: Arc<str>,
    /// Where it was read.
    pub origin: Origin,
    /// What is waived; at least one.
    pub policies: Vec<WaivedPolicy>,
    /// For which objects; empty means all that `images` allows.
    pub resources: Vec<WaivedResources>,
    /// Globs of image references, all of an object's images must match; empty means any.
    pub images: Vec<String>,
    /// For people.
    pub reason: String,
    /// Where it was agreed.
    pub ticket: Option<String>,
    /// Who answers for it.
    pub owner: String,
    /// Seconds since 1970; from then on it waives nothing.
    pub expires: i64,
}

/// One entry of `spec.policies` of a PolicyException.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaivedPolicy {
    /// Name of the policy.
    pub name: String,
    /// `validations[0]`, …; empty means all rules.
    pub rules: Vec<String>,
}

/// One entry of `spec.resources` of a PolicyException; what is empty means any.
#[derive(Debug, Clone, Default)]
pub struct WaivedResources {
    /// API groups, `""` for core.
    pub api_groups: Vec<String>,
    /// Plural resource names.
    pub resources: Vec<String>,
    /// Globs of object names (`agent-*`).
    pub names: Vec<String>,
    /// Labels of the object.
    pub selector: Option<LabelSelector>,
}

/// `stockade.dev` NamespaceGroup.
#[derive(Debug, Clone)]
pub struct NamespaceGroup {
    /// `metadata.name`
    pub name: Arc<str>,
    /// Where it was read.
    pub origin: Origin,
    /// Namespaces by label; none selects none.
    pub selector: Option<LabelSelector>,
    /// Namespaces by name, beside those of the selector.
    pub names: Vec<String>,
    /// Names of policies that must be in force in every member with Deny.
    pub required_policies: Vec<String>,
    /// Directions in which every member must have a NetworkPolicy that selects all its Pods.
    pub default_deny: DefaultDeny,
}

/// `requireDefaultDeny` of a NamespaceGroup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DefaultDeny {
    /// Ingress must be isolated.
    pub ingress: bool,
    /// Egress must be isolated.
    pub egress: bool,
}

/// `rollout` of a policy of an own kind: where its actions are already in force. What is in no stage is only audited.
#[derive(Debug, Clone, Default)]
pub struct Rollout {
    /// Where Deny denies.
    pub deny: Option<Stage>,
    /// Where a failure, that Deny does not deny yet, warns.
    pub warn: Option<Stage>,
    /// When it stops by itself.
    pub budget: Option<DenyBudget>,
    /// It has stopped: Deny only warns until the policy is edited.
    pub held: bool,
}

/// One stage of a rollout: both must hold.
#[derive(Debug, Clone)]
pub struct Stage {
    /// 0 to 100: of namespaces and names, by a stable hash.
    pub percentage: u8,
    /// Namespaces by label; none means all.
    pub namespace_selector: Option<LabelSelector>,
}

/// The share of sources that a policy may deny: a source is one requester with what made an object, in one namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DenyBudget {
    /// 0 to 100.
    pub max_percentage: u8,
    /// Over which time.
    pub window_seconds: u32,
    /// Fewer sources than this say nothing.
    pub min_requests: u32,
}
