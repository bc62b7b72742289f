//! Ranges of sizes and costs. All arithmetic saturates.

/// The least and the most that something may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Least.
    pub min: u64,
    /// Most; `u64::MAX` when nothing bounds it.
    pub max: u64,
}

impl Bounds {
    /// Nothing is known.
    pub const UNKNOWN: Self = Self { min: 0, max: u64::MAX };
    /// Nothing.
    pub const ZERO: Self = Self::fixed(0);

    /// Known exactly.
    pub const fn fixed(value: u64) -> Self {
        Self { min: value, max: value }
    }

    /// Least and most.
    pub const fn new(min: u64, max: u64) -> Self {
        Self { min, max }
    }

    pub(super) fn plus(self, other: Self) -> Self {
        Self { min: self.min.saturating_add(other.min), max: self.max.saturating_add(other.max) }
    }

    pub(super) fn times(self, other: Self) -> Self {
        Self { min: self.min.saturating_mul(other.min), max: self.max.saturating_mul(other.max) }
    }

    /// Each end times a factor, rounded up.
    pub(super) fn scaled(self, factor: f64) -> Self {
        // A float beyond the range becomes `u64::MAX` in the cast, as upstream has it.
        let scale = |x: u64| (x as f64 * factor).ceil() as u64;
        Self { min: scale(self.min), max: scale(self.max) }
    }

    /// The range that holds both.
    pub(super) fn union(self, other: Self) -> Self {
        Self { min: self.min.min(other.min), max: self.max.max(other.max) }
    }
}
