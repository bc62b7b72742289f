use super::*;
use crate::certificates::{Ownership, Times};

pub(in crate::certificates) const NOW: i64 = 1_900_000_000;
const YEAR: i64 = 365 * 24 * 3600;

fn options() -> Options {
    Options {
        secret: "stockade-tls".to_owned(),
        ownership: Ownership::Ours,
        names: ["stockade.stockade-system.svc", "0:0::1"].map(str::to_owned).into(),
        registration: "stockade".to_owned(),
        times: Times::default(),
    }
}

pub(in crate::certificates) fn minted() -> Material {
    Material::default().after(Plan::MintAll, &options(), NOW).unwrap()
}

pub(in crate::certificates) fn renewed(material: &Material) -> Material {
    material.after(Plan::Issue, &options(), NOW).unwrap()
}

/// What the facts say beside the seconds left.
fn shape(material: &Material) -> (bool, bool, bool, bool, usize) {
    let f = material.facts(&options().names, NOW);
    (f.serving.is_some(), f.has_names, f.authority.is_some(), f.next.is_some(), f.others)
}

#[test]
fn whoever_trusts_the_bundle_before_or_after_a_step_accepts_what_is_served_before_and_after_it() {
    let mut before = minted();
    assert_eq!(shape(&before), (true, true, true, false, 0));
    let steps = [
        (Plan::Issue, (true, true, true, false, 0)),
        (Plan::BeginRotation, (true, true, true, true, 0)),
        (Plan::Issue, (true, true, true, true, 0)),
        (Plan::Restore, (true, true, true, true, 0)),
        (Plan::Sign, (true, true, true, false, 1)),
        (Plan::Issue, (true, true, true, false, 1)),
        (Plan::BeginRotation, (true, true, true, true, 1)),
        (Plan::Sign, (true, true, true, false, 2)),
    ];
    let first = before.clone();
    for (plan, wanted) in steps {
        let after = before.after(plan, &options(), NOW).unwrap();
        assert_eq!(shape(&after), wanted, "{plan:?}");
        for serving in [&before.serving, &after.serving] {
            for bundle in [before.bundle_text(), after.bundle_text()] {
                verify_serving(serving, bundle.as_bytes(), NOW).unwrap();
            }
        }
        assert_eq!(before.serving != after.serving, matches!(plan, Plan::Issue | Plan::Sign), "{plan:?}");
        before = after;
    }
    // The last step takes trust away, from certificates that are no longer served alone.
    let after = before.after(Plan::Retire, &options(), NOW).unwrap();
    assert_eq!(shape(&after), (true, true, true, false, 0));
    verify_serving(&after.serving, after.bundle_text().as_bytes(), NOW).unwrap();
    assert!(verify_serving(&first.serving, after.bundle_text().as_bytes(), NOW).is_err());
}

#[test]
fn a_secret_holds_it_all_and_keeps_what_others_put_there() {
    let rotating = minted().after(Plan::BeginRotation, &options(), NOW).unwrap();
    let mut secret = rotating.write(None, "stockade-tls", false);
    assert!(Material::read(&secret) == rotating);
    assert_eq!(secret.type_.as_deref(), Some("kubernetes.io/tls"));

    let annotations = [(ROTATE_ANNOTATION, "requested"), ("team", "a")];
    secret.metadata.annotations = Some(annotations.map(|(key, value)| (key.to_owned(), value.to_owned())).into());
    secret.metadata.resource_version = Some("7".to_owned());
    let signed = rotating.after(Plan::Sign, &options(), NOW).unwrap();
    let written = signed.write(Some(&secret), "stockade-tls", true);
    assert!(Material::read(&written) == signed);
    let keys: Vec<&str> = written.data.as_ref().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys, ["ca.crt", "ca.key", "tls.crt", "tls.key"]);
    let annotations: Vec<&str> = written.metadata.annotations.as_ref().unwrap().keys().map(String::as_str).collect();
    assert_eq!((annotations, written.metadata.resource_version.as_deref()), (vec!["team"], Some("7")));
}

#[test]
fn what_is_damaged_is_told_from_what_is_still_good() {
    let good = minted();
    let other = minted();
    let damaged = |change: &dyn Fn(&mut Material)| {
        let mut material = good.clone();
        change(&mut material);
        shape(&material)
    };
    assert_eq!(damaged(&|m| m.serving.key = other.serving.key.clone()), (false, false, true, false, 0));
    assert_eq!(damaged(&|m| m.serving = other.serving.clone()), (false, false, true, false, 0));
    assert_eq!(damaged(&|m| m.serving.certificate.truncate(100)), (false, false, true, false, 0));
    assert_eq!(damaged(&|m| m.authority_key = other.authority_key.clone()), (true, true, false, false, 0));
    assert_eq!(damaged(&|m| m.authority_key.clear()), (true, true, false, false, 0));
    assert_eq!(damaged(&|m| m.bundle.clear()), (false, false, false, false, 0));
    assert_eq!(damaged(&|m| m.bundle.extend(other.bundle.clone())), (true, true, true, false, 1));
    assert_eq!(damaged(&|m| m.next = other.authority()), (true, true, true, true, 0));
    assert_eq!(shape(&Material::read(&Secret::default())), (false, false, false, false, 0));
}

#[test]
fn a_certificate_does_not_outlive_the_authority_that_signs_it() {
    let old = Material::default().after(Plan::MintAll, &options(), NOW - 3 * YEAR + 1000).unwrap();
    let renewed = old.after(Plan::Issue, &options(), NOW).unwrap();
    let facts = renewed.facts(&options().names, NOW);
    assert_eq!((facts.serving, facts.authority), (Some(1000), Some(1000)));
}

#[test]
fn names_that_are_asked_for_anew_are_missed() {
    let names = ["stockade.stockade-system.svc", "webhook.example.com"].map(str::to_owned);
    assert!(!minted().facts(&names, NOW).has_names);
}
