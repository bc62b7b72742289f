//! What is to be in the kernel, written into it in such an order that no packet is judged by half of it.
//!
//! 1. Port sets, what tables say of peers and blocks, beginnings of tables: nothing asks for them yet, or they say what
//!    was not said before, of identities that nobody has yet.
//! 2. What a table that stays no longer says of identities that stay: a namespace has other labels.
//! 3. Endpoints: one write each switches a Pod from one whole table to another. Then programs, where there are none.
//! 4. Addresses: who is new at one has its peers in all tables by now.
//! 5. Programs and endpoints of Pods that are gone, in this order.
//!
//! What nothing asks for any more ([`Held::unwanted`]) is removed some time after, when no packet is under way that had begun
//! to ask ([`crate::stale`]). A process that is killed between two writes leaves each endpoint with one whole table, the old
//! one or the new; the next one reads back what there is and goes on.

use std::cell::LazyCell;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use stockade_netpol::plan::{PortSetEntries, PortSets};

use crate::contents::{CLOSED, Contents, TableContents, read_ports, read_tables};
use crate::kernel::{Endpoint, Kernel, KernelError, PeerKey, PortsKey, Tables};
use crate::stale::Item;

mod entries;

use entries::{besides, changes, copied, differing, keep_only, missing, put};

/// Where programs hang.
pub trait Programs {
    /// Hangs them on an interface.
    ///
    /// # Errors
    /// The kernel's.
    fn attach(&self, interface: u32) -> Result<(), KernelError>;
    /// Hangs them there the way that is best in the long run, which takes longer.
    ///
    /// # Errors
    /// The kernel's. They hang as they did.
    fn settle(&self, interface: u32) -> Result<(), KernelError>;
    /// Takes them off an interface.
    ///
    /// # Errors
    /// The kernel's.
    fn detach(&self, interface: u32) -> Result<(), KernelError>;
    /// Interfaces that have any of them, and whether they have all.
    ///
    /// # Errors
    /// The kernel's.
    fn attached(&self) -> Result<BTreeMap<u32, bool>, KernelError>;
    /// Returns when none is running that ran when this was called; false at once where the kernel does not tell.
    fn wait_for_running(&self) -> bool;
}

/// Whether what is not wanted goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// The kernel is to hold this and no more.
    All,
    /// Only Pods that have no endpoint yet get one: what is wanted comes from inputs that may be old, so nothing that is
    /// there changes.
    NewPods,
}

/// A copy of what the kernel holds.
#[derive(Debug)]
pub struct Held {
    /// The copy, but for `spare`.
    pub contents: Contents,
    /// What tables still say of identities that nobody has any more.
    spare: BTreeMap<PeerKey, u64>,
    /// Tables that say something else since endpoints that use them were last written.
    touched: BTreeSet<u64>,
    /// Endpoints that this process has written, and hung programs on. Others are written whatever has changed: an agent
    /// before this one may have ended between two writes, and its programs be of another version.
    written: BTreeSet<u32>,
    /// Endpoints whose programs are to be settled.
    unsettled: BTreeSet<u32>,
    /// What [`Programs::attached`] told, and when, with what was hung since. To ask about all takes longer than all else
    /// of a Pod that starts.
    attached: Option<(Instant, BTreeMap<u32, bool>)>,
}

/// Writes what is wanted, and keeps the copy.
#[derive(Debug)]
pub struct Writer<'k, K> {
    kernel: &'k K,
    held: &'k mut Held,
}

impl Programs for Kernel {
    fn attach(&self, interface: u32) -> Result<(), KernelError> {
        Kernel::attach(self, interface).map(drop)
    }

    fn settle(&self, interface: u32) -> Result<(), KernelError> {
        Kernel::settle(self, interface).map(drop)
    }

    fn detach(&self, interface: u32) -> Result<(), KernelError> {
        Kernel::detach(self, interface)
    }

    fn attached(&self) -> Result<BTreeMap<u32, bool>, KernelError> {
        let found = Kernel::attached(self)?.into_iter();
        Ok(found.map(|(interface, has)| (interface, has.from_pod.is_some() && has.to_pod.is_some())).collect())
    }

    fn wait_for_running(&self) -> bool {
        Kernel::wait_for_running(self)
    }
}

