//! What is found of one Pod's contents in a kernel in memory.

use std::sync::Arc;

use stockade_netpol::plan::{Leaf, PortKey};
use stockade_netpol::policy::Direction;

use super::*;
use crate::apply::tests::{Memory, one_pod};
use crate::apply::{Extent, Held, Writer};
use crate::kernel::{Head, PortsKey};

/// What somebody does to the kernel's tables.
type Change<'c> = &'c dyn Fn(&Memory);

/// One Pod, whose table has a block too.
fn wanted() -> Contents {
    let mut wanted = one_pod();
    let table = wanted.tables.values_mut().next().unwrap();
    table.blocks[0] = Arc::new([(Prefix::of([10, 0, 0, 0].into(), 104), 11)].into());
    wanted
}

/// What is found when somebody has changed something.
fn found(change: impl FnOnce(&Memory)) -> ReadBack {
    let kernel = Memory::new();
    let mut held = Held::read(&kernel).unwrap();
    Writer::new(&kernel, &mut held).write(&wanted(), Extent::All).unwrap();
    change(&kernel);
    read_back(&kernel, Some(&wanted())).unwrap()
}

#[test]
fn what_is_as_it_was_written_lacks_nothing_whatever_is_there_besides_and_of_whichever_generation() {
    let as_written = found(|_| {});
    assert_eq!(as_written.lacks, None);
    let generation = found(|kernel| {
        let (interface, endpoint) = kernel.endpoints().all().unwrap().pop_first().unwrap();
        kernel.endpoints().set(&[(interface, Endpoint { generation: 77, ..endpoint })]).unwrap();
    });
    assert_eq!((generation.lacks, &generation.digest), (None, &as_written.digest));
    let besides = found(|kernel| {
        let key = PeerKey { table: 100, direction: Direction::Egress, identity: 999 };
        kernel.peers().set(&[(key, 11)]).unwrap();
    });
    assert_eq!(besides.lacks, None);
    assert_ne!(besides.digest, as_written.digest);
}

#[test]
fn each_table_that_somebody_has_changed_is_named_and_has_another_digest() {
    let port = PortsKey { set: 11, ports: PortKey { protocol: 6, port: 99, bits: 16 } };
    let changes: [(&str, Change<'_>); 9] = [
        ("ports", &|kernel| {
            let key = kernel.ports().all().unwrap().into_keys().next().unwrap();
            let leaf = Leaf { admin: 1, network: 1, baseline: 1 };
            kernel.ports().set(&[(key, leaf), (port, leaf)]).unwrap();
        }),
        ("policies", &|kernel| {
            let keys: Vec<PeerKey> = kernel.peers().all().unwrap().into_keys().collect();
            kernel.peers().remove(&keys[..1]).unwrap();
        }),
        ("policies", &|kernel| {
            let (key, set) = kernel.peers().all().unwrap().pop_first().unwrap();
            kernel.peers().set(&[(key, set + 1)]).unwrap();
        }),
        ("policies", &|kernel| {
            let (id, head) = kernel.tables().all().unwrap().pop_last().unwrap();
            kernel.tables().set(&[(id, Head { directions: Default::default(), ..head })]).unwrap();
        }),
        ("policies", &|kernel| {
            let keys: Vec<BlockKey> = kernel.blocks().all().unwrap().into_keys().collect();
            kernel.blocks().remove(&keys).unwrap();
        }),
        ("endpoints", &|kernel| {
            let (interface, endpoint) = kernel.endpoints().all().unwrap().pop_first().unwrap();
            kernel.endpoints().set(&[(interface, Endpoint { table: 0, ..endpoint })]).unwrap();
        }),
        ("local addresses", &|kernel| kernel.local_addresses().set(&[([10, 9, 9, 9].into(), 3)]).unwrap()),
        ("identities", &|kernel| kernel.identities().set(&[([10, 9, 9, 9].into(), 7)]).unwrap()),
        ("services", &|kernel| kernel.services().set(&[(Prefix::of([10, 96, 0, 0].into(), 112), ())]).unwrap()),
    ];
    let as_written = found(|_| {}).digest;
    for (table, change) in changes {
        let changed = found(change);
        assert_eq!(changed.lacks, Some(table));
        assert_ne!(changed.digest, as_written);
    }
}
