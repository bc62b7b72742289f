//! From evidence to a verdict on one image, and the words for it.

use std::collections::HashSet;
use std::sync::Arc;

use stockade_policy::compiled::Reason;
use stockade_policy::images::{Authority, ImageRules, Require};

use super::{Answer, Cause, Evidence, Resolved, Unseen};
use crate::decision::FindingResult;

/// Longest text that a registry or a certificate adds to a message.
const MAX_QUOTED_BYTES: usize = 512;

/// Why there is no answer for somebody who was not asked about.
const NOT_LOOKED_FOR: &str = "it was not looked for";

/// What is wrong with one image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) kind: FaultKind,
    /// `signatures`, `attestations[0]`, `digest`
    pub(crate) rule: String,
    /// Of the expression that is false; 0 where there is none.
    pub(crate) line: u32,
    /// Names the image.
    pub(crate) message: String,
}

/// In which way. Each has an answer of its own: a code, a word for reports, and a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FaultKind {
    /// Nobody who is asked for has signed.
    NotSigned,
    /// What is there is broken or forged.
    Invalid,
    /// There is no such image.
    NotFound,
    /// It could not be found out now.
    Unavailable(Cause),
    /// It is pulled by a tag.
    NoDigest,
    /// The object has more images than are judged, which is for whoever makes it to change.
    TooMany,
    /// An attestation is there and does not hold.
    DoesNotHold(Reason),
    /// An expression, or the object itself, could not be read.
    Errored,
}

// === impl FaultKind ===

impl FaultKind {
    /// HTTP code and reason of a refusal.
    pub(crate) fn status(self) -> (u16, &'static str) {
        match self {
            Self::NotSigned | Self::NotFound | Self::NoDigest | Self::Unavailable(Cause::Unauthorized) => {
                (403, "Forbidden")
            }
            Self::Invalid | Self::TooMany | Self::Errored => (422, "Invalid"),
            Self::Unavailable(Cause::Outage | Cause::Unfinished) => (503, "ServiceUnavailable"),
            Self::DoesNotHold(reason) => crate::validate::code(reason),
        }
    }

    /// Whether it is a verdict, or says that there could be none.
    pub(crate) fn result(self) -> FindingResult {
        match self {
            Self::Unavailable(_) | Self::Errored => FindingResult::Error,
            _ => FindingResult::Fail,
        }
    }

    /// For reports.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::NotSigned => "not_signed",
            Self::Invalid => "invalid",
            Self::NotFound => "not_found",
            Self::Unavailable(cause) => cause.name(),
            Self::NoDigest => "no_digest",
            Self::TooMany => "too_many",
            Self::DoesNotHold(_) => "does_not_hold",
            Self::Errored => "error",
        }
    }
}

/// What of an image is wrong before any signature is looked at.
pub(crate) fn resolution(evidence: &Evidence) -> Option<Fault> {
    let image = &evidence.reference;
    let (kind, message) = match &evidence.digest {
        Resolved::Known(_) => return None,
        Resolved::NotFound(why) => (FaultKind::NotFound, format!("image {image} does not exist: {}", quoted(why))),
        Resolved::Invalid(why) => {
            (FaultKind::Invalid, format!("image {image} is not what its registry says it is: {}", quoted(why)))
        }
        Resolved::Unavailable(Unseen { cause, why }) => {
            let cannot = match cause {
                Cause::Outage | Cause::Unfinished => "cannot be looked up now",
                Cause::Unauthorized => "cannot be looked up",
            };
            (FaultKind::Unavailable(*cause), format!("image {image} {cannot}: {}", quoted(why)))
        }
    };
    Some(Fault { kind, rule: "signatures".to_owned(), line: 0, message })
}

/// Whether those have signed who must have.
pub(crate) fn signatures(rules: &ImageRules, evidence: &Evidence) -> Option<Fault> {
    if rules.authorities.is_empty() {
        return None;
    }
    let answers = Answers::new(&rules.authorities, |a| evidence.signed_by(a.id));
    let verified = rules.authorities.len() - answers.others();
    let enough = match rules.require {
        Require::Any => verified > 0,
        Require::All => answers.others() == 0,
    };
    if enough {
        return None;
    }
    let (kind, why) = answers.worst(rules.require);
    let image = &evidence.reference;
    let message = match kind {
        FaultKind::Unavailable(_) => signatures_unavailable(evidence, &why),
        FaultKind::Invalid => format!("image {image} has an invalid signature: {why}"),
        _ => format!("image {image} is not signed by {}: {why}", answers.missing(rules.require)),
    };
    Some(Fault { kind, rule: "signatures".to_owned(), line: 0, message })
}

/// What is wrong when no authority has signed a statement of a type.
pub(crate) fn attestation(
    name: &str,
    number: usize,
    authorities: &[Arc<Authority>],
    evidence: &Evidence,
    predicate_type: &str,
) -> Fault {
    let answers = Answers::new(authorities, |a| evidence.attested_by(predicate_type, a.id));
    let (kind, why) = answers.worst(Require::Any);
    let image = &evidence.reference;
    let message = match kind {
        FaultKind::Unavailable(_) => attestation_unavailable(name, evidence, &why),
        FaultKind::Invalid => format!("attestation {name} of image {image} is invalid: {why}"),
        _ => format!("image {image} has no attestation {name} by {}: {why}", answers.missing(Require::Any)),
    };
    Fault { kind, rule: format!("attestations[{number}]"), line: 0, message }
}

