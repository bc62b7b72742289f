//! What an expression may cost at least and at most, before it is ever evaluated (cel-go `checker/cost.go` of 0.26 with
//! the API server's `pkg/cel/library/cost.go`): the numbers are theirs to the unit.

mod bounds;
mod calls;
mod kubernetes;
mod lists;
#[cfg(test)]
mod tests;

use std::sync::Arc;

pub use bounds::Bounds;

use crate::ast::{Comprehension, Expr, ExprId, ExprKind, Literal};
use crate::checked::{Checked, Reference};
use crate::types::Type;

/// Traversing a string costs this much a character.
const STRING_TRAVERSAL: f64 = 0.1;
/// Matching a regular expression costs this much a character of the pattern, times the traversal of the text.
const REGEX_LENGTH: f64 = 0.25;
const LIST_BASE: u64 = 10;
const MAP_BASE: u64 = 30;
const STRUCT_BASE: u64 = 40;

/// Accumulators, whose paths lead nowhere.
const ACCUMULATORS: [&str; 2] = ["@result", "__result__"];

/// How large the values are that an expression reads.
pub trait Sizes {
    /// Size of the value at a path from a variable (`["object", "spec", "containers", "@items"]`; also `@keys`,
    /// `@values`, `@indices`) or, with an empty path, of some value of a type: characters of a string, bytes, elements
    /// or entries. None when nothing is known.
    fn size(&self, path: &[String], ty: &Type) -> Option<Bounds>;
}

/// Nothing is known of any size.
#[derive(Debug, Clone, Copy, Default)]
pub struct UnknownSizes;

impl Sizes for UnknownSizes {
    fn size(&self, _: &[String], _: &Type) -> Option<Bounds> {
        None
    }
}

/// Estimates the cost of a checked expression.
pub fn estimate(checked: &Checked, sizes: &dyn Sizes) -> Bounds {
    let count = checked.ast.id_count as usize;
    let mut estimator = Estimator {
        checked,
        sizes,
        paths: vec![Path::default(); count],
        computed: vec![None; count],
        entries: vec![None; count],
        locals: Vec::new(),
    };
    estimator.cost(&checked.ast.root)
}

/// Where a value comes from: a variable and the fields that lead to the value; empty when from no variable.
type Path = Arc<[String]>;

/// Sizes of what a container holds.
#[derive(Debug, Clone, Copy, PartialEq)]
struct EntrySizes {
    list: bool,
    key: Bounds,
    value: Bounds,
}

/// A name that a loop brings in.
struct Local {
    name: String,
    path: Path,
    size: Option<Bounds>,
    entries: Option<EntrySizes>,
}

struct Estimator<'c> {
    checked: &'c Checked,
    sizes: &'c dyn Sizes,
    /// By id.
    paths: Vec<Path>,
    /// By id: sizes of results found so far.
    computed: Vec<Option<Bounds>>,
    /// By id.
    entries: Vec<Option<EntrySizes>>,
    /// Innermost last.
    locals: Vec<Local>,
}

/// An operand of a call.
struct Operand<'c> {
    path: Path,
    ty: Type,
    expr: &'c Expr,
    size: Option<Bounds>,
}

/// Cost of a call without its arguments, and size of its result.
struct CallEstimate {
    cost: Bounds,
    size: Option<Bounds>,
}

impl<'c> Estimator<'c> {
    fn cost(&mut self, expr: &'c Expr) -> Bounds {
        match &expr.kind {
            ExprKind::Literal(_) => Bounds::ZERO,
            ExprKind::Ident(name) => {
                let path = self.local(name).map_or_else(|| Path::from([name.clone()]), |local| local.path.clone());
                self.set_path(expr.id, path);
                Bounds::fixed(1)
            }
            ExprKind::Select { operand, field, test_only } => self.select(expr.id, operand, field, *test_only),
            ExprKind::Call { target, function, args } => self.call(expr, target.as_deref(), function, args),
            ExprKind::List { elements, .. } => self.list(expr.id, elements),
            ExprKind::Map { .. } => self.map(expr),
            ExprKind::Struct { fields, .. } => fields
                .iter()
                .fold(Bounds::ZERO, |sum, field| sum.plus(self.cost(&field.value)))
                .plus(Bounds::fixed(STRUCT_BASE)),
            ExprKind::Comprehension(fold) if is_binding(fold) => self.binding(expr.id, fold),
            ExprKind::Comprehension(fold) => self.comprehension(expr.id, fold),
        }
    }

