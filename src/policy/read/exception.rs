//! PolicyException: what is waived, for which objects, why, and until when.
//!
//! ```yaml
//! apiVersion: stockade.dev/v1alpha1
//! kind: PolicyException
//! metadata: {name: node-agent, namespace: monitoring}   # waives objects of this namespace only
//! spec:
//!   policies:
//!   - name: pods-need-a-network-policy            # all of its rules
//!   - name: pod-security
//!     rules: ["validations[0]"]                   # only these; also mutations[0], auditAnnotations[0], and of an
//!                                                 # ImagePolicy signatures, digest and attestations[0]
//!   resources:                                    # at least one of resources and images
//!   - apiGroups: [""]                             # what is left out means any
//!     resources: [pods]                           # as in a rule of matchConstraints: pods, pods/exec, */scale
//!     names: [agent-*]
//!     selector: {matchLabels: {app: agent}}
//!   images: ["registry.example.com/agents/**"]    # all images of the object must match one
//!   reason: reads the node's metrics              # required
//!   owner: team-observability                     # required
//!   ticket: OPS-1234
//!   expires: "2027-01-31T00:00:00Z"               # required, RFC 3339; from then on it waives nothing
//! ```
//!
//! Globs are those of [`crate::glob`]. In Stockade's own namespace an exception also waives cluster-scoped objects,
//! Namespaces among them.

use jiff::Timestamp;

use super::{Field, Members, Reader, bounds, labels, metadata};
use crate::compiled::{Exception, Origin, WaivedPolicy, WaivedResources};
use crate::glob::MAX_PATTERN_BYTES;
use crate::source::{ExceptionSource, Reference, WaivedReference};

/// Most policies that one exception names.
const MAX_POLICIES: usize = 64;
/// Most rules of one policy that it names.
const MAX_RULES: usize = 64;
/// Most entries of `resources`, and most words in each of their lists.
const MAX_RESOURCES: usize = 64;
/// Most globs of images.
const MAX_IMAGES: usize = 64;
/// Longest text for people.
const MAX_TEXT_BYTES: usize = 1_024;
/// What may be waived of a policy, by its number.
const RULE_LISTS: [&str; 4] = ["validations", "mutations", "auditAnnotations", "attestations"];
/// What may be waived of an ImagePolicy, by its name.
pub(crate) const IMAGE_RULES: [&str; 2] = ["signatures", "digest"];

/// Reads an exception; `None` when it lacks what it cannot be without.
pub(crate) fn read(reader: &mut Reader<'_>, mut object: Members<'_>, origin: Origin) -> Option<ExceptionSource> {
    let meta = metadata::read(reader, &mut object, metadata::Scope::Namespaced);
    let spec_field = object.require(reader, "spec", "");
    object.ignore(&["status"]);
    object.finish(reader);
    let mut spec = reader.members(&spec_field?)?;
    let policies = spec.require(reader, "policies", "").map(|f| read_policies(reader, &f)).unwrap_or_default();
    let (resources_field, images_field) = (spec.get("resources"), spec.get("images"));
    if resources_field.is_none() && images_field.is_none() {
        reader.missing(spec.field(), "resources", "one of resources or images must be specified");
    }
    let resources = resources_field.map(|f| read_resources(reader, &f)).unwrap_or_default();
    let images = images_field.map(|f| read_globs(reader, &f, MAX_IMAGES)).unwrap_or_default();
    let mut text = |name, detail| {
        let field = spec.require(reader, name, detail)?;
        reader.bounded_string(&field, MAX_TEXT_BYTES).map(str::to_owned)
    };
    let reason = text("reason", "why it is waived");
    let owner = text("owner", "who answers for it");
    let ticket = spec.get("ticket").and_then(|f| reader.bounded_string(&f, MAX_TEXT_BYTES).map(str::to_owned));
    let expires_field = spec.require(reader, "expires", "an exception is for a time");
    let expires = expires_field.as_ref().and_then(|f| read_time(reader, f));
    bounds::check(reader, spec.field());
    spec.finish(reader);
    let meta = meta?;
    let exception = Exception {
        namespace: meta.namespace?.as_str().into(),
        name: meta.name.as_str().into(),
        origin,
        policies: policies.iter().map(WaivedReference::waived).collect(),
        resources,
        images,
        reason: reason?,
        ticket,
        owner: owner?,
        expires: expires?,
    };
    let expires_span = expires_field?.node.span;
    let (file, created) = (reader.file.clone(), meta.created);
    Some(ExceptionSource { exception, name_span: meta.name_span, file, policies, expires_span, created })
}

