//! The kernel's side: BPF programs and their maps, pinned so that they outlive the agent. The only unsafe code of the
//! project is here, but for two calls about memory ([`crate::memory`]).
//!
//! Pins lie in a folder of a BPF file system. `maps-<digest>/` holds the maps of one layout: their kinds, sizes and
//! structures. An agent that wants another layout makes another set beside the first, fills it, and then switches
//! interface by interface ([`Kernel::attach`]), which is atomic for each; until then the old programs judge by the old
//! maps. [`Kernel::forget_others`] removes what no program uses any more. So nothing is converted and nothing opens;
//! open connections are judged anew by the new programs. `links/` holds what hangs programs on interfaces.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use rustix::thread::{MembarrierCommand, membarrier};
use stockade_netpol::plan::{Leaf, Prefix};

mod attach;
mod batches;
mod counters;
mod error;
mod events;
mod layout;
mod maps;
mod objects;
mod options;
mod secret;
mod settings;
mod tables;
mod trial;
mod wire;

pub use attach::{Attached, AttachedBy};
pub use counters::{Counters, Outcome};
pub use error::KernelError;
pub use events::{Decision, Event, Events};
pub use objects::Program;
pub use options::{Established, Hooks, Options, Sizes};
pub use tables::{BlockKey, Endpoint, Entries, Head, HeadDirection, PeerKey, PortsKey, Tables};
pub use trial::{Hook, Trial, Tried};

use maps::{Map, Typed};
use objects::Objects;
use settings::Settings;

/// The programs, loaded, with their maps.
#[derive(Debug)]
pub struct Kernel {
    objects: Objects,
    links: attach::Links,
    settings: Arc<Settings>,
    counters: Map,
    budget: Map,
    events: Map,
    endpoints: Typed<u32, Endpoint>,
    local_addresses: Typed<IpAddr, u32>,
    identities: Typed<IpAddr, u64>,
    tables: Typed<u64, Head>,
    peers: Typed<PeerKey, u64>,
    blocks: Typed<BlockKey, u64>,
    ports: Typed<PortsKey, Leaf>,
    services: Typed<Prefix, ()>,
}

/// What packets to Services are judged by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Translated {
    /// By whom they reach: they are judged behind address translation.
    Judged,
    /// By the address of the Service, which nobody is known to have: the kernel (below 6.4, or without
    /// `CONFIG_NETFILTER_BPF_LINK`) refuses the program that would know more.
    AsTheyAre {
        /// What it said.
        refused: String,
    },
}

/// Bits of an endpoint's key in its trie: all of the interface's index.
const INTERFACE_BITS: [u8; 4] = u32::BITS.to_ne_bytes();

// === impl Kernel ===

impl Kernel {
    /// Loads the programs with the maps that are pinned in a folder, which is made, or with new ones. Nothing that
    /// hangs on interfaces changes.
    ///
    /// # Errors
    /// Sizes out of bounds; a folder that holds no pins; programs that the kernel refuses.
    pub fn open(folder: &Path, options: &Options) -> Result<Self, KernelError> {
        let objects = Objects::open(folder, options)?;
        let settings = Arc::new(Settings::open(objects.map("config")?, options)?);
        let links = attach::Links::open(folder, options.hooks)?;
        // What this agent cannot judge behind address translation is judged as it is.
        if !links.has_translation()? {
            settings.set_services(false)?;
        }
        Ok(Self {
            links,
            counters: objects.map("counters")?,
            budget: objects.map("budget")?,
            events: objects.map("events")?,
            endpoints: Typed::new(objects.map("endpoints")?).behind(&INTERFACE_BITS).telling(&settings),
            local_addresses: Typed::new(objects.map("local_addresses")?),
            identities: Typed::new(objects.map("identities")?).telling(&settings),
            tables: Typed::new(objects.map("tables")?),
            peers: Typed::new(objects.map("peers")?),
            blocks: Typed::new(objects.map("blocks")?),
            ports: Typed::new(objects.map("ports")?),
            services: Typed::new(objects.map("services")?),
            objects,
            settings,
        })
    }

