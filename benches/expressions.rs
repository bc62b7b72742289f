//! The twelve expressions as programs of their own, for what is evaluation and nothing else.

use bumpalo::Bump;
use stockade_cel::functions::Scope;
use stockade_cel::{Env, Evaluation, Program, Symbols, Type, Value, document};

use crate::inputs::EXPRESSIONS;

/// Compiled for a root variable `object` of any type.
pub struct Programs {
    /// One for each of [`EXPRESSIONS`].
    pub list: Vec<Program>,
    /// Of the fields they select.
    pub symbols: Symbols,
}

impl Programs {
    /// Compiles them.
    ///
    /// # Errors
    /// The compiler's.
    pub fn new() -> Result<Self, String> {
        let mut symbols = Symbols::new();
        let env = Env::kubernetes().variable("object", Type::Dyn);
        let list = EXPRESSIONS.iter().map(|e| env.compile(e, &mut symbols).map_err(|issues| issues.to_string()));
        let list = list.collect::<Result<_, _>>()?;
        for name in ["request", "object"] {
            symbols.intern(name);
        }
        Ok(Self { list, symbols })
    }

    /// The object of a review; none when the body is none.
    pub fn object<'a>(&self, review: &'a [u8], arena: &'a Bump) -> Option<Value<'a>> {
        document::decode(review, arena, &self.symbols).ok()?.path(&["request", "object"])
    }

    /// How many of them are true of the object.
    pub fn holding<'a>(&'a self, object: Value<'a>, arena: &'a Bump) -> usize {
        let roots = arena.alloc([object]);
        let scope = Scope { arena, symbols: &self.symbols, authorizer: None, host: None };
        let mut evaluation = Evaluation::new(scope, roots, &[]);
        let holds = |p: &&'a Program| evaluation.evaluate(p, u64::MAX).result.is_ok_and(|v| v.as_bool() == Some(true));
        self.list.iter().filter(holds).count()
    }
}
