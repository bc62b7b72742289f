//! What refers to a manifest: the referrers API and the fallback tag (OCI distribution spec 1.1, "Listing Referrers",
//! "Referrers Tag Schema"), asked together and never filtered: registries leave the type of an artifact out of the list,
//! or filter everything away. Clients of cosign before version 3 put a signature under a tag of its own, which is asked
//! for as any other tag.

use http::header::{CONTENT_TYPE, LINK};
use http::{HeaderMap, StatusCode};
use reqwest::Url;
use stockade_policy::images::Digest;

use super::error::{Fault, Place, RegistryError};
use super::manifest::{Descriptor, Manifest};
use super::transport::{Call, same_origin};
use super::{MAX_MANIFEST_BYTES, MAX_PAGES, MAX_REFERRERS, RegistryClient, Repository};

const ACCEPT_INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// How much of a digest is in its fallback tag: what is longer makes no tag.
const MAX_TAG_DIGITS: usize = 64;

/// How registries answer that have no such API: as the specification says; as they answer any path or type that they do
/// not know; or with the page of their user interface. None of it says that there is nothing, which only the fallback tag
/// says then.
const NO_SUCH_API: [StatusCode; 6] = [
    StatusCode::OK,
    StatusCode::BAD_REQUEST,
    StatusCode::NOT_FOUND,
    StatusCode::METHOD_NOT_ALLOWED,
    StatusCode::NOT_ACCEPTABLE,
    StatusCode::NOT_IMPLEMENTED,
];

// === impl RegistryClient ===

impl RegistryClient {
    /// All that refers to a manifest, each once. Empty when there is nothing: both the API and the fallback tag have
    /// said so.
    ///
    /// # Errors
    /// See [`RegistryError`]; never [`RegistryError::NotFound`].
    pub async fn referrers(&self, of: &Repository, subject: &Digest) -> Result<Vec<Descriptor>, RegistryError> {
        let (listed, tagged) = tokio::join!(self.listed(of, subject), self.fallback(of, subject));
        let mut all = listed?.unwrap_or_default();
        for descriptor in tagged? {
            if all.iter().all(|d| d.digest != descriptor.digest) {
                all.push(descriptor);
            }
        }
        if all.len() > MAX_REFERRERS {
            let at = of.call(&["referrers", subject.as_str()], ACCEPT_INDEX, 0).place();
            return Err(too_many(&at));
        }
        Ok(all)
    }

    /// What the API lists; none when there is no such API.
    async fn listed(&self, of: &Repository, subject: &Digest) -> Result<Option<Vec<Descriptor>>, RegistryError> {
        let mut call = of.call(&["referrers", subject.as_str()], ACCEPT_INDEX, MAX_MANIFEST_BYTES);
        let mut all = Vec::new();
        for page in 0..MAX_PAGES {
            let at = call.place();
            let reply = self.tokens.exchange(of, call.clone()).await?;
            match reply.status {
                StatusCode::OK if page > 0 || !is_page_for_people(&reply.headers) => {}
                status if page == 0 && NO_SUCH_API.contains(&status) => return Ok(None),
                _ => return Err(RegistryError::unavailable(&at, reply.outage())),
            }
            all.extend(index(&reply.body, &at)?);
            if all.len() > MAX_REFERRERS {
                return Err(too_many(&at));
            }
            let link = reply.headers.get(LINK).and_then(|l| l.to_str().ok()).and_then(next_page);
            let Some(link) = link else { return Ok(Some(all)) };
            call = next_call(&call, link, &at)?;
        }
        Err(RegistryError::hostile(&call.place(), Fault::Pages { limit: MAX_PAGES }))
    }

    async fn fallback(&self, of: &Repository, subject: &Digest) -> Result<Vec<Descriptor>, RegistryError> {
        let hex = subject.hex();
        let tag = format!("{}-{}", subject.algorithm(), hex.get(..MAX_TAG_DIGITS).unwrap_or(hex));
        let call = of.call(&["manifests", &tag], ACCEPT_INDEX, MAX_MANIFEST_BYTES);
        let at = call.place();
        match self.tagged(of, &tag).await {
            Ok(fetched) => index(&fetched.content, &at),
            Err(RegistryError::NotFound { .. }) => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }
}

fn is_page_for_people(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"))
}

fn index(content: &[u8], at: &Place) -> Result<Vec<Descriptor>, RegistryError> {
    match Manifest::parse(content) {
        Ok(Manifest::Index(index)) => Ok(index.manifests),
        Ok(Manifest::Image(_)) => Err(RegistryError::malformed(at, "index", &"it is a manifest")),
        Err(e) => Err(RegistryError::malformed(at, "index", &e)),
    }
}

fn too_many(at: &Place) -> RegistryError {
    RegistryError::hostile(at, Fault::TooMany { limit: MAX_REFERRERS, of: "referrers" })
}

/// The target of a link to the next page (RFC 8288).
fn next_page(header: &str) -> Option<&str> {
    header.split(',').find_map(|link| {
        let (target, params) = link.trim().strip_prefix('<')?.split_once('>')?;
        let is_next = params.split(';').any(|p| {
            let (name, value) = p.trim().split_once('=').unwrap_or((p, ""));
            name.trim().eq_ignore_ascii_case("rel") && value.trim().trim_matches('"').eq_ignore_ascii_case("next")
        });
        is_next.then_some(target)
    })
}

/// A page is at the same place, with another query.
fn next_call(call: &Call, link: &str, at: &Place) -> Result<Call, RegistryError> {
    let url: Option<Url> = call.url.join(link).ok();
    let url = url.filter(|u| same_origin(u, &call.url) && u.path() == call.url.path() && *u != call.url);
    let url = url.ok_or_else(|| RegistryError::hostile(at, Fault::Pages { limit: MAX_PAGES }))?;
    Ok(Call { url, ..call.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_is_found_among_links() {
        let table = [
            (r#"</v2/a/referrers/x?n=1>; rel="next""#, Some("/v2/a/referrers/x?n=1")),
            (r#"<a>; rel=prev, <b>;title="x";  REL = Next"#, Some("b")),
            (r#"<a>; rel="prev""#, None),
            ("a; rel=next", None),
            ("", None),
        ];
        assert_eq!(table.map(|(header, _)| (header, next_page(header))), table);
    }
}
