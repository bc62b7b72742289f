//! Sources to a [`PolicySet`]: expressions compiled and typed, bindings joined to their policies, all faults at once.

use std::collections::HashMap;
use std::sync::Arc;

use stockade_cel::Symbols;
use stockade_cel::source::Span;

use crate::compiled::{Actions, Binding, Flavour, Policy, PolicySet};
use crate::diagnostic::{Diagnostic, Diagnostics, Severity};
use crate::source::{BindingSource, PolicySource};
use crate::source_file::SourceFile;
use crate::sources::PolicySources;

mod environments;
mod expressions;
mod help;
pub mod incremental;
mod reads;
mod type_check;

/// What to do with a ValidatingAdmissionPolicy or MutatingAdmissionPolicy that no binding names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum UnboundPolicy {
    /// It is in force everywhere with Deny, and a note says so: what the command line does with a policy on its own.
    BindEverywhereDeny,
    /// It judges nothing, as in a cluster, and a note says so.
    #[default]
    Ignore,
}

/// How to compile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// What to do with policies that no binding names.
    pub unbound: UnboundPolicy,
    /// Whether to check expressions against the schemas of the matched built-in kinds. Costs about as much as
    /// compiling once more for each kind.
    pub type_check: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { unbound: UnboundPolicy::default(), type_check: true }
    }
}

/// A set and what is worth knowing of it.
#[derive(Debug)]
pub struct Compiled {
    /// Ready to be put in force.
    pub set: PolicySet,
    /// Warnings and notes, sorted; no errors.
    pub diagnostics: Diagnostics,
}

/// Compiles everything that was read.
///
/// # Errors
/// All errors of reading and of compiling, with the warnings and notes between them, sorted. A set is all or nothing:
/// one broken policy refuses it, so that nobody believes in force what is not.
pub fn compile(sources: &PolicySources, options: Options) -> Result<Compiled, Diagnostics> {
    let mut diagnostics = sources.diagnostics.clone();
    let mut symbols = Symbols::new();
    let mut environments = environments::Environments::default();
    report_conflicts(sources, &mut diagnostics);
    let mut policies = Vec::new();
    for source in &sources.policies {
        let mut compiler = expressions::Compiler {
            source,
            symbols: &mut symbols,
            environments: &mut environments,
            diagnostics: &mut diagnostics,
        };
        let Some(mut policy) = compiler.policy() else { continue };
        if options.type_check {
            policy.type_warnings = type_check::check(source, &mut diagnostics);
        }
        policies.push(policy);
    }
    bind(sources, &mut policies, options, &mut diagnostics);
    policies.sort_by(|a, b| (a.mutations.is_empty(), &a.name).cmp(&(b.mutations.is_empty(), &b.name)));
    let diagnostics = diagnostics.sorted();
    if diagnostics.has_errors() {
        return Err(diagnostics);
    }
    let policies = policies.into_iter().map(Arc::new).collect();
    Ok(Compiled { set: PolicySet { policies, symbols, ..PolicySet::default() }, diagnostics })
}

/// Two objects of one kind cannot share a name.
fn report_conflicts(sources: &PolicySources, diagnostics: &mut Diagnostics) {
    let policies = sources.policies.iter().map(|p| (kind(p.flavour), &p.name, &p.file, p.name_span));
    unique(policies, diagnostics);
    let bindings = sources.bindings.iter().map(|b| (binding_kind(b.flavour), &b.name, &b.file, b.name_span));
    unique(bindings, diagnostics);
}

fn unique<'s>(
    named: impl Iterator<Item = (&'static str, &'s String, &'s SourceFile, Span)>,
    diagnostics: &mut Diagnostics,
) {
    let mut seen: HashMap<(&str, &str), (&SourceFile, Span)> = HashMap::new();
    for (kind, name, file, span) in named {
        if let Some((first, at)) = seen.insert((kind, name), (file, span)) {
            let place = first.position(at.start);
            let message = format!("{kind} {name:?} is already defined in {}:{place}", first.name());
            diagnostics.push(Diagnostic::at(Severity::Error, file, span, message).field("metadata.name"));
        }
    }
}

fn kind(flavour: Flavour) -> &'static str {
    match flavour {
        Flavour::Validating => "ValidatingAdmissionPolicy",
        Flavour::Mutating => "MutatingAdmissionPolicy",
        Flavour::Admission => "AdmissionPolicy",
    }
}

fn binding_kind(flavour: Flavour) -> &'static str {
    match flavour {
        Flavour::Validating => "ValidatingAdmissionPolicyBinding",
        Flavour::Mutating => "MutatingAdmissionPolicyBinding",
        Flavour::Admission => "AdmissionPolicy",
    }
}

