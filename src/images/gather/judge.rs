//! From what a registry has to an answer about one authority.
//!
//! One that holds is enough, whatever else lies there. Where none holds, what is broken says more than what could not be
//! fetched, and that more than that nobody signed: a policy may let unavailable images pass, and must not be led to it.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use jiff::Timestamp;
use stockade_engine::images::{Answer, MAX_PLATFORMS, Unseen};
use stockade_policy::images::{Authority, Digest};
use tokio::time::{Instant, timeout};

use super::Inner;
use super::authorities::ReadAuthority;
use super::caches::{Kept, KeyOf, REFUSED_HOLDS, Verdict};
use super::listing::{Candidate, Format, Listing, classic_tag};
use super::resolve::Image;
use crate::expiring::Held;
use crate::registry::manifest::{Descriptor, Index, Manifest};
use crate::registry::{RegistryError, Repository};
use crate::shares::{Places, Shares};
use crate::verify::{self, MAX_SIGNED, Rejected, ResolvedAuthority, SignatureAnnotations, SignedDescriptor, Verified};

/// Most bytes of signatures and attestations of one image that are looked at for one answer.
const MAX_IN_HAND_BYTES: u64 = 32 << 20;
/// Most of them in hand at one time, for all answers, in KiB.
pub(super) const MAX_ALL_IN_HAND_KIB: usize = 128 << 10;
/// Most of that for one namespace, which may choose registries that never send what they announce: what one answer may take.
pub(super) const MAX_IN_HAND_KIB_OF_ONE: usize = MAX_ALL_IN_HAND_KIB / 4;
const _: () = assert!(MAX_IN_HAND_BYTES <= (MAX_IN_HAND_KIB_OF_ONE as u64) << 10);
/// How long an answer waits for its part, and others for the answer who may have a part of their own.
pub(super) const TURN_WAIT: Duration = Duration::from_secs(2);
/// Most platforms of an index that are looked at at a time; each has signatures of its own.
pub(super) const PLATFORMS_AT_ONCE: usize = 4;
/// Why there is no answer then.
const NO_ROOM: &str = "too many signatures are verified for this namespace right now; try again";
/// What is told of an image beside which cosign's tags cannot be.
const NO_CLASSIC: &str = "its referrers alone were looked at, because no tag can have the length of its digest";
/// Most signers that a text names.
const MAX_TOLD: usize = 5;
/// Longest name of a signer that a text shows; whoever signs chooses it.
const MAX_TOLD_BYTES: usize = 256;

/// What is looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Sought {
    /// A signature of the image.
    Signature,
    /// A statement with this type of predicate.
    Statement(Arc<str>),
}

/// A manifest or index that is judged.
#[derive(Clone)]
struct Subject {
    digest: Digest,
    media_type: String,
    size: u64,
}

/// What came of each candidate.
#[derive(Default)]
struct Tally {
    verified: Vec<Verified>,
    invalid: Option<String>,
    unavailable: Option<Unseen>,
    /// Signatures of others.
    others: Vec<String>,
}

// === impl Inner ===

impl Inner {
    /// What an authority has to say of an image.
    pub(super) async fn verdict(
        &self,
        image: &Image,
        manifest: &Result<Manifest, RegistryError>,
        authority: &Arc<Authority>,
        sought: &Sought,
    ) -> Held<Verdict> {
        let read = self.authority(authority).await;
        let texts = match &read {
            ReadAuthority::Ready { texts, .. } => *texts,
            ReadAuthority::Unavailable(_) => [1; 32],
            ReadAuthority::Broken(_) => [2; 32],
        };
        let key = image
            .places
            .iter()
            .fold(KeyOf::new().count(image.places.len()), KeyOf::place)
            .and(&*image.name)
            .and(image.fetched.digest.as_str())
            .and(authority.id.0)
            .and(texts)
            .and(sought.key())
            .finish();
        let make = |old| async {
            let answer = match read {
                ReadAuthority::Ready { authority, .. } => self.judge(image, manifest, &authority, sought).await,
                ReadAuthority::Unavailable(why) => Answer::Unavailable(Unseen::outage(&*why)),
                ReadAuthority::Broken(why) => Answer::Invalid(format!("nobody can be verified: {why}")),
            };
            self.metrics.verdict(sought.name(), answer.name());
            Verdict::after(old, answer)
        };
        self.caches.verdicts.get_or(&key, None, make).await
    }

