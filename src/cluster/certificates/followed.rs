//! A Secret of somebody else changes in one step; the overlap that its authorities then need is made here.
//!
//! A certificate that those who trust what we publish would not accept waits: first its authorities are published beside
//! the old ones, and when all registrations have carried them for the time to settle it is served. Authorities that left
//! the Secret stay published until no replica can serve what they signed.

use std::sync::Arc;
use std::time::Duration;

use stockade_webhook::certs::{Pair, verify_serving};
use tokio::time::Instant;

use super::Times;
use super::material::Material;

/// Authorities that are remembered after they left. A Secret whose authority changes more often than that within the time
/// to retire is broken.
const MAX_LEAVING: usize = 8;

/// What is served and trusted while the Secret changes.
#[derive(Default)]
pub(super) struct Followed {
    /// Served.
    current: Option<Material>,
    /// In the Secret, not served yet.
    coming: Option<Material>,
    /// Authorities that are no longer in the Secret, and since when nothing they signed is served here.
    leaving: Vec<String>,
    left: Option<Instant>,
}

// === impl Followed ===

impl Followed {
    /// The Secret holds this, which can be used.
    pub(super) fn offer(&mut self, material: Material, unix_now: i64, now: Instant) {
        let is_trusted =
            |published: &[String]| verify_serving(&material.serving, published.concat().as_bytes(), unix_now).is_ok();
        match &self.current {
            Some(current) if !is_trusted(&current.bundle) => self.coming = Some(material),
            _ => self.take(material, now),
        }
    }

    /// Time has passed; `confirmed` is for how long all registrations have carried what [`Self::awaits`] names.
    pub(super) fn look(&mut self, confirmed: Option<Duration>, times: &Times, now: Instant) {
        if confirmed.is_some_and(|time| time >= times.settle)
            && let Some(coming) = self.coming.take()
        {
            self.take(coming, now);
        }
        if self.left.is_some_and(|since| now.duration_since(since) >= times.retire) {
            (self.leaving, self.left) = (Vec::new(), None);
        }
    }

    /// Authorities that registrations must carry before the next certificate is served, PEM.
    pub(super) fn awaits(&self) -> Option<String> {
        self.coming.as_ref().map(Material::bundle_text)
    }

    /// What to serve, and the authorities to trust.
    pub(super) fn published(&self) -> Option<(Arc<Pair>, Vec<String>)> {
        let current = self.current.as_ref()?;
        let newest = self.coming.as_ref().unwrap_or(current);
        let mut bundle = newest.bundle.clone();
        for older in current.bundle.iter().chain(&self.leaving) {
            if !bundle.contains(older) {
                bundle.push(older.clone());
            }
        }
        Some((Arc::new(current.serving.clone()), bundle))
    }

    fn take(&mut self, material: Material, now: Instant) {
        self.coming = None;
        if let Some(before) = self.current.take() {
            self.leaving.extend(before.bundle);
            self.leaving.retain(|block| !material.bundle.contains(block));
            let too_many = self.leaving.len().saturating_sub(MAX_LEAVING);
            self.leaving.drain(..too_many);
            self.left = Some(now);
        }
        self.current = Some(material);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::certificates::material::tests::{NOW, minted, renewed};

    /// Which of the materials is served, and whose authorities are trusted.
    fn published(followed: &Followed, of: &[&Material]) -> (usize, Vec<usize>) {
        let (serving, bundle) = followed.published().unwrap();
        let at = |is_it: &dyn Fn(&Material) -> bool| of.iter().position(|material| is_it(material)).unwrap();
        let trusted = bundle.iter().map(|block| at(&|material| material.bundle.contains(block)));
        (at(&|material| material.serving == *serving), trusted.collect())
    }

    #[test]
    fn a_certificate_of_another_authority_is_served_when_registrations_carry_it_and_the_old_one_stays_trusted() {
        let (times, began) = (Times::default(), Instant::now());
        let (old, new) = (minted(), minted());
        let both = [&old, &new];
        let mut followed = Followed::default();
        assert_eq!(followed.published(), None);
        followed.offer(old.clone(), NOW, began);
        assert_eq!((published(&followed, &both), followed.awaits()), ((0, vec![0]), None));

        followed.offer(new.clone(), NOW, began);
        assert_eq!((published(&followed, &both), followed.awaits()), ((0, vec![1, 0]), Some(new.bundle_text())));
        for confirmed in [None, Some(times.settle / 2)] {
            followed.look(confirmed, &times, began + 2 * times.retire);
            assert_eq!(published(&followed, &both), (0, vec![1, 0]));
        }
        let taken = began + 2 * times.retire;
        followed.look(Some(times.settle), &times, taken);
        assert_eq!((published(&followed, &both), followed.awaits()), ((1, vec![1, 0]), None));
        followed.look(None, &times, taken + times.retire / 2);
        assert_eq!(published(&followed, &both), (1, vec![1, 0]));
        followed.look(None, &times, taken + times.retire);
        assert_eq!(published(&followed, &both), (1, vec![1]));
    }

    #[test]
    fn a_renewed_certificate_of_the_same_authority_is_served_at_once() {
        let (old, began) = (minted(), Instant::now());
        let next = renewed(&old);
        let mut followed = Followed::default();
        followed.offer(old, NOW, began);
        followed.offer(next.clone(), NOW, began);
        let (serving, bundle) = followed.published().unwrap();
        assert!(*serving == next.serving && bundle == next.bundle && followed.awaits().is_none());
    }

    #[test]
    fn a_change_that_is_taken_back_leaves_things_as_they_were() {
        let (old, new, began) = (minted(), minted(), Instant::now());
        let mut followed = Followed::default();
        followed.offer(old.clone(), NOW, began);
        followed.offer(new, NOW, began);
        followed.offer(old.clone(), NOW, began);
        let (serving, bundle) = followed.published().unwrap();
        assert!(*serving == old.serving && bundle == old.bundle && followed.awaits().is_none());
    }
}
