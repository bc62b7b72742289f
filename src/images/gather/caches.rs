//! What is remembered of images, for how long, and with what bound.
//!
//! | of | key | holds for |
//! |---|---|---|
//! | references | repository, tag or digest, credential | a tag 30 s, a digest 10 min |
//! | listings: which signatures there are | repository, digest, credential | 10 min; who finds nothing in one looks at one of the last 30 s |
//! | contents: manifests, payloads, envelopes | repository, digest, credential | 10 min |
//! | authorities, with their keys and roots read | id | 1 h; 30 s where a Secret or ConfigMap is named |
//! | verdicts | image, digest, credentials, authority, keys and roots, what was sought | verified 1 h, not signed and invalid 30 s |
//! | evidence: what a request asks for, all of it | reference, authorities, attestations, credentials' names | the least of its parts, at most 60 s |
//! | anything that is not there, or that nobody is let in to | | 5 s |
//! | anything unavailable | | 1 s, 2 s, 4 s, 5 s; as long as the registry asks for, at most 30 s |
//!
//! That time or places ran out is remembered nowhere: it is told to who asked (`in_hand`), and says nothing of an image.
//!
//! Credentials are in all keys of what comes from a registry: who may not pull an image learns nothing of it, and what was
//! told to one who may not, "unauthorized" or that there are no signatures, is told to nobody else. Settings of registries are in no key: all
//! policies say the same of a host, and a change of that counts within the minute.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA256};
use stockade_engine::images::{Answer, Cause, Evidence, Unseen};
use stockade_policy::images::{AuthorityId, Digest};

use super::authorities::ReadAuthority;
use super::listing::Listing;
use super::metrics::Metrics;
use crate::back_off::BackOff;
use crate::expiring::{Expiring, Made};
use crate::registry::{Fetched, RegistryError, Repository};
use crate::verify::Verified;

/// How long a tag means what it meant: users wait for a new image no longer than this.
pub(super) const TAG_HOLDS: Duration = Duration::from_secs(30);
/// Content by digest never changes; it is only dropped to make room, and so that a repository that was closed is closed.
pub(super) const CONTENT_HOLDS: Duration = Duration::from_secs(600);
/// Verified is verified; how long after the removal of a signature an image still counts as signed.
const VERIFIED_HOLDS: Duration = Duration::from_secs(3_600);
/// How long after somebody signs an image it may still count as not signed.
pub(super) const REFUSED_HOLDS: Duration = Duration::from_secs(30);
/// How long an image that is not there stays so; people push it and try again.
const NOT_FOUND_HOLDS: Duration = Duration::from_secs(5);
/// First and longest time without a new try after a failure.
const BACK_OFF: BackOff = BackOff { first: Duration::from_secs(1), longest: Duration::from_secs(5) };
/// How long evidence holds at most: changes of keys, roots, registries' settings count after that.
pub(super) const EVIDENCE_HOLDS: Duration = Duration::from_secs(60);

const MIB: usize = 1 << 20;
/// Bytes of evidence: tens of thousands of images that are signed, hundreds with a bill of materials each.
pub(super) const MAX_EVIDENCE_BYTES: usize = 32 * MIB;
/// Bytes of verdicts, statements included.
const MAX_VERDICT_BYTES: usize = 32 * MIB;
/// Bytes of contents.
const MAX_CONTENT_BYTES: usize = 32 * MIB;
/// Bytes of references, manifests included.
const MAX_REFERENCE_BYTES: usize = 16 * MIB;
/// Bytes of listings.
const MAX_LISTING_BYTES: usize = 8 * MIB;
/// Bytes of authorities: each has a trusted root of some hundred kilobytes at most.
const MAX_AUTHORITY_BYTES: usize = 16 * MIB;

/// SHA-256 of all that a value depends on.
pub(crate) type Key = [u8; 32];

/// Something from a registry, and how often in a row it could not be had.
#[derive(Debug, Clone)]
pub(super) struct Kept<T> {
    pub(super) result: Result<T, RegistryError>,
    failures: u32,
}

/// An answer, and how often in a row there was none.
#[derive(Debug, Clone)]
pub(super) struct Verdict {
    pub(super) answer: Answer<Vec<Verified>>,
    failures: u32,
}

/// All that is remembered.
pub(super) struct Caches {
    pub(super) references: Expiring<Key, Kept<Fetched>>,
    pub(super) listings: Expiring<Key, Kept<Arc<Listing>>>,
    pub(super) contents: Expiring<Key, Kept<Arc<[u8]>>>,
    pub(super) authorities: Expiring<AuthorityId, ReadAuthority>,
    pub(super) verdicts: Expiring<Key, Verdict>,
    pub(super) evidence: Expiring<Key, Arc<Evidence>>,
}

/// Makes a key of parts; where one ends and the next begins counts.
pub(super) struct KeyOf(Context);

