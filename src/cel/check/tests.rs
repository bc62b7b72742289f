//! What the checker says: the type, or place and text of every fault. cel-go 0.26 in the API server's environment says
//! the same to all of these.

use std::sync::Arc;

use super::check;
use super::format::Shown;
use crate::env::{Env, Language, StructProvider};
use crate::functions::{Call, Function, constant_cost};
use crate::library::declarations::standard_functions;
use crate::parse::parse;
use crate::types::Type;

fn declared(name: &'static str, overloads: Vec<crate::functions::Overload>) -> Function {
    Function { name, overloads, call: Call::Operator, cost: constant_cost }
}

fn env() -> Env {
    let functions = standard_functions().into_iter().map(|(name, overloads)| declared(name, overloads)).collect();
    let list = Type::list;
    Env::empty()
        .functions(functions)
        .variable("x", Type::Dyn)
        .variable("s", Type::String)
        .variable("i", Type::Int)
        .variable("l", list(Type::Int))
        .variable("m", Type::map(Type::String, Type::Int))
        .variable("o", Type::optional(Type::String))
        .variable("t", Type::Timestamp)
        .variable("d", Type::Duration)
        .variable("n", Type::Null)
        .variable("ll", list(Type::Dyn))
        .variable("ld", list(list(Type::String)))
        .variable("b", Type::Bool)
        .variable("by", Type::Bytes)
}

/// The type, or all faults with their places.
fn verdict(env: &Env, text: &str) -> String {
    let checked = parse(text, env.language.syntax).and_then(|ast| check(env, ast));
    match checked {
        Ok(checked) => Shown(checked.output_type()).to_string(),
        Err(issues) => {
            let shown = |issue: &crate::issues::Issue| {
                format!("{} {}", issues.source.position(issue.span.start), issue.message)
            };
            issues.list.iter().map(shown).collect::<Vec<_>>().join(" | ")
        }
    }
}

#[test]
fn types_and_faults_are_those_of_cel_go() {
    let env = env();
    for (text, expected) in VERDICTS {
        assert_eq!(verdict(&env, text), *expected, "{text}");
    }
}

