use serde_json::{Value, json};
use stockade_netpol::plan::{Limits, OWN_NODE};
use stockade_node::identity_slice::{Identity, IdentitySliceSpec};
use stockade_node::pod::SeenPod;

use super::*;
use crate::contents::TableContents;
use crate::hold::{PodName, PodRequest};
use crate::inputs::{NamespaceFacts, PolicyObject, SliceFacts};
use crate::kernel::{Head, HeadDirection};
use stockade_watch::shared::Shared;

fn text(map: &[(&str, &str)]) -> BTreeMap<String, String> {
    map.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// A node with Pods of namespace `shop`, by UID, label `app` and address, on interfaces from 1.
fn node(pods: &[(&str, &str, &str)]) -> (Inputs, Places) {
    let (mut inputs, mut places) = (Inputs::default(), Places::default());
    inputs.namespaces.insert("shop".to_owned(), NamespaceFacts::default());
    for ((uid, app, ip), index) in pods.iter().zip(1..) {
        let facts = PodFacts {
            namespace: "shop".to_owned(),
            name: format!("{app}-{uid}"),
            labels: text(&[("app", app)]),
            addresses: vec![address(ip)],
            ..PodFacts::default()
        };
        let pod = PodName { namespace: "shop".to_owned(), name: facts.name.clone(), uid: (*uid).to_owned() };
        let interface = HostInterface { index, name: format!("veth{index}") };
        inputs.pods.insert((*uid).to_owned(), facts);
        places.put(PodRequest { pod, interface, addresses: Vec::new() });
    }
    (inputs, places)
}

fn add_policy(inputs: &mut Inputs, name: &str, spec: &Value) {
    let policy = PolicyObject::from(json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": { "name": name, "namespace": "shop", "generation": 4 }, "spec": spec,
    }));
    inputs.policies.insert(policy.key(), policy);
}

fn decide(inputs: &Inputs, places: &Places) -> Desired {
    desired(inputs, places, &Contents::default(), &Limits::default()).unwrap()
}

/// Decided from nothing.
fn desired(inputs: &Inputs, places: &Places, held: &Contents, limits: &Limits) -> Result<Desired, Undecided> {
    Decider::new(*limits).decide(inputs, places, held)
}

fn closed_table() -> Head {
    let closed = HeadDirection { judged: true, isolated: true, ..HeadDirection::default() };
    Head { directions: [closed; 2], digest: [0; 32] }
}

#[test]
fn a_pod_has_one_identity_whether_its_node_reads_it_or_a_slice_tells_of_it() {
    let pod: SeenPod = serde_json::from_value(json!({
        "metadata": { "namespace": "shop", "name": "web-a", "uid": "a", "labels": { "app": "web" } },
        "spec": { "containers": [{ "name": "c", "ports": [{ "name": "web", "containerPort": 80 }] }] },
        "status": { "podIPs": [{ "ip": "10.0.0.1" }] },
    }))
    .unwrap();
    let identity = Identity {
        labels: pod.metadata.labels.clone().unwrap(),
        ports: pod.spec.named_ports(),
        addresses: vec!["10.0.9.9".to_owned()],
    };
    let (mut inputs, places) = node(&[("a", "web", "10.0.0.1")]);
    let (uid, facts) = PodFacts::read(pod).unwrap();
    let unnamed = crate::inputs::identity::Identity::new("shop".into(), &facts.labels, &[]).number;
    inputs.pods.insert(uid, facts);
    let spec = IdentitySliceSpec { namespace: "shop".to_owned(), identities: vec![identity] };
    inputs.slices.insert("shop.0".to_owned(), SliceFacts::new(1, &spec));
    let identities = decide(&inputs, &places).contents.identities;
    assert_eq!(identities[&address("10.0.0.1")], identities[&address("10.0.9.9")]);
    assert_ne!(identities[&address("10.0.0.1")], unnamed, "the port's name counts");
}

#[test]
fn each_pod_with_an_interface_is_an_endpoint_and_only_who_is_selected_has_a_table() {
    let (mut inputs, mut places) = node(&[("a", "web", "10.0.0.1"), ("b", "db", "10.0.0.2")]);
    places.node_addresses.insert(address("10.0.0.254"));
    add_policy(&mut inputs, "web", &json!({ "podSelector": { "matchLabels": { "app": "web" } } }));
    let desired = decide(&inputs, &places);
    let tables: Vec<_> = desired.contents.endpoints.iter().map(|(index, e)| (*index, e.table != 0)).collect();
    assert_eq!(tables, [(1, true), (2, false)]);
    let [web, db] = [1, 2].map(|index| desired.contents.endpoints[&index]);
    assert_eq!((web.v4, web.v6), (Some("10.0.0.1".parse().unwrap()), None));
    let identities = [("10.0.0.1", web.identity), ("10.0.0.2", db.identity), ("10.0.0.254", OWN_NODE)];
    assert_eq!(*desired.contents.identities, identities.map(|(ip, identity)| (address(ip), identity)).into());
    let policies: Vec<_> = desired.policies.iter().map(|p| (p.name.as_str(), p.generation, &p.state)).collect();
    assert_eq!(policies, [("web", 4, &PolicyState::Planned)]);
}

