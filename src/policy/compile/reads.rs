//! What a policy reads beside the object: kinds from the cluster, told from the constants it calls `cluster.get` and
//! `cluster.list` with, and who sent the request.

use stockade_cel::ast::{Expr, ExprKind, Literal};
use stockade_cel::parse::{Syntax, parse};
use stockade_cel::source::Span;

use crate::compiled::{KindRead, ParamKind};
use crate::diagnostic::{Diagnostic, Diagnostics, Severity};
use crate::host_library::{CLUSTER_GET, CLUSTER_LIST, NETWORK_DOES_NOT_FIT, NETWORK_ONE_SIDED, NETWORK_UNMET_NEEDS};
use crate::source::{MutationSource, PolicySource, Text, ValidationSource};

/// What any expression reads, sorted, each once. The functions of `network` read NetworkPolicies, and
/// some of them those whom these are about. A call whose kind is no
/// constant is warned of: nobody can watch the cluster for it.
pub(super) fn of_policy(source: &PolicySource, diagnostics: &mut Diagnostics) -> Vec<KindRead> {
    if !source.flavour.is_own() {
        return Vec::new();
    }
    let mut reads = Vec::new();
    for text in texts(source) {
        let Ok(ast) = parse(text.as_str(), Syntax::KUBERNETES) else { continue };
        let mut found = Vec::new();
        walk(&ast.root, &mut found);
        for read in found {
            match read {
                Read::Known(read) => reads.push(read),
                Read::Unknown(span) => {
                    let span = text.node.locate(&source.file, span);
                    let message = "the kind that is read is no constant: the cluster cannot be watched for it";
                    let d = Diagnostic::at(Severity::Warning, &source.file, span, message).field(&text.path);
                    diagnostics.push(d.help("write apiVersion and kind as literal strings"));
                }
            }
        }
    }
    reads.sort_unstable();
    reads.dedup();
    reads
}

pub(super) fn texts(source: &PolicySource) -> impl Iterator<Item = &Text> {
    let conditions = source.match_conditions.iter().map(|(_, t)| t);
    let variables = source.variables.iter().map(|(_, t)| t);
    let validations = validations(source).flat_map(|v| [Some(&v.expression), v.message_expression.as_ref()]);
    let annotations = source.audit_annotations.iter().map(|(_, t)| t);
    let mutations = source.mutations.iter().map(|m| match m {
        MutationSource::ApplyConfiguration(t) | MutationSource::JsonPatch(t) => t,
    });
    conditions.chain(variables).chain(validations.flatten()).chain(annotations).chain(mutations)
}

/// Checks of objects, and of attestations.
fn validations(source: &PolicySource) -> impl Iterator<Item = &ValidationSource> {
    let of_attestations = source.trust.attestations.iter().flat_map(|a| &a.validations);
    source.validations.iter().chain(of_attestations)
}

/// One call that reads the cluster.
enum Read {
    Known(KindRead),
    /// Place of the call.
    Unknown(Span),
}

/// Whether a verdict can depend on who sends the request: an expression that judges names `authorizer`,
/// `request.userInfo`, or `request` as a whole. Messages and audit annotations do not judge.
pub(super) fn requester(source: &PolicySource) -> bool {
    let conditions = source.match_conditions.iter().map(|(_, t)| t);
    let variables = source.variables.iter().map(|(_, t)| t);
    let validations = validations(source).map(|v| &v.expression);
    let mut judging = conditions.chain(variables).chain(validations);
    judging.any(|text| parse(text.as_str(), Syntax::KUBERNETES).is_ok_and(|ast| names_requester(&ast.root)))
}

/// Whether an expression of an ImagePolicy names `image`.
pub(super) fn names_image(source: &PolicySource) -> bool {
    texts(source).any(|text| parse(text.as_str(), Syntax::KUBERNETES).is_ok_and(|ast| names(&ast.root, "image")))
}

/// Recursion is bounded by the parser's depth limit.
fn names(expr: &Expr, wanted: &str) -> bool {
    let mut found = matches!(&expr.kind, ExprKind::Ident(name) if name == wanted);
    expr.kind.for_each_child(&mut |child| found |= names(child, wanted));
    found
}

/// Recursion is bounded by the parser's depth limit.
fn names_requester(expr: &Expr) -> bool {
    match &expr.kind {
        ExprKind::Ident(name) => matches!(name.as_str(), "authorizer" | "request"),
        ExprKind::Select { operand, field, .. } if matches!(&operand.kind, ExprKind::Ident(i) if i == "request") => {
            field == "userInfo"
        }
        kind => {
            let mut found = false;
            kind.for_each_child(&mut |child| found |= names_requester(child));
            found
        }
    }
}

/// Recursion is bounded by the parser's depth limit.
fn walk(expr: &Expr, reads: &mut Vec<Read>) {
    match &expr.kind {
        ExprKind::Literal(_) | ExprKind::Ident(_) => {}
        ExprKind::Select { operand, .. } => walk(operand, reads),
        ExprKind::Call { target, function, args } => {
            reads.extend(read_by(expr.span, target.as_deref(), function, args));
            target.iter().for_each(|t| walk(t, reads));
            args.iter().for_each(|a| walk(a, reads));
        }
        ExprKind::List { elements, .. } => elements.iter().for_each(|e| walk(e, reads)),
        ExprKind::Map { entries } => entries.iter().for_each(|e| {
            walk(&e.key, reads);
            walk(&e.value, reads);
        }),
        ExprKind::Struct { fields, .. } => fields.iter().for_each(|f| walk(&f.value, reads)),
        ExprKind::Comprehension(c) => {
            for part in [&c.iter_range, &c.accu_init, &c.loop_condition, &c.loop_step, &c.result] {
                walk(part, reads);
            }
        }
    }
}

fn read_by(span: Span, target: Option<&Expr>, function: &str, args: &[Expr]) -> Vec<Read> {
    let Some(ExprKind::Ident(library)) = target.map(|target| &target.kind) else { return Vec::new() };
    let called = format!("{library}.{function}");
    if library == "network" {
        let read = |(api_version, kind): &(&str, &str)| {
            let kind = ParamKind { api_version: (*api_version).to_owned(), kind: (*kind).to_owned() };
            Read::Known(KindRead { kind, namespace: None, name: None })
        };
        return kinds_of_network(&called).iter().map(read).collect();
    }
    if called != CLUSTER_GET && called != CLUSTER_LIST {
        return Vec::new();
    }
    let constant = |i: usize| match args.get(i).map(|a| &a.kind) {
        Some(ExprKind::Literal(Literal::String(text))) => Some(text.clone()),
        _ => None,
    };
    vec![match (constant(0), constant(1)) {
        (Some(api_version), Some(kind)) => {
            // The fourth argument is the name; a list has none.
            let (namespace, name) = (constant(2).filter(|text| !text.is_empty()), constant(3));
            Read::Known(KindRead { kind: ParamKind { api_version, kind }, namespace, name })
        }
        _ => Read::Unknown(span),
    }]
}

/// What a function of the library `network` reads.
fn kinds_of_network(function: &str) -> &'static [(&'static str, &'static str)] {
    const POLICIES: (&str, &str) = ("networking.k8s.io/v1", "NetworkPolicy");
    match function {
        NETWORK_UNMET_NEEDS => &[POLICIES, ("v1", "Pod"), ("v1", "Service"), ("v1", "Namespace")],
        NETWORK_ONE_SIDED => &[POLICIES, ("v1", "Pod"), ("v1", "Namespace")],
        NETWORK_DOES_NOT_FIT => &[],
        _ => &[POLICIES],
    }
}
