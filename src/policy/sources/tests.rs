use super::*;
use crate::compiled::{Flavour, ParamSource};

mod folders;
mod rules;

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
fn a_kind_or_version_with_a_typo_is_never_overlooked() {
    let text = "apiVersion: admissionregistration.k8s.io/v1\nkind: ValidatingAdmisionPolicy\n---\n\
                apiVersion: admissionregistration.k8s.io/v2\nkind: MutatingAdmissionPolicy\n---\n\
                apiVersion: admission.k8s.io/v1\nkind: ValidatingAdmissionPolicy\n---\n\
                apiVersion: stockade.dev/v1alpha1\nkind: WorkloadPolicy\n---\n\
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

    error: kind: unknown kind "WorkloadPolicy" in stockade.dev
      --> p.yaml:11:7
       |
    11 | kind: WorkloadPolicy
       |       ^^^^^^^^^^^^^^
       = help: kinds that are read: `AdmissionPolicy`, `ImagePolicy`, `NamespaceGroup`, `PolicyException`
    "#);
}
