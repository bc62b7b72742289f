//! A bounded cache whose entries expire, and which makes each value once, however many ask for it at a time.

use std::hash::Hash;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use quick_cache::sync::{Cache, DefaultLifecycle, EntryAction, EntryResult};
use quick_cache::{DefaultHashBuilder, OptionsBuilder, Weighter};
use tokio::time::Instant;

/// What an entry costs beside its value, in bytes: key, time, and its place in the cache. With it a bound of bytes is one
/// of entries too.
pub(crate) const ENTRY_BYTES: usize = 256;

/// Few shards, so that one of them holds the largest values too; a lock is held for a look-up or an insertion.
const SHARDS: usize = 4;

/// Values by key. Reading takes a read lock of a shard for the time of a look-up.
pub(crate) struct Expiring<K, V> {
    cache: Cache<K, Entry<V>, Weigh>,
    hits: Counter,
    misses: Counter,
}

/// A value that was made, for how long it holds, and how many bytes it has on the heap.
#[derive(Debug, Clone)]
pub(crate) struct Made<V> {
    pub(crate) value: V,
    pub(crate) holds: Duration,
    pub(crate) bytes: usize,
}

#[derive(Clone)]
struct Entry<V> {
    value: V,
    made: Instant,
    until: Instant,
    bytes: usize,
}

/// A fresh value and the times of its life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Held<V> {
    pub(crate) value: V,
    pub(crate) made: Instant,
    pub(crate) until: Instant,
}

#[derive(Clone)]
struct Weigh;

// === impl Expiring ===

impl<K: Hash + Eq + Clone, V: Clone> Expiring<K, V> {
    /// At most this many bytes. A value that has more than a fourth of them is made anew each time.
    pub(crate) fn new(max_bytes: usize, (hits, misses): (Counter, Counter)) -> Self {
        let options = OptionsBuilder::new()
            .estimated_items_capacity(max_bytes / (4 * ENTRY_BYTES))
            .weight_capacity(max_bytes as u64)
            .shards(SHARDS)
            .build();
        let cache = match options {
            Ok(options) => {
                Cache::with_options(options, Weigh, DefaultHashBuilder::default(), DefaultLifecycle::default())
            }
            // The builder errs only where a number is missing.
            Err(_) => Cache::with_weighter(max_bytes / (4 * ENTRY_BYTES), max_bytes as u64, Weigh),
        };
        Self { cache, hits, misses }
    }

    /// What is held and fresh.
    pub(crate) fn get(&self, key: &K) -> Option<Held<V>> {
        let now = Instant::now();
        let held = self.cache.get(key).filter(|entry| now < entry.until).map(Entry::held);
        let counter = if held.is_some() { &self.hits } else { &self.misses };
        counter.inc();
        held
    }

    /// What is held, fresh, and was made at this time or later; otherwise what `make` makes of what was held before.
    ///
    /// Who comes while a value is made waits for it. When the one who makes it is cancelled, the next one begins anew:
    /// work that must outlive its caller runs in a task of its own.
    pub(crate) async fn get_or<F>(
        &self,
        key: &K,
        not_before: Option<Instant>,
        make: impl FnOnce(Option<V>) -> F,
    ) -> Held<V>
    where
        F: Future<Output = Made<V>>,
    {
        let is_fresh = |e: &Entry<V>| Instant::now() < e.until && not_before.is_none_or(|at| at <= e.made);
        let found = self.cache.entry_async(key, |_, entry| match is_fresh(entry) {
            true => EntryAction::Retain(entry.clone()),
            false => EntryAction::ReplaceWithGuard,
        });
        let (guard, old) = match found.await {
            EntryResult::Retained(entry) => {
                self.hits.inc();
                return entry.held();
            }
            EntryResult::Vacant(guard) => (Some(guard), None),
            EntryResult::Replaced(guard, old) => (Some(guard), Some(old.value)),
            // Nothing here removes, and nothing has a limit of time.
            EntryResult::Removed(..) | EntryResult::Timeout => (None, None),
        };
        self.misses.inc();
        let Made { value, holds, bytes } = make(old).await;
        let made = Instant::now();
        let entry = Entry { value, made, until: made + holds, bytes };
        if let Some(guard) = guard {
            // Refused only when somebody has put a value there meanwhile, which is as good.
            let _ = guard.insert(entry.clone());
        }
        entry.held()
    }

    /// Puts a value there.
    pub(crate) fn insert(&self, key: K, Made { value, holds, bytes }: Made<V>) {
        let made = Instant::now();
        self.cache.insert(key, Entry { value, made, until: made + holds, bytes });
    }

