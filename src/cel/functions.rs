//! How a function is declared: one table entry holds its overloads for the checker, its code and its runtime cost.

use bumpalo::Bump;

use crate::authorizer::Authorizer;
use crate::error::ErrorKind;
use crate::symbols::Symbols;
use crate::types::Type;
use crate::value::Value;

/// Overloads of one name that share their code. An environment may hold several of one name (`indexOf` of strings and
/// of lists); the checker considers the overloads of all.
#[derive(Debug, Clone)]
pub struct Function {
    /// Name as called, qualified where it is (`optional.of`, `ip.isCanonical`).
    pub name: &'static str,
    /// Signatures, in declaration order.
    pub overloads: Vec<Overload>,
    /// Its code. Dispatches on the runtime values and answers [`ErrorKind::NoSuchOverload`] to those that none of its
    /// overloads takes; the evaluator then asks the next function of that name.
    pub call: Call,
    /// Cost of one call as upstream's cost tracker counts it, without the cost of the arguments themselves.
    pub cost: CostFn,
}

/// One signature.
#[derive(Debug, Clone)]
pub struct Overload {
    /// Upstream's overload id (`string_to_quantity`).
    pub id: &'static str,
    /// Called on a receiver, which is then the first parameter.
    pub member: bool,
    /// Parameter types; [`Type::Param`] for type parameters.
    pub params: Vec<Type>,
    /// Result type.
    pub result: Type,
}

/// Where the code of a function is.
#[derive(Debug, Clone, Copy)]
pub enum Call {
    /// A plain function over evaluated arguments (receiver first).
    Native(NativeFn),
    /// A function whose argument 1 is a regular expression: the planner compiles a constant one once
    /// (`library::re2::compile`, whose error then is a compile error) and calls the second function with it.
    Pattern(NativeFn, PatternFn),
    /// Evaluated by the planner itself: operators, conditionals, index, `in`, optionals' lazy forms.
    Operator,
    /// Answered by the embedding program through [`Host`].
    Host,
}

/// Code of a function. An error is returned without a place; the evaluator adds it.
pub type NativeFn = for<'a> fn(&Scope<'a>, &[Value<'a>]) -> Result<Value<'a>, ErrorKind<'a>>;

/// Code of a function with a regular expression that was compiled beforehand.
pub type PatternFn = for<'a> fn(&regex::Regex, &Scope<'a>, &[Value<'a>]) -> Result<Value<'a>, ErrorKind<'a>>;

/// Runtime cost of one call from overload id, arguments and result. The id is empty when the checker left more than
/// one candidate over all functions of that name (operands of type `dyn`), and upstream then charges less for some.
pub type CostFn = for<'a> fn(&str, &[Value<'a>], &Value<'a>) -> u64;

/// What a function may use beside its arguments.
#[derive(Clone, Copy)]
pub struct Scope<'a> {
    /// Where results live.
    pub arena: &'a Bump,
    /// Numbers of field names: every [`crate::value::Object`] that a function makes gives its entries theirs.
    pub symbols: &'a Symbols,
    /// Answers `authorizer` checks; none where the environment has no authorizer.
    pub authorizer: Option<&'a dyn Authorizer>,
    /// Answers functions declared with [`Call::Host`].
    pub host: Option<&'a dyn Host>,
}

/// Libraries that the embedding program adds (`cluster`, `network`, `images`).
pub trait Host: Sync {
    /// Answers one call of a function that was declared with [`Call::Host`]; the receiver, if any, comes first.
    ///
    /// # Errors
    /// In the words the policy author should read.
    fn call<'a>(
        &self,
        function: &'static str,
        args: &[Value<'a>],
        scope: &Scope<'a>,
    ) -> Result<Value<'a>, ErrorKind<'a>>;
}

impl Overload {
    /// `name(params) -> result`
    pub fn global(id: &'static str, params: Vec<Type>, result: Type) -> Self {
        Self { id, member: false, params, result }
    }

    /// `params[0].name(params[1..]) -> result`
    pub fn member(id: &'static str, params: Vec<Type>, result: Type) -> Self {
        Self { id, member: true, params, result }
    }
}

/// Cost of a call whose work does not grow with its arguments.
pub fn constant_cost(_: &str, _: &[Value<'_>], _: &Value<'_>) -> u64 {
    1
}
