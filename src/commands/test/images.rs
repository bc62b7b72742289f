//! Images as a case says that they would be found. No registry is asked.

use std::sync::Arc;

use serde_json::json;
use stockade_engine::images::{
    Answer, Evidence, ImageFacts, Platform, Resolved, Signer, SignerIdentity, Statement, Unseen, Wanted,
};
use stockade_policy::cases::{Signed, StatedAnswer, StatedAttestation, StatedContent, StatedImage, StatedPlatform};
use stockade_policy::images::authority::TextMatch;
use stockade_policy::images::{Authority, AuthorityKind, Digest, ImageReference};
use stockade_policy::source::Reference;

/// Why something is unavailable or invalid that a case says is.
const SAID: &str = "the case says so";

/// What a case says.
pub(crate) struct Stated<'c>(pub(crate) &'c [StatedImage]);

/// What is wanted and no case says; none when nothing is.
pub(crate) fn unsaid(wanted: &[Wanted]) -> Option<String> {
    let images: Vec<_> = wanted.iter().map(|wanted| wanted.reference.as_str()).collect();
    let first = images.first()?;
    let names = wanted.iter().flat_map(|wanted| &wanted.authorities).map(|authority| &*authority.name).next();
    let names = names.unwrap_or_default();
    Some(format!(
        "the case does not say what would be found of {}; for instance\n  images: [{{image: {first:?}, signedBy: [{names}]}}]",
        images.join(", ")
    ))
}

impl ImageFacts for Stated<'_> {
    fn evidence(&self, wanted: &Wanted) -> Option<Arc<Evidence>> {
        let stated = self.0.iter().find(|stated| is_about(stated, &wanted.reference))?;
        Some(Arc::new(evidence(wanted, stated)))
    }
}

/// Whether an image is the one that something is said of: by its reference, or by what that means.
fn is_about(stated: &StatedImage, reference: &ImageReference) -> bool {
    let is_content = match &stated.content {
        StatedContent::Image { digest, .. } => reference.digest() == Some(digest.as_str()),
        StatedContent::Answer(_) => false,
    };
    stated.reference == *reference || is_content && stated.reference.name() == reference.name()
}

fn evidence(wanted: &Wanted, stated: &StatedImage) -> Evidence {
    let why = || SAID.to_owned();
    let (digest, content) = match &stated.content {
        StatedContent::Image { digest, signatures, attestations, platforms } => {
            (Resolved::Known(digest.clone()), Some((digest, signatures, attestations, platforms)))
        }
        StatedContent::Answer(StatedAnswer::NotFound) => (Resolved::NotFound(why()), None),
        StatedContent::Answer(StatedAnswer::Invalid) => (Resolved::Invalid(why()), None),
        StatedContent::Answer(StatedAnswer::Unavailable) => (Resolved::Unavailable(Unseen::outage(SAID)), None),
    };
    let mut evidence = Evidence {
        reference: wanted.reference.clone(),
        digest,
        signatures: Vec::new(),
        attestations: Vec::new(),
        details: None,
    };
    // Of an image without a digest no policy looks at anything else.
    let Some((digest, signatures, attestations, platforms)) = content else { return evidence };
    for authority in &wanted.authorities {
        let answer = answer(signatures, authority, || vec![signer(authority)]);
        evidence.signatures.push((authority.id, answer.unwrap_or_else(|| Answer::NotSigned(String::new()))));
    }
    for (kind, authorities) in &wanted.attestations {
        for authority in authorities {
            let answer = attested(attestations, kind, authority, &wanted.reference, digest);
            evidence.attestations.push((Arc::clone(kind), authority.id, answer));
        }
    }
    evidence.details = wanted.details.then(|| Answer::Verified(platforms_of(platforms)));
    evidence
}

/// The answer for an authority; none when nothing is said of it.
fn answer<T>(signed: &Signed, authority: &Authority, verified: impl FnOnce() -> T) -> Option<Answer<T>> {
    let is_in = |list: &[Reference]| list.iter().any(|name| name.name == *authority.name);
    match signed {
        Signed { verified: list, .. } if is_in(list) => Some(Answer::Verified(verified())),
        Signed { invalid: list, .. } if is_in(list) => Some(Answer::Invalid(SAID.to_owned())),
        Signed { unavailable: list, .. } if is_in(list) => Some(Answer::Unavailable(Unseen::outage(SAID))),
        _ => None,
    }
}

/// All statements of a type by an authority; what is broken or away only where there is none.
fn attested(
    attestations: &[StatedAttestation],
    kind: &Arc<str>,
    authority: &Authority,
    reference: &ImageReference,
    digest: &Digest,
) -> Answer<Vec<Statement>> {
    let (mut statements, mut other) = (Vec::new(), Answer::NotSigned(String::new()));
    for stated in attestations.iter().filter(|stated| stated.predicate_type == *kind) {
        let statement = || Statement { json: json(stated, reference, digest), signer: signer(authority) };
        match answer(&stated.signatures, authority, statement) {
            Some(Answer::Verified(statement)) => statements.push(statement),
            Some(Answer::Invalid(why)) => other = Answer::Invalid(why),
            Some(Answer::Unavailable(why)) => other = Answer::Unavailable(why),
            Some(Answer::NotSigned(_)) | None => {}
        }
    }
    if statements.is_empty() { other } else { Answer::Verified(statements) }
}

/// The in-toto statement.
fn json(stated: &StatedAttestation, reference: &ImageReference, digest: &Digest) -> Arc<str> {
    let statement = json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": reference.name(), "digest": {digest.algorithm(): digest.hex()}}],
        "predicateType": &*stated.predicate_type,
        "predicate": stated.predicate,
    });
    statement.to_string().into()
}

/// Who an authority names exactly; of an expression nobody is made up.
fn signer(authority: &Authority) -> Signer {
    let identity = match &authority.kind {
        AuthorityKind::Keyless { identities } | AuthorityKind::Certificates { identities, .. } => identities.first(),
        AuthorityKind::Key(_) | AuthorityKind::Notation { .. } => None,
    };
    let text = |text: &Option<TextMatch>| match text {
        Some(TextMatch::Exact(text)) => text.to_string(),
        Some(TextMatch::Pattern(_)) | None => String::new(),
    };
    let identity = identity.map(|identity| SignerIdentity {
        issuer: text(&identity.issuer),
        subject: text(&identity.subject),
        claims: identity.claims.iter().map(|(claim, value)| (claim.name, value.to_string())).collect(),
    });
    let format = if matches!(authority.kind, AuthorityKind::Notation { .. }) { "notation" } else { "cosign" };
    Signer { format, identity, ..Signer::default() }
}

/// One platform of which nothing is known when the case says nothing of any.
fn platforms_of(stated: &[StatedPlatform]) -> Vec<Platform> {
    let platform = |stated: &StatedPlatform| {
        let StatedPlatform { os, architecture, variant, created, user, labels, entrypoint, command } = stated.clone();
        Platform { os, architecture, variant, user, labels, created, entrypoint, command }
    };
    let nothing =
        StatedPlatform { os: "linux".to_owned(), architecture: "amd64".to_owned(), ..StatedPlatform::default() };
    let stated = if stated.is_empty() { std::slice::from_ref(&nothing) } else { stated };
    stated.iter().map(platform).collect()
}
