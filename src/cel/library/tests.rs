//! Tests of the libraries through whole expressions, as a policy author meets them.

use std::collections::HashSet;

use bumpalo::Bump;

use super::{authz, jsonpatch, kubernetes};
use crate::functions::{Call, Function, Scope};
use crate::render::Shown;
use crate::value::Value;
use crate::{Env, Evaluation, Symbols};

/// Value as text, or the error; a list of texts with quotes, so that its elements can be told apart.
pub(super) fn answer(expression: &str) -> Result<String, String> {
    let env = Env::kubernetes().functions(jsonpatch::functions());
    let (arena, mut symbols) = (Bump::new(), Symbols::new());
    let program = env.compile(expression, &mut symbols).map_err(|issues| issues.list[0].message.clone())?;
    let scope = Scope { arena: &arena, symbols: &symbols, authorizer: None, host: None };
    let outcome = Evaluation::new(scope, &[], &[]).evaluate(&program, 1_000_000);
    outcome.result.map(|value| text(value)).map_err(|error| error.kind.to_string())
}

fn text(value: Value<'_>) -> String {
    match value {
        Value::List(items) => format!("[{}]", items.iter().map(|v| quoted(*v)).collect::<Vec<_>>().join(", ")),
        other => Shown(other).to_string(),
    }
}

fn quoted(value: Value<'_>) -> String {
    match value {
        Value::String(s) => format!("{s:?}"),
        other => text(other),
    }
}

/// Checks a table of expressions and their values.
pub(super) fn values(rows: &[(&str, &str)]) {
    for (expression, expected) in rows {
        assert_eq!(answer(expression), Ok((*expected).to_owned()), "{expression}");
    }
}

/// Checks a table of expressions and their errors.
pub(super) fn errors(rows: &[(&str, &str)]) {
    for (expression, expected) in rows {
        assert_eq!(answer(expression), Err((*expected).to_owned()), "{expression}");
    }
}

#[test]
fn overload_ids_are_distinct_and_every_function_has_one() {
    let mut seen = HashSet::new();
    for function in kubernetes().into_iter().chain(jsonpatch::functions()) {
        assert!(!function.overloads.is_empty(), "{}: a signature cannot be read", function.name);
        for overload in &function.overloads {
            assert!(seen.insert(overload.id), "{}: {} occurs twice", function.name, overload.id);
        }
    }
}

/// Values of every type, odd ones among them.
fn samples<'a>(scope: &Scope<'a>) -> Vec<Value<'a>> {
    let arena = scope.arena;
    let mut samples = vec![
        Value::Null,
        Value::Bool(true),
        Value::Int(0),
        Value::Int(-1),
        Value::Int(2),
        Value::Int(i64::MAX),
        Value::Int(i64::MIN),
        Value::Uint(u64::MAX),
        Value::Double(f64::NAN),
        Value::Double(1e300),
        Value::Bytes(b"\xff"),
        Value::Duration(i64::MIN),
        Value::Type("int"),
        Value::Optional(None),
        Value::List(&[]),
    ];
    let texts = [
        "",
        "é",
        "a/b.c",
        "%.3f%s",
        "(",
        "1.2.3",
        "1e999999999",
        "-1.5Ki",
        "10.0.0.0/8",
        "::1",
        "http://[::1]:80/?a=%zz",
    ];
    samples.extend(texts.map(Value::String));
    let mixed = arena.alloc_slice_copy(&samples);
    let strings = arena.alloc_slice_copy(&samples[samples.len() - texts.len()..]);
    let nested = arena.alloc([Value::List(mixed), Value::List(strings)]);
    samples.extend([Value::List(mixed), Value::List(strings), Value::List(nested)]);
    samples.push(authz::authorizer(arena));
    samples.push(authz::request_resource(arena, "apps", "deployments", "", "ns", "name"));
    let made: Vec<_> = kubernetes()
        .iter()
        .flat_map(|f| {
            let one = samples.iter().filter_map(|v| call(scope, f, &[*v])).collect::<Vec<_>>();
            one.into_iter().chain(call(scope, f, &[]))
        })
        .filter(|v| matches!(v, Value::Opaque(_)))
        .collect();
    let mut seen = HashSet::new();
    samples.extend(made.into_iter().filter(|v| seen.insert(Shown(*v).to_string())));
    samples
}