    /// What ids in these maps depend on besides what they stand for.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn secret(&self) -> Result<[u8; 32], KernelError> {
        secret::of(self.objects.maps_folder())
    }

    /// Hangs the programs on an interface of this network namespace, or puts them in the place of older ones, each at
    /// once. Its endpoint is in the table before: without one nothing passes. Those that are new hang by clsact, which takes
    /// 2 ms, until [`Kernel::settle`].
    ///
    /// # Errors
    /// The kernel's refusal of both ways.
    pub fn attach(&self, interface: u32) -> Result<AttachedBy, KernelError> {
        self.links.attach(&self.objects, interface)
    }

    /// Hangs by tcx what [`Kernel::attach`] hung by clsact, where the kernel has it: some 40 ms, in which the kernel
    /// changes no interface. Packets are judged all the time, for a moment twice.
    ///
    /// # Errors
    /// The kernel's refusal. They hang as they did.
    pub fn settle(&self, interface: u32) -> Result<AttachedBy, KernelError> {
        self.links.settle(&self.objects, interface)
    }

    /// Takes the programs off an interface, if they hang on it. Its endpoint is removed after.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn detach(&self, interface: u32) -> Result<(), KernelError> {
        self.links.detach(&self.objects, interface)
    }

    /// What hangs where, read back from the kernel. Interfaces that are gone are left out, and their pins removed.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn attached(&self) -> Result<BTreeMap<u32, Attached>, KernelError> {
        self.links.attached(&self.objects, self.endpoints.all()?.into_keys())
    }

    /// Hangs the program behind address translation, in this network namespace, and has packets to
    /// [`Tables::services`] wait for it.
    ///
    /// # Errors
    /// The kernel's refusal of anything but the program itself.
    pub fn translate(&self) -> Result<Translated, KernelError> {
        match self.objects.translation() {
            Err(refused) => {
                self.settings.set_services(false)?;
                Ok(Translated::AsTheyAre { refused })
            }
            Ok(program) => match self.links.translate(&program) {
                Ok(()) => self.settings.set_services(true).map(|()| Translated::Judged),
                Err(error) => {
                    self.settings.set_services(false)?;
                    Ok(Translated::AsTheyAre { refused: error.to_string() })
                }
            },
        }
    }

    /// Whether packets to Services wait to be judged until their destination is known.
    pub fn translated(&self) -> bool {
        self.settings.services()
    }

    /// Returns when no program is running that ran when this was called; false at once where the kernel does not tell
    /// (`nohz_full`, or a filter of system calls). Programs run within read-side critical sections of RCU, whose end
    /// `MEMBARRIER_CMD_GLOBAL` waits for: some 20 ms.
    pub fn wait_for_running(&self) -> bool {
        membarrier(MembarrierCommand::Global).is_ok()
    }

    /// The programs as the kernel has them.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn programs(&self) -> Result<Vec<Program>, KernelError> {
        self.objects.programs()
    }

    /// Runs a program on a frame (`BPF_PROG_TEST_RUN`), as if it had come from or were to go to a Pod's interface of this
    /// network namespace; `times` in a row.
    ///
    /// # Errors
    /// The kernel's refusal, as of what is too short to be a frame.
    pub fn run(&self, trial: &Trial<'_>) -> Result<Tried, KernelError> {
        trial::run(&self.objects, trial)
    }

    /// Packets of all interfaces, exact.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn counters(&self) -> Result<Counters, KernelError> {
        counters::read(&self.counters)
    }

    /// How many packets and connections no event told of, for want of budget or room.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn untold(&self) -> Result<u64, KernelError> {
        counters::untold(&self.budget)
    }

    /// A reader of events, of which there is one at a time.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn events<'a>(&'a self, told: impl FnMut(Event) + 'a) -> Result<Events<'a>, KernelError> {
        Events::open(&self.events, told)
    }

    /// Removes maps of other layouts. After every interface was attached by this one: the programs of others lose their
    /// pins, not their maps.
    ///
    /// # Errors
    /// A folder that cannot be read, or a pin that cannot be removed.
    pub fn forget_others(&self) -> Result<(), KernelError> {
        self.objects.forget_others()
    }

    /// Takes everything off: programs, links, maps. Nothing of it is left in the kernel.
    ///
    /// # Errors
    /// The kernel's refusal; what was not removed then is left.
    pub fn remove(self) -> Result<(), KernelError> {
        self.links.remove(&self.objects, self.endpoints.all()?.into_keys())?;
        self.objects.remove()
    }
}

impl Tables for Kernel {
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
