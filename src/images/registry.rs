//! A client for registries (OCI distribution spec 1.1), for whom every registry is hostile and every network fails.
//!
//! It reads manifests, blobs and lists of referrers. Digests are computed here over the bytes that came. Who asks for
//! what is where, with what bounds, is in `transport`; where requests may go, in `addresses`; what a registry is shown,
//! in `tokens`.
//!
//! What statuses mean:
//!
//! | asked for | 200 | 404 | 401, 403 | 400, 405, 406, 501 | anything else |
//! |---|---|---|---|---|---|
//! | manifest, blob | it | not found | unauthorized | unavailable | unavailable |
//! | referrers API | the list; a page in HTML is none | not supported: the fallback tag decides | unauthorized | not supported | unavailable |
//! | fallback tag, `.sig`, `.att` | the list | there is none | unauthorized | unavailable | unavailable |
//! | token | it | unavailable | unauthorized | unavailable | unavailable |

use std::sync::Arc;

use http::header::HeaderName;
use http::{HeaderMap, Method, StatusCode};
use quick_cache::sync::Cache;
use reqwest::Url;
use rustls::RootCertStore;
use stockade_policy::images::{Digest, RegistrySettings};

pub mod addresses;
mod challenge;
pub(crate) mod content;
pub mod error;
pub mod manifest;
mod referrers;
pub(crate) mod spelling;
mod tls;
mod tokens;
pub(crate) mod transport;

#[cfg(test)]
mod tests;

pub use error::RegistryError;

use self::content::{digest_like, sha256};
use self::error::{Fault, Outage, Place};
use self::manifest::{Descriptor, Manifest};
use self::tls::ClientSet;
use self::tokens::Tokens;
use self::transport::{Call, MAX_PARALLEL, MAX_PARALLEL_OF_ONE, Reply, Site};
use crate::credentials::{Credential, CredentialHash};
use crate::shares::Shares;

/// Largest manifest or index (OCI distribution spec, "Pushing Manifests": registries hold at least this).
pub const MAX_MANIFEST_BYTES: usize = 4 << 20;
/// Longest chain of lists that one list of referrers is read from.
pub const MAX_PAGES: usize = 8;
/// Most referrers of one image that are looked at; each costs a request.
pub const MAX_REFERRERS: usize = 128;
/// Most registries whose number of requests at a time is kept; of more, one may be asked more at a time.
const MAX_SITES: usize = 1_024;
/// Most sets of certificates that clients are kept for: as many as registries have own ones.
const MAX_CLIENT_SETS: usize = 64;

/// Where Docker Hub answers.
const DOCKER_HUB_HOST: &str = "registry-1.docker.io";
/// As references in full form have it.
const DOCKER_HUB: &str = "docker.io";

const CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");

/// Asks registries. Clones nothing of what it reads; who wants to remember does so.
pub struct RegistryClient {
    system_roots: RootCertStore,
    client_sets: Cache<Option<Arc<str>>, Arc<ClientSet>>,
    permits: Cache<Arc<str>, Arc<Shares>>,
    bodies: Arc<Shares>,
    tokens: Tokens,
}

/// A repository at one host, asked for as somebody.
#[derive(Clone)]
pub struct Repository {
    site: Arc<Site>,
    /// `team/app`
    name: Arc<str>,
    credential: Credential,
    credential_hash: CredentialHash,
    /// Set where a Pod brought the credential.
    ourselves: Option<Arc<Repository>>,
}

/// What a registry has under a tag or a digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// Computed over the content.
    pub digest: Digest,
    /// As it came.
    pub content: Arc<[u8]>,
}

// === impl RegistryClient ===

impl RegistryClient {
    /// A client that trusts the authorities of the system. Reads them from files, once.
    pub fn new() -> Self {
        Self {
            system_roots: tls::system_roots(),
            client_sets: Cache::new(MAX_CLIENT_SETS),
            permits: Cache::new(MAX_SITES),
            bodies: transport::bodies(),
            tokens: Tokens::new(),
        }
    }

