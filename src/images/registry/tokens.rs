//! What a registry is shown: tokens of its token service (Docker registry token authentication), OAuth 2.0 tokens for
//! an identity token, or name and password.
//!
//! Whatever a challenge asks for, a token is asked for pulling from the one repository. It is kept for as long as it
//! holds, by registry, repository and credential.

use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA256};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::WWW_AUTHENTICATE;
use http::{HeaderValue, Method, StatusCode};
use reqwest::Url;
use serde::Deserialize;

use super::Repository;
use super::challenge::Challenge;
use super::error::{Fault, Place, RegistryError};
use super::transport::{Call, Reply, is_later};
use crate::credentials::Credential;
use crate::expiring::{Expiring, Made};

/// Largest answer of a token service; tokens of clouds have some kilobytes.
const MAX_TOKEN_BYTES: usize = 64 << 10;
/// How long a token holds that does not say.
const DEFAULT_LIFE: Duration = Duration::from_secs(60);
/// Longest that any token or password is used without asking again.
const MAX_LIFE: Duration = Duration::from_secs(600);
/// A token is not used in its last seconds: it would not arrive in time.
const MARGIN: Duration = Duration::from_secs(10);
/// How long it is remembered that there is none.
const FAILURE_LIFE: Duration = Duration::from_secs(1);
/// All that is kept: some thousand tokens.
const MAX_BYTES: usize = 8 << 20;
/// Who asks, as OAuth 2.0 wants to know.
const CLIENT_ID: &str = "stockade";

/// Authorizations by registry, repository and credential.
pub(crate) struct Tokens {
    known: Expiring<[u8; 32], Result<HeaderValue, RegistryError>>,
}

#[derive(Deserialize)]
struct TokenAnswer {
    token: Option<String>,
    access_token: Option<String>,
    expires_in: Option<u64>,
}

// === impl Tokens ===

impl Tokens {
    pub(crate) fn new() -> Self {
        Self { known: Expiring::new(MAX_BYTES, Default::default()) }
    }

    /// Sends a request with what is known, and when the registry wants something else, once more with that.
    ///
    /// # Errors
    /// As [`super::transport::Site::exchange`]; and [`RegistryError::Unauthorized`] when the registry still says no.
    pub(crate) async fn exchange(&self, of: &Repository, mut call: Call) -> Result<Reply, RegistryError> {
        let key = key(of);
        call.authorization = self.known.get(&key).and_then(|held| held.value.ok());
        let reply = of.site.exchange(&call).await?;
        if reply.status != StatusCode::UNAUTHORIZED {
            return answered(reply, of, &call);
        }
        if let Some(rejected) = &call.authorization {
            self.known.forget(&key, |held| held.as_ref() == Ok(rejected));
        }
        let headers = reply.headers.get_all(WWW_AUTHENTICATE);
        let challenge = Challenge::choose(headers.iter().filter_map(|h| h.to_str().ok()));
        let Some(challenge) = challenge else { return Err(unauthorized(of, call.place(), reply.status)) };
        let answer = self.known.get_or(&key, None, |_| async {
            match answer(of, &challenge, &reply, &call.place()).await {
                Ok((header, holds)) => Made { bytes: header.len(), value: Ok(header), holds },
                Err(error) => {
                    let holds = if error.is_of_one() { Duration::ZERO } else { FAILURE_LIFE };
                    Made { value: Err(error), holds, bytes: 0 }
                }
            }
        });
        call.authorization = Some(answer.await.value?);
        let reply = of.site.exchange(&call).await?;
        answered(reply, of, &call)
    }
}

/// What an answer means that is the same whatever was asked for.
fn answered(reply: Reply, of: &Repository, call: &Call) -> Result<Reply, RegistryError> {
    match reply.status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(unauthorized(of, call.place(), reply.status)),
        status if is_later(status) => Err(RegistryError::unavailable(&call.place(), reply.outage())),
        _ => Ok(reply),
    }
}

fn unauthorized(of: &Repository, at: Place, status: StatusCode) -> RegistryError {
    let with_credentials = of.credential != Credential::Nobody;
    RegistryError::Unauthorized { at, status: status.as_u16(), with_credentials }
}

