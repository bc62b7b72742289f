//! What is fetched once, for whom, and until when.

use super::*;

const HALF_A_MINUTE: Duration = Duration::from_secs(31);

#[tokio::test]
async fn what_was_gathered_is_known_without_asking_again() {
    let (shelf, key) = (Shelf::default(), Key::new());
    let image = shelf.image("1", "");
    shelf.sign(&key, &image);
    let registry = shelf.registry().await;
    let (images, wanted) = (images(), wanted(&registry, ":1", &[&key.authority()]));
    assert!(images.evidence(&wanted).is_none());
    assert_eq!(signed(&*gathered(&images, &wanted).await), "verified");
    let asked = registry.seen().len();
    assert_eq!(signed(&images.evidence(&wanted).unwrap()), "verified");
    assert_eq!(signed(&*gathered(&images, &wanted).await), "verified");
    let by_digest = Wanted { reference: wanted.reference.with_digest(&image).unwrap(), ..wanted.clone() };
    assert_eq!(signed(&*gathered(&images, &by_digest).await), "verified");
    assert_eq!(registry.seen().len(), asked);
    assert!(images.evidence(&Wanted { details: true, ..wanted }).is_none(), "other wishes have other evidence");
}

#[tokio::test]
async fn two_hundred_at_once_from_as_many_namespaces_cause_one_fetch() {
    let (shelf, key) = (Shelf::default(), Key::new());
    let image = shelf.image("1", "");
    shelf.sign(&key, &image);
    let registry = shelf.registry().await;
    let (images, wanted) = (images(), wanted(&registry, ":1", &[&key.authority()]));
    let all = (0..200).map(|i| {
        let (images, credentials) = (images.clone(), in_namespace(&format!("ns-{i}")));
        let wanted = Wanted { credentials, ..wanted.clone() };
        tokio::spawn(async move { signed(&*gathered(&images, &wanted).await) })
    });
    for result in futures_util::future::join_all(all).await {
        assert_eq!(result.unwrap(), "verified");
    }
    let mut lines = registry.lines();
    lines.sort();
    let digest = format!("sha256-{}", image.hex());
    let mut wanted = [
        "GET /v2/app/manifests/1".to_owned(),
        format!("GET /v2/app/referrers/{image}"),
        format!("GET /v2/app/manifests/{digest}"),
        format!("GET /v2/app/manifests/{digest}.sig"),
        format!("GET /v2/app/manifests/{digest}.att"),
        lines.iter().find(|l| l.contains("/blobs/")).unwrap().clone(),
    ];
    wanted.sort();
    assert_eq!(lines, wanted);
}

#[tokio::test]
async fn one_who_cannot_wait_is_told_so_and_the_work_goes_on() {
    let (shelf, key) = (Shelf::default(), Key::new());
    let image = shelf.image("1", "");
    shelf.sign(&key, &image);
    let (open, gate) = tokio::sync::watch::channel(false);
    let held = shelf.0.lock().unwrap()["/manifests/1"].clone();
    shelf.put("/manifests/1", Reply { gate: Some(gate), ..held });
    let registry = shelf.registry().await;
    let (images, wanted) = (images(), wanted(&registry, ":1", &[&key.authority()]));
    let evidence = images.gather(vec![wanted.clone()], Instant::now() + Duration::from_millis(50)).await.remove(0);
    let late = "unfinished: the registry did not tell within the time of the request; it is still being asked";
    assert_eq!(signed(&evidence), late);
    assert!(matches!(evidence.digest, Resolved::Unavailable(_)));
    assert!(images.evidence(&wanted).is_none(), "nothing is known, and whoever comes next waits for it");
    // Another one is cancelled altogether.
    let cancelled = gathered(&images, &wanted);
    assert!(tokio::time::timeout(Duration::from_millis(20), cancelled).await.is_err());
    open.send(true).unwrap();
    let is_known = async {
        while images.evidence(&wanted).is_none() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), is_known).await.unwrap();
    assert_eq!(signed(&images.evidence(&wanted).unwrap()), "verified");
    assert_eq!(registry.lines().iter().filter(|l| l.ends_with("/manifests/1")).count(), 1);
}

