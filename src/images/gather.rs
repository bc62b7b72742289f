//! Evidence about images: gathered over the network, remembered, and given without any I/O.
//!
//! ```text
//! engine ── evidence(wanted)? ── remembered ──────────────────────────────────────────────── answer
//!              │ nobody has looked
//!              └── gather(wanted, deadline) ── a task for each image:
//!                     resolve ── reference → digest, at a mirror or the registry, as whom
//!                     verdict ── listing → contents → verify, for each authority, all at once
//!                     details ── platforms, configurations
//! ```
//!
//! Each arrow goes through a cache that makes a value once however many ask (`caches`). The work runs in tasks of its
//! own: a caller that gives up, or whose time is over, leaves it running, and the next one finds what it found.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use prometheus_client::registry::Registry;
use stockade_engine::images::{
    Answer, Evidence, ImageFacts, MAX_WANTED, Platform, Resolved, Statement, Unseen, Wanted,
};
use stockade_policy::images::Authority;
use tokio::time::Instant;

pub mod authorities;
mod caches;
mod details;
mod judge;
mod listing;
mod metrics;
mod resolve;

#[cfg(test)]
mod tests;

pub use authorities::{MemberSource, NoCluster, NoMember};

pub(crate) use self::caches::Key;
use self::caches::{Caches, EVIDENCE_HOLDS, KeyOf, Verdict};
use self::judge::{MAX_ALL_IN_HAND_KIB, MAX_IN_HAND_KIB_OF_ONE, Sought};
use self::metrics::Metrics;
use self::resolve::Image;
use crate::credentials::CredentialSource;
use crate::expiring::{Held, Made};
use crate::registry::{Fetched, MAX_MANIFEST_BYTES, RegistryClient};
use crate::shares::{Places, Shares};

/// Most images that are looked at, or waited for, at a time. Of more, requests are told at once that nobody knows.
const MAX_TASKS: usize = 1_024;
/// Most of them for one namespace: two Pods with the most images that a decision wants.
const MAX_TASKS_OF_ONE: usize = MAX_TASKS / 4;
const _: () = assert!(MAX_TASKS_OF_ONE >= 2 * MAX_WANTED);
/// Most images that are looked at at a time for work that no request waits for: each takes some of the connections to a
/// registry (`registry::transport::MAX_PARALLEL`), of which requests need most.
pub const MAX_BACKGROUND: usize = 4;
/// Longest that one image is looked at, also when nobody waits any more. What came by then is remembered.
const MAX_WORK: Duration = Duration::from_secs(30);
/// What a manifest of an image has at most before room is taken for it: it is in hand, and what was read of it.
const SMALL_MANIFEST_BYTES: usize = 64 << 10;
/// Most of that room in all, in KiB; a fourth of it for one namespace, which one image of it always has.
const MAX_MANIFESTS_KIB: usize = 64 << 10;
const _: () = assert!(2 * MAX_MANIFEST_BYTES <= (MAX_MANIFESTS_KIB / 4) << 10);
/// Most bytes of evidence about one image. A fourth of its cache holds it: what was found out and cannot be remembered
/// would never be an answer.
pub(crate) const MAX_BYTES: usize = caches::MAX_EVIDENCE_BYTES / 5;

/// Looks at images, and remembers. Clones share what is remembered.
#[derive(Clone)]
pub struct Images(Arc<Inner>);

struct Inner {
    client: RegistryClient,
    credentials: Vec<Arc<dyn CredentialSource>>,
    members: Arc<dyn MemberSource>,
    caches: Caches,
    tasks: Shares,
    background: Shares,
    /// KiB of signatures and attestations.
    in_hand: Shares,
    /// KiB of large manifests of images.
    manifests: Shares,
    /// Threads that verify.
    verifying: Shares,
    metrics: Metrics,
}

// === impl Images ===

