//! What tables say.

use stockade_agent::kernel::{Decision, Endpoint, Event, Outcome};
use stockade_e2e_agent::frames::{Packet, SCTP, SYN, TCP, UDP};
use stockade_netpol::policy::{Action, Tier};

use crate::host::{
    AUDIT, Egress, FAMILIES, Host, INTERFACE, Ingress, PEER, Rule, TABLE, Whom, accept, all_ports, endpoint, port,
};

#[test]
fn a_pod_without_policies_speaks_with_everybody() {
    let host = Host::new();
    for a in FAMILIES {
        assert!(host.passes(Egress, &Packet::tcp((a.pod, 40_000), (a.peer, 80), SYN)));
        assert!(host.passes(Ingress, &Packet::udp((a.other, 5_000), (a.pod, 53))));
    }
    assert_eq!(host.counted(), [(Ingress, Outcome::Opened, 2), (Egress, Outcome::Opened, 2)]);
    let told: Vec<_> = host.told().into_iter().map(|e| (e.outcome, e.identity, e.remote, e.decision)).collect();
    let [v4, v6] = FAMILIES;
    let opened = Outcome::Opened;
    assert_eq!(
        told,
        [
            (opened, PEER, (v4.peer, 80), None),
            (opened, 0, (v4.other, 5_000), None),
            (opened, PEER, (v6.peer, 80), None),
            (opened, 0, (v6.other, 5_000), None),
        ]
    );
}

#[test]
fn what_no_rule_accepts_is_denied_counted_and_told() {
    let host = Host::isolated(&[]);
    for a in FAMILIES {
        let packet = Packet::tcp((a.peer, 40_000), (a.pod, 80), SYN);
        assert!(!host.passes(Ingress, &packet));
        assert_eq!(
            host.told().into_iter().map(|e| Event { time: e.time - e.time, ..e }).collect::<Vec<_>>(),
            [Event {
                time: std::time::Duration::ZERO,
                interface: INTERFACE,
                direction: Ingress,
                outcome: Outcome::Denied,
                count: 1,
                bytes: packet.bytes().len() as u64,
                local: (a.pod, 80),
                remote: (a.peer, 40_000),
                identity: PEER,
                protocol: TCP,
                decision: Some(Decision { table: TABLE, rule: None }),
            }]
        );
    }
    assert_eq!(host.counted(), [(Ingress, Outcome::Denied, 2)]);
}

#[test]
fn a_rule_for_a_port_of_tcp_opens_that_port_of_tcp_to_whom_it_names() {
    let host = Host::isolated(&[accept(Ingress, Whom::Identity(PEER), vec![port(TCP, 80)])]);
    for a in FAMILIES {
        let to = |from, port| Packet::tcp((from, 1_000), (a.pod, port), SYN);
        assert!(host.passes(Ingress, &to(a.peer, 80)));
        assert!(!host.passes(Ingress, &to(a.peer, 81)));
        assert!(!host.passes(Ingress, &to(a.other, 80)));
        assert!(!host.passes(Ingress, &Packet::udp((a.peer, 1_001), (a.pod, 80))));
        assert!(!host.passes(Ingress, &Packet::sctp((a.peer, 1_002), (a.pod, 80), 1)));
        assert!(!host.passes(Ingress, &Packet::ping(a.peer, a.pod, 80)));
        // The direction is part of the rule.
        assert!(!host.passes(Egress, &Packet::tcp((a.pod, 1_003), (a.peer, 80), SYN)));
    }
    let rule = host.told().into_iter().find(|e| e.outcome == Outcome::Opened).unwrap().decision;
    assert_eq!(rule, Some(Decision { table: TABLE, rule: Some((Tier::Network, 0)) }));
}

#[test]
fn rules_about_all_ports_are_about_every_protocol() {
    let host = Host::isolated(&[accept(Egress, Whom::Everyone, all_ports())]);
    for a in FAMILIES {
        for packet in [
            Packet::tcp((a.pod, 1), (a.other, 1), SYN),
            Packet::udp((a.pod, 1), (a.other, 65_535)),
            Packet::sctp((a.pod, 1), (a.other, 0), 1),
            Packet::ping(a.pod, a.other, 7),
            Packet::new(a.pod, a.other, 47, vec![0; 8]),
        ] {
            assert!(host.passes(Egress, &packet), "{packet:?}");
        }
    }
}

#[test]
fn a_block_of_addresses_is_about_its_addresses_in_its_family() {
    for (a, length) in FAMILIES.into_iter().zip([127, 127]) {
        // Both of the pair that the peer's address is the upper one of.
        let rule = accept(Ingress, Whom::Block(a.peer, length), vec![port(UDP, 53)]);
        let host = Host::isolated(&[rule]);
        for (from, passes) in [(a.peer, true), (a.other, false)] {
            assert_eq!(host.passes(Ingress, &Packet::udp((from, 9), (a.pod, 53))), passes, "{from}");
        }
        let [v4, v6] = FAMILIES;
        let other = if a.pod == v4.pod { v6 } else { v4 };
        assert!(!host.passes(Ingress, &Packet::udp((other.peer, 9), (other.pod, 53))));
    }
}

#[test]
fn ranges_of_ports_are_prefixes_of_which_the_longest_counts() {
    let range = |port, bits| stockade_netpol::plan::PortKey { protocol: SCTP, port, bits };
    let rules = [accept(Ingress, Whom::Everyone, vec![range(0x1000, 4)])];
    let host = Host::isolated(&rules);
    for a in FAMILIES {
        for (port, passes) in [(0x0fff, false), (0x1000, true), (0x1fff, true), (0x2000, false)] {
            assert_eq!(host.passes(Ingress, &Packet::sctp((a.peer, 5), (a.pod, port), 1)), passes, "{port:#x}");
        }
    }
}

