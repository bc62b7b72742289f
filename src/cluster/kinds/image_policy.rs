//! ImagePolicy: which images may run.

use std::collections::BTreeMap;

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::admission_policy::{Action, AdmissionPolicyStatus, FailurePolicy, Severity};
use super::expressions::{MatchCondition, Validation, Variable};
use super::selector::{LabelSelector, MatchResources};

/// Which images may run, and what becomes of the others.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, CustomResource, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[kube(
    group = "stockade.dev",
    version = "v1alpha1",
    kind = "ImagePolicy",
    plural = "imagepolicies",
    singular = "imagepolicy",
    shortname = "ipol",
    category = "stockade",
    category = "policy",
    status = "AdmissionPolicyStatus",
    derive = "PartialEq",
    doc = "Which images may run: who must have signed them, what must be attested of them, and whether they are pulled by \
           a digest. It is judged when a Pod, or what makes Pods, is created, and when an update brings another image.",
    printcolumn(
        name = "Images",
        type_ = "string",
        json_path = ".spec.images",
        description = "Which images it is about"
    ),
    printcolumn(
        name = "Actions",
        type_ = "string",
        json_path = ".spec.actions",
        description = "What an image that fails leads to"
    ),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].status",
        description = "Whether it compiles and every replica enforces it"
    ),
    printcolumn(
        name = "Enforced",
        type_ = "string",
        json_path = ".status.enforced",
        description = "Replicas that have it in force, of those that run"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(
        name = "Unavailable",
        type_ = "string",
        json_path = ".spec.unavailable",
        priority = 1,
        description = "What an image counts as whose registry does not answer"
    ),
    printcolumn(
        name = "Title",
        type_ = "string",
        json_path = ".spec.title",
        priority = 1,
        description = "What it demands"
    )
)]
#[x_kube(
    validation = Rule::new("has(self.authorities) \
        || (has(self.digest) && (self.digest.mutate || self.digest.required) && !has(self.attestations))")
        .message("who may have signed; only a policy with a digest rule needs none").reason(Reason::FieldValueRequired)
        .field_path(".authorities")
)]
pub struct ImagePolicySpec {
    /// What it demands, in a few words.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub title: Option<String>,
    /// What it is about, for reports: Supply chain.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub category: Option<String>,
    /// How bad a violation is: critical, high, medium, low or info.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub severity: Option<Severity>,
    /// What it demands, and why.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 8192))]
    pub description: Option<String>,
    /// How to fix a violation: a text or a link.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 8192))]
    pub remediation: Option<String>,
    /// What an image that fails leads to. Deny refuses the request, Warn shows a warning to whoever sent it, Audit writes
    /// it into the API server's audit log. Deny and Warn exclude each other.
    #[serde(default = "deny")]
    #[schemars(length(min = 1, max = 3))]
    #[x_kube(
        merge_strategy = ListMerge::Set,
        validation = ("!('Deny' in self && 'Warn' in self)", "must not contain both Deny and Warn (repeating the same \
            validation failure information in the API response and headers serves no purpose)")
    )]
    pub actions: Vec<Action>,
    /// Globs of the images it is about, compared with references in full form (docker.io/library/nginx:1.27): `*` stands
    /// for any characters but `/`, `**` for any at all. One without a tag is about all tags.
    #[schemars(length(min = 1, max = 256), inner(length(min = 1, max = 512)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub images: Vec<String>,
    /// Globs of images it is not about. One with a tag excludes no image that is pulled by a digest.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256), inner(length(min = 1, max = 512)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub exclude: Option<Vec<String>>,
    /// Which requests it is about. Default: creation and update of Pods, of containers added to them, and of all built-in
    /// kinds that make Pods.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub match_constraints: Option<MatchResources>,
    /// Expressions that narrow further which requests it is about: all must be true. One that is false ends the matter;
    /// an error counts under failurePolicy.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub match_conditions: Vec<MatchCondition>,
    /// Named expressions that the checks of attestations use as `variables.NAME`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub variables: Vec<Variable>,
    /// What an error in an expression counts as: Fail as an image that fails, Ignore as if the policy were not there.
    /// Images that cannot be looked at are not errors: see unavailable.
    #[serde(default)]
    pub failure_policy: FailurePolicy,
    /// Names of NamespaceGroups: only requests in their namespaces. Default: everywhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32), inner(length(min = 1, max = 253)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub namespace_groups: Option<Vec<String>>,
    /// Whether one of the authorities must have signed, or each of them: Any or All.
    #[serde(default)]
    pub require: Require,
    /// Who may have signed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub authorities: Option<Vec<Authority>>,
    /// Statements that must be there, signed, and hold: all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub attestations: Option<Vec<Attestation>>,
    /// What an image counts as whose registry does not answer: Deny as one that is not signed, Warn and Allow as one that
    /// is. It holds for registries that the policy names, in registries or in a glob without a star in its host. It is not
    /// about what whoever wants the image admitted can bring about, and that is refused as an image that is not signed: a
    /// registry that wants other credentials than the pull secrets of the Pod, pull secrets that cannot be read, and images
    /// that take longer to look at than there is time, or are too many at once. Under Warn and Allow whoever can keep a
    /// registry from answering gets past the policy.
    #[serde(default)]
    pub unavailable: Unavailable,
    /// What becomes of tags. Default: they are pinned to the digest that was verified.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<DigestRules>,
    /// How registries are spoken to. All policies must say the same of one registry.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["host".into()]))]
    pub registries: Option<Vec<Registry>>,
}