    async fn judge(
        &self,
        image: &Image,
        manifest: &Result<Manifest, RegistryError>,
        authority: &Arc<ResolvedAuthority>,
        sought: &Sought,
    ) -> Answer<Vec<Verified>> {
        let manifest = match manifest {
            Ok(manifest) => manifest,
            Err(why) => return answer_of(why),
        };
        let subject = Subject {
            digest: image.fetched.digest.clone(),
            media_type: manifest.media_type().to_owned(),
            size: image.fetched.content.len() as u64,
        };
        let answer = self.judge_subject(image, &subject, authority, sought).await;
        match (answer, manifest, sought) {
            (Answer::NotSigned(found), Manifest::Index(index), Sought::Signature) => {
                self.judge_platforms(image, index, authority, found).await
            }
            (answer, ..) => answer,
        }
    }

    /// An index that nobody signed is as good as signed when each of its platforms is. Statements are not taken from
    /// platforms: what holds of one of them says nothing about the others.
    async fn judge_platforms(
        &self,
        image: &Image,
        index: &Index,
        authority: &Arc<ResolvedAuthority>,
        found: String,
    ) -> Answer<Vec<Verified>> {
        let platforms: Vec<&Descriptor> = platforms(index).collect();
        if platforms.is_empty() || platforms.len() > MAX_PLATFORMS {
            return Answer::NotSigned(found);
        }
        let answers = platforms.iter().map(|platform| async {
            let Descriptor { digest, media_type, size, .. } = (*platform).clone();
            self.judge_subject(image, &Subject { digest, media_type, size }, authority, &Sought::Signature).await
        });
        let (mut all, mut unsigned) = (Vec::new(), 0);
        let mut answers = stream::iter(answers.collect::<Vec<_>>()).buffered(PLATFORMS_AT_ONCE);
        while let Some(answer) = answers.next().await {
            match answer {
                Answer::Verified(verified) => all.extend(verified),
                Answer::NotSigned(_) => unsigned += 1,
                broken => return broken,
            }
        }
        match unsigned {
            0 => Answer::Verified(all),
            n if n == platforms.len() => Answer::NotSigned(found),
            n => Answer::NotSigned(format!("{n} of its {} platforms are not signed", platforms.len())),
        }
    }

    /// Nothing counts as not there that was last looked for longer ago than an answer of "not there" holds.
    async fn judge_subject(
        &self,
        image: &Image,
        subject: &Subject,
        authority: &Arc<ResolvedAuthority>,
        sought: &Sought,
    ) -> Answer<Vec<Verified>> {
        let (place, listing) = self.listing(&image.places, &subject.digest, None).await;
        let not_before = Instant::now().checked_sub(REFUSED_HOLDS);
        let is_recent = not_before.is_none_or(|at| at <= listing.made);
        let of = |place, listing: Held<Kept<Arc<Listing>>>| async move {
            match listing.value.result {
                Ok(listing) => self.weigh(&image.tenant, place, &listing, subject, authority, sought).await,
                Err(why) => answer_of(&why),
            }
        };
        let answer = of(place, listing).await;
        if is_recent || matches!(answer, Answer::Verified(_) | Answer::Unavailable(_)) {
            return answer;
        }
        let (place, listing) = self.listing(&image.places, &subject.digest, not_before).await;
        of(place, listing).await
    }

    /// Room for so many bytes of a kind that are in hand for a namespace.
    ///
    /// # Errors
    /// There is none in time. That is no matter of who else waits for the same answer, and has room.
    pub(super) async fn room(of: &Shares, tenant: &Arc<str>, bytes: usize) -> Result<Option<Places>, Unseen> {
        let room = timeout(TURN_WAIT, of.take(tenant, bytes.div_ceil(1 << 10))).await;
        room.map_err(|_| Unseen::unfinished(NO_ROOM))
    }

