//! Who may have signed images, what may be attested of them, and how registries are spoken to: the same in an ImagePolicy
//! and in an AdmissionPolicy.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
    /// Whether the signature must be in a transparency log. Default: Required for keyless, else NotRequired. Entries of
    /// cosign before version 2 (intoto 0.0.1) are not supported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Need")]
    pub transparency_log: Option<Need>,
    /// Whether a trusted clock must have signed the time. Default: NotRequired. Clocks with keys of ECDSA over P-256 and
    /// P-384 are supported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Need")]
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
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "HashAlgorithm")]
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

/// A kind of statement about an image, and who may have signed it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct AttestationType {
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
