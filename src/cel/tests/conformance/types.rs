//! The language's own suite of the checker: types of expressions.

use std::collections::BTreeMap;

use serde_json::Value as Json;
use stockade_cel::functions::{Call, Function, constant_cost};
use stockade_cel::library::declarations::signature;
use stockade_cel::{Env, Language, Type, check, parse};

use crate::assert_exact;
use crate::rows::{read, text};

#[test]
fn expressions_have_the_types_that_the_suite_says() {
    let Some(rows) = read("cel-spec/simple.jsonl") else { return };
    let rows: Vec<Json> =
        rows.into_iter().filter(|r| text(r, "group") == "check" && r["needs_proto"] == false).collect();
    let failures: BTreeMap<String, String> =
        rows.iter().filter_map(|r| run(r).err().map(|fault| (text(r, "id").to_owned(), fault))).collect();
    let ids: Vec<&str> = rows.iter().map(|r| text(r, "id")).collect();
    assert_exact("cel-types.txt", &ids, &failures);
}

fn run(row: &Json) -> Result<(), String> {
    let mut env = Env::kubernetes().language(Language::EXTENDED);
    for declared in row["type_env"].as_array().into_iter().flatten() {
        let name = text(declared, "name");
        env = match declared["function"].as_array() {
            Some(overloads) => env.functions(vec![function(name, overloads)?]),
            None => env.variable(name, named(text(declared, "type"))?),
        };
    }
    let ast = parse(text(row, "expr"), Language::EXTENDED.syntax).map_err(|issues| issues.to_string())?;
    let checked = check(&env, ast).map_err(|issues| issues.to_string())?;
    let (found, wanted) = (checked.output_type().to_string(), text(&row["expect"], "type"));
    if found == wanted { Ok(()) } else { Err(format!("{} has type {found}, not {wanted}", text(row, "expr"))) }
}

/// A function without code, declared by a row.
fn function(name: &str, overloads: &[Json]) -> Result<Function, String> {
    let overloads = overloads.iter().map(|overload| {
        let params: Vec<&str> = overload["params"].as_array().into_iter().flatten().filter_map(Json::as_str).collect();
        let written = match (overload["instance"].as_bool(), params.as_slice()) {
            (Some(true), [receiver, rest @ ..]) => format!("{receiver}.({})", rest.join(", ")),
            _ => format!("({})", params.join(", ")),
        };
        let written = format!("{written} -> {}", text(overload, "result")).replace("param:", "");
        let id = String::leak(text(overload, "id").to_owned());
        signature(id, &written).ok_or_else(|| format!("cannot declare {written}"))
    });
    let overloads = overloads.collect::<Result<_, _>>()?;
    Ok(Function { name: String::leak(name.to_owned()), overloads, call: Call::Operator, cost: constant_cost })
}

fn named(ty: &str) -> Result<Type, String> {
    let declared = signature("", &format!("() -> {}", ty.replace("param:", "")));
    declared.map(|overload| overload.result).ok_or_else(|| format!("no type {ty}"))
}
