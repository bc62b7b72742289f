//! What the status says of small worlds.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};
use stockade_engine::audit::Waived;
use stockade_engine::engine::Engine;
use stockade_engine::folder_facts::FolderFacts;
use stockade_policy::compile::incremental::{Compiler, Part, Scope, Standing};
use stockade_policy::compiled::ParamKind;
use stockade_policy::sources::PolicySources;

use super::objects::{Key, Objects, Seen};
use super::view::View;
use crate::facts::Read;
use crate::object::Object;
use crate::policies::{Generation, Observed, RefusedObject, SourceKind};
use crate::replicas::Replica;

const NOW: &str = "2026-06-01T12:00:00Z";

const RULES: &str = "matchConstraints: {resourceRules: [{apiGroups: [''], apiVersions: [v1], operations: [CREATE], \
                     resources: [pods]}]}";

fn policy(name: &str, rest: &str) -> String {
    format!(
        "apiVersion: stockade.dev/v1alpha1\nkind: AdmissionPolicy\nmetadata: {{name: {name}, generation: 2}}\nspec:\n  \
         {RULES}\n{rest}"
    )
}

fn good(name: &str) -> String {
    policy(name, "  validations: [{expression: 'true'}]\n")
}

fn exception(policy: &str, expires: &str) -> String {
    format!(
        "apiVersion: stockade.dev/v1alpha1\nkind: PolicyException\nmetadata: {{name: e, namespace: shop, generation: \
         2}}\nspec:\n  policies: [{{name: {policy}}}]\n  images: ['a/*']\n  reason: r\n  owner: o\n  expires: \
         {expires:?}\n"
    )
}

fn group(spec: &str) -> String {
    format!(
        "apiVersion: stockade.dev/v1alpha1\nkind: NamespaceGroup\nmetadata: {{name: g, generation: 2}}\nspec: {spec}\n"
    )
}

/// A generation of these objects, up to `resourceVersion` 100.
fn generation(objects: &[&str]) -> Generation {
    let parts: Vec<Part> = objects
        .iter()
        .enumerate()
        .map(|(i, text)| {
            let mut sources = PolicySources::default();
            sources.add("object.yaml", text, true);
            Part { id: format!("{i}").into(), scope: Scope::Enforced, sources: Arc::new(sources) }
        })
        .collect();
    let increment = Compiler::new().compile(&parts);
    let reports = objects.iter().zip(increment.parts).filter(|(_, report)| report.standing != Standing::InForce);
    let refused = reports.map(|(text, report)| {
        let kind = match text.split("kind: ").nth(1).unwrap().lines().next().unwrap() {
            "AdmissionPolicy" => SourceKind::AdmissionPolicy,
            "PolicyException" => SourceKind::PolicyException,
            _ => SourceKind::NamespaceGroup,
        };
        let name = text.split("name: ").nth(1).unwrap().split([',', '}']).next().unwrap().to_owned();
        let namespace = if kind == SourceKind::PolicyException { "shop".to_owned() } else { String::new() };
        let (standing, diagnostics) = (report.standing, report.diagnostics);
        RefusedObject { kind, namespace, name, generation: 2, standing, diagnostics }
    });
    let refused = refused.collect();
    let engine = Arc::new(Engine::new(Arc::new(increment.enforced)));
    let not_synced = BTreeSet::new();
    Generation { number: 1, audited: engine.clone(), engine, observed: observed(100), refused, not_synced }
}

/// As far in every kind.
fn observed(version: u64) -> Observed {
    let kinds = [SourceKind::AdmissionPolicy, SourceKind::PolicyException, SourceKind::NamespaceGroup];
    kinds.map(|kind| (kind, version)).into_iter().collect()
}

fn replicas(versions: &[u64]) -> Vec<Replica> {
    let replica =
        |(i, version): (usize, &u64)| Replica { identity: format!("r{i}"), ready: true, observed: observed(*version) };
    versions.iter().enumerate().map(replica).collect()
}

fn seen(status: Value) -> Seen {
    Seen { generation: 2, since: 90, version: 95, status }
}

