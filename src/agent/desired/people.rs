//! Who there is, and who has which address: looked through again only where Pods, slices or the node have changed.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use stockade_netpol::plan::OWN_NODE;
use stockade_netpol::state::PodId;

use crate::inputs::claims::{Claim, Claims};
use crate::inputs::identity::{Identity, SliceFacts};
use stockade_watch::shared::Shared;

/// One Pod of the node, as far as it tells of identities.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Own {
    pub(super) identity: Arc<Identity>,
    pub(super) claim: Claim,
    pub(super) addresses: Vec<IpAddr>,
}

/// What it is made of.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Sources {
    /// In the order of their claims.
    pub(super) own: Vec<Own>,
    /// Identities of all Pods of the node: known before a Pod has a network, they cost nothing when it gets one.
    pub(super) expected: BTreeSet<Arc<Identity>>,
    pub(super) slices: Shared<SliceFacts>,
    pub(super) node_addresses: BTreeSet<IpAddr>,
}

/// Who there is. An update costs what has changed, but for the list of identities where one comes or goes.
#[derive(Debug, Default)]
pub(super) struct People {
    sources: Sources,
    claims: Claims,
    /// How many tell of each.
    told: BTreeMap<Arc<Identity>, u32>,
    /// Each once, in their order. The same list as before while they are the same.
    pub(super) identities: Arc<Vec<Arc<Identity>>>,
}

// === impl People ===

impl People {
    /// Goes by other sources.
    pub(super) fn update(&mut self, sources: Sources) {
        let before = std::mem::replace(&mut self.sources, sources);
        let (was, is) = (before.local_claims(), self.sources.local_claims());
        // What is new first: who stays is never without.
        is.difference(&was).for_each(|(address, claim, who)| self.claims.add(*address, *claim, *who));
        was.difference(&is).for_each(|(address, claim, who)| self.claims.remove(*address, *claim, *who));
        let mut have_changed = false;
        for identity in self.sources.expected.difference(&before.expected) {
            have_changed |= is_told(&mut self.told, identity);
        }
        let changed = |a: &Shared<SliceFacts>, b: &Shared<SliceFacts>| -> Vec<Arc<SliceFacts>> {
            let is_there =
                |(key, slice): &(&String, &Arc<SliceFacts>)| b.get(*key).is_some_and(|other| Arc::ptr_eq(slice, other));
            a.iter().filter(|slice| !is_there(slice)).map(|(_, slice)| Arc::clone(slice)).collect()
        };
        if !self.sources.slices.is_same(&before.slices) {
            for slice in changed(&self.sources.slices, &before.slices) {
                slice.claims().for_each(|(who, claim, address)| self.claims.add(address, claim, who.number));
                slice.identities.iter().for_each(|(who, _)| have_changed |= is_told(&mut self.told, who));
            }
            for slice in changed(&before.slices, &self.sources.slices) {
                slice.claims().for_each(|(who, claim, address)| self.claims.remove(address, claim, who.number));
                slice.identities.iter().for_each(|(who, _)| have_changed |= is_told_no_more(&mut self.told, who));
            }
        }
        for identity in before.expected.difference(&self.sources.expected) {
            have_changed |= is_told_no_more(&mut self.told, identity);
        }
        self.claims.settle();
        if have_changed {
            self.identities = Arc::new(self.told.keys().map(Arc::clone).collect());
        }
    }

    /// Numbers by address.
    pub(super) fn addresses(&self) -> &Arc<BTreeMap<IpAddr, u64>> {
        self.claims.known()
    }

    /// Addresses of which nobody knows whose they are.
    pub(super) fn contested(&self) -> Vec<IpAddr> {
        self.claims.contested().collect()
    }

    /// The place of each own Pod's identity among all.
    pub(super) fn own(&self) -> Vec<PodId> {
        self.sources.own.iter().map(|own| self.place(&own.identity)).collect()
    }

    /// Places of the identities of all Pods of the node, each once.
    pub(super) fn expected(&self) -> Vec<PodId> {
        self.sources.expected.iter().map(|identity| self.place(identity)).collect()
    }

    fn place(&self, identity: &Arc<Identity>) -> PodId {
        PodId(self.identities.binary_search(identity).unwrap_or_default() as u32)
    }

    /// All addresses that each identity claims, by its place; of those that others claim too as well.
    pub(super) fn claimed(&self) -> Vec<Vec<IpAddr>> {
        let mut claimed = vec![Vec::new(); self.identities.len()];
        let own = self.sources.own.iter().flat_map(|own| own.addresses.iter().map(|address| (&own.identity, *address)));
        let told = self.sources.slices.values().flat_map(|slice| slice.claims());
        for (identity, address) in own.chain(told.map(|(identity, _, address)| (identity, address))) {
            if let Ok(place) = self.identities.binary_search(identity) {
                claimed[place].push(address);
            }
        }
        claimed
    }
}

/// Somebody tells of an identity; whether nobody else does.
fn is_told(told: &mut BTreeMap<Arc<Identity>, u32>, identity: &Arc<Identity>) -> bool {
    let count = told.entry(Arc::clone(identity)).or_default();
    *count += 1;
    *count == 1
}

/// Somebody tells of an identity no more; whether nobody else does.
fn is_told_no_more(told: &mut BTreeMap<Arc<Identity>, u32>, identity: &Arc<Identity>) -> bool {
    let Some(count) = told.get_mut(identity) else { return false };
    *count -= 1;
    *count == 0 && told.remove(identity).is_some()
}

// === impl Sources ===

impl Sources {
    /// What Pods of the node and the node itself claim.
    fn local_claims(&self) -> BTreeSet<(IpAddr, Claim, u64)> {
        let of_pod = |own: &Own| {
            let (claim, number) = (own.claim, own.identity.number);
            own.addresses.clone().into_iter().map(move |address| (address, claim, number))
        };
        let of_node = self.node_addresses.iter().map(|address| (*address, Claim::NODE, OWN_NODE));
        self.own.iter().flat_map(of_pod).chain(of_node).collect()
    }
}
