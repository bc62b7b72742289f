use super::*;

fn judgement(policy: &str, message: &str) -> Judgement {
    let result = RuleResult {
        policy: policy.to_owned(),
        binding: "b".to_owned(),
        rule: "validations[0]".to_owned(),
        outcome: Outcome::Fail,
        message: message.to_owned(),
        trace: None,
        exception: None,
    };
    Judgement { results: vec![result], passes: 2, ..Judgement::default() }
}

fn unit(texts: &mut Texts, policy: &str, message: &str, now: i64) -> Unit {
    let mut unit = Unit::default();
    let object = |texts: &mut Texts| Object {
        api_version: texts.share("v1"),
        kind: texts.share("Pod"),
        name: texts.share("a"),
        uid: texts.share("1"),
    };
    unit.add(&judgement(policy, message), object, texts, now);
    unit
}

#[test]
fn what_was_found_before_keeps_its_time_and_what_is_new_is_told() {
    let (mut results, mut texts) = (Results::default(), Texts::default());
    let (namespace, pods): (Arc<str>, Arc<str>) = ("shop".into(), "pods".into());
    assert_eq!(results.replace(&namespace, &pods, unit(&mut texts, "p", "one", 10)), []);
    assert_eq!(results.replace(&namespace, &pods, unit(&mut texts, "p", "two", 20)), []);
    let known: Vec<_> = results.of("shop").flat_map(|u| &u.found).map(|f| (&*f.message, f.since)).collect();
    assert_eq!(known, [("two", 10)]);
    let new = results.replace(&namespace, &pods, unit(&mut texts, "q", "three", 30));
    assert_eq!(new.iter().map(|f| (&*f.policy, f.since)).collect::<Vec<_>>(), [("q", 30)]);
}

#[test]
fn a_namespace_without_objects_is_forgotten_with_its_texts() {
    let (mut results, mut texts) = (Results::default(), Texts::default());
    let (namespace, pods): (Arc<str>, Arc<str>) = ("shop".into(), "pods".into());
    results.replace(&namespace, &pods, unit(&mut texts, "p", "one", 10));
    results.replace(&namespace, &pods, Unit::default());
    assert_eq!((results.units().count(), results.told), (0, 0));
    texts.sweep();
    assert_eq!(texts.0.len(), 0);
}

#[test]
fn long_messages_are_cut_at_a_character() {
    let mut texts = Texts::default();
    let unit = unit(&mut texts, "p", &"é".repeat(2_000), 0);
    assert_eq!(unit.found[0].message.len(), MAX_MESSAGE_BYTES);
}
