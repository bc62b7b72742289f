//! Policies with the bindings that name them.

use std::collections::HashMap;
use std::mem;
use std::sync::Arc;

use super::super::{UnboundPolicy, binding, everywhere, unbound_note, unknown_policy};
use super::{Chosen, PartReport, Policy, Scope, Standing};
use crate::compiled::{Binding, Flavour};
use crate::diagnostic::Diagnostics;
use crate::source::BindingSource;

/// Scope, kind and name of a policy.
type Key = (Scope, Flavour, Arc<str>);

/// The joined policies of the set before.
#[derive(Debug, Default)]
pub(super) struct Joins {
    before: HashMap<Key, Joined>,
}

/// A policy with and without its bindings.
#[derive(Debug)]
struct Joined {
    bare: Arc<Policy>,
    joined: Arc<Policy>,
}

impl Joins {
    /// The policies of both scopes; those that have the same bindings as before are the same as before. What is to be
    /// said of bindings is added to the reports of the parts in force.
    pub(super) fn join(
        &mut self,
        chosen: &[Chosen],
        reports: &mut [PartReport],
    ) -> (Vec<Arc<Policy>>, Vec<Arc<Policy>>) {
        let mut bindings: HashMap<Key, Vec<(usize, &BindingSource)>> = HashMap::new();
        for Chosen { part, scope, version } in chosen {
            for source in &version.sources().bindings {
                let key = (*scope, source.flavour, source.policy_name.as_str().into());
                bindings.entry(key).or_default().push((*part, source));
            }
        }
        let mut before = mem::take(&mut self.before);
        let (mut enforced, mut native) = (Vec::new(), Vec::new());
        for Chosen { part, scope, version } in chosen {
            for (source, bare) in version.policies() {
                let into = if *scope == Scope::Enforced { &mut enforced } else { &mut native };
                if source.flavour.is_own() {
                    into.push(bare.clone());
                    continue;
                }
                let key = (*scope, source.flavour, bare.name.clone());
                let mut found: Vec<Binding> = Vec::new();
                for (from, source) in bindings.remove(&key).unwrap_or_default() {
                    found.push(told(reports, from, |diagnostics| binding(source, bare, diagnostics)));
                }
                if found.is_empty() {
                    let unbound = unbound(*scope);
                    told(reports, *part, |diagnostics| diagnostics.push(unbound_note(source, unbound)));
                    found.extend((unbound == UnboundPolicy::BindEverywhereDeny).then(|| everywhere(bare)));
                }
                found.sort_by(|a, b| a.name.cmp(&b.name));
                let known = before.remove(&key).filter(|j| Arc::ptr_eq(&j.bare, bare) && j.joined.bindings == found);
                let joined = known.unwrap_or_else(|| Joined {
                    bare: bare.clone(),
                    joined: Arc::new(Policy { bindings: found, ..Policy::clone(bare) }),
                });
                into.push(joined.joined.clone());
                self.before.insert(key, joined);
            }
        }
        let names = |scope: Scope, flavour: Flavour| {
            let policies = if scope == Scope::Enforced { &enforced } else { &native };
            policies.iter().filter(move |p| p.flavour == flavour).map(|p| &*p.name)
        };
        for ((scope, flavour, _), without_policy) in bindings {
            for (from, source) in without_policy {
                told(reports, from, |d| d.push(unknown_policy(source, names(scope, flavour))));
            }
        }
        (enforced, native)
    }
}

fn unbound(scope: Scope) -> UnboundPolicy {
    match scope {
        Scope::Enforced => UnboundPolicy::BindEverywhereDeny,
        Scope::Audited => UnboundPolicy::Ignore,
    }
}

/// What is said goes to the part's report; of a part that is refused only its refusal is told.
fn told<T>(reports: &mut [PartReport], part: usize, say: impl FnOnce(&mut Diagnostics) -> T) -> T {
    match reports.get_mut(part) {
        Some(report) if report.standing == Standing::InForce => say(&mut report.diagnostics),
        _ => say(&mut Diagnostics::default()),
    }
}