// === impl Caches ===

impl Caches {
    pub(super) fn new(metrics: &Metrics) -> Self {
        Self {
            references: Expiring::new(MAX_REFERENCE_BYTES, metrics.cache("references")),
            listings: Expiring::new(MAX_LISTING_BYTES, metrics.cache("listings")),
            contents: Expiring::new(MAX_CONTENT_BYTES, metrics.cache("contents")),
            authorities: Expiring::new(MAX_AUTHORITY_BYTES, metrics.cache("authorities")),
            verdicts: Expiring::new(MAX_VERDICT_BYTES, metrics.cache("verdicts")),
            evidence: Expiring::new(MAX_EVIDENCE_BYTES, metrics.cache("evidence")),
        }
    }
}

// === impl Kept ===

impl<T> Kept<T> {
    /// What came, or did not, after what was kept before.
    pub(super) fn after(
        old: Option<Self>,
        result: Result<T, RegistryError>,
        holds: Duration,
        bytes: usize,
    ) -> Made<Self> {
        let failures = if result.is_ok() { 0 } else { old.map_or(0, |o| o.failures) + 1 };
        let holds = match &result {
            Ok(_) => holds,
            Err(
                RegistryError::NotFound { .. } | RegistryError::Unauthorized { .. } | RegistryError::TurnedAway { .. },
            ) => NOT_FOUND_HOLDS,
            Err(RegistryError::Hostile { .. }) => REFUSED_HOLDS,
            Err(error) if error.is_of_one() => Duration::ZERO,
            Err(error) => BACK_OFF.after(failures).max(error.retry_after().unwrap_or_default()),
        };
        Made { value: Self { result, failures }, holds, bytes }
    }
}

// === impl Verdict ===

impl Verdict {
    pub(super) fn after(old: Option<Self>, answer: Answer<Vec<Verified>>) -> Made<Self> {
        let failures = if answer.is_unavailable() { old.map_or(0, |o| o.failures) + 1 } else { 0 };
        let (holds, bytes) = match &answer {
            Answer::Verified(all) => (VERIFIED_HOLDS, all.iter().map(verified_bytes).sum()),
            Answer::NotSigned(_) | Answer::Invalid(_) => (REFUSED_HOLDS, 1 << 10),
            // That there is no place for one namespace is told to no other.
            Answer::Unavailable(Unseen { cause: Cause::Unfinished, .. }) => (Duration::ZERO, 0),
            Answer::Unavailable(_) => (BACK_OFF.after(failures), 1 << 10),
        };
        Made { value: Self { answer, failures }, holds, bytes }
    }
}

/// About what a signer and a statement have on the heap.
fn verified_bytes(verified: &Verified) -> usize {
    (1 << 10) + verified.statement.as_ref().map_or(0, |s| s.json.len() + s.predicate_type.len())
}

// === impl KeyOf ===

impl KeyOf {
    pub(super) fn new() -> Self {
        Self(Context::new(&SHA256))
    }

    pub(super) fn and(mut self, part: impl AsRef<[u8]>) -> Self {
        let part = part.as_ref();
        self.0.update(&(part.len() as u64).to_be_bytes());
        self.0.update(part);
        self
    }

    /// A repository, and who asks for it.
    pub(super) fn place(self, place: &Repository) -> Self {
        self.and(place.id()).and(place.credential_hash())
    }

    /// A number, such as of the parts that follow.
    pub(super) fn count(self, number: usize) -> Self {
        self.and((number as u64).to_be_bytes())
    }

    pub(super) fn finish(self) -> Key {
        let mut key = [0; 32];
        key.copy_from_slice(self.0.finish().as_ref());
        key
    }
}

/// The key of what a repository has under a digest, for one who asks for it.
pub(super) fn content_key(place: &Repository, digest: &Digest) -> Key {
    KeyOf::new().place(place).and(digest.as_str()).finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_in_a_row_wait_longer_each_time_and_success_forgets_them() {
        let unavailable = || Answer::Unavailable(Unseen::outage(""));
        let mut old = None;
        let mut holds = Vec::new();
        for answer in [
            unavailable(),
            unavailable(),
            unavailable(),
            unavailable(),
            Answer::NotSigned(String::new()),
            unavailable(),
        ] {
            let made = Verdict::after(old, answer);
            holds.push(made.holds.as_secs());
            old = Some(made.value);
        }
        assert_eq!(holds, [1, 2, 4, 5, 30, 1]);
    }

    #[test]
    fn parts_of_a_key_do_not_run_together() {
        let key = |parts: &[&str]| parts.iter().fold(KeyOf::new(), |k, p| k.and(p)).finish();
        assert_ne!(key(&["ab", "c"]), key(&["a", "bc"]));
        assert_ne!(key(&["a", ""]), key(&["a"]));
        assert_eq!(key(&["a", "b"]), key(&["a", "b"]));
    }
}
