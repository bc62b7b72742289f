use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use serde_json::json;
use stockade_policy::images::RegistrySettings;

use super::manifest::Descriptor;
use super::*;
use crate::fake::{Answer, FakeRegistry, Fault as Broken, Seen, descriptor, digest};

mod auth;
mod faults;

const MANIFEST: &str = r#"{"config":{"mediaType":"c","digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":2}}"#;

/// The repository `app` of a fake registry, as nobody.
fn app(client: &RegistryClient, registry: &FakeRegistry) -> Repository {
    client.repository(&registry.host(), "app", Some(&registry.settings()), Credential::Nobody).unwrap()
}

fn blob_of(content: &[u8]) -> Descriptor {
    Descriptor {
        media_type: "b".into(),
        digest: digest(content),
        size: content.len() as u64,
        annotations: Default::default(),
        platform: None,
    }
}

fn index(manifests: &[&str]) -> String {
    let all: Vec<_> = manifests.iter().map(|m| descriptor("m", m)).collect();
    json!({"manifests": all}).to_string()
}

fn digests(found: &[Descriptor]) -> Vec<Digest> {
    found.iter().map(|d| d.digest.clone()).collect()
}

#[tokio::test]
async fn a_tag_means_the_digest_of_what_came() {
    let registry = FakeRegistry::start(|seen| match seen.target.as_str() {
        "/v2/app/manifests/1" => Answer::ok(MANIFEST),
        "/v2/app/manifests/2" => Answer::ok(MANIFEST).header("docker-content-digest", digest(MANIFEST).to_string()),
        "/v2/app/manifests/3" => Answer::ok(MANIFEST).header("docker-content-digest", digest("other").to_string()),
        "/v2/app/manifests/4" => Answer::ok(MANIFEST).header("docker-content-digest", "sha256:12"),
        _ => Answer::status(404),
    })
    .await;
    let client = RegistryClient::new();
    let app = app(&client, &registry);
    let sound = Fetched { digest: digest(MANIFEST), content: MANIFEST.as_bytes().into() };
    assert_eq!(client.tagged(&app, "1").await, Ok(sound.clone()));
    assert_eq!(client.tagged(&app, "2").await, Ok(sound));
    for tag in ["3", "4"] {
        let error = client.tagged(&app, tag).await.unwrap_err();
        assert!(matches!(error, RegistryError::Hostile { fault: Fault::WrongHeader, .. }), "{error}");
    }
    assert_eq!(client.peek(&app, "1").await, Ok(None));
    assert_eq!(client.peek(&app, "2").await, Ok(Some(digest(MANIFEST))));
    assert!(matches!(client.tagged(&app, "5").await, Err(RegistryError::NotFound { .. })));
    let asked = registry.seen();
    assert_eq!(asked[0].headers["accept"], manifest::ACCEPT);
    assert_eq!(asked[0].headers["accept-encoding"], "identity");
    assert!(!asked[0].headers.contains_key("authorization"));
}

#[tokio::test]
async fn content_has_the_digest_and_size_that_it_was_asked_for_by() {
    let (good, other) = (b"good".as_slice(), b"evil".as_slice());
    let (right, wrong) = (digest(good), digest("wanted"));
    let paths = [format!("/v2/app/blobs/{right}"), format!("/v2/app/manifests/{right}")];
    let registry = FakeRegistry::start(
        move |seen| {
            if paths.contains(&seen.target) { Answer::ok(good) } else { Answer::ok(other) }
        },
    )
    .await;
    let client = RegistryClient::new();
    let app = app(&client, &registry);
    assert_eq!(client.manifest(&app, &right).await.as_deref(), Ok(good));
    assert_eq!(client.blob(&app, &blob_of(good), 10).await.as_deref(), Ok(good));
    let fault = |result: Result<Arc<[u8]>, RegistryError>| match result {
        Err(RegistryError::Hostile { fault, .. }) => fault,
        other => panic!("{other:?}"),
    };
    let replaced = Fault::WrongDigest { wanted: wrong.clone(), found: digest(other) };
    assert_eq!(fault(client.manifest(&app, &wrong).await), replaced);
    let long = Descriptor { size: 5, ..blob_of(good) };
    assert_eq!(fault(client.blob(&app, &long, 10).await), Fault::WrongSize { wanted: 5, found: 4 });
    let before = registry.seen().len();
    assert_eq!(fault(client.blob(&app, &long, 3).await), Fault::TooLarge { limit: 3 });
    assert_eq!(registry.seen().len(), before, "what is too large by its descriptor is not asked for");
}