    /// A repository of a host (`registry.example.com:5000`), which may be a mirror: the settings are those of the
    /// registry that it mirrors.
    ///
    /// # Errors
    /// No client can be made for these settings.
    pub fn repository(
        &self,
        host: &str,
        name: &str,
        settings: Option<&RegistrySettings>,
        credential: Credential,
    ) -> Result<Repository, RegistryError> {
        let plain_http = settings.is_some_and(|s| s.plain_http);
        let scheme = if plain_http { "http" } else { "https" };
        let real = if host == DOCKER_HUB { DOCKER_HUB_HOST } else { host };
        let base =
            Url::parse(&format!("{scheme}://{real}/")).ok().filter(|u| u.path() == "/" && u.username().is_empty());
        // References and settings have hosts that are hosts.
        let base = base.ok_or_else(|| unusable(host, "is no host".into()))?;
        let bundle = settings.and_then(|s| s.ca_bundle.clone());
        let make = || ClientSet::new(&self.system_roots, bundle.as_deref()).map(Arc::new);
        let clients = self.client_sets.get_or_insert_with(&bundle, make);
        let clients = clients.map_err(|why| unusable(host, why))?;
        let allow_private_addresses = settings.is_some_and(|s| s.allow_private_addresses);
        let permits = self.permits(&base.authority().into());
        let (is_named, tenant) = (settings.is_some(), "".into());
        let bodies = Arc::clone(&self.bodies);
        let site = Site { base, plain_http, allow_private_addresses, is_named, clients, permits, bodies, tenant };
        let credential_hash = credential.hash();
        Ok(Repository { site: Arc::new(site), name: name.into(), credential_hash, credential, ourselves: None })
    }

    fn permits(&self, host: &Arc<str>) -> Arc<Shares> {
        let make = || Ok::<_, std::convert::Infallible>(Arc::new(Shares::new(MAX_PARALLEL, MAX_PARALLEL_OF_ONE)));
        match self.permits.get_or_insert_with(host, make) {
            Ok(permits) => permits,
            Err(never) => match never {},
        }
    }

    /// The manifest or index that a tag means now.
    ///
    /// # Errors
    /// See [`RegistryError`].
    pub async fn tagged(&self, of: &Repository, tag: &str) -> Result<Fetched, RegistryError> {
        let call = of.call(&["manifests", tag], manifest::ACCEPT, MAX_MANIFEST_BYTES);
        let at = call.place();
        let reply = found(self.tokens.exchange(of, call).await?, &at)?;
        let digest = match header_digest(&reply.headers, &at)? {
            Some(digest) if digest_like(&digest, &reply.body) == digest.as_str() => digest,
            Some(_) => return Err(RegistryError::hostile(&at, Fault::WrongHeader)),
            None => parse_digest(&sha256(&reply.body), &at)?,
        };
        Ok(Fetched { digest, content: reply.body.into() })
    }

    /// What a registry says that a tag means now, without the content: for who has the content of a digest already.
    /// None when the registry does not say.
    ///
    /// # Errors
    /// See [`RegistryError`].
    pub async fn peek(&self, of: &Repository, tag: &str) -> Result<Option<Digest>, RegistryError> {
        let call = of.call(&["manifests", tag], manifest::ACCEPT, MAX_MANIFEST_BYTES);
        let call = Call { method: Method::HEAD, ..call };
        let at = call.place();
        let reply = found(self.tokens.exchange(of, call).await?, &at)?;
        header_digest(&reply.headers, &at)
    }

    /// The manifest or index of a digest.
    ///
    /// # Errors
    /// See [`RegistryError`].
    pub async fn manifest(&self, of: &Repository, digest: &Digest) -> Result<Arc<[u8]>, RegistryError> {
        let call = of.call(&["manifests", digest.as_str()], manifest::ACCEPT, MAX_MANIFEST_BYTES);
        self.content(of, call, digest).await
    }

    /// A blob: as many bytes as its descriptor says, and no more than `limit`.
    ///
    /// # Errors
    /// See [`RegistryError`].
    pub async fn blob(&self, of: &Repository, wanted: &Descriptor, limit: usize) -> Result<Arc<[u8]>, RegistryError> {
        let call = of.call(&["blobs", wanted.digest.as_str()], "*/*", limit);
        if wanted.size > limit as u64 {
            return Err(RegistryError::hostile(&call.place(), Fault::TooLarge { limit }));
        }
        self.content(of, Call { size: Some(wanted.size), ..call }, &wanted.digest).await
    }

    async fn content(&self, of: &Repository, call: Call, wanted: &Digest) -> Result<Arc<[u8]>, RegistryError> {
        let at = call.place();
        let reply = found(self.tokens.exchange(of, call).await?, &at)?;
        let computed = digest_like(wanted, &reply.body);
        if computed != wanted.as_str() {
            let fault = Fault::WrongDigest { wanted: wanted.clone(), found: parse_digest(&computed, &at)? };
            return Err(RegistryError::hostile(&at, fault));
        }
        // Another algorithm than ours says nothing more.
        let header = header_digest(&reply.headers, &at)?.filter(|d| d.algorithm() == wanted.algorithm());
        match header {
            Some(header) if header != *wanted => Err(RegistryError::hostile(&at, Fault::WrongHeader)),
            _ => Ok(reply.body.into()),
        }
    }
}

