//! What happens to traffic while something else happens.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use stockade_agent::inputs::PodFacts;
use stockade_e2e_agent::agent_process::AgentProcess;
use stockade_e2e_agent::bpffs::Bpffs;
use stockade_e2e_agent::hosts::{Node, PodNet, Topology, within};
use stockade_e2e_agent::told::inputs;
use stockade_e2e_agent::traffic::Traffic;
use stockade_netpol::addresses::Family;
use stockade_netpol::ports::Protocol;
use stockade_netpol_testing::truth_tables::Cluster;

use super::STAND_IN;
use super::cluster;

/// How long what must happen may take.
const WITHIN: Duration = Duration::from_secs(120);
/// How long it is waited for what must not happen.
const SETTLE: Duration = Duration::from_millis(300);
/// The place of x/a.
const XA: usize = 0;
/// The place of x/b.
const XB: usize = 1;
/// The place of x/c.
const XC: usize = 2;
/// The place of y/a.
const YA: usize = 3;

/// Pods of namespace x take connections from their own namespace's Pods with this name.
fn only_from(name: &str) -> Value {
    let from = json!([{ "podSelector": { "matchLabels": { "pod": name } } }]);
    json!({ "apply": { "x/only": { "podSelector": { "matchLabels": { "pod": "a" } }, "ingress": [{ "from": from }] } } })
}

/// Takes connections to a port in a Pod until it is dropped with its listener.
fn listen(pod: &PodNet, port: u16) -> TcpListener {
    within(&pod.netns, || TcpListener::bind(SocketAddr::new("::".parse().unwrap(), port)).unwrap())
}

fn connect(from: &PodNet, to: IpAddr, port: u16, wait: Duration) -> std::io::Result<TcpStream> {
    within(&from.netns, || TcpStream::connect_timeout(&SocketAddr::new(to, port), wait))
}

/// Whether a byte arrives in time.
fn arrives(client: &mut TcpStream, server: &mut TcpStream, wait: Duration) -> bool {
    server.set_read_timeout(Some(wait)).unwrap();
    client.write_all(b"x").is_ok() && server.read_exact(&mut [0]).is_ok()
}

/// An open connection from one Pod to another, both ends.
fn open(node: &Node, (from, to): (usize, usize), port: u16) -> (TcpStream, TcpStream) {
    let listener = listen(&node.pods[to], port);
    let client = connect(&node.pods[from], node.pods[to].addresses[0], port, WITHIN).unwrap();
    let (server, _) = listener.accept().unwrap();
    (client, server)
}

/// What becomes of an open connection whose peer a changed policy does not let in any more.
fn survives(established: &str) -> bool {
    let (node, pins) = (cluster::node(Topology::Routed), Bpffs::new());
    let mut agent = AgentProcess::start(STAND_IN, &node, &pins, established);
    let requests = cluster::requests(&node);
    let mut state = Cluster::new(Family::V4);
    state.take(&json!({ "apply": { "x/all": {
        "podSelector": { "matchLabels": { "pod": "a" } }, "ingress": [{ "from": [{ "podSelector": {} }] }],
    } } }));
    agent.tell(&inputs(&state), &requests);
    let (mut cut, mut cut_end) = open(&node, (XB, XA), 7_001);
    let (mut kept, mut kept_end) = open(&node, (XC, XA), 7_002);
    assert!(arrives(&mut cut, &mut cut_end, WITHIN) && arrives(&mut kept, &mut kept_end, WITHIN));
    state.take(&json!({ "remove": ["x/all"] }));
    state.take(&only_from("c"));
    agent.tell(&inputs(&state), &requests);
    assert!(arrives(&mut kept, &mut kept_end, WITHIN), "a connection that is allowed before and after was cut");
    let survives = arrives(&mut cut, &mut cut_end, if established == "keep" { WITHIN } else { SETTLE });
    let listener = listen(&node.pods[XA], 7_003);
    assert!(connect(&node.pods[XB], node.pods[XA].addresses[0], 7_003, SETTLE).is_err(), "a new one was let in");
    drop(listener);
    survives
}

#[test]
fn an_open_connection_is_cut_when_policies_do_not_let_it_in_any_more() {
    assert!(!survives("recheck"));
}

#[test]
fn an_open_connection_is_kept_where_that_was_chosen() {
    assert!(survives("keep"));
}

