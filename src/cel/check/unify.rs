//! Which type may stand where which is expected, and what type variables mean. The rules are cel-go's
//! (`checker/types.go`), whose order of trials decides what an expression's type is.

use crate::limits::MAX_TYPE_SIZE;
use crate::types::Type;

/// What the type variables of one expression stand for.
#[derive(Debug, Default)]
pub(super) struct Unifier {
    bindings: Vec<Option<Type>>,
    /// Bindings that were replaced, so that a trial can be taken back.
    replaced: Vec<(u32, Option<Type>)>,
    /// Types compared in the current trial.
    steps: usize,
}

/// Most types one trial compares: variables that stand for types with variables can multiply them. Two types of the
/// largest size take a tenth of it. A trial that takes more fails.
const MAX_STEPS: usize = 20 * MAX_TYPE_SIZE;

impl Unifier {
    /// A new type variable.
    pub(super) fn fresh(&mut self) -> Type {
        self.bindings.push(None);
        Type::Variable(self.bindings.len() as u32 - 1)
    }

    fn find(&self, ty: &Type) -> Option<&Type> {
        match ty {
            Type::Variable(n) => self.bindings.get(*n as usize)?.as_ref(),
            _ => None,
        }
    }

    fn bind(&mut self, variable: &Type, to: Type) {
        if let Type::Variable(n) = variable
            && let Some(slot) = self.bindings.get_mut(*n as usize)
        {
            self.replaced.push((*n, slot.replace(to)));
        }
    }

    /// Whether each of `from` may stand where the like-placed of `to` is expected. Variables are bound when all may.
    pub(super) fn assignable_all(&mut self, from: &[Type], to: &[Type]) -> bool {
        let before = self.replaced.len();
        self.steps = 0;
        if from.len() == to.len() && from.iter().zip(to).all(|(f, t)| self.fits(f, t)) {
            return true;
        }
        for (n, old) in self.replaced.drain(before..).rev() {
            if let Some(slot) = self.bindings.get_mut(n as usize) {
                *slot = old;
            }
        }
        false
    }

    /// Whether `from` may stand where `to` is expected. Variables are bound when it may.
    pub(super) fn assignable(&mut self, from: &Type, to: &Type) -> bool {
        self.assignable_all(std::slice::from_ref(from), std::slice::from_ref(to))
    }

    fn fits(&mut self, from: &Type, to: &Type) -> bool {
        self.steps += 1;
        if self.steps > MAX_STEPS {
            return false;
        }
        if is_variable(to) {
            match self.stands_for(from, to) {
                (true, _) => return true,
                (false, true) => return false,
                (false, false) => {}
            }
        }
        if is_variable(from) {
            return self.stands_for(to, from).0;
        }
        match (from, to) {
            (Type::Dyn | Type::Error, _) | (_, Type::Dyn | Type::Error) => true,
            (Type::Null, other) | (other, Type::Null) => nullable(other),
            (Type::Type(_), Type::Type(_)) => true,
            (Type::List(a), Type::List(b)) | (Type::Optional(a), Type::Optional(b)) => self.fits(a, b),
            (Type::Map(ka, va), Type::Map(kb, vb)) => self.fits(ka, kb) && self.fits(va, vb),
            _ => from == to,
        }
    }

    /// Whether `variable` can stand for `ty`, and whether it stood for something already.
    fn stands_for(&mut self, ty: &Type, variable: &Type) -> (bool, bool) {
        if ty == variable {
            return (true, true);
        }
        let Some(bound) = self.find(variable).cloned() else {
            let free = !self.occurs(variable, ty);
            if free {
                self.bind(variable, ty.clone());
            }
            return (free, false);
        };
        if *ty == bound {
            return (true, true);
        }
        if !self.fits(ty, &bound) {
            return (false, true);
        }
        let general = most_general(ty, &bound);
        if !self.occurs(variable, general) {
            self.bind(variable, general.clone());
        }
        (true, true)
    }