/// How many authorities must have signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum Require {
    /// One is enough.
    #[default]
    Any,
    /// Each of them.
    All,
}

/// What no answer means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum Unavailable {
    /// As an image that is not signed.
    #[default]
    Deny,
    /// Admitted with a warning.
    Warn,
    /// Admitted.
    Allow,
}

/// Whether something must be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Need {
    /// Without it a signature counts for nothing.
    Required,
    /// It is checked where it is there.
    NotRequired,
}

/// One who may sign: a name and exactly one of key, keyless, certificates and notation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = ("[has(self.key), has(self.keyless), has(self.certificates), has(self.notation)].filter(x, x).size() == 1",
        "exactly one of key, keyless, certificates and notation must be specified"),
    validation = ("!has(self.notation) || !(has(self.transparencyLog) || has(self.timestamp) || has(self.trustedRoot))",
        "transparencyLog, timestamp and trustedRoot do not go with notation, which has its own trust store")
)]
pub struct Authority {
    /// Unique in the policy; shown in messages.
    #[schemars(length(min = 1, max = 63), pattern(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// By a key pair (cosign).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<Key>,
    /// By a certificate of some minutes for an identity (Sigstore, Fulcio).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keyless: Option<Keyless>,
    /// By a certificate of an own chain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificates: Option<Certificates>,
    /// By a certificate of a trust store (Notary Project), in a JWS envelope.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notation: Option<Notation>,
    /// Whether the signature must be in a transparency log. Default: Required for keyless, else NotRequired.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transparency_log: Option<Need>,
    /// Whether a trusted clock must have signed the time. Default: NotRequired.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<Need>,
    /// Which logs, certificate authorities and clocks are trusted. Default: those of the public Sigstore.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trusted_root: Option<TrustedRoot>,
}

/// A key pair; exactly one of data and secretRef.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = ("has(self.data) != has(self.secretRef)", "exactly one of data and secretRef must be specified"))]
pub struct Key {
    /// One public key in PEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 8192))]
    pub data: Option<String>,
    /// A key in a Secret of Stockade's own namespace that holds the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<MemberRef>,
    /// Hash that was signed: sha256 (the default), sha384 or sha512.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hash_algorithm: Option<HashAlgorithm>,
}

/// Hash of a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum HashAlgorithm {
    /// The usual one.
    Sha256,
    /// For P-384.
    Sha384,
    /// For P-521.
    Sha512,
}

/// A key of a Secret or ConfigMap in Stockade's own namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MemberRef {
    /// Name of the object.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Key in its data.
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}

/// Identities that Fulcio vouches for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Keyless {
    /// One of them must be the certificate's. Each needs an issuer and a subject.
    #[schemars(length(min = 1, max = 64))]
    pub identities: Vec<Identity>,
}

/// A chain of one's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Certificates {
    /// Certificates in PEM that the chain ends in.
    #[schemars(length(min = 1, max = 131_072))]
    pub roots: String,
    /// Certificates in PEM between.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 131_072))]
    pub intermediates: Option<String>,
    /// One of them must be the certificate's. Default: any that the chain holds for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub identities: Option<Vec<Identity>>,
}

