//! Identities by their labels, so that a selector is looked up and not matched with each of them.

use std::collections::HashMap;

use stockade_policy::selector::Operator;

use super::{Identities, IdentityId};
use crate::policy::{Namespaces, Pods};
use crate::state::State;

/// Who has a label, by its key; only of keys that a selector has asked for. To look everybody through for a key takes as
/// long as to match a few selectors with everybody.
#[derive(Debug, Default)]
pub(crate) struct LabelIndex(HashMap<String, ByValue>);

/// Who has one key, in the order of its values: those of one value are beside each other, and no value is copied.
#[derive(Debug)]
struct ByValue(Box<[IdentityId]>);

// === impl LabelIndex ===

impl LabelIndex {
    /// The fewest who may be meant, each once: those of a namespace, or those who have a label that is asked for. None
    /// where that would be everybody.
    pub(super) fn candidates<'i>(
        &'i mut self,
        identities: &'i Identities,
        state: &State,
        pods: &Pods,
    ) -> Option<impl Iterator<Item = IdentityId> + use<'i>> {
        let positive = |operator| matches!(operator, Operator::In | Operator::Exists);
        for requirement in pods.pods.requirements.iter().filter(|requirement| positive(requirement.operator)) {
            if !self.0.contains_key(&requirement.key) {
                let by_value = ByValue::new(identities, state, &requirement.key);
                self.0.insert(requirement.key.clone(), by_value);
            }
        }
        let index = &self.0;
        let by_label = pods.pods.requirements.iter().filter_map(|requirement| {
            let by_value = index.get(&requirement.key)?;
            match requirement.operator {
                Operator::In => {
                    let mut values: Vec<&str> = requirement.values.iter().map(String::as_str).collect();
                    values.sort_unstable();
                    values.dedup();
                    let value_of = |id| identities.one_of(state, id).labels.get(&requirement.key);
                    Some(values.into_iter().map(|value| by_value.with(value, value_of)).collect::<Vec<_>>())
                }
                Operator::Exists => Some(vec![&*by_value.0]),
                Operator::NotIn | Operator::DoesNotExist => None,
            }
        });
        let by_namespace = match &pods.namespaces {
            Namespaces::Named(name) => Some(identities.in_namespace.get(name).map(Vec::as_slice).into_iter().collect()),
            Namespaces::Matching(_) => None,
        };
        let size = |lists: &Vec<&[IdentityId]>| lists.iter().map(|list| list.len()).sum::<usize>();
        let fewest = by_label.chain(by_namespace).min_by_key(size)?;
        Some(fewest.into_iter().flatten().copied())
    }
}

// === impl ByValue ===

impl ByValue {
    fn new(identities: &Identities, state: &State, key: &str) -> Self {
        let having = identities.all(state).filter_map(|(id, pod)| Some((pod.labels.get(key)?, id)));
        let mut having: Vec<(&str, IdentityId)> = having.collect();
        having.sort_unstable();
        Self(having.into_iter().map(|(_, id)| id).collect())
    }

    /// Those who have a value.
    fn with<'v>(&self, value: &str, value_of: impl Fn(IdentityId) -> Option<&'v str>) -> &[IdentityId] {
        let begin = self.0.partition_point(|id| value_of(*id) < Some(value));
        let rest = &self.0[begin..];
        &rest[..rest.partition_point(|id| value_of(*id) == Some(value))]
    }
}
