//! One request to one registry: bounded in time, bytes, redirects and tries, and never further than it may go.
//!
//! A body is read only with status 200, and as it came: nothing is ever unpacked, and a compressed answer is refused.

use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use http::header::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, LOCATION, RETRY_AFTER,
};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use jiff::Timestamp;
use reqwest::{Response, Url};
use tokio::time::Instant;

use super::MAX_MANIFEST_BYTES;
use super::addresses::{self, Class, Crowded, Reach, Refused};
use super::error::{Fault, Outage, Place, RegistryError};
use super::tls::{ClientSet, distrust};
use crate::shares::{Places, Shares};

/// From a request to the head of its answer.
pub(crate) const HEAD_TIMEOUT: Duration = Duration::from_millis(2_500);
/// From then on to the end of its body. Manifests and tokens have some kilobytes.
const BODY_TIMEOUT: Duration = Duration::from_millis(2_500);
/// The same of a body that may be longer than any manifest: 8 MiB in this time are 7 Mbit/s.
const LONG_BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// Registries redirect once, to a store.
const MAX_REDIRECTS: usize = 5;
/// Tries of one request.
const MAX_TRIES: u32 = 2;
/// Longest wait between two tries; a registry that wants more of it is left alone, and there is no answer.
const MAX_PAUSE: Duration = Duration::from_secs(2);
/// A pause that no registry asked for, in milliseconds; somewhere between these, so that replicas do not come back together.
const PAUSE_MS: std::ops::Range<u64> = 100..400;
/// Longest `Retry-After` that is believed.
const MAX_QUIET: Duration = Duration::from_secs(30);
/// Most requests to one registry at a time.
pub(crate) const MAX_PARALLEL: usize = 32;
/// Most of them on behalf of one namespace, which may want any number of images. The manifests and blobs of an image's
/// signatures are asked for at once.
pub(crate) const MAX_PARALLEL_OF_ONE: usize = MAX_PARALLEL / 2;

/// Most bytes of answers that are read, and until they are understood, in KiB.
const MAX_BODIES_KIB: usize = 128 << 10;
/// Most of them on behalf of one namespace, which may choose registries that send slowly and much.
const MAX_BODIES_KIB_OF_ONE: usize = MAX_BODIES_KIB / 4;
/// How long an answer waits for room.
const ROOM_WAIT: Duration = Duration::from_secs(1);

/// Room for answers, by namespace.
pub(crate) fn bodies() -> Arc<Shares> {
    Arc::new(Shares::new(MAX_BODIES_KIB, MAX_BODIES_KIB_OF_ONE))
}

/// How a host is spoken to, and on whose behalf.
#[derive(Clone)]
pub(crate) struct Site {
    /// `https://registry.example.com:5000/`
    pub(crate) base: Url,
    pub(crate) plain_http: bool,
    pub(crate) allow_private_addresses: bool,
    /// Whether a policy says something of the registry.
    pub(crate) is_named: bool,
    pub(crate) clients: Arc<ClientSet>,
    pub(crate) permits: Arc<Shares>,
    pub(crate) bodies: Arc<Shares>,
    /// Namespace of the object that has the image.
    pub(crate) tenant: Arc<str>,
}

/// A request.
#[derive(Clone)]
pub(crate) struct Call {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) accept: &'static str,
    pub(crate) authorization: Option<HeaderValue>,
    /// A form that is posted.
    pub(crate) form: Option<String>,
    /// Most bytes of the answer's body.
    pub(crate) limit: usize,
    /// How many bytes the body must have, when that is known.
    pub(crate) size: Option<u64>,
    /// How far the first hop may go; the site's own host is wherever it is.
    pub(crate) reach: Reach,
}

/// An answer.
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    /// Empty unless the status is 200.
    pub(crate) body: Vec<u8>,
    /// How far whoever answered may send us.
    pub(crate) reach: Reach,
    /// `Retry-After` of an answer that means "later".
    pub(crate) retry_after: Option<Duration>,
    /// The body's.
    _room: Option<Places>,
}

// === impl Call ===

impl Call {
    pub(crate) fn get(url: Url, accept: &'static str, limit: usize, reach: Reach) -> Self {
        Self { method: Method::GET, url, accept, authorization: None, form: None, limit, size: None, reach }
    }

    pub(crate) fn place(&self) -> Place {
        Place::new(self.method.as_str(), &self.url)
    }
}

// === impl Reply ===