    // --- what is known of nodes ---

    fn type_of(&self, expr: &Expr) -> &'c Type {
        self.checked.types.get(expr.id as usize).unwrap_or(&Type::Dyn)
    }

    fn local(&self, name: &str) -> Option<&Local> {
        self.locals.iter().rev().find(|local| local.name == name)
    }

    /// The local that an expression is the name of.
    fn named(&self, expr: &Expr) -> Option<&Local> {
        match &expr.kind {
            ExprKind::Ident(name) => self.local(name),
            _ => None,
        }
    }

    fn set_path(&mut self, id: ExprId, path: Path) {
        if let Some(slot) = self.paths.get_mut(id as usize) {
            *slot = path;
        }
    }

    fn path(&self, expr: &Expr) -> Path {
        match self.named(expr) {
            Some(local) => local.path.clone(),
            None => self.paths.get(expr.id as usize).cloned().unwrap_or_default(),
        }
    }

    fn set_size(&mut self, id: ExprId, size: Option<Bounds>) {
        if let Some(slot) = self.computed.get_mut(id as usize)
            && size.is_some()
        {
            *slot = size;
        }
    }

    fn set_entries(&mut self, id: ExprId, sizes: Option<EntrySizes>) {
        if let Some(slot) = self.entries.get_mut(id as usize)
            && sizes.is_some()
        {
            *slot = sizes;
        }
    }

    fn entry_sizes(&self, expr: &Expr) -> Option<EntrySizes> {
        let computed = self.entries.get(expr.id as usize).copied().flatten();
        computed.or_else(|| self.named(expr).and_then(|local| local.entries))
    }

    /// Size of a value: computed, written down, known from outside, given by its type, or that of a local.
    fn size(&mut self, expr: &Expr) -> Option<Bounds> {
        if let Some(size) = self.computed.get(expr.id as usize).copied().flatten() {
            return Some(size);
        }
        if let Some(size) = literal_size(expr) {
            return Some(Bounds::fixed(size));
        }
        let ty = self.type_of(expr);
        if let Some(size) = self.sizes.size(&self.path(expr), ty) {
            self.set_size(expr.id, Some(size));
            return Some(size);
        }
        if is_scalar(ty) {
            return Some(Bounds::fixed(1));
        }
        self.named(expr).and_then(|local| local.size)
    }

    fn size_or_unknown(&mut self, expr: &Expr) -> Bounds {
        self.size(expr).unwrap_or(Bounds::UNKNOWN)
    }

    fn operand(&mut self, expr: &'c Expr) -> Operand<'c> {
        let mut path = self.path(expr);
        if path.first().is_some_and(|root| ACCUMULATORS.contains(&root.as_str())) {
            path = Path::default();
        }
        Operand { path, ty: self.type_of(expr).clone(), expr, size: self.size(expr) }
    }

    // --- nodes ---

    fn select(&mut self, id: ExprId, operand: &'c Expr, field: &str, test_only: bool) -> Bounds {
        let cost = self.cost(operand);
        if test_only {
            // Kubernetes keeps presence tests free of charge.
            return cost;
        }
        let path = extended(&self.path(operand), field);
        self.set_path(id, path);
        match self.type_of(operand) {
            Type::Map(..) | Type::Struct(_) => cost.plus(Bounds::fixed(1)),
            _ => cost,
        }
    }

    fn list(&mut self, id: ExprId, elements: &'c [Expr]) -> Bounds {
        let mut cost = Bounds::fixed(LIST_BASE);
        let mut value = Bounds::new(if elements.is_empty() { 0 } else { u64::MAX }, 0);
        for element in elements {
            cost = cost.plus(self.cost(element));
            value = value.union(self.size_or_unknown(element));
        }
        self.set_entries(id, Some(EntrySizes { list: true, key: Bounds::fixed(1), value }));
        cost
    }

    fn map(&mut self, expr: &'c Expr) -> Bounds {
        let ExprKind::Map { entries } = &expr.kind else { return Bounds::ZERO };
        let mut cost = Bounds::fixed(MAP_BASE);
        let start = Bounds::new(if entries.is_empty() { 0 } else { u64::MAX }, 0);
        let (mut key, mut value) = (start, start);
        for entry in entries {
            cost = cost.plus(self.cost(&entry.key)).plus(self.cost(&entry.value));
            key = key.union(self.size_or_unknown(&entry.key));
            value = value.union(self.size_or_unknown(&entry.value));
        }
        self.set_entries(expr.id, Some(EntrySizes { list: false, key, value }));
        cost
    }

    fn binding(&mut self, id: ExprId, fold: &'c Comprehension) -> Bounds {
        let mut cost = self.cost(&fold.iter_range).plus(self.cost(&fold.accu_init));
        self.push_value(&fold.accu_var, &fold.accu_init);
        cost = cost.plus(self.cost(&fold.result));
        self.locals.pop();
        let size = self.size(&fold.result);
        self.set_size(id, size);
        self.set_entries(id, self.entry_sizes(&fold.result));
        cost
    }

    fn comprehension(&mut self, id: ExprId, fold: &'c Comprehension) -> Bounds {
        let mut cost = self.cost(&fold.iter_range).plus(self.cost(&fold.accu_init));
        self.push_value(&fold.accu_var, &fold.accu_init);
        match &fold.iter_var2 {
            Some(second) => {
                self.push_element(&fold.iter_var, &fold.iter_range, true);
                self.push_element(second, &fold.iter_range, false);
            }
            None => {
                let keys = !self.iterates_list(&fold.iter_range);
                self.push_element(&fold.iter_var, &fold.iter_range, keys);
            }
        }
        let round = self.cost(&fold.loop_condition).plus(self.cost(&fold.loop_step));
        self.locals.truncate(self.locals.len() - if fold.iter_var2.is_some() { 2 } else { 1 });
        cost = cost.plus(self.cost(&fold.result));
        self.locals.pop();
        let rounds = self.size_or_unknown(&fold.iter_range);
        match &fold.accu_init.kind {
            ExprKind::Literal(_) => {
                let size = self.size(&fold.accu_init);
                self.set_size(id, size);
            }
            ExprKind::List { .. } | ExprKind::Map { .. } => {
                self.set_size(id, Some(rounds));
                self.set_entries(id, self.entry_sizes(&fold.loop_step));
            }
            _ => {}
        }
        cost.plus(rounds.times(round))
    }

    fn push_value(&mut self, name: &str, value: &Expr) {
        let local = Local {
            name: name.to_owned(),
            path: self.path(value),
            size: self.size(value),
            entries: self.entry_sizes(value),
        };
        self.locals.push(local);
    }

    fn iterates_list(&self, range: &Expr) -> bool {
        self.entry_sizes(range).map_or_else(|| matches!(self.type_of(range), Type::List(_)), |sizes| sizes.list)
    }

    /// Brings in a loop variable: the key or index of each element, or the element.
    fn push_element(&mut self, name: &str, range: &Expr, key: bool) {
        let sizes = self.entry_sizes(range);
        let step = match (self.iterates_list(range), key) {
            (true, true) => "@indices",
            (true, false) => "@items",
            (false, true) => "@keys",
            (false, false) => "@values",
        };
        let size = sizes.map(|sizes| if key { sizes.key } else { sizes.value });
        let path = extended(&self.path(range), step);
        self.locals.push(Local { name: name.to_owned(), path, size, entries: None });
    }

    /// Ids of the overloads that a call may mean.
    fn overloads(&self, id: ExprId) -> &'c [&'static str] {
        match self.checked.references.get(id as usize) {
            Some(Some(Reference::Function { overloads, .. })) => overloads,
            _ => &[],
        }
    }
}

fn extended(path: &Path, step: &str) -> Path {
    path.iter().cloned().chain(std::iter::once(step.to_owned())).collect()
}

/// A fold over nothing that names a value.
fn is_binding(fold: &Comprehension) -> bool {
    matches!(&fold.iter_range.kind, ExprKind::List { elements, .. } if elements.is_empty())
        && fold.loop_condition.kind == ExprKind::Literal(Literal::Bool(false))
        && fold.accu_var != "__result__"
}

fn literal_size(expr: &Expr) -> Option<u64> {
    Some(match &expr.kind {
        ExprKind::Literal(Literal::String(text)) => text.chars().count() as u64,
        ExprKind::Literal(Literal::Bytes(bytes)) => bytes.len() as u64,
        ExprKind::Literal(_) => 1,
        ExprKind::List { elements, .. } => elements.len() as u64,
        ExprKind::Map { entries } => entries.len() as u64,
        _ => return None,
    })
}

/// Whether all values of a type have one size.
fn is_scalar(ty: &Type) -> bool {
    match ty {
        Type::Bool | Type::Double | Type::Duration | Type::Int | Type::Timestamp | Type::Uint => true,
        Type::Optional(inner) => is_scalar(inner),
        _ => false,
    }
}
