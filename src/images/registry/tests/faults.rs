//! What hostile and broken registries do, and the exact words that come of it.

use futures_util::FutureExt as _;

use super::*;
use crate::registry::addresses::{Class, Reach};
use crate::registry::transport::same_origin;

/// Tries of a request that was late: on a busy machine each may be, but not each time.
const MAX_TRIES: usize = 10;

/// The words of the error, with the registry's address left out.
async fn words(client: &RegistryClient, registry: &FakeRegistry, tag: &str) -> String {
    let error = client.tagged(&app(client, registry), tag).await.unwrap_err();
    format!("{}: {error}", error.name()).replace(&registry.host(), "HOST")
}

fn fault_of(seen: &Seen) -> Answer {
    let big = |n: usize| Answer::ok(vec![b' '; n]);
    match seen.target.rsplit('/').next().unwrap() {
        "hangs" => Answer::ok("").fault(Broken::Hang),
        "breaks" => Answer::ok("").fault(Broken::Reset),
        "hangs-in-body" => Answer::ok(MANIFEST).fault(Broken::HangInBody),
        "half" => Answer::ok(MANIFEST).fault(Broken::Cut),
        "limited" => Answer::status(429).header("retry-after", "3600"),
        "down" => Answer::status(503).header("retry-after", "60"),
        "always-500" => Answer::status(500),
        "huge" => big(MAX_MANIFEST_BYTES + 1),
        "endless" => Answer::ok("").fault(Broken::Endless(2 * MAX_MANIFEST_BYTES)),
        "compressed" => big(10).header("content-encoding", "gzip"),
        "no-manifest" => Answer::status(404),
        "forbidden" => Answer::status(403),
        "moved" => Answer::status(302).header("location", "http://169.254.169.254/latest/meta-data/?token=hunter2"),
        "moved-mapped" => Answer::status(307).header("location", "http://[::ffff:169.254.169.254]/"),
        "moved-decimal" => Answer::status(307).header("location", "http://2852039166/"),
        "moved-nowhere" => Answer::status(302),
        "moved-file" => Answer::status(302).header("location", "file:///etc/passwd"),
        "moved-password" => Answer::status(302).header("location", "http://a:b@registry.example/"),
        "moved-in-circles" => Answer::status(302).header("location", seen.target.clone()),
        "teapot" => Answer::status(418),
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn every_fault_has_its_answer_and_its_words() {
    let at = |tag: &str| format!("GET http://HOST/v2/app/manifests/{tag}");
    let table = [
        ("hangs", "unavailable", "no answer within 2500 ms"),
        ("hangs-in-body", "unavailable", "no answer within 2500 ms"),
        ("breaks", "unavailable", "no answer: connection closed before message completed"),
        ("half", "unavailable", "the answer was cut off: end of file before message length reached"),
        ("limited", "unavailable", "answered 429, too many requests; credentials or a mirror raise the limit"),
        ("down", "unavailable", "answered 503"),
        ("always-500", "unavailable", "answered 500"),
        ("teapot", "unavailable", "answered 418"),
        ("huge", "hostile", "the answer is larger than 4194304 bytes, which is the most that is read of it"),
        ("endless", "hostile", "the answer is larger than 4194304 bytes, which is the most that is read of it"),
        ("compressed", "hostile", "the answer is compressed, and was asked for as it is"),
        ("no-manifest", "not_found", "not found"),
        (
            "forbidden",
            "unauthorized",
            "answered 403 and no credentials were found; add a pull secret to the Pod or to its service account",
        ),
        ("moved-nowhere", "hostile", "a redirect leads nowhere"),
        ("moved-file", "hostile", "a redirect leads nowhere"),
        ("moved-password", "hostile", "a redirect leads nowhere"),
        ("moved-in-circles", "hostile", "more than 5 redirects"),
    ];
    let registry = FakeRegistry::start(fault_of).await;
    // One for all: making one takes a time in which no answer is read.
    let client = RegistryClient::new();
    let all = table.map(|(tag, kind, why)| {
        let (client, registry) = (&client, &registry);
        async move {
            let wanted = format!("{kind}: {}: {why}", at(tag));
            let mut got = words(client, registry, tag).await;
            for _ in 1..MAX_TRIES {
                if got != wanted && got.ends_with("no answer within 2500 ms") {
                    got = words(client, registry, tag).await;
                }
            }
            (got, wanted)
        }
    });
    for (got, wanted) in futures_util::future::join_all(all).await {
        assert_eq!(got, wanted);
    }
}

#[tokio::test]
async fn a_redirect_to_where_clouds_keep_secrets_is_never_followed() {
    let registry = FakeRegistry::start(fault_of).await;
    for tag in ["moved", "moved-mapped", "moved-decimal"] {
        let client = RegistryClient::new();
        let error = client.tagged(&app(&client, &registry), tag).await.unwrap_err();
        let is_address =
            matches!(&error, RegistryError::Hostile { fault: Fault::Address { class: Class::Metadata, .. }, .. });
        assert!(is_address, "{error}");
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
    assert_eq!(registry.seen().len(), 3);
}

#[tokio::test]
async fn loopback_is_asked_only_when_it_is_allowed() {
    let registry = FakeRegistry::start(|_| Answer::ok(MANIFEST)).await;
    let client = RegistryClient::new();
    let port = registry.address.port();
    let settings = RegistrySettings { allow_private_addresses: false, ..registry.settings() };
    for host in ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "[::1]", "0.0.0.0"] {
        let repository =
            client.repository(&format!("{host}:{port}"), "app", Some(&settings), Credential::Nobody).unwrap();
        let error = client.tagged(&repository, "1").await.unwrap_err();
        assert!(matches!(error, RegistryError::Hostile { fault: Fault::Address { .. }, .. }), "{host}: {error}");
    }
    assert_eq!(registry.seen(), []);
    assert!(client.tagged(&app(&client, &registry), "1").await.is_ok());
}

#[tokio::test]
async fn tls_is_spoken_unless_the_settings_say_otherwise() {
    let registry = FakeRegistry::start(|_| Answer::ok(MANIFEST)).await;
    let client = RegistryClient::new();
    let settings = RegistrySettings { plain_http: false, ..registry.settings() };
    let repository = client.repository(&registry.host(), "app", Some(&settings), Credential::Nobody).unwrap();
    let error = client.tagged(&repository, "1").await.unwrap_err();
    assert_eq!(error.name(), "unavailable", "{error}");
    assert_eq!(registry.seen(), []);
}

#[tokio::test]
async fn a_failure_that_passes_is_tried_once_more() {
    let count = Arc::new(AtomicU32::new(0));
    let registry = {
        let count = count.clone();
        FakeRegistry::start(move |_| match count.fetch_add(1, Relaxed) {
            0 => Answer::status(502),
            2 => Answer::ok("").fault(Broken::Reset),
            4 => Answer::status(429).header("retry-after", "0"),
            _ => Answer::ok(MANIFEST),
        })
        .await
    };
    let client = RegistryClient::new();
    for _ in 0..3 {
        assert!(client.tagged(&app(&client, &registry), "1").await.is_ok());
    }
    assert_eq!(count.load(Relaxed), 6);
}

#[tokio::test]
async fn a_registry_that_wants_to_be_left_alone_is_not_asked_again() {
    let registry = FakeRegistry::start(fault_of).await;
    let client = RegistryClient::new();
    let error = client.tagged(&app(&client, &registry), "limited").await.unwrap_err();
    assert_eq!(error.retry_after(), Some(std::time::Duration::from_secs(30)), "an hour is not believed");
    assert_eq!(registry.seen().len(), 1);
}

#[tokio::test]
async fn only_so_many_requests_go_to_one_registry_at_a_time_and_half_of_them_for_one_namespace() {
    let registry = FakeRegistry::start(|_| Answer::ok(MANIFEST)).await;
    let client = RegistryClient::new();
    let [a, b, c] = ["a", "b", "c"].map(Arc::<str>::from);
    let of = |tenant| app(&client, &registry).for_tenant(tenant);
    let permits = &of(&a).site.permits;
    let held_by_a = permits.take(&a, MAX_PARALLEL_OF_ONE).await;
    assert!(client.tagged(&of(&b), "1").await.is_ok(), "what another namespace asks for is in nobody's way");
    let held_by_b = permits.take(&b, MAX_PARALLEL_OF_ONE).await;
    let (of_a, of_c) = (of(&a), of(&c));
    let (one, other) = (client.tagged(&of_a, "1"), client.tagged(&of_c, "1"));
    tokio::pin!(one, other);
    assert!((&mut one).now_or_never().is_none() && (&mut other).now_or_never().is_none());
    drop(held_by_b);
    assert!(other.await.is_ok());
    assert!(one.as_mut().now_or_never().is_none());
    drop(held_by_a);
    assert!(one.await.is_ok());
    assert_eq!(registry.seen().len(), 3);
}

#[tokio::test]
async fn one_namespace_has_no_more_answers_in_hand_than_its_part() {
    let registry = FakeRegistry::start(|_| Answer::ok(MANIFEST)).await;
    let client = RegistryClient::new();
    let [a, b] = ["a", "b"].map(|tenant| app(&client, &registry).for_tenant(&tenant.into()));
    let _held = client.bodies.take(&"a".into(), usize::MAX).await;
    let crowded = client.tagged(&a, "1").await.unwrap_err();
    assert!(matches!(&crowded, RegistryError::Unavailable { outage: Outage::Crowded, .. }), "{crowded}");
    assert!(client.tagged(&b, "1").await.is_ok());
}

#[tokio::test]
async fn a_layer_is_never_asked_for_and_a_blob_is_never_unpacked() {
    // Ten bytes of gzip that would be a bomb stay ten bytes.
    let bomb = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    let registry = FakeRegistry::start(move |_| Answer::ok(bomb).header("content-type", "application/gzip")).await;
    let client = RegistryClient::new();
    assert_eq!(client.blob(&app(&client, &registry), &blob_of(&bomb), 10).await.as_deref(), Ok(bomb.as_slice()));
}

fn moved(to: &str) -> reqwest::Response {
    http::Response::builder().status(302).header("location", to).body("").unwrap().into()
}

/// What is shown where a redirect leads, and how far that may be.
#[test]
fn authorization_stays_with_its_host_and_tls_with_all() {
    let client = RegistryClient::new();
    let of = client.repository("registry.example", "app", None, Credential::Nobody).unwrap();
    let url = of.url(&["manifests", "1"]);
    let mut call = Call::get(url, "*/*", 10, of.site.reach());
    call.authorization = Some(http::HeaderValue::from_static("Bearer secret"));
    let follow = |to: &str| {
        let at = call.place();
        let next = of.site.redirected(&call, &moved(to), Reach::Public, &at);
        next.map(|c| (c.url.to_string(), c.authorization.is_some(), c.reach)).map_err(|e| e.to_string())
    };
    let store = "https://store.example/x?sig=y";
    let own = "https://registry.example/v2/x".to_owned();
    assert_eq!(follow(store), Ok((store.into(), false, Reach::Public)));
    assert_eq!(follow("/v2/x"), Ok((own.clone(), true, Reach::Private)));
    assert_eq!(follow("https://registry.example:443/v2/x"), Ok((own, true, Reach::Private)));
    assert_eq!(follow("https://registry.example:444/").map(|(_, shown, _)| shown), Ok(false));
    assert_eq!(
        follow("http://registry.example/x?sig=y"),
        Err("GET https://registry.example/v2/app/manifests/1: leads to GET http://registry.example/x, which is without TLS".into())
    );
    assert!(!same_origin(&"https://a.example".parse().unwrap(), &"https://a.example.evil".parse().unwrap()));
}
