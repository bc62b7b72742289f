//! What the kernel is to hold: a function of the inputs and of where Pods are.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

use stockade_netpol::addresses::Cidr;
use stockade_netpol::plan::{NotPlanned, Plan, Prefix, RuleName};
use stockade_netpol::state::PodId;

use crate::contents::{CLOSED, Contents};
use crate::hold::HostInterface;
use crate::inputs::claims::Claim;
use crate::inputs::identity::Identity;
use crate::inputs::{Inputs, PodFacts};
use crate::kernel::Endpoint;
use crate::places::{Place, Places};

mod decider;
mod people;
mod plans;
mod policies;

pub use decider::Decider;
use policies::Judged;
pub use policies::{PolicyInForce, PolicyState};

/// What the kernel is to hold, and what is to be told of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Desired {
    /// All tables. Generations of endpoints are not counted here.
    pub contents: Contents,
    /// Policies that select Pods of the node.
    pub policies: Vec<PolicyInForce>,
    /// Names of the rules of each table, in their order.
    pub rules: BTreeMap<u64, Arc<[RuleName]>>,
    /// Addresses that more than one identity claims, so nobody is known to have them.
    pub contested: Vec<IpAddr>,
    /// Pods that nothing passes to or from, because what selects them is not known: namespace and name.
    pub closed: Vec<(String, String)>,
}

/// Why nothing can be said: more than can be judged at once, or two identities with one number.
pub type Undecided = NotPlanned;

/// One Pod of the node that has an interface.
struct Local<'a> {
    pod: &'a PodFacts,
    place: &'a Place,
    identity: Arc<Identity>,
    addresses: Vec<IpAddr>,
}

/// Identities of all Pods of the node by UID, with a network or not yet.
fn expected(inputs: &Inputs) -> BTreeMap<&str, Arc<Identity>> {
    let identity = |pod: &PodFacts| Identity::new(pod.namespace.as_str().into(), &pod.labels, &pod.ports);
    let judged = inputs.pods.iter().filter(|(_, pod)| pod.is_judged());
    judged.map(|(uid, pod)| (uid.as_str(), Arc::new(identity(pod)))).collect()
}

/// Pods of the node that have an interface and an address.
fn locals<'a>(inputs: &'a Inputs, places: &'a Places, expected: &BTreeMap<&str, Arc<Identity>>) -> Vec<Local<'a>> {
    let placed = inputs.pods.iter().filter_map(|(uid, pod)| {
        let pod: &PodFacts = pod;
        let identity = Arc::clone(expected.get(uid.as_str())?);
        let place = places.of(uid, &pod.namespace, &pod.name)?;
        // What set the network up knows before the API server does.
        let addresses = if place.addresses.is_empty() { &pod.addresses } else { &place.addresses };
        let addresses: Vec<IpAddr> = addresses.iter().map(|address| address.to_canonical()).collect();
        (!addresses.is_empty()).then_some(Local { pod, place, identity, addresses })
    });
    let mut locals: Vec<Local<'a>> = placed.collect();
    // Of two with one address the better claim is written last, and stays.
    locals.sort_by_key(|local| Claim::of_pod(local.pod));
    locals
}

/// Endpoints of all Pods of the node, closed: what is left to say of those that are new where nothing can be said.
pub fn all_closed(inputs: &Inputs, places: &Places) -> Contents {
    let mut desired = Desired::default();
    for Local { place, identity, addresses, .. } in locals(inputs, places, &expected(inputs)) {
        let endpoint = Endpoint { identity: identity.number, table: CLOSED, ..Endpoint::default() };
        desired.add_endpoint(&place.interface, endpoint, &addresses, None);
    }
    desired.add_unknown(inputs, places);
    desired.contents
}

// === impl Desired ===

