//! What names refer to: loop variables, declared variables, types.

use crate::ast::{Expr, ExprKind};
use crate::checked::Reference;
use crate::env::Env;
use crate::functions::Function;
use crate::types::Type;

use std::sync::Arc;

/// Type of the root `variables`, as the API server names it.
pub(super) const LAZY_ROOT_TYPE: &str = "kubernetes.variables";
/// Name of the root of the lazily evaluated variables.
const LAZY_ROOT: &str = "variables";

/// A resolved name.
pub(super) struct Found {
    /// The name in full.
    pub(super) name: String,
    /// Type of the expression that consists of it.
    pub(super) ty: Type,
    pub(super) reference: Reference,
}

/// Names that loops bring in, innermost last.
#[derive(Debug, Default)]
pub(super) struct Scopes(Vec<(String, Type)>);

impl Scopes {
    pub(super) fn push(&mut self, name: &str, ty: Type) {
        self.0.push((name.to_owned(), ty));
    }

    /// Forgets the `count` names that came last.
    pub(super) fn pop(&mut self, count: usize) {
        self.0.truncate(self.0.len().saturating_sub(count));
    }

    fn find(&self, name: &str) -> Option<&Type> {
        self.0.iter().rev().find(|(n, _)| n == name).map(|(_, ty)| ty)
    }
}

/// `a.b.c` when the expression is written so.
pub(super) fn qualified_name(expr: &Expr) -> Option<String> {
    match &expr.kind {
        ExprKind::Ident(name) => Some(name.clone()),
        ExprKind::Select { operand, field, test_only: false } => {
            let mut name = qualified_name(operand)?;
            name.push('.');
            name.push_str(field);
            Some(name)
        }
        _ => None,
    }
}

/// Names to try in order: in the container, in each namespace around it, at the root. A leading dot means the root.
fn candidates(container: &str, name: &str) -> Vec<String> {
    if let Some(root) = name.strip_prefix('.') {
        return vec![root.to_owned()];
    }
    let mut found = Vec::new();
    let mut space = container;
    while !space.is_empty() {
        found.push(format!("{space}.{name}"));
        space = space.rfind('.').map_or("", |dot| &space[..dot]);
    }
    found.push(name.to_owned());
    found
}

/// What a name refers to, if to anything.
pub(super) fn find(env: &Env, scopes: &Scopes, name: &str) -> Option<Found> {
    candidates(&env.container, name).into_iter().find_map(|candidate| exact(env, scopes, candidate))
}

fn exact(env: &Env, scopes: &Scopes, name: String) -> Option<Found> {
    if let Some(ty) = scopes.find(&name) {
        return Some(Found { ty: ty.clone(), name, reference: Reference::Local });
    }
    if let Some(slot) = env.slot(&name) {
        return Some(Found { ty: env.variables[slot].1.clone(), name, reference: Reference::Variable(slot) });
    }
    if env.lazy.is_some() && name == LAZY_ROOT {
        return Some(Found { ty: Type::structure(LAZY_ROOT_TYPE), name, reference: Reference::LazyRoot });
    }
    let ty = named_type(env, &name)?;
    Some(Found { ty: Type::of_type(ty), reference: Reference::TypeName(name.clone()), name })
}

/// The type of that name.
fn named_type(env: &Env, name: &str) -> Option<Type> {
    Some(match name {
        "bool" => Type::Bool,
        "int" => Type::Int,
        "uint" => Type::Uint,
        "double" => Type::Double,
        "string" => Type::String,
        "bytes" => Type::Bytes,
        "null_type" => Type::Null,
        "list" => Type::list(Type::Dyn),
        "map" => Type::map(Type::Dyn, Type::Dyn),
        // Stands inside `type(…)` only and never for a value.
        "type" => Type::opaque("type"),
        "optional_type" if env.language.syntax.optionals => Type::optional(Type::Dyn),
        "google.protobuf.Duration" => Type::Duration,
        "google.protobuf.Timestamp" => Type::Timestamp,
        _ => {
            let declared = env.named_types.iter().find(|ty| ty.to_string() == name);
            match declared {
                Some(ty) => ty.clone(),
                None if env.structs.iter().any(|s| s.has_struct(name)) => Type::structure(name),
                None => return None,
            }
        }
    })
}

/// The functions of a name, resolved like a variable, and the name in full.
pub(super) fn functions<'e>(env: &'e Env, name: &str) -> Option<(&'static str, &'e [Arc<Function>])> {
    candidates(&env.container, name).iter().find_map(|candidate| {
        let (name, functions) = env.functions.get_key_value(candidate.as_str())?;
        Some((*name, functions.as_slice()))
    })
}
