//! Warnings of expressions that do not fit the schema of a kind they will meet, as the API server puts them into
//! `status.typeChecking` (apiserver `plugin/policy/validating/typechecking.go`): never errors, since a policy may
//! guard what its schema does not tell. One difference: upstream's check does not know `authorizer.requestResource`
//! and warns of every use; ours knows it.

use std::collections::BTreeSet;
use std::sync::Arc;

use stockade_cel::{Env, Issue, Symbols, Type};
use stockade_schema::Kinds;

use crate::compiled::{Flavour, TypeWarning};
use crate::diagnostic::{Diagnostic, Diagnostics, Severity};
use crate::environment::{RootTypes, Surroundings, environment, variable_type};
use crate::source::{PolicySource, Text};

use schema_types::SchemaTypes;

mod schema_types;

/// Most kinds that are checked (upstream `maxTypesToCheck`).
const MAX_KINDS: usize = 10;

/// Group, version and kind, in the order in which warnings list them.
type GroupVersionKind = (&'static str, &'static str, &'static str);

/// The warnings of a policy; each is also a diagnostic at its place.
pub(super) fn check(source: &PolicySource, diagnostics: &mut Diagnostics) -> Vec<TypeWarning> {
    // Upstream checks validating policies only: what a mutation constructs has no schema there.
    if !matches!(source.flavour, Flavour::Validating | Flavour::Admission) {
        return Vec::new();
    }
    let texts: Vec<&Text> = source
        .validations
        .iter()
        .flat_map(|v| [Some(&v.expression), v.message_expression.as_ref()])
        .flatten()
        .collect();
    if texts.is_empty() {
        return Vec::new();
    }
    let kinds: Vec<_> =
        kinds_to_check(source).into_iter().filter_map(|gvk| Some((gvk, kind_environment(source, gvk)?))).collect();
    let mut warnings = Vec::new();
    for text in texts {
        let mut found = Vec::new();
        let mut places: Vec<(Issue, Vec<String>)> = Vec::new();
        for ((group, version, kind), env) in &kinds {
            let Err(issues) = env.compile(text.as_str(), &mut Symbols::new()) else { continue };
            found.push(format!("{group}/{version}, Kind={kind}: {issues}\n"));
            let slash = if group.is_empty() { "" } else { "/" };
            for issue in issues.list {
                let name = format!("{group}{slash}{version} {kind}");
                match places.iter_mut().find(|(known, _)| *known == issue) {
                    Some((_, names)) => names.push(name),
                    None => places.push((issue, vec![name])),
                }
            }
        }
        report(text, &places, source, diagnostics);
        if !found.is_empty() {
            warnings.push(TypeWarning { field: text.path.clone(), warning: found.join("\n") });
        }
    }
    warnings
}

/// One diagnostic for each place, naming all kinds it was found for.
fn report(text: &Text, places: &[(Issue, Vec<String>)], source: &PolicySource, diagnostics: &mut Diagnostics) {
    for (issue, kinds) in places {
        let span = text.node.locate(&source.file, issue.span);
        let message = format!("{} in {}", issue.message, kinds.join(", "));
        let mut d = Diagnostic::at(Severity::Warning, &source.file, span, message).field(&text.path);
        if issue.message.starts_with("undefined field") {
            d = d.help("there is no such field: guard it with `has(…)`, or narrow the rules to kinds that have it");
        }
        diagnostics.push(d);
    }
}

/// The environment in which `object` has the kind's own type. Variables take the types that they have there.
fn kind_environment(source: &PolicySource, (group, version, kind): GroupVersionKind) -> Option<Env> {
    let kinds = Kinds::builtin();
    let object = SchemaTypes::new(kind, kinds.by_gvk(group, version, kind)?.root());
    let params = source
        .param_kind
        .as_ref()
        .and_then(|p| kinds.by_api_version(&p.api_version, &p.kind))
        .map(|k| SchemaTypes::new(&format!("{}.params", k.kind), k.root()));
    let types =
        RootTypes { object: object.root_type(), params: params.as_ref().map_or(Type::Dyn, SchemaTypes::root_type) };
    let around = Surroundings {
        params: source.param_kind.is_some(),
        authorizer: true,
        patch_types: false,
        host: source.flavour.is_own(),
        images: source.flavour == Flavour::Admission,
        attestation: false,
    };
    let mut env = environment(around, &types).structs(Arc::new(object));
    if let Some(params) = params {
        env = env.structs(Arc::new(params));
    }
    let mut members = Vec::new();
    for (name, text) in &source.variables {
        let program = env.clone().lazy_variables(members.clone()).compile(text.as_str(), &mut Symbols::new());
        members.push((name.clone(), program.map_or(Type::Dyn, |p| variable_type(p.output_type()))));
    }
    // Upstream always has `variables` here.
    Some(env.lazy_variables(members))
}

/// The kinds that the rules name without wildcards, sorted.
fn kinds_to_check(source: &PolicySource) -> BTreeSet<GroupVersionKind> {
    let mut found = BTreeSet::new();
    let wild = |names: &[String]| names.iter().any(|n| n.contains('*'));
    for rule in &source.match_constraints.resource_rules {
        if wild(&rule.api_groups) || wild(&rule.api_versions) {
            continue;
        }
        let sorted = |names: &[String]| {
            let mut names = names.to_vec();
            names.sort();
            names
        };
        let (groups, versions, resources) =
            (sorted(&rule.api_groups), sorted(&rule.api_versions), sorted(&rule.resources));
        let mut count = 0;
        for group in &groups {
            for version in &versions {
                for resource in resources.iter().filter(|r| !r.contains(['*', '/'])) {
                    if let Some(r) = Kinds::builtin().by_resource(group, version, resource) {
                        found.insert((r.group, r.version, r.kind));
                        count += 1;
                    }
                    if count == MAX_KINDS {
                        return found;
                    }
                }
            }
        }
    }
    found
}
