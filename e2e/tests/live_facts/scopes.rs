//! What is watched: no more than what params can be, so that nobody else's objects count.

use std::sync::Arc;

use stockade_cluster::facts::Scope;
use stockade_policy::compiled::{ParamRef, ParamSource, ParameterNotFoundAction};
use stockade_policy::selector::{LabelSelector, Operator, Requirement};

use super::*;

/// What a `paramRef` reads of ConfigMaps.
fn params(namespace: Option<&str>, source: ParamSource) -> Read {
    let namespace = namespace.map(str::to_owned);
    let scope = Scope::of_params(&ParamRef { source, namespace, not_found: ParameterNotFoundAction::Deny });
    Read { kind: Arc::new(kind("v1", "ConfigMap")), scope }
}

fn named(namespace: Option<&str>, name: &str) -> Read {
    params(namespace, ParamSource::Name(name.to_owned()))
}

fn team(name: &str) -> LabelSelector {
    let (key, values) = ("team".to_owned(), vec![name.to_owned()]);
    LabelSelector { requirements: vec![Requirement { key, operator: Operator::In, values }] }
}

fn path(namespace: &str) -> String {
    format!("/api/v1/namespaces/{namespace}/configmaps")
}

impl Live {
    fn select(&self, kind: &ParamKind, namespace: &str, selector: &LabelSelector) -> Fact<Vec<String>> {
        let (arena, symbols) = (Bump::new(), Symbols::new());
        match self.facts.select(of(kind), namespace, selector, Into { arena: &arena, symbols: &symbols }) {
            Fact::Known(objects) => Fact::Known(objects.iter().map(|o| name_of(*o)).collect()),
            Fact::NotReady => Fact::NotReady,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn params_are_followed_where_their_reference_says_and_nothing_else_is_kept() {
    if !tools::present() {
        return;
    }
    let cluster = Cluster::shared();
    ["scoped", "beside"].iter().for_each(|name| namespace(cluster, name));
    let labels = |team: &str| json!({ "labels": { "team": team } });
    for (namespace, name, metadata) in [
        ("scoped", "limits", json!({})),
        ("scoped", "other", labels("a")),
        ("scoped", "own", labels("b")),
        ("beside", "limits", json!({})),
        ("beside", "own", json!({})),
    ] {
        cluster.client.post(&path(namespace), &config_map(name, &metadata, "1")).expect_ok();
    }
    let selected = params(Some("scoped"), ParamSource::Selector(team("a")));
    let reads = [named(Some("scoped"), "limits"), named(None, "own"), selected];
    let live = Live::with_kubeconfig(cluster.kubeconfig(), &reads).await;
    let maps = kind("v1", "ConfigMap");
    let is_there = |namespace, name| match live.get(&maps, namespace, name) {
        Fact::Known(found) => Some(found.is_some()),
        Fact::NotReady => None,
    };
    assert_eq!(
        [("scoped", "limits"), ("beside", "own"), ("scoped", "own")].map(|(s, n)| is_there(s, n)),
        [Some(true); 3]
    );
    assert_eq!([("beside", "limits"), ("scoped", "other")].map(|(s, n)| is_there(s, n)), [None; 2]);
    assert_eq!(is_there("never", "own"), Some(false));
    assert_eq!(live.select(&maps, "scoped", &team("a")), Fact::Known(vec!["other".to_owned()]));
    assert_eq!([live.select(&maps, "beside", &team("a")), live.list(&maps, "scoped")], [const { Fact::NotReady }; 2]);
    eventually(|| live.metric("stockade_facts_objects", &maps), |value| *value == Some(4.0));

    cluster.client.merge(&format!("{}/other", path("scoped")), &json!({ "metadata": labels("b") })).expect_ok();
    eventually(|| live.select(&maps, "scoped", &team("a")), |found| *found == Fact::Known(Vec::new()));
    cluster.client.delete(&format!("{}/limits", path("scoped"))).expect_ok();
    eventually(|| is_there("scoped", "limits"), |found| *found == Some(false));
    eventually(|| live.metric("stockade_facts_objects", &maps), |value| *value == Some(2.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_full_of_objects_makes_nothing_of_others_not_ready() {
    if !tools::present() {
        return;
    }
    let cluster = Cluster::start();
    ["shop", "greedy"].iter().for_each(|name| namespace(&cluster, name));
    cluster.client.post(&path("shop"), &config_map("limits", &json!({}), "1")).expect_ok();
    // More than is kept of one kind.
    let megabyte = "x".repeat(1_000_000);
    for number in 0..140 {
        let map = config_map(&format!("g{number}"), &json!({}), &megabyte);
        cluster.client.post(&path("greedy"), &map).expect_ok();
    }
    let maps = kind("v1", "ConfigMap");
    let limits = named(Some("shop"), "limits");
    let live = Live::with_kubeconfig(cluster.kubeconfig(), std::slice::from_ref(&limits)).await;
    assert!(matches!(live.get(&maps, "shop", "limits"), Fact::Known(Some(_))));
    eventually(|| live.metric("stockade_facts_objects", &maps), |value| *value == Some(1.0));

    // Beside it somebody reads the whole kind.
    let all = Read::all(maps.clone());
    live.facts.hold([&limits, &all]);
    assert_eq!(live.facts.synced([&limits, &all], WITHIN).await, BTreeSet::new());
    assert_eq!(live.list(&maps, "shop"), Fact::Known(vec!["limits".to_owned()]));
    assert_eq!(live.get(&maps, "shop", "never"), Fact::Known(None));
    assert_eq!([live.list(&maps, "greedy"), live.list(&maps, "")], [const { Fact::NotReady }; 2]);
    eventually(|| live.metric("stockade_facts_cut_namespaces", &maps), |value| *value == Some(1.0));

    // And a policy has its params in the full namespace: it alone is not ready.
    let greedy = params(Some("greedy"), ParamSource::Selector(LabelSelector::default()));
    live.facts.hold([&limits, &greedy]);
    eventually(|| live.facts.not_ready(&greedy), |why| *why == Some(NotReady::TooMany));
    assert!(matches!(live.get(&maps, "shop", "limits"), Fact::Known(Some(_))));
    eventually(|| live.metric("stockade_facts_synced", &maps), |value| *value == Some(0.0));
}
