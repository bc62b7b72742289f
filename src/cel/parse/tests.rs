//! What the parser makes of texts. Trees are shown as s-expressions; cel-go 0.26 gives the same for all of these.

use std::fmt::Write;

use super::{Syntax, parse};
use crate::ast::{Expr, ExprKind, Literal};

/// A tree as text: `(c f a b)` is a call, `(m f target a)` a member call, `(. a b)` a selection.
fn tree(expr: &Expr) -> String {
    let mut out = String::new();
    write(expr, &mut out).unwrap();
    out
}

fn write(expr: &Expr, out: &mut String) -> std::fmt::Result {
    match &expr.kind {
        ExprKind::Literal(Literal::Null) => out.write_str("null"),
        ExprKind::Literal(Literal::Bool(b)) => write!(out, "{b}"),
        ExprKind::Literal(Literal::Int(i)) => write!(out, "{i}"),
        ExprKind::Literal(Literal::Uint(u)) => write!(out, "{u}u"),
        ExprKind::Literal(Literal::Double(d)) => write!(out, "{d}d"),
        ExprKind::Literal(Literal::String(s)) => write!(out, "{s:?}"),
        ExprKind::Literal(Literal::Bytes(b)) => write!(out, "b{b:?}"),
        ExprKind::Ident(name) => out.write_str(name),
        ExprKind::Select { operand, field, test_only } => {
            out.write_str(if *test_only { "(has " } else { "(. " })?;
            write(operand, out)?;
            write!(out, " {field})")
        }
        ExprKind::Call { target, function, args } => {
            write!(out, "({} {function}", if target.is_some() { "m" } else { "c" })?;
            for part in target.iter().map(|t| &**t).chain(args) {
                out.push(' ');
                write(part, out)?;
            }
            out.write_char(')')
        }
        ExprKind::List { elements, optional } => {
            out.push('[');
            for (i, element) in elements.iter().enumerate() {
                out.push_str(if i > 0 { " " } else { "" });
                out.push_str(if optional.contains(&(i as u32)) { "?" } else { "" });
                write(element, out)?;
            }
            out.write_char(']')
        }
        ExprKind::Map { entries } => {
            out.push('{');
            for (i, entry) in entries.iter().enumerate() {
                out.push_str(if i > 0 { " " } else { "" });
                out.push_str(if entry.optional { "?" } else { "" });
                write(&entry.key, out)?;
                out.push(':');
                write(&entry.value, out)?;
            }
            out.write_char('}')
        }
        ExprKind::Struct { name, fields } => {
            write!(out, "(new {name}")?;
            for field in fields {
                write!(out, " {}{}:", if field.optional { "?" } else { "" }, field.name)?;
                write(&field.value, out)?;
            }
            out.write_char(')')
        }
        ExprKind::Comprehension(fold) => {
            write!(out, "(fold {}", fold.iter_var)?;
            if let Some(second) = &fold.iter_var2 {
                write!(out, ",{second}")?;
            }
            write!(out, " {}", fold.accu_var)?;
            for part in [&fold.iter_range, &fold.accu_init, &fold.loop_condition, &fold.loop_step, &fold.result] {
                out.push(' ');
                write(part, out)?;
            }
            out.write_char(')')
        }
    }
}

fn parsed(text: &str) -> String {
    match parse(text, Syntax::KUBERNETES) {
        Ok(ast) => tree(&ast.root),
        Err(issues) => issues.to_string(),
    }
}

/// Place and text of every problem.
fn problems(text: &str) -> Vec<String> {
    let issues = parse(text, Syntax::KUBERNETES).unwrap_err();
    issues.list.iter().map(|i| format!("{} {}", issues.source.position(i.span.start), i.message)).collect()
}

