//! Tables for kernels beside the oracle.

use std::sync::Arc;

use proptest::prelude::*;
use serde_json::{Value, json};
use stockade_netpol::compile::{Census, Compiled};
use stockade_netpol::plan::{DoesNotFit, Limits, Plan, RuleName, What, protocol_number};
use stockade_netpol::policy::{Direction, Policy};
use stockade_netpol::ports::Protocol;
use stockade_netpol::read::ManifestReader;
use stockade_netpol::state::PodId;

use stockade_netpol_testing::chance::{policies, state};
use stockade_netpol_testing::planned::{Peer, Planned};

/// Ports that are asked about; rules speak of 1 to 6, and of all.
const PORTS: [u16; 7] = [0, 1, 2, 4, 6, 7, u16::MAX];

/// Protocols without ports.
const ICMP: u8 = 1;

fn planned(objects: &[Value]) -> Planned {
    limited(objects, &Limits::default())
}

fn limited(objects: &[Value], limits: &Limits) -> Planned {
    let mut reader = ManifestReader::new("default");
    reader.add("a.json", &json!({"apiVersion": "v1", "kind": "List", "items": objects}).to_string());
    let read = reader.finish();
    assert!(!read.diagnostics.has_errors(), "{}", read.diagnostics);
    Planned::of(Compiled::new(read.policies, read.state).unwrap(), limits)
}

fn policy(name: &str, spec: &Value) -> Value {
    json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": name}, "spec": spec})
}

fn pod(name: &str, labels: &Value, address: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": labels},
        "spec": {"containers": [{"name": "c"}]}, "status": {"podIP": address},
    })
}

fn outside(address: &str) -> Peer<'static> {
    Planned::outside(address.parse().unwrap())
}

/// Whether packets of a peer come in to a Pod.
fn comes_in(planned: &Planned, pod: u32, peer: &Peer<'_>, protocol: u8, port: u16) -> bool {
    planned.ruling(planned.table(PodId(pod)), Direction::Ingress, peer, (protocol, port)).0
}

/// Entries of the only port set of a policy with these ports.
fn entries(ports: &Value) -> usize {
    let spec = json!({"podSelector": {}, "ingress": [{"ports": ports}]});
    let limits = Limits { ports_per_set: usize::MAX, ..Limits::default() };
    let planned = limited(&[policy("np", &spec), pod("a", &json!({}), "10.0.0.1")], &limits);
    let [set] = planned.plan.port_sets.values().collect::<Vec<_>>()[..] else { panic!("{:?}", planned.plan.pods) };
    set.len()
}

#[test]
fn ranges_of_ports_take_at_most_thirty_entries_each() {
    let range = |from: u16, to: u16| json!({"port": from, "endPort": to});
    assert_eq!(entries(&json!([range(1, u16::MAX)])), 1);
    assert_eq!(entries(&json!([range(1, u16::MAX - 1)])), 30);
    assert_eq!(entries(&json!([range(1, 79), range(81, u16::MAX)])), 8 + 13);
    // A thousand holes.
    let holes: Vec<Value> = (0..1_000).map(|i| range(1 + i * 60, 59 + i * 60)).collect();
    let count = entries(&json!(holes));
    assert!(count <= 10 * 1_000, "{count}");
}

#[test]
fn protocols_without_ports_pass_by_rules_about_all_ports_of_all_protocols() {
    let ports = |ports: Value| {
        let objects = [
            policy("np", &json!({"podSelector": {}, "ingress": [{"ports": ports}]})),
            pod("a", &json!({}), "10.0.0.1"),
        ];
        let planned = planned(&objects);
        let asked = [(ICMP, 0), (ICMP, 8), (6, 0), (6, 80), (17, 0)];
        asked.map(|(protocol, port)| comes_in(&planned, 0, &outside("1.2.3.4"), protocol, port))
    };
    assert_eq!(ports(json!([])), [true; 5]);
    let all = |protocol: &str| json!({"protocol": protocol});
    assert_eq!(ports(json!([all("TCP"), all("UDP"), all("SCTP")])), [true; 5]);
    assert_eq!(ports(json!([all("TCP"), all("UDP")])), [false, false, true, true, true]);
    assert_eq!(ports(json!([{"port": 80}])), [false, false, false, true, false]);
}

