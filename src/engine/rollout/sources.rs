//! How each source of requests was judged last, without a lock: a table of a fixed size, each source one word.
//!
//! A source that is judged again takes the word that it had, so repeating a request changes no count. Threads that write
//! at once may count one source twice or forget one, which no share notices.

use std::sync::atomic::{AtomicU64, Ordering};

use super::Source;

/// Places that are told apart. More share rows, and are counted as one.
const MAX_PLACES: usize = 64;
/// Sources of one place that are told apart. Of more each newer one takes the word of another, which makes what is
/// counted a sample; so no place is ever more than 64 sources. All places are 32 KiB for each policy with a budget.
const MAX_SOURCES: usize = 64;
/// From so many places on, the one that was denied most is left out: what is done in one alone then stops nothing.
const MIN_PLACES: usize = 3;

/// The last outcome of each source of the last so many seconds.
#[derive(Debug)]
pub(super) struct Sources {
    window_seconds: u32,
    /// [`MAX_PLACES`] of them.
    places: Box<[[AtomicU64; MAX_SOURCES]]>,
}

/// How many sources there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Counts {
    pub(super) judged: u64,
    pub(super) denied: u64,
}

/// A word, taken apart: 31 bits that tell the source, 32 of the second since 1970, 1 of the outcome. 0 was never used.
#[derive(Clone, Copy)]
struct Word {
    source: u32,
    second: u32,
    denied: bool,
}

// === impl Sources ===

impl Sources {
    /// The most sources that [`Self::counts`] may come to.
    pub(super) const MOST: u64 = (MAX_PLACES * MAX_SOURCES) as u64;

    pub(super) fn new(window_seconds: u32) -> Self {
        let place = |_| [const { AtomicU64::new(0) }; MAX_SOURCES];
        Self { window_seconds, places: (0..MAX_PLACES).map(place).collect() }
    }

    /// Remembers how a source was judged.
    pub(super) fn record(&self, source: Source, denied: bool, now: i64) {
        let now = second(now);
        let Some(of_place) = self.places.get((source.place % MAX_PLACES as u64) as usize) else { return };
        let key = (source.object >> 33) as u32;
        let own = |word: &&AtomicU64| self.read(word, now).is_some_and(|w| w.source == key);
        let free = |word: &&AtomicU64| self.read(word, now).is_none();
        let home = || of_place.get((source.object % MAX_SOURCES as u64) as usize);
        let seat = of_place.iter().find(own).or_else(|| of_place.iter().find(free)).or_else(home);
        if let Some(seat) = seat {
            seat.store(Word { source: key, second: now, denied }.packed(), Ordering::Relaxed);
        }
    }

    /// All sources within the window, but for those of the place that was denied most.
    pub(super) fn counts(&self, now: i64) -> Counts {
        let now = second(now);
        let (mut all, mut worst, mut places) = (Counts::default(), Counts::default(), 0);
        for of_place in &self.places {
            let mut here = Counts::default();
            for word in of_place.iter().filter_map(|word| self.read(word, now)) {
                here.judged += 1;
                here.denied += u64::from(word.denied);
            }
            places += usize::from(here.judged > 0);
            if here.denied > worst.denied {
                worst = here;
            }
            all = Counts { judged: all.judged + here.judged, denied: all.denied + here.denied };
        }
        match places < MIN_PLACES {
            true => all,
            false => Counts { judged: all.judged - worst.judged, denied: all.denied - worst.denied },
        }
    }

    /// The word, if it is of the window. A clock that was set back still knows what is not far ahead of it.
    fn read(&self, word: &AtomicU64, now: u32) -> Option<Word> {
        let word = Word::unpacked(word.load(Ordering::Relaxed))?;
        (now.abs_diff(word.second) < self.window_seconds).then_some(word)
    }
}

// === impl Word ===

impl Word {
    fn packed(self) -> u64 {
        (u64::from(self.source) << 33) | (u64::from(self.second) << 1) | u64::from(self.denied)
    }

    fn unpacked(word: u64) -> Option<Self> {
        let source = (word >> 33) as u32;
        (word != 0).then_some(Self { source, second: (word >> 1) as u32, denied: word & 1 == 1 })
    }
}

/// Seconds since 1970, from 1 on: until 2106.
fn second(now: i64) -> u32 {
    u32::try_from(now.max(1)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use stockade_policy::stable_hash::stable_hash;

    use super::*;

    /// The source of a name in one of several places that share no row.
    fn source(place: u64, name: &str) -> Source {
        Source { place, object: stable_hash(&[name]) }
    }

    fn counts(judged: u64, denied: u64) -> Counts {
        Counts { judged, denied }
    }

    #[test]
    fn a_source_counts_once_by_its_last_outcome_until_it_is_older_than_the_window() {
        let sources = Sources::new(160);
        for second in 0..100 {
            sources.record(source(1, "repeated"), true, 1_000 + second);
        }
        assert_eq!(sources.counts(1_100), counts(1, 1));
        sources.record(source(1, "other"), true, 1_101);
        sources.record(source(1, "repeated"), false, 1_110);
        assert_eq!(sources.counts(1_110), counts(2, 1));
        assert_eq!(sources.counts(1_261), counts(1, 0));
        assert_eq!(sources.counts(1_270), counts(0, 0));
    }

    #[test]
    fn a_place_is_never_more_than_its_share_whatever_names_are_made_up_in_it() {
        let sources = Sources::new(600);
        for name in 0..10_000 {
            sources.record(source(1, &format!("made-up-{name}")), true, 1_000);
        }
        assert_eq!(sources.counts(1_000), counts(64, 64));
        sources.record(source(2, "honest"), false, 1_000);
        assert_eq!(sources.counts(1_000), counts(65, 64));
    }

    #[test]
    fn of_three_places_the_one_that_is_denied_most_is_left_out() {
        let sources = Sources::new(600);
        for (place, name, denied) in [(1, "a", true), (1, "b", true), (2, "a", true), (2, "b", false)] {
            sources.record(source(place, name), denied, 1_000);
        }
        assert_eq!(sources.counts(1_000), counts(4, 3));
        sources.record(source(3, "a"), false, 1_000);
        assert_eq!(sources.counts(1_000), counts(3, 1));
    }

    #[test]
    fn what_there_is_no_room_for_makes_a_sample() {
        let sources = Sources::new(600);
        for name in 0..5_000 {
            sources.record(source(1, &format!("web-{name}")), name % 4 == 0, 1_000);
        }
        let Counts { judged, denied } = sources.counts(1_000);
        assert!(judged == 64 && denied.abs_diff(16) < 12, "{denied} of {judged}");
    }

    #[test]
    fn a_clock_that_is_set_back_counts_on() {
        let sources = Sources::new(10);
        sources.record(source(1, "a"), true, 1_000);
        sources.record(source(1, "b"), true, 995);
        assert_eq!(sources.counts(995), counts(2, 2));
        sources.record(source(1, "c"), true, -5);
        assert_eq!(sources.counts(-5), counts(1, 1));
    }
}
