//! Which signatures and attestations there are of a manifest: referrers, cosign's `.sig` and `.att` tags. What each is
//! is told by its own manifest, never by the list that names it.

use std::sync::Arc;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use stockade_policy::images::Digest;
use tokio::time::{Instant, timeout};

use super::caches::{CONTENT_HOLDS, Kept, content_key};
use super::judge::TURN_WAIT;
use super::resolve::outcome;
use super::{Inner, SMALL_MANIFEST_BYTES};
use crate::expiring::Held;
use crate::registry::error::{Fault, Outage, Place};
use crate::registry::manifest::{Descriptor, ImageManifest, Manifest};
use crate::registry::transport::MAX_PARALLEL_OF_ONE;
use crate::registry::{MAX_MANIFEST_BYTES, RegistryError, Repository, parse_manifest};

/// Most signatures and attestations of one manifest that are looked at.
pub(super) const MAX_CANDIDATES: usize = 128;

/// Longest tag (OCI distribution spec, "Pulling manifests"). Asked for a longer one a registry says that this is none, or
/// anything else.
const MAX_TAG_BYTES: usize = 128;

/// Most bytes of what lies beside them in their manifests: certificates, timestamps and log entries of some ten kilobytes.
const MAX_LISTED_BYTES: usize = 2 << 20;

/// cosign's payload, beside which the signature is an annotation.
const SIMPLE_SIGNING: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
/// An envelope with a statement.
const DSSE: &str = "application/vnd.dsse.envelope.v1+json";
/// A Sigstore bundle of any version.
const BUNDLE: &str = "application/vnd.dev.sigstore.bundle";
/// A signature of the Notary Project.
const NOTATION: &str = "application/vnd.cncf.notary.signature";
/// Where cosign says what a bundle states, in the manifest.
const BUNDLE_PREDICATE: &str = "dev.sigstore.bundle.predicateType";
/// Where cosign says what an envelope states, in the layer.
const ENVELOPE_PREDICATE: &str = "predicateType";

/// What was found, at one time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Listing {
    pub(super) candidates: Vec<Candidate>,
}

/// Something that may be a signature or an attestation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Candidate {
    pub(super) format: Format,
    /// Names the content; its annotations may belong to the signature.
    pub(super) content: Descriptor,
    /// The type of its predicate as somebody wrote beside it. Whoever could write it wrongly could as well remove the
    /// whole; what counts is what was signed.
    pub(super) predicate: Option<Arc<str>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    SimpleSigning,
    Dsse,
    Bundle,
    Notation,
}

// === impl Inner ===

