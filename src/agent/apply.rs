//! What is to be in the kernel, written into it in such an order that no packet is judged by half of it.
//!
//! 1. Port sets, what tables say of peers and blocks, beginnings of tables: nothing asks for them yet, or they say what
//!    was not said before, of identities that nobody has yet.
//! 2. What a table that stays no longer says of identities that stay: a namespace has other labels.
//! 3. Endpoints: one write each switches a Pod from one whole table to another. Then programs, where there are none.
//! 4. Addresses: who is new at one has its peers in all tables by now.
//! 5. Programs and endpoints of Pods that are gone, in this order.
//!
//! What nothing asks for any more ([`stale`]) is removed some time after ([`GRACE`]), when no packet is under way that
//! had begun to ask. A process that is killed between two writes leaves each endpoint with one whole table, the old one
//! or the new; the next one reads back what there is and goes on.

use std::cell::LazyCell;
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::Duration;

use crate::contents::{CLOSED, Contents};
use crate::kernel::{Endpoint, Entries, Kernel, KernelError, PeerKey, Tables};

/// How long what nothing asks for any more stays: longer than any packet takes through a program.
pub const GRACE: Duration = Duration::from_secs(2);

/// Where programs hang.
pub trait Programs {
    /// Hangs them on an interface.
    ///
    /// # Errors
    /// The kernel's.
    fn attach(&self, interface: u32) -> Result<(), KernelError>;
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
    /// The copy.
    pub contents: Contents,
    /// Tables that say something else since endpoints that use them were last written.
    touched: BTreeSet<u64>,
    /// Endpoints that this process has written. Others are written whatever has changed: an agent before this one may have
    /// ended between two writes, and its programs be of another version.
    written: BTreeSet<u32>,
}

/// Writes what is wanted, and keeps the copy.
#[derive(Debug)]
pub struct Writer<'k, K> {
    kernel: &'k K,
    held: &'k mut Contents,
    touched: &'k mut BTreeSet<u64>,
    written: &'k mut BTreeSet<u32>,
}

/// Keys of what nothing asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stale {
    contents: Contents,
}

impl Programs for Kernel {
    fn attach(&self, interface: u32) -> Result<(), KernelError> {
        Kernel::attach(self, interface).map(drop)
    }

    fn detach(&self, interface: u32) -> Result<(), KernelError> {
        Kernel::detach(self, interface)
    }

    fn attached(&self) -> Result<BTreeMap<u32, bool>, KernelError> {
        let found = Kernel::attached(self)?.into_iter();
        Ok(found.map(|(interface, has)| (interface, has.from_pod.is_some() && has.to_pod.is_some())).collect())
    }
}

/// What became of programs when endpoints were switched.
struct Switched {
    /// Interfaces that had programs before, as [`Programs::attached`] tells.
    before: BTreeMap<u32, bool>,
    /// The last refusal to hang them on an interface: it may be gone already, which is no reason to keep others waiting.
    refused: Result<(), KernelError>,
}

// === impl Held ===

impl Held {
    /// What the kernel holds now.
    ///
    /// # Errors
    /// The kernel's.
    pub fn read(kernel: &dyn Tables) -> Result<Self, KernelError> {
        Ok(Self { contents: Contents::read(kernel)?, touched: BTreeSet::new(), written: BTreeSet::new() })
    }
}

// === impl Writer ===

impl<'k, K: Tables + Programs> Writer<'k, K> {
    /// Of one kernel and its copy.
    pub fn new(kernel: &'k K, held: &'k mut Held) -> Self {
        let Held { contents, touched, written } = held;
        Self { kernel, held: contents, touched, written }
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
        self.touched.extend(touched);
        self.write_tables(wanted)?;
        let kernel = self.kernel;
        put(kernel.services(), &mut self.held.services, &wanted.services)?;
        keep_only(kernel.services(), &mut self.held.services, &wanted.services, |_| false)?;
        let (living, tables) = (LazyCell::new(|| living(wanted)), &wanted.tables);
        let is_unused = |key: &PeerKey| !tables.contains_key(&key.table) || !living.contains(&key.identity);
        keep_only(kernel.peers(), &mut self.held.peers, &wanted.peers, is_unused)?;
        keep_only(kernel.blocks(), &mut self.held.blocks, &wanted.blocks, |key| !tables.contains_key(&key.table))?;
        let Switched { before, refused } = self.switch(wanted)?;
        self.touched.clear();
        put(kernel.identities(), &mut self.held.identities, &wanted.identities)?;
        keep_only(kernel.identities(), &mut self.held.identities, &wanted.identities, |_| false)?;
        for interface in before.into_keys().filter(|i| !wanted.endpoints.contains_key(i)) {
            kernel.detach(interface)?;
        }
        keep_only(kernel.local_addresses(), &mut self.held.local_addresses, &wanted.local_addresses, |_| false)?;
        self.written.retain(|interface| wanted.endpoints.contains_key(interface));
        keep_only(kernel.endpoints(), &mut self.held.endpoints, &wanted.endpoints, |_| false)?;
        refused
    }

