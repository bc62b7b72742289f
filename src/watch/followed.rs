//! Objects of one kind, kept as their watch tells.

use kube::runtime::watcher::Event;

use super::shared::Shared;

/// Most objects of one kind that are kept: what is beyond is refused whole, never cut. 20,000 identities come in some
/// hundred slices; no cluster has ten times as many policies or namespaces.
pub const MAX_OBJECTS: usize = 50_000;

/// Facts of objects by a key.
#[derive(Debug, Clone)]
pub struct Followed<V> {
    known: Shared<V>,
    /// A full list that has not ended.
    listing: Option<Shared<V>>,
    is_synced: bool,
    is_too_many: bool,
}

/// What an event changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Nothing that is known.
    Nothing,
    /// Facts.
    Facts,
    /// There are more than [`MAX_OBJECTS`]: what is known stays as it was.
    TooMany,
}

// === impl Followed ===

impl<V> Default for Followed<V> {
    fn default() -> Self {
        Self { known: Shared::default(), listing: None, is_synced: false, is_too_many: false }
    }
}

impl<V: PartialEq> Followed<V> {
    /// All that is known.
    pub fn known(&self) -> &Shared<V> {
        &self.known
    }

    /// Whether a full list has been seen.
    pub fn is_synced(&self) -> bool {
        self.is_synced
    }

    /// Whether there are more objects than are kept.
    pub fn is_too_many(&self) -> bool {
        self.is_too_many
    }

    /// Nothing is known any more, as before the first list.
    pub fn forget(&mut self) {
        *self = Self::default();
    }

    /// There is nothing of the kind, because there is no such kind.
    pub fn take_absent(&mut self) -> Change {
        self.take(Event::Init);
        self.take(Event::InitDone)
    }

    /// Takes what a watch tells.
    pub fn take(&mut self, event: Event<(String, V)>) -> Change {
        match event {
            Event::Init => {
                self.listing = Some(Shared::default());
                Change::Nothing
            }
            Event::InitApply((key, facts)) => {
                let listing = self.listing.get_or_insert_default();
                // One more than is kept shows at the end that it is too many.
                if listing.len() <= MAX_OBJECTS {
                    listing.insert(key, facts);
                }
                Change::Nothing
            }
            Event::InitDone => {
                let listed = self.listing.take().unwrap_or_default();
                if listed.len() > MAX_OBJECTS {
                    self.is_too_many = true;
                    return Change::TooMany;
                }
                self.is_too_many = false;
                let is_first = !std::mem::replace(&mut self.is_synced, true);
                if listed == self.known && !is_first {
                    return Change::Nothing;
                }
                self.known = listed;
                Change::Facts
            }
            Event::Apply((key, facts)) => self.apply(key, facts),
            Event::Delete((key, _)) => match self.known.remove(&key) {
                Some(_) => Change::Facts,
                None => Change::Nothing,
            },
        }
    }

    fn apply(&mut self, key: String, facts: V) -> Change {
        if self.is_too_many || (self.known.len() >= MAX_OBJECTS && !self.known.contains_key(&key)) {
            self.is_too_many = true;
            return Change::TooMany;
        }
        if self.known.get(&key).is_some_and(|known| **known == facts) {
            return Change::Nothing;
        }
        self.known.insert(key, facts);
        Change::Facts
    }
}

/// The facts of an event's object; none of one without a name, which the API server never sends.
pub fn map<K, V>(event: Event<K>, read: impl FnOnce(K) -> Option<(String, V)>) -> Option<Event<(String, V)>> {
    Some(match event {
        Event::Init => Event::Init,
        Event::InitDone => Event::InitDone,
        Event::InitApply(object) => Event::InitApply(read(object)?),
        Event::Apply(object) => Event::Apply(read(object)?),
        Event::Delete(object) => Event::Delete(read(object)?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_replaces_what_was_known_only_when_it_has_ended() {
        let mut kept: Followed<u32> = Followed::default();
        let object = |key: &str, value| (key.to_owned(), value);
        assert_eq!(kept.take(Event::Init), Change::Nothing);
        assert_eq!(kept.take(Event::InitApply(object("a", 1))), Change::Nothing);
        assert_eq!((kept.is_synced(), kept.known().len()), (false, 0));
        assert_eq!(kept.take(Event::InitDone), Change::Facts);
        assert_eq!(kept.take(Event::Apply(object("b", 2))), Change::Facts);
        assert_eq!(kept.take(Event::Apply(object("b", 2))), Change::Nothing);
        assert_eq!(kept.take(Event::Init), Change::Nothing);
        assert_eq!(kept.take(Event::InitApply(object("b", 2))), Change::Nothing);
        assert_eq!(kept.known().len(), 2);
        assert_eq!(kept.take(Event::InitDone), Change::Facts);
        assert_eq!(kept.known(), &Shared::from_iter([object("b", 2)]));
        assert_eq!(kept.take(Event::Delete(object("b", 2))), Change::Facts);
        assert_eq!(kept.take(Event::Delete(object("b", 2))), Change::Nothing);
    }

    #[test]
    fn what_is_too_many_changes_nothing_until_it_is_fewer() {
        let mut kept: Followed<usize> = Followed::default();
        kept.take_absent();
        kept.take(Event::Apply(("kept".to_owned(), 0)));
        kept.take(Event::Init);
        for n in 0..MAX_OBJECTS + 9 {
            kept.take(Event::InitApply((n.to_string(), n)));
        }
        assert_eq!(kept.take(Event::InitDone), Change::TooMany);
        assert_eq!((kept.is_too_many(), kept.known().len()), (true, 1));
        kept.take_absent();
        assert_eq!((kept.is_too_many(), kept.known().len()), (false, 0));
    }
}