impl Inner {
    /// Where something is said of a manifest, and what, made at this time or later. Mirrors often lack signatures: where one has none, the
    /// places after it are asked.
    ///
    /// A later place counts when it has something, or when it cannot be asked; that one has nothing is known only of the
    /// last one.
    pub(super) async fn listing<'p>(
        &self,
        places: &'p [Repository],
        subject: &Digest,
        not_before: Option<Instant>,
    ) -> (&'p Repository, Held<Kept<Arc<Listing>>>) {
        let mut at = 0;
        loop {
            let held = self.listing_at(&places[at], subject, not_before).await;
            let next = places[at + 1..].iter().position(|p| is_next(&places[at], p, &held.value.result));
            match next {
                Some(skipped) => at += 1 + skipped,
                None => return (&places[at], held),
            }
        }
    }

    async fn listing_at(
        &self,
        place: &Repository,
        subject: &Digest,
        not_before: Option<Instant>,
    ) -> Held<Kept<Arc<Listing>>> {
        let key = content_key(place, subject);
        let make = |old| async move {
            let result = self.list(place, subject).await.map(Arc::new);
            let bytes = result.as_ref().map_or(0, |listing| listing.candidates.iter().map(Candidate::bytes).sum());
            Kept::after(old, result, CONTENT_HOLDS, bytes)
        };
        self.caches.listings.get_or(&key, not_before, make).await
    }

    async fn list(&self, place: &Repository, subject: &Digest) -> Result<Listing, RegistryError> {
        let (referrers, signatures, attestations) = tokio::join!(
            self.referrers(place, subject),
            self.by_tag(place, classic_tag(subject, "sig")),
            self.by_tag(place, classic_tag(subject, "att"))
        );
        let mut candidates = referrers?;
        candidates.extend(signatures?);
        candidates.extend(attestations?);
        let bytes: usize = candidates.iter().map(Candidate::bytes).sum();
        let fault = match () {
            () if candidates.len() > MAX_CANDIDATES => {
                Fault::TooMany { limit: MAX_CANDIDATES, of: "signatures and attestations" }
            }
            () if bytes > MAX_LISTED_BYTES => {
                Fault::TooMany { limit: MAX_LISTED_BYTES, of: "bytes beside signatures and attestations" }
            }
            () => return Ok(Listing { candidates }),
        };
        Err(RegistryError::hostile(&Place::of_host(&format!("{}@{subject}", place.id())), fault))
    }

    async fn referrers(&self, place: &Repository, subject: &Digest) -> Result<Vec<Candidate>, RegistryError> {
        let found = self.ask(place, |place| async move { self.client.referrers(&place, subject).await }).await;
        self.metrics.request(outcome(&found));
        let manifests = found?.into_iter().map(|d| async move {
            let content = self.manifest(place, &d.digest).await?;
            // A list of lists refers to nothing that could be a signature.
            Ok(match self.parsed(place, &d.digest, content).await? {
                Manifest::Image(image) => Candidate::of(&image).collect(),
                Manifest::Index(_) => Vec::new(),
            })
        });
        let found: Result<Vec<Vec<Candidate>>, RegistryError> =
            stream::iter(manifests.collect::<Vec<_>>()).buffered(MAX_PARALLEL_OF_ONE).try_collect().await;
        Ok(found?.into_iter().flatten().collect())
    }

    async fn by_tag(&self, place: &Repository, tag: Option<String>) -> Result<Vec<Candidate>, RegistryError> {
        let Some(tag) = tag else { return Ok(Vec::new()) };
        let tag = tag.as_str();
        let found = self.ask(place, |place| async move { self.client.tagged(&place, tag).await }).await;
        self.metrics.request(outcome(&found));
        let fetched = match found {
            Err(RegistryError::NotFound { .. }) => return Ok(Vec::new()),
            other => other?,
        };
        match self.parsed(place, &fetched.digest, fetched.content).await? {
            Manifest::Image(image) => Ok(Candidate::of(&image).collect()),
            Manifest::Index(_) => Ok(Vec::new()),
        }
    }

    /// A manifest that something names. That it is not there is no answer: what names it is there.
    pub(super) async fn manifest(&self, place: &Repository, digest: &Digest) -> Result<Arc<[u8]>, RegistryError> {
        let fetch = |place| async move { self.client.manifest(&place, digest).await };
        self.content(place, digest, fetch, MAX_MANIFEST_BYTES).await
    }

    /// Reads a manifest; a large one in its namespace's turn, and not between the requests of others.
    pub(super) async fn parsed(
        &self,
        place: &Repository,
        digest: &Digest,
        content: Arc<[u8]>,
    ) -> Result<Manifest, RegistryError> {
        if content.len() <= SMALL_MANIFEST_BYTES {
            return parse_manifest(place, digest, &content);
        }
        let crowded = || RegistryError::unavailable(&Place::of_host(&place.id()), Outage::Crowded);
        let Ok(_turn) = timeout(TURN_WAIT, self.verifying.take(place.tenant(), 1)).await else { return Err(crowded()) };
        let (place, digest) = (place.clone(), digest.clone());
        let parsed = tokio::task::spawn_blocking(move || parse_manifest(&place, &digest, &content));
        parsed.await.unwrap_or_else(|_| Err(crowded()))
    }

    /// A blob that something names.
    pub(super) async fn blob(
        &self,
        place: &Repository,
        of: &Descriptor,
        limit: usize,
    ) -> Result<Arc<[u8]>, RegistryError> {
        let fetch = |place| async move { self.client.blob(&place, of, limit).await };
        self.content(place, &of.digest, fetch, limit).await
    }

    /// Content by its digest, out of memory when it is there and not longer than wanted.
    async fn content<F>(
        &self,
        place: &Repository,
        digest: &Digest,
        fetch: impl Fn(Repository) -> F,
        limit: usize,
    ) -> Result<Arc<[u8]>, RegistryError>
    where
        F: Future<Output = Result<Arc<[u8]>, RegistryError>>,
    {
        let key = content_key(place, digest);
        let make = |old| async move {
            let result = self.ask(place, fetch).await;
            self.metrics.request(outcome(&result));
            let bytes = result.as_ref().map_or(0, |content| content.len());
            Kept::after(old, result, CONTENT_HOLDS, bytes)
        };
        let content = self.caches.contents.get_or(&key, None, make).await.value.result?;
        if content.len() > limit {
            let at = Place::of_host(&format!("{}@{digest}", place.id()));
            return Err(RegistryError::hostile(&at, Fault::TooLarge { limit }));
        }
        Ok(content)
    }
}

/// The tag under which cosign keeps what is about a manifest; none where no tag can be so long.
pub(super) fn classic_tag(subject: &Digest, kind: &str) -> Option<String> {
    let tag = format!("{}-{}.{kind}", subject.algorithm(), subject.hex());
    (tag.len() <= MAX_TAG_BYTES).then_some(tag)
}

/// Whether to go on to a place after what another one said: to another host after one that has nothing, and to the next
/// credential when one was not enough. Nobody sees more than somebody who may have the image.
fn is_next(from: &Repository, to: &Repository, said: &Result<Arc<Listing>, RegistryError>) -> bool {
    match said {
        Ok(listing) => listing.candidates.is_empty() && to.id() != from.id(),
        Err(RegistryError::Unauthorized { .. } | RegistryError::TurnedAway { .. }) => {
            to.id() != from.id() || !to.is_asked_as_nobody()
        }
        Err(_) => to.id() != from.id(),
    }
}

// === impl Candidate ===

impl Candidate {
    fn of(manifest: &ImageManifest) -> impl Iterator<Item = Self> {
        let is_notation = manifest.kind() == NOTATION;
        // Once for all layers: it may be as long as the manifest.
        let of_bundle: Option<Arc<str>> = manifest.annotations.get(BUNDLE_PREDICATE).map(|text| text.as_str().into());
        manifest.layers.iter().filter_map(move |layer| {
            let (format, predicate) = match layer.media_type.as_str() {
                _ if is_notation => (Format::Notation, None),
                SIMPLE_SIGNING => (Format::SimpleSigning, None),
                DSSE => (Format::Dsse, layer.annotation(ENVELOPE_PREDICATE).map(Arc::from)),
                other if other.starts_with(BUNDLE) => (Format::Bundle, of_bundle.clone()),
                _ => return None,
            };
            Some(Self { format, content: layer.clone(), predicate })
        })
    }

    pub(super) fn bytes(&self) -> usize {
        let annotations: usize = self.content.annotations.iter().map(|(k, v)| 64 + k.len() + v.len()).sum();
        512 + annotations + self.predicate.as_ref().map_or(0, |predicate| predicate.len())
    }
}
