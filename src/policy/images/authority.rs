//! Who may have signed.

use std::fmt;
use std::sync::Arc;

use regex::Regex;

/// Most identities of one authority.
pub const MAX_IDENTITIES: usize = 64;
/// Longest text that an identity is compared with: URIs of workflows have some hundred.
pub const MAX_IDENTITY_BYTES: usize = 2 << 10;
/// Largest expression of an identity once it is compiled, in bytes.
const MAX_PATTERN_BYTES: usize = 1 << 20;
/// Longest trusted root, in bytes of JSON. The public one has some thirty thousand.
pub const MAX_TRUSTED_ROOT_BYTES: usize = 512 << 10;

/// One who may sign. Everything in it decides; [`AuthorityId`] is made of all of it.
#[derive(Debug, Clone)]
pub struct Authority {
    /// Unique in its policy; for messages.
    pub name: Arc<str>,
    /// Names all that decides.
    pub id: AuthorityId,
    /// What a signature is checked against.
    pub kind: AuthorityKind,
    /// Whether the signature must be in a transparency log. A key's and a certificate's need not be unless it is
    /// written, as a keyless one must: only the log says that it was made while its certificate was valid.
    pub transparency_log: Need,
    /// Whether a trusted clock must have signed the time.
    pub timestamp: Need,
    /// Which logs, certificate authorities and clocks are trusted.
    pub trusted_root: TrustedRoot,
}

/// Names an authority by all that decides what it has signed: SHA-256. Two with one id give one verdict on one digest,
/// as long as the Secret or ConfigMap that they name holds the same: who reads those adds what they hold.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AuthorityId(pub [u8; 32]);

/// Ways to sign.
#[derive(Debug, Clone)]
pub enum AuthorityKind {
    /// By a key pair (cosign).
    Key(KeyAuthority),
    /// By a certificate of some minutes for an identity (Fulcio).
    Keyless {
        /// One of them must be the certificate's; at least one.
        identities: Vec<Identity>,
    },
    /// By a certificate of an own chain (cosign, bundles).
    Certificates {
        /// Certificates in PEM that the chain ends in.
        roots: Arc<str>,
        /// Certificates in PEM between; empty for none.
        intermediates: Arc<str>,
        /// One of them must be the certificate's; empty means any that the chain holds for.
        identities: Vec<Identity>,
    },
    /// By a certificate of a trust store (Notary Project).
    Notation {
        /// Certificates in PEM: the trust store.
        trust_store: Arc<str>,
        /// One of them must be the signing certificate's; at least one.
        trusted_identities: Vec<TrustedIdentity>,
    },
}

/// A key pair.
#[derive(Debug, Clone)]
pub struct KeyAuthority {
    /// Where the public key is.
    pub source: KeySource,
    /// What was signed: the hash of the payload.
    pub hash: HashAlgorithm,
}

/// Where a public key is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum KeySource {
    /// One public key in PEM (SubjectPublicKeyInfo).
    Inline(Arc<str>),
    /// A member of a Secret in Stockade's own namespace, in the same form.
    Secret(MemberRef),
}

/// A member of a Secret or ConfigMap in Stockade's own namespace.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MemberRef {
    /// `metadata.name`
    pub name: Arc<str>,
    /// Key in `data`.
    pub key: Arc<str>,
}

/// Hash of a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum HashAlgorithm {
    /// What cosign takes.
    #[default]
    Sha256,
    /// For P-384.
    Sha384,
    /// For P-521.
    Sha512,
}

/// Whether something must be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Need {
    /// Without it a signature counts for nothing.
    Required,
    /// It is left alone; whoever wrote a signature could leave it out. A keyless signature always needs one of the two,
    /// which vouches for its time.
    NotRequired,
}

/// Trusted logs, certificate authorities and clocks (Sigstore `TrustedRoot` JSON).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum TrustedRoot {
    /// That of the public instance, as compiled in.
    PublicGood,
    /// JSON.
    Inline(Arc<str>),
    /// A member of a ConfigMap in Stockade's own namespace.
    ConfigMap(MemberRef),
}

/// Who a certificate is for; all that is given must hold.
#[derive(Debug, Clone)]
pub struct Identity {
    /// Of the identity provider; none for a certificate of an own chain.
    pub issuer: Option<TextMatch>,
    /// Subject alternative name.
    pub subject: Option<TextMatch>,
    /// Further extensions of the certificate, by the names in [`CLAIMS`].
    pub claims: Vec<(&'static Claim, Box<str>)>,
}

/// One text, or those that an expression matches as a whole.
#[derive(Debug, Clone)]
pub enum TextMatch {
    /// Exactly this.
    Exact(Box<str>),
    /// Anchored at both ends, whatever was written.
    Pattern(Regex),
}

/// An extension that Fulcio puts into a certificate.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Claim {
    /// As policies write it.
    pub name: &'static str,
    /// Last arc of its object identifier, after 1.3.6.1.4.1.57264.1; the value is a DER UTF8String.
    pub arc: u64,
}

