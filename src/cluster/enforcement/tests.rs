use serde_json::{Value, json};

use super::*;

const NOW: &str = "2026-01-01T01:00:00Z";

fn node(name: &str, desired: &str, status: &Value) -> NodeEnforcement {
    let node = json!({
        "apiVersion": "stockade.dev/v1alpha1", "kind": "NodeEnforcement", "metadata": { "name": name },
        "spec": { "desired": desired }, "status": status,
    });
    serde_json::from_value(node).unwrap()
}

fn status(ready: &str, observed: &str, policies: &[Value]) -> Value {
    let condition = |kind: &str, status: &str| {
        json!({
            "type": kind, "status": status, "reason": if status == "True" { "Enforced" } else { "KernelRefused" },
            "message": if status == "True" { "" } else { "no tcx" }, "lastTransitionTime": "2026-01-01T00:00:00Z",
        })
    };
    json!({
        "conditions": [condition("Ready", ready), condition("Gated", "True")], "endpoints": 3, "attach": "tcx",
        "kernel": "6.12", "agent": "0.1.0", "policyCount": 7, "policies": policies, "observedTime": observed,
    })
}

fn policy(name: &str, generation: Option<i64>, refused: Option<&str>) -> Value {
    let mut policy = json!({ "kind": "NetworkPolicy", "namespace": "web", "name": name });
    if let Some(generation) = generation {
        policy["generation"] = json!(generation);
    }
    if let Some(refused) = refused {
        policy["refused"] = json!(refused);
    }
    policy
}

fn key(name: &str) -> PolicyKey {
    PolicyKey { kind: "NetworkPolicy".to_owned(), namespace: "web".to_owned(), name: name.to_owned() }
}

fn seen(known: &[(&str, i64)], nodes: impl IntoIterator<Item = NodeEnforcement>) -> Enforcement {
    let mut seen = Enforcement::default();
    for (name, generation) in known {
        seen.policies.insert(key(name), PolicyState { generation: Some(*generation), ..PolicyState::default() });
    }
    nodes.into_iter().for_each(|node| seen.add(node, NOW.parse().unwrap()));
    seen
}

#[test]
fn a_policy_is_in_force_where_a_ready_node_holds_its_latest_generation() {
    let told = [policy("a", Some(2), None), policy("b", Some(1), None), policy("c", Some(1), Some("does not fit"))];
    let gone = [policy("a", Some(2), None), policy("gone", Some(1), None), policy("d", None, None)];
    let nodes = [
        node("one", "Enforced", &status("True", "2026-01-01T00:58:00Z", &told)),
        node("two", "Enforced", &status("True", "2026-01-01T00:58:00Z", &gone)),
        node("three", "Enforced", &status("False", "2026-01-01T00:58:00Z", &told[..1])),
    ];
    let seen = seen(&[("a", 2), ("b", 2), ("c", 2), ("d", 1), ("e", 1)], nodes);
    let state = |name: &str| {
        let state = &seen.policies[&key(name)];
        let told: Vec<_> = state.told.iter().map(|(node, why)| format!("{node}: {why}")).collect();
        (state.in_force, state.behind, told.join("; "))
    };
    assert_eq!(state("a"), (2, 1, "three: the node is not ready".to_owned()));
    assert_eq!(state("b"), (0, 1, "one: generation 1 of 2".to_owned()));
    assert_eq!(state("c"), (0, 1, "one: does not fit; generation 1 of 2 is in force".to_owned()));
    assert_eq!(state("d"), (0, 1, "two: no generation is in the kernel".to_owned()));
    assert_eq!(state("e"), (0, 0, String::new()), "it selects nobody");
    assert_eq!(state("gone"), (0, 1, "two: the policy is not there any more".to_owned()));
    assert_eq!(seen.unnamed, 4 + 4 + 6);
    assert!(!seen.is_well());
}

#[test]
fn a_node_that_proves_nothing_is_not_ready() {
    let why = |desired: &str, status: &Value| {
        let seen = seen(&[], [node("n", desired, status)]);
        (seen.nodes["n"].not_ready.clone().unwrap_or_default(), seen.is_well())
    };
    let (recent, old) = ("2026-01-01T00:50:00Z", "2026-01-01T00:48:00Z");
    assert_eq!(why("Enforced", &status("True", recent, &[])), (String::new(), true));
    assert_eq!(why("Enforced", &status("False", recent, &[])), ("KernelRefused: no tcx".to_owned(), false));
    let silent = format!("its agent is silent since {old}");
    assert_eq!(why("Enforced", &status("True", old, &[])), (silent, false));
    assert_eq!(why("Enforced", &json!({})), ("its agent has not said anything yet".to_owned(), false));
    assert_eq!(why("Removed", &status("True", recent, &[])), ("nothing is wanted of it any more".to_owned(), false));
    // A clock that is ahead is no silence.
    assert_eq!(why("Enforced", &status("True", "2026-01-01T02:00:00Z", &[])), (String::new(), true));
}

#[test]
fn of_many_nodes_that_are_behind_the_first_are_named() {
    let status = status("True", "2026-01-01T00:58:00Z", &[policy("a", Some(1), None)]);
    let seen = seen(&[("a", 2)], (0..9).map(|number| node(&format!("n{number}"), "Enforced", &status)));
    let state = &seen.policies[&key("a")];
    assert_eq!((state.behind, state.told.len(), state.told[4].0.as_str()), (9, MAX_BEHIND_TOLD, "n4"));
}