/// How long it is not looked again what hangs where: a program that somebody took off is back with the next write after.
const LOOK_AGAIN: Duration = Duration::from_secs(10);

// === impl Held ===

impl Held {
    /// What the kernel holds now.
    ///
    /// # Errors
    /// The kernel's.
    pub fn read(kernel: &dyn Tables) -> Result<Self, KernelError> {
        Ok(Self {
            contents: Contents::read(kernel)?,
            spare: BTreeMap::new(),
            touched: BTreeSet::new(),
            written: BTreeSet::new(),
            unsettled: BTreeSet::new(),
            attached: None,
        })
    }

    /// Has programs be hung on an interface whatever is known of it: a Pod's network was set up there just now.
    pub fn is_new(&mut self, interface: u32) {
        self.written.remove(&interface);
    }

    /// Whether an interface is an endpoint with all of these addresses, and its programs hang.
    pub fn holds(&self, interface: u32, addresses: &[IpAddr]) -> bool {
        let is_here = |address: &IpAddr| self.contents.local_addresses.get(&address.to_canonical()) == Some(&interface);
        let is_endpoint = self.contents.endpoints.contains_key(&interface) && self.written.contains(&interface);
        is_endpoint && addresses.iter().all(is_here)
    }

    /// Whether programs of any endpoint are to be settled.
    pub fn is_unsettled(&self) -> bool {
        !self.unsettled.is_empty()
    }

    /// What nothing asks for, once all that is wanted has been written.
    pub fn unwanted(&self, wanted: &Contents) -> BTreeSet<Item> {
        let tables = self.contents.tables.keys().filter(|id| !wanted.tables.contains_key(id));
        let sets = self.contents.ports.keys().filter(|id| !wanted.ports.contains_key(id));
        let peers = self.spare.keys().copied().map(Item::Peer);
        tables.copied().map(Item::Table).chain(sets.copied().map(Item::PortSet)).chain(peers).collect()
    }

    /// What endpoints are judged by, of some that nothing asks for.
    pub fn in_use<'i>(&self, items: impl Iterator<Item = &'i Item>) -> BTreeSet<Item> {
        let tables = self.contents.tables_in_use();
        let mut sets = self.contents.port_sets_of(&tables);
        sets.extend(self.spare.iter().filter(|(key, _)| tables.contains(&key.table)).map(|(_, set)| *set));
        let is_used = |item: &&Item| match item {
            Item::Table(id) => tables.contains(id),
            Item::PortSet(id) => sets.contains(id),
            Item::Peer(key) => tables.contains(&key.table),
        };
        items.filter(is_used).copied().collect()
    }

    /// How many entries of the kernel an item is.
    pub fn entries_of(&self, item: &Item) -> usize {
        match item {
            Item::Table(id) => {
                let count = |table: &TableContents| 1 + table.peer_count() + table.block_count();
                self.contents.tables.get(id).map_or(0, count)
            }
            Item::PortSet(id) => self.contents.ports.get(id).map_or(0, |entries| entries.len()),
            Item::Peer(_) => 1,
        }
    }

    /// The tables as the kernel has them, where it is not known what a write that failed has left.
    fn read_tables_again(&mut self, kernel: &dyn Tables) -> Result<(), KernelError> {
        self.contents.tables = read_tables(kernel)?;
        self.spare.clear();
        Ok(())
    }
}

// === impl Writer ===

impl<'k, K: Tables + Programs> Writer<'k, K> {
    /// Of one kernel and its copy.
    pub fn new(kernel: &'k K, held: &'k mut Held) -> Self {
        Self { kernel, held }
    }

    /// Writes what is wanted. Generations of endpoints are counted here, those that are given do not matter.
    ///
    /// # Errors
    /// The first refusal. What was written before stays, and is as good as what was there.
    pub fn write(&mut self, wanted: &Contents, extent: Extent) -> Result<(), KernelError> {
        match extent {
            Extent::All => self.write_all(wanted),
            Extent::NewPods => self.write_new_pods(wanted),
        }
    }

