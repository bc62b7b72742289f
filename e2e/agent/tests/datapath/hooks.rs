//! How programs hang on interfaces, and how they are taken off.

use stockade_agent::kernel::{AttachedBy, BlockKey, Endpoint, Entries, Head, Hooks, Kernel, KernelError, Options};
use stockade_agent::kernel::{PeerKey, PortsKey, Sizes, Tables};
use stockade_e2e_agent::bpffs::Bpffs;
use stockade_e2e_agent::hosts::within;
use stockade_e2e_agent::netns::Netns;
use stockade_netpol::plan::{Leaf, PortKey, Prefix};

use crate::host::{Host, Ingress, sizes};

fn assert_they_hang_and_leave_nothing(hooks: Hooks, by: AttachedBy) {
    let netns = Netns::new();
    let interfaces = netns.add_interfaces(2);
    let [first, second] = [&interfaces[0], &interfaces[1]].map(|interface| interface.index);
    let pins = Bpffs::new();
    let folder = pins.path().join("stockade");
    let open = || Kernel::open(&folder, &Options { sizes: sizes(), hooks, ..Options::default() }).unwrap();
    within(&netns, || {
        let kernel = open();
        kernel.endpoints().set(&[(first, Endpoint::default()), (second, Endpoint::default())]).unwrap();
        let hang = |kernel: &Kernel, interface| (kernel.attach(interface).unwrap(), kernel.settle(interface).unwrap());
        assert_eq!([first, second].map(|interface| hang(&kernel, interface)), [(AttachedBy::Clsact, by); 2]);
        let before = kernel.attached().unwrap();
        assert_eq!(before.keys().copied().collect::<Vec<_>>(), [first, second]);
        assert!(before.values().all(|at| at.by == by && at.from_pod.is_some() && at.to_pod.is_some()));
        // Another agent finds them, and puts its own in their place.
        let next = open();
        assert_eq!(next.attached().unwrap(), before);
        assert_eq!(next.attach(first).unwrap(), by);
        let after = next.attached().unwrap();
        assert_eq!(after[&second], before[&second]);
        assert!(after[&first].by == by && after[&first].from_pod != before[&first].from_pod);
        assert!(after[&first].to_pod.is_some() && after[&first].to_pod != before[&first].to_pod);
        // One that is not there, or is gone.
        let error = next.attach(9_999).unwrap_err();
        assert!(matches!(&error, KernelError::Refused { doing, .. } if doing.contains("9999")), "{error}");
        netns.ip(&format!("link delete {}", interfaces[1].name));
        assert_eq!(next.attached().unwrap().into_keys().collect::<Vec<_>>(), [first]);
        for _ in 0..2 {
            next.detach(first).unwrap();
            next.detach(second).unwrap();
            assert!(next.attached().unwrap().is_empty());
        }
        // What was taken off is off at once.
        assert_eq!(hang(&next, first), (AttachedBy::Clsact, by));
        drop(kernel);
        next.remove().unwrap();
        assert!(!folder.exists());
        let other = open();
        other.endpoints().set(&[(first, Endpoint::default())]).unwrap();
        assert!(other.attached().unwrap().is_empty());
    });
}

#[test]
fn programs_hang_by_tcx_are_replaced_in_their_place_and_leave_nothing() {
    assert_they_hang_and_leave_nothing(Hooks::Tried, AttachedBy::Tcx);
}

#[test]
fn programs_hang_by_clsact_are_replaced_in_their_place_and_leave_nothing() {
    assert_they_hang_and_leave_nothing(Hooks::Clsact, AttachedBy::Clsact);
}

/// What a map says when more is written than it has room for.
fn fill<K: Copy, V: Copy>(entries: &dyn Entries<K, V>, key: impl Fn(u32) -> K, value: V) -> (&'static str, u32) {
    // The kernel lets a few more in: each CPU has spare ones.
    let many: Vec<(K, V)> = (0..4_096).map(|n| (key(n), value)).collect();
    match entries.set(&many).unwrap_err() {
        KernelError::Full { map, bound } => (map, bound),
        error => unreachable!("{error}"),
    }
}

#[test]
fn a_map_without_room_says_which_it_is_and_how_much_it_has() {
    let least = Sizes { endpoints: 16, identities: 16, tables: 16, peers: 16, blocks: 16, ports: 16, ..sizes() };
    let Host { kernel, .. } = Host::with(&Options { sizes: least, ..Options::default() });
    let address = |n: u32| std::net::Ipv4Addr::from(0x0b00_0000 + n).into();
    let block = |n: u32| Prefix::of(address(n), 128);
    let ports = |n: u32| PortKey { protocol: 6, port: n as u16, bits: 16 };
    let direction = Ingress;
    let full = [
        fill(kernel.endpoints(), |n| n + 2, Endpoint::default()),
        fill(kernel.local_addresses(), address, 2),
        fill(kernel.identities(), address, 7),
        fill(kernel.tables(), u64::from, Head::default()),
        fill(kernel.peers(), |n| PeerKey { table: 1, identity: n.into(), direction }, 7),
        fill(kernel.blocks(), |n| BlockKey { table: 1, direction, block: block(n) }, 7),
        fill(kernel.ports(), |n| PortsKey { set: 1, ports: ports(n) }, Leaf::NONE),
        fill(kernel.services(), block, ()),
    ];
    let expected = [
        ("endpoints", 16),
        ("local_addresses", 32),
        ("identities", 16),
        ("tables", 16),
        ("peers", 16),
        ("blocks", 16),
        ("ports", 16),
        ("services", 256),
    ];
    assert_eq!(full, expected);
}
