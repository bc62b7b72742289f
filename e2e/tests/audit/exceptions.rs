//! Exceptions tell whether they are needed: by what exists, and by requests.

use std::process::Command;

use jiff::Timestamp;
use serde_json::{Value, json};
use stockade_e2e::webhook::{self, eventually};

use super::{POLICIES, Scene};

const EXCEPTIONS: &str = "/apis/stockade.dev/v1alpha1/namespaces/shop/policyexceptions";

/// Waives the policy `good` for one ConfigMap of the namespace `shop`, long or until next week.
fn exception(name: &str, map: &str, expires: &str) -> String {
    format!(
        "apiVersion: stockade.dev/v1alpha1\nkind: PolicyException\nmetadata: {{name: {name}, namespace: shop}}\nspec:\n  \
         policies: [{{name: good}}]\n  resources: [{{resources: [configmaps], names: [{map}]}}]\n  reason: r\n  owner: o\n  \
         expires: '{expires}'\n---\n"
    )
}

impl Scene {
    /// Of an exception: status and reason of the condition, and what it waives.
    fn in_use(&self, name: &str) -> Vec<Value> {
        let status = self.cluster.client.get(&format!("{EXCEPTIONS}/{name}")).expect_ok()["status"].take();
        let conditions = status["conditions"].as_array().cloned().unwrap_or_default();
        let condition = conditions.into_iter().find(|c| c["type"] == "InUse").unwrap_or_default();
        [&condition["status"], &condition["reason"], &status["waivedFail"], &status["waivedPass"]]
            .map(Value::clone)
            .into()
    }

    fn last_used(&self, name: &str) -> Value {
        self.cluster.client.get(&format!("{EXCEPTIONS}/{name}")).expect_ok()["status"]["lastUsed"].take()
    }
}

#[test]
fn exceptions_tell_whether_what_exists_or_a_request_needs_them() {
    let Some(scene) = Scene::new() else { return };
    scene.namespace("shop");
    scene.config_map("shop", "map-a", "bad").expect_ok();
    scene.config_map("shop", "map-b", "good").expect_ok();
    let soon = Timestamp::from_second(Timestamp::now().as_second() + 6 * 24 * 3_600).unwrap().to_string();
    let exceptions = exception("needed", "map-a", "2099-01-01T00:00:00Z")
        + &exception("passed", "map-b", "2099-01-01T00:00:00Z")
        + &exception("asked", "map-c", &soon);
    let all = format!("{POLICIES}\n---\n{exceptions}");
    scene.cluster.apply(&all);
    let replicas = ["first", "second"].map(|name| scene.replica(name));

    let used = || ["needed", "passed", "asked"].map(|name| scene.in_use(name));
    let expected = [
        vec![json!("True"), json!("WaivesFailures"), json!(1), json!(0)],
        vec![json!("False"), json!("Unused"), json!(0), json!(1)],
        vec![json!("False"), json!("Unused"), json!(0), json!(0)],
    ];
    eventually(used, |used| *used == expected);
    let waived = [["ConfigMap", "map-a", "good", "skip"], ["ConfigMap", "map-b", "good", "skip"]];
    let report = scene.reported("shop", &waived);
    let told = |n: usize| &report["results"][n]["properties"];
    assert_eq!(*told(0), json!({ "binding": "good", "exception": "shop/needed", "waived": "fail" }));
    assert_eq!(*told(1), json!({ "binding": "good", "exception": "shop/passed", "waived": "pass" }));
    let table = scene.cluster.kubectl(&["get", "policyexceptions", "-n", "shop"], "").stdout;
    let rows: Vec<Vec<&str>> = table.lines().map(|l| l.split_whitespace().collect()).collect();
    assert_eq!(rows[0], ["NAME", "POLICIES", "EXPIRES", "INUSE", "WAIVES", "OWNER"]);
    assert_eq!(rows[2], ["needed", "good", "2099-01-01T00:00:00Z", "True", "1", "o"]);
    // The leader counts them.
    let counted = |label: &str| -> f64 { replicas.iter().map(|replica| replica.metric(label)).sum() };
    let counts = || {
        let of = |used: &str| counted(&format!("stockade_policy_exceptions_in_use{{in_use=\"{used}\"}}"));
        (["true", "false", "unknown"].map(of), counted(r#"stockade_policy_exceptions{state="expires_soon"}"#))
    };
    eventually(counts, |counts| *counts == ([1.0, 2.0, 0.0], 1.0));

    // A request needs one; a week before its end the user is warned.
    let made = || scene.config_map("shop", "map-c", "bad");
    eventually(made, |made| made.ok() && made.warnings.iter().any(|w| w.contains("expires in 5 days")));
    eventually(|| scene.in_use("asked"), |used| *used == expected[0]);
    let last = eventually(|| scene.last_used("asked"), Value::is_string);
    assert_eq!(scene.last_used("needed"), Value::Null, "no request needed it");
    scene.cluster.client.delete("/api/v1/namespaces/shop/configmaps/map-c").expect_ok();
    let by_request = vec![json!("True"), json!("UsedByRequests"), json!(0), json!(0)];
    eventually(|| scene.in_use("asked"), |used| *used == by_request);
    // Within the hour the time is not written again.
    scene.config_map("shop", "map-c", "bad").expect_ok();
    eventually(|| scene.in_use("asked"), |used| *used == expected[0]);
    assert_eq!(scene.last_used("asked"), last);

    // The same for a person at the command line.
    let policies = scene.cluster.folder().join("with-exceptions.yaml");
    std::fs::write(&policies, all).unwrap();
    let output = scene.command_line(&["audit", "-q", "-o", "json"], &policies);
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    let expected = json!({
        "shop/needed": { "fail": 1, "pass": 0, "age": "valid" },
        "shop/passed": { "fail": 0, "pass": 1, "age": "valid" },
        "shop/asked": { "fail": 1, "pass": 0, "age": "expires soon" },
    });
    assert_eq!(found["exceptions"], expected, "{found}");

    let mut status = Command::new(webhook::binary().unwrap());
    status.args(["status", "--namespace", "stockade-system", "--kubeconfig"]).arg(scene.cluster.kubeconfig());
    let told = String::from_utf8(status.output().unwrap().stdout).unwrap();
    let listed: Vec<&str> = told.lines().filter(|line| line.starts_with("exception ")).collect();
    let listed_soon = format!("exception shop/asked: in use, until {soon}");
    let expected = [
        "exception shop/passed: not in use, until 2099-01-01T00:00:00Z",
        &listed_soon,
        "exception shop/needed: in use, until 2099-01-01T00:00:00Z",
    ];
    assert_eq!(listed, expected, "{told}");
}
