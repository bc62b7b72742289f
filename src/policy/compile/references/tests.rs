use crate::compile::{MissingObjects, Options, compile};
use crate::sources::PolicySources;

/// 2026-06-01T00:00:00Z
const NOW: i64 = 1_780_272_000;

const POLICY: &str = "apiVersion: stockade.dev/v1alpha1
kind: AdmissionPolicy
metadata: {name: no-latest}
spec:
  matchConstraints: {resourceRules: [{apiGroups: [''], apiVersions: [v1], operations: [CREATE], resources: [pods]}]}
  validations: [{expression: 'true'}]
---
apiVersion: stockade.dev/v1alpha1
kind: NamespaceGroup
metadata: {name: production}
spec: {names: [shop]}
---
";

fn exception(policies: &str, expires: &str) -> String {
    format!(
        "apiVersion: stockade.dev/v1alpha1
kind: PolicyException
metadata: {{name: agent, namespace: shop, creationTimestamp: \"2026-01-01T00:00:00Z\"}}
spec:
  policies: {policies}
  images: [agent:*]
  reason: old
  owner: team
  expires: {expires:?}
"
    )
}

fn told(text: &str, options: Options) -> String {
    let mut sources = PolicySources::default();
    sources.add("p.yaml", text, true);
    match compile(&sources, options) {
        Ok(compiled) => compiled.diagnostics.to_string(),
        Err(faults) => faults.to_string(),
    }
}

fn options() -> Options {
    Options { missing: MissingObjects::Error, now: NOW, type_check: false, ..Options::default() }
}

#[test]
fn what_names_nothing_is_a_fault_in_files_and_a_warning_in_a_cluster() {
    let policies = "[{name: no-latset}, {name: no-latest, rules: ['validations[0]', 'validations[1]']}]";
    let text = format!(
        "{POLICY}{}---\n{}---\n{}",
        exception(policies, "2027-01-01T00:00:00Z"),
        POLICY
            .split("---")
            .next()
            .unwrap_or_default()
            .replace("no-latest}", "new}")
            .replace("  validations", "  namespaceGroups: [productoin]\n  shadowOf: no-lattest\n  validations"),
        "apiVersion: stockade.dev/v1alpha1\nkind: NamespaceGroup\nmetadata: {name: g}\n\
         spec: {names: [a], policies: [{name: absent}]}\n",
    );
    insta::assert_snapshot!(told(&text, options()), @r#"
    error: spec.policies[0].name: no policy named "no-latset": it is not waived by this exception
      --> p.yaml:17:21
       |
    17 |   policies: [{name: no-latset}, {name: no-latest, rules: ['validations[0]', 'validations[1]']}]
       |                     ^^^^^^^^^
       = help: did you mean `no-latest`?

    error: spec.policies[1].rules[1]: policy "no-latest" has no validations[1]
      --> p.yaml:17:77
       |
    17 |   policies: [{name: no-latset}, {name: no-latest, rules: ['validations[0]', 'validations[1]']}]
       |                                                                             ^^^^^^^^^^^^^^^^

    error: spec.namespaceGroups[0]: no NamespaceGroup named "productoin": until there is one the policy errors
      --> p.yaml:28:21
       |
    28 |   namespaceGroups: [productoin]
       |                     ^^^^^^^^^^
       = help: did you mean `production`?

    error: spec.shadowOf: no policy named "no-lattest": every failure will be told as a difference
      --> p.yaml:29:13
       |
    29 |   shadowOf: no-lattest
       |             ^^^^^^^^^^
       = help: did you mean `no-latest`?

    error: spec.policies[0].name: no policy named "absent": this group requires what nobody can give
      --> p.yaml:35:38
       |
    35 | spec: {names: [a], policies: [{name: absent}]}
       |                                      ^^^^^^
    "#);
    let warned = told(&text, Options { missing: MissingObjects::Warn, ..options() });
    assert!(warned.starts_with("warning: ") && !warned.contains("error: "), "{warned}");
}

#[test]
fn an_exception_is_for_a_bounded_time_and_says_when_it_ends() {
    let policies = "[{name: no-latest}]";
    let at = |expires: &str, max_exception_seconds: Option<u32>| {
        let shown =
            told(&(POLICY.to_owned() + &exception(policies, expires)), Options { max_exception_seconds, ..options() });
        shown.lines().next().unwrap_or_default().to_owned()
    };
    let days = |n: u32| Some(n * 86_400);
    assert_eq!(at("2027-01-01T00:00:00Z", None), "");
    assert_eq!(at("2026-06-08T00:00:00Z", days(365)), "warning: spec.expires: expires in 7 days");
    assert_eq!(at("2026-06-01T00:00:00Z", days(365)), "warning: spec.expires: has expired: it waives nothing");
    assert_eq!(
        at("2026-05-02T00:00:00Z", days(90)),
        "error: spec.expires: Invalid value: at most 90 days from its creation at 2026-01-01T00:00:00Z are allowed"
    );
    let of_file = exception(policies, "2026-10-01T00:00:00Z").replace("creationTimestamp", "selfLink");
    let shown = told(&(POLICY.to_owned() + &of_file), Options { max_exception_seconds: days(90), ..options() });
    assert!(shown.starts_with("error: spec.expires: Invalid value: at most 90 days from now are allowed"), "{shown}");
}
