//! Answers the libraries `cluster` and `network` (declared in [`stockade_policy::host_library`]) from cluster facts.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use stockade_cel::functions::{Host, Scope};
use stockade_cel::opaque::Opaque;
use stockade_cel::{ErrorKind, Value};
use stockade_policy::host_library as library;
use stockade_policy::selector::LabelSelector;

use crate::facts::{ClusterFacts, Fact, Into, Kind, MAX_LISTED, NAMESPACE};
use crate::network::{self, Direction, NotReadable};
use crate::request::Members;

mod connections;

/// Once a request's arena holds this much, nothing more is read into it: an expression that reads in a loop ends here.
pub const MAX_READ_BYTES: usize = 128 << 20;

/// The host of one request's evaluations.
pub struct FactsHost<'f> {
    facts: &'f dyn ClusterFacts,
    request_namespace: &'f str,
    /// What was read of the NetworkPolicies of a namespace: policies ask for one Pod after the other.
    network: Mutex<HashMap<String, Arc<[Reading]>>>,
}

/// What matters of one NetworkPolicy.
struct Reading {
    name: String,
    selector: Result<LabelSelector, NotReadable>,
    /// Whether it allows everything, when it isolates in that direction.
    ingress: Option<bool>,
    egress: Option<bool>,
}

type Answer<'a> = Result<Value<'a>, ErrorKind<'a>>;

// === impl FactsHost ===

impl<'f> FactsHost<'f> {
    /// Answers from these facts, for a request in this namespace.
    pub fn new(facts: &'f dyn ClusterFacts, request_namespace: &'f str) -> Self {
        Self { facts, request_namespace, network: Mutex::default() }
    }

    fn get<'a>(&self, args: [&str; 4], scope: &Scope<'a>) -> Answer<'a> {
        let [api_version, kind, namespace, name] = args;
        let kind_read = Kind { api_version, kind };
        let of_request = kind_read == NAMESPACE && namespace.is_empty() && name == self.request_namespace;
        let into = room(scope)?;
        let fact = match of_request && !name.is_empty() {
            true => self.facts.namespace_of_request(name, into),
            false => self.facts.get(kind_read, namespace, name, into),
        };
        let found = match fact {
            Fact::Known(found) => found,
            Fact::NotReady => return Err(not_ready(kind, scope)),
        };
        Ok(Value::Optional(found.map(|v| &*scope.arena.alloc(v))))
    }

    fn list<'a>(&self, kind: Kind<'_>, namespace: &str, scope: &Scope<'a>) -> Result<&'a [Value<'a>], ErrorKind<'a>> {
        match self.facts.list(kind, namespace, room(scope)?) {
            Fact::Known(list) if list.len() > MAX_LISTED => {
                let text = format!("more than {MAX_LISTED} objects of kind {} exist", kind.kind);
                Err(ErrorKind::Function(scope.arena.alloc_str(&text)))
            }
            Fact::Known(list) => Ok(list),
            Fact::NotReady => Err(not_ready(kind.kind, scope)),
        }
    }

    /// The NetworkPolicies that select a Pod.
    fn selecting<'a>(&self, pod: Value<'a>, scope: &Scope<'a>) -> Result<&'a [Value<'a>], ErrorKind<'a>> {
        let pod = network::Pod::of(pod).map_err(|e| fault(&e, scope))?;
        let all = self.list(network::NETWORK_POLICY, pod.namespace, scope)?;
        let mut selecting = bumpalo::collections::Vec::new_in(scope.arena);
        for policy in all {
            if network::selects(*policy, &pod).map_err(|e| fault(&e, scope))? {
                selecting.push(*policy);
            }
        }
        Ok(selecting.into_bump_slice())
    }

    /// The NetworkPolicies of a namespace, read once a request.
    fn readings<'a>(&self, namespace: &str, scope: &Scope<'a>) -> Result<Arc<[Reading]>, ErrorKind<'a>> {
        let known = self.network.lock().ok().and_then(|n| n.get(namespace).cloned());
        if let Some(known) = known {
            return Ok(known);
        }
        let list = self.list(network::NETWORK_POLICY, namespace, scope)?;
        let readings: Arc<[Reading]> = list.iter().map(|p| Reading::of(*p)).collect();
        if let Ok(mut network) = self.network.lock() {
            network.insert(namespace.to_owned(), Arc::clone(&readings));
        }
        Ok(readings)
    }

    fn isolation<'a>(&self, pod: Value<'a>, direction: Direction, scope: &Scope<'a>) -> Answer<'a> {
        let pod = network::Pod::of(pod).map_err(|e| fault(&e, scope))?;
        let mut names = bumpalo::collections::Vec::new_in(scope.arena);
        let mut allows_all = false;
        for reading in self.readings(pod.namespace, scope)?.iter() {
            let Some(open) = reading.in_direction(direction) else { continue };
            if pod.is_matched(reading.selector.as_ref().map_err(|e| fault(e, scope))?) {
                names.push(Value::String(scope.arena.alloc_str(&reading.name)));
                allows_all |= open;
            }
        }
        names.sort_by_key(|n| n.as_str().unwrap_or(""));
        let mut members = Members::new(scope.arena, scope.symbols);
        members.push(library::ISOLATION_ISOLATED, Value::Bool(!names.is_empty()));
        members.push(library::ISOLATION_POLICIES, Value::List(names.into_bump_slice()));
        members.push(library::ISOLATION_ALLOWS_ALL, Value::Bool(allows_all));
        let opaque = Opaque::Host { type_name: library::ISOLATION, data: members.finish() };
        Ok(Value::Opaque(scope.arena.alloc(opaque)))
    }
}

