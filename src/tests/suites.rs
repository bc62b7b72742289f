//! The suites that nobody here wrote, through the command line: `review` for policies, `check --pod-security` for Pods.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed test ends in a panic")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use stockade_conformance::policies::{SUITES, is_askable, is_within, stripped};
use stockade_policy::objects::load_objects;

/// Flags of `review` and the members of a row that give their files.
const FILES: [(&str, &str); 6] = [
    ("--policies", "native_path"),
    ("--object", "resource_path"),
    ("--params", "params_path"),
    ("--old-object", "old_resource_path"),
    ("--namespace", "namespace_path"),
    ("--binding", "binding_path"),
];

fn stockade(args: &[String]) -> Value {
    let output = Command::new(env!("CARGO_BIN_EXE_stockade")).args(args).output().unwrap();
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&output.stderr).into_owned()))
}

fn object(folder: &Path, path: &Value) -> Value {
    let file = folder.join(path.as_str().unwrap());
    let text = std::fs::read_to_string(&file).unwrap();
    stripped(&load_objects(&file.display().to_string(), &text).unwrap()[0].value)
}

/// What is wrong with the answer to a row; none when it is as expected.
fn fault(folder: &Path, row: &Value) -> Option<String> {
    let mut args: Vec<String> = ["review", "--quiet", "-o", "json"].map(str::to_owned).into();
    for (flag, member) in FILES {
        if let Some(path) = row[member].as_str() {
            args.extend([flag.to_owned(), folder.join(path).display().to_string()]);
        }
    }
    args.extend(["--operation".to_owned(), row["operation"].as_str().unwrap_or("CREATE").to_owned()]);
    let answer = stockade(&args);
    let allowed = answer["allowed"] == true;
    let before = || object(folder, &row["resource_path"]);
    let after = || answer.get("object").map_or_else(before, stripped);
    let holds = match row["expect"].as_str().unwrap() {
        "allow" => allowed,
        "deny" => answer["allowed"] == false,
        "warn" => allowed && answer["warnings"].as_array().is_some_and(|w| !w.is_empty()),
        "unchanged" => allowed && after() == before(),
        "mutated" if row["mutated_path"].is_null() => allowed && after() != before(),
        expect @ ("mutated" | "not-mutated") => {
            let wanted = object(folder, &row["mutated_path"]);
            let exact = row["mutated_match"] == "exact";
            let hit = if exact { after() == wanted } else { is_within(&wanted, &after()) };
            allowed && hit == (expect == "mutated")
        }
        other => panic!("{other}: an expectation that nobody knows"),
    };
    (!holds).then(|| answer.to_string())
}

#[test]
fn policies_of_other_projects_are_answered_as_they_expect() {
    let Some(folder) = stockade_conformance::folder() else { return };
    let (mut ids, mut failures) = (Vec::new(), BTreeMap::new());
    for suite in SUITES.iter().filter(|s| folder.join(s).exists()) {
        for row in stockade_conformance::rows(suite).unwrap_or_default().iter().filter(|r| is_askable(r)) {
            let id = row["id"].as_str().unwrap().to_owned();
            if let Some(fault) = fault(&folder, row) {
                failures.insert(id.clone(), fault);
            }
            ids.push(id);
        }
    }
    let list = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/tests/exceptions/command-line.txt");
    stockade_conformance::assert_exceptions(&list, &ids.iter().map(String::as_str).collect::<Vec<_>>(), &failures);
}

#[test]
fn pods_are_held_to_their_level_in_upstreams_words() {
    let Some(folder) = stockade_conformance::folder() else { return };
    let mut faults = Vec::new();
    for row in stockade_conformance::rows("psa/latest.jsonl").unwrap_or_default() {
        let text = |member: &str| row[member].as_str().unwrap_or_default();
        let level = format!("{}:{}", text("level"), text("version"));
        let file = folder.join(text("resource_path")).display().to_string();
        let args = ["check", "--quiet", "--pod-security", &level, &file, "-o", "json"].map(str::to_owned);
        let answer = stockade(&args);
        if answer["allowed"] != (text("expect") == "allow") || !answer.to_string().contains(text("message_contains")) {
            faults.push(format!("{}: {answer}", text("id")));
        }
    }
    assert_eq!(faults, [] as [String; 0]);
}
