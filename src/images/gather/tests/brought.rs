//! What whoever makes a Pod brings, and cannot bring about by it: a policy may let pass what is unavailable.

use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::BoxFuture;

use super::*;
use crate::credentials::MAX_TRIED;

/// The pull secrets of every Pod.
struct PullSecrets(Result<Vec<String>, NoCredentials>);

impl CredentialSource for PullSecrets {
    fn docker_configs<'a>(
        &'a self,
        _asked: &'a Credentials,
    ) -> BoxFuture<'a, Result<Vec<Arc<DockerConfig>>, NoCredentials>> {
        let config = |json: &String| Arc::new(DockerConfig::of_secret(json.as_bytes()).unwrap());
        Box::pin(async move { self.0.as_ref().map(|all| all.iter().map(config).collect()).map_err(Clone::clone) })
    }
}

fn header(user: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:1")))
}

/// With a password of each of these users.
fn with_users(registry: &FakeRegistry, users: &[&str]) -> Images {
    let secret =
        |user: &&str| json!({"auths": {registry.host(): {"auth": STANDARD.encode(format!("{user}:1"))}}}).to_string();
    let secrets = PullSecrets(Ok(users.iter().map(secret).collect()));
    Images::new(vec![Arc::new(secrets)], Arc::new(NoCluster), &mut Default::default())
}

/// A signed image at a registry that wants a password and answers each user as `to` says; and the key that signed.
async fn closed(to: impl Fn(&str, &Seen) -> Option<Reply> + Send + Sync + 'static) -> (FakeRegistry, Arc<Authority>) {
    let (shelf, key) = (Shelf::default(), Key::new());
    let image = shelf.image("1", "");
    shelf.sign(&key, &image);
    let registry = FakeRegistry::start(move |seen| {
        let challenge = || Reply::status(401).header("www-authenticate", "Basic realm=x");
        let Some(shown) = seen.headers.get("authorization") else {
            return to("nobody", seen).unwrap_or_else(challenge);
        };
        let user = STANDARD.decode(shown.strip_prefix("Basic ").unwrap()).unwrap();
        let user = String::from_utf8(user).unwrap();
        match to(user.strip_suffix(":1").unwrap(), seen) {
            Some(answer) => answer,
            None if *shown == header("good") => shelf.answer(seen),
            None => challenge(),
        }
    });
    (registry.await, key.authority())
}

async fn told(images: &Images, registry: &FakeRegistry, authority: &Arc<Authority>) -> String {
    signed(&*gathered(images, &wanted(registry, ":1", &[authority])).await).replace(&registry.host(), "HOST")
}

#[tokio::test]
async fn useless_pull_secrets_make_nothing_unavailable() {
    let (registry, authority) = closed(|_, _| None).await;
    let words = told(&with_users(&registry, &["bad", "worse"]), &registry, &authority).await;
    let wanted = "unauthorized: GET http://HOST/v2/app/manifests/1: answered 401 to the credentials that were found; do they \
                  allow a pull of this repository?";
    assert_eq!(words, wanted);
}

#[tokio::test]
async fn the_good_pull_secret_is_found_among_useless_ones_and_the_rest_told() {
    let (registry, authority) = closed(|_, _| None).await;
    let mut users = vec!["bad"; MAX_TRIED - 1];
    let names: Vec<String> = (0..MAX_TRIED).map(|n| format!("bad-{n}")).collect();
    users.iter_mut().zip(&names).for_each(|(user, name)| *user = name);
    users.push("good");
    assert_eq!(told(&with_users(&registry, &users), &registry, &authority).await, "verified");
    users.insert(0, names.last().unwrap());
    let words = told(&with_users(&registry, &users), &registry, &authority).await;
    assert!(
        words.starts_with("unauthorized: ") && words.ends_with("; of all credentials for it the first 8 were tried"),
        "{words}"
    );
}

/// Such as those of an account that has used up what it may pull, or one of which a proxy makes a 400.
#[tokio::test]
async fn what_is_answered_to_a_pull_secret_alone_is_no_outage() {
    type Part = fn(&Seen) -> bool;
    let parts: [(&str, Part); 3] = [
        ("image", |seen| seen.target.ends_with("/manifests/1")),
        ("list", |seen| seen.target.ends_with(".sig")),
        ("signature", |seen| seen.target.contains("/blobs/")),
    ];
    for (name, is_part) in parts {
        for (status, user, answer) in [
            (429, "good", "unauthorized: "),
            (400, "good", "unauthorized: "),
            (500, "good", "unauthorized: "),
            (503, "everybody", "unavailable: "),
            (429, "everybody", "unavailable: "),
        ] {
            let (registry, authority) = closed(move |who, seen| {
                let is_turned_away = is_part(seen) && (user == "everybody" || who == user);
                is_turned_away.then(|| Reply::status(status).header("retry-after", "60"))
            })
            .await;
            let words = told(&with_users(&registry, &["good"]), &registry, &authority).await;
            assert!(words.starts_with(answer), "{name} {status} to {user}: {words}");
            let is_told = words.ends_with("; it answers who asks without the pull secrets of the Pod");
            assert_eq!(is_told, user == "good", "{words}");
        }
    }
}

/// It turned somebody away a moment ago, and turns nobody away now.
#[tokio::test]
async fn a_registry_that_goes_away_is_an_outage_whatever_it_told_others_before() {
    let is_away = Arc::new(AtomicBool::new(false));
    let away = Arc::clone(&is_away);
    let (registry, authority) =
        closed(move |_, _| away.load(Ordering::SeqCst).then(|| Reply::status(503).header("retry-after", "60"))).await;
    let secret = json!({"auths": {registry.host(): {"auth": STANDARD.encode("good:1")}}}).to_string();
    let images = with_credentials(Secrets([("shop", secret)].into()));
    let mine = wanted(&registry, ":1", &[&authority]);
    let other = Wanted { credentials: in_namespace("other"), ..mine.clone() };
    assert!(signed(&*gathered(&images, &other).await).starts_with("unauthorized: "));
    is_away.store(true, Ordering::SeqCst);
    let words = signed(&*gathered(&images, &mine).await).replace(&registry.host(), "HOST");
    assert_eq!(words, "unavailable: GET http://HOST/v2/app/manifests/1: answered 503");
}

#[tokio::test]
async fn an_image_of_all_the_world_needs_no_good_pull_secret() {
    let (shelf, key) = (Shelf::default(), Key::new());
    let image = shelf.image("1", "");
    shelf.sign(&key, &image);
    let registry = FakeRegistry::start(move |seen| match seen.headers.contains_key("authorization") {
        true => Reply::status(401),
        false => shelf.answer(seen),
    })
    .await;
    assert_eq!(told(&with_users(&registry, &["bad"]), &registry, &key.authority()).await, "verified");
}

#[tokio::test]
async fn pull_secrets_that_cannot_be_read_make_nothing_unavailable() {
    let (registry, authority) = closed(|_, _| None).await;
    let why = NoCredentials::Unreadable { of: "Secret shop/pull".into(), why: "it is no Docker configuration".into() };
    let images = Images::new(vec![Arc::new(PullSecrets(Err(why)))], Arc::new(NoCluster), &mut Default::default());
    let words = told(&images, &registry, &authority).await;
    let wanted =
        "unauthorized: the Docker configuration Secret shop/pull could not be read: it is no Docker configuration";
    assert_eq!(words, wanted);
    assert_eq!(registry.seen(), []);
}