#[rustfmt::skip]
const VERDICTS: &[(&str, &str)] = &[
    ("1+'a'", "1:2 found no matching overload for '_+_' applied to '(int, string)'"),
    ("y", "1:1 undeclared reference to 'y' (in container '')"),
    ("y.z", "1:1 undeclared reference to 'y' (in container '')"),
    ("y.z()", "1:1 undeclared reference to 'y' (in container '') | 1:4 undeclared reference to 'z' (in container '')"),
    ("s.foo", "1:2 type 'string' does not support field selection"),
    ("s.foo()", "1:6 undeclared reference to 'foo' (in container '')"),
    ("foo(1)", "1:4 undeclared reference to 'foo' (in container '')"),
    ("i.x", "1:2 type 'int' does not support field selection"),
    ("m.x", "int"),
    ("l.x", "1:2 type 'list(int)' does not support field selection"),
    ("x.y.z", "dyn"),
    ("[1,'a']", "1:4 expected type 'int' but found 'string'"),
    ("{1:2,'a':'b'}", "1:6 expected type 'int' but found 'string' | 1:10 expected type 'int' but found 'string'"),
    ("{'a':1,'b':'c'}", "1:12 expected type 'int' but found 'string'"),
    ("[1,dyn('a')]", "1:7 expected type 'int' but found 'dyn'"),
    ("[1,2.0]", "1:4 expected type 'int' but found 'double'"),
    ("[x,1]", "1:4 expected type 'dyn' but found 'int'"),
    ("[1,x]", "1:4 expected type 'int' but found 'dyn'"),
    ("l==m", "1:2 found no matching overload for '_==_' applied to '(list(int), map(string, int))'"),
    ("s==1", "1:2 found no matching overload for '_==_' applied to '(string, int)'"),
    ("1==1.0", "1:2 found no matching overload for '_==_' applied to '(int, double)'"),
    ("1==1u", "1:2 found no matching overload for '_==_' applied to '(int, uint)'"),
    ("1<1.0", "bool"),
    ("1<1u", "bool"),
    ("n==s", "1:2 found no matching overload for '_==_' applied to '(null, string)'"),
    ("n==l", "1:2 found no matching overload for '_==_' applied to '(null, list(int))'"),
    ("null==1", "1:5 found no matching overload for '_==_' applied to '(null, int)'"),
    ("null==t", "bool"),
    ("s==null", "1:2 found no matching overload for '_==_' applied to '(string, null)'"),
    ("o==null", "bool"),
    ("l==null", "1:2 found no matching overload for '_==_' applied to '(list(int), null)'"),
    ("type(1)==int", "bool"),
    ("type(l)==list", "bool"),
    ("type(m)==map", "bool"),
    ("type(t)==google.protobuf.Timestamp", "bool"),
    ("int", "type(int)"),
    ("list", "type(list(dyn))"),
    ("[int,string]", "1:6 expected type 'type(int)' but found 'type(string)'"),
    ("type(type(1))", "type(type(int))"),
    ("o.x", "1:2 type 'string' does not support field selection"),
    ("s.matches(s)", "bool"),
    ("[].map(x,x)", "list(dyn)"),
    ("[[]]", "list(list(dyn))"),
    ("[]==[1]", "bool"),
    ("[]+['a']", "list(string)"),
    ("[1]+['a']", "1:4 found no matching overload for '_+_' applied to '(list(int), list(string))'"),
    ("l.map(e,e+'a')", "1:10 found no matching overload for '_+_' applied to '(int, string)'"),
    ("l.all(e,e)", "1:9 expected type 'bool' but found 'int'"),
    ("s.all(e,true)", "1:1 expression of type 'string' cannot be range of a comprehension (must be list, map, or dynamic)"),
    ("m.all(k,k=='a')", "bool"),
    ("m.all(k,k==1)", "1:10 found no matching overload for '_==_' applied to '(string, int)'"),
    ("l.all(i,v,i==v)", "bool"),
    ("m.all(k,v,k==v)", "1:12 found no matching overload for '_==_' applied to '(string, int)'"),
    ("l.exists_one(e,1)", "1:13 found no matching overload for '_?_:_' applied to '(int, int, int)'"),
    ("l.filter(e,e)", "1:9 found no matching overload for '_?_:_' applied to '(int, list(int), list(int))'"),
    ("l.map(e,[e]).map(f,f[0]+1)", "list(int)"),
    ("x.all(e,e.foo)", "bool"),
    ("true ? 1 : 'a'", "1:6 found no matching overload for '_?_:_' applied to '(bool, int, string)'"),
    ("b ? x : 1", "dyn"),
    ("1 ? 1 : 1", "1:3 found no matching overload for '_?_:_' applied to '(int, int, int)'"),
    ("i && b", "1:1 expected type 'bool' but found 'int'"),
    ("b && b && i", "1:11 expected type 'bool' but found 'int'"),
    ("!i", "1:1 found no matching overload for '!_' applied to '(int)'"),
    ("-s", "1:1 found no matching overload for '-_' applied to '(string)'"),
    ("l[0]", "int"),
    ("l['a']", "1:2 found no matching overload for '_[_]' applied to '(list(int), string)'"),
    ("m[1]", "1:2 found no matching overload for '_[_]' applied to '(map(string, int), int)'"),
    ("m['a']", "int"),
    ("x[0]", "dyn"),
    ("1 in l", "bool"),
    ("'a' in l", "1:5 found no matching overload for '@in' applied to '(string, list(int))'"),
    ("'a' in m", "bool"),
    ("1 in m", "1:3 found no matching overload for '@in' applied to '(int, map(string, int))'"),
    ("1 in x", "bool"),
    ("s in s", "1:3 found no matching overload for '@in' applied to '(string, string)'"),
    ("size(l)", "int"),
    ("size(1)", "1:5 found no matching overload for 'size' applied to '(int)'"),
    ("l.size()", "int"),
    ("1.size()", "1:7 found no matching overload for 'size' applied to 'int.()'"),
    ("s.size(1)", "1:7 found no matching overload for 'size' applied to 'string.(int)'"),
    ("Foo{a:1}", "1:4 undeclared reference to 'Foo' (in container '')"),
    ("int{a:1}", "1:4 'int' is not a message type | 1:6 unexpected failed resolution of 'int'"),
    ("s{}", "1:2 'string' is not a type"),
    ("dyn(1).foo", "dyn"),
    ("dyn", "1:1 undeclared reference to 'dyn' (in container '')"),
    ("has(s.x)", "1:4 type 'string' does not support field selection"),
    ("has(m.x)", "bool"),
    ("has(x.y)", "bool"),
    ("has(l.x)", "1:4 type 'list(int)' does not support field selection"),
    ("l.transformList(i,v,v)", "list(int)"),
    ("'a'.foo.bar", "1:4 type 'string' does not support field selection"),
    ("t-t", "duration"),
    ("t+d", "timestamp"),
    ("t-1", "1:2 found no matching overload for '_-_' applied to '(timestamp, int)'"),
    ("d.getHours()", "int"),
    ("t.getHours('UTC')", "int"),
    ("t.getHours(1)", "1:11 found no matching overload for 'getHours' applied to 'timestamp.(int)'"),
    ("string(l)", "1:7 found no matching overload for 'string' applied to '(list(int))'"),
    ("int('1')", "int"),
    ("uint(t)", "1:5 found no matching overload for 'uint' applied to '(timestamp)'"),
    ("bool(1)", "1:5 found no matching overload for 'bool' applied to '(int)'"),
    ("type(x)", "type(dyn)"),
    ("x==y.z", "1:4 undeclared reference to 'y' (in container '')"),
    ("1+y", "1:3 undeclared reference to 'y' (in container '')"),
    ("y+z", "1:1 undeclared reference to 'y' (in container '') | 1:3 undeclared reference to 'z' (in container '')"),
    ("(1+'a')+'b'", "1:3 found no matching overload for '_+_' applied to '(int, string)'"),
    ("[y,z]", "1:2 undeclared reference to 'y' (in container '') | 1:4 undeclared reference to 'z' (in container '')"),
    ("{y:z}", "1:2 undeclared reference to 'y' (in container '') | 1:4 undeclared reference to 'z' (in container '')"),
    ("a.b.c.d(e)", "1:1 undeclared reference to 'a' (in container '') | 1:8 undeclared reference to 'd' (in container '') | 1:9 undeclared reference to 'e' (in container '')"),
    ("[1,2,'x',true]", "1:6 expected type 'int' but found 'string'"),
    ("[[1],['a']]", "1:6 expected type 'list(int)' but found 'list(string)'"),
    ("[{'a':1},{'a':'b'}]", "1:10 expected type 'map(string, int)' but found 'map(string, string)'"),
    ("google.protobuf.Timestamp", "type(timestamp)"),
    ("google.protobuf", "1:1 undeclared reference to 'google' (in container '')"),
    ("math.greatest(1,2)", "1:1 undeclared reference to 'math' (in container '') | 1:14 undeclared reference to 'greatest' (in container '')"),
    ("cel.bind(a,1,a)", "1:1 undeclared reference to 'cel' (in container '') | 1:9 undeclared reference to 'bind' (in container '') | 1:10 undeclared reference to 'a' (in container '') | 1:14 undeclared reference to 'a' (in container '')"),
    ("1/0", "int"),
    ("1.0 % 2.0", "1:5 found no matching overload for '_%_' applied to '(double, double)'"),
    ("b + b", "1:3 found no matching overload for '_+_' applied to '(bool, bool)'"),
    ("b < b", "bool"),
    ("l < l", "1:3 found no matching overload for '_<_' applied to '(list(int), list(int))'"),
    ("'a' < 1", "1:5 found no matching overload for '_<_' applied to '(string, int)'"),
    ("by + s", "1:4 found no matching overload for '_+_' applied to '(bytes, string)'"),
    ("[ ].all(e, e.x)", "bool"),
    ("{}.all(e,e==1)", "bool"),
    ("{}.x", "dyn"),
    ("{}", "map(dyn, dyn)"),
    ("[]", "list(dyn)"),
    ("[[],[1]]", "list(list(int))"),
    ("[1, null]", "1:5 expected type 'int' but found 'null'"),
    ("[t, null]", "1:5 expected type 'timestamp' but found 'null'"),
    ("{'a':null,'b':1}", "1:15 expected type 'null' but found 'int'"),
    ("b ? [] : [1]", "list(int)"),
    ("b ? null : t", "null"),
    ("b ? 1 : null", "1:3 found no matching overload for '_?_:_' applied to '(bool, int, null)'"),
    ("x ? 1 : 2", "int"),
    ("x && y", "1:6 undeclared reference to 'y' (in container '')"),
    ("m.exists(k, m[k] == 'a')", "1:18 found no matching overload for '_==_' applied to '(int, string)'"),
    ("l.map(i, i > 0, 'a')", "list(string)"),
    ("l.map(i, i, 'a')", "1:6 found no matching overload for '_?_:_' applied to '(int, list(string), list(string))'"),
    ("int('a') + s", "1:10 found no matching overload for '_+_' applied to '(int, string)'"),
    ("s.startsWith(1)", "1:13 found no matching overload for 'startsWith' applied to 'string.(int)'"),
    ("startsWith(s,'a')", "1:11 found no matching overload for 'startsWith' applied to '(string, string)'"),
    ("s.matches", "1:2 type 'string' does not support field selection"),
    ("x.y()", "1:4 undeclared reference to 'y' (in container '')"),
    ("s.x.y.z()", "1:2 type 'string' does not support field selection | 1:8 undeclared reference to 'z' (in container '')"),
];

