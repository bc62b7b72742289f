//! What an ImagePolicy and an AdmissionPolicy declare alike: who may have signed images, what may be attested of them,
//! and how registries are spoken to. An ImagePolicy demands it; the expressions of an AdmissionPolicy ask about it by name
//! ([`crate::image_library`]).
//!
//! ```yaml
//! authorities: […]                                # [`authority`]
//! attestations:
//! - name: built-by-us
//!   predicateType: slsaprovenance1                # a URI, or a short name that cosign knows
//!   authorities: [ci]                             # default: all
//!   validations: […]                              # of an ImagePolicy alone
//! registries: […]                                 # [`registry`]
//! ```

use std::sync::Arc;

use super::{Field, Members, Reader, expressions, names};
use crate::compiled::Flavour;
use crate::images::authority::Authority;
use crate::images::{MAX_ATTESTATIONS, MAX_AUTHORITIES, MAX_VALIDATIONS};
use crate::source::{AttestationSource, ImageTrust};

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

/// Reads what is declared.
pub(crate) fn read(reader: &mut Reader<'_>, spec: &mut Members<'_>, flavour: Flavour) -> ImageTrust {
    let (signers, statements) = (spec.get("authorities"), spec.get("attestations"));
    if statements.is_some() && signers.is_none() {
        reader.missing(spec.field(), "authorities", "who may have signed what is attested");
    }
    let authorities = signers.map(|f| read_authorities(reader, &f)).unwrap_or_default();
    let attestations = statements.map(|f| read_attestations(reader, &f, &authorities, flavour)).unwrap_or_default();
    let registries = spec.get("registries").map(|f| registry::read(reader, &f)).unwrap_or_default();
    ImageTrust { authorities, attestations, registries }
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
    flavour: Flavour,
) -> Vec<AttestationSource> {
    let mut list: Vec<AttestationSource> = Vec::new();
    for item in reader.bounded_list(field, MAX_ATTESTATIONS) {
        let Some(mut members) = reader.members(&item) else { continue };
        let name = read_name(reader, &mut members, |name| list.iter().any(|a| *a.name == *name));
        let predicate_type = members.require(reader, "predicateType", "").and_then(|f| read_type(reader, &f));
        let named = members.get("authorities").map(|f| read_named(reader, &f, authorities));
        let validations = if flavour == Flavour::Image { members.get("validations") } else { None };
        let validations = validations.map(|f| {
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

/// A type of predicate: a URI, or a short name.
pub(crate) fn read_type(reader: &mut Reader<'_>, field: &Field<'_>) -> Option<Arc<str>> {
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
