//! Answers the library `images` (declared in [`stockade_policy::image_library`]) from what is known of images.

use std::sync::Arc;

use stockade_cel::functions::{Host, Scope};
use stockade_cel::opaque::Opaque;
use stockade_cel::{ErrorKind, Value};
use stockade_policy::image_library as library;
use stockade_policy::images::questions::Attested;
use stockade_policy::images::{ImageQuestions, ImageReference};

use super::asked::Asked;
use super::{Answer, Evidence, MAX_WANTED, Platform, Resolved, Statement, Unseen, value, verdict};
use crate::host::room;
use crate::pod_template::{self, ImagePlace};

/// The host of one policy's expressions. It lives in an arena, where nothing is dropped: it owns nothing.
pub(crate) struct ImageLibrary<'c> {
    pub(crate) asked: &'c Asked<'c>,
    pub(crate) questions: &'c ImageQuestions,
    /// Whose pull secrets are used.
    pub(crate) object: Value<'c>,
    /// Answers the other libraries.
    pub(crate) others: Option<&'c dyn Host>,
}

/// What is asked of one image.
struct Question<'q, 'a> {
    function: &'static str,
    image: Value<'a>,
    scope: &'q Scope<'a>,
}

type Answered<'a, T> = Result<T, ErrorKind<'a>>;

impl Host for ImageLibrary<'_> {
    fn call<'a>(&self, function: &'static str, args: &[Value<'a>], scope: &Scope<'a>) -> Answered<'a, Value<'a>> {
        match (function, args) {
            (library::OF, &[object]) => images(pod_template::places(object), scope),
            (library::ADDED, &[object, old]) => images(pod_template::added(object, old), scope),
            (library::GET, &[Value::String(reference)]) => image(reference, None, scope),
            (_, [Value::Opaque(Opaque::Host { type_name: library::IMAGE, data }), args @ ..]) => {
                self.answer(&Question { function, image: *data, scope }, args)
            }
            _ => self.others.map_or(Err(ErrorKind::NoSuchOverload), |host| host.call(function, args, scope)),
        }
    }
}

// === impl ImageLibrary ===

impl ImageLibrary<'_> {
    fn answer<'a>(&self, question: &Question<'_, 'a>, args: &[Value<'a>]) -> Answered<'a, Value<'a>> {
        let Question { function, image, scope } = *question;
        // What needs no registry.
        if let Some(known) = image.get(function).filter(|_| args.is_empty()) {
            return Ok(known);
        }
        match (function, args) {
            (library::DIGEST, []) => {
                let evidence = self.evidence(question)?;
                match &evidence.digest {
                    Resolved::Known(digest) => Ok(Value::String(scope.arena.alloc_str(digest.as_str()))),
                    _ => Err(question.unresolved(&evidence)),
                }
            }
            (library::PLATFORMS, []) => {
                let evidence = self.evidence(question)?;
                Ok(value::platforms(question.platforms(&evidence)?, room(scope)?))
            }
            (library::CONFIG_OF, []) => {
                let evidence = self.evidence(question)?;
                Ok(value::config(question.config(&evidence)?, room(scope)?))
            }
            (_, &[Value::String(name)]) if library::BY_AUTHORITY.contains(&function) => {
                let Some(authority) = self.questions.authority(name) else {
                    return Err(question.error(&format!("spec.authorities has no {name:?}")));
                };
                let evidence = self.evidence(question)?;
                question.signatures(&evidence, name, verdict::given(evidence.signed_by(authority.id)))
            }
            (_, &[Value::String(name)]) if library::BY_ATTESTATION.contains(&function) => {
                let Some(attested) = self.questions.attestation(name) else {
                    return Err(question.error(&format!("spec.attestations has no {name:?}")));
                };
                let evidence = self.evidence(question)?;
                question.statements(&evidence, attested)
            }
            _ => Err(ErrorKind::NoSuchOverload),
        }
    }

    fn evidence<'a>(&self, question: &Question<'_, 'a>) -> Answered<'a, Arc<Evidence>> {
        let reference = question.image.get(library::REFERENCE).and_then(Value::as_str).unwrap_or("");
        let reference = ImageReference::parse(reference).map_err(|e| question.error(&e.to_string()))?;
        let evidence = self.asked.evidence(self.questions, self.object, reference);
        evidence.map_err(|unknown| question.error(&unknown.to_string()))
    }
}

// === impl Question ===

