//! What the kernel holds, or is to hold: a copy of all its tables.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use sha2::{Digest as _, Sha256};
use stockade_netpol::plan::{Leaf, Plan, Prefix};
use stockade_netpol::policy::Direction;

use crate::kernel::{BlockKey, Endpoint, Head, HeadDirection, KernelError, PeerKey, PortsKey, Tables};

/// The table of Pods whose policies are not known, and of the canary: nothing passes but what no table is asked about. It
/// is always there, and no plan has it.
pub const CLOSED: u64 = 1;

/// The endpoint of the canary, which no Pod has: that of the loopback interface, on which no program hangs.
pub const CANARY: u32 = 1;

/// All tables.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Contents {
    /// What port sets say.
    pub ports: BTreeMap<PortsKey, Leaf>,
    /// What tables say about identities.
    pub peers: BTreeMap<PeerKey, u64>,
    /// What tables say about blocks of addresses.
    pub blocks: BTreeMap<BlockKey, u64>,
    /// Beginnings of tables.
    pub tables: BTreeMap<u64, Head>,
    /// Pods of the node, by interface.
    pub endpoints: BTreeMap<u32, Endpoint>,
    /// Whose address of the node.
    pub local_addresses: BTreeMap<IpAddr, u32>,
    /// Numbers of identities by address.
    pub identities: BTreeMap<IpAddr, u64>,
    /// Blocks of addresses of Services.
    pub services: BTreeMap<Prefix, ()>,
}

// === impl Contents ===

impl Contents {
    /// Everything, read back; but for the canary.
    ///
    /// # Errors
    /// The kernel's.
    pub fn read(tables: &dyn Tables) -> Result<Self, KernelError> {
        let mut endpoints = tables.endpoints().all()?;
        endpoints.remove(&CANARY);
        Ok(Self {
            ports: tables.ports().all()?,
            peers: tables.peers().all()?,
            blocks: tables.blocks().all()?,
            tables: tables.tables().all()?,
            endpoints,
            local_addresses: tables.local_addresses().all()?,
            identities: tables.identities().all()?,
            services: tables.services().all()?,
        })
    }

    /// Adds the tables and port sets of a plan.
    pub fn add_plan(&mut self, plan: &Plan) {
        for (set, entries) in &plan.port_sets {
            self.ports.extend(entries.iter().map(|(ports, leaf)| (PortsKey { set: *set, ports: *ports }, *leaf)));
        }
        for (id, table) in &plan.tables {
            let mut head = Head { digest: table.digest, ..Head::default() };
            for direction in Direction::ALL {
                let said = &table.directions[direction as usize];
                head.directions[direction as usize] = HeadDirection {
                    judged: said.judged,
                    isolated: said.isolated,
                    blocks: said.has_blocks,
                    everyone: said.everyone.unwrap_or_default(),
                    every_pod: said.every_pod.unwrap_or_default(),
                };
                let key = |identity| PeerKey { table: *id, identity, direction };
                self.peers.extend(said.peers.iter().map(|(identity, set)| (key(*identity), *set)));
                let key = |block| BlockKey { table: *id, direction, block };
                self.blocks.extend(said.blocks.iter().map(|(block, set)| (key(*block), *set)));
            }
            self.tables.insert(*id, head);
        }
    }

    /// Adds the table of those whose policies are not known.
    pub fn add_closed(&mut self) {
        let closed = HeadDirection { judged: true, isolated: true, ..HeadDirection::default() };
        self.tables.insert(CLOSED, Head { directions: [closed; 2], digest: [0; 32] });
    }

    /// Adds some tables as another has them, with all that they point to.
    pub fn add_tables_of(&mut self, other: &Self, ids: &BTreeSet<u64>) {
        let mut sets = BTreeSet::new();
        for (id, head) in other.tables.iter().filter(|(id, _)| ids.contains(id)) {
            sets.extend(head.directions.iter().flat_map(|direction| [direction.everyone, direction.every_pod]));
            self.tables.entry(*id).or_insert(*head);
        }
        for (key, set) in other.peers.iter().filter(|(key, _)| ids.contains(&key.table)) {
            sets.insert(*set);
            self.peers.entry(*key).or_insert(*set);
        }
        for (key, set) in other.blocks.iter().filter(|(key, _)| ids.contains(&key.table)) {
            sets.insert(*set);
            self.blocks.entry(*key).or_insert(*set);
        }
        let ports = other.ports.iter().filter(|(key, _)| sets.contains(&key.set));
        self.ports.extend(ports.map(|(key, leaf)| (*key, *leaf)));
    }

    /// The first table that does not hold what is wanted; what is there besides, and generations, do not matter. Of
    /// endpoints, identities and Services nothing may be there besides.
    pub fn lacks(&self, wanted: &Self) -> Option<&'static str> {
        fn has<K: Ord, V: PartialEq>(held: &BTreeMap<K, V>, wanted: &BTreeMap<K, V>) -> bool {
            wanted.iter().all(|(key, value)| held.get(key) == Some(value))
        }
        let without_generation = |endpoints: &BTreeMap<u32, Endpoint>| -> BTreeMap<u32, Endpoint> {
            endpoints.iter().map(|(key, endpoint)| (*key, Endpoint { generation: 0, ..*endpoint })).collect()
        };
        let whole = [
            ("ports", has(&self.ports, &wanted.ports)),
            ("peers", has(&self.peers, &wanted.peers)),
            ("blocks", has(&self.blocks, &wanted.blocks)),
            ("tables", has(&self.tables, &wanted.tables)),
            ("endpoints", without_generation(&self.endpoints) == without_generation(&wanted.endpoints)),
            ("local addresses", self.local_addresses == wanted.local_addresses),
            ("identities", self.identities == wanted.identities),
            ("services", self.services == wanted.services),
        ];
        whole.into_iter().find(|(_, is_whole)| !is_whole).map(|(table, _)| table)
    }

    /// SHA-256 of what packets are judged by, in hexadecimal: tables, port sets, identities, and which table each
    /// address of the node is judged by. Generations and numbers of interfaces are not in it.
    pub fn digest(&self) -> String {
        let mut digest = Sha256::new();
        for (key, leaf) in &self.ports {
            digest.update(format!("{key:?}={leaf:?}\n"));
        }
        // Of these there are many, and text costs ten times as much.
        digest.update((self.peers.len() as u64).to_be_bytes());
        for (PeerKey { table, identity, direction }, set) in &self.peers {
            digest.update(table.to_be_bytes());
            digest.update(identity.to_be_bytes());
            digest.update([*direction as u8]);
            digest.update(set.to_be_bytes());
        }
        for (key, set) in &self.blocks {
            digest.update(format!("{key:?}={set}\n"));
        }
        for (id, head) in &self.tables {
            digest.update(format!("{id}={head:?}\n"));
        }
        for (address, interface) in &self.local_addresses {
            let endpoint = self.endpoints.get(interface).copied().unwrap_or_default();
            let Endpoint { identity, table, audit_table, .. } = endpoint;
            digest.update(format!("{address}={identity} {table} {audit_table}\n"));
        }
        digest.update((self.identities.len() as u64).to_be_bytes());
        for (address, identity) in &self.identities {
            let v6 = match address {
                IpAddr::V4(v4) => v4.to_ipv6_mapped(),
                IpAddr::V6(v6) => *v6,
            };
            digest.update(v6.octets());
            digest.update(identity.to_be_bytes());
        }
        for block in self.services.keys() {
            digest.update(format!("{block:?}\n"));
        }
        crate::hex(&digest.finalize())
    }
}
