use super::*;
use crate::compiled::{Flavour, ParamSource};

fn read(text: &str) -> PolicySources {
    let mut sources = PolicySources::default();
    sources.add("p.yaml", text, true);
    sources.diagnostics = std::mem::take(&mut sources.diagnostics).sorted();
    sources
}

fn faults(text: &str) -> String {
    read(text).diagnostics.to_string()
}

const GOOD: &str = r#"
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata:
  name: replicas
  annotations: {stockade.dev/title: Few replicas, stockade.dev/severity: high}
spec:
  failurePolicy: Ignore
  paramKind: {apiVersion: rules.example.com/v1, kind: ReplicaLimit}
  matchConstraints:
    matchPolicy: Exact
    namespaceSelector: {matchExpressions: [{key: env, operator: NotIn, values: [dev]}]}
    resourceRules:
    - {apiGroups: [apps], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [deployments], scope: Namespaced}
  matchConditions: [{name: not-system, expression: "!request.userInfo.username.startsWith('system:')"}]
  variables: [{name: replicas, expression: object.spec.replicas}]
  validations:
  - expression: variables.replicas <= params.max
    message: too many
    messageExpression: "'at most ' + string(params.max)"
    reason: Forbidden
  auditAnnotations: [{key: replicas, valueExpression: string(variables.replicas)}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: replicas-binding}
spec:
  policyName: replicas
  validationActions: [Deny, Audit]
  paramRef: {name: limit, namespace: default, parameterNotFoundAction: Deny}
  matchResources: {objectSelector: {matchLabels: {app: web}}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: limit}
"#;

#[test]
fn a_policy_its_binding_and_other_objects_are_told_apart() {
    let sources = read(GOOD);
    assert!(sources.diagnostics.is_empty(), "{}", sources.diagnostics);
    let policy = &sources.policies[0];
    assert_eq!((policy.flavour, policy.name.as_str(), policy.origin.line), (Flavour::Validating, "replicas", 2));
    assert_eq!(policy.metadata.title.as_deref(), Some("Few replicas"));
    assert_eq!(policy.validations[0].expression.path, "spec.validations[0].expression");
    assert_eq!(policy.match_constraints.resource_rules[0].resources, ["deployments"]);
    let binding = &sources.bindings[0];
    assert_eq!((binding.policy_name.as_str(), binding.actions.deny, binding.actions.warn), ("replicas", true, false));
    assert!(matches!(&binding.params.as_ref().unwrap().source, ParamSource::Name(n) if n == "limit"));
    assert_eq!(sources.objects.len(), 1);
}

