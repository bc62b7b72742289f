//! The API server's own table of expressions against requests, with its budgets.

use std::path::Path;

use bumpalo::Bump;
use serde_json::{Value as Json, json};
use stockade_cel::authorizer::{Attributes, Authorizer, Decision};
use stockade_cel::document::from_json;
use stockade_cel::functions::Scope;
use stockade_policy::compile::{Options, UnboundPolicy, compile};
use stockade_policy::compiled::PolicySet;
use stockade_policy::sources::PolicySources;

use super::*;
use crate::authorizer::RequestAuthorizer;
use crate::engine::DecideOptions;
use crate::facts::ClusterFacts;
use crate::folder_facts::FolderFacts;
use crate::images::asked::Asked;
use crate::matcher::Match;
use crate::request::Request;

/// The authorizers of the table: one answer to everything, or allowing one question.
struct Table {
    allowed: Option<Attributes>,
    otherwise: Decision,
}

impl Authorizer for Table {
    fn authorize(&self, asked: &Attributes) -> Decision {
        match &self.allowed {
            Some(a) if a == asked => Decision { allowed: true, reason: String::new(), error: None },
            _ => self.otherwise.clone(),
        }
    }
}

/// What a Go literal of the table sets a field to: `Verb: "create"`.
fn go_field(literal: &str, field: &str) -> String {
    let value = literal.split(&format!("{field}:")).nth(1).map(str::trim_start);
    let quoted = value.and_then(|v| v.strip_prefix('"')).and_then(|v| v.split('"').next());
    quoted.unwrap_or("").to_owned()
}

fn authorizer(row: &Json) -> Option<Table> {
    let described = row.get("authorizer")?;
    let deny = Decision { allowed: false, reason: String::new(), error: None };
    let Some(literal) = described["$go"].as_str() else {
        let result = &described["defaultResult"];
        let otherwise = Decision {
            allowed: result["decision"]["$go"] == "authorizer.DecisionAllow",
            reason: result["reason"].as_str().unwrap_or("").to_owned(),
            error: result["err"].as_str().map(str::to_owned),
        };
        return Some(Table { allowed: None, otherwise });
    };
    // The record's own fields come after those of its user, whose name is a field too.
    let (user, record) = match literal.split_once("User:") {
        Some((_, rest)) => rest.split_once("},\n").unwrap_or((rest, "")),
        None => ("", literal),
    };
    let groups = user.split("string{").nth(1).map_or("", |g| g.split('}').next().unwrap_or(""));
    let selectors = literal.contains("FieldSelectorRequirements");
    let allowed = Attributes {
        user: go_field(user, "Name"),
        groups: groups.split(',').map(|g| g.trim().trim_matches('"').to_owned()).filter(|g| !g.is_empty()).collect(),
        path: go_field(record, "Path"),
        verb: go_field(record, "Verb"),
        group: go_field(record, "APIGroup"),
        resource: go_field(record, "\tResource"),
        subresource: go_field(record, "Subresource"),
        namespace: go_field(record, "Namespace"),
        name: go_field(record, "\tName"),
        field_selector: if selectors { "foo=bar".to_owned() } else { String::new() },
        label_selector: if selectors { "apple=banana".to_owned() } else { String::new() },
        ..Attributes::default()
    };
    Some(Table { allowed: Some(allowed), otherwise: deny })
}

/// The review of a row; two rows name Go functions that make one about Endpoints.
fn review(row: &Json) -> Json {
    let described = &row["request"];
    let endpoints = json!({"apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": "endpoints1"},
        "subsets": [{"addresses": [{"ip": "127.0.0.0"}]}]});
    let (object, old, sub, operation, name) = match described["$go"].as_str() {
        Some("endpointCreateAttributes()") => (endpoints, Json::Null, "", "CREATE", json!("endpoints1")),
        Some(_) => (endpoints.clone(), endpoints, "status", "UPDATE", json!("endpoints1")),
        None => {
            let operation = if described["object"].is_null() { "DELETE" } else { "CREATE" };
            let (object, old) = (described["object"].clone(), described["oldObject"].clone());
            (object, old, "", operation, described["name"].clone())
        }
    };
    json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
        "uid": "u",
        "kind": {"group": "", "version": "v1", "kind": "Endpoints"},
        "resource": {"group": "", "version": "v1", "resource": "endpoints"},
        "subResource": sub, "name": name, "namespace": "default", "operation": operation,
        "object": object, "oldObject": old,
    }})
}

