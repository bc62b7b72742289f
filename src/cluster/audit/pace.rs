//! How fast the audit may ask: a token bucket, and a pause after answers that came slowly.

use std::time::Duration;

use tokio::time::Instant;

/// Longest pause after one slow answer.
const MAX_PAUSE: Duration = Duration::from_secs(10);
/// An answer that takes longer says that the API server is busy: then the audit rests as long as the answer took.
const SLOW: Duration = Duration::from_secs(1);

/// Tokens that come at a steady rate.
#[derive(Debug)]
pub(crate) struct Pace {
    interval: Duration,
    /// How far behind `next` may lag: the bucket's size as time.
    burst: Duration,
    /// When the next token is due.
    next: Instant,
}

// === impl Pace ===

impl Pace {
    /// So many requests a second, up to so many at once.
    pub(crate) fn new(per_second: u32, burst: u32) -> Self {
        let interval = Duration::from_secs(1) / per_second;
        Self { interval, burst: interval * burst, next: Instant::now() }
    }

    /// Waits for a token.
    pub(crate) async fn wait(&mut self) {
        tokio::time::sleep_until(self.take(Instant::now())).await;
    }

    /// Says how long an answer took.
    pub(crate) fn took(&mut self, time: Duration) {
        if time > SLOW {
            self.next = self.next.max(Instant::now() + time.min(MAX_PAUSE));
        }
    }

    /// When the token may be used that is taken now.
    fn take(&mut self, now: Instant) -> Instant {
        let due = self.next.max(now.checked_sub(self.burst).unwrap_or(now));
        self.next = due + self.interval;
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_burst_is_given_at_once_and_then_a_steady_rate() {
        let mut pace = Pace::new(10, 3);
        let start = Instant::now();
        tokio::time::advance(Duration::from_secs(5)).await;
        let now = Instant::now();
        let waits: Vec<_> = (0..6).map(|_| pace.take(now).saturating_duration_since(now).as_millis()).collect();
        assert_eq!((now - start, waits), (Duration::from_secs(5), vec![0, 0, 0, 0, 100, 200]));
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_answer_is_followed_by_a_pause_of_its_length() {
        let mut pace = Pace::new(10, 3);
        pace.took(Duration::from_secs(2));
        let before = Instant::now();
        pace.wait().await;
        assert_eq!(before.elapsed(), Duration::from_secs(2));
    }
}
