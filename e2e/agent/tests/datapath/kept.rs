//! A kernel that is kept by the agent's heart, which is told what an API server would tell.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use serde_json::{Value, json};
use stockade_agent::apply::Extent;
use stockade_agent::hold::{HostInterface, PodName, PodRequest};
use stockade_agent::inputs::Inputs;
use stockade_agent::inputs::identity::{Identity, SliceFacts};
use stockade_agent::keeper::{KeepError, Keeper};
use stockade_agent::kernel::{Hook, Kernel, KernelError, Options, Outcome, Sizes, Trial};
use stockade_agent::places::Places;
use stockade_e2e_agent::bpffs::Bpffs;
use stockade_e2e_agent::frames::{ACK, Packet, SYN};
use stockade_e2e_agent::hosts::within;
use stockade_e2e_agent::netns::Netns;
use stockade_e2e_agent::told::inputs;
use stockade_netpol::addresses::Family;
use stockade_netpol::plan::Limits;
use stockade_netpol::policy::Direction;
use stockade_netpol_testing::truth_tables::{Cluster, address, pods};

use crate::host::{Egress, Ingress, sizes, told};

/// Places of Pods in the cluster.
const XA: usize = 0;
const XB: usize = 1;
const YA: usize = 3;
const ZA: usize = 6;

/// A node's kernel.
struct Kept {
    keeper: Keeper<Kernel>,
    places: Places,
    /// By the Pod's place.
    interfaces: Vec<HostInterface>,
    /// Of the next connection, at the side that asks.
    port: Cell<u16>,
}

/// Does something on a node with such a kernel.
fn on_node(sizes: Sizes, act: impl FnOnce(&mut Kept) + Send) {
    let netns = Netns::new();
    let interfaces = netns.add_interfaces(pods().count());
    within(&netns, || {
        let pins = Bpffs::new();
        let kernel = Kernel::open(&pins.path(), &Options { sizes, ..Options::default() }).unwrap();
        let keeper = Keeper::open(Arc::new(kernel), Limits::default()).unwrap();
        act(&mut Kept { keeper, places: Places::default(), interfaces, port: Cell::new(30_000) });
    });
}

/// A policy for all Pods of a namespace.
fn all(name: &str, ingress: &Value) -> Value {
    json!({ "apply": { name: { "podSelector": {}, "policyTypes": ["Ingress"], "ingress": ingress } } })
}

fn request(at: usize, interface: HostInterface) -> PodRequest {
    let (namespace, name) = pods().nth(at).unwrap();
    let uid = format!("{namespace}-{name}");
    let pod = PodName { namespace: namespace.to_owned(), name: name.to_owned(), uid };
    PodRequest { pod, interface, addresses: [Family::V4, Family::V6].map(|family| address(family, at)).to_vec() }
}

// === impl Kept ===

impl Kept {
    /// Pods' networks are set up.
    fn place(&mut self, pods: &[usize]) {
        for at in pods {
            self.place_at(*at, self.interfaces[*at].clone());
        }
    }

    fn place_at(&mut self, at: usize, interface: HostInterface) {
        assert!(self.places.put(request(at, interface)));
    }

    fn keep(&mut self, cluster: &Cluster) -> Result<(), KeepError> {
        self.keep_inputs(&inputs(cluster))
    }

    fn keep_inputs(&mut self, inputs: &Inputs) -> Result<(), KeepError> {
        self.keeper.keep(inputs, &self.places, Extent::All)
    }

    /// Both ends of the next connection from a Pod to another.
    fn next(&self, from: usize, to: usize, port: u16) -> [(IpAddr, u16); 2] {
        self.port.set(self.port.get() + 1);
        [(address(Family::V4, from), self.port.get()), (address(Family::V4, to), port)]
    }

    fn passes(&self, pod: usize, direction: Direction, packet: &Packet) -> bool {
        let interface = self.interfaces[pod].index;
        let hook = if direction == Egress { Hook::FromPod(interface) } else { Hook::ToPod(interface) };
        self.keeper.kernel().run(&Trial { hook, frame: &packet.frame(), times: 1 }).unwrap().passes
    }

    /// Whether a new connection comes in to a Pod.
    fn comes_in(&self, from: usize, to: usize, port: u16) -> bool {
        let [source, destination] = self.next(from, to, port);
        self.passes(to, Ingress, &Packet::tcp(source, destination, SYN))
    }