    fn write_new_pods(&mut self, wanted: &Contents) -> Result<(), KernelError> {
        let mut new = wanted.clone();
        new.endpoints.retain(|interface, _| !self.held.endpoints.contains_key(interface));
        let endpoints = &new.endpoints;
        new.local_addresses.retain(|_, interface| endpoints.contains_key(interface));
        new.identities.retain(|address, _| !self.held.identities.contains_key(address));
        let of_new = new.endpoints.values().flat_map(|endpoint| [endpoint.table, endpoint.audit_table]);
        let tables: BTreeSet<u64> = of_new.filter(|id| !self.held.tables.contains_key(id)).collect();
        let mut added = Contents::default();
        added.add_tables_of(wanted, &tables);
        self.write_tables(&added)?;
        let Switched { refused, .. } = self.switch(&new)?;
        put(self.kernel.identities(), &mut self.held.identities, &new.identities)?;
        refused
    }

    /// Closes Pods that have no endpoint yet, because what they are to be judged by cannot be written.
    ///
    /// # Errors
    /// The last refusal of a Pod; others are closed all the same.
    pub fn close_new(&mut self, wanted: &Contents) -> Result<(), KernelError> {
        let mut closed = Contents::default();
        let new = wanted.endpoints.iter().filter(|(interface, _)| !self.held.endpoints.contains_key(interface));
        let close = |endpoint: &Endpoint| Endpoint { table: CLOSED, audit_table: 0, ..*endpoint };
        closed.endpoints = new.map(|(interface, endpoint)| (*interface, close(endpoint))).collect();
        self.switch(&closed)?.refused
    }

    fn write_tables(&mut self, wanted: &Contents) -> Result<(), KernelError> {
        let kernel = self.kernel;
        put(kernel.ports(), &mut self.held.ports, &wanted.ports)?;
        put(kernel.peers(), &mut self.held.peers, &wanted.peers)?;
        put(kernel.blocks(), &mut self.held.blocks, &wanted.blocks)?;
        put(kernel.tables(), &mut self.held.tables, &wanted.tables)
    }

    /// Endpoints, each with another generation where it is judged by something else, and their programs.
    fn switch(&mut self, wanted: &Contents) -> Result<Switched, KernelError> {
        let mut endpoints = wanted.endpoints.clone();
        for (interface, endpoint) in &mut endpoints {
            let Some(held) = self.held.endpoints.get(interface) else {
                endpoint.generation = 1;
                continue;
            };
            let judged_by = |e: &Endpoint| (e.identity, e.table, e.audit_table);
            let is_touched = [endpoint.table, endpoint.audit_table].iter().any(|table| self.touched.contains(table));
            let is_same = judged_by(held) == judged_by(endpoint) && !is_touched && self.written.contains(interface);
            endpoint.generation = if is_same { held.generation } else { held.generation.wrapping_add(1) };
        }
        put(self.kernel.local_addresses(), &mut self.held.local_addresses, &wanted.local_addresses)?;
        put(self.kernel.endpoints(), &mut self.held.endpoints, &endpoints)?;
        let (before, mut refused) = (self.kernel.attached()?, Ok(()));
        for interface in endpoints.into_keys() {
            if before.get(&interface) == Some(&true) && self.written.contains(&interface) {
                continue;
            }
            match self.kernel.attach(interface) {
                Ok(()) => {
                    self.written.insert(interface);
                }
                Err(error) => refused = Err(error),
            }
        }
        Ok(Switched { before, refused })
    }

    /// Tables that stay and say something else of identities that somebody has, or of addresses. (Who gets another
    /// identity is judged again by the kernel itself.)
    fn touched_by(&self, wanted: &Contents) -> BTreeSet<u64> {
        let living = LazyCell::new(|| living(self.held));
        let of_peers = differing(&self.held.peers, &wanted.peers);
        let of_peers = of_peers.filter(|key| living.contains(&key.identity)).map(|key| key.table);
        let of_blocks = differing(&self.held.blocks, &wanted.blocks).map(|key| key.table);
        let of_heads = differing(&self.held.tables, &wanted.tables).copied();
        let mut touched: BTreeSet<u64> = of_peers.chain(of_blocks).chain(of_heads).collect();
        touched.retain(|id| self.held.tables.contains_key(id) && wanted.tables.contains_key(id));
        touched
    }

    /// Removes what is still not wanted of what was stale.
    ///
    /// # Errors
    /// The kernel's.
    pub fn remove(&mut self, stale: &Stale, wanted: &Contents) -> Result<(), KernelError> {
        let (kernel, gone) = (self.kernel, &stale.contents);
        keep_only(kernel.tables(), &mut self.held.tables, &wanted.tables, |key| !gone.tables.contains_key(key))?;
        keep_only(kernel.peers(), &mut self.held.peers, &wanted.peers, |key| !gone.peers.contains_key(key))?;
        keep_only(kernel.blocks(), &mut self.held.blocks, &wanted.blocks, |key| !gone.blocks.contains_key(key))?;
        keep_only(kernel.ports(), &mut self.held.ports, &wanted.ports, |key| !gone.ports.contains_key(key))
    }
}

