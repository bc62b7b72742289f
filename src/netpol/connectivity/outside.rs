//! Addresses that are no Pod's: cut where rules tell them apart, put together where nothing comes of it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use super::{Connectivity, Edge, Party, TooMany};
use crate::addresses::{AddressSet, Family, Range, number};
use crate::ports::Connections;

/// Most that is remembered of pieces while they are cut: the sets that each is in, together. 256 MiB.
pub const MAX_CUTS: usize = 1 << 26;

/// All addresses, by which of some sets they are in.
pub(super) struct Pieces {
    /// Ranges of a family in order, each with its piece.
    ranges: Vec<(Family, Range, usize)>,
    count: usize,
}

// === impl Pieces ===

impl Pieces {
    /// Cuts at each border of a set.
    pub(super) fn cut(sets: &[&AddressSet]) -> Result<Self, TooMany> {
        // Many rules mean the same blocks; each is looked at once.
        let distinct: BTreeSet<&AddressSet> = sets.iter().copied().collect();
        let distinct: Vec<&AddressSet> = distinct.into_iter().collect();
        let mut pieces = Self { ranges: Vec::new(), count: 0 };
        for family in [Family::V4, Family::V6] {
            pieces.cut_family(family, &distinct)?;
        }
        Ok(pieces)
    }

    fn cut_family(&mut self, family: Family, sets: &[&AddressSet]) -> Result<(), TooMany> {
        // At each border a set begins or ends; between two borders nothing changes.
        let (first, last) = family.everything();
        let mut borders: Vec<(u128, Option<usize>)> = vec![(first, None)];
        for (set, ranges) in sets.iter().map(|set| set.ranges(family)).enumerate() {
            for &(from, to) in ranges {
                borders.push((from, Some(set)));
                borders.extend(to.checked_add(1).filter(|next| *next <= last).map(|next| (next, Some(set))));
            }
        }
        borders.sort_unstable();
        let mut inside: BTreeSet<usize> = BTreeSet::new();
        let mut by_sets: HashMap<Vec<usize>, usize> = HashMap::new();
        let (mut at, mut remembered) = (0, 0);
        while at < borders.len() {
            let start = borders[at].0;
            while let Some(&(_, set)) = borders.get(at).filter(|border| border.0 == start) {
                if let Some(set) = set.filter(|set| !inside.remove(set)) {
                    inside.insert(set);
                }
                at += 1;
            }
            remembered += inside.len();
            if remembered > MAX_CUTS {
                return Err(TooMany::Pieces);
            }
            let end = borders.get(at).map_or(last, |next| next.0 - 1);
            let piece = *by_sets.entry(inside.iter().copied().collect()).or_insert_with(|| {
                self.count += 1;
                self.count - 1
            });
            self.ranges.push((family, (start, end), piece));
        }
        Ok(())
    }

    /// The piece that an address is in.
    pub(super) fn of(&self, address: IpAddr) -> Option<usize> {
        let (family, number) = (Family::of(address), number(address));
        let after = self.ranges.partition_point(|(f, range, _)| (*f, range.0) <= (family, number));
        after.checked_sub(1).map(|at| self.ranges[at].2)
    }

    /// Each piece, in order of its first address.
    pub(super) fn into_sets(self) -> Vec<AddressSet> {
        let mut sets: Vec<(Option<Family>, Vec<Range>)> = vec![(None, Vec::new()); self.count];
        for (family, range, piece) in self.ranges {
            let (of, ranges) = &mut sets[piece];
            *of = Some(family);
            ranges.push(range);
        }
        sets.into_iter().filter_map(|(family, ranges)| Some(AddressSet::of_ranges(family?, ranges))).collect()
    }
}

/// Addresses that are cut apart where nothing comes of it, by family or by rules, are one party.
pub(super) fn put_together(parties: &[Party], mut edges: Vec<Edge>) -> Connectivity {
    let mut of: Vec<Vec<(bool, usize, Arc<Connections>)>> = vec![Vec::new(); parties.len()];
    for edge in &edges {
        for (here, there, out) in [(edge.from, edge.to, true), (edge.to, edge.from, false)] {
            if parties[here].is_outside() {
                of[here].push((out, there, Arc::clone(&edge.connections)));
            }
        }
    }
    let mut merged: BTreeMap<(bool, usize, Vec<_>), Vec<usize>> = BTreeMap::new();
    for (at, (party, of)) in parties.iter().zip(of).enumerate() {
        let key = if party.is_outside() { (true, 0, of) } else { (false, at, Vec::new()) };
        merged.entry(key).or_default().push(at);
    }
    let mut new: Vec<(Party, Vec<usize>)> =
        merged.into_values().map(|members| (union(parties, &members), members)).collect();
    new.sort();
    let mut place = vec![0; parties.len()];
    for (at, (_, members)) in new.iter().enumerate() {
        members.iter().for_each(|member| place[*member] = at);
    }
    for edge in &mut edges {
        (edge.from, edge.to) = (place[edge.from], place[edge.to]);
    }
    edges.sort_by_key(|edge| (edge.from, edge.to, edge.family));
    edges.dedup_by_key(|edge| (edge.from, edge.to, edge.family));
    Connectivity { parties: new.into_iter().map(|(party, _)| party).collect(), edges }
}

/// One party, or all addresses of several.
fn union(parties: &[Party], members: &[usize]) -> Party {
    if let [one] = members {
        return parties[*one].clone();
    }
    Party::Outside(AddressSet::union(members.iter().filter_map(|at| parties[*at].addresses())))
}
