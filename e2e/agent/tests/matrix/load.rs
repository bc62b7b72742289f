//! Much at once.

use std::collections::BTreeSet;
use std::net::IpAddr;

use serde_json::{Value, json};
use stockade_agent::inputs::{Inputs, NamespaceFacts, PodFacts, PolicyObject};
use stockade_e2e_agent::agent_process::AgentProcess;
use stockade_e2e_agent::bpffs::Bpffs;
use stockade_e2e_agent::hosts::{Node, Topology};
use stockade_e2e_agent::told::inputs;
use stockade_e2e_agent::traffic::Traffic;
use stockade_netpol::addresses::Family;
use stockade_netpol::ports::Protocol;
use stockade_netpol_testing::truth_tables::{Cluster, Pair};

use super::STAND_IN;
use super::cluster;

#[test]
fn the_last_of_ten_thousand_rules_counts_as_the_first() {
    let (node, pins) = (cluster::node(Topology::Routed), Bpffs::new());
    let mut agent = AgentProcess::start(STAND_IN, &node, &pins, "recheck");
    let mut rules: Vec<Value> = (0..9_999_u32)
        .map(|n| {
            let cidr = format!("10.{}.{}.{}/32", 50 + n / 65_536, n / 256 % 256, n % 256);
            json!({ "from": [{ "ipBlock": { "cidr": cidr } }], "ports": [{ "port": n % 1_000 + 1_000 }] })
        })
        .collect();
    rules.push(json!({ "from": [{ "ipBlock": { "cidr": "{x/b}" } }], "ports": [{ "port": 80 }] }));
    let mut state = Cluster::new(Family::V4);
    let spec = json!({ "podSelector": { "matchLabels": { "pod": "a" } }, "ingress": rules });
    state.take(&json!({ "apply": { "x/many": spec } }));
    let micros = agent.tell(&inputs(&state), &cluster::requests(&node));
    eprintln!("10,000 rules are in the kernel after {} ms", micros / 1_000);
    let traffic = Traffic::start(&node);
    let expected = BTreeSet::from([(1, 0)]);
    let pairs = [(1, 0), (2, 0), (3, 0)];
    assert_eq!(traffic.reached(&node, &pairs, (false, Protocol::Tcp, 80), &expected), expected);
    assert_eq!(traffic.reached(&node, &pairs, (false, Protocol::Tcp, 81), &BTreeSet::new()), BTreeSet::new());
}

#[test]
fn a_hundred_and_ten_pods_that_come_at_once_are_all_judged() {
    const PODS: usize = 110;
    let (mut node, pins) = (Node::new(Topology::Routed), Bpffs::new());
    let mut inputs = Inputs::default();
    inputs.namespaces.insert("x".to_owned(), NamespaceFacts::default());
    for at in 0..PODS {
        let v4: IpAddr = format!("10.99.1.{}", at + 1).parse().unwrap();
        let v6: IpAddr = format!("fd99::1:{}", at + 1).parse().unwrap();
        node.add_pod([v4, v6]);
        let facts = PodFacts {
            namespace: "x".to_owned(),
            name: at.to_string(),
            labels: [("pod".to_owned(), at.to_string())].into(),
            addresses: vec![v4, v6],
            ..PodFacts::default()
        };
        inputs.pods.insert(format!("x-{at}"), facts);
    }
    let policy = PolicyObject::from(json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": { "name": "one", "namespace": "x" },
        "spec": { "podSelector": {}, "ingress": [{ "from": [{ "podSelector": { "matchLabels": { "pod": "0" } } }] }] },
    }));
    inputs.policies.insert(policy.key(), policy);
    let mut agent = AgentProcess::start(STAND_IN, &node, &pins, "recheck");
    let requests: Vec<_> = node.pods.iter().zip(0..).map(|(pod, at)| pod.request("x", &format!("{at}"))).collect();
    let micros = agent.tell(&inputs, &requests);
    eprintln!("{PODS} Pods are in the kernel after {} ms", micros / 1_000);
    let traffic = Traffic::start(&node);
    let expected: BTreeSet<Pair> = (1..PODS).map(|to| (0, to)).collect();
    let pairs: Vec<Pair> = expected.iter().copied().chain((2..PODS).map(|to| (1, to))).collect();
    for v6 in [false, true] {
        assert_eq!(traffic.reached(&node, &pairs, (v6, Protocol::Tcp, 80), &expected), expected);
    }
}