/// Extensions that an identity may name (sigstore/fulcio `docs/oid-info.md`).
pub const CLAIMS: [Claim; 14] = [
    Claim { name: "buildSignerURI", arc: 9 },
    Claim { name: "buildSignerDigest", arc: 10 },
    Claim { name: "runnerEnvironment", arc: 11 },
    Claim { name: "sourceRepositoryURI", arc: 12 },
    Claim { name: "sourceRepositoryDigest", arc: 13 },
    Claim { name: "sourceRepositoryRef", arc: 14 },
    Claim { name: "sourceRepositoryIdentifier", arc: 15 },
    Claim { name: "sourceRepositoryOwnerURI", arc: 16 },
    Claim { name: "sourceRepositoryOwnerIdentifier", arc: 17 },
    Claim { name: "buildConfigURI", arc: 18 },
    Claim { name: "buildConfigDigest", arc: 19 },
    Claim { name: "buildTrigger", arc: 20 },
    Claim { name: "runInvocationURI", arc: 21 },
    Claim { name: "sourceRepositoryVisibilityAtSigning", arc: 22 },
];

/// A signer that a notation trust policy names.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum TrustedIdentity {
    /// `*`: whoever the trust store vouches for.
    Any,
    /// `x509.subject: C=…, ST=…, O=…`: attributes that the subject of the signing certificate must have, each once,
    /// in no order; at least C, ST and O (Notary Project `trust-store-trust-policy.md`).
    Subject(Vec<(Box<str>, Box<str>)>),
}

// === impl Authority ===

impl Authority {
    /// An authority; its id is that of everything else in it.
    pub fn new(
        name: Arc<str>,
        kind: AuthorityKind,
        transparency_log: Need,
        timestamp: Need,
        trusted_root: TrustedRoot,
    ) -> Self {
        let id = AuthorityId::of(&kind, transparency_log, timestamp, &trusted_root);
        Self { name, id, kind, transparency_log, timestamp, trusted_root }
    }
}

/// The id stands for all that decides.
impl PartialEq for Authority {
    fn eq(&self, other: &Self) -> bool {
        (self.id, &self.name) == (other.id, &other.name)
    }
}

// === impl AuthorityId ===

impl AuthorityId {
    /// The name of the authority is left out: two policies may call one key otherwise.
    fn of(kind: &AuthorityKind, log: Need, timestamp: Need, root: &TrustedRoot) -> Self {
        // Debug texts of derived types name each field and quote each string, so that no two values share one.
        let text = format!("{kind:?}\n{log:?}\n{timestamp:?}\n{root:?}");
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
        let mut id = [0; 32];
        id.iter_mut().zip(digest.as_ref()).for_each(|(to, from)| *to = *from);
        Self(id)
    }
}

impl fmt::Debug for AuthorityId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().take(4).try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

// === impl TextMatch ===

impl TextMatch {
    /// An expression in RE2 syntax that must match a text as a whole.
    ///
    /// # Errors
    /// It is no expression, or too large once it is compiled.
    pub fn pattern(expression: &str) -> Result<Self, regex::Error> {
        // Compiled alone first: what closes the group too early must be no expression.
        Regex::new(expression)?;
        let whole =
            regex::RegexBuilder::new(&format!(r"\A(?:{expression})\z")).size_limit(MAX_PATTERN_BYTES).build()?;
        Ok(Self::Pattern(whole))
    }

    /// Whether a text is meant. One beyond [`MAX_IDENTITY_BYTES`] is not.
    pub fn matches(&self, text: &str) -> bool {
        match self {
            _ if text.len() > MAX_IDENTITY_BYTES => false,
            Self::Exact(wanted) => **wanted == *text,
            Self::Pattern(pattern) => pattern.is_match(text),
        }
    }
}

// === impl Claim ===

impl Claim {
    /// The claim of this name.
    pub fn by_name(name: &str) -> Option<&'static Self> {
        CLAIMS.iter().find(|c| c.name == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(pem: &str, hash: HashAlgorithm, log: Need) -> Authority {
        let kind = AuthorityKind::Key(KeyAuthority { source: KeySource::Inline(pem.into()), hash });
        Authority::new("a".into(), kind, log, Need::NotRequired, TrustedRoot::PublicGood)
    }

    #[test]
    fn all_that_decides_and_nothing_else_is_in_the_id() {
        let one = key("k", HashAlgorithm::Sha256, Need::NotRequired);
        let renamed = Authority { name: "b".into(), ..key("k", HashAlgorithm::Sha256, Need::NotRequired) };
        assert_eq!(one.id, renamed.id);
        let others = [
            key("l", HashAlgorithm::Sha256, Need::NotRequired),
            key("k", HashAlgorithm::Sha512, Need::NotRequired),
            key("k", HashAlgorithm::Sha256, Need::Required),
        ];
        assert!(others.iter().all(|other| other.id != one.id));
    }

    #[test]
    fn an_expression_matches_as_a_whole_however_it_is_written() {
        let pattern = TextMatch::pattern("https://github.com/shop/.*|mallory").unwrap();
        let table = [
            ("https://github.com/shop/web", true),
            ("mallory", true),
            ("x-mallory", false),
            ("https://evil.example/?https://github.com/shop/web", false),
            ("https://github.com/shop/web\nmallory", false),
        ];
        assert_eq!(table.map(|(text, _)| (text, pattern.matches(text))), table);
        assert!(TextMatch::pattern("a)|(b").is_err());
        assert!(TextMatch::pattern("(?x)a # all the rest").is_err());
        assert!(!TextMatch::Exact("a".into()).matches("ab"));
    }
}
