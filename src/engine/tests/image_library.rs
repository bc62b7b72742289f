//! Whole decisions of AdmissionPolicies whose expressions ask about images.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

#[path = "support/kit.rs"]
mod kit;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value as Json, json};
use stockade_engine::audit::{Auditor, Reason};
use stockade_engine::decision::{Decision, FindingAction};
use stockade_engine::images::{
    Answer, Evidence, ImageFacts, MAX_WANTED, Platform, Resolved, Signer, SignerIdentity, Statement, Unseen, Wanted,
    WithImages,
};
use stockade_engine::request::Operation;
use stockade_engine::{Engine, FolderFacts, RequestBuilder};
use stockade_policy::images::Digest;

/// A public key whose private half nobody has.
const KEY: &str = "-----BEGIN PUBLIC KEY-----\\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE6lXuUpl8Eht54UR4zqUH0IUQStw0\\nTd4XjfLXThPecQaFgwUkcsD7bNP2gL1BcjZbqoIgicxH0b1vU6q2ytiY2w==\\n-----END PUBLIC KEY-----\\n";

const WEB: &str = "registry.example.com/shop/web:1.2";
const DB: &str = "registry.example.com/shop/db:3";

/// What each image is known to be; what is not in here nobody has looked at.
#[derive(Default)]
struct Known {
    images: HashMap<&'static str, Seen>,
    /// How often anybody asked.
    asked: AtomicUsize,
}

/// What was found of one image, whoever asks for it.
#[derive(Clone)]
struct Seen {
    digest: Resolved,
    signed: Answer<Vec<Signer>>,
    attested: Answer<Vec<Statement>>,
    details: Answer<Vec<Platform>>,
}

impl ImageFacts for Known {
    fn evidence(&self, wanted: &Wanted) -> Option<Arc<Evidence>> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let Seen { digest, signed, attested, details } = self.images.get(wanted.reference.as_str())?.clone();
        let by = wanted.attestations.iter().flat_map(|(kind, by)| by.iter().map(move |a| (kind.clone(), a.id)));
        Some(Arc::new(Evidence {
            reference: wanted.reference.clone(),
            digest,
            signatures: wanted.authorities.iter().map(|a| (a.id, signed.clone())).collect(),
            attestations: by.map(|(kind, id)| (kind, id, attested.clone())).collect(),
            details: wanted.details.then_some(details),
        }))
    }
}

fn digest() -> Digest {
    Digest::parse(&format!("sha256:{}", "a".repeat(64))).unwrap()
}

fn platform(architecture: &str, user: &str) -> Platform {
    Platform {
        os: "linux".to_owned(),
        architecture: architecture.to_owned(),
        user: user.to_owned(),
        labels: vec![("team".to_owned(), "shop".to_owned())],
        created: "2026-01-02T03:04:05Z".to_owned(),
        entrypoint: vec!["/web".to_owned()],
        ..Platform::default()
    }
}

fn signer() -> Signer {
    let (issuer, subject) = ("https://issuer.example.com".to_owned(), "ci@example.com".to_owned());
    let identity = SignerIdentity { issuer, subject, claims: vec![("buildTrigger", "push".to_owned())] };
    Signer { format: "bundle", identity: Some(identity), key: None, time: Some(1_767_323_045) }
}

fn statement(critical: u32) -> Statement {
    let json = json!({"predicateType": "https://cosign.sigstore.dev/attestation/vuln/v1", "predicate": {"critical": critical}});
    Statement { json: json.to_string().into(), signer: signer() }
}

fn seen() -> Seen {
    Seen {
        digest: Resolved::Known(digest()),
        signed: Answer::Verified(vec![signer()]),
        attested: Answer::Verified(vec![statement(0)]),
        details: Answer::Verified(vec![platform("amd64", "10")]),
    }
}

fn known(images: impl IntoIterator<Item = (&'static str, Seen)>) -> Known {
    Known { images: images.into_iter().collect(), asked: AtomicUsize::new(0) }
}

fn policy_text(expression: &str, spec: &str) -> String {
    format!(
        "apiVersion: stockade.dev/v1alpha1\nkind: AdmissionPolicy\nmetadata: {{name: facts}}\nspec:\n  \
         matchConstraints: {{resourceRules: [{{apiGroups: ['*'], apiVersions: ['*'], operations: ['*'], resources: ['*']}}]}}\n  \
         authorities:\n  - {{name: release, key: {{data: \"{KEY}\"}}}}\n  - {{name: ci, key: {{data: \"{KEY}\", \
         hashAlgorithm: sha512}}}}\n  attestations: [{{name: scan, predicateType: vuln, authorities: [ci]}}]\n  \
         validations:\n  - expression: >-\n      {expression}\n{spec}"
    )
}

fn policy(expression: &str) -> Engine {
    kit::engine(&policy_text(expression, ""))
}

fn pod(images: &[&str]) -> Json {
    let containers: Vec<_> =
        images.iter().enumerate().map(|(n, image)| json!({"name": format!("c{n}"), "image": image})).collect();
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"containers": containers, "imagePullSecrets": [{"name": "pull"}], "serviceAccountName": "runner"}})
}