    /// Whether one leaves a Pod.
    fn goes_out(&self, from: usize, to: usize, port: u16) -> bool {
        let [source, destination] = self.next(from, to, port);
        self.passes(from, Egress, &Packet::tcp(source, destination, SYN))
    }
}

#[test]
fn what_policies_of_an_audited_namespace_deny_passes_and_is_told_until_it_is_audited_no_more() {
    on_node(sizes(), |node| {
        node.place(&[XA, XB, YA]);
        let mut cluster = Cluster::new(Family::V4);
        cluster.take(&json!({ "annotate": { "x": { "stockade.dev/enforcement": "Audit" } } }));
        cluster.take(&all("x/none", &json!([])));
        cluster.take(&all("y/none", &json!([])));
        node.keep(&cluster).unwrap();
        let [source, destination] = node.next(XB, XA, 80);
        assert!(node.passes(XA, Ingress, &Packet::tcp(source, destination, SYN)));
        assert!(!node.comes_in(XB, YA, 80), "of a namespace that is not audited");
        let outcomes: Vec<_> = told(node.keeper.kernel()).into_iter().map(|e| (e.interface, e.outcome)).collect();
        let [in_x, in_y] = [XA, YA].map(|at| node.interfaces[at].index);
        assert_eq!(outcomes, [(in_x, Outcome::WouldDeny), (in_y, Outcome::Denied)]);
        cluster.take(&json!({ "annotate": { "x": {} } }));
        node.keep(&cluster).unwrap();
        assert!(!node.comes_in(XB, XA, 80));
        assert!(!node.passes(XA, Ingress, &Packet::tcp(source, destination, ACK)), "one that was opened before");
    });
}

#[test]
fn while_the_kernel_has_no_room_who_is_new_is_closed_and_the_others_keep_what_they_have() {
    on_node(Sizes { ports: 16, ..sizes() }, |node| {
        node.place(&[XA, XB]);
        let mut cluster = Cluster::new(Family::V4);
        let from = json!([{ "podSelector": { "matchLabels": { "pod": "b" } } }]);
        cluster.take(&all("x/web", &json!([{ "from": from, "ports": [{ "port": 80 }] }])));
        node.keep(&cluster).unwrap();
        let as_before = |node: &Kept| [node.comes_in(XB, XA, 80), node.comes_in(XB, XA, 81), node.goes_out(XA, XB, 80)];
        assert_eq!(as_before(node), [true, false, true]);
        cluster.take(&all("y/many", &ports(1_000, 40)));
        // One whom that policy selects, and one whom none does.
        node.place(&[YA, ZA]);
        let error = node.keep(&cluster).unwrap_err();
        assert!(matches!(error, KeepError::Kernel(KernelError::Full { map: "ports", bound: 16 })), "{error:?}");
        assert_eq!(error.to_string(), "map ports has room for 16 entries, which does not suffice");
        assert_eq!(as_before(node), [true, false, true]);
        let opened = [YA, ZA].map(|at| [node.comes_in(XB, at, 1_000), node.goes_out(at, XB, 1_000)]);
        assert_eq!(opened, [[false; 2]; 2]);
        let hung: Vec<u32> = node.keeper.kernel().attached().unwrap().into_keys().collect();
        assert_eq!(hung, [XA, XB, YA, ZA].map(|at| node.interfaces[at].index), "so nothing passes by real traffic");
        cluster.take(&json!({ "remove": ["y/many"] }));
        node.keep(&cluster).unwrap();
        let opened = [YA, ZA].map(|at| [node.comes_in(XB, at, 1_000), node.goes_out(at, XB, 1_000)]);
        assert_eq!(opened, [[true; 2]; 2]);
    });
}

/// As many ports, from one on; no two make a range.
fn ports(first: usize, count: usize) -> Value {
    let ports: Vec<Value> = (0..count).map(|n| json!({ "port": first + 2 * n })).collect();
    json!([{ "ports": ports }])
}

