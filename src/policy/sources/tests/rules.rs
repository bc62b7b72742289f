//! What is wrong with a policy or a binding is told, all at once.

use super::*;

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