fn shop() -> FolderFacts {
    kit::facts([json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}})])
}

fn decide(engine: &Engine, request: RequestBuilder, known: &Known) -> Decision {
    kit::decide(engine, request, &WithImages { facts: &shop(), images: known })
}

/// Whether an expression holds of a Pod with one image, or why not.
fn judged(expression: &str, seen: Seen) -> Result<(), String> {
    let decision = decide(&policy(expression), RequestBuilder::new().object(pod(&[WEB])), &known([(WEB, seen)]));
    match decision.status {
        None => Ok(()),
        Some(status) => Err(status.message.replace("AdmissionPolicy 'facts' denied request: ", "")),
    }
}

#[test]
fn an_expression_joins_what_is_known_of_an_image_with_its_container() {
    let holds = [
        "images.of(object).map(i, i.reference()) == ['registry.example.com/shop/web:1.2']",
        "images.of(object).all(i, [i.registry(), i.repository(), i.tag()] == ['registry.example.com', 'shop/web', '1.2'])",
        "images.of(object).all(i, i.container().name == 'c0' && i.fieldPath() == 'spec.containers[0].image')",
        "images.get('nginx').reference() == 'docker.io/library/nginx:latest' && images.get('nginx').container() == null",
        "images.get(object.spec.containers[0].image).digest().startsWith('sha256:aaaa')",
        "images.of(object).all(i, i.config().user == '10' && i.config().labels.team == 'shop')",
        "images.of(object).all(i, i.config().entrypoint == ['/web'] && i.config().cmd == [])",
        "images.of(object).all(i, i.platforms().all(p, p.os == 'linux' && timestamp(p.created) < timestamp('2026-02-01T00:00:00Z')))",
        "images.of(object).all(i, i.signedBy('release') && i.signatureStatus('release') == 'verified')",
        "images.of(object).all(i, i.signers('ci').exists(s, s.issuer == 'https://issuer.example.com' && s.claims.buildTrigger == 'push'))",
        "images.of(object).all(i, i.signers('ci').all(s, s.key == '' && s.format == 'bundle' && s.time == timestamp('2026-01-02T03:04:05Z')))",
        "images.of(object).all(i, i.attestations('scan').exists(a, a.predicate.critical == 0 && a.signer.subject == 'ci@example.com'))",
        "images.of(object).all(i, i.attestationStatus('scan') == 'verified')",
    ];
    for expression in holds {
        assert_eq!(judged(expression, seen()), Ok(()), "{expression}");
    }
}

#[test]
fn not_signed_and_invalid_are_no_signature_and_unavailable_is_an_error_that_says_why() {
    let image = "image registry.example.com/shop/web:1.2";
    let with = |signed: Answer<Vec<Signer>>| Seen { signed, ..seen() };
    let not_signed = || with(Answer::NotSigned("1 found, by another key".to_owned()));
    let invalid = || with(Answer::Invalid("forged".to_owned()));
    let unavailable = || with(Answer::Unavailable(Unseen::outage("timed\nout")));
    let status = |seen: Seen, status: &str| {
        judged(&format!("images.of(object).all(i, i.signatureStatus('release') == '{status}')"), seen)
    };
    assert_eq!(status(not_signed(), "not_signed"), Ok(()));
    assert_eq!(status(invalid(), "invalid"), Ok(()));
    assert_eq!(status(unavailable(), "unavailable"), Ok(()));
    for seen in [not_signed(), invalid()] {
        assert_eq!(
            judged("images.of(object).all(i, !i.signedBy('release') && i.signers('release') == [])", seen),
            Ok(())
        );
    }
    for expression in ["!i.signedBy('release')", "size(i.signers('release')) == 0"] {
        let expression = format!("images.of(object).all(i, {expression})");
        let why = format!("the signatures of {image} cannot be verified now: release: timed out");
        let told = judged(&expression, unavailable());
        assert_eq!(told, Err(format!("expression '{expression}' resulted in error: {why}")));
    }
}

#[test]
fn a_forged_signature_is_refused_whatever_failure_policy_says() {
    let engine =
        kit::engine(&policy_text("images.of(object).all(i, i.signedBy('release'))", "  failurePolicy: Ignore\n"));
    let allowed = |signed: Answer<Vec<Signer>>| {
        let known = known([(WEB, Seen { signed, ..seen() })]);
        decide(&engine, RequestBuilder::new().object(pod(&[WEB])), &known).allowed
    };
    assert!(!allowed(Answer::Invalid("forged".to_owned())));
    assert!(allowed(Answer::Unavailable(Unseen::outage("timed out"))));
}

