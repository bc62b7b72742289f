use crate::sources::PolicySources;

fn read(text: &str) -> PolicySources {
    let mut sources = PolicySources::default();
    sources.add("e.yaml", text, true);
    sources
}

const GOOD: &str = r#"apiVersion: stockade.dev/v1alpha1
kind: PolicyException
metadata: {name: agent, namespace: monitoring, creationTimestamp: "2026-01-01T00:00:00Z"}
spec:
  policies:
  - name: all-of-it
  - {name: some-of-it, rules: ["validations[0]", "mutations[12]"]}
  resources:
  - {apiGroups: [""], resources: [pods], names: [agent-*], selector: {matchLabels: {app: agent}}}
  images: ["registry.example.com/agents/**"]
  reason: reads the node's metrics
  owner: team-observability
  ticket: OPS-1
  expires: 2027-01-31T00:00:00Z
status: {anything: 1}
"#;

#[test]
fn an_exception_is_read_whole() {
    let sources = read(GOOD);
    assert!(sources.diagnostics.is_empty(), "{}", sources.diagnostics);
    let source = &sources.exceptions[0];
    insta::assert_debug_snapshot!((&source.exception, source.created), @r#"
    (
        Exception {
            namespace: "monitoring",
            name: "agent",
            origin: Origin {
                file: "e.yaml",
                line: 1,
            },
            policies: [
                WaivedPolicy {
                    name: "all-of-it",
                    rules: [],
                },
                WaivedPolicy {
                    name: "some-of-it",
                    rules: [
                        "validations[0]",
                        "mutations[12]",
                    ],
                },
            ],
            resources: [
                WaivedResources {
                    api_groups: [
                        "",
                    ],
                    resources: [
                        "pods",
                    ],
                    names: [
                        "agent-*",
                    ],
                    selector: Some(
                        LabelSelector {
                            requirements: [
                                Requirement {
                                    key: "app",
                                    operator: In,
                                    values: [
                                        "agent",
                                    ],
                                },
                            ],
                        },
                    ),
                },
            ],
            images: [
                "registry.example.com/agents/**",
            ],
            reason: "reads the node's metrics",
            ticket: Some(
                "OPS-1",
            ),
            owner: "team-observability",
            expires: 1801353600,
        },
        Some(
            1767225600,
        ),
    )
    "#);
}

#[test]
#[expect(clippy::too_many_lines, reason = "the snapshot of all faults is the test")]
fn every_fault_of_an_exception_is_reported_at_once() {
    let text = r#"apiVersion: stockade.dev/v1alpha1
kind: PolicyException
metadata: {name: agent}
spec:
  policies:
  - {name: Bad, rule: [a]}
  - {name: p, rules: ["validations[01]", "matchConditions", "validations[1]", "validations[1]"]}
  - {name: p}
  resources: [{kinds: [Pod], names: []}]
  images: {}
  reason: " "
  ovner: me
  expires: tomorrow
"#;
    insta::assert_snapshot!(read(text).diagnostics, @r#"
    error: metadata.namespace: Required value: it is about objects of its own namespace
     --> e.yaml:3:11
      |
    3 | metadata: {name: agent}
      |           ^^^^^^^^^^^^^

    error: unknown field "spec.policies[0].rule"
     --> e.yaml:6:17
      |
    6 |   - {name: Bad, rule: [a]}
      |                 ^^^^
      = help: did you mean `rules`?

    error: spec.policies[0].name: Invalid value: "Bad": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')
     --> e.yaml:6:12
      |
    6 |   - {name: Bad, rule: [a]}
      |            ^^^

    error: spec.policies[1].rules[0]: Invalid value: "validations[01]": must be validations[N], mutations[N], auditAnnotations[N] or attestations[N], N from 0, signatures or digest
     --> e.yaml:7:23
      |
    7 |   - {name: p, rules: ["validations[01]", "matchConditions", "validations[1]", "validations[1]"]}
      |                       ^^^^^^^^^^^^^^^^^

    error: spec.policies[1].rules[1]: Invalid value: "matchConditions": must be validations[N], mutations[N], auditAnnotations[N] or attestations[N], N from 0, signatures or digest
     --> e.yaml:7:42
      |
    7 |   - {name: p, rules: ["validations[01]", "matchConditions", "validations[1]", "validations[1]"]}
      |                                          ^^^^^^^^^^^^^^^^^

    error: spec.policies[1].rules[3]: Duplicate value: "validations[1]"
     --> e.yaml:7:79
      |
    7 |   - {name: p, rules: ["validations[01]", "matchConditions", "validations[1]", "validations[1]"]}
      |                                                                               ^^^^^^^^^^^^^^^^

    error: spec.policies[2].name: Duplicate value: "p"
     --> e.yaml:8:12
      |
    8 |   - {name: p}
      |            ^

    error: spec.resources[0].names: Required value
     --> e.yaml:9:37
      |
    9 |   resources: [{kinds: [Pod], names: []}]
      |                                     ^^

    error: unknown field "spec.resources[0].kinds"
     --> e.yaml:9:16
      |
    9 |   resources: [{kinds: [Pod], names: []}]
      |                ^^^^^
      = help: known fields: `apiGroups`, `names`, `resources`, `selector`

    error: spec.images: expected a list, found a mapping
      --> e.yaml:10:11
       |
    10 |   images: {}
       |           ^^
       = help: put `- ` before each element, or write it in `[…]`

    error: spec.reason: Required value
      --> e.yaml:11:11
       |
    11 |   reason: " "
       |           ^^^

    error: spec.owner: Required value: who answers for it
     --> e.yaml:5:3
      |
    5 |   policies:
      |   ^^^^^^^^^

    error: spec.expires: Invalid value: "tomorrow": must be a time of RFC 3339 (e.g. '2027-01-31T12:00:00Z')
      --> e.yaml:13:12
       |
    13 |   expires: tomorrow
       |            ^^^^^^^^

    error: unknown field "spec.ovner"
      --> e.yaml:12:3
       |
    12 |   ovner: me
       |   ^^^^^
       = help: did you mean `owner`?
    "#);
    let bare =
        "apiVersion: stockade.dev/v1alpha1\nkind: PolicyException\nmetadata: {name: a, namespace: A_b}\nspec: {}\n";
    let told: Vec<_> = read(bare).diagnostics.iter().map(|d| format!("{}: {}", d.field, d.message)).collect();
    insta::assert_debug_snapshot!(told, @r#"
    [
        "metadata.namespace: Invalid value: \"A_b\": a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')",
        "spec.policies: Required value",
        "spec.resources: Required value: one of resources or images must be specified",
        "spec.reason: Required value: why it is waived",
        "spec.owner: Required value: who answers for it",
        "spec.expires: Required value: an exception is for a time",
    ]
    "#);
}

#[test]
fn a_time_is_one_of_rfc_3339() {
    let ok = |time: &str| !read(&GOOD.replace("2027-01-31T00:00:00Z", time)).diagnostics.has_errors();
    let table = [
        ("'2027-01-31t00:00:00z'", true),
        ("'2027-01-31T00:00:00.5+02:00'", true),
        ("'2027-01-31 00:00:00Z'", false),
        ("'2027-01-31T00:00:00'", false),
        ("'2027-01-31T00:00:00+00:00[Europe/Berlin]'", false),
        ("2027-01-31", false),
        ("1800000000", false),
    ];
    assert_eq!(table.map(|(time, _)| (time, ok(time))), table);
}