#[test]
fn pods_of_a_policy_that_is_not_understood_or_of_an_unknown_namespace_are_closed() {
    let (mut inputs, places) = node(&[("a", "web", "10.0.0.1"), ("b", "db", "10.0.0.2"), ("c", "dns", "10.0.0.3")]);
    let selector = json!({ "matchLabels": { "app": "web" } });
    add_policy(&mut inputs, "newer", &json!({ "podSelector": selector, "orbit": 1 }));
    inputs.pods.get_mut("c").unwrap().namespace = "elsewhere".to_owned();
    let desired = decide(&inputs, &places);
    let table = |index: u32| desired.contents.endpoints[&index].table;
    let head = desired.contents.tables[&table(1)].head.unwrap();
    assert!(head.directions.iter().all(|direction| direction.isolated && direction.everyone == 0));
    assert_eq!((table(2), table(3)), (0, CLOSED));
    assert_eq!(
        desired.contents.tables[&CLOSED],
        TableContents { head: Some(closed_table()), ..TableContents::default() }
    );
    assert!(
        matches!(&desired.policies[..], [one] if matches!(&one.state, PolicyState::Closed(why) if why.contains("orbit")))
    );
}

#[test]
fn a_pod_that_no_watch_has_told_of_is_closed_until_one_does() {
    let (inputs, mut places) = node(&[]);
    let pod = PodName { namespace: "shop".to_owned(), name: "new".to_owned(), uid: "n".to_owned() };
    let interface = HostInterface { index: 9, name: "veth9".to_owned() };
    places.put(PodRequest { pod, interface, addresses: vec![address("10.0.0.9"), address("fd00::9")] });
    let desired = decide(&inputs, &places);
    let (v4, v6) = (Some("10.0.0.9".parse().unwrap()), Some("fd00::9".parse().unwrap()));
    let endpoint = Endpoint { table: CLOSED, v4, v6, ..Endpoint::default() };
    assert_eq!(desired.contents.endpoints, BTreeMap::from([(9, endpoint)]));
    assert_eq!(desired.contents.local_addresses.len(), 2);
    assert_eq!(desired.closed, [("shop".to_owned(), "new".to_owned())]);
}

#[test]
fn what_does_not_fit_leaves_a_pod_what_it_has_and_closes_a_new_one() {
    let (mut inputs, places) = node(&[("a", "web", "10.0.0.1"), ("b", "web", "10.0.0.2"), ("c", "db", "10.0.0.3")]);
    let selector = json!({ "matchLabels": { "app": "web" } });
    add_policy(&mut inputs, "web", &json!({ "podSelector": selector, "ingress": [{ "ports": [{ "port": 80 }] }] }));
    let limits = Limits { blocks_per_table: 3, ..Limits::default() };
    let mut decider = Decider::new(limits);
    let mut held = decider.decide(&inputs, &places, &Contents::default()).unwrap().contents;
    let before = held.endpoints.remove(&1).unwrap();
    held.endpoints = BTreeMap::from([(1, before)]);
    let blocks: Vec<Value> = (0..9).map(|n| json!({ "ipBlock": { "cidr": format!("10.{n}.0.0/16") } })).collect();
    add_policy(&mut inputs, "web", &json!({ "podSelector": selector, "ingress": [{ "from": blocks }] }));
    let mut changed = PolicyObject::clone(inputs.policies.values().next().unwrap());
    changed.generation = 5;
    inputs.policies.insert(changed.key(), changed);
    let desired = decider.decide(&inputs, &places, &held).unwrap();
    let tables: Vec<_> = desired.contents.endpoints.iter().map(|(index, e)| (*index, e.table)).collect();
    assert_eq!(tables, [(1, before.table), (2, CLOSED), (3, 0)]);
    assert_eq!(desired.contents.tables.get(&before.table), held.tables.get(&before.table));
    assert_eq!(desired.contents.ports, held.ports);
    let held_by = |desired: &Desired| match &desired.policies[..] {
        [PolicyInForce { generation: 5, state: PolicyState::Refused { held, .. }, .. }] => *held,
        others => panic!("{others:?}"),
    };
    assert_eq!(held_by(&desired), None, "the new one has none");
    // Once there is no new one; and still when it is decided again.
    inputs.pods.remove("b");
    for _ in 0..2 {
        assert_eq!(held_by(&decider.decide(&inputs, &places, &held).unwrap()), Some(4));
    }
    let restarted = Decider::new(limits).decide(&inputs, &places, &held).unwrap();
    assert_eq!(held_by(&restarted), None, "it is not known any more");
}