#[tokio::test]
async fn referrers_come_from_the_api_and_the_fallback_tag_each_once() {
    let subject = digest("image");
    let api = format!("/v2/app/referrers/{subject}");
    let tag = format!("/v2/app/manifests/sha256-{}", subject.hex());
    let last = format!("{api}?last=1");
    let registry = {
        let (api, tag, last) = (api.clone(), tag.clone(), last.clone());
        FakeRegistry::start(move |seen| match &seen.target {
            t if *t == api => Answer::ok(index(&["a"])).header("link", format!(r#"<{last}>; rel="next""#)),
            t if *t == last => Answer::ok(index(&["b"])),
            t if *t == tag => Answer::ok(index(&["b", "c"])),
            _ => Answer::status(404),
        })
        .await
    };
    let client = RegistryClient::new();
    let found = client.referrers(&app(&client, &registry), &subject).await.unwrap();
    assert_eq!(digests(&found), [digest("a"), digest("b"), digest("c")]);
    let mut lines = registry.lines();
    lines.sort();
    let mut wanted = [format!("GET {api}"), format!("GET {last}"), format!("GET {tag}")];
    wanted.sort();
    assert_eq!(lines, wanted);
}

/// Statuses of the API and of the fallback tag, and what they mean together.
#[tokio::test]
async fn no_referrers_is_what_both_say_and_nothing_else() {
    let table = [
        (200, 404, "[]"),
        (404, 404, "[]"),
        (405, 404, "[]"),
        (501, 404, "[]"),
        (400, 404, "[]"),
        (406, 404, "[]"),
        (404, 200, "[]"),
        (401, 404, "unauthorized"),
        (403, 404, "unauthorized"),
        (404, 401, "unauthorized"),
        (404, 403, "unauthorized"),
        (404, 405, "unavailable"),
        (410, 404, "unavailable"),
        (418, 404, "unavailable"),
        (204, 404, "unavailable"),
        (500, 404, "unavailable"),
        (404, 503, "unavailable"),
        (429, 404, "unavailable"),
    ];
    let client = RegistryClient::new();
    let subject = digest("image");
    let answers = table.map(|(api, tag, _)| async move {
        let registry =
            FakeRegistry::start(move |seen| match if seen.target.contains("referrers") { api } else { tag } {
                200 => Answer::ok(r#"{"manifests":[]}"#),
                status => Answer::status(status).header("retry-after", "60"),
            })
            .await;
        (registry, api, tag)
    });
    for (answer, (_, _, wanted)) in answers.into_iter().zip(table) {
        let (registry, api, tag) = answer.await;
        let got = client.referrers(&app(&client, &registry), &subject).await;
        let got = got.map_or_else(|e| e.name().to_owned(), |found| format!("{found:?}"));
        assert_eq!(got, wanted, "API {api}, fallback tag {tag}");
    }
}

#[tokio::test]
async fn lists_of_referrers_end() {
    let fault = async |answer: fn(&Seen) -> Answer| {
        let registry = FakeRegistry::start(answer).await;
        let client = RegistryClient::new();
        match client.referrers(&app(&client, &registry), &digest("image")).await {
            Err(RegistryError::Hostile { fault, .. }) => (fault, registry.seen().len()),
            other => panic!("{other:?}"),
        }
    };
    let endless = fault(|seen| {
        let (path, page) = seen.target.split_once('?').unwrap_or((&seen.target, "0"));
        let next = format!("{path}?{}", page.parse::<u32>().unwrap() + 1);
        Answer::ok(index(&[])).header("link", format!("<{next}>; rel=next"))
    });
    assert_eq!(endless.await, (Fault::Pages { limit: MAX_PAGES }, MAX_PAGES + 1));
    let elsewhere = fault(|_| Answer::ok(index(&[])).header("link", "<http://10.0.0.1/v2/>; rel=next"));
    assert_eq!(elsewhere.await, (Fault::Pages { limit: MAX_PAGES }, 2));
    let many = fault(|_| {
        let names: Vec<String> = (0..=MAX_REFERRERS).map(|i| i.to_string()).collect();
        Answer::ok(index(&names.iter().map(String::as_str).collect::<Vec<_>>()))
    });
    assert_eq!(many.await.0, Fault::TooMany { limit: MAX_REFERRERS, of: "referrers" });
}

#[test]
fn names_are_segments_of_a_url_and_nothing_more() {
    let client = RegistryClient::new();
    let url = |host: &str, settings: Option<&RegistrySettings>, path: &[&str]| {
        client.repository(host, "team/app", settings, Credential::Nobody).unwrap().url(path).to_string()
    };
    assert_eq!(url("docker.io", None, &["manifests", "1"]), "https://registry-1.docker.io/v2/team/app/manifests/1");
    assert_eq!(url("[::1]:5000", None, &["tags"]), "https://[::1]:5000/v2/team/app/tags");
    assert_eq!(
        url("a.example", None, &["manifests", "a?b#c/.."]),
        "https://a.example/v2/team/app/manifests/a%3Fb%23c%2F.."
    );
    let plain = RegistrySettings {
        host: "a.example".into(),
        mirrors: vec![],
        ca_bundle: None,
        plain_http: true,
        allow_private_addresses: false,
    };
    assert_eq!(url("a.example", Some(&plain), &["x"]), "http://a.example/v2/team/app/x");
    let error = client.repository("a b", "app", None, Credential::Nobody).unwrap_err();
    assert_eq!(error.to_string(), "a b: is no host");
}
