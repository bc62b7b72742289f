//! A policy judged silently beside the one it is to replace.

use stockade_engine::decision::{Differs, ShadowDifference};
use stockade_engine::shadow::Comparisons;
use stockade_policy::compiled::Flavour;

use super::*;

fn check(name: &str, expression: &str, more: &str) -> String {
    policy(name, &format!("validations: [{{expression: {expression:?}, message: {name} says no}}], {more}"))
}

fn difference(differs: Differs, message: &str) -> ShadowDifference {
    ShadowDifference { policy: "new".to_owned(), of: "old".to_owned(), differs, message: message.to_owned() }
}

#[test]
fn a_shadow_says_nothing_but_where_it_differs() {
    let judged = |old: &str, new: &str| {
        let decision = judge(&(check("old", old, "actions: [Warn]") + &check("new", new, "shadowOf: old")), pod());
        assert!(decision.allowed && decision.findings.iter().all(|f| f.policy == "old"));
        decision.shadow
    };
    assert_eq!(judged("true", "true"), []);
    assert_eq!(judged("false", "false"), []);
    assert_eq!(judged("true", "false"), [difference(Differs::NewlyFails, "new says no")]);
    assert_eq!(judged("false", "true"), [difference(Differs::NoLongerFails, "old says no")]);
    let [broken] = judged("true", "object.spec.absent.x == 1").try_into().unwrap();
    assert_eq!(broken.differs, Differs::NewlyFails);
}

#[test]
fn what_is_waived_or_not_matched_is_compared_as_it_was_judged() {
    let waived = exception("shop", "e", "policies: [{name: old}], images: ['**']");
    let both = check("old", "false", "") + &check("new", "false", "shadowOf: old") + &waived;
    assert_eq!(judge(&both, pod()).shadow, []);
    let narrower = check("old", "false", "actions: [Audit]")
        + &check("new", "false", "matchConditions: [{name: c, expression: 'false'}], shadowOf: old");
    assert_eq!(judge(&narrower, pod()).shadow, [difference(Differs::NoLongerFails, "old says no")]);
}

#[test]
fn what_is_compared_is_counted_once_and_goes_on_in_the_next_engine() {
    let both = |more: &str| {
        check("old", "object.metadata.name != 'a'", "actions: [Warn]")
            + &check("new", "object.metadata.name != 'b'", &format!("shadowOf: old{more}"))
    };
    let engine = kit::engine(&both(""));
    let send = |engine: &Engine, name: &str| {
        engine.shadows().record(&decide(engine, RequestBuilder::new().object(named(name)), []));
    };
    ["a", "b", "b", "c"].iter().for_each(|name| send(&engine, name));
    let revision = engine.set().policies.iter().find(|p| p.shadow_of.is_some()).unwrap().revision;
    let counted = |judged, newly_fails, no_longer_fails| {
        vec![Comparisons {
            flavour: Flavour::Admission,
            policy: "new".into(),
            revision,
            judged,
            newly_fails,
            no_longer_fails,
        }]
    };
    assert_eq!(engine.shadows().take(), counted(4, 2, 1));
    assert_eq!(engine.shadows().take(), []);

    send(&engine, "b");
    let same = kit::engine(&(both("") + &check("other", "true", ""))).continuing(&engine);
    send(&same, "c");
    assert_eq!(same.shadows().take(), counted(2, 1, 0));
    send(&same, "b");
    assert_eq!(kit::engine(&both(", title: edited")).continuing(&same).shadows().take(), []);

    let mut review = RequestBuilder::new().object(named("b")).review().unwrap();
    review["request"]["dryRun"] = json!(true);
    assert_eq!(kit::decide_review(&engine, &review, &kit::facts([]), &at_now()).compared, []);
}