#[test]
fn a_policy_with_names_that_tables_cannot_tell_is_told_as_closed() {
    let (mut inputs, places) = node(&[("a", "web", "10.0.0.1")]);
    let policy = PolicyObject::from(json!({
        "apiVersion": "policy.networking.k8s.io/v1alpha2", "kind": "ClusterNetworkPolicy", "metadata": { "name": "names" },
        "spec": { "tier": "Admin", "priority": 1, "subject": { "namespaces": {} },
            "egress": [{ "action": "Accept", "to": [{ "domainNames": ["*.example.com"] }] }] },
    }));
    inputs.policies.insert(policy.key(), policy);
    let told = "ClusterNetworkPolicy names egress[0] accepts nothing by its domain names";
    let states: Vec<_> = decide(&inputs, &places).policies.into_iter().map(|policy| policy.state).collect();
    assert_eq!(states, [PolicyState::Closed(told.to_owned())]);
}

#[test]
fn policies_with_more_selectors_than_there_is_room_for_are_told_and_close_who_is_new() {
    let (mut inputs, places) = node(&[("a", "web", "10.0.0.1")]);
    let from = |count: usize| {
        let peer = |n| json!({ "podSelector": { "matchLabels": { "n": format!("{count}-{n}") } } });
        json!({ "podSelector": {}, "ingress": [{ "from": (0..count).map(peer).collect::<Vec<Value>>() }] })
    };
    add_policy(&mut inputs, "large", &from(9));
    add_policy(&mut inputs, "small", &from(1));
    let limits = Limits { matches: 4, ..Limits::default() };
    let desired = desired(&inputs, &places, &Contents::default(), &limits).unwrap();
    assert_eq!(desired.contents.endpoints[&1].table, CLOSED);
    let why = "NetworkPolicy shop/large does not fit: 11 pairs of a selector and a set of labels on one node, and at most \
               4 do";
    let state = PolicyState::Refused { why: why.to_owned(), held: None };
    let told: Vec<_> = desired.policies.into_iter().map(|policy| (policy.name, policy.state)).collect();
    assert_eq!(told, [("large".to_owned(), state.clone()), ("small".to_owned(), state)]);
}

#[test]
fn an_address_is_whose_it_was_given_to_last() {
    let (mut inputs, places) = node(&[("a", "web", "10.0.0.1"), ("b", "db", "10.0.0.1")]);
    inputs.pods.get_mut("b").unwrap().terminating = true;
    let slice = json!({
        "namespace": "shop", "identities": [{ "labels": { "app": "cache" }, "addresses": ["10.0.0.1", "10.0.9.9"] }],
    });
    let spec = serde_json::from_value(slice).unwrap();
    inputs.slices.insert("shop-1".to_owned(), SliceFacts::new(7, &spec));
    let desired = decide(&inputs, &places);
    let web = desired.contents.endpoints[&1];
    assert_eq!(desired.contents.identities[&address("10.0.0.1")], web.identity);
    assert_eq!(desired.contents.local_addresses, BTreeMap::from([(address("10.0.0.1"), 1)]));
    assert_eq!(desired.contents.endpoints[&2].v4, None);
    assert_eq!(desired.contents.identities.len(), 2);
    // Two Pods made within one second, both staying: nobody knows.
    inputs.pods.get_mut("b").unwrap().terminating = false;
    let desired = decide(&inputs, &places);
    assert_eq!(desired.contested, [address("10.0.0.1")]);
    assert_eq!(desired.contents.local_addresses, BTreeMap::new());
}

#[test]
fn an_interface_that_was_a_pods_is_closed_until_it_is_gone() {
    let (mut inputs, mut places) = node(&[("a", "web", "10.0.0.1")]);
    let names = BTreeMap::from([(1, "veth1".to_owned())]);
    places.see(names);
    let held = decide(&inputs, &places).contents;
    inputs.pods = Shared::default();
    let request = PodName { namespace: "shop".to_owned(), name: "web-a".to_owned(), uid: "a".to_owned() };
    assert!(places.forget(&request));
    let after = |places: &Places| desired(&inputs, places, &held, &Limits::default()).unwrap().contents;
    let closed = Endpoint { table: CLOSED, ..Endpoint::default() };
    assert_eq!(after(&places).endpoints, BTreeMap::from([(1, closed)]));
    assert_eq!(after(&places).local_addresses, BTreeMap::new());
    assert!(places.see(BTreeMap::new()));
    assert_eq!(after(&places).endpoints, BTreeMap::new());
}