#[derive(Debug)]
struct Pods;

impl StructProvider for Pods {
    fn has_struct(&self, name: &str) -> bool {
        matches!(name, "a.Pod" | "a.Spec")
    }

    fn field(&self, structure: &str, field: &str) -> Option<Type> {
        match (structure, field) {
            ("a.Pod", "spec") => Some(Type::structure("a.Spec")),
            ("a.Pod", "labels") => Some(Type::map(Type::String, Type::String)),
            ("a.Spec", "replicas") => Some(Type::Int),
            _ => None,
        }
    }

    fn constructible(&self, name: &str) -> bool {
        name == "a.Pod"
    }
}

fn pods() -> Env {
    env()
        .structs(Arc::new(Pods))
        .variable("pod", Type::structure("a.Pod"))
        .variable("a.q", Type::Int)
        .lazy_variables(vec![("first".to_owned(), Type::Int), ("second".to_owned(), Type::Dyn)])
        .named_type(Type::opaque("net.IP"))
}

#[test]
fn fields_of_structs_and_lazy_variables_are_typed() {
    let env = pods();
    for (text, expected) in [
        ("pod.spec.replicas", "int"),
        ("pod.?spec.replicas", "optional_type(int)"),
        ("has(pod.spec.replicas)", "bool"),
        ("pod.spec.x", "1:9 undefined field 'x'"),
        ("has(pod.x)", "1:4 undefined field 'x'"),
        ("pod.labels.x", "string"),
        ("pod == null", "bool"),
        ("variables.first", "int"),
        ("variables.second.x", "dyn"),
        ("variables.third", "1:10 undefined field 'third'"),
        ("type(pod) == a.Pod", "bool"),
        ("net.IP", "type(net.IP)"),
        ("a.Pod{labels: {'a': 'b'}}", "a.Pod"),
        (
            "a.Pod{labels: 1, x: 2}",
            "1:13 expected type of field 'labels' is 'map(string, string)' but provided type is 'int' | \
             1:19 undefined field 'x'",
        ),
        ("a.Spec{}", "1:7 undeclared reference to 'a.Spec' (in container '')"),
        ("a.q + 1", "int"),
        ("a.r", "1:1 undeclared reference to 'a' (in container '')"),
    ] {
        assert_eq!(verdict(&env, text), expected, "{text}");
    }
}