#[test]
fn ten_thousand_blocks_with_holes_are_as_many_entries_as_were_written() {
    let block = |i: u32| {
        let part = |rest: &str| format!("10.{}.{}.{rest}", i / 256, i % 256);
        json!({"ipBlock": {"cidr": part("0/24"), "except": [part("0/32"), part("128/25")]}})
    };
    let blocks: Vec<Value> = (0..10_000).map(block).collect();
    let everywhere = json!({"ipBlock": {"cidr": "::/0", "except": ["fd00::/8"]}});
    let spec =
        json!({"podSelector": {}, "ingress": [{"from": blocks}, {"from": [everywhere], "ports": [{"port": 1}]}]});
    let planned = planned(&[policy("np", &spec), pod("a", &json!({}), "10.0.0.1")]);
    let table = planned.table(PodId(0)).unwrap();
    // IPv6, its hole, and IPv4, which is no part of it.
    assert_eq!(planned.plan.tables[&table].directions[Direction::Ingress as usize].blocks.len(), 30_000 + 3);
    let asked =
        ["10.39.15.1", "10.39.15.0", "10.39.15.127", "10.39.15.128", "10.39.16.1", "9.9.9.9", "2001::1", "fd00::1"];
    let passes = |port| asked.map(|address| comes_in(&planned, 0, &outside(address), 6, port));
    assert_eq!(passes(2), [true, false, true, false, false, false, false, false]);
    assert_eq!(passes(1), [true, false, true, false, false, false, true, false]);
}

#[test]
fn a_table_is_named_by_its_rules_in_any_order_of_labels_peers_and_ports() {
    let one = json!({"podSelector": {}, "ingress": [{
        "from": [{"podSelector": {"matchLabels": {"a": "1", "b": "2"}}}, {"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16", "10.2.0.0/16"]}}],
        "ports": [{"port": 80}, {"port": 443}, {"port": "http"}, {"port": "dns"}],
    }]});
    let other = json!({"podSelector": {"matchExpressions": []}, "ingress": [{
        "from": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.2.0.0/16", "10.1.0.0/16"]}}, {"podSelector": {"matchExpressions": [
            {"key": "b", "operator": "In", "values": ["2"]}, {"key": "a", "operator": "In", "values": ["1", "1"]},
        ]}}],
        "ports": [{"port": "dns"}, {"port": "http"}, {"port": 443}, {"port": 80, "endPort": 80}],
    }]});
    let plan = |spec: &Value, labels: Value| planned(&[policy("np", spec), pod("a", &labels, "10.0.0.1")]).plan;
    let tables = |plan: Plan| plan.tables.into_iter().collect::<Vec<_>>();
    assert_eq!(tables(plan(&one, json!({"x": "1", "y": "2"}))), tables(plan(&other, json!({"y": "2", "x": "1"}))));
}

#[test]
fn an_edit_renames_the_tables_it_is_about_and_no_other() {
    let selects = |app: &str, port: u16| {
        policy(app, &json!({"podSelector": {"matchLabels": {"app": app}}, "ingress": [{"ports": [{"port": port}]}]}))
    };
    let everyone = |names: &[&str]| {
        policy(
            "all",
            &json!({"podSelector": {}, "policyTypes": ["Egress"], "egress": names.iter().map(|name| json!({"to": [{"podSelector": {"matchLabels": {"app": name}}}]})).collect::<Vec<_>>()}),
        )
    };
    let tables = |web: u16, names: &[&str], extra: &[Value]| {
        let app = |name: &str| pod(name, &json!({"app": name}), "10.0.0.1");
        let objects =
            [&[selects("db", 1), selects("web", web), everyone(names), app("db"), app("web")], extra].concat();
        let planned = planned(&objects);
        [0, 1].map(|pod| planned.table(PodId(pod)))
    };
    let before = tables(2, &["db"], &[]);
    let edited = tables(3, &["db"], &[]);
    assert_eq!((before[0], before[1] == edited[1]), (edited[0], false));
    let order = tables(2, &["db", "web"], &[]);
    assert!(order[0] != before[0] && order[1] != before[1]);
    assert_ne!(tables(2, &["web", "db"], &[]), order, "of rules the order is what they say");
    // Whoever comes is meant in the same tables.
    let more: Vec<Value> =
        (0..9).map(|i| pod(&format!("z{i}"), &json!({"app": "db", "i": i.to_string()}), "10.0.0.9")).collect();
    assert_eq!(tables(2, &["db"], &more), before);
}

