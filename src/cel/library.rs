//! The function libraries, each a file with its declarations, code and costs.

pub mod authz;
pub mod cidr;
mod conversions;
pub mod declarations;
pub mod format;
pub mod ip;
pub mod jsonpatch;
pub mod k8s_lists;
pub mod lists;
mod names;
pub mod optionals;
pub mod quantity;
pub(crate) mod re2;
pub mod regex;
pub mod semver;
pub mod sets;
pub mod standard;
pub mod strings;
mod support;
pub mod two_variables;
pub mod url;

use crate::env::Env;
use crate::functions::Function;
use crate::types::Type;

impl Env {
    /// The language and the libraries that Kubernetes 1.36 gives to every expression (apiserver
    /// `pkg/cel/environment/base.go`).
    pub fn kubernetes() -> Self {
        [standard::functions(), optionals::functions(), two_variables::functions(), kubernetes()]
            .into_iter()
            .fold(Self::empty(), Self::functions)
            .named_type(Type::opaque("net.IP"))
            .named_type(Type::opaque("net.CIDR"))
    }
}

/// Every function that the environment of Kubernetes 1.36 has beside those of the language and of the optionals.
/// Mutations have [`jsonpatch`] in addition.
fn kubernetes() -> Vec<Function> {
    [
        url::functions(),
        regex::functions(),
        k8s_lists::functions(),
        authz::functions(),
        quantity::functions(),
        strings::functions(),
        sets::functions(),
        ip::functions(),
        cidr::functions(),
        format::functions(),
        semver::functions(),
        lists::functions(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

#[cfg(test)]
mod tests;