    fn write_all(&mut self, wanted: &Contents) -> Result<(), KernelError> {
        let touched = self.touched_by(wanted);
        self.held.touched.extend(touched);
        self.write_port_sets(&wanted.ports)?;
        self.write_tables(&wanted.tables)?;
        let kernel = self.kernel;
        put(kernel.services(), &mut self.held.contents.services, &wanted.services)?;
        keep_only(kernel.services(), &mut self.held.contents.services, &wanted.services)?;
        self.take_back(wanted)?;
        let refused = self.switch(wanted)?;
        self.held.touched.clear();
        self.write_identities(&wanted.identities)?;
        let Held { contents: held, written, attached, .. } = &mut *self.held;
        if let Some((_, attached)) = attached {
            for interface in attached.keys().filter(|i| !wanted.endpoints.contains_key(i)) {
                kernel.detach(*interface)?;
            }
            attached.retain(|interface, _| wanted.endpoints.contains_key(interface));
        }
        keep_only(kernel.local_addresses(), &mut held.local_addresses, &wanted.local_addresses)?;
        written.retain(|interface| wanted.endpoints.contains_key(interface));
        keep_only(kernel.endpoints(), &mut held.endpoints, &wanted.endpoints)?;
        refused
    }

    fn write_new_pods(&mut self, wanted: &Contents) -> Result<(), KernelError> {
        let mut new = wanted.clone();
        let held = &self.held.contents;
        new.endpoints.retain(|interface, _| !held.endpoints.contains_key(interface));
        let endpoints = &new.endpoints;
        new.local_addresses.retain(|_, interface| endpoints.contains_key(interface));
        let is_whole = |id: &u64| held.tables.get(id).is_some_and(|table| table.head.is_some());
        let tables: BTreeSet<u64> = new.tables_in_use().into_iter().filter(|id| !is_whole(id)).collect();
        let mut identities = BTreeMap::clone(&held.identities);
        for (address, identity) in &*wanted.identities {
            identities.entry(*address).or_insert(*identity);
        }
        let mut added = Contents::default();
        added.add_tables_of(wanted, &tables);
        self.write_port_sets(&added.ports)?;
        self.write_tables(&added.tables)?;
        let refused = self.switch(&new)?;
        self.write_identities(&Arc::new(identities))?;
        refused
    }

    /// Closes Pods that have no endpoint yet, because what they are to be judged by cannot be written.
    ///
    /// # Errors
    /// The last refusal of a Pod; others are closed all the same.
    pub fn close_new(&mut self, wanted: &Contents) -> Result<(), KernelError> {
        let mut closed = Contents::default();
        let held = &self.held.contents.endpoints;
        let new = wanted.endpoints.iter().filter(|(interface, _)| !held.contains_key(interface));
        let close = |endpoint: &Endpoint| Endpoint { table: CLOSED, audit_table: 0, ..*endpoint };
        closed.endpoints = new.map(|(interface, endpoint)| (*interface, close(endpoint))).collect();
        self.switch(&closed)?
    }

    /// Writes port sets that are not there, or in part. What a set says does not change, so each is written as a whole.
    fn write_port_sets(&mut self, wanted: &PortSets) -> Result<(), KernelError> {
        let held = &mut self.held.contents.ports;
        let is_there = |id: &u64, entries: &Arc<PortSetEntries>| held.get(id).is_some_and(|held| held == entries);
        let new: Vec<_> = wanted.iter().filter(|(id, entries)| !is_there(id, entries)).collect();
        let key = |set: u64| move |(ports, leaf): (&_, &_)| (PortsKey { set, ports: *ports }, *leaf);
        let entries: Vec<_> = new.iter().flat_map(|(id, entries)| entries.iter().map(key(**id))).collect();
        let written = self.kernel.ports().set(&entries);
        match written {
            Ok(()) => held.extend(new.into_iter().map(|(id, entries)| (*id, Arc::clone(entries)))),
            Err(_) => *held = read_ports(self.kernel)?,
        }
        written
    }