#[test]
#[expect(clippy::too_many_lines, reason = "the snapshot of all faults is the test")]
fn every_fault_of_a_policy_is_reported_at_once() {
    let text = r#"apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata:
  name: Bad_Name
spec:
  failPolicy: Fail
  failurePolicy: fail
  paramKind: {apiVersion: a/b/c, kind: 1x}
  matchConstraints:
    resourceRules:
    - apiGroups: ["*", apps]
      apiVersions: []
      operations: [create, "*"]
      resources: [pods, "*", "*/scale", deployments/scale]
      scope: namespaced
  matchConditions:
  - {name: "a b", expression: "  "}
  variables:
  - {name: in, expression: "1"}
  - expression: "1"
  validations:
  - expresion: "true"
    message: "a\nb"
    reason: Unauthorized
  auditAnnotations:
  - {key: "k k", valueExpression: yes}
"#;
    insta::assert_snapshot!(faults(text), @r#"
    error: metadata.name: Invalid value: "Bad_Name": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')
     --> p.yaml:4:9
      |
    4 |   name: Bad_Name
      |         ^^^^^^^^

    error: unknown field "spec.failPolicy"
     --> p.yaml:6:3
      |
    6 |   failPolicy: Fail
      |   ^^^^^^^^^^
      = help: did you mean `failurePolicy`?

    error: spec.failurePolicy: Unsupported value: "fail": supported values: "Fail", "Ignore"
     --> p.yaml:7:18
      |
    7 |   failurePolicy: fail
      |                  ^^^^
      = help: did you mean `Fail`?

    error: spec.paramKind.apiVersion: Invalid value: "a/b/c": unexpected GroupVersion string: a/b/c
     --> p.yaml:8:27
      |
    8 |   paramKind: {apiVersion: a/b/c, kind: 1x}
      |                           ^^^^^

    error: spec.paramKind.kind: Invalid value: "1x": may have mixed case, but should otherwise match: a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')
     --> p.yaml:8:40
      |
    8 |   paramKind: {apiVersion: a/b/c, kind: 1x}
      |                                        ^^

    error: spec.matchConstraints.resourceRules[0].apiGroups: Invalid value: ["*","apps"]: if '*' is present, must not specify other API groups
      --> p.yaml:11:18
       |
    11 |     - apiGroups: ["*", apps]
       |                  ^^^^^^^^^^^

    error: spec.matchConstraints.resourceRules[0].apiVersions: Required value
      --> p.yaml:12:20
       |
    12 |       apiVersions: []
       |                    ^^

    error: spec.matchConstraints.resourceRules[0].operations: Invalid value: ["create","*"]: if '*' is present, must not specify other operations
      --> p.yaml:13:19
       |
    13 |       operations: [create, "*"]
       |                   ^^^^^^^^^^^^^

    error: spec.matchConstraints.resourceRules[0].operations[0]: Unsupported value: "create": supported values: "*", "CONNECT", "CREATE", "DELETE", "UPDATE"
      --> p.yaml:13:20
       |
    13 |       operations: [create, "*"]
       |                    ^^^^^^
       = help: did you mean `CREATE`?

    error: spec.matchConstraints.resourceRules[0].resources[3]: Invalid value: "deployments/scale": if '*/scale' is present, must not specify deployments/scale
      --> p.yaml:14:41
       |
    14 |       resources: [pods, "*", "*/scale", deployments/scale]
       |                                         ^^^^^^^^^^^^^^^^^

    error: spec.matchConstraints.resourceRules[0].scope: Unsupported value: "namespaced": supported values: "*", "Cluster", "Namespaced"
      --> p.yaml:15:14
       |
    15 |       scope: namespaced
       |              ^^^^^^^^^^
       = help: did you mean `Namespaced`?

    error: spec.matchConditions[0].name: Invalid value: "a b": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')
      --> p.yaml:17:12
       |
    17 |   - {name: "a b", expression: "  "}
       |            ^^^^^

    error: spec.matchConditions[0].expression: Required value
      --> p.yaml:17:31
       |
    17 |   - {name: "a b", expression: "  "}
       |                               ^^^^

    error: spec.variables[0].name: Invalid value: "in": must be a valid CEL identifier
      --> p.yaml:19:12
       |
    19 |   - {name: in, expression: "1"}
       |            ^^

    error: spec.variables[1].name: Required value: name is not specified
      --> p.yaml:20:5
       |
    20 |   - expression: "1"
       |     ^^^^^^^^^^^^^^^

    error: spec.validations[0].expression: Required value: expression is not specified
      --> p.yaml:22:5
       |
    22 |   - expresion: "true"
       |     ^^^^^^^^^^^^^^^^^

    error: unknown field "spec.validations[0].expresion"
      --> p.yaml:22:5
       |
    22 |   - expresion: "true"
       |     ^^^^^^^^^
       = help: did you mean `expression`?

    error: spec.validations[0].message: Invalid value: "a\nb": must not contain line breaks
      --> p.yaml:23:14
       |
    23 |     message: "a\nb"
       |              ^^^^^^

    error: spec.validations[0].reason: Unsupported value: "Unauthorized": supported values: "Forbidden", "Invalid", "RequestEntityTooLarge"
      --> p.yaml:24:13
       |
    24 |     reason: Unauthorized
       |             ^^^^^^^^^^^^

    error: spec.auditAnnotations[0].key: Invalid value: "k k": prefix part a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')
      --> p.yaml:26:11
       |
    26 |   - {key: "k k", valueExpression: yes}
       |           ^^^^^

    error: spec.auditAnnotations[0].key: Invalid value: "k k": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')
      --> p.yaml:26:11
       |
    26 |   - {key: "k k", valueExpression: yes}
       |           ^^^^^

    error: spec.auditAnnotations[0].valueExpression: expected a string, found a boolean
      --> p.yaml:26:35
       |
    26 |   - {key: "k k", valueExpression: yes}
       |                                   ^^^
       = help: write it in quotes: "yes"
    "#);
}

#[test]
fn a_policy_needs_rules_and_something_to_check() {
    let text = "apiVersion: admissionregistration.k8s.io/v1\nkind: ValidatingAdmissionPolicy\nmetadata: {name: a}\n\
                spec:\n  matchConstraints: {}\n";
    insta::assert_snapshot!(faults(text), @r#"
    error: spec.validations: Required value: validations or auditAnnotations must contain at least one item
     --> p.yaml:5:3
      |
    5 |   matchConstraints: {}
      |   ^^^^^^^^^^^^^^^^^^^^

    error: spec.auditAnnotations: Required value: validations or auditAnnotations must contain at least one item
     --> p.yaml:5:3
      |
    5 |   matchConstraints: {}
      |   ^^^^^^^^^^^^^^^^^^^^

    error: spec.matchConstraints.resourceRules: Required value
     --> p.yaml:5:21
      |
    5 |   matchConstraints: {}
      |                     ^^
    "#);
}

#[test]
fn a_mutating_policy_is_held_to_its_own_rules() {
    let text = r#"apiVersion: admissionregistration.k8s.io/v1beta1
kind: MutatingAdmissionPolicy
metadata: {name: m}
spec:
  matchConstraints:
    resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [DELETE], resources: [pods]}]
  mutations:
  - patchType: JSONPatch
    applyConfiguration: {expression: "Object{}"}
  - patchType: JsonPatch
  - patchType: ApplyConfiguration
    applyConfiguration: {expression: ""}
  validations: []
"#;
    insta::assert_snapshot!(faults(text), @r#"
    error: spec.reinvocationPolicy: Required value
     --> p.yaml:5:3
      |
    5 |   matchConstraints:
      |   ^^^^^^^^^^^^^^^^^

    error: spec.matchConstraints.resourceRules[0].operations[0]: Unsupported value: "DELETE": supported values: "*", "CONNECT", "CREATE", "UPDATE"
     --> p.yaml:6:71
      |
    6 |     resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [DELETE], resources: [pods]}]
      |                                                                       ^^^^^^

    error: spec.mutations[0].jsonPatch: Required value: must be specified when patchType is JSONPatch
     --> p.yaml:8:5
      |
    8 |   - patchType: JSONPatch
      |     ^^^^^^^^^^^^^^^^^^^^

    error: spec.mutations[0].applyConfiguration: Invalid value: must not be specified when patchType is JSONPatch
     --> p.yaml:9:25
      |
    9 |     applyConfiguration: {expression: "Object{}"}
      |                         ^^^^^^^^^^^^^^^^^^^^^^^^

    error: spec.mutations[1].patchType: Unsupported value: "JsonPatch": supported values: "ApplyConfiguration", "JSONPatch"
      --> p.yaml:10:16
       |
    10 |   - patchType: JsonPatch
       |                ^^^^^^^^^
       = help: did you mean `JSONPatch`?

    error: spec.mutations[2].applyConfiguration.expression: Required value
      --> p.yaml:12:38
       |
    12 |     applyConfiguration: {expression: ""}
       |                                      ^^

    error: unknown field "spec.validations"
      --> p.yaml:13:3
       |
    13 |   validations: []
       |   ^^^^^^^^^^^
       = help: known fields: `failurePolicy`, `matchConditions`, `matchConstraints`, `mutations`, `paramKind`, `reinvocationPolicy`, `variables`
    "#);
}