impl Images {
    /// Asks registries with the credentials of these sources, best first. Registers its metrics.
    pub fn new(
        credentials: Vec<Arc<dyn CredentialSource>>,
        members: Arc<dyn MemberSource>,
        registry: &mut Registry,
    ) -> Self {
        let metrics = Metrics::register(registry);
        // Of more threads none would be done earlier, and requests that are no matter of images would wait for a turn.
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Self(Arc::new(Inner {
            client: RegistryClient::new(),
            credentials,
            members,
            caches: Caches::new(&metrics),
            tasks: Shares::new(MAX_TASKS, MAX_TASKS_OF_ONE),
            background: Shares::new(MAX_BACKGROUND, MAX_BACKGROUND / 2),
            in_hand: Shares::new(MAX_ALL_IN_HAND_KIB, MAX_IN_HAND_KIB_OF_ONE),
            manifests: Shares::new(MAX_MANIFESTS_KIB, MAX_MANIFESTS_KIB / 4),
            verifying: Shares::new(processors, processors.div_ceil(2)),
            metrics,
        }))
    }

    /// Finds out what is wanted, all images at once, and gives it in order. Ends at the deadline at the latest. Must run on
    /// a Tokio runtime.
    pub async fn gather(&self, wanted: Vec<Wanted>, deadline: Instant) -> Vec<Arc<Evidence>> {
        let all = wanted.into_iter().map(|wanted| async {
            let wanted = Arc::new(wanted);
            let found = match self.0.tasks.try_take(&wanted.credentials.namespace) {
                Some(place) => self.look(&wanted, place, deadline).await,
                None => Err("too many images are looked at right now; try again"),
            };
            found.unwrap_or_else(|why| self.late(&wanted, why))
        });
        join_all(all).await
    }

    /// Waits for a place for a look that no request waits for: [`MAX_BACKGROUND`] there are, of which one namespace has
    /// half. None when there never will be one.
    pub async fn background_place(&self, wanted: &Wanted) -> Option<Places> {
        self.0.background.take(&wanted.credentials.namespace, 1).await
    }

    /// Finds out what is wanted of one image, within this time. A look that nobody waits for any more keeps its place
    /// until it ends. It counts as no request's lateness.
    pub async fn look_in_background(&self, place: Places, wanted: Wanted, time: Duration) -> Arc<Evidence> {
        let wanted = Arc::new(wanted);
        let found = self.look(&wanted, place, Instant::now() + time).await;
        found.unwrap_or_else(|why| Arc::new(unfinished(&wanted, why)))
    }

    /// The evidence, or why there is none.
    async fn look(
        &self,
        wanted: &Arc<Wanted>,
        place: Places,
        deadline: Instant,
    ) -> Result<Arc<Evidence>, &'static str> {
        let (inner, asked) = (Arc::clone(&self.0), Arc::clone(wanted));
        let task = tokio::spawn(async move {
            let held = inner.caches.evidence.get_or(&key(&asked), None, |_| inner.look(&asked)).await;
            drop(place);
            held.value
        });
        match tokio::time::timeout_at(deadline, task).await {
            Ok(Ok(evidence)) => Ok(evidence),
            Ok(Err(broken)) => {
                tracing::error!(error = %broken, "looking at an image broke off");
                Err("looking at it broke off; Stockade's log says where")
            }
            Err(_) => Err("the registry did not tell within the time of the request; it is still being asked"),
        }
    }

    /// What is told in the place of evidence that did not come. To whoever asked alone: it is no answer about the image.
    fn late(&self, wanted: &Wanted, why: &str) -> Arc<Evidence> {
        self.0.metrics.late();
        Arc::new(unfinished(wanted, why))
    }
}

impl ImageFacts for Images {
    fn evidence(&self, wanted: &Wanted) -> Option<Arc<Evidence>> {
        self.0.caches.evidence.get(&key(wanted)).map(|held| held.value)
    }
}

// === impl Inner ===

