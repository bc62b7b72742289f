//! The CEL environments of policies (apiserver `pkg/admission/plugin/cel/compile.go`).

/// Root variables in slot order. Every program of every policy sees all slots: one that its expression may not name
/// (`params` without paramKind, `authorizer` in a messageExpression) is declared under a name nobody can write, so
/// that one array of values fits all programs of a policy.
pub const ROOTS: [&str; 7] =
    ["object", "oldObject", "request", "namespaceObject", "params", "authorizer", "authorizer.requestResource"];

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
