//! Verdicts that depend on the live cluster, beside those of the API server: custom resources in several versions, and
//! the `authorizer` variable.

use std::sync::Arc;

use serde_json::{Value as Json, json};
use stockade_cel::document::decode;
use stockade_e2e::client::Client;
use stockade_e2e::cluster::ALICE_TOKEN;
use stockade_engine::{DecideOptions, Engine, Request, Verb};
use stockade_policy::compile::{Options as CompileOptions, UnboundPolicy, compile};
use stockade_policy::sources::PolicySources;

use super::*;

/// A CustomResourceDefinition of Rules in the versions v1 and v2.
pub(super) fn definition(group: &str, conversion: &Json) -> Json {
    let version = |name: &str, storage: bool| {
        json!({
            "name": name, "served": true, "storage": storage, "subresources": { "status": {} },
            "schema": { "openAPIV3Schema": { "type": "object", "x-kubernetes-preserve-unknown-fields": true } },
        })
    };
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": { "name": format!("rules.{group}") },
        "spec": {
            "group": group, "scope": "Namespaced", "conversion": conversion,
            "names": { "plural": "rules", "singular": "rule", "kind": "Rule", "listKind": "RuleList" },
            "versions": [version("v1", true), version("v2", false)],
        },
    })
}

/// A ValidatingAdmissionPolicy with these validations, in force in the namespaces labelled `e2e: label`, and its binding.
fn policy(name: &str, label: &str, rule: Json, validations: &Json) -> [Json; 2] {
    let mut rule = rule;
    rule["operations"] = json!(["CREATE"]);
    let api_version = "admissionregistration.k8s.io/v1";
    let policy = json!({
        "apiVersion": api_version, "kind": "ValidatingAdmissionPolicy", "metadata": { "name": name },
        "spec": {
            "failurePolicy": "Fail",
            "matchConstraints": { "resourceRules": [rule] },
            "validations": validations,
        },
    });
    let binding = json!({
        "apiVersion": api_version, "kind": "ValidatingAdmissionPolicyBinding", "metadata": { "name": name },
        "spec": {
            "policyName": name, "validationActions": ["Deny"],
            "matchResources": { "namespaceSelector": { "matchLabels": { "e2e": label } } },
        },
    });
    [policy, binding]
}

