//! Names from what the agent is told.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use stockade_netpol::plan::{RuleName, identity_number};
use stockade_netpol::state::Labels;
use tokio::sync::watch;

use super::{IdentityNames, Names, PodNames};
use crate::desired::{pairs, ports};
use crate::inputs::Inputs;
use crate::places::Places;

/// Most identities that are remembered; then all are looked up anew.
const MAX_REMEMBERED: usize = 4_096;

/// What names are taken from.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// What was told.
    pub inputs: Arc<Inputs>,
    /// Where Pods of the node are.
    pub places: Arc<Places>,
    /// Rules of each table.
    pub rules: Arc<BTreeMap<u64, Arc<[RuleName]>>>,
}

/// Looks names up in what is known at the moment.
#[derive(Debug)]
pub struct KnownNames {
    known: watch::Receiver<Known>,
    /// A number is made of what it names, so what was found once stays true.
    remembered: Mutex<HashMap<u64, IdentityNames>>,
}

// === impl KnownNames ===

impl KnownNames {
    /// Of whoever tells what is known.
    pub fn new(known: watch::Receiver<Known>) -> Self {
        Self { known, remembered: Mutex::default() }
    }
}

impl Names for KnownNames {
    fn pod(&self, interface: u32) -> Option<PodNames> {
        let known = self.known.borrow().clone();
        let place = known.places.iter().find(|place| place.interface.index == interface)?;
        let pod = &place.pod;
        let facts = known.inputs.pods.get(&pod.uid);
        let labels = facts.map(|facts| Labels::new(pairs(&facts.labels))).unwrap_or_default();
        let (namespace, name) = (pod.namespace.as_str().into(), pod.name.as_str().into());
        Some(PodNames { namespace, name, uid: pod.uid.as_str().into(), labels })
    }

    fn identity(&self, number: u64, address: IpAddr) -> Option<IdentityNames> {
        let mut remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(names) = remembered.get(&number) {
            return Some(names.clone());
        }
        let names = self.known.borrow().identity(number, address)?;
        if remembered.len() >= MAX_REMEMBERED {
            remembered.clear();
        }
        remembered.insert(number, names.clone());
        Some(names)
    }

    fn rule(&self, table: u64, ordinal: u32) -> Option<RuleName> {
        self.known.borrow().rules.get(&table)?.get(ordinal as usize).cloned()
    }
}

// === impl Known ===

impl Known {
    /// Of whoever has an address, those with the number.
    fn identity(&self, number: u64, address: IpAddr) -> Option<IdentityNames> {
        let own = self.inputs.pods.values().filter(|pod| pod.addresses.contains(&address));
        let own = own.map(|pod| (pod.namespace.as_str(), &pod.labels, &pod.ports));
        let text = address.to_string();
        let slices = self.inputs.slices.values().map(|slice| &slice.spec);
        let others = slices.flat_map(|slice| slice.identities.iter().map(|of| (slice.namespace.as_str(), of)));
        let others = others.filter(|(_, of)| of.addresses.contains(&text));
        let others = others.map(|(namespace, of)| (namespace, &of.labels, &of.ports));
        own.chain(others).find_map(|(namespace, labels, named)| {
            let labels = Labels::new(pairs(labels));
            let is_it = identity_number(namespace, &labels, &ports(named)) == number;
            is_it.then(|| IdentityNames { namespace: namespace.into(), labels })
        })
    }
}
