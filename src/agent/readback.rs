//! What the kernel holds, read back and compared with what is wanted. Of the many, which are peers and identities, no copy
//! is made: each is compared and forgotten while they are read.

use std::collections::BTreeMap;
use std::net::IpAddr;

use sha2::{Digest as _, Sha256};
use stockade_netpol::plan::Prefix;

use crate::contents::{Contents, TableContents};
use crate::kernel::{BlockKey, Endpoint, KernelError, PeerKey, Tables};

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadBack {
    /// Pods of the node, by interface.
    pub endpoints: BTreeMap<u32, Endpoint>,
    /// SHA-256 of what packets are judged by, in hexadecimal: tables, port sets, identities, and which table each
    /// address of the node is judged by. Generations and numbers of interfaces are not in it.
    pub digest: String,
    /// The first table that does not hold what is wanted. What is there besides, and generations, do not matter; but of
    /// endpoints, local addresses, identities and Services nothing may be there besides.
    pub lacks: Option<&'static str>,
}

/// Entries of a map that are many: the kernel gives each once, in no order.
#[derive(Debug, Default)]
struct Many {
    count: usize,
    /// Of these, as many are as they are wanted.
    as_wanted: usize,
    /// The digests of all by exclusive or, which does not depend on their order.
    digest: [u8; 32],
}

/// Reads back and compares. Where it is not known what is wanted, nothing is lacking.
///
/// # Errors
/// The kernel's.
pub fn read_back(kernel: &dyn Tables, wanted: Option<&Contents>) -> Result<ReadBack, KernelError> {
    let few = Contents::read_few(kernel)?;
    let (mut peers, mut identities) = (Many::default(), Many::default());
    kernel.peers().for_each(&mut |key: PeerKey, set| {
        let PeerKey { table, direction, identity } = key;
        let said = wanted.and_then(|wanted| wanted.tables.get(&table));
        let is_wanted = said.is_some_and(|table| table.peers[direction as usize].get(&identity) == Some(&set));
        peers.add([table, direction as u64, identity, set], is_wanted);
    })?;
    kernel.identities().for_each(&mut |address: IpAddr, identity| {
        let is_wanted = wanted.is_some_and(|wanted| wanted.identities.get(&address) == Some(&identity));
        let [first, last] = halves(address);
        identities.add([first, last, identity, 0], is_wanted);
    })?;
    Ok(ReadBack {
        digest: digest(&few, &peers, &identities),
        lacks: wanted.and_then(|wanted| lacks(&few, &peers, &identities, wanted)),
        endpoints: few.endpoints,
    })
}

fn lacks(few: &Contents, peers: &Many, identities: &Many, wanted: &Contents) -> Option<&'static str> {
    let judged_by = |endpoints: &BTreeMap<u32, Endpoint>| -> BTreeMap<u32, Endpoint> {
        endpoints.iter().map(|(key, endpoint)| (*key, Endpoint { generation: 0, ..*endpoint })).collect()
    };
    let has_table = |(id, wanted): (&u64, &TableContents)| {
        let held = few.tables.get(id);
        let has_blocks = |held: &TableContents| held.blocks.iter().zip(&wanted.blocks).all(|(a, b)| has(a, b));
        held.is_some_and(|held| held.head == wanted.head && has_blocks(held))
    };
    let wanted_peers: usize = wanted.tables.values().map(TableContents::peer_count).sum();
    let identities_are_same = identities.count == identities.as_wanted && identities.count == wanted.identities.len();
    let whole = [
        ("ports", wanted.ports.iter().all(|(id, wanted)| few.ports.get(id).is_some_and(|held| has(held, wanted)))),
        ("policies", wanted.tables.iter().all(has_table) && peers.as_wanted == wanted_peers),
        ("endpoints", judged_by(&few.endpoints) == judged_by(&wanted.endpoints)),
        ("local addresses", few.local_addresses == wanted.local_addresses),
        ("identities", identities_are_same),
        ("services", few.services == wanted.services),
    ];
    whole.into_iter().find(|(_, is_whole)| !is_whole).map(|(table, _)| table)
}

fn has<K: Ord, V: PartialEq>(held: &BTreeMap<K, V>, wanted: &BTreeMap<K, V>) -> bool {
    wanted.iter().all(|(key, value)| held.get(key) == Some(value))
}

fn digest(few: &Contents, peers: &Many, identities: &Many) -> String {
    let mut digest = Sha256::new();
    for (id, entries) in &few.ports {
        digest.update(format!("{id}={entries:?}\n"));
    }
    for (id, table) in &few.tables {
        digest.update(format!("{id}={:?}\n", table.head));
        for (BlockKey { direction, block: Prefix { address, length }, .. }, set) in table.blocks(*id) {
            digest.update(address);
            digest.update([length, direction as u8]);
            digest.update(set.to_be_bytes());
        }
    }
    for (address, interface) in &few.local_addresses {
        let endpoint = few.endpoints.get(interface).copied().unwrap_or_default();
        let Endpoint { identity, table, audit_table, .. } = endpoint;
        digest.update(format!("{address}={identity} {table} {audit_table}\n"));
    }
    for many in [peers, identities] {
        digest.update((many.count as u64).to_be_bytes());
        digest.update(many.digest);
    }
    for block in few.services.keys() {
        digest.update(format!("{block:?}\n"));
    }
    crate::hex(&digest.finalize())
}

/// IPv4 as ::ffff:a.b.c.d.
fn halves(address: IpAddr) -> [u64; 2] {
    let bits = u128::from_be_bytes(Prefix::of(address, 128).address);
    [(bits >> 64) as u64, bits as u64]
}

// === impl Many ===

impl Many {
    /// An entry, as numbers.
    fn add(&mut self, entry: [u64; 4], is_wanted: bool) {
        self.count += 1;
        self.as_wanted += usize::from(is_wanted);
        let more = Sha256::digest(entry.map(u64::to_be_bytes).as_flattened());
        self.digest.iter_mut().zip(more).for_each(|(sum, more)| *sum ^= more);
    }
}

#[cfg(test)]
mod tests;
