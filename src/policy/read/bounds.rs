//! How much an own object may hold: the bounds of its schema in the API server, for objects that come from files.
//! Those of the parts that it shares with the API server's own kinds are here; the others are where they are read.

use super::{Field, Reader};
use crate::tree::{Content, Node};

/// What is bounded.
#[derive(Clone, Copy)]
enum Bound {
    /// Elements of a list or a mapping.
    Items(usize),
    /// Characters of a string.
    Characters(usize),
}

use Bound::{Characters, Items};

/// Bounds of `spec`, of all own kinds together; `[]` is each element of a list.
const SPEC: &[(&str, Bound)] = &[
    ("title", Characters(256)),
    ("category", Characters(128)),
    ("description", Characters(8_192)),
    ("remediation", Characters(8_192)),
    ("variables", Items(256)),
    ("variables[].name", Characters(256)),
    ("validations", Items(256)),
    ("validations[].message", Characters(8_192)),
    ("attestations[].validations[].message", Characters(8_192)),
    ("mutations", Items(64)),
    ("paramKind.apiVersion", Characters(317)),
    ("paramRef.name", Characters(253)),
    ("paramRef.namespace", Characters(63)),
    ("resources[].apiGroups[]", Characters(253)),
    ("resources[].resources[]", Characters(253)),
    ("matchConstraints.resourceRules", Items(64)),
    ("matchConstraints.excludeResourceRules", Items(64)),
];

/// Bounds of a rule.
const RULE: &[(&str, Bound)] = &[
    ("apiGroups", Items(64)),
    ("apiVersions", Items(64)),
    ("operations", Items(16)),
    ("resources", Items(128)),
    ("resourceNames", Items(256)),
    ("apiGroups[]", Characters(253)),
    ("apiVersions[]", Characters(63)),
    ("resources[]", Characters(253)),
    ("resourceNames[]", Characters(253)),
];

/// Where rules are.
const RULES: [&str; 2] = ["matchConstraints.resourceRules[]", "matchConstraints.excludeResourceRules[]"];

/// Bounds of a label selector.
const SELECTOR: &[(&str, Bound)] =
    &[("matchLabels", Items(64)), ("matchExpressions", Items(64)), ("matchExpressions[].values", Items(256))];

/// Where label selectors are.
const SELECTORS: [&str; 8] = [
    "selector",
    "resources[].selector",
    "matchConstraints.namespaceSelector",
    "matchConstraints.objectSelector",
    "digest.except.namespaceSelector",
    "paramRef.selector",
    "rollout.deny.namespaceSelector",
    "rollout.warn.namespaceSelector",
];

/// Reports what of the `spec` of an own object is too much.
pub(crate) fn check(reader: &mut Reader<'_>, spec: &Field<'_>) {
    let below = |places: &[&str], table: &[(&str, Bound)]| {
        let one = |place: &&str| table.iter().map(|(path, b)| (format!("{place}.{path}"), *b)).collect::<Vec<_>>();
        places.iter().flat_map(one).collect::<Vec<_>>()
    };
    let own = SPEC.iter().map(|(path, bound)| ((*path).to_owned(), *bound));
    for (path, bound) in own.chain(below(&RULES, RULE)).chain(below(&SELECTORS, SELECTOR)) {
        each(spec.clone(), &path, &mut |field| bound.check(reader, &field));
    }
}

/// Calls for what is at a path, if it is there.
fn each<'n>(field: Field<'n>, path: &str, call: &mut dyn FnMut(Field<'n>)) {
    if path.is_empty() {
        return call(field);
    }
    let (step, rest) = path.split_once('.').unwrap_or((path, ""));
    let name = step.strip_suffix("[]").unwrap_or(step);
    let Some(node) = field.node.get(name) else { return };
    let found = Field { node, path: field.child_path(name) };
    match &node.content {
        Content::Sequence(items) if step.ends_with("[]") => {
            for (i, node) in items.iter().enumerate() {
                each(Field { node, path: format!("{}[{i}]", found.path) }, rest, call);
            }
        }
        _ if step.ends_with("[]") => {}
        _ => each(found, rest, call),
    }
}

// === impl Bound ===

impl Bound {
    fn check(self, reader: &mut Reader<'_>, field: &Field<'_>) {
        match (self, size(field.node)) {
            (Items(most), Some(items)) if items > most => {
                reader.report(field, format!("Too many: {items}: must have at most {most} items"));
            }
            (Characters(most), _) if field.node.as_str().is_some_and(|text| text.chars().count() > most) => {
                reader.report(field, format!("Too long: may not be more than {most} characters"));
            }
            _ => {}
        }
    }
}

fn size(node: &Node) -> Option<usize> {
    match &node.content {
        Content::Sequence(items) => Some(items.len()),
        Content::Mapping(entries) => Some(entries.len()),
        _ => None,
    }
}
