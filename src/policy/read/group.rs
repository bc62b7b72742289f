//! NamespaceGroup: namespaces that policies name together, and what each of them must have.
//!
//! ```yaml
//! apiVersion: stockade.dev/v1alpha1
//! kind: NamespaceGroup
//! metadata: {name: production}
//! spec:
//!   selector: {matchLabels: {env: production}}    # a namespace is a member by its labels
//!   names: [shop, payments]                       # or by its name; at least one of the two
//!   policies: [{name: pods-need-a-network-policy}]   # must be in force with Deny in every member
//!   requireDefaultDeny: [Ingress, Egress]         # every member must have a NetworkPolicy that selects all its Pods
//! ```

use super::{Field, Members, Reader, bounds, labels, metadata, names};
use crate::compiled::{DefaultDeny, NamespaceGroup, Origin};
use crate::source::{GroupSource, Reference};

/// Most namespaces that a group names; beyond, a label is the better way.
const MAX_NAMES: usize = 1_000;
/// Most policies that a group requires.
const MAX_POLICIES: usize = 100;

/// Reads a group; `None` when it lacks what it cannot be without.
pub(crate) fn read(reader: &mut Reader<'_>, mut object: Members<'_>, origin: Origin) -> Option<GroupSource> {
    let meta = metadata::read(reader, &mut object, metadata::Scope::Cluster);
    let spec_field = object.require(reader, "spec", "");
    object.ignore(&["status"]);
    object.finish(reader);
    let mut spec = reader.members(&spec_field?)?;
    let selector_field = spec.get("selector");
    let selector = selector_field.as_ref().and_then(|f| labels::read_selector(reader, f));
    let names_field = spec.get("names");
    let names = names_field.as_ref().map(|f| read_names(reader, f)).unwrap_or_default();
    if selector_field.is_none() && names_field.is_none() {
        reader.missing(spec.field(), "selector", "one of selector or names must be specified");
    }
    let policies = spec.get("policies").map(|f| read_policies(reader, &f)).unwrap_or_default();
    let default_deny = spec.get("requireDefaultDeny").map(|f| read_directions(reader, &f)).unwrap_or_default();
    bounds::check(reader, spec.field());
    spec.finish(reader);
    let meta = meta?;
    let group = NamespaceGroup {
        name: meta.name.as_str().into(),
        origin,
        selector,
        names,
        required_policies: policies.iter().map(|p| p.name.clone()).collect(),
        default_deny,
    };
    Some(GroupSource { group, name_span: meta.name_span, file: reader.file.clone(), policies })
}

fn read_names(reader: &mut Reader<'_>, field: &Field<'_>) -> Vec<String> {
    let mut list: Vec<String> = Vec::new();
    for item in reader.bounded_list(field, MAX_NAMES) {
        let Some(name) = reader.string(&item) else { continue };
        for fault in names::dns1123_label(name) {
            reader.invalid(&item, &fault);
        }
        if list.iter().any(|n| n == name) {
            reader.duplicate(&item);
        }
        list.push(name.to_owned());
    }
    list
}

fn read_policies(reader: &mut Reader<'_>, field: &Field<'_>) -> Vec<Reference> {
    let mut list: Vec<Reference> = Vec::new();
    for item in reader.bounded_list(field, MAX_POLICIES) {
        let Some(mut members) = reader.members(&item) else { continue };
        let name = members.require(reader, "name", "");
        members.finish(reader);
        let Some((field, policy)) = name.and_then(|f| reader.reference(&f).map(|r| (f, r))) else { continue };
        if list.iter().any(|p| p.name == policy.name) {
            reader.duplicate(&field);
        }
        list.push(policy);
    }
    list
}

fn read_directions(reader: &mut Reader<'_>, field: &Field<'_>) -> DefaultDeny {
    let mut directions = DefaultDeny::default();
    for item in reader.bounded_list(field, 2) {
        let slot = match reader.choice(&item, &[("Ingress", true), ("Egress", false)]) {
            Some(true) => &mut directions.ingress,
            Some(false) => &mut directions.egress,
            None => continue,
        };
        if std::mem::replace(slot, true) {
            reader.duplicate(&item);
        }
    }
    directions
}

#[cfg(test)]
mod tests;