impl Inner {
    async fn look(&self, wanted: &Wanted) -> Made<Arc<Evidence>> {
        let started = Instant::now();
        let (evidence, until) = match tokio::time::timeout(MAX_WORK, self.find_out(wanted)).await {
            Ok(found) => found,
            Err(_) => (unfinished(wanted, "looking at it takes too long"), started),
        };
        self.metrics.gathered(started.elapsed().as_secs_f64());
        // What just came holds for a moment, or whoever waited for it would have to ask again.
        let holds = until.saturating_duration_since(Instant::now()).clamp(Duration::from_secs(1), EVIDENCE_HOLDS);
        let bytes = evidence_bytes(&evidence);
        Made { value: Arc::new(evidence), holds, bytes }
    }

    /// The evidence, and until when it holds.
    async fn find_out(&self, wanted: &Wanted) -> (Evidence, Instant) {
        let resolution = self.resolve(wanted).await;
        let mut until = resolution.until;
        let image = match resolution.image {
            Ok(image) => image,
            Err(digest) => return (without_image(wanted, digest), until),
        };
        // Most are small, and so are as many as are looked at.
        let large = image.fetched.content.len().saturating_sub(SMALL_MANIFEST_BYTES);
        let _room = match Self::room(&self.manifests, &image.tenant, 2 * large).await {
            Ok(room) => room,
            Err(no_room) => return (without_image(wanted, Resolved::Unavailable(no_room)), Instant::now()),
        };
        let Fetched { digest, content } = &image.fetched;
        let manifest = self.parsed(&image.places[0], digest, Arc::clone(content)).await;
        let manifest = &manifest;
        let image = &image;
        let signatures = wanted.authorities.iter().map(|authority| async move {
            (authority.id, self.verdict(image, manifest, authority, &Sought::Signature).await)
        });
        let pairs =
            wanted.attestations.iter().flat_map(|(kind, all)| all.iter().map(move |authority| (kind, authority)));
        let attestations = pairs.map(|(kind, authority)| async move {
            let sought = Sought::Statement(Arc::clone(kind));
            (Arc::clone(kind), authority.id, self.verdict(image, manifest, authority, &sought).await)
        });
        let details = async { if wanted.details { Some(self.details(image, manifest).await) } else { None } };
        let (signatures, attestations, details) = tokio::join!(join_all(signatures), join_all(attestations), details);
        if matches!(details, Some(Answer::Unavailable(_))) {
            until = Instant::now();
        }
        let mut taken = |held: Held<Verdict>| {
            until = until.min(held.until);
            held.value.answer
        };
        let signatures = signatures.into_iter().map(|(id, held)| (id, signers(taken(held)))).collect();
        let attestations =
            attestations.into_iter().map(|(kind, id, held)| (kind, id, statements(taken(held)))).collect();
        let mut evidence = self.evidence_of(wanted, image, details);
        evidence.signatures = signatures;
        evidence.attestations = attestations;
        bound(&mut evidence);
        (evidence, until)
    }

    fn evidence_of(&self, wanted: &Wanted, image: &Image, details: Option<Answer<Vec<Platform>>>) -> Evidence {
        Evidence {
            reference: wanted.reference.clone(),
            digest: Resolved::Known(image.fetched.digest.clone()),
            signatures: Vec::new(),
            attestations: Vec::new(),
            details,
        }
    }
}

fn signers(answer: Answer<Vec<crate::verify::Verified>>) -> Answer<Vec<stockade_engine::images::Signer>> {
    map(answer, |verified| Some(verified.signer))
}

fn statements(answer: Answer<Vec<crate::verify::Verified>>) -> Answer<Vec<Statement>> {
    map(answer, |verified| verified.statement.map(|stated| Statement { json: stated.json, signer: verified.signer }))
}

fn map<T, U>(answer: Answer<Vec<T>>, each: impl Fn(T) -> Option<U>) -> Answer<Vec<U>> {
    match answer {
        Answer::Verified(all) => Answer::Verified(all.into_iter().filter_map(each).collect()),
        Answer::NotSigned(found) => Answer::NotSigned(found),
        Answer::Invalid(why) => Answer::Invalid(why),
        Answer::Unavailable(unseen) => Answer::Unavailable(unseen),
    }
}