impl Reply {
    /// What a status means that is no answer.
    pub(crate) fn outage(&self) -> Outage {
        match self.status {
            StatusCode::TOO_MANY_REQUESTS => Outage::RateLimited { after: self.retry_after },
            status => Outage::Status { status: status.as_u16(), after: self.retry_after },
        }
    }
}

// === impl Site ===

impl Site {
    /// How far the registry's own host may be.
    pub(crate) fn reach(&self) -> Reach {
        if self.allow_private_addresses { Reach::Any } else { Reach::Private }
    }

    /// Sends a request, follows where it leads, and tries once more when the network or the server failed.
    ///
    /// # Errors
    /// There is no answer, or none that may be taken. Any status but redirects, 429 and 5xx is an answer.
    pub(crate) async fn exchange(&self, call: &Call) -> Result<Reply, RegistryError> {
        let mut tries = 0;
        loop {
            tries += 1;
            let result = self.follow(call).await;
            let pause = match &result {
                Ok(reply) if !is_later(reply.status) => return result,
                Ok(reply) => reply.retry_after.unwrap_or_else(some_pause),
                Err(RegistryError::Unavailable { outage: Outage::Network(_) | Outage::Cut(_), .. }) => some_pause(),
                Err(_) => return result,
            };
            if tries >= MAX_TRIES || pause > MAX_PAUSE {
                return result;
            }
            tokio::time::sleep(pause).await;
        }
    }

    /// One try, over all its redirects.
    async fn follow(&self, call: &Call) -> Result<Reply, RegistryError> {
        let mut call = call.clone();
        for _ in 0..=MAX_REDIRECTS {
            let at = call.place();
            let permit = self.permits.take(&self.tenant, 1).await;
            let response = self.send(&call, &at).await?;
            let reach = self.reach_after(&response);
            if !response.status().is_redirection() || call.method == Method::POST {
                return self.read(response, &call, &at, reach).await;
            }
            drop(permit);
            call = self.redirected(&call, &response, reach, &at)?;
        }
        Err(RegistryError::hostile(&call.place(), Fault::Redirects { limit: MAX_REDIRECTS }))
    }

    /// Who writes the name of an image into a Pod may choose any host, and must not learn by it what listens in private
    /// networks: of a host that no policy names, all that goes wrong there is one and takes the same time.
    async fn send(&self, call: &Call, at: &Place) -> Result<Response, RegistryError> {
        if self.is_named || call.reach != Reach::Private {
            return self.send_within(call.reach, call, at).await;
        }
        // What this connects to is public, and what it connects to not private: names may mean both by turns.
        match self.send_within(Reach::Public, call, at).await {
            Err(RegistryError::Hostile { fault: Fault::Address { class: Class::Private, .. }, .. }) => {
                undisclosed(self.send_within(Reach::Private, call, at), at).await
            }
            said => said,
        }
    }

    async fn send_within(&self, reach: Reach, call: &Call, at: &Place) -> Result<Response, RegistryError> {
        self.check(&call.url, reach, at)?;
        let mut request = self.clients.of(reach).request(call.method.clone(), call.url.clone());
        request = request.header(ACCEPT, call.accept).header(ACCEPT_ENCODING, "identity");
        if let Some(authorization) = &call.authorization {
            request = request.header(AUTHORIZATION, authorization.clone());
        }
        if let Some(form) = &call.form {
            request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(form.clone());
        }
        let answer = addresses::for_tenant(&self.tenant, request.send());
        match tokio::time::timeout(HEAD_TIMEOUT, answer).await {
            Err(_) => Err(RegistryError::unavailable(at, Outage::Timeout(HEAD_TIMEOUT))),
            Ok(Err(error)) => Err(failure(&error, at, call)),
            Ok(Ok(response)) => Ok(response),
        }
    }

    /// What is known of a URL before anything is sent: its scheme, and its address when it is one.
    fn check(&self, url: &Url, reach: Reach, at: &Place) -> Result<(), RegistryError> {
        let allowed = url.scheme() == "https" || (url.scheme() == "http" && self.plain_http);
        if !allowed {
            return Err(RegistryError::hostile(at, Fault::Downgrade { to: at.clone() }));
        }
        let address = match url.host() {
            Some(url::Host::Ipv4(v4)) => v4.into(),
            Some(url::Host::Ipv6(v6)) => v6.into(),
            _ => return Ok(()),
        };
        reach.check(address).map_err(|why| refused(&why, url, at))
    }

