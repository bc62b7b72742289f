//! What the kernel holds and nothing asks for any more: removed some time after, when no packet is under way that had begun
//! to ask, and by parts, so that nobody who waits for the kernel waits for all of it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crate::kernel::PeerKey;

/// How long what nothing asks for stays where the kernel tells when no program is running that may be using it: what is
/// asked for again within this time is not written again, and what is asked for anew has room though the old is there.
pub const GRACE: Duration = Duration::from_millis(500);

/// How long it stays where the kernel does not tell: longer than any packet takes through a program.
pub const LONG_GRACE: Duration = Duration::from_secs(2);

/// Most entries that are removed at once, but for those of one item: some 5 ms.
pub const MAX_AT_ONCE: usize = 8_192;

/// What is removed as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Item {
    /// A table, by id.
    Table(u64),
    /// What a table says of an identity that nobody has any more.
    Peer(PeerKey),
    /// A port set, by id: after the tables that may name it.
    PortSet(u64),
}

/// What is to be removed, and when.
#[derive(Debug)]
pub struct Stale {
    grace: Duration,
    due: BTreeMap<Item, Instant>,
}

/// A part of what is due.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Due {
    /// What.
    pub items: Vec<Item>,
    /// When the last of it was found.
    pub found: Option<Instant>,
}

// === impl Stale ===

impl Stale {
    /// Nothing; what is found stays for so long.
    pub fn new(grace: Duration) -> Self {
        Self { grace, due: BTreeMap::new() }
    }

    /// This is what nothing asks for now. What was found before is due when it was.
    pub fn find(&mut self, unwanted: BTreeSet<Item>, now: Instant) {
        let due = now + self.grace;
        let before = std::mem::take(&mut self.due);
        self.due = unwanted.into_iter().map(|item| (item, before.get(&item).copied().unwrap_or(due))).collect();
    }

    /// When something is due.
    pub fn next(&self) -> Option<Instant> {
        self.due.values().min().copied()
    }

    /// Takes out what is due, as long as it is no more than [`MAX_AT_ONCE`] entries: the rest stays due.
    pub fn take(&mut self, now: Instant, entries_of: impl Fn(&Item) -> usize) -> Due {
        let mut room = MAX_AT_ONCE;
        let mut taken = Due::default();
        for (item, due) in self.due.iter().filter(|(_, due)| **due <= now) {
            let entries = entries_of(item);
            if !taken.items.is_empty() && entries > room {
                break;
            }
            room = room.saturating_sub(entries);
            taken.items.push(*item);
            taken.found = taken.found.max(due.checked_sub(self.grace));
        }
        for item in &taken.items {
            self.due.remove(item);
        }
        taken
    }

    /// What could not be removed is due again later.
    pub fn put_back(&mut self, items: Vec<Item>, now: Instant) {
        self.due.extend(items.into_iter().map(|item| (item, now + self.grace)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(stale: &mut Stale, tables: &[u64], now: Instant) {
        stale.find(tables.iter().copied().map(Item::Table).collect(), now);
    }

    #[test]
    fn what_nothing_asks_for_is_due_after_the_grace_period_and_not_when_it_was_asked_for_meanwhile() {
        let (mut stale, start) = (Stale::new(GRACE), Instant::now());
        let one = |_: &Item| 1;
        find(&mut stale, &[1, 2], start);
        find(&mut stale, &[1, 3], start + GRACE / 2);
        assert_eq!(stale.next(), Some(start + GRACE));
        assert_eq!(stale.take(start + GRACE / 2, one), Due::default());
        let taken = stale.take(start + GRACE, one);
        assert_eq!(taken, Due { items: vec![Item::Table(1)], found: Some(start) });
        find(&mut stale, &[2, 3], start + GRACE);
        assert_eq!(stale.take(start + GRACE * 3 / 2, one).items, [Item::Table(3)]);
        assert_eq!(stale.take(start + GRACE * 2, one).items, [Item::Table(2)]);
        assert_eq!(stale.next(), None);
    }

    #[test]
    fn much_is_removed_by_parts_and_one_item_as_a_whole() {
        let (mut stale, start) = (Stale::new(GRACE), Instant::now());
        find(&mut stale, &[1, 2, 3, 4], start);
        let entries = |item: &Item| match item {
            Item::Table(1) => MAX_AT_ONCE * 2,
            _ => MAX_AT_ONCE / 2,
        };
        let now = start + GRACE;
        let parts: Vec<Vec<Item>> = (0..4).map(|_| stale.take(now, entries).items).collect();
        assert_eq!(parts, [vec![Item::Table(1)], vec![Item::Table(2), Item::Table(3)], vec![Item::Table(4)], vec![]]);
        stale.put_back(parts[2].clone(), now);
        assert_eq!(stale.next(), Some(now + GRACE));
    }
}
