//! What Deny comes to while a rollout goes on, and when it stops by itself.

use std::sync::Arc;

use stockade_engine::rollout::Hold;
use stockade_policy::compiled::{DenyBudget, Flavour};

use super::*;

fn staged(rollout: &str) -> String {
    never("p", &format!("rollout: {{{rollout}}}"))
}

/// What a refusal has become, of many objects.
fn actions(rollout: &str) -> [usize; 3] {
    let engine = kit::engine(&staged(rollout));
    let action = |i| decide(&engine, RequestBuilder::new().object(named(&format!("web-{i}"))), []).findings[0].action;
    let found: Vec<_> = (0..400).map(action).collect();
    [FindingAction::Deny, FindingAction::Warn, FindingAction::Audit].map(|a| found.iter().filter(|f| **f == a).count())
}

#[test]
fn stages_take_their_share_and_what_is_in_none_is_only_audited() {
    assert_eq!(actions("deny: {percentage: 100}"), [400, 0, 0]);
    assert_eq!(actions("deny: {percentage: 0}, warn: {}"), [0, 400, 0]);
    assert_eq!(actions(""), [0, 0, 400]);
    let [deny, warn, audit] = actions("deny: {percentage: 25}, warn: {percentage: 50}");
    assert!(deny.abs_diff(100) < 25 && warn.abs_diff(100) < 25 && audit.abs_diff(200) < 35, "{deny} {warn} {audit}");
}

#[test]
fn a_stage_has_the_namespaces_of_its_selector() {
    let engine = kit::engine(&staged("deny: {namespaceSelector: {matchLabels: {env: test}}}"));
    let in_labelled = |labels: &Json| {
        decide(&engine, RequestBuilder::new().object(pod()), [super::namespace("shop", labels)]).allowed
    };
    assert_eq!([in_labelled(&json!({"env": "test"})), in_labelled(&json!({"env": "prod"}))], [false, true]);
    let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}});
    assert!(!decide(&engine, RequestBuilder::new().object(node), []).allowed);
}