/// Who a certificate is for; all that is given must hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = ("!has(self.issuer) || !has(self.issuerRegExp)", "issuer and issuerRegExp are mutually exclusive"),
    validation = ("!has(self.subject) || !has(self.subjectRegExp)", "subject and subjectRegExp are mutually exclusive"),
    validation = ("has(self.issuer) || has(self.issuerRegExp) || has(self.subject) || has(self.subjectRegExp) \
        || has(self.claims)", "an identity names an issuer, a subject or claims")
)]
pub struct Identity {
    /// The identity provider, exactly.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2048))]
    pub issuer: Option<String>,
    /// The same as a regular expression (RE2) that must match as a whole.
    #[serde(skip_serializing_if = "Option::is_none", rename = "issuerRegExp")]
    #[schemars(length(min = 1, max = 2048))]
    pub issuer_reg_exp: Option<String>,
    /// Subject alternative name, exactly.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2048))]
    pub subject: Option<String>,
    /// The same as a regular expression (RE2) that must match as a whole.
    #[serde(skip_serializing_if = "Option::is_none", rename = "subjectRegExp")]
    #[schemars(length(min = 1, max = 2048))]
    pub subject_reg_exp: Option<String>,
    /// Further extensions of the certificate, exactly: sourceRepositoryURI, sourceRepositoryRef, buildSignerURI,
    /// runnerEnvironment, …
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxProperties" = 14))]
    pub claims: Option<BTreeMap<String, String>>,
}

/// A trust store and a trust policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Notation {
    /// Certificates in PEM.
    #[schemars(length(min = 1, max = 131_072))]
    pub trust_store: String,
    /// `x509.subject: C=…, ST=…, O=…` of signing certificates, or `*` alone for whoever the trust store vouches for.
    #[schemars(length(min = 1, max = 64), inner(length(min = 1, max = 2048)))]
    pub trusted_identities: Vec<String>,
    /// Skip: whether a certificate was revoked is not checked, and a policy has to say that it knows.
    pub revocation: Revocation,
}

/// Whether revocation is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Revocation {
    /// It is not.
    Skip,
}

/// A Sigstore trusted root; exactly one of data and configMapRef.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = ("has(self.data) != has(self.configMapRef)", "exactly one of data and configMapRef must be specified")
)]
pub struct TrustedRoot {
    /// Its JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 524_288))]
    pub data: Option<String>,
    /// A key in a ConfigMap of Stockade's own namespace that holds the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config_map_ref: Option<MemberRef>,
}

/// A statement that must be there, signed, and hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Attestation {
    /// Unique in the policy; shown in messages.
    #[schemars(length(min = 1, max = 63), pattern(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// Type of the predicate: a URI, or a name that cosign has: slsaprovenance1, spdxjson, cyclonedx, vuln, …
    #[schemars(length(min = 1, max = 512))]
    pub predicate_type: String,
    /// Names of authorities that may have signed it; one is enough. Default: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 16), inner(length(min = 1, max = 63)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub authorities: Option<Vec<String>>,
    /// What must hold of one statement, over `predicate`, `statement` and `image`, and `object`, `oldObject`, `request`,
    /// `namespaceObject` and `variables`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub validations: Option<Vec<Validation>>,
}

/// What becomes of tags.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DigestRules {
    /// NAME:TAG becomes NAME:TAG@sha256:…, the digest that was found when it was verified.
    #[serde(default = "yes")]
    pub mutate: bool,
    /// An image without a digest is refused.
    #[serde(default)]
    pub required: bool,
    /// Where neither is done: where something else, GitOps for one, keeps objects as they are written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub except: Option<DigestExcept>,
}

/// Namespaces that keep their tags.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DigestExcept {
    /// Namespaces by label.
    pub namespace_selector: LabelSelector,
}

/// How a registry is spoken to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Registry {
    /// Host, with a port where it has one, as in references: registry.example.com:5000.
    #[schemars(length(min = 1, max = 259))]
    pub host: String,
    /// Hosts with copies, tried first, in order.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 8), inner(length(min = 1, max = 259)))]
    pub mirrors: Option<Vec<String>>,
    /// Certificates in PEM that are trusted beside the public authorities.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 131_072))]
    pub ca_bundle: Option<String>,
    /// Without TLS.
    #[serde(default, rename = "plainHTTP")]
    pub plain_http: bool,
    /// It may be at a private, loopback or link-local address.
    #[serde(default)]
    pub allow_private_addresses: bool,
}

fn deny() -> Vec<Action> {
    vec![Action::Deny]
}

fn yes() -> bool {
    true
}