/// A policy with one expression, or why it does not compile.
fn compiled(expression: &str, row: &Json) -> Result<PolicySet, String> {
    let mut spec = json!({
        "matchConstraints": {"resourceRules": [
            {"apiGroups": ["*"], "apiVersions": ["*"], "operations": ["*"], "resources": ["*"]}
        ]},
        "validations": [{"expression": expression}],
    });
    if row["hasParamKind"] == true {
        spec["paramKind"] = json!({"apiVersion": "v1", "kind": "ConfigMap"});
    }
    let policy = json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": "p"}, "spec": spec});
    let mut sources = PolicySources::default();
    sources.add("p.yaml", &policy.to_string(), true);
    let options = Options { unbound: UnboundPolicy::BindEverywhereDeny, type_check: false, ..Options::default() };
    compile(&sources, options).map(|c| c.set).map_err(|d| format!("compilation error: {d:?}"))
}

/// Results of the row's expressions in order, and the budget that is left.
fn evaluated(row: &Json, budget: u64) -> (Vec<Result<Json, String>>, Result<u64, OutOfBudget>) {
    let arena = Bump::new();
    let table = authorizer(row);
    let facts = FolderFacts::new(row.get("namespaceObject").cloned().map(|mut n| {
        n["metadata"]["name"] = json!("test");
        n
    }))
    .unwrap();
    let sets: Vec<_> =
        row["expressions"].as_array().unwrap().iter().map(|e| compiled(e.as_str().unwrap(), row)).collect();
    let (mut results, mut remaining) = (Vec::new(), budget);
    for set in &sets {
        let set = match set {
            Ok(set) => set,
            Err(error) => {
                results.push(Err(error.clone()));
                continue;
            }
        };
        let mut review = review(row);
        if row["namespaceObject"].is_object() {
            review["request"]["namespace"] = json!("test");
        }
        let review = from_json(&review, &arena, &set.symbols).unwrap();
        let request = Request::from_review(review).unwrap();
        let asking = table.as_ref().map(|t| RequestAuthorizer::new(t, &request, None));
        let scope = Scope {
            arena: &arena,
            symbols: &set.symbols,
            authorizer: asking.as_ref().map(|a| a as &dyn Authorizer),
            host: None,
        };
        let asked = Asked::new(None, set, "");
        let context =
            Context::new(&facts as &dyn ClusterFacts, (scope, &asked), &DecideOptions::default(), &request, false);
        let matched = Match::of(&request);
        let seen = context.see(&request, &matched).unwrap();
        let params = row.get("params").filter(|p| p.get("$go").is_none());
        let params = params.map_or(Value::Null, |p| from_json(p, &arena, &set.symbols).unwrap());
        let roots = seen.roots(params, context.namespace_object(&request).unwrap(), &arena);
        let program = &set.policies[0].validations[0].expression.program;
        let limit = row["testPerCallLimit"].as_u64();
        if let Some(limit) = limit {
            let outcome = Evaluation::new(scope, roots, &[]).evaluate(program, limit);
            let result = outcome.result.map(|v| serde_json::to_value(v).unwrap()).map_err(|e| e.kind.to_string());
            results.push(result);
            continue;
        }
        let mut run = Run::new(&context, roots, &set.policies[0], remaining);
        match run.evaluate(program) {
            Err(out) => return (results, Err(out)),
            Ok(result) => results.push(result.map(|v| serde_json::to_value(v).unwrap())),
        }
        remaining = run.remaining();
    }
    (results, Ok(remaining))
}

fn row_fault(row: &Json) -> Option<String> {
    let budget = row["testRuntimeCELCostBudget"].as_u64().unwrap_or(stockade_cel::limits::POLICY_COST_BUDGET);
    let (results, remaining) = evaluated(row, budget);
    if let Some(exceeds) = row["exceedBudget"].as_bool()
        && exceeds != remaining.is_err()
    {
        return Some(format!("left of the budget: {remaining:?}"));
    }
    if let Some(left) = row["expectRemainingBudget"].as_u64()
        && remaining != Ok(left)
    {
        return Some(format!("left of the budget: {remaining:?} instead of {left}"));
    }
    let expected = row["results"].as_array().into_iter().flatten();
    expected.zip(&results).find_map(|(expected, got)| {
        let holds = match (got, expected["error_contains"].as_str()) {
            (Err(error), Some(text)) => error.contains(text),
            (Ok(value), None) => *value == expected["value"],
            _ => false,
        };
        (!holds).then(|| format!("{got:?} instead of {expected}"))
    })
}

#[test]
fn every_row_of_the_api_servers_condition_table_holds() {
    let Some(rows) = stockade_conformance::rows("k8s-apiserver/cel-condition.jsonl") else { return };
    let id = |row: &Json| row["id"].as_str().unwrap().to_owned();
    let failures = rows.iter().filter_map(|row| Some((id(row), row_fault(row)?))).collect();
    let ids: Vec<&str> = rows.iter().map(|row| row["id"].as_str().unwrap()).collect();
    let list = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/exceptions/cel-condition.txt");
    stockade_conformance::assert_exceptions(&list, &ids, &failures);
}
