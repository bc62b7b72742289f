//! Expressions and documents made to exhaust stack, memory or time end in a clear error within the budget, on a stack
//! of 2 MiB as request threads have it.

use std::time::{Duration, Instant};

use bumpalo::Bump;
use stockade_cel::functions::Scope;
use stockade_cel::{Env, ErrorKind, Evaluation, Program, Symbols, Type, document};

/// How one expression ended.
#[derive(Debug, PartialEq, Eq)]
enum End {
    Refused(String),
    Value(String),
    Error(String),
}

/// Compiles and evaluates on a thread with a request's stack.
fn evaluate(expr: &str, object: &str) -> End {
    let (expr, object) = (expr.to_owned(), object.to_owned());
    on_request_stack(move || {
        let mut symbols = Symbols::new();
        let env = Env::kubernetes().variable("object", Type::Dyn);
        let program = match env.compile(&expr, &mut symbols) {
            Ok(program) => program,
            Err(issues) => return End::Refused(issues.list[0].message.clone()),
        };
        let arena = Bump::new();
        let roots = [document::decode(object.as_bytes(), &arena, &symbols).expect("a document")];
        let scope = Scope { arena: &arena, symbols: &symbols, authorizer: None, host: None };
        let outcome = Evaluation::new(scope, &roots, &[]).evaluate(&program, u64::MAX);
        match outcome.result {
            Ok(v) => End::Value(serde_json::to_string(&v).expect("serialises").chars().take(40).collect()),
            Err(e) => End::Error(e.kind.to_string()),
        }
    })
}

/// What takes this long has not ended on the slowest of machines; each of these takes a second or two without
/// optimisation.
const ENDLESS: Duration = Duration::from_secs(300);

fn on_request_stack<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let started = Instant::now();
    let thread = std::thread::Builder::new().stack_size(2 << 20).spawn(work).expect("a thread starts");
    let result = thread.join().expect("no panic");
    assert!(started.elapsed() < ENDLESS, "took {:?}", started.elapsed());
    result
}

const OVER_COST: &str = "operation cancelled: actual cost limit exceeded";
const OVER_MEMORY: &str = "operation cancelled: evaluation memory limit exceeded";

fn error(text: &str) -> End {
    End::Error(text.to_owned())
}

#[test]
fn a_sum_of_1500_terms_is_refused() {
    let sum = vec!["1"; 1500].join("+");
    assert_eq!(evaluate(&sum, "{}"), End::Refused("max recursion depth exceeded".to_owned()));
}

#[test]
fn seven_nested_maps_reach_the_cost_limit() {
    let list = "[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]";
    let nested = ('a'..='g').rev().fold("1".to_owned(), |body, var| format!("{list}.map({var}, {body})"));
    assert_eq!(evaluate(&nested, "{}"), error(OVER_COST));
}

#[test]
fn a_string_doubled_forty_times_reaches_the_cost_limit() {
    let doubling = format!("['aaaaaaaaaa']{}", ".map(x, x + x)".repeat(40));
    assert_eq!(evaluate(&doubling, "{}"), error(OVER_COST));
}

#[test]
fn a_list_doubled_forty_times_reaches_the_memory_limit() {
    let doubling = format!("[[1, 2, 3, 4]]{}", ".map(x, x + x)".repeat(40));
    assert_eq!(evaluate(&doubling, "{}"), error(OVER_MEMORY));
}

#[test]
fn values_that_share_their_parts_are_compared_part_by_part() {
    let doubled = |last: &str| (0..60).fold(last.to_owned(), |inner, _| format!("[{inner}].map(x, [x, x])[0]"));
    let equal = |a: &str, b: &str| evaluate(&format!("{} == {}", doubled(a), doubled(b)), "{}");
    assert_eq!(equal("['a']", "['a']"), End::Value("true".to_owned()));
    assert_eq!(equal("['a']", "['b']"), End::Value("false".to_owned()));
    assert_eq!(equal("{'a': dyn([1])}", "{'a': dyn([1.0])}"), End::Value("true".to_owned()));
}

#[test]
fn catastrophic_patterns_take_linear_time() {
    let text = format!("{{\"s\": \"{}!\"}}", "a".repeat(100_000));
    assert_eq!(evaluate("object.s.matches('(a+)+$')", &text), End::Value("false".to_owned()));
    assert_eq!(evaluate("object.s.matches('(a|a)*b')", &text), End::Value("false".to_owned()));
}

#[test]
fn huge_repetitions_are_refused() {
    for pattern in ["((a{100}){100}){100}", "a{1001}", "(?:a{1000}){1000}"] {
        let end = evaluate(&format!("'a'.matches('{pattern}')"), "{}");
        assert_eq!(end, End::Refused("invalid matches argument".to_owned()), "{pattern}");
        let end = evaluate("'a'.matches(object.p)", &format!("{{\"p\": \"{pattern}\"}}"));
        assert!(matches!(&end, End::Error(m) if m.contains("error parsing regexp")), "{pattern}: {end:?}");
    }
}

