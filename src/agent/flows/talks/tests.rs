use stockade_netpol::flows::Flow;
use stockade_netpol::plan::RuleName;
use stockade_netpol::policy::Tier;
use stockade_netpol::state::Labels;

use super::*;
use crate::flows::{IdentityNames, Told};
use crate::kernel::Decision;

/// A web server on interface 7, and databases.
struct Shop;

impl Names for Shop {
    fn pod(&self, interface: u32) -> Option<PodNames> {
        let labels = Labels::new([("app", "web")]);
        (interface == 7).then(|| PodNames { namespace: "shop".into(), name: "web-1".into(), uid: "u".into(), labels })
    }

    fn identity(&self, number: u64, _: IpAddr) -> Option<IdentityNames> {
        (number == 99).then(|| IdentityNames { namespace: "shop".into(), labels: Labels::new([("app", "db")]) })
    }

    fn rule(&self, table: u64, ordinal: u32) -> Option<RuleName> {
        let (namespace, policy) = (Some("shop".into()), "web".into());
        let rule = RuleName { namespace, policy, direction: Direction::Egress, index: ordinal, name: None };
        (table == 5).then_some(rule)
    }
}

fn event(count: u64) -> Event {
    Event {
        time: std::time::Duration::ZERO,
        interface: 7,
        direction: Direction::Egress,
        outcome: kernel::Outcome::Denied,
        count,
        bytes: 60 * count,
        local: ([10, 0, 0, 7].into(), 40_000),
        remote: ([10, 0, 0, 9].into(), 5432),
        identity: 99,
        protocol: 6,
        decision: Some(Decision { table: 5, rule: Some((Tier::Network, 0)) }),
    }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_772_359_200 + second).unwrap()
}

fn window(events: &[Event]) -> Window {
    let mut talks = Talks::default();
    events.iter().for_each(|event| talks.add(event, at(0)));
    talks.take(&Shop, "n1")
}

/// A flow that was denied so often.
pub(in crate::flows) fn told(count: u64) -> Told {
    let (flow, _) = window(&[event(count)]).flows.remove(0);
    let line = flow.line().unwrap();
    Told { flow, line }
}

#[test]
fn what_is_alike_is_one_flow_with_names_on_both_ends_and_the_rule() {
    let mut talks = Talks::default();
    talks.add(&event(2), at(0));
    talks
        .add(&Event { local: ([10, 0, 0, 7].into(), 40_001), remote: ([10, 0, 0, 8].into(), 5432), ..event(3) }, at(1));
    let window = talks.take(&Shop, "n1");
    let [(flow, pod)] = &window.flows[..] else { panic!("{window:?}") };
    insta::assert_snapshot!(flow.line().unwrap(), @r#"{"first":"2026-03-01T10:00:00.000Z","last":"2026-03-01T10:00:01.000Z","count":5,"bytes":300,"direction":"egress","verdict":"denied","protocol":"TCP","port":5432,"from":{"namespace":"shop","pod":"web-1","labels":{"app":"web"},"address":"10.0.0.7"},"to":{"namespace":"shop","labels":{"app":"db"},"address":"10.0.0.8"},"rule":{"kind":"NetworkPolicy","namespace":"shop","policy":"web","direction":"egress","index":0},"node":"n1"}"#);
    assert_eq!((&*pod.uid, window.missed), ("u", 0));
    assert_eq!(talks.take(&Shop, "n1"), Window::default());
}

#[test]
fn ends_that_are_no_pods_are_the_node_or_an_address() {
    let far = |event: Event| window(&[event]).flows.remove(0).0.far().clone();
    assert_eq!(far(Event { identity: OWN_NODE, ..event(1) }), End::OwnNode);
    assert_eq!(far(Event { identity: 0, ..event(1) }), End::Address([10, 0, 0, 9].into()));
    // Of an identity that nobody has any more the address is left.
    assert_eq!(far(Event { identity: 98, ..event(1) }), End::Address([10, 0, 0, 9].into()));
}

#[test]
fn the_port_is_that_of_the_receiver_and_protocols_without_ports_have_none() {
    let ports = |event: Event| window(&[event]).flows.remove(0).0.port;
    let local = ([10, 0, 0, 7].into(), 8080);
    let ingress = Event { direction: Direction::Ingress, local, ..event(1) };
    assert_eq!(
        [ports(event(1)), ports(ingress), ports(Event { protocol: 1, ..event(1) })],
        [Some(5432), Some(8080), None]
    );
}

#[test]
fn what_was_told_before_or_is_never_judged_is_no_flow() {
    let silent = [kernel::Outcome::Established, kernel::Outcome::Exempt].map(|outcome| Event { outcome, ..event(1) });
    assert_eq!(window(&silent), Window::default());
}

#[test]
fn a_storm_is_told_by_its_largest_parts_and_the_rest_as_a_number() {
    let from = |number: u32| Event { identity: 0, remote: (std::net::Ipv4Addr::from(number).into(), 22), ..event(1) };
    let mut events: Vec<Event> = (0..MAX_TALKS as u32 + 10).map(from).collect();
    let passed = Event { outcome: kernel::Outcome::Opened, ..event(1_000_000) };
    events.insert(0, passed);
    events.insert(0, Event { interface: 8, ..event(5) });
    events.insert(0, event(70));
    let window = window(&events);
    let flows: Vec<&Flow> = window.flows.iter().map(|(flow, _)| flow).collect();
    assert_eq!((flows.len(), flows[0].count), (MAX_LINES, 70));
    assert!(flows.iter().all(|flow| flow.verdict == Outcome::Denied));
    let told: u64 = flows.iter().map(|flow| flow.count).sum();
    assert_eq!(told + window.missed, events.iter().map(|event| event.count).sum::<u64>());
}
