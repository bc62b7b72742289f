//! What registries are shown, and where tokens come from.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::*;

fn password() -> Credential {
    Credential::Password { username: "me".into(), password: "p:w".into() }
}

fn basic() -> String {
    format!("Basic {}", STANDARD.encode("me:p:w"))
}

fn shown(seen: &Seen) -> Option<&str> {
    seen.headers.get("authorization").map(String::as_str)
}

/// A registry whose token service, on the same host, gives `token-N` to whom `gives` likes.
async fn with_tokens(gives: impl Fn(&Seen) -> Answer + Send + Sync + 'static) -> FakeRegistry {
    FakeRegistry::start(move |seen| {
        let host = &seen.headers["host"];
        match shown(seen) {
            _ if seen.target.starts_with("/token") => gives(seen),
            Some("Bearer good") => Answer::ok(MANIFEST),
            _ => {
                let challenge =
                    format!(r#"Bearer realm="http://{host}/token",service="reg",scope="repository:*:push,delete""#);
                Answer::status(401).header("www-authenticate", challenge)
            }
        }
    })
    .await
}

fn as_whom(client: &RegistryClient, registry: &FakeRegistry, credential: Credential) -> Repository {
    client.repository(&registry.host(), "team/app", Some(&registry.settings()), credential).unwrap()
}

#[tokio::test]
async fn a_token_is_asked_for_once_for_pulling_from_this_repository_only() {
    let registry = with_tokens(|_| Answer::ok(r#"{"token":"good","expires_in":300}"#)).await;
    let client = RegistryClient::new();
    let of = as_whom(&client, &registry, Credential::Nobody);
    assert!(client.tagged(&of, "1").await.is_ok());
    assert!(client.tagged(&of, "2").await.is_ok());
    let token = "GET /token?scope=repository%3Ateam%2Fapp%3Apull&service=reg";
    let (first, second) = ("GET /v2/team/app/manifests/1", "GET /v2/team/app/manifests/2");
    assert_eq!(registry.lines(), [first, token, first, second]);
    assert_eq!(shown(&registry.seen()[1]), None);
}

#[tokio::test]
async fn many_at_once_ask_for_one_token() {
    let registry = with_tokens(|_| Answer::ok(r#"{"access_token":"good"}"#)).await;
    let client = RegistryClient::new();
    let of = as_whom(&client, &registry, password());
    let all = futures_util::future::join_all((0..8).map(|_| client.tagged(&of, "1"))).await;
    assert!(all.iter().all(Result::is_ok));
    let tokens: Vec<Seen> = registry.seen().into_iter().filter(|s| s.target.starts_with("/token")).collect();
    assert_eq!(tokens.iter().map(shown).collect::<Vec<_>>(), [Some(basic().as_str())]);
}

#[tokio::test]
async fn what_one_may_see_is_not_shown_to_another() {
    let registry = with_tokens(|seen| match shown(seen) {
        Some(_) => Answer::ok(r#"{"token":"good"}"#),
        None => Answer::ok(r#"{"token":"weak"}"#),
    })
    .await;
    let client = RegistryClient::new();
    assert!(client.tagged(&as_whom(&client, &registry, password()), "1").await.is_ok());
    let nobody = client.tagged(&as_whom(&client, &registry, Credential::Nobody), "1").await;
    assert!(
        matches!(nobody, Err(RegistryError::Unauthorized { status: 401, with_credentials: false, .. })),
        "{nobody:?}"
    );
}

#[tokio::test]
async fn an_identity_token_is_exchanged_and_a_registry_token_shown() {
    let registry = with_tokens(|seen| match (seen.method.as_str(), seen.body.contains("refresh_token=ident%2B1")) {
        ("POST", true) => Answer::ok(r#"{"access_token":"good"}"#),
        _ => Answer::status(400),
    })
    .await;
    let client = RegistryClient::new();
    let identity = Credential::IdentityToken("ident+1".into());
    assert!(client.tagged(&as_whom(&client, &registry, identity), "1").await.is_ok());
    assert!(client.tagged(&as_whom(&client, &registry, Credential::RegistryToken("good".into())), "1").await.is_ok());
    let wrong = Credential::IdentityToken("other".into());
    let error = client.tagged(&as_whom(&client, &registry, wrong), "1").await.unwrap_err();
    let words = error.to_string().replace(&registry.host(), "HOST");
    let wanted = "POST http://HOST/token: answered 400 to the credentials that were found; do they allow a pull of this repository?";
    assert_eq!(words, wanted);
}

#[tokio::test]
async fn a_password_is_shown_where_the_registry_wants_it_and_not_before() {
    let registry = FakeRegistry::start(|seen| match shown(seen) {
        Some(header) if header == basic() => Answer::ok(MANIFEST),
        _ => Answer::status(401).header("www-authenticate", "Basic realm=x"),
    })
    .await;
    let client = RegistryClient::new();
    assert!(client.tagged(&as_whom(&client, &registry, password()), "1").await.is_ok());
    let seen = registry.seen();
    assert_eq!(seen.iter().map(shown).collect::<Vec<_>>(), [None, Some(basic().as_str())]);
    for credential in [Credential::Nobody, Credential::RegistryToken("t".into())] {
        let result = client.tagged(&as_whom(&client, &registry, credential), "1").await;
        assert!(matches!(result, Err(RegistryError::Unauthorized { status: 401, .. })), "{result:?}");
    }
}

#[tokio::test]
async fn a_token_service_that_fails_is_no_statement_about_the_image() {
    let table = [
        (Answer::status(404), "unavailable"),
        (Answer::status(500).header("retry-after", "60"), "unavailable"),
        (Answer::status(401), "unauthorized"),
        (Answer::ok("{}"), "hostile"),
        (Answer::ok(vec![b' '; 1 << 20]), "hostile"),
    ];
    for (answer, wanted) in table {
        let registry = with_tokens(move |_| answer.clone()).await;
        let client = RegistryClient::new();
        let result = client.tagged(&as_whom(&client, &registry, Credential::Nobody), "1").await;
        assert_eq!(result.unwrap_err().name(), wanted);
    }
}

#[tokio::test]
async fn credentials_do_not_go_where_a_realm_must_not_lead() {
    let realms = ["http://169.254.169.254/token", "file:///etc/passwd", "http://a:b@registry.example/", "no-url"];
    for realm in realms {
        let challenge = format!(r#"Bearer realm="{realm}""#);
        let registry =
            FakeRegistry::start(move |_| Answer::status(401).header("www-authenticate", challenge.clone())).await;
        let client = RegistryClient::new();
        let error = client.tagged(&as_whom(&client, &registry, password()), "1").await.unwrap_err();
        assert_eq!((error.name(), registry.seen().len()), ("hostile", 1), "{error}");
    }
}

#[tokio::test]
async fn a_token_that_is_no_longer_good_is_replaced() {
    let count = Arc::new(AtomicU32::new(0));
    let registry = {
        let count = count.clone();
        FakeRegistry::start(move |seen| {
            let challenge = format!(r#"Bearer realm="http://{}/token""#, seen.headers["host"]);
            let current = format!("Bearer {}", count.load(Relaxed));
            match shown(seen) {
                _ if seen.target.starts_with("/token") => {
                    Answer::ok(format!(r#"{{"token":"{}"}}"#, count.fetch_add(1, Relaxed) + 1))
                }
                // Each token is good for one request.
                Some(header) if header == current && !seen.target.ends_with("/2") => Answer::ok(MANIFEST),
                Some(header) if header == current && count.load(Relaxed) == 2 => Answer::ok(MANIFEST),
                _ => Answer::status(401).header("www-authenticate", challenge),
            }
        })
        .await
    };
    let client = RegistryClient::new();
    let of = as_whom(&client, &registry, Credential::Nobody);
    assert!(client.tagged(&of, "1").await.is_ok());
    assert!(client.tagged(&of, "2").await.is_ok());
    assert_eq!(count.load(Relaxed), 2);
}