#[tokio::test]
async fn who_signs_later_is_seen_within_half_a_minute() {
    let (shelf, key) = (Shelf::default(), Key::new());
    let image = shelf.image("1", "");
    let registry = shelf.registry().await;
    let images = images();
    let mut wanted = wanted(&registry, "", &[&key.authority()]);
    wanted.reference = ImageReference::parse(&format!("{}/app@{image}", registry.host())).unwrap();
    assert_eq!(signed(&*gathered(&images, &wanted).await), "not signed: ");
    shelf.sign(&key, &image);
    assert_eq!(signed(&*gathered(&images, &wanted).await), "not signed: ");
    // A key that nobody has asked for yet has no verdict, and looks at the listing of a moment ago.
    pass(HALF_A_MINUTE).await;
    assert!(images.evidence(&wanted).is_none());
    assert_eq!(signed(&*gathered(&images, &wanted).await), "verified");
}

#[tokio::test]
async fn a_tag_that_moves_is_followed_and_one_that_stays_costs_no_pull() {
    let shelf = Shelf::default();
    let first = shelf.image("1", "first");
    let registry = shelf.registry().await;
    let (images, wanted) = (images(), wanted(&registry, ":1", &[]));
    assert_eq!(gathered(&images, &wanted).await.digest, Resolved::Known(first.clone()));
    pass(HALF_A_MINUTE).await;
    assert_eq!(gathered(&images, &wanted).await.digest, Resolved::Known(first));
    let second = shelf.image("1", "second");
    pass(HALF_A_MINUTE).await;
    assert_eq!(gathered(&images, &wanted).await.digest, Resolved::Known(second));
    let (get, head) = ("GET /v2/app/manifests/1", "HEAD /v2/app/manifests/1");
    assert_eq!(registry.lines(), [get, head, head, get]);
}

#[tokio::test]
async fn an_outage_is_looked_at_again_soon_and_a_refusal_later() {
    let (shelf, key) = (Shelf::default(), Key::new());
    let image = shelf.image("1", "");
    shelf.sign(&key, &image);
    shelf.put(format!("/referrers/{image}"), Reply::status(418));
    let registry = shelf.registry().await;
    let (images, wanted) = (images(), wanted(&registry, ":1", &[&key.authority()]));
    assert!(signed(&*gathered(&images, &wanted).await).starts_with("unavailable: "));
    shelf.put(format!("/referrers/{image}"), Reply::status(404));
    pass(Duration::from_millis(1_100)).await;
    assert!(images.evidence(&wanted).is_none());
    assert_eq!(signed(&*gathered(&images, &wanted).await), "verified");
}

/// A registry that tells what is on a shelf to whoever has a password.
async fn closed(shelf: &Shelf) -> FakeRegistry {
    let shelf = shelf.clone();
    FakeRegistry::start(move |seen| match seen.headers.contains_key("authorization") {
        true => shelf.answer(seen),
        false => Reply::status(401).header("www-authenticate", "Basic realm=x"),
    })
    .await
}