fn call<'a>(scope: &Scope<'a>, function: &Function, args: &[Value<'a>]) -> Option<Value<'a>> {
    let result = match function.call {
        Call::Native(code) | Call::Pattern(code, _) => code(scope, args).ok(),
        Call::Operator | Call::Host => None,
    };
    (function.cost)("", args, &result.unwrap_or_default());
    (function.cost)(function.overloads[0].id, args, &result.unwrap_or_default());
    result
}

#[test]
fn no_function_panics_whatever_it_is_given() {
    let (arena, symbols) = (Bump::new(), Symbols::new());
    let scope = Scope { arena: &arena, symbols: &symbols, authorizer: None, host: None };
    let samples = samples(&scope);
    assert!(samples.len() > 40, "only {} samples", samples.len());
    for function in kubernetes().into_iter().chain(jsonpatch::functions()) {
        // Its arena ends with each function, so that results do not pile up.
        let arena = Bump::new();
        let scope = Scope { arena: &arena, ..scope };
        for a in &samples {
            call(&scope, &function, &[*a]);
            for b in &samples {
                call(&scope, &function, &[*a, *b]);
                for c in samples.iter().take(8) {
                    call(&scope, &function, &[*a, *b, *c]);
                    call(&scope, &function, &[*a, *b, *c, Value::Int(1)]);
                }
            }
        }
    }
}

#[test]
fn keys_are_escaped_for_json_patch() {
    values(&[("jsonpatch.escapeKey('k8s.io/my~label')", "k8s.io~1my~0label"), ("jsonpatch.escapeKey('a')", "a")]);
}

#[test]
fn sets_are_compared_by_what_is_in_them() {
    values(&[
        ("sets.contains([1, 2], [2, 2])", "true"),
        ("sets.contains([1], [1, 2])", "false"),
        ("sets.contains([], [])", "true"),
        ("sets.equivalent([1], [1, 1])", "true"),
        ("sets.equivalent([1, 2, 3], [dyn(3u), dyn(2.0), dyn(1)])", "true"),
        ("sets.intersects([1], [])", "false"),
        ("sets.intersects([[1], [2, 3]], [[1, 2], [2, 3]])", "true"),
    ]);
}

#[test]
fn patterns_are_found_wherever_they_come_from() {
    values(&[
        ("'abc 123'.find('[0-9]+')", "123"),
        ("'abc 123'.find('xyz')", ""),
        ("['[0-9]+'].map(p, 'abc 123'.find(p))", "[\"123\"]"),
        ("'123 abc 456'.findAll('[0-9]+')", "[\"123\", \"456\"]"),
        ("'123 abc 456'.findAll('[0-9]+', 1)", "[\"123\"]"),
        ("'123 abc 456'.findAll('[0-9]+', 0)", "[]"),
        ("'abc'.findAll('b*')", "[\"\", \"b\", \"\"]"),
    ]);
    errors(&[("['('].map(p, 'a'.find(p))", "Illegal regex: error parsing regexp: missing closing ): `(`")]);
}

#[test]
fn versions_are_values_of_their_own() {
    values(&[
        ("semver('1.2.3').isLessThan(semver('1.10.0'))", "true"),
        ("semver('v1.2', true) == semver('1.2.0+build')", "true"),
        ("semver('1.2.3-rc.1').compareTo(semver('1.2.3'))", "-1"),
        ("[semver('1.2.3')].map(v, [v.major(), v.minor(), v.patch()])", "[[1, 2, 3]]"),
        ("isSemver('1.2')", "false"),
        ("isSemver('1.2', true)", "true"),
    ]);
    errors(&[
        ("semver('1.2')", "No Major.Minor.Patch elements found"),
        ("semver('1.2-a', true)", "short version cannot contain PreRelease/Build meta data"),
    ]);
}

#[test]
fn addresses_and_networks_know_each_other() {
    values(&[
        ("string(ip('2001:DB8::1'))", "2001:db8::1"),
        ("ip.isCanonical('2001:DB8::1')", "false"),
        ("ip('1.2.3.4') == ip('1.2.3.4')", "true"),
        ("cidr('10.0.0.0/8').containsIP('10.1.2.3')", "true"),
        ("cidr('10.0.0.0/8').containsIP(ip('11.1.2.3'))", "false"),
        ("cidr('10.0.0.0/8').containsCIDR('10.1.0.0/16')", "true"),
        ("cidr('10.0.0.0/8').containsCIDR(cidr('0.0.0.0/0'))", "false"),
        ("string(cidr('10.1.2.3/8').masked())", "10.0.0.0/8"),
        ("string(cidr('10.1.2.3/8').ip())", "10.1.2.3"),
        ("type(cidr('10.1.2.3/8')) == net.CIDR", "true"),
    ]);
    errors(&[
        ("ip('::ffff:1.2.3.4')", "IPv4-mapped IPv6 address \"::ffff:1.2.3.4\" is not allowed"),
        ("ip('fe80::1%eth0')", "IP address \"fe80::1%eth0\" with zone value is not allowed"),
        ("cidr('10.0.0.0/8').containsIP('x')", "no such overload"),
    ]);
}

#[test]
fn formats_name_what_is_wrong() {
    values(&[
        ("format.dns1123Label().validate('my-name').hasValue()", "false"),
        ("format.dns1123Label().validate('a.b').value()", "[\"must not contain dots\"]"),
        ("format.named('date').value().validate('2020-13-01').value()", "[\"invalid date\"]"),
        ("format.named('nothing').hasValue()", "false"),
        ("format.named('uuid').value() == format.uuid()", "true"),
        ("format.uri().validate('a b').value()", "[\"parse \\\"a b\\\": invalid URI for request\"]"),
    ]);
}

#[test]
fn values_of_the_libraries_are_not_comparable_with_others() {
    errors(&[
        ("dyn(quantity('1')) == dyn(1)", "no such overload"),
        ("quantity('1') == quantity('0').add(1)", "no such overload"),
        ("optional.of(dyn(quantity('1'))) == optional.of(dyn(1))", "no such overload"),
    ]);
    values(&[
        ("quantity('0').add(1) == quantity('1')", "true"),
        ("dyn(quantity('1')) != dyn(1)", "true"),
        ("dyn(1) == dyn(quantity('1'))", "false"),
        ("dyn(quantity('1')) == null", "false"),
        // Inside lists and maps upstream takes what cannot be compared for equal.
        ("[dyn(quantity('1'))] == [dyn(1)]", "true"),
        ("{'a': quantity('1')} == {'a': quantity('0').add(1)}", "true"),
        ("[quantity('1')] == [quantity('2')]", "false"),
    ]);
}
