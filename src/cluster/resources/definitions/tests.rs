use serde_json::json;
use stockade_engine::equivalents::Equivalents;
use stockade_policy::compiled::ParamKind;

use super::*;

fn written(plural: &str, versions: &[(&str, bool)], established: &str) -> Written {
    let versions: Vec<_> = versions
        .iter()
        .map(|(name, served)| {
            json!({"name": name, "served": served, "storage": true, "schema": {"openAPIV3Schema": {}},
            "subresources": {"status": {}}})
        })
        .collect();
    serde_json::from_value(json!({
        "metadata": {"name": format!("{plural}.example.com"), "resourceVersion": "1"},
        "spec": {"group": "example.com", "scope": "Namespaced", "names": {"plural": plural, "kind": "Ignored"},
            "versions": versions, "conversion": {"strategy": "None"}},
        "status": {"acceptedNames": {"plural": plural, "kind": "Rule"},
            "conditions": [{"type": "Established", "status": established}]},
    }))
    .unwrap()
}

fn discovered(plural: &str) -> Served {
    Served {
        group: "example.com".to_owned(),
        version: "v1".to_owned(),
        kind: "Rule".to_owned(),
        plural: plural.to_owned(),
        namespaced: false,
        verbs: Vec::new(),
    }
}

/// Versions and plurals of what is served.
fn served(snapshot: &Snapshot) -> Vec<(&str, &str)> {
    snapshot.served().iter().map(|s| (s.version.as_str(), s.plural.as_str())).collect()
}

#[test]
fn a_definition_says_what_is_served_before_discovery_does() {
    let mut definitions = Definitions::default();
    let news: Vec<_> = [
        Event::Init,
        Event::InitApply(written("rules", &[("v2", true), ("v1", true), ("v0", false)], "True")),
        Event::InitApply(written("early", &[("v1", true)], "False")),
        Event::InitDone,
    ]
    .map(|e| definitions.take(e))
    .to_vec();
    assert_eq!(news, [false, false, false, true]);
    let snapshot = definitions.merge(&[discovered("rules"), discovered("others")]);
    assert_eq!(served(&snapshot), [("v1", "others"), ("v1", "rules"), ("v2", "rules")]);
    let kind = |version: &str| ParamKind { api_version: format!("example.com/{version}"), kind: "Rule".to_owned() };
    assert_eq!(snapshot.of_kind(&kind("v1")).map(|s| s.plural.as_str()), Some("rules"));
    assert_eq!(snapshot.of_kind(&kind("v0")), None);
}

#[test]
fn a_definition_that_went_is_not_served_though_discovery_still_shows_it() {
    let mut definitions = Definitions::default();
    let rules = || written("rules", &[("v1", true)], "True");
    for event in [Event::Init, Event::InitApply(rules()), Event::InitDone, Event::Delete(rules())] {
        definitions.take(event);
    }
    let stale = [discovered("rules")];
    definitions.forget_removed(&stale);
    assert_eq!(served(&definitions.merge(&stale)), []);
    definitions.forget_removed(&[]);
    assert!(definitions.removed.is_empty());
}

#[test]
fn all_versions_of_a_definition_are_equivalent_and_convert_as_it_says() {
    let of = |strategy: &str| {
        let mut rules = written("rules", &[("v2", true), ("v1", false)], "True");
        rules.spec.conversion = Some(WrittenConversion { strategy: strategy.to_owned() });
        let mut definitions = Definitions::default();
        for event in [Event::Init, Event::InitApply(rules), Event::InitDone] {
            definitions.take(event);
        }
        definitions.merge(&[]).equivalents()
    };
    let expected = |conversion| {
        ["v2", "v1"].map(|version| {
            let resource = GroupVersionResource { group: "example.com", version, resource: "rules" };
            let kind = GroupVersionKind { group: "example.com", version, kind: "Rule" };
            Equivalent::new(resource, Some(kind), conversion)
        })
    };
    assert_eq!(of("None").of("example.com", "rules", ""), expected(Conversion::Here));
    assert_eq!(of("None").of("example.com", "rules", "status"), expected(Conversion::Here));
    assert_eq!(of("None").of("example.com", "rules", "scale"), []);
    assert_eq!(of("Webhook").of("example.com", "rules", ""), expected(Conversion::Webhook));
    assert_eq!(of("None").of("", "events", ""), Equivalents::builtin().of("", "events", ""));
}
