//! Numbers for the field names that compiled expressions select, so that a document's keys are compared as integers.

use std::collections::HashMap;

use rustc_hash::FxBuildHasher;

/// Number of a field name inside one [`Symbols`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Symbol(u32);

impl Symbol {
    /// A name that no expression selects.
    pub const UNKNOWN: Symbol = Symbol(u32::MAX);
}

/// Table of names. Grows while policies are compiled, is frozen with the compiled set and then only read.
#[derive(Debug, Clone, Default)]
pub struct Symbols {
    numbers: HashMap<Box<str>, u32, FxBuildHasher>,
}

impl Symbols {
    /// An empty table.
    pub fn new() -> Self {
        Self::default()
    }

    /// The number of a name, given one if it has none.
    pub fn intern(&mut self, name: &str) -> Symbol {
        if let Some(&n) = self.numbers.get(name) {
            return Symbol(n);
        }
        let n = self.numbers.len() as u32;
        self.numbers.insert(name.into(), n);
        Symbol(n)
    }

    /// The number of a name, or [`Symbol::UNKNOWN`].
    #[inline]
    pub fn lookup(&self, name: &str) -> Symbol {
        self.numbers.get(name).map_or(Symbol::UNKNOWN, |&n| Symbol(n))
    }

    /// How many names.
    pub fn len(&self) -> usize {
        self.numbers.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.numbers.is_empty()
    }
}
