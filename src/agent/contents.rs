//! What the kernel holds, or is to hold: a copy of all its tables. What several copies have in common is there once.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use stockade_netpol::plan::{Plan, PortSets, Prefix, Table};
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
    /// What port sets say, by id.
    pub ports: PortSets,
    /// Tables by id.
    pub tables: BTreeMap<u64, TableContents>,
    /// Pods of the node, by interface.
    pub endpoints: BTreeMap<u32, Endpoint>,
    /// Whose address of the node.
    pub local_addresses: BTreeMap<IpAddr, u32>,
    /// Numbers of identities by address.
    pub identities: Arc<BTreeMap<IpAddr, u64>>,
    /// Blocks of addresses of Services.
    pub services: BTreeMap<Prefix, ()>,
}

/// One table. Of most it is known that two are the same without looking at what they say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TableContents {
    /// Its beginning; none where it is not whole.
    pub head: Option<Head>,
    /// Port sets by number of identity; by [`Direction`] as a number.
    pub peers: [Arc<BTreeMap<u64, u64>>; 2],
    /// Port sets by block of addresses; by [`Direction`] as a number.
    pub blocks: [Arc<BTreeMap<Prefix, u64>>; 2],
}

// === impl TableContents ===

impl TableContents {
    fn of(table: &Table) -> Self {
        let directions = table.directions.each_ref().map(|said| HeadDirection {
            judged: said.judged,
            isolated: said.isolated,
            blocks: said.has_blocks,
            everyone: said.everyone.unwrap_or_default(),
            every_pod: said.every_pod.unwrap_or_default(),
        });
        Self {
            head: Some(Head { directions, digest: table.digest }),
            peers: table.directions.each_ref().map(|said| Arc::clone(&said.peers)),
            blocks: table.directions.each_ref().map(|said| Arc::clone(&said.blocks)),
        }
    }

    /// Where nothing passes but what no table is asked about.
    fn closed() -> Self {
        let closed = HeadDirection { judged: true, isolated: true, ..HeadDirection::default() };
        Self { head: Some(Head { directions: [closed; 2], digest: [0; 32] }), ..Self::default() }
    }

    /// Whether both are the same, as far as that is known without looking at what they say.
    pub fn is_same(&self, other: &Self) -> bool {
        let peers = self.peers.iter().zip(&other.peers).all(|(a, b)| Arc::ptr_eq(a, b));
        let blocks = self.blocks.iter().zip(&other.blocks).all(|(a, b)| Arc::ptr_eq(a, b));
        peers && blocks && self.head == other.head
    }

    /// What it says of identities, by the kernel's keys.
    pub fn peers(&self, table: u64) -> impl Iterator<Item = (PeerKey, u64)> {
        let said = Direction::ALL.into_iter().flat_map(|d| self.peers[d as usize].iter().map(move |said| (d, said)));
        said.map(move |(direction, (identity, set))| (PeerKey { table, identity: *identity, direction }, *set))
    }

    /// What it says of blocks of addresses, by the kernel's keys.
    pub fn blocks(&self, table: u64) -> impl Iterator<Item = (BlockKey, u64)> {
        let said = Direction::ALL.into_iter().flat_map(|d| self.blocks[d as usize].iter().map(move |said| (d, said)));
        said.map(move |(direction, (block, set))| (BlockKey { table, direction, block: *block }, *set))
    }

    /// How much it says of identities.
    pub fn peer_count(&self) -> usize {
        self.peers.iter().map(|peers| peers.len()).sum()
    }

    /// How much it says of blocks of addresses.
    pub fn block_count(&self) -> usize {
        self.blocks.iter().map(|blocks| blocks.len()).sum()
    }

    /// Port sets that it names.
    fn port_sets(&self) -> impl Iterator<Item = u64> {
        let directions = self.head.iter().flat_map(|head| &head.directions);
        let of_head = directions.flat_map(|direction| [direction.everyone, direction.every_pod]);
        let of_peers = self.peers.iter().flat_map(|peers| peers.values().copied());
        of_head.chain(of_peers).chain(self.blocks.iter().flat_map(|blocks| blocks.values().copied()))
    }
}

// === impl Contents ===

