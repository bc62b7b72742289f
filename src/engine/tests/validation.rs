//! Whole decisions of validating policies: verdicts, words and order as the API server has them.

#[path = "support/kit.rs"]
mod kit;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};
use stockade_cel::Value;
use stockade_cel::authorizer::Authorizer;
use stockade_engine::decision::{FindingAction, FindingResult, Status};
use stockade_engine::facts::{ClusterFacts, Fact, Into, Kind};
use stockade_engine::request::Operation;
use stockade_engine::{DecideOptions, Decision, RequestBuilder, Verb};

const RULES: &str =
    r#"{"resourceRules": [{"apiGroups": ["*"], "apiVersions": ["*"], "operations": ["*"], "resources": ["*"]}]}"#;

/// A ValidatingAdmissionPolicy about everything; `spec` is what else it has, as YAML flow members.
fn policy(name: &str, spec: &str) -> String {
    format!(
        "apiVersion: admissionregistration.k8s.io/v1\nkind: ValidatingAdmissionPolicy\nmetadata: {{name: {name}}}\n\
         spec: {{matchConstraints: {RULES}, {spec}}}\n---\n"
    )
}

fn binding(name: &str, policy: &str, spec: &str) -> String {
    format!(
        "apiVersion: admissionregistration.k8s.io/v1\nkind: ValidatingAdmissionPolicyBinding\nmetadata: {{name: {name}}}\n\
         spec: {{policyName: {policy}, {spec}}}\n---\n"
    )
}

fn pod() -> Json {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "namespace": "shop", "labels": {"app": "web"}},
        "spec": {"replicas": 3}})
}

fn judge(policies: &str) -> Decision {
    judge_in(policies, [])
}

fn judge_in<const N: usize>(policies: &str, objects: [Json; N]) -> Decision {
    kit::decide(&kit::engine(policies), RequestBuilder::new().object(pod()), &kit::facts(objects))
}

fn message(decision: &Decision) -> &str {
    decision.status.as_ref().map_or("allowed", |s| s.message.as_str())
}

#[test]
fn a_false_validation_refuses_in_upstreams_words() {
    let policies =
        policy("p", "validations: [{expression: 'object.spec.replicas > 5', message: ' too few ', reason: Forbidden}]")
            + &binding("b", "p", "validationActions: [Deny]");
    let decision = judge(&policies);
    assert_eq!(
        decision.status,
        Some(Status {
            code: 403,
            reason: "Forbidden".to_owned(),
            message: "ValidatingAdmissionPolicy 'p' with binding 'b' denied request: too few".to_owned(),
        })
    );
    let finding = &decision.findings[0];
    assert_eq!((finding.action, finding.result), (FindingAction::Deny, FindingResult::Fail));
    assert_eq!((finding.rule.as_str(), finding.binding.as_str()), ("validations[0]", "b"));
}