/// What the kernel holds and nothing asks for, once all that is wanted has been written.
pub fn stale(held: &Contents, wanted: &Contents) -> Stale {
    fn without<K: Ord + Copy, V: Copy>(held: &BTreeMap<K, V>, wanted: &BTreeMap<K, V>) -> BTreeMap<K, V> {
        let gone = beside(held, wanted).filter(|(_, _, wanted)| wanted.is_none());
        gone.filter_map(|(key, held, _)| Some((*key, *held?))).collect()
    }
    Stale {
        contents: Contents {
            ports: without(&held.ports, &wanted.ports),
            peers: without(&held.peers, &wanted.peers),
            blocks: without(&held.blocks, &wanted.blocks),
            tables: without(&held.tables, &wanted.tables),
            ..Contents::default()
        },
    }
}

impl Stale {
    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.contents == Contents::default()
    }

    /// Leaves out what endpoints are judged by.
    pub fn spare_used(&mut self, held: &Contents) {
        let tables = held.endpoints.values().flat_map(|endpoint| [endpoint.table, endpoint.audit_table]);
        let mut used = Contents::default();
        used.add_tables_of(held, &tables.collect());
        let gone = &mut self.contents;
        gone.tables.retain(|key, _| !used.tables.contains_key(key));
        gone.peers.retain(|key, _| !used.peers.contains_key(key));
        gone.blocks.retain(|key, _| !used.blocks.contains_key(key));
        gone.ports.retain(|key, _| !used.ports.contains_key(key));
    }
}

/// Identities that somebody has.
fn living(contents: &Contents) -> HashSet<u64> {
    contents.identities.values().copied().collect()
}

/// Keys whose values differ, or that only one has.
fn differing<'m, K: Ord, V: PartialEq>(a: &'m BTreeMap<K, V>, b: &'m BTreeMap<K, V>) -> impl Iterator<Item = &'m K> {
    beside(a, b).filter(|(_, a, b)| a != b).map(|(key, ..)| key)
}

/// All keys in their order, with the values of both: a walk costs less than looking each of them up.
fn beside<'m, K: Ord, V>(
    a: &'m BTreeMap<K, V>,
    b: &'m BTreeMap<K, V>,
) -> impl Iterator<Item = (&'m K, Option<&'m V>, Option<&'m V>)> {
    let (mut a, mut b) = (a.iter().peekable(), b.iter().peekable());
    std::iter::from_fn(move || {
        let order = match (a.peek(), b.peek()) {
            (Some((a, _)), Some((b, _))) => a.cmp(b),
            (Some(_), None) => Ordering::Less,
            (None, _) => Ordering::Greater,
        };
        match order {
            Ordering::Less => a.next().map(|(key, a)| (key, Some(a), None)),
            Ordering::Greater => b.next().map(|(key, b)| (key, None, Some(b))),
            Ordering::Equal => a.next().zip(b.next()).map(|((key, a), (_, b))| (key, Some(a), Some(b))),
        }
    })
}

/// Writes what is not there.
fn put<K: Ord + Copy, V: PartialEq + Copy>(
    entries: &dyn Entries<K, V>,
    held: &mut BTreeMap<K, V>,
    wanted: &BTreeMap<K, V>,
) -> Result<(), KernelError> {
    let missing = beside(held, wanted).filter(|(_, held, wanted)| held != wanted);
    let missing: Vec<(K, V)> = missing.filter_map(|(key, _, wanted)| Some((*key, *wanted?))).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let written = entries.set(&missing);
    match written {
        Ok(()) => held.extend(missing),
        // Some of them are written: which, the kernel tells.
        Err(_) => *held = entries.all()?,
    }
    written
}

/// Removes what is not wanted, but for what stays all the same.
fn keep_only<K: Ord + Copy, V>(
    entries: &dyn Entries<K, V>,
    held: &mut BTreeMap<K, V>,
    wanted: &BTreeMap<K, V>,
    stays: impl Fn(&K) -> bool,
) -> Result<(), KernelError> {
    let unwanted = beside(held, wanted).filter(|(_, _, wanted)| wanted.is_none()).map(|(key, ..)| *key);
    let gone: Vec<K> = unwanted.filter(|key| !stays(key)).collect();
    if gone.is_empty() {
        return Ok(());
    }
    let removed = entries.remove(&gone);
    match removed {
        Ok(()) => gone.iter().for_each(|key| drop(held.remove(key))),
        Err(_) => *held = entries.all()?,
    }
    removed
}

#[cfg(test)]
mod tests;