/// What would be written of an object of which `status` is known.
fn written(generation: &Generation, replicas: &[Replica], facts: Vec<Value>, kind: SourceKind, status: Value) -> Value {
    let facts = FolderFacts::new(facts).unwrap().strict_namespaces();
    let view = View::new(generation, replicas, &facts, NOW.parse().unwrap());
    let (namespace, name) = match kind {
        SourceKind::AdmissionPolicy => ("", "p"),
        SourceKind::PolicyException => ("shop", "e"),
        _ => ("", "g"),
    };
    let key = Key { kind, namespace: namespace.to_owned(), name: name.to_owned() };
    view.differing(&key, &seen(status)).unwrap_or_default()
}

/// `Type=Status Reason: message`, a line each.
fn told(status: &Value) -> Vec<String> {
    let conditions = status["conditions"].as_array().unwrap_or_else(|| panic!("{status}"));
    let text = |c: &Value, name: &str| c[name].as_str().unwrap().to_owned();
    let line = |c: &Value| {
        let [kind, status, reason, message] = ["type", "status", "reason", "message"].map(|name| text(c, name));
        format!("{kind}={status} {reason}: {message}")
    };
    conditions.iter().map(line).collect()
}

#[test]
fn a_policy_is_ready_when_every_replica_has_looked_at_it() {
    let generation = generation(&[&good("p")]);
    let written = |observed: &[u64]| {
        let status = written(&generation, &replicas(observed), vec![], SourceKind::AdmissionPolicy, json!(null));
        (told(&status), status["enforced"].clone(), status["enforcedReplicas"].clone())
    };
    assert_eq!(
        written(&[100, 89, 90]),
        (
            vec![
                "Compiled=True Compiled: ".to_owned(),
                "Enforced=False Progressing: 2 of 3 replicas".to_owned(),
                "Ready=False Progressing: 2 of 3 replicas".to_owned(),
            ],
            json!("2/3"),
            json!(2),
        )
    );
    assert_eq!(written(&[100, 90, 90]).0[2], "Ready=True AllReplicas: 3 of 3 replicas");
    assert_eq!(written(&[]).0[1], "Enforced=False Progressing: 0 of 0 replicas");
}

#[test]
fn nothing_is_said_of_what_was_not_looked_at() {
    let mut generation = generation(&[&good("p")]);
    generation.observed = observed(89);
    let said = |g: &Generation| written(g, &replicas(&[100]), vec![], SourceKind::AdmissionPolicy, json!(null));
    assert_eq!(said(&generation), json!(null));
    generation.observed = observed(90);
    assert_ne!(said(&generation), json!(null));
    generation.number = 0;
    assert_eq!(said(&generation), json!(null));
}

#[test]
fn what_is_written_is_not_written_again() {
    let generation = generation(&[&good("p")]);
    let written = |status: Value| written(&generation, &replicas(&[100]), vec![], SourceKind::AdmissionPolicy, status);
    let mut status = written(json!(null));
    assert_eq!(written(status.clone()), json!(null));

    // What others write beside it is none of its business; a condition keeps its time while its status is the same.
    status["shadow"] = json!({ "differences": 1 });
    let other = json!({ "type": "Other", "status": "True" });
    status["conditions"].as_array_mut().unwrap().push(other);
    assert_eq!(written(status.clone()), json!(null));
    status["conditions"][0]["lastTransitionTime"] = json!("2020-01-01T00:00:00Z");
    status["conditions"][0]["message"] = json!("edited");
    status["conditions"][1]["lastTransitionTime"] = json!("2020-01-01T00:00:00Z");
    status["conditions"][1]["status"] = json!("False");
    let again = written(status);
    let times: Vec<_> = again["conditions"].as_array().unwrap().iter().map(|c| &c["lastTransitionTime"]).collect();
    assert_eq!(times, ["2020-01-01T00:00:00Z", NOW, NOW]);
}

