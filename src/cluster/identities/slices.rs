//! The IdentitySlices that there are, and what has to be done so that they say what they should.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use kube::ResourceExt as _;
use kube::runtime::watcher::Event;
use stockade_node::identity_slice::{Identity, IdentitySlice, IdentitySliceSpec};

use super::packing::{Content, pack};
use super::pod::Features;

/// Label of what Stockade writes.
const MANAGED_BY: (&str, &str) = ("app.kubernetes.io/managed-by", "stockade");

/// What to write, in order: what is added comes before what is taken away, so that no address is missing in between.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Change {
    Create(IdentitySlice),
    /// Over exactly the version that was read.
    Replace(IdentitySlice),
    Delete(IdentitySlice),
}

/// All slices, by namespace and name. The namespace is read from the name: nothing that one says of itself can make two
/// writers of it. One with a name that is not ours is in the namespace "", which wants none.
#[derive(Default)]
pub(super) struct Slices {
    stored: BTreeMap<String, BTreeMap<String, IdentitySlice>>,
    listed: BTreeSet<String>,
    synced: bool,
}

// === impl Slices ===

impl Slices {
    /// Takes what happened; tells of namespaces whose slices are not those that are known.
    pub(super) fn take(&mut self, event: Event<IdentitySlice>, mut changed: impl FnMut(&str)) {
        match event {
            Event::Init => self.listed.clear(),
            Event::InitApply(slice) => {
                self.listed.insert(slice.name_any());
                self.put(slice, changed);
            }
            Event::InitDone => {
                let listed = std::mem::take(&mut self.listed);
                for (namespace, slices) in &mut self.stored {
                    let before = slices.len();
                    slices.retain(|name, _| listed.contains(name));
                    if slices.len() < before {
                        changed(namespace);
                    }
                }
                self.synced = true;
            }
            Event::Apply(slice) => self.put(slice, changed),
            Event::Delete(slice) => {
                // The answer to a write may have come before the watch tells of an older one.
                if self.known_version(&slice) <= version(&slice) && self.forget(&slice) {
                    changed(namespace_of(&slice.name_any()));
                }
            }
        }
    }

    /// Takes a slice as the API server has it; an older one than is known is left aside.
    pub(super) fn put(&mut self, mut slice: IdentitySlice, mut changed: impl FnMut(&str)) {
        if self.known_version(&slice) >= version(&slice) {
            return;
        }
        slice.metadata.managed_fields = None;
        let name = slice.name_any();
        changed(namespace_of(&name));
        self.stored.entry(namespace_of(&name).to_owned()).or_default().insert(name, slice);
    }

    /// Says that a slice is gone. Whether it was there.
    pub(super) fn forget(&mut self, slice: &IdentitySlice) -> bool {
        let name = slice.name_any();
        let Some(slices) = self.stored.get_mut(namespace_of(&name)) else { return false };
        let was_there = slices.remove(&name).is_some();
        if slices.is_empty() {
            self.stored.remove(namespace_of(&name));
        }
        was_there
    }

    /// Whether all slices have been seen once.
    pub(super) fn is_synced(&self) -> bool {
        self.synced
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.stored.values().map(BTreeMap::len).sum()
    }

    /// Namespaces that have some.
    pub(super) fn namespaces(&self) -> impl Iterator<Item = &str> {
        self.stored.keys().map(String::as_str)
    }

    /// What has to be written so that the slices of a namespace say who has which address.
    pub(super) fn changes(&self, namespace: &str, wanted: &Content) -> Vec<Change> {
        let none = BTreeMap::new();
        let stored = self.stored.get(namespace).unwrap_or(&none);
        let contents = stored.iter().map(|(name, slice)| (name.clone(), content(&slice.spec))).collect();
        let new_name = |is_taken: &dyn Fn(&str) -> bool| {
            let names = (0_u32..).map(|number| format!("{namespace}.{number}"));
            names.into_iter().find(|name| !is_taken(name)).unwrap_or_default()
        };
        let packed = pack(&contents, wanted, new_name);
        let (mut added, mut replaced) = (Vec::new(), Vec::new());
        for (name, content) in &packed {
            let spec = spec(namespace, content);
            match stored.get(name) {
                None => added.push(Change::Create(new(name, spec))),
                Some(slice) if slice.spec != spec => {
                    let slice = IdentitySlice { spec, metadata: slice.metadata.clone() };
                    let gains = contents.get(name).is_none_or(|before| gains(before, content));
                    if gains { &mut added } else { &mut replaced }.push(Change::Replace(slice));
                }
                Some(_) => {}
            }
        }
        let deleted = stored.iter().filter(|(name, _)| !packed.contains_key(*name));
        let deleted = deleted.map(|(_, slice)| Change::Delete(slice.clone()));
        added.into_iter().chain(replaced).chain(deleted).collect()
    }

    fn known_version(&self, slice: &IdentitySlice) -> u64 {
        let name = slice.name_any();
        self.stored.get(namespace_of(&name)).and_then(|slices| slices.get(&name)).map_or(0, version)
    }
}

/// Of slices of one cluster they compare as numbers (KEP-5504).
fn version(slice: &IdentitySlice) -> u64 {
    slice.resource_version().and_then(|version| version.parse().ok()).unwrap_or_default()
}

/// `web` of `web.7`; empty where the name is none that is given here.
fn namespace_of(name: &str) -> &str {
    let Some((namespace, number)) = name.rsplit_once('.') else { return "" };
    let is_ours = number.parse::<u32>().is_ok_and(|parsed| parsed.to_string() == number) && !namespace.contains('.');
    if is_ours { namespace } else { "" }
}

fn new(name: &str, spec: IdentitySliceSpec) -> IdentitySlice {
    let mut slice = IdentitySlice::new(name, spec);
    slice.labels_mut().insert(MANAGED_BY.0.to_owned(), MANAGED_BY.1.to_owned());
    slice
}

/// Whether something is in the second that is not in the first.
fn gains(before: &Content, after: &Content) -> bool {
    after.iter().any(|(features, addresses)| before.get(features).is_none_or(|had| !addresses.is_subset(had)))
}

/// What a slice says. What of it is no address is left out: then it is not as it should be, and written anew.
fn content(spec: &IdentitySliceSpec) -> Content {
    let mut content = Content::new();
    for Identity { labels, ports, addresses } in &spec.identities {
        let features = Features { labels: labels.clone(), ports: ports.clone() };
        let addresses = addresses.iter().filter_map(|address| address.parse::<IpAddr>().ok());
        content.entry(Arc::new(features)).or_default().extend(addresses);
    }
    content
}

/// The one way to write a content.
fn spec(namespace: &str, content: &Content) -> IdentitySliceSpec {
    let identities = content.iter().map(|(features, addresses)| Identity {
        labels: features.labels.clone(),
        ports: features.ports.clone(),
        addresses: addresses.iter().map(ToString::to_string).collect(),
    });
    IdentitySliceSpec { namespace: namespace.to_owned(), identities: identities.collect() }
}

#[cfg(test)]
mod tests;