    async fn weigh(
        &self,
        tenant: &Arc<str>,
        place: &Repository,
        listing: &Listing,
        subject: &Subject,
        authority: &Arc<ResolvedAuthority>,
        sought: &Sought,
    ) -> Answer<Vec<Verified>> {
        let wanted: Vec<Candidate> = listing.candidates.iter().filter(|c| sought.may_be(c)).cloned().collect();
        let bytes: u64 = wanted.iter().map(|c| c.content.size.min(MAX_IN_HAND_BYTES + 1)).sum();
        if bytes > MAX_IN_HAND_BYTES {
            return Answer::Invalid(format!("its signatures have more than {MAX_IN_HAND_BYTES} bytes together"));
        }
        let listed: usize = wanted.iter().map(Candidate::bytes).sum();
        let _in_hand = match Self::room(
            &self.in_hand,
            tenant,
            usize::try_from(bytes).unwrap_or(usize::MAX).saturating_add(listed),
        )
        .await
        {
            Ok(room) => room,
            Err(no_room) => return Answer::Unavailable(no_room),
        };
        let fetched = wanted.iter().map(|c| self.blob(place, &c.content, MAX_SIGNED));
        let contents = futures_util::future::join_all(fetched).await;
        let Ok(_turn) = timeout(TURN_WAIT, self.verifying.take(tenant, 1)).await else {
            return Answer::Unavailable(Unseen::unfinished(NO_ROOM));
        };
        let (subject, authority, sought) = (subject.clone(), Arc::clone(authority), sought.clone());
        // Milliseconds for each: not between the requests of others.
        let has_classic = classic_tag(&subject.digest, "sig").is_some();
        let tally = tokio::task::spawn_blocking(move || tally(&wanted, contents, &subject, &authority, &sought));
        let answer = tally.await.unwrap_or_else(|error| {
            tracing::error!(%error, "verification broke off");
            Answer::Unavailable(Unseen::unfinished("verification broke off; Stockade's log says where"))
        });
        match answer {
            Answer::NotSigned(found) if !has_classic => {
                let found = [found.as_str(), NO_CLASSIC].into_iter().filter(|text| !text.is_empty());
                Answer::NotSigned(found.collect::<Vec<_>>().join("; "))
            }
            answer => answer,
        }
    }
}

fn tally(
    candidates: &[Candidate],
    contents: Vec<Result<Arc<[u8]>, RegistryError>>,
    subject: &Subject,
    authority: &ResolvedAuthority,
    sought: &Sought,
) -> Answer<Vec<Verified>> {
    let (mut tally, now) = (Tally::default(), Timestamp::now());
    for (candidate, content) in candidates.iter().zip(contents) {
        match content {
            Ok(content) => tally.add(candidate.verify(&content, subject, authority, now), sought),
            Err(why) => match unseen(&why) {
                None => tally.invalid = Some(broken(&why)),
                Some(unseen) => tally.add_unseen(unseen),
            },
        }
    }
    tally.answer()
}

// === impl Tally ===

impl Tally {
    fn add(&mut self, result: Result<Verified, Rejected>, sought: &Sought) {
        match result {
            Ok(verified) if sought.is(&verified) => self.verified.push(verified),
            // By this authority, and something else than what is sought.
            Ok(_) => {}
            Err(Rejected::NotByThisAuthority(found)) => self.others.push(shortened(&found.to_string())),
            Err(Rejected::Invalid(why)) => self.invalid = Some(why),
        }
    }

    /// Whatever else could not be fetched, what may have been brought about decides.
    fn add_unseen(&mut self, unseen: Unseen) {
        if self.unavailable.as_ref().is_none_or(|known| known.cause < unseen.cause) {
            self.unavailable = Some(unseen);
        }
    }

    fn answer(self) -> Answer<Vec<Verified>> {
        if !self.verified.is_empty() {
            return Answer::Verified(self.verified);
        }
        match (self.invalid, self.unavailable) {
            (Some(why), _) => Answer::Invalid(why),
            (None, Some(why)) => Answer::Unavailable(why),
            (None, None) => Answer::NotSigned(told(self.others)),
        }
    }
}

