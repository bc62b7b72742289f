use bumpalo::Bump;
use serde_json::{Value as Json, json};
use stockade_cel::Symbols;
use stockade_cel::authorizer::Authorizer;
use stockade_cel::document::from_json;

use super::*;
use crate::folder_facts::FolderFacts;

/// A cluster whose caches are empty still.
struct Unsynced;

impl ClusterFacts for Unsynced {
    fn get<'a>(&self, _: Kind<'_>, _: &str, _: &str, _: Into<'a>) -> Fact<Option<Value<'a>>> {
        Fact::NotReady
    }
    fn list<'a>(&self, _: Kind<'_>, _: &str, _: Into<'a>) -> Fact<&'a [Value<'a>]> {
        Fact::NotReady
    }
    fn authorizer(&self) -> Option<&dyn Authorizer> {
        None
    }
}

/// Calls functions one after the other, each on the result of the one before followed by no more arguments.
fn call(facts: &dyn ClusterFacts, functions: &[&'static str], args: &[Json]) -> Result<Json, String> {
    let (arena, symbols) = (Bump::new(), Symbols::new());
    let scope = Scope { arena: &arena, symbols: &symbols, authorizer: None, host: None };
    let mut args: Vec<Value<'_>> = args.iter().map(|a| from_json(a, &arena, &symbols).unwrap()).collect();
    for function in functions {
        let value = FactsHost::new(facts, "shop").call(function, &args, &scope).map_err(|e| e.to_string())?;
        args = vec![value];
    }
    Ok(serde_json::to_value(args[0]).unwrap())
}

fn network_policy(name: &str, spec: &Json) -> Json {
    json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": "shop"}, "spec": spec})
}

fn cluster() -> FolderFacts {
    let web = json!({"matchLabels": {"app": "web"}});
    FolderFacts::new([
        network_policy("z-web", &json!({"podSelector": web, "ingress": [{}]})),
        network_policy("all", &json!({"podSelector": {}, "policyTypes": ["Ingress", "Egress"]})),
        network_policy("db", &json!({"podSelector": {"matchLabels": {"app": "db"}}})),
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "namespace": "shop"}}),
    ])
    .unwrap()
}

fn web() -> Json {
    json!({"kind": "Pod", "metadata": {"name": "w", "namespace": "shop", "labels": {"app": "web"}}})
}

#[test]
fn isolation_names_the_selecting_policies_of_the_direction() {
    use library::{ISOLATION_ALLOWS_ALL, ISOLATION_ISOLATED, ISOLATION_POLICIES, NETWORK_EGRESS, NETWORK_INGRESS};
    let ask = |direction, member| call(&cluster(), &[direction, member], &[web()]);
    assert_eq!(ask(NETWORK_INGRESS, ISOLATION_POLICIES), Ok(json!(["all", "z-web"])));
    assert_eq!(ask(NETWORK_INGRESS, ISOLATION_ALLOWS_ALL), Ok(json!(true)));
    assert_eq!(ask(NETWORK_EGRESS, ISOLATION_POLICIES), Ok(json!(["all"])));
    assert_eq!(ask(NETWORK_EGRESS, ISOLATION_ISOLATED), Ok(json!(true)));
    assert_eq!(ask(NETWORK_EGRESS, ISOLATION_ALLOWS_ALL), Ok(json!(false)));

    let elsewhere = json!({"kind": "Pod", "metadata": {"namespace": "bank"}});
    assert_eq!(call(&cluster(), &[NETWORK_INGRESS, ISOLATION_ISOLATED], &[elsewhere]), Ok(json!(false)));
}

#[test]
fn cluster_reads_find_what_exists() {
    let texts = |t: &[&str]| t.iter().map(|s| json!(s)).collect::<Vec<_>>();
    let get = |name| call(&cluster(), &[library::CLUSTER_GET], &texts(&["v1", "ConfigMap", "shop", name]));
    assert_eq!(get("c").unwrap()["metadata"]["name"], "c");
    assert_eq!(get("d"), Ok(Json::Null));
    let list = |args: &[&str]| call(&cluster(), &[library::CLUSTER_LIST], &texts(args));
    assert_eq!(list(&["v1", "ConfigMap"]).unwrap().as_array().unwrap().len(), 1);
    assert_eq!(list(&["v1", "ConfigMap", "bank"]), Ok(json!([])));
    assert!(list(&["v1", "ConfigMap", ""]).unwrap_err().contains("needs a namespace"));
}

#[test]
fn what_has_not_synced_is_an_error_and_never_absent() {
    let args = [json!("v1"), json!("Pod"), json!("shop"), json!("p")];
    let error = "objects of kind Pod are not yet synced to use for admission";
    assert_eq!(call(&Unsynced, &[library::CLUSTER_GET], &args), Err(error.to_owned()));
    assert_eq!(call(&Unsynced, &[library::CLUSTER_LIST], &args[..2]), Err(error.to_owned()));
    let error = call(&Unsynced, &[library::NETWORK_INGRESS], &[web()]).unwrap_err();
    assert_eq!(error, "objects of kind NetworkPolicy are not yet synced to use for admission");
}