    /// Writes what tables say and did not: of peers and blocks, then beginnings. What they no longer say is left.
    fn write_tables(&mut self, wanted: &BTreeMap<u64, TableContents>) -> Result<(), KernelError> {
        let nothing = TableContents::default();
        let held = &self.held.contents.tables;
        let is_there = |id: &u64, table: &TableContents| held.get(id).is_some_and(|held| held.is_same(table));
        let changed: Vec<_> = wanted.iter().filter(|(id, table)| !is_there(id, table)).collect();
        if changed.is_empty() {
            return Ok(());
        }
        let (mut peers, mut blocks, mut heads) = (Vec::new(), Vec::new(), Vec::new());
        for (id, table) in &changed {
            let before = held.get(id).unwrap_or(&nothing);
            peers.extend(missing(before.peers(**id), table.peers(**id)));
            blocks.extend(missing(before.blocks(**id), table.blocks(**id)));
            heads.extend(table.head.filter(|head| before.head != Some(*head)).map(|head| (**id, head)));
        }
        let kernel = self.kernel;
        let written = kernel.peers().set(&peers).and_then(|()| kernel.blocks().set(&blocks));
        let written = written.and_then(|()| kernel.tables().set(&heads));
        if written.is_err() {
            self.held.read_tables_again(kernel)?;
            return written;
        }
        for (key, _) in peers {
            self.held.spare.remove(&key);
        }
        for (id, table) in changed {
            self.adopt(*id, table)?;
        }
        Ok(())
    }

    /// Has the copy be a table as it is wanted, all of which was written: what it no longer says of blocks is taken back, of
    /// peers it is spare.
    fn adopt(&mut self, id: u64, table: &TableContents) -> Result<(), KernelError> {
        let Some(before) = self.held.contents.tables.insert(id, table.clone()) else { return Ok(()) };
        let spare = besides(before.peers(id), table.peers(id));
        self.held.spare.extend(spare);
        let gone: Vec<_> = besides(before.blocks(id), table.blocks(id)).map(|(key, _)| key).collect();
        let removed = self.kernel.blocks().remove(&gone);
        if removed.is_err() {
            self.held.read_tables_again(self.kernel)?;
        }
        removed
    }

    /// Takes back what tables no longer say of identities that somebody has.
    fn take_back(&mut self, wanted: &Contents) -> Result<(), KernelError> {
        if self.held.spare.is_empty() {
            return Ok(());
        }
        let living = living(wanted);
        let gone: Vec<PeerKey> = self.held.spare.keys().filter(|key| living.contains(&key.identity)).copied().collect();
        self.remove_spare(&gone)
    }

    /// Keys in their order.
    fn remove_spare(&mut self, gone: &[PeerKey]) -> Result<(), KernelError> {
        let removed = self.kernel.peers().remove(gone);
        match removed {
            Ok(()) => self.held.spare.retain(|key, _| gone.binary_search(key).is_err()),
            Err(_) => self.held.read_tables_again(self.kernel)?,
        }
        removed
    }

    fn write_identities(&mut self, wanted: &Arc<BTreeMap<IpAddr, u64>>) -> Result<(), KernelError> {
        let held = &mut self.held.contents.identities;
        if Arc::ptr_eq(held, wanted) {
            return Ok(());
        }
        let identities = self.kernel.identities();
        let (new, gone) = changes(copied(held), copied(wanted));
        let written = identities.set(&new).and_then(|()| identities.remove(&gone));
        match written {
            Ok(()) => *held = Arc::clone(wanted),
            Err(_) => *held = Arc::new(identities.all()?),
        }
        written
    }

    /// Endpoints, each with another generation where it is judged by something else, and their programs. Gives the last
    /// refusal to hang these on an interface: it may be gone already, which is no reason to keep others waiting.
    fn switch(&mut self, wanted: &Contents) -> Result<Result<(), KernelError>, KernelError> {
        let Held { contents: held, touched, written, unsettled, attached, .. } = &mut *self.held;
        let mut endpoints = wanted.endpoints.clone();
        for (interface, endpoint) in &mut endpoints {
            let Some(held) = held.endpoints.get(interface) else {
                endpoint.generation = 1;
                continue;
            };
            let judged_by = |e: &Endpoint| (e.identity, e.table, e.audit_table);
            let is_touched = [endpoint.table, endpoint.audit_table].iter().any(|table| touched.contains(table));
            let is_same = judged_by(held) == judged_by(endpoint) && !is_touched && written.contains(interface);
            endpoint.generation = if is_same { held.generation } else { held.generation.wrapping_add(1) };
        }
        put(self.kernel.local_addresses(), &mut held.local_addresses, &wanted.local_addresses)?;
        put(self.kernel.endpoints(), &mut held.endpoints, &endpoints)?;
        let (looked, mut hung) = match attached.take() {
            Some((looked, hung)) if looked.elapsed() < LOOK_AGAIN => (looked, hung),
            _ => (Instant::now(), self.kernel.attached()?),
        };
        let mut refused = Ok(());
        for interface in endpoints.into_keys() {
            if hung.get(&interface) == Some(&true) && written.contains(&interface) {
                continue;
            }
            match self.kernel.attach(interface) {
                Ok(()) => {
                    hung.insert(interface, true);
                    written.insert(interface);
                    unsettled.insert(interface);
                }
                Err(error) => refused = Err(error),
            }
        }
        *attached = Some((looked, hung));
        Ok(refused)
    }