#[test]
fn the_message_falls_back_from_expression_to_text_to_the_failed_expression() {
    let of = |rest: &str| {
        let policies = policy("p", &format!("validations: [{{expression: ' false ', {rest}}}]"));
        let decision = judge(&(policies + &binding("b", "p", "validationActions: [Deny]")));
        message(&decision).rsplit_once("denied request: ").map(|(_, m)| m.to_owned())
    };
    let is = |text: &str| Some(text.to_owned());
    assert_eq!(of(""), is("failed expression: false"));
    assert_eq!(of("message: plain"), is("plain"));
    assert_eq!(of("message: plain, messageExpression: \"' computed ' + object.metadata.name\""), is("computed web"));
    assert_eq!(of("message: plain, messageExpression: \"'  '\""), is("plain"));
    assert_eq!(of(r#"message: plain, messageExpression: "'two\\nlines'""#), is("plain"));
    assert_eq!(of("message: plain, messageExpression: 'string(object.spec.absent)'"), is("plain"));
}

#[test]
fn an_error_counts_under_the_failure_policy() {
    let of = |policy_for_errors: &str| {
        let spec =
            format!("failurePolicy: {policy_for_errors}, validations: [{{expression: 'object.spec.absent == 1'}}]");
        judge(&(policy("p", &spec) + &binding("b", "p", "validationActions: [Deny]")))
    };
    assert_eq!(
        message(&of("Fail")),
        "ValidatingAdmissionPolicy 'p' with binding 'b' denied request: expression 'object.spec.absent == 1' resulted \
         in error: no such key: absent"
    );
    let ignored = of("Ignore");
    assert!(ignored.allowed);
    assert_eq!((ignored.findings[0].action, ignored.findings[0].result), (FindingAction::Ignore, FindingResult::Error));
}

#[test]
fn warn_and_audit_admit_and_say_so() {
    let policies = policy("p", "validations: [{expression: 'true'}, {expression: 'false', message: 'a < b'}]")
        + &binding("b", "p", "validationActions: [Warn, Audit]");
    let decision = judge(&policies);
    assert!(decision.allowed);
    assert_eq!(decision.warnings, ["Validation failed for ValidatingAdmissionPolicy 'p' with binding 'b': a < b"]);
    let annotation = &decision.audit_annotations["validation.policy.admission.k8s.io/validation_failure"];
    assert_eq!(
        annotation,
        r#"[{"message":"a \u003c b","policy":"p","binding":"b","expressionIndex":1,"validationActions":["Warn","Audit"]}]"#
    );
}

#[test]
fn the_first_refusal_by_name_is_the_answer_and_all_are_findings() {
    let policies = policy("z", "validations: [{expression: 'false', message: z}]")
        + &policy("a", "validations: [{expression: 'false', message: a1}, {expression: 'false', message: a2}]");
    let decision = judge(&policies);
    assert!(message(&decision).ends_with("denied request: a1"), "{decision:?}");
    let messages: Vec<_> = decision.findings.iter().map(|f| f.message.as_str()).collect();
    assert_eq!(messages, ["a1", "a2", "z"]);
}

#[test]
fn match_conditions_skip_when_false_and_err_under_the_failure_policy() {
    let of = |failure: &str, conditions: &str| {
        let spec = format!(
            "failurePolicy: {failure}, matchConditions: [{conditions}], validations: [{{expression: 'false', message: refused}}]"
        );
        let decision = judge(&(policy("p", &spec) + &binding("b", "p", "validationActions: [Deny]")));
        message(&decision).to_owned()
    };
    let (yes, no) = ("{name: yes1, expression: 'true'}", "{name: no1, expression: 'false'}");
    let error = "{name: e, expression: 'object.spec.absent == 1'}";
    let other = "{name: o, expression: 'object.spec.other == 1'}";
    assert!(of("Fail", yes).ends_with(": refused"));
    assert_eq!(of("Fail", &format!("{yes}, {no}")), "allowed");
    assert_eq!(of("Fail", &format!("{error}, {no}")), "allowed", "any false skips");
    assert!(
        of("Fail", &format!("{yes}, {error}"))
            .ends_with("denied request: expression 'object.spec.absent == 1' resulted in error: no such key: absent")
    );
    assert!(of("Fail", &format!("{error}, {other}")).ends_with(
        "denied request: [expression 'object.spec.absent == 1' resulted in error: no such key: absent, expression \
         'object.spec.other == 1' resulted in error: no such key: other]"
    ));
    assert_eq!(of("Ignore", error), "allowed");
}

#[test]
fn a_binding_narrows_and_gives_params() {
    let spec = "paramKind: {apiVersion: v1, kind: ConfigMap}, validations: [{expression: \
                'object.spec.replicas <= int(params.data.max)', messageExpression: \"'at most ' + params.data.max\"}]";
    let params = |name: &str, max: &str| {
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "shop",
            "labels": {"limits": "yes"}}, "data": {"max": max}})
    };
    let bound = |rest: &str| policy("p", spec) + &binding("b", "p", &format!("validationActions: [Deny], {rest}"));
    let by_name = |action| bound(&format!("paramRef: {{name: low, parameterNotFoundAction: {action}}}"));
    assert!(message(&judge_in(&by_name("Deny"), [params("low", "2")])).ends_with("denied request: at most 2"));
    assert_eq!(message(&judge_in(&by_name("Deny"), [params("low", "3")])), "allowed");
    assert_eq!(message(&judge(&by_name("Allow"))), "allowed");
    assert_eq!(
        message(&judge(&by_name("Deny"))),
        "ValidatingAdmissionPolicy 'p' with binding 'b' denied request: failed to configure binding: no params found \
         for policy binding with `Deny` parameterNotFoundAction"
    );
    let selected = bound("paramRef: {selector: {matchLabels: {limits: 'yes'}}, parameterNotFoundAction: Deny}");
    let decision = judge_in(&selected, [params("b", "1"), params("a", "2"), params("c", "9")]);
    let messages: Vec<_> = decision.findings.iter().map(|f| f.message.as_str()).collect();
    assert_eq!(messages, ["at most 2", "at most 1"], "once for each params, by name");

    let narrowed = bound(
        "paramRef: {name: low, parameterNotFoundAction: Deny}, matchResources: {objectSelector: {matchLabels: {app: db}}}",
    );
    assert_eq!(message(&judge(&narrowed)), "allowed");
}

