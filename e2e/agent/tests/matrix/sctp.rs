//! SCTP as programs speak it: associations by sockets of the kernel, of which not every machine's has any. [`older_kernel`]
//! runs it in a guest whose kernel does. (The truth tables send single packets, for which no kernel needs to know it.)
//!
//! [`older_kernel`]: super::older_kernel

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, SocketType, bind, connect, ipproto, listen, socket};
use serde_json::json;
use stockade_e2e_agent::agent_process::AgentProcess;
use stockade_e2e_agent::bpffs::Bpffs;
use stockade_e2e_agent::hosts::{Node, Topology, within};
use stockade_e2e_agent::told::inputs;
use stockade_netpol::addresses::Family;
use stockade_netpol_testing::truth_tables::{Cluster, Pair};

use super::{STAND_IN, cluster};

/// How long who is let in may take, and who is not is waited for.
const WITHIN: Duration = Duration::from_secs(5);

/// Places of Pods in the cluster, all of one namespace.
const A: usize = 0;
const B: usize = 1;
const C: usize = 2;

fn sctp(v6: bool) -> OwnedFd {
    let family = if v6 { AddressFamily::INET6 } else { AddressFamily::INET };
    socket(family, SocketType::STREAM, Some(ipproto::SCTP)).unwrap()
}

fn at(node: &Node, pod: usize, v6: bool, port: u16) -> SocketAddr {
    SocketAddr::new(node.pods[pod].addresses[usize::from(v6)], port)
}

/// Who listens, as long as it is kept.
fn serve(node: &Node, pod: usize, v6: bool, port: u16) -> OwnedFd {
    within(&node.pods[pod].netns, || {
        let server = sctp(v6);
        bind(&server, &at(node, pod, v6, port)).unwrap();
        listen(&server, 8).unwrap();
        server
    })
}

fn associates(node: &Node, (from, to): Pair, v6: bool, port: u16) -> bool {
    within(&node.pods[from].netns, || {
        let client = sctp(v6);
        set_socket_timeout(&client, Timeout::Send, Some(WITHIN)).unwrap();
        connect(&client, &at(node, to, v6, port)).is_ok()
    })
}

#[test]
#[ignore = "needs a kernel that speaks SCTP: `older_kernel` runs it in one"]
fn associations_are_made_with_whom_policy_lets_in_and_by_this_protocol_alone() {
    let (node, pins) = (cluster::node(Topology::Routed), Bpffs::new());
    let mut agent = AgentProcess::start(STAND_IN, &node, &pins, "recheck");
    let mut state = Cluster::new(Family::V4);
    let from = json!([{ "podSelector": { "matchLabels": { "pod": "b" } } }]);
    let ports = json!([{ "protocol": "SCTP", "port": 80 }, { "protocol": "TCP", "port": 81 }]);
    let spec =
        json!({ "podSelector": { "matchLabels": { "pod": "a" } }, "ingress": [{ "from": from, "ports": ports }] });
    state.take(&json!({ "apply": { "x/sctp": spec } }));
    agent.tell(&inputs(&state), &cluster::requests(&node));
    for v6 in [false, true] {
        let _servers = [80, 81].map(|port| serve(&node, A, v6, port));
        let tried = [((B, A), 80), ((B, A), 81), ((C, A), 80)];
        let made = tried.map(|(pair, port)| associates(&node, pair, v6, port));
        assert_eq!(made, [true, false, false], "IPv6: {v6}");
    }
}