    /// Forgets a value that turned out to be no good.
    pub(crate) fn forget(&self, key: &K, is_bad: impl FnOnce(&V) -> bool) {
        self.cache.remove_if(key, |entry| is_bad(&entry.value));
    }
}

impl<V> Entry<V> {
    fn held(self) -> Held<V> {
        Held { value: self.value, made: self.made, until: self.until }
    }
}

impl<K, V> Weighter<K, Entry<V>> for Weigh {
    fn weight(&self, _key: &K, entry: &Entry<V>) -> u64 {
        (ENTRY_BYTES + entry.bytes) as u64
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn cache(max_bytes: usize) -> Expiring<u32, u32> {
        Expiring::new(max_bytes, Default::default())
    }

    fn made(value: u32) -> Made<u32> {
        Made { value, holds: MINUTE, bytes: 0 }
    }

    async fn ask(cache: &Expiring<u32, u32>, not_before: Option<Instant>, value: u32) -> u32 {
        cache.get_or(&7, not_before, |old| async move { made(old.unwrap_or(0) * 10 + value) }).await.value
    }

    #[tokio::test(start_paused = true)]
    async fn a_value_holds_for_its_time_and_the_next_one_is_made_of_it() {
        let cache = cache(1 << 20);
        assert_eq!(cache.get(&7), None);
        assert_eq!(ask(&cache, None, 1).await, 1);
        tokio::time::advance(MINUTE - Duration::from_millis(1)).await;
        assert_eq!((ask(&cache, None, 2).await, cache.get(&7).map(|h| h.value)), (1, Some(1)));
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(cache.get(&7), None);
        assert_eq!(ask(&cache, None, 2).await, 12);
    }

    #[tokio::test(start_paused = true)]
    async fn a_value_that_is_too_old_for_one_who_asks_is_made_anew_for_all() {
        let cache = cache(1 << 20);
        ask(&cache, None, 1).await;
        tokio::time::advance(Duration::from_secs(30)).await;
        assert_eq!(ask(&cache, Some(Instant::now() - Duration::from_secs(30)), 2).await, 1);
        assert_eq!(ask(&cache, Some(Instant::now() - Duration::from_secs(29)), 2).await, 12);
        assert_eq!(ask(&cache, None, 3).await, 12);
    }

    #[tokio::test]
    async fn who_asks_meanwhile_waits_and_gets_the_same() {
        let (cache, count) = (Arc::new(cache(1 << 20)), Arc::new(AtomicU32::new(0)));
        let (open, gate) = tokio::sync::watch::channel(false);
        let tasks: Vec<_> = (0..200)
            .map(|_| {
                let (cache, count, mut gate) = (cache.clone(), count.clone(), gate.clone());
                tokio::spawn(async move {
                    let make = |_| async move {
                        gate.wait_for(|open| *open).await.unwrap();
                        made(count.fetch_add(1, Relaxed))
                    };
                    cache.get_or(&7, None, make).await.value
                })
            })
            .collect();
        tokio::task::yield_now().await;
        open.send(true).unwrap();
        for task in tasks {
            assert_eq!(task.await.unwrap(), 0);
        }
        assert_eq!(count.load(Relaxed), 1);
    }

    #[tokio::test]
    async fn one_who_gives_up_leaves_the_work_to_the_next() {
        let cache = cache(1 << 20);
        let never = cache.get_or(&7, None, |_| std::future::pending::<Made<u32>>());
        assert!(tokio::time::timeout(Duration::from_millis(5), never).await.is_err());
        assert_eq!(ask(&cache, None, 1).await, 1);
    }

    #[test]
    fn bytes_and_so_entries_are_bounded() {
        let cache = cache(1 << 20);
        for key in 0..100_000 {
            cache.insert(key, Made { value: key, holds: MINUTE, bytes: if key % 2 == 0 { 10_000 } else { 0 } });
        }
        assert!(cache.cache.weight() <= 1 << 20);
        assert!(cache.cache.len() <= (1 << 20) / ENTRY_BYTES);
        cache.insert(1, Made { value: 1, holds: MINUTE, bytes: 1 << 20 });
        assert_eq!(cache.get(&1), None);
    }

    #[tokio::test]
    async fn only_what_is_bad_is_forgotten() {
        let cache = cache(1 << 20);
        cache.insert(7, made(1));
        cache.forget(&7, |value| *value == 2);
        assert!(cache.get(&7).is_some());
        cache.forget(&7, |value| *value == 1);
        assert!(cache.get(&7).is_none());
    }
}
