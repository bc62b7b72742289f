use crate::source::PolicySource;
use crate::sources::PolicySources;

fn read(generation: u32, rest: &str) -> PolicySources {
    let mut sources = PolicySources::default();
    let text = format!(
        "apiVersion: stockade.dev/v1alpha1
kind: AdmissionPolicy
metadata: {{name: p, generation: {generation}}}
spec:
  matchConstraints: {{resourceRules: [{{apiGroups: [''], apiVersions: [v1], operations: [CREATE], resources: [pods]}}]}}
  validations: [{{expression: 'true'}}]
{rest}"
    );
    sources.add("p.yaml", &text, true);
    sources
}

fn policy(generation: u32, rest: &str) -> PolicySource {
    let sources = read(generation, rest);
    assert!(sources.diagnostics.is_empty(), "{}", sources.diagnostics);
    sources.policies[0].clone()
}

fn told(rest: &str) -> Vec<String> {
    read(1, rest).diagnostics.iter().map(|d| format!("{}: {}", d.field, d.message)).collect()
}

const ROLLOUT: &str = "  rollout:
    deny: {percentage: 25}
    warn: {namespaceSelector: {matchLabels: {env: test}}}
    budget: {maxDenyPercentage: 5, windowSeconds: 600, minRequests: 50}
";

#[test]
fn a_rollout_is_read_whole_and_stages_are_everything_unless_they_say_less() {
    insta::assert_debug_snapshot!(policy(1, ROLLOUT).rollout, @r#"
    Some(
        Rollout {
            deny: Some(
                Stage {
                    percentage: 25,
                    namespace_selector: None,
                },
            ),
            warn: Some(
                Stage {
                    percentage: 100,
                    namespace_selector: Some(
                        LabelSelector {
                            requirements: [
                                Requirement {
                                    key: "env",
                                    operator: In,
                                    values: [
                                        "test",
                                    ],
                                },
                            ],
                        },
                    ),
                },
            ),
            budget: Some(
                DenyBudget {
                    max_percentage: 5,
                    window_seconds: 600,
                    min_requests: 50,
                },
            ),
            held: false,
        },
    )
    "#);
    let further = policy(1, "  namespaceGroups: [a, b]\n  shadowOf: old\n");
    let names: Vec<_> = further.namespace_groups.iter().chain(&further.shadow_of).map(|r| r.name.as_str()).collect();
    assert_eq!(names, ["a", "b", "old"]);
}

#[test]
fn every_fault_of_a_rollout_is_reported_at_once() {
    let wrong =
        "  rollout: {deny: {percentage: 101}, warn: {percent: 5}, budget: {maxDenyPercentage: -1, windowSeconds: 5}}
  namespaceGroups: [a, a, B]
";
    insta::assert_debug_snapshot!(told(wrong), @r#"
    [
        "spec.namespaceGroups[1]: Duplicate value: \"a\"",
        "spec.namespaceGroups[2]: Invalid value: \"B\": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')",
        "spec.rollout.deny.percentage: Invalid value: 101: must be between 0 and 100",
        ": unknown field \"spec.rollout.warn.percent\"",
        "spec.rollout.budget.maxDenyPercentage: Invalid value: -1: must be between 0 and 100",
        "spec.rollout.budget.windowSeconds: Invalid value: 5: must be between 10 and 86400",
        "spec.rollout.budget.minRequests: Required value",
    ]
    "#);
    insta::assert_debug_snapshot!(told(&format!("{ROLLOUT}  shadowOf: p\n  actions: [Warn]\n")), @r#"
    [
        "spec.rollout: Forbidden: not beside shadowOf: a shadow never denies",
        "spec.rollout: Forbidden: needs the action Deny: the stages say where it denies already",
        "spec.shadowOf: Invalid value: \"p\": must be another policy",
    ]
    "#);
    let mutation = "  mutations: [{patchType: JSONPatch, jsonPatch: {expression: '[]'}}]\n  shadowOf: old\n";
    insta::assert_debug_snapshot!(told(&(ROLLOUT.to_owned() + mutation)), @r#"
    [
        "spec.rollout: Forbidden: not beside mutations: an object is changed or it is not",
        "spec.shadowOf: Forbidden: not beside mutations: an object is changed or it is not",
        "spec.rollout: Forbidden: not beside shadowOf: a shadow never denies",
    ]
    "#);
}

#[test]
fn a_hold_is_of_one_generation_of_the_spec() {
    let held = |generation, status: &str| {
        policy(generation, &format!("{ROLLOUT}status: {{rollout: {status}}}\n")).rollout.unwrap().held
    };
    let status = "{held: true, observedGeneration: 3}";
    assert_eq!([held(3, status), held(4, status), held(3, "{held: true}")], [true, false, false]);
    assert!(!held(3, "{held: false, observedGeneration: 3}"));
}

#[test]
fn the_revision_is_that_of_the_spec_alone() {
    let revision = |generation, rest: &str| policy(generation, rest).revision;
    assert_eq!(revision(1, ROLLOUT), revision(2, &format!("{ROLLOUT}status: {{rollout: {{held: true}}}}\n")));
    assert_ne!(revision(1, ROLLOUT), revision(1, &ROLLOUT.replace("25", "26")));
}
