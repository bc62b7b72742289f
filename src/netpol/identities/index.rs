//! Identities by their labels, so that a selector is looked up and not matched with each of them.

use std::collections::HashMap;
use std::sync::Arc;

use stockade_policy::selector::Operator;

use super::{Identities, IdentityId};
use crate::policy::{Namespaces, Pods};

/// Who has a label, by key and by value. It takes some milliseconds for 20,000 identities, so it is worth it only where
/// these stay while policies change.
#[derive(Debug)]
pub(crate) struct LabelIndex(HashMap<Arc<str>, HashMap<Arc<str>, Vec<IdentityId>>>);

// === impl LabelIndex ===

impl LabelIndex {
    pub(crate) fn new(identities: &Identities) -> Self {
        let mut index: HashMap<Arc<str>, HashMap<Arc<str>, Vec<IdentityId>>> = HashMap::new();
        for (at, labels) in (0..).zip(&identities.labels) {
            for (key, value) in labels.shared() {
                let by_value = index.entry(Arc::clone(key)).or_default();
                by_value.entry(Arc::clone(value)).or_default().push(IdentityId(at));
            }
        }
        Self(index)
    }

    /// The fewest who may be meant, each once: those of a namespace, or those who have a label that is asked for. None
    /// where that would be everybody.
    pub(super) fn candidates<'i>(
        &'i self,
        identities: &'i Identities,
        pods: &'i Pods,
    ) -> Option<Box<dyn Iterator<Item = IdentityId> + 'i>> {
        let by_label = pods.pods.requirements.iter().filter_map(|requirement| {
            let by_value = self.0.get(&*requirement.key);
            Some(match requirement.operator {
                Operator::In => {
                    let mut values: Vec<&str> = requirement.values.iter().map(String::as_str).collect();
                    values.sort_unstable();
                    values.dedup();
                    values.into_iter().filter_map(|value| by_value?.get(value)).collect::<Vec<_>>()
                }
                Operator::Exists => by_value.into_iter().flat_map(HashMap::values).collect(),
                Operator::NotIn | Operator::DoesNotExist => return None,
            })
        });
        let by_namespace = match &pods.namespaces {
            Namespaces::Named(name) => Some(identities.in_namespace.get(name).into_iter().collect()),
            Namespaces::Matching(_) => None,
        };
        let size = |lists: &Vec<&Vec<IdentityId>>| lists.iter().map(|list| list.len()).sum::<usize>();
        let fewest = by_label.chain(by_namespace).min_by_key(size)?;
        Some(Box::new(fewest.into_iter().flatten().copied()))
    }
}
