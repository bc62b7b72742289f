//! `matchConstraints` and `matchResources`.

use super::{Field, Reader, labels, names};
use crate::matching::{MatchPolicy, MatchResources, RuleWithOperations, Scope};

const OPERATIONS: [&str; 5] = ["*", "CONNECT", "CREATE", "DELETE", "UPDATE"];
/// Nothing can be mutated on DELETE.
const MUTATING_OPERATIONS: [&str; 4] = ["*", "CONNECT", "CREATE", "UPDATE"];

/// Whether requests of a kind may be named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operations {
    /// All.
    Any,
    /// Not DELETE.
    Mutating,
}

/// Reads match resources; `rules_required` for a policy's own constraints.
pub(crate) fn read(
    reader: &mut Reader<'_>,
    field: &Field<'_>,
    operations: Operations,
    rules_required: bool,
) -> Option<MatchResources> {
    let mut members = reader.members(field)?;
    let mut result = MatchResources::default();
    if let Some(f) = members.get("matchPolicy")
        && let Some(policy) =
            reader.choice(&f, &[("Exact", MatchPolicy::Exact), ("Equivalent", MatchPolicy::Equivalent)])
    {
        result.match_policy = policy;
    }
    if let Some(selector) = members.get("namespaceSelector").and_then(|f| labels::read_selector(reader, &f)) {
        result.namespace_selector = selector;
    }
    if let Some(selector) = members.get("objectSelector").and_then(|f| labels::read_selector(reader, &f)) {
        result.object_selector = selector;
    }
    let rules = members.get("resourceRules");
    for rule in reader.optional_list(rules.as_ref()) {
        result.resource_rules.extend(read_rule(reader, &rule, operations));
    }
    if rules_required
        && rules.is_none_or(|f| matches!(&f.node.content, crate::tree::Content::Sequence(l) if l.is_empty()))
    {
        reader.missing(field, "resourceRules", "");
    }
    for rule in reader.optional_list(members.get("excludeResourceRules").as_ref()) {
        result.exclude_resource_rules.extend(read_rule(reader, &rule, Operations::Any));
    }
    members.finish(reader);
    Some(result)
}

fn read_rule(reader: &mut Reader<'_>, field: &Field<'_>, allowed: Operations) -> Option<RuleWithOperations> {
    let mut members = reader.members(field)?;
    let mut rule = RuleWithOperations::default();
    for (item, name) in reader.optional_strings(members.get("resourceNames").as_ref()) {
        for fault in names::path_segment(name) {
            reader.invalid(&item, &fault);
        }
        if rule.resource_names.iter().any(|n| n == name) {
            reader.duplicate(&item);
        }
        rule.resource_names.push(name.to_owned());
    }
    if let Some(f) = members.require(reader, "operations", "") {
        rule.operations = words(reader, &f, "operations");
        let supported: &[&'static str] =
            if allowed == Operations::Mutating { &MUTATING_OPERATIONS } else { &OPERATIONS };
        for (item, operation) in reader.strings(&f) {
            if !supported.contains(&operation) {
                reader.unsupported(&item, supported);
            }
        }
    }
    if let Some(f) = members.require(reader, "apiGroups", "") {
        rule.api_groups = words(reader, &f, "API groups");
    }
    if let Some(f) = members.require(reader, "apiVersions", "") {
        rule.api_versions = words(reader, &f, "API versions");
        for (item, version) in reader.strings(&f) {
            if version.is_empty() {
                reader.empty(&item, "");
            }
        }
    }
    if let Some(f) = members.require(reader, "resources", "") {
        rule.resources = read_resources(reader, &f);
    }
    if let Some(f) = members.get("scope")
        && let Some(scope) =
            reader.choice(&f, &[("*", Scope::All), ("Cluster", Scope::Cluster), ("Namespaced", Scope::Namespaced)])
    {
        rule.scope = scope;
    }
    members.finish(reader);
    Some(rule)
}

/// A list of words that is not empty, in which `*` stands alone.
fn words(reader: &mut Reader<'_>, field: &Field<'_>, what: &str) -> Vec<String> {
    let before = reader.diagnostics.len();
    let list: Vec<String> = reader.strings(field).into_iter().map(|(_, s)| s.to_owned()).collect();
    if list.is_empty() && reader.diagnostics.len() == before {
        reader.empty(field, "");
    }
    if list.len() > 1 && list.iter().any(|w| w == "*") {
        reader.invalid(field, &format!("if '*' is present, must not specify other {what}"));
    }
    list
}

fn read_resources(reader: &mut Reader<'_>, field: &Field<'_>) -> Vec<String> {
    let before = reader.diagnostics.len();
    let items = reader.strings(field);
    if items.is_empty() && reader.diagnostics.len() == before {
        reader.empty(field, "");
    }
    let (mut whole, mut everywhere): (Vec<&str>, Vec<&str>) = (Vec::new(), Vec::new());
    let (mut single, mut double, mut plain) = (false, false, false);
    for (item, text) in &items {
        if text.is_empty() {
            reader.empty(item, "");
            continue;
        }
        double |= *text == "*/*";
        single |= *text == "*";
        let Some((resource, sub)) = text.split_once('/') else {
            // As the API server does: only the last name without subresource counts.
            plain = *text != "*";
            continue;
        };
        if whole.contains(&resource) {
            reader.invalid(item, &format!("if '{resource}/*' is present, must not specify {text}"));
        }
        if everywhere.contains(&sub) {
            reader.invalid(item, &format!("if '*/{sub}' is present, must not specify {text}"));
        }
        if sub == "*" {
            whole.push(resource);
        }
        if resource == "*" {
            everywhere.push(sub);
        }
    }
    if items.len() > 1 && double {
        reader.invalid(field, "if '*/*' is present, must not specify other resources");
    }
    if single && plain {
        reader.invalid(field, "if '*' is present, must not specify other resources without subresources");
    }
    items.into_iter().map(|(_, s)| s.to_owned()).collect()
}