    pub(super) fn redirected(
        &self,
        from: &Call,
        response: &Response,
        reach: Reach,
        at: &Place,
    ) -> Result<Call, RegistryError> {
        let location = response.headers().get(LOCATION).and_then(|l| l.to_str().ok());
        let url = location.and_then(|l| from.url.join(l).ok()).filter(|u| u.has_host());
        let Some(mut url) = url else { return Err(RegistryError::hostile(at, Fault::Redirect)) };
        url.set_fragment(None);
        // Names and passwords of URLs would be sent along.
        if url.password().is_some() || !url.username().is_empty() {
            return Err(RegistryError::hostile(at, Fault::Redirect));
        }
        if from.url.scheme() == "https" && url.scheme() != "https" {
            let to = Place::new(from.method.as_str(), &url);
            return Err(RegistryError::hostile(at, Fault::Downgrade { to }));
        }
        let reach = if same_origin(&url, &self.base) { self.reach() } else { reach };
        let authorization = from.authorization.clone().filter(|_| same_origin(&url, &from.url));
        Ok(Call { url, reach, authorization, ..from.clone() })
    }

    async fn read(&self, response: Response, call: &Call, at: &Place, reach: Reach) -> Result<Reply, RegistryError> {
        let (status, headers) = (response.status(), response.headers().clone());
        let mut reply = Reply { status, body: Vec::new(), reach, retry_after: None, _room: None, headers };
        if is_later(status) {
            reply.retry_after = retry_after(&reply.headers);
        }
        if status == StatusCode::OK && call.method != Method::HEAD {
            let bytes =
                announced(&response, call, at)?.map_or(call.limit, |bytes| bytes.min(call.limit as u64) as usize);
            // Not in the registry's time: that there is no room is not its fault.
            let room = tokio::time::timeout(ROOM_WAIT, self.bodies.take(&self.tenant, bytes.div_ceil(1 << 10))).await;
            reply._room = room.map_err(|_| RegistryError::unavailable(at, Outage::Crowded))?;
            let limit = if call.limit > MAX_MANIFEST_BYTES { LONG_BODY_TIMEOUT } else { BODY_TIMEOUT };
            let body = tokio::time::timeout(limit, body(response, call, at)).await;
            reply.body = body.map_err(|_| RegistryError::unavailable(at, Outage::Timeout(limit)))??;
        }
        Ok(reply)
    }

    /// How far whoever sent this answer may send us on: into private networks only from within one.
    fn reach_after(&self, response: &Response) -> Reach {
        if self.allow_private_addresses {
            return Reach::Any;
        }
        match response.remote_addr().map(|a| Class::of(a.ip())) {
            Some(Class::Private) => Reach::Private,
            _ => Reach::Public,
        }
    }
}

/// Something, or one and the same error after one and the same time.
async fn undisclosed<T>(
    answer: impl Future<Output = Result<T, RegistryError>>,
    at: &Place,
) -> Result<T, RegistryError> {
    let until = Instant::now() + HEAD_TIMEOUT;
    match answer.await {
        Err(error) => {
            tracing::info!(error = %error, "a registry in a private network that no policy names does not answer");
            tokio::time::sleep_until(until).await;
            Err(RegistryError::unavailable(at, Outage::Undisclosed))
        }
        answer => answer,
    }
}

/// How long a body is, as far as it is announced and may be.
///
/// # Errors
/// It is too long, or of another length than the descriptor says, or compressed.
fn announced(response: &Response, call: &Call, at: &Place) -> Result<Option<u64>, RegistryError> {
    let hostile = |fault| RegistryError::hostile(at, fault);
    if response.headers().get(CONTENT_ENCODING).is_some_and(|e| e != "identity") {
        return Err(hostile(Fault::Compressed));
    }
    let announced = response.headers().get(CONTENT_LENGTH).and_then(|l| l.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|bytes| bytes > call.limit as u64) {
        return Err(hostile(Fault::TooLarge { limit: call.limit }));
    }
    if let (Some(found), Some(wanted)) = (announced, call.size)
        && found != wanted
    {
        return Err(hostile(Fault::WrongSize { wanted, found }));
    }
    Ok(announced)
}

