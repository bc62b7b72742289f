//! The function libraries, each a file with its declarations, code and costs.

mod conversions;
pub mod declarations;
pub mod optionals;
pub(crate) mod re2;
pub mod standard;
pub mod two_variables;

use crate::env::Env;

impl Env {
    /// The language and the libraries that Kubernetes 1.36 gives to every expression (apiserver
    /// `pkg/cel/environment/base.go`).
    pub fn kubernetes() -> Self {
        [standard::functions(), optionals::functions(), two_variables::functions()]
            .into_iter()
            .fold(Self::empty(), Self::functions)
    }
}
