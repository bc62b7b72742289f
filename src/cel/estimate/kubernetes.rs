//! Costs of the API server's libraries (apiserver `pkg/cel/library/cost.go`), which go by the name of the function.

use super::calls::Call;
use super::lists::known;
use super::{Bounds, CallEstimate, Operand, REGEX_LENGTH, STRING_TRAVERSAL, Sizes, extended};
use crate::ast::{ExprKind, Literal};
use crate::types::Type;

/// An authorization check: two of them fit into one expression.
const CHECK: u64 = 350_000;
/// A selector's parsed form, and that of each of its requirements, of which each two characters may be one.
const SELECTOR_BASE: u64 = 10;
const PER_REQUIREMENT: f64 = 50.0;
const REQUIREMENTS_PER_CHARACTER: f64 = 0.5;
/// Characters of the regular expressions of named formats.
const FORMAT_PATTERN: f64 = 128.0;
/// Largest named format.
const FORMAT_SIZE: u64 = 64;
/// Bytes of an address.
const ADDRESS: Bounds = Bounds::new(4, 16);
const ONE: Bounds = Bounds::fixed(1);

/// Cost of a function that the API server prices; none for others.
pub(super) fn estimate(sizes: &dyn Sizes, call: &Call<'_, '_>) -> Option<CallEstimate> {
    let only = |cost: Bounds| Some(CallEstimate { cost, size: None });
    let size = |operand: &Operand<'_>| known(sizes, operand);
    match (call.function, call.target, call.args) {
        ("check", _, _) => only(Bounds::fixed(CHECK)),
        (
            "serviceAccount"
            | "path"
            | "group"
            | "resource"
            | "subresource"
            | "namespace"
            | "name"
            | "allowed"
            | "reason"
            | "error"
            | "errored"
            | "format.named"
            | "masked"
            | "prefixLength"
            | "family"
            | "isUnspecified"
            | "isLoopback"
            | "isLinkLocalMulticast"
            | "isLinkLocalUnicast"
            | "isGlobalUnicast"
            | "sign"
            | "asInteger"
            | "isInteger"
            | "asApproximateFloat"
            | "isGreaterThan"
            | "isLessThan"
            | "compareTo"
            | "add"
            | "sub"
            | "major"
            | "minor"
            | "patch"
            | "getScheme"
            | "getHostname"
            | "getHost"
            | "getPort"
            | "getEscapedPath"
            | "getQuery",
            _,
            _,
        ) => only(ONE),
        ("fieldSelector" | "labelSelector", _, [selector]) => only(selector_cost(size(selector))),
        ("isSorted" | "sum" | "max" | "min" | "indexOf" | "lastIndexOf", Some(list), _) => only(scan_cost(sizes, list)),
        ("url" | "jsonpatch.escapeKey", _, [text]) | ("lowerAscii" | "upperAscii" | "trim", Some(text), _) => {
            let size = size(text);
            Some(CallEstimate { cost: size.scaled(STRING_TRAVERSAL), size: Some(size) })
        }
        ("substring", Some(text), _) => {
            let size = size(text);
            Some(CallEstimate { cost: size.scaled(STRING_TRAVERSAL), size: Some(size) })
        }
        ("replace", Some(text), [old, new, ..]) => Some(replace(size(text), size(old), size(new))),
        ("split", Some(text), args) => {
            let size = size(text);
            let max = match args.get(1).map(|limit| &limit.expr.kind) {
                Some(ExprKind::Literal(Literal::Int(limit))) => limit.cast_unsigned(),
                _ => size.max,
            };
            Some(CallEstimate { cost: size.scaled(2.0 * STRING_TRAVERSAL), size: Some(Bounds::new(0, max)) })
        }
        ("join", Some(list), args) => Some(join(sizes, list, args)),
        ("find" | "findAll", Some(text), [pattern, ..]) => {
            let text = size(text);
            let cost = text.plus(ONE).scaled(STRING_TRAVERSAL).times(size(pattern).scaled(REGEX_LENGTH));
            Some(CallEstimate { cost, size: Some(Bounds::new(0, text.max)) })
        }
        ("ip", _, _) if call.overload == "cidr_ip" => only(ONE),
        ("cidr" | "isIP" | "isCIDR" | "ip" | "quantity" | "isQuantity" | "semver" | "isSemver", _, [text, ..]) => {
            only(size(text).scaled(STRING_TRAVERSAL))
        }
        ("ip.isCanonical", _, [text, ..]) => only(size(text).scaled(2.0 * STRING_TRAVERSAL)),
        ("containsIP" | "containsCIDR", _, [other, ..]) => only(contains(call, size(other))),
        ("validate", _, [text, ..]) => only(size(text).scaled(STRING_TRAVERSAL).scaled(FORMAT_PATTERN * REGEX_LENGTH)),
        ("_==_", _, [left, right]) => equality(left, right).and_then(only),
        _ => None,
    }
}