#[test]
fn names_resolve_in_the_container_first() {
    let env = pods().container("a.b").variable("a.b.x", Type::String);
    for (text, expected) in [
        ("x", "string"),
        (".x", "dyn"),
        ("q", "int"),
        ("Pod{}.spec.replicas", "int"),
        ("l.map(x, x)", "list(string)"),
        ("l.all(y, y > 0)", "bool"),
        ("y", "1:1 undeclared reference to 'y' (in container 'a.b')"),
    ] {
        assert_eq!(verdict(&env, text), expected, "{text}");
    }
}

#[test]
fn literals_may_mix_types_where_the_language_allows_it() {
    let env = env().language(Language::EXTENDED);
    assert_eq!(verdict(&env, "[1, 'a']"), "list(dyn)");
    assert_eq!(verdict(&env, "{1: 2, 'a': 'b'}"), "map(dyn, dyn)");
    let strict = env.language(Language { mixed_comparisons: false, ..Language::EXTENDED });
    assert_eq!(verdict(&strict, "1 < 2.0"), "1:3 found no matching overload for '_<_' applied to '(int, double)'");
    assert_eq!(verdict(&strict, "1 < 2"), "bool");
}

#[test]
fn constants_that_always_fail_are_faults() {
    let env = env();
    assert_eq!(verdict(&env, "s.matches('(')"), "1:11 invalid matches argument");
    assert_eq!(verdict(&env, "s.matches(s) && s.matches('a+')"), "bool");
}