/// `2 found, by A; B`
fn told(mut others: Vec<String>) -> String {
    let count = others.len();
    others.sort();
    others.dedup();
    let more = if others.len() > MAX_TOLD { "; and others" } else { "" };
    others.truncate(MAX_TOLD);
    if count == 0 { String::new() } else { format!("{count} found, by {}{more}", others.join("; ")) }
}

fn shortened(text: &str) -> String {
    let printable = text.chars().filter(|c| !c.is_control());
    printable.take(MAX_TOLD_BYTES).collect()
}

/// An error is an answer too, and never "not signed". What is named and not there is broken: who pushes an image could
/// otherwise make it unavailable for good, which a policy may let pass.
pub(super) fn answer_of<T>(error: &RegistryError) -> Answer<T> {
    unseen(error).map_or_else(|| Answer::Invalid(broken(error)), Answer::Unavailable)
}

/// What is told of an error that says that something is broken.
fn broken(error: &RegistryError) -> String {
    match error {
        RegistryError::NotFound { .. } => format!("{error}, though the registry names it"),
        _ => error.to_string(),
    }
}

/// Why nobody knows, when an error says that.
pub(super) fn unseen(error: &RegistryError) -> Option<Unseen> {
    match error {
        RegistryError::Hostile { .. } | RegistryError::NotFound { .. } => None,
        RegistryError::Unauthorized { .. } | RegistryError::TurnedAway { .. } => {
            Some(Unseen::unauthorized(error.to_string()))
        }
        RegistryError::Unavailable { .. } if error.is_of_one() => Some(Unseen::unfinished(error.to_string())),
        RegistryError::Unavailable { .. } => Some(Unseen::outage(error.to_string())),
    }
}

/// What runs somewhere: builders put their attestations into an index as manifests for no platform.
pub(super) fn platforms(index: &Index) -> impl Iterator<Item = &Descriptor> {
    let runs = |d: &&Descriptor| d.platform.as_ref().is_none_or(|p| p.os != "unknown" || p.architecture != "unknown");
    index.manifests.iter().filter(runs)
}

// === impl Sought ===

impl Sought {
    fn name(&self) -> &'static str {
        match self {
            Self::Signature => "signature",
            Self::Statement(_) => "attestation",
        }
    }

    fn key(&self) -> &str {
        match self {
            Self::Signature => "",
            Self::Statement(predicate_type) => predicate_type,
        }
    }

    /// Whether something may be what is sought, by what lies beside it: spares fetching bills of materials for a signature.
    fn may_be(&self, candidate: &Candidate) -> bool {
        let stated = candidate.predicate.as_deref();
        match (self, candidate.format) {
            (Self::Signature, Format::SimpleSigning | Format::Notation) => true,
            (Self::Signature, Format::Bundle) => stated.is_none_or(|p| p == verify::COSIGN_SIGN),
            (Self::Signature, Format::Dsse) => false,
            (Self::Statement(wanted), Format::Bundle | Format::Dsse) => stated.is_none_or(|p| *p == **wanted),
            (Self::Statement(_), Format::SimpleSigning | Format::Notation) => false,
        }
    }

    /// Whether something is what is sought, by what was signed.
    fn is(&self, verified: &Verified) -> bool {
        match self {
            Self::Signature => verified.is_signature(),
            Self::Statement(wanted) => {
                verified.statement.as_ref().is_some_and(|stated| *stated.predicate_type == **wanted)
            }
        }
    }
}

// === impl Candidate ===

impl Candidate {
    fn verify(
        &self,
        content: &[u8],
        subject: &Subject,
        authority: &ResolvedAuthority,
        now: Timestamp,
    ) -> Result<Verified, Rejected> {
        let annotations = SignatureAnnotations::of(|name| self.content.annotation(name));
        match self.format {
            Format::SimpleSigning => verify::simple_signing(content, &annotations, &subject.digest, authority, now),
            Format::Dsse => verify::dsse(content, &annotations, &subject.digest, authority, now),
            Format::Bundle => verify::bundle(content, &subject.digest, authority, now),
            Format::Notation => {
                let descriptor =
                    SignedDescriptor { media_type: &subject.media_type, digest: &subject.digest, size: subject.size };
                verify::notation(content, &descriptor, authority, now)
            }
        }
    }
}
