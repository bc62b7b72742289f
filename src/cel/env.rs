//! What an expression may refer to: variables, functions, struct types. Built once, then immutable.

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::Arc;

use rustc_hash::FxBuildHasher;

use crate::functions::Function;
use crate::parse::Syntax;
use crate::types::Type;

/// Struct types with fields.
pub trait StructProvider: Send + Sync + Debug {
    /// Whether a type of this name exists (`Object.spec`, `kubernetes.AdmissionRequest`).
    fn has_struct(&self, name: &str) -> bool;
    /// Type of a field, `None` when the struct has no such field.
    fn field(&self, structure: &str, field: &str) -> Option<Type>;
    /// Whether expressions may construct it with `Name{…}`.
    fn constructible(&self, name: &str) -> bool;
}

/// Which language the parser and the checker speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Language {
    /// Extensions of the syntax.
    pub syntax: Syntax,
    /// Elements of a list literal, and keys and values of a map literal, must have one type (but for arguments of
    /// `format`). Otherwise differing ones make it `dyn`.
    pub homogeneous_literals: bool,
    /// `<`, `<=`, `>`, `>=` between int, uint and double.
    pub mixed_comparisons: bool,
    /// Constant durations, timestamps, regular expressions and format strings are checked when compiled.
    pub validate_literals: bool,
}

impl Language {
    /// As Kubernetes 1.36 configures it (apiserver `pkg/cel/environment/base.go`).
    pub const KUBERNETES: Self = Self {
        syntax: Syntax::KUBERNETES,
        homogeneous_literals: true,
        mixed_comparisons: true,
        validate_literals: true,
    };
    /// The language definition with all extensions, as its conformance tests run it.
    pub const EXTENDED: Self = Self {
        syntax: Syntax::EXTENDED,
        homogeneous_literals: false,
        mixed_comparisons: true,
        validate_literals: false,
    };
}

impl Default for Language {
    fn default() -> Self {
        Self::KUBERNETES
    }
}

/// An environment. Cloning is cheap enough for setup, never on the request path.
#[derive(Debug, Clone, Default)]
pub struct Env {
    /// Variables in slot order: [`crate::Evaluation`] takes their values in the same order.
    pub(crate) variables: Vec<(String, Type)>,
    /// The lazily evaluated variables, selected from the root named `variables`, in slot order.
    pub(crate) lazy: Option<Vec<(String, Type)>>,
    /// Functions by name, each with the overloads that share its code; in the order in which they were added.
    pub(crate) functions: HashMap<&'static str, Vec<Arc<Function>>, FxBuildHasher>,
    /// Asked in order.
    pub(crate) structs: Vec<Arc<dyn StructProvider>>,
    /// Namespace in which names are resolved first (cel-spec container); empty in Kubernetes.
    pub(crate) container: String,
    /// Types without fields that may be named in expressions (`net.IP`).
    pub(crate) named_types: Vec<Type>,
    /// What the parser and the checker accept.
    pub(crate) language: Language,
    /// Constants are not folded.
    pub(crate) unfolded: bool,
}

impl Env {
    /// No variables, no functions: see [`crate::library`] for the sets of functions.
    pub fn empty() -> Self {
        Self::default()
    }

    /// Declares a variable; its slot is the number of variables declared before it.
    #[must_use]
    pub fn variable(mut self, name: &str, ty: Type) -> Self {
        self.variables.push((name.to_owned(), ty));
        self
    }

    /// Declares the lazily evaluated members of `variables`, in order (KEP-3488 variable composition). Each is
    /// evaluated at most once per [`crate::Evaluation`], when first selected.
    #[must_use]
    pub fn lazy_variables(mut self, members: Vec<(String, Type)>) -> Self {
        self.lazy = Some(members);
        self
    }

    /// Adds functions. A name that is already there gets further overloads with code of their own.
    #[must_use]
    pub fn functions(mut self, functions: Vec<Function>) -> Self {
        for f in functions {
            self.functions.entry(f.name).or_default().push(Arc::new(f));
        }
        self
    }

    /// Adds struct types.
    #[must_use]
    pub fn structs(mut self, provider: Arc<dyn StructProvider>) -> Self {
        self.structs.push(provider);
        self
    }

    /// Lets expressions name a type, as in `type(x) == net.IP`. Struct types can be named without this.
    #[must_use]
    pub fn named_type(mut self, ty: Type) -> Self {
        self.named_types.push(ty);
        self
    }

    /// Sets what the parser and the checker accept; [`Language::KUBERNETES`] unless set.
    #[must_use]
    pub fn language(mut self, language: Language) -> Self {
        self.language = language;
        self
    }

    /// Leaves constant lists, maps and conversions to be evaluated, and charged, each time: cel-go without its
    /// optimisation, as upstream's own cost tables were measured. The API server folds them.
    #[must_use]
    pub fn without_folding(mut self) -> Self {
        self.unfolded = true;
        self
    }

    /// Sets the container.
    #[must_use]
    pub fn container(mut self, container: &str) -> Self {
        container.clone_into(&mut self.container);
        self
    }

    /// The function that declares an overload.
    pub(crate) fn overload(&self, name: &str, id: &str) -> Option<&Arc<Function>> {
        self.functions.get(name)?.iter().find(|f| f.overloads.iter().any(|o| o.id == id))
    }

    /// Slot of a declared variable.
    pub fn slot(&self, name: &str) -> Option<usize> {
        self.variables.iter().position(|(n, _)| n == name)
    }
}