#[test]
fn constants_are_checked_with_the_libraries_of_kubernetes() {
    let env = Env::kubernetes().variable("x", Type::Dyn).variable("l", Type::list(Type::Int));
    for (text, expected) in [
        ("duration('1h') > duration('1x')", "1:27 invalid duration argument"),
        ("timestamp('2020')", "1:11 invalid timestamp argument"),
        ("timestamp('2020-01-01T00:00:00Z') == timestamp(0)", "bool"),
        ("type(ip('::1')) == net.IP", "bool"),
        ("quantity('1').x", "1:14 unexpected failed resolution of 'kubernetes.Quantity'"),
        ("'%s %d %%'.format(['a', 1])", "string"),
        ("'%s'.format([[1, 'a', {2: x}]])", "string"),
        ("'%s'.format([1, 'a'])", "1:12 too many arguments supplied to string.format (expected 1, got 2)"),
        ("'%d %d'.format([1])", "1:15 index 1 out of range"),
        ("'%d%'.format([1])", "1:13 unexpected end of string"),
        (
            "'%d'.format(['a'])",
            "1:14 error during formatting: decimal clause can only be used on integers, was given string",
        ),
        (
            "'%s'.format([[1, ip('::1')]])",
            "1:20 error during formatting: string clause can only be used on strings, bools, bytes, ints, doubles, \
             maps, lists, types, durations, and timestamps, was given net.IP",
        ),
        ("'%E'.format([0.5])", "1:12 could not parse formatting clause: unrecognized formatting clause \"E\""),
        ("l.sortBy(e, -e)", "list(int)"),
        ("l.transformMapEntry(i, v, {v: i})", "map(int, int)"),
        ("optional.of(1).optMap(v, v + 1)", "optional_type(int)"),
        (
            "cel.bind(a, 1, a)",
            "1:1 undeclared reference to 'cel' (in container '') | 1:9 undeclared reference to 'bind' (in container '') \
             | 1:10 undeclared reference to 'a' (in container '') | 1:16 undeclared reference to 'a' (in container '')",
        ),
    ] {
        assert_eq!(verdict(&env, text), expected, "{text}");
    }
}

#[test]
fn a_type_that_doubles_with_each_macro_is_refused() {
    let doubling: String = (0..40).map(|i| format!(".map(v{i}, {{v{i}: v{i}}})")).collect();
    let found = verdict(&env(), &format!("[1]{doubling}"));
    assert!(found.contains("type of the expression has more than 1000 parts"), "{found}");
}

#[test]
fn variables_that_multiply_each_other_end_in_a_verdict() {
    let env = env();
    for outermost_first in [true, false] {
        let mut tests: Vec<_> =
            (0..40).map(|i| format!("a{i} == {{a{0}: a{0}}} && b{i} == {{b{0}: b{0}}}", i + 1)).collect();
        if !outermost_first {
            tests.reverse();
        }
        let loops = (0..=40).rev().fold(format!("{} && a0 == b0", tests.join(" && ")), |inner, i| {
            format!("[].all(a{i}, [].all(b{i}, {inner}))")
        });
        let found = verdict(&env, &loops);
        let refused = ["has more than 1000 parts", "found no matching overload for '_==_'"];
        assert!(refused.iter().any(|text| found.contains(text)), "{found}");
    }
}

#[test]
fn more_faults_than_the_limit_are_counted() {
    let found = verdict(&env(), &format!("[{}]", vec!["y"; 300].join(",")));
    assert!(found.ends_with("201 more errors were truncated"), "{found}");
}

#[test]
fn the_deepest_trees_fit_a_threads_stack() {
    let nest = |open: &str, n: usize, close: &str| format!("{}1{}", open.repeat(n), close.repeat(n));
    for text in [
        vec!["1"; 251].join("+"),
        nest("[", 249, "]"),
        nest("size([", 120, "])"),
        nest("[1].map(x,", 100, ")"),
        format!("x{}", ".a".repeat(250)),
        format!("{}1", "true?1:".repeat(249)),
        vec!["b"; 10_000].join("&&"),
    ] {
        let found = verdict(&env(), &text);
        assert!(!found.contains(' '), "{found}");
    }
}