/// What is told of an image for which there was no time, or no place. Whoever asks may have brought that about, by the
/// number or the kind of images.
pub(crate) fn unfinished(wanted: &Wanted, why: &str) -> Evidence {
    without_image(wanted, Resolved::Unavailable(Unseen::unfinished(why)))
}

/// Of an image without a digest nothing else is known.
fn without_image(wanted: &Wanted, digest: Resolved) -> Evidence {
    fn answer<T>(digest: &Resolved) -> Answer<T> {
        match digest {
            Resolved::Invalid(why) | Resolved::NotFound(why) => Answer::Invalid(why.clone()),
            Resolved::Unavailable(unseen) => Answer::Unavailable(unseen.clone()),
            Resolved::Known(_) => Answer::Unavailable(Unseen::unfinished("it was not looked at")),
        }
    }
    let attested = |(kind, all): &(Arc<str>, Vec<Arc<Authority>>)| {
        let kind = Arc::clone(kind);
        all.iter().map(|a| (Arc::clone(&kind), a.id, answer(&digest))).collect::<Vec<_>>()
    };
    Evidence {
        reference: wanted.reference.clone(),
        signatures: wanted.authorities.iter().map(|a| (a.id, answer(&digest))).collect(),
        attestations: wanted.attestations.iter().flat_map(attested).collect(),
        details: wanted.details.then(|| answer(&digest)),
        digest,
    }
}

/// Statements and configurations of one image are told only when they are not too long together.
fn bound(evidence: &mut Evidence) {
    fn refuse<T>(answer: &mut Answer<T>) {
        if answer.verified().is_some() {
            let why = format!("its statements and configurations have more than {MAX_BYTES} bytes together");
            *answer = Answer::Invalid(why);
        }
    }
    if evidence_bytes(evidence) > MAX_BYTES {
        evidence.attestations.iter_mut().for_each(|(_, _, answer)| refuse(answer));
        evidence.details.iter_mut().for_each(refuse);
    }
}

fn statement_bytes(evidence: &Evidence) -> usize {
    let of = |answer: &Answer<Vec<Statement>>| match answer {
        Answer::Verified(all) => all.iter().map(|s| s.json.len()).sum(),
        _ => 0,
    };
    evidence.attestations.iter().map(|(_, _, answer)| of(answer)).sum()
}

/// About what evidence has on the heap.
pub(crate) fn evidence_bytes(evidence: &Evidence) -> usize {
    let platform = |p: &Platform| {
        let texts = p.entrypoint.iter().chain(&p.command).map(String::len).sum::<usize>();
        512 + texts + p.labels.iter().map(|(k, v)| 64 + k.len() + v.len()).sum::<usize>()
    };
    let details = match &evidence.details {
        Some(Answer::Verified(all)) => all.iter().map(platform).sum(),
        _ => 0,
    };
    let answers = evidence.signatures.len() + evidence.attestations.len();
    512 + answers * 512 + details + statement_bytes(evidence)
}

/// All that decides what evidence says. Settings of registries are left out: see `caches`.
pub(crate) fn key(wanted: &Wanted) -> Key {
    let authorities = |key: KeyOf, all: &[Arc<Authority>]| all.iter().fold(key.count(all.len()), |k, a| k.and(a.id.0));
    let Wanted { reference, authorities: signers, attestations, details, registry: _, credentials } = wanted;
    let mut key = authorities(KeyOf::new().and(reference.as_str()), signers).count(attestations.len());
    for (kind, all) in attestations {
        key = authorities(key.and(&**kind), all);
    }
    let mut key = key.count(usize::from(*details)).and(&*credentials.namespace).and(&*credentials.service_account);
    for secret in &credentials.pull_secrets {
        key = key.and(&**secret);
    }
    key.finish()
}
