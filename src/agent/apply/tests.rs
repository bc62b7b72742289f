//! A kernel in memory that may refuse any write.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Mutex;

use proptest::prelude::*;
use stockade_netpol::plan::{Leaf, PortKey, Prefix};
use stockade_netpol::policy::Direction;

use super::*;
use crate::kernel::{BlockKey, Entries, Head, HeadDirection};

/// A kernel that takes so many writes of one entry, and refuses those after.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    ports: Map<PortsKey, Leaf>,
    peers: Map<PeerKey, u64>,
    blocks: Map<BlockKey, u64>,
    tables: Map<u64, Head>,
    endpoints: Map<u32, Endpoint>,
    local_addresses: Map<IpAddr, u32>,
    identities: Map<IpAddr, u64>,
    services: Map<Prefix, ()>,
    attached: Mutex<BTreeSet<u32>>,
    left: Arc<Mutex<usize>>,
}

#[derive(Debug)]
struct Map<K, V> {
    entries: Mutex<BTreeMap<K, V>>,
    left: Arc<Mutex<usize>>,
}

impl<K, V> Default for Map<K, V> {
    fn default() -> Self {
        Self { entries: Mutex::default(), left: Arc::default() }
    }
}

fn spend(left: &Mutex<usize>) -> Result<(), KernelError> {
    let mut left = left.lock().unwrap();
    *left = left.checked_sub(1).ok_or(KernelError::Full { map: "any", bound: 0 })?;
    Ok(())
}

