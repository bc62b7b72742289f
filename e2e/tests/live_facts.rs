//! The facts of the live cluster against a real API server: what they say, and when they say that they do not know.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use bumpalo::Bump;
use prometheus_client::registry::Registry;
use serde_json::{Value as Json, json};
use stockade_cel::authorizer::Attributes;
use stockade_cel::{Symbols, Value};
use stockade_cluster::access::{Access, Options};
use stockade_cluster::facts::{Change, LiveFacts, NotReady, Read, What};
use stockade_e2e::cluster::{ALICE_TOKEN, Cluster};
use stockade_e2e::tools;
use stockade_e2e::webhook::{WITHIN, eventually, namespace};
use stockade_engine::ClusterFacts as _;
use stockade_engine::facts::{Fact, Into, Kind};
use stockade_policy::compiled::ParamKind;
use tokio::sync::broadcast::Receiver;

#[path = "live_facts/judging.rs"]
mod judging;
#[path = "live_facts/listing.rs"]
mod listing;
#[path = "live_facts/scopes.rs"]
mod scopes;

/// Facts of a cluster; what they measure.
struct Live {
    facts: LiveFacts,
    registry: Registry,
}

impl Live {
    /// Holds all of these kinds, once they are known.
    async fn new(cluster: &Cluster, kinds: &[ParamKind]) -> Self {
        let reads: Vec<Read> = kinds.iter().cloned().map(Read::all).collect();
        Self::with_kubeconfig(cluster.kubeconfig(), &reads).await
    }

    /// Holds this, once it is known.
    async fn with_kubeconfig(kubeconfig: PathBuf, reads: &[Read]) -> Self {
        let options = Options { kubeconfig: Some(kubeconfig), ..Options::default() };
        let access = Access::new(&options).await.unwrap();
        let mut registry = Registry::default();
        let facts = LiveFacts::new(&access, &mut registry);
        facts.hold(reads);
        let namespaces = Read::all(kind("v1", "Namespace"));
        assert_eq!(facts.synced(reads.iter().chain([&namespaces]), WITHIN).await, BTreeSet::new());
        Self { facts, registry }
    }

    fn get(&self, kind: &ParamKind, namespace: &str, name: &str) -> Fact<Option<Json>> {
        let (arena, symbols) = (Bump::new(), Symbols::new());
        json(self.facts.get(of(kind), namespace, name, Into { arena: &arena, symbols: &symbols }))
    }

    /// Names of the objects in a namespace, or in all.
    fn list(&self, kind: &ParamKind, namespace: &str) -> Fact<Vec<String>> {
        let (arena, symbols) = (Bump::new(), Symbols::new());
        match self.facts.list(of(kind), namespace, Into { arena: &arena, symbols: &symbols }) {
            Fact::Known(objects) => Fact::Known(objects.iter().map(|o| name_of(*o)).collect()),
            Fact::NotReady => Fact::NotReady,
        }
    }

    fn namespace_of_request(&self, name: &str) -> Fact<Option<Json>> {
        let (arena, symbols) = (Bump::new(), Symbols::new());
        json(self.facts.namespace_of_request(name, Into { arena: &arena, symbols: &symbols }))
    }

    /// The same, asked again for as long as the API server does not say in time.
    fn namespace_known(&self, name: &str) -> Option<Json> {
        match eventually(|| self.namespace_of_request(name), |fact| *fact != Fact::NotReady) {
            Fact::Known(namespace) => namespace,
            Fact::NotReady => None,
        }
    }

    /// The value of a metric for a kind.
    fn metric(&self, name: &str, kind: &ParamKind) -> Option<f64> {
        let line = format!("{name}{{api_version=\"{}\",kind=\"{}\"}} ", kind.api_version, kind.kind);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).unwrap();
        text.lines().find_map(|l| l.strip_prefix(&line)?.parse().ok())
    }
}

fn json(fact: Fact<Option<Value<'_>>>) -> Fact<Option<Json>> {
    match fact {
        Fact::Known(object) => Fact::Known(object.map(|o| serde_json::to_value(o).unwrap())),
        Fact::NotReady => Fact::NotReady,
    }
}

fn name_of(object: Value<'_>) -> String {
    object.path(&["metadata", "name"]).and_then(Value::as_str).unwrap().to_owned()
}

fn kind(api_version: &str, kind: &str) -> ParamKind {
    ParamKind { api_version: api_version.to_owned(), kind: kind.to_owned() }
}

fn of(kind: &ParamKind) -> Kind<'_> {
    Kind { api_version: &kind.api_version, kind: &kind.kind }
}

fn config_map(name: &str, metadata: &Json, data: &str) -> Json {
    let mut map = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": { "k": data } });
    map["metadata"]["name"] = json!(name);
    map
}

