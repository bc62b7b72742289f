//! What was found out for one piece of work that takes a while, such as a page of an audit.
//!
//! Evidence that is only remembered may be forgotten, or be too old, before all that wanted it is judged. What is in hand
//! holds until the work is done.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use stockade_engine::images::{Evidence, ImageFacts, Wanted};
use tokio::time::Instant;

use crate::Images;
use crate::gather::{Key, MAX_BYTES, evidence_bytes, key, unfinished};

/// Most bytes in hand; what one image has beyond that comes on top.
const MAX_HELD_BYTES: usize = 32 << 20;
// One image always fits.
const _: () = assert!(MAX_BYTES < MAX_HELD_BYTES);

/// Most times that one object is judged: what is pinned is wanted by its digest, once.
const MAX_ROUNDS: usize = 4;
/// Why an image is unavailable that would be wanted once more after that.
const NOT_SETTLED: &str = "it was wanted again and again: try again";
/// Why an image is unavailable for which there is no room.
const TOO_MUCH: &str = "there is too much evidence about the images of one object";

/// Evidence about the images of one piece of work, in front of what is remembered.
pub struct InHand {
    images: Images,
    /// By key, with a number that grows.
    found: HashMap<Key, (usize, Arc<Evidence>)>,
    bytes: usize,
    /// Why what was not looked at is unavailable; none while it may still be looked at.
    closed: Option<&'static str>,
    told_unavailable: AtomicBool,
}

// === impl InHand ===

impl InHand {
    /// Judges, and again with what was wanted looked at, all of it at once and within this time, until nothing is. Gives
    /// what was found out too.
    pub async fn settled<T>(
        images: &Images,
        time: Duration,
        mut judge: impl FnMut(&Self) -> (T, Vec<Wanted>),
    ) -> (T, Self) {
        let (deadline, mut in_hand) = (Instant::now() + time, Self::new(images.clone()));
        for _ in 0..MAX_ROUNDS {
            let (judged, wanted) = judge(&in_hand);
            if wanted.is_empty() {
                return (judged, in_hand);
            }
            in_hand.look(wanted, deadline).await;
        }
        in_hand.close(NOT_SETTLED);
        (judge(&in_hand).0, in_hand)
    }

    /// Has all that is wanted looked at until then. From then on it has an answer for each, whatever it is.
    pub async fn look(&mut self, wanted: Vec<Wanted>, deadline: Instant) {
        let found = self.images.gather(wanted.clone(), deadline).await;
        for (wanted, evidence) in wanted.iter().zip(found) {
            if !self.take(wanted, evidence) {
                self.refuse_without_room(wanted);
            }
        }
    }

    /// Nothing but what is remembered.
    pub fn new(images: Images) -> Self {
        Self { images, found: HashMap::new(), bytes: 0, closed: None, told_unavailable: AtomicBool::new(false) }
    }

    /// Takes what was found out. False when there was no room left before, and nothing is taken.
    pub fn take(&mut self, wanted: &Wanted, evidence: Arc<Evidence>) -> bool {
        if self.is_full() {
            return false;
        }
        self.put(wanted, evidence);
        true
    }

    /// Takes that nothing is found out about an image, and why.
    pub fn refuse(&mut self, wanted: &Wanted, why: &str) {
        self.put(wanted, Arc::new(unfinished(wanted, why)));
    }

    /// Takes that nothing is found out about an image, for which there is no room.
    pub fn refuse_without_room(&mut self, wanted: &Wanted) {
        self.refuse(wanted, TOO_MUCH);
    }

    /// Whether there is no room left.
    pub fn is_full(&self) -> bool {
        self.bytes >= MAX_HELD_BYTES
    }

    /// From now on everything has an answer: what was not looked at is unavailable, for this reason.
    pub fn close(&mut self, why: &'static str) {
        self.closed = Some(why);
    }

    /// Whether something that could not be found out was told since the last time.
    pub fn take_told_unavailable(&self) -> bool {
        self.told_unavailable.swap(false, Ordering::Relaxed)
    }

    /// All that was found out, in order.
    pub fn into_found(self) -> Vec<Arc<Evidence>> {
        let mut found: Vec<_> = self.found.into_values().collect();
        found.sort_by_key(|(number, _)| *number);
        found.into_iter().map(|(_, evidence)| evidence).collect()
    }

    fn put(&mut self, wanted: &Wanted, evidence: Arc<Evidence>) {
        self.bytes += evidence_bytes(&evidence);
        self.found.insert(key(wanted), (self.found.len(), evidence));
    }
}

impl ImageFacts for InHand {
    fn evidence(&self, wanted: &Wanted) -> Option<Arc<Evidence>> {
        let found = self
            .found
            .get(&key(wanted))
            .map(|(_, evidence)| Arc::clone(evidence))
            .or_else(|| self.images.evidence(wanted));
        let found = found.or_else(|| self.closed.map(|why| Arc::new(unfinished(wanted, why))));
        if found.as_ref().is_some_and(|evidence| evidence.is_unavailable()) {
            self.told_unavailable.store(true, Ordering::Relaxed);
        }
        found
    }
}