#[test]
fn a_binding_is_held_to_the_rules_of_the_api_server() {
    let text = r#"apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: b, namespace: x}
spec:
  policyName: P
  validationActions: [Deny, Warn, Deny, Log]
  paramRef: {name: a/b, selector: {matchExpressions: [{key: k, operator: In}, {key: k, operator: exists}]}}
"#;
    insta::assert_snapshot!(faults(text), @r#"
    warning: metadata.namespace: has no effect: this kind is cluster-scoped
     --> p.yaml:3:32
      |
    3 | metadata: {name: b, namespace: x}
      |                                ^

    error: spec.policyName: Invalid value: "P": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')
     --> p.yaml:5:15
      |
    5 |   policyName: P
      |               ^

    error: spec.validationActions: Invalid value: ["Deny","Warn","Deny","Log"]: must not contain both Deny and Warn (repeating the same validation failure information in the API response and headers serves no purpose)
     --> p.yaml:6:22
      |
    6 |   validationActions: [Deny, Warn, Deny, Log]
      |                      ^^^^^^^^^^^^^^^^^^^^^^^

    error: spec.validationActions[2]: Duplicate value: "Deny"
     --> p.yaml:6:35
      |
    6 |   validationActions: [Deny, Warn, Deny, Log]
      |                                   ^^^^

    error: spec.validationActions[3]: Unsupported value: "Log": supported values: "Audit", "Deny", "Warn"
     --> p.yaml:6:41
      |
    6 |   validationActions: [Deny, Warn, Deny, Log]
      |                                         ^^^

    error: spec.paramRef.parameterNotFoundAction: Required value
     --> p.yaml:7:13
      |
    7 |   paramRef: {name: a/b, selector: {matchExpressions: [{key: k, operator: In}, {key: k, operator: exists}]}}
      |             ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^

    error: spec.paramRef.name: Invalid value: "a/b": may not contain '/'
     --> p.yaml:7:20
      |
    7 |   paramRef: {name: a/b, selector: {matchExpressions: [{key: k, operator: In}, {key: k, operator: exists}]}}
      |                    ^^^

    error: spec.paramRef.name: Forbidden: name and selector are mutually exclusive
     --> p.yaml:7:20
      |
    7 |   paramRef: {name: a/b, selector: {matchExpressions: [{key: k, operator: In}, {key: k, operator: exists}]}}
      |                    ^^^

    error: spec.paramRef.selector: Forbidden: name and selector are mutually exclusive
     --> p.yaml:7:35
      |
    7 |   paramRef: {name: a/b, selector: {matchExpressions: [{key: k, operator: In}, {key: k, operator: exists}]}}
      |                                   ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^

    error: spec.paramRef.selector.matchExpressions[0].values: Required value: must be specified when `operator` is 'In' or 'NotIn'
     --> p.yaml:7:55
      |
    7 |   paramRef: {name: a/b, selector: {matchExpressions: [{key: k, operator: In}, {key: k, operator: exists}]}}
      |                                                       ^^^^^^^^^^^^^^^^^^^^^^

    error: spec.paramRef.selector.matchExpressions[1].operator: Unsupported value: "exists": supported values: "DoesNotExist", "Exists", "In", "NotIn"
     --> p.yaml:7:98
      |
    7 |   paramRef: {name: a/b, selector: {matchExpressions: [{key: k, operator: In}, {key: k, operator: exists}]}}
      |                                                                                                  ^^^^^^
      = help: did you mean `Exists`?
    "#);
}

#[test]
fn an_admission_policy_is_its_own_binding() {
    let text = r#"apiVersion: stockade.dev/v1alpha1
kind: AdmissionPolicy
metadata: {name: a}
spec:
  title: T
  severity: low
  actions: [Warn]
  matchConstraints:
    resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: ["*"], resources: [pods]}]
  validations: [{expression: "network.ingress(object).isolated()"}]