impl Contents {
    /// Everything, read back; but for the canary.
    ///
    /// # Errors
    /// The kernel's.
    pub fn read(kernel: &dyn Tables) -> Result<Self, KernelError> {
        let mut contents = Self::read_few(kernel)?;
        add_peers(kernel, &mut contents.tables)?;
        contents.identities = Arc::new(kernel.identities().all()?);
        Ok(contents)
    }

    /// The same without the many: what tables say of peers, and identities.
    ///
    /// # Errors
    /// The kernel's.
    pub fn read_few(kernel: &dyn Tables) -> Result<Self, KernelError> {
        let mut endpoints = kernel.endpoints().all()?;
        endpoints.remove(&CANARY);
        Ok(Self {
            ports: read_ports(kernel)?,
            tables: read_heads_and_blocks(kernel)?,
            endpoints,
            local_addresses: kernel.local_addresses().all()?,
            identities: Arc::default(),
            services: kernel.services().all()?,
        })
    }

    /// Adds the tables and port sets of a plan.
    pub fn add_plan(&mut self, plan: &Plan) {
        self.ports.extend(plan.port_sets.iter().map(|(id, entries)| (*id, Arc::clone(entries))));
        self.tables.extend(plan.tables.iter().map(|(id, table)| (*id, TableContents::of(table))));
    }

    /// Adds the table of those whose policies are not known.
    pub fn add_closed(&mut self) {
        self.tables.insert(CLOSED, TableContents::closed());
    }

    /// Adds some tables as another has them, with all that they point to.
    pub fn add_tables_of(&mut self, other: &Self, ids: &BTreeSet<u64>) {
        for (id, table) in ids.iter().filter_map(|id| Some((id, other.tables.get(id)?))) {
            self.tables.entry(*id).or_insert_with(|| table.clone());
        }
        for id in other.port_sets_of(ids) {
            if let Some(entries) = other.ports.get(&id) {
                self.ports.entry(id).or_insert_with(|| Arc::clone(entries));
            }
        }
    }

    /// Port sets that some tables name.
    pub fn port_sets_of(&self, tables: &BTreeSet<u64>) -> BTreeSet<u64> {
        tables.iter().filter_map(|id| self.tables.get(id)).flat_map(TableContents::port_sets).collect()
    }

    /// Tables that endpoints are judged by.
    pub fn tables_in_use(&self) -> BTreeSet<u64> {
        self.endpoints.values().flat_map(|endpoint| [endpoint.table, endpoint.audit_table]).collect()
    }
}

/// Port sets, read back.
///
/// # Errors
/// The kernel's.
pub fn read_ports(kernel: &dyn Tables) -> Result<PortSets, KernelError> {
    let mut sets = PortSets::new();
    for (PortsKey { set, ports }, leaf) in kernel.ports().all()? {
        Arc::make_mut(sets.entry(set).or_default()).insert(ports, leaf);
    }
    Ok(sets)
}

/// Tables, read back, with those that are there in part.
///
/// # Errors
/// The kernel's.
pub fn read_tables(kernel: &dyn Tables) -> Result<BTreeMap<u64, TableContents>, KernelError> {
    let mut tables = read_heads_and_blocks(kernel)?;
    add_peers(kernel, &mut tables)?;
    Ok(tables)
}

fn add_peers(kernel: &dyn Tables, tables: &mut BTreeMap<u64, TableContents>) -> Result<(), KernelError> {
    for (PeerKey { table, identity, direction }, set) in kernel.peers().all()? {
        let peers = &mut tables.entry(table).or_default().peers[direction as usize];
        Arc::make_mut(peers).insert(identity, set);
    }
    Ok(())
}

fn read_heads_and_blocks(kernel: &dyn Tables) -> Result<BTreeMap<u64, TableContents>, KernelError> {
    let heads = kernel.tables().all()?.into_iter();
    let whole = |(id, head)| (id, TableContents { head: Some(head), ..TableContents::default() });
    let mut tables: BTreeMap<u64, TableContents> = heads.map(whole).collect();
    for (BlockKey { table, direction, block }, set) in kernel.blocks().all()? {
        let blocks = &mut tables.entry(table).or_default().blocks[direction as usize];
        Arc::make_mut(blocks).insert(block, set);
    }
    Ok(tables)
}
