//! Which params a binding gives (upstream `CollectParams`).

use std::cell::RefCell;
use std::collections::HashMap;

use stockade_cel::Value;
use stockade_policy::compiled::{Binding, ParamKind, ParamRef, ParamSource, ParameterNotFoundAction, Policy};
use stockade_schema::{Kinds, Scope};

use crate::context::Context;
use crate::facts::{Fact, Kind, MAX_LISTED};
use crate::host::MAX_READ_BYTES;
use crate::request::{Members, labels};

/// Most params that one selector may give: the policy is judged once for each.
pub(crate) const MAX_PARAMS: usize = 1_000;

/// Why there are no params. Counts under failurePolicy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ParamsError {
    #[error("cannot use namespaced paramRef in policy binding that matches cluster-scoped resources")]
    NoNamespace,
    #[error("paramRef.namespace must not be provided for a cluster-scoped `paramKind`")]
    NamespaceOfClusterScoped,
    #[error("paramKind kind `&ParamKind{{APIVersion:{api_version},Kind:{kind},}}` not yet synced to use for admission")]
    NotReady { api_version: String, kind: String },
    #[error("no params found for policy binding with `Deny` parameterNotFoundAction")]
    NotFound,
    #[error("more than {MAX_LISTED} objects of kind {kind} exist")]
    TooManyListed { kind: String },
    #[error("the selector of paramRef gives more than {MAX_PARAMS} params")]
    TooMany,
    #[error("the deadline of the request passed before params were read")]
    Deadline,
    #[error("the request has read more than {MAX_READ_BYTES} bytes")]
    NoRoom,
}

/// Objects that one request read as params, by kind, namespace and what names them. Bindings mostly share theirs, and
/// each would decode them anew.
pub(crate) type Memo<'c> = RefCell<HashMap<(&'c ParamKind, &'c str, &'c ParamSource), &'c [Value<'c>]>>;

/// Values of `params` to judge with: one null when the policy takes none or the binding gives none; an empty list
/// when none were found and that means that the binding is not in force.
pub(crate) fn collect<'c>(
    policy: &'c Policy,
    binding: &'c Binding,
    request_namespace: &'c str,
    context: &Context<'c>,
) -> Result<&'c [Value<'c>], ParamsError> {
    let (Some(kind), Some(reference)) = (&policy.param_kind, &binding.params) else {
        return Ok(&[Value::Null]);
    };
    let namespace = namespace_of(fact_kind(kind), reference, request_namespace, context)?;
    let found = read(kind, namespace, &reference.source, context)?;
    let found = match &reference.source {
        ParamSource::Name(_) => found,
        ParamSource::Selector(selector) => {
            let mut selected = bumpalo::collections::Vec::new_in(context.arena());
            selected.extend(found.iter().filter(|o| selector.matches(labels(**o))));
            if selected.len() > MAX_PARAMS {
                return Err(ParamsError::TooMany);
            }
            // Upstream's order is that of a Go map; by namespace and name it is the same every time.
            selected.sort_by_key(|o| (meta(*o, "namespace"), meta(*o, "name")));
            selected.into_bump_slice()
        }
    };
    if found.is_empty() && reference.not_found == ParameterNotFoundAction::Deny {
        return Err(ParamsError::NotFound);
    }
    Ok(found)
}

fn fact_kind(kind: &ParamKind) -> Kind<'_> {
    Kind { api_version: &kind.api_version, kind: &kind.kind }
}

/// The object of that name, or at least all that the selector selects, read once a request.
fn read<'c>(
    kind: &'c ParamKind,
    namespace: &'c str,
    source: &'c ParamSource,
    context: &Context<'c>,
) -> Result<&'c [Value<'c>], ParamsError> {
    let key = (kind, namespace, source);
    if let Some(known) = context.params.borrow().get(&key) {
        return Ok(known);
    }
    if context.deadline_passed() {
        return Err(ParamsError::Deadline);
    }
    if context.arena().allocated_bytes() > MAX_READ_BYTES {
        return Err(ParamsError::NoRoom);
    }
    let found = match source {
        ParamSource::Name(name) => {
            let found = known(context.facts.get(fact_kind(kind), namespace, name, context.into()), kind)?;
            found.map_or(&[][..], |o| std::slice::from_ref(context.arena().alloc(o)))
        }
        ParamSource::Selector(selector) => {
            known(context.facts.select(fact_kind(kind), namespace, selector, context.into()), kind)?
        }
    };
    if found.len() > MAX_LISTED {
        return Err(ParamsError::TooManyListed { kind: kind.kind.clone() });
    }
    let mut typed = bumpalo::collections::Vec::with_capacity_in(found.len(), context.arena());
    typed.extend(found.iter().map(|o| with_type(*o, kind, context)));
    let typed = typed.into_bump_slice();
    context.params.borrow_mut().insert(key, typed);
    Ok(typed)
}

/// Namespace to look in, empty for a cluster-scoped kind.
fn namespace_of<'r>(
    kind: Kind<'_>,
    reference: &'r ParamRef,
    request_namespace: &'r str,
    context: &Context<'_>,
) -> Result<&'r str, ParamsError> {
    let given = reference.namespace.as_deref().unwrap_or("");
    let (group, version) = kind.api_version.split_once('/').unwrap_or(("", kind.api_version));
    let namespaced = Kinds::builtin()
        .resource_of_kind(group, version, kind.kind)
        .map(|r| r.scope == Scope::Namespaced)
        .or_else(|| context.facts.namespaced(kind))
        // Nothing says: a namespace that was given must mean something.
        .unwrap_or(!given.is_empty());
    match (namespaced, given) {
        (false, "") => Ok(""),
        (false, _) => Err(ParamsError::NamespaceOfClusterScoped),
        (true, "") if request_namespace.is_empty() => Err(ParamsError::NoNamespace),
        (true, "") => Ok(request_namespace),
        (true, given) => Ok(given),
    }
}

fn known<T>(fact: Fact<T>, kind: &ParamKind) -> Result<T, ParamsError> {
    match fact {
        Fact::Known(t) => Ok(t),
        Fact::NotReady => Err(ParamsError::NotReady { api_version: kind.api_version.clone(), kind: kind.kind.clone() }),
    }
}

pub(crate) fn meta<'a>(object: Value<'a>, key: &str) -> &'a str {
    object.path(&["metadata", key]).and_then(Value::as_str).unwrap_or("")
}

/// The object with apiVersion and kind, which a list of a live cluster leaves out of its items.
fn with_type<'c>(object: Value<'c>, kind: &ParamKind, context: &Context<'c>) -> Value<'c> {
    let Some(members) = object.as_object() else { return object };
    if members.get("apiVersion").is_some() && members.get("kind").is_some() {
        return object;
    }
    let mut typed = Members::new(context.arena(), context.symbols());
    typed.push("apiVersion", Value::String(context.arena().alloc_str(&kind.api_version)));
    typed.push("kind", Value::String(context.arena().alloc_str(&kind.kind)));
    for e in members.entries().iter().filter(|e| !matches!(e.key, "apiVersion" | "kind")) {
        typed.push(e.key, e.value);
    }
    typed.finish()
}
