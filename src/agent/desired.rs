//! What the kernel is to hold: a function of the inputs and of where Pods are.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

use stockade_netpol::addresses::Cidr;
use stockade_netpol::compile::{Census, Compiled, TooMuch};
use stockade_netpol::plan::{self, Collision, Limits, Numbers, OWN_NODE, Plan, Prefix, RuleName};
use stockade_netpol::ports::Protocol;
use stockade_netpol::state::{ContainerPort, Labels, Node, Pod, PodId, State};
use stockade_node::identity_slice::NamedPort;
use stockade_policy::compiled::Origin;

use crate::contents::{CLOSED, Contents};
use crate::hold::HostInterface;
use crate::inputs::claims::{Claim, Claims};
use crate::inputs::{Inputs, PodFacts};
use crate::kernel::Endpoint;
use crate::places::{Place, Places};

mod policies;

pub use policies::{PolicyInForce, PolicyState};

/// What the kernel is to hold, and what is to be told of it.
#[derive(Debug, Clone, Default)]
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

/// Why nothing can be said.
#[derive(Debug, thiserror::Error)]
pub enum Undecided {
    /// More than can be judged at once.
    #[error("{0}")]
    TooMuch(#[from] TooMuch),
    /// Two identities have one number.
    #[error("{0}")]
    Collision(#[from] Collision),
}

/// One Pod of the node that has an interface.
struct Local<'a> {
    pod: &'a PodFacts,
    place: &'a Place,
    addresses: Vec<IpAddr>,
}

/// Whose Pods of a state are whose.
struct Everybody {
    state: State,
    /// Own Pods come first.
    own: Vec<PodId>,
    /// Addresses by Pod of the state; with what makes one claim better than another.
    claims: Vec<(IpAddr, PodId, Claim)>,
}

/// Decides. `held` is what the kernel holds: where the tables of a Pod do not fit, it keeps those it has.
///
/// # Errors
/// More than can be judged at once, or two contents with one number. Then nothing is to change.
pub fn desired(inputs: &Inputs, places: &Places, held: &Contents, limits: &Limits) -> Result<Desired, Undecided> {
    let locals = locals(inputs, places);
    let everybody = Everybody::of(inputs, &locals);
    let census = Arc::new(Census::new(everybody.state));
    let numbers = Numbers::new(&census)?;
    let policies = policies::read(inputs);
    let compiled = Compiled::over(census.concerning(policies, &everybody.own), Arc::clone(&census))?;
    let plan = plan::plan(&compiled, &numbers, &everybody.own, limits)?;

    let mut desired = Desired::default();
    desired.contents.add_closed();
    let mut claims = Claims::default();
    for (address, pod, claim) in everybody.claims {
        claims.add(address, numbers.of_pod(pod), claim);
    }
    (desired.contents.identities, desired.contested) = claims.finish();
    for address in &places.node_addresses {
        desired.contents.identities.insert(*address, OWN_NODE);
    }
    desired.contents.add_plan(&plan);
    desired.contents.services = inputs.services.values().flatten().filter_map(|block| prefix(block)).collect();
    desired.add_endpoints(inputs, &locals, &everybody.own, &plan, &numbers, held);
    desired.add_unknown(inputs, places);
    desired.add_leftovers(places, held);
    desired.policies = policies::in_force(inputs, &compiled, &everybody.own, &plan);
    desired.rules = plan.tables.into_iter().map(|(id, table)| (id, Arc::clone(&table.rules))).collect();
    Ok(desired)
}

/// Pods of the node that have an interface and an address.
fn locals<'a>(inputs: &'a Inputs, places: &'a Places) -> Vec<Local<'a>> {
    let judged = inputs.pods.iter().filter(|(_, pod)| pod.is_judged());
    let placed = judged.filter_map(|(uid, pod)| {
        let place = places.of(uid, &pod.namespace, &pod.name)?;
        // What set the network up knows before the API server does.
        let addresses = if place.addresses.is_empty() { &pod.addresses } else { &place.addresses };
        let addresses: Vec<IpAddr> = addresses.iter().map(|address| address.to_canonical()).collect();
        (!addresses.is_empty()).then_some(Local { pod, place, addresses })
    });
    let mut locals: Vec<Local<'a>> = placed.collect();
    // Of two with one address the better claim is written last, and stays.
    locals.sort_by_key(|local| Claim::of_pod(local.pod));
    locals
}

// === impl Desired ===

impl Desired {
    fn add_endpoints(
        &mut self,
        inputs: &Inputs,
        locals: &[Local<'_>],
        own: &[PodId],
        plan: &Plan,
        numbers: &Numbers,
        held: &Contents,
    ) {
        let mut kept = BTreeSet::new();
        for (local, id) in locals.iter().zip(own) {
            let identity = numbers.of_pod(*id);
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

// === impl Everybody ===

impl Everybody {
    fn of(inputs: &Inputs, locals: &[Local<'_>]) -> Self {
        let mut pods = Vec::new();
        let mut claims = Vec::new();
        for local in locals {
            let claim = Claim::of_pod(local.pod);
            let id = PodId(pods.len() as u32);
            claims.extend(local.addresses.iter().map(|address| (*address, id, claim)));
            let name = local.pod.name.as_str().into();
            let ports = ports(&local.pod.ports);
            pods.push(pod(&local.pod.namespace, name, &local.pod.labels, ports, local.addresses.clone()));
        }
        let own = (0..pods.len() as u32).map(PodId).collect();
        for slice in inputs.slices.values() {
            let claim = Claim::of_slice(slice.version);
            for identity in &slice.spec.identities {
                let id = PodId(pods.len() as u32);
                let addresses: Vec<IpAddr> = identity.addresses.iter().filter_map(|a| a.parse().ok()).collect();
                claims.extend(addresses.iter().map(|address| (*address, id, claim)));
                let ports = ports(&identity.ports);
                pods.push(pod(&slice.spec.namespace, "".into(), &identity.labels, ports, addresses));
            }
        }
        let mut namespaces: BTreeMap<Arc<str>, Labels> = BTreeMap::new();
        for (name, facts) in &inputs.namespaces {
            namespaces.insert(name.as_str().into(), Labels::of_namespace(name, pairs(&facts.labels)));
        }
        for pod in &pods {
            let nothing = || Labels::of_namespace(&pod.namespace, []);
            namespaces.entry(pod.namespace.clone()).or_insert_with(nothing);
        }
        let nodes = inputs.nodes.iter().map(|(name, facts)| Node {
            name: name.as_str().into(),
            labels: Labels::new(pairs(&facts.labels)),
            addresses: facts.addresses.clone(),
        });
        Self { state: State { namespaces, pods, nodes: nodes.collect() }, own, claims }
    }
}

fn pod(
    namespace: &str,
    name: Arc<str>,
    labels: &BTreeMap<String, String>,
    ports: Vec<ContainerPort>,
    addresses: Vec<IpAddr>,
) -> Pod {
    Pod {
        namespace: namespace.into(),
        name,
        owner: None,
        labels: Labels::new(pairs(labels)),
        addresses,
        ports,
        host_network: false,
        node: None,
        finished: false,
        origin: Origin::default(),
    }
}

pub(crate) fn pairs(labels: &BTreeMap<String, String>) -> impl Iterator<Item = (&str, &str)> {
    labels.iter().map(|(key, value)| (key.as_str(), value.as_str()))
}

pub(crate) fn ports(named: &[NamedPort]) -> Vec<ContainerPort> {
    let protocol = |name: &str| Protocol::ALL.into_iter().find(|protocol| protocol.name() == name);
    let read = |port: &NamedPort| {
        let protocol = protocol(&port.protocol)?;
        Some(ContainerPort { name: port.name.as_str().into(), protocol, port: port.port })
    };
    named.iter().filter_map(read).collect()
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
