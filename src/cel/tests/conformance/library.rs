//! The API server's own tables of its function libraries.

use std::collections::BTreeMap;

use bumpalo::Bump;
use serde_json::Value as Json;
use stockade_cel::{Env, Outcome, Value};

use crate::assert_exact;
use crate::rows::{evaluate, read, text};
use crate::values::{same, value};

#[test]
fn the_libraries_behave_as_the_api_servers_own_tables_say() {
    let Some(rows) = read("k8s-apiserver/cel-library.jsonl") else { return };
    let failures: BTreeMap<String, String> =
        rows.iter().filter_map(|r| run(r).err().map(|fault| (text(r, "id").to_owned(), fault))).collect();
    let ids: Vec<&str> = rows.iter().map(|r| text(r, "id")).collect();
    assert_exact("cel-library.txt", &ids, &failures);
}

fn run(row: &Json) -> Result<(), String> {
    let env = Env::kubernetes();
    let expr = text(row, "expr");
    let expect = &row["expect"];
    let show = |outcome: Outcome<'_>| judge(expr, expect, outcome);
    match evaluate(|symbols| env.compile(expr, symbols), |_| Vec::new(), show) {
        Ok(verdict) => verdict,
        Err(issues) => match &expect["compile_error_regex"] {
            Json::Array(patterns) if patterns.iter().all(|p| matches(p, &issues)) => Ok(()),
            // Upstream's table evaluates without the validators that the API server compiles with.
            _ if expect.get("runtime_error").is_some() => Ok(()),
            _ => Err(format!("{expr} does not compile: {issues}")),
        },
    }
}

fn judge(expr: &str, expect: &Json, outcome: Outcome<'_>) -> Result<(), String> {
    let arena = Bump::new();
    let wanted = &expect["value"];
    match outcome.result {
        Err(e) => match &expect["runtime_error"] {
            pattern @ Json::String(_) if matches(pattern, &e.kind.to_string()) => Ok(()),
            _ => Err(format!("{expr} failed: {}", e.kind)),
        },
        Ok(v) if wanted.is_null() => Err(format!("{expr} gave {v:?}, not an error")),
        Ok(_) if wanted.get("opaque_go").is_some() => Ok(()),
        Ok(Value::Optional(None)) if wanted.get("optional_none").is_some() => Ok(()),
        Ok(v) if wanted.get("optional_none").is_some() => Err(format!("{expr} gave {v:?}, not none")),
        Ok(v) if same(v, value(wanted, &arena)) => Ok(()),
        Ok(v) => Err(format!("{expr} gave {v:?}, not {wanted}")),
    }
}

fn matches(pattern: &Json, text: &str) -> bool {
    let Some(pattern) = pattern.as_str() else { return false };
    text.contains(pattern) || regex::Regex::new(pattern).is_ok_and(|p| p.is_match(text))
}
