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
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Sources {
    /// In the order of their claims.
    pub(super) own: Vec<Own>,
    /// Identities of all Pods of the node: known before a Pod has a network, they cost nothing when it gets one.
    pub(super) expected: BTreeSet<Arc<Identity>>,
    pub(super) slices: Shared<SliceFacts>,
    pub(super) node_addresses: BTreeSet<IpAddr>,
}

/// Who there is.
#[derive(Debug)]
pub(super) struct People {
    sources: Sources,
    /// Each once, in their order. The same list as before while they are the same.
    pub(super) identities: Arc<Vec<Arc<Identity>>>,
    /// Numbers by address.
    pub(super) addresses: Arc<BTreeMap<IpAddr, u64>>,
    /// Addresses of which nobody knows whose they are.
    pub(super) contested: Vec<IpAddr>,
}

// === impl People ===

impl People {
    /// Looks through the sources, if they are others than those of `before`.
    pub(super) fn update(before: Option<Self>, sources: Sources) -> Self {
        match before {
            Some(before) if before.sources == sources => before,
            before => Self::new(sources, before.map(|before| before.identities)),
        }
    }

    fn new(sources: Sources, before: Option<Arc<Vec<Arc<Identity>>>>) -> Self {
        let mut claims = Claims::default();
        for (identity, claim, address) in sources.claims() {
            claims.add(address, identity.number, claim);
        }
        let (mut addresses, contested) = claims.finish();
        addresses.extend(sources.node_addresses.iter().map(|address| (*address, OWN_NODE)));
        let in_slices = sources.slices.values().flat_map(|slice| slice.identities.iter().map(|(who, _)| who));
        let all = sources.own.iter().map(|own| &own.identity).chain(&sources.expected).chain(in_slices);
        let mut identities: Vec<Arc<Identity>> = all.map(Arc::clone).collect();
        identities.sort();
        identities.dedup();
        let identities = before.filter(|before| **before == identities).unwrap_or_else(|| Arc::new(identities));
        Self { sources, identities, addresses: Arc::new(addresses), contested }
    }

    /// The place of each own Pod's identity among all.
    pub(super) fn own(&self) -> Vec<PodId> {
        let place = |own: &Own| self.identities.binary_search(&own.identity).unwrap_or_default();
        self.sources.own.iter().map(|own| PodId(place(own) as u32)).collect()
    }

    /// All addresses that each identity claims, by its place; of those that others claim too as well.
    pub(super) fn claimed(&self) -> Vec<Vec<IpAddr>> {
        let mut claimed = vec![Vec::new(); self.identities.len()];
        for (identity, _, address) in self.sources.claims() {
            if let Ok(place) = self.identities.binary_search(identity) {
                claimed[place].push(address);
            }
        }
        claimed
    }
}

// === impl Sources ===

impl Sources {
    fn claims(&self) -> impl Iterator<Item = (&Arc<Identity>, Claim, IpAddr)> {
        let own = self.own.iter().map(|own| (&own.identity, own.claim, &own.addresses));
        let slices = self.slices.values().flat_map(|slice| {
            let claim = Claim::of_slice(slice.version);
            slice.identities.iter().map(move |(identity, addresses)| (identity, claim, addresses))
        });
        let all = own.chain(slices);
        all.flat_map(|(who, claim, addresses)| addresses.iter().map(move |address| (who, claim, *address)))
    }
}
