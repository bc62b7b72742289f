//! Which policies are planned where all of them are too much to be matched: nobody's hold up another's.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use super::limits::{DoesNotFit, What};
use crate::compile::selectors;
use crate::policy::{Pods, Policy};

/// Policies that there is room for, and the others.
#[derive(Debug, Default)]
pub(super) struct Chosen {
    pub(super) policies: Vec<Arc<Policy>>,
    pub(super) refused: Vec<(Arc<Policy>, DoesNotFit)>,
}

// === impl Chosen ===

impl Chosen {
    /// Chooses where each distinct selector is matched with so many identities. Policies of the cluster come first, then
    /// namespaces, those whose policies have the fewest selectors before the others.
    pub(super) fn new(policies: Vec<Arc<Policy>>, identities: usize, matches: usize) -> Self {
        let most = matches / identities.max(1);
        let of = |policies: &[Arc<Policy>]| policies.iter().map(|policy| selectors(policy).count()).sum::<usize>();
        // What is not even too much with its repetitions needs no further look.
        if of(&policies) <= most {
            return Self { policies, refused: Vec::new() };
        }
        let mut namespaces: BTreeMap<Option<Arc<str>>, Vec<Arc<Policy>>> = BTreeMap::new();
        for policy in policies {
            namespaces.entry(policy.namespace.clone()).or_default().push(policy);
        }
        let mut namespaces: Vec<_> = namespaces.into_iter().collect();
        namespaces.sort_by_key(|(name, policies)| (name.is_some(), of(policies)));
        let mut chosen = Self::default();
        let mut distinct: HashSet<Pods> = HashSet::new();
        for (_, mut policies) in namespaces {
            policies.sort_by_cached_key(|policy| (selectors(policy).count(), Arc::clone(&policy.name)));
            for policy in policies {
                let new: HashSet<&Pods> = selectors(&policy).filter(|pods| !distinct.contains(*pods)).collect();
                let count = distinct.len() + new.len();
                if count <= most {
                    let new: Vec<Pods> = new.into_iter().cloned().collect();
                    distinct.extend(new);
                    chosen.policies.push(policy);
                } else {
                    let (count, bound) = (count.saturating_mul(identities), matches);
                    let fault = DoesNotFit { policy: policy.to_string(), what: What::Matches, count, bound };
                    chosen.refused.push((policy, fault));
                }
            }
        }
        chosen
    }
}
