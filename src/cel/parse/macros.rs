//! Expansion of macros into folds, as cel-go (`parser/macro.go`, `ext/comprehensions.go`, `ext/lists.go`,
//! `ext/bindings.go`, `cel/library.go`) defines them: costs are counted on the expansion, so its shape is a contract.

use super::Syntax;
use super::builder::{Builder, Place, Stop};
use crate::ast::{Comprehension, Expr, ExprKind, Literal, MacroKind, operators};
use crate::source::Span;

/// Accumulator of every fold but bindings; `@` keeps it out of users' reach.
const ACCUMULATOR: &str = "@result";
/// The older name of the accumulator, which may not be a loop variable either.
const OLD_ACCUMULATOR: &str = "__result__";
/// Loop variable of a fold over nothing.
const UNUSED: &str = "#unused";
const SORT_INPUT: &str = "@__sortBy_input__";
const MAP_INSERT: &str = "cel.@mapInsert";

/// What became of a call.
pub(super) enum Expanded {
    /// It was a macro.
    Yes(Expr),
    /// It is an ordinary call; the parts are given back.
    No(Option<Expr>, Vec<Expr>),
}

/// Why a macro call was not expanded.
enum Failure {
    /// Parsing ends here.
    Stop(Stop),
    /// Its arguments are wrong: where and why.
    Fault(Span, String),
}

impl From<Stop> for Failure {
    fn from(stop: Stop) -> Self {
        Self::Stop(stop)
    }
}

/// Which macro a call is, by name, receiver and number of arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Macro {
    Has,
    Quantifier(MacroKind),
    Map,
    Filter,
    TransformList,
    TransformMap,
    TransformMapEntry,
    OptMap,
    OptFlatMap,
    SortBy,
    Bind,
}

fn find(syntax: Syntax, function: &str, target: Option<&Expr>, args: usize) -> Option<Macro> {
    let Some(target) = target else {
        return (function == "has" && args == 1).then_some(Macro::Has);
    };
    let one = args == 2;
    let two = args == 3 && syntax.two_variables;
    let transform = (args == 3 || args == 4) && syntax.two_variables;
    match function {
        "all" if one || two => Some(Macro::Quantifier(MacroKind::All)),
        "exists" if one || two => Some(Macro::Quantifier(MacroKind::Exists)),
        "exists_one" if one || two => Some(Macro::Quantifier(MacroKind::ExistsOne)),
        // cel-go knows the newer name with two variables only.
        "existsOne" if two => Some(Macro::Quantifier(MacroKind::ExistsOne)),
        "map" if one || args == 3 => Some(Macro::Map),
        "filter" if one => Some(Macro::Filter),
        "transformList" if transform => Some(Macro::TransformList),
        "transformMap" if transform => Some(Macro::TransformMap),
        "transformMapEntry" if transform => Some(Macro::TransformMapEntry),
        "optMap" if one && syntax.optionals => Some(Macro::OptMap),
        "optFlatMap" if one && syntax.optionals => Some(Macro::OptFlatMap),
        "sortBy" if one && syntax.sort_by => Some(Macro::SortBy),
        "bind" if args == 3 && syntax.bind && target.kind == ExprKind::Ident("cel".to_owned()) => Some(Macro::Bind),
        _ => None,
    }
}

/// Expands a call when it is a macro. A macro with wrong arguments is reported and stands for `null`.
pub(super) fn expand(
    builder: &mut Builder,
    syntax: Syntax,
    at: Place,
    function: &str,
    target: Option<Expr>,
    mut args: Vec<Expr>,
) -> Result<Expanded, Stop> {
    let Some(found) = find(syntax, function, target.as_ref(), args.len()) else {
        return Ok(Expanded::No(target, args));
    };
    let Some(last) = args.pop() else { return Ok(Expanded::No(target, args)) };
    let mut expansion = Expansion { builder, at };
    let outcome = match target {
        None => expansion.has(last),
        Some(target) => expansion.member(found, target, args, last),
    };
    match outcome {
        Ok(expr) => Ok(Expanded::Yes(expr)),
        Err(Failure::Stop(stop)) => Err(stop),
        Err(Failure::Fault(span, message)) => {
            builder.issue(span, message)?;
            Ok(Expanded::Yes(builder.constant(at, Literal::Null)?))
        }
    }
}