impl Default for RegistryClient {
    fn default() -> Self {
        Self::new()
    }
}

// === impl Repository ===

impl Repository {
    /// The same, on behalf of a namespace: it waits for no other one's requests.
    pub(crate) fn for_tenant(self, tenant: &Arc<str>) -> Self {
        Self { site: Arc::new(Site { tenant: Arc::clone(tenant), ..Site::clone(&self.site) }), ..self }
    }

    /// The same, with a credential that a Pod brought: where it gets no answer, it counts what we get ourselves.
    pub(crate) fn brought(self, ourselves: &Arc<Self>) -> Self {
        Self { ourselves: Some(Arc::clone(ourselves)), ..self }
    }

    /// The same repository as we see it, where a Pod brought the credential.
    pub(crate) fn ourselves(&self) -> Option<&Arc<Self>> {
        self.ourselves.as_ref()
    }

    /// On behalf of which namespace it is asked.
    pub(crate) fn tenant(&self) -> &Arc<str> {
        &self.site.tenant
    }

    /// Whether no Pod brought the credential.
    pub(crate) fn is_ours(&self) -> bool {
        self.ourselves.is_none()
    }

    /// Whether it is asked without any credential.
    pub(crate) fn is_asked_as_nobody(&self) -> bool {
        self.credential == Credential::Nobody
    }

    /// Tells apart what different credentials may see.
    pub fn credential_hash(&self) -> CredentialHash {
        self.credential_hash
    }

    /// Whose content it is: host and name.
    pub fn id(&self) -> String {
        format!("{}/{}", self.site.base.authority(), self.name)
    }

    fn call(&self, path: &[&str], accept: &'static str, limit: usize) -> Call {
        Call::get(self.url(path), accept, limit, self.site.reach())
    }

    /// `…/v2/NAME/…`
    fn url(&self, path: &[&str]) -> Url {
        let mut url = self.site.base.clone();
        // Each part is a segment of its own, and what is no character of one is escaped. An https URL has segments.
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().push("v2").extend(self.name.split('/')).extend(path);
        }
        url
    }
}

/// The same repository, seen as the same.
impl PartialEq for Repository {
    fn eq(&self, other: &Self) -> bool {
        self.id() == other.id() && self.credential_hash == other.credential_hash
    }
}

impl Eq for Repository {}

impl std::fmt::Debug for Repository {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Repository")
            .field("id", &self.id())
            .field("credential", &self.credential)
            .finish_non_exhaustive()
    }
}

/// The policy's settings of a registry cannot be followed.
fn unusable(host: &str, why: Arc<str>) -> RegistryError {
    RegistryError::unavailable(&Place::of_host(host), Outage::Settings(why))
}

/// An answer that has what was asked for.
fn found(reply: Reply, at: &Place) -> Result<Reply, RegistryError> {
    match reply.status {
        StatusCode::OK => Ok(reply),
        StatusCode::NOT_FOUND => Err(RegistryError::NotFound { at: at.clone() }),
        _ => Err(RegistryError::unavailable(at, reply.outage())),
    }
}

fn header_digest(headers: &HeaderMap, at: &Place) -> Result<Option<Digest>, RegistryError> {
    let Some(header) = headers.get(CONTENT_DIGEST) else { return Ok(None) };
    let digest = header.to_str().ok().and_then(|text| Digest::parse(text).ok());
    digest.map(Some).ok_or_else(|| RegistryError::hostile(at, Fault::WrongHeader))
}

fn parse_digest(text: &str, at: &Place) -> Result<Digest, RegistryError> {
    Digest::parse(text).map_err(|e| RegistryError::malformed(at, "digest", &e))
}

/// Reads a manifest that has come.
///
/// # Errors
/// [`RegistryError::Hostile`]
pub fn parse_manifest(of: &Repository, digest: &Digest, content: &[u8]) -> Result<Manifest, RegistryError> {
    let at = of.call(&["manifests", digest.as_str()], manifest::ACCEPT, MAX_MANIFEST_BYTES).place();
    Manifest::parse(content).map_err(|e| RegistryError::malformed(&at, "manifest", &e))
}
