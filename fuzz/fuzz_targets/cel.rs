//! Any text as an expression: it compiles or is refused with issues, and what compiles ends within its budgets.
#![no_main]

use std::sync::LazyLock;

use bumpalo::Bump;
use libfuzzer_sys::fuzz_target;
use stockade_cel::functions::Scope;
use stockade_cel::limits::PER_CALL_COST;
use stockade_cel::{Env, Evaluation, Symbols, Type, document};

static ENV: LazyLock<Env> = LazyLock::new(|| Env::kubernetes().variable("object", Type::Dyn));

const OBJECT: &str = r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"web","labels":{"app":"web"}},
    "spec":{"containers":[{"name":"a","image":"a:1","ports":[{"containerPort":80}]},{"name":"b","image":"b"}]}}"#;

fuzz_target!(|text: &str| {
    let mut symbols = Symbols::new();
    match ENV.compile(text, &mut symbols) {
        Err(issues) => assert!(!issues.list.is_empty() && !issues.to_string().is_empty()),
        Ok(program) => {
            let arena = Bump::new();
            let object = document::decode(OBJECT.as_bytes(), &arena, &symbols).expect("a constant");
            let roots = [object];
            let scope = Scope { arena: &arena, symbols: &symbols, authorizer: None, host: None };
            let outcome = Evaluation::new(scope, &roots, &[]).evaluate(&program, PER_CALL_COST);
            match outcome.result {
                Ok(value) => drop(serde_json::to_string(&value)),
                Err(error) => assert!(!error.kind.to_string().is_empty()),
            }
        }
    }
});