fn selector_cost(length: Bounds) -> Bounds {
    let requirements = length.scaled(REQUIREMENTS_PER_CHARACTER).scaled(PER_REQUIREMENT);
    Bounds::fixed(SELECTOR_BASE).plus(length.scaled(STRING_TRAVERSAL)).plus(requirements)
}

/// An element of a list: its path and type. None when the receiver is no container.
fn element(list: &Operand<'_>) -> Option<(super::Path, Type)> {
    let ty = match &list.ty {
        Type::List(inner) | Type::Map(inner, _) | Type::Optional(inner) | Type::Type(inner) => (**inner).clone(),
        _ => return None,
    };
    let path = if list.path.is_empty() { super::Path::default() } else { extended(&list.path, "@items") };
    Some((path, ty))
}

/// Looking at each element of a list, or at each character of a string.
fn scan_cost(sizes: &dyn Sizes, target: &Operand<'_>) -> Bounds {
    let size = known(sizes, target);
    match element(target) {
        Some((path, ty @ (Type::String | Type::Bytes))) => {
            let element = sizes.size(&path, &ty).unwrap_or(Bounds::UNKNOWN);
            size.times(ONE.plus(element.scaled(STRING_TRAVERSAL)))
        }
        Some(_) => size.times(ONE),
        None => size.scaled(STRING_TRAVERSAL),
    }
}

/// `text.replace(old, new)`: how often `old` may occur, and how much of the text remains at least and at most.
fn replace(text: Bounds, old: Bounds, new: Bounds) -> CallEstimate {
    let fits = |text: u64, old: u64| (text as f64 / old as f64).ceil() as u64;
    let (most, kept_most) = if old.min == 0 {
        // An empty string occurs before, between and behind all characters.
        (text.max.saturating_add(1), text.max)
    } else if new.max <= old.min {
        (0, text.max)
    } else {
        (fits(text.max, old.min), 0)
    };
    let (least, kept_least) = if old.max == 0 {
        (text.min.saturating_add(1), text.min)
    } else if old.max <= new.min {
        (0, text.min)
    } else {
        (fits(text.min, old.max), 0)
    };
    let size = Bounds::new(least, most).times(new).plus(Bounds::new(kept_least, kept_most));
    CallEstimate { cost: text.scaled(2.0 * STRING_TRAVERSAL), size: Some(size) }
}

fn join(sizes: &dyn Sizes, list: &Operand<'_>, args: &[Operand<'_>]) -> CallEstimate {
    let count = known(sizes, list);
    let mut size = Bounds::ZERO;
    if let Some((path, ty)) = element(list) {
        size = count.times(sizes.size(&path, &ty).unwrap_or(Bounds::UNKNOWN));
    }
    if let Some(separator) = args.first() {
        let separators = Bounds::new(count.min.saturating_sub(1), count.max.saturating_sub(1));
        size = size.plus(known(sizes, separator).times(separators));
    }
    CallEstimate { cost: size.scaled(STRING_TRAVERSAL), size: Some(size) }
}

/// Whether an address or a range lies in a range: both are compared byte by byte, and a string is parsed before.
fn contains(call: &Call<'_, '_>, other: Bounds) -> Bounds {
    let mut cost = ADDRESS.plus(ADDRESS).scaled(STRING_TRAVERSAL);
    if call.function == "containsCIDR" {
        cost = cost.plus(ADDRESS.scaled(STRING_TRAVERSAL)).plus(ONE);
    }
    if matches!(call.overload, "cidr_contains_ip_string" | "cidr_contains_cidr_string") {
        cost = cost.plus(other.scaled(STRING_TRAVERSAL));
    }
    cost
}

/// Equality of two values of one of the API server's types.
fn equality(left: &Operand<'_>, right: &Operand<'_>) -> Option<Bounds> {
    let (Type::Opaque(name) | Type::Struct(name), true) = (&left.ty, left.ty == right.ty) else { return None };
    match &**name {
        "net.IP"
        | "net.CIDR"
        | "kubernetes.Quantity"
        | "kubernetes.Semver"
        | "kubernetes.authorization.Authorizer"
        | "kubernetes.authorization.PathCheck"
        | "kubernetes.authorization.GroupCheck"
        | "kubernetes.authorization.ResourceCheck"
        | "kubernetes.authorization.Decision" => Some(ONE),
        "kubernetes.NamedFormat" => Some(Bounds::new(1, FORMAT_SIZE).scaled(STRING_TRAVERSAL)),
        // Upstream reads the size of the right side twice.
        "kubernetes.URL" => Some(Bounds::new(1, right.size.map_or(1, |size| size.max)).scaled(STRING_TRAVERSAL)),
        _ => None,
    }
}