#[test]
fn operators_bind_as_the_language_says() {
    for (text, expected) in [
        ("1 + 2 * 3 - 4 % 5", "(c _-_ (c _+_ 1 (c _*_ 2 3)) (c _%_ 4 5))"),
        ("a || b && c || d", "(c _||_ (c _||_ a (c _&&_ b c)) d)"),
        ("a && b && c && d", "(c _&&_ (c _&&_ a b) (c _&&_ c d))"),
        ("a && b && c", "(c _&&_ (c _&&_ a b) c)"),
        ("a < b == c in d", "(c @in (c _==_ (c _<_ a b) c) d)"),
        (
            "a + 1 < b * 2 && !c ? x : y ? 1 : 2",
            "(c _?_:_ (c _&&_ (c _<_ (c _+_ a 1) (c _*_ b 2)) (c !_ c)) x (c _?_:_ y 1 2))",
        ),
        ("--1", "1"),
        ("---1", "(c -_ 1)"),
        ("!-1", "(c !_ -1)"),
        ("- 1", "-1"),
        ("-1.5", "-1.5d"),
        ("-a.b", "(c -_ (. a b))"),
        ("1 - -1", "(c _-_ 1 -1)"),
        ("!!a", "a"),
        ("-9223372036854775808", "-9223372036854775808"),
        ("(a)", "a"),
        (
            "a.b[c](d)",
            "ERROR: <input>:1:7: Syntax error: mismatched input '(' expecting <EOF>\n | a.b[c](d)\n | ......^",
        ),
    ] {
        assert_eq!(parsed(text), expected, "{text}");
    }
}

#[test]
fn operands_of_every_kind_parse() {
    for (text, expected) in [
        ("[1, ?a, 2u,]", "[1 ?a 2u]"),
        ("[,]", "[]"),
        ("{,}", "{}"),
        ("{'a': 1, ?b: c}", "{\"a\":1 ?b:c}"),
        ("package.T{a: 1, ?b: 2,}", "(new package.T a:1 ?b:2)"),
        (".a.T{}", "(new .a.T)"),
        (".a.b", "(. .a b)"),
        (".f(x)", "(c .f x)"),
        ("a.if", "(. a if)"),
        ("a.if()", "(m if a)"),
        ("a.?b.c", "(. (c _?._ a \"b\") c)"),
        ("a[?1]", "(c _[?_] a 1)"),
        ("a.b.c.d()", "(m d (. (. a b) c))"),
        ("1 // one", "1"),
        ("true.x", "(. true x)"),
        ("cel.bind(x, 1, x)", "(m bind cel x 1 x)"),
        ("has()", "(c has)"),
        ("has(a.b, c)", "(c has (. a b) c)"),
    ] {
        assert_eq!(parsed(text), expected, "{text}");
    }
}

#[test]
fn macros_expand_as_in_cel_go() {
    for (text, expected) in [
        ("has(a.b)", "(has a b)"),
        ("l.all(x, p)", "(fold x @result l true (c @not_strictly_false @result) (c _&&_ @result p) @result)"),
        (
            "l.exists(i, v, p)",
            "(fold i,v @result l false (c @not_strictly_false (c !_ @result)) (c _||_ @result p) @result)",
        ),
        ("l.exists_one(x, p)", "(fold x @result l 0 true (c _?_:_ p (c _+_ @result 1) @result) (c _==_ @result 1))"),
        ("l.existsOne(x, p)", "(m existsOne l x p)"),
        (
            "l.existsOne(i, v, p)",
            "(fold i,v @result l 0 true (c _?_:_ p (c _+_ @result 1) @result) (c _==_ @result 1))",
        ),
        ("l.map(x, p, f)", "(fold x @result l [] true (c _?_:_ p (c _+_ @result [f]) @result) @result)"),
        ("l.filter(x, p)", "(fold x @result l [] true (c _?_:_ p (c _+_ @result [x]) @result) @result)"),
        ("l.transformList(i, v, f)", "(fold i,v @result l [] true (c _+_ @result [f]) @result)"),
        (
            "l.transformMap(i, v, p, f)",
            "(fold i,v @result l {} true (c _?_:_ p (c cel.@mapInsert @result i f) @result) @result)",
        ),
        ("l.transformMapEntry(i, v, f)", "(fold i,v @result l {} true (c cel.@mapInsert @result f) @result)"),
        (
            "a.optMap(x, f)",
            "(c _?_:_ (m hasValue a) (c optional.of (fold #unused x [] (m value a) false x f)) (c optional.none))",
        ),
        ("a.optFlatMap(x, f)", "(c _?_:_ (m hasValue a) (fold #unused x [] (m value a) false x f) (c optional.none))"),
        (
            "l.sortBy(x, f)",
            "(fold #unused @__sortBy_input__ [] l false @__sortBy_input__ (m @sortByAssociatedKeys \
             @__sortBy_input__ (fold x @result @__sortBy_input__ [] true (c _+_ @result [f]) @result)))",
        ),
    ] {
        assert_eq!(parsed(text), expected, "{text}");
    }
}

