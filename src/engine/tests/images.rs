//! Whole decisions of image policies: what they want to know, and what they make of each answer.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

#[path = "support/kit.rs"]
mod kit;

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::{Value as Json, json};
use stockade_engine::decision::{Differs, FindingAction, FindingResult};
use stockade_engine::images::{
    Answer, Cause, Evidence, ImageFacts, MAX_WANTED, Platform, Resolved, Signer, Statement, Unseen, Wanted, WithImages,
};
use stockade_engine::request::Operation;
use stockade_engine::{DecideOptions, Decision, Engine, RequestBuilder};
use stockade_policy::compile::{MissingObjects, Options, compile};
use stockade_policy::images::Digest;

/// A public key whose private half nobody has.
const KEY: &str = "-----BEGIN PUBLIC KEY-----\\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE6lXuUpl8Eht54UR4zqUH0IUQStw0\\nTd4XjfLXThPecQaFgwUkcsD7bNP2gL1BcjZbqoIgicxH0b1vU6q2ytiY2w==\\n-----END PUBLIC KEY-----\\n";

const WEB: &str = "registry.example.com/shop/web:1.2";

/// What each image is known to be; what is not in here nobody has looked at.
#[derive(Default)]
struct Known(HashMap<&'static str, Seen>);

/// What was found of one image, whoever asks for it.
#[derive(Clone)]
struct Seen {
    digest: Resolved,
    signed: Vec<Answer<Vec<Signer>>>,
    attested: Vec<Answer<Vec<Statement>>>,
}

impl ImageFacts for Known {
    fn evidence(&self, wanted: &Wanted) -> Option<Arc<Evidence>> {
        let seen = self.0.get(wanted.reference.as_str())?;
        let ids = wanted.authorities.iter().map(|a| a.id);
        let attested = wanted.attestations.iter().flat_map(|(kind, by)| by.iter().map(move |a| (kind.clone(), a.id)));
        Some(Arc::new(Evidence {
            reference: wanted.reference.clone(),
            digest: seen.digest.clone(),
            signatures: ids.zip(seen.signed.iter().cloned()).collect(),
            attestations: attested.zip(&seen.attested).map(|((kind, id), a)| (kind, id, a.clone())).collect(),
            details: wanted.details.then(|| Answer::Verified(vec![platform()])),
        }))
    }
}

fn platform() -> Platform {
    Platform { os: "linux".to_owned(), architecture: "amd64".to_owned(), user: "10".to_owned(), ..Platform::default() }
}

fn digest() -> Digest {
    Digest::parse(&format!("sha256:{}", "a".repeat(64))).unwrap()
}

fn signed(answers: impl IntoIterator<Item = Answer<Vec<Signer>>>) -> Seen {
    Seen { digest: Resolved::Known(digest()), signed: answers.into_iter().collect(), attested: Vec::new() }
}

fn verified() -> Answer<Vec<Signer>> {
    Answer::Verified(vec![Signer { format: "cosign", ..Signer::default() }])
}

fn not_signed(found: &str) -> Answer<Vec<Signer>> {
    Answer::NotSigned(found.to_owned())
}

fn unavailable() -> Answer<Vec<Signer>> {
    Answer::Unavailable(Unseen::outage("connection refused"))
}

fn invalid() -> Answer<Vec<Signer>> {
    Answer::Invalid("the payload names\nanother digest".to_owned())
}

/// A policy about the shop's images; `spec` is what it has beside them.
fn policy(spec: &str) -> Engine {
    policy_about("registry.example.com/shop/**", spec)
}

fn policy_about(images: &str, spec: &str) -> Engine {
    let authority =
        |name: &str, hash: &str| format!("{{name: {name}, key: {{data: \"{KEY}\", hashAlgorithm: {hash}}}}}");
    let (release, ci) = (authority("release", "sha256"), authority("ci", "sha512"));
    let spec = spec.replace("RELEASE", &release).replace("CI]", &format!("{ci}]"));
    kit::engine(&format!(
        "apiVersion: stockade.dev/v1alpha1\nkind: ImagePolicy\nmetadata: {{name: signed}}\n\
         spec:\n  images: [{images}]\n{spec}\n"
    ))
}

fn pod(images: &[&str]) -> Json {
    let containers: Vec<_> =
        images.iter().enumerate().map(|(n, image)| json!({"name": format!("c{n}"), "image": image})).collect();
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"containers": containers, "imagePullSecrets": [{"name": "pull"}], "serviceAccountName": "runner"}})
}

