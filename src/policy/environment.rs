//! The CEL environments of policies (apiserver `pkg/admission/plugin/cel/compile.go`).

use std::sync::{Arc, OnceLock};

use stockade_cel::{Env, Type};

use crate::host_library::host_functions;
use crate::image_library::image_functions;
use fields::Table;

mod fields;
mod image_types;
mod patch_types;
mod request_types;

/// Root variables in slot order. Every program of every policy sees all slots: one that its expression may not name
/// (`params` without paramKind, `authorizer` in a messageExpression) is declared under a name nobody can write, so
/// that one array of values fits all programs of a policy.
pub const ROOTS: [&str; 8] =
    ["object", "oldObject", "request", "namespaceObject", "params", "authorizer", "authorizer.requestResource", "now"];

/// Slot of `object`.
pub const OBJECT: usize = 0;
/// Slot of `oldObject`.
pub const OLD_OBJECT: usize = 1;
/// Slot of `request`.
pub const REQUEST: usize = 2;
/// Slot of `namespaceObject`.
pub const NAMESPACE_OBJECT: usize = 3;
/// Slot of `params`.
pub const PARAMS: usize = 4;
/// Slot of `authorizer`.
pub const AUTHORIZER: usize = 5;
/// Slot of `authorizer.requestResource`.
pub const REQUEST_RESOURCE: usize = 6;

/// Slot of `image` in the checks of an ImagePolicy's attestations. It takes neither params nor an authorizer, whose slots
/// its own variables have: all programs of all policies see as many.
pub const IMAGE: usize = 4;
/// Slot of `predicate`, as [`IMAGE`].
pub const PREDICATE: usize = 5;
/// Slot of `statement`, as [`IMAGE`].
pub const STATEMENT: usize = 6;
/// Slot of `now`, the time of the decision, by which an attestation can be too old. Nothing else may name it: what a
/// policy of Kubernetes' own says does not change by itself.
pub const NOW: usize = 7;
/// Names of the variables that the checks of attestations have in place of the last roots.
pub const ATTESTATION_ROOTS: [&str; 4] = ["image", "predicate", "statement", "now"];

/// Type of `Object{…}`, what an ApplyConfiguration makes.
pub const APPLY_CONFIGURATION: &str = "Object";
/// Type of `JSONPatch{…}`, what a JSONPatch mutation makes a list of.
pub const JSON_PATCH: &str = "JSONPatch";
/// Type of `authorizer`.
const AUTHORIZER_TYPE: &str = "kubernetes.authorization.Authorizer";
/// Type of `authorizer.requestResource`.
const RESOURCE_CHECK_TYPE: &str = "kubernetes.authorization.ResourceCheck";

/// What an expression may name beside the roots that all have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Surroundings {
    /// `params`
    pub(crate) params: bool,
    /// `authorizer` and `authorizer.requestResource`
    pub(crate) authorizer: bool,
    /// `Object{…}`, `JSONPatch{…}` and `jsonpatch.escapeKey(…)`
    pub(crate) patch_types: bool,
    /// The libraries `cluster` and `network`.
    pub(crate) host: bool,
    /// The library `images`.
    pub(crate) images: bool,
    /// [`ATTESTATION_ROOTS`], in place of params and authorizer.
    pub(crate) attestation: bool,
}

/// Types of the roots that depend on what the policy matches.
#[derive(Debug, Clone)]
pub(crate) struct RootTypes {
    /// `object` and `oldObject`
    pub(crate) object: Type,
    /// `params`
    pub(crate) params: Type,
}

impl Default for RootTypes {
    /// As policies run: whatever the request holds.
    fn default() -> Self {
        Self { object: Type::Dyn, params: Type::Dyn }
    }
}

/// Builds an environment without variables of the policy's own.
pub(crate) fn environment(around: Surroundings, types: &RootTypes) -> Env {
    let opaque = |name: &str, present: bool| if present { Type::opaque(name) } else { Type::Dyn };
    let roots = [
        (true, types.object.clone()),
        (true, types.object.clone()),
        (true, Type::structure(request_types::ADMISSION_REQUEST)),
        (true, Type::structure(request_types::NAMESPACE)),
        (around.params, types.params.clone()),
        (around.authorizer, opaque(AUTHORIZER_TYPE, around.authorizer)),
        (around.authorizer, opaque(RESOURCE_CHECK_TYPE, around.authorizer)),
        (false, Type::Timestamp),
    ];
    let mut env = base().clone();
    for (slot, (name, (present, ty))) in ROOTS.into_iter().zip(roots).enumerate() {
        let of_attestation = slot.checked_sub(IMAGE).and_then(|n| ATTESTATION_ROOTS.get(n));
        env = match of_attestation.filter(|_| around.attestation) {
            Some(name) if slot == NOW => env.variable(name, Type::Timestamp),
            Some(name) => env.variable(name, Type::Dyn),
            None if present => env.variable(name, ty),
            // '@' cannot start a name in an expression.
            None => env.variable(&format!("@{name}"), Type::Dyn),
        };
    }
    if around.patch_types {
        let escape = stockade_cel::library::jsonpatch::functions();
        env = env.structs(Arc::new(patch_types::PatchTypes)).functions(escape);
    }
    if around.host {
        env = env.functions(host_functions());
    }
    if around.images {
        env = env.structs(Arc::new(Table(image_types::fields))).functions(image_functions());
    }
    env
}

/// The type that a variable shows to later expressions. Upstream keeps scalars, lists and maps; all else (optionals,
/// the libraries' own types, structs) becomes `dyn` (`convertCelTypeToDeclType`).
pub(crate) fn variable_type(output: &Type) -> Type {
    match output {
        Type::Bool
        | Type::Bytes
        | Type::Double
        | Type::Duration
        | Type::Int
        | Type::Null
        | Type::String
        | Type::Timestamp
        | Type::Uint => output.clone(),
        Type::List(element) => Type::list(variable_type(element)),
        Type::Map(key, value) => Type::map(variable_type(key), variable_type(value)),
        _ => Type::Dyn,
    }
}

/// What all environments share, built once: a type check builds one environment for each policy and kind.
fn base() -> &'static Env {
    static BASE: OnceLock<Env> = OnceLock::new();
    BASE.get_or_init(|| Env::kubernetes().structs(Arc::new(Table(request_types::fields))))
}