#[test]
fn audit_annotations_join_distinct_values_and_their_errors_refuse() {
    let annotated = |value: &str, actions: &str| {
        let spec = format!(
            "validations: [{{expression: 'true'}}], auditAnnotations: [{{key: k, valueExpression: \"{value}\"}}]"
        );
        judge(
            &(policy("p", &spec)
                + &binding("a", "p", &format!("validationActions: [{actions}]"))
                + &binding("b", "p", &format!("validationActions: [{actions}]"))),
        )
    };
    assert_eq!(annotated("' x '", "Deny").audit_annotations, [("p/k".to_owned(), "x".to_owned())].into());
    assert!(annotated("''", "Deny").audit_annotations.is_empty());
    assert!(annotated("null", "Deny").audit_annotations.is_empty());
    let failed = annotated("string(object.spec.absent)", "Warn");
    assert_eq!(
        message(&failed),
        "ValidatingAdmissionPolicy 'p' with binding 'a' denied request: expression 'string(object.spec.absent)' \
         resulted in error: no such key: absent"
    );
}

#[test]
fn the_budget_of_a_policy_ends_in_one_error() {
    let heavy = "[0,1,2,3,4,5,6,7,8,9].all(a, [0,1,2,3,4,5,6,7,8,9].all(b, [0,1,2,3,4,5,6,7,8,9].all(c, \
                 [0,1,2,3,4,5,6,7,8,9].all(d, [0,1,2,3,4,5,6,7,8,9].all(e, a + b + c + d + e >= 0)))))";
    let validations = vec![format!("{{expression: '{heavy}'}}"); 20].join(", ");
    let decision = judge(&policy("p", &format!("validations: [{validations}]")));
    assert!(
        message(&decision).ends_with(
            "denied request: validation failed due to running out of cost budget, no further validation rules will be run"
        ),
        "{decision:?}"
    );
    assert_eq!(decision.findings.len(), 1);
}

#[test]
fn nothing_is_admitted_unjudged_when_the_deadline_has_passed() {
    let policies = policy("p", "validations: [{expression: 'true'}]");
    let past = DecideOptions {
        verb: Verb::Both,
        deadline: Some(Instant::now() - Duration::from_secs(1)),
        ..DecideOptions::default()
    };
    let review = RequestBuilder::new().object(pod()).review();
    let decision = kit::decide_review(&kit::engine(&policies), &review.unwrap_or_default(), &kit::facts([]), &past);
    assert!(message(&decision).ends_with("resulted in error: operation interrupted: deadline of the request exceeded"));
}

#[test]
fn deleted_objects_are_old_objects_and_object_is_null() {
    let policies = policy("p", "validations: [{expression: 'object == null && oldObject.metadata.name == \"web\"'}]");
    let deleted = RequestBuilder::new().operation(Operation::Delete).object(pod());
    assert_eq!(message(&kit::decide(&kit::engine(&policies), deleted, &kit::facts([]))), "allowed");
}

#[test]
fn the_namespace_is_visible_but_not_its_managed_fields_and_null_for_cluster_scoped_objects() {
    let namespaced = policy(
        "p",
        "validations: [{expression: 'namespaceObject.metadata.labels.team == \"red\" && namespaceObject.metadata.name == request.namespace'}]",
    );
    let shop =
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop", "labels": {"team": "red"}}});
    assert_eq!(message(&judge_in(&namespaced, [shop.clone()])), "allowed");

    let null = kit::engine(&policy("p", "validations: [{expression: 'namespaceObject == null'}]"));
    let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}});
    for object in [shop, node] {
        let decision = kit::decide(&null, RequestBuilder::new().object(object), &kit::facts([]));
        assert_eq!(message(&decision), "allowed");
    }
}