    /// Whether a variable is part of a type, so that binding it to that type would never end.
    fn occurs(&mut self, variable: &Type, ty: &Type) -> bool {
        self.steps += 1;
        if variable == ty || self.steps > MAX_STEPS {
            return true;
        }
        match ty {
            Type::Variable(_) => match self.find(ty).cloned() {
                Some(bound) => self.occurs(variable, &bound),
                None => false,
            },
            Type::List(inner) | Type::Optional(inner) | Type::Type(inner) => self.occurs(variable, inner),
            Type::Map(key, value) => self.occurs(variable, key) || self.occurs(variable, value),
            _ => false,
        }
    }

    /// The type with its variables replaced by what they stand for; those that stand for nothing become `dyn` when
    /// `close`. None when it is larger than [`MAX_TYPE_SIZE`].
    pub(super) fn resolve(&self, ty: &Type, close: bool) -> Option<Type> {
        let mut size = 0;
        self.resolve_within(ty, close, &mut size)
    }

    fn resolve_within(&self, ty: &Type, close: bool, size: &mut usize) -> Option<Type> {
        *size += 1;
        if *size > MAX_TYPE_SIZE {
            return None;
        }
        Some(match ty {
            Type::Variable(_) => match self.find(ty) {
                Some(bound) => self.resolve_within(bound, close, size)?,
                None if close => Type::Dyn,
                None => ty.clone(),
            },
            Type::Param(_) if close => Type::Dyn,
            Type::List(t) => Type::list(self.resolve_within(t, close, size)?),
            Type::Optional(t) => Type::optional(self.resolve_within(t, close, size)?),
            Type::Type(t) => Type::of_type(self.resolve_within(t, close, size)?),
            Type::Map(k, v) => Type::map(self.resolve_within(k, close, size)?, self.resolve_within(v, close, size)?),
            other => other.clone(),
        })
    }

    /// A declared type with its parameters replaced by fresh variables, which `names` remembers.
    pub(super) fn instantiate(&mut self, ty: &Type, names: &mut Vec<(std::sync::Arc<str>, Type)>) -> Type {
        match ty {
            Type::Param(name) => {
                if let Some((_, variable)) = names.iter().find(|(n, _)| n == name) {
                    return variable.clone();
                }
                let variable = self.fresh();
                names.push((name.clone(), variable.clone()));
                variable
            }
            Type::List(t) => Type::list(self.instantiate(t, names)),
            Type::Optional(t) => Type::optional(self.instantiate(t, names)),
            Type::Type(t) => Type::of_type(self.instantiate(t, names)),
            Type::Map(k, v) => Type::map(self.instantiate(k, names), self.instantiate(v, names)),
            other => other.clone(),
        }
    }
}

fn is_variable(ty: &Type) -> bool {
    matches!(ty, Type::Variable(_) | Type::Param(_))
}

/// Whether `null` may stand for a value of the type.
fn nullable(ty: &Type) -> bool {
    matches!(ty, Type::Null | Type::Optional(_) | Type::Struct(_) | Type::Opaque(_) | Type::Duration | Type::Timestamp)
}

/// The more general of two types that fit each other.
pub(super) fn most_general<'t>(a: &'t Type, b: &'t Type) -> &'t Type {
    if less_specific(a, b) { a } else { b }
}

/// Whether `a` is `b` or leaves more open than it.
fn less_specific(a: &Type, b: &Type) -> bool {
    match (a, b) {
        _ if *a == Type::Dyn || is_variable(a) => true,
        _ if *b == Type::Dyn || is_variable(b) => false,
        (Type::List(a), Type::List(b)) | (Type::Optional(a), Type::Optional(b)) => less_specific(a, b),
        (Type::Map(ka, va), Type::Map(kb, vb)) => less_specific(ka, kb) && less_specific(va, vb),
        (Type::Type(_), Type::Type(_)) => true,
        _ => a == b,
    }
}
