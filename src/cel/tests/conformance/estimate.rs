//! The API server's own table of estimated costs.

use std::collections::BTreeMap;

use serde_json::Value as Json;
use stockade_cel::estimate::{Bounds, Sizes, estimate};
use stockade_cel::library::jsonpatch;
use stockade_cel::{Env, Language, Type, check, parse};

use crate::assert_exact;
use crate::rows::{read, text};

/// As upstream's test: no string is longer than 12.
struct Short;

impl Sizes for Short {
    fn size(&self, _: &[String], ty: &Type) -> Option<Bounds> {
        matches!(ty, Type::String | Type::Bytes).then_some(Bounds::new(0, 12))
    }
}

#[test]
fn costs_are_estimated_as_the_api_server_does() {
    let Some(rows) = read("k8s-apiserver/cel-cost.jsonl") else { return };
    let failures: BTreeMap<String, String> =
        rows.iter().filter_map(|r| run(r).err().map(|fault| (text(r, "id").to_owned(), fault))).collect();
    let ids: Vec<&str> = rows.iter().map(|r| text(r, "id")).collect();
    assert_exact("cel-estimate.txt", &ids, &failures);
}

fn run(row: &Json) -> Result<(), String> {
    // Upstream's table contains lists of mixed types.
    let env = Env::kubernetes()
        .language(Language::EXTENDED)
        .functions(jsonpatch::functions())
        .variable("authorizer", Type::opaque("kubernetes.authorization.Authorizer"));
    let expr = text(row, "expr");
    let ast = parse(expr, Language::EXTENDED.syntax).map_err(|issues| issues.to_string())?;
    let checked = check(&env, ast).map_err(|issues| issues.to_string())?;
    let wanted = &row["estimated"];
    let bound = |end: &str| wanted[end].as_u64().ok_or_else(|| format!("no {end} in the row"));
    let (found, wanted) = (estimate(&checked, &Short), Bounds::new(bound("min")?, bound("max")?));
    if found == wanted { Ok(()) } else { Err(format!("{expr} is estimated at {found:?}, not {wanted:?}")) }
}
