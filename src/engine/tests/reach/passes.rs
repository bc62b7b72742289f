//! What passes, when it is asked for.

use super::*;

fn judged(policies: &str) -> Vec<(String, FindingAction, FindingResult, Option<String>)> {
    let options = DecideOptions { passes: true, ..at_now() };
    let review = RequestBuilder::new().object(pod()).review().unwrap();
    let decision = kit::decide_review(&kit::engine(policies), &review, &kit::facts([]), &options);
    decision.findings.into_iter().map(|f| (f.policy, f.action, f.result, f.exception)).collect()
}

#[test]
fn each_binding_that_judged_and_passed_is_told_and_an_exception_that_was_not_needed() {
    let good = |name: &str, more: &str| policy(name, &format!("validations: [{{expression: 'true'}}], {more}"));
    let patch = r#"{patchType: JSONPatch, jsonPatch: {expression: '[JSONPatch{op: "add", path: "/metadata/labels/app", value: "web"}]'}}"#;
    let policies = good("a", "")
        + &good("b", "")
        + &good("c", "matchConditions: [{name: never, expression: 'false'}]")
        + &never("d", "")
        + &policy("m", &format!("mutations: [{patch}]"))
        + &exception("shop", "e", "policies: [{name: b}], images: ['**']");
    let (pass, fail) = (FindingResult::Pass, FindingResult::Fail);
    assert_eq!(
        judged(&policies),
        [
            ("m".to_owned(), FindingAction::Pass, pass, None),
            ("a".to_owned(), FindingAction::Pass, pass, None),
            ("b".to_owned(), FindingAction::Waive, pass, Some("shop/e".to_owned())),
            ("d".to_owned(), FindingAction::Deny, fail, None),
        ]
    );
}