"#;
    let sources = read(text);
    assert!(sources.diagnostics.is_empty(), "{}", sources.diagnostics);
    let policy = &sources.policies[0];
    assert_eq!((policy.metadata.title.as_deref(), policy.metadata.severity.as_deref()), (Some("T"), Some("low")));
    assert!(policy.inline.as_ref().is_some_and(|i| i.actions.warn && !i.actions.deny));
}

#[test]
fn a_kind_or_version_with_a_typo_is_never_overlooked() {
    let text = "apiVersion: admissionregistration.k8s.io/v1\nkind: ValidatingAdmisionPolicy\n---\n\
                apiVersion: admissionregistration.k8s.io/v2\nkind: MutatingAdmissionPolicy\n---\n\
                apiVersion: admission.k8s.io/v1\nkind: ValidatingAdmissionPolicy\n---\n\
                apiVersion: stockade.dev/v1alpha1\nkind: ImagePolicy\n---\n\
                apiVersion: admissionregistration.k8s.io/v1\nkind: ValidatingWebhookConfiguration\n";
    insta::assert_snapshot!(faults(text), @r#"
    error: kind: unknown kind "ValidatingAdmisionPolicy" in admissionregistration.k8s.io
     --> p.yaml:2:7
      |
    2 | kind: ValidatingAdmisionPolicy
      |       ^^^^^^^^^^^^^^^^^^^^^^^^
      = help: did you mean `ValidatingAdmissionPolicy`?

    error: apiVersion: unknown version "v2" of MutatingAdmissionPolicy
     --> p.yaml:4:13
      |
    4 | apiVersion: admissionregistration.k8s.io/v2
      |             ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      = help: versions that are read: v1, v1beta1, v1alpha1

    error: apiVersion: unknown group "admission.k8s.io" for ValidatingAdmissionPolicy
     --> p.yaml:7:13
      |
    7 | apiVersion: admission.k8s.io/v1
      |             ^^^^^^^^^^^^^^^^^^^
      = help: this kind belongs to `admissionregistration.k8s.io/v1`

    error: kind: unknown kind "ImagePolicy" in stockade.dev
      --> p.yaml:11:7
       |
    11 | kind: ImagePolicy
       |       ^^^^^^^^^^^
       = help: kinds that are read: `AdmissionPolicy`, `NamespaceGroup`, `PolicyException`
    "#);
}

#[test]
fn test_cases_and_hidden_files_of_a_folder_are_left_out() {
    let root = std::env::temp_dir().join(format!("stockade-sources-{}", std::process::id()));
    for (path, text) in [
        ("pack/a/policy.yaml", GOOD),
        ("pack/a/test.yaml", "cases: []"),
        ("pack/a/pass/pod.yaml", "broken: ["),
        ("pack/a/fail/pod.yaml", "broken: ["),
        ("pack/..data/policy.yaml", "broken: ["),
        ("pack/values.yaml", "a: 1\n"),
        ("pack/README.md", "# A"),
    ] {
        let file = root.join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }
    let sources = load_paths(&[root.clone(), root.join("pack/a/policy.yaml"), root.join("absent.yaml")]);
    let manifests = manifest_files(&[PathBuf::from("-"), root.join("pack/a")]).unwrap();
    fs::remove_dir_all(&root).unwrap();
    let names: Vec<_> = manifests.iter().map(|p| p.strip_prefix(&root).unwrap_or(p).display().to_string()).collect();
    assert_eq!(names, ["-", "pack/a/fail/pod.yaml", "pack/a/pass/pod.yaml", "pack/a/policy.yaml", "pack/a/test.yaml"]);
    assert_eq!((sources.policies.len(), sources.bindings.len(), sources.objects.len()), (1, 1, 1));
    let shown: Vec<_> = sources.diagnostics.iter().map(|d| (d.severity, d.message.as_str())).collect();
    assert_eq!(
        shown,
        [
            (Severity::Error, "cannot be read: No such file or directory (os error 2)"),
            (Severity::Warning, "Object 'apiVersion' is missing"),
            (Severity::Warning, "Object 'kind' is missing"),
        ]
    );
}

#[test]
fn policies_of_a_list_are_read_even_when_their_kind_is_told_by_the_list_alone() {
    let text = r#"apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyList
items:
- metadata: {name: a}
  spec:
    matchConstraints: {resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: ["*"], resources: [pods]}]}
    validations: [{expression: "true"}]
