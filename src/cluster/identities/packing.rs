//! Which addresses are in which slice of a namespace: what is there stays where it is, so that little is written.
//!
//! As the controller of EndpointSlices does it: what is new goes into slices that are written anyway, then into the
//! fullest that holds all of it, then into a new one. Slices that have become small are joined. The result depends on
//! what is stored and what is wanted alone, so a new leader finds nothing to do.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use stockade_node::identity_slice::MAX_SLICE_ADDRESSES;

use super::pod::Features;

/// Most bytes of a slice, about; one identity that is larger has slices of its own. A label costs each agent as much as
/// it is long whenever anything in its slice changes: with Pods of usual labels a hundred addresses stay below it.
const MAX_SLICE_BYTES: usize = 32 << 10;

/// A slice of this many addresses or fewer is joined with another, if both come to [`MAX_JOINED`] at most. Less than all
/// there is room for: the next Pod must not part them again.
const MAX_SMALL: usize = MAX_SLICE_ADDRESSES / 2;
const MAX_JOINED: usize = MAX_SLICE_ADDRESSES * 3 / 4;

/// Of an address with its quotes and comma.
const ADDRESS_BYTES: usize = 20;

/// Who has which addresses.
pub(super) type Content = BTreeMap<Arc<Features>, BTreeSet<IpAddr>>;

/// What the slices of a namespace are to hold, by their names. None is empty.
///
/// `stored` is what they hold; `new_name` gives a name that none of these has.
pub(super) fn pack(
    stored: &BTreeMap<String, Content>,
    wanted: &Content,
    new_name: impl Fn(&dyn Fn(&str) -> bool) -> String,
) -> BTreeMap<String, Content> {
    let mut missing = wanted.clone();
    let mut packing = Packing { slices: BTreeMap::new(), new_name };
    for (name, content) in stored {
        packing.slices.insert(name.clone(), Slice::kept(content, &mut missing));
    }
    let mut left: usize = missing.values().map(BTreeSet::len).sum();
    for (features, mut addresses) in missing {
        while !addresses.is_empty() {
            let slice = packing.slice_for(&features, left);
            left -= slice.put(&features, &mut addresses);
        }
    }
    while packing.join() {}
    let full = packing.slices.into_iter().filter(|(_, slice)| slice.addresses > 0);
    full.map(|(name, slice)| (name, slice.content)).collect()
}

/// Slices while they are packed.
struct Packing<N> {
    slices: BTreeMap<String, Slice>,
    new_name: N,
}

/// One of them.
#[derive(Default)]
struct Slice {
    content: Content,
    addresses: usize,
    bytes: usize,
    /// It has to be written anyway.
    changed: bool,
}

// === impl Packing ===

impl<N: Fn(&dyn Fn(&str) -> bool) -> String> Packing<N> {
    /// A slice with room for an address of this identity, when so many have no place yet.
    fn slice_for(&mut self, features: &Arc<Features>, left: usize) -> &mut Slice {
        let fits = |slice: &Slice| slice.addresses > 0 && slice.room(features) > 0;
        let changed = self.slices.iter().filter(|(_, slice)| slice.changed && fits(slice));
        let changed = changed.max_by_key(|(_, slice)| (slice.content.contains_key(features), slice.addresses));
        let fullest = || {
            let with_room = self.slices.iter().filter(|(_, slice)| fits(slice) && slice.room(features) >= left);
            with_room.max_by_key(|(_, slice)| slice.addresses)
        };
        // One that everything was taken out of is as good as new.
        let emptied = || self.slices.iter().find(|(_, slice)| slice.addresses == 0);
        let found = changed.or_else(fullest).or_else(emptied).map(|(name, _)| name.clone());
        let name = found.unwrap_or_else(|| (self.new_name)(&|name| self.slices.contains_key(name)));
        let slice = self.slices.entry(name).or_default();
        slice.changed = true;
        slice
    }

    /// Joins the smallest slice with the fullest that it fits into; of equals, with one that is written anyway. Says
    /// whether there was such a pair.
    fn join(&mut self) -> bool {
        let full = || self.slices.iter().filter(|(_, slice)| slice.addresses > 0);
        let mut small: Vec<_> = full().filter(|(_, slice)| slice.addresses <= MAX_SMALL).collect();
        small.sort_by_key(|(_, slice)| (slice.addresses, !slice.changed));
        let pair = small.into_iter().find_map(|(from, slice)| {
            let into = full().filter(|(name, into)| *name != from && into.takes(slice));
            let into = into.max_by_key(|(_, into)| (into.changed, into.addresses));
            into.map(|(into, _)| (from.clone(), into.clone()))
        });
        let Some((from, into)) = pair else { return false };
        let from = self.slices.get_mut(&from).map(std::mem::take).unwrap_or_default();
        if let Some(into) = self.slices.get_mut(&into) {
            into.changed = true;
            from.content.into_iter().for_each(|(features, mut addresses)| _ = into.put(&features, &mut addresses));
        }
        true
    }
}

// === impl Slice ===

impl Slice {
    /// What of a stored slice is still wanted, and in no other; takes it from what is missing.
    fn kept(stored: &Content, missing: &mut Content) -> Self {
        let mut slice = Self::default();
        for (features, addresses) in stored {
            let Some((features, wanted)) = missing.remove_entry(features) else {
                slice.changed = true;
                continue;
            };
            let (mut kept, rest): (BTreeSet<_>, BTreeSet<_>) = wanted.into_iter().partition(|a| addresses.contains(a));
            slice.changed |= kept.len() < addresses.len();
            slice.put(&features, &mut kept);
            // What a slice of another version of Stockade holds beyond the bounds finds another place.
            let rest: BTreeSet<_> = rest.into_iter().chain(kept).collect();
            if !rest.is_empty() {
                missing.insert(features, rest);
            }
        }
        slice
    }

    /// How many more addresses of this identity fit. One that is larger than a slice may be has one of its own.
    fn room(&self, features: &Arc<Features>) -> usize {
        if self.addresses >= MAX_SLICE_ADDRESSES {
            return 0;
        }
        let bytes = MAX_SLICE_BYTES.saturating_sub(self.bytes + self.bytes_of(features)) / ADDRESS_BYTES;
        let is_its_own = self.content.keys().all(|other| other == features);
        (MAX_SLICE_ADDRESSES - self.addresses).min(if is_its_own { usize::MAX } else { bytes })
    }

    /// What an identity adds beside its addresses.
    fn bytes_of(&self, features: &Arc<Features>) -> usize {
        if self.content.contains_key(features) { 0 } else { features.bytes() }
    }

    /// Whether all of another fits, and then some.
    fn takes(&self, other: &Self) -> bool {
        self.addresses + other.addresses <= MAX_JOINED && self.bytes + other.bytes <= MAX_SLICE_BYTES
    }

    /// Takes as many addresses as fit. Gives how many.
    fn put(&mut self, features: &Arc<Features>, addresses: &mut BTreeSet<IpAddr>) -> usize {
        let room = self.room(features).min(addresses.len());
        if room == 0 {
            return 0;
        }
        self.bytes += self.bytes_of(features) + room * ADDRESS_BYTES;
        self.addresses += room;
        let taken = (0..room).map_while(|_| addresses.pop_first());
        self.content.entry(Arc::clone(features)).or_default().extend(taken);
        room
    }
}

#[cfg(test)]
mod tests;
