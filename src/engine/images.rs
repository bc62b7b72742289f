//! What the engine asks about images, and what it may be told. Whoever looks at registries is elsewhere.
//!
//! A decision never waits: where evidence is wanted that nobody has, the decision says so ([`crate::Decision::wanted`]),
//! the caller has it gathered and decides again.

use std::sync::Arc;

use stockade_cel::Value;
use stockade_cel::authorizer::Authorizer;
use stockade_policy::images::{Authority, AuthorityId, Digest, ImageReference, RegistrySettings};
use stockade_policy::selector::LabelSelector;

use crate::facts::{ClusterFacts, Fact, Into, Kind};

pub(crate) mod asked;
pub(crate) mod library;
pub(crate) mod request;
pub(crate) mod value;
pub(crate) mod verdict;

/// Most images of one request that are wanted: a Pod may have hundreds of containers, and no Pod that works has.
pub const MAX_WANTED: usize = 128;
/// Why nothing is said of images without anybody who looks at registries.
pub(crate) const NOBODY_LOOKS: &str = "images cannot be verified here: nothing looks at registries";
/// Most platforms of one image that are told.
pub const MAX_PLATFORMS: usize = 32;

/// What is known of images, in memory.
pub trait ImageFacts: Sync {
    /// What is known now, without any I/O; it covers all that is wanted. None: nobody has looked yet, or what is known
    /// is too old.
    fn evidence(&self, wanted: &Wanted) -> Option<Arc<Evidence>>;
}

/// One image, and what a decision needs to know of it. Policies that ask for the same image have one each.
#[derive(Debug, Clone, PartialEq)]
pub struct Wanted {
    /// Which image, in full form.
    pub reference: ImageReference,
    /// Whose signatures are looked for.
    pub authorities: Vec<Arc<Authority>>,
    /// Which statements are looked for, by type of predicate, and who may have signed them.
    pub attestations: Vec<(Arc<str>, Vec<Arc<Authority>>)>,
    /// Whether platforms and configuration are wanted too.
    pub details: bool,
    /// How the registry of the image is spoken to; none where no policy says anything of it.
    pub registry: Option<Arc<RegistrySettings>>,
    /// On whose behalf the registry is asked.
    pub credentials: Credentials,
}

/// Where credentials come from. Names only: no secret is in here.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Credentials {
    /// Namespace of the object; empty for a cluster-scoped one, which has no credentials of its own.
    pub namespace: Arc<str>,
    /// `imagePullSecrets` of the Pod, in order, each once.
    pub pull_secrets: Vec<Arc<str>>,
    /// `serviceAccountName` of the Pod, whose `imagePullSecrets` count too; `default` when it names none.
    pub service_account: Arc<str>,
}

/// The four answers to a question about an image. None of them stands in for another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer<T> {
    /// It is so.
    Verified(T),
    /// Nobody who is asked for has signed. What was found instead, for people: `2 signatures found, by …`; empty when
    /// nothing was.
    NotSigned(String),
    /// What is there is broken or forged. Why, for people.
    Invalid(String),
    /// It could not be found out now.
    Unavailable(Unseen),
}

/// Why something could not be found out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unseen {
    /// Whose doing it may be.
    pub cause: Cause,
    /// Why, for people.
    pub why: String,
}

/// Whose doing it may be that something could not be found out. A policy may let pass what could not be looked at; whoever
/// wants an image admitted must not be able to bring that about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// A registry, or who keeps keys and our own credentials, does not answer: what `unavailable` of a policy is about.
    Outage,
    /// Looking takes more than there is: time, or places for looks. Who makes an image chooses how much there is to look
    /// at, and who makes a Pod how many images there are. Another try finds what was found out meanwhile.
    Unfinished,
    /// Nobody was let in. Who makes a Pod chooses the credentials.
    Unauthorized,
}

/// What was found out about one image. Shared by all who want it; nothing in it is a verdict of a policy.
#[derive(Debug, Clone)]
pub struct Evidence {
    /// Which image, as it was wanted.
    pub reference: ImageReference,
    /// What the reference means.
    pub digest: Resolved,
    /// An answer for each authority.
    pub signatures: Vec<(AuthorityId, Answer<Vec<Signer>>)>,
    /// An answer for each type of predicate and authority: the statements that it signed.
    pub attestations: Vec<(Arc<str>, AuthorityId, Answer<Vec<Statement>>)>,
    /// Platforms and configuration, when they were wanted. Never [`Answer::NotSigned`].
    pub details: Option<Answer<Vec<Platform>>>,
}

/// What a reference means at this moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resolved {
    /// This manifest or index. A reference with a digest means that digest.
    Known(Digest),
    /// The registry says that there is no such image. Its words.
    NotFound(String),
    /// What the registry says contradicts itself or the digest. Why.
    Invalid(String),
    /// The registry could not be asked.
    Unavailable(Unseen),
}

/// Who made a signature.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Signer {
    /// `cosign`, `bundle` or `notation`.
    pub format: &'static str,
    /// Of the certificate; none for a key.
    pub identity: Option<SignerIdentity>,
    /// SHA-256 of the public key (SubjectPublicKeyInfo) in hexadecimal; none for a certificate of Fulcio.
    pub key: Option<Arc<str>>,
    /// Seconds since 1970, as a log or a trusted clock says; none when neither was there.
    pub time: Option<i64>,
}

/// Who a certificate was for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SignerIdentity {
    /// The identity provider, or the issuer's distinguished name of a certificate of an own chain.
    pub issuer: String,
    /// Subject alternative name, or the distinguished name where there is none.
    pub subject: String,
    /// Extensions by the names of [`stockade_policy::images::authority::CLAIMS`].
    pub claims: Vec<(&'static str, String)>,
}