fn shop() -> stockade_engine::FolderFacts {
    let labels = json!({"kubernetes.io/metadata.name": "shop", "team": "shop"});
    kit::facts([json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop", "labels": labels}})])
}

fn decide(engine: &Engine, request: RequestBuilder, known: &Known) -> Decision {
    let facts = shop();
    kit::decide(engine, request, &WithImages { facts: &facts, images: known })
}

fn judge(engine: &Engine, seen: Seen) -> Decision {
    decide(engine, RequestBuilder::new().object(pod(&[WEB])), &Known([(WEB, seen)].into()))
}

/// Code, reason and message of a refusal, and the answer that its finding gives.
fn refusal(decision: &Decision) -> (u16, &str, &str, Option<&str>) {
    let status = decision.status.as_ref().unwrap();
    let finding = decision.findings.iter().find(|f| f.action == FindingAction::Deny).unwrap();
    (status.code, &status.reason, &status.message, finding.answer)
}

const ANY: &str = "  authorities: [RELEASE, CI]\n  digest: {mutate: false}";
const ALL: &str = "  require: All\n  authorities: [RELEASE, CI]\n  digest: {mutate: false}";

#[test]
fn one_of_the_authorities_is_enough_unless_all_are_required() {
    let one = || signed([not_signed(""), verified()]);
    assert!(judge(&policy(ANY), one()).allowed);
    assert_eq!(
        refusal(&judge(&policy(ALL), one())),
        (
            403,
            "Forbidden",
            "ImagePolicy 'signed' denied request: image registry.example.com/shop/web:1.2 is not signed by release: no \
             signature was found",
            Some("not_signed")
        )
    );
    assert!(judge(&policy(ALL), signed([verified(), verified()])).allowed);
}

#[test]
fn the_four_answers_have_four_codes_and_messages() {
    let found = "2 signatures found, by https://github.com/shop/web/.github/workflows/test.yaml";
    let image = "image registry.example.com/shop/web:1.2";
    let table = [
        (
            signed([not_signed(found), not_signed(found)]),
            (403, "Forbidden", format!("{image} is not signed by any of release, ci: {found}"), "not_signed"),
        ),
        (
            signed([not_signed(""), invalid()]),
            (
                422,
                "Invalid",
                format!("{image} has an invalid signature: ci: the payload names another digest"),
                "invalid",
            ),
        ),
        (
            signed([not_signed(""), unavailable()]),
            (
                503,
                "ServiceUnavailable",
                format!("the signatures of {image} cannot be verified now: ci: connection refused"),
                "unavailable",
            ),
        ),
        (
            Seen { digest: Resolved::NotFound("manifest unknown".to_owned()), ..signed([]) },
            (403, "Forbidden", format!("{image} does not exist: manifest unknown"), "not_found"),
        ),
    ];
    for (seen, (code, reason, message, answer)) in table {
        let message = format!("ImagePolicy 'signed' denied request: {message}");
        assert_eq!(refusal(&judge(&policy(ANY), seen)), (code, reason, message.as_str(), Some(answer)));
    }
}

#[test]
fn what_is_surely_not_signed_is_refused_even_when_another_cannot_be_asked() {
    let decision = judge(&policy(&format!("{ALL}\n  unavailable: Allow")), signed([not_signed(""), unavailable()]));
    assert_eq!(refusal(&decision).3, Some("not_signed"));
    let decision = judge(&policy(&format!("{ANY}\n  unavailable: Allow")), signed([invalid(), unavailable()]));
    assert_eq!(refusal(&decision).3, Some("invalid"));
}

#[test]
fn what_cannot_be_looked_at_counts_as_the_policy_says_whatever_its_failure_policy() {
    let judged = |unavailable: &str| {
        let seen = Seen { digest: Resolved::Unavailable(Unseen::outage("timed out")), ..signed([]) };
        let decision = judge(&policy(&format!("{ANY}\n  failurePolicy: Ignore\n  unavailable: {unavailable}")), seen);
        (decision.allowed, decision.warnings.len(), decision.findings[0].action, decision.findings[0].result)
    };
    assert_eq!(judged("Deny"), (false, 0, FindingAction::Deny, FindingResult::Error));
    assert_eq!(judged("Warn"), (true, 1, FindingAction::Warn, FindingResult::Error));
    assert_eq!(judged("Allow"), (true, 0, FindingAction::Ignore, FindingResult::Error));
}

/// Who makes a Pod chooses its pull secrets and how much there is to look at, and must not get past a policy by it.
#[test]
fn what_whoever_asks_can_bring_about_is_refused_whatever_counts_for_an_outage() {
    let image = "image registry.example.com/shop/web:1.2";
    let refused = |cause, of_outage: &str, is_digest: bool| {
        let unseen = Unseen { cause, why: "because".to_owned() };
        let seen = match is_digest {
            true => Seen { digest: Resolved::Unavailable(unseen), ..signed([]) },
            // Beside an outage too.
            false => signed([unavailable(), Answer::Unavailable(unseen)]),
        };
        let decision = judge(&policy(&format!("{ANY}\n  unavailable: {of_outage}")), seen);
        let (code, reason, message, answer) = refusal(&decision);
        let message = message.strip_prefix("ImagePolicy 'signed' denied request: ").unwrap().to_owned();
        (code, reason.to_owned(), message, answer.unwrap_or_default().to_owned())
    };
    for of_outage in ["Deny", "Warn", "Allow"] {
        for (cause, code, reason, now, name) in [
            (Cause::Unauthorized, 403, "Forbidden", "", "unauthorized"),
            (Cause::Unfinished, 503, "ServiceUnavailable", " now", "unfinished"),
        ] {
            let digest = format!("{image} cannot be looked up{now}: because");
            assert_eq!(refused(cause, of_outage, true), (code, reason.to_owned(), digest, name.to_owned()));
            let both =
                format!("the signatures of {image} cannot be verified now: release: connection refused; ci: because");
            assert_eq!(refused(cause, of_outage, false), (code, reason.to_owned(), both, name.to_owned()));
        }
    }
}

/// Whoever wants an image admitted may have a registry that is away when it is asked.
#[test]
fn an_outage_is_let_pass_only_of_a_registry_that_the_policy_names() {
    let judged = |images: &str, more: &str| {
        let engine = policy_about(images, &format!("{ANY}\n  unavailable: Allow{more}"));
        let seen = Seen { digest: Resolved::Unavailable(Unseen::outage("timed out")), ..signed([]) };
        judge(&engine, seen).status.map(|status| status.message)
    };
    let settings = "\n  registries: [{host: registry.example.com}]";
    assert_eq!(judged("'*.example.com/shop/**', registry.example.com/**", ""), None);
    assert_eq!(judged("'**'", settings), None);
    let other = "\n  registries: [{host: other.example.com}]";
    for (images, more) in [("'**'", ""), ("'**'", other), ("'*.example.com/**', registry.example.net/**", "")] {
        let refused = "ImagePolicy 'signed' denied request: image registry.example.com/shop/web:1.2 cannot be looked up now: timed \
                       out; the policy's unavailable is not about this registry, which it names neither in images nor in \
                       registries";
        assert_eq!(judged(images, more).as_deref(), Some(refused), "{images} {more}");
    }
}

/// Beyond the bound nothing is looked at, and whoever makes the Pod says how many images it has.
#[test]
fn more_images_than_are_judged_are_refused_whatever_the_failure_policy() {
    let known = Known([(WEB, signed([verified(), verified()]))].into());
    let judged = |count: usize| {
        let request = RequestBuilder::new().object(pod(&vec![WEB; count]));
        decide(&policy(&format!("{ANY}\n  failurePolicy: Ignore")), request, &known)
    };
    assert!(judged(MAX_WANTED).allowed);
    let message = "ImagePolicy 'signed' denied request: there are more than 128 images";
    assert_eq!(refusal(&judged(MAX_WANTED + 1)), (422, "Invalid", message, Some("too_many")));
}

#[test]
fn what_nobody_has_looked_at_is_wanted_and_never_admitted() {
    let decision =
        decide(&policy(ANY), RequestBuilder::new().object(pod(&[WEB, "docker.io/other", WEB])), &Known::default());
    let wanted: Vec<_> = decision.wanted.iter().map(|w| (w.reference.as_str(), w.authorities.len())).collect();
    assert_eq!((decision.allowed, wanted), (false, vec![(WEB, 2)]));
    let credentials = &decision.wanted[0].credentials;
    assert_eq!((&*credentials.namespace, &*credentials.service_account), ("shop", "runner"));
    assert_eq!(credentials.pull_secrets, [Arc::from("pull")]);
}

#[test]
fn a_name_that_no_object_has_is_nobodys_credentials() {
    let mut pod = pod(&[WEB]);
    let names = ["../../other/secrets/pull", "pull?x", "Pull", "", "-a", "a.b-1"];
    pod["spec"]["imagePullSecrets"] = names.iter().map(|name| json!({"name": name})).collect();
    pod["spec"]["serviceAccountName"] = json!("../runner");
    let decision = decide(&policy(ANY), RequestBuilder::new().object(pod), &Known::default());
    let credentials = &decision.wanted[0].credentials;
    assert_eq!((&credentials.pull_secrets[..], &*credentials.service_account), (&[Arc::from("a.b-1")][..], "default"));
}

#[test]
fn without_anybody_who_looks_it_is_an_error_under_failure_policy() {
    let request = || RequestBuilder::new().object(pod(&[WEB]));
    let decision = kit::decide(&policy(ANY), request(), &shop());
    let message = "ImagePolicy 'signed' denied request: images cannot be verified here: nothing looks at registries";
    assert_eq!(decision.status.map(|s| (s.code, s.message)), Some((422, message.to_owned())));
    let ignoring = policy(&format!("{ANY}\n  failurePolicy: Ignore"));
    assert!(kit::decide(&ignoring, request(), &shop()).allowed);
}

#[test]
fn an_image_that_is_no_reference_or_of_no_glob_is_no_way_around() {
    let engine = policy(ANY);
    let refused = |image: &str| {
        let known = Known([(WEB, signed([not_signed(""), not_signed("")]))].into());
        !decide(&engine, RequestBuilder::new().object(pod(&[image])), &known).allowed
    };
    let table = [
        (WEB, true),
        ("REGISTRY.example.com:443/shop/web:1.2", true),
        ("registry.example.com/shop/Web:1.2", true),
        ("registry.example.com/other/web:1.2", false),
    ];
    assert_eq!(table.map(|(image, _)| (image, refused(image))), table);
}

#[test]
fn an_update_is_judged_by_the_images_that_it_brings() {
    let engine = policy(ANY);
    let update = |old: &[&str], new: &[&str]| {
        let request = RequestBuilder::new().operation(Operation::Update).object(pod(new)).old_object(pod(old));
        decide(&engine, request, &Known::default()).wanted.len()
    };
    assert_eq!([update(&[WEB], &[WEB]), update(&["a", WEB], &[WEB, "a"]), update(&["a"], &[WEB])], [0, 1, 1]);
}

#[test]
fn a_debug_container_is_judged() {
    let engine = policy(ANY);
    let mut debugged = pod(&["busybox"]);
    debugged["spec"]["ephemeralContainers"] = json!([{"name": "debug", "image": WEB}]);
    let request = RequestBuilder::new()
        .operation(Operation::Update)
        .object(debugged)
        .old_object(pod(&["busybox"]))
        .sub_resource("ephemeralcontainers");
    assert_eq!(decide(&engine, request, &Known::default()).wanted.len(), 1);
}

#[test]
fn tags_become_the_digest_that_was_found_wherever_an_object_names_images() {
    let engine = policy("  authorities: [RELEASE]");
    let pinned = format!("{WEB}@{}", digest());
    let template = pod(&[WEB, "busybox"]);
    let cron_job = json!({"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"schedule": "* * * * *", "jobTemplate": {"spec": {"template": {"spec": template["spec"]}}}}});
    let known = Known([(WEB, signed([verified()])), (&*pinned.clone().leak(), signed([verified()]))].into());
    let decision = decide(&engine, RequestBuilder::new().object(cron_job), &known);
    let path = "/spec/jobTemplate/spec/template/spec/containers/0/image";
    assert_eq!(decision.patch, [json!({"op": "replace", "path": path, "value": pinned})]);
    assert!(decision.allowed);

    let known = Known([(WEB, signed([not_signed("")])), (&*pinned.leak(), signed([not_signed("")]))].into());
    let decision = decide(&engine, RequestBuilder::new().object(pod(&[WEB])), &known);
    assert_eq!((decision.allowed, decision.patch), (false, Vec::<Json>::new()));
}

#[test]
fn what_is_pinned_is_what_the_first_look_wants() {
    let options = DecideOptions { verb: stockade_engine::Verb::Mutate, ..DecideOptions::default() };
    let facts = shop();
    let known = Known::default();
    let with_images = WithImages { facts: &facts, images: &known };
    let review = RequestBuilder::new().object(pod(&[WEB])).review().unwrap();
    let decision = kit::decide_review(&policy("  authorities: [RELEASE]"), &review, &with_images, &options);
    assert_eq!((decision.allowed, decision.wanted.len()), (false, 1));
}

#[test]
fn a_tag_that_was_to_be_pinned_and_was_not_is_refused_though_its_image_is_signed() {
    let known = Known([(WEB, signed([verified()]))].into());
    let options = DecideOptions { verb: stockade_engine::Verb::Validate, ..DecideOptions::default() };
    let facts = shop();
    let facts = WithImages { facts: &facts, images: &known };
    let validated = |spec: &str| {
        let review = RequestBuilder::new().object(pod(&[WEB])).review().unwrap();
        kit::decide_review(&policy(spec), &review, &facts, &options)
    };
    let refused = validated("  authorities: [RELEASE]");
    let (code, _, message, answer) = refusal(&refused);
    assert_eq!((code, answer), (403, Some("no_digest")));
    assert!(
        message.ends_with(&format!(
            "image {WEB} is verified as {digest}, but was not pinned to it before: try again, or write {WEB}@{digest}",
            digest = digest()
        )),
        "{message}"
    );
    assert!(validated("  authorities: [RELEASE]\n  digest: {mutate: false}").allowed);
    assert!(validated("  authorities: [RELEASE]\n  actions: [Warn]").allowed);
}

#[test]
fn a_namespace_that_keeps_its_tags_keeps_them() {
    let spec = "  authorities: [RELEASE]\n  digest: {required: true, except: {namespaceSelector: {matchLabels: {team: TEAM}}}}";
    let judged = |team: &str| judge(&policy(&spec.replace("TEAM", team)), signed([verified()]));
    let kept = judged("shop");
    assert_eq!((kept.allowed, kept.patch), (true, Vec::<Json>::new()));
    assert_eq!(judged("other").patch.len(), 0, "what is pinned is wanted by its digest, which nobody has looked at");
}

#[test]
fn a_digest_can_be_required_without_any_signature() {
    let engine = policy("  digest: {mutate: false, required: true}");
    let refused = refusal(&decide(&engine, RequestBuilder::new().object(pod(&[WEB])), &Known::default())).3.is_some();
    let by_digest = format!("{WEB}@{}", digest());
    let kept = decide(&engine, RequestBuilder::new().object(pod(&[&by_digest])), &Known::default());
    assert_eq!((refused, kept.allowed, kept.wanted.len()), (true, true, 0));
}

#[test]
fn an_exception_by_image_waives_that_image_only() {
    let exception = "\n---\napiVersion: stockade.dev/v1alpha1\nkind: PolicyException\nmetadata: {name: old, namespace: shop}\n\
        spec: {policies: [{name: signed}], images: ['registry.example.com/shop/old:*'], reason: r, owner: o, \
        expires: '2999-01-01T00:00:00Z'}";
    let engine = policy(&format!("{ANY}{exception}"));
    let old = "registry.example.com/shop/old:1";
    let unsigned = || signed([not_signed(""), not_signed("")]);
    let judged = |images: &[&str]| {
        let known = Known([(WEB, unsigned()), (old, unsigned())].into());
        let decision = decide(&engine, RequestBuilder::new().object(pod(images)), &known);
        let told: Vec<_> = decision.findings.iter().map(|f| (f.action, f.path.clone().unwrap())).collect();
        (decision.allowed, told)
    };
    let at = |number: usize| format!("spec.containers[{number}].image");
    assert_eq!(judged(&[old]), (true, vec![(FindingAction::Waive, at(0))]));
    assert_eq!(judged(&[old, WEB]), (false, vec![(FindingAction::Waive, at(0)), (FindingAction::Deny, at(1))]));
}

/// An exception from rules of the policy, for everything in the shop's namespace.
fn exception(rules: &str) -> String {
    format!(
        "\n---\napiVersion: stockade.dev/v1alpha1\nkind: PolicyException\nmetadata: {{name: old, namespace: shop}}\n\
         spec: {{policies: [{{name: signed, rules: [{rules}]}}], images: ['**'], reason: r, owner: o, \
         expires: '2999-01-01T00:00:00Z'}}"
    )
}

#[test]
fn an_exception_by_rule_waives_that_rule_only() {
    let judged = |rules: &str| {
        let spec = "  authorities: [RELEASE, CI]\n  digest: {mutate: false, required: true}";
        let decision = judge(&policy(&format!("{spec}{}", exception(rules))), signed([not_signed(""), not_signed("")]));
        let mut told: Vec<_> = decision.findings.into_iter().map(|f| (f.rule, f.action)).collect();
        told.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        (decision.allowed, told)
    };
    let told = |digest, signatures| vec![("digest".to_owned(), digest), ("signatures".to_owned(), signatures)];
    let (deny, waive) = (FindingAction::Deny, FindingAction::Waive);
    assert_eq!(judged("signatures"), (false, told(deny, waive)));
    assert_eq!(judged("digest"), (false, told(waive, deny)));
    assert_eq!(judged("digest, signatures"), (true, told(waive, waive)));
}

#[test]
fn a_rule_that_is_waived_must_be_there() {
    let refused = |rules: &str| {
        let text = format!(
            "apiVersion: stockade.dev/v1alpha1\nkind: ImagePolicy\nmetadata: {{name: signed}}\n\
             spec: {{images: ['**'], digest: {{required: true}}}}{}",
            exception(rules)
        );
        let mut sources = stockade_policy::sources::PolicySources::default();
        sources.add("p.yaml", &text, true);
        let options = Options { missing: MissingObjects::Error, ..Options::default() };
        compile(&sources, options).err().map(|faults| faults.to_string().lines().next().unwrap().to_owned())
    };
    assert_eq!(refused("signatures, digest"), None);
    let why = "error: spec.policies[0].rules[0]: policy \"signed\" has no attestations[0]";
    assert_eq!(refused("'attestations[0]'").as_deref(), Some(why));
}

#[test]
fn a_rollout_denies_pins_and_warns_where_it_has_come_to() {
    let judged = |rollout: &str| {
        let engine = policy(&format!("  authorities: [RELEASE]\n  rollout: {rollout}"));
        let unsigned = judge(&engine, signed([not_signed("")]));
        let pinned = format!("{WEB}@{}", digest());
        let good = Known([(WEB, signed([verified()])), (&*pinned.leak(), signed([verified()]))].into());
        let good = decide(&engine, RequestBuilder::new().object(pod(&[WEB])), &good);
        (unsigned.allowed, unsigned.warnings.len(), good.allowed, good.patch.len())
    };
    assert_eq!(judged("{deny: {percentage: 100}}"), (false, 0, true, 1));
    assert_eq!(judged("{deny: {percentage: 0}, warn: {percentage: 100}}"), (true, 1, true, 0));
    assert_eq!(judged("{deny: {percentage: 0}}"), (true, 0, true, 0));
}

#[test]
fn a_shadow_is_looked_at_and_judged_and_changes_nothing() {
    let shadow = "\n---\napiVersion: stockade.dev/v1alpha1\nkind: ImagePolicy\nmetadata: {name: new}\nspec:\n  images: ['**']\n  \
                  require: All\n  authorities: [RELEASE, CI]\n  shadowOf: signed";
    let engine = policy(&format!("{ANY}{shadow}"));
    let request = || RequestBuilder::new().object(pod(&[WEB]));
    let cold = decide(&engine, RequestBuilder::new().object(pod(&["docker.io/team/app:1"])), &Known::default());
    assert_eq!(cold.wanted.iter().map(|w| w.reference.as_str()).collect::<Vec<_>>(), ["docker.io/team/app:1"]);
    let decision = decide(&engine, request(), &Known([(WEB, signed([not_signed(""), verified()]))].into()));
    let differs: Vec<_> = decision.shadow.iter().map(|s| (s.policy.as_str(), s.of.as_str(), s.differs)).collect();
    assert_eq!(differs, [("new", "signed", Differs::NewlyFails)]);
    assert_eq!((decision.allowed, decision.patch.len(), decision.findings.len()), (true, 0, 0));
    let agreeing = decide(&engine, request(), &Known([(WEB, signed([verified(), verified()]))].into()));
    assert_eq!(agreeing.shadow, []);
}

/// A statement of this builder.
fn statement(builder: &str) -> Statement {
    let json = json!({"predicateType": "https://slsa.dev/provenance/v1", "predicate": {"builder": builder}});
    Statement { json: json.to_string().into(), signer: Signer::default() }
}

const ATTESTED: &str = "  authorities: [RELEASE, CI]\n  digest: {mutate: false}\n  attestations:\n  - name: built-by-us\n    \
    predicateType: slsaprovenance1\n    validations:\n    - expression: variables.ours && image.platforms.all(p, \
    p.config.user != '')\n      messageExpression: \"'built by ' + string(predicate.builder)\"\n  variables: [{name: ours, \
    expression: \"predicate.builder == 'ours' && statement.predicateType.startsWith('https://slsa.dev')\"}]";

#[test]
fn an_attestation_must_be_there_signed_and_hold() {
    let engine = policy(ATTESTED);
    let judged = |answers: [Answer<Vec<Statement>>; 2]| {
        let seen = Seen { attested: answers.to_vec(), ..signed([verified(), verified()]) };
        let decision = judge(&engine, seen);
        decision.status.map(|s| s.message.replace("ImagePolicy 'signed' denied request: ", ""))
    };
    let none = || Answer::NotSigned(String::new());
    let by = |builders: &[&str]| Answer::Verified(builders.iter().map(|b| statement(b)).collect());
    let image = "image registry.example.com/shop/web:1.2";
    assert_eq!(judged([none(), by(&["theirs", "ours"])]), None);
    assert_eq!(judged([by(&["theirs"]), none()]), Some(format!("attestation built-by-us of {image}: built by theirs")));
    let missing = format!("{image} has no attestation built-by-us by any of release, ci: no signature was found");
    assert_eq!(judged([none(), none()]), Some(missing));
    let away = format!("attestation built-by-us of {image} cannot be verified now: ci: timed out");
    let unavailable = || Answer::Unavailable(Unseen::outage("timed out"));
    assert_eq!(judged([by(&["theirs"]), unavailable()]), Some(away.clone()));
    assert_eq!(judged([none(), unavailable()]), Some(away));
}
