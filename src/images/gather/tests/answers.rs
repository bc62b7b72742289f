//! Verified, not signed, invalid, unavailable: which is which, whatever a registry does.

use super::*;
use crate::fake::Fault;

#[tokio::test]
async fn what_the_key_signed_is_verified_with_its_statements_and_details() {
    let (shelf, key) = (Shelf::default(), Key::new());
    let image = shelf.image("1", "1000");
    shelf.sign(&key, &image);
    shelf.attest(&key, &image, "https://slsa.dev/provenance/v1");
    let registry = shelf.registry().await;
    let authority = key.authority();
    let mut wanted = wanted(&registry, ":1", &[&authority]);
    wanted.attestations = vec![
        ("https://slsa.dev/provenance/v1".into(), vec![authority.clone()]),
        ("https://spdx.dev/Document".into(), vec![authority.clone()]),
    ];
    wanted.details = true;
    let evidence = gathered(&images(), &wanted).await;
    assert_eq!(evidence.digest, Resolved::Known(image.clone()));
    let Answer::Verified(signers) = &evidence.signatures[0].1 else { panic!("{}", signed(&evidence)) };
    assert_eq!((signers.len(), signers[0].format), (1, "cosign"));
    let Answer::Verified(statements) = &evidence.attestations[0].2 else { panic!("{:?}", evidence.attestations[0].2) };
    let statement: Value = serde_json::from_str(&statements[0].json).unwrap();
    assert_eq!((statements.len(), &statement["predicate"]["ok"]), (1, &json!(true)));
    assert_eq!(words(&evidence.attestations[1].2), "not signed: ");
    let Some(Answer::Verified(platforms)) = &evidence.details else { panic!("{:?}", evidence.details) };
    let platform = &platforms[0];
    assert_eq!(
        (platform.os.as_str(), platform.architecture.as_str(), platform.user.as_str()),
        ("linux", "amd64", "1000")
    );
    assert_eq!((&platform.labels, &platform.entrypoint), (&vec![("a".into(), "b".into())], &vec!["/app".into()]));
    assert!(registry.lines().iter().all(|l| !l.contains(digest("layer").as_str())), "layers are never fetched");
}

/// What is done to a signed image, and what comes of it.
#[tokio::test]
async fn each_fault_has_its_answer() {
    type Harm = fn(&Shelf, &Key, &Digest);
    let table: [(&str, Harm, &str); 13] = [
        ("nothing", |_, _, _| {}, "verified"),
        ("no signature", |s, _, d| s.put(sig(d), Reply::status(404)), "not signed: "),
        (
            "another key",
            |s, _, d| s.sign(&Key::new(), d),
            "not signed: 1 found, by another key, or changed after it was signed",
        ),
        ("for another image", |s, k, d| s.sign_as(k, d, &digest("other")), "invalid: "),
        ("forbidden", |s, _, d| s.put(sig(d), Reply::status(403)), "unauthorized: "),
        ("unauthorized list", |s, _, d| s.put(format!("/referrers/{d}"), Reply::status(401)), "unauthorized: "),
        ("list fails", |s, _, d| s.put(format!("/referrers/{d}"), Reply::status(500)), "unavailable: "),
        (
            "fallback fails",
            |s, _, d| s.put(format!("/manifests/sha256-{}", d.hex()), Reply::status(502)),
            "unavailable: ",
        ),
        ("limited", |s, _, d| s.put(sig(d), Reply::status(429).header("retry-after", "60")), "unavailable: "),
        ("cut off", |s, _, d| s.put(sig(d), Reply::ok("{\"config\": 1}").fault(Fault::Cut)), "unavailable: "),
        ("hangs", |s, _, d| s.put(sig(d), Reply::ok("").fault(Fault::Hang)), "unavailable: "),
        ("no manifest", |s, _, d| s.put(sig(d), Reply::ok("hello")), "invalid: "),
        ("moved inside", |s, _, d| s.put(sig(d), to("http://169.254.169.254/")), "invalid: "),
    ];
    let all = table.map(|(name, harm, answer)| async move {
        let (shelf, key) = (Shelf::default(), Key::new());
        let image = shelf.image("1", "");
        shelf.sign(&key, &image);
        harm(&shelf, &key, &image);
        let registry = shelf.registry().await;
        let evidence = gathered(&images(), &wanted(&registry, ":1", &[&key.authority()])).await;
        assert_eq!(evidence.digest, Resolved::Known(image));
        let got = signed(&evidence);
        assert!(got.starts_with(answer) && (answer.ends_with(' ') || got == answer), "{name}: {got}");
    });
    futures_util::future::join_all(all).await;
}

fn sig(image: &Digest) -> String {
    format!("/manifests/sha256-{}.sig", image.hex())
}

fn to(url: &str) -> Reply {
    Reply::status(302).header("location", url)
}

