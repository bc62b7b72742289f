//! What the kernel tells becomes lines with names.

use std::fs;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use prometheus_client::registry::Registry;
use stockade_agent::flows::{self, FlowMetrics, IdentityNames, Journal, Lately, Live, Names, PodNames, Teller};
use stockade_e2e_agent::frames::{Packet, SYN};
use stockade_netpol::flows::{End, Flow, Outcome};
use stockade_netpol::plan::RuleName;
use stockade_netpol::state::Labels;
use tokio_util::sync::CancellationToken;

use crate::host::{Egress, FAMILIES, Host, INTERFACE, PEER, TABLE, Whom, accept, port};

/// Longest wait for lines, however busy the machine is.
const WITHIN: Duration = Duration::from_secs(120);

struct Shop;

impl Names for Shop {
    fn pod(&self, interface: u32) -> Option<PodNames> {
        let labels = Labels::new([("app", "web")]);
        let pod = PodNames { namespace: "shop".into(), name: "web-1".into(), uid: "u".into(), labels };
        (interface == INTERFACE).then_some(pod)
    }

    fn identity(&self, number: u64, _: IpAddr) -> Option<IdentityNames> {
        let names = IdentityNames { namespace: "shop".into(), labels: Labels::new([("app", "db")]) };
        (number == PEER).then_some(names)
    }

    fn rule(&self, table: u64, ordinal: u32) -> Option<RuleName> {
        let (namespace, policy) = (Some("shop".into()), "web".into());
        let rule = RuleName { namespace, policy, direction: Egress, index: ordinal, name: None };
        (table == TABLE).then_some(rule)
    }
}

#[test]
fn a_packet_that_is_dropped_and_a_connection_that_begins_are_lines_with_names_and_the_rule() {
    let host = Host::isolated(&[accept(Egress, Whom::Identity(PEER), vec![port(6, 5432)])]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("flows.jsonl");
    let stop = CancellationToken::new();
    let teller = Teller {
        names: Arc::new(Shop),
        node: "n1".to_owned(),
        metrics: FlowMetrics::register(&mut Registry::default()),
        journal: Some(Journal::open(&path).unwrap()),
        live: Live::default(),
        events: None,
        lately: Lately::default(),
    };
    let (a, start) = (FAMILIES[0], Instant::now());
    let mut seen: Vec<Flow> = Vec::new();
    std::thread::scope(|threads| {
        let watching = threads.spawn(|| flows::watch(&host.kernel, teller, &stop).unwrap());
        assert!(host.passes(Egress, &Packet::tcp((a.pod, 1_000), (a.peer, 5432), SYN)));
        assert!(!host.passes(Egress, &Packet::tcp((a.pod, 1_000), (a.other, 443), SYN)));
        while seen.len() < 2 && start.elapsed() < WITHIN {
            std::thread::sleep(Duration::from_millis(50));
            seen = fs::read_to_string(&path).unwrap().lines().map(|line| Flow::parse(line).unwrap()).collect();
        }
        stop.cancel();
        watching.join().unwrap();
    });
    seen.sort_by_key(|flow| flow.port);
    let rule = |flow: &Flow| flow.rule.as_ref().map(ToString::to_string);
    let shown: Vec<_> = seen.iter().map(|flow| (flow.verdict, flow.port, flow.count, rule(flow))).collect();
    let by_rule = Some("NetworkPolicy shop/web egress[0]".to_owned());
    assert_eq!(shown, [(Outcome::Denied, Some(443), 1, None), (Outcome::Allowed, Some(5432), 1, by_rule)]);
    let db = End::Pods {
        namespace: "shop".to_owned(),
        pod: None,
        labels: Labels::new([("app", "db")]),
        address: Some(a.peer),
    };
    assert_eq!((&seen[0].to, &seen[1].to), (&End::Address(a.other), &db));
    assert!(seen.iter().all(|flow| flow.from.namespace() == Some("shop") && flow.node == "n1"));
}