#[test]
fn extensions_of_the_syntax_can_be_switched() {
    let bind = parse("cel.bind(x, 1, x)", Syntax::EXTENDED).unwrap();
    assert_eq!(tree(&bind.root), "(fold #unused x [] 1 false x x)");
    let escaped = parse("a.`b-c`", Syntax::EXTENDED).unwrap();
    assert_eq!(tree(&escaped.root), "(. a b-c)");
    assert_eq!(problems("a.`b-c`"), ["1:3 unsupported syntax: '`'"]);
    for text in ["a.?b", "a[?b]", "[?a]", "{?a: b}", "T{?a: b}"] {
        let issues = parse(text, Syntax::STANDARD).unwrap_err();
        assert!(issues.list[0].message.starts_with("unsupported syntax"), "{text}: {issues}");
    }
}

#[test]
fn syntax_errors_say_what_stands_where() {
    const OPERAND: &str = "expecting {'[', '{', '(', '.', '-', '!', 'true', 'false', 'null', \
                           NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER}";
    for (text, expected) in [
        ("1 +", vec![format!("1:4 Syntax error: mismatched input '<EOF>' {OPERAND}")]),
        ("1 + + 2", vec![format!("1:5 Syntax error: extraneous input '+' {OPERAND}")]),
        ("a b", vec!["1:3 Syntax error: extraneous input 'b' expecting <EOF>".into()]),
        ("a and b", vec!["1:3 Syntax error: mismatched input 'and' expecting <EOF>".into()]),
        ("(1", vec!["1:3 Syntax error: missing ')' at '<EOF>'".into()]),
        ("[1, 2", vec!["1:6 Syntax error: mismatched input '<EOF>' expecting {']', ','}".into()]),
        ("{1}", vec!["1:3 Syntax error: mismatched input '}' expecting ':'".into()]),
        ("f(1,)", vec![format!("1:5 Syntax error: mismatched input ')' {OPERAND}")]),
        ("a.", vec!["1:3 Syntax error: no viable alternative at input '.'".into()]),
        ("a.true", vec!["1:3 Syntax error: mismatched input 'true' expecting IDENTIFIER".into()]),
        ("{'a' 1}", vec!["1:6 Syntax error: missing ':' at '1'".into()]),
        (".'a'", vec!["1:2 Syntax error: no viable alternative at input '.'a''".into()]),
        ("1 ? 2", vec!["1:6 Syntax error: mismatched input '<EOF>' expecting ':'".into()]),
        ("f(a b, c)", vec!["1:5 Syntax error: mismatched input 'b' expecting ')'".into()]),
        (
            "a & b",
            vec![
                "1:3 Syntax error: token recognition error at: '& '".into(),
                "1:5 Syntax error: extraneous input 'b' expecting <EOF>".into(),
            ],
        ),
        ("if", vec!["1:1 reserved identifier: if".into()]),
        ("has(a)", vec!["1:5 invalid argument to has() macro".into()]),
        ("[1].map(1, 2)", vec!["1:9 argument is not an identifier".into()]),
        ("[1].all(x.y, 2)", vec!["1:10 argument must be a simple name".into()]),
        ("[1].map(__result__, 1)", vec!["1:9 iteration variable overwrites accumulator variable".into()]),
        ("[1].all(x, x, true)", vec!["1:12 duplicate variable name: x".into()]),
        ("a.optMap(1, 2)", vec!["1:10 optMap() variable name must be a simple identifier".into()]),
    ] {
        assert_eq!(problems(text), expected, "{text}");
    }
}