#[test]
fn a_policy_that_does_not_compile_shows_where() {
    let generation = generation(&[&policy("p", "  validations: [{expression: 'object.spec.('}]\n")]);
    let status = written(&generation, &replicas(&[100]), vec![], SourceKind::AdmissionPolicy, json!(null));
    insta::assert_snapshot!(told(&status).join("\n"), @r"
    Compiled=False Invalid: error: spec.validations[0].expression: Syntax error: no viable alternative at input '.('
     --> object.yaml:6:43
      |
    6 |   validations: [{expression: 'object.spec.('}]
      |                                           ^
    Enforced=False NotInForce: no version of it has compiled yet
    Ready=False Invalid: it does not compile: see the condition Compiled
    ");
    assert_eq!([&status["enforced"], &status["typeChecking"]], [&json!("0/1"), &json!({})]);
}

#[test]
fn a_policy_is_not_ready_while_what_it_reads_is_not_known() {
    let mut generation =
        generation(&[&policy("p", "  validations: [{expression: \"cluster.list('v1', 'Pod', 'a').size() == 0\"}]\n")]);
    let pods = ParamKind { api_version: "v1".to_owned(), kind: "Pod".to_owned() };
    generation.not_synced = [Read::all(pods)].into();
    let status = written(&generation, &replicas(&[100]), vec![], SourceKind::AdmissionPolicy, json!(null));
    assert_eq!(told(&status)[2], "Ready=False NotSynced: objects of v1 Pod in a, which it reads, are not known");
}

#[test]
fn doubtful_expressions_are_shown() {
    let generation = generation(&[&policy("p", "  validations: [{expression: 'object.spec.replicas > 1'}]\n")]);
    let status = written(&generation, &replicas(&[100]), vec![], SourceKind::AdmissionPolicy, json!(null));
    let warnings = status["typeChecking"]["expressionWarnings"].as_array().unwrap();
    assert_eq!(warnings.len(), 1);
    assert_eq!(warnings[0]["fieldRef"], "spec.validations[0].expression");
    assert!(warnings[0]["warning"].as_str().unwrap().contains("undefined field 'replicas'"), "{warnings:?}");
}

#[test]
fn an_exception_tells_when_it_ends_and_what_it_does_not_find() {
    let of = |policy: &str, expires: &str| {
        let generation = generation(&[&good("p"), &exception(policy, expires)]);
        told(&written(&generation, &[], vec![], SourceKind::PolicyException, json!(null)))
    };
    assert_eq!(
        of("p", "2026-12-01T00:00:00Z"),
        ["Ready=True Ready: ", "Expired=False Valid: expires 2026-12-01T00:00:00Z"]
    );
    assert_eq!(of("p", "2026-06-08T12:00:00Z")[1], "Expired=False ExpiresSoon: expires 2026-06-08T12:00:00Z");
    assert_eq!(
        of("p", "2026-06-01T12:00:00Z"),
        [
            "Ready=False Expired: since 2026-06-01T12:00:00Z it waives nothing",
            "Expired=True Expired: since 2026-06-01T12:00:00Z it waives nothing",
        ]
    );
    assert_eq!(of("q", "2026-12-01T00:00:00Z")[0], "Ready=False PolicyNotFound: no policy named q");
}

#[test]
fn an_exception_is_in_use_while_something_fails_without_it_or_a_request_did() {
    let of = |expires: &str, fail: usize, pass: usize, last_used: Option<&str>| {
        let generation = generation(&[&good("p"), &exception("p", expires)]);
        let exception = &generation.audited.set().exceptions[0];
        let seen = seen(json!({ "lastUsed": last_used }));
        let status = super::usage::status(exception, Waived { fail, pass }, &seen, NOW.parse().unwrap()).unwrap();
        (told(&status).remove(0), status["waivedFail"].clone(), status["waivedPass"].clone())
    };
    let later = "2026-12-01T00:00:00Z";
    let in_use = "InUse=True WaivesFailures: what exists fails without it: see waivedFail".to_owned();
    assert_eq!(of(later, 2, 3, None), (in_use, json!(2), json!(3)));
    let requested = "a request of the last 30 days needed it, nothing that exists does";
    assert_eq!(of(later, 0, 1, Some("2026-05-03T00:00:00Z")).0, format!("InUse=True UsedByRequests: {requested}"));
    let unused = "InUse=False Unused: neither what exists nor a request of the last 30 days needs it".to_owned();
    assert_eq!(of(later, 0, 1, Some("2026-05-02T00:00:00Z")), (unused, json!(0), json!(1)));
    let expired = "InUse=False Expired: it waives nothing any more".to_owned();
    assert_eq!(of(NOW, 2, 3, Some(NOW)), (expired, json!(0), json!(0)));
}

fn namespace(name: &str, label: &str) -> Value {
    json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name, "labels": { "env": label } } })
}

