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