/// A macro being expanded.
struct Expansion<'b> {
    builder: &'b mut Builder,
    at: Place,
}

/// The names a fold binds to the elements.
struct Names {
    first: String,
    second: Option<String>,
}

/// The parts of a fold that differ between macros.
struct Fold {
    kind: MacroKind,
    accu: String,
    init: Expr,
    condition: Expr,
    step: Expr,
    result: Expr,
}

impl Expansion<'_> {
    fn has(&mut self, argument: Expr) -> Result<Expr, Failure> {
        let place = self.place(&argument);
        match argument.kind {
            ExprKind::Select { operand, field, test_only: false } => {
                let kind = ExprKind::Select { operand, field, test_only: true };
                Ok(self.builder.node(self.at.anchor, self.at.span, kind)?)
            }
            _ => Err(Failure::Fault(place, "invalid argument to has() macro".to_owned())),
        }
    }

    /// `target.macro(args…, last)`
    fn member(&mut self, found: Macro, target: Expr, mut args: Vec<Expr>, last: Expr) -> Result<Expr, Failure> {
        match found {
            Macro::Quantifier(kind) => {
                let names = self.names(&args, args.len() == 2, "argument must be a simple name")?;
                let fold = self.quantifier(kind, last)?;
                self.fold(target, names, fold)
            }
            Macro::Map => {
                let names = self.names(&args, false, "argument is not an identifier")?;
                let filter = if args.len() == 2 { args.pop() } else { None };
                let fold = self.gather_list(MacroKind::Map, filter, last)?;
                self.fold(target, names, fold)
            }
            Macro::Filter => {
                let names = self.names(&args, false, "argument is not an identifier")?;
                let element = args.pop().map_or_else(|| self.builder.ident(self.at, &names.first), Ok)?;
                let fold = self.gather_list(MacroKind::Filter, Some(last), element)?;
                self.fold(target, names, fold)
            }
            Macro::TransformList => {
                let names = self.names(&args, true, "argument must be a simple name")?;
                let filter = args.drain(2..).next();
                let fold = self.gather_list(MacroKind::TransformList, filter, last)?;
                self.fold(target, names, fold)
            }
            Macro::TransformMap | Macro::TransformMapEntry => {
                let names = self.names(&args, true, "argument must be a simple name")?;
                let filter = args.drain(2..).next();
                let key = (found == Macro::TransformMap).then_some(names.first.as_str());
                let fold = self.gather_map(key, filter, last)?;
                self.fold(target, names, fold)
            }
            Macro::OptMap | Macro::OptFlatMap => self.optional(found, target, &args, last),
            Macro::SortBy => self.sort_by(target, args, last),
            Macro::Bind => {
                let name = self.name(args.first(), "cel.bind() variable names must be simple identifiers")?;
                match args.pop() {
                    Some(value) => self.bind(MacroKind::Bind, name, value, last),
                    None => Ok(last),
                }
            }
            Macro::Has => Ok(target),
        }
    }

    /// Where messages about an argument point.
    fn place(&self, expr: &Expr) -> Span {
        let at = self.builder.anchors[expr.id as usize];
        Span::new(at, at.max(expr.span.end))
    }

    fn name(&self, argument: Option<&Expr>, otherwise: &str) -> Result<String, Failure> {
        match argument {
            Some(Expr { kind: ExprKind::Ident(name), .. }) => Ok(name.clone()),
            other => Err(Failure::Fault(other.map_or(self.at.span, |e| self.place(e)), otherwise.to_owned())),
        }
    }

    /// The loop variables that the first one or two arguments name.
    fn names(&self, args: &[Expr], two: bool, otherwise: &str) -> Result<Names, Failure> {
        let first = self.name(args.first(), otherwise)?;
        let second = if two { Some(self.name(args.get(1), otherwise)?) } else { None };
        let place = |i: usize| args.get(i).map_or(self.at.span, |e| self.place(e));
        if second.as_ref() == Some(&first) {
            return Err(Failure::Fault(place(1), format!("duplicate variable name: {first}")));
        }
        for (i, name) in std::iter::once(&first).chain(&second).enumerate() {
            if name == ACCUMULATOR || name == OLD_ACCUMULATOR {
                let message = "iteration variable overwrites accumulator variable".to_owned();
                return Err(Failure::Fault(place(i), message));
            }
        }
        Ok(Names { first, second })
    }

    fn accumulator(&mut self) -> Result<Expr, Stop> {
        self.builder.ident(self.at, ACCUMULATOR)
    }

    fn constant(&mut self, value: Literal) -> Result<Expr, Stop> {
        self.builder.constant(self.at, value)
    }

    fn call(&mut self, function: &str, args: Vec<Expr>) -> Result<Expr, Stop> {
        self.builder.call(self.at, function, args)
    }

    /// A fold into the usual accumulator, which is also its result.
    fn accumulate(&mut self, kind: MacroKind, init: Expr, condition: Expr, step: Expr) -> Result<Fold, Failure> {
        let result = self.accumulator()?;
        Ok(Fold { kind, accu: ACCUMULATOR.to_owned(), init, condition, step, result })
    }

    fn quantifier(&mut self, kind: MacroKind, predicate: Expr) -> Result<Fold, Failure> {
        let accu = self.accumulator()?;
        match kind {
            MacroKind::All => {
                let init = self.constant(Literal::Bool(true))?;
                let condition = self.call(operators::NOT_STRICTLY_FALSE, vec![accu])?;
                let accu = self.accumulator()?;
                let step = self.call(operators::LOGICAL_AND, vec![accu, predicate])?;
                self.accumulate(kind, init, condition, step)
            }
            MacroKind::Exists => {
                let init = self.constant(Literal::Bool(false))?;
                let not = self.call(operators::LOGICAL_NOT, vec![accu])?;
                let condition = self.call(operators::NOT_STRICTLY_FALSE, vec![not])?;
                let accu = self.accumulator()?;
                let step = self.call(operators::LOGICAL_OR, vec![accu, predicate])?;
                self.accumulate(kind, init, condition, step)
            }
            _ => {
                let init = self.constant(Literal::Int(0))?;
                let condition = self.constant(Literal::Bool(true))?;
                let one = self.constant(Literal::Int(1))?;
                let more = self.call(operators::ADD, vec![accu, one])?;
                let same = self.accumulator()?;
                let step = self.builder.conditional(self.at, predicate, more, same)?;
                let mut fold = self.accumulate(kind, init, condition, step)?;
                let one = self.constant(Literal::Int(1))?;
                fold.result = self.call(operators::EQUALS, vec![fold.result, one])?;
                Ok(fold)
            }
        }
    }

    /// `accu + [element]`, where the filter holds.
    fn gather_list(&mut self, kind: MacroKind, filter: Option<Expr>, element: Expr) -> Result<Fold, Failure> {
        let init = self.builder.list(self.at, Vec::new())?;
        let accu = self.accumulator()?;
        let single = self.builder.list(self.at, vec![element])?;
        let step = self.call(operators::ADD, vec![accu, single])?;
        self.gather(kind, init, filter, step)
    }

    /// `cel.@mapInsert(accu, key, value)` or, without a key, `cel.@mapInsert(accu, entries)`, where the filter holds.
    fn gather_map(&mut self, key: Option<&str>, filter: Option<Expr>, value: Expr) -> Result<Fold, Failure> {
        let init = self.builder.node(self.at.anchor, self.at.span, ExprKind::Map { entries: Vec::new() })?;
        let mut args = vec![self.accumulator()?];
        let kind = match key {
            Some(name) => {
                args.push(self.builder.ident(self.at, name)?);
                MacroKind::TransformMap
            }
            None => MacroKind::TransformMapEntry,
        };
        args.push(value);
        let step = self.call(MAP_INSERT, args)?;
        self.gather(kind, init, filter, step)
    }

    fn gather(&mut self, kind: MacroKind, init: Expr, filter: Option<Expr>, step: Expr) -> Result<Fold, Failure> {
        let condition = self.constant(Literal::Bool(true))?;
        let step = match filter {
            Some(filter) => {
                let same = self.accumulator()?;
                self.builder.conditional(self.at, filter, step, same)?
            }
            None => step,
        };
        self.accumulate(kind, init, condition, step)
    }

    fn fold(&mut self, range: Expr, names: Names, fold: Fold) -> Result<Expr, Failure> {
        let comprehension = Comprehension {
            macro_name: fold.kind,
            iter_range: range,
            iter_var: names.first,
            iter_var2: names.second,
            accu_var: fold.accu,
            accu_init: fold.init,
            loop_condition: fold.condition,
            loop_step: fold.step,
            result: fold.result,
        };
        let kind = ExprKind::Comprehension(Box::new(comprehension));
        Ok(self.builder.node(self.at.anchor, self.at.span, kind)?)
    }

    /// A fold over nothing whose accumulator names a value.
    fn bind(&mut self, kind: MacroKind, name: String, value: Expr, result: Expr) -> Result<Expr, Failure> {
        let range = self.builder.list(self.at, Vec::new())?;
        let condition = self.constant(Literal::Bool(false))?;
        let step = self.builder.ident(self.at, &name)?;
        let names = Names { first: UNUSED.to_owned(), second: None };
        self.fold(range, names, Fold { kind, accu: name, init: value, condition, step, result })
    }

    /// `target.hasValue() ? optional.of(bind name = target.value() in result) : optional.none()`
    fn optional(&mut self, found: Macro, target: Expr, args: &[Expr], result: Expr) -> Result<Expr, Failure> {
        let flat = found == Macro::OptFlatMap;
        let macro_name = if flat { "optFlatMap" } else { "optMap" };
        let name = self.name(args.first(), &format!("{macro_name}() variable name must be a simple identifier"))?;
        let again = self.builder.copy(&target)?;
        let test = self.builder.member_call(self.at, target, "hasValue", Vec::new())?;
        let value = self.builder.member_call(self.at, again, "value", Vec::new())?;
        let mut some = self.bind(MacroKind::Bind, name, value, result)?;
        if !flat {
            some = self.call("optional.of", vec![some])?;
        }
        let none = self.call("optional.none", Vec::new())?;
        Ok(self.builder.conditional(self.at, test, some, none)?)
    }

    /// `bind input = target in input.@sortByAssociatedKeys(input.map(name, key))`
    fn sort_by(&mut self, target: Expr, args: Vec<Expr>, key: Expr) -> Result<Expr, Failure> {
        if matches!(target.kind, ExprKind::Literal(_) | ExprKind::Map { .. } | ExprKind::Struct { .. }) {
            let message = "sortBy can only be applied to a list, identifier, comprehension, call or select expression";
            return Err(Failure::Fault(self.place(&target), message.to_owned()));
        }
        let input = self.builder.ident(self.at, SORT_INPUT)?;
        let keys = self.member(Macro::Map, input, args, key)?;
        let input = self.builder.ident(self.at, SORT_INPUT)?;
        let sorted = self.builder.member_call(self.at, input, "@sortByAssociatedKeys", vec![keys])?;
        self.bind(MacroKind::SortBy, SORT_INPUT.to_owned(), target, sorted)
    }
}
