//! Sources to a [`PolicySet`]: expressions compiled and typed, bindings joined to their policies, all faults at once.

use std::collections::HashMap;
use std::sync::Arc;

use stockade_cel::Symbols;
use stockade_cel::source::Span;

use crate::compiled::{Actions, Binding, Exception, Flavour, NamespaceGroup, Policy, PolicySet};
use crate::diagnostic::{Diagnostic, Diagnostics, Severity};
use crate::source::{BindingSource, ExceptionSource, GroupSource, PolicySource};
use crate::source_file::SourceFile;
use crate::sources::PolicySources;

mod environments;
mod expressions;
mod help;
mod images;
pub mod incremental;
mod questions;
mod reads;
pub(crate) mod references;
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
    /// What a name of an object that was not read counts as.
    pub missing: MissingObjects,
    /// Longest time that an exception may be for, from its creation, or from now for one in a file.
    pub max_exception_seconds: Option<u32>,
    /// Seconds since 1970, against which the times of exceptions are held. The clock's by default.
    pub now: i64,
}

/// What it counts as when an exception, a group or a policy names an object that was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MissingObjects {
    /// A fault: of files all are read.
    Error,
    /// A warning: in a cluster objects come and go.
    #[default]
    Warn,
}

impl MissingObjects {
    fn severity(self) -> Severity {
        match self {
            MissingObjects::Error => Severity::Error,
            MissingObjects::Warn => Severity::Warning,
        }
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            unbound: UnboundPolicy::default(),
            type_check: true,
            missing: MissingObjects::default(),
            max_exception_seconds: None,
            now: jiff::Timestamp::now().as_second(),
        }
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
    if let Err(conflicts) = images::Registries::default().claim(sources) {
        diagnostics.extend(conflicts);
    }
    let mut known = references::Known::default();
    known.add(sources);
    references::check(sources, &known, options.missing.severity(), &mut diagnostics);
    for exception in &sources.exceptions {
        references::check_time(exception, options, &mut diagnostics);
    }
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
    let (exceptions, groups) = (exceptions_of(&sources.exceptions), groups_of(&sources.groups));
    Ok(Compiled { set: PolicySet { policies, symbols, exceptions, groups }, diagnostics })
}

/// The exceptions, in order.
fn exceptions_of<'s>(sources: impl IntoIterator<Item = &'s ExceptionSource>) -> Vec<Exception> {
    let mut exceptions: Vec<_> = sources.into_iter().map(|s| s.exception.clone()).collect();
    exceptions.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
    exceptions
}

/// The groups, in order.
fn groups_of<'s>(sources: impl IntoIterator<Item = &'s GroupSource>) -> Vec<NamespaceGroup> {
    let mut groups: Vec<_> = sources.into_iter().map(|s| s.group.clone()).collect();
    groups.sort_by(|a, b| a.name.cmp(&b.name));
    groups
}

/// Two objects of one kind cannot share a name.
fn report_conflicts(sources: &PolicySources, diagnostics: &mut Diagnostics) {
    let mut seen: HashMap<(&str, String), (&SourceFile, Span)> = HashMap::new();
    for (kind, name, file, span) in named(sources) {
        let shown = format!("{kind} {name:?}");
        if let Some((first, at)) = seen.insert((kind, name), (file, span)) {
            let place = first.position(at.start);
            let message = format!("{shown} is already defined in {}:{place}", first.name());
            diagnostics.push(Diagnostic::at(Severity::Error, file, span, message).field("metadata.name"));
        }
    }
}

/// Everything that has a name of its own: kind, name and place.
fn named(sources: &PolicySources) -> impl Iterator<Item = (&'static str, String, &SourceFile, Span)> {
    // Exceptions, groups and metrics know policies of the own kinds by name alone.
    let of = |flavour: Flavour| if flavour.is_own() { Flavour::Admission.kind() } else { flavour.kind() };
    let policies = sources.policies.iter().map(move |p| (of(p.flavour), p.name.clone(), &p.file, p.name_span));
    let bindings = sources.bindings.iter().map(|b| (binding_kind(b.flavour), b.name.clone(), &b.file, b.name_span));
    let of_exception = |e: &Exception| format!("{}/{}", e.namespace, e.name);
    let exceptions = sources.exceptions.iter();
    let exceptions = exceptions.map(move |e| ("PolicyException", of_exception(&e.exception), &e.file, e.name_span));
    let groups = sources.groups.iter().map(|g| ("NamespaceGroup", g.group.name.to_string(), &g.file, g.name_span));
    policies.chain(bindings).chain(exceptions).chain(groups)
}

fn binding_kind(flavour: Flavour) -> &'static str {
    match flavour {
        Flavour::Validating => "ValidatingAdmissionPolicyBinding",
        Flavour::Mutating => "MutatingAdmissionPolicyBinding",
        Flavour::Admission | Flavour::Image => flavour.kind(),
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
        if source.flavour.is_own() || !policies[i].bindings.is_empty() {
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
    let message = format!("{} {:?} {message}", source.flavour.kind(), source.name);
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
        format!("no {} named {:?} was read: this binding does nothing", source.flavour.kind(), source.policy_name);
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