#[tokio::test]
async fn a_blob_that_is_named_and_not_there_is_not_an_image_that_nobody_signed() {
    let (shelf, key) = (Shelf::default(), Key::new());
    let image = shelf.image("1", "");
    shelf.sign(&key, &image);
    let blobs: Vec<String> = shelf.0.lock().unwrap().keys().filter(|k| k.starts_with("/blobs")).cloned().collect();
    for (answer, wanted_answer) in [(Reply::status(404), "invalid: "), (Reply::ok("other"), "invalid: ")] {
        blobs.iter().for_each(|blob| shelf.put(blob, answer.clone()));
        let registry = shelf.registry().await;
        let evidence = gathered(&images(), &wanted(&registry, ":1", &[&key.authority()])).await;
        assert!(signed(&evidence).starts_with(wanted_answer), "{}", signed(&evidence));
    }
}

#[tokio::test]
async fn what_a_reference_means_has_four_answers_too() {
    let shelf = Shelf::default();
    shelf.put("/manifests/down", Reply::status(503).header("retry-after", "9"));
    shelf.put("/manifests/secret", Reply::status(401));
    shelf.put("/manifests/lies", Reply::ok("{}").header("docker-content-digest", digest("x").to_string()));
    let image = shelf.image("good", "");
    let registry = shelf.registry().await;
    let images = images();
    let known = |r: &Resolved| match r {
        Resolved::Known(digest) => format!("known {digest}"),
        Resolved::NotFound(_) => "not found".into(),
        Resolved::Invalid(_) => "invalid".into(),
        Resolved::Unavailable(unseen) => unseen.cause.name().into(),
    };
    let wrong = format!("@{}", digest("other"));
    shelf.put(format!("/manifests/{}", digest("other")), Reply::ok("replaced"));
    let key = Key::new().authority();
    let by_digest = format!(":whatever@{image}");
    let good = format!("known {image}");
    let table = [
        (":good", good.as_str(), "not signed: "),
        (&by_digest, &good, "not signed: "),
        (":none", "not found", "invalid: "),
        (":down", "unavailable", "unavailable: "),
        (":secret", "unauthorized", "unauthorized: "),
        (":lies", "invalid", "invalid: "),
        (&wrong, "invalid", "invalid: "),
    ];
    for (reference, digest, answer) in table {
        let evidence = gathered(&images, &wanted(&registry, reference, &[&key])).await;
        assert_eq!(known(&evidence.digest), digest, "{reference}");
        assert!(signed(&evidence).starts_with(answer), "{reference}: {}", signed(&evidence));
    }
}

#[tokio::test]
async fn an_index_is_signed_or_each_of_its_platforms_is() {
    let (shelf, key) = (Shelf::default(), Key::new());
    let [amd, arm, build] = ["amd", "arm", "build"].map(|user| shelf.image(user, user));
    shelf.sign(&key, &amd);
    let both = [("amd64", &amd), ("arm64", &arm), ("unknown", &build)];
    shelf.index("half", &both);
    shelf.index("one", &[both[0], both[2]]);
    shelf.index("none", &[both[2]]);
    shelf.index("other", &[both[1]]);
    let whole = shelf.index("whole", &[both[1], both[0]]);
    shelf.sign(&key, &whole);
    let registry = shelf.registry().await;
    let images = images();
    let authority = key.authority();
    let table = [
        (":half", "not signed: 1 of its 2 platforms are not signed"),
        (":one", "verified"),
        (":none", "not signed: "),
        (":other", "not signed: "),
        (":whole", "verified"),
    ];
    for (reference, answer) in table {
        let evidence = gathered(&images, &wanted(&registry, reference, &[&authority])).await;
        assert_eq!(signed(&evidence), answer, "{reference}");
    }
}

#[tokio::test]
async fn details_of_an_index_are_those_of_its_platforms() {
    let shelf = Shelf::default();
    let [amd, arm, build] = ["1", "2", "3"].map(|user| shelf.image(user, user));
    let inner = shelf.index("whole", &[("amd64", &amd), ("arm64", &arm), ("unknown", &build)]);
    shelf.index("nested", &[("amd64", &inner)]);
    shelf.index("none", &[("unknown", &build)]);
    let registry = shelf.registry().await;
    let images = images();
    let details = async |image: &str| {
        let wanted = Wanted { details: true, ..wanted(&registry, image, &[]) };
        match gathered(&images, &wanted).await.details.clone().unwrap() {
            Answer::Verified(all) => all.iter().map(|p| p.user.clone()).collect::<Vec<_>>().join(","),
            other => words(&other).replace(&registry.host(), "HOST"),
        }
    };
    assert_eq!(details(":whole").await, "1,2");
    assert_eq!(
        details(":nested").await,
        "invalid: HOST/app: the answer is no configuration of an image: it is an index in an index"
    );
    assert_eq!(details(":none").await, "invalid: its index has 0 platforms, not 1 to 32");
}