/// It could not be found out who has signed.
pub(crate) fn signatures_unavailable(evidence: &Evidence, why: &str) -> String {
    format!("the signatures of image {} cannot be verified now: {why}", evidence.reference)
}

/// It could not be found out whether something is attested.
pub(crate) fn attestation_unavailable(name: &str, evidence: &Evidence, why: &str) -> String {
    format!("attestation {name} of image {} cannot be verified now: {why}", evidence.reference)
}

/// An answer in words that may be shown; what nobody asked for nobody knows.
pub(crate) fn given<T>(answer: Option<&Answer<T>>) -> Answer<&T> {
    match answer {
        Some(Answer::Verified(what)) => Answer::Verified(what),
        Some(Answer::NotSigned(found)) => Answer::NotSigned(quoted(found)),
        Some(Answer::Invalid(why)) => Answer::Invalid(quoted(why)),
        Some(Answer::Unavailable(Unseen { cause, why })) => {
            Answer::Unavailable(Unseen { cause: *cause, why: quoted(why) })
        }
        None => Answer::Unavailable(Unseen::unfinished(NOT_LOOKED_FOR)),
    }
}

/// What is no reference may be of any length.
pub(crate) fn shortened(text: &str) -> &str {
    &text[..text.floor_char_boundary(256)]
}

/// The answers for some authorities that are not [`Answer::Verified`].
struct Answers<'r> {
    not_signed: Vec<(&'r str, &'r str)>,
    invalid: Vec<(&'r str, &'r str)>,
    unavailable: Vec<(&'r str, &'r str)>,
    /// The worst of those that are unavailable.
    cause: Cause,
}

impl<'r> Answers<'r> {
    fn new<T: 'r>(authorities: &'r [Arc<Authority>], answer: impl Fn(&Authority) -> Option<&'r Answer<T>>) -> Self {
        let (not_signed, invalid, unavailable) = (Vec::new(), Vec::new(), Vec::new());
        let mut all = Self { not_signed, invalid, unavailable, cause: Cause::Outage };
        for authority in authorities {
            let name = &*authority.name;
            match answer(authority) {
                Some(Answer::Verified(_)) => {}
                Some(Answer::NotSigned(found)) => all.not_signed.push((name, found)),
                Some(Answer::Invalid(why)) => all.invalid.push((name, why)),
                Some(Answer::Unavailable(Unseen { cause, why })) => {
                    all.unavailable.push((name, why));
                    all.cause = all.cause.max(*cause);
                }
                None => {
                    all.unavailable.push((name, NOT_LOOKED_FOR));
                    all.cause = all.cause.max(Cause::Unfinished);
                }
            }
        }
        all
    }

    fn others(&self) -> usize {
        self.not_signed.len() + self.invalid.len() + self.unavailable.len()
    }

    /// What decides, and why. A forged signature is told first. Where all must have signed, one who surely has not
    /// decides; where one is enough, it might be the one who could not be asked.
    fn worst(&self, require: Require) -> (FaultKind, String) {
        let by_kind = [
            (FaultKind::Invalid, &self.invalid),
            (FaultKind::NotSigned, &self.not_signed),
            (FaultKind::Unavailable(self.cause), &self.unavailable),
        ];
        let order = if require == Require::All { [0, 1, 2] } else { [0, 2, 1] };
        let found = order.iter().map(|at| by_kind[*at]).find(|(_, list)| !list.is_empty());
        match found {
            Some((FaultKind::NotSigned, list)) => {
                (FaultKind::NotSigned, distinct(list.iter().map(|(_, found)| *found)))
            }
            Some((kind, list)) => {
                let each: Vec<_> = list.iter().map(|(name, why)| format!("{name}: {}", quoted(why))).collect();
                (kind, each.join("; "))
            }
            None => (FaultKind::NotSigned, "nobody is asked for".to_owned()),
        }
    }

    /// `release`, `any of release, ci`
    fn missing(&self, require: Require) -> String {
        let names: Vec<_> = self.not_signed.iter().map(|(name, _)| *name).collect();
        match (names.as_slice(), require) {
            ([one], _) => (*one).to_owned(),
            (_, Require::Any) => format!("any of {}", names.join(", ")),
            (_, Require::All) => names.join(" and "),
        }
    }
}

/// What was found, each once.
fn distinct<'t>(found: impl Iterator<Item = &'t str>) -> String {
    let mut seen = HashSet::new();
    let texts: Vec<_> = found.filter(|t| !t.is_empty() && seen.insert(*t)).map(quoted).collect();
    if texts.is_empty() { "no signature was found".to_owned() } else { texts.join("; ") }
}

/// Words of somebody else, on one line and not too many.
pub(crate) fn quoted(text: &str) -> String {
    let cut = &text[..text.floor_char_boundary(MAX_QUOTED_BYTES)];
    let shown: String = cut.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if cut.len() < text.len() { format!("{shown}…") } else { shown }
}
