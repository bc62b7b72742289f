//! The language's own suite: what a Kubernetes engine must know of it.

use std::collections::BTreeMap;

use serde_json::Value as Json;
use stockade_cel::{Env, Language, Outcome};

use crate::assert_exact;
use crate::rows::{evaluate, read, text};
use crate::values::{same, ty, value};

#[test]
fn the_language_behaves_as_its_own_suite_says() {
    let Some(rows) = read("cel-spec/simple.jsonl") else { return };
    let rows: Vec<Json> = rows
        .into_iter()
        .filter(|r| matches!(text(r, "group"), "core" | "k8s-ext") && r["needs_proto"] == false)
        .collect();
    let failures: BTreeMap<String, String> =
        rows.iter().filter_map(|r| run(r).err().map(|fault| (text(r, "id").to_owned(), fault))).collect();
    let ids: Vec<&str> = rows.iter().map(|r| text(r, "id")).collect();
    assert_exact("cel-spec.txt", &ids, &failures);
}

fn run(row: &Json) -> Result<(), String> {
    let mut env = Env::kubernetes().language(Language::EXTENDED);
    let names: Vec<&str> = row["bindings"].as_object().into_iter().flatten().map(|(k, _)| k.as_str()).collect();
    for name in &names {
        let declared = row["type_env"].as_array().into_iter().flatten().find(|d| text(d, "name") == *name);
        env = env.variable(name, declared.map_or(stockade_cel::Type::Dyn, |d| ty(text(d, "type"))));
    }
    let expr = text(row, "expr");
    let expect = &row["expect"];
    let show = |outcome: Outcome<'_>| {
        let arena = bumpalo::Bump::new();
        match (&expect["value"], outcome.result) {
            (Json::Null, Err(_)) => Ok(()),
            (Json::Null, Ok(v)) => Err(format!("{expr} gave {v:?}, not an error")),
            (_, Err(e)) => Err(format!("{expr} failed: {}", e.kind)),
            (wanted, Ok(v)) if same(v, value(wanted, &arena)) => Ok(()),
            (wanted, Ok(v)) => Err(format!("{expr} gave {v:?}, not {wanted}")),
        }
    };
    let result = evaluate(
        |symbols| match row["disable_check"].as_bool() {
            Some(true) => env.compile_unchecked(expr, symbols),
            _ => env.compile(expr, symbols),
        },
        |arena| names.iter().map(|n| value(&row["bindings"][n], arena)).collect(),
        show,
    );
    match result {
        Ok(verdict) => verdict,
        Err(_) if expect.get("error").is_some() => Ok(()),
        Err(issues) => Err(format!("{expr} does not compile: {issues}")),
    }
}
