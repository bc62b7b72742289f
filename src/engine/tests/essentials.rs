//! What is admitted when it cannot be judged, and what comes of verdicts there.

#![expect(clippy::unwrap_used, reason = "tests")]

#[path = "support/kit.rs"]
mod kit;

use serde_json::{Value as Json, json};
use stockade_cel::Value;
use stockade_cel::authorizer::Authorizer;
use stockade_engine::decision::{FindingAction, FindingResult};
use stockade_engine::facts::{ClusterFacts, Fact, Into, Kind};
use stockade_engine::{DecideOptions, Decision, Engine, Essentials, RequestBuilder};

const RULES: &str =
    r#"{"resourceRules": [{"apiGroups": ["*"], "apiVersions": ["*"], "operations": ["*"], "resources": ["*/*"]}]}"#;

fn validating(spec: &str) -> String {
    format!(
        "apiVersion: admissionregistration.k8s.io/v1\nkind: ValidatingAdmissionPolicy\nmetadata: {{name: p}}\n\
         spec: {{matchConstraints: {RULES}, {spec}}}\n"
    )
}

fn mutating(mutation: &str) -> String {
    format!(
        "apiVersion: admissionregistration.k8s.io/v1\nkind: MutatingAdmissionPolicy\nmetadata: {{name: p}}\n\
         spec: {{matchConstraints: {RULES}, reinvocationPolicy: Never, mutations: [{mutation}]}}\n---\n\
         apiVersion: admissionregistration.k8s.io/v1\nkind: MutatingAdmissionPolicyBinding\nmetadata: {{name: p}}\n\
         spec: {{policyName: p}}\n"
    )
}

fn object(api_version: &str, kind: &str, namespace: Option<&str>) -> Json {
    let mut object = json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": "x"}, "spec": {}});
    if let Some(namespace) = namespace {
        object["metadata"]["namespace"] = json!(namespace);
    }
    object
}

fn pod(namespace: &str) -> Json {
    object("v1", "Pod", Some(namespace))
}

fn gate(policies: &str) -> Engine {
    kit::engine(policies).essentials(Essentials::new("gate"))
}

fn decide_by(engine: &Engine, object: Json, user: Json, options: &DecideOptions) -> Decision {
    let mut review = RequestBuilder::new().object(object).review().unwrap();
    review["request"]["userInfo"] = user;
    let namespace = |name| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
    kit::decide_review(engine, &review, &kit::facts(["kube-system", "gate", "shop"].map(namespace)), options)
}

fn decide(engine: &Engine, object: Json) -> Decision {
    decide_by(engine, object, json!({"username": "alice"}), &DecideOptions::default())
}

/// Whether it is admitted, what its first finding came to, and how many findings there are.
fn told(decision: &Decision) -> (bool, Option<(FindingAction, FindingResult)>, usize) {
    (decision.allowed, decision.findings.first().map(|f| (f.action, f.result)), decision.findings.len())
}

const IGNORED: (bool, Option<(FindingAction, FindingResult)>, usize) =
    (true, Some((FindingAction::Ignore, FindingResult::Error)), 1);
const REFUSED: (bool, Option<(FindingAction, FindingResult)>, usize) =
    (false, Some((FindingAction::Deny, FindingResult::Error)), 1);

#[test]
fn every_kind_of_error_admits_and_is_told_in_system_namespaces_and_refuses_elsewhere() {
    let errors = [
        validating("validations: [{expression: 'object.spec.absent == 1'}]"),
        validating(
            "validations: [{expression: 'true'}], matchConditions: [{name: c, expression: 'object.spec.absent == 1'}]",
        ),
        validating("auditAnnotations: [{key: k, valueExpression: 'string(object.spec.absent)'}]"),
        validating("paramKind: {apiVersion: v1, kind: ConfigMap}, validations: [{expression: 'true'}]")
            + "---\napiVersion: admissionregistration.k8s.io/v1\nkind: ValidatingAdmissionPolicyBinding\nmetadata: {name: \
               p}\nspec: {policyName: p, validationActions: [Deny], paramRef: {name: gone, parameterNotFoundAction: Deny}}\n",
        mutating(
            r#"{patchType: JSONPatch, jsonPatch: {expression: '[JSONPatch{op: "remove", path: "/spec/absent/x"}]'}}"#,
        ),
        mutating(
            r#"{patchType: JSONPatch, jsonPatch: {expression: '[JSONPatch{op: "add", path: "/kind", value: "Other"}]'}}"#,
        ),
    ];
    for policies in errors {
        let engine = gate(&policies);
        let of = |namespace| told(&decide(&engine, pod(namespace)));
        assert_eq!([of("kube-system"), of("gate"), of("shop")], [IGNORED, IGNORED, REFUSED], "{policies}");
        let native = kit::engine(&policies);
        assert_eq!(told(&decide(&native, pod("kube-system"))), REFUSED, "without the setting as the API server does");
    }
}

