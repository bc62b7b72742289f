//! A kernel in memory that may refuse any write.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Mutex;

use proptest::prelude::*;
use stockade_netpol::plan::{Leaf, PortKey, Prefix};
use stockade_netpol::policy::Direction;

use super::*;
use crate::kernel::{BlockKey, Head, HeadDirection, PortsKey};

/// A kernel that takes so many writes of one entry, and refuses those after.
#[derive(Debug, Default)]
struct Memory {
    ports: Map<PortsKey, Leaf>,
    peers: Map<PeerKey, u64>,
    blocks: Map<BlockKey, u64>,
    tables: Map<u64, Head>,
    endpoints: Map<u32, Endpoint>,
    local_addresses: Map<IpAddr, u32>,
    identities: Map<IpAddr, u64>,
    services: Map<Prefix, ()>,
    attached: Mutex<BTreeSet<u32>>,
    left: std::sync::Arc<Mutex<usize>>,
}

#[derive(Debug)]
struct Map<K, V> {
    entries: Mutex<BTreeMap<K, V>>,
    left: std::sync::Arc<Mutex<usize>>,
}

impl<K, V> Default for Map<K, V> {
    fn default() -> Self {
        Self { entries: Mutex::default(), left: std::sync::Arc::default() }
    }
}

fn spend(left: &Mutex<usize>) -> Result<(), KernelError> {
    let mut left = left.lock().unwrap();
    *left = left.checked_sub(1).ok_or(KernelError::Full { map: "any", bound: 0 })?;
    Ok(())
}

impl<K: Ord + Copy + Send + Sync, V: Copy + Send + Sync> Entries<K, V> for Map<K, V> {
    fn all(&self) -> Result<BTreeMap<K, V>, KernelError> {
        Ok(self.entries.lock().unwrap().clone())
    }

    fn get(&self, key: &K) -> Result<Option<V>, KernelError> {
        Ok(self.entries.lock().unwrap().get(key).copied())
    }

    fn set(&self, entries: &[(K, V)]) -> Result<(), KernelError> {
        for (key, value) in entries {
            spend(&self.left)?;
            self.entries.lock().unwrap().insert(*key, *value);
        }
        Ok(())
    }

    fn remove(&self, keys: &[K]) -> Result<(), KernelError> {
        for key in keys {
            spend(&self.left)?;
            self.entries.lock().unwrap().remove(key);
        }
        Ok(())
    }
}

impl Memory {
    fn new() -> Self {
        let mut memory = Self::default();
        let left = memory.left.clone();
        *left.lock().unwrap() = usize::MAX;
        memory.ports.left = left.clone();
        memory.peers.left = left.clone();
        memory.blocks.left = left.clone();
        memory.tables.left = left.clone();
        memory.endpoints.left = left.clone();
        memory.local_addresses.left = left.clone();
        memory.identities.left = left.clone();
        memory.services.left = left;
        memory
    }

    fn allow(&self, writes: usize) {
        *self.left.lock().unwrap() = writes;
    }
}

impl Tables for Memory {
    fn endpoints(&self) -> &dyn Entries<u32, Endpoint> {
        &self.endpoints
    }
    fn local_addresses(&self) -> &dyn Entries<IpAddr, u32> {
        &self.local_addresses
    }
    fn identities(&self) -> &dyn Entries<IpAddr, u64> {
        &self.identities
    }
    fn tables(&self) -> &dyn Entries<u64, Head> {
        &self.tables
    }
    fn peers(&self) -> &dyn Entries<PeerKey, u64> {
        &self.peers
    }
    fn blocks(&self) -> &dyn Entries<BlockKey, u64> {
        &self.blocks
    }
    fn ports(&self) -> &dyn Entries<PortsKey, Leaf> {
        &self.ports
    }
    fn services(&self) -> &dyn Entries<Prefix, ()> {
        &self.services
    }
}

impl Programs for Memory {
    fn attach(&self, interface: u32) -> Result<(), KernelError> {
        spend(&self.left)?;
        assert!(self.endpoints.get(&interface)?.is_some(), "programs before their endpoint");
        self.attached.lock().unwrap().insert(interface);
        Ok(())
    }

    fn detach(&self, interface: u32) -> Result<(), KernelError> {
        spend(&self.left)?;
        assert!(self.endpoints.get(&interface)?.is_some(), "the endpoint before its programs");
        self.attached.lock().unwrap().remove(&interface);
        Ok(())
    }

    fn attached(&self) -> Result<BTreeMap<u32, bool>, KernelError> {
        Ok(self.attached.lock().unwrap().iter().map(|interface| (*interface, true)).collect())
    }
}

fn entry(set: u64, n: u16) -> (PortsKey, Leaf) {
    (PortsKey { set, ports: PortKey { protocol: 6, port: n, bits: 16 } }, Leaf { network: set as u32, ..Leaf::NONE })
}