#[test]
fn agents_that_are_killed_at_any_moment_let_nothing_in_and_cut_nothing_off() {
    /// Agents, one after the other.
    const AGENTS: u64 = 12;
    let (node, pins) = (cluster::node(Topology::Routed), Bpffs::new());
    let requests = cluster::requests(&node);
    let mut state = Cluster::new(Family::V4);
    state.take(&only_from("b"));
    let mut agent = AgentProcess::start(STAND_IN, &node, &pins, "recheck");
    agent.tell(&inputs(&state), &requests);
    let listener = listen(&node.pods[XA], 7_000);
    let to = node.pods[XA].addresses[0];
    let is_over = AtomicBool::new(false);
    let (allowed, denied) = thread::scope(|scope| {
        scope.spawn(|| {
            listener.set_nonblocking(true).unwrap();
            while !is_over.load(Ordering::Relaxed) {
                drop(listener.accept());
                thread::sleep(Duration::from_millis(1));
            }
        });
        let attempt = |from: usize, wait: Duration| {
            let (node, is_over) = (&node, &is_over);
            scope.spawn(move || {
                within(&node.pods[from].netns, || {
                    let (mut open, mut refused) = (0_u32, 0_u32);
                    while !is_over.load(Ordering::Relaxed) {
                        match TcpStream::connect_timeout(&SocketAddr::new(to, 7_000), wait) {
                            Ok(_) => open += 1,
                            Err(_) => refused += 1,
                        }
                    }
                    (open, refused)
                })
            })
        };
        let (allowed, denied) = (attempt(XB, WITHIN), attempt(YA, Duration::from_millis(20)));
        for n in 0..AGENTS {
            // Another table for the same Pod: it says the same, by another policy.
            let label = format!("other-{n}");
            state.take(
                &json!({ "apply": { "x/other": { "podSelector": { "matchLabels": { "pod": "a" } }, "ingress": [{
                "from": [{ "podSelector": { "matchLabels": { "pod": label } } }], "ports": [{ "port": 100 + n }],
            }] } } }),
            );
            agent.begin(&inputs(&state), &requests);
            thread::sleep(Duration::from_micros(n * 2_500));
            agent.kill();
            agent = AgentProcess::start(STAND_IN, &node, &pins, "recheck");
        }
        agent.tell(&inputs(&state), &requests);
        is_over.store(true, Ordering::Relaxed);
        (allowed.join().unwrap(), denied.join().unwrap())
    });
    eprintln!("{AGENTS} agents killed: {} connections allowed, {} denied", allowed.0, denied.1);
    assert!(allowed.0 > 0 && denied.1 > 0);
    assert_eq!((allowed.1, denied.0), (0, 0), "cut off, and let in");
}

#[test]
fn an_address_that_is_given_away_again_at_once_gives_nothing_away_of_who_had_it() {
    let (mut node, pins) = (cluster::node(Topology::Routed), Bpffs::new());
    let mut agent = AgentProcess::start(STAND_IN, &node, &pins, "recheck");
    let mut state = Cluster::new(Family::V4);
    state.take(&only_from("c"));
    agent.tell(&inputs(&state), &cluster::requests(&node));
    let to_a = BTreeSet::from([(XC, XA)]);
    let tcp = (false, Protocol::Tcp, 80);
    assert_eq!(Traffic::start(&node).reached(&node, &[(XC, XA), (XB, XA)], tcp, &to_a), to_a);

    // x/c, the last of x, goes; its addresses are a Pod's of namespace z a moment later.
    let begin = Instant::now();
    let addresses = node.pods[XC].addresses;
    node.remove_pod(XC);
    node.add_pod(addresses);
    let at = node.pods.len() - 1;
    let mut inputs = inputs(&state);
    let mut facts = PodFacts::clone(&inputs.pods.remove("x-c").unwrap());
    facts.namespace = "z".to_owned();
    inputs.pods.insert("z-new".to_owned(), facts);
    // The one without a name is the other node.
    let names = ["x-a", "x-b", "y-a", "y-b", "y-c", "z-a", "z-b", "z-c", "", "z-new"];
    let requests: Vec<_> = node
        .pods
        .iter()
        .zip(names)
        .filter_map(|(pod, name)| name.split_once('-').map(|(namespace, name)| pod.request(namespace, name)))
        .collect();
    agent.tell(&inputs, &requests);
    eprintln!("an address was another's within {:?}", begin.elapsed());
    // The new one reaches others, so it has a network, and not x/a.
    let to_y = BTreeSet::from([(at, XC)]);
    assert_eq!(Traffic::start(&node).reached(&node, &[(at, XC), (at, XA)], tcp, &to_y), to_y);
}
