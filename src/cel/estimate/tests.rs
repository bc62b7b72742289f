//! Estimates of the language's own functions; cel-go with the API server's estimator gives the same numbers.

use super::{Bounds, Sizes, UnknownSizes, estimate};
use crate::check::check;
use crate::env::Env;
use crate::functions::{Call, Function, constant_cost};
use crate::library::declarations::standard_functions;
use crate::parse::parse;
use crate::types::Type;

/// Sizes of the variables of these tests.
struct Known;

impl Sizes for Known {
    fn size(&self, path: &[String], _: &Type) -> Option<Bounds> {
        let (min, max) = match path.join(".").as_str() {
            "s" => (0, 30),
            "l" => (0, 10),
            "ls" => (1, 20),
            "ls.@items" => (2, 30),
            "m" => (0, 7),
            "m.@keys" => (1, 9),
            "lm" => (3, 5),
            "x.a" => (4, 8),
            _ => return None,
        };
        Some(Bounds::new(min, max))
    }
}

fn env() -> Env {
    let function = |(name, overloads)| Function { name, overloads, call: Call::Operator, cost: constant_cost };
    Env::empty()
        .functions(standard_functions().into_iter().map(function).collect())
        .variable("x", Type::Dyn)
        .variable("s", Type::String)
        .variable("l", Type::list(Type::Int))
        .variable("ls", Type::list(Type::String))
        .variable("m", Type::map(Type::String, Type::Int))
        .variable("b", Type::Bool)
        .variable("lm", Type::list(Type::map(Type::String, Type::String)))
}

fn bounds(text: &str, sizes: &dyn Sizes) -> Bounds {
    let env = env();
    let checked = parse(text, env.language.syntax).and_then(|ast| check(&env, ast)).unwrap();
    estimate(&checked, sizes)
}

#[test]
fn costs_are_bounded_as_upstream_bounds_them() {
    for (text, min, max) in ESTIMATES {
        assert_eq!(bounds(text, &Known), Bounds::new(*min, *max), "{text}");
    }
}

#[test]
fn what_nothing_bounds_costs_the_most_there_is() {
    assert_eq!(bounds("l.all(e, e > 1)", &UnknownSizes), Bounds::new(2, u64::MAX));
    assert_eq!(bounds("s == s", &UnknownSizes), Bounds::new(3, 1_844_674_407_370_955_266));
}

#[test]
fn the_deepest_trees_fit_a_threads_stack() {
    let sum = vec!["1"; 251].join("+");
    assert_eq!(bounds(&sum, &UnknownSizes), Bounds::fixed(250));
    let nested = format!("{}1{}", "[1].map(x,".repeat(100), ")".repeat(100));
    assert_eq!(bounds(&nested, &UnknownSizes).min, bounds(&nested, &UnknownSizes).max);
    let chain = format!("x{}", ".a".repeat(250));
    assert_eq!(bounds(&chain, &UnknownSizes), Bounds::fixed(1));
}

#[rustfmt::skip]
const ESTIMATES: &[(&str, u64, u64)] = &[
    ("1", 0, 0),
    ("s", 1, 1),
    ("s == 'abc'", 2, 2),
    ("x.a.b", 1, 1),
    ("x.a == x.b", 3, 3),
    ("m.a", 2, 2),
    ("has(m.a)", 1, 1),
    ("has(x.a.b)", 1, 1),
    ("[1, 2, 3]", 10, 10),
    ("{'a': s, 'b': 'c'}", 31, 31),
    ("l + [1]", 12, 12),
    ("s + 'abc'", 2, 5),
    ("b ? s : 'abcdefghij'", 1, 2),
    ("(b ? [s] : ['a', 'b'])[0] == s", 14, 17),
    ("b && s == 'a' || b", 1, 4),
    ("l.all(e, e > 1)", 2, 52),
    ("ls.exists(e, e == 'abc')", 6, 122),
    ("ls.map(e, e + 'x')", 26, 352),
    ("ls.filter(e, e.startsWith('abc')).size()", 16, 313),
    ("m.all(k, k == 'a')", 2, 37),
    ("lm.all(e, e.all(k, e[k] == 'a'))", 11, u64::MAX),
    ("s.matches('a+b')", 2, 5),
    ("s.contains('abc')", 1, 4),
    ("'abc' in ls", 2, 21),
    ("bytes(s) == b'abc'", 2, 5),
    ("string(bytes(s))", 1, 16),
    ("dyn(s) == 'abc'", 3, 3),
    ("l.exists_one(e, e == 1)", 3, 43),
    ("m.map(k, m[k])", 12, 117),
    ("x.all(e, e == 1)", 2, u64::MAX),
    ("ls.all(i, v, v.size() > i)", 5, 142),
    ("size(ls)", 2, 2),
    ("[[1], [2, 3]][0] == [1]", 42, 42),
    ("timestamp(s) > timestamp('2020-01-01T00:00:00Z')", 4, 4),
    ("l.map(e, [e]).map(f, f[0])", 23, 393),
    ("ls[0] == s", 4, 6),
    ("m['a'] == 1", 3, 3),
];