impl Desired {
    fn add_endpoints(&mut self, inputs: &Inputs, locals: &[Local<'_>], own: &[PodId], plan: &Plan, held: &Contents) {
        let mut kept = BTreeSet::new();
        for (local, id) in locals.iter().zip(own) {
            let identity = local.identity.number;
            let planned = plan.pods.get(id);
            let is_known = inputs.namespaces.contains_key(&local.pod.namespace);
            let (table, audit_table) = match planned {
                Some(Ok(tables)) if is_known => {
                    (tables.table.unwrap_or_default(), tables.audit_table.unwrap_or_default())
                }
                // What does not fit: as it was.
                Some(Err(_)) if let Some(before) = held.endpoints.get(&local.place.interface.index) => {
                    kept.extend([before.table, before.audit_table]);
                    (before.table, before.audit_table)
                }
                _ => {
                    self.close(&local.pod.namespace, &local.pod.name);
                    (CLOSED, 0)
                }
            };
            let endpoint = Endpoint { identity, table, audit_table, ..Endpoint::default() };
            self.add_endpoint(&local.place.interface, endpoint, &local.addresses, Some(identity));
        }
        kept.remove(&0);
        self.contents.add_tables_of(held, &kept);
    }

    /// Pods and what they are judged by; of those with the same planned tables, which the same policies select, one.
    fn judged<'p>(&self, locals: &[Local<'_>], own: &[PodId], plan: &'p Plan) -> Vec<Judged<'p>> {
        let mut seen = HashSet::new();
        let judged = locals.iter().zip(own).filter_map(|(local, pod)| {
            let endpoint = self.contents.endpoints.get(&local.place.interface.index)?;
            let tables = (endpoint.table, endpoint.audit_table);
            let refused = plan.pods.get(pod).and_then(|planned| planned.as_ref().err());
            let is_alike = refused.is_none() && endpoint.table != CLOSED;
            (!is_alike || seen.insert(tables)).then_some(Judged { pod: *pod, tables, refused })
        });
        judged.collect()
    }

    /// Pods whose network is being set up and that no watch has told of yet.
    fn add_unknown(&mut self, inputs: &Inputs, places: &Places) {
        let known: HashSet<(&str, &str)> =
            inputs.pods.values().map(|pod| (pod.namespace.as_str(), pod.name.as_str())).collect();
        for place in places.iter() {
            let pod = &place.pod;
            let is_known = inputs.pods.contains_key(&pod.uid) || known.contains(&(&*pod.namespace, &*pod.name));
            if is_known || place.addresses.is_empty() {
                continue;
            }
            self.close(&pod.namespace, &pod.name);
            let endpoint = Endpoint { table: CLOSED, ..Endpoint::default() };
            self.add_endpoint(&place.interface, endpoint, &place.addresses, None);
        }
    }

    /// Interfaces that were Pods', and are there though no Pod is known to have them (any more): closed, whoever has them,
    /// until they are gone.
    fn add_leftovers(&mut self, places: &Places, held: &Contents) {
        for index in held.endpoints.keys().filter(|index| places.has_interface(**index)) {
            let closed = Endpoint { table: CLOSED, ..Endpoint::default() };
            self.contents.endpoints.entry(*index).or_insert(closed);
        }
    }

    fn close(&mut self, namespace: &str, name: &str) {
        self.closed.push((namespace.to_owned(), name.to_owned()));
    }

    /// With the addresses that nobody else has.
    fn add_endpoint(
        &mut self,
        interface: &HostInterface,
        mut endpoint: Endpoint,
        addresses: &[IpAddr],
        identity: Option<u64>,
    ) {
        for address in addresses {
            let owner = self.contents.identities.get(address);
            if identity.is_some() && owner != identity.as_ref() {
                continue;
            }
            match address.to_canonical() {
                IpAddr::V4(address) => endpoint.v4 = Some(address),
                IpAddr::V6(address) => endpoint.v6 = Some(address),
            }
            self.contents.local_addresses.insert(*address, interface.index);
        }
        self.contents.endpoints.insert(interface.index, endpoint);
    }
}

/// A block of addresses, as keys of tables have it.
fn prefix(text: &str) -> Option<(Prefix, ())> {
    let (address, length) = text.split_once('/')?;
    let (address, length): (IpAddr, u8) = (address.parse().ok()?, length.parse().ok()?);
    Cidr::parse(text).ok()?;
    let length = if address.is_ipv4() { length + 96 } else { length };
    Some((Prefix::of(address, length), ()))
}

#[cfg(test)]
mod tests;
