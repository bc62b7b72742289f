//! Selectors that mean one kind of Pods, and nobody else who is known.

use std::collections::HashMap;

use crate::flows::observed::Observed;
use crate::flows::world::World;
use crate::remedy;
use crate::state::Labels;

/// A namespace and one of its labels.
type Pair<'a> = (&'a str, &'a str, &'a str);

/// Kinds of Pods that are known, from flows or from manifests.
pub(super) struct Neighbours<'a> {
    by_label: HashMap<Pair<'a>, Vec<&'a Labels>>,
    by_namespace: HashMap<&'a str, Vec<&'a Labels>>,
}

// === impl Neighbours ===

impl<'a> Neighbours<'a> {
    pub(super) fn new(world: &'a World, observed: &'a Observed) -> Self {
        let manifests = world.manifests().iter().filter(|pod| !pod.host_network);
        let manifests = manifests.map(|pod| (&*pod.namespace, &pod.labels));
        let observed = observed.identities.iter().map(|identity| (identity.namespace.as_str(), &identity.labels));
        let mut all = Self { by_label: HashMap::new(), by_namespace: HashMap::new() };
        for (namespace, labels) in manifests.chain(observed) {
            all.by_namespace.entry(namespace).or_default().push(labels);
            for (key, value) in remedy::stable(labels) {
                all.by_label.entry((namespace, key, value)).or_default().push(labels);
            }
        }
        all
    }

    /// A selector of some Pods. Others that have the same labels and more are told apart by labels that they have.
    pub(super) fn selector(&self, namespace: &str, labels: &Labels) -> String {
        let of_label = remedy::stable(labels).filter_map(|(key, value)| self.by_label.get(&(namespace, key, value)));
        let candidates = of_label.min_by_key(|list| list.len());
        let candidates = candidates.or_else(|| self.by_namespace.get(namespace)).map_or(&[][..], Vec::as_slice);
        let mut absent: Vec<&str> = Vec::new();
        for other in candidates {
            let has_all = remedy::stable(labels).all(|(key, value)| other.get(key) == Some(value));
            if !has_all || absent.iter().any(|key| other.get(key).is_some()) {
                continue;
            }
            absent.extend(remedy::stable(other).map(|(key, _)| key).find(|key| labels.get(key).is_none()));
        }
        absent.sort_unstable();
        remedy::selector(labels, &absent)
    }
}