#[test]
fn parsing_goes_on_behind_a_fault_in_brackets() {
    assert_eq!(
        problems("[1 2, if, f(3 4)] + {5: 6 7} + 99999999999999999999"),
        [
            "1:4 Syntax error: extraneous input '2' expecting {']', ','}",
            "1:7 reserved identifier: if",
            "1:15 Syntax error: extraneous input '4' expecting ')'",
            "1:27 Syntax error: extraneous input '7' expecting {'}', ','}",
            "1:32 invalid int literal",
        ]
    );
}

// === bounds ===

fn message(text: &str) -> Option<String> {
    parse(text, Syntax::KUBERNETES).err().map(|issues| issues.list[0].message.clone())
}

#[test]
fn nesting_ends_where_it_ends_in_cel_go() {
    let limit = Some("expression recursion limit exceeded: 250".to_owned());
    let depth = Some("max recursion depth exceeded".to_owned());
    let nest = |open: &str, n: usize, close: &str| format!("{}1{}", open.repeat(n), close.repeat(n));
    for (accepted, refused, expected) in [
        (vec!["1"; 251].join("+"), vec!["1"; 252].join("+"), &depth),
        (vec!["1"; 251].join("<"), vec!["1"; 252].join("<"), &depth),
        (nest("(", 249, ")"), nest("(", 250, ")"), &limit),
        (nest("[", 249, "]"), nest("[", 250, "]"), &limit),
        (nest("1+(", 124, ")"), nest("1+(", 125, ")"), &limit),
        (nest("1<(", 124, ")"), nest("1<(", 125, ")"), &limit),
        (format!("x{}", ".a".repeat(250)), format!("x{}", ".a".repeat(251)), &depth),
        (format!("x{}", "[0]".repeat(250)), format!("x{}", "[0]".repeat(251)), &depth),
        (format!("{}2", "true?1:".repeat(249)), format!("{}2", "true?1:".repeat(250)), &limit),
    ] {
        assert_eq!(message(&accepted), None, "{accepted}");
        assert_eq!(&message(&refused), expected, "{refused}");
    }
    assert_eq!(message(&vec!["true"; 10_000].join("&&")), None);
    assert_eq!(message(&format!("{}true", "!".repeat(50_000))), None);
}

#[test]
fn hostile_texts_end_in_an_error() {
    let depth = Some("max recursion depth exceeded".to_owned());
    assert_eq!(message(&"1+".repeat(1_500)), depth);
    assert_eq!(message(&format!("{}1", "1+".repeat(49_000))), depth);
    for text in [
        "(".repeat(99_999),
        "[".repeat(99_999),
        "{".repeat(99_999),
        "a.".repeat(49_999),
        "a(".repeat(49_999),
        "a?".repeat(49_999),
        "*-".repeat(49_999),
        "'".repeat(99_999),
        "\u{0}é".repeat(49_999),
        "[1 2,".repeat(19_999),
        format!("[1].map(x,{}", "[1].map(x,".repeat(9_000)),
        format!("x{}", ".optMap(y,y)".repeat(200)),
        "a".repeat(100_001),
    ] {
        let issues = parse(&text, Syntax::KUBERNETES).unwrap_err();
        assert!(
            (1..=crate::limits::MAX_ISSUES).contains(&issues.list.len()),
            "{:?}",
            text.chars().take(20).collect::<String>()
        );
    }
}

#[test]
fn seeded_garbage_never_panics() {
    const PIECES: [&str; 40] = [
        "(", ")", "[", "]", "{", "}", ".", ",", ":", "?", "+", "-", "!", "in", "a", "b.c", "'", "\"", "'''", "\\", "1",
        "1u", "1.5", "0x", "b'a'", "r\"", "true", "null", "&&", "||", "==", "=", "&", ".map(x,", ".all(x,", "has(",
        "T{", "//", "\n", "é",
    ];
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    for _ in 0..3_000 {
        let mut text = String::new();
        for _ in 0..state % 60 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            text.push_str(PIECES[(state % 40) as usize]);
        }
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let _ = parse(&text, Syntax::EXTENDED);
    }
}