fn read_policies(reader: &mut Reader<'_>, field: &Field<'_>) -> Vec<WaivedReference> {
    let mut list: Vec<WaivedReference> = Vec::new();
    for item in reader.bounded_list(field, MAX_POLICIES) {
        let Some(mut members) = reader.members(&item) else { continue };
        let name = members.require(reader, "name", "");
        let rules = members.get("rules").map(|f| read_rules(reader, &f)).unwrap_or_default();
        members.finish(reader);
        let Some((field, policy)) = name.and_then(|f| reader.reference(&f).map(|r| (f, r))) else { continue };
        if list.iter().any(|p| p.policy.name == policy.name) {
            reader.duplicate(&field);
        }
        list.push(WaivedReference { policy, rules });
    }
    list
}

fn read_rules(reader: &mut Reader<'_>, field: &Field<'_>) -> Vec<Reference> {
    let mut rules: Vec<Reference> = Vec::new();
    for item in reader.bounded_list(field, MAX_RULES) {
        let Some(rule) = reader.string(&item) else { continue };
        if rule_position(rule).is_none() && !IMAGE_RULES.contains(&rule) {
            reader.invalid(
                &item,
                "must be validations[N], mutations[N], auditAnnotations[N] or attestations[N], N from 0, signatures or \
                 digest",
            );
        } else if rules.iter().any(|r| r.name == rule) {
            reader.duplicate(&item);
        }
        rules.push(item.reference(rule));
    }
    rules
}

/// `("validations", 0)` of `validations[0]`.
pub(crate) fn rule_position(rule: &str) -> Option<(&str, usize)> {
    let (list, number) = rule.strip_suffix(']')?.split_once('[')?;
    // Written in one way only: it is compared with the rule of a finding.
    let plain = number == "0" || number.starts_with(|c: char| ('1'..='9').contains(&c));
    let number = number.parse().ok().filter(|_| plain)?;
    RULE_LISTS.contains(&list).then_some((list, number))
}

fn read_resources(reader: &mut Reader<'_>, field: &Field<'_>) -> Vec<WaivedResources> {
    let mut list = Vec::new();
    for item in reader.bounded_list(field, MAX_RESOURCES) {
        let Some(mut members) = reader.members(&item) else { continue };
        let mut words = |name: &'static str, reader: &mut Reader<'_>| {
            let field = members.get(name)?;
            let items = reader.bounded_list(&field, MAX_RESOURCES);
            Some(items.iter().filter_map(|i| reader.string(i).map(str::to_owned)).collect::<Vec<_>>())
        };
        let api_groups = words("apiGroups", reader).unwrap_or_default();
        let resources = words("resources", reader).unwrap_or_default();
        let names = members.get("names").map(|f| read_globs(reader, &f, MAX_RESOURCES)).unwrap_or_default();
        let selector = members.get("selector").and_then(|f| labels::read_selector(reader, &f));
        members.finish(reader);
        list.push(WaivedResources { api_groups, resources, names, selector });
    }
    list
}

fn read_globs(reader: &mut Reader<'_>, field: &Field<'_>, most: usize) -> Vec<String> {
    let items = reader.bounded_list(field, most);
    items.iter().filter_map(|i| reader.bounded_string(i, MAX_PATTERN_BYTES).map(str::to_owned)).collect()
}

/// A time of RFC 3339, in seconds since 1970.
pub(crate) fn read_time(reader: &mut Reader<'_>, field: &Field<'_>) -> Option<i64> {
    let text = reader.string(field)?;
    // The parser also takes a space for the T, and a time zone's name behind.
    let strict = text.len() >= 20 && text.as_bytes()[10].eq_ignore_ascii_case(&b'T') && !text.contains('[');
    let time = text.parse::<Timestamp>().ok().filter(|_| strict);
    if time.is_none() {
        reader.invalid(field, "must be a time of RFC 3339 (e.g. '2027-01-31T12:00:00Z')");
    }
    time.map(Timestamp::as_second)
}

// === impl WaivedReference ===

impl WaivedReference {
    fn waived(&self) -> WaivedPolicy {
        let rules = self.rules.iter().map(|r| r.name.clone()).collect();
        WaivedPolicy { name: self.policy.name.clone(), rules }
    }
}

#[cfg(test)]
mod tests;
