//! What the libraries share: declaring functions, counting costs, making strings and errors in the arena.

use std::fmt::{self, Write as _};

use crate::error::ErrorKind;
use crate::functions::{Call, CostFn, Function, NativeFn, Overload, Scope};
use crate::library::declarations::signature;
use crate::limits::MAX_EVALUATION_BYTES;
use crate::value::Value;

/// What a function answers.
pub(super) type Answer<'a> = Result<Value<'a>, ErrorKind<'a>>;

/// Cost of reading one character of a string (cel-go `StringTraversalCostFactor`).
const STRING_TRAVERSAL: f64 = 0.1;

/// Cost of one character of a pattern (cel-go `RegexStringLengthCostFactor`).
const PATTERN_LENGTH: f64 = 0.25;

/// Overloads as (id, signature) pairs; [`signature`] says how these are written. A test holds all tables to that.
pub(super) type Signatures = &'static [(&'static str, &'static str)];

/// A function with code.
pub(super) fn native(name: &'static str, overloads: Signatures, code: NativeFn, cost: CostFn) -> Function {
    declare(name, overloads, Call::Native(code), cost)
}

/// A function.
pub(super) fn declare(name: &'static str, overloads: Signatures, call: Call, cost: CostFn) -> Function {
    Function { name, overloads: overloads_of(overloads), call, cost }
}

fn overloads_of(overloads: Signatures) -> Vec<Overload> {
    overloads.iter().filter_map(|(id, text)| signature(id, text)).collect()
}

/// A failure in the words of the upstream library.
pub(super) fn fail<'a>(scope: &Scope<'a>, text: fmt::Arguments<'_>) -> ErrorKind<'a> {
    ErrorKind::Function(print(scope, text))
}

/// Formats into the arena.
pub(super) fn print<'a>(scope: &Scope<'a>, text: fmt::Arguments<'_>) -> &'a str {
    bumpalo::format!(in scope.arena, "{}", text).into_bump_str()
}

/// Refuses a result that no evaluation may hold, before it is made; what an evaluation holds in all is counted where
/// functions are called.
pub(super) fn reserve<'a>(bytes: usize) -> Result<(), ErrorKind<'a>> {
    if bytes > MAX_EVALUATION_BYTES { Err(ErrorKind::MemoryLimit) } else { Ok(()) }
}

/// A list result.
pub(super) fn list<'a>(scope: &Scope<'a>, items: impl ExactSizeIterator<Item = Value<'a>>) -> Answer<'a> {
    reserve(items.len().saturating_mul(size_of::<Value<'_>>()))?;
    Ok(Value::List(scope.arena.alloc_slice_fill_iter(items)))
}

/// Cost of reading something of a size `times` over.
pub(super) fn traversals(size: u64, times: f64) -> u64 {
    (size as f64 * times * STRING_TRAVERSAL).ceil() as u64
}

/// Reading argument 0 once.
pub(super) fn traverse_once(_: &str, args: &[Value<'_>], _: &Value<'_>) -> u64 {
    args.first().map_or(1, |v| traversals(v.cost_size(), 1.0))
}

/// Reading argument 0 twice: once to parse, once to make or compare the result.
pub(super) fn traverse_twice(_: &str, args: &[Value<'_>], _: &Value<'_>) -> u64 {
    args.first().map_or(1, |v| traversals(v.cost_size(), 2.0))
}

/// Matching argument 0 against the pattern in argument 1.
pub(super) fn pattern_cost(_: &str, args: &[Value<'_>], _: &Value<'_>) -> u64 {
    let [text, pattern, ..] = args else { return 1 };
    match_cost(text.cost_size(), pattern.cost_size())
}

/// Matching so many characters against a pattern of that length.
pub(super) fn match_cost(text: u64, pattern: u64) -> u64 {
    // One more than the text, so that an empty one still pays for the pattern.
    let text = ((1.0 + text as f64) * STRING_TRAVERSAL).ceil() as u64;
    text.saturating_mul((pattern as f64 * PATTERN_LENGTH).ceil() as u64)
}

/// Walking argument 0 as a tree.
pub(super) fn tree_cost(_: &str, args: &[Value<'_>], _: &Value<'_>) -> u64 {
    args.first().map_or(0, |v| tree(*v))
}

fn tree(value: Value<'_>) -> u64 {
    match value {
        Value::String(s) => (s.len() as f64 * STRING_TRAVERSAL) as u64,
        Value::Bytes(b) => (b.len() as f64 * STRING_TRAVERSAL) as u64,
        Value::List(l) => l.iter().map(|v| tree(*v)).sum(),
        Value::Object(o) => o.entries().iter().map(|e| tree(Value::String(e.key)) + tree(e.value)).sum(),
        Value::Map(m) => m.iter().map(|(k, v)| tree(*k) + tree(*v)).sum(),
        _ => 1,
    }
}

/// Go's `%q`: quoted, with what Go does not print escaped.
pub(super) struct Quoted<'s>(pub(super) &'s str);

/// Go's `%q` of a string that may have been cut inside a character.
pub(super) struct QuotedBytes<'s>(pub(super) &'s [u8]);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        QuotedBytes(self.0.as_bytes()).fmt(f)
    }
}

impl fmt::Display for QuotedBytes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        for chunk in self.0.utf8_chunks() {
            chunk.valid().chars().try_for_each(|c| write_escaped(f, c))?;
            chunk.invalid().iter().try_for_each(|b| write!(f, "\\x{b:02x}"))?;
        }
        f.write_char('"')
    }
}

fn write_escaped(f: &mut fmt::Formatter<'_>, c: char) -> fmt::Result {
    match c {
        '"' => f.write_str("\\\""),
        '\\' => f.write_str("\\\\"),
        '\x07' => f.write_str("\\a"),
        '\x08' => f.write_str("\\b"),
        '\x0C' => f.write_str("\\f"),
        '\n' => f.write_str("\\n"),
        '\r' => f.write_str("\\r"),
        '\t' => f.write_str("\\t"),
        '\x0B' => f.write_str("\\v"),
        ' '..='~' => f.write_char(c),
        c if c.is_ascii() => write!(f, "\\x{:02x}", u32::from(c)),
        c if printable(c) => f.write_char(c),
        c if u32::from(c) < 0x1_0000 => write!(f, "\\u{:04x}", u32::from(c)),
        c => write!(f, "\\U{:08x}", u32::from(c)),
    }
}

/// Whether Go's `unicode.IsPrint` holds: letters, marks, numbers, punctuation, symbols.
fn printable(c: char) -> bool {
    static CLASS: std::sync::LazyLock<Option<regex::Regex>> =
        std::sync::LazyLock::new(|| regex::Regex::new(r"^[\pL\pM\pN\pP\pS]$").ok());
    CLASS.as_ref().is_some_and(|class| class.is_match(c.encode_utf8(&mut [0; 4])))
}
