//! What a reference means: which manifest, at which host, seen as whom.

use std::sync::Arc;

use futures_util::future::join_all;
use stockade_engine::images::{Cause, Resolved, Unseen, Wanted};
use stockade_policy::images::Digest;
use tokio::time::Instant;

use super::Inner;
use super::caches::{CONTENT_HOLDS, Kept, Key, KeyOf, TAG_HOLDS};
use super::judge::unseen;
use crate::credentials::{self, MAX_TRIED};
use crate::expiring::Held;
use crate::registry::error::Outage;
use crate::registry::{Fetched, RegistryClient, RegistryError, Repository};

/// An image that was found.
pub(super) struct Image {
    /// `registry.example.com/team/app`, as references have it.
    pub(super) name: Arc<str>,
    /// The namespace that wants it.
    pub(super) tenant: Arc<str>,
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
        let (places, is_cut) = match self.places(wanted).await {
            Ok(places) => places,
            Err(why) => return Resolution { image: Err(Resolved::Unavailable(why)), until: Instant::now() },
        };
        let mut until = Instant::now();
        let mut said = Vec::new();
        for host in places.chunk_by(|one, other| one.id() == other.id()) {
            said.clear();
            for (place, held) in self.at_host(host, wanted).await {
                until = held.until;
                match held.value.result {
                    Ok(fetched) => {
                        let at = places.iter().position(|p| p == place).unwrap_or_default();
                        let name = wanted.reference.name().into();
                        let tenant = Arc::clone(&wanted.credentials.namespace);
                        let image = Image { name, tenant, fetched, places: places[at..].to_vec() };
                        return Resolution { image: Ok(image), until };
                    }
                    Err(error) => said.push((place.is_ours(), error)),
                }
            }
        }
        Resolution { image: Err(unresolved(&said, is_cut)), until }
    }

    /// What a host says to each, in order, up to the first one who is told what the reference means. After the first one
    /// all others ask at once: some registries let those wait who have a wrong password.
    async fn at_host<'p>(
        &self,
        places: &'p [Repository],
        wanted: &Wanted,
    ) -> Vec<(&'p Repository, Held<Kept<Fetched>>)> {
        let Some((first, others)) = places.split_first() else { return Vec::new() };
        let held = self.reference(first, wanted, None).await;
        // What others were told before is no answer to whether the registry answers them now.
        let is_silent = matches!(held.value.result, Err(RegistryError::Unavailable { .. }));
        let not_before = is_silent.then_some(held.made);
        let others = match &held.value.result {
            Ok(_) => Vec::new(),
            // Nobody sees more than somebody who is let in.
            Err(RegistryError::NotFound { .. }) => others.iter().filter(|p| !p.is_asked_as_nobody()).collect(),
            Err(_) => others.iter().collect(),
        };
        let all =
            others.into_iter().map(|place| async move { (place, self.reference(place, wanted, not_before).await) });
        let mut said = vec![(first, held)];
        said.extend(join_all(all).await);
        said
    }

    /// Each host with everybody who asks there, those first that a Pod brought; and whether some were left out.
    async fn places(&self, wanted: &Wanted) -> Result<(Vec<Repository>, bool), Unseen> {
        let (settings, reference) = (wanted.registry.as_deref(), &wanted.reference);
        let mirrors = settings.map(|s| s.mirrors.as_slice()).unwrap_or_default();
        let (mut places, mut is_cut) = (Vec::new(), false);
        for host in mirrors.iter().map(|m| &**m).chain([reference.registry()]) {
            let name = format!("{host}/{}", reference.repository());
            let found = credentials::find(&self.credentials, &wanted.credentials, &name).await?;
            is_cut |= found.is_cut;
            let place = |credential| {
                let place = self.client.repository(host, reference.repository(), settings, credential);
                let place = place.map_err(|e| Unseen::outage(e.to_string()))?;
                Ok(place.for_tenant(&wanted.credentials.namespace))
            };
            let own = found.own.into_iter().map(place).collect::<Result<Vec<_>, _>>()?;
            if let Some(ourselves) = own.first().cloned().map(Arc::new) {
                for credential in found.brought {
                    places.push(place(credential)?.brought(&ourselves));
                }
            }
            places.extend(own);
        }
        Ok((places, is_cut))
    }

    /// Asks as somebody. Where a Pod brought the credential and there is no answer, the same is asked as ourselves: by
    /// what a credential is like, or has done before, a registry can be led to answer nothing to it.
    pub(super) async fn ask<T, F>(&self, place: &Repository, ask: impl Fn(Repository) -> F) -> Result<T, RegistryError>
    where
        F: Future<Output = Result<T, RegistryError>>,
    {
        let said = ask(place.clone()).await;
        let (Err(RegistryError::Unavailable { at, outage }), Some(ourselves)) = (&said, place.ourselves()) else {
            return said;
        };
        match ask(Repository::clone(ourselves)).await {
            Ok(found) => Ok(found),
            Err(RegistryError::Unavailable { .. }) => said,
            Err(_) => Err(RegistryError::TurnedAway { at: at.clone(), outage: outage.clone() }),
        }
    }

    async fn reference(&self, place: &Repository, wanted: &Wanted, not_before: Option<Instant>) -> Held<Kept<Fetched>> {
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
        self.caches.references.get_or(&key, not_before, make).await
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

/// Why nothing was found, by what the registry itself said to each: to us, or to who brought a credential. It is "not
/// found" only when all were told so, and an outage only when we were not answered.
fn unresolved(said: &[(bool, RegistryError)], is_cut: bool) -> Resolved {
    let first = |is: fn(&RegistryError) -> bool| said.iter().find(move |(_, error)| is(error)).map(|(_, error)| error);
    if let Some(error) = first(|e| matches!(e, RegistryError::Hostile { .. })) {
        return Resolved::Invalid(error.to_string());
    }
    let to_us = said.iter().filter(|(is_ours, _)| *is_ours).filter_map(|(_, error)| unseen(error));
    if let Some(unseen) = to_us.filter(|unseen| unseen.cause != Cause::Unauthorized).max_by_key(|unseen| unseen.cause) {
        return Resolved::Unavailable(unseen);
    }
    let why = match first(|e| !matches!(e, RegistryError::NotFound { .. })) {
        None => return Resolved::NotFound(said.first().map(|(_, error)| error.to_string()).unwrap_or_default()),
        Some(RegistryError::Unavailable { at, outage }) => {
            RegistryError::TurnedAway { at: at.clone(), outage: outage.clone() }.to_string()
        }
        Some(error) => error.to_string(),
    };
    let left_out =
        if is_cut { format!("; of all credentials for it the first {MAX_TRIED} were tried") } else { String::new() };
    Resolved::Unavailable(Unseen::unauthorized(why + &left_out))
}

/// For metrics.
pub(super) fn outcome<T>(result: &Result<T, RegistryError>) -> &'static str {
    match result {
        Ok(_) => "ok",
        Err(error) => error.name(),
    }
}
