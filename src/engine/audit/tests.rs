use bumpalo::Bump;
use serde_json::{Value as Json, json};
use stockade_cel::document::from_json;
use stockade_policy::compile::{Options, UnboundPolicy, compile};
use stockade_policy::images::Digest;
use stockade_policy::sources::PolicySources;

use super::*;
use crate::folder_facts::FolderFacts;
use crate::images::{Answer, Evidence, ImageFacts, Resolved, Signer, Unseen, WithImages};

const POLICIES: &str = r#"
apiVersion: stockade.dev/v1alpha1
kind: AdmissionPolicy
metadata: {name: labels}
spec:
  matchConstraints:
    resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [configmaps]}]
  actions: [Deny, Audit]
  validations:
  - {expression: "object.kind == 'ConfigMap' && has(object.metadata.labels)", message: no labels}
---
apiVersion: stockade.dev/v1alpha1
kind: AdmissionPolicy
metadata: {name: warns}
spec:
  matchConstraints:
    resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: ["*"], resources: ["*"]}]
  actions: [Warn]
  validations:
  - {expression: "oldObject == null && object.data.size() == 1", message: not one}
---
apiVersion: stockade.dev/v1alpha1
kind: AdmissionPolicy
metadata: {name: updates}
spec:
  matchConstraints:
    resourceRules:
    - {apiGroups: [""], apiVersions: [v1], operations: [UPDATE], resources: [configmaps]}
    - {apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods/eviction]}
  actions: [Deny]
  validations: [{expression: "false"}]
---
apiVersion: stockade.dev/v1alpha1
kind: AdmissionPolicy
metadata: {name: users}
spec:
  matchConstraints:
    resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [configmaps]}]
  actions: [Deny]
  validations: [{expression: "request.userInfo.username != 'mallory'"}]
"#;

fn auditor() -> Auditor {
    let mut sources = PolicySources::default();
    sources.add("p.yaml", POLICIES, true);
    let set = compile(&sources, Options { unbound: UnboundPolicy::Ignore, type_check: false, ..Options::default() })
        .unwrap()
        .set;
    Auditor::new(&Engine::new(Arc::new(set)))
}

fn judged(auditor: &Auditor, object: &Json) -> Judgement {
    let (arena, facts) = (Bump::new(), FolderFacts::default());
    let object = from_json(object, &arena, auditor.symbols()).unwrap();
    let existing = Existing {
        object,
        kind: GroupVersionKind { group: "", version: "v1", kind: "ConfigMap" },
        resource: GroupVersionResource { group: "", version: "v1", resource: "configmaps" },
        namespaced: true,
    };
    auditor.judge(&existing, &facts, &arena)
}

fn result(policy: &str, outcome: Outcome, message: &str, line: u32) -> RuleResult {
    RuleResult {
        policy: policy.to_owned(),
        binding: policy.to_owned(),
        rule: "validations[0]".to_owned(),
        outcome,
        message: message.to_owned(),
        trace: Some(format!("p.yaml:{line}")),
        exception: None,
    }
}

#[test]
fn an_item_of_a_list_is_judged_as_if_it_were_created_and_each_rule_is_told_once() {
    let found = judged(&auditor(), &json!({"metadata": {"name": "a", "namespace": "shop"}, "data": {}}));
    let expected = [result("labels", Outcome::Fail, "no labels", 10), result("warns", Outcome::Warn, "not one", 20)];
    assert_eq!(found.results, expected);
}

#[test]
fn what_cannot_be_evaluated_is_an_error() {
    let found = judged(&auditor(), &json!({"metadata": {"name": "a", "namespace": "shop", "labels": {}}}));
    let message = "expression 'oldObject == null && object.data.size() == 1' resulted in error: no such key: data";
    assert_eq!(found.results, [result("warns", Outcome::Error, message, 20)]);
}

