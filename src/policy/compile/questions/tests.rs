use crate::compile::{Options, compile};
use crate::images::ImageQuestions;
use crate::sources::PolicySources;

/// An AdmissionPolicy with two authorities and an attestation.
fn policy(expressions: &[&str]) -> String {
    let key = "-----BEGIN PUBLIC KEY-----\\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE6lXuUpl8Eht54UR4zqUH0IUQStw0\\nTd4XjfLXThPecQaFgwUkcsD7bNP2gL1BcjZbqoIgicxH0b1vU6q2ytiY2w==\\n-----END PUBLIC KEY-----\\n";
    let validations: String = expressions.iter().map(|e| format!("  - expression: {e}\n")).collect();
    format!(
        "apiVersion: stockade.dev/v1alpha1\nkind: AdmissionPolicy\nmetadata: {{name: a}}\nspec:\n  \
         matchConstraints: {{resourceRules: [{{apiGroups: [''], apiVersions: [v1], operations: [CREATE], resources: [pods]}}]}}\n  \
         authorities: [{{name: release, key: {{data: \"{key}\"}}}}, {{name: ci, key: {{data: \"{key}\"}}}}]\n  \
         attestations: [{{name: scan, predicateType: vuln, authorities: [ci]}}]\n  validations:\n{validations}"
    )
}

fn compiled(text: &str) -> Result<Option<ImageQuestions>, String> {
    let mut sources = PolicySources::default();
    sources.add("p.yaml", text, true);
    let compiled = compile(&sources, Options::default()).map_err(|faults| faults.to_string())?;
    Ok(compiled.set.policies[0].image_questions.as_deref().cloned())
}

/// Names of what an AdmissionPolicy with these expressions asks about.
fn asked(expressions: &[&str]) -> Option<(Vec<String>, Vec<String>, bool)> {
    let questions = compiled(&policy(expressions)).unwrap()?;
    let authorities = questions.authorities.iter().map(|a| a.name.to_string()).collect();
    Some((authorities, questions.attestations.iter().map(|a| a.name.to_string()).collect(), questions.details))
}

/// What is wrong with an AdmissionPolicy with these expressions, without its text.
fn refused(expressions: &[&str]) -> String {
    let told = compiled(&policy(expressions)).unwrap_err();
    let lines = told.lines().filter(|l| l.starts_with("error") || l.trim_start().starts_with(['=', '|', '-']));
    lines.map(|l| format!("{l}\n")).collect()
}

#[test]
fn what_is_asked_is_what_expressions_name() {
    let names = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();
    assert_eq!(asked(&["object.metadata.name != ''"]), None);
    assert_eq!(asked(&["images.of(object).all(i, i.tag() != 'latest')"]), Some((vec![], vec![], false)));
    assert_eq!(
        asked(&["images.of(object).all(i, i.signedBy('ci'))", "images.get('a').config().user != ''"]),
        Some((names(&["ci"]), vec![], true))
    );
    assert_eq!(
        asked(&["images.of(object).all(i, i.attestations('scan').exists(a, a.predicate.critical == 0))"]),
        Some((vec![], names(&["scan"]), false))
    );
    // A name that only a request tells may be any.
    assert_eq!(
        asked(&["images.of(object).all(i, i.signatureStatus(object.metadata.labels.by) == 'verified')"]),
        Some((names(&["release", "ci"]), vec![], false))
    );
}

#[test]
fn a_name_that_is_not_declared_is_refused_where_it_stands() {
    let told = refused(&[
        "images.of(object).all(i, i.signedBy('relaese'))",
        "images.of(object).all(i, i.attestations('bill').size() > 0)",
    ]);
    insta::assert_snapshot!(told, @r#"
    error: spec.validations[0].expression: spec.authorities has no "relaese"
     --> p.yaml:9:53
      |
      |                                                     ^^^^^^^^^
      = help: did you mean `release`?
    error: spec.validations[1].expression: spec.attestations has no "bill"
      --> p.yaml:10:57
       |
       |                                                         ^^^^^^
       = help: declared are scan
    "#);
}

#[test]
fn facts_have_types_and_only_an_admission_policy_asks_for_them() {
    let told = refused(&[
        "images.get('a').config().usr == ''",
        "images.of(object).all(i, i.signedBy(1))",
        "images.get('a').digest() > 1",
    ]);
    insta::assert_snapshot!(told, @r"
    error: spec.validations[0].expression: undefined field 'usr'
     --> p.yaml:9:41
      |
      |                                         ^
    error: spec.validations[1].expression: found no matching overload for 'signedBy' applied to 'images.Image.(int)'
      --> p.yaml:10:52
       |
       |                                                    ^
    error: spec.validations[2].expression: found no matching overload for '_>_' applied to '(string, int)'
      --> p.yaml:11:42
       |
       |                                          ^
    ");
    let text = policy(&["images.of(object).size() > 0"]);
    let (head, spec) = text.split_once("  authorities").unwrap();
    let native = format!("{head}  validations:{}", spec.split_once("  validations:").unwrap().1)
        .replace("stockade.dev/v1alpha1", "admissionregistration.k8s.io/v1")
        .replace("kind: AdmissionPolicy", "kind: ValidatingAdmissionPolicy");
    let told = compiled(&native).unwrap_err();
    assert!(told.contains("this library is available in `stockade.dev/v1alpha1` AdmissionPolicy only"), "{told}");
}

#[test]
fn what_is_declared_and_not_asked_for_is_warned_of() {
    let mut sources = PolicySources::default();
    sources.add("p.yaml", &policy(&["1 == 1"]), true);
    let told = compile(&sources, Options::default()).unwrap().diagnostics.to_string();
    assert!(told.starts_with("warning: spec.authorities: has no effect: no expression asks about images"), "{told}");
}

#[test]
fn what_is_attested_needs_somebody_who_may_have_signed() {
    let text = policy(&["1 == 1"]);
    let without =
        text.lines().filter(|l| !l.starts_with("  authorities")).map(|l| format!("{l}\n")).collect::<String>();
    let told = compiled(&without).unwrap_err();
    assert!(told.contains("spec.authorities: Required value: who may have signed what is attested"), "{told}");
}