#[test]
fn what_cannot_be_read_is_an_error_with_its_reason() {
    let image = "image registry.example.com/shop/web:1.2";
    let details = |details| Seen { details, ..seen() };
    let table = [
        (
            "images.of(object).all(i, i.config().user != '')",
            details(Answer::Unavailable(Unseen::outage("timed out"))),
            format!("the configuration of {image} cannot be read now: timed out"),
        ),
        (
            "images.of(object).all(i, i.platforms().size() > 0)",
            details(Answer::Invalid("no JSON".to_owned())),
            format!("the configuration of {image} is invalid: no JSON"),
        ),
        (
            "images.of(object).all(i, i.config().user != '')",
            details(Answer::Verified(vec![platform("amd64", "10"), platform("arm64", "")])),
            format!("{image} has other configurations on other platforms: ask for its platforms()"),
        ),
        (
            "images.of(object).all(i, i.digest() != '')",
            Seen { digest: Resolved::NotFound("manifest unknown".to_owned()), ..seen() },
            format!("{image} does not exist: manifest unknown"),
        ),
        (
            "images.of(object).all(i, i.attestations('scan').all(a, false))",
            Seen { attested: Answer::Unavailable(Unseen::outage("timed out")), ..seen() },
            format!("attestation scan of {image} cannot be verified now: ci: timed out"),
        ),
        (
            "images.of(object).all(i, i.signedBy(object.metadata.name))",
            seen(),
            "spec.authorities has no \"web\"".to_owned(),
        ),
        ("images.get('Upper/Case').tag() == ''", seen(), "\"Upper/Case\" is no image reference".to_owned()),
    ];
    for (expression, seen, why) in table {
        assert_eq!(judged(expression, seen), Err(format!("expression '{expression}' resulted in error: {why}")));
    }
    let agreeing = details(Answer::Verified(vec![platform("amd64", "10"), platform("arm64", "10")]));
    assert_eq!(judged("images.of(object).all(i, i.config().user == '10')", agreeing), Ok(()));
}

#[test]
fn all_images_that_nobody_has_looked_at_are_wanted_at_once_with_all_that_is_asked_of_them() {
    let expression = "images.of(object).filter(i, i.config().user == '').map(i, i.signedBy('ci')).size() == 0";
    let engine = policy(expression);
    let decision = decide(&engine, RequestBuilder::new().object(pod(&[WEB, DB, WEB])), &Known::default());
    let wanted: Vec<_> = decision
        .wanted
        .iter()
        .map(|w| (w.reference.as_str(), w.authorities.iter().map(|a| &*a.name).collect::<Vec<_>>(), w.details))
        .collect();
    assert_eq!(wanted, [(WEB, vec!["ci"], true), (DB, vec!["ci"], true)]);
    assert!(decision.wanted.iter().all(|w| w.attestations.is_empty()));
    let credentials = &decision.wanted[0].credentials;
    assert_eq!((&*credentials.namespace, &*credentials.service_account), ("shop", "runner"));
    assert_eq!((decision.allowed, decision.status.map(|s| s.code)), (false, Some(500)));
}

#[test]
fn an_image_that_an_earlier_fact_names_is_wanted_next() {
    let engine = policy("images.of(object).all(i, images.get(i.config().labels.base).digest() != '')");
    let mut labelled = platform("amd64", "10");
    labelled.labels = vec![("base".to_owned(), DB.to_owned())];
    let web = Seen { details: Answer::Verified(vec![labelled]), ..seen() };
    let wanted = |known: &Known| {
        let decision = decide(&engine, RequestBuilder::new().object(pod(&[WEB])), known);
        (decision.allowed, decision.wanted.iter().map(|w| w.reference.to_string()).collect::<Vec<_>>())
    };
    assert_eq!(wanted(&Known::default()), (false, vec![WEB.to_owned()]));
    assert_eq!(wanted(&known([(WEB, web.clone())])), (false, vec![DB.to_owned()]));
    assert_eq!(wanted(&known([(WEB, web), (DB, seen())])), (true, vec![]));
}

#[test]
fn nothing_is_wanted_by_a_policy_that_does_not_match_or_asks_no_registry() {
    let wanted = |text: &str| {
        let decision = decide(&kit::engine(text), RequestBuilder::new().object(pod(&[WEB])), &Known::default());
        (decision.allowed, decision.wanted.len())
    };
    let asks = "images.of(object).all(i, i.digest() != '')";
    let elsewhere = "  matchConditions: [{name: never, expression: 'false'}]\n";
    assert_eq!(wanted(&policy_text(asks, elsewhere)), (true, 0));
    assert_eq!(wanted(&policy_text("images.of(object).all(i, i.registry() == 'registry.example.com')", "")), (true, 0));
    assert_eq!(wanted(&policy_text(asks, "")), (false, 1));
}

