//! Numbers of identities, the same on every node and after every restart.

use std::collections::HashMap;

use super::digest::Content;
use crate::state::{ContainerPort, Labels, Pod, State};

/// Of an address that nobody is known to have.
pub const NOBODY: u64 = 0;

/// Of the addresses of the node itself.
pub const OWN_NODE: u64 = 1;

/// Numbers of the Pods of a state.
#[derive(Debug, Clone, Default)]
pub struct Numbers {
    /// By Pod; [`NOBODY`] for Pods that policies are not about.
    of_pod: Vec<u64>,
    /// Pods in the order of their numbers, one of each.
    sorted: Vec<(u64, u32)>,
}

/// Two contents that have one id. By chance this does not happen; nothing is planned that would take one for the other.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{first} and {second} have the same number {id:#018x}")]
pub struct Collision {
    /// The id.
    pub id: u64,
    /// What has it.
    pub first: String,
    /// What has it too.
    pub second: String,
}

/// The number of Pods of a namespace with some labels and some ports, of which those with a name count, in any order.
pub fn identity_number(namespace: &str, labels: &Labels, ports: &[ContainerPort]) -> u64 {
    let mut content = Content::new("identity");
    content.text(namespace).number(labels.iter().count() as u64);
    for (key, value) in labels.iter() {
        content.text(key).text(value);
    }
    for port in named(ports) {
        content.text(&port.name).number(port.protocol as u64).number(u64::from(port.port));
    }
    content.finish().1
}

/// Ports that have a name, sorted, each once.
fn named(ports: &[ContainerPort]) -> Vec<&ContainerPort> {
    let mut named: Vec<&ContainerPort> = ports.iter().filter(|port| !port.name.is_empty()).collect();
    named.sort_unstable();
    named.dedup();
    named
}

// === impl Numbers ===

impl Numbers {
    /// Numbers all Pods of a state.
    ///
    /// # Errors
    /// Two identities with one number, or one with a number that means something else.
    pub fn new(state: &State) -> Result<Self, Collision> {
        let mut numbers = Self::default();
        let mut known: HashMap<u64, u32> = HashMap::with_capacity(state.pods.len());
        for (pod, at) in state.pods.iter().zip(0..) {
            if pod.host_network || pod.finished {
                numbers.of_pod.push(NOBODY);
                continue;
            }
            let id = identity_number(&pod.namespace, &pod.labels, &pod.ports);
            let collision = |second: &str| Collision { id, first: pod.to_string(), second: second.to_owned() };
            if [NOBODY, OWN_NODE].contains(&id) {
                return Err(collision("what is no Pod"));
            }
            let first = *known.entry(id).or_insert(at);
            if !same(&state.pods[first as usize], pod) {
                return Err(collision(&state.pods[first as usize].to_string()));
            }
            numbers.of_pod.push(id);
        }
        numbers.sorted = known.into_iter().collect();
        numbers.sorted.sort_unstable();
        Ok(numbers)
    }

    /// The number of a Pod; [`NOBODY`] when policies are not about it.
    pub fn of_pod(&self, pod: u32) -> u64 {
        self.of_pod.get(pod as usize).copied().unwrap_or(NOBODY)
    }
}

/// Whether two Pods are one identity.
fn same(a: &Pod, b: &Pod) -> bool {
    (&a.namespace, &a.labels, named(&a.ports)) == (&b.namespace, &b.labels, named(&b.ports))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::Protocol;

    #[test]
    fn an_identity_has_the_same_number_whatever_the_order_and_another_for_any_other_content() {
        let port = |name: &str, port| ContainerPort { name: name.into(), protocol: Protocol::Tcp, port };
        let labels = |pairs: &[(&'static str, &'static str)]| Labels::new(pairs.iter().copied());
        let one = identity_number("shop", &labels(&[("a", "1"), ("b", "2")]), &[port("http", 80), port("dns", 53)]);
        let unnamed = [port("dns", 53), port("", 99), port("http", 80), port("dns", 53)];
        assert_eq!(one, identity_number("shop", &labels(&[("b", "2"), ("a", "1")]), &unnamed));
        let others = [
            identity_number("shop", &labels(&[("a", "1"), ("b", "2")]), &[port("http", 80)]),
            identity_number("shop", &labels(&[("a", "1b"), ("", "2")]), &[port("http", 80), port("dns", 53)]),
            identity_number("shopa", &labels(&[("", "1"), ("b", "2")]), &[port("http", 80), port("dns", 53)]),
            identity_number("shop", &labels(&[("a", "1"), ("b", "2")]), &[port("http", 53), port("dns", 80)]),
        ];
        assert!(!others.contains(&one));
    }

    #[test]
    fn the_number_of_an_identity_is_the_same_in_every_version() {
        let labels = Labels::new([("app", "web")]);
        let http = ContainerPort { name: "http".into(), protocol: Protocol::Tcp, port: 8080 };
        assert_eq!(identity_number("shop", &labels, &[http]), 14_546_735_207_958_114_014);
    }
}