#[test]
fn policies_about_other_operations_and_about_users_say_that_they_judge_nothing() {
    let unjudged: Vec<_> = auditor().unjudged().iter().map(|u| (u.policy.to_string(), u.reason)).collect();
    assert_eq!(unjudged, [("updates".to_owned(), Reason::Operation), ("users".to_owned(), Reason::Requester)]);
}

#[test]
fn a_policy_is_about_the_resources_that_its_rules_name_for_creation() {
    let auditor = auditor();
    let about = |group, resource| -> Vec<&str> {
        auditor.policies().iter().filter(|p| is_about(p, group, resource)).map(|p| &*p.name).collect()
    };
    assert_eq!(about("", "configmaps"), ["labels", "warns"]);
    assert_eq!(about("", "secrets"), ["warns"]);
    assert_eq!(about("apps", "deployments"), Vec::<&str>::new());
}

#[test]
fn images_are_wanted_before_an_object_is_judged_by_what_is_known_of_them() {
    let policy = "apiVersion: stockade.dev/v1alpha1\nkind: ImagePolicy\nmetadata: {name: signed}\nspec:\n  images: ['**']\n  \
                  authorities:\n  - {name: release, key: {secretRef: {name: keys, key: release.pub}}}\n";
    let mut sources = PolicySources::default();
    sources.add("p.yaml", policy, true);
    let options = Options { unbound: UnboundPolicy::Ignore, type_check: false, ..Options::default() };
    let engine = Engine::new(Arc::new(compile(&sources, options).unwrap().set));
    let unjudged = |auditor: &Auditor| auditor.unjudged().iter().map(|u| u.reason).collect::<Vec<_>>();
    assert_eq!(unjudged(&Auditor::new(&engine)), [Reason::Images]);
    let auditor = Auditor::with_images(&engine);
    assert_eq!(unjudged(&auditor), []);

    let pod = json!({"metadata": {"name": "web", "namespace": "shop"}, "spec": {"containers": [{"name": "c", "image": "web:1"}]}});
    let judged = |known: &Known| {
        let (arena, facts) = (Bump::new(), FolderFacts::default());
        let existing = Existing {
            object: from_json(&pod, &arena, auditor.symbols()).unwrap(),
            kind: GroupVersionKind { group: "", version: "v1", kind: "Pod" },
            resource: GroupVersionResource { group: "", version: "v1", resource: "pods" },
            namespaced: true,
        };
        auditor.judge(&existing, &WithImages { facts: &facts, images: known }, &arena)
    };
    let wanted = judged(&Known(None));
    let names: Vec<_> = wanted.wanted.iter().map(|wanted| wanted.reference.as_str()).collect();
    assert_eq!((names, wanted.results, wanted.passes), (vec!["docker.io/library/web:1"], Vec::new(), 0));
    let outcome = |answer| judged(&Known(Some(answer))).results.first().map(|result| result.outcome);
    // By a tag, which would be pinned if it were created now.
    let verified = judged(&Known(Some(Answer::Verified(Vec::new()))));
    assert_eq!((verified.results, verified.passes), (Vec::new(), 1));
    assert_eq!(outcome(Answer::NotSigned(String::new())), Some(Outcome::Fail));
    assert_eq!(outcome(Answer::Invalid(String::new())), Some(Outcome::Fail));
    assert_eq!(outcome(Answer::Unavailable(Unseen::outage("away"))), Some(Outcome::Error));
}

/// What is known of the signatures of every image; none when nobody has looked.
struct Known(Option<Answer<Vec<Signer>>>);

impl ImageFacts for Known {
    fn evidence(&self, wanted: &Wanted) -> Option<Arc<Evidence>> {
        let answer = self.0.clone()?;
        Some(Arc::new(Evidence {
            reference: wanted.reference.clone(),
            digest: Resolved::Known(Digest::parse(&format!("sha256:{}", "a".repeat(64))).unwrap()),
            signatures: wanted.authorities.iter().map(|a| (a.id, answer.clone())).collect(),
            attestations: Vec::new(),
            details: None,
        }))
    }
}
