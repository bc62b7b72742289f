//! The API server's own table of runtime costs.

use std::collections::BTreeMap;

use bumpalo::Bump;
use serde_json::Value as Json;
use stockade_cel::authorizer::{Attributes, Authorizer, Decision};
use stockade_cel::functions::Scope;
use stockade_cel::library::{authz, jsonpatch};
use stockade_cel::{Env, Evaluation, Language, Symbols, Type};

use crate::assert_exact;
use crate::rows::{read, text};

/// Allows everything.
struct Always;

impl Authorizer for Always {
    fn authorize(&self, _: &Attributes) -> Decision {
        Decision { allowed: true, reason: String::new(), error: None }
    }
}

#[test]
fn expressions_cost_what_the_api_server_counts() {
    let Some(rows) = read("k8s-apiserver/cel-cost.jsonl") else { return };
    let failures: BTreeMap<String, String> =
        rows.iter().filter_map(|r| run(r).err().map(|fault| (text(r, "id").to_owned(), fault))).collect();
    let ids: Vec<&str> = rows.iter().map(|r| text(r, "id")).collect();
    assert_exact("cel-cost.txt", &ids, &failures);
}

fn run(row: &Json) -> Result<(), String> {
    // Upstream measured its table with the optimiser off, and without the checks that the API server adds.
    let env = Env::kubernetes()
        .language(Language::EXTENDED)
        .functions(jsonpatch::functions())
        .without_folding()
        .variable("authorizer", Type::opaque("kubernetes.authorization.Authorizer"));
    let expr = text(row, "expr");
    let mut symbols = Symbols::new();
    let program = env.compile(expr, &mut symbols).map_err(|issues| issues.to_string())?;
    let arena = Bump::new();
    let roots = [authz::authorizer(&arena)];
    let scope = Scope { arena: &arena, symbols: &symbols, authorizer: Some(&Always), host: None };
    let outcome = Evaluation::new(scope, &roots, &[]).evaluate(&program, u64::MAX);
    if let Err(e) = outcome.result {
        return Err(format!("{expr} failed: {}", e.kind));
    }
    let wanted = row["runtime"].as_u64().unwrap_or_default();
    if outcome.cost == wanted { Ok(()) } else { Err(format!("{expr} cost {}, not {wanted}", outcome.cost)) }
}
