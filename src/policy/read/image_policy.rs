//! ImagePolicy: which images may run.
//!
//! ```yaml
//! apiVersion: stockade.dev/v1alpha1
//! kind: ImagePolicy
//! metadata: {name: shop-images-are-signed}
//! spec:
//!   images: ["registry.example.com/shop/**"]      # globs over references in full form; required
//!   exclude: ["registry.example.com/shop/legacy"]
//!   require: Any                                  # Any (default) or All of the authorities
//!   authorities: […]                              # who may have signed: [`authority`]
//!   attestations:                                 # statements that must be there, signed, and hold
//!   - name: built-by-us
//!     predicateType: slsaprovenance1              # a URI, or a short name that cosign knows
//!     authorities: [ci]                           # default: all
//!     validations:                                # over predicate, statement, image, object, request, variables, …
//!     - {expression: "predicate.buildDefinition.buildType == 'https://…'", message: …}
//!   unavailable: Deny                             # Deny (default), Warn or Allow: when a registry does not answer
//!   digest: {mutate: true, required: false, except: {namespaceSelector: {…}}}   # tag → tag@sha256:…
//!   registries: […]                               # mirrors, own certificates, plain HTTP: [`registry`]
//!   matchConstraints: {…}                         # default: Pods and all that make them, CREATE and UPDATE
//!   # actions, matchConditions, variables, failurePolicy, namespaceGroups, title, category, severity, description and
//!   # remediation are those of an AdmissionPolicy
//! ```
//!
//! Globs are those of [`crate::images::ImageGlob`]. A policy without authorities needs a digest rule.

use std::sync::Arc;

use super::{Field, Members, Reader, expressions, labels, names};
use crate::images::authority::Authority;
use crate::images::{
    DigestRules, ImageGlob, ImageRules, MAX_ATTESTATIONS, MAX_AUTHORITIES, MAX_GLOBS, MAX_VALIDATIONS, Require,
    Unavailable,
};
use crate::matching::{MatchResources, RuleWithOperations};
use crate::source::{AttestationSource, ImageSource};

mod authority;
mod pem;
mod registry;

/// Longest URI of a type.
const MAX_PREDICATE_TYPE: usize = 512;

/// Types of predicates by the names that cosign gives them (`cosign attest --type`).
const PREDICATE_TYPES: [(&str, &str); 9] = [
    ("slsaprovenance", "https://slsa.dev/provenance/v0.2"),
    ("slsaprovenance02", "https://slsa.dev/provenance/v0.2"),
    ("slsaprovenance1", "https://slsa.dev/provenance/v1"),
    ("link", "https://in-toto.io/Link/v1"),
    ("spdx", "https://spdx.dev/Document"),
    ("spdxjson", "https://spdx.dev/Document"),
    ("cyclonedx", "https://cyclonedx.org/bom"),
    ("vuln", "https://cosign.sigstore.dev/attestation/vuln/v1"),
    ("openvex", "https://openvex.dev/ns"),
];

/// What an ImagePolicy is about that does not say: Pods, containers added to them, and all that make Pods.
pub(crate) fn whatever_runs_images() -> MatchResources {
    let texts = |list: &[&str]| list.iter().map(|t| (*t).to_owned()).collect::<Vec<_>>();
    let rule = |group: &str, resources: &[&str]| RuleWithOperations {
        operations: texts(&["CREATE", "UPDATE"]),
        api_groups: texts(&[group]),
        api_versions: texts(&["v1"]),
        resources: texts(resources),
        ..RuleWithOperations::default()
    };
    MatchResources {
        resource_rules: vec![
            rule("", &["pods", "pods/ephemeralcontainers", "podtemplates", "replicationcontrollers"]),
            rule("apps", &["deployments", "replicasets", "statefulsets", "daemonsets"]),
            rule("batch", &["jobs", "cronjobs"]),
        ],
        ..MatchResources::default()
    }
}

/// Reads what an ImagePolicy has beyond an AdmissionPolicy.
pub(crate) fn read(reader: &mut Reader<'_>, spec: &mut Members<'_>) -> ImageSource {
    let images = spec.require(reader, "images", "which images: globs as registry.example.com/shop/**");
    let images = images.map(|f| read_globs(reader, &f)).unwrap_or_default();
    let exclude = spec.get("exclude").map(|f| read_globs(reader, &f)).unwrap_or_default();
    let require = [("Any", Require::Any), ("All", Require::All)];
    let require = spec.get("require").and_then(|f| reader.choice(&f, &require)).unwrap_or_default();
    let authorities_field = spec.get("authorities");
    let authorities = authorities_field.as_ref().map(|f| read_authorities(reader, f)).unwrap_or_default();
    let attestations_field = spec.get("attestations");
    let attestations =
        attestations_field.as_ref().map(|f| read_attestations(reader, f, &authorities)).unwrap_or_default();
    let choices = [Unavailable::Deny, Unavailable::Warn, Unavailable::Allow].map(|u| (u.as_str(), u));
    let unavailable = spec.get("unavailable").and_then(|f| reader.choice(&f, &choices)).unwrap_or_default();
    let digest_field = spec.get("digest");
    let digest = read_digest(reader, digest_field.as_ref());
    let asks = digest_field.is_some() && (digest.mutate || digest.required);
    if authorities_field.is_none() && (!asks || attestations_field.is_some()) {
        reader.missing(spec.field(), "authorities", "who may have signed; only a policy with a digest rule needs none");
    }
    let registries = spec.get("registries").map(|f| registry::read(reader, &f)).unwrap_or_default();
    let rules = ImageRules {
        images,
        exclude,
        require,
        authorities,
        attestations: Vec::new(),
        unavailable,
        digest,
        details: false,
        registries: Vec::new(),
    };
    ImageSource { rules, attestations, registries }
}