/// What an id of a port set stands for.
fn ports_of(set: u64) -> impl Iterator<Item = (PortsKey, Leaf)> {
    (1..=3).map(move |n| entry(set, n))
}

/// What an id of a table stands for, but for its peers.
fn head_of(table: u64) -> Head {
    let ingress = HeadDirection { judged: true, isolated: true, everyone: 10 + table % 3, ..HeadDirection::default() };
    Head { directions: [ingress, HeadDirection::default()], digest: [table as u8; 32] }
}

fn peer(table: u64, identity: u64) -> PeerKey {
    PeerKey { table, identity, direction: Direction::Ingress }
}

fn address(n: u8) -> IpAddr {
    Ipv4Addr::new(10, 0, 0, n).into()
}

/// Contents in which everything that is pointed to is there: endpoints with one of four tables or none, which say
/// something of some of three identities, which three addresses have.
fn contents() -> impl Strategy<Value = Contents> {
    let endpoints = prop::collection::btree_map(2_u32..5, prop::option::of(100_u64..104), 0..4);
    let said = prop::collection::btree_set((100_u64..104, 5_u64..8), 0..10);
    let identities = prop::collection::btree_map(0_u8..3, 5_u64..8, 0..4);
    (endpoints, said, identities).prop_map(|(endpoints, said, identities)| {
        let mut contents = Contents::default();
        for (interface, table) in endpoints {
            let table = table.unwrap_or_default();
            contents.endpoints.insert(interface, Endpoint { identity: 5, table, ..Endpoint::default() });
            contents.local_addresses.insert(address(100 + interface as u8), interface);
            if table != 0 {
                contents.tables.insert(table, head_of(table));
                contents.ports.extend(ports_of(10 + table % 3));
                for (_, identity) in said.iter().filter(|(of, _)| *of == table) {
                    contents.peers.insert(peer(table, *identity), 20 + identity % 2);
                    contents.ports.extend(ports_of(20 + identity % 2));
                }
            }
        }
        contents.identities = identities.into_iter().map(|(n, identity)| (address(n), identity)).collect();
        contents
    })
}

/// What an endpoint's table says of an address; whole port sets, or a panic.
fn says(now: &Contents, interface: u32, from: IpAddr) -> Option<(Head, Option<u64>)> {
    let table = now.endpoints.get(&interface)?.table;
    if table == 0 {
        return None;
    }
    let head = now.tables.get(&table).expect("an endpoint whose table is not there");
    assert_eq!(*head, head_of(table));
    let identity = now.identities.get(&from).copied().unwrap_or_default();
    let set = now.peers.get(&peer(table, identity)).copied();
    for set in set.into_iter().chain([head.directions[0].everyone]) {
        for (key, leaf) in ports_of(set) {
            assert_eq!(now.ports.get(&key), Some(&leaf), "half a port set");
        }
    }
    Some((*head, set))
}

fn generations(contents: &Contents) -> Contents {
    let mut contents = contents.clone();
    for endpoint in contents.endpoints.values_mut() {
        endpoint.generation = 0;
    }
    contents
}

fn write(kernel: &Memory, held: &mut Held, wanted: &Contents) -> Result<(), KernelError> {
    Writer::new(kernel, held).write(wanted, Extent::All)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn wherever_writing_ends_each_endpoint_has_a_whole_table_and_the_next_agent_goes_on(
        before in contents(),
        after in contents(),
    ) {
        for writes in 0.. {
            let kernel = Memory::new();
            let mut held = Held::read(&kernel).unwrap();
            write(&kernel, &mut held, &before).unwrap();
            kernel.allow(writes);
            let written = write(&kernel, &mut held, &after);
            kernel.allow(usize::MAX);
            let now = Contents::read(&kernel).unwrap();
            prop_assert_eq!(&now, &held.contents);
            for interface in now.endpoints.keys() {
                for n in 0..4 {
                    let said = says(&now, *interface, address(n));
                    let is_kept = before.endpoints.contains_key(interface);
                    // Of an address that had the same identity before and has it after: one of both says so.
                    let same = before.identities.get(&address(n)) == after.identities.get(&address(n));
                    if same && is_kept && after.endpoints.contains_key(interface) {
                        let of = |state| says(state, *interface, address(n));
                        let known = [of(&before), of(&after)].contains(&said) || {
                            // The old table, as the new state would have it, on the way to another table.
                            let table = before.endpoints[interface].table;
                            after.tables.contains_key(&table) && now.endpoints[interface].table == table
                        };
                        prop_assert!(known, "{:?}", said);
                    }
                }
            }
            for interface in kernel.attached().unwrap().into_keys() {
                prop_assert!(now.endpoints.contains_key(&interface));
            }
            // Another agent, which knows nothing but what is there.
            let mut held = Held::read(&kernel).unwrap();
            write(&kernel, &mut held, &after).unwrap();
            let gone = stale(&held.contents, &after);
            Writer::new(&kernel, &mut held).remove(&gone, &after).unwrap();
            prop_assert_eq!(generations(&Contents::read(&kernel).unwrap()), generations(&after));
            prop_assert!(kernel.attached().unwrap().keys().eq(after.endpoints.keys()));
            if written.is_ok() {
                break;
            }
        }
    }
}