#[tokio::test]
async fn mirrors_are_asked_first_and_the_registry_where_they_fail_or_lack_signatures() {
    let (shelf, key) = (Shelf::default(), Key::new());
    let image = shelf.image("1", "");
    let unsigned = Shelf(Arc::new(Mutex::new(shelf.0.lock().unwrap().clone())));
    let mirror = unsigned.registry().await;
    shelf.sign(&key, &image);
    let registry = shelf.registry().await;
    let broken = FakeRegistry::start(|_| Reply::status(503).header("retry-after", "60")).await;
    let mirrors = vec![broken.host().into(), mirror.host().into()];
    let settings = RegistrySettings { mirrors, ..registry.settings() };
    let mut wanted = wanted(&registry, ":1", &[&key.authority()]);
    wanted.registry = Some(Arc::new(settings));
    let evidence = gathered(&images(), &wanted).await;
    assert_eq!((signed(&evidence).as_str(), &evidence.digest), ("verified", &Resolved::Known(image)));
    assert_eq!(broken.seen().len(), 1);
    assert!(registry.lines().iter().all(|line| !line.ends_with("/manifests/1")), "the mirror had the image");
}

/// Whoever may push can say so of any image, for as long as they like; a policy that lets pass what cannot be had now must
/// not be led to it.
#[tokio::test]
async fn a_list_that_names_what_is_not_there_is_broken_and_not_out_of_reach() {
    let (shelf, key) = (Shelf::default(), Key::new());
    let image = shelf.image("1", "");
    let nowhere = json!({"manifests": [descriptor("application/vnd.oci.image.manifest.v1+json", "nowhere")]});
    shelf.manifest(&format!("sha256-{}", image.hex()), &nowhere);
    let registry = shelf.registry().await;
    let evidence = gathered(&images(), &wanted(&registry, ":1", &[&key.authority()])).await;
    assert!(signed(&evidence).starts_with("invalid: "), "{}", signed(&evidence));
}

/// Runtimes read names of fields without case, and the last of them counts.
#[tokio::test]
async fn an_index_that_runtimes_read_as_another_one_is_not_signed_by_its_platforms() {
    let (shelf, key) = (Shelf::default(), Key::new());
    let [good, evil] = ["good", "evil"].map(|user| shelf.image(user, user));
    shelf.sign(&key, &good);
    let of = |image: &Digest| {
        json!([{"mediaType": "m", "digest": image.as_str(), "size": 1,
        "platform": {"os": "linux", "architecture": "amd64"}}])
    };
    shelf.manifest("1", &json!({"manifests": of(&good)}));
    shelf.manifest("2", &json!({"manifests": of(&good), "manife\u{17f}ts": of(&evil)}));
    let registry = shelf.registry().await;
    let answer = async |tag| signed(&*gathered(&images(), &wanted(&registry, tag, &[&key.authority()])).await);
    assert_eq!(answer(":1").await, "verified");
    let words = answer(":2").await;
    assert!(words.starts_with("invalid: ") && words.contains("is another spelling of a field"), "{words}");
}

/// A tag that is too long is asked for in vain, whatever the registry says to it.
#[tokio::test]
async fn beside_a_long_digest_referrers_alone_are_looked_at() {
    let (shelf, key) = (Shelf::default(), Key::new());
    let config = shelf.blob("{}");
    let manifest = json!({"config": config, "layers": []}).to_string();
    let like = Digest::parse(&format!("sha512:{}", "0".repeat(128))).unwrap();
    let image = Digest::parse(&crate::registry::content::digest_like(&like, manifest.as_bytes())).unwrap();
    shelf.put(format!("/manifests/{image}"), Reply::ok(manifest));
    let held = shelf.clone();
    let registry = FakeRegistry::start(move |seen| match seen.target.rsplit('/').next() {
        Some(tag) if tag.starts_with("sha512-") && tag.len() > 128 => Reply::status(400),
        _ => held.answer(seen),
    })
    .await;
    let asked = wanted(&registry, &format!("@{image}"), &[&key.authority()]);
    let alone = "its referrers alone were looked at, because no tag can have the length of its digest";
    assert_eq!(signed(&*gathered(&images(), &asked).await), format!("not signed: {alone}"));
    let fallback = format!("GET /v2/app/manifests/sha512-{}", &image.hex()[..64]);
    assert!(registry.lines().contains(&fallback), "{:?}", registry.lines());
}

#[tokio::test]
async fn what_lies_beside_signatures_is_bounded_in_all() {
    let (shelf, key) = (Shelf::default(), Key::new());
    let image = shelf.image("1", "");
    let mut layer = shelf.blob("{}");
    layer["mediaType"] = "application/vnd.dev.cosign.simplesigning.v1+json".into();
    layer["annotations"] = json!({"dev.sigstore.cosign/certificate": "x".repeat(1 << 20)});
    let manifest = json!({"config": shelf.blob("{}"), "layers": [layer.clone(), layer]});
    shelf.manifest(&format!("sha256-{}.sig", image.hex()), &manifest);
    let registry = shelf.registry().await;
    let words = signed(&*gathered(&images(), &wanted(&registry, ":1", &[&key.authority()])).await);
    assert!(
        words.starts_with("invalid: ") && words.ends_with("more than 2097152 bytes beside signatures and attestations"),
        "{words}"
    );
}