#[test]
fn who_comes_is_another_peer_of_the_same_table() {
    let spec = json!({"podSelector": {"matchLabels": {"app": "db"}}, "ingress": [{"from": [{"podSelector": {"matchLabels": {"app": "web"}}}]}]});
    let with = |webs: usize| {
        let webs = (0..webs).map(|i| pod(&format!("web{i}"), &json!({"app": "web", "i": i.to_string()}), "10.0.0.2"));
        let objects: Vec<Value> =
            [policy("np", &spec), pod("db", &json!({"app": "db"}), "10.0.0.1")].into_iter().chain(webs).collect();
        let mut plan = planned(&objects).plan;
        plan.tables.pop_first().unwrap().1
    };
    let (few, many) = (with(2), with(3));
    let peers = |table: &stockade_netpol::plan::Table| table.directions[Direction::Ingress as usize].peers.clone();
    assert_eq!((few.id, few.digest, &few.rules), (many.id, many.digest, &many.rules));
    assert_eq!((peers(&few).len(), peers(&many).len()), (2, 3));
    assert!(peers(&few).iter().all(|(identity, set)| peers(&many).get(identity) == Some(set)));
}

#[test]
fn a_rule_about_every_pod_names_none_and_is_about_whoever_is_known() {
    let spec = json!({"podSelector": {}, "ingress": [{"from": [{"namespaceSelector": {}}], "ports": [{"port": 1}]}]});
    let planned =
        planned(&[policy("np", &spec), pod("a", &json!({}), "10.0.0.1"), pod("b", &json!({"app": "b"}), "10.0.0.2")]);
    let table = &planned.plan.tables[&planned.table(PodId(0)).unwrap()];
    assert!(table.directions.iter().all(|direction| direction.peers.is_empty()));
    let stranger = Peer { identity: 99, ..outside("1.2.3.4") };
    let asked = [planned.peer(PodId(1)), stranger, outside("10.0.0.2")];
    assert_eq!(asked.map(|peer| comes_in(&planned, 0, &peer, 6, 1)), [true, true, false]);
}

#[test]
fn what_does_not_fit_is_told_of_its_pods_and_leaves_the_others_their_tables() {
    let blocks: Vec<Value> = (0..20).map(|i| json!({"ipBlock": {"cidr": format!("10.{i}.0.0/16")}})).collect();
    let selects = |name: &str, rules: Value| {
        policy(name, &json!({"podSelector": {"matchLabels": {"app": name}}, "ingress": rules}))
    };
    let ports: Vec<Value> = (0..40).map(|i| json!({"port": i * 2 + 1})).collect();
    let rules = vec![json!({"ports": [{"port": 1}]}); 60];
    let objects = [
        selects("blocks", json!([{"from": blocks}])),
        selects("peers", json!([{"from": [{"podSelector": {}}]}])),
        selects("ports", json!([{"ports": ports}])),
        selects("rules", json!(rules)),
        selects("small", json!([{"ports": [{"port": 1}]}])),
    ];
    let pods = ["blocks", "peers", "ports", "rules", "small"].map(|app| pod(app, &json!({"app": app}), "10.0.0.1"));
    let objects = [objects, pods].concat();
    let of_table = Limits {
        blocks_per_table: 19,
        peers_per_table: 4,
        ports_per_set: 39,
        rules_per_table: 59,
        ..Limits::default()
    };
    let told = |limits: &Limits| {
        let plan = limited(&objects, limits).plan;
        let tables = plan.pods.values().filter_map(|pod| pod.as_ref().ok()?.table).count();
        assert_eq!(plan.tables.len(), tables);
        plan.pods
            .into_values()
            .map(|pod| pod.err().map(|DoesNotFit { policy, what, count, bound }| (policy, what, count, bound)))
            .collect::<Vec<_>>()
    };
    let fault = |name: &str, what, count, bound| Some((format!("NetworkPolicy default/{name}"), what, count, bound));
    assert_eq!(
        told(&of_table),
        [
            fault("blocks", What::BlocksOfTable, 20, 19),
            fault("peers", What::PeersOfTable, 5, 4),
            fault("ports", What::PortsOfSet, 40, 39),
            fault("rules", What::RulesOfTable, 60, 59),
            None,
        ]
    );
    // Of all together, those that need most are refused.
    assert_eq!(
        told(&Limits { tables: 4, ..Limits::default() }),
        [None, None, fault("ports", What::Tables, 5, 4), None, None]
    );
    assert_eq!(told(&Limits { ports: 4, ..Limits::default() })[2], fault("ports", What::Ports, 41, 4));
    assert_eq!(told(&Limits { peers: 4, ..Limits::default() })[1], fault("peers", What::Peers, 5, 4));
    assert_eq!(told(&Limits { blocks: 19, ..Limits::default() })[0], fault("blocks", What::Blocks, 20, 19));
}