#[test]
fn single_policies_answer_for_themselves() {
    let open = network_policy("o", &json!({"podSelector": {}, "ingress": [{}]}));
    let selects = |pod: Json| call(&cluster(), &[library::NETWORK_SELECTS], &[open.clone(), pod]);
    assert_eq!(selects(web()), Ok(json!(true)));
    assert_eq!(call(&cluster(), &[library::NETWORK_ALLOWS_ALL_INGRESS], std::slice::from_ref(&open)), Ok(json!(true)));
    assert_eq!(call(&cluster(), &[library::NETWORK_ALLOWS_ALL_EGRESS], std::slice::from_ref(&open)), Ok(json!(false)));
    assert!(selects(Json::Null).is_err());
}

/// What the functions say that judge connections.
mod connections {
    use super::*;

    fn facts() -> FolderFacts {
        let pod = |name: &str, namespace: &str| {
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": namespace, "labels": {"app": name}},
                "spec": {"containers": [{"name": "c", "ports": [{"name": "sql", "containerPort": 5432}]}]},
                "status": {"podIP": "10.0.0.9"}})
        };
        FolderFacts::new([
            pod("db", "data"),
            json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "db", "namespace": "data"},
                "spec": {"selector": {"app": "db"}, "ports": [{"port": 1, "targetPort": "sql"}, {"port": 2, "targetPort": 80}, {"port": 5432}]}}),
            json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "db", "namespace": "data"},
                "spec": {"podSelector": {}, "ingress": [{"from": [{"podSelector": {}}]}, {"ports": [{"port": 5432}]}]}}),
        ])
        .unwrap()
    }

    fn needs(text: &str) -> Json {
        json!({"kind": "Pod", "metadata": {"generateName": "web-", "namespace": "shop", "annotations": {"stockade.dev/requires": text}},
            "spec": {"containers": []}})
    }

    #[test]
    fn what_a_pod_needs_and_does_not_get_is_told_port_by_port_of_the_service() {
        let ask = |text: &str| call(&facts(), &[library::NETWORK_UNMET_NEEDS], &[needs(text)]);
        assert_eq!(ask("data/db:1 data/db:5432 data/db:3 data/db:1/UDP data/none:1"), Ok(json!([])));
        assert_eq!(
            ask("data/db:2"),
            Ok(json!(["data/db:2: no ingress rule of NetworkPolicy data/db lets it in to data/db"]))
        );
        let unreadable = ask("db").unwrap();
        assert!(unreadable[0].as_str().unwrap().starts_with("stockade.dev/requires: \"db\" must be written as"));
        assert!(call(&Unsynced, &[library::NETWORK_UNMET_NEEDS], &[needs("data/db:1")]).is_err());
        assert_eq!(call(&Unsynced, &[library::NETWORK_UNMET_NEEDS], &[needs(" ")]), Ok(json!([])));
    }

    #[test]
    fn a_rule_that_the_other_end_forbids_is_told_with_what_is_missing() {
        let web = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "namespace": "data", "labels": {"app": "web"}},
            "spec": {"containers": []}});
        let out = json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "web", "namespace": "data"},
            "spec": {"podSelector": {"matchLabels": {"app": "web"}}, "policyTypes": ["Egress"],
                "egress": [{"to": [{"podSelector": {"matchLabels": {"app": "db"}}}], "ports": [{"port": 80}]}]}});
        let closed = json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "db", "namespace": "data"},
            "spec": {"podSelector": {"matchLabels": {"app": "db"}}}});
        let db = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "db", "namespace": "data", "labels": {"app": "db"}}, "spec": {}});
        let facts = FolderFacts::new([web, db, closed]).unwrap();
        assert_eq!(
            call(&facts, &[library::NETWORK_ONE_SIDED], &[out]),
            Ok(json!([
                "data/web may send TCP 80 to data/db, which does not let it in: add to spec.ingress of NetworkPolicy data/db"
            ]))
        );
        let unsynced = call(&Unsynced, &[library::NETWORK_ONE_SIDED], &[network_policy("a", &json!({}))]);
        assert!(unsynced.unwrap_err().contains("not yet synced"));
    }

    #[test]
    fn what_is_too_large_is_told_with_its_bound() {
        let ports: Vec<Json> = (0..5_000).map(|i| json!({"port": i * 2 + 1})).collect();
        let large = network_policy("large", &json!({"podSelector": {}, "ingress": [{"ports": ports}]}));
        assert_eq!(
            call(&Unsynced, &[library::NETWORK_DOES_NOT_FIT], &[large]),
            Ok(json!([
                "NetworkPolicy shop/large does not fit: 5000 entries of ports for one peer, and at most 4096 do"
            ]))
        );
    }
}
