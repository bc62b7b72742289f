use super::*;
use crate::compile::{Options, compile};
use crate::sources::PolicySources;

/// `line:column field: message` of each.
fn places(diagnostics: &Diagnostics) -> Vec<String> {
    diagnostics.iter().map(|d| format!("{}:{} {}: {}", d.line, d.column, d.field, d.message)).collect()
}

#[test]
fn what_is_said_of_an_image_is_read_and_what_is_left_out_is_made_up_alike_each_time() {
    let text = "cases:\n- name: a signed image may run\n  object: pod.yaml\n  now: 2026-01-31T12:00:00Z\n  expect: allow\n  images:\n  \
                - image: web:1\n    signedBy: [release]\n    attestations:\n    - {predicateType: vuln, signedBy: [ci], \
                predicate: {a: 1}}\n    platforms: [{config: {user: '10', labels: {b: c}}}]\n  - {image: gone, answer: NotFound}\n";
    let read = || load_cases("test.yaml", text).unwrap().list.remove(0);
    let case = read();
    assert_eq!((case.origin.line, case.now, case.expect), (2, Some(1_769_860_800), Expect::Allow));
    let [web, gone] = case.images.as_slice() else { panic!("{:?}", case.images) };
    assert_eq!([web, gone].map(|i| i.reference.as_str()), ["docker.io/library/web:1", "docker.io/library/gone:latest"]);
    assert!(matches!(gone.content, StatedContent::Answer(StatedAnswer::NotFound)));
    let StatedContent::Image { digest, signatures, attestations, platforms } = &web.content else { panic!("{web:?}") };
    let names = |signed: &Signed| signed.all().map(|n| n.name.clone()).collect::<Vec<_>>();
    assert_eq!((names(signatures), names(&attestations[0].signatures)), (vec!["release".into()], vec!["ci".into()]));
    assert_eq!(&*attestations[0].predicate_type, "https://cosign.sigstore.dev/attestation/vuln/v1");
    assert_eq!((platforms[0].user.as_str(), platforms[0].os.as_str()), ("10", "linux"));
    let again = read();
    assert!(matches!(&again.images[0].content, StatedContent::Image { digest: same, .. } if same == digest));
}

#[test]
fn what_cannot_be_is_refused_where_it_is_written() {
    let (zeros, ones) = (format!("sha256:{}", "0".repeat(64)), format!("sha256:{}", "1".repeat(64)));
    let text = format!(
        "cases:\n- name: one\n  object: pod.yaml\n  expect: allowed\n  image: []\n  images:\n  \
         - {{image: gone, answer: NotFound, signedBy: [a]}}\n  \
         - {{image: gone, answer: Missing}}\n  \
         - image: web@{zeros}\n    digest: {ones}\n  \
         - image: app\n    signedBy: [a]\n    unavailable: [a]\n    attestations:\n    \
         - {{predicateType: vuln, predicate: {{}}}}\n    \
         - {{predicateType: vuln, signedBy: [a]}}\n    \
         - {{predicateType: vuln, invalid: [a], predicate: {{}}}}\n"
    );
    let expected = [
        "4:11 cases[0].expect: Unsupported value: \"allowed\": supported values: \"allow\", \"audit\", \"deny\", \"mutated\", \"unchanged\", \"waived\", \"warn\"".to_owned(),
        "5:3 : unknown field \"cases[0].image\"".to_owned(),
        "7:47 cases[0].images[0].signedBy: Forbidden: not beside answer: of such an image nothing else is known".to_owned(),
        "8:13 cases[0].images[1].image: Duplicate value: \"gone\"".to_owned(),
        "8:27 cases[0].images[1].answer: Unsupported value: \"Missing\": supported values: \"Invalid\", \"NotFound\", \"Unavailable\"".to_owned(),
        format!("10:13 cases[0].images[2].digest: Invalid value: {ones:?}: is not that of the image: a reference with a digest means that digest"),
        "13:19 cases[0].images[3].unavailable[0]: Duplicate value: \"a\"".to_owned(),
        "15:7 cases[0].images[3].attestations[0].signedBy: Required value: who signed it: what nobody signed is not looked at".to_owned(),
        "16:7 cases[0].images[3].attestations[1].predicate: Required value: what it says".to_owned(),
        "17:54 cases[0].images[3].attestations[2].predicate: Forbidden: nobody signed it who could be verified: what it says is not read".to_owned(),
    ];
    assert_eq!(places(&load_cases("test.yaml", &text).unwrap_err()), expected);
}

#[test]
fn an_authority_that_no_policy_has_is_told_where_it_is_named() {
    let policy = "apiVersion: stockade.dev/v1alpha1\nkind: ImagePolicy\nmetadata: {name: p}\nspec:\n  images: ['**']\n  \
                  authorities:\n  - {name: release, key: {secretRef: {name: keys, key: release.pub}}}\n";
    let mut sources = PolicySources::default();
    sources.add("policy.yaml", policy, true);
    let set = compile(&sources, Options::default()).unwrap().set;
    let cases = "cases:\n- name: one\n  object: pod.yaml\n  expect: deny\n  images:\n  - {image: a, signedBy: [release], \
                 invalid: [relaese]}\n";
    let strangers = load_cases("test.yaml", cases).unwrap().strangers(&set);
    let expected = "6:47 cases[0].images[0].invalid[0]: no policy of this folder has an authority \"relaese\"";
    assert_eq!(places(&strangers), [expected]);
}
