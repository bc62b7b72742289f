//! Numbers of identities, the same after every restart.

use std::collections::HashMap;
use std::ops::Range;

use super::digest::Content;
use crate::compile::Census;
use crate::identities::IdentityId;
use crate::state::{ContainerPort, Labels, Pod, PodId};

/// Of an address that nobody is known to have.
pub const NOBODY: u64 = 0;

/// Of the addresses of the node itself.
pub const OWN_NODE: u64 = 1;

/// Numbers of the Pods of a census.
#[derive(Debug, Clone, Default)]
pub struct Numbers {
    /// By Pod; [`NOBODY`] for Pods that policies are not about.
    of_pod: Vec<u64>,
    /// Each number once, by the identity that policies can tell apart: one has more numbers than one where its Pods
    /// have other named ports.
    numbered: Vec<Numbered>,
    /// By identity: where its numbers begin in `numbered`; one more at the end.
    starts: Vec<u32>,
}

/// A number, and one of the Pods that have it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Numbered {
    pub(super) identity: IdentityId,
    pub(super) number: u64,
    pub(super) pod: PodId,
}

/// Two contents that have one id. By chance this does not happen, and [`super::keep_secret`] has nobody look for it; nothing
/// is planned that would take one for the other.
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
    /// Numbers all Pods of a census.
    ///
    /// # Errors
    /// Two identities with one number, or one with a number that means something else.
    pub fn new(census: &Census) -> Result<Self, Collision> {
        Self::known(census, |_, pod| identity_number(&pod.namespace, &pod.labels, &pod.ports))
    }

    /// The same, where somebody knows what [`identity_number`] says of each Pod: it is a digest, and a census of those
    /// who were numbered before need not make it again.
    ///
    /// # Errors
    /// As [`Numbers::new`].
    pub fn known(census: &Census, number: impl Fn(PodId, &Pod) -> u64) -> Result<Self, Collision> {
        let state = census.state();
        let mut numbers = Self { of_pod: Vec::with_capacity(state.pods.len()), ..Self::default() };
        let mut known: HashMap<u64, PodId> = HashMap::with_capacity(state.pods.len());
        for (id, pod) in state.pods() {
            let Some(identity) = census.identity(id) else {
                numbers.of_pod.push(NOBODY);
                continue;
            };
            let number = number(id, pod);
            let collision = |other: &str| Collision { id: number, first: pod.to_string(), second: other.to_owned() };
            if [NOBODY, OWN_NODE].contains(&number) {
                return Err(collision("what is no Pod"));
            }
            match known.insert(number, id).map(|first| state.pod(first)) {
                Some(first) if !same(first, pod) => return Err(collision(&first.to_string())),
                Some(_) => {}
                None => numbers.numbered.push(Numbered { identity, number, pod: id }),
            }
            numbers.of_pod.push(number);
        }
        numbers.numbered.shrink_to_fit();
        numbers.numbered.sort_unstable_by_key(|one| (one.identity, one.number));
        numbers.starts = vec![0; census.identities() + 1];
        for one in &numbers.numbered {
            numbers.starts[one.identity.0 as usize + 1] += 1;
        }
        for at in 1..numbers.starts.len() {
            numbers.starts[at] += numbers.starts[at - 1];
        }
        Ok(numbers)
    }

    /// The number of a Pod; [`NOBODY`] when policies are not about it.
    pub fn of_pod(&self, pod: PodId) -> u64 {
        self.of_pod.get(pod.0 as usize).copied().unwrap_or(NOBODY)
    }

    /// Each number once.
    pub(super) fn all(&self) -> &[Numbered] {
        &self.numbered
    }

    /// Places in [`Self::all`] of the numbers of an identity.
    pub(super) fn of_identity(&self, identity: IdentityId) -> Range<usize> {
        let at = identity.0 as usize;
        self.starts[at] as usize..self.starts[at + 1] as usize
    }
}

// === impl Collision ===

impl Collision {
    pub(super) fn of_port_sets(id: u64) -> Self {
        Self { id, first: "a set of ports".to_owned(), second: "another set of ports".to_owned() }
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
