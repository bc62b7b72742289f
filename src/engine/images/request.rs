//! Which images a request brings in, and what must be known of them.

use std::collections::HashSet;
use std::sync::Arc;

use stockade_cel::Value;
use stockade_policy::compiled::{Policy, PolicySet};
use stockade_policy::images::questions::Attested;
use stockade_policy::images::{ImageQuestions, ImageReference, ImageRules, RegistrySettings};

use super::{Credentials, Wanted};
use crate::pod_template::{self, ImagePlace};
use crate::request::{Operation, Request};

/// Most Secrets of one Pod whose credentials are tried; each is one more attempt at the registry.
const MAX_PULL_SECRETS: usize = 16;
/// Longest name of an object.
const MAX_NAME_BYTES: usize = 253;

/// Places of images that are new in a request. On UPDATE those stay out that the old object has in the same place: a
/// registry that is away must not keep anybody from scaling down, or a finaliser from being removed. What such an object
/// makes is judged when it is created.
pub(crate) fn places<'a>(
    request: &Request<'_>,
    object: Value<'a>,
    old_object: Value<'a>,
) -> impl Iterator<Item = ImagePlace<'a>> {
    let old_object = if request.operation == Operation::Update { old_object } else { Value::Null };
    let judged = matches!(request.operation, Operation::Create | Operation::Update);
    pod_template::added(object, old_object).filter(move |place| judged && !place.image.is_empty())
}

/// What must be known of an image for a policy to judge it.
pub(crate) fn wanted(
    reference: &ImageReference,
    rules: &ImageRules,
    set: &PolicySet,
    credentials: &Credentials,
) -> Wanted {
    Wanted {
        reference: reference.clone(),
        authorities: rules.authorities.clone(),
        attestations: rules
            .attestations
            .iter()
            .map(|a| (Arc::clone(&a.predicate_type), a.authorities.clone()))
            .collect(),
        details: rules.details,
        registry: registry(reference, rules.registry(reference), set),
        credentials: credentials.clone(),
    }
}

/// What must be known of an image that an expression asks about: all that any expression of its policy asks.
pub(crate) fn wanted_by_expressions(
    reference: &ImageReference,
    questions: &ImageQuestions,
    set: &PolicySet,
    credentials: Credentials,
) -> Wanted {
    let attested = |a: &Attested| (Arc::clone(&a.predicate_type), a.authorities.clone());
    Wanted {
        reference: reference.clone(),
        authorities: questions.authorities.clone(),
        attestations: questions.attestations.iter().map(attested).collect(),
        details: questions.details,
        registry: registry(reference, questions.registry(reference), set),
        credentials,
    }
}

/// What the policy itself, or any of the set, says of a registry: those that say something say the same.
fn registry(
    reference: &ImageReference,
    own: Option<&Arc<RegistrySettings>>,
    set: &PolicySet,
) -> Option<Arc<RegistrySettings>> {
    let said = |p: &'_ Arc<Policy>| p.registry(reference).cloned();
    own.cloned().or_else(|| set.policies.iter().find_map(said))
}

/// Whether an object can have this name (a DNS subdomain, RFC 1123). What has another is not there, and must not become
/// part of a URL.
fn is_name(name: &&str) -> bool {
    let is_in_name = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'.');
    let starts = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    name.len() <= MAX_NAME_BYTES && name.starts_with(starts) && name.ends_with(starts) && name.bytes().all(is_in_name)
}

/// On whose behalf registries are asked: the Pod's, or that of the Pods which an object makes.
pub(crate) fn credentials(namespace: &str, object: Value<'_>) -> Credentials {
    let spec = pod_template::of(object).get("spec").unwrap_or(Value::Null);
    let mut seen = HashSet::new();
    let secrets = spec.get("imagePullSecrets").and_then(Value::as_list).unwrap_or(&[]).iter();
    let names = secrets.filter_map(|s| s.get("name").and_then(Value::as_str)).filter(is_name);
    let pull_secrets = names.filter(|n| seen.insert(*n)).take(MAX_PULL_SECRETS).map(Arc::from).collect();
    let account = spec.get("serviceAccountName").and_then(Value::as_str).filter(is_name).unwrap_or("default");
    Credentials { namespace: namespace.into(), pull_secrets, service_account: account.into() }
}