/// The header that answers a challenge, and how long it holds.
async fn answer(
    of: &Repository,
    challenge: &Challenge,
    reply: &Reply,
    at: &Place,
) -> Result<(HeaderValue, Duration), RegistryError> {
    match (challenge, &of.credential) {
        (Challenge::Basic, Credential::Password { username, password }) => {
            Ok((basic(username, password, at)?, MAX_LIFE))
        }
        (Challenge::Basic, _) => Err(unauthorized(of, at.clone(), reply.status)),
        (Challenge::Bearer { .. }, Credential::RegistryToken(token)) => Ok((bearer(token, at)?, MAX_LIFE)),
        (Challenge::Bearer { realm, service }, _) => fetch(of, realm, service, reply, at).await,
    }
}

async fn fetch(
    of: &Repository,
    realm: &str,
    service: &str,
    challenge: &Reply,
    at: &Place,
) -> Result<(HeaderValue, Duration), RegistryError> {
    let realm = Url::parse(realm).ok().filter(Url::has_host);
    let realm = realm.filter(|r| r.username().is_empty() && r.password().is_none());
    let realm = realm.ok_or_else(|| RegistryError::malformed(at, "challenge", &"its realm is no URL"))?;
    let call = token_call(of, realm, service, challenge)?;
    let place = call.place();
    let reply = of.site.exchange(&call).await?;
    match reply.status {
        StatusCode::OK => {}
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::BAD_REQUEST => {
            return Err(unauthorized(of, place, reply.status));
        }
        // A token service that is not there says nothing about an image.
        _ => return Err(RegistryError::unavailable(&place, reply.outage())),
    }
    let bad = |why: &str| RegistryError::malformed(&place, "token", &why);
    let answer: TokenAnswer = serde_json::from_slice(&reply.body).map_err(|_| bad("not JSON of a token"))?;
    let token = answer.token.or(answer.access_token).filter(|t| !t.is_empty()).ok_or_else(|| bad("none is in it"))?;
    let life = answer.expires_in.map_or(DEFAULT_LIFE, Duration::from_secs);
    Ok((bearer(&token, &place)?, life.saturating_sub(MARGIN).clamp(FAILURE_LIFE, MAX_LIFE)))
}

/// Docker's way with a password or as nobody, OAuth 2.0's with an identity token.
fn token_call(of: &Repository, mut realm: Url, service: &str, challenge: &Reply) -> Result<Call, RegistryError> {
    let scope = format!("repository:{}:pull", of.name);
    // The realm on the registry's own host is as near as the registry; elsewhere it is where the registry may send us.
    let own = super::transport::same_origin(&realm, &of.site.base);
    let reach = if own { of.site.reach() } else { challenge.reach };
    let at = Place::new("GET", &realm);
    let mut pairs: Vec<(&str, &str)> = vec![("scope", &scope)];
    if !service.is_empty() {
        pairs.push(("service", service));
    }
    if let Credential::IdentityToken(token) = &of.credential {
        pairs.extend([("grant_type", "refresh_token"), ("client_id", CLIENT_ID), ("refresh_token", token.as_str())]);
        let form = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
        let call = Call::get(realm, "application/json", MAX_TOKEN_BYTES, reach);
        return Ok(Call { method: Method::POST, form: Some(form), ..call });
    }
    realm.query_pairs_mut().extend_pairs(pairs);
    let mut call = Call::get(realm, "application/json", MAX_TOKEN_BYTES, reach);
    if let Credential::Password { username, password } = &of.credential {
        call.authorization = Some(basic(username, password, &at)?);
    }
    Ok(call)
}

fn basic(username: &str, password: &str, at: &Place) -> Result<HeaderValue, RegistryError> {
    header(format!("Basic {}", STANDARD.encode(format!("{username}:{password}"))), at)
}

fn bearer(token: &str, at: &Place) -> Result<HeaderValue, RegistryError> {
    header(format!("Bearer {token}"), at)
}

fn header(text: String, at: &Place) -> Result<HeaderValue, RegistryError> {
    let why = || Fault::Malformed { wanted: "token", why: "no header can hold it".into() };
    let mut header = HeaderValue::try_from(text).map_err(|_| RegistryError::hostile(at, why()))?;
    header.set_sensitive(true);
    Ok(header)
}

fn key(of: &Repository) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    context.update(of.site.base.as_str().as_bytes());
    context.update(&[0]);
    context.update(of.name.as_bytes());
    context.update(&[0]);
    context.update(&of.credential_hash);
    let mut key = [0; 32];
    key.copy_from_slice(context.finish().as_ref());
    key
}
