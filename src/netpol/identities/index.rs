//! Identities by their labels, so that a selector is looked up and not matched with each of them.

use std::collections::HashMap;
use std::sync::Arc;

use stockade_policy::selector::Operator;

use super::{Identities, IdentityId};
use crate::policy::{Namespaces, Pods};

/// Who has a label, by key and by value; only of keys that a selector has asked for. To look everybody through for a key
/// takes as long as to match one selector with everybody.
#[derive(Debug, Default)]
pub(crate) struct LabelIndex(HashMap<String, ByValue>);

type ByValue = HashMap<Arc<str>, Vec<IdentityId>>;

// === impl LabelIndex ===

impl LabelIndex {
    /// The fewest who may be meant, each once: those of a namespace, or those who have a label that is asked for. None
    /// where that would be everybody.
    pub(super) fn candidates<'i>(
        &'i mut self,
        identities: &'i Identities,
        pods: &'i Pods,
    ) -> Option<impl Iterator<Item = IdentityId> + use<'i>> {
        let positive = |operator| matches!(operator, Operator::In | Operator::Exists);
        for requirement in pods.pods.requirements.iter().filter(|requirement| positive(requirement.operator)) {
            if !self.0.contains_key(&requirement.key) {
                self.0.insert(requirement.key.clone(), by_value(identities, &requirement.key));
            }
        }
        let by_label = pods.pods.requirements.iter().filter_map(|requirement| {
            let by_value = self.0.get(&requirement.key)?;
            match requirement.operator {
                Operator::In => {
                    let mut values: Vec<&str> = requirement.values.iter().map(String::as_str).collect();
                    values.sort_unstable();
                    values.dedup();
                    Some(values.into_iter().filter_map(|value| by_value.get(value)).collect::<Vec<_>>())
                }
                Operator::Exists => Some(by_value.values().collect()),
                Operator::NotIn | Operator::DoesNotExist => None,
            }
        });
        let by_namespace = match &pods.namespaces {
            Namespaces::Named(name) => Some(identities.in_namespace.get(name).into_iter().collect()),
            Namespaces::Matching(_) => None,
        };
        let size = |lists: &Vec<&Vec<IdentityId>>| lists.iter().map(|list| list.len()).sum::<usize>();
        let fewest = by_label.chain(by_namespace).min_by_key(size)?;
        Some(fewest.into_iter().flatten().copied())
    }
}

fn by_value(identities: &Identities, key: &str) -> ByValue {
    let mut by_value = ByValue::new();
    for (at, labels) in (0..).zip(&identities.labels) {
        if let Some(value) = labels.shared(key) {
            by_value.entry(Arc::clone(value)).or_default().push(IdentityId(at));
        }
    }
    by_value
}