/// Joins bindings to policies.
fn bind(sources: &PolicySources, policies: &mut [Policy], options: Options, diagnostics: &mut Diagnostics) {
    let mut by_name: HashMap<(Flavour, Arc<str>), usize> = HashMap::new();
    for (i, policy) in policies.iter().enumerate() {
        by_name.entry((policy.flavour, policy.name.clone())).or_insert(i);
    }
    for source in &sources.bindings {
        match by_name.get(&(source.flavour, Arc::from(source.policy_name.as_str()))) {
            Some(&i) => policies[i].bindings.push(binding(source, &policies[i], diagnostics)),
            None => report_unknown_policy(source, sources, diagnostics),
        }
    }
    for source in &sources.policies {
        let Some(&i) = by_name.get(&(source.flavour, Arc::from(source.name.as_str()))) else { continue };
        if source.flavour == Flavour::Admission || !policies[i].bindings.is_empty() {
            continue;
        }
        if options.unbound == UnboundPolicy::BindEverywhereDeny {
            let everywhere = everywhere(&policies[i]);
            policies[i].bindings.push(everywhere);
        }
        diagnostics.push(unbound_note(source, options.unbound));
    }
    for policy in policies {
        policy.bindings.sort_by(|a, b| a.name.cmp(&b.name));
    }
}

/// What is said of a policy that no binding names.
fn unbound_note(source: &PolicySource, unbound: UnboundPolicy) -> Diagnostic {
    let (message, help) = match unbound {
        UnboundPolicy::BindEverywhereDeny => ("has no binding: treated as bound everywhere with Deny", None),
        UnboundPolicy::Ignore => {
            ("has no binding: it judges nothing", Some(format!("add a {}", binding_kind(source.flavour))))
        }
    };
    let message = format!("{} {:?} {message}", kind(source.flavour), source.name);
    let mut d = Diagnostic::at(Severity::Note, &source.file, source.name_span, message).field("metadata.name");
    d.help = help;
    d
}

/// The binding of a policy that stands alone.
fn everywhere(policy: &Policy) -> Binding {
    Binding {
        name: policy.name.clone(),
        origin: policy.origin.clone(),
        match_resources: None,
        params: None,
        actions: Actions { deny: true, ..Actions::default() },
    }
}

fn binding(source: &BindingSource, policy: &Policy, diagnostics: &mut Diagnostics) -> Binding {
    let warn = |span, field: &str, message: String| {
        Diagnostic::at(Severity::Warning, &source.file, span, message).field(field)
    };
    match (source.params_span, &policy.param_kind) {
        (Some(span), None) => {
            let message = format!("has no effect: policy {:?} has no spec.paramKind", source.policy_name);
            diagnostics.push(warn(span, "spec.paramRef", message));
        }
        (None, Some(kind)) => {
            let message = format!(
                "policy {:?} takes params of kind {}, but this binding has no spec.paramRef: `params` will be null",
                source.policy_name, kind.kind
            );
            diagnostics.push(warn(source.policy_name_span, "spec.policyName", message));
        }
        _ => {}
    }
    Binding {
        name: source.name.as_str().into(),
        origin: source.origin.clone(),
        match_resources: source.match_resources.clone(),
        params: source.params.clone(),
        actions: source.actions,
    }
}

fn report_unknown_policy(source: &BindingSource, sources: &PolicySources, diagnostics: &mut Diagnostics) {
    let read_but_broken = sources.policies.iter().any(|p| is_bound(p, source));
    if read_but_broken {
        return;
    }
    let names = sources.policies.iter().filter(|p| p.flavour == source.flavour).map(|p| p.name.as_str());
    diagnostics.push(unknown_policy(source, names));
}

/// What is said of a binding that names none of these policies.
fn unknown_policy<'n>(source: &BindingSource, names: impl Iterator<Item = &'n str>) -> Diagnostic {
    let message =
        format!("no {} named {:?} was read: this binding does nothing", kind(source.flavour), source.policy_name);
    let d = Diagnostic::at(Severity::Warning, &source.file, source.policy_name_span, message).field("spec.policyName");
    match crate::read::suggest::closest(&source.policy_name, names) {
        Some(name) => d.help(format!("did you mean `{name}`?")),
        None => d,
    }
}

fn is_bound(policy: &PolicySource, binding: &BindingSource) -> bool {
    policy.flavour == binding.flavour && policy.name == binding.policy_name
}

#[cfg(test)]
mod tests;