"#;
    let sources = read(text);
    assert!(sources.diagnostics.is_empty(), "{}", sources.diagnostics);
    assert_eq!((sources.policies.len(), sources.objects.len()), (1, 0));
    assert_eq!((sources.policies[0].name.as_str(), sources.policies[0].origin.line), ("a", 4));
}

#[test]
fn what_cannot_be_looked_at_in_a_folder_refuses_it_and_a_link_to_nowhere_does_not() {
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    let root = std::env::temp_dir().join(format!("stockade-links-{}", std::process::id()));
    fs::create_dir_all(&root).unwrap();
    fs::write(root.join("policy.yaml"), GOOD).unwrap();
    symlink("gone", root.join("build")).unwrap();
    let faults = || {
        let sources = load_paths(std::slice::from_ref(&root));
        let shown = sources.diagnostics.iter().map(|d| {
            let name = d.file.rsplit('/').next().unwrap_or_default().to_owned();
            (name, d.severity, d.message.split(" (os").next().unwrap_or_default().to_owned())
        });
        shown.collect::<Vec<_>>()
    };
    let before = faults();
    symlink("loop", root.join("loop")).unwrap();
    symlink("gone", root.join("gone.yaml")).unwrap();
    let _socket = UnixListener::bind(root.join("socket.yaml")).unwrap();
    let after = faults();
    fs::remove_dir_all(&root).unwrap();
    let error = |name: &str, message: &str| (name.to_owned(), Severity::Error, message.to_owned());
    assert_eq!(
        (before, after),
        (
            Vec::new(),
            vec![
                error("gone.yaml", "cannot be read: No such file or directory"),
                error("loop", "cannot be read: Too many levels of symbolic links"),
                error("socket.yaml", "is no regular file"),
            ]
        )
    );
}
