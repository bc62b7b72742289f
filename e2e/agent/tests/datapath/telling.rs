//! Telling: what is alike is told together, within a budget, and counted exactly.

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use stockade_agent::kernel::{Hook, Options, Outcome, Trial};
use stockade_agent::packets::Packets;
use stockade_e2e_agent::frames::{Packet, SYN};

use crate::host::{FAMILIES, Host, INTERFACE, Ingress, TABLE, endpoint, sizes};

const STORM: u32 = 1_000_000;

fn isolated(options: &Options) -> Host {
    let host = Host::with(options);
    host.table(TABLE, true, &[]);
    host.endpoint(stockade_agent::kernel::Endpoint { table: TABLE, ..endpoint() });
    host
}

/// What dropping a packet takes, a million times in a row.
fn storm(host: &Host) -> Duration {
    let a = FAMILIES[0];
    let frame = Packet::tcp((a.peer, 1_000), (a.pod, 80), SYN).frame();
    let tried = host.kernel.run(&Trial { hook: Hook::ToPod(INTERFACE), frame: &frame, times: STORM }).unwrap();
    assert!(!tried.passes);
    tried.took
}

#[test]
fn a_storm_of_denied_packets_is_one_event_and_every_packet_is_counted() {
    let host = isolated(&Options { sizes: sizes(), ..Options::default() });
    let told = storm(&host);
    assert_eq!(host.counted(), [(Ingress, Outcome::Denied, u64::from(STORM))]);
    let (mut registry, mut metrics) = (Registry::default(), String::new());
    registry.register_collector(Box::new(Packets(Arc::clone(&host.kernel))));
    encode(&mut metrics, &registry).unwrap();
    let counted: Vec<&str> = metrics.lines().filter(|line| !line.starts_with('#') && !line.ends_with(" 0")).collect();
    assert_eq!(counted, [r#"stockade_agent_packets_total{direction="ingress",outcome="denied"} 1000000"#]);
    let counts: Vec<_> = host.told().into_iter().map(|e| e.count).collect();
    assert!(counts.len() <= 2 && counts[0] == 1, "told at once, and again after ten seconds at most: {counts:?}");
    println!("a denied packet takes {} ns", told.as_nanos());
}

#[test]
fn a_scan_is_told_within_the_budget_and_the_rest_is_counted() {
    let host = isolated(&Options { sizes: sizes(), events_per_second: 10, ..Options::default() });
    let scan = 2_000;
    for port in 0..scan {
        let a = FAMILIES[usize::from(port % 2)];
        assert!(!host.passes(Ingress, &Packet::tcp((a.peer, 1_000), (a.pod, port), SYN)));
    }
    let told = host.told();
    assert!(told.iter().all(|e| (e.outcome, e.count) == (Outcome::Denied, 1)));
    assert_eq!(told.len() as u64 + host.kernel.untold().unwrap(), u64::from(scan));
    assert!(told.len() >= 10, "a second's budget is saved up: {}", told.len());
    assert_eq!(host.counted(), [(Ingress, Outcome::Denied, u64::from(scan))]);
}

#[test]
fn nothing_is_told_where_that_is_chosen() {
    let host = isolated(&Options { sizes: sizes(), events_per_second: 0, ..Options::default() });
    storm(&host);
    assert_eq!(host.told(), []);
    assert_eq!(host.kernel.untold().unwrap(), u64::from(STORM));
}