// === impl Reading ===

impl Reading {
    fn of(policy: Value<'_>) -> Self {
        let open = |d| network::isolates(policy, d).then(|| network::allows_all(policy, d));
        Self {
            name: policy.path(&["metadata", "name"]).and_then(Value::as_str).unwrap_or("").to_owned(),
            selector: network::pod_selector(policy),
            ingress: open(Direction::Ingress),
            egress: open(Direction::Egress),
        }
    }

    fn in_direction(&self, direction: Direction) -> Option<bool> {
        match direction {
            Direction::Ingress => self.ingress,
            Direction::Egress => self.egress,
        }
    }
}

impl Host for FactsHost<'_> {
    fn call<'a>(&self, function: &'static str, args: &[Value<'a>], scope: &Scope<'a>) -> Answer<'a> {
        use Value::{Bool, List, String};
        match (function, args) {
            (library::CLUSTER_GET, &[String(version), String(kind), String(namespace), String(name)]) => {
                self.get([version, kind, namespace, name], scope)
            }
            (library::CLUSTER_LIST, &[String(api_version), String(kind)]) => {
                self.list(Kind { api_version, kind }, "", scope).map(List)
            }
            (library::CLUSTER_LIST, &[String(_), String(_), String("")]) => {
                Err(ErrorKind::Function("cluster.list needs a namespace; leave it out to list all namespaces"))
            }
            (library::CLUSTER_LIST, &[String(api_version), String(kind), String(namespace)]) => {
                self.list(Kind { api_version, kind }, namespace, scope).map(List)
            }
            (library::NETWORK_INGRESS, &[pod]) => self.isolation(pod, Direction::Ingress, scope),
            (library::NETWORK_EGRESS, &[pod]) => self.isolation(pod, Direction::Egress, scope),
            (library::NETWORK_POLICIES, &[pod]) => self.selecting(pod, scope).map(List),
            (library::NETWORK_SELECTS, &[policy, pod]) => {
                let pod = network::Pod::of(pod).map_err(|e| fault(&e, scope))?;
                network::selects(policy, &pod).map(Bool).map_err(|e| fault(&e, scope))
            }
            (library::NETWORK_ALLOWS_ALL_INGRESS, &[policy]) => Ok(Bool(
                network::isolates(policy, Direction::Ingress) && network::allows_all(policy, Direction::Ingress),
            )),
            (library::NETWORK_ALLOWS_ALL_EGRESS, &[policy]) => {
                Ok(Bool(network::isolates(policy, Direction::Egress) && network::allows_all(policy, Direction::Egress)))
            }
            (library::NETWORK_UNMET_NEEDS, &[pod]) => self.unmet_needs(pod, scope),
            (library::NETWORK_ONE_SIDED, &[policy]) => self.one_sided(policy, scope),
            (library::NETWORK_DOES_NOT_FIT, &[policy]) => Ok(Self::does_not_fit(policy, scope)),
            (_, &[Value::Opaque(Opaque::Host { type_name: library::ISOLATION, data })]) => {
                data.get(function).ok_or(ErrorKind::NoSuchOverload)
            }
            _ => Err(ErrorKind::NoSuchOverload),
        }
    }
}

/// Where what is read goes, as long as there is room.
///
/// # Errors
/// The request has read [`MAX_READ_BYTES`].
pub(crate) fn room<'a>(scope: &Scope<'a>) -> Result<Into<'a>, ErrorKind<'a>> {
    if scope.arena.allocated_bytes() > MAX_READ_BYTES {
        return Err(ErrorKind::MemoryLimit);
    }
    Ok(Into { arena: scope.arena, symbols: scope.symbols })
}

fn not_ready<'a>(kind: &str, scope: &Scope<'a>) -> ErrorKind<'a> {
    let text = format!("objects of kind {kind} are not yet synced to use for admission");
    ErrorKind::Function(scope.arena.alloc_str(&text))
}

fn fault<'a>(error: &NotReadable, scope: &Scope<'a>) -> ErrorKind<'a> {
    ErrorKind::Function(scope.arena.alloc_str(&error.to_string()))
}

#[cfg(test)]
mod tests;