fn read_globs(reader: &mut Reader<'_>, field: &Field<'_>) -> Vec<ImageGlob> {
    let mut globs = Vec::new();
    for item in reader.bounded_list(field, MAX_GLOBS) {
        let Some(text) = reader.string(&item) else { continue };
        match ImageGlob::parse(text) {
            Ok(glob) if globs.contains(&glob) => reader.duplicate(&item),
            Ok(glob) => globs.push(glob),
            Err(fault) => reader.invalid(&item, &fault.to_string()),
        }
    }
    globs
}

fn read_authorities(reader: &mut Reader<'_>, field: &Field<'_>) -> Vec<Arc<Authority>> {
    let mut list: Vec<Arc<Authority>> = Vec::new();
    for item in reader.bounded_list(field, MAX_AUTHORITIES) {
        let Some(found) = authority::read(reader, &item) else { continue };
        if list.iter().any(|a| a.name == found.name) {
            let name = item.node.get("name").map(|node| Field { node, path: item.child_path("name") });
            reader.duplicate(&name.unwrap_or(item));
        }
        list.push(Arc::new(found));
    }
    list
}

fn read_attestations(
    reader: &mut Reader<'_>,
    field: &Field<'_>,
    authorities: &[Arc<Authority>],
) -> Vec<AttestationSource> {
    let mut list: Vec<AttestationSource> = Vec::new();
    for item in reader.bounded_list(field, MAX_ATTESTATIONS) {
        let Some(mut members) = reader.members(&item) else { continue };
        let name = read_name(reader, &mut members, |name| list.iter().any(|a| *a.name == *name));
        let predicate_type = members.require(reader, "predicateType", "").and_then(|f| read_type(reader, &f));
        let named = members.get("authorities").map(|f| read_named(reader, &f, authorities));
        let validations = members.get("validations").map(|f| {
            reader.bounded_list(&f, MAX_VALIDATIONS);
            expressions::validations(reader, &f)
        });
        members.finish(reader);
        let (Some(name), Some(predicate_type)) = (name, predicate_type) else { continue };
        let authorities = named.unwrap_or_else(|| authorities.to_vec());
        let validations = validations.unwrap_or_default();
        list.push(AttestationSource { name, predicate_type, authorities, validations });
    }
    list
}

/// A name that is unique in its list.
fn read_name(reader: &mut Reader<'_>, members: &mut Members<'_>, known: impl Fn(&str) -> bool) -> Option<Arc<str>> {
    let field = members.require(reader, "name", "")?;
    let text = reader.string(&field)?;
    for fault in names::dns1123_label(text) {
        reader.invalid(&field, &fault);
    }
    if known(text) {
        reader.duplicate(&field);
    }
    Some(text.into())
}

fn read_type(reader: &mut Reader<'_>, field: &Field<'_>) -> Option<Arc<str>> {
    let text = reader.bounded_string(field, MAX_PREDICATE_TYPE)?;
    if let Some((_, uri)) = PREDICATE_TYPES.iter().find(|(short, _)| *short == text) {
        return Some((*uri).into());
    }
    if !text.contains(':') {
        let short: Vec<_> = PREDICATE_TYPES.iter().map(|(short, _)| *short).collect();
        reader.invalid(field, &format!("must be a URI, or one of {}", short.join(", ")));
    }
    Some(text.into())
}

fn read_named(reader: &mut Reader<'_>, field: &Field<'_>, all: &[Arc<Authority>]) -> Vec<Arc<Authority>> {
    let mut named = Vec::new();
    for item in reader.bounded_list(field, MAX_AUTHORITIES) {
        let Some(name) = reader.string(&item) else { continue };
        match all.iter().find(|a| *a.name == *name) {
            Some(authority) if named.contains(authority) => reader.duplicate(&item),
            Some(authority) => named.push(Arc::clone(authority)),
            None => reader.invalid(&item, "must be the name of one of spec.authorities"),
        }
    }
    named
}

fn read_digest(reader: &mut Reader<'_>, field: Option<&Field<'_>>) -> DigestRules {
    let default = DigestRules { mutate: true, ..DigestRules::default() };
    let Some(mut members) = field.and_then(|f| reader.members(f)) else { return default };
    let mutate = members.get("mutate").and_then(|f| reader.boolean(&f)).unwrap_or(default.mutate);
    let required = members.get("required").and_then(|f| reader.boolean(&f)).unwrap_or(default.required);
    let except = members.get("except").and_then(|f| {
        let mut except = reader.members(&f)?;
        let selector = except.require(reader, "namespaceSelector", "");
        except.finish(reader);
        selector.and_then(|f| labels::read_selector(reader, &f))
    });
    members.finish(reader);
    DigestRules { mutate, required, except }
}

#[cfg(test)]
mod tests;