impl<K: Ord + Copy + Send + Sync, V: Copy + Send + Sync> Entries<K, V> for Map<K, V> {
    fn for_each(&self, take: &mut dyn FnMut(K, V)) -> Result<(), KernelError> {
        self.all()?.into_iter().for_each(|(key, value)| take(key, value));
        Ok(())
    }

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
    pub(crate) fn new() -> Self {
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

    fn settle(&self, _interface: u32) -> Result<(), KernelError> {
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

    fn wait_for_running(&self) -> bool {
        true
    }
}

/// What an id of a port set stands for.
fn ports_of(set: u64) -> (u64, Arc<PortSetEntries>) {
    let leaf = Leaf { network: set as u32, ..Leaf::NONE };
    let entries = (1..=3).map(|port| (PortKey { protocol: 6, port, bits: 16 }, leaf));
    (set, Arc::new(entries.collect()))
}

/// What an id of a table stands for, but for its peers.
fn head_of(table: u64) -> Head {
    let ingress = HeadDirection { judged: true, isolated: true, everyone: 10 + table % 3, ..HeadDirection::default() };
    Head { directions: [ingress, HeadDirection::default()], digest: [table as u8; 32] }
}

/// A table that says something of some identities to what comes in.
fn table(id: u64, peers: impl IntoIterator<Item = (u64, u64)>) -> TableContents {
    let peers = [Arc::new(peers.into_iter().collect()), Arc::default()];
    TableContents { head: Some(head_of(id)), peers, ..TableContents::default() }
}

fn identities(all: impl IntoIterator<Item = (IpAddr, u64)>) -> Arc<BTreeMap<IpAddr, u64>> {
    Arc::new(all.into_iter().collect())
}

fn address(n: u8) -> IpAddr {
    Ipv4Addr::new(10, 0, 0, n).into()
}

/// Contents in which everything that is pointed to is there: endpoints with one of four tables or none, which say
/// something of some of three identities, which three addresses have.
fn contents() -> impl Strategy<Value = Contents> {
    let endpoints = prop::collection::btree_map(2_u32..5, prop::option::of(100_u64..104), 0..4);
    let said = prop::collection::btree_set((100_u64..104, 5_u64..8), 0..10);
    let known = prop::collection::btree_map(0_u8..3, 5_u64..8, 0..4);
    (endpoints, said, known).prop_map(|(endpoints, said, known)| {
        let mut contents = Contents::default();
        for (interface, id) in endpoints {
            let id = id.unwrap_or_default();
            contents.endpoints.insert(interface, Endpoint { identity: 5, table: id, ..Endpoint::default() });
            contents.local_addresses.insert(address(100 + interface as u8), interface);
            if id != 0 {
                let said = said.iter().filter(|(of, _)| *of == id);
                let said: Vec<(u64, u64)> = said.map(|(_, identity)| (*identity, 20 + identity % 2)).collect();
                contents.ports.extend([ports_of(10 + id % 3)]);
                contents.ports.extend(said.iter().map(|(_, set)| ports_of(*set)));
                contents.tables.insert(id, table(id, said));
            }
        }
        contents.identities = identities(known.into_iter().map(|(n, identity)| (address(n), identity)));
        contents
    })
}

/// What an endpoint's table says of an address; whole port sets, or a panic.
fn says(now: &Contents, interface: u32, from: IpAddr) -> Option<(Head, Option<u64>)> {
    let table = now.endpoints.get(&interface)?.table;
    if table == 0 {
        return None;
    }
    let held = now.tables.get(&table).expect("an endpoint whose table is not there");
    let head = head_of(table);
    assert_eq!(held.head, Some(head));
    let identity = now.identities.get(&from).copied().unwrap_or_default();
    let set = held.peers[0].get(&identity).copied();
    for set in set.into_iter().chain([head.directions[0].everyone]) {
        assert_eq!(now.ports.get(&set), Some(&ports_of(set).1), "half a port set");
    }
    Some((head, set))
}

fn generations(contents: &Contents) -> Contents {
    let mut contents = contents.clone();
    for endpoint in contents.endpoints.values_mut() {
        endpoint.generation = 0;
    }
    contents
}

/// All that the copy says the kernel has.
fn all_of(held: &Held) -> Contents {
    let mut all = held.contents.clone();
    for (PeerKey { table, direction, identity }, set) in &held.spare {
        let peers = &mut all.tables.get_mut(table).unwrap().peers[*direction as usize];
        assert_eq!(Arc::make_mut(peers).insert(*identity, *set), None);
    }
    all
}

fn remove_unwanted(kernel: &Memory, held: &mut Held, wanted: &Contents) {
    let items: Vec<Item> = held.unwanted(wanted).into_iter().collect();
    Writer::new(kernel, held).remove(&items).unwrap();
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
            prop_assert_eq!(&now, &all_of(&held));
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
            remove_unwanted(&kernel, &mut held, &after);
            prop_assert_eq!(&held.contents, &Contents::read(&kernel).unwrap());
            prop_assert_eq!(generations(&Contents::read(&kernel).unwrap()), generations(&after));
            prop_assert!(kernel.attached().unwrap().keys().eq(after.endpoints.keys()));
            if written.is_ok() {
                break;
            }
        }
    }
}

/// One Pod with a table that lets one identity in, which one address has.
pub(crate) fn one_pod() -> Contents {
    let mut contents = Contents::default();
    contents.endpoints.insert(3, Endpoint { identity: 5, table: 100, ..Endpoint::default() });
    contents.local_addresses.insert(address(101), 3);
    contents.tables.insert(100, table(100, [(7, 21)]));
    contents.ports.extend([ports_of(11), ports_of(21)]);
    contents.identities = identities([(address(1), 7)]);
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
    wanted.identities = identities([(address(1), 7), (address(2), 6)]);
    wanted.tables.insert(100, table(100, [(6, 21), (7, 21)]));
    assert_eq!(after(&wanted), 1);
    // A namespace has other labels: somebody known may no longer.
    wanted.tables.insert(100, table(100, [(7, 21)]));
    assert_eq!(after(&wanted), 2);
    let gone = PeerKey { table: 100, direction: Direction::Ingress, identity: 6 };
    assert_eq!(kernel.peers.get(&gone).unwrap(), None);
    // Another table.
    wanted.endpoints.get_mut(&3).unwrap().table = 0;
    assert_eq!(after(&wanted), 3);
    // An agent that does not know what the one before it had finished.
    let mut held = Held::read(&kernel).unwrap();
    write(&kernel, &mut held, &wanted).unwrap();
    assert_eq!(generation(&kernel), 4);
}