#[test]
fn a_namespace_that_does_not_exist_ends_the_request() {
    let engine = kit::engine(&policy("p", "failurePolicy: Ignore, validations: [{expression: 'true'}]"));
    let decision = kit::decide(&engine, RequestBuilder::new().object(pod()), &kit::facts([]).strict_namespaces());
    let expected =
        Status { code: 404, reason: "NotFound".to_owned(), message: "namespaces \"shop\" not found".to_owned() };
    assert_eq!(decision.status, Some(expected));
}

/// A cluster whose caches are empty still.
struct Unsynced;

impl ClusterFacts for Unsynced {
    fn get<'a>(&self, _: Kind<'_>, _: &str, _: &str, _: Into<'a>) -> Fact<Option<Value<'a>>> {
        Fact::NotReady
    }
    fn list<'a>(&self, _: Kind<'_>, _: &str, _: Into<'a>) -> Fact<&'a [Value<'a>]> {
        Fact::NotReady
    }
    fn authorizer(&self) -> Option<&dyn Authorizer> {
        None
    }
}

#[test]
fn what_has_not_synced_counts_under_the_failure_policy() {
    let of = |failure: &str| {
        let engine =
            kit::engine(&policy("p", &format!("failurePolicy: {failure}, validations: [{{expression: 'true'}}]")));
        kit::decide(&engine, RequestBuilder::new().object(pod()), &Unsynced)
    };
    assert!(message(&of("Fail")).ends_with("namespaces are not yet synced to use for admission"), "{:?}", of("Fail"));
    assert!(of("Ignore").allowed);
}

/// A cluster that counts how often it is read, and has but one object in every place.
#[derive(Default)]
struct Counted {
    reads: AtomicUsize,
    /// Bytes that each read takes.
    size: usize,
}

impl Counted {
    fn read<'a>(&self, name: &str, into: Into<'a>) -> Value<'a> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        into.arena.alloc_slice_fill_copy(self.size, 0_u8);
        let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"max": "2"}});
        stockade_cel::document::from_json(&object, into.arena, into.symbols).unwrap_or(Value::Null)
    }
}

impl ClusterFacts for Counted {
    fn get<'a>(&self, kind: Kind<'_>, _: &str, name: &str, into: Into<'a>) -> Fact<Option<Value<'a>>> {
        Fact::Known(match kind.kind {
            "Namespace" => stockade_cel::document::from_json(&json!({}), into.arena, into.symbols).ok(),
            _ => Some(self.read(name, into)),
        })
    }
    fn list<'a>(&self, _: Kind<'_>, _: &str, into: Into<'a>) -> Fact<&'a [Value<'a>]> {
        Fact::Known(into.arena.alloc_slice_copy(&[self.read("a", into)]))
    }
    fn authorizer(&self) -> Option<&dyn Authorizer> {
        None
    }
}

fn with_params(references: impl Iterator<Item = String>) -> String {
    let spec = "paramKind: {apiVersion: v1, kind: ConfigMap}, validations: [{expression: 'params.data.max == \"2\"'}]";
    let bindings = references.enumerate().map(|(i, reference)| {
        let reference = format!("paramRef: {{{reference}, parameterNotFoundAction: Allow}}");
        binding(&format!("b{i}"), "p", &format!("validationActions: [Deny], {reference}"))
    });
    policy("p", spec) + &bindings.collect::<String>()
}

#[test]
fn params_that_bindings_share_are_read_once_a_request() {
    let shared = (0..20).flat_map(|_| ["name: low".to_owned(), "selector: {}".to_owned()]);
    let facts = Counted::default();
    let decision = kit::decide(&kit::engine(&with_params(shared)), RequestBuilder::new().object(pod()), &facts);
    assert_eq!((message(&decision), facts.reads.into_inner()), ("allowed", 2));
}

#[test]
fn a_request_whose_params_fill_its_memory_is_refused_and_reads_no_more() {
    let many = (0..50).map(|i| format!("name: c{i}"));
    let facts = Counted { size: 16 << 20, ..Counted::default() };
    let decision = kit::decide(&kit::engine(&with_params(many)), RequestBuilder::new().object(pod()), &facts);
    assert!(message(&decision).ends_with("the request has read more than 134217728 bytes"), "{}", message(&decision));
    let reads = facts.reads.into_inner();
    assert!(reads < 10, "{reads}");
}