#[tokio::test]
async fn who_may_not_pull_an_image_learns_nothing_of_it() {
    let (shelf, key) = (Shelf::default(), Key::new());
    let image = shelf.image("1", "");
    shelf.sign(&key, &image);
    let registry = closed(&shelf).await;
    let secret = format!(r#"{{"auths": {{"{}": {{"auth": "bWU6MQ=="}}}}}}"#, registry.host());
    let images = with_credentials(Secrets([("shop", secret)].into()));
    for reference in [":1".to_owned(), format!("@{image}")] {
        let mine = wanted(&registry, &reference, &[&key.authority()]);
        assert_eq!(signed(&*gathered(&images, &mine).await), "verified");
        let other = Wanted { credentials: in_namespace("other"), ..mine };
        let evidence = gathered(&images, &other).await;
        let words = signed(&evidence);
        assert!(words.starts_with("unauthorized: ") && words.contains("answered 401 and no credentials"), "{words}");
        assert!(matches!(evidence.digest, Resolved::Unavailable(_)));
    }
}

/// A mirror gives the image to everybody; signatures are at the registry, which tells them to one tenant alone.
#[tokio::test]
async fn what_one_may_not_see_is_told_to_nobody_else() {
    let (shelf, key) = (Shelf::default(), Key::new());
    let image = shelf.image("1", "");
    let unsigned = Shelf(Arc::new(Mutex::new(shelf.0.lock().unwrap().clone())));
    let mirror = unsigned.registry().await;
    shelf.sign(&key, &image);
    let registry = closed(&shelf).await;
    let settings = RegistrySettings { mirrors: vec![mirror.host().into()], ..registry.settings() };
    let secret = format!(r#"{{"auths": {{"{}": {{"auth": "bWU6MQ=="}}}}}}"#, registry.host());
    let images = with_credentials(Secrets([("shop", secret)].into()));
    let mine = Wanted { registry: Some(Arc::new(settings)), ..wanted(&registry, ":1", &[&key.authority()]) };
    let other = Wanted { credentials: in_namespace("other"), ..mine.clone() };
    assert!(signed(&*gathered(&images, &other).await).starts_with("unauthorized: "));
    assert_eq!(signed(&*gathered(&images, &mine).await), "verified");
}

#[tokio::test]
async fn an_image_that_has_more_than_can_be_remembered_has_an_answer() {
    let shelf = Shelf::default();
    let platforms: Vec<Digest> = (0..32)
        .map(|number| {
            let labels = json!({"Labels": {"long": "x".repeat(300 << 10)}, "User": number.to_string()});
            let config = shelf.blob(&json!({"os": "linux", "architecture": "amd64", "config": labels}).to_string());
            shelf.manifest(&number.to_string(), &json!({"config": config, "layers": []}))
        })
        .collect();
    let all: Vec<(&str, &Digest)> = platforms.iter().map(|digest| ("amd64", digest)).collect();
    shelf.index("1", &all);
    let registry = shelf.registry().await;
    let evidence = gathered(&images(), &Wanted { details: true, ..wanted(&registry, ":1", &[]) }).await;
    let Some(Answer::Invalid(why)) = &evidence.details else { panic!("{:?}", evidence.details.is_some()) };
    assert!(why.starts_with("its statements and configurations have more than "), "{why}");
}

#[tokio::test]
async fn a_key_in_a_secret_that_cannot_be_read_is_unavailable_and_a_broken_one_invalid() {
    let shelf = Shelf::default();
    shelf.image("1", "");
    let registry = shelf.registry().await;
    let authority = |source| {
        let key = KeyAuthority { source, hash: HashAlgorithm::Sha256 };
        let no = Need::NotRequired;
        Arc::new(Authority::new("key".into(), AuthorityKind::Key(key), no, no, TrustedRoot::PublicGood))
    };
    let member = stockade_policy::images::authority::MemberRef { name: "keys".into(), key: "a".into() };
    let (missing, broken) = (authority(KeySource::Secret(member)), authority(KeySource::Inline("no key".into())));
    let evidence = gathered(&images(), &wanted(&registry, ":1", &[&missing, &broken])).await;
    assert_eq!(words(&evidence.signatures[0].1), "unavailable: Secret keys is not read: there is no cluster");
    assert!(words(&evidence.signatures[1].1).starts_with("invalid: nobody can be verified: key: "));
}

#[tokio::test]
async fn what_is_counted_has_bounded_labels() {
    let shelf = Shelf::default();
    shelf.image("1", "");
    let registry = shelf.registry().await;
    let mut metrics = prometheus_client::registry::Registry::default();
    let images = Images::new(Vec::new(), Arc::new(NoCluster), &mut metrics);
    gathered(&images, &wanted(&registry, ":1", &[&Key::new().authority()])).await;
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &metrics).unwrap();
    let has = |line: &str| assert!(text.contains(line), "{line} is not in\n{text}");
    has("stockade_image_verdicts_total{sought=\"signature\",answer=\"not_signed\"} 1");
    has("stockade_image_registry_requests_total{outcome=\"not_found\"} 2");
    has("stockade_image_registry_requests_total{outcome=\"ok\"} 2");
    has("stockade_image_cache_lookups_total{cache=\"references\",result=\"miss\"} 1");
    has("stockade_image_gather_duration_seconds_count 1");
    assert!(!text.contains(&registry.host()));
}
