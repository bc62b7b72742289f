//! What changes between two states.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::outside::Pieces;
use super::{Connectivity, Party, TooMany};
use crate::addresses::{AddressSet, Family};
use crate::ports::Connections;

/// A pair of parties between which something else is allowed than before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Who begins the connection.
    pub from: Party,
    /// With whom.
    pub to: Party,
    /// By which family alone, where that makes a difference.
    pub family: Option<Family>,
    /// What was allowed.
    pub before: Connections,
    /// What is allowed.
    pub after: Connections,
}

/// Ends and family of a connection.
type Pair = (Party, Party, Option<Family>);

/// A pair, and what was and is allowed.
type Changed = (Pair, Arc<Connections>, Arc<Connections>);

impl Connectivity {
    /// Changes from this to another, sorted. A workload that is in one of the two alone reaches nobody in the other.
    ///
    /// # Errors
    /// More than can be judged at once.
    pub fn diff(&self, after: &Self) -> Result<Vec<Change>, TooMany> {
        let pieces = Pieces::cut(&self.outside().chain(after.outside()).collect::<Vec<_>>())?.into_sets();
        let (old, new) = (self.by_pair(&pieces), after.by_pair(&pieces));
        let pairs: BTreeSet<&Pair> = old.keys().chain(new.keys()).collect();
        // Pieces of what is outside that change alike are one change.
        let mut alike: BTreeMap<Changed, Vec<&AddressSet>> = BTreeMap::new();
        for pair in pairs {
            let at = |all: &BTreeMap<Pair, Arc<Connections>>| all.get(pair).cloned().unwrap_or_default();
            let (before, after) = (at(&old), at(&new));
            if before != after {
                let everywhere = |party: &Party| match party {
                    Party::Outside(_) => Party::Outside(AddressSet::default()),
                    workload => workload.clone(),
                };
                let pieces = [&pair.0, &pair.1].into_iter().filter_map(Party::addresses);
                let key = ((everywhere(&pair.0), everywhere(&pair.1), pair.2), before, after);
                alike.entry(key).or_default().extend(pieces);
            }
        }
        let change = |(((from, to, family), before, after), pieces): (_, Vec<&AddressSet>)| {
            let addresses = AddressSet::union(pieces);
            let filled = |party| if let Party::Outside(_) = party { Party::Outside(addresses.clone()) } else { party };
            let [before, after] = [before, after].map(|c: Arc<Connections>| Connections::clone(&c));
            Change { from: filled(from), to: filled(to), family, before, after }
        };
        Ok(alike.into_iter().map(change).collect())
    }

    fn outside(&self) -> impl Iterator<Item = &AddressSet> {
        self.parties.iter().filter_map(Party::addresses)
    }

    /// What is allowed, with what is outside in these pieces.
    fn by_pair(&self, pieces: &[AddressSet]) -> BTreeMap<Pair, Arc<Connections>> {
        let split = |party: &Party| match party {
            Party::Outside(addresses) => {
                let inside = pieces.iter().filter(|piece| piece.first().is_some_and(|a| addresses.contains(a)));
                inside.map(|piece| Party::Outside(piece.clone())).collect()
            }
            workload => vec![workload.clone()],
        };
        let parts: Vec<Vec<Party>> = self.parties.iter().map(split).collect();
        let mut all = BTreeMap::new();
        for edge in &self.edges {
            for from in &parts[edge.from] {
                for to in &parts[edge.to] {
                    all.insert((from.clone(), to.clone(), edge.family), Arc::clone(&edge.connections));
                }
            }
        }
        all
    }
}