/// The next changes of a namespace: names, and what happened.
async fn changes<const N: usize>(receiver: &mut Receiver<Change>, namespace: &str) -> [(String, What); N] {
    let mut found = Vec::new();
    while found.len() < N {
        let change = tokio::time::timeout(WITHIN, receiver.recv()).await.unwrap().unwrap();
        if change.namespace == namespace {
            found.push((change.name, change.what));
        }
    }
    found.try_into().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_appear_change_and_go_and_each_change_is_told() {
    if !tools::present() {
        return;
    }
    let cluster = Cluster::shared();
    let maps = kind("v1", "ConfigMap");
    let live = Live::new(cluster, std::slice::from_ref(&maps)).await;
    namespace(cluster, "appear");
    let path = "/api/v1/namespaces/appear/configmaps";
    let mut told = live.facts.changes();
    let metadata = json!({ "annotations": { "kubectl.kubernetes.io/last-applied-configuration": "{}" } });
    let created = cluster.client.post(path, &config_map("a", &metadata, "1")).expect_ok();
    cluster.client.post(path, &config_map("b", &json!({}), "1")).expect_ok();
    cluster.client.merge(&format!("{path}/a"), &json!({ "data": { "k": "2" } })).expect_ok();
    cluster.client.merge(&format!("{path}/a"), &json!({ "metadata": { "labels": { "l": "1" } } })).expect_ok();
    let expected = [
        ("a", What::Created),
        ("b", What::Created),
        ("a", What::Updated { labels: false }),
        ("a", What::Updated { labels: true }),
    ];
    let expected = expected.map(|(name, what)| (name.to_owned(), what));
    assert_eq!(changes(&mut told, "appear").await, expected);

    let mut stored = cluster.client.get(&format!("{path}/a")).expect_ok();
    assert!(created["metadata"]["managedFields"].is_array());
    stored["metadata"].as_object_mut().unwrap().shift_remove("managedFields");
    assert_eq!(live.get(&maps, "appear", "a"), Fact::Known(Some(stored)));
    assert_eq!(live.get(&maps, "appear", "c"), Fact::Known(None));
    assert_eq!(live.list(&maps, "appear"), Fact::Known(vec!["a".to_owned(), "b".to_owned()]));

    cluster.client.delete(&format!("{path}/a")).expect_ok();
    assert_eq!(changes(&mut told, "appear").await, [("a".to_owned(), What::Deleted)]);
    assert_eq!(live.list(&maps, "appear"), Fact::Known(vec!["b".to_owned()]));
    assert_eq!(live.metric("stockade_facts_synced", &maps), Some(1.0));
    assert!(live.metric("stockade_facts_objects", &maps).unwrap() >= 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kind_that_is_not_held_or_not_served_is_not_ready_until_it_is() {
    if !tools::present() {
        return;
    }
    let cluster = Cluster::shared();
    let live = Live::new(cluster, &[]).await;
    let (secrets, rules) = (kind("v1", "Secret"), kind("later.example.com/v1", "Rule"));
    let (all_secrets, all_rules) = (Read::all(secrets.clone()), Read::all(rules.clone()));
    assert_eq!(live.list(&secrets, ""), Fact::NotReady);
    assert_eq!(live.facts.not_ready(&all_secrets), Some(NotReady::NotHeld));

    live.facts.hold([&all_secrets, &all_rules]);
    assert_eq!(live.facts.synced([&all_secrets], WITHIN).await, BTreeSet::new());
    eventually(|| live.facts.not_ready(&all_rules), |why| *why == Some(NotReady::NotServed));
    assert_eq!(live.facts.synced([&all_rules], Duration::from_secs(1)).await, [all_rules.clone()].into());
    assert_eq!(live.get(&rules, "default", "r"), Fact::NotReady);
    assert_eq!(live.metric("stockade_facts_synced", &rules), Some(0.0));

    let definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    cluster
        .client
        .post(definitions, &judging::definition("later.example.com", &json!({ "strategy": "None" })))
        .expect_ok();
    assert_eq!(live.facts.synced([&all_rules], WITHIN).await, BTreeSet::new());
    assert_eq!(live.list(&rules, ""), Fact::Known(Vec::new()));
    assert_eq!(live.facts.namespaced(of(&rules)), Some(true));
    let rule = json!({ "apiVersion": "later.example.com/v1", "kind": "Rule", "metadata": { "name": "r" } });
    let path = "/apis/later.example.com/v1/namespaces/default/rules";
    eventually(|| cluster.client.post(path, &rule).code, |code| matches!(code, 201 | 409));
    eventually(|| live.list(&rules, "default"), |list| *list == Fact::Known(vec!["r".to_owned()]));

    cluster.client.delete(&format!("{definitions}/rules.later.example.com")).expect_ok();
    eventually(|| live.get(&rules, "default", "r"), |fact| *fact == Fact::NotReady);
    live.facts.hold([]);
    assert_eq!(live.facts.not_ready(&all_secrets), Some(NotReady::NotHeld));
    assert_eq!(live.metric("stockade_facts_synced", &secrets), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_known_stays_known_while_the_api_server_restarts_and_then_follows_it() {
    if !tools::present() {
        return;
    }
    let cluster = Cluster::start();
    let maps = kind("v1", "ConfigMap");
    let live = Live::new(&cluster, std::slice::from_ref(&maps)).await;
    namespace(&cluster, "restart");
    let path = "/api/v1/namespaces/restart/configmaps";
    for name in ["gone", "stays"] {
        cluster.client.post(path, &config_map(name, &json!({}), "1")).expect_ok();
    }
    let both = Fact::Known(vec!["gone".to_owned(), "stays".to_owned()]);
    eventually(|| live.list(&maps, "restart"), |list| *list == both);

    for _ in 0..2 {
        cluster.stop_server();
        assert_eq!(live.list(&maps, "restart"), both);
        cluster.start_server();
        assert_eq!(live.list(&maps, "restart"), both);
    }
    cluster.client.delete(&format!("{path}/gone")).expect_ok();
    cluster.client.post(path, &config_map("new", &json!({}), "1")).expect_ok();
    let after = Fact::Known(vec!["new".to_owned(), "stays".to_owned()]);
    eventually(|| live.list(&maps, "restart"), |list| *list == after);
    let lists = live.metric("stockade_facts_lists_total", &maps);
    println!("ConfigMaps were listed {lists:?} times while the API server restarted twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_is_known_to_the_request_that_follows_its_creation() {
    if !tools::present() {
        return;
    }
    let cluster = Cluster::shared();
    let live = Live::new(cluster, &[]).await;
    for number in 0..50 {
        let name = format!("fresh-{number}");
        namespace(cluster, &name);
        let found = live.namespace_known(&name).unwrap();
        assert_eq!(found["metadata"]["labels"], json!({ "e2e": name, "kubernetes.io/metadata.name": name }));
    }
    assert_eq!(live.namespace_known("never"), None);
    // Without an API server nobody can say that there is none.
    let other = Cluster::start();
    let live = Live::new(&other, &[]).await;
    other.stop_server();
    assert_eq!(live.namespace_of_request("never"), Fact::NotReady);
    assert!(matches!(live.namespace_of_request("default"), Fact::Known(Some(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_permissions_are_needed_than_the_chart_gives() {
    if !tools::present() {
        return;
    }
    let cluster = Cluster::start();
    let rule = |group: &str, resource: &str, verbs: &[&str]| json!({ "apiGroups": [group], "resources": [resource], "verbs": verbs });
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": { "name": "stockade" },
        "rules": [
            rule("", "namespaces", &["get", "list", "watch"]),
            rule("apiextensions.k8s.io", "customresourcedefinitions", &["list", "watch"]),
            rule("apiregistration.k8s.io", "apiservices", &["list", "watch"]),
            rule("authorization.k8s.io", "subjectaccessreviews", &["create"]),
            // What policies read.
            rule("", "configmaps", &["list", "watch"]),
        ],
    });
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": { "name": "stockade" },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "stockade" },
        "subjects": [{ "kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "alice" }],
    });
    let folder = "/apis/rbac.authorization.k8s.io/v1";
    cluster.client.post(&format!("{folder}/clusterroles"), &role).expect_ok();
    cluster.client.post(&format!("{folder}/clusterrolebindings"), &binding).expect_ok();
    let admin = std::fs::read_to_string(cluster.kubeconfig()).unwrap();
    let mut config: Json = serde_json::from_str(&admin).unwrap();
    config["users"][0]["user"]["token"] = json!(ALICE_TOKEN);
    let kubeconfig = cluster.folder().join("alice.json");
    std::fs::write(&kubeconfig, config.to_string()).unwrap();

    let (maps, secrets) = (kind("v1", "ConfigMap"), kind("v1", "Secret"));
    let (maps, secrets_read) = (Read::all(maps), Read::all(secrets.clone()));
    let live = Live::with_kubeconfig(kubeconfig, std::slice::from_ref(&maps)).await;
    eventually(|| live.facts.resources().equivalents().borrow().is_some(), |known| *known);
    assert_eq!(live.namespace_known("never"), None);
    let question = Attributes { user: "bob".to_owned(), verb: "get".to_owned(), ..Attributes::default() };
    let ask = || live.facts.authorizer().unwrap().authorize(&question);
    assert!(!eventually(ask, |answer| answer.error.is_none()).allowed);
    // What must not be read is never absent.
    live.facts.hold([&maps, &secrets_read]);
    let unsynced = live.facts.synced([&secrets_read], Duration::from_secs(2)).await;
    assert_eq!(unsynced, [secrets_read.clone()].into());
    assert_eq!(live.list(&secrets, ""), Fact::NotReady);
    assert_eq!(live.facts.not_ready(&secrets_read), Some(NotReady::Listing));
}
