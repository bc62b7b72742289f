//! What a reference means: which manifest, at which host, seen as whom.

use std::sync::Arc;

use stockade_engine::images::{Resolved, Wanted};
use stockade_policy::images::Digest;
use tokio::time::Instant;

use super::Inner;
use super::caches::{CONTENT_HOLDS, Kept, Key, KeyOf, TAG_HOLDS};
use crate::credentials;
use crate::registry::error::Outage;
use crate::registry::{Fetched, RegistryClient, RegistryError, Repository};

/// An image that was found.
pub(super) struct Image {
    /// `registry.example.com/team/app`, as references have it.
    pub(super) name: Arc<str>,
    pub(super) fetched: Fetched,
    /// Where it was found, and further on where else it may be: mirrors first, the registry itself last, each as
    /// everybody that credentials are there for.
    pub(super) places: Vec<Repository>,
}

/// What a reference means, and until when.
pub(super) struct Resolution {
    pub(super) image: Result<Image, Resolved>,
    pub(super) until: Instant,
}

// === impl Inner ===

impl Inner {
    /// Asks mirrors in their order and then the registry, whose word counts: whatever goes wrong with a mirror, the next
    /// one is asked.
    pub(super) async fn resolve(&self, wanted: &Wanted) -> Resolution {
        let places = match self.places(wanted).await {
            Ok(places) => places,
            Err(why) => return Resolution { image: Err(Resolved::Unavailable(why)), until: Instant::now() },
        };
        let mut said = Vec::new();
        let mut until = Instant::now();
        for (at, place) in places.iter().enumerate() {
            let held = self.reference(place, wanted).await;
            until = held.until;
            match held.value.result {
                Ok(fetched) => {
                    let name = wanted.reference.name().into();
                    let image = Image { name, fetched, places: places[at..].to_vec() };
                    return Resolution { image: Ok(image), until };
                }
                Err(error) => said.push((place.id(), error)),
            }
        }
        Resolution { image: Err(unresolved(said)), until }
    }

    async fn places(&self, wanted: &Wanted) -> Result<Vec<Repository>, String> {
        let (settings, reference) = (wanted.registry.as_deref(), &wanted.reference);
        let mirrors = settings.map(|s| s.mirrors.as_slice()).unwrap_or_default();
        let mut places = Vec::new();
        for host in mirrors.iter().map(|m| &**m).chain([reference.registry()]) {
            let name = format!("{host}/{}", reference.repository());
            let found = credentials::find(&self.credentials, &wanted.credentials, &name).await;
            for credential in found.map_err(|e| e.to_string())? {
                let place = self.client.repository(host, reference.repository(), settings, credential);
                places.push(place.map_err(|e| e.to_string())?);
            }
        }
        Ok(places)
    }

    async fn reference(&self, place: &Repository, wanted: &Wanted) -> crate::expiring::Held<Kept<Fetched>> {
        // Beside a digest a tag says nothing.
        let tag_or_digest = wanted.reference.digest().or(wanted.reference.tag()).unwrap_or_default();
        let key = reference_key(place, tag_or_digest);
        let digest = wanted.reference.digest().and_then(|d| Digest::parse(d).ok());
        let holds = if digest.is_some() { CONTENT_HOLDS } else { TAG_HOLDS };
        let make = |old: Option<Kept<Fetched>>| async move {
            let result = match digest {
                Some(digest) => {
                    let content = self.client.manifest(place, &digest).await;
                    content.map(|content| Fetched { digest, content })
                }
                None => tagged(&self.client, place, tag_or_digest, old.as_ref()).await,
            };
            self.metrics.request(outcome(&result));
            let bytes = result.as_ref().map_or(0, |fetched| fetched.content.len());
            if let Ok(fetched) = &result {
                // Tags become digests, and are asked about as such in the next moment.
                let by_digest = Kept::after(None, Ok(fetched.clone()), CONTENT_HOLDS, bytes);
                let of_digest = reference_key(place, fetched.digest.as_str());
                if of_digest != key {
                    self.caches.references.insert(of_digest, by_digest);
                }
            }
            Kept::after(old, result, holds, bytes)
        };
        self.caches.references.get_or(&key, None, make).await
    }
}

fn reference_key(place: &Repository, tag_or_digest: &str) -> Key {
    KeyOf::new().and(place.id()).and(tag_or_digest).and(place.credential_hash()).finish()
}

/// What a tag means. Where its manifest is known from before, the registry is only asked whether it still is that one:
/// such a question does not count as a pull where pulls are limited.
async fn tagged(
    client: &RegistryClient,
    place: &Repository,
    tag: &str,
    old: Option<&Kept<Fetched>>,
) -> Result<Fetched, RegistryError> {
    let Some(Ok(old)) = old.map(|o| &o.result) else { return client.tagged(place, tag).await };
    match client.peek(place, tag).await {
        Ok(Some(digest)) if digest == old.digest => Ok(old.clone()),
        // Not every registry knows such questions.
        Err(RegistryError::Unavailable { outage: Outage::Status { status: 400..500, .. }, .. }) | Ok(_) => {
            client.tagged(place, tag).await
        }
        Err(error) => Err(error),
    }
}

/// Why nothing was found, by what the registry itself said, the last one of all that were asked. It is "not found" only
/// when each of the credentials was told so.
fn unresolved(said: Vec<(String, RegistryError)>) -> Resolved {
    let registry = said.last().map(|(id, _)| id.clone()).unwrap_or_default();
    let own: Vec<RegistryError> = said.into_iter().filter(|(id, _)| *id == registry).map(|(_, e)| e).collect();
    let first_of = |name| own.iter().find(|e| e.name() == name).map(ToString::to_string);
    if let Some(why) = first_of("hostile") {
        return Resolved::Invalid(why);
    }
    match first_of("unavailable").or_else(|| first_of("unauthorized")) {
        Some(why) => Resolved::Unavailable(why),
        None => Resolved::NotFound(first_of("not_found").unwrap_or_default()),
    }
}

/// For metrics.
pub(super) fn outcome<T>(result: &Result<T, RegistryError>) -> &'static str {
    match result {
        Ok(_) => "ok",
        Err(error) => error.name(),
    }
}