/// One Pod with a table that lets one identity in, which one address has.
fn one_pod() -> Contents {
    let mut contents = Contents::default();
    contents.endpoints.insert(3, Endpoint { identity: 5, table: 100, ..Endpoint::default() });
    contents.local_addresses.insert(address(101), 3);
    contents.tables.insert(100, head_of(100));
    contents.ports.extend(ports_of(11));
    contents.ports.extend(ports_of(21));
    contents.peers.insert(peer(100, 7), 21);
    contents.identities.insert(address(1), 7);
    contents
}

#[test]
fn open_connections_are_judged_again_when_what_they_are_judged_by_changes_and_only_then() {
    let kernel = Memory::new();
    let mut held = Held::read(&kernel).unwrap();
    let mut wanted = one_pod();
    let generation = |kernel: &Memory| kernel.endpoints.get(&3).unwrap().unwrap().generation;
    let mut after = |wanted: &Contents| {
        write(&kernel, &mut held, wanted).unwrap();
        generation(&kernel)
    };
    assert_eq!(after(&wanted), 1);
    assert_eq!(after(&wanted), 1);
    // Somebody new: nobody has a connection with them.
    wanted.identities.insert(address(2), 6);
    wanted.peers.insert(peer(100, 6), 21);
    assert_eq!(after(&wanted), 1);
    // A namespace has other labels: somebody known may no longer.
    wanted.peers.remove(&peer(100, 6));
    assert_eq!(after(&wanted), 2);
    assert_eq!(kernel.peers.get(&peer(100, 6)).unwrap(), None);
    // Another table.
    wanted.endpoints.get_mut(&3).unwrap().table = 0;
    assert_eq!(after(&wanted), 3);
    // An agent that does not know what the one before it had finished.
    let mut held = Held::read(&kernel).unwrap();
    write(&kernel, &mut held, &wanted).unwrap();
    assert_eq!(generation(&kernel), 4);
}

#[test]
fn what_is_stale_stays_for_a_while_and_is_kept_when_it_is_wanted_again() {
    let kernel = Memory::new();
    let mut held = Held::read(&kernel).unwrap();
    let (first, mut second) = (one_pod(), one_pod());
    second.endpoints.get_mut(&3).unwrap().table = 0;
    second.tables.clear();
    second.peers.clear();
    second.ports.clear();
    write(&kernel, &mut held, &first).unwrap();
    write(&kernel, &mut held, &second).unwrap();
    assert_eq!(kernel.tables.all().unwrap().len(), 1);
    let gone = stale(&held.contents, &second);
    write(&kernel, &mut held, &first).unwrap();
    Writer::new(&kernel, &mut held).remove(&gone, &first).unwrap();
    assert_eq!(generations(&Contents::read(&kernel).unwrap()), first);
    write(&kernel, &mut held, &second).unwrap();
    let gone = stale(&held.contents, &second);
    Writer::new(&kernel, &mut held).remove(&gone, &second).unwrap();
    assert_eq!(generations(&Contents::read(&kernel).unwrap()), second);
    assert!(stale(&held.contents, &second).is_empty());
}

#[test]
fn with_old_inputs_new_pods_get_their_tables_and_nothing_else_changes() {
    let kernel = Memory::new();
    let mut held = Held::read(&kernel).unwrap();
    write(&kernel, &mut held, &one_pod()).unwrap();
    let before = Contents::read(&kernel).unwrap();
    let mut old = Contents::default();
    old.endpoints.insert(3, Endpoint { identity: 5, table: 0, ..Endpoint::default() });
    old.endpoints.insert(2, Endpoint { identity: 6, table: 102, ..Endpoint::default() });
    old.local_addresses.insert(address(102), 2);
    old.tables.insert(102, head_of(102));
    old.ports.extend(ports_of(10));
    old.identities.insert(address(1), 5);
    old.identities.insert(address(102), 6);
    Writer::new(&kernel, &mut held).write(&old, Extent::NewPods).unwrap();
    let mut expected = before;
    let new = Endpoint { generation: 1, ..old.endpoints[&2] };
    expected.endpoints.insert(2, new);
    expected.local_addresses.insert(address(102), 2);
    expected.tables.insert(102, head_of(102));
    expected.ports.extend(ports_of(10));
    expected.identities.insert(address(102), 6);
    assert_eq!(Contents::read(&kernel).unwrap(), expected);
    assert_eq!(kernel.attached().unwrap(), BTreeMap::from([(2, true), (3, true)]));
}
