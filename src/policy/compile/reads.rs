//! Which kinds a policy reads from the cluster, told from the constants it calls `cluster.get` and `cluster.list` with.

use stockade_cel::ast::{Expr, ExprKind, Literal};
use stockade_cel::parse::{Syntax, parse};

use crate::compiled::{Flavour, ParamKind};
use crate::host_library::{CLUSTER_GET, CLUSTER_LIST};
use crate::source::{MutationSource, PolicySource, Text};

/// Kinds read by any expression, sorted, each once. The functions of `network` read NetworkPolicies and Namespaces.
pub(super) fn of_policy(source: &PolicySource) -> Vec<ParamKind> {
    if source.flavour != Flavour::Admission {
        return Vec::new();
    }
    let mut reads = Vec::new();
    for text in texts(source) {
        if let Ok(ast) = parse(text.as_str(), Syntax::KUBERNETES) {
            walk(&ast.root, &mut reads);
        }
    }
    reads.sort_by(|a, b| (&a.api_version, &a.kind).cmp(&(&b.api_version, &b.kind)));
    reads.dedup();
    reads
}

fn texts(source: &PolicySource) -> impl Iterator<Item = &Text> {
    let conditions = source.match_conditions.iter().map(|(_, t)| t);
    let variables = source.variables.iter().map(|(_, t)| t);
    let validations = source.validations.iter().flat_map(|v| [Some(&v.expression), v.message_expression.as_ref()]);
    let annotations = source.audit_annotations.iter().map(|(_, t)| t);
    let mutations = source.mutations.iter().map(|m| match m {
        MutationSource::ApplyConfiguration(t) | MutationSource::JsonPatch(t) => t,
    });
    conditions.chain(variables).chain(validations.flatten()).chain(annotations).chain(mutations)
}

/// Recursion is bounded by the parser's depth limit.
fn walk(expr: &Expr, reads: &mut Vec<ParamKind>) {
    match &expr.kind {
        ExprKind::Literal(_) | ExprKind::Ident(_) => {}
        ExprKind::Select { operand, .. } => walk(operand, reads),
        ExprKind::Call { target, function, args } => {
            reads.extend(read_by(target.as_deref(), function, args));
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

fn read_by(target: Option<&Expr>, function: &str, args: &[Expr]) -> Option<ParamKind> {
    let ExprKind::Ident(library) = &target?.kind else { return None };
    if library == "network" {
        return Some(ParamKind { api_version: "networking.k8s.io/v1".to_owned(), kind: "NetworkPolicy".to_owned() });
    }
    let name = format!("{library}.{function}");
    if name != CLUSTER_GET && name != CLUSTER_LIST {
        return None;
    }
    match args {
        [
            Expr { kind: ExprKind::Literal(Literal::String(a)), .. },
            Expr { kind: ExprKind::Literal(Literal::String(k)), .. },
            ..,
        ] => Some(ParamKind { api_version: a.clone(), kind: k.clone() }),
        _ => None,
    }
}