#[test]
fn what_would_take_too_long_to_plan_is_refused() {
    let holes =
        |i: u32| json!({"ipBlock": {"cidr": "0.0.0.0/0", "except": [format!("10.0.{}.{}/32", i / 256, i % 256)]}});
    let rules: Vec<Value> = (0..300).map(|i| json!({"from": [holes(i)], "ports": [{"port": i + 1}]})).collect();
    let objects = [policy("np", &json!({"podSelector": {}, "ingress": rules})), pod("a", &json!({}), "10.0.0.1")];
    let with = |steps_per_table| limited(&objects, &Limits { steps_per_table, ..Limits::default() }).plan.pods;
    assert!(matches!(&with(1_000)[&PodId(0)], Err(DoesNotFit { what: What::Steps, bound: 1_000, .. })));
    // Each rule meets the block, each hole, and each of them has the ports of all rules but one.
    assert!(with(3 * 300 * 300)[&PodId(0)].is_ok());
}

#[test]
fn a_name_that_tables_cannot_tell_accepts_nothing_and_is_told() {
    let rule = |name: &str, to: Value| json!({"name": name, "action": "Accept", "to": [to]});
    let spec = json!({"tier": "Admin", "priority": 1, "subject": {"namespaces": {}}, "egress": [
        rule("names", json!({"domainNames": ["*.example.com"]})),
        rule("blocks", json!({"networks": ["10.0.0.0/8"]})),
        {"action": "Deny", "to": [{"networks": ["0.0.0.0/0"]}]},
    ]});
    let cluster = json!({"apiVersion": "policy.networking.k8s.io/v1alpha2", "kind": "ClusterNetworkPolicy", "metadata": {"name": "c"}, "spec": spec});
    let planned = planned(&[cluster, pod("a", &json!({}), "10.0.0.1")]);
    let told: Vec<String> = planned.plan.not_enforced.iter().map(RuleName::to_string).collect();
    assert_eq!(told, ["ClusterNetworkPolicy c egress[0] (names)"]);
    let leaves = |address| planned.ruling(planned.table(PodId(0)), Direction::Egress, &outside(address), (6, 443)).0;
    assert_eq!(["10.1.1.1", "93.184.216.34"].map(leaves), [true, false]);
}

#[test]
fn a_plan_knows_when_it_depends_on_who_has_which_address() {
    let to = |peer: Value| {
        let spec = json!({"podSelector": {}, "policyTypes": ["Egress"], "egress": [{"to": [peer], "ports": [{"port": "http"}]}]});
        planned(&[policy("np", &spec), pod("a", &json!({}), "10.0.0.1")]).plan.depends_on_addresses
    };
    assert_eq!([to(json!({"ipBlock": {"cidr": "10.0.0.0/8"}})), to(json!({"podSelector": {}}))], [true, false]);
}

#[test]
fn policies_that_select_nobody_here_are_not_needed() {
    let objects = [pod("here", &json!({"app": "a"}), "10.0.0.1"), pod("there", &json!({"app": "b"}), "10.0.0.2")];
    let selects = |name: &str, labels: Value| policy(name, &json!({"podSelector": {"matchLabels": labels}}));
    let all = [
        &objects[..],
        &[selects("a", json!({"app": "a"})), selects("b", json!({"app": "b"})), selects("all", json!({}))],
    ]
    .concat();
    let compiled = planned(&all).compiled;
    let policies: Vec<Arc<Policy>> = compiled.policies().map(|(_, policy)| Arc::new(policy.clone())).collect();
    let census = Census::new(compiled.state().clone());
    let names = |pods: &[PodId]| {
        census.concerning(policies.clone(), pods).iter().map(|p| p.name.to_string()).collect::<Vec<_>>()
    };
    assert_eq!((names(&[PodId(0)]), names(&[])), (vec!["a".to_owned(), "all".to_owned()], vec![]));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn tables_say_what_the_oracle_says_and_which_rule_decides(policies in policies(), state in state()) {
        let planned = Planned::new(policies, state);
        for (pod, tables) in &planned.plan.pods {
            let tables = tables.as_ref().unwrap();
            for peer in &planned.peers() {
                for direction in Direction::ALL {
                    for (protocol, port) in Protocol::ALL.into_iter().flat_map(|p| PORTS.map(|port| (p, port))) {
                        let Some(said) = planned.expected(*pod, direction, peer, (protocol, port)) else { continue };
                        let packet = (protocol_number(protocol), port);
                        let context = format!("{pod:?} {direction:?} {:?} {protocol} {port}", peer.end);
                        prop_assert_eq!(planned.ruling(tables.table, direction, peer, packet), said.in_force, "{}", context);
                        let audited = tables.audit_table.or(tables.table);
                        prop_assert_eq!(planned.ruling(audited, direction, peer, packet), said.all, "audit: {}", context);
                    }
                }
            }
        }
    }
}