#[test]
fn replicas_of_a_workload_and_retries_are_in_the_same_stage() {
    let engine = kit::engine(&staged("deny: {percentage: 50}"));
    let replica = |name: &str, owner: &str| {
        let mut object = named(name);
        let owners =
            json!([{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": owner, "uid": "u", "controller": true}]);
        object["metadata"]["ownerReferences"] = owners;
        decide(&engine, RequestBuilder::new().object(object), []).allowed
    };
    let of_owner = |owner: &str| [1, 2, 3, 4, 5].map(|i| replica(&format!("pod-{i}"), owner));
    let outcomes: Vec<_> = (0..20).map(|i| of_owner(&format!("web-{i}"))).collect();
    assert!(outcomes.iter().all(|all| all.iter().all(|o| *o == all[0])), "{outcomes:?}");
    assert!(outcomes.iter().any(|all| all[0]) && outcomes.iter().any(|all| !all[0]));
}

#[test]
fn what_is_not_denied_yet_says_that_it_will_be() {
    let warned = judge(&staged("warn: {}"), pod());
    let text = "Validation failed for AdmissionPolicy 'p': refused (will be denied when the rollout of this policy comes this far)";
    assert_eq!((warned.allowed, warned.warnings), (true, vec![text.to_owned()]));
    let audited = judge(&staged(""), pod());
    let annotation = "[{\"message\":\"refused\",\"policy\":\"p\",\"binding\":\"p\",\"expressionIndex\":0,\"validationActions\":[\"Audit\"]}]";
    let key = "validation.policy.admission.k8s.io/validation_failure";
    assert_eq!(audited.audit_annotations.get(key).map(String::as_str), Some(annotation));
}

#[test]
fn an_error_comes_to_what_a_failure_does() {
    let broken = |rollout: &str| {
        let rules = "validations: [{expression: 'object.spec.absent.field == 1'}]";
        let unknown = "namespaceGroups: [gone], validations: [{expression: 'true'}]";
        [rules, unknown].map(|spec| {
            let decision = judge(&policy("p", &format!("{spec}, rollout: {{{rollout}}}")), pod());
            (decision.allowed, decision.findings[0].action, decision.warnings.len())
        })
    };
    assert_eq!(broken("deny: {}"), [(false, FindingAction::Deny, 0); 2]);
    assert_eq!(broken("warn: {}"), [(true, FindingAction::Warn, 1); 2]);
    assert_eq!(broken(""), [(true, FindingAction::Audit, 0); 2]);
}

const BUDGET: &str = "deny: {}, budget: {maxDenyPercentage: 50, windowSeconds: 160, minRequests: 4}";

/// Refuses Pods named `bad…`.
fn budgeted(more: &str) -> String {
    policy(
        "p",
        &format!(
            "validations: [{{expression: '!object.metadata.name.startsWith(\"bad\")', message: refused}}], rollout: {{{BUDGET}}}{more}"
        ),
    )
}

#[test]
fn a_rollout_that_denies_more_than_its_budget_stops_and_warns_until_the_policy_is_edited() {
    let engine = kit::engine(&budgeted(""));
    let send = |engine: &Engine, name: &str, now: i64| {
        let decision = decide(engine, RequestBuilder::new().object(named(name)), []);
        (decision.allowed, engine.rollouts().record(&decision, now))
    };
    for (name, allowed) in [("good", true), ("bad", false), ("bad-2", false)] {
        assert_eq!(send(&engine, name, 1_000), (allowed, vec![]), "fewer than minRequests say nothing");
    }
    for _ in 0..10 {
        assert_eq!(send(&engine, "bad", 1_000), (false, vec![]), "who tries again and again is one");
    }
    let budget = DenyBudget { max_percentage: 50, window_seconds: 160, min_requests: 4 };
    let revision = engine.set().policies[0].revision;
    let hold =
        Hold { flavour: Flavour::Admission, policy: Arc::from("p"), revision, denied: 3, judged: 4, budget, at: 1_001 };
    assert_eq!(send(&engine, "bad-3", 1_001), (false, vec![hold]));

    let held = decide(&engine, RequestBuilder::new().object(named("bad")), []);
    let text = "Validation failed for AdmissionPolicy 'p': refused (will be denied when the rollout of this policy, now on hold, goes on)";
    assert_eq!((held.allowed, held.warnings.as_slice()), (true, [text.to_owned()].as_slice()));
    assert_eq!(engine.rollouts().record(&held, 1_002), [], "it stops once");
    assert_eq!(engine.rollouts().held().map(|(p, r)| (&**p, r)).collect::<Vec<_>>(), [("p", revision)]);

    let same = kit::engine(&(budgeted("") + &never("q", "namespaceGroups: [gone], failurePolicy: Ignore")))
        .continuing(&engine);
    assert!(send(&same, "bad", 1_003).0, "an edit of another policy does not release it");
    let edited = kit::engine(&budgeted(", title: edited")).continuing(&same);
    assert!(!send(&edited, "bad", 1_004).0);
}

#[test]
fn a_share_within_the_budget_or_long_ago_and_dry_runs_stop_nothing() {
    let engine = kit::engine(&budgeted(""));
    let send = |name: &str, now: i64| {
        let decision = decide(&engine, RequestBuilder::new().object(named(name)), []);
        engine.rollouts().record(&decision, now)
    };
    for now in 0..20 {
        let [good, bad] = ["good", "bad"].map(|name| send(&format!("{name}-{now}"), 1_000 + now));
        assert_eq!((good, bad), (vec![], vec![]));
    }
    for now in 0..3 {
        assert_eq!(send(&format!("bad-{now}"), 9_000 + now), []);
    }
    let mut review = RequestBuilder::new().object(named("bad")).review().unwrap();
    review["request"]["dryRun"] = json!(true);
    let dry = kit::decide_review(&engine, &review, &kit::facts([]), &at_now());
    assert_eq!((dry.allowed, dry.budgeted), (false, vec![]));
}

#[test]
fn what_is_done_in_one_namespace_of_three_stops_nothing_and_in_two_it_does() {
    let engine = kit::engine(&budgeted(""));
    let mut holds = Vec::new();
    let mut send = |namespace: &str, name: String| {
        let mut object = named(&name);
        object["metadata"]["namespace"] = json!(namespace);
        let decision = decide(&engine, RequestBuilder::new().object(object), [super::namespace(namespace, &json!({}))]);
        holds.extend(engine.rollouts().record(&decision, 1_000));
        holds.len()
    };
    for number in 0..4 {
        for namespace in ["shop", "bank", "mail"] {
            send(namespace, format!("good-{number}"));
        }
    }
    assert_eq!((0..200).map(|number| send("shop", format!("bad-{number}"))).max(), Some(0));
    assert_eq!((0..200).map(|number| send("bank", format!("bad-{number}"))).max(), Some(1));
}

#[test]
fn only_what_is_within_reach_of_deny_is_counted() {
    let staged = budgeted("").replace("deny: {}", "deny: {namespaceSelector: {matchLabels: {env: test}}}");
    let engine = kit::engine(&staged);
    let counted = |env: &str, name: &str| {
        let decision = decide(
            &engine,
            RequestBuilder::new().object(named(name)),
            [super::namespace("shop", &json!({"env": env}))],
        );
        decision.budgeted.iter().map(|b| b.denied).collect::<Vec<_>>()
    };
    assert_eq!([counted("test", "good"), counted("test", "bad")], [[false], [true]]);
    assert_eq!(counted("prod", "bad"), [false; 0]);
}
