use bumpalo::Bump;

use super::*;
use crate::document;
use crate::env::Env;
use crate::error::ErrorKind;
use crate::symbols::Symbols;
use crate::types::Type;

const POD: &str = r#"{"metadata": {"name": "web", "labels": {"app": "web"}}, "spec": {"nodeName": null,
    "containers": [{"name": "a", "image": "x:1"}, {"name": "b", "privileged": true}]}}"#;

/// Value as JSON or error text, and cost, of an expression over [`POD`].
fn over_pod(expr: &str) -> (String, u64) {
    let mut symbols = Symbols::new();
    let program = Env::kubernetes().variable("object", Type::Dyn).compile(expr, &mut symbols).expect("compiles");
    let arena = Bump::new();
    let roots = [document::decode(POD.as_bytes(), &arena, &symbols).expect("a document")];
    let scope = Scope { arena: &arena, symbols: &symbols, authorizer: None, host: None };
    let outcome = Evaluation::new(scope, &roots, &[]).evaluate(&program, u64::MAX);
    let text = match outcome.result {
        Ok(v) => serde_json::to_string(&v).expect("serialises"),
        Err(e) => e.kind.to_string(),
    };
    (text, outcome.cost)
}

/// Costs as a kube-apiserver's own library counted them for the same expressions.
#[test]
fn paths_tests_and_loops_cost_what_upstream_counts() {
    let cases = [
        ("object.metadata.name", "\"web\"", 3),
        ("has(object.metadata.name)", "true", 2),
        ("has(object.metadata.name.first)", "false", 3),
        ("object.spec.nodeName.x", "no such key: x", 4),
        ("object.metadata.labels['app'] == 'web'", "true", 5),
        ("object.spec.containers.all(c, has(c.name))", "true", 12),
        ("object.spec.containers.exists(c, has(c.privileged) && c.privileged)", "true", 16),
        ("object.spec.containers.map(c, c.name)", "[\"a\",\"b\"]", 32),
        ("object.spec.containers[5].name", "index out of bounds: 5", 4),
        ("object.?spec.?none.orValue(1)", "1", 2),
        ("'x' in ['x', 'y']", "true", 0),
        ("true ? object.metadata : object", r#"{"name":"web","labels":{"app":"web"}}"#, 1),
    ];
    for (expr, text, cost) in cases {
        assert_eq!(over_pod(expr), (text.to_owned(), cost), "{expr}");
    }
}

#[test]
fn a_test_for_constant_text_costs_and_fails_as_any_call() {
    for (constant, computed) in [("'e'", "['e'][0]"), ("'web'", "['web'][0]"), ("''", "[''][0]")] {
        for subject in
            ["object.metadata.name", "object.metadata", "object.none", "object.spec.nodeName", "'a long text €'"]
        {
            for function in ["contains", "startsWith", "endsWith"] {
                let (text, cost) = over_pod(&format!("{subject}.{function}({constant})"));
                let (other, dearer) = over_pod(&format!("{subject}.{function}({computed})"));
                // What computes the part is charged on its own.
                let computing = over_pod(computed).1;
                assert_eq!((text, cost + computing), (other, dearer), "{subject}.{function}({constant})");
            }
        }
    }
}

#[test]
fn a_deciding_operand_absorbs_errors_on_either_side() {
    for (expr, text) in [
        ("object.none == 1 || true", "true"),
        ("object.none == 1 && false", "false"),
        ("object.none == 1 || false", "no such key: none"),
        ("object.spec.containers.all(c, c.image == 'y')", "false"),
        ("object.spec.containers.exists(c, c.image == 'y')", "no such key: image"),
    ] {
        assert_eq!(over_pod(expr).0, text, "{expr}");
    }
}

#[test]
fn a_variable_is_evaluated_once_and_charged_to_the_first_that_selects_it() {
    let members = ["containers", "names", "broken"].map(|name| (name.to_owned(), Type::Dyn));
    let env = Env::kubernetes().variable("object", Type::Dyn).lazy_variables(members.into());
    let mut symbols = Symbols::new();
    let mut compile = |text: &str| env.compile(text, &mut symbols).expect("compiles");
    let lazy = [
        compile("object.spec.containers"),
        compile("variables.containers.map(c, c.name)"),
        compile("variables.names[0].none"),
    ];
    let uses = compile("variables.names.size() == 2");
    let fails = compile("variables.broken");
    let arena = Bump::new();
    let roots = [document::decode(POD.as_bytes(), &arena, &symbols).expect("a document")];
    let scope = Scope { arena: &arena, symbols: &symbols, authorizer: None, host: None };
    let mut evaluation = Evaluation::new(scope, &roots, &lazy);
    // 3 for the containers, 31 for their names (2 of it to select the containers), 4 for the expression.
    let costs = [(); 2].map(|()| evaluation.evaluate(&uses, u64::MAX).cost);
    assert_eq!(costs, [38, 4]);
    let failure = evaluation.evaluate(&fails, u64::MAX);
    assert_eq!(
        failure.result.expect_err("fails").kind.to_string(),
        "composited variable \"broken\" fails to evaluate: no such key: none"
    );
    assert_eq!([failure.cost, evaluation.evaluate(&fails, u64::MAX).cost], [6, 2]);
}

#[test]
fn an_evaluation_ends_at_the_cost_that_remains() {
    let mut symbols = Symbols::new();
    let program = Env::kubernetes().compile("[1, 2, 3].all(a, a > 0) || true", &mut symbols).expect("compiles");
    let arena = Bump::new();
    let scope = Scope { arena: &arena, symbols: &symbols, authorizer: None, host: None };
    let outcome = Evaluation::new(scope, &[], &[]).evaluate(&program, 5);
    assert!(matches!(outcome.result.expect_err("fails").kind, ErrorKind::CostLimit));
}

#[test]
fn an_error_points_at_the_sub_expression_that_made_it() {
    let mut symbols = Symbols::new();
    let expr = "object.metadata.name == 'web' && object.metadata.none.x == 1";
    let program = Env::kubernetes().variable("object", Type::Dyn).compile(expr, &mut symbols).expect("compiles");
    let arena = Bump::new();
    let roots = [document::decode(POD.as_bytes(), &arena, &symbols).expect("a document")];
    let scope = Scope { arena: &arena, symbols: &symbols, authorizer: None, host: None };
    let error = Evaluation::new(scope, &roots, &[]).evaluate(&program, u64::MAX).result.expect_err("fails");
    let span = program.span(error.at);
    assert_eq!(&expr[span.start as usize..span.end as usize], "object.metadata.none");
}

#[test]
fn a_program_is_shared_between_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Program>();
    shared::<Env>();
}
