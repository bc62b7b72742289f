use super::*;

fn load(text: &str) -> PolicySources {
    let mut sources = PolicySources::default();
    sources.add("p.yaml", text, true);
    sources
}

fn refused(text: &str) -> String {
    compile(&load(text), Options::default()).map(|c| c.diagnostics.to_string()).unwrap_err().to_string()
}

fn accepted(text: &str, options: Options) -> Compiled {
    compile(&load(text), options).unwrap_or_else(|d| panic!("{d}"))
}

const CONSTRAINTS: &str = "matchConstraints: {resourceRules: [{apiGroups: [apps], apiVersions: [v1], operations: \
                           ['*'], resources: [deployments]}]}";

fn validating(name: &str, spec: &str) -> String {
    policy("ValidatingAdmissionPolicy", name, spec)
}

fn policy(kind: &str, name: &str, spec: &str) -> String {
    let spec: String = spec.lines().map(|l| format!("  {l}\n")).collect();
    format!(
        "apiVersion: admissionregistration.k8s.io/v1\nkind: {kind}\nmetadata: {{name: {name}}}\nspec:\n  \
         {CONSTRAINTS}\n{spec}---\n"
    )
}

fn binding(kind: &str, name: &str, policy: &str) -> String {
    let actions = if kind.starts_with('V') { ", validationActions: [Warn]" } else { "" };
    format!(
        "apiVersion: admissionregistration.k8s.io/v1\nkind: {kind}\nmetadata: {{name: {name}}}\nspec: {{policyName: \
         {policy}{actions}}}\n---\n"
    )
}

