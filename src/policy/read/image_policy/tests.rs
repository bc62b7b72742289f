use crate::compile::{Compiled, Options, compile};
use crate::diagnostic::Diagnostics;
use crate::images::authority::{AuthorityKind, Need, TrustedIdentity};
use crate::images::{ImageRules, Require, Unavailable};
use crate::sources::PolicySources;

/// A public key and a certificate whose private halves nobody has, as YAML strings.
const KEY: &str = include_str!("tests/key.pem");
const CERTIFICATE: &str = include_str!("tests/certificate.pem");

fn policy(name: &str, spec: &str) -> String {
    let quoted = |pem: &str| serde_json::to_string(pem).unwrap();
    let spec = spec.replace("$KEY", &quoted(KEY)).replace("$CERTIFICATE", &quoted(CERTIFICATE));
    format!("apiVersion: stockade.dev/v1alpha1\nkind: ImagePolicy\nmetadata: {{name: {name}}}\nspec:\n{spec}")
}

fn compiled(texts: &[String]) -> Result<Compiled, Diagnostics> {
    let mut sources = PolicySources::default();
    for (number, text) in texts.iter().enumerate() {
        sources.add(&format!("{number}.yaml"), text, true);
    }
    compile(&sources, Options::default())
}

fn rules(spec: &str) -> std::sync::Arc<ImageRules> {
    let compiled = compiled(&[policy("p", spec)]).unwrap();
    compiled.set.policies[0].image_rules.clone().unwrap()
}

/// All faults, without the lines they point at.
fn faults(texts: &[String]) -> String {
    let lines = compiled(texts).unwrap_err().to_string();
    let told = lines.lines().filter(|l| l.starts_with("error") || l.contains("help: "));
    told.map(|l| format!("{}\n", l.trim())).collect()
}

#[test]
fn a_policy_with_a_key_alone_is_enough() {
    let rules = rules("  images: [registry.example.com/shop/**]\n  authorities: [{name: release, key: {data: $KEY}}]");
    let authority = &rules.authorities[0];
    assert_eq!((authority.transparency_log, authority.timestamp), (Need::NotRequired, Need::NotRequired));
    assert_eq!((rules.require, rules.unavailable), (Require::Any, Unavailable::Deny));
    assert_eq!((rules.digest.mutate, rules.digest.required, rules.details), (true, false, false));
}

#[test]
fn every_way_to_sign_is_read() {
    let rules = rules(
        "  images: ['**']\n  require: All\n  unavailable: Warn\n  authorities:\n  - name: secret\n    key: {secretRef: {name: \
         keys, key: cosign.pub}, hashAlgorithm: sha512}\n    transparencyLog: Required\n  - name: ci\n    keyless: \
         {identities: [{issuer: https://token.example.com, subjectRegExp: 'https://github.com/shop/.*', claims: \
         {sourceRepositoryRef: refs/heads/main}}]}\n  - name: corp\n    certificates: {roots: $CERTIFICATE}\n  - name: notary\n    \
         notation: {trustStore: $CERTIFICATE, trustedIdentities: ['x509.subject: C=DE, S=Berlin, O=Shop\\, Inc'], revocation: \
         Skip}\n",
    );
    let needs: Vec<_> = rules.authorities.iter().map(|a| (&*a.name, a.transparency_log)).collect();
    let want = [
        ("secret", Need::Required),
        ("ci", Need::Required),
        ("corp", Need::NotRequired),
        ("notary", Need::NotRequired),
    ];
    assert_eq!(needs, want);
    let AuthorityKind::Notation { trusted_identities, .. } = &rules.authorities[3].kind else { unreachable!() };
    let attributes = [("C", "DE"), ("ST", "Berlin"), ("O", "Shop, Inc")].map(|(k, v)| (k.into(), v.into()));
    assert_eq!(trusted_identities, &[TrustedIdentity::Subject(attributes.to_vec())]);
}

