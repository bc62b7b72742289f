use crate::sources::PolicySources;

fn read(spec: &str) -> PolicySources {
    let mut sources = PolicySources::default();
    let text =
        format!("apiVersion: stockade.dev/v1alpha1\nkind: NamespaceGroup\nmetadata: {{name: g}}\nspec: {spec}\n");
    sources.add("g.yaml", &text, true);
    sources
}

#[test]
fn a_group_is_read_whole() {
    let spec =
        "{selector: {matchLabels: {env: p}}, names: [shop], policies: [{name: a}], requireDefaultDeny: [Egress]}";
    let sources = read(spec);
    assert!(sources.diagnostics.is_empty(), "{}", sources.diagnostics);
    insta::assert_debug_snapshot!(sources.groups[0].group, @r#"
    NamespaceGroup {
        name: "g",
        origin: Origin {
            file: "g.yaml",
            line: 1,
        },
        selector: Some(
            LabelSelector {
                requirements: [
                    Requirement {
                        key: "env",
                        operator: In,
                        values: [
                            "p",
                        ],
                    },
                ],
            },
        ),
        names: [
            "shop",
        ],
        required_policies: [
            "a",
        ],
        default_deny: DefaultDeny {
            ingress: false,
            egress: true,
        },
    }
    "#);
}

#[test]
fn every_fault_of_a_group_is_reported_at_once() {
    let spec = "{names: [shop, Shop, shop], policies: [{name: a}, {nam: b}, {name: a}], requireDefaultDeny: [ingress]}";
    let told = |spec| read(spec).diagnostics.iter().map(|d| format!("{}: {}", d.field, d.message)).collect::<Vec<_>>();
    insta::assert_debug_snapshot!(told(spec), @r#"
    [
        "spec.names[1]: Invalid value: \"Shop\": a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')",
        "spec.names[2]: Duplicate value: \"shop\"",
        "spec.policies[1].name: Required value",
        ": unknown field \"spec.policies[1].nam\"",
        "spec.policies[2].name: Duplicate value: \"a\"",
        "spec.requireDefaultDeny[0]: Unsupported value: \"ingress\": supported values: \"Egress\", \"Ingress\"",
    ]
    "#);
    insta::assert_debug_snapshot!(told("{policies: []}"), @r#"
    [
        "spec.selector: Required value: one of selector or names must be specified",
        "spec.policies: Required value",
    ]
    "#);
}