    /// Settles the programs of one endpoint, if any is to be.
    ///
    /// # Errors
    /// The kernel's. It is not tried again: they judge as they hang.
    pub fn settle_one(&mut self) -> Result<(), KernelError> {
        let interface = self.held.unsettled.pop_first();
        let is_there = |interface: &u32| self.held.contents.endpoints.contains_key(interface);
        interface.filter(is_there).map_or(Ok(()), |interface| self.kernel.settle(interface))
    }

    /// Tables that stay and say something else of identities that somebody has, or of addresses. (Who gets another
    /// identity is judged again by the kernel itself.)
    fn touched_by(&self, wanted: &Contents) -> BTreeSet<u64> {
        let held = &self.held.contents;
        let living = LazyCell::new(|| living(held));
        let says_else = |id: u64, held: &TableContents, wanted: &TableContents| {
            held.head != wanted.head
                || held.blocks != wanted.blocks
                || differing(held.peers(id), wanted.peers(id)).any(|key| living.contains(&key.identity))
        };
        let stays = held.tables.iter().filter_map(|(id, held)| Some((*id, held, wanted.tables.get(id)?)));
        let touched = stays.filter(|(id, held, wanted)| !held.is_same(wanted) && says_else(*id, held, wanted));
        touched.map(|(id, ..)| id).collect()
    }

    /// Removes what nothing asks for: tables, then what they pointed to.
    ///
    /// # Errors
    /// The kernel's. Then the copy is what the kernel has all the same.
    pub fn remove(&mut self, items: &[Item]) -> Result<(), KernelError> {
        let removed = self.remove_items(items);
        if removed.is_err() {
            self.held.read_tables_again(self.kernel)?;
            self.held.contents.ports = read_ports(self.kernel)?;
        }
        removed
    }

    fn remove_items(&mut self, items: &[Item]) -> Result<(), KernelError> {
        let Held { contents: held, spare, .. } = &mut *self.held;
        let (mut heads, mut peers, mut blocks, mut ports) = (BTreeSet::new(), BTreeSet::new(), Vec::new(), Vec::new());
        for item in items {
            match item {
                Item::Table(id) => {
                    let table = held.tables.get(id).into_iter();
                    heads.insert(*id);
                    peers.extend(table.clone().flat_map(|table| table.peers(*id)).map(|(key, _)| key));
                    blocks.extend(table.flat_map(|table| table.blocks(*id)).map(|(key, _)| key));
                }
                Item::Peer(key) => drop(peers.insert(*key)),
                Item::PortSet(set) => {
                    let entries = held.ports.get(set).into_iter().flat_map(|entries| entries.keys());
                    ports.extend(entries.map(|ports| PortsKey { set: *set, ports: *ports }));
                }
            }
        }
        peers.extend(spare.keys().filter(|key| heads.contains(&key.table)).copied());
        let (heads, peers) = (Vec::from_iter(heads), Vec::from_iter(peers));
        self.kernel.tables().remove(&heads)?;
        self.kernel.peers().remove(&peers)?;
        self.kernel.blocks().remove(&blocks)?;
        self.kernel.ports().remove(&ports)?;
        spare.retain(|key, _| peers.binary_search(key).is_err());
        for item in items {
            match item {
                Item::Table(id) => drop(held.tables.remove(id)),
                Item::PortSet(set) => drop(held.ports.remove(set)),
                Item::Peer(_) => {}
            }
        }
        Ok(())
    }
}

/// Identities that somebody has.
fn living(contents: &Contents) -> HashSet<u64> {
    contents.identities.values().copied().collect()
}

#[cfg(test)]
pub(crate) mod tests;