/// The body, as it came.
async fn body(mut response: Response, call: &Call, at: &Place) -> Result<Vec<u8>, RegistryError> {
    let hostile = |fault| RegistryError::hostile(at, fault);
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|e| failure(&e, at, call))? {
        if body.len() + chunk.len() > call.limit {
            return Err(hostile(Fault::TooLarge { limit: call.limit }));
        }
        body.extend_from_slice(&chunk);
    }
    match call.size {
        Some(wanted) if wanted != body.len() as u64 => {
            Err(hostile(Fault::WrongSize { wanted, found: body.len() as u64 }))
        }
        _ => Ok(body),
    }
}

/// Whether a status means "later": it says nothing about what was asked for.
pub(crate) fn is_later(status: StatusCode) -> bool {
    let is_broken = status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED;
    status == StatusCode::TOO_MANY_REQUESTS || is_broken
}

/// `Retry-After`, in seconds or as a date (RFC 9110, section 10.2.3).
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let asked = match text.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let date = jiff::fmt::rfc2822::parse(text).ok()?;
            // What has passed already is now.
            date.timestamp().duration_since(Timestamp::now()).try_into().unwrap_or_default()
        }
    };
    Some(asked.min(MAX_QUIET))
}

fn some_pause() -> Duration {
    Duration::from_millis(fastrand::u64(PAUSE_MS))
}

pub(crate) fn same_origin(one: &Url, other: &Url) -> bool {
    one.origin() == other.origin()
}

/// What an error of the HTTP client means.
fn failure(error: &reqwest::Error, at: &Place, call: &Call) -> RegistryError {
    let mut last = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        if let Some(why) = cause.downcast_ref::<Refused>() {
            return refused(why, &call.url, at);
        }
        if cause.is::<Crowded>() {
            return RegistryError::unavailable(at, Outage::Crowded);
        }
        if let Some(tls) = cause.downcast_ref::<rustls::Error>() {
            return RegistryError::unavailable(at, Outage::Tls(distrust(tls).into()));
        }
        last = cause.to_string();
        // An I/O error's source is that of what it wraps, which it gives only on request.
        next = match cause.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
            Some(wrapped) => Some(wrapped),
            None => cause.source(),
        };
    }
    let outage = match error {
        _ if error.is_timeout() => Outage::Network("no connection in time".into()),
        _ if error.is_body() || error.is_decode() => Outage::Cut(last.into()),
        _ => Outage::Network(last.into()),
    };
    RegistryError::unavailable(at, outage)
}

fn refused(why: &Refused, url: &Url, at: &Place) -> RegistryError {
    let host = url.host_str().unwrap_or_default().into();
    RegistryError::hostile(at, Fault::Address { host, address: why.address, class: why.class })
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn a_wait_is_asked_for_in_seconds_or_as_a_date_and_never_believed_for_long() {
        let asked = |text: &str| {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, text.parse().unwrap())]);
            retry_after(&headers).map(|d| d.as_secs())
        };
        assert_eq!(asked("7"), Some(7));
        assert_eq!(asked("3600"), Some(30));
        assert_eq!(asked("Wed, 01 Jan 2200 00:00:00 GMT"), Some(30));
        assert_eq!(asked("Sun, 06 Nov 1994 08:49:37 GMT"), Some(0));
        assert_eq!((asked("-1"), asked("soon"), asked("99999999999999999999")), (None, None, None));
        assert_eq!(retry_after(&HeaderMap::new()), None);
    }

    #[tokio::test(start_paused = true)]
    async fn what_goes_wrong_in_a_private_network_is_one_whatever_it_is_and_when() {
        let at = Place::of_host("10.0.0.1:22");
        let faults = [
            (0, RegistryError::unavailable(&at, Outage::Network("connection refused".into()))),
            (90, RegistryError::unavailable(&at, Outage::Tls("record overflow".into()))),
            (1_000, RegistryError::unavailable(&at, Outage::Network("no connection in time".into()))),
            (2_500, RegistryError::unavailable(&at, Outage::Timeout(HEAD_TIMEOUT))),
            (5, RegistryError::hostile(&at, Fault::Redirect)),
        ];
        for (after, error) in faults {
            let started = Instant::now();
            let answer = async {
                tokio::time::sleep(Duration::from_millis(after)).await;
                Err::<(), _>(error)
            };
            let told = undisclosed(answer, &at).await;
            assert_eq!(
                (told, started.elapsed()),
                (Err(RegistryError::unavailable(&at, Outage::Undisclosed)), HEAD_TIMEOUT)
            );
        }
        let answer = undisclosed(std::future::ready(Ok::<_, RegistryError>(200)), &at).now_or_never();
        assert_eq!(answer, Some(Ok(200)), "what answers as a registry does is one");
    }
}
