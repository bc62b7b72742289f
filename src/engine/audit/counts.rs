//! Numbers of results.

use serde::Serialize;

use super::{Judgement, Outcome};

/// Results by outcome.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Bindings of which all rules passed.
    pub pass: usize,
    /// Rules that were false.
    pub fail: usize,
    /// Rules that were false, of policies that only warn.
    pub warn: usize,
    /// Rules that could not be evaluated.
    pub error: usize,
    /// Rules that an exception waives, and bindings that passed though one would.
    pub skip: usize,
}

/// What an exception waives.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Waived {
    /// Rules that were false or could not be evaluated.
    pub fail: usize,
    /// Bindings of which all rules passed: there it is not needed.
    pub pass: usize,
}

// === impl Counts ===

impl Counts {
    /// Adds all that was found out about one object.
    pub fn judged(&mut self, judgement: &Judgement) {
        self.pass += judgement.passes as usize;
        judgement.results.iter().for_each(|result| self.count(result.outcome));
    }

    /// Adds one result.
    pub fn count(&mut self, outcome: Outcome) {
        *match outcome {
            Outcome::Fail => &mut self.fail,
            Outcome::Warn => &mut self.warn,
            Outcome::Error => &mut self.error,
            Outcome::WaivedFail | Outcome::WaivedPass => &mut self.skip,
        } += 1;
    }

    /// Adds what was counted elsewhere.
    pub fn add(&mut self, other: Self) {
        self.pass += other.pass;
        self.fail += other.fail;
        self.warn += other.warn;
        self.error += other.error;
        self.skip += other.skip;
    }

    /// Results that nothing waives.
    pub fn violations(&self) -> usize {
        self.fail + self.warn + self.error
    }

    /// Results that did not simply pass.
    pub fn found(&self) -> usize {
        self.violations() + self.skip
    }
}

// === impl Waived ===

impl Waived {
    /// Adds one result of which the exception is named.
    pub fn count(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::WaivedFail => self.fail += 1,
            Outcome::WaivedPass => self.pass += 1,
            Outcome::Warn | Outcome::Error | Outcome::Fail => {}
        }
    }

    /// Adds what was counted elsewhere.
    pub fn add(&mut self, other: Self) {
        self.fail += other.fail;
        self.pass += other.pass;
    }
}