/// A verified in-toto statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// The statement, as JSON text that was parsed once; its subject is the image and its `predicateType` the wanted one.
    pub json: Arc<str>,
    /// Who signed it.
    pub signer: Signer,
}

/// One platform of an image, with its configuration (OCI image spec, `config.md`).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Platform {
    /// `linux`
    pub os: String,
    /// `amd64`
    pub architecture: String,
    /// `v8`; empty for none.
    pub variant: String,
    /// `config.User`; empty for root.
    pub user: String,
    /// `config.Labels`, sorted.
    pub labels: Vec<(String, String)>,
    /// `created`, RFC 3339 as it is written; empty for none.
    pub created: String,
    /// `config.Entrypoint` and `config.Cmd`.
    pub entrypoint: Vec<String>,
    /// See `entrypoint`.
    pub command: Vec<String>,
}

/// Facts of a cluster, and of images beside them.
pub struct WithImages<'f> {
    /// What exists.
    pub facts: &'f dyn ClusterFacts,
    /// What is known of images.
    pub images: &'f dyn ImageFacts,
}

impl ClusterFacts for WithImages<'_> {
    fn get<'a>(&self, kind: Kind<'_>, namespace: &str, name: &str, into: Into<'a>) -> Fact<Option<Value<'a>>> {
        self.facts.get(kind, namespace, name, into)
    }

    fn namespace_of_request<'a>(&self, name: &str, into: Into<'a>) -> Fact<Option<Value<'a>>> {
        self.facts.namespace_of_request(name, into)
    }

    fn list<'a>(&self, kind: Kind<'_>, namespace: &str, into: Into<'a>) -> Fact<&'a [Value<'a>]> {
        self.facts.list(kind, namespace, into)
    }

    fn select<'a>(
        &self,
        kind: Kind<'_>,
        namespace: &str,
        selector: &LabelSelector,
        into: Into<'a>,
    ) -> Fact<&'a [Value<'a>]> {
        self.facts.select(kind, namespace, selector, into)
    }

    fn namespaced(&self, kind: Kind<'_>) -> Option<bool> {
        self.facts.namespaced(kind)
    }

    fn images(&self) -> Option<&dyn ImageFacts> {
        Some(self.images)
    }

    fn authorizer(&self) -> Option<&dyn Authorizer> {
        self.facts.authorizer()
    }
}

// === impl Wanted ===

impl Wanted {
    /// Whether evidence for the other is evidence for this one too.
    pub fn is_covered_by(&self, other: &Self) -> bool {
        let knows = |list: &[Arc<Authority>], id| list.iter().any(|a: &Arc<Authority>| a.id == id);
        let attested = |(kind, authorities): &(Arc<str>, Vec<Arc<Authority>>)| {
            authorities.iter().all(|a| other.attestations.iter().any(|(k, list)| k == kind && knows(list, a.id)))
        };
        self.reference == other.reference
            && self.credentials == other.credentials
            && self.registry == other.registry
            && (other.details || !self.details)
            && self.authorities.iter().all(|a| knows(&other.authorities, a.id))
            && self.attestations.iter().all(attested)
    }
}

// === impl Evidence ===

impl Evidence {
    /// Whether something of it could not be found out: it may be another time.
    pub fn is_unavailable(&self) -> bool {
        matches!(self.digest, Resolved::Unavailable(_))
            || self.signatures.iter().any(|(_, answer)| answer.is_unavailable())
            || self.attestations.iter().any(|(_, _, answer)| answer.is_unavailable())
            || self.details.as_ref().is_some_and(Answer::is_unavailable)
    }

    /// The answer for an authority; none when it was not asked for.
    pub fn signed_by(&self, authority: AuthorityId) -> Option<&Answer<Vec<Signer>>> {
        self.signatures.iter().find(|(id, _)| *id == authority).map(|(_, answer)| answer)
    }

    /// The answer for a type of predicate and an authority; none when it was not asked for.
    pub fn attested_by(&self, predicate_type: &str, authority: AuthorityId) -> Option<&Answer<Vec<Statement>>> {
        let found = self.attestations.iter().find(|(t, id, _)| &**t == predicate_type && *id == authority);
        found.map(|(_, _, answer)| answer)
    }
}

// === impl Answer ===

impl<T> Answer<T> {
    /// What was verified.
    pub fn verified(&self) -> Option<&T> {
        match self {
            Self::Verified(what) => Some(what),
            _ => None,
        }
    }

    /// Whether it could not be found out.
    pub fn is_unavailable(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }

    /// `verified`, `not_signed`, `invalid`, or the name of a [`Cause`]: for metrics and reports.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Verified(_) => "verified",
            Self::NotSigned(_) => "not_signed",
            Self::Invalid(_) => "invalid",
            Self::Unavailable(unseen) => unseen.cause.name(),
        }
    }
}

// === impl Unseen ===

impl Unseen {
    /// Somebody does not answer.
    pub fn outage(why: impl std::convert::Into<String>) -> Self {
        Self { cause: Cause::Outage, why: why.into() }
    }

    /// There is not enough time, or no place.
    pub fn unfinished(why: impl std::convert::Into<String>) -> Self {
        Self { cause: Cause::Unfinished, why: why.into() }
    }

    /// Nobody is let in.
    pub fn unauthorized(why: impl std::convert::Into<String>) -> Self {
        Self { cause: Cause::Unauthorized, why: why.into() }
    }
}

impl std::fmt::Display for Unseen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.why)
    }
}

// === impl Cause ===

impl Cause {
    /// `unavailable`, `unfinished` or `unauthorized`: for metrics and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Outage => "unavailable",
            Self::Unfinished => "unfinished",
            Self::Unauthorized => "unauthorized",
        }
    }
}