fn network_policy(namespace: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": { "name": "n", "namespace": namespace }, "spec": spec,
    })
}

#[test]
fn a_group_counts_its_members_and_names_what_they_lack() {
    let spec = "{selector: {matchLabels: {env: live}}, names: [named], policies: [{name: p}, {name: staged}], \
                requireDefaultDeny: [Ingress, Egress]}";
    let staged = policy(
        "staged",
        "  validations: [{expression: 'true'}]\n  rollout: {deny: {namespaceSelector: \
                                   {matchLabels: {env: live}}}}\n",
    );
    let generation = generation(&[&good("p"), &staged, &group(spec)]);
    let facts = vec![
        namespace("a", "live"),
        namespace("b", "live"),
        namespace("named", "test"),
        namespace("other", "test"),
        network_policy("a", &json!({ "podSelector": {}, "policyTypes": ["Ingress", "Egress"] })),
        network_policy("b", &json!({ "podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{}] })),
        network_policy("named", &json!({ "podSelector": { "matchLabels": { "a": "b" } }, "policyTypes": ["Ingress"] })),
    ];
    let status = written(&generation, &[], facts.clone(), SourceKind::NamespaceGroup, json!(null));
    assert_eq!(told(&status), ["Ready=False Gaps: 2 of 3 namespaces lack something: see status.gaps"]);
    assert_eq!(
        [&status["members"], &status["namespaces"], &status["gapCount"], &status["gaps"]],
        [
            &json!(3),
            &json!(["a", "b", "named"]),
            &json!(2),
            &json!([
                { "namespace": "b", "missing": ["default-deny Ingress", "default-deny Egress"] },
                { "namespace": "named",
                  "missing": ["policy staged", "default-deny Ingress", "default-deny Egress"] },
            ]),
        ]
    );
    let status = written(&generation, &[], facts[..1].to_vec(), SourceKind::NamespaceGroup, status);
    assert_eq!(
        status["gaps"],
        json!([{ "namespace": "a", "missing": ["default-deny Ingress", "default-deny Egress"] }])
    );
}

#[test]
fn an_older_object_does_not_replace_a_newer_one_and_a_generation_is_dated_by_its_first_sight() {
    let object = |version: u64, generation: i64| {
        let object = json!({
            "apiVersion": "stockade.dev/v1alpha1", "kind": "AdmissionPolicy",
            "metadata": { "name": "p", "resourceVersion": version.to_string(), "generation": generation },
            "status": { "enforced": format!("{version}") },
        });
        Object::parse(&object.to_string()).unwrap()
    };
    let mut objects = Objects::default();
    let mut put = |version, generation| {
        objects.put(SourceKind::AdmissionPolicy, &object(version, generation));
        let (_, seen) = objects.iter().next().unwrap();
        (seen.version, seen.since, seen.status["enforced"].clone())
    };
    assert_eq!(put(5, 1), (5, 5, json!("5")));
    assert_eq!(put(7, 1), (7, 5, json!("7")));
    assert_eq!(put(6, 1), (7, 5, json!("7")));
    assert_eq!(put(8, 2), (8, 8, json!("8")));
}

#[test]
fn a_message_is_bounded_and_stays_text() {
    let long = super::conditions::cut("ä".repeat(10_000));
    assert!(long.len() <= 8 * 1024 && long.ends_with('…'), "{}", long.len());
}
