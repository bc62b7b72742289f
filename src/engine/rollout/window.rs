//! Counts over a sliding time, without a lock: a ring of buckets, each one word.

use std::sync::atomic::{AtomicU64, Ordering};

/// Buckets of a window: the oldest sixteenth falls out at once.
const BUCKETS: u64 = 16;
/// Bits of each count in a bucket. A bucket that is full counts no more, which keeps the share.
const COUNT_BITS: u32 = 22;
/// Largest count.
const FULL: u64 = (1 << COUNT_BITS) - 1;
/// Bits of the number of the bucket's period, which tells an old bucket from a new one: with periods of a second it
/// comes again after twelve days.
const PERIOD_BITS: u32 = 64 - 2 * COUNT_BITS;

/// Counts of the last so many seconds.
#[derive(Debug)]
pub(super) struct Window {
    period_seconds: u64,
    /// Period, judged, denied, from the highest bits down.
    buckets: [AtomicU64; BUCKETS as usize],
}

/// What was counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Counts {
    pub(super) judged: u64,
    pub(super) denied: u64,
}

impl Window {
    pub(super) fn new(seconds: u32) -> Self {
        let period_seconds = u64::from(seconds).div_ceil(BUCKETS).max(1);
        Self { period_seconds, buckets: Default::default() }
    }

    /// Counts one request, and says what was counted with it.
    pub(super) fn record(&self, denied: bool, now: i64) -> Counts {
        // Period 0 is that of buckets never used.
        let period = u64::try_from(now).unwrap_or(0) / self.period_seconds + 1;
        let add = |word: u64| {
            let (of, Counts { judged, denied: before }) = unpacked(word);
            match of == shortened(period) {
                true if judged == FULL => word,
                true => packed(period, Counts { judged: judged + 1, denied: before + u64::from(denied) }),
                false => packed(period, Counts { judged: 1, denied: u64::from(denied) }),
            }
        };
        if let Some(bucket) = self.buckets.get((period % BUCKETS) as usize) {
            bucket.update(Ordering::Relaxed, Ordering::Relaxed, add);
        }
        self.counts(period)
    }

    fn counts(&self, period: u64) -> Counts {
        let recent = |of: u64| (0..BUCKETS.min(period)).any(|age| shortened(period - age) == of);
        let words = self.buckets.iter().map(|b| unpacked(b.load(Ordering::Relaxed)));
        words.filter(|(of, _)| recent(*of)).fold(Counts::default(), |sum, (_, c)| Counts {
            judged: sum.judged + c.judged,
            denied: sum.denied + c.denied,
        })
    }
}

fn shortened(period: u64) -> u64 {
    period & ((1 << PERIOD_BITS) - 1)
}

fn packed(period: u64, counts: Counts) -> u64 {
    (shortened(period) << (2 * COUNT_BITS)) | (counts.judged << COUNT_BITS) | counts.denied
}

fn unpacked(word: u64) -> (u64, Counts) {
    (word >> (2 * COUNT_BITS), Counts { judged: (word >> COUNT_BITS) & FULL, denied: word & FULL })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_older_than_the_window_is_forgotten() {
        let window = Window::new(160);
        for second in 0..100 {
            window.record(second % 4 == 0, 1_000 + second);
        }
        let at = |now| window.record(false, now);
        assert_eq!(at(1_100), Counts { judged: 101, denied: 25 });
        // Periods are of ten seconds: the first two are out.
        assert_eq!(at(1_179), Counts { judged: 82, denied: 20 });
        assert_eq!(at(9_000), Counts { judged: 1, denied: 0 });
    }

    #[test]
    fn a_clock_that_steps_back_counts_on() {
        let window = Window::new(10);
        window.record(true, 1_000);
        assert_eq!(window.record(true, 990), Counts { judged: 1, denied: 1 });
        assert_eq!(window.record(true, -5), Counts { judged: 1, denied: 1 });
    }

    #[test]
    fn a_full_bucket_keeps_its_share() {
        let window = Window::new(16);
        window.buckets[(1_001 % BUCKETS) as usize]
            .store(packed(1_001, Counts { judged: FULL, denied: 7 }), Ordering::Relaxed);
        assert_eq!(window.record(true, 1_000), Counts { judged: FULL, denied: 7 });
    }

    #[test]
    fn threads_lose_no_count() {
        let window = Window::new(600);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..1_000).for_each(|i| _ = window.record(i % 2 == 0, 5_000)));
            }
        });
        assert_eq!(window.record(false, 5_000), Counts { judged: 4_001, denied: 2_000 });
    }
}