#[test]
fn nested_loops_over_ten_thousand_elements_reach_the_cost_limit() {
    let list = format!("{{\"l\": [{}]}}", (0..10_000).map(|i| i.to_string()).collect::<Vec<_>>().join(","));
    assert_eq!(evaluate("object.l.all(x, object.l.all(y, x == x))", &list), error(OVER_COST));
    assert_eq!(evaluate("object.l.map(x, object.l.filter(y, y < x))", &list), error(OVER_COST));
    assert_eq!(evaluate("object.l.transformMapEntry(i, v, {'k' + string(i): v}).size() > 0", &list), {
        End::Value("true".to_owned())
    });
}

#[test]
fn nesting_up_to_the_limits_of_the_parser_fits_the_stack() {
    for depth in [100, 200, 240, 300] {
        let shapes = [
            format!("{}true{}", "!(".repeat(depth), ")".repeat(depth)),
            format!("{}1{}", "[".repeat(depth), "]".repeat(depth)),
            format!("{}1{}", "(true ? (".repeat(depth), ") : 0)".repeat(depth)),
            format!("{}1{}", "{'a': ".repeat(depth), "}".repeat(depth)),
            format!("object{}", ".a".repeat(depth)),
            format!("object{}", "[object".repeat(depth) + &"]".repeat(depth)),
            format!("{}1{}", "[1].map(x, ".repeat(depth), ")".repeat(depth)),
            format!("{}1{}", "dyn(".repeat(depth), ")".repeat(depth)),
            format!("{}1{}", "(1 + ".repeat(depth), ")".repeat(depth)),
            format!("[1]{}", ".filter(x, true)".repeat(depth)),
            format!("optional.of(1){}", ".optMap(x, x)".repeat(depth.min(8))),
        ];
        for shape in shapes {
            let end = evaluate(&shape, "{}");
            let known = matches!(&end, End::Value(_))
                || matches!(&end, End::Refused(m) if m.contains("recursion"))
                || matches!(&end, End::Error(m) if m.contains("no such key") || m.contains("nests too deeply")
                    || m.contains("invalid qualifier"));
            assert!(known, "{depth} × {}: {end:?}", &shape[..20]);
        }
    }
}

/// How the last of 300 variables ends, each of which wraps the one before it five times.
fn chain(before: &'static str, after: &'static str) -> String {
    on_request_stack(move || {
        let members: Vec<(String, Type)> = (0..300).map(|i| (format!("v{i}"), Type::Dyn)).collect();
        let mut symbols = Symbols::new();
        let env = Env::kubernetes().lazy_variables(members);
        let mut compile = |text: &str| env.compile(text, &mut symbols).expect("compiles");
        let mut lazy: Vec<Program> = vec![compile("dyn(1)")];
        let link = |i: usize| format!("{}variables.v{}{}", before.repeat(5), i - 1, after.repeat(5));
        lazy.extend((1..300).map(|i| compile(&link(i))));
        let first = compile("variables.v3");
        let last = compile("variables.v299");
        let arena = Bump::new();
        let scope = Scope { arena: &arena, symbols: &symbols, authorizer: None, host: None };
        let mut evaluation = Evaluation::new(scope, &[], &lazy);
        let shallow = evaluation.evaluate(&first, u64::MAX);
        assert_eq!(shallow.result.ok().and_then(stockade_cel::Value::as_int), Some(1));
        let deep = evaluation.evaluate(&last, u64::MAX).result.expect_err("too deep");
        let mut kind = deep.kind;
        while let ErrorKind::Variable { cause, .. } = kind {
            kind = cause.kind;
        }
        kind.to_string()
    })
}

#[test]
fn variables_that_select_each_other_hundreds_deep_end_in_an_error() {
    let wrappers = [
        ("dyn(", ")"),
        ("dyn([", "][0])"),
        ("dyn({'a': ", "}['a'])"),
        ("(dyn(true) ? ", " : dyn(0))"),
        ("dyn([1].map(x, ", ")[0])"),
        ("dyn([1].transformList(i, v, ", ")[0])"),
        ("dyn([1].transformMap(i, v, ", ")[0])"),
        ("optional.of(", ").value()"),
        ("optional.none().orValue(", ")"),
        ("dyn(1 * ", ")"),
        ("(dyn([1].exists(x, ", " == 1)) ? dyn(1) : dyn(2))"),
        ("optional.of(1).optMap(x, ", ").value()"),
    ];
    for (before, after) in wrappers {
        assert_eq!(chain(before, after), "evaluation nests too deeply", "{before}…{after}");
    }
}

#[test]
fn a_deadline_ends_an_evaluation() {
    let mut symbols = Symbols::new();
    let env = Env::kubernetes();
    let program = env.compile("[1, 2, 3].all(a, [1, 2, 3].all(b, [1, 2, 3].all(c, [1, 2, 3].all(d, [1, 2, 3].all(e, [1, 2, 3].all(f, a < 4))))))", &mut symbols).expect("compiles");
    let arena = Bump::new();
    let scope = Scope { arena: &arena, symbols: &symbols, authorizer: None, host: None };
    let outcome = Evaluation::new(scope, &[], &[]).deadline(Instant::now()).evaluate(&program, u64::MAX);
    let end = outcome.result.map_err(|e| e.kind.to_string()).err();
    assert_eq!(end.as_deref(), Some("operation interrupted: deadline of the request exceeded"));
}