#[test]
fn tiers_are_asked_in_their_order_over_all_sources() {
    let rule = |tier, action, whom| Rule { tier, action, direction: Ingress, whom, ports: vec![port(TCP, 80)] };
    let (admin, network, baseline) = (Tier::Admin, Tier::Network, Tier::Baseline);
    let (everyone, peer) = (Whom::Everyone, Whom::Identity(PEER));
    let cases = [
        // Tier, action and whom of the rules in their order; whether a NetworkPolicy isolates; what decides.
        (vec![(admin, Action::Deny, everyone), (network, Action::Accept, peer)], true, false, Some((admin, 0))),
        (vec![(admin, Action::Accept, peer), (admin, Action::Deny, everyone)], false, true, Some((admin, 0))),
        (vec![(admin, Action::Deny, peer), (admin, Action::Accept, everyone)], false, false, Some((admin, 0))),
        (vec![(admin, Action::Pass, everyone), (network, Action::Accept, peer)], true, true, Some((network, 1))),
        (vec![(admin, Action::Pass, everyone), (baseline, Action::Deny, peer)], true, false, None),
        (vec![(admin, Action::Pass, everyone), (baseline, Action::Deny, peer)], false, false, Some((baseline, 1))),
        (vec![(baseline, Action::Pass, peer), (baseline, Action::Deny, everyone)], false, true, None),
    ];
    let host = Host::new();
    for (number, (rules, isolated, passes, by)) in cases.into_iter().enumerate() {
        let table = TABLE + number as u64;
        let described = format!("{rules:?}, {isolated}");
        let rules: Vec<_> = rules.into_iter().map(|(tier, action, whom)| rule(tier, action, whom)).collect();
        host.table(table, isolated, &rules);
        host.endpoint(Endpoint { table, generation: number as u32 + 1, ..endpoint() });
        for (family, a) in FAMILIES.into_iter().enumerate() {
            let from = u16::try_from(1_000 + number * 2 + family).unwrap();
            assert_eq!(host.passes(Ingress, &Packet::tcp((a.peer, from), (a.pod, 80), SYN)), passes, "{described}");
        }
        // Told together with those before it where all but the table is the same.
        let told = host.told().into_iter().next_back().and_then(|e| e.decision);
        if let Some(told) = told.filter(|told| told.table == table) {
            assert_eq!(told.rule, by, "{described}");
        }
    }
}

#[test]
fn a_rule_about_every_pod_is_about_whoever_has_an_identity() {
    let host = Host::isolated(&[
        accept(Ingress, Whom::EveryPod, vec![port(TCP, 80)]),
        accept(Ingress, Whom::Identity(PEER), vec![port(TCP, 81)]),
    ]);
    for a in FAMILIES {
        for (from, port, passes) in [(a.peer, 80, true), (a.peer, 81, true), (a.other, 80, false)] {
            assert_eq!(host.passes(Ingress, &Packet::tcp((from, 1), (a.pod, port), SYN)), passes, "{from} {port}");
        }
    }
}

#[test]
fn an_endpoint_whose_table_is_not_there_passes_nothing() {
    let host = Host::new();
    host.endpoint(Endpoint { table: 99, ..endpoint() });
    for a in FAMILIES {
        assert!(!host.passes(Ingress, &Packet::tcp((a.peer, 1), (a.pod, 80), SYN)));
        assert!(!host.passes(Egress, &Packet::tcp((a.pod, 1), (a.peer, 80), SYN)));
    }
}

#[test]
fn what_only_audited_policies_deny_passes_and_is_told() {
    let host = Host::new();
    host.table(TABLE, true, &[accept(Ingress, Whom::Everyone, vec![port(TCP, 80), port(TCP, 81)])]);
    host.table(AUDIT, true, &[accept(Ingress, Whom::Everyone, vec![port(TCP, 80)])]);
    host.endpoint(Endpoint { table: TABLE, audit_table: AUDIT, ..endpoint() });
    let a = FAMILIES[0];
    let to = |port| Packet::tcp((a.peer, 1_000), (a.pod, port), SYN);
    assert_eq!([80, 81, 82].map(|port| host.passes(Ingress, &to(port))), [true, true, false]);
    let (opened, would_deny, denied) = (Outcome::Opened, Outcome::WouldDeny, Outcome::Denied);
    assert_eq!(host.counted(), [(Ingress, opened, 1), (Ingress, would_deny, 1), (Ingress, denied, 1)]);
    let told: Vec<_> = host.told().into_iter().map(|e| (e.local.1, e.outcome, e.decision.unwrap())).collect();
    let rule = Some((Tier::Network, 0));
    assert_eq!(
        told,
        [
            (80, opened, Decision { table: TABLE, rule }),
            (81, would_deny, Decision { table: AUDIT, rule: None }),
            (82, denied, Decision { table: TABLE, rule: None }),
        ]
    );
}

#[test]
fn audited_policies_alone_deny_nothing() {
    let host = Host::new();
    host.table(AUDIT, true, &[]);
    host.endpoint(Endpoint { audit_table: AUDIT, ..endpoint() });
    let a = FAMILIES[1];
    assert!(host.passes(Egress, &Packet::udp((a.pod, 1), (a.peer, 53))));
    assert_eq!(host.counted(), [(Egress, Outcome::WouldDeny, 1)]);
}
