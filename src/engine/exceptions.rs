//! Which PolicyException waives a policy for a request. Asked only when something failed, or would be changed.

use std::collections::HashMap;
use std::sync::Arc;

use stockade_cel::Value;
use stockade_policy::compiled::{Exception, PolicySet, WaivedPolicy, WaivedResources};
use stockade_policy::glob;

use crate::pod_template;
use crate::request::{Operation, Request, labels};

/// Namespace whose exceptions also waive cluster-scoped objects, unless [`crate::Engine::own_namespace`] says another.
pub const OWN_NAMESPACE: &str = "stockade-system";

/// An exception that ends within this time is said to: a week is time to ask for another, or to fix what it waives.
const SOON_SECONDS: i64 = 7 * 24 * 3_600;

/// How far an exception has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Age {
    /// It ends, but not soon.
    Valid,
    /// It ends within a week.
    ExpiresSoon,
    /// It waives nothing any more.
    Expired,
}

/// How far an exception has come at a time in seconds since 1970.
pub fn age(exception: &Exception, now: i64) -> Age {
    match exception.expires - now {
        ..=0 => Age::Expired,
        left if left <= SOON_SECONDS => Age::ExpiresSoon,
        _ => Age::Valid,
    }
}

/// Exceptions of one policy by their namespace, as positions in the set and in the exception's list of policies.
pub(crate) type OfPolicy = HashMap<Arc<str>, Vec<(u32, u32)>>;

/// Exceptions by name of the policy.
pub(crate) fn by_policy(set: &PolicySet) -> HashMap<&str, OfPolicy> {
    let mut all: HashMap<&str, OfPolicy> = HashMap::new();
    for (number, exception) in set.exceptions.iter().enumerate() {
        for (entry, policy) in exception.policies.iter().enumerate() {
            let of_policy = all.entry(policy.name.as_str()).or_default();
            of_policy.entry(exception.namespace.clone()).or_default().push((number as u32, entry as u32));
        }
    }
    all
}

/// What an exception is asked to cover.
#[derive(Clone, Copy)]
pub(crate) struct About<'r, 'a> {
    pub(crate) request: &'r Request<'a>,
    /// One image of its object, as it is written; none for the whole object.
    pub(crate) image: Option<&'r str>,
}

/// Exceptions that cover something, expired ones left out, by name.
pub(crate) fn covering<'e>(
    of_policy: &'e OfPolicy,
    all: &'e [Exception],
    about: About<'_, '_>,
    own_namespace: &str,
    now: impl Fn() -> i64,
) -> impl Iterator<Item = (&'e Exception, &'e WaivedPolicy)> {
    let About { request, .. } = about;
    let namespace = if is_cluster_scoped(request) { own_namespace } else { request.namespace };
    let of_namespace = of_policy.get(namespace).map_or(&[][..], Vec::as_slice);
    let entry = |&(number, entry): &(u32, u32)| {
        let exception = all.get(number as usize)?;
        Some((exception, exception.policies.get(entry as usize)?))
    };
    of_namespace.iter().filter_map(entry).filter(move |(e, _)| now() < e.expires && covers(e, about))
}

/// Whether a rule is among those that are waived.
pub(crate) fn names(waived: &WaivedPolicy, rule: &str) -> bool {
    waived.rules.is_empty() || waived.rules.iter().any(|r| r == rule)
}

/// A Namespace is: who may write exceptions in it must not thereby change the Namespace itself.
fn is_cluster_scoped(request: &Request<'_>) -> bool {
    request.namespace.is_empty() || (request.resource.group.is_empty() && request.resource.resource == "namespaces")
}

fn covers(exception: &Exception, About { request, image }: About<'_, '_>) -> bool {
    let (resources, globs) = (&exception.resources, &exception.images);
    let images_match = || match image {
        Some(image) => globs.iter().any(|g| glob::matches(g, image)),
        None => all_images_match(globs, subject(request)),
    };
    (resources.is_empty() || resources.iter().any(|r| are_covered(r, request))) && (globs.is_empty() || images_match())
}

/// The object that is judged: on DELETE the one that goes.
fn subject<'a>(request: &Request<'a>) -> Value<'a> {
    if request.operation == Operation::Delete { request.old_object } else { request.object }
}

fn are_covered(waived: &WaivedResources, request: &Request<'_>) -> bool {
    let any = |list: &[String], wanted: &str| list.is_empty() || list.iter().any(|w| w == "*" || w == wanted);
    let group = any(&waived.api_groups, request.resource.group);
    let resource = waived.resources.is_empty() || waived.resources.iter().any(|r| names_resource(r, request));
    let selected = |selector: &stockade_policy::selector::LabelSelector| {
        // The options of a connection have no labels, and so not even the absence of one.
        request.operation != Operation::Connect && selector.matches(labels(subject(request)))
    };
    group && resource && is_named(&waived.names, request) && waived.selector.as_ref().is_none_or(selected)
}

/// `pods`, `pods/exec`, `*/scale`: as a rule of matchConstraints says it.
fn names_resource(written: &str, request: &Request<'_>) -> bool {
    let (resource, sub) = written.split_once('/').unwrap_or((written, ""));
    (resource == "*" || resource == request.resource.resource) && (sub == "*" || sub == request.sub_resource)
}

/// A name that the API server has yet to generate must match whatever it becomes.
fn is_named(globs: &[String], request: &Request<'_>) -> bool {
    if globs.is_empty() {
        return true;
    }
    let text = |key| subject(request).path(&["metadata", key]).and_then(Value::as_str).filter(|n| !n.is_empty());
    match Some(request.name).filter(|n| !n.is_empty()).or_else(|| text("name")) {
        Some(name) => globs.iter().any(|g| glob::matches(g, name)),
        None => {
            let prefix = text("generateName").unwrap_or("");
            globs.iter().any(|g| glob::matches_all_after(g, prefix))
        }
    }
}

/// An object without images is not covered.
fn all_images_match(globs: &[String], object: Value<'_>) -> bool {
    let mut images = pod_template::images(object).peekable();
    images.peek().is_some() && images.all(|image| globs.iter().any(|g| glob::matches(g, image)))
}