impl<'a> Question<'_, 'a> {
    fn error(&self, text: &str) -> ErrorKind<'a> {
        error(text, self.scope)
    }

    /// Why nothing is known of an image.
    fn unresolved(&self, evidence: &Evidence) -> ErrorKind<'a> {
        let why = verdict::resolution(evidence).map(|fault| fault.message).unwrap_or_default();
        self.error(&why)
    }

    fn platforms<'e>(&self, evidence: &'e Evidence) -> Answered<'a, &'e [Platform]> {
        if !matches!(evidence.digest, Resolved::Known(_)) {
            return Err(self.unresolved(evidence));
        }
        match verdict::given(evidence.details.as_ref()) {
            Answer::Verified(platforms) => Ok(platforms),
            Answer::NotSigned(why) | Answer::Invalid(why) => {
                Err(self.error(&format!("the configuration of image {} is invalid: {why}", evidence.reference)))
            }
            Answer::Unavailable(why) => {
                Err(self.error(&format!("the configuration of image {} cannot be read now: {why}", evidence.reference)))
            }
        }
    }

    /// What is the same on all platforms. Which one a node takes nobody knows yet.
    fn config<'e>(&self, evidence: &'e Evidence) -> Answered<'a, &'e Platform> {
        let platforms = self.platforms(evidence)?;
        let of = |p: &'e Platform| (&p.user, &p.labels, &p.entrypoint, &p.command);
        match platforms {
            [first, others @ ..] if others.iter().all(|other| of(other) == of(first)) => Ok(first),
            _ => Err(self.error(&format!(
                "image {} has other configurations on other platforms: ask for its platforms()",
                evidence.reference
            ))),
        }
    }

    fn signatures(
        &self,
        evidence: &Evidence,
        name: &str,
        answer: Answer<&Vec<super::Signer>>,
    ) -> Answered<'a, Value<'a>> {
        if self.function == library::SIGNATURE_STATUS {
            return Ok(Value::String(answer.name()));
        }
        let signers = match answer {
            Answer::Verified(signers) => signers.as_slice(),
            Answer::NotSigned(_) | Answer::Invalid(_) => &[],
            Answer::Unavailable(why) => {
                return Err(self.error(&verdict::signatures_unavailable(evidence, &format!("{name}: {why}"))));
            }
        };
        if self.function == library::SIGNED_BY {
            return Ok(Value::Bool(!signers.is_empty()));
        }
        let into = room(self.scope)?;
        Ok(self.list(signers.iter().map(|signer| value::signer(signer, into))))
    }

    fn statements(&self, evidence: &Evidence, attested: &Attested) -> Answered<'a, Value<'a>> {
        let answer = statements(evidence, attested);
        if self.function == library::ATTESTATION_STATUS {
            return Ok(Value::String(answer.name()));
        }
        let statements = match answer {
            Answer::Verified(statements) => statements,
            Answer::NotSigned(_) | Answer::Invalid(_) => Vec::new(),
            Answer::Unavailable(unseen) => {
                return Err(self.error(&verdict::attestation_unavailable(&attested.name, evidence, &unseen.why)));
            }
        };
        let mut values = bumpalo::collections::Vec::with_capacity_in(statements.len(), self.scope.arena);
        for statement in statements {
            let value = value::attestation(statement, room(self.scope)?);
            values.push(value.map_err(|e| {
                let (name, image) = (&attested.name, &evidence.reference);
                self.error(&format!("attestation {name} of image {image}: the statement cannot be read: {e}"))
            })?);
        }
        Ok(Value::List(values.into_bump_slice()))
    }

    fn list(&self, values: impl Iterator<Item = Value<'a>>) -> Value<'a> {
        let values = bumpalo::collections::Vec::from_iter_in(values, self.scope.arena);
        Value::List(values.into_bump_slice())
    }
}

/// The images in some places of an object.
fn images<'a>(places: impl Iterator<Item = ImagePlace<'a>>, scope: &Scope<'a>) -> Answered<'a, Value<'a>> {
    let mut images = bumpalo::collections::Vec::new_in(scope.arena);
    for place in places.filter(|place| !place.image.is_empty()) {
        if images.len() == MAX_WANTED {
            return Err(error(&format!("there are more than {MAX_WANTED} images"), scope));
        }
        images.push(image(place.image, Some(&place), scope)?);
    }
    Ok(Value::List(images.into_bump_slice()))
}

fn image<'a>(written: &str, place: Option<&ImagePlace<'a>>, scope: &Scope<'a>) -> Answered<'a, Value<'a>> {
    let Ok(reference) = ImageReference::parse(written) else {
        return Err(error(&format!("{:?} is no image reference", verdict::shortened(written)), scope));
    };
    let data = value::handle(&reference, place, room(scope)?);
    Ok(Value::Opaque(scope.arena.alloc(Opaque::Host { type_name: library::IMAGE, data })))
}

/// All that was attested. As long as one of those who may attest it cannot be asked, there may be more.
fn statements<'e>(evidence: &'e Evidence, attested: &Attested) -> Answer<Vec<&'e Statement>> {
    let (mut statements, mut invalid, mut other) = (Vec::new(), None, String::new());
    let mut unseen: Option<Unseen> = None;
    for authority in &attested.authorities {
        match verdict::given(evidence.attested_by(&attested.predicate_type, authority.id)) {
            Answer::Verified(all) => statements.extend(all),
            Answer::NotSigned(found) => other = found,
            Answer::Invalid(why) => invalid = Some(why),
            Answer::Unavailable(Unseen { cause, why }) if unseen.as_ref().is_none_or(|u| u.cause < cause) => {
                unseen = Some(Unseen { cause, why: format!("{}: {why}", authority.name) });
            }
            Answer::Unavailable(_) => {}
        }
    }
    if let Some(unseen) = unseen {
        return Answer::Unavailable(unseen);
    }
    match invalid {
        _ if !statements.is_empty() => Answer::Verified(statements),
        Some(why) => Answer::Invalid(why),
        None => Answer::NotSigned(other),
    }
}

fn error<'a>(text: &str, scope: &Scope<'a>) -> ErrorKind<'a> {
    ErrorKind::Function(scope.arena.alloc_str(text))
}
