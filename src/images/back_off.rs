//! Waits between tries that fail.

use std::time::Duration;

/// Most times that a wait doubles, so that it can be computed however often something fails.
const MAX_DOUBLINGS: u32 = 8;

/// Each wait is twice the one before, up to the longest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackOff {
    /// After the first failure.
    pub first: Duration,
    /// However often it failed.
    pub longest: Duration,
}

// === impl BackOff ===

impl BackOff {
    /// The wait after this many failures in a row, of which there was one at least.
    pub fn after(self, failures: u32) -> Duration {
        self.first.saturating_mul(1 << failures.saturating_sub(1).min(MAX_DOUBLINGS)).min(self.longest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest() {
        let back_off = BackOff { first: Duration::from_secs(1), longest: Duration::from_secs(5) };
        let waits = [1, 2, 3, 4, u32::MAX].map(|failures| back_off.after(failures).as_secs());
        assert_eq!(waits, [1, 2, 4, 5, 5]);
    }
}
