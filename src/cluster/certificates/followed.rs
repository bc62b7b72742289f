//! A Secret of somebody else changes in one step; the overlap that its authorities then need is made here.
//!
//! A certificate that those who trust what we publish would not accept waits: first its authorities are published beside
//! the old ones, and when all registrations have carried them for the time to settle it is served. Authorities that left
//! the Secret stay published until no replica can serve what they signed.
//!
//! A process that starts in the middle of that has no older certificate, and knows the older authorities only from the
//! registrations: they stay published as well. It serves as soon as it would be trusted.

use std::sync::Arc;
use std::time::Duration;

use stockade_webhook::certs::{Pair, verify_serving};
use tokio::time::Instant;

use super::Times;
use super::material::Material;

/// Authorities that are remembered after they left. A Secret whose authority changes more often than that within the time
/// to retire is broken.
const MAX_LEAVING: usize = 8;

/// From all registrations' carrying an authority until every API server has heard of it, where nothing older could be
/// served in the meantime: a watch brings a change within a second. All replicas may be starting at once, so this is a time
/// without any.
const HEARD: Duration = Duration::from_secs(5);

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
    /// Begins with the authorities (PEM, one certificate each) that registrations carry: what is still served elsewhere
    /// may be signed by any of them.
    pub(super) fn beginning(mut registered: Vec<String>, now: Instant) -> Self {
        registered.truncate(MAX_LEAVING);
        Self { left: (!registered.is_empty()).then_some(now), leaving: registered, ..Self::default() }
    }

    /// The Secret holds this, which can be used.
    pub(super) fn offer(&mut self, material: Material, unix_now: i64, now: Instant) {
        let is_trusted =
            |published: &[String]| verify_serving(&material.serving, published.concat().as_bytes(), unix_now).is_ok();
        let trusted = self.current.as_ref().map_or(&self.leaving, |current| &current.bundle);
        // Nothing served and nothing registered: nobody is there yet who could not trust it.
        match (self.current.is_none() && trusted.is_empty()) || is_trusted(trusted) {
            true => self.take(material, now),
            false => self.coming = Some(material),
        }
    }

    /// Time has passed; `confirmed` is for how long all registrations have carried what [`Self::awaits`] names.
    pub(super) fn look(&mut self, confirmed: Option<Duration>, times: &Times, now: Instant) {
        let settle = if self.current.is_some() { times.settle } else { times.settle.min(HEARD) };
        if confirmed.is_some_and(|time| time >= settle)
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

    /// What to serve, if anything yet, and the authorities to trust.
    pub(super) fn published(&self) -> Option<(Option<Arc<Pair>>, Vec<String>)> {
        let newest = self.coming.as_ref().or(self.current.as_ref())?;
        let mut bundle = newest.bundle.clone();
        for older in self.current.iter().flat_map(|current| &current.bundle).chain(&self.leaving) {
            if !bundle.contains(older) {
                bundle.push(older.clone());
            }
        }
        Some((self.current.as_ref().map(|current| Arc::new(current.serving.clone())), bundle))
    }

    fn take(&mut self, material: Material, now: Instant) {
        self.coming = None;
        self.leaving.extend(self.current.take().into_iter().flat_map(|before| before.bundle));
        self.leaving.retain(|block| !material.bundle.contains(block));
        let too_many = self.leaving.len().saturating_sub(MAX_LEAVING);
        self.leaving.drain(..too_many);
        self.left = (!self.leaving.is_empty()).then_some(now);
        self.current = Some(material);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::certificates::material::tests::{NOW, minted, renewed};

    fn served(followed: &Followed) -> (Arc<Pair>, Vec<String>) {
        let (serving, bundle) = followed.published().unwrap();
        (serving.unwrap(), bundle)
    }

    /// Which of the materials is served, and whose authorities are trusted.
    fn published(followed: &Followed, of: &[&Material]) -> (usize, Vec<usize>) {
        let (serving, bundle) = served(followed);
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
        let (serving, bundle) = served(&followed);
        assert!(*serving == next.serving && bundle == next.bundle && followed.awaits().is_none());
    }

    #[test]
    fn a_change_that_is_taken_back_leaves_things_as_they_were() {
        let (old, new, began) = (minted(), minted(), Instant::now());
        let mut followed = Followed::default();
        followed.offer(old.clone(), NOW, began);
        followed.offer(new, NOW, began);
        followed.offer(old.clone(), NOW, began);
        let (serving, bundle) = served(&followed);
        assert!(*serving == old.serving && bundle == old.bundle && followed.awaits().is_none());
    }

    #[test]
    fn a_restart_in_the_middle_keeps_what_registrations_carry_and_serves_when_they_carry_the_new_one() {
        let (times, began) = (Times::default(), Instant::now());
        let (old, new) = (minted(), minted());
        let mut followed = Followed::beginning(old.bundle.clone(), began);
        followed.offer(new.clone(), NOW, began);
        let both = [new.bundle.clone(), old.bundle.clone()].concat();
        for confirmed in [None, Some(Duration::from_secs(4))] {
            followed.look(confirmed, &times, began);
            assert_eq!(followed.published(), Some((None, both.clone())));
        }
        assert_eq!(followed.awaits(), Some(new.bundle_text()));
        followed.look(Some(Duration::from_secs(5)), &times, began);
        assert_eq!(published(&followed, &[&new, &old]), (0, vec![0, 1]));
        followed.look(None, &times, began + times.retire);
        assert_eq!(published(&followed, &[&new, &old]), (0, vec![0]));
    }

    #[test]
    fn a_restart_after_the_registrations_carry_both_serves_at_once_and_keeps_both() {
        let (times, began) = (Times::default(), Instant::now());
        let (old, new) = (minted(), minted());
        let mut followed = Followed::beginning([new.bundle.clone(), old.bundle.clone()].concat(), began);
        followed.offer(new.clone(), NOW, began);
        assert_eq!(published(&followed, &[&new, &old]), (0, vec![0, 1]));
        followed.look(None, &times, began + times.retire);
        assert_eq!(published(&followed, &[&new, &old]), (0, vec![0]));
    }

    #[test]
    fn with_nothing_registered_the_first_certificate_is_served_at_once() {
        let (new, began) = (minted(), Instant::now());
        let mut followed = Followed::beginning(Vec::new(), began);
        followed.offer(new.clone(), NOW, began);
        assert_eq!(published(&followed, &[&new]), (0, vec![0]));
    }
}