#[test]
fn all_faults_are_told_at_once() {
    let spec = "  images: [nginx, index.docker.io/**]\n  authorities:\n  - name: Release\n    key: {data: nonsense}\n    keyless: \
                {identities: [{subject: 'a*'}]}\n  - name: ci\n    keyless: {identities: [{issuer: i, subjectRegExp: '(', claims: \
                {sub: x}}]}\n    transparencyLog: NotRequired\n  - name: notary\n    notation: {trustStore: $KEY, \
                trustedIdentities: ['CN=x', 'x509.subject: CN=x'], revocation: Required}\n  - name: none\n  attestations: [{name: a, \
                predicateType: sbom, authorities: [nobody]}]\n  validationActions: [Deny]\n  registries: [{host: 'http://x'}]\n";
    insta::assert_snapshot!(faults(&[policy("p", spec)]), @r#"
    error: spec.images[0]: Invalid value: "nginx": must begin with a registry: references are compared in full form, as `docker.io/library/nginx:1.27`
    error: spec.images[1]: Invalid value: "index.docker.io/**": references are compared in full form, in which this registry is `docker.io`
    error: spec.authorities[0].name: Invalid value: "Release": a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')
    error: spec.authorities[0].key.data: Invalid value: must be a public key in PEM: `-----BEGIN PUBLIC KEY-----` …
    error: spec.authorities[0].keyless: Forbidden: exactly one of key, keyless, certificates and notation: write two authorities
    error: spec.authorities[0].keyless.identities[0].issuer: Required value: one of issuer or issuerRegExp must be specified
    error: spec.authorities[0].keyless.identities[0].subject: Invalid value: "a*": is compared as it is: write an expression into subjectRegExp
    error: spec.authorities[1].keyless.identities[0].subjectRegExp: Invalid value: "(": is no regular expression: unclosed group
    error: spec.authorities[1].keyless.identities[0].claims.sub: unknown claim "sub": known are buildSignerURI, buildSignerDigest, runnerEnvironment, sourceRepositoryURI, sourceRepositoryDigest, sourceRepositoryRef, sourceRepositoryIdentifier, sourceRepositoryOwnerURI, sourceRepositoryOwnerIdentifier, buildConfigURI, buildConfigDigest, buildTrigger, runInvocationURI, sourceRepositoryVisibilityAtSigning
    error: spec.authorities[1].transparencyLog: Invalid value: "NotRequired": a keyless signature needs a time at which its certificate was valid: require the log or a timestamp
    error: spec.authorities[2].notation.trustStore: Invalid value: block 1 is no certificate that can be read
    error: spec.authorities[2].notation.trustedIdentities[0]: Invalid value: "CN=x": must be "*" or begin with "x509.subject:"
    error: spec.authorities[2].notation.trustedIdentities[1]: Invalid value: "x509.subject: CN=x": must have the attributes C, ST and O at least
    error: spec.authorities[2].notation.revocation: Invalid value: "Required": revocation of notation certificates is not supported: write Skip
    error: spec.authorities[3].key: Required value: one of key, keyless, certificates or notation must be specified
    error: spec.attestations[0].predicateType: Invalid value: "sbom": must be a URI, or one of slsaprovenance, slsaprovenance02, slsaprovenance1, link, spdx, spdxjson, cyclonedx, vuln, openvex
    error: spec.attestations[0].authorities[0]: Invalid value: "nobody": must be the name of one of spec.authorities
    error: unknown field "spec.validationActions"
    = help: known fields: `actions`, `attestations`, `authorities`, `category`, `description`, `digest`, `exclude`, `failurePolicy`, `images`, `matchConditions`, `matchConstraints`, `namespaceGroups`, `registries`, `remediation`, `require`, `rollout`, `severity`, `shadowOf`, `title`, `unavailable`, `variables`
    error: spec.registries[0].host: Invalid value: "http://x": must be a host, with or without a port, as image references have it
    "#);
}

#[test]
fn a_private_key_is_never_shown() {
    let spec = "  images: ['**']\n  authorities:\n  - name: a\n    key:\n      data: |\n        -----BEGIN PRIVATE KEY-----\n        \
                c2VjcmV0\n        -----END PRIVATE KEY-----\n";
    let told = compiled(&[policy("p", spec)]).unwrap_err();
    assert!(!told.to_string().contains("c2VjcmV0") && !serde_json::to_string(&told).unwrap().contains("c2VjcmV0"));
    assert_eq!(
        faults(&[policy("p", spec)]),
        "error: spec.authorities[0].key.data: Invalid value: this is a private key: whoever can read this policy can sign \
         with it now\n"
    );
}

#[test]
fn checks_of_attestations_see_the_statement_and_no_requester() {
    let check = |expression: &str| {
        policy(
            "p",
            &format!(
                "  images: ['**']\n  authorities: [{{name: a, key: {{data: $KEY}}}}]\n  attestations: [{{name: s, predicateType: \
                 spdxjson, validations: [{{expression: \"{expression}\"}}]}}]\n  matchConditions: [{{name: c, expression: \
                 \"object.metadata.name != ''\"}}]\n"
            ),
        )
    };
    assert!(
        compiled(&[check("predicate.spdxVersion == 'SPDX-2.3' && image.digest != '' && has(statement.subject)")])
            .is_ok()
    );
    insta::assert_snapshot!(faults(&[check("authorizer.path('/x').check('get').allowed() && params.x")]), @r#"
    error: spec.attestations[0].validations[0].expression: undeclared reference to 'authorizer' (in container '')
    = help: an ImagePolicy has none: images are judged the same for everybody
    error: spec.attestations[0].validations[0].expression: undeclared reference to 'params' (in container '')
    = help: an ImagePolicy has none: images are judged the same for everybody
    "#);
}

#[test]
fn two_policies_say_the_same_of_a_registry() {
    let saying = |name: &str, plain: bool| {
        policy(
            name,
            &format!(
                "  images: ['**']\n  digest: {{required: true}}\n  registries: [{{host: 'Registry.example.com:443', plainHTTP: \
                 {plain}}}]\n"
            ),
        )
    };
    assert!(compiled(&[saying("a", true), saying("b", true)]).is_ok());
    // So does one whose expressions ask.
    let asking = "apiVersion: stockade.dev/v1alpha1\nkind: AdmissionPolicy\nmetadata: {name: c}\nspec:\n  matchConstraints: {}\n  \
                  validations: [{expression: 'true'}]\n  registries: [{host: registry.example.com}]\n";
    let told = faults(&[saying("a", true), asking.to_owned()]);
    assert!(told.contains("other settings of registry \"registry.example.com\" are in ImagePolicy \"a\""), "{told}");
    insta::assert_snapshot!(faults(&[saying("a", true), saying("b", false)]), @r#"
    error: spec.registries[0].host: other settings of registry "registry.example.com" are in ImagePolicy "a" (0.yaml:7:23)
    = help: all policies must say the same of a registry, or only one of them anything
    "#);
}