#[test]
fn what_an_attempt_without_room_has_left_is_removed_and_what_pods_are_judged_by_is_not() {
    on_node(Sizes { ports: 16, ..sizes() }, |node| {
        node.place(&[XA, XB]);
        let mut cluster = Cluster::new(Family::V4);
        cluster.take(&all("x/web", &ports(80, 1)));
        node.keep(&cluster).unwrap();
        // Another agent, which has not written what Pods are judged by.
        node.keeper = Keeper::open(Arc::clone(node.keeper.kernel()), Limits::default()).unwrap();
        let as_before = |node: &Kept| [node.comes_in(XB, XA, 80), node.comes_in(XB, XA, 81), node.goes_out(XA, XB, 80)];
        cluster.take(&all("x/web", &ports(1_000, 40)));
        let is_full = |node: &Kept, error: KeepError| {
            assert!(matches!(error, KeepError::Kernel(KernelError::Full { map: "ports", .. })), "{error:?}");
            assert_eq!(as_before(node), [true, false, true]);
        };
        let error = node.keep(&cluster).unwrap_err();
        is_full(node, error);
        // This one would fit, were the first not half there.
        cluster.take(&all("x/web", &ports(3_000, 10)));
        let mut attempts = 0;
        while let Err(error) = node.keep(&cluster) {
            is_full(node, error);
            // First goes what the first would have left, then what it has; both at once where time has passed.
            attempts += 1;
            assert!(attempts <= 2);
            let due = node.keeper.next_removal().unwrap();
            std::thread::sleep(due.saturating_duration_since(std::time::Instant::now()));
            node.keeper.remove_stale().unwrap();
            assert_eq!(as_before(node), [true, false, true]);
        }
        assert_ne!(attempts, 0);
        assert_eq!([node.comes_in(XB, XA, 80), node.comes_in(XB, XA, 3_018)], [false, true]);
    });
}

#[test]
fn while_nothing_can_be_decided_who_is_new_is_closed_and_the_others_keep_what_they_have() {
    on_node(sizes(), |node| {
        node.place(&[XA]);
        let mut cluster = Cluster::new(Family::V4);
        cluster.take(&all("x/web", &json!([{ "ports": [{ "port": 80 }] }])));
        node.keep(&cluster).unwrap();
        node.place(&[ZA]);
        // Two that have one number, which nobody can make who does not know the secret.
        let mut told = inputs(&cluster);
        let one = Identity::new("elsewhere".into(), &BTreeMap::new(), &[]);
        let other = Identity { namespace: "somewhere".into(), ..one.clone() };
        let slice = |identity: Identity, last: u8| {
            let identities = vec![(Arc::new(identity.clone()), [IpAddr::from([10, 9, 9, last])].into())];
            (last.to_string(), SliceFacts { version: 1, namespace: identity.namespace, identities })
        };
        told.slices = [slice(one, 1), slice(other, 2)].into_iter().collect();
        let error = node.keep_inputs(&told).unwrap_err();
        assert!(matches!(error, KeepError::Undecided(_)), "{error:?}");
        let seen = |node: &Kept| {
            let old = [node.comes_in(XB, XA, 80), node.comes_in(XB, XA, 81)];
            (old, [node.comes_in(XB, ZA, 80), node.goes_out(ZA, XB, 80)])
        };
        assert_eq!(seen(node), ([true, false], [false; 2]));
        let hung: Vec<u32> = node.keeper.kernel().attached().unwrap().into_keys().collect();
        assert_eq!(hung, [XA, ZA].map(|at| node.interfaces[at].index), "so nothing passes by real traffic");
        node.keep(&cluster).unwrap();
        assert_eq!(seen(node), ([true, false], [true; 2]));
    });
}

#[test]
fn an_interface_that_is_gone_keeps_nobody_else_waiting() {
    on_node(sizes(), |node| {
        let mut cluster = Cluster::new(Family::V4);
        cluster.take(&all("x/none", &json!([])));
        let gone = HostInterface { index: 9_999, name: "gone".to_owned() };
        node.place_at(XA, gone.clone());
        node.place(&[XB, ZA]);
        let error = node.keep(&cluster).unwrap_err();
        assert!(matches!(error, KeepError::Kernel(KernelError::Refused { .. })), "{error:?}");
        let hung: Vec<u32> = node.keeper.kernel().attached().unwrap().into_keys().collect();
        assert_eq!(hung, [XB, ZA].map(|at| node.interfaces[at].index));
        let asked =
            [request(XA, gone), request(XB, node.interfaces[XB].clone()), request(ZA, node.interfaces[XB].clone())];
        let held = asked.map(|request| node.keeper.holds(&request));
        assert_eq!(held, [false, true, false], "nobody goes on without programs, nor by another's interface");
        assert_eq!([node.comes_in(ZA, XB, 80), node.comes_in(XB, ZA, 80)], [false, true]);
    });
}