/// A cluster of which this much is known.
struct Unsynced(Fact<()>);

impl ClusterFacts for Unsynced {
    fn get<'a>(&self, _: Kind<'_>, _: &str, _: &str, _: Into<'a>) -> Fact<Option<Value<'a>>> {
        match self.0 {
            Fact::Known(()) => Fact::Known(None),
            Fact::NotReady => Fact::NotReady,
        }
    }

    fn list<'a>(&self, _: Kind<'_>, _: &str, _: Into<'a>) -> Fact<&'a [Value<'a>]> {
        Fact::NotReady
    }

    fn authorizer(&self) -> Option<&dyn Authorizer> {
        None
    }
}

#[test]
fn a_passed_deadline_and_a_namespace_that_is_not_known_or_not_there_admit_there_too() {
    let policies = [
        validating("validations: [{expression: 'true'}]"),
        mutating(
            r#"{patchType: JSONPatch, jsonPatch: {expression: '[JSONPatch{op: "add", path: "/spec/a", value: "b"}]'}}"#,
        ),
    ];
    for engine in policies.map(|p| gate(&p)) {
        let late = DecideOptions { deadline: Some(std::time::Instant::now()), ..DecideOptions::default() };
        let of = |namespace| told(&decide_by(&engine, pod(namespace), json!({}), &late));
        assert_eq!([of("kube-system"), of("shop")], [IGNORED, REFUSED]);
        for known in [Fact::NotReady, Fact::Known(())] {
            let of = |namespace| {
                let review = RequestBuilder::new().object(pod(namespace)).review().unwrap();
                let decision = kit::decide_review(&engine, &review, &Unsynced(known), &DecideOptions::default());
                (decision.allowed, decision.findings.iter().map(|f| f.action).collect::<Vec<_>>())
            };
            assert_eq!(of("kube-system"), (true, vec![FindingAction::Ignore]));
            assert!(!of("shop").0);
        }
    }
}

#[test]
fn a_verdict_stays_a_verdict() {
    let engine = gate(&validating("validations: [{expression: 'false'}]"));
    let denied = (false, Some((FindingAction::Deny, FindingResult::Fail)), 1);
    assert_eq!(told(&decide(&engine, pod("kube-system"))), denied);
}

#[test]
fn of_what_is_cluster_scoped_only_what_the_system_writes_to_come_up_is_essential() {
    let engine = gate(&validating("validations: [{expression: 'object.spec.absent == 1'}]"));
    let by = |object: Json, user: &str, group: &str| {
        decide_by(&engine, object, json!({"username": user, "groups": [group]}), &DecideOptions::default()).allowed
    };
    let request = || object("certificates.k8s.io/v1", "CertificateSigningRequest", None);
    let node = || object("v1", "Node", None);
    assert!(by(node(), "system:node:n", "system:nodes"));
    assert!(by(request(), "system:bootstrap:abcdef", "system:bootstrappers"));
    assert!(by(node(), "system:serviceaccount:kube-system:node-controller", "system:serviceaccounts:kube-system"));
    assert!(by(node(), "system:kube-controller-manager", "system:authenticated"));
    assert!(!by(request(), "alice", "system:authenticated"));
    assert!(!by(request(), "system:serviceaccount:shop:ci", "system:serviceaccounts:shop"));
    assert!(!by(object("v1", "Namespace", None), "system:node:n", "system:nodes"));
    let own = object("stockade.dev/v1alpha1", "PolicyException", Some("kube-system"));
    assert!(!by(own, "admin", "system:masters"));
}