#[test]
fn what_nothing_asks_for_stays_until_it_is_removed() {
    let kernel = Memory::new();
    let mut held = Held::read(&kernel).unwrap();
    let (first, mut second) = (one_pod(), one_pod());
    second.endpoints.get_mut(&3).unwrap().table = 0;
    second.tables.clear();
    second.ports.clear();
    write(&kernel, &mut held, &first).unwrap();
    write(&kernel, &mut held, &second).unwrap();
    let unwanted = [Item::Table(100), Item::PortSet(11), Item::PortSet(21)];
    assert_eq!(held.unwanted(&second), BTreeSet::from(unwanted));
    assert_eq!(unwanted.map(|item| held.entries_of(&item)), [2, 3, 3]);
    assert_eq!(held.in_use(unwanted.iter()), BTreeSet::new());
    let before = Contents::read(&kernel).unwrap();
    assert_eq!((&before.tables, &before.ports), (&first.tables, &first.ports));
    // Wanted again, it is as it was.
    write(&kernel, &mut held, &first).unwrap();
    assert_eq!(held.unwanted(&first), BTreeSet::new());
    assert_eq!(held.in_use(unwanted.iter()), BTreeSet::from(unwanted));
    assert_eq!(generations(&Contents::read(&kernel).unwrap()), first);
    write(&kernel, &mut held, &second).unwrap();
    remove_unwanted(&kernel, &mut held, &second);
    assert_eq!(generations(&Contents::read(&kernel).unwrap()), second);
    assert_eq!(held.unwanted(&second), BTreeSet::new());
}

#[test]
fn what_a_table_said_of_one_who_is_gone_stays_until_it_is_removed_or_somebody_is_that_one_again() {
    let kernel = Memory::new();
    let mut held = Held::read(&kernel).unwrap();
    let (with, mut without) = (one_pod(), one_pod());
    without.tables.insert(100, table(100, []));
    without.ports.remove(&21);
    without.identities = identities([]);
    let gone = PeerKey { table: 100, direction: Direction::Ingress, identity: 7 };
    let said = |kernel: &Memory| kernel.peers.get(&gone).unwrap();
    write(&kernel, &mut held, &with).unwrap();
    write(&kernel, &mut held, &without).unwrap();
    assert_eq!((said(&kernel), held.unwanted(&without)), (Some(21), [Item::Peer(gone), Item::PortSet(21)].into()));
    // There again, and let in no more.
    without.identities = identities([(address(1), 7)]);
    write(&kernel, &mut held, &without).unwrap();
    assert_eq!((said(&kernel), held.unwanted(&without)), (None, [Item::PortSet(21)].into()));
    // Let in again before what is spare was removed.
    write(&kernel, &mut held, &with).unwrap();
    without.identities = identities([]);
    write(&kernel, &mut held, &without).unwrap();
    write(&kernel, &mut held, &with).unwrap();
    assert_eq!((said(&kernel), held.unwanted(&with)), (Some(21), BTreeSet::new()));
    write(&kernel, &mut held, &without).unwrap();
    remove_unwanted(&kernel, &mut held, &without);
    assert_eq!((said(&kernel), held.unwanted(&without)), (None, BTreeSet::new()));
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
    old.tables.insert(102, table(102, []));
    old.ports.extend([ports_of(10)]);
    old.identities = identities([(address(1), 5), (address(102), 6)]);
    Writer::new(&kernel, &mut held).write(&old, Extent::NewPods).unwrap();
    let mut expected = before;
    let new = Endpoint { generation: 1, ..old.endpoints[&2] };
    expected.endpoints.insert(2, new);
    expected.local_addresses.insert(address(102), 2);
    expected.tables.insert(102, table(102, []));
    expected.ports.extend([ports_of(10)]);
    expected.identities = identities([(address(1), 7), (address(102), 6)]);
    assert_eq!(Contents::read(&kernel).unwrap(), expected);
    assert_eq!(kernel.attached().unwrap(), BTreeMap::from([(2, true), (3, true)]));
}