#[test]
fn every_compile_error_points_into_the_file_whatever_the_style() {
    let text = validating(
        "a",
        "matchConditions: [{name: c, expression: variables.x}]\n\
         variables:\n\
         - {name: replicas, expression: objct.spec.replicas}\n\
         - {name: count, expression: variables.replicas}\n\
         validations:\n\
         - expression: |-\n    \
             object.spec.replicas > 1 &&\n    \
             variables.replica < 3\n  \
           messageExpression: \"'\\\"a\\\"' + authorizer\"\n\
         - expression: 'object.metadata.name == ''x'' && params.a'\n\
         - expression: object.spec.replicas\n\
         auditAnnotations: [{key: k, valueExpression: 1 + 1}]",
    );
    insta::assert_snapshot!(refused(&text), @r#"
    error: spec.matchConditions[0].expression: undeclared reference to 'variables' (in container '')
     --> p.yaml:6:43
      |
    6 |   matchConditions: [{name: c, expression: variables.x}]
      |                                           ^^^^^^^^^
      = help: matchConditions cannot use variables: they are judged before them

    error: spec.variables[0].expression: undeclared reference to 'objct' (in container '')
     --> p.yaml:8:34
      |
    8 |   - {name: replicas, expression: objct.spec.replicas}
      |                                  ^^^^^
      = help: did you mean `object`?

    error: spec.validations[0].expression: undefined field 'replica'
      --> p.yaml:13:16
       |
    13 |       variables.replica < 3
       |                ^
       = help: did you mean `replicas`?

    error: spec.validations[0].messageExpression: undeclared reference to 'authorizer' (in container '')
      --> p.yaml:14:35
       |
    14 |     messageExpression: "'\"a\"' + authorizer"
       |                                   ^^^^^^^^^^
       = help: `authorizer` is not available in a messageExpression

    error: spec.validations[1].expression: undeclared reference to 'params' (in container '')
      --> p.yaml:15:51
       |
    15 |   - expression: 'object.metadata.name == ''x'' && params.a'
       |                                                   ^^^^^^
       = help: declare `spec.paramKind`, and `paramRef` in the binding

    error: spec.validations[2].expression: must evaluate to bool but got dyn
      --> p.yaml:16:17
       |
    16 |   - expression: object.spec.replicas
       |                 ^^^^^^^^^^^^^^^^^^^^
       = help: compare it, or convert it with `bool(…)`: its type is only known at run time

    error: spec.auditAnnotations[0].valueExpression: must evaluate to one of [string null_type] but got int
      --> p.yaml:17:48
       |
    17 |   auditAnnotations: [{key: k, valueExpression: 1 + 1}]
       |                                                ^^^^^
       = help: convert it with `string(…)`
    "#);
}

#[test]
fn a_mutation_must_make_a_patch() {
    let text = policy(
        "MutatingAdmissionPolicy",
        "m",
        "reinvocationPolicy: Never\n\
         mutations:\n\
         - patchType: ApplyConfiguration\n  applyConfiguration: {expression: 'Object{spec: Object.spec{replicas: 3}}'}\n\
         - patchType: JSONPatch\n  jsonPatch: {expression: '[JSONPatch{op: \"add\", path: \"/a\", value: 1}]'}\n\
         - patchType: JSONPatch\n  jsonPatch: {expression: '[JSONPatch{oq: 1}]'}\n\
         - patchType: ApplyConfiguration\n  applyConfiguration: {expression: 'object'}",
    );
    insta::assert_snapshot!(refused(&text), @r#"
    error: spec.mutations[2].jsonPatch.expression: undefined field 'oq'
      --> p.yaml:13:43
       |
    13 |     jsonPatch: {expression: '[JSONPatch{oq: 1}]'}
       |                                           ^

    error: spec.mutations[3].applyConfiguration.expression: must evaluate to Object but got dyn
      --> p.yaml:15:39
       |
    15 |     applyConfiguration: {expression: 'object'}
       |                                       ^^^^^^
    "#);
}

#[test]
fn policies_are_sorted_bound_and_mutating_ones_come_first() {
    let mutate = "reinvocationPolicy: IfNeeded\nmutations:\n- {patchType: ApplyConfiguration, applyConfiguration: \
                  {expression: 'Object{}'}}";
    let text = [
        validating("b", "validations: [{expression: 'true'}]"),
        validating("a", "validations: [{expression: 'true'}]"),
        policy("MutatingAdmissionPolicy", "z", mutate),
        binding("ValidatingAdmissionPolicyBinding", "two", "b"),
        binding("ValidatingAdmissionPolicyBinding", "one", "b"),
        binding("ValidatingAdmissionPolicyBinding", "lost", "bb"),
    ]
    .concat();
    let names = |unbound| {
        let compiled = accepted(&text, Options { unbound, ..Options::default() });
        let set: Vec<_> = compiled
            .set
            .policies
            .iter()
            .map(|p| (p.name.to_string(), p.bindings.iter().map(|b| b.name.to_string()).collect::<Vec<_>>()))
            .collect();
        (set, compiled.diagnostics.to_string())
    };
    let strings = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
    let expected = |z: &[&str], a: &[&str]| {
        [("z", strings(z)), ("a", strings(a)), ("b", strings(&["one", "two"]))].map(|(n, b)| (n.to_owned(), b)).to_vec()
    };
    assert_eq!(names(UnboundPolicy::Ignore).0, expected(&[], &[]));
    let (set, shown) = names(UnboundPolicy::BindEverywhereDeny);
    assert_eq!(set, expected(&["z"], &["a"]));
    insta::assert_snapshot!(shown, @r#"
    note: metadata.name: ValidatingAdmissionPolicy "a" has no binding: treated as bound everywhere with Deny
      --> p.yaml:10:18
       |
    10 | metadata: {name: a}
       |                  ^

    note: metadata.name: MutatingAdmissionPolicy "z" has no binding: treated as bound everywhere with Deny
      --> p.yaml:17:18
       |
    17 | metadata: {name: z}
       |                  ^

    warning: spec.policyName: no ValidatingAdmissionPolicy named "bb" was read: this binding does nothing
      --> p.yaml:37:20
       |
    37 | spec: {policyName: bb, validationActions: [Warn]}
       |                    ^^
       = help: did you mean `b`?
    "#);
}

#[test]
fn one_name_twice_is_refused() {
    let one = validating("a", "validations: [{expression: 'true'}]");
    insta::assert_snapshot!(refused(&format!("{one}{one}")), @r#"
    note: metadata.name: ValidatingAdmissionPolicy "a" has no binding: it judges nothing
     --> p.yaml:3:18
      |
    3 | metadata: {name: a}
      |                  ^
      = help: add a ValidatingAdmissionPolicyBinding

    error: metadata.name: ValidatingAdmissionPolicy "a" is already defined in p.yaml:3:18
      --> p.yaml:10:18
       |
    10 | metadata: {name: a}
       |                  ^

    note: metadata.name: ValidatingAdmissionPolicy "a" has no binding: it judges nothing
      --> p.yaml:10:18
       |
    10 | metadata: {name: a}
       |                  ^
       = help: add a ValidatingAdmissionPolicyBinding
    "#);
}

#[test]
fn an_admission_policy_calls_the_host_libraries_and_tells_what_it_reads() {
    let text = validating(
        "a",
        "variables: [{name: quota, expression: \"cluster.list('v1', 'ResourceQuota', request.namespace)\"}]\n\
         validations:\n\
         - expression: network.ingress(object).isolated() && size(variables.quota) > 0\n\
         - expression: cluster.get('example.com/v1', 'Team', '', 'x').hasValue()\n",
    );
    let own = text.replace("admissionregistration.k8s.io/v1", "stockade.dev/v1alpha1").replace("Validating", "");
    let compiled = accepted(&own, Options { type_check: false, ..Options::default() });
    let shown = |r: &crate::compiled::KindRead| {
        format!("{} {} {}", r.kind.api_version, r.kind.kind, r.name.as_deref().unwrap_or("*"))
    };
    let reads: Vec<_> = compiled.set.policies[0].reads.iter().map(shown).collect();
    assert_eq!(reads, ["example.com/v1 Team x", "networking.k8s.io/v1 NetworkPolicy *", "v1 ResourceQuota *"]);
    insta::assert_snapshot!(refused(&text), @r#"
    error: spec.variables[0].expression: undeclared reference to 'cluster' (in container '')
     --> p.yaml:6:42
      |
    6 |   variables: [{name: quota, expression: "cluster.list('v1', 'ResourceQuota', request.namespace)"}]
      |                                          ^^^^^^^
      = help: this library is available in `stockade.dev/v1alpha1` AdmissionPolicy only

    error: spec.variables[0].expression: undeclared reference to 'list' (in container '')
     --> p.yaml:6:54
      |
    6 |   variables: [{name: quota, expression: "cluster.list('v1', 'ResourceQuota', request.namespace)"}]
      |                                                      ^

    error: spec.validations[0].expression: undeclared reference to 'network' (in container '')
     --> p.yaml:8:17
      |
    8 |   - expression: network.ingress(object).isolated() && size(variables.quota) > 0
      |                 ^^^^^^^
      = help: this library is available in `stockade.dev/v1alpha1` AdmissionPolicy only

    error: spec.validations[0].expression: undeclared reference to 'ingress' (in container '')
     --> p.yaml:8:32
      |
    8 |   - expression: network.ingress(object).isolated() && size(variables.quota) > 0
      |                                ^

    error: spec.validations[0].expression: undeclared reference to 'isolated' (in container '')
     --> p.yaml:8:49
      |
    8 |   - expression: network.ingress(object).isolated() && size(variables.quota) > 0
      |                                                 ^

    error: spec.validations[1].expression: undeclared reference to 'cluster' (in container '')
     --> p.yaml:9:17
      |
    9 |   - expression: cluster.get('example.com/v1', 'Team', '', 'x').hasValue()
      |                 ^^^^^^^
      = help: this library is available in `stockade.dev/v1alpha1` AdmissionPolicy only

    error: spec.validations[1].expression: undeclared reference to 'get' (in container '')
     --> p.yaml:9:28
      |
    9 |   - expression: cluster.get('example.com/v1', 'Team', '', 'x').hasValue()
      |                            ^
    "#);
}

#[test]
fn expressions_that_do_not_fit_a_schema_are_warned_of() {
    let text = validating(
        "a",
        "variables: [{name: spec, expression: object.spec}]\n\
         validations:\n\
         - expression: object.spec.replicas > '1'\n  messageExpression: string(object.spec.foo)\n\
         - expression: object.spec.template.spec.containers.all(c, c.imag != '')\n\
         - expression: object.metadata.namespace != 'x' && variables.spec.anything == 1",
    );
    let compiled = accepted(&text, Options::default());
    let warnings: Vec<_> =
        compiled.set.policies[0].type_warnings.iter().map(|w| format!("{}:\n{}", w.field, w.warning)).collect();
    insta::assert_snapshot!(warnings.join("\n"), @r#"
    spec.validations[0].expression:
    apps/v1, Kind=Deployment: ERROR: <input>:1:22: found no matching overload for '_>_' applied to '(int, string)'
     | object.spec.replicas > '1'
     | .....................^

    spec.validations[0].messageExpression:
    apps/v1, Kind=Deployment: ERROR: <input>:1:19: undefined field 'foo'
     | string(object.spec.foo)
     | ..................^

    spec.validations[1].expression:
    apps/v1, Kind=Deployment: ERROR: <input>:1:46: undefined field 'imag'
     | object.spec.template.spec.containers.all(c, c.imag != '')
     | .............................................^
    "#);
    insta::assert_snapshot!(compiled.diagnostics, @r#"
    note: metadata.name: ValidatingAdmissionPolicy "a" has no binding: it judges nothing
     --> p.yaml:3:18
      |
    3 | metadata: {name: a}
      |                  ^
      = help: add a ValidatingAdmissionPolicyBinding

    warning: spec.validations[0].expression: found no matching overload for '_>_' applied to '(int, string)' in apps/v1 Deployment
     --> p.yaml:8:38
      |
    8 |   - expression: object.spec.replicas > '1'
      |                                      ^

    warning: spec.validations[0].messageExpression: undefined field 'foo' in apps/v1 Deployment
     --> p.yaml:9:42
      |
    9 |     messageExpression: string(object.spec.foo)
      |                                          ^
      = help: there is no such field: guard it with `has(…)`, or narrow the rules to kinds that have it

    warning: spec.validations[1].expression: undefined field 'imag' in apps/v1 Deployment
      --> p.yaml:10:62
       |
    10 |   - expression: object.spec.template.spec.containers.all(c, c.imag != '')
       |                                                              ^
       = help: there is no such field: guard it with `has(…)`, or narrow the rules to kinds that have it
    "#);
}

#[test]
fn a_read_of_a_kind_that_is_no_constant_is_warned_of() {
    let text = validating("a", "validations: [{expression: \"size(cluster.list('v1', request.name)) > 0\"}]")
        .replace("admissionregistration.k8s.io/v1", "stockade.dev/v1alpha1")
        .replace("Validating", "");
    let compiled = accepted(&text, Options { type_check: false, ..Options::default() });
    insta::assert_snapshot!(compiled.diagnostics, @r#"
    warning: spec.validations[0].expression: the kind that is read is no constant: the cluster cannot be watched for it
     --> p.yaml:6:36
      |
    6 |   validations: [{expression: "size(cluster.list('v1', request.name)) > 0"}]
      |                                    ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      = help: write apiVersion and kind as literal strings
    "#);
}

#[test]
fn diagnostics_have_a_form_for_machines() {
    let text = validating("a", "validations: [{expression: objct.a == 1}]");
    let faults = compile(&load(&text), Options::default()).unwrap_err();
    insta::assert_snapshot!(serde_json::to_string_pretty(&faults).unwrap(), @r#"
    [
      {
        "severity": "error",
        "file": "p.yaml",
        "line": 6,
        "column": 30,
        "field": "spec.validations[0].expression",
        "message": "undeclared reference to 'objct' (in container '')",
        "help": "did you mean `object`?",
        "excerpt": {
          "text": "  validations: [{expression: objct.a == 1}]",
          "indent": 29,
          "width": 5
        }
      }
    ]
    "#);
}

#[test]
fn whatever_is_cut_from_a_policy_it_is_refused_or_still_whole() {
    let text = validating(
        "a",
        "variables: [{name: x, expression: \"object.a == 1 ? 'ü' : \\\"\\u00e9\\\"\"}]\n\
         validations:\n\
         - expression: >-\n    variables.x ==\n      'a'\n  message: |\n    a\n\
         - {expression: 'true', messageExpression: '''a'' + \"b\"'}",
    );
    let options = Options { type_check: false, ..Options::default() };
    let whole = |text: &str| compile(&load(text), options).is_ok_and(|c| c.set.policies.len() == 1);
    assert!(whole(&text));
    let accepted: Vec<usize> =
        text.char_indices().map(|(at, _)| at).filter(|&at| whole(&text[..at]) || whole(&text[at..])).collect();
    let checked = text.find("'a'\n").unwrap();
    assert!(accepted.iter().all(|&at| at == 0 || at > checked), "{accepted:?}");
}