/// What our engine says to the creation of an object.
fn ours(live: &Live, policies: &[Json], request: &Json) -> String {
    let text: Vec<String> = policies.iter().map(Json::to_string).collect();
    let mut sources = PolicySources::default();
    sources.add("set.yaml", &text.join("\n---\n"), true);
    let options = CompileOptions { unbound: UnboundPolicy::Ignore, type_check: false, ..CompileOptions::default() };
    let set = compile(&sources, options).unwrap().set;
    let equivalents = eventually(|| live.facts.resources().equivalents().borrow().clone(), Option::is_some).unwrap();
    let engine = Engine::with_equivalents(Arc::new(set), equivalents);
    let arena = Bump::new();
    let review = json!({ "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request });
    let bytes = serde_json::to_vec(&review).unwrap();
    let request = Request::from_review(decode(&bytes, &arena, engine.symbols()).unwrap()).unwrap();
    let options = DecideOptions { verb: Verb::Validate, ..DecideOptions::default() };
    let decision = engine.decide(&request, &live.facts, &arena, &options);
    decision.status.map_or_else(|| "allowed".to_owned(), |status| status.message)
}

/// What the API server says, once its policies are in force; as it says it of the policy `name`.
fn theirs(client: &Client, name: &str, path: &str, object: &Json) -> String {
    let prefix = format!("ValidatingAdmissionPolicy '{name}' with binding '{name}' denied request: ");
    let answer = eventually(
        || client.post(&format!("{path}?dryRun=All"), object),
        |answer| answer.code != 404 && answer.message().contains(&prefix),
    );
    answer.message().split(&prefix).nth(1).unwrap().to_owned()
}

/// The same as our messages say it: without the prefix of policy and binding.
fn without_prefix(message: &str, name: &str) -> String {
    let prefix = format!("ValidatingAdmissionPolicy '{name}' with binding '{name}' denied request: ");
    message.split(&prefix).last().unwrap_or(message).to_owned()
}

fn creation(group: &str, version: &str, [kind, plural]: [&str; 2], namespace: &str, object: &Json) -> Json {
    let gvk = json!({ "group": group, "version": version, "kind": kind });
    let gvr = json!({ "group": group, "version": version, "resource": plural });
    json!({
        "uid": "u", "kind": gvk, "resource": gvr, "requestKind": gvk, "requestResource": gvr, "operation": "CREATE",
        "name": object["metadata"]["name"], "namespace": namespace, "object": object,
        "userInfo": { "username": "alice", "groups": ["team-a", "system:authenticated"] },
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_for_one_version_of_a_custom_resource_judges_the_others_as_the_api_server_does() {
    if !tools::present() {
        return;
    }
    let cluster = Cluster::shared();
    let (name, group) = ("versions", "versions.example.com");
    let client = &cluster.client;
    client
        .post(
            "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
            &definition(group, &json!({ "strategy": "None" })),
        )
        .expect_ok();
    namespace(cluster, name);
    let rule = json!({ "apiGroups": [group], "apiVersions": ["v1"], "resources": ["rules"] });
    let message = "object.apiVersion + ' ' + object.spec.a + ' ' + request.kind.version + ' ' + request.resource.version \
                   + ' ' + request.requestKind.version + ' ' + string(has(object.metadata.uid))";
    let policies = policy(name, name, rule, &json!([{ "expression": "false", "messageExpression": message }]));
    create(client, &policies);

    let rules = kind(&format!("{group}/v1"), "Rule");
    let live = Live::new(cluster, &[rules]).await;
    for version in ["v1", "v2"] {
        let object = json!({
            "apiVersion": format!("{group}/{version}"), "kind": "Rule",
            "metadata": { "name": "r", "namespace": name, "uid": "u" }, "spec": { "a": "b" },
        });
        let path = format!("/apis/{group}/{version}/namespaces/{name}/rules");
        let expected = theirs(client, name, &path, &object);
        let request = creation(group, version, ["Rule", "rules"], name, &object);
        eventually(|| without_prefix(&ours(&live, &policies, &request), name), |said| *said == expected);
        assert!(expected.starts_with(&format!("{group}/v1 b v1 v1 {version}")), "{expected}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_that_a_webhook_converts_are_refused_with_what_to_do() {
    if !tools::present() {
        return;
    }
    let cluster = Cluster::shared();
    let (name, group) = ("converted", "converted.example.com");
    let conversion = json!({ "strategy": "Webhook", "webhook": {
        "conversionReviewVersions": ["v1"], "clientConfig": { "url": "https://127.0.0.1:1/convert" },
    } });
    let definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    cluster.client.post(definitions, &definition(group, &conversion)).expect_ok();
    namespace(cluster, name);
    let rule = json!({ "apiGroups": [group], "apiVersions": ["v1"], "resources": ["rules"] });
    let policies = policy(name, name, rule, &json!([{ "expression": "false" }]));
    let live = Live::new(cluster, &[]).await;
    let served = |live: &Live| {
        live.facts.resources().snapshot().unwrap().of_kind(&kind(&format!("{group}/v1"), "Rule")).cloned()
    };
    eventually(|| served(&live), Option::is_some);
    let object = json!({
        "apiVersion": format!("{group}/v2"), "kind": "Rule", "metadata": { "name": "r", "namespace": name },
    });
    let request = creation(group, "v2", ["Rule", "rules"], name, &object);
    let expected = format!(
        "failed to convert object version: {group}/v2, Kind=Rule and {group}/v1, Kind=Rule are converted by a webhook \
         that only the API server can ask; name {group}/v2, Kind=Rule in the policy's rules"
    );
    eventually(|| ours(&live, &policies, &request), |said| said.contains(&expected));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_authorizer_answers_as_the_api_servers_own_does() {
    if !tools::present() {
        return;
    }
    let cluster = Cluster::shared();
    let (client, name) = (&cluster.client, "authorizer");
    namespace(cluster, name);
    let meta = json!({ "name": name });
    let roles = [
        (
            "clusterroles",
            json!({
                "kind": "ClusterRole", "metadata": meta, "rules": [
                    { "verbs": ["create", "get"], "apiGroups": [""], "resources": ["configmaps", "pods/log"] },
                    { "verbs": ["delete"], "apiGroups": ["apps"], "resources": ["deployments"], "resourceNames": ["web"] },
                    { "verbs": ["get"], "nonResourceURLs": ["/metrics"] },
                ],
            }),
        ),
        (
            "clusterrolebindings",
            json!({
                "kind": "ClusterRoleBinding", "metadata": meta,
                "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name },
                "subjects": [
                    { "kind": "Group", "apiGroup": "rbac.authorization.k8s.io", "name": "team-a" },
                    { "kind": "ServiceAccount", "namespace": name, "name": "robot" },
                ],
            }),
        ),
    ];
    for (plural, mut object) in roles {
        object["apiVersion"] = json!("rbac.authorization.k8s.io/v1");
        client.post(&format!("/apis/rbac.authorization.k8s.io/v1/{plural}"), &object).expect_ok();
    }
    let checks = [
        "authorizer.group('').resource('configmaps').namespace('authorizer').check('create')",
        "authorizer.group('').resource('configmaps').namespace('default').check('get')",
        "authorizer.group('').resource('configmaps').check('list')",
        "authorizer.group('').resource('pods').subresource('log').namespace('default').check('get')",
        "authorizer.group('').resource('pods').namespace('default').check('get')",
        "authorizer.group('apps').resource('deployments').namespace('default').name('web').check('delete')",
        "authorizer.group('apps').resource('deployments').namespace('default').name('db').check('delete')",
        "authorizer.group('').resource('configmaps').labelSelector('a=b').fieldSelector('metadata.name=x').check('get')",
        "authorizer.path('/metrics').check('get')",
        "authorizer.path('/logs').check('get')",
        "authorizer.requestResource.check('create')",
        "authorizer.requestResource.check('delete')",
        "authorizer.serviceAccount('authorizer', 'robot').group('').resource('configmaps').check('get')",
        "authorizer.serviceAccount('authorizer', 'other').group('').resource('configmaps').check('get')",
    ];
    // The first validation that fails tells reason, error and decision.
    let by = |subject| format!("RBAC: allowed by ClusterRoleBinding \"{name}\" of ClusterRole \"{name}\" to {subject}");
    let reasons = ["Group \"team-a\"", "ServiceAccount \"robot/authorizer\""].map(by);
    let rule = json!({ "apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"] });
    let asking = |(number, check): (usize, &&str)| {
        let mut validations = vec![json!({ "expression": format!("!{check}.errored()"), "message": "error" })];
        validations.extend(reasons.iter().map(|reason| {
            let expression = format!("!({check}.allowed() && {check}.reason() == '{reason}')");
            json!({ "expression": expression, "message": reason })
        }));
        let denied = format!("{check}.allowed() || {check}.reason() != ''");
        validations.push(json!({ "expression": denied, "message": "denied without a reason" }));
        validations.push(json!({ "expression": "false", "message": "anything else" }));
        let [mut policy, binding] = policy(&format!("{name}-{number}"), name, rule.clone(), &json!(validations));
        let condition = format!("object.data.k == '{number}'");
        policy["spec"]["matchConditions"] = json!([{ "name": "n", "expression": condition }]);
        [policy, binding]
    };
    let policies: Vec<_> = checks.iter().enumerate().map(asking).collect();
    policies.iter().for_each(|both| create(client, both));

    let live = Live::new(cluster, &[]).await;
    let alice = client.with_token(ALICE_TOKEN);
    let path = format!("/api/v1/namespaces/{name}/configmaps");
    for (number, (check, both)) in checks.iter().zip(&policies).enumerate() {
        let object = config_map("m", &json!({ "namespace": name }), &number.to_string());
        let unique = format!("{name}-{number}");
        let expected = theirs(&alice, &unique, &path, &object);
        let request = creation("", "v1", ["ConfigMap", "configmaps"], name, &object);
        // A question that is not answered in time is an error, which is no answer to compare.
        eventually(|| without_prefix(&ours(&live, both, &request), &unique), |said| *said == expected);
        println!("{check}: {expected}");
    }
}

fn create(client: &Client, [policy, binding]: &[Json; 2]) {
    let folder = "/apis/admissionregistration.k8s.io/v1";
    client.post(&format!("{folder}/validatingadmissionpolicies"), policy).expect_ok();
    client.post(&format!("{folder}/validatingadmissionpolicybindings"), binding).expect_ok();
}