#[test]
fn one_policy_is_told_of_an_image_once_a_decision() {
    let known = known([(WEB, seen())]);
    let engine =
        policy("images.of(object).all(i, i.signedBy('release') && i.signedBy('ci') && i.config().user == '10')");
    assert!(decide(&engine, RequestBuilder::new().object(pod(&[WEB, WEB])), &known).allowed);
    assert_eq!(known.asked.load(Ordering::Relaxed), 1);
}

#[test]
fn an_update_may_be_judged_by_the_images_that_it_brings() {
    let engine = policy("images.added(object, oldObject).all(i, i.digest() != '')");
    let update = |old: &[&str], new: &[&str]| {
        let request = RequestBuilder::new().operation(Operation::Update).object(pod(new)).old_object(pod(old));
        decide(&engine, request, &Known::default()).wanted.len()
    };
    assert_eq!([update(&[WEB], &[WEB]), update(&["a", WEB], &[WEB, "a"]), update(&["a"], &[WEB])], [0, 2, 1]);
    let created = decide(&engine, RequestBuilder::new().object(pod(&[WEB])), &Known::default());
    assert_eq!(created.wanted.len(), 1);
}

#[test]
fn images_of_templates_init_and_debug_containers_and_volumes_are_seen() {
    let mut template = pod(&[WEB]);
    template["spec"]["initContainers"] = json!([{"name": "i", "image": DB}]);
    template["spec"]["ephemeralContainers"] = json!([{"name": "e", "image": WEB}]);
    template["spec"]["volumes"] = json!([{"name": "v", "image": {"reference": DB}}, {"name": "w", "emptyDir": {}}]);
    let cron_job = json!({"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"schedule": "* * * * *", "jobTemplate": {"spec": {"template": {"spec": template["spec"]}}}}});
    let engine = policy("images.of(object).map(i, i.container().name) == ['c0', 'i', 'e', 'v']");
    assert!(decide(&engine, RequestBuilder::new().object(cron_job), &Known::default()).allowed);
}

#[test]
fn more_images_than_are_looked_at_are_an_error() {
    let many: Vec<String> = (0..=MAX_WANTED).map(|n| format!("registry.example.com/shop/web:{n}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let told = |expression: &str| {
        let facts = known(many.iter().map(|image| (&*String::from(*image).leak(), seen())));
        decide(&policy(expression), RequestBuilder::new().object(pod(&many)), &facts).status.unwrap().message
    };
    let listed = told("images.of(object).all(i, i.tag() != '')");
    assert!(listed.ends_with("there are more than 128 images"), "{listed}");
    let looked_into = told("object.spec.containers.all(c, images.get(c.image).digest() != '')");
    assert!(looked_into.ends_with("more than 128 images are asked about"), "{looked_into}");
}

#[test]
fn without_anybody_who_looks_it_is_an_error_under_failure_policy() {
    let expression = "images.of(object).all(i, i.signedBy('release'))";
    let decide = |engine: &Engine| kit::decide(engine, RequestBuilder::new().object(pod(&[WEB])), &shop());
    let message = format!(
        "AdmissionPolicy 'facts' denied request: expression '{expression}' resulted in error: images cannot be verified \
         here: nothing looks at registries"
    );
    assert_eq!(decide(&policy(expression)).status.map(|s| s.message), Some(message));
    let ignoring = kit::engine(&policy_text(expression, "  failurePolicy: Ignore\n"));
    assert_eq!(decide(&ignoring).findings[0].action, FindingAction::Ignore);
}

#[test]
fn an_audit_that_looks_at_no_registry_leaves_out_who_asks_and_says_so() {
    let unjudged = |expression: &str| {
        let audit = Auditor::new(&policy(expression));
        audit.unjudged().iter().map(|u| u.reason).collect::<Vec<_>>()
    };
    assert_eq!(unjudged("images.of(object).all(i, i.signedBy('release'))"), [Reason::Images]);
    assert_eq!(unjudged("object.metadata.name != ''"), []);
}

#[test]
fn a_mutation_and_a_variable_may_ask_too() {
    let mutation = "  variables: [{name: known, expression: 'images.of(object)'}]\n  mutations: [{patchType: JSONPatch, jsonPatch: \
                    {expression: \"[JSONPatch{op: 'add', path: '/metadata/annotations', value: {'digest': \
                    variables.known[0].digest()}}]\"}}]\n";
    let engine = kit::engine(&policy_text("variables.known.all(i, i.signedBy('ci'))", mutation));
    let decision = decide(&engine, RequestBuilder::new().object(pod(&[WEB])), &known([(WEB, seen())]));
    assert_eq!((decision.allowed, &decision.patch[0]["value"]), (true, &json!({"digest": digest().as_str()})));
}
